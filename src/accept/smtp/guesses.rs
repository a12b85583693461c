//! Wrong passwords, counted per source and per account, so that guessing stalls. Which accounts exist makes no
//! difference, so the lock tells nothing.

use crate::accept::smtp::sources::Source;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Most sources and accounts remembered at once.
const ENTRIES_MAX: usize = 10_000;

/// How many wrong passwords are too many.
#[derive(Debug, Clone)]
pub struct GuessLimits {
    pub per_source_max: u32,
    pub per_account_max: u32,
    /// Counts start afresh after this time.
    pub window: Duration,
}

impl Default for GuessLimits {
    fn default() -> Self {
        Self { per_source_max: 20, per_account_max: 100, window: Duration::from_secs(300) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Suspect {
    Source(Source),
    Account(u64),
}

#[derive(Debug)]
struct Count {
    failures: u32,
    since: Instant,
}

#[derive(Debug, Default)]
struct Book {
    counts: HashMap<Suspect, Count>,
    /// Sources whose last login to an account was right. They stay able to work while others guess, and lose
    /// that with their first wrong password.
    trusted: HashSet<(Source, u64)>,
}

#[derive(Debug)]
pub struct Guesses {
    limits: GuessLimits,
    /// A plain lock: logins are rare beside messages, and it guards a few map look-ups.
    book: Mutex<Book>,
    /// Keyed at start, so nobody can aim at another account's number. Names are not kept.
    hasher: RandomState,
}

impl Guesses {
    pub fn new(limits: GuessLimits) -> Self {
        Self { limits, book: Mutex::default(), hasher: RandomState::new() }
    }

    /// Whether a password from this source for this account is not to be looked at for now.
    pub fn is_locked(&self, source: Source, user: &str) -> bool {
        let account = self.hasher.hash_one(user);
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if book.trusted.contains(&(source, account)) {
            return false;
        }
        let failures = |suspect| {
            let count = book.counts.get(&suspect).filter(|count| count.since.elapsed() < self.limits.window);
            count.map_or(0, |count| count.failures)
        };
        failures(Suspect::Source(source)) >= self.limits.per_source_max
            || failures(Suspect::Account(account)) >= self.limits.per_account_max
    }

    pub fn failed(&self, source: Source, user: &str) {
        let account = self.hasher.hash_one(user);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.trusted.remove(&(source, account));
        for suspect in [Suspect::Source(source), Suspect::Account(account)] {
            book.count(suspect, self.limits.window);
        }
    }

    pub fn succeeded(&self, source: Source, user: &str) {
        let account = self.hasher.hash_one(user);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if book.trusted.len() >= ENTRIES_MAX {
            book.trusted.clear();
        }
        book.trusted.insert((source, account));
    }
}

impl Book {
    fn count(&mut self, suspect: Suspect, window: Duration) {
        if self.counts.len() >= ENTRIES_MAX && !self.counts.contains_key(&suspect) {
            self.make_room(window);
        }
        let count = self.counts.entry(suspect).or_insert(Count { failures: 0, since: Instant::now() });
        if count.since.elapsed() >= window {
            *count = Count { failures: 0, since: Instant::now() };
        }
        count.failures = count.failures.saturating_add(1);
    }

    fn make_room(&mut self, window: Duration) {
        self.counts.retain(|_, count| count.since.elapsed() < window);
        if self.counts.len() >= ENTRIES_MAX {
            // Whoever failed only once is the least loss; in a flood of those, any of them is.
            self.counts.retain(|_, count| count.failures > 1);
        }
        if self.counts.len() >= ENTRIES_MAX {
            self.counts.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::User(last.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_is_locked_after_its_guesses_and_freed_by_time() {
        let guesses = Guesses::new(GuessLimits { per_source_max: 3, ..GuessLimits::default() });
        for _ in 0..3 {
            assert!(!guesses.is_locked(source(1), "a"));
            guesses.failed(source(1), "a");
        }
        assert!(guesses.is_locked(source(1), "a") && guesses.is_locked(source(1), "b"));
        assert!(!guesses.is_locked(source(2), "a"));
        tokio::time::advance(Duration::from_secs(301)).await;
        assert!(!guesses.is_locked(source(1), "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_is_locked_for_strangers_only() {
        let guesses = Guesses::new(GuessLimits { per_account_max: 3, ..GuessLimits::default() });
        guesses.succeeded(source(9), "a");
        for last in 1..4 {
            guesses.failed(source(last), "a");
        }
        assert!(guesses.is_locked(source(4), "a"));
        assert!(!guesses.is_locked(source(9), "a"));
        guesses.failed(source(9), "a");
        assert!(guesses.is_locked(source(9), "a"), "one wrong password ends the trust");
    }

    #[tokio::test(start_paused = true)]
    async fn the_book_is_bounded() {
        let guesses = Guesses::new(GuessLimits::default());
        for n in 0..30_000u32 {
            guesses.failed(Source::User(n), "a");
        }
        assert!(guesses.book.lock().unwrap().counts.len() <= ENTRIES_MAX);
    }
}
