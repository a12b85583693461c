//! The one source of chance: streams of numbers that follow from a seed and a name, so that no part of a run can shift
//! what another part draws.

use std::time::Duration;

/// SplitMix64. Good enough to choose events by, and the same everywhere.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// The stream of one part of a run.
    pub fn stream(seed: u64, part: &str, number: u64) -> Self {
        let mut dice = Self(seed);
        for octet in part.bytes() {
            dice.0 = dice.next() ^ u64::from(octet);
        }
        dice.0 = dice.next() ^ number;
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From zero, without `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// Milliseconds from `least` to `most`.
    pub fn pause(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most + 1 - least))
    }
}

#[test]
fn the_same_seed_draws_the_same_and_parts_are_apart() {
    let draw = |seed, part, number| {
        let mut dice = Dice::stream(seed, part, number);
        (0..8).map(|_| dice.below(1_000_000)).collect::<Vec<_>>()
    };
    assert_eq!(draw(1, "engine", 0), draw(1, "engine", 0));
    assert_ne!(draw(1, "engine", 0), draw(1, "engine", 1));
    assert_ne!(draw(1, "engine", 0), draw(1, "proxy", 0));
    assert_ne!(draw(1, "engine", 0), draw(2, "engine", 0));
}
