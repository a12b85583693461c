//! Room on the disk: what is held stays within its bounds, new jobs are refused before the disk is full, and a
//! ballast file that can be thrown off lets what is held be delivered when it is full all the same.

use super::Settings;
use super::file::{FILE_NAME, with_companions};
use crate::fault::Fault;
use rusqlite::Connection;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const BALLAST_NAME: &str = "ballast";
const BALLAST_BYTES_MIN: u64 = 4 << 20;
const BALLAST_BYTES_MAX: u64 = 16 << 20;
/// How old the answer of the file system about its free space may be.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The part of `disk_free_min`, one in so many, that has to be free on the disk itself.
const LOG_SHARE: u64 = 4;

/// Why no job is taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// What is held takes as much as `bytes_max` allows.
    BytesMax,
    /// The disk has less left than `disk_free_min`.
    DiskFreeMin,
    /// A commit found no room at all.
    Disk,
}

impl Full {
    /// What an engine is told.
    pub fn fault(self) -> Fault {
        Fault::no_storage(match self {
            Self::BytesMax => "the journal holds as much as [journal] bytes_max allows; submit again later",
            Self::DiskFreeMin => {
                "the journal's disk has less free space than [journal] disk_free_min; submit again later"
            }
            Self::Disk => "the journal's disk is full; submit again later",
        })
    }
}

/// What an operator is told, with the fix.
impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BytesMax => {
                "it holds as much as [journal] bytes_max allows; see why targets take nothing, or set it higher"
            }
            Self::DiskFreeMin => {
                "its disk has less free space than [journal] disk_free_min; free space on it, or set that lower"
            }
            Self::Disk => "its disk is full; free space on it",
        })
    }
}

/// One part in so many of `bytes_max` has to be free before jobs are said to be taken again.
const RELIEF_SHARE: u64 = 20;

#[derive(Debug)]
pub struct Space {
    dir: PathBuf,
    bytes_max: u64,
    free_min: u64,
    free: u64,
    looked: Option<Instant>,
    has_ballast: bool,
    full: Option<Full>,
    pages: Pages,
    /// Bytes admitted since the last look at the pages: they go into the log, and from there into the file.
    promised: u64,
}

/// The database's pages, in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Pages {
    /// Hold nothing: what was delivered leaves its room there, until it is given back to the disk.
    empty: u64,
    /// Stand in the log only, and will make the file longer.
    owed: u64,
    /// Are given up, and leave the file when the log's pages come in.
    surplus: u64,
    /// Octets of the log's file, whether they are in use or not.
    log: u64,
}

impl Space {
    pub fn new(settings: &Settings) -> Self {
        let mut space = Self {
            dir: settings.dir.clone(),
            bytes_max: settings.bytes_max,
            free_min: settings.disk_free_min,
            free: u64::MAX,
            looked: None,
            has_ballast: false,
            full: None,
            pages: Pages::default(),
            promised: 0,
        };
        space.has_ballast =
            fs::metadata(space.ballast()).is_ok_and(|found| found.len() == space.ballast_bytes());
        space.take_ballast();
        space
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join(BALLAST_NAME)
    }

    fn ballast_bytes(&self) -> u64 {
        (self.free_min / 4).clamp(BALLAST_BYTES_MIN, BALLAST_BYTES_MAX)
    }

    /// Looks at the database's pages and the disk anew; a matter of microseconds.
    pub fn look(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let number = |pragma| db.prepare_cached(pragma)?.query_row([], |row| row.get::<_, i64>(0));
        let page = number("PRAGMA page_size")?.unsigned_abs();
        let bytes = |pages: i64| pages.unsigned_abs().saturating_mul(page);
        let all = bytes(number("PRAGMA page_count")?);
        let [file, log, _] = with_companions(&self.dir.join(FILE_NAME))
            .map(|path| fs::metadata(path).map_or(0, |found| found.len()));
        self.pages = Pages {
            empty: bytes(number("PRAGMA freelist_count")?),
            owed: all.saturating_sub(file),
            surplus: file.saturating_sub(all),
            log,
        };
        self.promised = 0;
        self.looked = None;
        Ok(())
    }

