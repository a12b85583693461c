//! What was compiled from contents that came with jobs, by the fingerprint of its source, bounded in bytes.

use super::fingerprint::Fingerprint;
use super::plan::{Pieces, Plan};
use super::program::Program;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Something compiled, shared by all who use it.
#[derive(Debug, Clone)]
pub(super) enum Compiled {
    Plan(Arc<Plan>),
    /// All of a message but its own header fields.
    Pieces(Arc<Pieces>),
    /// The same, and the wording of its boundaries.
    Content(Content),
    /// A header field's value.
    Program(Arc<Program>),
}

/// All of a message but its own header fields.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub pieces: Arc<Pieces>,
    pub boundaries: Arc<[Box<str>]>,
}

impl Compiled {
    fn cost_bytes(&self) -> usize {
        match self {
            Self::Plan(plan) => plan.cost_bytes(),
            Self::Pieces(pieces) => pieces.cost_bytes(),
            // The pieces may be held here alone.
            Self::Content(content) => {
                let octets = content.boundaries.iter().map(|boundary| boundary.len() + size_of::<Box<str>>());
                content.pieces.cost_bytes() + octets.sum::<usize>()
            }
            Self::Program(program) => program.cost_bytes(),
        }
    }
}

/// Two generations: what was not asked for while one filled up goes with the older one.
#[derive(Debug)]
pub(super) struct CompiledCache {
    /// A plain map behind a lock held for a look-up only; compiling happens outside it.
    generations: Mutex<Generations>,
    generation_bytes_max: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Fingerprint, Compiled>,
    young_bytes: usize,
    old: HashMap<Fingerprint, Compiled>,
}

/// What a map's entry costs beside what is kept.
const ENTRY_BYTES: usize = 96;

impl CompiledCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { generations: Mutex::default(), generation_bytes_max: bytes_max / 2 }
    }

    pub(super) fn get(&self, key: &Fingerprint) -> Option<Compiled> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = generations.young.get(key) {
            return Some(kept.clone());
        }
        let kept = generations.old.remove(key)?;
        generations.insert(*key, kept.clone(), self.generation_bytes_max);
        Some(kept)
    }

    pub(super) fn insert(&self, key: Fingerprint, kept: Compiled) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(key, kept, self.generation_bytes_max);
    }
}

impl Generations {
    fn insert(&mut self, key: Fingerprint, kept: Compiled, bytes_max: usize) {
        let bytes = kept.cost_bytes() + ENTRY_BYTES;
        if bytes > bytes_max {
            return;
        }
        if self.young_bytes + bytes > bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(key, kept).is_none() {
            self.young_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::program::Syntax;

    fn program() -> Compiled {
        Compiled::Program(Arc::new(Program::compile("x", Syntax::Text, "t").unwrap()))
    }

    #[test]
    fn the_cache_stays_within_its_bytes_and_keeps_what_is_used() {
        let cost = program().cost_bytes() + ENTRY_BYTES;
        let cache = CompiledCache::new(cost * 8);
        cache.insert([0; 16], program());
        for n in 1..100u8 {
            cache.insert([n; 16], program());
            assert!(cache.get(&[0; 16]).is_some(), "{n}");
            let generations = cache.generations.lock().unwrap();
            assert!(generations.young.len() + generations.old.len() <= 8);
        }
        assert!(cache.get(&[1; 16]).is_none());
    }
}
