//! Files that were set back in place: the same files, with what they held earlier. Each way is known by something else.

use super::copies::{copy, release, set_back};
use super::*;
use crate::journal::inspect;
use crate::journal::order::Order;
use crate::journal::origin::{Here, Notes, Provenance, Sign};
use std::path::Path;

const SET_BACK: Provenance = Provenance::Copied(Sign::SetBack);
const LOG_SET_BACK: Provenance = Provenance::Copied(Sign::LogSetBack);
const NEXT_BOOT: origin::BootId = Some([b'8'; 36]);
const DATABASE: &[&str] = &[FILE_NAME, "journal.db-wal", "journal.db-shm"];

/// One run, of which there is a copy from its middle: three jobs wait in it that were delivered since.
struct Story {
    place: Place,
    backup: tempfile::TempDir,
    elsewhere: tempfile::TempDir,
}

impl Story {
    async fn new() -> Self {
        Self::of(|_| {}).await
    }

    /// `then` is done beside the relay when the copy is made.
    async fn of(then: impl FnOnce(&Place)) -> Self {
        let elsewhere = tempfile::tempdir().unwrap();
        let mut place = Place::new();
        place.close().await;
        place.open_at(Here { witnesses: vec![elsewhere.path().to_owned()], ..here(BOOT) });
        for _ in 0..3 {
            place.held(job(), How::Queued).await;
        }
        then(&place);
        let backup = tempfile::tempdir().unwrap();
        copy(&place.settings.dir, backup.path());
        let story = Self { place, backup, elsewhere };
        story.deliver(false).await;
        story
    }

    /// Whatever is due; armed, so that the flight log moves on as it does in earnest.
    async fn deliver(&self, is_retry: bool) -> usize {
        later().await;
        let claimed = self.place.claim(is_retry).await;
        let claimed = self.place.armed(claimed).await;
        for claimed in &claimed {
            self.place.journal().offered(claimed.number).unwrap();
            self.place.settle(claimed.number, relayed()).await;
        }
        claimed.len()
    }

    fn here(&self) -> Here {
        Here { witnesses: vec![self.elsewhere.path().to_owned()], ..here(BOOT) }
    }

    fn put_back(&self, names: &[&str]) {
        for name in names {
            put_back(&self.backup.path().join(name), &self.place.settings.dir.join(name));
        }
    }

    /// A start here finds that; what it holds waits for a person, and is flagged then.
    async fn starts_as(&mut self, expected: Provenance, parked: u64, here: Here) {
        let checked = inspect::inspect_at(&self.place.settings, &here).unwrap();
        assert_eq!(checked.copy.map(|copy| copy.sign), expected.sign(), "as check says");
        let found = self.place.open_at(here);
        assert_eq!((found.provenance, found.parked), (expected, parked));
        self.place.check();
        assert!(self.place.claim(false).await.is_empty());
        self.place.journal().lanes().await.unwrap();
        assert_eq!(self.place.journal().warning().is_some(), parked > 0);
        if parked > 0 {
            assert_eq!(release(&self.place).await, parked);
            assert_eq!(self.deliver(false).await as u64, parked);
            let flagged = self.place.number("SELECT count(*) FROM job WHERE maybe_repeated = 1");
            assert_eq!(flagged as u64, parked);
        }
    }
}

/// Marks are of milliseconds.
async fn later() {
    tokio::time::sleep(Duration::from_millis(3)).await;
}

/// The way of `cat backup > file`: into the file that is there.
fn put_back(from: &Path, to: &Path) {
    match std::fs::read(from) {
        Ok(bytes) => std::fs::write(to, bytes).unwrap(),
        Err(_) => drop(std::fs::remove_file(to)),
    }
}

