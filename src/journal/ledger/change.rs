//! What every change of a held job has to do in the journal's tables, whoever makes it: the row, the tally and the
//! event move together, and what an ended job was made from is freed.
//!
//! Every function belongs inside a write transaction of its caller. `held_bytes` counts the octets of all records,
//! [`ROW_BYTES`] for each, and the octets of each content once; it and `held_jobs` are only ever changed by a difference,
//! since the relay and the command line change them side by side.

use crate::fault::{Reason, ReplyCode, State};
use crate::journal::schema::LEAVE;
use rusqlite::{Connection, OptionalExtension, Result, params};

/// What a held job takes beside its record: its rows and their places in the indexes.
pub const ROW_BYTES: i64 = crate::journal::record::ROW_BYTES as i64;

/// What a job turns into.
#[derive(Debug, Clone, Copy)]
pub struct News<'a> {
    pub state: State,
    pub reason: Option<Reason>,
    pub detail: Option<&'a str>,
    /// The target that caused it, when one did; the row keeps the one it had otherwise.
    pub target: Option<&'a str>,
    pub reply: Option<ReplyCode>,
    /// Milliseconds of Unix time.
    pub at: i64,
}

/// A place in `due`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub target: Box<str>,
    pub is_retry: bool,
    /// Milliseconds of the journal's own clock. 0 is the past, whatever the clock says.
    pub at: i64,
}

/// Gives the job's row its new state, moves its count in the tally, and tells it as an event.
pub fn turn(db: &Connection, job: i64, news: &News<'_>) -> Result<()> {
    let mut before = db.prepare_cached("SELECT engine, campaign, state, reason FROM job WHERE id = ?1")?;
    type Counted = (String, Option<String>, String, Option<String>);
    let (engine, campaign, state, reason): Counted =
        before.query_row([job], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let campaign = campaign.as_deref().unwrap_or_default();
    count(db, (&engine, campaign), (&state, reason.as_deref()), -1)?;
    let (state, reason) = (news.state.as_str(), news.reason.map(Reason::as_str));
    count(db, (&engine, campaign), (state, reason), 1)?;
    let code = news.reply.map(|reply| reply.basic);
    let enhanced = news.reply.and_then(|reply| reply.enhanced).map(|enhanced| enhanced.to_string());
    db.prepare_cached(
        "UPDATE job SET state = ?2, reason = ?3, detail = ?4, target = coalesce(?5, target), code = ?6, enhanced = ?7,
             changed = ?8 WHERE id = ?1",
    )?
    .execute(params![job, state, reason, news.detail, news.target, code, enhanced, news.at])?;
    db.prepare_cached(
        "INSERT INTO event (job, at, state, reason, target, code, enhanced, attempt)
             SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, attempts FROM job WHERE id = ?1",
    )?
    .execute(params![job, news.at, state, reason, news.target, code, enhanced])?;
    Ok(())
}

/// Adds to the count of an engine's campaign (empty for jobs of none) under a state and reason. What is journaled is
/// counted without its reason: that one is of an attempt, not of the job. A count of nothing has no row.
pub fn count(
    db: &Connection,
    (engine, campaign): (&str, &str),
    (state, reason): (&str, Option<&str>),
    by: i64,
) -> Result<()> {
    let reason = reason.filter(|_| state != State::Journaled.as_str()).unwrap_or_default();
    let mut add = db.prepare_cached(
        "INSERT INTO tally VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs RETURNING jobs",
    )?;
    let jobs: i64 = add.query_row(params![engine, campaign, state, reason, by], |row| row.get(0))?;
    if jobs == 0 {
        db.prepare_cached(
            "DELETE FROM tally WHERE engine = ?1 AND campaign = ?2 AND state = ?3 AND reason = ?4",
        )?
        .execute([engine, campaign, state, reason])?;
    }
    Ok(())
}

/// What its row says becomes one of the job's attempts, of the moment when it came about.
pub fn put_behind(db: &Connection, job: i64) -> Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO attempt (job, number, at, state, reason, detail, target, code, enhanced)
             SELECT id, attempts, changed, state, reason, detail, target, code, enhanced FROM job WHERE id = ?1",
    )?
    .execute([job])?;
    Ok(())
}

/// The job is over: nothing of what it was made from stays.
pub fn end(db: &Connection, job: i64, news: &News<'_>) -> Result<()> {
    leave(db, job)?;
    unpark(db, job)?;
    db.prepare_cached("DELETE FROM flight WHERE job = ?1")?.execute([job])?;
    free(db, job)?;
    turn(db, job, news)
}

/// Takes a held job out of the queue. Whether it was a retry; `None` when it did not wait.
pub fn leave(db: &Connection, job: i64) -> Result<Option<bool>> {
    db.prepare_cached(LEAVE)?.query_row([job], |row| row.get(0)).optional()
}

/// Takes a job from those that wait for a person's word. Whether it is a retry; `None` when it is not among them. Whatever
/// becomes of it, it may have been carried by the run that the state was copied from.
pub fn unpark(db: &Connection, job: i64) -> Result<Option<bool>> {
    let mut take = db.prepare_cached("DELETE FROM parked WHERE job = ?1 RETURNING is_retry")?;
    let parked = take.query_row([job], |row| row.get(0)).optional()?;
    if parked.is_some() {
        db.prepare_cached("UPDATE job SET maybe_repeated = 1 WHERE id = ?1")?.execute([job])?;
    }
    Ok(parked)
}

/// Looks at its deadline once more: it may have passed while nobody did.
pub fn note_deadline(db: &Connection, job: i64) -> Result<()> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO deadline SELECT max(expires, 0), -job, job, job FROM payload WHERE job = ?1",
    )?
    .execute([job])?;
    Ok(())
}

/// Puts a job into the queue.
pub fn join(db: &Connection, job: i64, due: &Due) -> Result<()> {
    db.prepare_cached("UPDATE payload SET due = ?2 WHERE job = ?1")?.execute([job, due.at])?;
    db.prepare_cached("INSERT INTO due VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        due.target,
        due.is_retry,
        due.at,
        job
    ])?;
    Ok(())
}

/// Removes what a job is made from; its content too when no other job is made from the same.
pub fn free(db: &Connection, job: i64) -> Result<()> {
    let mut take =
        db.prepare_cached("DELETE FROM payload WHERE job = ?1 RETURNING content, length(record)")?;
    type Taken = (Option<Vec<u8>>, i64);
    let taken: Option<Taken> = take.query_row([job], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((content, record_bytes)) = taken else { return Ok(()) };
    let content_bytes = content.map_or(Ok(0), |hash| release(db, &hash))?;
    db.prepare_cached("UPDATE journal SET held_bytes = held_bytes - ?1, held_jobs = held_jobs - 1")?
        .execute([record_bytes + ROW_BYTES + content_bytes])?;
    Ok(())
}

/// One user less of a content. Returns the octets that are free now.
fn release(db: &Connection, hash: &[u8]) -> Result<i64> {
    let mut release = db.prepare_cached(
        "UPDATE content SET uses = uses - 1 WHERE hash = ?1 RETURNING uses, length(octets)",
    )?;
    let left: Option<(i64, i64)> =
        release.query_row([hash], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match left {
        Some((uses, bytes)) if uses <= 0 => {
            db.prepare_cached("DELETE FROM content WHERE hash = ?1")?.execute([hash])?;
            Ok(bytes)
        }
        _ => Ok(0),
    }
}
