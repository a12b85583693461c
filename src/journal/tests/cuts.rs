//! The flight log under power cuts, at every boundary of its fsyncs and between them: of what was not synced some sectors are on the
//! disk, and others are not. What had been told that it may leave is never taken for something that has not left; what was never
//! noted is never in doubt.

use super::*;
use crate::journal::arm::{Gate, Place as ArmPlace};
use crate::journal::flight::{FILE_NAME as LOG_NAME, Fate, Flights, Header, Log, Noting};
use crate::journal::origin::Notes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

const SECTOR: usize = 512;
/// Of the log: the lowest places are used first, and more messages than find room here are never noted.
const LOOKED_AT: usize = 192 * SECTOR;

#[derive(Debug, Clone)]
enum Step {
    /// So many jobs are claimed.
    Claim(u8),
    /// So many of those claimed are noted together, and may leave once that is synced.
    Arm(u8),
    Offer(usize),
    /// Answered so, and the database knows.
    Answer(usize, bool),
    /// The database knows.
    Land(usize),
    /// Put off, and claimed for its next attempt.
    Again(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..24u8).prop_map(Step::Claim),
        4 => (1..24u8).prop_map(Step::Arm),
        4 => any::<usize>().prop_map(Step::Offer),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(at, is_taken)| Step::Answer(at, is_taken)),
        4 => any::<usize>().prop_map(Step::Land),
        1 => any::<usize>().prop_map(Step::Again),
    ]
}

/// How far a job in flight has come, as those outside know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Come {
    Claimed,
    /// Its note is written and not synced: nobody was told.
    Noted,
    /// It may leave, and may have left.
    Told,
    Answered {
        is_taken: bool,
    },
}

/// What a relay sees of the log, as far as it is used here.
fn there(path: &std::path::Path) -> Vec<u8> {
    let mut bytes = vec![0; LOOKED_AT];
    std::fs::File::open(path).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// The same throws for the same seed (Steele, Lea, Flood: SplitMix, 2014).
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

struct Disk {
    _dir: tempfile::TempDir,
    path: std::path::PathBuf,
    flights: Flights,
    gate: Arc<Gate>,
    /// What is sure to be there.
    synced: Vec<u8>,
    flying: BTreeMap<i64, (u32, Come)>,
    last: i64,
    dice: Dice,
    cuts: u32,
}

impl Disk {
    fn new(dice: Dice) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOG_NAME);
        let flights = Flights::start(&path, Header::default()).unwrap();
        let synced = there(&path);
        let gate = Gate::new(Arc::default());
        Self { _dir: dir, path, flights, gate, synced, flying: BTreeMap::new(), last: 0, dice, cuts: 0 }
    }

    fn claim(&mut self, number: i64, attempt: u32) {
        self.flights.take_off(number, attempt, None);
        self.flying.insert(number, (attempt, Come::Claimed));
    }

    fn come(&mut self, come: Come, at: usize) -> Option<i64> {
        let found: Vec<i64> =
            self.flying.iter().filter(|(_, (_, now))| *now == come).map(|(number, _)| *number).collect();
        (!found.is_empty()).then(|| found[at % found.len()])
    }

    fn set(&mut self, number: i64, come: Come) {
        self.flying.entry(number).and_modify(|(_, now)| *now = come);
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Claim(count) => {
                for _ in 0..count {
                    self.last += 1;
                    self.claim(self.last, 1);
                }
            }
            Step::Arm(count) => {
                let claimed = self.flying.iter().filter(|(_, (_, come))| *come == Come::Claimed);
                let some: Vec<i64> = claimed.map(|(number, _)| *number).take(usize::from(count)).collect();
                let arm = |number: &i64| self.flights.begin_arm(*number, ArmPlace::of(&self.gate)).unwrap();
                let mut arms: Vec<Noting> = some.iter().map(arm).collect();
                self.flights.write_arms(&mut arms).unwrap();
                some.iter().for_each(|number| self.set(*number, Come::Noted));
                // Before the fsync, behind it, and before anybody is told.
                self.cut();
                self.flights.sync().unwrap();
                self.synced = there(&self.path);
                self.cut();
                some.iter().for_each(|number| self.set(*number, Come::Told));
            }
            Step::Offer(at) => {
                if let Some(number) = self.come(Come::Told, at) {
                    self.flights.offered(number).unwrap();
                }
            }
            Step::Answer(at, is_taken) => {
                if let Some(number) = self.come(Come::Told, at) {
                    let outcome = if is_taken { relayed() } else { Outcome::Failed(busy()) };
                    self.flights.offered(number).unwrap();
                    self.flights.answered(number, &outcome).unwrap();
                    self.set(number, Come::Answered { is_taken });
                }
            }
            Step::Land(at) => {
                for is_taken in [true, false] {
                    if let Some(number) = self.come(Come::Answered { is_taken }, at) {
                        self.flights.land(number);
                        self.flying.remove(&number);
                    }
                }
            }
            Step::Again(at) => {
                if let Some(number) = self.come(Come::Answered { is_taken: false }, at) {
                    self.flights.land(number);
                    let attempt = self.flying[&number].0 + 1;
                    self.claim(number, attempt);
                }
            }
        }
        self.cut();
    }

    /// What a start finds if the power is cut now, and what it makes of it.
    fn cut(&mut self) {
        let now = there(&self.path);
        let (mut left, keep) = (self.synced.clone(), self.dice.throw() % 4);
        for (at, (sector, written)) in left.chunks_mut(SECTOR).zip(now.chunks(SECTOR)).enumerate() {
            let is_kept = match keep {
                0 => false,
                1 => true,
                // All but the header's.
                2 => at > 0,
                _ => self.dice.throw().is_multiple_of(2),
            };
            if is_kept {
                sector.copy_from_slice(written);
            }
        }
        let found = self.path.with_extension("found");
        std::fs::write(&found, left).unwrap();
        let log = Log::read(&found);
        for (number, (attempt, come)) in &self.flying {
            let fate = log.fate((*number, *attempt), Notes::Synced, true);
            let is_right = match (come, &fate) {
                (Come::Claimed, fate) => *fate == Fate::NotOffered,
                (Come::Noted, fate) => matches!(fate, Fate::NotOffered | Fate::InDoubt),
                (_, Fate::InDoubt) => true,
                (Come::Answered { is_taken: true }, fate) => matches!(fate, Fate::Relayed { .. }),
                (Come::Answered { is_taken: false }, fate) => *fate == Fate::Refused,
                (Come::Told, _) => false,
            };
            assert!(is_right, "job {number}, {come:?}, becomes {fate:?}");
        }
        self.cuts += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn c8_a_cut_leaves_only_what_was_armed_in_doubt(steps in proptest::collection::vec(step(), 1..50), seed: u64) {
        let mut disk = Disk::new(Dice(seed));
        steps.iter().for_each(|step| disk.take(step));
        prop_assert!(disk.cuts as usize >= steps.len());
    }
}
