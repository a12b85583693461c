//! What a person may change in the journal beside a running relay: call off what waits, and have tried again what is
//! in doubt, waits too long, or was refused.

use super::change::{self, Due, News};
use super::entry::Word;
use super::error::store_error;
use super::{LedgerError, connect};
use crate::fault::{Reason, State};
use crate::journal::clock::millis;
use crate::journal::origin::Here;
use crate::journal::record::own_deadline;
use crate::journal::{Number, kept, marks};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Result, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for the relay's write lock; the relay holds it for one group of jobs at a time.
const WRITE_WAIT: Duration = Duration::from_secs(15);
const STATEMENTS_KEPT: usize = 64;
/// Jobs changed in one transaction: the relay waits no longer than this takes.
pub(super) const JOBS_AT_ONCE: usize = 2000;

/// What is wanted of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// If it waits, it is attempted at once.
    Hasten,
    /// It is never delivered, if nothing of it is under way.
    Cancel,
    /// It is attempted at once. What was in doubt may arrive a second time, under the same Message-ID. What was refused
    /// is judged anew, and tried for so long if it has no deadline of its own.
    Retry { tried_for: Duration },
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    Cancelled,
    /// It waited, and is due now.
    DueNow,
    /// It was in doubt, is due now and flagged as sent again.
    SentAgain,
    /// It was refused before any target saw it, is due now and judged anew.
    JudgedAnew,
    /// Likewise refused, and left as it is: what it was made from is not kept any more.
    NotKept(State),
    /// Likewise refused, and left as it is: its own deadline has passed.
    TooLate(State),
    /// Left as it is: an attempt is under way.
    InFlight,
    /// Left as it is: it is held until a person says otherwise.
    Held,
    /// Left as it is: it has ended, and what it was made from is gone.
    Ended(State),
    NotThere,
}

impl Done {
    pub fn is_changed(self) -> bool {
        matches!(self, Self::Cancelled | Self::DueNow | Self::SentAgain | Self::JudgedAnew)
    }
}

/// A connection for changes.
pub struct Desk {
    pub(super) path: PathBuf,
    pub(super) db: Connection,
}

impl Desk {
    /// # Errors
    /// [`LedgerError`]: there is no journal, or it cannot be written.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        let path = dir.join(crate::journal::FILE_NAME);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = connect(&path, flags, WRITE_WAIT)?;
        db.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -32768;",
        )
        .and_then(|()| db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true))
        .map_err(store_error(&path))?;
        db.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(Self { path, db })
    }

    /// Changes these jobs, two thousand in a transaction; what a transaction changed is on disk when the next begins.
    /// One answer a job, in the order given. `now` is in milliseconds of Unix time.
    ///
    /// # Errors
    /// [`LedgerError`] when the journal cannot be written, or its lock is not free within 15 s. What came before stays
    /// changed; asking again is safe.
    pub fn change(&mut self, jobs: &[Number], ask: Ask, now: i64) -> Result<Vec<Done>, LedgerError> {
        let failed = store_error(&self.path);
        let mut done = Vec::with_capacity(jobs.len());
        for some in jobs.chunks(JOBS_AT_ONCE) {
            done.extend(change_some(&mut self.db, some, ask, now).map_err(&failed)?);
        }
        if done.iter().any(|done| done.is_changed()) {
            self.mark();
        }
        Ok(done)
    }

    /// Lets everything go that is parked, two thousand in a transaction. How many jobs that were.
    ///
    /// # Errors
    /// As [`Desk::change`].
    pub fn release_all(&mut self) -> Result<u64, LedgerError> {
        let failed = store_error(&self.path);
        let mut released = 0;
        loop {
            match release_some(&mut self.db).map_err(&failed)? {
                0 => break,
                some => released += some,
            }
        }
        self.mark();
        Ok(released)
    }

    fn mark(&self) {
        if let Some(dir) = self.path.parent() {
            marks::move_up(dir, &self.db, &Here::of_this_machine().witnesses);
        }
    }
}

/// A change is a commit like those of the relay, and later than the one before.
fn move_clock(db: &Connection) -> Result<()> {
    db.prepare_cached("UPDATE journal SET clock = clock + 1")?.execute([]).map(drop)
}

