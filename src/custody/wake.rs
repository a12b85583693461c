//! What held jobs wait for besides their pauses. Once it is mended they go at once: the pause after many attempts is long, and
//! whoever has mended something waits for the mail.

use crate::fault::Reason;
use crate::inject::Injector;
use crate::journal::Journal;
use crate::journal::ledger::Mended;
use crate::ticket::Outcome;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How soon it is seen that a target is up again.
const LOOK: Duration = Duration::from_secs(1);
/// What was under way when something was mended has failed by then as well.
const ONCE_MORE: Duration = Duration::from_secs(2);
/// Between two rounds: what comes and goes costs no more.
const REST: Duration = Duration::from_secs(8);
/// A target is known to be down only after some messages that it has not taken.
const NOTICED_WITHIN: Duration = Duration::from_secs(60);

/// Told of what is mended.
#[derive(Debug, Default)]
pub struct Wakes {
    // Plain data, held for a line.
    mended: Mutex<BTreeSet<Mended>>,
    told: Notify,
    /// Since the vault was changed last, somebody could not be read.
    waits_for_vault: AtomicBool,
}

impl Wakes {
    /// Jobs that wait for this go on.
    pub fn mended(&self, mended: Mended) {
        self.lock().insert(mended);
        self.told.notify_one();
    }

    /// What could not be read in it may have been mended.
    pub fn vault_changed(&self) {
        if self.waits_for_vault.swap(false, Relaxed) {
            self.mended(Mended::Vault);
        }
    }

    /// An attempt of a held job has ended.
    pub(super) fn ended(&self, outcome: &Outcome) {
        if matches!(outcome, Outcome::Failed(fault) if fault.reason == Reason::VaultUnavailable) {
            self.waits_for_vault.store(true, Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Mended>> {
        self.mended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until it is dropped.
    pub(super) async fn run(&self, journal: &Journal, injector: &Injector) {
        let mut targets = Targets::of(injector);
        let mut left = hasten(journal, BTreeSet::from([Mended::Restarted])).await;
        loop {
            let mut round = std::mem::take(&mut left);
            while round.is_empty() {
                let _ = timeout(LOOK, self.told.notified()).await;
                if journal.stats().held_jobs > 0 {
                    injector.try_to_reach();
                }
                round = self.news(&mut targets, injector);
            }
            hasten(journal, round.clone()).await;
            sleep(ONCE_MORE).await;
            round.extend(self.news(&mut targets, injector));
            left = hasten(journal, round).await;
            sleep(REST).await;
        }
    }

    fn news(&self, targets: &mut Targets, injector: &Injector) -> BTreeSet<Mended> {
        let mut mended = std::mem::take(&mut *self.lock());
        mended.extend(targets.news(injector));
        mended
    }
}

/// How often each target had recovered when it was looked at last.
struct Targets(HashMap<Arc<str>, u64>);

impl Targets {
    fn of(injector: &Injector) -> Self {
        Self(injector.recoveries().map(|(name, recoveries)| (name.clone(), recoveries.count)).collect())
    }

    fn news(&mut self, injector: &Injector) -> Vec<Mended> {
        let mut mended = Vec::new();
        for (name, now) in injector.recoveries() {
            if self.0.insert(name.clone(), now.count) != Some(now.count) {
                let down_since = now.down_since.unwrap_or(UNIX_EPOCH);
                mended.push(Mended::Target { name: name.clone(), down_since: unix_ms(down_since) });
            }
        }
        mended
    }
}

fn unix_ms(down_since: SystemTime) -> i64 {
    let since = down_since.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(NOTICED_WITHIN);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What of it is to be done once more, as the journal cannot be written.
async fn hasten(journal: &Journal, round: BTreeSet<Mended>) -> BTreeSet<Mended> {
    let mut left = BTreeSet::new();
    for mended in round {
        match journal.hasten(mended.clone()).await {
            Ok(0) => {}
            Ok(jobs) => tracing::info!(jobs, "held jobs go on at once, as {mended}"),
            Err(fault) => {
                tracing::warn!(cause = %fault.detail, "held jobs wait until their pause is over, though {mended}");
                left.insert(mended);
            }
        }
    }
    left
}
