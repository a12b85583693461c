//! Keeps a dead target from costing every job a connection attempt: after a failure nothing is tried until a
//! growing, jittered pause is over, and then one attempt at a time.

use crate::fault::Fault;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    is_open: AtomicBool,
    /// Plain data, held for lines only; looked at when the target is down.
    outage: Mutex<Option<Outage>>,
}

#[derive(Debug)]
struct Outage {
    failures: u32,
    try_again_at: Instant,
    cause: Fault,
}

impl Breaker {
    /// Why the target is down, or `None` while it is up.
    pub fn cause(&self) -> Option<Fault> {
        if !self.is_open.load(Relaxed) {
            return None;
        }
        self.lock().as_ref().map(|outage| outage.cause.clone())
    }

    /// Whether the pause is over, without taking the attempt.
    pub fn is_due(&self) -> bool {
        self.lock().as_ref().is_some_and(|outage| Instant::now() >= outage.try_again_at)
    }

    /// Takes the one attempt that is due, if the pause is over. The claim lapses after `attempt_max`.
    pub fn claim_attempt(&self, attempt_max: Duration) -> bool {
        let mut outage = self.lock();
        let Some(outage) = outage.as_mut() else { return false };
        let is_due = Instant::now() >= outage.try_again_at;
        if is_due {
            outage.try_again_at = Instant::now() + attempt_max;
        }
        is_due
    }

    pub fn open(&self, cause: Fault) {
        let mut outage = self.lock();
        let failures = outage.as_ref().map_or(1, |outage| outage.failures.saturating_add(1));
        let try_again_at = Instant::now() + pause(failures, random_share());
        *outage = Some(Outage { failures, try_again_at, cause });
        self.is_open.store(true, Relaxed);
    }

    pub fn close(&self) {
        if self.is_open.load(Relaxed) {
            *self.lock() = None;
            self.is_open.store(false, Relaxed);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Half of the doubling pause is fixed, the other half is drawn, so that relays do not come back in step.
fn pause(failures: u32, share: f64) -> Duration {
    let whole = PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(PAUSE_MAX);
    whole.mul_f64(0.5 + share / 2.0)
}

fn random_share() -> f64 {
    let mut octets = [0; 4];
    // Without randomness the pause is only less spread.
    let _ = aws_lc_rs::rand::fill(&mut octets);
    f64::from(u32::from_le_bytes(octets)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Reason;
    use proptest::prelude::*;

    fn cause() -> Fault {
        Fault::new(Reason::TargetUnavailable, "down")
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_one_attempt_is_due_after_the_pause() {
        let breaker = Breaker::default();
        assert_eq!((breaker.cause(), breaker.claim_attempt(PAUSE_MIN)), (None, false));
        breaker.open(cause());
        assert_eq!(breaker.cause(), Some(cause()));
        assert!(!breaker.claim_attempt(PAUSE_MIN));
        tokio::time::advance(PAUSE_MIN).await;
        assert!(breaker.claim_attempt(PAUSE_MIN));
        assert!(!breaker.claim_attempt(PAUSE_MIN), "a second one at the same time");
        tokio::time::advance(PAUSE_MIN).await;
        assert!(breaker.claim_attempt(PAUSE_MIN), "the claim has lapsed");
        breaker.close();
        assert_eq!(breaker.cause(), None);
    }

    proptest! {
        #[test]
        fn the_pause_stays_in_its_bounds_and_never_shrinks(failures in 1u32..100, share in 0.0..=1.0f64) {
            let this = pause(failures, share);
            prop_assert!(this >= PAUSE_MIN / 2 && this <= PAUSE_MAX);
            prop_assert!(pause(failures + 1, share) >= this);
        }
    }
}
