//! Compiles contents that come with jobs, each once as long as it is remembered.

pub(super) use super::cache::Content;
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
    /// A message without its own header fields, its boundaries as they are worded.
    Literal = 4,
}

/// Places for what was seen once.
const ONCE_PLACES: usize = 1024;

#[derive(Debug)]
pub(super) struct Memo {
    cache: CompiledCache,
    key: FingerprintKey,
    plans_compiled: AtomicU64,
    /// Literal contents that were seen once, as half of their fingerprints: most engines make new boundaries for every
    /// message, and what never comes again is not worth a place in the cache.
    once: Box<[AtomicU64]>,
}

impl Memo {
    /// With 0 bytes nothing is remembered.
    pub(super) fn new(bytes_max: usize) -> Self {
        let cache = CompiledCache::new(bytes_max);
        let once = std::iter::repeat_with(AtomicU64::default).take(ONCE_PLACES).collect();
        Self { cache, key: FingerprintKey::random(), plans_compiled: AtomicU64::new(0), once }
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

    /// See [`FingerprintKey::of_octets`].
    pub(super) fn fingerprint(&self, octets: &[u8]) -> Fingerprint {
        self.key.of_octets(octets)
    }

    /// Remembered from the second time on.
    pub(super) fn content(
        &self,
        source: &Canonical,
        read: impl FnOnce() -> Result<Content, Fault>,
    ) -> Result<Content, Fault> {
        let key = self.key.of(source);
        if let Some(Compiled::Content(content)) = self.cache.get(&key) {
            return Ok(content);
        }
        let content = read()?;
        if self.was_seen(&key) {
            self.cache.insert(key, Compiled::Content(content.clone()));
        }
        Ok(content)
    }

    fn was_seen(&self, key: &Fingerprint) -> bool {
        let half = u64::from_le_bytes(*key.first_chunk().expect("a fingerprint has 16 octets"));
        let place = &self.once[usize::from(key[15]) << 8 & (ONCE_PLACES - 1) | usize::from(key[14])];
        place.swap(half, Relaxed) == half
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
