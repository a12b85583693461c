//! How many requests of each engine may be at something that waits, or holds a page, at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The places taken, by engine.
#[derive(Debug, Default)]
pub(super) struct Slots {
    // A lock, since requests end anywhere; held for one look into the map.
    taken: Mutex<HashMap<Arc<str>, usize>>,
}

/// One of them; given back when dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    engine: Arc<str>,
}

impl Slots {
    pub fn take(self: &Arc<Self>, engine: &Arc<str>, max: usize) -> Option<Slot> {
        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.entry(engine.clone()).or_default();
        if *taken >= max {
            return None;
        }
        *taken += 1;
        Some(Slot { slots: self.clone(), engine: engine.clone() })
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
