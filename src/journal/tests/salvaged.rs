//! A salvage that is stopped, at any point, loses nothing.

use super::*;
use std::fs;
use std::path::{Path, PathBuf};

const JOBS: u64 = 20;

/// Killed with its jobs in the log, and known to be damaged.
async fn damaged() -> (Place, PathBuf) {
    let mut place = Place::new();
    for _ in 0..JOBS {
        place.held(job(), How::Queued).await;
    }
    place.crash().await;
    fs::write(place.settings.dir.join(shared::DAMAGED_MARK), b"").unwrap();
    let path = place.settings.dir.join(FILE_NAME);
    assert!(file::has_log(&path));
    (place, path)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}.{end}", path.display()))
}

fn set_aside(place: &Place) -> usize {
    let names = fs::read_dir(&place.settings.dir).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().starts_with("journal.db.damaged-")).count()
}

#[tokio::test]
async fn a_file_that_was_not_finished_is_made_anew() {
    let (mut place, path) = damaged().await;
    let cradle = beside(&path, "saving");
    fs::create_dir(&cradle).unwrap();
    fs::write(cradle.join(FILE_NAME), b"half of it").unwrap();
    fs::write(cradle.join("journal.db-journal"), b"half of it").unwrap();
    let found = place.open();
    assert_eq!((found.held, found.salvaged.unwrap().jobs), (JOBS, JOBS));
    assert!(!cradle.exists());
    place.check();
}

#[tokio::test]
async fn a_start_that_cannot_make_the_new_file_leaves_the_damaged_one_in_its_place() {
    let (mut place, path) = damaged().await;
    let before = file::with_companions(&path).map(|file| fs::read(file).unwrap().len());
    // No folder can be made here.
    let cradle = beside(&path, "saving");
    fs::write(&cradle, b"").unwrap();
    for _ in 0..3 {
        let error = Journal::open_in(place.settings.clone(), here(BOOT)).unwrap_err();
        assert!(matches!(error, JournalError::Unavailable { .. }), "{error}");
        assert_eq!(file::with_companions(&path).map(|file| fs::read(file).unwrap().len()), before);
        assert_eq!(set_aside(&place), 0);
    }
    fs::remove_file(&cradle).unwrap();
    assert_eq!(place.open().salvaged.unwrap().jobs, JOBS);
}

#[tokio::test]
async fn a_finished_file_takes_its_place_wherever_the_last_start_was_stopped() {
    // How many of the three files had been moved.
    for moved in 0..=3 {
        let (mut place, path) = damaged().await;
        let salvaged = salvage::salvage(&place.settings, &path).unwrap();
        let name = salvaged.moved_to.to_str().unwrap().replace(".damaged-", ".saved-");
        fs::rename(&path, &name).unwrap();
        let files = file::with_companions(&path);
        for (at, to) in files.iter().enumerate().take(3 - moved) {
            let _ = fs::rename(&file::with_companions(&salvaged.moved_to)[at], to);
        }
        let found = place.open();
        assert_eq!((found.held, found.provenance), (JOBS, Provenance::Killed), "{moved}");
        assert_eq!(found.salvaged, Some(salvaged), "{moved}");
        assert!(!Path::new(&name).exists());
        place.check();
        assert_eq!(place.claim(false).await.len(), JOBS as usize);
        place.close().await;
        assert_eq!(place.open().salvaged, None, "once");
    }
}

#[tokio::test]
async fn a_start_that_ends_behind_the_salvage_finds_the_new_file() {
    let (mut place, path) = damaged().await;
    let salvaged = salvage::salvage(&place.settings, &path).unwrap();
    assert_eq!((salvaged.jobs, salvaged.is_complete), (JOBS, true));
    let found = place.open();
    assert_eq!((found.salvaged, found.held), (None, JOBS));
    assert_eq!(
        set_aside(&place),
        file::with_companions(&salvaged.moved_to).iter().filter(|f| f.exists()).count()
    );
}

#[tokio::test]
async fn c7_a_start_that_fails_behind_the_salvage_says_what_was_saved() {
    // By this start, or by the one before.
    for is_finished in [false, true] {
        let (mut place, path) = damaged().await;
        if is_finished {
            let salvaged = salvage::salvage(&place.settings, &path).unwrap();
            fs::rename(&path, salvaged.moved_to.to_str().unwrap().replace(".damaged-", ".saved-")).unwrap();
        }
        let (log, kept) = (place.settings.dir.join(flight::FILE_NAME), place.settings.dir.join("kept.log"));
        fs::rename(&log, &kept).unwrap();
        // No file can be made here.
        fs::create_dir(&log).unwrap();
        let error = Journal::open_in(place.settings.clone(), here(BOOT)).unwrap_err();
        let JournalError::BehindSalvage { cause, salvaged } = &error else { panic!("{error}") };
        assert_eq!((salvaged.jobs, salvaged.is_complete), (JOBS, true));
        assert!(salvaged.moved_to.exists());
        let told = error.to_string();
        for said in [cause.to_string(), salvaged.to_string(), format!("{JOBS} held jobs were saved")] {
            assert!(told.contains(&said), "{told}");
        }
        assert_eq!(error.fix(), cause.fix());
        fs::remove_dir(&log).unwrap();
        fs::rename(&kept, &log).unwrap();
        let found = place.open();
        assert_eq!((found.salvaged, found.held), (None, JOBS), "{is_finished}");
        place.check();
    }
}

