//! Held jobs whose engine is not configured any more: they wait for it, and somebody has to learn that they do.

use crate::counted::counted;
use crate::engine::Engines;
use crate::journal::Journal;
use crate::journal::ledger::Readers;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How soon it counts that such jobs were called off, or have expired.
const LOOK: Duration = Duration::from_secs(10);

/// Engines that are gone, each with the number of jobs that wait for it.
#[derive(Debug, Default)]
pub struct Orphans(
    // Plain data, held for a line.
    Mutex<Vec<(String, u64)>>,
);

impl Orphans {
    fn lock(&self) -> MutexGuard<'_, Vec<(String, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks now and then, and whenever the engines are others. Runs until the engines are nobody's any more.
    pub async fn watch(
        &self,
        journal_dir: PathBuf,
        journal: Journal,
        mut engines: watch::Receiver<Arc<Engines>>,
    ) {
        let readers = Readers::new(journal_dir, 1);
        loop {
            let configured = engines.borrow_and_update().clone();
            let held = match journal.stats().held_jobs {
                0 => Some(Vec::new()),
                // Why the ledger cannot be read is told where it is read for somebody.
                _ => readers.read(|ledger| ledger.held_by_engine()).await.ok(),
            };
            if let Some(mut held) = held {
                held.retain(|(engine, _)| configured.by_name(engine).is_none());
                *self.lock() = held;
            }
            if let Ok(Err(_)) = timeout(LOOK, engines.changed()).await {
                return;
            }
        }
    }

    /// One line each for an operator.
    pub fn told(&self) -> Vec<String> {
        self.lock().iter().map(|(engine, jobs)| told(engine, *jobs)).collect()
    }
}

fn told(engine: &str, jobs: u64) -> String {
    let jobs = counted(jobs, "held job");
    format!(
        "engine {engine}: {jobs} of it, and it is not configured any more: put it back and reload (SIGHUP), or call them off: \
         tokenrelay jobs cancel --engine {engine} --yes"
    )
}
