//! One commit in the making: what every change to a job has in common, and the sums that are written once at its end.

mod claim;
mod content;
mod deadline;
mod event;
mod hold;
mod refused;
mod settle;
mod sweep;

pub use deadline::note_all as note_deadlines;
pub use refused::Keep;
pub use sweep::Swept;

use super::Settings;
use super::outcome::Verdict;
use super::record::Hash;
use super::schedule::{Chance, pause};
use crate::fault::{Reason, State};
use crate::job::Repeat;
use content::Uses;
use event::Event;
use refused::Keeping;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, HashMap};

/// The moment of a commit, in milliseconds: of the journal's clock, and of the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub clock: i64,
    pub wall: i64,
    /// Of the commit before it, on the journal's clock.
    pub before: i64,
    /// Of the last commit that the flight log is sure to know of.
    pub log: i64,
}

/// What the whole journal holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of records and contents.
    pub held_bytes: u64,
    /// Jobs that wait, are in flight, or are held in doubt.
    pub held_jobs: u64,
    pub quarantined: u64,
    /// Bytes of what refused jobs were made from, and how many those are.
    pub kept_bytes: u64,
    pub kept_jobs: u64,
}

impl Totals {
    pub fn read(db: &Connection) -> rusqlite::Result<Self> {
        let mut select = db.prepare_cached(
            "SELECT held_bytes, held_jobs, quarantined, kept_bytes, kept_jobs FROM journal",
        )?;
        select.query_row([], |row| {
            let number = |at| row.get::<_, i64>(at).map(|number| number.max(0) as u64);
            Ok(Self {
                held_bytes: number(0)?,
                held_jobs: number(1)?,
                quarantined: number(2)?,
                kept_bytes: number(3)?,
                kept_jobs: number(4)?,
            })
        })
    }
}

/// What a row says of it.
pub fn repeat(is_maybe_one: bool) -> Repeat {
    if is_maybe_one { Repeat::Maybe } else { Repeat::No }
}

pub struct Batch<'a> {
    db: &'a Connection,
    settings: &'a Settings,
    pub moment: Moment,
    chance: &'a mut Chance,
    tally: HashMap<Counted, i64>,
    contents: HashMap<Hash, Uses>,
    /// First and last job, by deadline and part.
    deadlines: BTreeMap<(i64, i64), (i64, i64)>,
    events: Vec<Event>,
    /// Jobs that ended, and are still in flight.
    ended: Vec<i64>,
    held_bytes: i64,
    held_jobs: i64,
    quarantined: i64,
    keeping: Keeping,
    /// Whether a job was put where it waits for its next attempt.
    pub has_made_due: bool,
    /// Highest number given to a new job.
    pub last_job: Option<i64>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Counted {
    engine: Box<str>,
    campaign: Box<str>,
    state: State,
    reason: Option<Reason>,
}

/// What a change to a job has to know of it.
#[derive(Debug)]
struct JobRow {
    engine: Box<str>,
    campaign: Box<str>,
    attempts: u32,
    is_resent: bool,
    repeat: Repeat,
    was: Verdict,
}

impl JobRow {
    /// It comes again: what the ledger knows of it may not be all that became of it.
    fn may_repeat(&mut self, repeat: Repeat) {
        if repeat == Repeat::Maybe {
            self.repeat = repeat;
        }
    }
}

/// Where a held job goes to and until when it may.
#[derive(Debug)]
struct Way {
    target: Box<str>,
    expires: i64,
}

impl<'a> Batch<'a> {
    /// Works within the transaction that is open on `db`.
    pub fn new(db: &'a Connection, settings: &'a Settings, moment: Moment, chance: &'a mut Chance) -> Self {
        Self {
            db,
            settings,
            moment,
            chance,
            tally: HashMap::new(),
            contents: HashMap::new(),
            deadlines: BTreeMap::new(),
            events: Vec::new(),
            ended: Vec::new(),
            held_bytes: 0,
            held_jobs: 0,
            quarantined: 0,
            keeping: Keeping::default(),
            has_made_due: false,
            last_job: None,
        }
    }

    /// Writes the sums.
    ///
    /// # Errors
    /// [`rusqlite::Error::StatementChangedRows`] also when the journal is not as far as the commit before has left it.
    pub fn finish(mut self) -> rusqlite::Result<Totals> {
        self.clear_ended()?;
        self.write_contents()?;
        self.write_deadlines()?;
        self.write_tally()?;
        self.write_events()?;
        let Moment { clock, before, log, .. } = self.moment;
        let changed = self
            .db
            .prepare_cached(
                "UPDATE journal SET clock = max(clock, ?1), held_bytes = held_bytes + ?2, held_jobs = held_jobs + ?3,
                     quarantined = quarantined + ?4, log_clock = ?5, kept_bytes = kept_bytes + ?7, kept_jobs = kept_jobs + ?8
                     WHERE clock >= ?6",
            )?
            .execute(params![
                clock,
                self.held_bytes,
                self.held_jobs,
                self.quarantined,
                log,
                before,
                self.keeping.growth.bytes,
                self.keeping.growth.jobs
            ])?;
        if changed != 1 {
            return Err(rusqlite::Error::StatementChangedRows(changed));
        }
        Totals::read(self.db)
    }