/// Writes over pages of a table, of which there are many, and says how many of its rows are left to be read one by one.
fn tear(path: &Path, table: &str, which: fn(usize, usize) -> bool) -> Vec<i64> {
    let db = rusqlite::Connection::open(path).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let sql = format!("SELECT rootpage FROM sqlite_schema WHERE name = '{table}'");
    let root: u32 = db.query_row(&sql, [], |row| row.get(0)).unwrap();
    drop(db);
    let mut octets = fs::read(path).unwrap();
    let leaves = leaves(&octets, root);
    assert!(leaves.len() > 8, "{}", leaves.len());
    for (_, leaf) in leaves.iter().enumerate().filter(|(at, _)| which(*at, leaves.len())) {
        let start = (*leaf as usize - 1) * 4096;
        octets[start..start + 4096].fill(0xff);
    }
    fs::write(path, octets).unwrap();
    let db = file::connect_uri(path, "immutable=1").unwrap();
    let mut select = db.prepare(&format!("SELECT 1 FROM {table} WHERE job = ?1")).unwrap();
    (1..=2_000).filter(|job| select.exists([job]).unwrap_or(false)).collect()
}

/// Pages of a table that hold rows (SQLite's database file format, §1.6).
fn leaves(octets: &[u8], root: u32) -> Vec<u32> {
    let page = &octets[(root as usize - 1) * 4096..root as usize * 4096];
    let number = |at: usize| u32::from_be_bytes(*page[at..].first_chunk().unwrap());
    let short = |at: usize| usize::from(u16::from_be_bytes(*page[at..].first_chunk().unwrap()));
    match page[0] {
        0x05 | 0x02 => {
            let children = (0..short(3)).map(|cell| number(short(12 + 2 * cell))).chain([number(8)]);
            children.flat_map(|child| leaves(octets, child)).collect()
        }
        _ => vec![root],
    }
}

/// Whatever lies between pages that cannot be read, before the first and behind the last of them.
#[tokio::test]
async fn c7_every_held_job_is_saved_that_can_be_read() {
    for which in [
        |at, _| at == 0,
        |at, leaves| at + 1 == leaves,
        |at, _| at % 3 == 1,
        |at, leaves| at < leaves / 2,
        |at: usize, leaves: usize| at > 2 && at + 2 < leaves,
    ] {
        let mut place = Place::new();
        let jobs = |count: usize| {
            let jobs = (0..count).map(|_| Arc::new(job()));
            jobs.map(|job| (job.clone(), Body::of(&job), How::Queued)).collect::<Vec<_>>()
        };
        place.journal().hold(jobs(1_000)).await.unwrap();
        // Numbers that stand nowhere any more.
        place.run("DELETE FROM due WHERE job BETWEEN 200 AND 800; DELETE FROM payload WHERE job BETWEEN 200 AND 800;
                   UPDATE job SET state = 'relayed' WHERE id BETWEEN 200 AND 800").await;
        place.journal().hold(jobs(1_000)).await.unwrap();
        place.crash().await;
        let path = place.settings.dir.join(FILE_NAME);
        let left = tear(&path, "payload", which);
        fs::write(place.settings.dir.join(shared::DAMAGED_MARK), b"").unwrap();
        let salvaged = place.open().salvaged.unwrap();
        assert_eq!((salvaged.jobs, salvaged.is_complete), (left.len() as u64, false));
        assert_eq!(salvaged.lost, 1_399 - left.len() as u64, "each of the others is named");
        assert_eq!(place.number("SELECT count(*) FROM job WHERE reason = 'bad-job'"), salvaged.lost as i64);
        place.check();
    }
}

/// Contents lie in the order of their hashes: behind one that cannot be read are those of any job.
#[tokio::test]
async fn c7_what_jobs_are_made_from_is_saved_wherever_it_lies() {
    let mut place = Place::new();
    let jobs = (0..400).map(|number| Arc::new(message("Subject: x", &format!("{number:>1500}"))));
    let jobs: Vec<_> = jobs.map(|job| (job.clone(), Body::of(&job), How::Queued)).collect();
    place.journal().hold(jobs).await.unwrap();
    place.crash().await;
    let path = place.settings.dir.join(FILE_NAME);
    let db = rusqlite::Connection::open(&path).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let root: u32 = db
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'content'", [], |row| row.get(0))
        .unwrap();
    drop(db);
    let mut octets = fs::read(&path).unwrap();
    for leaf in leaves(&octets, root).iter().step_by(20) {
        let start = (*leaf as usize - 1) * 4096;
        octets[start..start + 4096].fill(0xff);
    }
    fs::write(&path, octets).unwrap();
    fs::write(place.settings.dir.join(shared::DAMAGED_MARK), b"").unwrap();
    place.open();
    let mut readable = 0;
    // A hundred at a time.
    for _ in 0..5 {
        readable += place.claim(false).await.len();
    }
    assert!((330..400).contains(&readable), "{readable} of 400: one page in twenty is lost");
}
