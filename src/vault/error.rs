//! Why the vault could not answer: the cause, what to do about it, and never a value of a person.

use crate::obstacle::Obstacle;
use rusqlite::types::Type;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The vault as a whole could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    /// The file cannot be reached or written right now; the vault itself may be whole.
    #[error("the vault {} is unavailable: {trouble}", path.display())]
    Unavailable { path: PathBuf, trouble: Trouble },
    /// The root key is not the one this vault was made with.
    #[error(
        "the root key does not fit the vault {}; point [vault] key at the key it was made with (import, put and \
         get change nothing under a wrong key)",
        path.display()
    )]
    WrongKey { path: PathBuf },
    /// The file as a whole is damaged; nothing is served from it.
    #[error("the vault {} is damaged: {what}; restore the last backup of this file", path.display())]
    DamagedFile { path: PathBuf, what: &'static str },
    /// It can be read, and some of what was in it is not served.
    #[error(
        "the vault {} was altered from outside, and nobody of these is served: {altered} (tokenrelay vault verify says who); put \
         back the vault that was there last, or, to mail people by the records that lie there, with the consent of whatever day: \
         {RELEASE}",
        path.display()
    )]
    PutBack { path: PathBuf, altered: Altered },
    /// It cannot be told which of its records are the latest; nothing is served from it.
    #[error(
        "the vault {} was altered from outside: what tells which of its records are the latest does not fit it, so nobody is read; \
         put back the vault that was there last, or, to mail people by the records that lie there, with the consent of whatever \
         day: {RELEASE}",
        path.display()
    )]
    RollAltered { path: PathBuf },
    /// One person's rows do not fit together, or cannot be looked for.
    #[error(transparent)]
    Withheld(#[from] Withheld),
    /// A later version of this program wrote the file.
    #[error(
        "the vault {} has format {found}, this program knows formats up to {known}; use the newer tokenrelay",
        path.display()
    )]
    NewerFormat { path: PathBuf, found: i64, known: i64 },
}

impl VaultError {
    /// Whether the same call may succeed later without anybody repairing something.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { trouble: Trouble::Busy, .. } | Self::Withheld(Withheld::Unsure))
    }

    /// Whether it can be read as soon as a person says so, and not before.
    pub fn awaits_a_person(&self) -> bool {
        let Self::Unavailable { trouble, .. } = self else { return false };
        matches!(trouble, Trouble::SetBack { .. } | Trouble::OlderFormat | Trouble::MarkUnreadable)
    }
}

/// The roll, or a part of it, is not what was written last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the vault's roll was altered")]
pub struct Broken;

impl From<Broken> for rusqlite::Error {
    fn from(broken: Broken) -> Self {
        Self::FromSqlConversionFailure(0, Type::Blob, Box::new(broken))
    }
}

/// Whether that was why.
pub(super) fn is_broken(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::FromSqlConversionFailure(_, _, cause) if cause.is::<Broken>())
}

/// What of a vault is not what was written last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Altered {
    pub put_back: u64,
    pub taken_away: u64,
    pub index_parts: u64,
    pub is_roll_broken: bool,
}

impl fmt::Display for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { put_back, taken_away, index_parts, is_roll_broken } = self;
        write!(
            f,
            "of {put_back} people an earlier record was put back, those of {taken_away} were taken away, and {index_parts} of \
             4096 parts of the index of tokens are not whole"
        )?;
        if *is_roll_broken { f.write_str(", and what tells all that was altered too") } else { Ok(()) }
    }
}

/// The rows of one person were altered outside the vault: nothing of that person is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the record of person {person} is damaged ({part}); restore it from a backup or import this person again \
     under a new token"
)]
pub struct Damaged {
    /// The vault's own number of the person.
    pub person: i64,
    pub part: DamagedPart,
}

/// Why there is no answer to one token of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// It was not found, which may be because the file is just being written.
    #[error("the vault is being written; try again")]
    Unsure,
    /// It was not found, and rows are missing where it would be.
    #[error(
        "rows of the vault's index of tokens were taken away or altered where this token would be, so it cannot be said \
         whether there is somebody; see what else is wrong with: tokenrelay vault verify"
    )]
    IndexAltered,
}

/// What of a person's rows does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamagedPart {
    /// An index row names a person that is not there.
    Missing,
    /// The person's row cannot be read.
    Row,
    /// The person's key does not open.
    Key,
    /// The record does not open under the person's key, or is not well formed.
    Record,
    /// An index row of another person leads here, or one of this person's is gone.
    Index,
    /// It is genuine and not the latest, or the roll that tells was altered there.
    Earlier,
}

impl fmt::Display for DamagedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "an index row leads to it but it is not there",
            Self::Row => "its row cannot be read",
            Self::Key => "its key was altered",
            Self::Record => "its content was altered",
            Self::Index => "an index row does not fit it",
            Self::Earlier => "an earlier version of it was put back",
        })
    }
}

/// How a person says that an older vault is to be used.
const RELEASE: &str = "tokenrelay vault release --all --yes";

