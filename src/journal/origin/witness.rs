//! What is said of a journal outside of its folder, in places that last as long as the run of the kernel: that the disk
//! refuses to be written, when the folder cannot say it any more; and how far the journal had come, which a folder that is
//! set back to an earlier time has forgotten.

use super::{BootId, Mark};
use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Witnesses looked at when those of folders that are gone are taken away.
const LOOKED_AT_MAX: usize = 256;
/// A file is as many of these as its first text takes, and a bit: so a later one, whose numbers are longer, fits.
const BLOCK: usize = 512;
const ROOM_LEFT: usize = 64;

/// What is said of one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub id: [u8; 16],
    /// When it was said: some places last longer.
    pub boot: BootId,
    pub mark: Mark,
    pub has_broken_down: bool,
}

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    dir: std::borrow::Cow<'a, Path>,
    id: [u8; 16],
    #[serde(default)]
    boot: String,
    epoch: u64,
    #[serde(default)]
    clock: i64,
    has_broken_down: bool,
}

/// Whatever else is said: of which folder.
#[derive(Deserialize)]
struct Of {
    dir: PathBuf,
}

/// What is said of the journal in one folder, wherever there is a place for it.
#[derive(Debug)]
pub struct Witness {
    dir: PathBuf,
    paths: Vec<PathBuf>,
}

impl Witness {
    pub fn of(dir: &Path, places: &[PathBuf]) -> Self {
        let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        let hash = digest::digest(&digest::SHA256, dir.as_os_str().as_encoded_bytes());
        let name: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { paths: places.iter().map(|place| place.join(&name)).collect(), dir }
    }

    pub fn read(&self) -> Vec<Told> {
        self.paths.iter().filter_map(|path| read(path)).collect()
    }

    /// As well as may be: a start does not fail for want of a witness.
    pub fn begin(&self, told: &Told) -> Voice {
        let text = text(&self.dir, told, 0);
        let length = (text.len() + ROOM_LEFT).next_multiple_of(BLOCK);
        let open = |path: &PathBuf| match write_anew(path, &padded(text.clone(), length)) {
            Ok(file) => Some(file),
            Err(error) => {
                let path = path.display();
                tracing::warn!(%error, %path, "a note outside of the state folder could not be written");
                None
            }
        };
        Voice { dir: self.dir.clone(), files: self.paths.iter().filter_map(open).collect(), length }
    }

    /// Says how far the journal of this id has come since, wherever something is said of this run of it.
    pub fn move_up(&self, id: &[u8; 16], mark: Mark) {
        for path in &self.paths {
            let Some(told) = read(path) else { continue };
            if told.id != *id || told.mark.epoch != mark.epoch || told.mark.clock >= mark.clock {
                continue;
            }
            let length = fs::metadata(path).map_or(0, |found| found.len() as usize);
            let text = text(&self.dir, &Told { mark, ..told }, length);
            // Into the file that is there: it stays its owner's.
            let written = File::options().write(true).open(path).and_then(|file| file.write_all_at(&text, 0));
            if let Err(error) = written {
                let path = path.display();
                tracing::warn!(%error, %path, "a note outside of the state folder could not be written");
            }
        }
    }

    /// Takes away what is said of folders that are not there any more.
    pub fn tidy(&self) {
        let of_place = |path: &PathBuf| fs::read_dir(path.parent()?).ok();
        for entry in self.paths.iter().filter_map(of_place).flat_map(|all| all.flatten().take(LOOKED_AT_MAX))
        {
            let text = fs::read(entry.path()).unwrap_or_default();
            let of: Option<Of> = serde_json::from_slice(&text).ok();
            if of.is_some_and(|of| !of.dir.exists()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn read(path: &Path) -> Option<Told> {
    let text = fs::read(path).ok()?;
    let Written { id, boot, epoch, clock, has_broken_down, .. } = serde_json::from_slice(&text).ok()?;
    let boot = boot.as_bytes().first_chunk().copied();
    Some(Told { id, boot, mark: Mark { epoch, clock }, has_broken_down })
}

/// Says of a journal how it goes on, while it is open.
#[derive(Debug)]
pub struct Voice {
    dir: PathBuf,
    files: Vec<File>,
    /// Of each file.
    length: usize,
}

impl Voice {
    /// In one write each, of some microseconds: it is done for every commit. As well as may be.
    pub fn say(&self, told: &Told) {
        if self.files.is_empty() {
            return;
        }
        let text = text(&self.dir, told, self.length);
        for file in &self.files {
            // Without it a set-back is noticed less well; there is nobody who could mend it while the relay runs.
            let _ = file.write_all_at(&text, 0);
        }
    }
}

fn text(dir: &Path, told: &Told, length: usize) -> Vec<u8> {
    let Told { id, boot, mark: Mark { epoch, clock }, has_broken_down } = *told;
    let boot = boot.map(|boot| String::from_utf8_lossy(&boot).into_owned()).unwrap_or_default();
    let written = Written { dir: dir.into(), id, boot, epoch, clock, has_broken_down };
    padded(serde_json::to_vec(&written).unwrap_or_default(), length)
}

fn padded(mut text: Vec<u8>, length: usize) -> Vec<u8> {
    text.resize(length.max(text.len()), b' ');
    text
}

/// Whole or not at all.
fn write_anew(path: &Path, text: &[u8]) -> io::Result<File> {
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text)?;
    fs::rename(&new, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(clock: i64) -> Told {
        Told { id: [1; 16], boot: Some([b'7'; 36]), mark: Mark { epoch: 7, clock }, has_broken_down: true }
    }

    #[test]
    fn what_is_said_is_read_and_goes_with_its_folder() {
        let places = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let paths = places.each_ref().map(|place| place.path().to_owned());
        let dir = tempfile::tempdir().unwrap();
        let witness = Witness::of(dir.path(), &paths);
        assert_eq!(witness.read(), []);
        let voice = witness.begin(&told(0));
        assert_eq!(witness.read(), [told(0); 2]);
        for clock in [i64::MAX, 5, i64::MIN] {
            voice.say(&told(clock));
            assert_eq!(witness.read(), [told(clock); 2], "however long the text");
        }
        witness.tidy();
        assert_eq!(witness.read().len(), 2);
        drop(dir);
        witness.tidy();
        assert!(paths.iter().all(|place| fs::read_dir(place).unwrap().count() == 0));
        assert_eq!(Witness::of(places[0].path(), &[]).read(), []);
    }

    #[test]
    fn what_the_version_before_said_is_read() {
        let (place, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let witness = Witness::of(dir.path(), &[place.path().to_owned()]);
        let id = [1; 16].map(|byte: u8| byte.to_string()).join(",");
        let text = format!("{{\"dir\":\"/x\",\"id\":[{id}],\"epoch\":7,\"has_broken_down\":true}}");
        fs::write(&witness.paths[0], text).unwrap();
        assert_eq!(witness.read(), [Told { boot: None, ..told(0) }]);
    }
}
