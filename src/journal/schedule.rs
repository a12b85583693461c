//! When a job is tried again.

use super::clock::millis;
use std::time::Duration;

/// Pause before the attempt that follows `attempts` failed ones: it doubles each time up to `max`, and is a fifth
/// shorter or longer by `chance`, so that jobs that failed together do not come back together.
pub fn pause(attempts: u32, first: Duration, max: Duration, chance: u64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(40);
    let plain = millis(first).saturating_mul(1 << doublings).min(millis(max)).max(0);
    let fifth = plain / 5;
    let swing = if fifth == 0 { 0 } else { (chance % (2 * fifth as u64 + 1)) as i64 - fifth };
    Duration::from_millis((plain + swing).max(1) as u64)
}

/// A cheap source of numbers that need not be secret (Steele, Lea, Flood: SplitMix, 2014).
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new() -> Self {
        let mut seed = [0; 8];
        aws_lc_rs::rand::fill(&mut seed).expect("the system's random source works");
        Self(u64::from_le_bytes(seed))
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pause_doubles_within_a_fifth_up_to_the_longest(
            attempts in 1..200u32, first in 1..100_000u64, max in 1..10_000_000u64, chance: u64,
        ) {
            let max = max.max(first);
            let found = pause(attempts, Duration::from_millis(first), Duration::from_millis(max), chance);
            let plain = (first as f64 * 2f64.powi(attempts as i32 - 1)).min(max as f64);
            let found = found.as_millis() as f64;
            prop_assert!(found >= (plain * 0.8 - 1.0).max(1.0) && found <= plain * 1.2 + 1.0, "{found} for {plain}");
        }
    }

    #[test]
    fn the_swing_uses_the_whole_fifth() {
        let mut chance = Chance::new();
        let drawn: Vec<_> = (0..1_000)
            .map(|_| pause(1, Duration::from_secs(10), Duration::from_secs(60), chance.draw()).as_millis())
            .collect();
        assert!(drawn.iter().any(|ms| *ms < 8_400) && drawn.iter().any(|ms| *ms > 11_600));
    }
}