    /// Whether `held` bytes of jobs are within bounds, and the disk has room for the `more` of them that are new.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&mut self, held: u64, more: u64) -> Result<(), Full> {
        if held > self.bytes_max {
            return Err(self.fill(Full::BytesMax));
        }
        self.promised += more;
        if self.disk_has_room() { Ok(()) } else { Err(self.fill(Full::DiskFreeMin)) }
    }

    fn disk_has_room(&mut self) -> bool {
        let free = self.free_for_sure();
        has_room(free, self.pages.empty, self.free_min)
    }

    /// Jobs are refused from now on, for this.
    pub fn fill(&mut self, why: Full) -> Full {
        self.full = Some(why);
        why
    }

    /// Why jobs were refused last, and are still.
    pub fn refuses(&self) -> Option<Full> {
        self.full
    }

    /// Whether jobs are refused, also while none comes. Of `bytes_max` a part has to be free before it is over: with room
    /// for one job it would begin again with the next.
    pub fn fullness(&mut self, held: u64) -> Option<Full> {
        let most = match self.full {
            Some(Full::BytesMax) => self.bytes_max - self.bytes_max / RELIEF_SHARE,
            _ => self.bytes_max,
        };
        self.full = match (self.full, self.disk_has_room()) {
            _ if held > most => Some(Full::BytesMax),
            (_, true) => None,
            (Some(Full::Disk), false) => Some(Full::Disk),
            (_, false) => Some(Full::DiskFreeMin),
        };
        self.full
    }

    /// What the disk has left when all that was taken on has found its place in the log and in the file.
    fn free_for_sure(&mut self) -> u64 {
        // What the ballast has given up is for what is held, not for more of it.
        let ballast = if self.has_ballast { 0 } else { self.ballast_bytes() };
        let promised = self.promised.saturating_mul(2);
        self.free().saturating_sub(self.pages.owed).saturating_sub(promised).saturating_sub(ballast)
    }

    /// Whether it is time to give the disk back what can be given back, as of the last look.
    pub fn is_scarce(&mut self) -> bool {
        self.free_for_sure() < self.free_min.saturating_mul(2)
    }

    /// Bytes of the file's pages that hold nothing, as of the last look.
    pub fn empty(&self) -> u64 {
        self.pages.empty
    }

    /// Bytes that the log's file takes, as of the last look.
    pub fn log(&self) -> u64 {
        self.pages.log
    }

    /// Bytes that the file gives up once the log's pages come in, as of the last look.
    pub fn surplus(&self) -> u64 {
        self.pages.surplus
    }

    fn free(&mut self) -> u64 {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            // A file system that does not say is not a full one: a write that finds it full is refused then.
            self.free = free_on(&self.dir);
            self.looked = Some(Instant::now());
        }
        self.free
    }

    /// Gives its room to what has to be written. Whether there was any.
    pub fn drop_ballast(&mut self) -> bool {
        self.looked = None;
        self.has_ballast = false;
        fs::remove_file(self.ballast()).is_ok()
    }

    /// Takes the ballast on again once there is room.
    pub fn take_ballast(&mut self) {
        if self.has_ballast || self.free() < self.free_min.saturating_add(self.ballast_bytes()) {
            return;
        }
        self.has_ballast = self.write_ballast().is_ok();
        if !self.has_ballast {
            self.drop_ballast();
        }
    }

    /// Octets that hardly compress, for file systems that would give a hole away, and none that stands for a
    /// character in ASCII or UTF-8: who searches the files for a person's values finds none in it by accident.
    fn write_ballast(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(self.ballast())?;
        let mut block = vec![0; 1 << 20];
        for _ in 0..self.ballast_bytes() >> 20 {
            aws_lc_rs::rand::fill(&mut block).map_err(io::Error::other)?;
            block.iter_mut().for_each(|octet| *octet |= 0xC0);
            file.write_all(&block)?;
        }
        file.set_len(self.ballast_bytes())
    }
}

