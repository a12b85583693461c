//! Keeps an engine from learning of people by what their values alone make fail: each such failure answers a question
//! about a person. A few happen to every engine; one that has many is slowed down, and somebody is told.

use crate::fault::{Fault, Reason};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Failures that an engine may have at once.
const FAILURES_MAX: f64 = 20.0;
/// After so long one of them is forgotten.
const PAUSE: Duration = Duration::from_secs(10);
/// How often an engine that has too many is spoken of.
const NOTICE_EVERY: Duration = Duration::from_secs(60);
/// Engines that are remembered. More are configured nowhere, but names come and go with each reload.
const ENGINES_MAX: usize = 1_024;

/// The failures of each engine that only persons' values caused.
#[derive(Debug, Default)]
pub struct Guesses {
    // Held for one map look-up, where a job has just failed, or might in the same way.
    engines: Mutex<HashMap<Arc<str>, Failures>>,
    all: AtomicU64,
}

#[derive(Debug)]
struct Failures {
    level: f64,
    at: Instant,
    /// Since somebody was told.
    untold: u64,
    told_at: Option<Instant>,
}

impl Guesses {
    /// How many there were since the start.
    pub fn count_all(&self) -> u64 {
        self.all.load(Relaxed)
    }

    /// One more failure of this engine's.
    pub fn count(&self, engine: &Arc<str>) {
        self.all.fetch_add(1, Relaxed);
        let now = Instant::now();
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if engines.len() >= ENGINES_MAX && !engines.contains_key(engine) {
            engines.retain(|_, failures| failures.level_at(now) > 0.0);
        }
        let failures = engines.entry(engine.clone()).or_insert_with(|| Failures::none(now));
        failures.level = failures.level_at(now) + 1.0;
        (failures.at, failures.untold) = (now, failures.untold + 1);
        if failures.is_notice_due(now) {
            let failed = failures.untold;
            (failures.untold, failures.told_at) = (0, Some(now));
            tracing::warn!(
                %engine,
                failed,
                "messages fail for nothing but the values of the persons they are for: the engine is slowed down, \
                 as it may be guessing them"
            );
        }
    }

    /// # Errors
    /// `over-quota` for an engine that has had too many.
    pub fn check(&self, engine: &Arc<str>) -> Result<(), Fault> {
        let engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        match engines.get(engine) {
            Some(failures) if failures.level_at(Instant::now()) + 1.0 > FAILURES_MAX => Err(Fault::new(
                Reason::OverQuota,
                "too many messages of this engine showed values that were too long for them; show fewer values in a \
                 message, and submit it again in ten seconds",
            )),
            _ => Ok(()),
        }
    }
}

impl Failures {
    fn none(now: Instant) -> Self {
        Self { level: 0.0, at: now, untold: 0, told_at: None }
    }

    fn level_at(&self, now: Instant) -> f64 {
        let forgotten = now.saturating_duration_since(self.at).as_secs_f64() / PAUSE.as_secs_f64();
        (self.level - forgotten).max(0.0)
    }

    fn is_notice_due(&self, now: Instant) -> bool {
        let is_quiet = |told: Instant| now.saturating_duration_since(told) >= NOTICE_EVERY;
        self.level + 1.0 > FAILURES_MAX && self.told_at.is_none_or(is_quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn p1_an_engine_with_many_failures_is_slowed_down_and_others_are_not() {
        let (guesses, engine) = (Guesses::default(), Arc::from("shop"));
        for _ in 0..20 {
            guesses.check(&engine).unwrap();
            guesses.count(&engine);
        }
        assert_eq!(guesses.check(&engine).unwrap_err().reason, Reason::OverQuota);
        guesses.check(&Arc::from("other")).unwrap();
        tokio::time::advance(PAUSE + Duration::from_millis(1)).await;
        guesses.check(&engine).unwrap();
        guesses.count(&engine);
        assert!(guesses.check(&engine).is_err(), "one at a time from here on");
        assert_eq!(guesses.count_all(), 21);
    }

    #[tokio::test(start_paused = true)]
    async fn p1_somebody_is_told_once_a_minute() {
        let mut failures = Failures::none(Instant::now());
        assert!(!failures.is_notice_due(Instant::now()));
        failures.level = FAILURES_MAX;
        assert!(failures.is_notice_due(Instant::now()));
        failures.told_at = Some(Instant::now());
        assert!(!failures.is_notice_due(Instant::now()));
        tokio::time::advance(NOTICE_EVERY).await;
        assert!(failures.is_notice_due(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn p1_names_that_come_and_go_are_forgotten() {
        let guesses = Guesses::default();
        for number in 0..3 * ENGINES_MAX {
            guesses.count(&Arc::from(format!("engine-{number}")));
            tokio::time::advance(PAUSE / 2).await;
        }
        assert!(guesses.engines.lock().unwrap().len() <= ENGINES_MAX);
    }
}
