//! Compiles contents that come with jobs, each once as long as it is remembered.

use super::cache::{Compiled, CompiledCache};
use super::fingerprint::{Canonical, Fingerprint, FingerprintKey};
use super::plan::{Pieces, Plan};
use super::program::Program;
use crate::fault::Fault;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a [`Canonical`] form is of. Contents of different kinds are never taken for each other.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Kind {
    Inline = 1,
    /// A message without its own header fields.
    Message = 2,
    HeaderProgram = 3,
}

#[derive(Debug)]
pub(super) struct Memo {
    cache: CompiledCache,
    key: FingerprintKey,
    plans_compiled: AtomicU64,
}

impl Memo {
    /// With 0 bytes nothing is remembered.
    pub(super) fn new(bytes_max: usize) -> Self {
        let cache = CompiledCache::new(bytes_max);
        Self { cache, key: FingerprintKey::random(), plans_compiled: AtomicU64::new(0) }
    }

    /// Inline contents and contents of messages that had to be compiled.
    pub(super) fn plans_compiled(&self) -> u64 {
        self.plans_compiled.load(Relaxed)
    }

    pub(super) fn plan(
        &self,
        source: &Canonical,
        compile: impl FnOnce() -> Result<Plan, Fault>,
    ) -> Result<Arc<Plan>, Fault> {
        let key = self.key.of(source);
        if let Some(Compiled::Plan(plan)) = self.cache.get(&key) {
            return Ok(plan);
        }
        self.plans_compiled.fetch_add(1, Relaxed);
        self.keep(key, compile, Compiled::Plan)
    }

    pub(super) fn pieces(
        &self,
        source: &Canonical,
        compile: impl FnOnce() -> Result<Pieces, Fault>,
    ) -> Result<Arc<Pieces>, Fault> {
        let key = self.key.of(source);
        if let Some(Compiled::Pieces(pieces)) = self.cache.get(&key) {
            return Ok(pieces);
        }
        self.plans_compiled.fetch_add(1, Relaxed);
        self.keep(key, compile, Compiled::Pieces)
    }

    pub(super) fn program(
        &self,
        source: &Canonical,
        compile: impl FnOnce() -> Result<Program, Fault>,
    ) -> Result<Arc<Program>, Fault> {
        let key = self.key.of(source);
        if let Some(Compiled::Program(program)) = self.cache.get(&key) {
            return Ok(program);
        }
        self.keep(key, compile, Compiled::Program)
    }

    fn keep<T>(
        &self,
        key: Fingerprint,
        compile: impl FnOnce() -> Result<T, Fault>,
        kept: impl FnOnce(Arc<T>) -> Compiled,
    ) -> Result<Arc<T>, Fault> {
        let compiled = Arc::new(compile()?);
        self.cache.insert(key, kept(compiled.clone()));
        Ok(compiled)
    }
}
