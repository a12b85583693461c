//! Jobs are taken out to be attempted.

use super::content::Loaded;
use super::{Batch, JobRow};
use crate::fault::{Fault, State};
use crate::journal::Lane;
use crate::journal::flight::RowThen;
use crate::journal::order::{End, Raw};
use crate::journal::outcome::Verdict;
use crate::journal::record::{Hash, Stored};
use bytes::Bytes;
use rusqlite::{Row, params};
use std::collections::HashMap;

/// A due job as it lies there.
struct Due {
    at: i64,
    number: i64,
    /// `None` when it cannot be read.
    found: Option<Found>,
}

/// A payload, with what the ledger says of its job.
struct Found {
    expires: i64,
    row: RowThen,
    stored: Stored,
}

impl Batch<'_> {
    /// Takes the first `count` jobs of a lane that are due. Those whose time is over, or that cannot be read, end
    /// here.
    pub fn claim(&mut self, lane: &Lane, count: usize) -> rusqlite::Result<Vec<Raw>> {
        let due = self.first_due(lane, count)?;
        let Some((last_at, last_job)) = due.last().map(|due| (due.at, due.number)) else {
            return Ok(Vec::new());
        };
        self.take_out(lane, (last_at, last_job))?;
        let mut contents: HashMap<Hash, Loaded> = HashMap::new();
        let mut claimed = Vec::with_capacity(due.len());
        for Due { number, found, .. } in due {
            let Some(found) = found else {
                self.end_unsent(number, true)?;
                continue;
            };
            if found.expires <= self.moment.clock {
                self.end_unsent(number, false)?;
                continue;
            }
            let content = match found.row.content.map(|hash| self.content(&mut contents, hash)).transpose()? {
                Some(Loaded::Damaged) => {
                    self.end_unsent(number, true)?;
                    continue;
                }
                Some(Loaded::Whole(octets)) => Some(octets),
                None => None,
            };
            let stored = Stored { content, ..found.stored };
            claimed.push(Raw {
                number,
                attempt: found.row.attempts + 1,
                stored,
                row: Some(Box::new(found.row)),
            });
        }
        Ok(claimed)
    }

    /// With what is needed of each, in one statement.
    fn first_due(&self, lane: &Lane, count: usize) -> rusqlite::Result<Vec<Due>> {
        let mut select = self.db.prepare_cached(
            "SELECT due.at, due.job, job.send, job.engine, ifnull(job.campaign, ''), job.attempts,
                 payload.expires, payload.content, payload.record, payload.checksum
                 FROM due LEFT JOIN job ON job.id = due.job LEFT JOIN payload ON payload.job = due.job
                 WHERE due.target = ?1 AND due.is_retry = ?2 AND due.at <= ?3
                 ORDER BY due.at, due.job LIMIT ?4",
        )?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let of_lane = params![lane.target, lane.is_retry, self.moment.clock, count];
        let read = |row: &Row<'_>| {
            // A column that holds what it never holds is this job's trouble only.
            Ok(Due { at: row.get(0)?, number: row.get(1)?, found: found(row).ok() })
        };
        select.query_map(of_lane, read)?.collect()
    }

    /// From the queue into flight, up to and with the last one.
    fn take_out(&self, lane: &Lane, (at, job): (i64, i64)) -> rusqlite::Result<()> {
        let upto = params![lane.target, lane.is_retry, at, job, self.moment.clock];
        self.db
            .prepare_cached(
                "INSERT INTO flight (job, since, is_armed_first) SELECT job, ?5, 1 FROM due
                     WHERE target = ?1 AND is_retry = ?2 AND (at, job) <= (?3, ?4)",
            )?
            .execute(upto)?;
        self.db
            .prepare_cached("DELETE FROM due WHERE target = ?1 AND is_retry = ?2 AND (at, job) <= (?3, ?4)")?
            .execute(&upto[..4])?;
        Ok(())
    }

    /// Its time is over, or it cannot be read: it is not in flight after all.
    fn end_unsent(&mut self, number: i64, is_damaged: bool) -> rusqlite::Result<()> {
        self.db.prepare_cached("DELETE FROM flight WHERE job = ?1")?.execute([number])?;
        if is_damaged { self.settle_row(number, &End::Damaged) } else { self.expire(number) }
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

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let record: Vec<u8> = row.get(8)?;
    let row_then = RowThen {
        engine: row.get(3)?,
        campaign: row.get(4)?,
        attempts: row.get(5)?,
        record_bytes: record.len() as i64,
        content: row.get(7)?,
    };
    let stored = Stored {
        send: row.get(2)?,
        engine: row_then.engine.clone(),
        record,
        checksum: row.get(9)?,
        content: None::<Bytes>,
    };
    Ok(Found { expires: row.get(6)?, row: row_then, stored })
}
