//! The start: files are found or made, what the last run left in flight is judged by its flight log, and the threads
//! begin. Looks at what was in flight only, never at all that waits.

use super::Settings;
use super::apply::Totals;
use super::clock::{Clock, millis, wall_ms};
use super::error::{JournalError, Trouble, io_error, store_error};
use super::file::{self, Lock, Use};
use super::flight::{self, Flights, Header, Log};
use super::handoff::{self, HandoffLog, LastLog};
use super::judge::{Judging, judge};
use super::origin::{
    self, Evidence, FileIdentity, Here, Mark, Memory, Notes, Probe, Provenance, Reach, Sign, Stamp, Stamped,
    Told, Witness,
};
use super::recovered::Recovered;
use super::run::{self, Last, Run, Unsure};
use super::salvage;
use super::salvaged::Salvaged;
use super::schedule::Chance;
use super::shared::{DAMAGED_MARK, Logs, Shared};
use super::space::Space;
use super::upkeep::Upkeep;
use super::writer::Writer;
use crate::job::Repeat;
use rusqlite::{Connection, OptionalExtension};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What there is before anything is changed.
struct Found {
    salvaged: Option<Salvaged>,
    is_new: bool,
    /// What the database's own file had reached, without its log.
    file_clock: Option<i64>,
    log: Log,
    memory: Memory,
    handoffs: LastLog,
    witness: Witness,
    here: Here,
}

/// What a start has made of it.
struct Started {
    db: Connection,
    clock: Clock,
    recovered: Recovered,
    run: Run,
    reach: Reach,
}

/// Opens the journal for its one owner.
pub fn open(settings: Settings, here: Here) -> Result<(Writer, Recovered), JournalError> {
    let dir = settings.dir.clone();
    file::make_dir(&dir)?;
    let lock = Lock::take(&dir)?;
    let path = dir.join(file::FILE_NAME);
    let mut found = find(&settings, &path, here)?;
    open_found(&path, settings, lock, &mut found).map_err(|cause| cause.behind(found.salvaged.take()))
}

fn open_found(
    path: &Path,
    settings: Settings,
    lock: Lock,
    found: &mut Found,
) -> Result<(Writer, Recovered), JournalError> {
    let dir = settings.dir.clone();
    let mut chance = Chance::new();
    let Started { db, clock, mut recovered, run, reach } = match start(path, &settings, found, &mut chance) {
        Err(Trouble::Damaged) if found.salvaged.is_none() => {
            found.salvaged = Some(salvage::salvage(&settings, path)?);
            start(path, &settings, found, &mut chance)
        }
        Err(Trouble::DiskFull) if Space::new(&settings).drop_ballast() => {
            start(path, &settings, found, &mut chance)
        }
        started => started,
    }
    .map_err(|trouble| JournalError::Unavailable { path: path.to_owned(), trouble })?;
    recovered.salvaged = found.salvaged.clone();
    let logs = begin_logs(&dir, found, &run, reach)?;
    let _ = fs::remove_file(dir.join(DAMAGED_MARK));
    let totals = Totals::read(&db).map_err(store_error(path))?;
    let last_job = last_job(&db).map_err(store_error(path))?;
    recovered.held = totals.held_jobs;
    let space = Space::new(&settings);
    let shared = Arc::new(Shared::new(settings, clock, logs, run, last_job));
    file::leave_syncing(&db).map_err(store_error(path))?;
    shared.set_totals(totals);
    let home = file::Home::of(path)?;
    let writer = Writer {
        db,
        shared,
        chance,
        space,
        totals,
        serial: 0,
        written: reach.clock,
        took: Duration::ZERO,
        finish_took: Duration::ZERO,
        upkeep: Upkeep::new(),
        backlog: Vec::new(),
        home,
        syncing: None,
        _lock: lock,
    };
    Ok((writer, recovered))
}

fn find(settings: &Settings, path: &Path, here: Here) -> Result<Found, JournalError> {
    let dir = &*settings.dir;
    let salvaged = salvage::resume(path)?;
    // The file of the last run.
    let last = salvaged.as_ref().map_or(path, |salvaged| &salvaged.moved_to);
    let log_path = dir.join(flight::FILE_NAME);
    // Before it is read, which would bring it back into memory.
    let probe = Probe::of(&log_path);
    let mut log = Log::read(&log_path);
    if !file::has_log(last) {
        log.end_if_of_before();
    }
    let memory = probe.memory(log.header.as_ref().and_then(|header| header.mount));
    let handoffs = LastLog::read(&dir.join(handoff::FILE_NAME));
    let witness = Witness::of(dir, &here.witnesses);
    let is_marked = dir.join(DAMAGED_MARK).exists();
    // Damage may keep it from being read, which is found out soon enough.
    let file_clock = file::clock_without_log(last).ok();
    let found = Found { salvaged, is_new: false, file_clock, log, memory, handoffs, witness, here };
    match ready(settings, path, is_marked) {
        Ok(File::AsItWas) => Ok(found),
        Ok(File::New) => Ok(Found { is_new: true, ..found }),
        Ok(File::Saved(salvaged)) => Ok(Found { salvaged: Some(salvaged), ..found }),
        Err(cause) => Err(cause.behind(found.salvaged)),
    }
}

/// The database's file as a start goes on with it.
enum File {
    AsItWas,
    New,
    Saved(Salvaged),
}

fn ready(settings: &Settings, path: &Path, is_marked: bool) -> Result<File, JournalError> {
    match file::look(path)? {
        file::Found::Missing => file::create(&settings.dir, wall_ms()).map(|()| File::New),
        file::Found::Whole if !is_marked => Ok(File::AsItWas),
        file::Found::Before(format) if !is_marked => {
            file::upgrade(path, format).map_err(store_error(path)).map(|()| File::AsItWas)
        }
        file::Found::Whole | file::Found::Before(_) | file::Found::Damaged => {
            salvage::salvage(settings, path).map(File::Saved)
        }
    }
}

