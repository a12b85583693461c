//! Whether the vault's file is what its open connections take it for. SQLite trusts that nobody else writes the file: a
//! connection goes on with the pages it holds and reads the others from whatever was copied over it.

use super::error::{VaultError, io_error, store_error};
use super::progress::version;
use super::store;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the file may stand still while the log holds what is not yet in it, before that is no checkpoint at work: it
/// may be waiting for the disk.
const CHECKPOINT_REST_MAX: Duration = Duration::from_secs(15);

/// Which file it is, and what the file system says of its content. The time of its last change (`st_ctime`) cannot be set
/// back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    file: FileId,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Device and inode: which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    fn of(found: &Metadata) -> Self {
        Self(found.dev(), found.ino())
    }

    /// `None` when there is no such file.
    fn beside(path: &Path, suffix: &str) -> Result<Option<Self>, VaultError> {
        match std::fs::metadata(store::beside(path, suffix)) {
            Ok(found) => Ok(Some(Self::of(&found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(path)(error)),
        }
    }
}

impl Stamp {
    /// The file is not opened for it: closing it would end the locks that SQLite holds for this process (fcntl(2)).
    pub fn at(path: &Path) -> Result<Self, VaultError> {
        let found = std::fs::metadata(path).map_err(io_error(path))?;
        Ok(Self {
            file: FileId::of(&found),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    /// Owner, mode or links were changed, or the file was renamed, and nothing was written that shows.
    fn is_touched_only(&self, now: &Self) -> bool {
        Self { changed: now.changed, ..*self } == *now
    }
}

/// What SQLite knows of what was done to the file through it, by any process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// Differs whenever another connection has committed in between.
    version: i64,
    /// Pages in the write-ahead log, and how many of them are known to be in the file.
    pages: i64,
    moved: i64,
}

impl Log {
    pub fn of(db: &Connection) -> rusqlite::Result<Self> {
        // NOOP looks and does nothing, not even lock.
        let (pages, moved) =
            db.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| Ok((row.get(1)?, row.get(2)?)))?;
        Ok(Self { version: version(db)?, pages, moved })
    }

    /// A checkpoint, which writes the file, may be at work.
    pub fn has_more(&self) -> bool {
        self.pages > self.moved
    }
}

/// What became of the file since it was looked at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing, or what was committed through SQLite.
    Sound,
    /// It is being written, as a checkpoint does it.
    Unsure,
    /// Another file lies there, or it was touched, or the files beside it are others: to be opened anew.
    Moved,
    /// It was written, and not through SQLite.
    Overwritten,
}

/// A connection that reads nobody, and what was seen last. One for all: what it has not seen explains nothing.
#[derive(Debug)]
pub struct Sentry {
    path: PathBuf,
    db: Connection,
    stamp: Stamp,
    log: Log,
    beside: [Option<FileId>; 2],
    /// Since when it stands as it does while a checkpoint may be at work.
    unsure: Option<(Stamp, Instant)>,
    /// As it was when the log was to be emptied last.
    rest: Option<Log>,
}

impl Sentry {
    /// Takes the file as it is now for the vault, which the caller has made sure of on this connection.
    pub fn post(path: &Path, db: Connection) -> Result<Self, VaultError> {
        let failed = store_error(path);
        let beside = beside(path)?;
        let mut log = Log::of(&db).map_err(&failed)?;
        let mut stamp = Stamp::at(path)?;
        // What a checkpoint writes between the two looks must not seem unexplained later.
        let again = Log::of(&db).map_err(&failed)?;
        if again != log {
            (log, stamp) = (again, Stamp::at(path)?);
        }
        Ok(Self { path: path.to_owned(), db, stamp, log, beside, unsure: None, rest: None })
    }

    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub fn version(&self) -> i64 {
        self.log.version
    }

    /// The connection, for a look at what the vault says of itself.
    pub fn db(&self) -> &Connection {
        &self.db
    }

    pub fn look(&mut self) -> Result<Fate, VaultError> {
        let now = Stamp::at(&self.path)?;
        if now.file != self.stamp.file {
            return Ok(Fate::Moved);
        }
        let log = match Log::of(&self.db).map_err(store_error(&self.path)) {
            Ok(log) => log,
            // What lies there now does not even look like a vault.
            Err(cause) if now != self.stamp && !cause.is_transient() => return Ok(Fate::Overwritten),
            Err(cause) => return Err(cause),
        };
        if now == self.stamp {
            self.log = log;
            self.unsure = None;
            return Ok(if beside(&self.path)? == self.beside { Fate::Sound } else { Fate::Moved });
        }
        if log != self.log && Stamp::at(&self.path)? == now {
            (self.stamp, self.log, self.unsure) = (now, log, None);
            return Ok(Fate::Sound);
        }
        if log != self.log || (log.has_more() && !self.rests(now)) {
            return Ok(Fate::Unsure);
        }
        let is_only_touched = self.stamp.is_touched_only(&now) && log.pages == 0;
        Ok(if is_only_touched { Fate::Moved } else { Fate::Overwritten })
    }

    fn rests(&mut self, now: Stamp) -> bool {
        match self.unsure {
            Some((stamp, since)) if stamp == now => since.elapsed() >= CHECKPOINT_REST_MAX,
            _ => {
                self.unsure = Some((now, Instant::now()));
                false
            }
        }
    }

    /// Moves what the log holds into the file and empties it, once nobody writes and unless somebody is in the way. A log that
    /// is left would be put on top of whatever is copied over the file. After a look that found it sound.
    pub fn empty_log(&mut self) -> Result<(), VaultError> {
        let is_at_rest = self.rest.replace(self.log) == Some(self.log);
        if self.log.pages == 0 || !is_at_rest {
            return Ok(());
        }
        let failed = store_error(&self.path);
        self.db.busy_timeout(Duration::ZERO).map_err(&failed)?;
        // Left for another time if it fails: a disk that is full or read-only hinders nobody who reads.
        let _ = store::checkpoint(&self.db);
        self.db.busy_timeout(store::Use::Read.wait()).map_err(&failed)?;
        self.log = Log::of(&self.db).map_err(&failed)?;
        self.stamp = Stamp::at(&self.path)?;
        Ok(())
    }

    pub fn close(self, closing: Closing) {
        closing.close(self.db);
    }
}

/// What the last connection of all that is closed does with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// As SQLite does it: into the file that it belongs to, whatever the name of that is now.
    Tidy,
    /// Nothing is written: what lies there is not what the log belongs to.
    HandsOff,
}

impl Closing {
    pub fn close(self, db: Connection) {
        if self == Self::HandsOff {
            // It cannot fail for a connection that is open.
            let _ = db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        drop(db);
    }
}

/// The write-ahead log and its index as they lie there now.
fn beside(path: &Path) -> Result<[Option<FileId>; 2], VaultError> {
    Ok([FileId::beside(path, "-wal")?, FileId::beside(path, "-shm")?])
}
