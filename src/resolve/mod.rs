//! Token in, person out: a bounded cache in front of batched, single-flight reads of the vault, and the policy
//! that is judged on the person once known.

mod batch;
mod cache;
mod policy;

pub use batch::ReadBatch;
pub use policy::{ConsentRule, admit};

use crate::fault::{Fault, Reason};
use crate::job::Token;
use crate::person::Person;
use batch::Batcher;
use cache::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What the vault knows about a token.
#[derive(Debug, Clone)]
pub enum Known {
    Person(Arc<Person>),
    Nobody,
    /// There is a record, but it cannot be trusted.
    Damaged,
    /// The vault is being written, and whether there is a record cannot be said.
    Unsure,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// Weight of all cached records together, in bytes.
    pub cache_bytes_max: u64,
    /// How long a record may be used without asking the vault again.
    pub ttl: Duration,
    /// How long a token stays known as unknown.
    pub negative_ttl: Duration,
    /// Threads that read the vault, each on its own connection.
    pub readers: usize,
    /// Tokens in one read, at most.
    pub batch_tokens_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cache_bytes_max: 64 << 20,
            ttl: Duration::from_secs(300),
            negative_ttl: Duration::from_secs(30),
            readers: 2,
            batch_tokens_max: 256,
        }
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct ResolveStats {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub batches: AtomicU64,
    pub faults: AtomicU64,
}

/// The stage. Cloning shares cache and readers.
#[derive(Clone)]
pub struct Resolver {
    cache: Arc<Cache>,
    batcher: Arc<Batcher>,
    stats: Arc<ResolveStats>,
}

impl Resolver {
    /// `readers` gives each reading thread its own way into the vault. Within a runtime what is too old leaves the cache by
    /// itself.
    pub fn start(settings: &Settings, readers: Vec<ReadBatch>) -> Self {
        let stats = Arc::new(ResolveStats::default());
        let cache = Arc::new(Cache::new(settings));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(cache::sweep_while_filled(&cache));
        }
        let batcher = Batcher::start(settings.batch_tokens_max, readers, cache.clone(), stats.clone());
        Self { cache, batcher: Arc::new(batcher), stats }
    }

    /// The person behind a token.
    ///
    /// # Errors
    /// `unknown-token`, or `vault-unavailable` when the vault cannot answer; the latter is never cached.
    pub async fn person(&self, token: &Token) -> Result<Arc<Person>, Fault> {
        let known = match self.cache.get(token) {
            Some(known) => {
                self.stats.hits.fetch_add(1, Relaxed);
                known
            }
            None => {
                self.stats.misses.fetch_add(1, Relaxed);
                self.batcher.read(token).await?
            }
        };
        match known {
            Known::Person(person) => Ok(person),
            Known::Nobody => Err(Fault::new(Reason::UnknownToken, "the vault knows no such token")),
            Known::Unsure => {
                Err(Fault::new(Reason::VaultUnavailable, "the vault is being written; try again"))
            }
            Known::Damaged => Err(Fault::new(
                Reason::VaultUnavailable,
                "the vault's record for this token is damaged; run 'tokenrelay check' and restore it",
            )),
        }
    }

    /// Forgets one token, so that the next job reads the vault.
    pub fn forget(&self, token: &Token) {
        self.cache.forget(token);
    }

    /// Empties the cache at once.
    pub fn forget_all(&self) {
        self.cache.forget_all();
    }

    pub fn stats(&self) -> &ResolveStats {
        &self.stats
    }

    /// Bytes the cache holds now, by weight.
    pub fn cached_bytes(&self) -> u64 {
        self.cache.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::PersonBuilder;
    use std::time::Instant;

    #[tokio::test]
    async fn p4_a_resolver_forgets_by_itself_who_is_asked_for_no_more() {
        let somebody = || Known::Person(Arc::new(PersonBuilder::default().field("city", "Oslo").build()));
        let read = move |tokens: &[Token]| Ok(tokens.iter().map(|_| somebody()).collect());
        let settings = Settings { ttl: Duration::from_millis(20), ..Settings::default() };
        let resolver = Resolver::start(&settings, vec![Box::new(read)]);
        resolver.person(&Token::from_local("e_0123456789").unwrap()).await.unwrap();
        assert!(resolver.cached_bytes() > 0);
        let asked = Instant::now();
        while resolver.cached_bytes() > 0 {
            assert!(asked.elapsed() < Duration::from_secs(10), "still there");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