/// Everything the old logs said is on disk now. What is said elsewhere comes last: it is never ahead of the logs.
fn begin_logs(dir: &Path, found: &Found, run: &Run, reach: Reach) -> Result<Logs, JournalError> {
    let path = dir.join(flight::FILE_NAME);
    let Stamp { id, epoch, .. } = run.stamp;
    let (mount, clock) = (origin::mount_of(dir), reach.clock);
    let header = Header { id, epoch, mount, clock, ..Header::of_boot(found.here.boot) };
    let flights = Flights::start(&path, header).map_err(io_error(&path))?;
    let path = dir.join(handoff::FILE_NAME);
    let header = handoff::Header { id, mark: Mark { epoch, clock } };
    let handoffs = HandoffLog::start(&path, header).map_err(io_error(&path))?;
    found.witness.tidy();
    let told = Told { id, boot: found.here.boot, mark: Mark { epoch, clock }, has_broken_down: false };
    Ok(Logs { flights, handoffs, voice: found.witness.begin(&told), told })
}

fn start(path: &Path, settings: &Settings, found: &Found, chance: &mut Chance) -> Result<Started, Trouble> {
    let file = FileIdentity::of(path).map_err(|error| Trouble::of_io(&error))?;
    let mut started = || -> rusqlite::Result<_> {
        let mut db = file::connect(path, Use::Write)?;
        let last = Last::read(&db)?;
        let told = found.witness.read();
        let evidence = Evidence {
            stamp: stamped(&last, found.is_new),
            reach: Reach { file: found.file_clock, ..run::reach(&db)? },
            file,
            log: found.log.header.as_ref(),
            memory: found.memory,
            here: &found.here,
            told: &told,
        };
        let provenance = evidence.judge();
        let clock = Clock::start(evidence.reach.clock, wall_ms());
        let unsure_until = clock.now_ms() + millis(settings.expires);
        let mut run = next_run(last.run(), &evidence, provenance);
        run.unsure = run.unsure.after(provenance, unsure_until);
        if found.salvaged.as_ref().is_some_and(|salvaged| !salvaged.is_complete) {
            // Rows of the ledger are gone, nobody knows which.
            run.unsure.all_until = run.unsure.all_until.max(unsure_until);
        }
        let has_lost_handoffs = has_lost_handoffs(found, provenance);
        if has_lost_handoffs {
            tracing::warn!(
                "the handoff log is gone or was set back: what was handed off last may be repeated, and is flagged then"
            );
            run.unsure.handoffs_until = run.unsure.handoffs_until.max(unsure_until);
        }
        let notes = evidence.notes(provenance);
        let knows_all = notes == Notes::Exact && !has_lost_handoffs;
        let judging = Judging {
            settings,
            clock,
            log: &found.log,
            handoffs: &found.handoffs,
            before: last.run(),
            run: &run,
            provenance,
            notes,
            handed_off: if knows_all { Repeat::No } else { Repeat::Maybe },
        };
        let recovered = judge(&mut db, &judging, chance)?;
        let reach = run::reach(&db)?;
        Ok(Started { db, clock, recovered, run, reach })
    };
    started().map_err(|error| Trouble::of_store(&error))
}

/// Only where the log alone would know: behind an end in order the ledger does.
fn has_lost_handoffs(found: &Found, provenance: Provenance) -> bool {
    let flights = found.log.header.as_ref().map(|log| handoff::Header { id: log.id, mark: log.mark() });
    match provenance {
        Provenance::Killed => flights.is_some_and(|flights| found.handoffs.is_behind(flights)),
        // In each of them it is not relied on, or there is nothing to be lost.
        Provenance::New
        | Provenance::Emptied
        | Provenance::Ended
        | Provenance::Unsynced
        | Provenance::BrokeDown
        | Provenance::Copied(_) => false,
    }
}

fn stamped(last: &Last, is_new: bool) -> Stamped<'_> {
    match last {
        Last::Run(run) => Stamped::By(&run.stamp),
        Last::Lost => Stamped::Lost,
        Last::None if is_new => Stamped::New,
        Last::None => Stamped::Before,
    }
}

/// What this start writes of itself. A copy is a journal of its own from here on. What was set back stays the one it was, with
/// a later epoch than any: should it be set back once more, that is noticed again.
fn next_run(before: Option<&Run>, evidence: &Evidence<'_>, provenance: Provenance) -> Run {
    let log = evidence.log.filter(|log| log.epoch > 0);
    let id = match (provenance.sign(), before, log) {
        (Some(Sign::OtherFile), ..) => fresh_id(),
        (_, Some(run), _) => run.stamp.id,
        (_, None, Some(log)) if evidence.stamp != Stamped::New => log.id,
        _ => fresh_id(),
    };
    let told = evidence.told.iter().map(|told| told.mark.epoch);
    let epochs = [before.map_or(0, |run| run.stamp.epoch), log.map_or(0, |log| log.epoch)];
    let epoch = told.chain(epochs).max().unwrap_or(0) + 1;
    let sign = provenance.sign().or(before.and_then(|run| run.sign));
    let unsure = before.map_or_else(Unsure::default, |run| run.unsure);
    Run { stamp: Stamp { id, epoch, file: evidence.file, machine: evidence.here.machine }, sign, unsure }
}

fn fresh_id() -> [u8; 16] {
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).expect("the system's random source works");
    id
}

fn last_job(db: &Connection) -> rusqlite::Result<i64> {
    let last = db.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'job'", [], |row| row.get(0));
    Ok(last.optional()?.unwrap_or(0))
}
