//! A state folder that was copied, restored or set back: what it held is not sent again by itself.

use super::beside::change;
use super::*;
use crate::fault::{Reason, State};
use crate::journal::ledger::{Ask, Desk, Done, Ledger, Standing};
use crate::journal::origin::{Here, Provenance, Sign};
use std::path::Path;

/// As a backup does: every file anew.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// As one does that writes into the files that are there.
pub fn set_back(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(to).unwrap().map(Result::unwrap) {
        if !from.join(entry.file_name()).exists() {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    copy(from, to);
}

/// A journal with a job that waits, one that waits for another attempt, one in flight and one in doubt; killed, with a copy
/// of what it was then.
async fn original() -> (Place, Vec<Number>, tempfile::TempDir) {
    let mut place = Place::new();
    let flying = place.held(job(), How::Queued).await;
    assert_eq!(place.claim(false).await.len(), 1);
    let held = vec![
        place.held(job(), How::Queued).await,
        place.held(job(), How::Failed(busy())).await,
        flying,
        place.held(job(), How::InDoubt(Fault::in_doubt("gone"))).await,
    ];
    place.crash().await;
    let backup = tempfile::tempdir().unwrap();
    copy(&place.settings.dir, backup.path());
    (place, held, backup)
}

fn place_in(dir: &Path) -> Place {
    let settings = settings(dir);
    Place { _dir: tempfile::tempdir().unwrap(), settings, journal: None }
}

pub async fn release(place: &Place) -> u64 {
    let dir = place.settings.dir.clone();
    tokio::task::spawn_blocking(move || Desk::open(&dir).unwrap().release_all().unwrap()).await.unwrap()
}

#[tokio::test]
async fn c12_a_copy_holds_what_it_held_until_a_person_says_so() {
    let (_original, held, backup) = original().await;
    let mut copy = place_in(backup.path());
    let found = copy.open();
    assert_eq!(found.provenance, Provenance::Copied(Sign::OtherFile));
    assert_eq!((found.parked, found.in_doubt, found.held), (2, 1, 4));
    assert!(found.to_string().contains("copied or restored"), "{found}");
    copy.check();
    assert!(copy.journal().lanes().await.unwrap().is_empty());
    let warning = copy.journal().warning().unwrap();
    assert!(warning.contains("jobs release --all"), "{warning}");
    let ledger = Ledger::open(backup.path()).unwrap();
    let standings: Vec<_> = held.iter().map(|number| ledger.standing(*number).unwrap()).collect();
    use Standing::{HeldInDoubt, Parked};
    assert_eq!(standings, [Parked, Parked, HeldInDoubt, HeldInDoubt]);
    // The doors work meanwhile.
    let new = copy.held(job(), How::Queued).await;
    let claimed = copy.claim(false).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.number).collect::<Vec<_>>(), [new]);
    copy.settle(new, relayed()).await;
    assert_eq!(copy.journal().health(), None);
    // Nor is it forgotten by another start.
    copy.close().await;
    let found = copy.open();
    assert_eq!((found.provenance, found.parked), (Provenance::Ended, 2));
    assert!(copy.journal().warning().is_some());
    assert_eq!(release(&copy).await, 2);
    copy.check();
    assert_eq!(copy.claim(false).await.len() + copy.claim(true).await.len(), 2);
    copy.journal().lanes().await.unwrap();
    assert_eq!(copy.journal().warning(), None);
    assert_eq!(copy.number("SELECT sum(maybe_repeated) FROM job"), 2, "the original may have sent them");
    copy.close().await;
    assert_eq!(copy.open().parked, 0);
}

#[tokio::test]
async fn c12_a_person_may_call_off_or_send_single_jobs_of_a_copy() {
    let (_original, held, backup) = original().await;
    let mut copy = place_in(backup.path());
    copy.open();
    assert_eq!(change(&copy, &held[..1], Ask::Cancel).await, [Done::Cancelled]);
    assert_eq!(change(&copy, &held[1..2], RETRY).await, [Done::DueNow]);
    copy.check();
    assert_eq!(copy.claim(true).await.len(), 1);
    copy.journal().lanes().await.unwrap();
    assert_eq!(copy.journal().warning(), None);
    let told = copy.number("SELECT maybe_repeated FROM job WHERE state = 'journaled'");
    assert_eq!(told, 1);
    let states = Ledger::open(backup.path()).unwrap().campaign(None, "c42").unwrap();
    assert_eq!(states.of(State::Cancelled), 1);
}

/// Mended and submitted again, it was delivered after the copy was made; the copy knows of its refusal only.
#[tokio::test]
async fn c12_what_was_refused_before_the_copy_is_flagged_when_a_person_has_it_judged_anew() {
    let mut place = Place::new();
    let refuse = async |place: &Place| {
        let number = place.held(job(), How::Queued).await;
        place.claim(false).await;
        place.settle(number, Outcome::Failed(Fault::new(Reason::MissingField, "first_name"))).await;
        number
    };
    let [here, there] = [refuse(&place).await, refuse(&place).await];
    place.close().await;
    let backup = tempfile::tempdir().unwrap();
    copy(&place.settings.dir, backup.path());
    let flagged = |place: &Place| place.number("SELECT sum(maybe_repeated) FROM job");
    place.open();
    assert_eq!(change(&place, &[here], RETRY).await, [Done::JudgedAnew]);
    assert_eq!(flagged(&place), 0, "nobody else can have carried it");
    let mut copy = place_in(backup.path());
    assert_eq!(copy.open().provenance, Provenance::Copied(Sign::OtherFile));
    assert_eq!(change(&copy, &[there], RETRY).await, [Done::JudgedAnew]);
    assert_eq!(flagged(&copy), 1);
    assert_eq!(copy.claim_retry().await.number, there);
    copy.settle(there, relayed()).await;
    assert_eq!(copy.number("SELECT maybe_repeated FROM job WHERE state = 'relayed'"), 1);
    copy.check();
}