    fn write_tally(&mut self) -> rusqlite::Result<()> {
        let mut add = self.db.prepare_cached(
            "INSERT INTO tally (engine, campaign, state, reason, jobs) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs",
        )?;
        for (counted, jobs) in self.tally.drain().filter(|(_, jobs)| *jobs != 0) {
            let reason = counted.reason.map_or("", Reason::as_str);
            add.execute(params![counted.engine, counted.campaign, counted.state.as_str(), reason, jobs])?;
        }
        Ok(())
    }

    fn count(&mut self, (engine, campaign): (&str, &str), verdict: &Verdict, jobs: i64) {
        let reason = verdict.reason.filter(|_| verdict.state != State::Journaled);
        let counted =
            Counted { engine: engine.into(), campaign: campaign.into(), state: verdict.state, reason };
        *self.tally.entry(counted).or_default() += jobs;
    }

    fn job(&self, number: i64) -> rusqlite::Result<Option<JobRow>> {
        let mut select = self.db.prepare_cached(
            "SELECT engine, ifnull(campaign, ''), attempts, is_resent, maybe_repeated,
                 state, reason, detail, target, code, enhanced FROM job WHERE id = ?1",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(JobRow {
                engine: row.get(0)?,
                campaign: row.get(1)?,
                attempts: row.get(2)?,
                is_resent: row.get(3)?,
                repeat: repeat(row.get(4)?),
                was: Verdict::read(row, 5)?,
            })
        };
        select.query_row([number], read).optional()
    }

    fn way(&self, number: i64) -> rusqlite::Result<Option<Way>> {
        let mut select = self.db.prepare_cached("SELECT target, expires FROM payload WHERE job = ?1")?;
        select.query_row([number], |row| Ok(Way { target: row.get(0)?, expires: row.get(1)? })).optional()
    }

    /// Puts the verdict into the job's row and counts it there instead of where it was.
    fn update(&mut self, number: i64, job: &JobRow, verdict: &Verdict) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "UPDATE job SET changed = ?2, state = ?3, reason = ?4, detail = ?5, target = ?6, code = ?7,
                     enhanced = ?8, attempts = ?9, is_resent = ?10, maybe_repeated = ?11 WHERE id = ?1",
            )?
            .execute(params![
                number,
                self.moment.wall,
                verdict.state.as_str(),
                verdict.reason_word(),
                verdict.detail,
                verdict.target,
                verdict.code,
                verdict.enhanced_text(),
                job.attempts,
                job.is_resent,
                job.repeat == Repeat::Maybe
            ])?;
        self.count((&job.engine, &job.campaign), &job.was, -1);
        self.count((&job.engine, &job.campaign), verdict, 1);
        Ok(())
    }

    /// An attempt that did not end the job.
    fn attempt(&self, number: i64, attempt: u32, verdict: &Verdict) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO attempt (job, number, at, state, reason, detail, target, code, enhanced)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                number,
                attempt,
                self.moment.wall,
                verdict.state.as_str(),
                verdict.reason_word(),
                verdict.detail,
                verdict.target,
                verdict.code,
                verdict.enhanced_text()
            ])?;
        Ok(())
    }

    fn put_due(&mut self, number: i64, target: &str, is_retry: bool, at: i64) -> rusqlite::Result<()> {
        self.has_made_due = true;
        self.db
            .prepare_cached("INSERT OR IGNORE INTO due (target, is_retry, at, job) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![target, is_retry, at, number])?;
        Ok(())
    }

    /// Puts a job back into a lane.
    fn put_due_again(&mut self, number: i64, target: &str, is_retry: bool, at: i64) -> rusqlite::Result<()> {
        self.db.prepare_cached("UPDATE payload SET due = ?2 WHERE job = ?1")?.execute([number, at])?;
        self.put_due(number, target, is_retry, at)
    }

    fn put_in_flight(&self, number: i64) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("INSERT INTO flight (job, since) VALUES (?1, ?2)")?
            .execute([number, self.moment.clock])?;
        Ok(())
    }

    /// When a job that has failed `attempts` times is tried again.
    fn next_attempt(&mut self, attempts: u32) -> i64 {
        let settings = self.settings;
        let pause = pause(attempts, settings.retry_first, settings.retry_max, self.chance.draw());
        self.moment.clock.saturating_add(super::clock::millis(pause))
    }

    /// The job's end: nothing is kept of it but what the ledger says.
    fn end(&mut self, number: i64, job: &JobRow, verdict: &Verdict) -> rusqlite::Result<()> {
        self.update(number, job, verdict)?;
        self.event(number, verdict, job.attempts);
        self.release(number)
    }

    /// Drops what is held of a job.
    fn release(&mut self, number: i64) -> rusqlite::Result<()> {
        let held = self
            .db
            .prepare_cached("DELETE FROM payload WHERE job = ?1 RETURNING length(record), content")?
            .query_row([number], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Hash>>(1)?)))
            .optional()?;
        let Some((bytes, content)) = held else { return Ok(()) };
        self.freed(bytes, content)
    }

    /// A record of so many octets is gone, and one use of its content.
    fn freed(&mut self, record_bytes: i64, content: Option<Hash>) -> rusqlite::Result<()> {
        self.held_bytes -= record_bytes + super::record::ROW_BYTES as i64;
        self.held_jobs -= 1;
        match content {
            Some(hash) => self.use_content(hash, None),
            None => Ok(()),
        }
    }
}
