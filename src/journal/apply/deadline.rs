//! Jobs whose time is over end, whether their target is there or not.

use super::Batch;
use crate::journal::schema::LEAVE;
use rusqlite::{Connection, OptionalExtension, params};

/// How much later than its `expires` a job may be looked at, so that one row serves all of about the same moment.
const STEP_MS: i64 = 2_000;
/// No deadline is later, in milliseconds of the journal's clock.
const LATEST_MS: i64 = 1 << 60;
/// A row is for jobs of one such part of all numbers, so that looking at it stays cheap.
const PART_BITS: u32 = 12;
/// Most jobs that end in one commit, and most rows that are looked at.
const JOBS_MAX: usize = 500;
const ROWS_MAX: usize = 64;

/// Notes the deadlines of all that is held.
pub fn note_all(db: &Connection) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO deadline (at, part, first, last)
             SELECT (min(max(expires, 0), ?2) / ?1 + 1) * ?1, job >> ?3, min(job), max(job) FROM payload GROUP BY 1, 2",
        params![STEP_MS, LATEST_MS, PART_BITS],
    )?;
    Ok(())
}

impl Batch<'_> {
    pub(super) fn note_deadline(&mut self, number: i64, expires: i64) {
        let at = (expires.clamp(0, LATEST_MS) / STEP_MS + 1) * STEP_MS;
        let span = self.deadlines.entry((at, number >> PART_BITS)).or_insert((number, number));
        *span = (span.0.min(number), span.1.max(number));
    }

    pub(super) fn write_deadlines(&mut self) -> rusqlite::Result<()> {
        let mut put = self.db.prepare_cached(
            "INSERT INTO deadline (at, part, first, last) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)",
        )?;
        for ((at, part), (first, last)) in std::mem::take(&mut self.deadlines) {
            put.execute([at, part, first, last])?;
        }
        Ok(())
    }

    /// Ends jobs that wait and whose time is over, a bounded number of them. Whether there may be more. What is in
    /// flight ends with its attempt; what is in doubt stays so.
    pub fn expire_late(&mut self) -> rusqlite::Result<bool> {
        let mut left = JOBS_MAX;
        for _ in 0..ROWS_MAX {
            let Some((at, part, first, last)) = self.first_deadline()? else { return Ok(false) };
            let late = self.late(first, last, left)?;
            for number in &late {
                if self.leave(*number)? {
                    self.expire(*number)?;
                }
            }
            left -= late.len();
            match late.last() {
                Some(number) if left == 0 => {
                    self.db
                        .prepare_cached("UPDATE deadline SET first = ?3 WHERE at = ?1 AND part = ?2")?
                        .execute([at, part, number + 1])?;
                    return Ok(true);
                }
                _ => {
                    self.db
                        .prepare_cached("DELETE FROM deadline WHERE at = ?1 AND part = ?2")?
                        .execute([at, part])?;
                }
            }
        }
        Ok(true)
    }

    fn first_deadline(&self) -> rusqlite::Result<Option<(i64, i64, i64, i64)>> {
        self.db
            .prepare_cached(
                "SELECT at, part, first, last FROM deadline WHERE at <= ?1 ORDER BY at, part LIMIT 1",
            )?
            .query_row([self.moment.clock], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()
    }

    fn late(&self, first: i64, last: i64, most: usize) -> rusqlite::Result<Vec<i64>> {
        let mut select = self.db.prepare_cached(
            "SELECT job FROM payload WHERE job BETWEEN ?1 AND ?2 AND expires <= ?3 ORDER BY job LIMIT ?4",
        )?;
        let late =
            select.query_map(params![first, last, self.moment.clock, most as i64], |row| row.get(0))?;
        late.collect()
    }

    /// Takes a job out of its lane. Whether it stood there.
    pub(super) fn leave(&self, number: i64) -> rusqlite::Result<bool> {
        let left = self.db.prepare_cached(LEAVE)?.query_row([number], |_| Ok(())).optional()?;
        Ok(left.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_found_in_its_lane_without_a_search() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(crate::journal::schema::TABLES).unwrap();
        let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {LEAVE}")).unwrap();
        let steps: Vec<String> =
            explain.query_map([1], |row| row.get(3)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
        let lane = "SEARCH due USING PRIMARY KEY (target=? AND is_retry=? AND at=? AND job=?)";
        assert!(steps.iter().any(|step| step == lane), "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
    }
}
