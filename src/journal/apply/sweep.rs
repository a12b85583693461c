//! The ledger forgets what has ended long ago.

use super::Batch;
use rusqlite::{OptionalExtension, params};

/// Most rows looked at in one commit, and so the most that are deleted.
pub const SWEEP_ROWS_MAX: i64 = 500;

/// How far a sweep got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    /// The next one goes on behind this job.
    Upto(i64),
    /// Everything behind is younger.
    Done,
}

impl Batch<'_> {
    /// Deletes jobs that ended before `before` (wall clock), with their attempts and events. The tally stays. Jobs
    /// stand in the order of their arrival, so the first that came later ends the search.
    pub fn sweep(&mut self, behind: i64, before: i64) -> rusqlite::Result<Swept> {
        let rows = {
            let mut select = self.db.prepare_cached(
                "SELECT id, accepted, changed < ?2 AND state <> 'journaled' FROM job WHERE id > ?1
                     ORDER BY id LIMIT ?3",
            )?;
            let rows = select.query_map(params![behind, before, SWEEP_ROWS_MAX], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()?
        };
        for (number, _, is_old) in &rows {
            if *is_old {
                self.forget(*number)?;
            }
        }
        Ok(match rows.last() {
            Some((number, accepted, _)) if rows.len() as i64 == SWEEP_ROWS_MAX && *accepted < before => {
                Swept::Upto(*number)
            }
            _ => Swept::Done,
        })
    }

    fn forget(&mut self, number: i64) -> rusqlite::Result<()> {
        // One held in doubt that nobody has decided on.
        self.release(number)?;
        self.forget_kept(number)?;
        // Of one that is attempted anew meanwhile, which makes a row of its own then.
        self.db.prepare_cached("DELETE FROM flight WHERE job = ?1")?.execute([number])?;
        self.db.prepare_cached("DELETE FROM attempt WHERE job = ?1")?.execute([number])?;
        self.db.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([number])?;
        Ok(())
    }

    /// Deletes the oldest events that are older than `before` (wall clock). Whether there may be more.
    pub fn sweep_events(&mut self, before: i64) -> rusqlite::Result<bool> {
        let last = self
            .db
            .prepare_cached(
                "SELECT max(seq) FROM (SELECT seq, at FROM event ORDER BY seq LIMIT ?1) WHERE at < ?2",
            )?
            .query_row(params![SWEEP_ROWS_MAX, before], |row| row.get::<_, Option<i64>>(0))
            .optional()?
            .flatten();
        let Some(last) = last else { return Ok(false) };
        let deleted = self
            .db
            .prepare_cached("DELETE FROM event WHERE seq <= ?1 AND at < ?2")?
            .execute(params![last, before])?;
        Ok(deleted as i64 == SWEEP_ROWS_MAX)
    }
}
