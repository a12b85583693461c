//! What a start would find in the journal's directory, looked at without changing anything, also beside a running relay.

use super::Settings;
use super::apply::Totals;
use super::error::{JournalError, Trouble, io_error};
use super::file::{self, FILE_NAME, LOCK_NAME, with_companions};
use super::flight;
use super::origin::{Evidence, FileIdentity, Here, Probe, Reach, Sign, Stamped, Witness};
use super::run::{self, Last};
use super::schema::{APPLICATION_ID, FORMAT};
use super::shared::DAMAGED_MARK;
use super::space;
use rusqlite::Connection;
use rustix::fs::{Access, FlockOperation, access, flock};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

const READ_WAIT: Duration = Duration::from_secs(5);

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    pub journal: Found,
    /// The process that owns it, as far as known.
    pub owner: Option<Option<u32>>,
    /// Bytes that the disk has left.
    pub free: u64,
    /// Whether that is enough to take jobs on.
    pub has_room: bool,
    /// Bytes that held jobs take, as far as they can be read.
    pub held: u64,
    pub copy: Option<Copy>,
}

/// Jobs that are, or would be, held until a person says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    pub sign: Sign,
    pub jobs: u64,
    /// A relay was started on it since it was copied.
    pub is_parked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The start makes one.
    None,
    Whole,
    /// The start sets it aside and takes over what can be read.
    Damaged,
    /// The start takes it over.
    OlderFormat(u32),
}

/// # Errors
/// What would keep a relay from starting, or from writing.
pub fn inspect(settings: &Settings) -> Result<Inspected, JournalError> {
    inspect_at(settings, &Here::of_this_machine())
}

pub(super) fn inspect_at(settings: &Settings, here: &Here) -> Result<Inspected, JournalError> {
    let dir = &settings.dir;
    let place = writable_place(dir)?;
    let path = dir.join(FILE_NAME);
    let header = match header(&path)? {
        Some(header) if dir.join(DAMAGED_MARK).exists() => Header { found: Found::Damaged, ..header },
        Some(header) => header,
        None => Header { found: Found::None, empty: 0 },
    };
    let free = space::free_on(&place);
    let has_room = space::has_room(free, header.empty, settings.disk_free_min);
    let owner = owner(dir);
    let mut found = Inspected { journal: header.found, owner, free, has_room, held: 0, copy: None };
    if header.found == Found::Whole
        && let Ok(db) = open(&path)
    {
        found.held = Totals::read(&db).map_or(0, |totals| totals.held_bytes);
        // A later set-back than the one that is known counts more: nothing is parked of what came back with it.
        let new = || copy(&db, &path, here).unwrap_or_default();
        let is_owned = owner.is_some();
        found.copy = (!is_owned).then(new).flatten().or_else(|| parked(&db).unwrap_or_default());
    }
    Ok(found)
}

/// Opened so that nothing is left behind: what belongs to the file is used where it is there. Where it is not, the file
/// itself holds everything.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let how = if with_companions(path).iter().all(|file| file.exists()) { "mode=ro" } else { "immutable=1" };
    let db = file::connect_uri(path, how)?;
    db.busy_timeout(READ_WAIT)?;
    Ok(db)
}

