//! The ledger: what became of every job, read from the journal's file beside a running relay, and the few changes that
//! a person may make to what is held.
//!
//! Everything here blocks: call it from a blocking thread, or through [`Readers`].

mod campaign;
pub mod change;
mod desk;
mod entry;
mod error;
mod filter;
mod readers;
mod results;
mod waiting;

#[cfg(test)]
pub(crate) mod tests;

pub use campaign::{AtOnce, Span};
pub use desk::{Ask, Desk, Done};
pub use entry::{At, Attempt, Count, Counts, Entry, Event, Standing, Verdict};
pub use error::{LedgerError, Trouble};
pub use filter::{Filter, Scope};
pub use readers::Readers;
pub use results::{Results, Whose};
pub use waiting::Mended;

use super::run::{self, Run};
use super::{Number, Sign, schema};
use crate::job::SendNumber;
use entry::{ENTRY_COLUMNS, Send, Word};
use error::{io_error, store_error};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params_from_iter};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a reader waits for a lock; with a write-ahead log it hardly ever has to.
const READ_WAIT: Duration = Duration::from_secs(5);
/// Jobs read at a time: no read of the file lasts as long as a slow reader of its output.
const PAGE_JOBS: u64 = 1000;
/// Attempts told of one job, the latest ones.
const ATTEMPTS_MAX: u32 = 200;
/// Events looked at in one read, whether they are wanted or not.
const EVENTS_SCANNED_MAX: usize = 20_000;

/// A connection for reading. It never writes.
pub struct Ledger {
    path: PathBuf,
    db: Connection,
    file: FileId,
}

/// Device and inode: which file it is, whatever its name.
type FileId = (u64, u64);

/// Where a job is, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whereabouts {
    pub standing: Standing,
    /// For a waiting job: time until its next attempt, as of the relay's last entry.
    pub due_in: Option<Duration>,
}

/// Some events, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    pub events: Vec<Event>,
    /// The cursor for the next read. It may be ahead of the last event: others were passed over.
    pub next: i64,
    /// There was nothing more when it was read.
    pub is_end: bool,
}

impl Ledger {
    /// Opens the ledger that lies in the journal's directory.
    ///
    /// # Errors
    /// [`LedgerError`]: there is none, it is no journal, or of a newer format.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        let path = dir.join(super::FILE_NAME);
        // Before it is opened: a file put in its place meanwhile is then noticed.
        let file = file_id(&path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = connect(&path, flags, READ_WAIT)?;
        db.pragma_update(None, "query_only", true).map_err(store_error(&path))?;
        Ok(Self { path, db, file })
    }

    /// Whether the file it was opened from is still the journal: a damaged one is set aside, and an open file outlives
    /// its name.
    pub fn is_current(&self) -> bool {
        file_id(&self.path).is_ok_and(|file| file == self.file)
    }

    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn by_send(&self, send: &SendNumber) -> Result<Option<Entry>, LedgerError> {
        let sql = format!("SELECT {ENTRY_COLUMNS} FROM job WHERE send = ?1");
        self.read(|db| db.prepare_cached(&sql)?.query_row([send.bits()], entry::entry).optional())
    }

