//! The start: files are found or made, what the last run left in flight is judged by its flight log, and the threads
//! begin. Looks at what was in flight only, never at all that waits.

use super::Settings;
use super::apply::{Batch, Totals};
use super::clock::{Clock, millis, wall_ms};
use super::error::{JournalError, Trouble, io_error, store_error};
use super::file::{self, Lock, Use};
use super::flight::{self, Fate, Flights, Header, Log};
use super::handoff::{self, HandoffLog, Note};
use super::order::End;
use super::origin::{self, Evidence, FileIdentity, Here, Memory, Probe, Provenance, Stamp, Told, Witness};
use super::outcome::Verdict;
use super::run::{self, Run, Unsure};
use super::salvage::{self, Salvaged};
use super::schedule::Chance;
use super::shared::{DAMAGED_MARK, Logs, Shared};
use super::space::Space;
use super::upkeep::Upkeep;
use super::writer::Writer;
use crate::fault::{Fault, State};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What the start has found.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// What happened since the last run.
    pub provenance: Provenance,
    /// Jobs that are not attempted until a person says so, as the state is, or was, a copy.
    pub parked: u64,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {} jobs held", self.provenance, self.held)?;
        for (count, what) in [
            (self.in_doubt, "in doubt"),
            (self.relayed, "relayed when it stopped"),
            (self.given_back, "to be tried again"),
            (self.refused, "taken back, as they were refused"),
            (self.handed_off, "handed off when it stopped, now in the ledger"),
            (self.parked, "held until a person releases or cancels them"),
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

impl Recovered {
    pub(super) fn of(provenance: Provenance) -> Self {
        Self {
            held: 0,
            in_doubt: 0,
            relayed: 0,
            given_back: 0,
            handed_off: 0,
            refused: 0,
            salvaged: None,
            provenance,
            parked: 0,
        }
    }
}

/// What there is before anything is changed.
struct Found {
    salvaged: Option<Salvaged>,
    is_new: bool,
    log: Log,
    memory: Memory,
    handoffs: Vec<Note>,
    witness: Witness,
    here: Here,
}

/// What a start has made of it.
struct Started {
    db: Connection,
    clock: Clock,
    recovered: Recovered,
    run: Run,
}

/// Opens the journal for its one owner.
pub fn open(settings: Settings, here: Here) -> Result<(Writer, Recovered), JournalError> {
    let dir = settings.dir.clone();
    file::make_dir(&dir)?;
    let lock = Lock::take(&dir)?;
    let path = dir.join(file::FILE_NAME);
    let mut found = find(&dir, &path, here)?;
    let mut chance = Chance::new();
    let Started { db, clock, mut recovered, run } = match start(&path, &settings, &found, &mut chance) {
        Err(Trouble::Damaged) if found.salvaged.is_none() => {
            found.salvaged = Some(salvage::salvage(&dir, &path, wall_ms())?);
            start(&path, &settings, &found, &mut chance)
        }
        Err(Trouble::DiskFull) if Space::new(&settings).drop_ballast() => {
            start(&path, &settings, &found, &mut chance)
        }
        started => started,
    }
    .map_err(|trouble| JournalError::Unavailable { path: path.clone(), trouble })?;
    recovered.salvaged = found.salvaged.take();
    let logs = begin_logs(&dir, &found, &run)?;
    let _ = fs::remove_file(dir.join(DAMAGED_MARK));
    let totals = Totals::read(&db).map_err(store_error(&path))?;
    let last_job = last_job(&db).map_err(store_error(&path))?;
    recovered.held = totals.held_jobs;
    let space = Space::new(&settings);
    let shared = Arc::new(Shared::new(settings, clock, logs, run, last_job));
    file::leave_syncing(&db).map_err(store_error(&path))?;
    shared.set_totals(totals);
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
        upkeep: Upkeep::new(),
        backlog: Vec::new(),
        home,
        syncing: None,
        _lock: lock,
    };
    Ok((writer, recovered))
}

