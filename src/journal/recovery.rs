//! The start: files are found or made, what the last run left in flight is judged by its flight log, and the threads
//! begin. Looks at what was in flight only, never at all that waits.

use super::Settings;
use super::apply::{Batch, Totals};
use super::clock::{Clock, wall_ms};
use super::error::{JournalError, Trouble, io_error, store_error};
use super::file::{self, Found, Lock, Use};
use super::flight::{self, BootId, Fate, Flights, Log};
use super::handoff::{self, HandoffLog, Note};
use super::order::End;
use super::outcome::Verdict;
use super::salvage::{self, Salvaged};
use super::schedule::Chance;
use super::shared::{DAMAGED_MARK, Shared};
use super::space::Space;
use super::upkeep::Upkeep;
use super::writer::Writer;
use crate::fault::{Fault, State};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What the start has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Jobs that are held: they wait, or are held in doubt.
    pub held: u64,
    /// Jobs that were in flight and may have been delivered.
    pub in_doubt: u64,
    /// Jobs that were in flight and that the target had taken.
    pub relayed: u64,
    /// Jobs that were in flight and had not been offered: they wait again.
    pub given_back: u64,
    /// Jobs that were not held and on their way, and that the ledger did not know.
    pub handed_off: u64,
    /// Jobs that were refused although a failed commit left them on the disk.
    pub refused: u64,
    /// What was saved from a damaged file.
    pub salvaged: Option<Salvaged>,
}

/// What the last run noted beside the database.
struct Logs {
    flights: Log,
    handoffs: Vec<Note>,
}

impl Logs {
    fn handoff_of(&self, db: &Connection, number: i64) -> rusqlite::Result<Option<&Note>> {
        let send: Option<[u8; 16]> =
            db.query_row("SELECT send FROM job WHERE id = ?1", [number], |row| row.get(0)).optional()?;
        Ok(self.handoffs.iter().find(|note| Some(note.send) == send))
    }
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} jobs held", self.held)?;
        for (count, what) in [
            (self.in_doubt, "in doubt"),
            (self.relayed, "relayed when it stopped"),
            (self.given_back, "to be tried again"),
            (self.refused, "taken back, as they were refused"),
            (self.handed_off, "handed off when it stopped, now in the ledger"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        match &self.salvaged {
            Some(salvaged) => write!(f, "; the file was damaged, or of an older format: {salvaged}"),
            None => Ok(()),
        }
    }
}

/// Opens the journal for its one owner.
pub fn open(settings: Settings, boot: BootId) -> Result<(Writer, Recovered), JournalError> {
    let dir = settings.dir.clone();
    file::make_dir(&dir)?;
    let lock = Lock::take(&dir)?;
    let path = dir.join(file::FILE_NAME);
    let log_path = dir.join(flight::FILE_NAME);
    let handoff_path = dir.join(handoff::FILE_NAME);
    let log = Logs { flights: Log::read(&log_path, boot), handoffs: handoff::read(&handoff_path, boot) };
    let mut salvaged = find(&dir, &path)?;
    let mut chance = Chance::new();
    let (db, clock, mut recovered) = match start(&path, &settings, &log, &mut chance) {
        Err(Trouble::Damaged) if salvaged.is_none() => {
            salvaged = Some(salvage::salvage(&dir, &path, wall_ms())?);
            start(&path, &settings, &log, &mut chance)
        }
        Err(Trouble::DiskFull) if Space::new(&settings).drop_ballast() => {
            start(&path, &settings, &log, &mut chance)
        }
        started => started,
    }
    .map_err(|trouble| JournalError::Unavailable { path: path.clone(), trouble })?;
    recovered.salvaged = salvaged;
    // Everything it said is on disk now.
    let flights = Flights::start(&log_path, boot).map_err(io_error(&log_path))?;
    let handoffs = HandoffLog::start(&handoff_path, boot).map_err(io_error(&handoff_path))?;
    let _ = fs::remove_file(dir.join(DAMAGED_MARK));
    let totals = Totals::read(&db).map_err(store_error(&path))?;
    let last_job = last_job(&db).map_err(store_error(&path))?;
    recovered.held = totals.held_jobs;
    let space = Space::new(&settings);
    let shared = Arc::new(Shared::new(settings, clock, (flights, handoffs), last_job));
    file::leave_syncing(&db).map_err(store_error(&path))?;
    shared.set_totals(totals);
    let upkeep = Upkeep::new();
    let home = file::Home::of(&path)?;
    let writer = Writer {
        db,
        shared,
        chance,
        space,
        totals,
        serial: 0,
        took: Duration::ZERO,
        finish_took: Duration::ZERO,
        upkeep,
        backlog: Vec::new(),
        home,
        syncing: None,
        _lock: lock,
    };
    Ok((writer, recovered))
}

