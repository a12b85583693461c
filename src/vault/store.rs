//! The vault's file: where it lies, how it is made, and how a connection to it is set up.

use super::error::{Trouble, VaultError, io_error, store_error};
use super::keyring::{Keyring, KeyringFault, VaultRow, WrappedKey};
use super::root_key::RootKey;
use super::{roll, twins};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};
use rustix::fs::{FlockOperation, flock};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Name of the file within the vault's directory.
pub const FILE_NAME: &str = "vault.db";
/// The format this program writes (`PRAGMA user_version`).
pub const FORMAT: i64 = 3;
/// The oldest format that is brought up to date when it is opened.
const FORMAT_OLDEST: i64 = 1;
/// Marks the file as a vault (`PRAGMA application_id`, "TKNR").
const APPLICATION_ID: i64 = 0x544b_4e52;

/// `restricted` lies in the clear so it can be counted; like the other numbers of a row it is authenticated
/// with the record. `next_person` makes sure the number of an erased person is never given again; it tells how far the vault has come, so a commit that changes
/// people and adds none takes one too.
const TABLES: &str = "
    CREATE TABLE vault (
        id BLOB NOT NULL, created INTEGER NOT NULL, key_check BLOB NOT NULL, next_person INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE vault_key (
        role INTEGER NOT NULL, version INTEGER NOT NULL, created INTEGER NOT NULL, wrapped BLOB NOT NULL,
        PRIMARY KEY (role, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE person (
        id INTEGER PRIMARY KEY, vault_key INTEGER NOT NULL, version INTEGER NOT NULL,
        restricted INTEGER NOT NULL, wrapped_key BLOB NOT NULL, record BLOB NOT NULL
    ) STRICT;
    CREATE INDEX person_vault_key ON person (vault_key);
    CREATE INDEX person_restricted ON person (restricted) WHERE restricted <> 0;
    CREATE TABLE token (
        hash BLOB PRIMARY KEY, kind INTEGER NOT NULL, person INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE address (
        hash BLOB PRIMARY KEY, person INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// The number of the first person of a new vault.
const FIRST_PERSON: i64 = 1;

/// What a connection is for; sets its cache and how long it waits for the write lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The hot path: short waits, never writes. The kernel caches the pages too, so a small cache of its own is
    /// enough and keeps memory what the configuration says.
    Read,
    /// Imports: a larger cache and rarer checkpoints.
    Write,
}

impl Use {
    fn cache_kib(self) -> u32 {
        match self {
            Self::Read => 8 * 1024,
            Self::Write => 128 * 1024,
        }
    }

    pub fn wait(self) -> Duration {
        match self {
            Self::Read => Duration::from_secs(1),
            Self::Write => Duration::from_secs(15),
        }
    }
}

pub fn file_in(dir: &Path) -> PathBuf {
    dir.join(FILE_NAME)
}

/// Makes the vault unless it is there. It appears under its name only when it is whole, so a file that is
/// found empty was cut short and is never taken for a new vault.
pub fn create_if_missing(dir: &Path, root: &RootKey, now: i64) -> Result<(), VaultError> {
    let path = file_in(dir);
    let failed = io_error(&path);
    if path.try_exists().map_err(&failed)? {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(&failed)?;
    let lock = fs::File::open(dir).map_err(&failed)?;
    // Of several that make one, those behind the first find it there, and its log is not what an earlier one has left.
    let _ = flock(&lock, FlockOperation::LockExclusive);
    if path.try_exists().map_err(&failed)? {
        return Ok(());
    }
    remove_left_behind(&path).map_err(&failed)?;
    let cradle = tempfile::Builder::new().prefix(".new-vault-").tempdir_in(dir).map_err(&failed)?;
    let unborn = cradle.path().join(FILE_NAME);
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unborn).map_err(&failed)?;
    write_new(&unborn, root, now).map_err(store_error(&path))?;
    fs::File::open(&unborn).and_then(|file| file.sync_all()).map_err(&failed)?;
    match fs::hard_link(&unborn, &path) {
        // Another process was first: its vault counts.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        linked => linked.map_err(&failed)?,
    }
    lock.sync_all().map_err(&failed)
}

/// Nothing of it is synced but the whole, by whoever makes it: until it has its name, a file that is cut short is nobody's.
fn write_new(path: &Path, root: &RootKey, now: i64) -> rusqlite::Result<()> {
    let mut db = Connection::open_with_flags(path, flags())?;
    db.execute_batch("PRAGMA synchronous = OFF")?;
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    fill_new(&mut db, root, now)?;
    // Everything has to be in the one file that is linked.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    db.close().map_err(|(_, error)| error)
}

/// A vault that goes with its connection, under a root key of its own: in memory, and in a file without a name where it is larger.
pub fn scratch() -> rusqlite::Result<(Connection, VaultRow, Keyring)> {
    let mut db = Connection::open("")?;
    db.execute_batch(&format!("PRAGMA synchronous = OFF; PRAGMA cache_size = -{}", Use::Write.cache_kib()))?;
    let (row, keys) = fill_new(&mut db, &RootKey::random(), 0)?;
    Ok((db, row, keys))
}

fn fill_new(db: &mut Connection, root: &RootKey, now: i64) -> rusqlite::Result<(VaultRow, Keyring)> {
    let (vault, keys) = Keyring::create(root, now);
    let all = db.transaction()?;
    all.pragma_update(None, "application_id", APPLICATION_ID)?;
    all.pragma_update(None, "user_version", FORMAT)?;
    all.execute_batch(TABLES)?;
    all.execute_batch(twins::TABLE)?;
    all.execute(
        "INSERT INTO vault VALUES (?1, ?2, ?3, ?4)",
        params![vault.id, vault.created, vault.key_check, FIRST_PERSON],
    )?;
    for key in &keys {
        all.execute(
            "INSERT INTO vault_key VALUES (?1, ?2, ?3, ?4)",
            params![key.role, key.version, key.created, key.wrapped],
        )?;
    }
    let ring = Keyring::open(root, &vault, &keys).expect("the keys were made with this root key");
    roll::create(&all, &ring, FIRST_PERSON)?;
    all.commit()?;
    Ok((vault, ring))
}

/// A connection to a vault that is there, its format checked.
pub fn connect(path: &Path, purpose: Use) -> Result<Connection, VaultError> {
    let found = fs::metadata(path).map_err(io_error(path))?;
    if !found.is_file() {
        return Err(VaultError::Unavailable {
            path: path.to_owned(),
            trouble: Trouble::in_the_way(path, Trouble::Missing),
        });
    }
    if found.len() == 0 {
        return Err(VaultError::DamagedFile { path: path.to_owned(), what: "the file is empty" });
    }
    if found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(io_error(path))?;
    }
    let failed = store_error(path);
    let db = Connection::open_with_flags(path, flags()).map_err(&failed)?;
    if is_younger_than_its_log(path) {
        // Whoever closes the last connection would put it into the file.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(&failed)?;
    }
    db.busy_timeout(purpose.wait()).map_err(&failed)?;
    let number = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(&failed);
    if number("application_id")? != APPLICATION_ID {
        return Err(VaultError::DamagedFile { path: path.to_owned(), what: "it is not a vault file" });
    }
    match number("user_version")? {
        FORMAT_OLDEST..=FORMAT => {}
        found if found > FORMAT => {
            return Err(VaultError::NewerFormat { path: path.to_owned(), found, known: FORMAT });
        }
        _ => return Err(VaultError::DamagedFile { path: path.to_owned(), what: "it has no format number" }),
    }
    set_up(&db, purpose).map_err(&failed)?;
    Ok(db)
}

pub fn format_of(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE
}

/// Settings that belong to a connection rather than to the file.
fn set_up(db: &Connection, purpose: Use) -> rusqlite::Result<()> {
    db.busy_timeout(purpose.wait())?;
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    db.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA secure_delete = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 0;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = -{};
         PRAGMA wal_autocheckpoint = 8000;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA query_only = {};",
        purpose.cache_kib(),
        if purpose == Use::Read { "ON" } else { "OFF" },
    ))
}

/// Opens the vault's keys with the root key.
pub fn unlock(path: &Path, db: &Connection, root: &RootKey) -> Result<(VaultRow, Keyring), VaultError> {
    let (vault, keys) = read_keys(db).map_err(store_error(path))?;
    match Keyring::open(root, &vault, &keys) {
        Ok(ring) => Ok((vault, ring)),
        Err(KeyringFault::WrongKey) => Err(VaultError::WrongKey { path: path.to_owned() }),
        Err(KeyringFault::Damaged) => {
            Err(VaultError::DamagedFile { path: path.to_owned(), what: "its keys were altered" })
        }
    }
}

/// Which vault it is.
pub fn row(db: &Connection) -> rusqlite::Result<VaultRow> {
    db.query_row("SELECT id, created, key_check FROM vault", [], |row| {
        Ok(VaultRow { id: row.get(0)?, created: row.get(1)?, key_check: row.get(2)? })
    })
}

fn read_keys(db: &Connection) -> rusqlite::Result<(VaultRow, Vec<WrappedKey>)> {
    let vault = row(db)?;
    let mut keys = db.prepare("SELECT role, version, created, wrapped FROM vault_key")?;
    let keys = keys.query_map([], |row| {
        Ok(WrappedKey { role: row.get(0)?, version: row.get(1)?, created: row.get(2)?, wrapped: row.get(3)? })
    })?;
    Ok((vault, keys.collect::<rusqlite::Result<_>>()?))
}

/// Moves what the write-ahead log holds into the file and empties the log, unless a reader is in its way.
pub fn checkpoint(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Whether the file was put there, or written, behind the last that its write-ahead log holds. That is so for a moment while a
/// checkpoint is at work; and when a killed process has left the log of a file that was replaced since: SQLite would read
/// the new file through it. The time of the file's last change (`st_ctime`) cannot be set back, and a rename moves it.
pub fn is_younger_than_its_log(path: &Path) -> bool {
    let (Ok(file), Ok(log)) = (fs::metadata(path), fs::metadata(beside(path, "-wal"))) else { return false };
    // Clocks of file systems tick every few milliseconds.
    log.len() > 0 && (file.ctime(), file.ctime_nsec()) >= (log.mtime(), log.mtime_nsec())
}

/// What a vault has left that is not there any more belongs to no other one.
fn remove_left_behind(path: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-shm"] {
        match fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A file of SQLite's beside the database; beside the file itself, where its name is a link.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut beside = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
    beside.push(suffix);
    beside.into()
}

/// Bytes of the file, its write-ahead log and the log's index.
pub fn bytes_on_disk(path: &Path) -> Result<u64, VaultError> {
    let mut total = fs::metadata(path).map_err(io_error(path))?.len();
    for suffix in ["-wal", "-shm"] {
        match fs::metadata(beside(path, suffix)) {
            Ok(found) => total += found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error(path)(error)),
        }
    }
    Ok(total)
}

/// Whether the error means that pages, rather than the disk, are at fault.
pub fn is_corruption(error: &rusqlite::Error) -> bool {
    match super::error::failure_of(error) {
        Some(failure) => failure.code == rusqlite::ErrorCode::DatabaseCorrupt,
        None => true,
    }
}