fn find(dir: &Path, path: &Path, here: Here) -> Result<Found, JournalError> {
    let log_path = dir.join(flight::FILE_NAME);
    // Before it is read, which would bring it back into memory.
    let probe = Probe::of(&log_path);
    let mut log = Log::read(&log_path);
    if !file::has_log(path) {
        log.end_if_of_before();
    }
    let memory = probe.memory(log.header.as_ref().and_then(|header| header.mount));
    let handoffs = handoff::read(&dir.join(handoff::FILE_NAME));
    let witness = Witness::of(dir, here.witness.as_deref());
    let is_marked = dir.join(DAMAGED_MARK).exists();
    let found = Found { salvaged: None, is_new: false, log, memory, handoffs, witness, here };
    match file::look(path)? {
        file::Found::Missing => {
            file::create(dir, wall_ms())?;
            Ok(Found { is_new: true, ..found })
        }
        file::Found::Whole if !is_marked => Ok(found),
        file::Found::Before if !is_marked => {
            file::upgrade(path).map_err(store_error(path))?;
            Ok(found)
        }
        file::Found::Whole | file::Found::Before | file::Found::Damaged => {
            Ok(Found { salvaged: Some(salvage::salvage(dir, path, wall_ms())?), ..found })
        }
    }
}

/// Everything the old logs said is on disk now.
fn begin_logs(dir: &Path, found: &Found, run: &Run) -> Result<Logs, JournalError> {
    let path = dir.join(flight::FILE_NAME);
    let Stamp { id, epoch, .. } = run.stamp;
    let header = Header { id, epoch, mount: origin::mount_of(dir), ..Header::of_boot(found.here.boot) };
    let flights = Flights::start(&path, header).map_err(io_error(&path))?;
    let path = dir.join(handoff::FILE_NAME);
    let handoffs = HandoffLog::start(&path, found.here.boot).map_err(io_error(&path))?;
    found.witness.tidy();
    found.witness.say(Told { id, epoch, has_broken_down: false });
    Ok(Logs { flights, handoffs, witness: found.witness.clone() })
}

fn start(path: &Path, settings: &Settings, found: &Found, chance: &mut Chance) -> Result<Started, Trouble> {
    let now = FileIdentity::of(path).map_err(|error| Trouble::of_io(&error))?;
    // A file that was set aside is the one the last run had.
    let last = match &found.salvaged {
        Some(salvaged) => FileIdentity::of(&salvaged.moved_to).map_err(|error| Trouble::of_io(&error))?,
        None => now,
    };
    let mut started = || -> rusqlite::Result<_> {
        let mut db = file::connect(path, Use::Write)?;
        let before = Run::read(&db)?;
        let evidence = Evidence {
            stamp: before.as_ref().map(|run| &run.stamp),
            is_new: found.is_new,
            file: last,
            log: found.log.header.as_ref(),
            memory: found.memory,
            here: &found.here,
            told: found.witness.read(),
        };
        let provenance = evidence.judge();
        let persisted = db.query_row("SELECT clock FROM journal", [], |row| row.get(0))?;
        let clock = Clock::start(persisted, wall_ms());
        let run = next_run(
            before.as_ref(),
            (&evidence, provenance),
            now,
            clock.now_ms() + millis(settings.expires),
        );
        let judging = Judging { settings, clock, found, before: before.as_ref(), run: &run };
        let recovered = judge(&mut db, &judging, provenance, chance)?;
        Ok(Started { db, clock, recovered, run })
    };
    started().map_err(|error| Trouble::of_store(&error))
}

/// What this start writes of itself. A copy is a journal of its own from here on.
fn next_run(
    before: Option<&Run>,
    (evidence, provenance): (&Evidence<'_>, Provenance),
    file: FileIdentity,
    unsure_until: i64,
) -> Run {
    let log = evidence.log.filter(|log| log.epoch > 0);
    let id = match (before, provenance.sign(), log) {
        (Some(run), None, _) => run.stamp.id,
        (None, None, Some(log)) if !evidence.is_new => log.id,
        _ => fresh_id(),
    };
    let epochs = [
        before.map_or(0, |run| run.stamp.epoch),
        log.map_or(0, |log| log.epoch),
        evidence.told.map_or(0, |told| told.epoch),
    ];
    let epoch = epochs.into_iter().max().unwrap_or(0) + 1;
    let sign = provenance.sign().or(before.and_then(|run| run.sign));
    let unsure = before.map_or_else(Unsure::default, |run| run.unsure).after(provenance, unsure_until);
    Run { stamp: Stamp { id, epoch, file, machine: evidence.here.machine }, sign, unsure }
}

fn fresh_id() -> [u8; 16] {
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).expect("the system's random source works");
    id
}

