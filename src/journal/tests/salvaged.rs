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