#[tokio::test]
async fn c12_the_whole_folder_set_back_within_one_run() {
    for is_killed in [false, true] {
        let mut story = Story::new().await;
        if is_killed {
            story.place.crash().await
        } else {
            story.place.close().await
        }
        set_back(story.backup.path(), &story.place.settings.dir);
        story.starts_as(SET_BACK, 3, story.here()).await;
        // The same backup once more, in the life that came after.
        story.place.close().await;
        set_back(story.backup.path(), &story.place.settings.dir);
        story.starts_as(SET_BACK, 3, story.here()).await;
        story.place.close().await;
        assert_eq!(story.place.open_at(story.here()).provenance, Provenance::Ended, "it is said once");
    }
}

#[tokio::test]
async fn c12_only_the_database_set_back_is_known_after_a_boot_too() {
    for (is_killed, boot) in [(false, BOOT), (true, BOOT), (false, NEXT_BOOT), (true, NEXT_BOOT)] {
        let mut story = Story::new().await;
        if is_killed {
            story.place.crash().await
        } else {
            story.place.close().await
        }
        story.put_back(DATABASE);
        // Nothing is left of what was said outside.
        story.starts_as(SET_BACK, 3, here(boot)).await;
    }
}

#[tokio::test]
async fn c12_a_database_restored_by_sqlite_is_known() {
    let mut story = Story::new().await;
    story.place.close().await;
    let from = rusqlite::Connection::open(story.backup.path().join(FILE_NAME)).unwrap();
    restore(&from, &mut story.place.db());
    drop(from);
    story.starts_as(SET_BACK, 3, here(BOOT)).await;
}

fn restore(from: &rusqlite::Connection, to: &mut rusqlite::Connection) {
    let restore = rusqlite::backup::Backup::new(from, to).unwrap();
    restore.run_to_completion(1_000, Duration::from_millis(1), None).unwrap();
}

#[tokio::test]
async fn c12_a_database_restored_under_the_running_relay_gives_nothing_out() {
    let mut story = Story::new().await;
    let from = rusqlite::Connection::open(story.backup.path().join(FILE_NAME)).unwrap();
    restore(&from, &mut story.place.db());
    drop(from);
    let lane = Lane { target: "".into(), is_retry: false };
    assert!(story.place.journal().claim(&lane, 10).await.is_err(), "they were delivered");
    let health = story.place.journal().health().unwrap();
    assert!(health.contains("set back to an earlier time while the relay ran"), "{health}");
    story.place.close().await;
    story.starts_as(SET_BACK, 3, story.here()).await;
}

#[tokio::test]
async fn c12_an_old_file_below_a_new_log_of_commits_is_known() {
    let mut story = Story::new().await;
    // All of it goes into the file, and what comes then into a log of its own.
    let (answer, answered) = oneshot::channel();
    story.place.journal().shared().inbox.push(Order::Checkpoint(answer)).unwrap();
    answered.await.unwrap();
    story.place.held(job(), How::Queued).await;
    story.place.crash().await;
    story.put_back(&[FILE_NAME]);
    let found = story.place.open_at(here(BOOT));
    assert_eq!(found.provenance, SET_BACK);
}

#[tokio::test]
async fn c12_an_old_log_of_commits_over_a_new_file_is_known() {
    let mut story = Story::new().await;
    story.place.close().await;
    story.put_back(&["journal.db-wal"]);
    let found = story.place.open_at(here(BOOT));
    assert_eq!(found.provenance, SET_BACK);
}

#[tokio::test]
async fn c12_only_the_flight_log_set_back_is_known() {
    // By what was said outside, and by the database alone, also after a power cut.
    for (is_said, boot) in [(true, BOOT), (false, BOOT), (false, NEXT_BOOT)] {
        for is_killed in [false, true] {
            let mut story = Story::new().await;
            // The commit that knows of what was armed before it.
            story.place.held(job(), How::Queued).await;
            if is_killed {
                story.place.crash().await
            } else {
                story.place.close().await
            }
            story.put_back(&[flight::FILE_NAME]);
            let here = if is_said { story.here() } else { here(boot) };
            story.starts_as(LOG_SET_BACK, 1, here).await;
        }
    }
}

