//! What a person may change in the journal beside a running relay: call off what waits, and have tried again what is
//! in doubt or waits too long.

use super::change::{self, Due, News};
use super::entry::Word;
use super::error::store_error;
use super::{LedgerError, connect};
use crate::fault::{Reason, State};
use crate::journal::Number;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Result, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for the relay's write lock; the relay holds it for one group of jobs at a time.
const WRITE_WAIT: Duration = Duration::from_secs(15);
const STATEMENTS_KEPT: usize = 64;
/// Jobs changed in one transaction: the relay waits no longer than this takes.
const JOBS_AT_ONCE: usize = 2000;

/// What is wanted of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// It is never delivered, if nothing of it is under way.
    Cancel,
    /// It is attempted at once. What was in doubt may arrive a second time, under the same Message-ID.
    Retry,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    Cancelled,
    /// It waited, and is due now.
    DueNow,
    /// It was in doubt, is due now and flagged as sent again.
    SentAgain,
    /// Left as it is: an attempt is under way.
    InFlight,
    /// Left as it is: it has ended, and what it was made from is gone.
    Ended(State),
    NotThere,
}

impl Done {
    pub fn is_changed(self) -> bool {
        matches!(self, Self::Cancelled | Self::DueNow | Self::SentAgain)
    }
}

/// A connection for changes.
pub struct Desk {
    path: PathBuf,
    db: Connection,
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
                0 => return Ok(released),
                some => released += some,
            }
        }
    }
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
    all.commit()?;
    Ok(jobs.len() as u64)
}

fn change_some(db: &mut Connection, jobs: &[Number], ask: Ask, now: i64) -> Result<Vec<Done>> {
    let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = jobs.iter().map(|job| change_one(&all, job.0, ask, now)).collect::<Result<_>>()?;
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
    if is_in_flight {
        return Ok(Done::InFlight);
    }
    let Some(target) = lane else { return Ok(Done::Ended(state)) };
    let news = News { state, reason: None, detail: None, target: None, reply: None, at: now };
    if ask == Ask::Cancel {
        let detail = Some("cancelled by a person");
        let reason = reason.map(|word| word.0);
        change::end(db, job, &News { state: State::Cancelled, reason, detail, ..news })?;
        return Ok(Done::Cancelled);
    }
    if let Some(is_retry) = change::leave(db, job)? {
        change::join(db, job, &Due { target, is_retry, at: 0 })?;
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
    change::turn(db, job, &News { state: State::Journaled, detail, ..news })?;
    Ok(Done::SentAgain)
}