/// What keeps the file from being used, each with its fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Busy,
    DiskFull,
    ReadOnly,
    Permission,
    Missing,
    /// A part of its path is a file.
    NotAFolder,
    /// What the system says of it, where the store only says that it cannot open it.
    Obstacle(Obstacle),
    /// Another file has its name since it was opened.
    Replaced,
    /// It was written while it was open, and not by this program.
    Overwritten,
    /// The log beside it is older than the file, and together they are no vault.
    ForeignLog,
    /// It had come further before: so many changes, of which it has so many.
    SetBack {
        had: i64,
        has: i64,
    },
    /// It is a copy of before it was brought up to date.
    OlderFormat,
    /// How far it had come was noted, and that is damaged.
    MarkUnreadable,
    Io(io::ErrorKind),
    /// SQLite's extended result code, for everything that has no word of its own here.
    Sqlite(i32),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str(
                "another process holds its write lock; wait for the running import or command and try again",
            ),
            Self::DiskFull => f.write_str("the disk is full; free space and try again"),
            Self::ReadOnly => f.write_str("it cannot be written; check the file's owner and the mount"),
            Self::Permission => {
                f.write_str("permission denied; run as the user that owns the vault's directory")
            }
            Self::Missing => f.write_str(
                "it does not exist; make it with: tokenrelay vault import FILE, or check \
                 state_dir and [vault] of the configuration",
            ),
            Self::NotAFolder => f.write_str(
                "a part of its path is no folder; name a folder: state_dir, or one above it, is a file",
            ),
            Self::Obstacle(obstacle) => obstacle.fmt(f),
            Self::Replaced => f.write_str(
                "another vault lies in its place; put back the one that was there, or restart the relay to use this one",
            ),
            Self::Overwritten => f.write_str(
                "its file was overwritten while it was open; nobody is read until it has stood still and was found whole \
                 (write a copy under another name, then rename it to this one)",
            ),
            Self::ForeignLog => f.write_str(
                "the log beside it (vault.db-wal) was left by another copy and does not fit it; move vault.db-wal and \
                 vault.db-shm away, which lets this file be read as it is",
            ),
            Self::SetBack { had, has } => write!(
                f,
                "it was set back to an earlier time, from change {had} to change {has}: people added since are missing, and who \
                 withdrew consent since would be mailed, so nobody is read; put back the vault that was there last, or, if \
                 there is none, import what has changed since, withdrawn consent too, and then: {RELEASE}"
            ),
            Self::OlderFormat => write!(
                f,
                "it is a copy of before it was brought up to the format of today, and cannot tell whether an earlier record was put \
                 back in it, so nobody is read; put back the vault that was there last, or, if this is the latest there is: {RELEASE}"
            ),
            Self::MarkUnreadable => write!(
                f,
                "how far it had come is noted in the state folder (vault-*.mark) and cannot be read, so it may be an older copy, \
                 and nobody is read; if it is the latest there is: {RELEASE}"
            ),
            Self::Io(kind) => write!(f, "{kind}; check the disk and the system log"),
            Self::Sqlite(code) => {
                write!(f, "the store answered with SQLite code {code}; check the disk and the system log")
            }
        }
    }
}

impl Trouble {
    /// What is in the way of the file, or what the store or the system has said where nothing is to be seen.
    pub(super) fn in_the_way(path: &Path, said: Self) -> Self {
        Obstacle::of(path).map_or(said, Self::of)
    }

    fn of(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Missing => Self::Missing,
            Obstacle::NotAFolder => Self::NotAFolder,
            Obstacle::DiskFull => Self::DiskFull,
            obstacle => Self::Obstacle(obstacle),
        }
    }
}

/// Puts the path to an error of the file system.
pub(super) fn io_error(path: &Path) -> impl Fn(io::Error) -> VaultError + '_ {
    |error| {
        let trouble = match (error.kind(), Obstacle::of_io(&error)) {
            (_, Some(obstacle)) => Trouble::of(obstacle),
            (io::ErrorKind::PermissionDenied, None) => Trouble::in_the_way(path, Trouble::Permission),
            (kind, None) => Trouble::Io(kind),
        };
        VaultError::Unavailable { path: path.to_owned(), trouble }
    }
}

/// Puts the path to an error of the store. SQLite's texts are dropped: the code decides.
pub(super) fn store_error(path: &Path) -> impl Fn(rusqlite::Error) -> VaultError + '_ {
    |error| {
        use rusqlite::ErrorCode;
        let unavailable = |trouble| VaultError::Unavailable { path: path.to_owned(), trouble };
        let in_the_way = |said| unavailable(Trouble::in_the_way(path, said));
        let damaged = |what| VaultError::DamagedFile { path: path.to_owned(), what };
        if is_broken(&error) {
            return VaultError::RollAltered { path: path.to_owned() };
        }
        match failure_of(&error) {
            None => damaged("a column holds what it never holds"),
            Some(failure) => match failure.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => unavailable(Trouble::Busy),
                ErrorCode::DiskFull => unavailable(Trouble::DiskFull),
                ErrorCode::ReadOnly => in_the_way(Trouble::ReadOnly),
                ErrorCode::PermissionDenied => in_the_way(Trouble::Permission),
                ErrorCode::CannotOpen | ErrorCode::SystemIoFailure => {
                    in_the_way(Trouble::Sqlite(failure.extended_code))
                }
                ErrorCode::DatabaseCorrupt => damaged("its pages do not fit together"),
                ErrorCode::NotADatabase => damaged("it is not a vault file"),
                ErrorCode::ConstraintViolation => damaged("its tables and indexes disagree"),
                // Every statement is fixed and tested, so one that no longer fits means altered tables.
                ErrorCode::Unknown => damaged("its tables are not those of a vault"),
                _ => unavailable(Trouble::Sqlite(failure.extended_code)),
            },
        }
    }
}

pub(super) fn failure_of(error: &rusqlite::Error) -> Option<rusqlite::ffi::Error> {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => Some(*failure),
        rusqlite::Error::SqlInputError { error, .. } => Some(*error),
        _ => None,
    }
}
