//! What an operator is told of clients that cannot get their mail through: one line a source, cause and minute, with how
//! often it happened meanwhile, so that neither a broken client nor a guesser fills the log.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Sources and causes remembered at once; while there are more, the further ones are counted and not told.
const ENTRIES_MAX: usize = 2000;
/// Between two lines for the same source and cause.
pub const PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Told {
    at: Instant,
    /// Not told since then.
    more: u64,
}

/// When each `K`, a source and a cause, was told last.
#[derive(Debug)]
pub struct Notices<K> {
    /// A plain lock: refusals are rare beside messages, and it guards one map look-up.
    told: Mutex<HashMap<K, Told>>,
}

impl<K> Default for Notices<K> {
    fn default() -> Self {
        Self { told: Mutex::default() }
    }
}

impl<K: Eq + Hash> Notices<K> {
    /// Whether this is to be told now; if so, how often it happened untold since it was told last.
    pub fn due(&self, key: K) -> Option<u64> {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = told.get_mut(&key) {
            if now.duration_since(last.at) < PAUSE {
                last.more += 1;
                return None;
            }
            last.at = now;
            return Some(std::mem::take(&mut last.more));
        }
        if told.len() >= ENTRIES_MAX {
            told.retain(|_, last| now.duration_since(last.at) < PAUSE);
        }
        if told.len() >= ENTRIES_MAX {
            return None;
        }
        told.insert(key, Told { at: now, more: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_source_cause_and_minute_and_never_too_many() {
        let notices = Notices::default();
        assert_eq!(
            [notices.due((1, 'a')), notices.due((1, 'a')), notices.due((1, 'a'))],
            [Some(0), None, None]
        );
        assert_eq!([notices.due((1, 'b')), notices.due((2, 'a'))], [Some(0), Some(0)]);
        tokio::time::advance(PAUSE).await;
        assert_eq!(notices.due((1, 'a')), Some(2), "with how often it happened meanwhile");
        let lines = (0..10 * ENTRIES_MAX).filter(|source| notices.due((*source, 'c')).is_some()).count();
        assert!(lines <= ENTRIES_MAX && notices.told.lock().unwrap().len() <= ENTRIES_MAX);
        tokio::time::advance(PAUSE).await;
        assert_eq!(notices.due((0, 'd')), Some(0), "a flood is forgotten after its minute");
    }
}
