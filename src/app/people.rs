//! The vault as the relay reads it: whether it can be, and what of it may be remembered.

use super::settings;
use crate::config::Config;
use crate::custody::Custody;
use crate::fault::{Fault, Reason};
use crate::job::Token;
use crate::journal::ledger::Mended;
use crate::resolve::{Known, ReadBatch, Resolver};
use crate::vault::{Damaged, DamagedPart, Vault, VaultError, Watch, Withheld};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How soon a change of the vault counts for people that are remembered, and how soon it is noticed that it is gone.
const VAULT_LOOK: Duration = Duration::from_secs(1);
/// How long a read that failed counts while the vault is only looked at.
const FAILURE_COUNTS: Duration = Duration::from_secs(10);

/// How soon a vault that was altered is looked at again, in case it was mended.
const AUDIT_AGAIN: Duration = Duration::from_secs(60);

/// Whether the vault can be read.
#[derive(Debug, Default)]
pub struct VaultHealth {
    /// What was put back in it, or taken away: the others are served.
    altered: Mutex<Option<String>>,
    // Plain data, held for a line.
    trouble: Mutex<Option<Trouble>>,
    /// Whether there is any, for those who have just read somebody.
    is_ill: AtomicBool,
    /// That there was any is over, and nobody was told yet.
    has_returned: AtomicBool,
}

#[derive(Debug)]
struct Trouble {
    cause: String,
    since: Instant,
    found: Found,
}

/// Who has found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The watch: it sees when it is over, too.
    AtALook,
    Reading,
}

impl VaultHealth {
    /// Of a vault that was opened. An older copy of it can be, and is not read.
    pub fn of(vault: &Vault) -> Self {
        let health = Self::default();
        if let Err(error) = vault.is_latest() {
            health.failed(&error, Found::AtALook);
        }
        health
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it cannot be read.
    pub fn trouble(&self) -> Option<String> {
        self.lock().as_ref().map(|trouble| trouble.cause.clone())
    }

    /// What of it is not served.
    pub fn altered(&self) -> Option<String> {
        self.altered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_altered(&self, how: Option<String>) {
        *self.altered.lock().unwrap_or_else(PoisonError::into_inner) = how;
    }

    fn failed(&self, error: &VaultError, found: Found) {
        tracing::error!(%error, "the vault cannot be read");
        let mut trouble = self.lock();
        *trouble = Some(Trouble { cause: error.to_string(), since: Instant::now(), found });
        // Under the lock, so that the two agree whenever somebody holds it.
        self.is_ill.store(true, Relaxed);
    }

    /// Somebody was read.
    fn was_read(&self) {
        if self.is_ill.load(Relaxed) {
            self.recovers(|_| true);
        }
    }

    /// It is there. That does not say much while reads fail.
    fn was_seen(&self) {
        if self.is_ill.load(Relaxed) {
            self.recovers(|trouble| {
                trouble.found == Found::AtALook || trouble.since.elapsed() >= FAILURE_COUNTS
            });
        }
    }

    fn recovers(&self, is_over: impl FnOnce(&Trouble) -> bool) {
        let mut trouble = self.lock();
        if trouble.take_if(|trouble| is_over(trouble)).is_some() {
            self.is_ill.store(false, Relaxed);
            self.has_returned.store(true, Relaxed);
            drop(trouble);
            tracing::info!("the vault can be read again");
        }
    }
}

/// Forgets everybody when the vault was changed: who was erased, or consents no more, is not mailed for as long as a
/// record may be remembered. And says when it is gone, and when it is back: to the jobs that wait for it too.
pub async fn watch_vault(mut watch: Watch, custody: Arc<Custody>, health: Arc<VaultHealth>) {
    let mut looks = tokio::time::interval(VAULT_LOOK);
    let mut had_changed = false;
    loop {
        looks.tick().await;
        let look = tokio::task::spawn_blocking(move || (watch.has_changed(), watch));
        let Ok((changed, again)) = look.await else {
            return tracing::error!("the vault is watched no more: its changes count when cache.ttl is over");
        };
        watch = again;
        let has_changed = match changed {
            Ok(changed) => {
                health.was_seen();
                changed
            }
            // What was removed must not be served.
            Err(error) => {
                health.failed(&error, Found::AtALook);
                true
            }
        };
        // And once more at the next look: a batch that was being read may have brought what was true before.
        if has_changed || had_changed {
            custody.pipeline.resolver.forget_all();
        }
        if health.has_returned.swap(false, Relaxed) {
            custody.wakes.mended(Mended::Vault);
        } else if has_changed && health.trouble().is_none() {
            custody.wakes.vault_changed();
        }
        had_changed = has_changed;
    }
}

/// Looks once, beside the jobs, whether anything was put back in the vault or taken from it while no relay ran; and again for as
/// long as something was. Whoever is looked up meanwhile is looked at by that.
pub async fn audit_vault(vault: Vault, health: Arc<VaultHealth>) {
    let mut looks = tokio::time::interval(AUDIT_AGAIN);
    let mut is_due = true;
    loop {
        looks.tick().await;
        if !is_due && health.altered().is_none() {
            continue;
        }
        let vault = vault.clone();
        match tokio::task::spawn_blocking(move || vault.audit()).await {
            Ok(Ok(())) => {
                if health.altered().is_some() {
                    tracing::info!("the vault is as it was written again");
                }
                health.is_altered(None);
                is_due = false;
            }
            Ok(Err(error @ VaultError::PutBack { .. })) => {
                tracing::error!(%error, "the vault was altered");
                health.is_altered(Some(error.to_string()));
            }
            // Whoever reads says so too.
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

pub fn resolver(config: &Config, vault: &Vault, health: &Arc<VaultHealth>) -> Result<Resolver, VaultError> {
    let settings = settings::resolve_settings(config);
    let readers =
        (0..settings.readers).map(|_| read_batch(vault, health.clone())).collect::<Result<_, _>>()?;
    Ok(Resolver::start(&settings, readers))
}

/// One reading thread's way into the vault. What the vault says goes to the log; the fault names no file.
fn read_batch(vault: &Vault, health: Arc<VaultHealth>) -> Result<ReadBatch, VaultError> {
    let mut reader = vault.reader()?;
    Ok(Box::new(move |tokens: &[Token]| {
        let found = reader.read_batch(tokens).map_err(|error| {
            health.failed(&error, Found::Reading);
            Fault::new(Reason::VaultUnavailable, "the vault cannot be read; see the relay's log")
        })?;
        health.was_read();
        let known = |found: crate::vault::Found| match found {
            Ok(Some(person)) => Known::Person(Arc::new(person)),
            Ok(None) => Known::Nobody,
            Err(
                altered @ (Withheld::IndexAltered
                | Withheld::Damaged(Damaged { part: DamagedPart::Earlier, .. })),
            ) => {
                tracing::error!(%altered, "a token cannot be used");
                health.is_altered(Some(altered.to_string()));
                Known::Damaged
            }
            Err(Withheld::Damaged(damaged)) => {
                tracing::error!(%damaged, "a record cannot be used");
                Known::Damaged
            }
            Err(Withheld::Unsure) => Known::Unsure,
        };
        Ok(found.into_iter().map(known).collect())
    }))
}
