//! The journal's files: the directory, the lock that makes one relay its owner, and connections to the database.

use super::error::{JournalError, Trouble, io_error, store_error};
use super::schema::{APPLICATION_ID, FORMAT, FORMAT_BEFORE, STEPS, TABLES};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Name of the file within the journal's directory.
pub const FILE_NAME: &str = "journal.db";
pub const LOCK_NAME: &str = "journal.lock";

/// How long a write waits for a command beside the relay.
pub const WRITE_WAIT: Duration = Duration::from_secs(15);
const READ_WAIT: Duration = Duration::from_secs(1);
const STATEMENTS_KEPT: usize = 64;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Read,
    Write,
}

/// Makes the directory, and any above it, unless they are there.
pub fn make_dir(dir: &Path) -> Result<(), JournalError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error(dir))
}

/// How long a start waits for a command that has the lock: it writes a few bytes.
const LOCK_WAIT: Duration = Duration::from_millis(200);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Ownership of a journal, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    pub fn take(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(LOCK_NAME);
        let failed = io_error(&path);
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(&failed)?;
        match lock_soon(&file) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                let pid = file.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok());
                return Err(JournalError::InUse { path: dir.join(FILE_NAME), pid });
            }
            Err(error) => return Err(failed(error.into())),
        }
        // Only a hint for whoever finds it locked.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| {
            let pid = std::process::id();
            writeln!(file, "{pid}")
        });
        Ok(Self(file))
    }

    /// For a command beside the relay, where no relay runs.
    pub fn take_if_free(dir: &Path) -> Option<Self> {
        let file = File::open(dir.join(LOCK_NAME)).ok()?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Self(file))
    }
}

fn lock_soon(file: &File) -> rustix::io::Result<()> {
    let give_up = Instant::now() + LOCK_WAIT;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < give_up => {
                std::thread::sleep(LOCK_PAUSE);
            }
            done => return done,
        }
    }
}

/// Which file the journal is, so that it is noticed when it was taken away or another one lies in its place.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    is: (u64, u64),
}

impl Home {
    pub fn of(path: &Path) -> Result<Self, JournalError> {
        let is = which(path).map_err(io_error(path))?;
        Ok(Self { path: path.to_owned(), is })
    }

    /// Whether a next start would find the file that is being written.
    pub fn is_there(&self) -> bool {
        which(&self.path).is_ok_and(|is| is == self.is)
    }
}

fn which(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

/// How the database file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Whole,
    /// Of this format, which is brought up to the one of today.
    Before(i64),
    Missing,
    Damaged,
}

/// Looks at the file's header only: a full check would take minutes at a million jobs.
pub fn look(path: &Path) -> Result<Found, JournalError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(io_error(path)(error)),
    };
    if file.metadata().map_err(io_error(path))?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(io_error(path))?;
    }
    let mut header = [0; 100];
    match file.read_exact(&mut header) {
        Ok(()) if header.starts_with(b"SQLite format 3\0") => {}
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(io_error(path)(error)),
        _ => return Ok(Found::Damaged),
    }
    match numbers(path) {
        Ok((APPLICATION_ID, FORMAT)) => Ok(Found::Whole),
        Ok((APPLICATION_ID, found)) if (FORMAT_BEFORE..FORMAT).contains(&found) => Ok(Found::Before(found)),
        Ok((APPLICATION_ID, found)) if found > FORMAT => {
            Err(JournalError::NewerFormat { path: path.to_owned(), found, known: FORMAT })
        }
        Ok(_) => Ok(Found::Damaged),
        Err(error) if Trouble::of_store(&error) == Trouble::Damaged => Ok(Found::Damaged),
        Err(error) => Err(store_error(path)(error)),
    }
}

fn numbers(path: &Path) -> rusqlite::Result<(i64, i64)> {
    let db = Connection::open_with_flags(path, flags())?;
    db.busy_timeout(WRITE_WAIT)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let number = |name: &str| db.pragma_query_value(None, name, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

/// The format that the file's header names (SQLite's database file format, §1.3), of whatever else is there; `None` when it
/// has none.
pub fn format_of(path: &Path) -> Option<i64> {
    let mut header = [0; 100];
    File::open(path).and_then(|mut file| file.read_exact(&mut header)).ok()?;
    let format = i64::from(u32::from_be_bytes(*header[60..].first_chunk()?));
    (header.starts_with(b"SQLite format 3\0") && format > 0).then_some(format)
}

/// Whether there is anything in the write-ahead log: a run that has ended in order has emptied it.
pub fn has_log(path: &Path) -> bool {
    let [_, log, _] = with_companions(path);
    fs::metadata(log).is_ok_and(|found| found.len() > 0)
}

/// Makes an empty journal. It appears under its name only when it is whole.
pub fn create(dir: &Path, wall_ms: i64) -> Result<(), JournalError> {
    let path = dir.join(FILE_NAME);
    let failed = io_error(&path);
    let cradle = tempfile::Builder::new().prefix(".new-journal-").tempdir_in(dir).map_err(&failed)?;
    let unborn = cradle.path().join(FILE_NAME);
    create_unborn(&unborn, wall_ms)?;
    File::open(&unborn).and_then(|file| file.sync_all()).map_err(&failed)?;
    fs::rename(&unborn, &path).map_err(&failed)?;
    sync_dir_of(&path)
}

/// An empty journal that is not on the disk yet.
pub fn create_unborn(path: &Path, wall_ms: i64) -> Result<(), JournalError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path).map_err(io_error(path))?;
    write_new(path, wall_ms).map_err(store_error(path))
}