#[tokio::test]
async fn c12_what_the_notes_of_a_later_life_say_is_not_said_of_earlier_jobs() {
    let mut story = Story::new().await;
    story.place.crash().await;
    set_back(story.backup.path(), &story.place.settings.dir);
    story.place.open_at(story.here());
    // Another life gives the same numbers to other jobs, and one of them is taken by the target.
    let number = story.place.held(job(), How::Queued).await;
    let claimed = story.place.claim(false).await;
    assert_eq!(story.place.armed(claimed).await.len(), 1);
    story.place.journal().offered(number).unwrap();
    story.place.journal().shared().flights.answered(number.0, &relayed()).unwrap();
    story.place.crash().await;
    // The database of the life before, in which that number is of a job in flight.
    story.put_back(DATABASE);
    let db = story.place.db();
    db.execute_batch(
        "DELETE FROM due; INSERT INTO flight (job, since, is_armed_first) SELECT job, 0, 1 FROM payload",
    )
    .unwrap();
    db.execute("UPDATE flight SET job = ?1 WHERE job = (SELECT max(job) FROM flight)", [number.0]).unwrap();
    db.execute_batch(
        "UPDATE job SET id = (SELECT max(job) FROM flight) WHERE id = (SELECT max(id) FROM job)",
    )
    .unwrap();
    db.execute("UPDATE payload SET job = ?1 WHERE job = (SELECT max(job) FROM payload)", [number.0]).unwrap();
    drop(db);
    let found = story.place.open_at(story.here());
    assert_eq!((found.provenance, found.relayed, found.in_doubt), (SET_BACK, 0, 3));
    assert_eq!(found.provenance.notes(), Notes::Stray);
}

/// The page that a table begins with is not one any more.
fn spoil(dir: &Path, table: &str) {
    let db = rusqlite::Connection::open(dir.join(FILE_NAME)).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let root: u64 = db
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [table], |row| row.get::<_, i64>(0))
        .unwrap()
        .unsigned_abs();
    drop(db);
    let file = std::fs::OpenOptions::new().write(true).open(dir.join(FILE_NAME)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 4096], (root - 1) * 4096).unwrap();
}

#[tokio::test]
async fn c12_a_stamp_that_cannot_be_read_is_no_originals() {
    for (table, is_copy) in [("run", true), ("run", false), ("journal", true), ("journal", false)] {
        let mut story = Story::new().await;
        story.place.crash().await;
        set_back(story.backup.path(), &story.place.settings.dir);
        if is_copy {
            story.place.settings.dir = story.backup.path().to_owned();
        }
        spoil(&story.place.settings.dir, table);
        let found = story.place.open_at(story.here());
        assert_eq!(found.provenance, Provenance::Copied(Sign::Unreadable), "{table}");
        assert_eq!(found.parked, 3);
        let warning = story.place.journal().warning().unwrap();
        assert!(warning.contains("cannot be read any more which run"), "{warning}");
        let repeat = story.place.journal().repeat(crate::job::Acceptance::Journal);
        assert_eq!(repeat, Repeat::Maybe, "what the ledger has lost may come again");
        story.place.close().await;
        assert_eq!(story.place.open_at(story.here()).provenance, Provenance::Ended, "it is said once");
    }
}

#[tokio::test]
async fn c12_a_damaged_row_that_names_the_run_is_said_by_check_too() {
    let mut story = Story::new().await;
    story.place.crash().await;
    set_back(story.backup.path(), &story.place.settings.dir);
    story.place.db().execute_batch("UPDATE run SET is_lasting = 0").unwrap();
    story.starts_as(Provenance::Copied(Sign::Unreadable), 3, story.here()).await;
}

#[tokio::test]
async fn c12_a_database_that_was_set_back_and_damaged_was_set_back() {
    let mut story = Story::new().await;
    story.place.close().await;
    story.put_back(DATABASE);
    spoil(&story.place.settings.dir, "tally");
    std::fs::write(story.place.settings.dir.join(shared::DAMAGED_MARK), b"").unwrap();
    let found = story.place.open_at(here(BOOT));
    assert_eq!((found.provenance, found.parked), (SET_BACK, 3));
    assert!(found.salvaged.is_some());
}

