//! What refused jobs were made from is kept for a while, and goes: the oldest first when it becomes too much.

use super::Batch;
use super::sweep::SWEEP_ROWS_MAX;
use crate::fault::State;
use crate::job::Job;
use crate::journal::kept::{self, Growth, Refused};
use crate::journal::outcome::Verdict;
use crate::journal::record::Written;

/// Whether there is room for what is only kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    #[default]
    Refused,
    /// The disk has little left.
    Nothing,
}

/// What becomes of it within one commit.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    pub what: Keep,
    pub growth: Growth,
    /// Bytes kept before this commit; read when it matters.
    before: Option<i64>,
}

impl Batch<'_> {
    pub fn keep_only(&mut self, what: Keep) {
        self.keeping.what = what;
    }

    fn keeps(&self, verdict: &Verdict) -> bool {
        let is_refusal = matches!(verdict.state, State::Rejected | State::Suppressed);
        is_refusal && self.settings.keep_refused.is_on() && self.keeping.what == Keep::Refused
    }

    /// The attempt at a held job has ended so, which its row says by now; what it is made from is still there.
    pub(super) fn keep_refused(&mut self, number: i64, verdict: &Verdict) -> rusqlite::Result<()> {
        if !self.keeps(verdict) {
            return Ok(());
        }
        self.keeping.growth += kept::keep_payload(self.db, number, self.moment.clock)?;
        self.stay_within_bound()
    }

    /// Likewise, of a job that was never held.
    pub(super) fn keep_written(&mut self, number: i64, job: &Job, written: &Written) -> rusqlite::Result<()> {
        if self.keeping.what == Keep::Nothing {
            return Ok(());
        }
        let refused = Refused { target: job.target.as_deref().unwrap_or_default(), written };
        self.keeping.growth += kept::keep(self.db, number, self.moment.clock, refused)?;
        self.stay_within_bound()
    }

    pub(super) fn forget_kept(&mut self, number: i64) -> rusqlite::Result<()> {
        self.keeping.growth += kept::forget(self.db, number)?;
        Ok(())
    }

    fn is_over_bound(&mut self) -> rusqlite::Result<bool> {
        let before = match self.keeping.before {
            Some(bytes) => bytes,
            None => {
                self.db.prepare_cached("SELECT kept_bytes FROM journal")?.query_row([], |row| row.get(0))?
            }
        };
        self.keeping.before = Some(before);
        let most = i64::try_from(self.settings.keep_refused.bytes_max).unwrap_or(i64::MAX);
        Ok(before.saturating_add(self.keeping.growth.bytes) > most)
    }

    fn stay_within_bound(&mut self) -> rusqlite::Result<()> {
        while self.is_over_bound()? {
            let Some((oldest, _)) = kept::oldest(self.db, 1)?.pop() else { break };
            self.forget_kept(oldest)?;
        }
        Ok(())
    }

    /// What was kept for long enough goes, and what is too much since the bound was set lower; a bounded number of it. Whether
    /// there may be more.
    pub fn sweep_kept(&mut self, before: i64) -> rusqlite::Result<bool> {
        let oldest = kept::oldest(self.db, SWEEP_ROWS_MAX)?;
        let is_full = oldest.len() as i64 == SWEEP_ROWS_MAX;
        for (job, since) in oldest {
            if since >= before && !self.is_over_bound()? {
                return Ok(false);
            }
            self.forget_kept(job)?;
        }
        Ok(is_full)
    }
}
