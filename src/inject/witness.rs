//! What one session does with messages, which tells what a refusal of its is worth.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Messages that a session refuses in a row, at least, before another one is made in its place.
pub(super) const USELESS_MIN: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Witness {
    taken: AtomicU64,
    /// Messages refused since it took the last one, without those that were found to be the person's.
    pub in_a_row: AtomicU32,
    /// Recipients refused as unknown since it took the last one.
    pub unknown_in_a_row: AtomicU32,
}

impl Witness {
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    pub fn took(&self) {
        self.taken.fetch_add(1, Relaxed);
        if self.in_a_row.load(Relaxed) > 0 {
            self.in_a_row.store(0, Relaxed);
        }
        self.knows_people();
    }

    /// Those it did not know were right to be refused, or others were taken since.
    pub fn knows_people(&self) {
        if self.unknown_in_a_row.load(Relaxed) > 0 {
            self.unknown_in_a_row.store(0, Relaxed);
        }
    }

    pub fn refused(&self) {
        self.in_a_row.fetch_add(1, Relaxed);
    }

    /// It has taken nobody yet, or refused more than one since.
    pub fn takes_nobody(&self) -> bool {
        self.taken() == 0 || self.in_a_row.load(Relaxed) > 1
    }

    /// Several, and it has taken nobody yet.
    pub fn has_refused_all(&self) -> bool {
        self.taken() == 0 && self.in_a_row.load(Relaxed) >= USELESS_MIN
    }

    /// It has shown that it takes people.
    pub fn is_proven(&self) -> bool {
        self.taken() > 0
    }

    /// What it says of a message that others refused is worth something: it takes others, or is new.
    pub fn is_good(&self) -> bool {
        let in_a_row = self.in_a_row.load(Relaxed);
        let knows_people = self.unknown_in_a_row.load(Relaxed) < USELESS_MIN;
        knows_people && (in_a_row == 0 || (self.taken() == 0 && in_a_row < USELESS_MIN))
    }

    /// It took the one before this message, which it refused.
    pub fn took_the_one_before(&self) -> bool {
        self.taken() > 0 && self.in_a_row.load(Relaxed) == 1
    }

    /// One of its refusals was the person's.
    pub fn was_right(&self) {
        let less = |in_a_row: u32| in_a_row.checked_sub(1);
        let _ = self.in_a_row.fetch_update(Relaxed, Relaxed, less);
    }
}
