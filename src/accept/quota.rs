//! How much an engine may submit in a second, shared by every door, and how much a source may use in a minute.

use crate::engine::Engine;
use crate::fault::{Fault, Reason};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const MINUTE_SECONDS: f64 = 60.0;

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

/// What one source may use in a minute: so much at once, and it comes back evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub messages: u64,
    pub octets: u64,
}

impl Allowance {
    /// What is left of it on a crowded door.
    pub fn quarter(self) -> Self {
        Self { messages: (self.messages / 4).max(1), octets: (self.octets / 4).max(1) }
    }
}

/// What one source used lately.
#[derive(Debug)]
pub struct Spent {
    /// A plain lock: it guards three numbers, and is taken about once a message.
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    messages: f64,
    octets: f64,
    at: Instant,
}

impl Default for Spent {
    fn default() -> Self {
        Self { level: Mutex::new(Level { messages: 0.0, octets: 0.0, at: Instant::now() }) }
    }
}

impl Spent {
    /// Counts what was used; whether the source is still within its allowance. What was used counts in any case.
    pub fn add(&self, messages: u64, octets: u64, allowance: Allowance) -> bool {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        level.sink(allowance);
        level.messages += messages as f64;
        level.octets += octets as f64;
        level.messages <= allowance.messages as f64 && level.octets <= allowance.octets as f64
    }

    /// Nothing is left of what was used.
    pub fn is_nothing(&self, allowance: Allowance) -> bool {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        level.sink(allowance);
        level.is_nothing()
    }

    /// Nothing was ever used, or it has been seen since to be nothing.
    pub fn is_untouched(&self) -> bool {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).is_nothing()
    }
}

impl Level {
    fn sink(&mut self, allowance: Allowance) {
        let now = Instant::now();
        let minutes = now.saturating_duration_since(self.at).as_secs_f64() / MINUTE_SECONDS;
        self.messages = (self.messages - minutes * allowance.messages as f64).max(0.0);
        self.octets = (self.octets - minutes * allowance.octets as f64).max(0.0);
        self.at = now;
    }

    fn is_nothing(&self) -> bool {
        self.messages <= 0.0 && self.octets <= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_allowance_comes_back_evenly_and_is_for_each_of_its_measures() {
        let (allowance, spent) = (Allowance { messages: 60, octets: 6_000 }, Spent::default());
        assert!(spent.is_untouched() && spent.add(60, 0, allowance) && !spent.add(1, 0, allowance));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(spent.add(0, 0, allowance) && !spent.add(1, 0, allowance));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!spent.is_nothing(allowance), "two are left");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(spent.is_nothing(allowance));
        assert!(!spent.add(1, 6_001, allowance), "octets count as well");
        assert!(!spent.add(0, 0, allowance.quarter()));
    }
    use crate::engine::Credential;

    fn engine(name: &str, rate: Option<u32>) -> Engine {
        Engine {
            name: name.into(),
            credential: Credential::of(b"k"),
            templates: vec![],
            fields: vec![],
            purposes: vec![],
            senders: None,
            allow_literal: vec![],
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