/// What the judgement of the last run rests on.
struct Judging<'a> {
    settings: &'a Settings,
    clock: Clock,
    found: &'a Found,
    before: Option<&'a Run>,
    run: &'a Run,
}

impl Judging<'_> {
    /// Up to which number jobs may stand that were accepted, if a commit of the last run has failed.
    fn refused_above(&self) -> Option<i64> {
        let log = self.found.log.header.as_ref()?;
        let is_of_last_run = self.before.is_none_or(|run| {
            run.stamp.id == log.id && (run.stamp.epoch..=run.stamp.epoch + 1).contains(&(log.epoch + 1))
        });
        log.refused_above.filter(|_| is_of_last_run)
    }

    fn handoff_of(&self, db: &Connection, number: i64) -> rusqlite::Result<Option<&Note>> {
        let send: Option<[u8; 16]> =
            db.query_row("SELECT send FROM job WHERE id = ?1", [number], |row| row.get(0)).optional()?;
        Ok(self.found.handoffs.iter().find(|note| Some(note.send) == send))
    }
}

/// A job that was in flight.
struct InFlight {
    number: i64,
    attempts: u32,
    is_armed_first: bool,
}

fn judge(
    db: &mut Connection,
    judging: &Judging<'_>,
    provenance: Provenance,
    chance: &mut Chance,
) -> rusqlite::Result<Recovered> {
    let mut recovered = Recovered::of(provenance);
    let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let moment = super::apply::Moment { clock: judging.clock.now_ms(), wall: wall_ms() };
    let mut batch = Batch::new(&all, judging.settings, moment, chance);
    if let Some(last) = judging.refused_above() {
        for number in refused(&all, last)? {
            recovered.refused += 1;
            batch.refuse(number)?;
        }
    }
    for flight in in_flight(&all)? {
        let end = end_of(&all, judging, &flight, &mut recovered)?;
        batch.settle(flight.number, &end, None)?;
    }
    let oldest = moment.wall.saturating_sub(millis(judging.settings.retention));
    for note in judging.found.handoffs.iter().filter(|note| note.accepted >= oldest) {
        recovered.handed_off += u64::from(batch.note(note)?);
    }
    batch.finish()?;
    if provenance.sign().is_some() {
        run::park(&all)?;
    }
    recovered.parked = run::parked(&all)?;
    judging.run.write(&all)?;
    all.commit()?;
    Ok(recovered)
}

/// How the attempt ended that was under way when the last run did.
fn end_of(
    db: &Connection,
    judging: &Judging<'_>,
    flight: &InFlight,
    recovered: &mut Recovered,
) -> rusqlite::Result<End> {
    let InFlight { number, attempts, is_armed_first } = *flight;
    // A job that was held while it was handed off was offered before the flight log knew of it.
    let was_handed_off = attempts == 0 && !is_armed_first;
    let noted = if was_handed_off { judging.handoff_of(db, number)? } else { None };
    let trust = recovered.provenance.notes();
    let fate = judging.found.log.fate((number, attempts + 1), trust, is_armed_first);
    if let (Fate::NotOffered | Fate::InDoubt, Some(note)) = (&fate, noted) {
        let verdict = note.verdict();
        recovered.in_doubt += u64::from(verdict.state == State::Unknown);
        recovered.relayed += u64::from(verdict.state == State::Relayed);
        return Ok(End::Known(verdict));
    }
    Ok(match fate {
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
    })
}

fn refused(db: &Connection, above: i64) -> rusqlite::Result<Vec<i64>> {
    let mut select = db.prepare("SELECT id FROM job WHERE id > ?1 AND state = 'journaled'")?;
    select.query_map([above], |row| row.get(0))?.collect()
}

fn in_flight(db: &Connection) -> rusqlite::Result<Vec<InFlight>> {
    let mut select = db.prepare(
        "SELECT flight.job, ifnull(job.attempts, 0), flight.is_armed_first
             FROM flight LEFT JOIN job ON job.id = flight.job",
    )?;
    let read = |row: &Row<'_>| {
        Ok(InFlight { number: row.get(0)?, attempts: row.get(1)?, is_armed_first: row.get(2)? })
    };
    select.query_map([], read)?.collect()
}

fn last_job(db: &Connection) -> rusqlite::Result<i64> {
    let last = db.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'job'", [], |row| row.get(0));
    Ok(last.optional()?.unwrap_or(0))
}