fn release_some(db: &mut Connection) -> Result<u64> {
    let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let jobs: Vec<(i64, Box<str>)> = {
        let mut select = all.prepare_cached(
            "SELECT parked.job, ifnull(payload.target, '') FROM parked LEFT JOIN payload USING (job)
                 ORDER BY parked.job LIMIT ?1",
        )?;
        select
            .query_map([JOBS_AT_ONCE as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_>>()?
    };
    for (job, target) in &jobs {
        if let Some(is_retry) = change::unpark(&all, *job)? {
            change::join(&all, *job, &Due { target: target.clone(), is_retry, at: 0 })?;
            change::note_deadline(&all, *job)?;
        }
    }
    move_clock(&all)?;
    all.commit()?;
    Ok(jobs.len() as u64)
}

pub(super) fn change_some(db: &mut Connection, jobs: &[Number], ask: Ask, now: i64) -> Result<Vec<Done>> {
    let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = jobs.iter().map(|job| change_one(&all, job.0, ask, now)).collect::<Result<_>>()?;
    move_clock(&all)?;
    all.commit()?;
    Ok(done)
}

fn change_one(db: &Connection, job: i64, ask: Ask, now: i64) -> Result<Done> {
    let mut select = db.prepare_cached(
        "SELECT job.state, job.reason, EXISTS (SELECT 1 FROM flight WHERE flight.job = id), payload.target
             FROM job LEFT JOIN payload ON payload.job = id WHERE id = ?1",
    )?;
    type Found = (Word<State>, Option<Word<Reason>>, bool, Option<Box<str>>);
    let found: Option<Found> =
        select.query_row([job], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).optional()?;
    let Some((Word(state), reason, is_in_flight, lane)) = found else { return Ok(Done::NotThere) };
    let news = News { state, reason: None, detail: None, target: None, reply: None, at: now };
    match (lane, ask) {
        _ if is_in_flight => Ok(Done::InFlight),
        (None, Ask::Cancel | Ask::Hasten) => Ok(Done::Ended(state)),
        (None, Ask::Retry { tried_for }) => judge_anew(db, job, &news, tried_for),
        (Some(_), Ask::Cancel) => {
            let detail = Some("cancelled by a person");
            let reason = reason.map(|word| word.0);
            change::end(db, job, &News { state: State::Cancelled, reason, detail, ..news })?;
            Ok(Done::Cancelled)
        }
        (Some(target), Ask::Hasten) => match hasten(db, job, &target)? {
            true => Ok(Done::DueNow),
            false => Ok(Done::Held),
        },
        (Some(target), Ask::Retry { .. }) => retry_held(db, job, target, &news),
    }
}

/// Whether it waited.
fn hasten(db: &Connection, job: i64, target: &str) -> Result<bool> {
    let Some(is_retry) = change::leave(db, job)? else { return Ok(false) };
    change::join(db, job, &Due { target: target.into(), is_retry, at: 0 })?;
    Ok(true)
}

fn retry_held(db: &Connection, job: i64, target: Box<str>, news: &News<'_>) -> Result<Done> {
    if hasten(db, job, &target)? {
        return Ok(Done::DueNow);
    }
    if let Some(is_retry) = change::unpark(db, job)? {
        change::join(db, job, &Due { target, is_retry, at: 0 })?;
        change::note_deadline(db, job)?;
        return Ok(Done::DueNow);
    }
    change::join(db, job, &Due { target, is_retry: true, at: 0 })?;
    change::note_deadline(db, job)?;
    db.prepare_cached("UPDATE job SET is_resent = 1 WHERE id = ?1")?.execute([job])?;
    let detail = Some("to be sent again, as a person decided");
    change::turn(db, job, &News { state: State::Journaled, detail, ..*news })?;
    Ok(Done::SentAgain)
}

/// One that is not held: if the relay refused it and what it was made from is kept, it goes on from there.
fn judge_anew(db: &Connection, job: i64, news: &News<'_>, tried_for: Duration) -> Result<Done> {
    let is_refused = format!("SELECT {} FROM job WHERE id = ?1", *kept::IS_REFUSED);
    if !db.prepare_cached(&is_refused)?.query_row([job], |row| row.get(0))? {
        return Ok(Done::Ended(news.state));
    }
    let Some(record) = kept::record(db, job)? else { return Ok(Done::NotKept(news.state)) };
    let clock: i64 = db.prepare_cached("SELECT clock FROM journal")?.query_row([], |row| row.get(0))?;
    // The relay's clock, as it would begin now.
    let clock = clock.max(news.at);
    let expires = match own_deadline(&record) {
        Ok(Some(at)) if at <= news.at => return Ok(Done::TooLate(news.state)),
        Ok(Some(at)) => clock.saturating_add(at - news.at),
        // A damaged one is found so when it is taken out.
        Ok(None) | Err(_) => clock.saturating_add(millis(tried_for)),
    };
    change::put_behind(db, job)?;
    kept::flag_if_unsure(db, job)?;
    let target = kept::take_back(db, job, expires)?;
    change::join(db, job, &Due { target, is_retry: true, at: 0 })?;
    change::note_deadline(db, job)?;
    let detail = Some("to be judged anew, as a person decided");
    change::turn(db, job, &News { state: State::Journaled, detail, ..*news })?;
    Ok(Done::JudgedAnew)
}
