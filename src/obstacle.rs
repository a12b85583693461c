//! What keeps a database's file from being opened, as the system says it. SQLite's own word for nearly all of it is that it
//! cannot open the file.

use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One cause, with its fix behind the first semicolon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    Missing,
    /// A part of its path is a file.
    NotAFolder,
    Folder,
    /// A device, a pipe, a socket.
    NotAFile,
    /// Its owner, who runs this, has taken the right away.
    Mode {
        part: Part,
        mode: u32,
    },
    /// It is another user's.
    Owner {
        part: Part,
        owner: u32,
        user: u32,
    },
    /// Refused for a cause that owner and mode do not show.
    Denied(Part),
    ReadOnlyMount,
    DiskFull,
}

/// Of a database in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    File,
    /// Its write-ahead log.
    Log,
    /// The index of that.
    Index,
    /// Log and index are made in it.
    Folder,
}

impl Part {
    const ALL: [Self; 4] = [Self::File, Self::Log, Self::Index, Self::Folder];

    fn path(self, file: &Path) -> PathBuf {
        let beside = |suffix| {
            let mut name = OsString::from(file);
            name.push(suffix);
            PathBuf::from(name)
        };
        match self {
            Self::File => file.to_owned(),
            Self::Log => beside("-wal"),
            Self::Index => beside("-shm"),
            Self::Folder => {
                let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
                folder.unwrap_or(Path::new(".")).to_owned()
            }
        }
    }

    /// What a database needs of it.
    fn needs(self) -> (Access, u32) {
        match self {
            Self::File | Self::Log | Self::Index => (Access::READ_OK | Access::WRITE_OK, 0o600),
            Self::Folder => (Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK, 0o700),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "the file",
            Self::Log => "the log beside it (-wal)",
            Self::Index => "the log's index beside it (-shm)",
            Self::Folder => "its folder",
        })
    }
}

impl Obstacle {
    /// `None` where the system sees nothing that would be in the way. The file is looked at and not opened: closing it would
    /// end the locks that SQLite holds for this process (fcntl(2)).
    pub fn of(file: &Path) -> Option<Self> {
        match fs::metadata(file) {
            Err(error) => return Self::of_io(&error),
            Ok(found) if found.is_dir() => return Some(Self::Folder),
            Ok(found) if !found.is_file() => return Some(Self::NotAFile),
            Ok(_) => {}
        }
        Part::ALL.into_iter().find_map(|part| denied(part, file)).or_else(|| full(file))
    }

    /// Where the system's word says it all.
    pub fn of_io(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::NotFound => Some(Self::Missing),
            io::ErrorKind::NotADirectory => Some(Self::NotAFolder),
            io::ErrorKind::IsADirectory => Some(Self::Folder),
            io::ErrorKind::ReadOnlyFilesystem => Some(Self::ReadOnlyMount),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::DiskFull),
            _ => None,
        }
    }
}

fn denied(part: Part, file: &Path) -> Option<Obstacle> {
    let path = part.path(file);
    let (access, bits) = part.needs();
    match accessat(CWD, &path, access, AtFlags::EACCESS) {
        Err(Errno::ROFS) => Some(Obstacle::ReadOnlyMount),
        Err(Errno::ACCESS | Errno::PERM) => Some(match fs::metadata(&path) {
            Ok(found) => whose(part, &found, (rustix::process::geteuid().as_raw(), bits)),
            Err(_) => Obstacle::Denied(part),
        }),
        _ => None,
    }
}

fn whose(part: Part, found: &Metadata, (user, bits): (u32, u32)) -> Obstacle {
    let mode = found.mode() & 0o7777;
    match found.uid() {
        owner if owner != user => Obstacle::Owner { part, owner, user },
        _ if mode & bits != bits => Obstacle::Mode { part, mode },
        _ => Obstacle::Denied(part),
    }
}