/// Makes the names in a file's directory last.
pub fn sync_dir_of(path: &Path) -> Result<(), JournalError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error(path))
}

/// A connection to a journal that nobody else knows of: it has no log, and nothing of it is synced.
pub fn connect_unborn(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, flags())?;
    db.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    db.execute_batch(&format!(
        "PRAGMA synchronous = OFF;
         PRAGMA secure_delete = FAST;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = -{CACHE_KIB};",
    ))?;
    Ok(db)
}

/// All of it is in the one file then, which is ready to be synced.
pub fn finish_unborn(db: Connection) -> rusqlite::Result<()> {
    // Stands in the file, so that no later connection has to change it.
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    db.close().map_err(|(_, error)| error)
}

/// Nothing of it is synced but the whole, by whoever makes it: until it has its name, a file that is cut short is nobody's.
fn write_new(path: &Path, wall_ms: i64) -> rusqlite::Result<()> {
    let mut db = Connection::open_with_flags(path, flags())?;
    db.execute_batch("PRAGMA synchronous = OFF")?;
    db.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
    // Empty pages can then be given back to the disk; it has to be said before there is a table.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let all = db.transaction()?;
    all.pragma_update(None, "application_id", APPLICATION_ID)?;
    all.pragma_update(None, "user_version", FORMAT)?;
    all.execute_batch(TABLES)?;
    all.execute("UPDATE journal SET created = ?1, clock = ?1", [wall_ms])?;
    all.commit()?;
    finish_unborn(db)
}

/// Brings a journal of a format before up to this one, all of it or nothing.
pub fn upgrade(path: &Path, from: i64) -> rusqlite::Result<()> {
    let mut db = connect(path, Use::Write)?;
    let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = usize::try_from(from - FORMAT_BEFORE).unwrap_or_default();
    STEPS.iter().skip(done).try_for_each(|step| all.execute_batch(step))?;
    all.commit()
}

/// Pages that the writer keeps. Not more: SQLite looks at all of them at the end of a commit in which it put pages of a
/// table into another order, which is nearly every one.
const CACHE_KIB: u32 = 16 * 1024;

/// A connection to a journal that is there.
pub fn connect(path: &Path, purpose: Use) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, flags())?;
    db.busy_timeout(if purpose == Use::Read { READ_WAIT } else { WRITE_WAIT })?;
    // Only what was synced may be moved into the file, so nobody does it but the writer, and it looks at the answer. And no
    // statement is planned anew for the values it is given, which costs more than most of them.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    let (cache_kib, query_only) = match purpose {
        Use::Read => (8 * 1024, "ON"),
        Use::Write => (CACHE_KIB, "OFF"),
    };
    db.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA secure_delete = FAST;
         PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 0;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = -{cache_kib};
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA query_only = {query_only};",
    ))?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(db)
}

/// From now on commits wait for no fsync: somebody else sees to it. SQLite still does before pages are moved into the file,
/// and when the log begins anew.
pub fn leave_syncing(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("PRAGMA synchronous = NORMAL")
}

/// Opens a file of small notes, all of it written but empty behind `header`, so that no later note finds the disk full.
/// The system caches it in pages of 4 KiB: written at once it would lie there in pieces of megabytes, and each note
/// would then cost a walk over all blocks of its piece (measured on ext4: 6.3 us instead of 1.2).
pub fn lay_out(path: &Path, header: &[u8], length: usize) -> io::Result<File> {
    const PAGE: usize = 4096;
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_len(length as u64)?;
    file.sync_all()?;
    // What an earlier run, or its reading, has cached. The advice may be ignored.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    let mut page = [0; PAGE];
    page[..header.len()].copy_from_slice(header);
    for at in (0..length).step_by(PAGE) {
        file.write_all_at(&page[..PAGE.min(length - at)], at as u64)?;
        page[..header.len()].fill(0);
    }
    file.sync_all()?;
    Ok(file)
}

/// The last commit that the database's own file holds, on the journal's clock, whatever the write-ahead log adds to it.
pub fn clock_without_log(path: &Path) -> rusqlite::Result<i64> {
    let db = connect_uri(path, "immutable=1")?;
    db.query_row("SELECT clock FROM journal", [], |row| row.get(0))
}

/// A connection that leaves nothing behind.
pub fn connect_uri(path: &Path, how: &str) -> rusqlite::Result<Connection> {
    // What has a meaning in a URI (https://sqlite.org/uri.html).
    let name = path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(format!("file:{name}?{how}"), flags)
}

/// A connection that reads a file as it is and leaves it so.
pub fn connect_to_damaged(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, flags())?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    Ok(db)
}

fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE
}

/// The file with what belongs to it.
pub fn with_companions(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}
