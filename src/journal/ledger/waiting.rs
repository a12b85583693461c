//! Held jobs that wait for their next attempt since something was wrong: once that is mended they need not wait any longer.

use super::LedgerError;
use super::desk::{Ask, Desk, JOBS_AT_ONCE, change_some};
use super::error::store_error;
use crate::fault::Reason;
use crate::journal::Number;
use crate::journal::reader::lanes;
use rusqlite::types::Value;
use rusqlite::{Connection, Result, params_from_iter};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// What is due within this time goes by itself, in milliseconds.
const SOON: i64 = 1_000;

/// What jobs have failed for, and is mended by now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mended {
    /// Whatever a person mends before starting the relay anew: the vault, a template, an engine that was gone (the one cause
    /// for which `bad-job` waits), how a target is reached. A template that
    /// is not there is not among it: it may be put back later.
    Restarted,
    /// Engines, templates, and how targets are reached, were read again.
    Reloaded,
    Vault,
    /// This target was down since then (Unix time in milliseconds): what it put off meanwhile, it put off for that.
    Target {
        name: Arc<str>,
        down_since: i64,
    },
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restarted => f.write_str("the relay was started anew"),
            Self::Vault => f.write_str("the vault can be read again, or was changed"),
            Self::Reloaded => f.write_str("the configuration was read again"),
            Self::Target { name, .. } => write!(f, "the target {name} is up again"),
        }
    }
}

impl Mended {
    /// Whether jobs may wait for it that go to this target; empty for those that go to any.
    fn concerns(&self, lane: &str) -> bool {
        match self {
            Self::Target { name, .. } => lane.is_empty() || lane == &**name,
            Self::Restarted | Self::Reloaded | Self::Vault => true,
        }
    }

    /// Of a row of `job`, with the values of its places.
    fn condition(&self) -> (String, Vec<Value>) {
        let (reasons, down_since): (&[Reason], _) = match self {
            Self::Restarted => (
                &[
                    Reason::VaultUnavailable,
                    Reason::VaultSealed,
                    Reason::TargetUnavailable,
                    Reason::BadTemplate,
                    Reason::BadJob,
                ],
                None,
            ),
            Self::Vault => (&[Reason::VaultUnavailable, Reason::VaultSealed], None),
            Self::Reloaded => (
                &[Reason::BadTemplate, Reason::TemplateNotFound, Reason::BadJob, Reason::TargetUnavailable],
                None,
            ),
            Self::Target { down_since, .. } => (&[Reason::TargetUnavailable], Some(*down_since)),
        };
        let word = |reason: &Reason| Value::from(reason.as_str().to_owned());
        let mut values: Vec<Value> = reasons.iter().map(word).collect();
        let mut sql = format!("job.reason IN ({})", vec!["?"; reasons.len()].join(", "));
        if let Some(since) = down_since {
            sql += " OR (job.reason = ? AND job.changed >= ?)";
            values.extend([word(&Reason::TargetRejected), since.into()]);
        }
        (sql, values)
    }
}

impl Desk {
    /// Whatever waits for this is due at once; a few thousand jobs at a time, and the relay has as much time between them.
    /// How many jobs that were.
    ///
    /// # Errors
    /// As [`Desk::change`].
    pub fn hasten(&mut self, mended: &Mended) -> std::result::Result<u64, LedgerError> {
        let failed = store_error(&self.path);
        let mut hastened = 0;
        let lanes = lanes(&self.db).map_err(&failed)?;
        for (lane, _) in lanes.iter().filter(|(lane, _)| lane.is_retry && mended.concerns(&lane.target)) {
            let mut behind = self.soon().map_err(&failed)?;
            loop {
                let began = Instant::now();
                let waiting = waiting(&self.db, mended, &lane.target, behind).map_err(&failed)?;
                let Some(last) = waiting.last() else { break };
                behind = *last;
                let jobs: Vec<Number> = waiting.iter().map(|(_, job)| Number(*job)).collect();
                // The time is of no matter: no row changes its state.
                let done = change_some(&mut self.db, &jobs, Ask::Hasten, 0).map_err(&failed)?;
                hastened += done.into_iter().filter(|done| done.is_changed()).count() as u64;
                if waiting.len() == JOBS_AT_ONCE {
                    std::thread::sleep(began.elapsed());
                }
            }
        }
        Ok(hastened)
    }

    /// Behind what goes by itself.
    fn soon(&self) -> Result<(i64, i64)> {
        let clock: i64 = self.db.query_row("SELECT clock FROM journal", [], |row| row.get(0))?;
        Ok((clock.saturating_add(SOON), i64::MAX))
    }
}

/// Jobs of a lane by when they are due.
fn waiting(db: &Connection, mended: &Mended, lane: &str, behind: (i64, i64)) -> Result<Vec<(i64, i64)>> {
    let (condition, more) = mended.condition();
    let mut values: Vec<Value> = vec![lane.to_owned().into(), behind.0.into(), behind.1.into()];
    values.extend(more);
    values.push((JOBS_AT_ONCE as i64).into());
    let mut select = db.prepare_cached(&format!(
        "SELECT due.at, due.job FROM due JOIN job ON job.id = due.job
             WHERE due.target = ? AND due.is_retry = 1 AND (due.at, due.job) > (?, ?) AND ({condition})
             ORDER BY due.at, due.job LIMIT ?"
    ))?;
    select.query_map(params_from_iter(&values), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
