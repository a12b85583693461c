//! Whether a target refuses most of those it is asked about: then it may have a part of its table of recipients only, and
//! what it says is believed of a few.
//!
//! Each refusal takes one of what may be believed, each one whom it takes gives one back. Where less than half are refused some
//! is always left. Where more are it is used up after ten; from then on nobody is believed to be
//! refused for good at once, until ten more were taken than refused.

use std::sync::{Mutex, MutexGuard, PoisonError};

const BELIEVED_MAX: u32 = 10;

/// How many of those it is asked about a target refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refuses {
    Some,
    Most,
}

/// Plain data, held for lines only; looked at for refusals.
#[derive(Debug, Default)]
pub(super) struct Majority(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    /// How many the target had taken when it refused the last one.
    taken: u64,
    left: u32,
    is_against: bool,
}

impl Default for Counts {
    fn default() -> Self {
        Self { taken: 0, left: BELIEVED_MAX, is_against: false }
    }
}

impl Majority {
    /// It refused one more. `taken`: those it has taken until now.
    pub fn refused(&self, taken: u64) {
        let mut counts = self.counts(taken);
        counts.is_against |= counts.left == 0;
        counts.left = counts.left.saturating_sub(1);
    }

    /// How many it has refused of late.
    pub fn refuses(&self, taken: u64) -> Refuses {
        if self.counts(taken).is_against { Refuses::Most } else { Refuses::Some }
    }

    fn counts(&self, taken: u64) -> MutexGuard<'_, Counts> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = u32::try_from(taken.saturating_sub(counts.taken)).unwrap_or(u32::MAX);
        counts.taken = taken;
        counts.left = counts.left.saturating_add(gained).min(BELIEVED_MAX);
        counts.is_against &= counts.left < BELIEVED_MAX;
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many are believed to be refused, where that many of twenty are.
    fn believed(of_twenty: u64, people: u64) -> usize {
        let (majority, mut taken, mut believed) = (Majority::default(), 0, 0);
        for person in 0..people {
            if person * 7 % 20 >= of_twenty {
                taken += 1;
                continue;
            }
            majority.refused(taken);
            believed += usize::from(majority.refuses(taken) == Refuses::Some);
        }
        believed
    }

    #[test]
    fn a6_where_less_than_half_are_refused_all_are_believed() {
        for of_twenty in [1, 2, 6, 9] {
            assert_eq!(believed(of_twenty, 2_000), of_twenty as usize * 100, "{of_twenty}");
        }
    }

    #[test]
    fn a6_where_most_are_refused_ten_or_little_more_are_believed() {
        for (of_twenty, most) in [(19, 10), (16, 14), (14, 20)] {
            let believed = believed(of_twenty, 2_000);
            assert!((10..=most).contains(&believed), "{of_twenty}: {believed}");
        }
    }

    #[test]
    fn a6_it_is_believed_again_when_ten_more_were_taken_than_refused() {
        let majority = Majority::default();
        (0..50).for_each(|_| majority.refused(100));
        let refuses = [100, 109, 110].map(|taken| majority.refuses(taken));
        assert_eq!(refuses, [Refuses::Most, Refuses::Most, Refuses::Some]);
    }
}
