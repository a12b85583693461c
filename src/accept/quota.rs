//! How many messages a second each engine may submit, shared by every door.

use crate::engine::Engine;
use crate::fault::{Fault, Reason};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The meters of all engines. A session asks for its engine's meter once, when the engine has shown who it is.
#[derive(Debug, Default)]
pub struct Quotas {
    // A lock, since engines come and go with a reload; held for one map look-up a session.
    meters: Mutex<HashMap<Arc<str>, Limited>>,
}

#[derive(Debug)]
struct Limited {
    rate_per_second: NonZeroU32,
    limiter: Arc<DefaultDirectRateLimiter>,
}

impl Quotas {
    /// The meter of an engine, as its rate is now: sessions of one engine share one meter.
    pub fn meter(&self, engine: &Engine) -> Meter {
        let Some(rate) = engine.rate_per_second_max.and_then(NonZeroU32::new) else { return Meter(None) };
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = meters.get(&engine.name).filter(|known| known.rate_per_second == rate) {
            return Meter(Some(known.limiter.clone()));
        }
        let limiter = Arc::new(RateLimiter::direct(Quota::per_second(rate)));
        meters.insert(engine.name.clone(), Limited { rate_per_second: rate, limiter: limiter.clone() });
        Meter(Some(limiter))
    }
}

/// Counts one engine's messages. Without a rate it always has room.
#[derive(Debug, Clone)]
pub struct Meter(Option<Arc<DefaultDirectRateLimiter>>);

impl Meter {
    /// Takes one message's share.
    ///
    /// # Errors
    /// How long to wait until there is room again; nothing was taken.
    pub fn take(&self) -> Result<(), Duration> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check().map_err(|full| full.wait_time_from(DefaultClock::default().now()))
    }

    /// Slows the engine down to its rate, within limits.
    ///
    /// # Errors
    /// `over-quota` when the wait would grow past `patience`; nothing was taken.
    pub async fn take_within(&self, mut patience: Duration) -> Result<(), Fault> {
        while let Err(wait) = self.take() {
            patience = patience.checked_sub(wait).ok_or_else(|| {
                Fault::new(Reason::OverQuota, "the engine is over its rate_max; submit more slowly")
            })?;
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Credential;

    fn engine(name: &str, rate: Option<u32>) -> Engine {
        Engine {
            name: name.into(),
            credential: Credential::of(b"k"),
            templates: vec![],
            fields: vec![],
            purposes: vec![],
            purpose_default: None,
            rate_per_second_max: rate,
        }
    }

    #[test]
    fn sessions_of_one_engine_share_its_rate_and_others_do_not() {
        let quotas = Quotas::default();
        let (first, second) = (quotas.meter(&engine("a", Some(2))), quotas.meter(&engine("a", Some(2))));
        assert!(first.take().is_ok() && second.take().is_ok());
        let wait = first.take().unwrap_err();
        assert!(wait <= Duration::from_millis(500), "{wait:?}");
        assert!(quotas.meter(&engine("b", Some(1))).take().is_ok());
    }

    #[test]
    fn a_changed_rate_counts_from_the_next_session_on() {
        let quotas = Quotas::default();
        let _ = quotas.meter(&engine("a", Some(1))).take();
        assert!(quotas.meter(&engine("a", Some(1))).take().is_err());
        assert!(quotas.meter(&engine("a", Some(5))).take().is_ok());
        let unlimited = quotas.meter(&engine("a", None));
        assert!((0..10_000).all(|_| unlimited.take().is_ok()));
    }
}
