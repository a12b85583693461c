//! Counts, by engine, the tokens that stand for nobody. A list that is out of date has some; an engine that has many may be
//! trying tokens, and somebody is told. Which tokens they were is not kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// So many within [`WINDOW`] are spoken of.
const MANY: u64 = 100;
/// Also how often an engine is spoken of.
const WINDOW: Duration = Duration::from_secs(60);
/// Engines that are remembered. More are configured nowhere, but names come and go with each reload.
const ENGINES_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub struct UnknownTokens {
    // Held for one map look-up, where a job has just failed.
    engines: Mutex<BTreeMap<Arc<str>, Seen>>,
}

#[derive(Debug)]
struct Seen {
    all: u64,
    since: Instant,
    in_window: u64,
    /// Since somebody was told.
    untold: u64,
    told_at: Option<Instant>,
}

impl UnknownTokens {
    /// One more from this engine.
    pub fn count(&self, engine: &Arc<str>) {
        let now = Instant::now();
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if engines.len() >= ENGINES_MAX && !engines.contains_key(engine) {
            engines.retain(|_, seen| now.duration_since(seen.since) < WINDOW);
        }
        if engines.len() >= ENGINES_MAX && !engines.contains_key(engine) {
            return;
        }
        let seen = engines.entry(engine.clone()).or_insert_with(|| Seen::nothing(now));
        if let Some(unknown) = seen.count(now) {
            tracing::warn!(
                %engine,
                unknown,
                "an engine submits for many tokens that the vault does not know: it may be guessing them; if its list is old, \
                 have it exported anew"
            );
        }
    }

    /// Each engine with how many it had since the start.
    pub fn counts(&self) -> Vec<(String, u64)> {
        let engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.iter().map(|(engine, seen)| (engine.to_string(), seen.all)).collect()
    }
}

impl Seen {
    fn nothing(now: Instant) -> Self {
        Self { all: 0, since: now, in_window: 0, untold: 0, told_at: None }
    }

    /// How many there were since the last time, when somebody is to be told.
    fn count(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) >= WINDOW {
            (self.since, self.in_window) = (now, 0);
        }
        self.all += 1;
        self.in_window += 1;
        self.untold += 1;
        let is_quiet = self.told_at.is_none_or(|told| now.duration_since(told) >= WINDOW);
        if self.in_window < MANY || !is_quiet {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn p11_many_unknown_tokens_are_one_event_a_minute() {
        let mut seen = Seen::nothing(Instant::now());
        let told = |seen: &mut Seen, count: u32| -> Vec<u64> {
            (0..count).filter_map(|_| seen.count(Instant::now())).collect()
        };
        assert!(told(&mut seen, 99).is_empty());
        assert_eq!(told(&mut seen, 2_901), [100]);
        tokio::time::advance(WINDOW).await;
        assert_eq!(told(&mut seen, 150), [3_000]);
        tokio::time::advance(WINDOW).await;
        assert!(told(&mut seen, 99).is_empty());
        assert_eq!(seen.all, 3_249);
    }

    #[tokio::test(start_paused = true)]
    async fn p11_unknown_tokens_are_counted_by_engine() {
        let unknown = UnknownTokens::default();
        let (one, other) = (Arc::from("one"), Arc::from("other"));
        unknown.count(&one);
        unknown.count(&one);
        unknown.count(&other);
        assert_eq!(unknown.counts(), [("one".into(), 2), ("other".into(), 1)]);
        (0..5_000).for_each(|n| unknown.count(&Arc::from(format!("engine-{n}"))));
        assert!(unknown.counts().len() <= ENGINES_MAX);
    }
}