#[tokio::test]
async fn c12_what_is_resent_by_rule_waits_in_a_copy_like_everything_else() {
    let (_original, _, backup) = original().await;
    let mut copy = place_in(backup.path());
    copy.settings.unknown = WhenUnknown::Resend;
    assert_eq!(copy.open().parked, 3);
    copy.check();
}

#[tokio::test]
async fn c12_a_database_older_than_its_notes_was_set_back() {
    let (mut place, _, backup) = original().await;
    place.open();
    place.close().await;
    // The database alone, into the file that is there.
    for name in [FILE_NAME, "journal.db-wal"] {
        std::fs::copy(backup.path().join(name), place.settings.dir.join(name)).unwrap();
    }
    let found = place.open();
    assert_eq!((found.provenance, found.parked), (Provenance::Copied(Sign::SetBack), 2));
    place.check();
}

#[tokio::test]
async fn c12_a_folder_set_back_as_a_whole_is_known_by_what_was_said_elsewhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    let machine = || Here { witnesses: vec![elsewhere.path().to_owned()], ..here(BOOT) };
    let mut place = Place::new();
    place.close().await;
    place.open_at(machine());
    place.held(job(), How::Queued).await;
    place.close().await;
    let backup = tempfile::tempdir().unwrap();
    copy(&place.settings.dir, backup.path());
    assert_eq!(
        place.open_at(machine()).provenance,
        Provenance::Ended,
        "a copy that lies elsewhere changes nothing"
    );
    for claimed in place.claim(false).await {
        place.settle(claimed.number, relayed()).await;
    }
    place.close().await;
    set_back(backup.path(), &place.settings.dir);
    let found = place.open_at(machine());
    assert_eq!((found.provenance, found.parked), (Provenance::Copied(Sign::SetBack), 1));
    place.close().await;
    assert_eq!(place.open_at(machine()).provenance, Provenance::Ended, "it is said once");
}

#[tokio::test]
async fn c12_a_move_a_reboot_and_a_new_container_are_no_copy() {
    let (mut place, _, _) = original().await;
    let moved = place.settings.dir.with_extension("moved");
    std::fs::rename(&place.settings.dir, &moved).unwrap();
    place.settings.dir = moved;
    let found = place.open();
    assert_eq!((found.provenance, found.parked), (Provenance::Killed, 0));
    place.close().await;
    let container = Here { machine: Some([9; 16]), ..here(Some([b'9'; 36])) };
    let found = place.open_at(container);
    assert_eq!((found.provenance, found.parked), (Provenance::Ended, 0));
    assert_eq!(place.journal().warning(), None);
}

#[tokio::test]
async fn a_journal_of_the_format_before_is_brought_up_where_it_lies_without_alarm() {
    for boot in [BOOT, Some([b'8'; 36])] {
        let mut place = Place::new();
        place.held(job(), How::Queued).await;
        place.close().await;
        place
            .db()
            .execute_batch(&format!(
                "{}{}{}PRAGMA wal_checkpoint(TRUNCATE);",
                schema::TO_4,
                schema::TO_3,
                schema::TO_2
            ))
            .unwrap();
        // What it wrote beside it.
        let mut log = std::fs::read(place.settings.dir.join(flight::FILE_NAME)).unwrap();
        let mut header = [0; 64];
        header[..8].copy_from_slice(b"TKNFLT1\0");
        header[8..44].copy_from_slice(&[b'7'; 36]);
        header[44..52].copy_from_slice(&i64::MAX.to_le_bytes());
        let sum = record::checksum(&header[..60]);
        header[60..].copy_from_slice(&sum.to_le_bytes());
        log[..128].fill(0);
        log[..64].copy_from_slice(&header);
        std::fs::write(place.settings.dir.join(flight::FILE_NAME), log).unwrap();
        let found = place.open_after(boot);
        assert_eq!((found.provenance, found.held, found.parked), (Provenance::Ended, 1, 0));
        assert_eq!(found.salvaged, None);
        place.check();
        assert_eq!(place.claim(false).await.len(), 1);
    }
}

#[tokio::test]
async fn c12_a_damaged_file_that_is_set_aside_is_no_copy() {
    let (mut place, _, _) = original().await;
    std::fs::write(place.settings.dir.join("damaged"), "").unwrap();
    let found = place.open();
    assert_eq!((found.provenance, found.parked), (Provenance::Killed, 0));
    assert!(found.salvaged.unwrap().is_complete);
    place.check();
    place.close().await;
    assert_eq!(place.open().provenance, Provenance::Ended);
}
