//! Full, failing, read-only and damaged disks.

use super::*;
use std::os::unix::fs::{FileExt, PermissionsExt};

async fn fill(place: &Place) -> Vec<Number> {
    let mut held = Vec::new();
    loop {
        match place.hold(inline(&"x".repeat(2_000 + held.len())), How::Queued).await {
            Ok(Held::New(number)) => held.push(number),
            Err(fault) => {
                assert!(fault.is_no_storage(), "{fault}");
                return held;
            }
            other => panic!("{other:?}"),
        }
        assert!(held.len() < 10_000, "the bound holds");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_what_is_new_and_the_rest_drains() {
    let place = Place::new();
    let ballast = place.settings.dir.join("ballast");
    assert!(ballast.exists());
    place.run("PRAGMA max_page_count = 200").await;
    let held = fill(&place).await;
    assert!(held.len() > 20);
    assert_eq!(place.journal().health(), None, "a full disk is not a broken one");
    assert!(!ballast.exists(), "it was thrown off");
    place.check();
    let mut ended = 0;
    // Claims too may find no room, and are told so: nothing may be sent then.
    let lane = Lane { target: "".into(), is_retry: false };
    let claimed = match place.journal().claim(&lane, 10).await {
        Ok(claimed) => claimed,
        Err(_) => {
            place.run("PRAGMA max_page_count = 210").await;
            place.journal().claim(&lane, 10).await.unwrap()
        }
    };
    place.run("PRAGMA max_page_count = 1").await;
    for claimed in claimed {
        place.journal().settle(claimed.number, relayed()).await;
        ended += 1;
    }
    place.run("PRAGMA max_page_count = 1000000").await;
    while place.journal().stats().in_flight > 0 {
        place.run("").await;
        let _ = place.journal().hold(Vec::new()).await;
    }
    assert_eq!(place.number("SELECT count(*) FROM job WHERE state = 'relayed'"), ended);
    place.held(job(), How::Queued).await;
    place.check();
}

/// Holds 20 MiB and delivers it.
async fn come_and_go(place: &Place) {
    for round in 0..10 {
        let jobs = (0..100).map(|number| {
            let job = Arc::new(inline(&format!("{round} {number} {}", "x".repeat(20_000))));
            let body = Body::of(&job);
            (job, body, How::Queued)
        });
        place.journal().hold(jobs.collect()).await.unwrap();
    }
    loop {
        let claimed = place.claim(false).await;
        if claimed.is_empty() {
            return place.run("").await;
        }
        for claimed in claimed {
            place.journal().settle(claimed.number, relayed()).await;
        }
    }
}

#[tokio::test]
async fn room_that_delivery_frees_is_given_back_to_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let free = rustix::fs::statvfs(dir.path()).map(|found| found.f_bavail * found.f_frsize).unwrap();
    // Little is left, and yet enough to take jobs on; or plenty.
    for (disk_free_min, most) in [(free / 3 * 2, 2 << 20), (0, 22 << 20)] {
        let place = Place::with(|settings| settings.disk_free_min = disk_free_min);
        let [file, log, _] = file::with_companions(&place.settings.dir.join(FILE_NAME));
        let size = |path| std::fs::metadata(path).unwrap().len();
        come_and_go(&place).await;
        let began = std::time::Instant::now();
        while size(&file) > most || (disk_free_min > 0 && size(&log) > 2 << 20) {
            assert!(began.elapsed() < Duration::from_secs(20), "{} and {}", size(&file), size(&log));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let whole: String = place.db().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
        place.check();
        place.held(job(), How::Queued).await;
    }
}

#[tokio::test]
async fn a_journal_of_the_format_before_is_taken_over_whole() {
    let mut place = Place::new();
    let retry = place.held(job(), How::Failed(busy())).await;
    place.held(message("Subject: x", "text"), How::Queued).await;
    let flying = place.held(job(), How::InFlight).await;
    place.journal().offered(flying).unwrap();
    place.close().await;
    place
        .db()
        .execute_batch("ALTER TABLE payload DROP COLUMN due; DROP TABLE deadline; PRAGMA user_version = 1;")
        .unwrap();
    let found = place.open();
    let salvaged = found.salvaged.unwrap();
    assert_eq!((salvaged.jobs, salvaged.lost, salvaged.is_complete, found.in_doubt), (3, 0, true, 1));
    assert!(place.number("SELECT count(*) FROM deadline") > 0);
    place.check();
    assert_eq!(place.claim(false).await.len(), 1);
    assert_eq!(place.claim_retry().await.number, retry);
}

#[tokio::test]
async fn a_file_that_was_taken_away_takes_nothing_more() {
    let place = Place::new();
    place.held(job(), How::Queued).await;
    std::fs::rename(&place.settings.dir, place.settings.dir.with_extension("aside")).unwrap();
    assert!(place.hold(job(), How::Queued).await.is_err());
    assert!(place.journal().health().is_some());
}

#[tokio::test]
async fn bytes_are_bounded() {
    let place = Place::with(|settings| settings.bytes_max = 100_000);
    let held = fill(&place).await;
    assert!((20..50).contains(&held.len()), "{}", held.len());
    let shared = place.journal().stats();
    assert!(shared.held_bytes <= 100_000);
    for claimed in place.claim(false).await {
        place.settle(claimed.number, relayed()).await;
    }
    place.held(job(), How::Queued).await;
    place.check();
}

#[tokio::test]
async fn a_call_is_taken_on_as_a_whole_or_not_at_all() {
    let place = Place::with(|settings| settings.bytes_max = 10_000);
    let jobs = (0..100).map(|number| {
        let job = Arc::new(inline(&format!("{number:0500}")));
        let body = Body::of(&job);
        (job, body, How::Queued)
    });
    assert!(place.journal().hold(jobs.collect()).await.unwrap_err().is_no_storage());
    assert_eq!(place.number("SELECT count(*) FROM job"), 0);
    assert_eq!(place.number("SELECT count(*) FROM content"), 0);
    place.check();
}

#[tokio::test]
async fn a_disk_with_too_little_left_refuses() {
    let place = Place::with(|settings| settings.disk_free_min = u64::MAX);
    assert!(place.hold(job(), How::Queued).await.unwrap_err().is_no_storage());
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_taken_on_nor_given_out_until_the_next_start() {
    let mut place = Place::new();
    let (kept, in_flight) = (job(), job());
    let sends = [kept.send.clone(), in_flight.send.clone()];
    place.held(kept, How::Queued).await;
    let number = place.held(in_flight, How::InFlight).await;
    place.journal().offered(number).unwrap();
    place.run("PRAGMA query_only = ON").await;
    let fault = place.hold(job(), How::Queued).await.unwrap_err();
    assert!(fault.is_transient() && !fault.is_no_storage() && fault.detail.contains("writable"), "{fault}");
    // It could be written again, but nobody knows what was lost meanwhile.
    place.run("PRAGMA query_only = OFF").await;
    assert!(place.hold(job(), How::Queued).await.is_err());
    let lane = Lane { target: "".into(), is_retry: false };
    assert!(place.journal().claim(&lane, 1).await.is_err());
    assert!(place.journal().offered(number).is_err());
    place.journal().settle(number, relayed()).await;
    place.journal().record(Arc::new(job()), Body([0; 16]), relayed()).await;
    assert!(place.journal().health().unwrap().contains("journal.db"));
    while place.journal().stats().unrecorded == 0 {
        tokio::task::yield_now().await;
    }
    place.close().await;
    let found = place.open();
    assert_eq!((found.held, found.relayed), (1, 1), "the flight log knew");
    assert_eq!(place.outcome(&sends[0]).await, Outcome::Journaled(Repeat::No));
    assert_eq!(place.outcome(&sends[1]).await, relayed());
    place.check();
}

#[tokio::test]
async fn after_a_failed_fsync_nobody_is_told_of_what_waited_for_it() {
    let mut place = Place::new();
    place.held(job(), How::Queued).await;
    place.close().await;
    let (writer, _) = recovery::open(place.settings.clone(), here(BOOT)).unwrap();
    // Commits are written as ever, and the fsync behind them fails: this file has none.
    let journal = Journal::begin(writer, std::path::Path::new("/dev/null")).unwrap();
    place.journal = Some(journal);
    let late = job();
    let send = late.send.clone();
    let fault = place.hold(late, How::Queued).await.unwrap_err();
    assert!(fault.is_transient(), "{fault}");
    assert!(place.journal().health().is_some());
    assert!(place.journal().look_up(&send).await.is_err(), "it can be read, and is not on the disk");
    assert!(place.hold(job(), How::Queued).await.is_err());
    place.close().await;
    let found = place.open();
    assert_eq!((found.refused, found.held), (1, 1), "its engine was told to submit it again");
    assert!(matches!(place.outcome(&send).await, Outcome::Failed(fault) if fault.is_transient()));
    place.check();
}

#[tokio::test]
async fn jobs_that_a_failed_commit_left_on_the_disk_are_refused_as_their_engines_were_told() {
    let mut place = Place::new();
    place.held(job(), How::Queued).await;
    place.journal().shared().flights.refuse_above(1).unwrap();
    let (late, flying, again) = (job(), job(), job());
    let sends = [late.send.clone(), flying.send.clone()];
    place.held(late, How::Queued).await;
    place.held(flying, How::InFlight).await;
    place.journal().record(Arc::new(again), Body([0; 16]), relayed()).await;
    place.close().await;
    assert_eq!(place.open().refused, 2);
    place.check();
    assert!(matches!(place.outcome(&sends[0]).await, Outcome::Failed(fault) if fault.is_transient()));
    assert!(matches!(place.outcome(&sends[1]).await, Outcome::HeldInDoubt(_)));
    assert_eq!(place.claim(false).await.len(), 1);
    assert_eq!(place.number("SELECT count(*) FROM job WHERE state = 'relayed'"), 1);
}

#[tokio::test]
async fn a_damaged_record_or_content_is_quarantined_and_never_sent() {
    let place = Place::new();
    let ways = [
        "UPDATE payload SET record = CAST(replace(CAST(record AS TEXT), 'e_684384628', 'e_684384629') AS BLOB)",
        "UPDATE payload SET checksum = checksum + 1",
        "UPDATE payload SET record = x'00'",
        "UPDATE job SET engine = 'other' WHERE state = 'journaled'",
        "UPDATE job SET send = zeroblob(16) WHERE state = 'journaled'",
        "UPDATE content SET octets = zeroblob(10)",
        "DELETE FROM content",
    ];
    for (number, damage) in ways.into_iter().enumerate() {
        let job = message("Subject: x", "text");
        place.held(job, How::Queued).await;
        place.db().execute(damage, []).unwrap();
        assert!(place.claim(false).await.is_empty(), "{damage}");
        place.settle(Number(0), Outcome::Lost).await;
        assert_eq!(place.journal().stats().quarantined, number as u64 + 1, "{damage}");
        let ended = "SELECT count(*) FROM job WHERE state = 'rejected' AND reason = 'bad-job'
             AND detail = 'the held record is damaged'";
        assert_eq!(place.number(ended), number as i64 + 1);
        assert_eq!(place.number("SELECT count(*) FROM flight"), 0);
        place.db().execute("UPDATE job SET send = randomblob(16)", []).unwrap();
    }
    assert_eq!(place.journal().health(), None);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_set_aside() {
    for garbage in [b"".to_vec(), vec![7; 50_000], b"SQLite format 3\0 and then nothing more".repeat(100)] {
        let mut place = Place::new();
        place.held(job(), How::Queued).await;
        place.close().await;
        let path = place.settings.dir.join(FILE_NAME);
        std::fs::write(&path, &garbage).unwrap();
        let salvaged = place.open().salvaged.unwrap();
        assert_eq!((salvaged.jobs, salvaged.is_complete), (0, false));
        assert!(std::fs::read(&salvaged.moved_to).unwrap() == garbage, "it is left as it was");
        place.held(job(), How::Queued).await;
        place.check();
    }
}

#[tokio::test]
async fn what_can_be_read_of_a_damaged_file_is_saved() {
    let mut place = Place::new();
    let mut jobs = Vec::new();
    for number in 0..600 {
        let job = Arc::new(message(&format!("X-Number: {number}"), "the same"));
        let body = Body::of(&job);
        jobs.push((job, body, if number % 7 == 0 { How::InFlight } else { How::Queued }));
    }
    place.journal().hold(jobs).await.unwrap();
    place.close().await;
    let path = place.settings.dir.join(FILE_NAME);
    let db = place.db();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'payload'";
    let root: i64 = db.query_row(root, [], |row| row.get(0)).unwrap();
    let root = root as u64;
    drop(db);
    for companion in &file::with_companions(&path)[1..] {
        let _ = std::fs::remove_file(companion);
    }
    // A leaf in the middle of the payloads.
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut page = [0; 4096];
    file.read_exact_at(&mut page, (root - 1) * 4096).unwrap();
    let cell = usize::from(u16::from_be_bytes([page[14], page[15]]));
    let leaf = u64::from(u32::from_be_bytes(*page[cell..].first_chunk().unwrap()));
    file.write_all_at(&[0xff; 4096], (leaf - 1) * 4096).unwrap();
    drop(file);
    std::fs::write(place.settings.dir.join(shared::DAMAGED_MARK), b"").unwrap();

    let found = place.open();
    let salvaged = found.salvaged.unwrap();
    assert!(!salvaged.is_complete && salvaged.lost > 0, "{salvaged:?}");
    assert_eq!(salvaged.jobs + salvaged.lost, 600);
    assert!(salvaged.jobs > 550, "{salvaged:?}");
    assert_eq!(found.held, salvaged.jobs);
    place.check();
    assert_eq!(place.journal().stats().quarantined, salvaged.lost);
    place.close().await;
    assert_eq!(place.open().salvaged, None, "once");
}

#[tokio::test]
async fn damage_found_while_running_is_mended_by_the_next_start() {
    let mut place = Place::new();
    place.held(job(), How::Queued).await;
    place.journal().shared().poison(Trouble::Damaged);
    assert!(place.hold(job(), How::Queued).await.is_err());
    place.close().await;
    let found = place.open();
    assert_eq!(found.salvaged.unwrap().jobs, 1);
    assert_eq!(place.claim(false).await.len(), 1);
    assert_eq!(place.journal().health(), None);
}

#[tokio::test]
async fn one_relay_owns_a_journal() {
    let place = Place::new();
    match Journal::open(place.settings.clone()) {
        Err(JournalError::InUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_used_is_said_with_its_fix() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = Journal::open(settings(&file.join("journal"))).unwrap_err();
    assert!(matches!(error, JournalError::Unavailable { .. }), "{error}");
    assert!(!error.fix().is_empty() && error.to_string().contains("file"));
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    let place = Place::new();
    place.held(job(), How::Queued).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.settings.dir), 0o700);
    for file in std::fs::read_dir(&place.settings.dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_command_beside_the_relay_makes_the_writer_wait() {
    let place = Place::new();
    let beside = place.db();
    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut hold = Box::pin(place.hold(job(), How::Queued));
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(futures_util::poll!(&mut hold).is_pending());
    }
    beside.execute_batch("COMMIT").unwrap();
    hold.await.unwrap();
}
