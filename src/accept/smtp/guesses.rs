//! Wrong passwords, counted for each account of a source, for each source and for each account, each on its own, so that
//! guessing stalls and an engine with an old password does not lock out others behind the same address. Which accounts exist
//! makes no difference, so the lock tells nothing.

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
    /// For one account from one source; the right password lifts it no more than anything else.
    pub per_pair_max: u32,
    /// For all accounts from one source. Locks those that were not logged in to from there.
    pub per_source_max: u32,
    /// For one account from all sources. Locks sources that have not logged in to it.
    pub per_account_max: u32,
    /// Counts start afresh after this time.
    pub window: Duration,
}

impl Default for GuessLimits {
    fn default() -> Self {
        Self { per_pair_max: 20, per_source_max: 200, per_account_max: 100, window: Duration::from_secs(300) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Suspect {
    Pair(Source, u64),
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
    /// Sources that have logged in to an account. They stay able to do so while others guess, from the same source too; their
    /// own wrong passwords count for the pair.
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
        let failures = |suspect| {
            let count = book.counts.get(&suspect).filter(|count| count.since.elapsed() < self.limits.window);
            count.map_or(0, |count| count.failures)
        };
        failures(Suspect::Pair(source, account)) >= self.limits.per_pair_max
            || !book.trusted.contains(&(source, account))
                && (failures(Suspect::Source(source)) >= self.limits.per_source_max
                    || failures(Suspect::Account(account)) >= self.limits.per_account_max)
    }

    pub fn failed(&self, source: Source, user: &str) {
        let account = self.hasher.hash_one(user);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        for suspect in [Suspect::Pair(source, account), Suspect::Source(source), Suspect::Account(account)] {
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
    async fn p11_wrong_passwords_of_one_account_lock_no_other_of_that_source() {
        let guesses = Guesses::new(GuessLimits { per_pair_max: 3, ..GuessLimits::default() });
        for _ in 0..3 {
            assert!(!guesses.is_locked(source(1), "a"));
            guesses.failed(source(1), "a");
        }
        assert!(guesses.is_locked(source(1), "a"));
        assert!(!guesses.is_locked(source(1), "b") && !guesses.is_locked(source(2), "a"));
        tokio::time::advance(Duration::from_secs(301)).await;
        assert!(!guesses.is_locked(source(1), "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn p11_a_source_that_tries_many_accounts_is_locked_but_for_those_it_works_with() {
        let guesses = Guesses::new(GuessLimits { per_source_max: 10, ..GuessLimits::default() });
        guesses.succeeded(source(1), "mine");
        for n in 0..10 {
            guesses.failed(source(1), &format!("guess-{n}"));
        }
        assert!(guesses.is_locked(source(1), "other"));
        assert!(!guesses.is_locked(source(1), "mine") && !guesses.is_locked(source(2), "other"));
    }

    #[tokio::test(start_paused = true)]
    async fn p11_a_right_password_lifts_no_limit_of_wrong_ones() {
        let guesses = Guesses::new(GuessLimits { per_pair_max: 3, ..GuessLimits::default() });
        for _ in 0..3 {
            guesses.succeeded(source(1), "a");
            assert!(!guesses.is_locked(source(1), "a"));
            guesses.failed(source(1), "a");
        }
        guesses.succeeded(source(1), "a");
        assert!(guesses.is_locked(source(1), "a"));
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
