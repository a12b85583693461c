//! Plans of inline contents and messages, by the hash of their content, bounded in bytes.

use super::plan::Plan;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// SHA-256 of the content.
pub(super) type Key = [u8; 32];

/// Two generations: what was not asked for while one filled up goes with the older one.
#[derive(Debug)]
pub(super) struct PlanCache {
    /// A plain map behind a lock held for a look-up only; compiling happens outside it.
    generations: Mutex<Generations>,
    generation_bytes_max: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, Arc<Plan>>,
    young_bytes: usize,
    old: HashMap<Key, Arc<Plan>>,
}

/// What a map's entry costs beside the plan.
const ENTRY_BYTES: usize = 96;

impl PlanCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { generations: Mutex::default(), generation_bytes_max: bytes_max / 2 }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Plan>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = generations.young.get(key) {
            return Some(plan.clone());
        }
        let plan = generations.old.remove(key)?;
        generations.insert(*key, plan.clone(), self.generation_bytes_max);
        Some(plan)
    }

    pub(super) fn insert(&self, key: Key, plan: Arc<Plan>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(key, plan, self.generation_bytes_max);
    }
}

impl Generations {
    fn insert(&mut self, key: Key, plan: Arc<Plan>, bytes_max: usize) {
        let bytes = plan.cost_bytes() + ENTRY_BYTES;
        if bytes > bytes_max {
            return;
        }
        if self.young_bytes + bytes > bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(key, plan).is_none() {
            self.young_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::plan::PlanBuilder;
    use crate::render::program::{Program, Syntax};
    use crate::render::scope::FieldRules;

    fn plan() -> Arc<Plan> {
        let mut builder = PlanBuilder::new("t", FieldRules::of_message());
        builder.from("a@b.test").unwrap();
        builder.text(Program::compile("x", Syntax::Text, "t").unwrap());
        Arc::new(builder.build().unwrap())
    }

    #[test]
    fn the_cache_stays_within_its_bytes_and_keeps_what_is_used() {
        let cost = plan().cost_bytes() + ENTRY_BYTES;
        let cache = PlanCache::new(cost * 8);
        cache.insert([0; 32], plan());
        for n in 1..100u8 {
            cache.insert([n; 32], plan());
            assert!(cache.get(&[0; 32]).is_some(), "{n}");
            let generations = cache.generations.lock().unwrap();
            assert!(generations.young.len() + generations.old.len() <= 8);
        }
        assert!(cache.get(&[1; 32]).is_none());
    }
}
