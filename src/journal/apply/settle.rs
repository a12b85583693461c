//! Attempts end: with the job, or with its next attempt, or in doubt.

use super::{Batch, JobRow, Way};
use crate::fault::{Fault, Reason, State};
use crate::journal::WhenUnknown;
use crate::journal::order::End;
use crate::journal::outcome::Verdict;

/// What the ledger says of a job whose record cannot be read.
const DAMAGED: &str = "the held record is damaged";

impl Batch<'_> {
    /// Ends the attempt of a job in flight. One that is not in flight has been settled before.
    pub fn settle(&mut self, number: i64, end: &End) -> rusqlite::Result<()> {
        let landed = self.db.prepare_cached("DELETE FROM flight WHERE job = ?1")?.execute([number])?;
        if landed == 0 { Ok(()) } else { self.settle_row(number, end) }
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
            End::GivenBack => {
                return self.put_due(number, &way.target, job.attempts > 0, self.moment.clock);
            }
        };
        job.attempts += 1;
        match verdict.state {
            State::Deferred => self.put_off(number, &job, &way, verdict),
            State::Unknown => self.doubt(number, job, &way, verdict),
            _ => self.end(number, &job, verdict),
        }
    }

    /// The reason may pass: it is tried again, unless that would be too late.
    fn put_off(&mut self, number: i64, job: &JobRow, way: &Way, verdict: &Verdict) -> rusqlite::Result<()> {
        self.attempt(number, job.attempts, verdict)?;
        let at = self.next_attempt(job.attempts);
        if at >= way.expires {
            return self.end(number, job, &verdict.clone().into_state(State::Expired));
        }
        self.update(number, job, &verdict.clone().into_state(State::Journaled))?;
        self.put_due(number, &way.target, true, at)
    }

    /// It may have been delivered.
    fn doubt(&mut self, number: i64, mut job: JobRow, way: &Way, verdict: &Verdict) -> rusqlite::Result<()> {
        self.attempt(number, job.attempts, verdict)?;
        self.event(number, verdict, job.attempts)?;
        let at = self.next_attempt(job.attempts);
        if self.settings.unknown == WhenUnknown::Hold || at >= way.expires {
            return self.update(number, &job, verdict);
        }
        job.is_resent = true;
        self.update(number, &job, &verdict.clone().into_state(State::Journaled))?;
        self.put_due(number, &way.target, true, at)
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
            return self.settle(number, &End::Known(Verdict::failed(&doubt)));
        }
        let (Some(job), Some(way)) = (self.job(number)?, self.way(number)?) else { return Ok(()) };
        self.db
            .prepare_cached("DELETE FROM due WHERE target = ?1 AND job = ?2")?
            .execute(rusqlite::params![way.target, number])?;
        let fault =
            Fault::new(Reason::TargetUnavailable, "the journal could not be written; submit it again");
        self.end(number, &job, &Verdict::failed(&fault))
    }
}