#[tokio::test]
async fn c8_rows_that_damage_has_taken_may_come_again() {
    let mut story = Story::new().await;
    story.place.close().await;
    spoil(&story.place.settings.dir, "attempt");
    std::fs::write(story.place.settings.dir.join(shared::DAMAGED_MARK), b"").unwrap();
    let found = story.place.open_at(story.here());
    assert_eq!((found.provenance, found.salvaged.unwrap().is_complete), (Provenance::Ended, false));
    assert_eq!(story.place.journal().repeat(crate::job::Acceptance::Journal), Repeat::Maybe);
}

/// Whatever comes again after that may have been mailed before.
#[tokio::test]
async fn c12_a_journal_that_was_taken_away_is_missed() {
    for names in [
        &["journal.db"][..],
        &["journal.db", "journal.db-wal", "journal.db-shm", "flight.log", "handoff.log"],
    ] {
        let mut story = Story::new().await;
        story.place.close().await;
        for name in names {
            let _ = std::fs::remove_file(story.place.settings.dir.join(name));
        }
        let found = story.place.open_at(story.here());
        assert_eq!((found.provenance, found.parked), (Provenance::Emptied, 0), "{names:?}");
        story.place.close().await;
        assert_eq!(story.place.open_at(story.here()).provenance, Provenance::Ended, "it is said once");
    }
}

/// Without a relay, whose commits are marked as they are made.
#[tokio::test]
async fn c12_what_a_person_has_called_off_is_not_sent_when_that_is_set_back() {
    let mut place = Place::new();
    let calls_off = place.held(job(), How::Queued).await;
    place.held(job(), How::Queued).await;
    place.close().await;
    let backup = tempfile::tempdir().unwrap();
    copy(&place.settings.dir, backup.path());
    let done = super::beside::change(&place, &[calls_off], crate::journal::ledger::Ask::Cancel).await;
    assert_eq!(done, [crate::journal::ledger::Done::Cancelled]);
    // A start that finds it as it was left has nothing to say.
    assert_eq!(inspect::inspect_at(&place.settings, &here(BOOT)).unwrap().copy.map(|copy| copy.sign), None);
    for name in DATABASE {
        put_back(&backup.path().join(name), &place.settings.dir.join(name));
    }
    let found = place.open();
    assert_eq!((found.provenance, found.parked), (SET_BACK, 2));
    assert!(place.claim(false).await.is_empty());
}

/// All files, which only those outside know of.
#[tokio::test]
async fn c12_what_was_done_without_a_relay_is_said_outside_too() {
    let elsewhere = tempfile::tempdir().unwrap();
    let here = || Here { witnesses: vec![elsewhere.path().to_owned()], ..here(BOOT) };
    let mut place = Place::new();
    place.close().await;
    place.open_at(here());
    place.held(job(), How::Queued).await;
    place.close().await;
    let backup = tempfile::tempdir().unwrap();
    copy(&place.settings.dir, backup.path());
    let db = place.db();
    db.execute_batch("UPDATE journal SET clock = clock + 1").unwrap();
    marks::move_up(&place.settings.dir, &db, &here().witnesses);
    drop(db);
    assert_eq!(inspect::inspect_at(&place.settings, &here()).unwrap().copy.map(|copy| copy.sign), None);
    set_back(backup.path(), &place.settings.dir);
    assert_eq!(place.open_at(here()).provenance, SET_BACK);
}

#[tokio::test]
async fn c12_a_relay_that_runs_marks_by_itself() {
    let place = Place::new();
    let number = place.held(job(), How::Queued).await;
    let log = place.settings.dir.join(flight::FILE_NAME);
    let before = flight::Header::peek(&log).unwrap();
    super::beside::change(&place, &[number], crate::journal::ledger::Ask::Cancel).await;
    assert_eq!(flight::Header::peek(&log).unwrap().clock, before.clock);
    place.held(job(), How::Queued).await;
    let marked = flight::Header::peek(&log).unwrap().clock;
    assert!(marked <= place.number("SELECT clock FROM journal"), "none is ahead of the one before it");
}
