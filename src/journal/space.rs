//! Room on the disk: what is held stays within its bounds, new jobs are refused before the disk is full, and a
//! ballast file that can be thrown off lets what is held be delivered when it is full all the same.

use super::Settings;
use crate::fault::Fault;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const BALLAST_NAME: &str = "ballast";
const BALLAST_BYTES_MIN: u64 = 4 << 20;
const BALLAST_BYTES_MAX: u64 = 16 << 20;
/// How old the answer of the file system about its free space may be.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub struct Space {
    dir: PathBuf,
    bytes_max: u64,
    free_min: u64,
    free: u64,
    looked: Option<Instant>,
    has_ballast: bool,
    /// Bytes of the file's own pages that hold nothing: what was delivered leaves its room there, not on the disk.
    pub reusable: u64,
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
            reusable: 0,
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

    /// Whether `held` bytes of jobs are within bounds and the disk has room for more.
    ///
    /// # Errors
    /// [`Fault::no_storage`].
    pub fn admit(&mut self, held: u64) -> Result<(), Fault> {
        if held > self.bytes_max {
            return Err(Fault::no_storage(
                "the journal holds as much as [journal] bytes_max allows; submit again later",
            ));
        }
        if self.free().saturating_add(self.reusable) < self.free_min {
            return Err(Fault::no_storage(
                "the journal's disk has less free space than [journal] disk_free_min; submit again later",
            ));
        }
        Ok(())
    }

    fn free(&mut self) -> u64 {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            // A file system that does not say is not a full one: a write that finds it full is refused then.
            self.free =
                rustix::fs::statvfs(&self.dir).map_or(u64::MAX, |found| found.f_bavail * found.f_frsize);
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
        space.admit(1_000).unwrap();
        assert!(space.admit(1_001).unwrap_err().is_no_storage());
        space.free_min = u64::MAX;
        assert!(space.admit(0).unwrap_err().is_no_storage());
    }
}
