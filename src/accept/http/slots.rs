//! How many requests of each engine may be at something that waits, or holds a page, at once.

use super::problem::Problem;
use axum::http::StatusCode;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How soon who found no place may ask again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What the places are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    ReadingResults,
    AwaitingEvents,
}

/// The places taken, by engine.
#[derive(Debug)]
pub(super) struct Slots {
    used_for: Use,
    of_engine_max: usize,
    // A lock, since requests end anywhere; held for one look into the map.
    taken: Mutex<HashMap<Arc<str>, usize>>,
}

/// One of them; given back when dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    engine: Arc<str>,
}

impl Slots {
    pub fn new(used_for: Use, of_engine_max: usize) -> Arc<Self> {
        Arc::new(Self { used_for, of_engine_max, taken: Mutex::default() })
    }

    /// # Errors
    /// 429 where as many of this engine are at it as may be.
    pub fn take(self: &Arc<Self>, engine: &Arc<str>) -> Result<Slot, Problem> {
        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.entry(engine.clone()).or_default();
        if *taken >= self.of_engine_max {
            let detail = format!("{} {} here already; end one", self.of_engine_max, self.used_for);
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-streams", detail)
                .retry_after(AGAIN_AFTER));
        }
        *taken += 1;
        Ok(Slot { slots: self.clone(), engine: engine.clone() })
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadingResults => "lists of results of this engine are being read",
            Self::AwaitingEvents => "streams of this engine wait for events",
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut all = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = all.get_mut(&self.engine) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&self.engine);
            }
        }
    }
}
