//! The start: files are found or made, what the last run left in flight is judged by its flight log, and the threads
//! begin. Looks at what was in flight only, never at all that waits.

use super::Settings;
use super::apply::{Batch, Totals};
use super::clock::{Clock, wall_ms};
use super::error::{JournalError, Trouble, io_error, store_error};
use super::file::{self, Found, Lock, Use};
use super::flight::{self, BootId, Fate, Flights, Log};
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
use std::fs;
use std::path::Path;
use std::sync::Arc;

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
    /// Jobs that were refused although a failed commit left them on the disk.
    pub refused: u64,
    /// What was saved from a damaged file.
    pub salvaged: Option<Salvaged>,
}

/// Opens the journal for its one owner.
pub fn open(settings: Settings, boot: BootId) -> Result<(Writer, Recovered), JournalError> {
    let dir = settings.dir.clone();
    file::make_dir(&dir)?;
    let lock = Lock::take(&dir)?;
    let path = dir.join(file::FILE_NAME);
    let log_path = dir.join(flight::FILE_NAME);
    let log = Log::read(&log_path, boot);
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
    let _ = fs::remove_file(dir.join(DAMAGED_MARK));
    let totals = Totals::read(&db).map_err(store_error(&path))?;
    let last_job = last_job(&db).map_err(store_error(&path))?;
    recovered.held = totals.held_jobs;
    let space = Space::new(&settings);
    let shared = Arc::new(Shared::new(settings, clock, flights));
    shared.set_totals(totals);
    let upkeep = Upkeep::new();
    let writer =
        Writer { db, shared, chance, space, totals, last_job, upkeep, backlog: Vec::new(), _lock: lock };
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
    log: &Log,
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
    (log, chance): (&Log, &mut Chance),
) -> rusqlite::Result<Recovered> {
    let mut recovered = Recovered::default();
    let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let moment = super::apply::Moment { clock: clock.now_ms(), wall: wall_ms() };
    let mut batch = Batch::new(&all, settings, moment, chance);
    if let Some(last) = log.refused_above {
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
        let end = match log.fate(number, attempts + 1) {
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
        batch.settle(number, &end)?;
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
