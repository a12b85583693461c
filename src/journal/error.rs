//! Why the journal could not be opened or written: the cause and what to do about it.

use super::file::with_companions;
use super::salvaged::Salvaged;
use crate::exit::{CliError, Exit};
use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The directory or a file in it cannot be used as it is.
    #[error("the journal {} cannot be used: {trouble}", path.display())]
    Unavailable { path: PathBuf, trouble: Trouble },
    /// Another relay owns this journal.
    #[error("the journal {} is in use by another relay{}", path.display(), process(*pid))]
    InUse { path: PathBuf, pid: Option<u32> },
    /// A later version of this program wrote the file.
    #[error("the journal {} has format {found}, this program knows formats up to {known}", path.display())]
    NewerFormat { path: PathBuf, found: i64, known: i64 },
    /// What can be read of a damaged file is saved into a new one beside it.
    #[error("the journal {} is damaged, and the disk is full: what can be read of it finds no room", path.display())]
    NoRoom { path: PathBuf, needed: u64 },
    /// What could be read of a damaged file was saved and has taken its place; then this start went no further. The next one
    /// finds a whole file, and has nothing to say of what was saved.
    #[error("{cause}; before that, the file was found damaged: {salvaged}")]
    BehindSalvage { cause: Box<JournalError>, salvaged: Box<Salvaged> },
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

impl JournalError {
    /// The new file takes about as much as the damaged one and its log.
    pub fn no_room(path: &Path) -> Self {
        let lengths =
            with_companions(path).map(|file| std::fs::metadata(file).map_or(0, |found| found.len()));
        Self::NoRoom { path: path.to_owned(), needed: lengths.iter().sum() }
    }

    pub fn fix(&self) -> Cow<'static, str> {
        match self {
            Self::Unavailable { trouble, .. } => trouble.fix().into(),
            Self::InUse { .. } => "stop that one first, or give this one a state_dir of its own".into(),
            Self::NewerFormat { .. } => "use the newer tokenrelay".into(),
            Self::NoRoom { needed, .. } => {
                let mib = (needed >> 20) + 1;
                format!("free space on that disk until {mib} MiB are free, then start the relay again; the damaged file is \
                         left as it is until then")
                .into()
            }
            Self::BehindSalvage { cause, .. } => cause.fix(),
        }
    }

    /// The same, where a damaged file was mended before it came about.
    pub fn behind(self, salvaged: Option<Salvaged>) -> Self {
        match salvaged {
            Some(salvaged) => Self::BehindSalvage { cause: self.into(), salvaged: salvaged.into() },
            None => self,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::InUse { .. }
            | Self::NoRoom { .. }
            | Self::Unavailable { trouble: Trouble::DiskFull | Trouble::Busy, .. } => Exit::Temporary,
            Self::Unavailable { .. } | Self::NewerFormat { .. } => Exit::Failed,
            Self::BehindSalvage { cause, .. } => cause.exit(),
        }
    }
}

impl From<JournalError> for CliError {
    fn from(error: JournalError) -> Self {
        Self::new(error.exit(), &error).fix(error.fix())
    }
}

/// What keeps a file from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Busy,
    DiskFull,
    ReadOnly,
    Permission,
    Missing,
    /// A part of its path is a file.
    NotAFolder,
    /// Its pages do not fit together.
    Damaged,
    /// It had come further than it has now.
    SetBack,
    Io(io::ErrorKind),
    /// SQLite's extended result code.
    Sqlite(i32),
}

impl Trouble {
    pub fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission,
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::NotADirectory => Self::NotAFolder,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            kind => Self::Io(kind),
        }
    }

    pub fn of_store(error: &rusqlite::Error) -> Self {
        let failure = match error {
            rusqlite::Error::SqliteFailure(failure, _) => failure,
            rusqlite::Error::SqlInputError { error, .. } => error,
            // Only the statement that a commit ends with minds the rows it changes.
            rusqlite::Error::StatementChangedRows(_) => return Self::SetBack,
            // A column that holds what it never holds, or a row that must be there and is not.
            _ => return Self::Damaged,
        };
        if failure.extended_code == SQLITE_IOERR_SHMSIZE {
            // The log's index could not grow: the disk is full, and SQLite has no better word for it.
            return Self::DiskFull;
        }
        match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::DiskFull => Self::DiskFull,
            ErrorCode::ReadOnly => Self::ReadOnly,
            ErrorCode::PermissionDenied => Self::Permission,
            ErrorCode::CannotOpen => Self::Missing,
            // Every statement is fixed and tested: one that does not fit means altered tables.
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ConstraintViolation
            | ErrorCode::Unknown => Self::Damaged,
            _ => Self::Sqlite(failure.extended_code),
        }
    }

    /// Whether the same call may succeed later without anybody repairing something.
    pub fn passes(self) -> bool {
        matches!(self, Self::Busy | Self::DiskFull)
    }

    /// Whether the disk itself has failed, so that nobody knows what it has.
    pub fn is_of_the_disk(self) -> bool {
        match self {
            Self::ReadOnly | Self::Io(_) | Self::Sqlite(_) => true,
            Self::Busy
            | Self::DiskFull
            | Self::Permission
            | Self::Missing
            | Self::NotAFolder
            | Self::Damaged
            | Self::SetBack => false,
        }
    }

    pub fn fix(self) -> &'static str {
        match self {
            Self::Busy => "wait for the other command that writes the journal, then try again",
            Self::DiskFull => "free space on that disk",
            Self::ReadOnly => {
                "make it writable for the relay's user (its mount, its owner, its mode), or point state_dir elsewhere"
            }
            Self::Permission => "run as the user that owns the directory, or point state_dir elsewhere",
            Self::Missing => "make the directory, or point state_dir elsewhere",
            Self::NotAFolder => "name a folder: state_dir, or one above it, is a file",
            Self::Damaged => "restart the relay: it sets the damaged file aside and saves what can be read",
            Self::SetBack => {
                "restart the relay: it holds back what may have been sent since, until you say so (jobs release)"
            }
            Self::Io(_) | Self::Sqlite(_) => "check the disk and the system log, then restart the relay",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("another process holds its write lock"),
            Self::DiskFull => f.write_str("the disk is full"),
            Self::ReadOnly => f.write_str("it cannot be written"),
            Self::Permission => f.write_str("permission denied"),
            Self::Missing => f.write_str("it does not exist or cannot be opened"),
            Self::NotAFolder => f.write_str("a part of its path is no folder"),
            Self::Damaged => f.write_str("the file is damaged"),
            Self::SetBack => f.write_str("it was set back to an earlier time while the relay ran"),
            Self::Io(kind) => write!(f, "{kind}"),
            Self::Sqlite(code) => write!(f, "the store answered with SQLite code {code}"),
        }
    }
}

/// Puts the path to an error of the file system.
pub fn io_error(path: &Path) -> impl Fn(io::Error) -> JournalError + '_ {
    |error| JournalError::Unavailable { path: path.to_owned(), trouble: Trouble::of_io(&error) }
}

/// Puts the path to an error of the store. SQLite's texts are dropped: the code decides.
pub fn store_error(path: &Path) -> impl Fn(rusqlite::Error) -> JournalError + '_ {
    |error| JournalError::Unavailable { path: path.to_owned(), trouble: Trouble::of_store(&error) }
}
