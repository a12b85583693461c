//! Why the ledger could not answer: the cause and what to do about it, parted by the first semicolon.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("the ledger {} is unavailable: {trouble}", path.display())]
    Unavailable { path: PathBuf, trouble: Trouble },
    #[error(
        "the journal {} is damaged: {what}; stop the relay and start it again, which sets damaged jobs aside, or put the file \
         aside to begin a new one",
        path.display()
    )]
    Damaged { path: PathBuf, what: &'static str },
    #[error(
        "the journal {} has format {found}, this program knows format {known}; use the newer tokenrelay",
        path.display()
    )]
    NewerFormat { path: PathBuf, found: i64, known: i64 },
}

impl LedgerError {
    /// Whether the same call may succeed later without anybody repairing something.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { trouble: Trouble::Busy | Trouble::DiskFull, .. })
    }
}

/// What keeps the file from being used, each with its fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Missing,
    Busy,
    DiskFull,
    ReadOnly,
    Permission,
    Io(io::ErrorKind),
    /// SQLite's extended result code, for everything that has no word of its own here.
    Sqlite(i32),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(
                "there is none; start a relay that has a listener with accept = \"journal\" or \"auto\", or check \
                 state_dir: with accept = \"handoff\" nothing is kept",
            ),
            Self::Busy => f.write_str("the relay holds its write lock; try again"),
            Self::DiskFull => f.write_str("the disk is full; free space and try again"),
            Self::ReadOnly => f.write_str("it cannot be written; check the file's owner and the mount"),
            Self::Permission => f.write_str("permission denied; run as the user that the relay runs as"),
            Self::Io(kind) => write!(f, "{kind}; check the disk and the system log"),
            Self::Sqlite(code) => {
                write!(f, "the store answered with SQLite code {code}; check the disk and the system log")
            }
        }
    }
}

pub(super) fn io_error(path: &Path) -> impl Fn(io::Error) -> LedgerError + '_ {
    |error| {
        let trouble = match error.kind() {
            io::ErrorKind::NotFound => Trouble::Missing,
            io::ErrorKind::PermissionDenied => Trouble::Permission,
            kind => Trouble::Io(kind),
        };
        LedgerError::Unavailable { path: path.to_owned(), trouble }
    }
}

/// SQLite's texts are dropped: the code decides.
pub(super) fn store_error(path: &Path) -> impl Fn(rusqlite::Error) -> LedgerError + '_ {
    |error| {
        use rusqlite::ErrorCode;
        let unavailable = |trouble| LedgerError::Unavailable { path: path.to_owned(), trouble };
        let damaged = |what| LedgerError::Damaged { path: path.to_owned(), what };
        let Some(failure) = failure_of(&error) else { return damaged("a column holds what it never holds") };
        match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => unavailable(Trouble::Busy),
            ErrorCode::DiskFull => unavailable(Trouble::DiskFull),
            ErrorCode::ReadOnly => unavailable(Trouble::ReadOnly),
            ErrorCode::PermissionDenied | ErrorCode::CannotOpen => unavailable(Trouble::Permission),
            ErrorCode::DatabaseCorrupt => damaged("its pages do not fit together"),
            ErrorCode::NotADatabase => damaged("it is not a journal"),
            ErrorCode::ConstraintViolation => damaged("its tables disagree"),
            // Every statement is fixed and tested, so one that no longer fits means altered tables.
            ErrorCode::Unknown => damaged("its tables are not those of a journal"),
            _ => unavailable(Trouble::Sqlite(failure.extended_code)),
        }
    }
}

fn failure_of(error: &rusqlite::Error) -> Option<rusqlite::ffi::Error> {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => Some(*failure),
        rusqlite::Error::SqlInputError { error, .. } => Some(*error),
        _ => None,
    }
}