/// Bytes that a file system has left; all there can be when it does not say.
pub fn free_on(dir: &Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(u64::MAX, |found| found.f_bavail * found.f_frsize)
}

/// Whether jobs may be taken on. Empty pages take them in, but not the log that each commit goes through first.
pub fn has_room(free: u64, empty: u64, free_min: u64) -> bool {
    free.saturating_add(empty) >= free_min && free >= free_min / LOG_SHARE
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    #[test]
    fn the_ballast_comes_and_goes_with_the_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut space = Space::new(&settings(dir.path()));
        let ballast = dir.path().join(BALLAST_NAME);
        assert_eq!(fs::metadata(&ballast).unwrap().len(), BALLAST_BYTES_MIN);
        assert!(fs::read(&ballast).unwrap().iter().all(|octet| *octet >= 0xC0));
        assert!(space.drop_ballast() && !ballast.exists() && !space.drop_ballast());
        space.free_min = u64::MAX;
        space.take_ballast();
        assert!(!ballast.exists());
        space.free_min = 0;
        space.take_ballast();
        assert!(ballast.exists());
    }

    #[test]
    fn no_room_is_no_storage() {
        let dir = tempfile::tempdir().unwrap();
        let mut space = Space::new(&Settings { bytes_max: 1_000, ..settings(dir.path()) });
        space.admit(1_000, 0).unwrap();
        assert_eq!(space.admit(1_001, 0), Err(Full::BytesMax));
        assert!(Full::BytesMax.fault().is_no_storage());
        space.free_min = u64::MAX;
        assert_eq!(space.admit(0, 0), Err(Full::DiskFreeMin));
    }

    #[test]
    fn c14_it_is_full_until_some_room_was_gained() {
        let dir = tempfile::tempdir().unwrap();
        let mut space = Space::new(&Settings { bytes_max: 1_000, ..settings(dir.path()) });
        assert_eq!(space.fullness(990), None);
        space.admit(1_001, 20).unwrap_err();
        assert_eq!((space.fullness(990), space.fullness(951)), (Some(Full::BytesMax), Some(Full::BytesMax)));
        assert_eq!((space.fullness(950), space.fullness(990)), (None, None));
        space.free_min = u64::MAX;
        assert_eq!(space.fullness(0), Some(Full::DiskFreeMin), "also while no job comes");
        space.free_min = 0;
        space.fill(Full::Disk);
        assert_eq!(space.fullness(0), None);
    }

    #[test]
    fn empty_pages_are_room_for_jobs_but_not_for_the_log_and_what_is_promised_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let mut space = Space::new(&settings(dir.path()));
        space.free_min = 100 << 20;
        let mut admits = |free: u64, pages: Pages, more: u64| {
            (space.free, space.looked) = (free << 20, Some(Instant::now()));
            (space.pages, space.promised) = (pages, 0);
            space.admit(0, more << 20).is_ok()
        };
        let pages =
            |empty: u64, owed: u64| Pages { empty: empty << 20, owed: owed << 20, ..Pages::default() };
        assert!(admits(100, pages(0, 0), 0) && !admits(99, pages(0, 0), 0));
        assert!(admits(99, pages(1, 0), 0) && !admits(99, pages(1, 1), 0));
        assert!(admits(110, pages(0, 0), 5) && !admits(110, pages(0, 0), 6));
        assert!(admits(25, pages(75, 0), 0) && !admits(24, pages(1_000, 0), 0));
        space.has_ballast = false;
        (space.free, space.looked) = (100 << 20, Some(Instant::now()));
        (space.pages, space.promised) = (Pages::default(), 0);
        assert!(space.admit(0, 0).is_err(), "what the ballast gave up is not for new jobs");
    }
}
