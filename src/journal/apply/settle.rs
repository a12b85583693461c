//! Attempts end: with the job, or with its next attempt, or in doubt.

use super::{Batch, JobRow, Way};
use crate::fault::{Fault, Reason, State};
use crate::journal::WhenUnknown;
use crate::journal::clock::millis;
use crate::journal::flight::RowThen;
use crate::journal::order::End;
use crate::journal::outcome::Verdict;
use rusqlite::params;
use std::time::Duration;

/// Pause of a job that was not offered yet, until it may be its turn.
const TURN_PAUSE: Duration = Duration::from_secs(1);
/// What the ledger says of a job whose record cannot be read.
const DAMAGED: &str = "the held record is damaged";

/// Whether the job is over with it: it is neither tried again nor held.
fn ends(state: State) -> bool {
    !matches!(state, State::Deferred | State::Unknown | State::Journaled)
}

impl Batch<'_> {
    /// Ends the attempt of a job in flight. One that is not in flight has been settled before. `row` is what its row
    /// said when it was claimed.
    pub fn settle(&mut self, number: i64, end: &End, row: Option<&RowThen>) -> rusqlite::Result<()> {
        if let (End::Known(verdict), Some(row)) = (end, row)
            && ends(verdict.state)
            && self.end_at_once(number, verdict, row)?
        {
            return Ok(());
        }
        let landed = self.db.prepare_cached("DELETE FROM flight WHERE job = ?1")?.execute([number])?;
        if landed == 0 || self.ended.contains(&number) {
            return Ok(());
        }
        self.settle_row(number, end)
    }

    /// What nearly every attempt comes to, with one statement: nothing is read, and what goes goes at the end of the
    /// commit. False, and nothing done, for a job that is not as one in flight should be.
    fn end_at_once(&mut self, number: i64, verdict: &Verdict, row: &RowThen) -> rusqlite::Result<bool> {
        let attempt = row.attempts + 1;
        let mut update = self.db.prepare_cached(
            "UPDATE job SET changed = ?2, state = ?3, reason = ?4, detail = ?5, target = ?6, code = ?7,
                 enhanced = ?8, attempts = ?9
                 WHERE id = ?1 AND state = 'journaled' AND attempts = ?9 - 1
                     AND EXISTS (SELECT 1 FROM flight WHERE job = ?1)
                     AND EXISTS (SELECT 1 FROM payload WHERE job = ?1)",
        )?;
        let updated = update.execute(params![
            number,
            self.moment.wall,
            verdict.state.as_str(),
            verdict.reason_word(),
            verdict.detail,
            verdict.target,
            verdict.code,
            verdict.enhanced_text(),
            attempt
        ])?;
        drop(update);
        if updated == 0 {
            return Ok(false);
        }
        self.keep_refused(number, verdict)?;
        self.ended.push(number);
        self.freed(row.record_bytes, row.content)?;
        self.count((&row.engine, &row.campaign), &Verdict::plain(State::Journaled), -1);
        self.count((&row.engine, &row.campaign), verdict, 1);
        self.event(number, verdict, attempt);
        Ok(true)
    }

    /// Takes the jobs that ended at once out of flight, and what was held of them away. They were claimed in the order
    /// of their numbers and end nearly so: one statement does for many.
    pub(super) fn clear_ended(&mut self) -> rusqlite::Result<()> {
        let mut ended = std::mem::take(&mut self.ended);
        ended.sort_unstable();
        for run in ended.chunk_by(|a, b| a + 1 == *b) {
            let ends = [run[0], run[run.len() - 1]];
            self.db.prepare_cached("DELETE FROM flight WHERE job BETWEEN ?1 AND ?2")?.execute(ends)?;
            self.db.prepare_cached("DELETE FROM payload WHERE job BETWEEN ?1 AND ?2")?.execute(ends)?;
        }
        Ok(())
    }

    pub(super) fn settle_row(&mut self, number: i64, end: &End) -> rusqlite::Result<()> {
        let Some(mut job) = self.job(number)? else {
            self.quarantined += 1;
            return self.release(number);
        };
        let Some(way) = self.way(number)? else { return self.quarantine(number, &job) };
        let verdict = match end {
            End::Known(verdict) => verdict,
            End::Damaged => return self.quarantine(number, &job),
            // Nobody looks at its deadline once more.
            End::GivenBack | End::NotItsTurn(_) if way.expires <= self.moment.clock => {
                return self.expire(number);
            }
            End::NotItsTurn(verdict) => return self.wait_for_turn(number, &job, &way, verdict),
            End::GivenBack => {
                return self.put_due_again(number, &way.target, job.attempts > 0, self.moment.clock);
            }
        };
        job.attempts += 1;
        match verdict.state {
            State::Deferred => self.put_off(number, &job, &way, verdict),
            State::Unknown => self.doubt(number, job, &way, verdict),
            _ => {
                self.update(number, &job, verdict)?;
                self.keep_refused(number, verdict)?;
                self.event(number, verdict, job.attempts);
                self.release(number)
            }
        }
    }

    /// No attempt is counted, and no pause grows. One that was tried before keeps to its pause, so that those that never were go
    /// first.
    fn wait_for_turn(
        &mut self,
        number: i64,
        job: &JobRow,
        way: &Way,
        verdict: &Verdict,
    ) -> rusqlite::Result<()> {
        let at = match job.attempts {
            0 => self.moment.clock.saturating_add(millis(TURN_PAUSE)),
            attempts => self.next_attempt(attempts),
        };
        self.update(number, job, &verdict.clone().into_state(State::Journaled))?;
        self.put_due_again(number, &way.target, job.attempts > 0, at.min(way.expires))
    }

    /// The reason may pass: it is tried again, unless that would be too late.
    fn put_off(&mut self, number: i64, job: &JobRow, way: &Way, verdict: &Verdict) -> rusqlite::Result<()> {
        self.attempt(number, job.attempts, verdict)?;
        let at = self.next_attempt(job.attempts);
        if at >= way.expires {
            return self.end(number, job, &verdict.clone().into_state(State::Expired));
        }
        self.update(number, job, &verdict.clone().into_state(State::Journaled))?;
        self.put_due_again(number, &way.target, true, at)
    }

    /// It may have been delivered.
    fn doubt(&mut self, number: i64, mut job: JobRow, way: &Way, verdict: &Verdict) -> rusqlite::Result<()> {
        self.attempt(number, job.attempts, verdict)?;
        self.event(number, verdict, job.attempts);
        let at = self.next_attempt(job.attempts);
        if self.settings.unknown == WhenUnknown::Hold || at >= way.expires {
            return self.update(number, &job, verdict);
        }
        job.is_resent = true;
        self.update(number, &job, &verdict.clone().into_state(State::Journaled))?;
        self.put_due_again(number, &way.target, true, at)
    }

    fn quarantine(&mut self, number: i64, job: &JobRow) -> rusqlite::Result<()> {
        self.quarantined += 1;
        self.end(number, job, &Verdict::failed(&Fault::new(Reason::BadJob, DAMAGED)))
    }

    /// Takes back a job that was refused to its engine, though a failed commit left it on the disk. One that was
    /// being attempted then may have been delivered.
    pub fn refuse(&mut self, number: i64) -> rusqlite::Result<()> {
        let flight = self.db.prepare_cached("SELECT 1 FROM flight WHERE job = ?1")?.exists([number])?;
        if flight {
            let doubt = Fault::in_doubt("the journal broke down while the message was on its way");
            return self.settle(number, &End::Known(Verdict::failed(&doubt)), None);
        }
        let Some(job) = self.job(number)? else { return Ok(()) };
        self.leave(number)?;
        let fault =
            Fault::new(Reason::TargetUnavailable, "the journal could not be written; submit it again");
        self.end(number, &job, &Verdict::failed(&fault))
    }
}