/// The directory, or the nearest above it in which it would be made. It has to be one that may be written.
fn writable_place(dir: &Path) -> Result<PathBuf, JournalError> {
    let dir = std::path::absolute(dir).map_err(io_error(dir))?;
    for place in dir.ancestors() {
        match fs::metadata(place) {
            Ok(found) if found.is_dir() => {
                return match access(place, Access::WRITE_OK | Access::EXEC_OK) {
                    Ok(()) => Ok(place.to_owned()),
                    Err(error) => Err(io_error(place)(error.into())),
                };
            }
            Ok(_) => return Err(io_error(place)(ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io_error(place)(error)),
        }
    }
    Err(JournalError::Unavailable { path: dir, trouble: Trouble::Missing })
}

/// As a start would find it, if `here` is where it is started. The flight log is looked at so that the start finds it as it is.
fn copy(db: &Connection, path: &Path, here: &Here) -> rusqlite::Result<Option<Copy>> {
    let last = Last::read(db)?;
    let stamp = match &last {
        Last::None => return Ok(None),
        Last::Lost => Stamped::Lost,
        Last::Run(run) => Stamped::By(&run.stamp),
    };
    let Ok(file) = FileIdentity::of(path) else { return Ok(None) };
    let dir = path.parent().unwrap_or(Path::new("."));
    let log = dir.join(flight::FILE_NAME);
    let probe = Probe::look(&log);
    let log = flight::Header::peek(&log);
    let told = Witness::of(dir, &here.witnesses).read();
    let evidence = Evidence {
        stamp,
        reach: Reach { file: file::clock_without_log(path).ok(), ..run::reach(db)? },
        file,
        log: log.as_ref(),
        memory: probe.memory(log.as_ref().and_then(|log| log.mount)),
        here,
        told: &told,
    };
    let Some(sign) = evidence.judge().sign() else { return Ok(None) };
    let jobs: i64 = db.query_row("SELECT held_jobs FROM journal", [], |row| row.get(0))?;
    Ok(Some(Copy { sign, jobs: jobs.unsigned_abs(), is_parked: false }))
}

/// What a start has found before and a person has not decided yet.
fn parked(db: &Connection) -> rusqlite::Result<Option<Copy>> {
    let jobs = run::parked(db)?;
    let sign = Last::read(db)?.run().and_then(|run| run.sign).unwrap_or(Sign::OtherFile);
    Ok((jobs > 0).then_some(Copy { sign, jobs, is_parked: true }))
}

struct Header {
    found: Found,
    /// Bytes of its pages that hold nothing.
    empty: u64,
}

/// Read from the file's first octets (SQLite's database file format, §1.3): opening it would leave files behind.
fn header(path: &Path) -> Result<Option<Header>, JournalError> {
    let mut header = [0; 100];
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path)(error)),
    };
    access(path, Access::WRITE_OK).map_err(|error| io_error(path)(error.into()))?;
    let damaged = Ok(Some(Header { found: Found::Damaged, empty: 0 }));
    match file.read_exact(&mut header) {
        Ok(()) if header.starts_with(b"SQLite format 3\0") => {}
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(io_error(path)(error)),
        _ => return damaged,
    }
    let number = |at: usize| u32::from_be_bytes(*header[at..].first_chunk().expect("100 octets"));
    let page = u64::from(u16::from_be_bytes([header[16], header[17]]));
    let empty = u64::from(number(36)) * page;
    if i64::from(number(68)) != APPLICATION_ID {
        return damaged;
    }
    match number(60) {
        0 => damaged,
        format if i64::from(format) < FORMAT => Ok(Some(Header { found: Found::OlderFormat(format), empty })),
        format if i64::from(format) == FORMAT => Ok(Some(Header { found: Found::Whole, empty })),
        format => {
            let found = i64::from(format);
            Err(JournalError::NewerFormat { path: path.to_owned(), found, known: FORMAT })
        }
    }
}

/// Who holds the lock; the process by its own word.
fn owner(dir: &Path) -> Option<Option<u32>> {
    let mut file = File::open(dir.join(LOCK_NAME)).ok()?;
    if flock(&file, FlockOperation::NonBlockingLockShared) != Err(rustix::io::Errno::WOULDBLOCK) {
        return None;
    }
    let mut pid = String::new();
    Some(file.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Place, settings};
    use super::*;

    #[tokio::test]
    async fn a_journal_in_use_is_whole_and_says_whose_it_is() {
        let mut place = Place::new();
        let found = inspect(&place.settings).unwrap();
        let owner = Some(Some(std::process::id()));
        assert_eq!((found.journal, found.owner, found.has_room), (Found::Whole, owner, true));
        place.close().await;
        let names = |dir: &Path| fs::read_dir(dir).unwrap().count();
        let before = names(&place.settings.dir);
        let found = inspect(&place.settings).unwrap();
        assert_eq!((found.journal, found.owner), (Found::Whole, None));
        assert_eq!(names(&place.settings.dir), before, "nothing is left behind");
        let tight = Settings { disk_free_min: u64::MAX, ..place.settings.clone() };
        assert!(!inspect(&tight).unwrap().has_room);
        for (format, expected) in [(1, Some(Found::OlderFormat(1))), (0, Some(Found::Damaged)), (99, None)] {
            place.db().pragma_update(None, "user_version", format).unwrap();
            place.db().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            match (inspect(&place.settings), expected) {
                (Ok(found), Some(expected)) => assert_eq!(found.journal, expected),
                (Err(JournalError::NewerFormat { found: 99, known: FORMAT, .. }), None) => {}
                other => panic!("{other:?}"),
            }
        }
        fs::write(place.settings.dir.join(FILE_NAME), "no database").unwrap();
        assert_eq!(inspect(&place.settings).unwrap().journal, Found::Damaged);
    }

    #[test]
    fn a_directory_that_is_missing_would_be_made_and_a_file_in_its_place_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let nowhere = dir.path().join("state").join("journal");
        let found = inspect(&settings(&nowhere)).unwrap();
        assert_eq!((found.journal, found.owner), (Found::None, None));
        assert!(!nowhere.exists(), "nothing is made");
        fs::write(dir.path().join("state"), "").unwrap();
        let error = inspect(&settings(&nowhere)).unwrap_err();
        assert!(error.to_string().contains("state") && !error.fix().is_empty(), "{error}");
    }
}
