//! What is said of a journal outside of its folder, in a place that lasts as long as the run of the kernel: that the disk
//! refuses to be written, when the folder cannot say it any more; and how often the journal was started, which a folder
//! that is set back to an earlier time has forgotten.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Witnesses looked at when those of folders that are gone are taken away.
const LOOKED_AT_MAX: usize = 256;

/// What is said of one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub id: [u8; 16],
    pub epoch: u64,
    pub has_broken_down: bool,
}

#[derive(Serialize, Deserialize)]
struct Written {
    dir: PathBuf,
    id: [u8; 16],
    epoch: u64,
    has_broken_down: bool,
}

/// The first place of its kind that this process may write to.
pub fn place() -> Option<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let places = [
        // systemd.exec(5); of several the first.
        named("RUNTIME_DIRECTORY").and_then(|all| all.to_str()?.split(':').next().map(PathBuf::from)),
        named("XDG_RUNTIME_DIR").map(|dir| dir.join("tokenrelay")),
        Some(PathBuf::from("/run/tokenrelay")),
        Some(PathBuf::from(format!("/dev/shm/tokenrelay-{user}"))),
    ];
    places.into_iter().flatten().find(|place| is_ours(place, user))
}

/// Made when it is missing. Nobody else may have put it there, or a link in its place.
fn is_ours(place: &Path, user: u32) -> bool {
    if let Err(error) = fs::DirBuilder::new().mode(0o700).create(place)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return false;
    }
    fs::symlink_metadata(place).is_ok_and(|found| {
        let is_only_ours = found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0;
        is_only_ours && rustix::fs::access(place, rustix::fs::Access::WRITE_OK).is_ok()
    })
}

/// The witness of the journal in one folder.
#[derive(Debug, Clone)]
pub struct Witness {
    dir: PathBuf,
    /// `None` where there is no place for it.
    path: Option<PathBuf>,
}

impl Witness {
    pub fn of(dir: &Path, place: Option<&Path>) -> Self {
        let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        let hash = digest::digest(&digest::SHA256, dir.as_os_str().as_encoded_bytes());
        let name: String = hash.as_ref()[..16].iter().map(|octet| format!("{octet:02x}")).collect();
        Self { path: place.map(|place| place.join(name)), dir }
    }

    pub fn read(&self) -> Option<Told> {
        let written: Written = serde_json::from_slice(&fs::read(self.path.as_ref()?).ok()?).ok()?;
        let Written { id, epoch, has_broken_down, .. } = written;
        Some(Told { id, epoch, has_broken_down })
    }

    /// As well as may be: a start does not fail for want of a witness.
    pub fn say(&self, told: Told) {
        let Some(path) = &self.path else { return };
        let Told { id, epoch, has_broken_down } = told;
        let written = Written { dir: self.dir.clone(), id, epoch, has_broken_down };
        if let Err(error) = write(path, &written) {
            tracing::warn!(%error, path = %path.display(), "a note outside of the state folder could not be written");
        }
    }

    /// Takes away what is said of folders that are not there any more.
    pub fn tidy(&self) {
        let Some(place) = self.path.as_ref().and_then(|path| path.parent()) else { return };
        let Ok(entries) = fs::read_dir(place) else { return };
        for entry in entries.flatten().take(LOOKED_AT_MAX) {
            let written =
                fs::read(entry.path()).ok().and_then(|text| serde_json::from_slice::<Written>(&text).ok());
            if written.is_some_and(|written| !written.dir.exists()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Whole or not at all.
fn write(path: &Path, written: &Written) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(written)?)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_and_goes_with_its_folder() {
        let place = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let witness = Witness::of(dir.path(), Some(place.path()));
        assert_eq!(witness.read(), None);
        let told = Told { id: [1; 16], epoch: 7, has_broken_down: true };
        witness.say(told);
        assert_eq!(witness.read(), Some(told));
        witness.tidy();
        assert_eq!(witness.read(), Some(told));
        drop(dir);
        witness.tidy();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        assert_eq!(Witness::of(place.path(), None).read(), None);
    }

    #[test]
    fn a_place_that_others_may_write_to_is_none() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let user = rustix::process::geteuid().as_raw();
        let place = dir.path().join("place");
        assert!(is_ours(&place, user) && is_ours(&place, user));
        assert!(!is_ours(&place, user + 1));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&place, &link).unwrap();
        assert!(!is_ours(&link, user));
        fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(!is_ours(&place, user));
    }
}
