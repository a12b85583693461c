//! Random lives of jobs, with crashes, against a model: none is lost, none is in two places, none ends otherwise than
//! it was said to.

use super::*;
use crate::fault::State;
use proptest::prelude::*;
use std::collections::HashMap;

#[derive(Debug, Clone)]
enum Step {
    Hold(u8),
    Claim(bool),
    Offer(usize),
    Settle(usize, u8),
    /// Killed before the writer came to the last settlements, or after.
    Crash,
    PowerCut,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4u8).prop_map(Step::Hold),
        4 => any::<bool>().prop_map(Step::Claim),
        4 => (0..8usize).prop_map(Step::Offer),
        6 => (0..8usize, 0..5u8).prop_map(|(at, how)| Step::Settle(at, how)),
        1 => Just(Step::Crash),
        1 => Just(Step::PowerCut),
        1 => Just(Step::Close),
    ]
}

/// What is known of a job from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Waits,
    Flies {
        is_offered: bool,
        /// It was claimed: it would be armed before it leaves.
        is_claimed: bool,
    },
    /// Settled; the writer may not have come to it.
    Said(State),
}

fn outcome(how: u8) -> Outcome {
    match how {
        0 => relayed(),
        1 => Outcome::Failed(busy()),
        2 => Outcome::Failed(refused()),
        3 => Outcome::Failed(Fault::in_doubt("gone")),
        _ => Outcome::Lost,
    }
}

fn how(kind: u8) -> How {
    match kind {
        0 => How::InFlight,
        1 => How::Failed(busy()),
        _ => How::Queued,
    }
}

struct Lives {
    place: Place,
    elsewhere: tempfile::TempDir,
    sends: HashMap<Number, SendNumber>,
    seen: HashMap<Number, Seen>,
    flying: Vec<Number>,
    boot: u8,
}

impl Lives {
    async fn take(&mut self, step: &Step) {
        match step {
            Step::Hold(kind) => {
                let job = if kind % 2 == 0 { message("X: y", "shared") } else { job() };
                let send = job.send.clone();
                let number = self.place.held(job, how(*kind)).await;
                self.sends.insert(number, send);
                if *kind == 0 {
                    self.flying.push(number);
                    self.seen.insert(number, Seen::Flies { is_offered: false, is_claimed: false });
                } else {
                    self.seen.insert(number, Seen::Waits);
                }
            }
            Step::Claim(is_retry) => {
                for claimed in self.place.claim(*is_retry).await {
                    let before = self.seen[&claimed.number];
                    let may_fly = match before {
                        Seen::Waits => true,
                        Seen::Said(state) => matches!(state, State::Deferred | State::Lost),
                        Seen::Flies { .. } => false,
                    };
                    assert!(may_fly, "{:?} was {before:?}", claimed.number);
                    self.flying.push(claimed.number);
                    self.seen.insert(claimed.number, Seen::Flies { is_offered: false, is_claimed: true });
                }
            }
            Step::Offer(at) if !self.flying.is_empty() => {
                let number = self.flying[at % self.flying.len()];
                self.place.journal().offered(number).unwrap();
                self.seen.insert(number, Seen::Flies { is_offered: true, is_claimed: false });
            }
            Step::Settle(at, how) if !self.flying.is_empty() => {
                let number = self.flying.swap_remove(at % self.flying.len());
                let was_offered = matches!(self.seen[&number], Seen::Flies { is_offered: true, .. });
                // A real attempt is answered only once it was offered.
                if !was_offered && [0, 3].contains(how) {
                    self.flying.push(number);
                    return;
                }
                let said = outcome(*how);
                let state = match said.state() {
                    State::Lost if was_offered => State::Unknown,
                    state => state,
                };
                self.place.journal().settle(number, said).await;
                self.seen.insert(number, Seen::Said(state));
            }
            Step::Crash => {
                self.place.crash().await;
                self.reopen(false).await;
            }
            Step::PowerCut => {
                self.place.crash().await;
                self.boot += 1;
                self.reopen(true).await;
            }
            Step::Close => {
                self.place.close().await;
                self.reopen(false).await;
            }
            Step::Offer(_) | Step::Settle(..) => {}
        }
    }

    async fn reopen(&mut self, was_cut: bool) {
        // As in a container, whose folders last longer than a run of the kernel.
        let witnesses = vec![self.elsewhere.path().to_owned()];
        let found = self.place.open_at(origin::Here { witnesses, ..here(Some([self.boot; 36])) });
        assert_eq!(found.provenance.sign(), None, "c12: nothing was set back");
        self.place.check();
        self.flying.clear();
        assert_eq!(self.place.number("SELECT count(*) FROM job"), self.sends.len() as i64, "none is lost");
        for (number, send) in &self.sends {
            let found = self.place.outcome(send).await.state();
            let (journaled, unknown) = (found == State::Journaled, found == State::Unknown);
            let seen = self.seen[number];
            let is_right = match seen {
                Seen::Waits => journaled,
                Seen::Flies { is_offered: true, .. } => unknown,
                Seen::Flies { is_claimed: true, .. } => journaled,
                Seen::Flies { .. } if was_cut => unknown,
                Seen::Flies { .. } => journaled,
                Seen::Said(State::Deferred | State::Lost) => journaled || (unknown && was_cut),
                Seen::Said(State::Relayed) => found == State::Relayed || (unknown && was_cut),
                // A refusal that was not committed is asked for once more.
                Seen::Said(State::Rejected) => found == State::Rejected || journaled || (unknown && was_cut),
                Seen::Said(state) => found == state,
            };
            assert!(is_right, "{number:?}: {seen:?} became {found:?}");
            let now = if journaled { Seen::Waits } else { Seen::Said(found) };
            self.seen.insert(*number, now);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_each_job_is_in_one_place(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut place = Place::new();
            place.crash().await;
            place.open_after(Some([0; 36]));
            let mut lives = Lives {
                place,
                elsewhere: tempfile::tempdir().unwrap(),
                sends: HashMap::new(),
                seen: HashMap::new(),
                flying: Vec::new(),
                boot: 0,
            };
            for step in &steps {
                lives.take(step).await;
            }
            lives.take(&Step::Close).await;
        });
    }
}
