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
        let sql = "SELECT count(*), max(id), sum(is_meant), min(iif(is_meant, accepted, NULL)), max(iif(is_meant, changed, NULL))
             FROM (SELECT id, accepted, changed, ?2 IS NULL OR engine = ?2 AS is_meant FROM job
                 WHERE campaign = ?1 AND id > ?3 ORDER BY id LIMIT ?4)";
        let mut span: Option<Span> = None;
        let mut behind = 0;
        loop {
            type Found = (i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>);
            let (scanned, last_id, jobs, first, last): Found = self.read(|db| {
                db.prepare_cached(sql)?
                    .query_row(params![campaign, engine, behind, JOBS_SCANNED_MAX], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                    })
            })?;
            if let (Some(jobs), Some(first), Some(last)) = (jobs, first, last) {
                let new = Span { jobs: jobs.unsigned_abs(), first: At(first), last: At(last) };
                span = Some(span.map_or(new, |span| span.with(new)));
            }
            match last_id {
                Some(id) if scanned == JOBS_SCANNED_MAX => behind = id,
                _ => return Ok(span),
            }
        }
    }

    /// Names of campaigns, at most so many; of one engine, or of all.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn campaigns(&self, engine: Option<&str>, most: usize) -> Result<Vec<String>, LedgerError> {
        let sql = "SELECT DISTINCT campaign FROM tally WHERE campaign <> '' AND (?1 IS NULL OR engine = ?1) LIMIT ?2";
        self.read(|db| {
            let mut select = db.prepare_cached(sql)?;
            select.query_map(params![engine, most as i64], |row| row.get(0))?.collect()
        })
    }
}

impl Span {
    fn with(self, other: Self) -> Self {
        Self {
            jobs: self.jobs + other.jobs,
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}