    /// Up to `limit` jobs behind number `after`, in the order of arrival.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn page(
        &self,
        filter: &Filter,
        after: Option<Number>,
        limit: u64,
    ) -> Result<Vec<Entry>, LedgerError> {
        let (conditions, mut values) = filter.conditions();
        values.insert(0, after.map_or(0, |number| number.0).into());
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let sql = format!("SELECT {ENTRY_COLUMNS} FROM job WHERE id > ?{conditions} ORDER BY id LIMIT ?");
        self.read(|db| {
            let mut select = db.prepare_cached(&sql)?;
            select.query_map(params_from_iter(&values), entry::entry)?.collect()
        })
    }

    /// Up to `limit` jobs, the latest first; with `before` those that came before that number.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn latest(
        &self,
        filter: &Filter,
        before: Option<Number>,
        limit: u64,
    ) -> Result<Vec<Entry>, LedgerError> {
        let (conditions, mut values) = filter.conditions();
        values.insert(0, before.map_or(i64::MAX, |number| number.0).into());
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let sql =
            format!("SELECT {ENTRY_COLUMNS} FROM job WHERE id < ?{conditions} ORDER BY id DESC LIMIT ?");
        self.read(|db| {
            let mut select = db.prepare_cached(&sql)?;
            select.query_map(params_from_iter(&values), entry::entry)?.collect()
        })
    }

    /// How many jobs came before this number; counted no further than `most`.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn count_before(&self, filter: &Filter, before: Number, most: u64) -> Result<u64, LedgerError> {
        let (conditions, mut values) = filter.conditions();
        values.insert(0, before.0.into());
        values.push(i64::try_from(most).unwrap_or(i64::MAX).into());
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM job WHERE id < ?{conditions} ORDER BY id DESC LIMIT ?)"
        );
        self.read(|db| {
            let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
            db.prepare_cached(&sql)?.query_row(params_from_iter(&values), count)
        })
        .map(i64::unsigned_abs)
    }

    /// Hands over every job that is meant, in the order of arrival and page by page, so that neither memory nor the
    /// relay's file grows with the list. Jobs that arrive meanwhile may be among them.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read, and whatever `each` says.
    pub fn for_each<E: From<LedgerError>>(
        &self,
        filter: &Filter,
        (mut after, limit): (Option<Number>, Option<u64>),
        mut each: impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<u64, E> {
        let mut told = 0;
        loop {
            let wanted = limit.map_or(PAGE_JOBS, |limit| PAGE_JOBS.min(limit - told));
            let page = self.page(filter, after, wanted)?;
            let count = page.len() as u64;
            after = page.last().map(|entry| entry.number).or(after);
            page.into_iter().try_for_each(&mut each)?;
            told += count;
            if count < PAGE_JOBS || limit == Some(told) {
                return Ok(told);
            }
        }
    }

    /// The latest attempts at a job, 200 at most, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn attempts(&self, job: Number) -> Result<Vec<Attempt>, LedgerError> {
        let sql = "SELECT number, at, state, reason, detail, target, code, enhanced FROM attempt
             WHERE job = ?1 ORDER BY number DESC LIMIT ?2";
        let mut attempts: Vec<Attempt> = self.read(|db| {
            let attempt = |row: &rusqlite::Row<'_>| {
                Ok(Attempt { attempt: row.get(0)?, at: At(row.get(1)?), verdict: entry::verdict(row, 2)? })
            };
            db.prepare_cached(sql)?.query_map((job.0, ATTEMPTS_MAX), attempt)?.collect()
        })?;
        attempts.reverse();
        Ok(attempts)
    }

    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn standing(&self, job: Number) -> Result<Standing, LedgerError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM payload WHERE job = ?1),
                          EXISTS (SELECT 1 FROM flight WHERE job = ?1),
                          EXISTS (SELECT 1 FROM parked WHERE job = ?1),
                          (SELECT state FROM job WHERE id = ?1),
                          EXISTS (SELECT 1 FROM kept WHERE job = ?1)";
        self.read(|db| {
            db.prepare_cached(sql)?.query_row([job.0], |row| {
                let state = row.get::<_, Option<Word<_>>>(3)?.map(|word| word.0);
                Ok(match (row.get(0)?, row.get(1)?, row.get(2)?, state) {
                    (_, true, ..) => Standing::InFlight,
                    (true, false, _, Some(crate::fault::State::Unknown)) => Standing::HeldInDoubt,
                    (true, false, true, _) => Standing::Parked,
                    (true, false, false, _) => Standing::Waiting,
                    (false, false, ..) if row.get(4)? => Standing::Kept,
                    (false, false, ..) => Standing::Ended,
                })
            })
        })
    }

    /// As [`Ledger::standing`], and when a waiting job is due.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn whereabouts(&self, job: Number) -> Result<Whereabouts, LedgerError> {
        let standing = self.standing(job)?;
        if standing != Standing::Waiting {
            return Ok(Whereabouts { standing, due_in: None });
        }
        let sql = "SELECT max(payload.due - journal.clock, 0) FROM payload, journal WHERE payload.job = ?1";
        let wait: Option<i64> =
            self.read(|db| db.prepare_cached(sql)?.query_row([job.0], |row| row.get(0)).optional())?;
        Ok(Whereabouts { standing, due_in: wait.map(|wait| Duration::from_millis(wait.unsigned_abs())) })
    }

    /// Up to `limit` events behind `after`; of one engine, or of all.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn events(&self, engine: Option<&str>, after: i64, limit: usize) -> Result<Events, LedgerError> {
        let sql = "SELECT event.seq, event.at, job.send, job.engine, job.job_id, job.campaign, event.attempt,
                event.state, event.reason, NULL, event.target, event.code, event.enhanced, job.maybe_repeated
             FROM event LEFT JOIN job ON job.id = event.job WHERE event.seq > ?1 ORDER BY event.seq LIMIT ?2";
        self.read(|db| {
            let mut select = db.prepare_cached(sql)?;
            let mut rows = select.query((after, EVENTS_SCANNED_MAX as i64))?;
            let mut found = Events { events: Vec::new(), next: after, is_end: false };
            for scanned in 0.. {
                if found.events.len() == limit {
                    break;
                }
                let Some(row) = rows.next()? else {
                    found.is_end = scanned < EVENTS_SCANNED_MAX;
                    break;
                };
                found.next = row.get(0)?;
                // Of a job that the ledger no longer keeps, nothing is left to tell.
                let of = row.get_ref(3)?.as_str_or_null()?;
                if of.is_some_and(|of| engine.is_none_or(|engine| engine == of)) {
                    found.events.push(event(row)?);
                }
            }
            Ok(found)
        })
    }

    /// Jobs that are parked, and by what the state was known to be a copy.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn parked(&self) -> Result<(u64, Option<Sign>), LedgerError> {
        self.read(|db| Ok((run::parked(db)?, Run::read(db)?.and_then(|run| run.sign))))
    }

    /// The cursor behind the last event.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn last_event(&self) -> Result<i64, LedgerError> {
        let sql = "SELECT coalesce(max(seq), 0) FROM event";
        self.read(|db| db.prepare_cached(sql)?.query_row([], |row| row.get(0)))
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LedgerError> {
        read(&self.db).map_err(store_error(&self.path))
    }
}

