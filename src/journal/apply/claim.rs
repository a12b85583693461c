//! Jobs are taken out to be attempted.

use super::content::Loaded;
use super::{Batch, JobRow};
use crate::fault::{Fault, State};
use crate::journal::Lane;
use crate::journal::order::{End, Raw};
use crate::journal::outcome::Verdict;
use crate::journal::record::{Hash, Stored};
use bytes::Bytes;
use rusqlite::{OptionalExtension, params};
use std::collections::HashMap;

/// A payload as it lies there, with what the ledger says of its job.
struct Found {
    expires: i64,
    attempts: u32,
    content: Option<Hash>,
    stored: Stored,
}

impl Batch<'_> {
    /// Takes the first `count` jobs of a lane that are due. Those whose time is over, or that cannot be read, end
    /// here.
    pub fn claim(&mut self, lane: &Lane, count: usize) -> rusqlite::Result<Vec<Raw>> {
        let due = self.first_due(lane, count)?;
        let Some((last_at, last_job)) = due.last().copied() else { return Ok(Vec::new()) };
        self.db
            .prepare_cached("DELETE FROM due WHERE target = ?1 AND is_retry = ?2 AND (at, job) <= (?3, ?4)")?
            .execute(params![lane.target, lane.is_retry, last_at, last_job])?;
        let mut contents: HashMap<Hash, Loaded> = HashMap::new();
        let mut claimed = Vec::with_capacity(due.len());
        for (_, number) in due {
            let Some(found) = self.found(number)? else {
                self.settle_row(number, &End::Damaged)?;
                continue;
            };
            if found.expires <= self.moment.clock {
                self.expire(number)?;
                continue;
            }
            let content = match found.content.map(|hash| self.content(&mut contents, hash)).transpose()? {
                Some(Loaded::Damaged) => {
                    self.settle_row(number, &End::Damaged)?;
                    continue;
                }
                Some(Loaded::Whole(octets)) => Some(octets),
                None => None,
            };
            self.put_in_flight(number)?;
            let stored = Stored { content, ..found.stored };
            claimed.push(Raw { number, attempt: found.attempts + 1, stored });
        }
        Ok(claimed)
    }

    fn first_due(&self, lane: &Lane, count: usize) -> rusqlite::Result<Vec<(i64, i64)>> {
        let mut select = self.db.prepare_cached(
            "SELECT at, job FROM due WHERE target = ?1 AND is_retry = ?2 AND at <= ?3
                 ORDER BY at, job LIMIT ?4",
        )?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let of_lane = params![lane.target, lane.is_retry, self.moment.clock, count];
        select.query_map(of_lane, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    /// `None` when its rows are not whole.
    fn found(&self, number: i64) -> rusqlite::Result<Option<Found>> {
        match self.read(number).optional() {
            // A column that holds what it never holds is this job's trouble only.
            Err(rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..)) => {
                Ok(None)
            }
            found => found,
        }
    }

    /// Two reads: SQLite prepares the join of the two anew each time it runs, which costs more than all the rest.
    fn read(&self, number: i64) -> rusqlite::Result<Found> {
        let mut job = self.db.prepare_cached("SELECT send, engine, attempts FROM job WHERE id = ?1")?;
        let (send, engine, attempts) =
            job.query_row([number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut payload = self
            .db
            .prepare_cached("SELECT expires, content, record, checksum FROM payload WHERE job = ?1")?;
        payload.query_row([number], |row| {
            let (record, checksum) = (row.get(2)?, row.get(3)?);
            let stored = Stored { send, engine, record, checksum, content: None::<Bytes> };
            Ok(Found { expires: row.get(0)?, attempts, content: row.get(1)?, stored })
        })
    }

    fn content(&self, known: &mut HashMap<Hash, Loaded>, hash: Hash) -> rusqlite::Result<Loaded> {
        if let Some(loaded) = known.get(&hash) {
            return Ok(loaded.clone());
        }
        let loaded = self.load_content(hash)?;
        known.insert(hash, loaded.clone());
        Ok(loaded)
    }

    /// The job's time is over: it is not sent. What is known of its last attempt stays known.
    pub(super) fn expire(&mut self, number: i64) -> rusqlite::Result<()> {
        let Some(job) = self.job(number)? else { return Ok(()) };
        let verdict = expired(&job);
        self.end(number, &job, &verdict)
    }
}

fn expired(job: &JobRow) -> Verdict {
    if job.was.reason.is_some() {
        return job.was.clone().into_state(State::Expired);
    }
    Verdict::failed(&Fault::expired())
}