fn full(file: &Path) -> Option<Obstacle> {
    let found = statvfs(file).ok()?;
    (found.f_bavail == 0 && found.f_blocks > 0).then_some(Obstacle::DiskFull)
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it does not exist; check its path in the configuration"),
            Self::NotAFolder => {
                f.write_str("a part of its path is a file, not a folder; check its path in the configuration")
            }
            Self::Folder => f.write_str(
                "a folder lies there, not a file; move it away and put the file back, or check its path in the configuration",
            ),
            Self::NotAFile => f.write_str(
                "what lies there is no file (a device, pipe or socket); remove it and put the file back, or check its path in \
                 the configuration",
            ),
            Self::Mode { part, mode } => {
                let bits = part.needs().1;
                write!(f, "the mode of {part} ({mode:03o}) keeps its owner out; give it mode {bits:03o} (chmod {bits:03o})")
            }
            Self::Owner { part, owner, user } => write!(
                f,
                "{part} is that of user {owner}, and this runs as user {user}; run it as user {owner}, or give the file, what lies \
                 beside it and its folder to user {user} (chown)"
            ),
            Self::Denied(part) => write!(
                f,
                "the system denies access to {part} though owner and mode allow it; look for an access list, a security module or \
                 a sandbox (ReadWritePaths= of a systemd unit)"
            ),
            Self::ReadOnlyMount => f.write_str(
                "its file system is mounted read-only, and its log has to be written beside it; mount it writable (mount -o \
                 remount,rw), or, where that is a sandbox's doing, name the folder in ReadWritePaths= of the systemd unit",
            ),
            Self::DiskFull => f.write_str("the disk is full; free space and try again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn c9_each_obstacle_is_told_from_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("vault.db");
        assert_eq!(Obstacle::of(&file), Some(Obstacle::Missing));
        fs::create_dir(&file).unwrap();
        assert_eq!(Obstacle::of(&file), Some(Obstacle::Folder));
        assert_eq!(Obstacle::of(&file.join("x")), Some(Obstacle::Missing));
        fs::remove_dir(&file).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
        assert_eq!(Obstacle::of(&file), Some(Obstacle::NotAFile));
        fs::remove_file(&file).unwrap();
        fs::write(&file, "x").unwrap();
        assert_eq!(Obstacle::of(&file), None);
        assert_eq!(Obstacle::of(&file.join("x")), Some(Obstacle::NotAFolder));
        // Nothing is denied to root, so this is told by what the system says of the file.
        let user = rustix::process::geteuid().as_raw();
        let found = |mode| {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            fs::metadata(&file).unwrap()
        };
        let told = |mode, user| whose(Part::File, &found(mode), (user, 0o600));
        assert_eq!(told(0, user), Obstacle::Mode { part: Part::File, mode: 0 });
        assert_eq!(told(0o400, user), Obstacle::Mode { part: Part::File, mode: 0o400 });
        assert_eq!(told(0o600, user), Obstacle::Denied(Part::File));
        let another = Obstacle::Owner { part: Part::File, owner: user, user: user + 1 };
        assert_eq!(told(0o600, user + 1), another);
        assert_eq!(told(0, user + 1), another, "which comes first");
    }

    #[test]
    fn c9_each_says_its_cause_and_a_fix() {
        let parts = Part::ALL.into_iter().flat_map(|part| {
            [
                Obstacle::Mode { part, mode: 0o40 },
                Obstacle::Owner { part, owner: 0, user: 998 },
                Obstacle::Denied(part),
            ]
        });
        let others = [
            Obstacle::Missing,
            Obstacle::NotAFolder,
            Obstacle::Folder,
            Obstacle::NotAFile,
            Obstacle::ReadOnlyMount,
            Obstacle::DiskFull,
        ];
        let told: std::collections::BTreeSet<String> =
            parts.chain(others).map(|obstacle| obstacle.to_string()).collect();
        assert_eq!(told.len(), 4 * 3 + 6);
        assert!(told.iter().all(|told| told.split("; ").count() == 2), "{told:#?}");
        let mode = Obstacle::Mode { part: Part::Folder, mode: 0o40 }.to_string();
        assert_eq!(mode, "the mode of its folder (040) keeps its owner out; give it mode 700 (chmod 700)");
    }
}
