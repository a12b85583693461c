//! What became of a campaign: its counts, and from when to when.

use super::entry::Word;
use super::{At, Count, Counts, Ledger, LedgerError};
use rusqlite::params;

/// Jobs looked at in one read: none lasts long, whatever the campaign's size.
const JOBS_SCANNED_MAX: i64 = 20_000;

/// From when to when a campaign's jobs came and changed, of those that the ledger still keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub jobs: u64,
    /// The first one was accepted.
    pub first: At,
    /// The last change of one.
    pub last: At,
    /// Those that took one attempt: how fast they went says nothing of when a person had others tried again.
    pub at_once: Option<AtOnce>,
}

/// Jobs that took one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtOnce {
    pub jobs: u64,
    /// The last change of one.
    pub last: At,
}

impl Ledger {
    /// Jobs of a campaign by state and reason; of one engine, or of all. Empty when there is no such campaign.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn campaign(&self, engine: Option<&str>, campaign: &str) -> Result<Counts, LedgerError> {
        let by_engine = if engine.is_some() { "engine = ?2 AND" } else { "?2 IS NULL AND" };
        let sql = format!(
            "SELECT state, nullif(reason, ''), sum(jobs) FROM tally WHERE {by_engine} campaign = ?1
                 GROUP BY state, reason HAVING sum(jobs) > 0 ORDER BY state, reason"
        );
        self.read(|db| {
            let count = |row: &rusqlite::Row<'_>| {
                Ok(Count {
                    state: row.get::<_, Word<_>>(0)?.0,
                    reason: row.get::<_, Option<Word<_>>>(1)?.map(|word| word.0),
                    jobs: row.get::<_, i64>(2)?.unsigned_abs(),
                })
            };
            db.prepare_cached(&sql)?.query_map((campaign, engine), count)?.collect()
        })
        .map(Counts)
    }

    /// When the first of a campaign's jobs was accepted, and the last one changed; of one engine, or of all. `None` when none of
    /// its jobs is kept.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn campaign_span(&self, engine: Option<&str>, campaign: &str) -> Result<Option<Span>, LedgerError> {
        let sql = "SELECT count(*), max(id), sum(is_meant), min(iif(is_meant, accepted, NULL)), max(iif(is_meant, changed, NULL)),
                 sum(is_meant AND attempts <= 1), max(iif(is_meant AND attempts <= 1, changed, NULL))
             FROM (SELECT id, accepted, changed, attempts, ?2 IS NULL OR engine = ?2 AS is_meant FROM job
                 WHERE campaign = ?1 AND id > ?3 ORDER BY id LIMIT ?4)";
        let mut span: Option<Span> = None;
        let mut behind = 0;
        loop {
            let (scanned, last_id, found): (i64, Option<i64>, Option<Span>) = self.read(|db| {
                db.prepare_cached(sql)?
                    .query_row(params![campaign, engine, behind, JOBS_SCANNED_MAX], |row| {
                        Ok((row.get(0)?, row.get(1)?, span_of(row)?))
                    })
            })?;
            span = match (span, found) {
                (Some(span), Some(more)) => Some(span.with(more)),
                (span, found) => span.or(found),
            };
            match last_id {
                Some(id) if scanned == JOBS_SCANNED_MAX => behind = id,
                _ => return Ok(span),
            }
        }
    }

    /// Engines that have jobs which are still to be delivered, and how many.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn held_by_engine(&self) -> Result<Vec<(String, u64)>, LedgerError> {
        let sql = "SELECT engine, sum(jobs) FROM tally WHERE state = 'journaled' GROUP BY engine HAVING sum(jobs) > 0 ORDER BY engine";
        self.read(|db| {
            let held = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
            db.prepare_cached(sql)?.query_map([], held)?.collect()
        })
    }

    /// Names of engines that have jobs, at most so many.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn engines(&self, most: usize) -> Result<Vec<String>, LedgerError> {
        self.read(|db| {
            let mut select =
                db.prepare_cached("SELECT DISTINCT engine FROM tally ORDER BY engine LIMIT ?1")?;
            select.query_map(params![most as i64], |row| row.get(0))?.collect()
        })
    }

    /// Names of targets that the latest jobs went to, at most so many.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn targets(&self, most: usize) -> Result<Vec<String>, LedgerError> {
        let sql = "SELECT DISTINCT target FROM (SELECT target FROM job ORDER BY id DESC LIMIT ?1)
             WHERE target IS NOT NULL ORDER BY target LIMIT ?2";
        self.read(|db| {
            let mut select = db.prepare_cached(sql)?;
            select.query_map(params![JOBS_SCANNED_MAX, most as i64], |row| row.get(0))?.collect()
        })
    }

    /// Names of campaigns, at most so many; of one engine, or of all.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn campaigns(&self, engine: Option<&str>, most: usize) -> Result<Vec<String>, LedgerError> {
        let sql = "SELECT DISTINCT campaign FROM tally WHERE campaign <> '' AND (?1 IS NULL OR engine = ?1)
             ORDER BY campaign LIMIT ?2";
        self.read(|db| {
            let mut select = db.prepare_cached(sql)?;
            select.query_map(params![engine, most as i64], |row| row.get(0))?.collect()
        })
    }
}

/// `None` where no job was meant.
fn span_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Span>> {
    let number = |at: usize| row.get::<_, Option<i64>>(at);
    let (Some(jobs), Some(first), Some(last)) = (number(2)?, number(3)?, number(4)?) else { return Ok(None) };
    let at_once = match (number(5)?, number(6)?) {
        (Some(jobs), Some(last)) => Some(AtOnce { jobs: jobs.unsigned_abs(), last: At(last) }),
        _ => None,
    };
    Ok(Some(Span { jobs: jobs.unsigned_abs(), first: At(first), last: At(last), at_once }))
}

impl Span {
    fn with(self, other: Self) -> Self {
        Self {
            jobs: self.jobs + other.jobs,
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            at_once: match (self.at_once, other.at_once) {
                (Some(one), Some(other)) => Some(one.with(other)),
                (one, other) => one.or(other),
            },
        }
    }
}

impl AtOnce {
    fn with(self, other: Self) -> Self {
        Self { jobs: self.jobs + other.jobs, last: self.last.max(other.last) }
    }
}