fn find(dir: &Path, path: &Path) -> Result<Option<Salvaged>, JournalError> {
    let is_marked = dir.join(DAMAGED_MARK).exists();
    match file::look(path)? {
        Found::Missing => file::create(dir, wall_ms()).map(|()| None),
        Found::Whole if !is_marked => Ok(None),
        Found::Whole | Found::Damaged => salvage::salvage(dir, path, wall_ms()).map(Some),
    }
}

fn start(
    path: &Path,
    settings: &Settings,
    log: &Logs,
    chance: &mut Chance,
) -> Result<(Connection, Clock, Recovered), Trouble> {
    let mut started = || -> rusqlite::Result<_> {
        let mut db = file::connect(path, Use::Write)?;
        let persisted = db.query_row("SELECT clock FROM journal", [], |row| row.get(0))?;
        let clock = Clock::start(persisted, wall_ms());
        let recovered = judge(&mut db, settings, clock, (log, chance))?;
        Ok((db, clock, recovered))
    };
    started().map_err(|error| Trouble::of_store(&error))
}

fn judge(
    db: &mut Connection,
    settings: &Settings,
    clock: Clock,
    (log, chance): (&Logs, &mut Chance),
) -> rusqlite::Result<Recovered> {
    let mut recovered = Recovered::default();
    let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let moment = super::apply::Moment { clock: clock.now_ms(), wall: wall_ms() };
    let mut batch = Batch::new(&all, settings, moment, chance);
    if let Some(last) = log.flights.refused_above {
        let new = "SELECT id, 0 FROM job WHERE id > ?1 AND state = 'journaled'";
        for (number, _) in numbers(&all, new, last)? {
            recovered.refused += 1;
            batch.refuse(number)?;
        }
    }
    let in_flight =
        "SELECT flight.job, ifnull(job.attempts, 0) FROM flight LEFT JOIN job ON job.id = flight.job
         WHERE flight.job > ?1";
    for (number, attempts) in numbers(&all, in_flight, i64::MIN)? {
        // A job that was held while it was handed off was offered before the flight log knew of it.
        let noted = if attempts == 0 { log.handoff_of(&all, number)? } else { None };
        let end = match log.flights.fate(number, attempts + 1) {
            Fate::NotOffered if noted.is_some() => {
                let verdict = noted.map_or_else(|| Verdict::plain(State::Unknown), Note::verdict);
                recovered.in_doubt += u64::from(verdict.state == State::Unknown);
                recovered.relayed += u64::from(verdict.state == State::Relayed);
                End::Known(verdict)
            }
            Fate::NotOffered | Fate::Refused => {
                recovered.given_back += 1;
                End::GivenBack
            }
            Fate::InDoubt => {
                recovered.in_doubt += 1;
                End::Known(Verdict::failed(&Fault::in_doubt(
                    "the relay stopped while the message was on its way",
                )))
            }
            Fate::Relayed { target, code } => {
                recovered.relayed += 1;
                let target = Some(target).filter(|name| !name.is_empty()).map(|name| (&*name).into());
                End::Known(Verdict {
                    target,
                    code: Some(code.basic),
                    enhanced: code.enhanced,
                    ..Verdict::plain(State::Relayed)
                })
            }
        };
        batch.settle(number, &end, None)?;
    }
    let oldest = moment.wall.saturating_sub(super::clock::millis(settings.retention));
    for note in log.handoffs.iter().filter(|note| note.accepted >= oldest) {
        recovered.handed_off += u64::from(batch.note(note)?);
    }
    batch.finish()?;
    all.commit()?;
    Ok(recovered)
}

fn numbers(db: &Connection, select: &str, behind: i64) -> rusqlite::Result<Vec<(i64, u32)>> {
    let mut select = db.prepare(select)?;
    select.query_map([behind], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn last_job(db: &Connection) -> rusqlite::Result<i64> {
    let last = db.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'job'", [], |row| row.get(0));
    Ok(last.optional()?.unwrap_or(0))
}
