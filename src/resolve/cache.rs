//! The bounded cache: weighed in bytes, time to live checked on read (eviction is lazy), records wiped when
//! the last holder drops them.

use super::{Known, Settings};
use crate::job::Token;
use std::time::{Duration, Instant};

/// What one entry costs beside its record: key, map slots, policy queues (measured with moka 0.12).
const ENTRY_OVERHEAD_BYTES: usize = 360;

pub struct Cache {
    entries: moka::sync::Cache<Token, Entry>,
    ttl: Duration,
    negative_ttl: Duration,
}

#[derive(Clone)]
struct Entry {
    known: Known,
    usable_until: Instant,
}

impl Cache {
    pub fn new(settings: &Settings) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(settings.cache_bytes_max)
            .weigher(|token: &Token, entry: &Entry| weight(token, &entry.known))
            .time_to_live(settings.ttl)
            .build();
        Self { entries, ttl: settings.ttl, negative_ttl: settings.negative_ttl.min(settings.ttl) }
    }

    pub fn get(&self, token: &Token) -> Option<Known> {
        let entry = self.entries.get(token)?;
        (Instant::now() < entry.usable_until).then_some(entry.known)
    }

    /// Keeps what the vault said; a damaged record is asked for again every time.
    pub fn put(&self, token: Token, known: &Known) {
        let ttl = match known {
            Known::Person(_) => self.ttl,
            Known::Nobody => self.negative_ttl,
            Known::Damaged => return,
        };
        let entry = Entry { known: known.clone(), usable_until: Instant::now() + ttl };
        self.entries.insert(token, entry);
    }

    pub fn forget(&self, token: &Token) {
        self.entries.invalidate(token);
    }

    pub fn forget_all(&self) {
        self.entries.invalidate_all();
        self.settle();
    }

    /// Does the evictions that are due; otherwise they happen along with later reads and writes.
    pub fn settle(&self) {
        self.entries.run_pending_tasks();
    }

    pub fn bytes(&self) -> u64 {
        self.entries.weighted_size()
    }
}

fn weight(token: &Token, known: &Known) -> u32 {
    let record = match known {
        Known::Person(person) => person.record().len(),
        Known::Nobody | Known::Damaged => 0,
    };
    u32::try_from(ENTRY_OVERHEAD_BYTES + token.as_str().len() + record).unwrap_or(u32::MAX)
}