fn event(row: &rusqlite::Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        seq: row.get(0)?,
        at: At(row.get(1)?),
        send: row.get::<_, Send>(2)?.0,
        engine: row.get(3)?,
        job_id: row.get(4)?,
        campaign: row.get(5)?,
        attempt: row.get(6)?,
        verdict: entry::verdict(row, 7)?,
        maybe_repeated: row.get(13)?,
    })
}

fn file_id(path: &Path) -> Result<FileId, LedgerError> {
    let found = std::fs::metadata(path).map_err(io_error(path))?;
    Ok((found.dev(), found.ino()))
}

/// A connection to a journal that is there, its format checked.
fn connect(path: &Path, flags: OpenFlags, wait: Duration) -> Result<Connection, LedgerError> {
    std::fs::metadata(path).map_err(io_error(path))?;
    let failed = store_error(path);
    let db = Connection::open_with_flags(path, flags).map_err(&failed)?;
    db.busy_timeout(wait).map_err(&failed)?;
    let number = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(&failed);
    if number("application_id")? != schema::APPLICATION_ID {
        return Err(LedgerError::Damaged { path: path.to_owned(), what: "it is not a journal" });
    }
    match number("user_version")? {
        schema::FORMAT => {}
        found if found > schema::FORMAT => {
            return Err(LedgerError::NewerFormat { path: path.to_owned(), found, known: schema::FORMAT });
        }
        _ => return Err(LedgerError::Damaged { path: path.to_owned(), what: "it has no format number" }),
    }
    db.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;")
        .map_err(&failed)?;
    Ok(db)
}
