//! Jobs by their send number, under way or just ended: the same job submitted twice is carried once, also before the
//! ledger knows of it. Bounded; what it has forgotten the ledger still knows, where there is one.

use crate::fault::State;
use crate::job::SendNumber;
use crate::journal::Body;
use crate::ticket::Outcome;
use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

const SHARDS: usize = 16;
/// Ended jobs that are remembered, each some 200 octets.
const ENDED_MAX: usize = 32_768;

type Key = [u8; 16];
type Told = watch::Sender<Option<Outcome>>;

/// Send numbers are keyed hashes, so their octets spread the jobs over the shards.
#[derive(Default)]
pub struct Recent {
    shards: [Arc<Shard>; SHARDS],
}

/// Locked for lines that neither wait nor fail.
#[derive(Default)]
struct Shard(Mutex<Known>);

#[derive(Default)]
struct Known {
    jobs: HashMap<Key, (Body, Standing), BuildHasherDefault<KeyHash>>,
    ended: Ended,
}

/// Small: each job touches a place of the table that nobody has touched for long.
enum Standing {
    /// Made for the first who waits for its end. Nearly always nobody does.
    Under(Option<Told>),
    /// The turn at which it ended.
    Ended(u64),
}

/// The last jobs that ended, the oldest first: one behind the other, so that the next place is in the processor's cache.
#[derive(Default)]
struct Ended {
    jobs: VecDeque<(Key, Outcome)>,
    /// The turn of the oldest.
    first: u64,
}

/// A part of the key as it is: engines cannot choose a keyed hash, and a shard is small.
#[derive(Default)]
struct KeyHash(u64);

/// What is known of a job that begins.
pub enum Begun {
    First(Guard),
    /// It ended before, so.
    Before(Outcome),
    /// It is under way.
    Under(Waiting),
    /// Its id belongs to another job.
    Other,
}

/// Held while a job is under way. Dropped without an end, the job counts as never begun.
pub struct Guard {
    shard: Arc<Shard>,
    key: Key,
    /// From there on the same job may be begun anew, which is then another's to end.
    has_ended: bool,
}

/// Somebody else carries the job.
pub struct Waiting(watch::Receiver<Option<Outcome>>);

impl Waiting {
    pub async fn outcome(mut self) -> Outcome {
        match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Outcome::Lost),
            Err(_) => Outcome::Lost,
        }
    }
}

impl Recent {
    pub fn begin(&self, send: &SendNumber, body: Body) -> Begun {
        let key = send.bits();
        self.shard(key).begin(&mut self.shard(key).lock(), key, body)
    }

    /// As [`Recent::begin`], for a job that ended so, which lets it be judged anew. Where it has ended otherwise since, that
    /// counts: whoever looked may have been overtaken.
    pub fn begin_again(&self, send: &SendNumber, body: Body, ended: &Outcome) -> Begun {
        let key = send.bits();
        let mut known = self.shard(key).lock();
        let Known { jobs, ended: before } = &*known;
        let is_as_seen = |(begun, standing): &(Body, Standing)| {
            *begun == body && matches!(standing, Standing::Ended(turn) if before.at(*turn) == ended)
        };
        if jobs.get(&key).is_some_and(is_as_seen) {
            known.jobs.remove(&key);
        }
        self.shard(key).begin(&mut known, key, body)
    }

    fn shard(&self, key: Key) -> &Arc<Shard> {
        &self.shards[usize::from(key[0]) % SHARDS]
    }
}

impl Guard {
    /// A job that may be submitted again is forgotten, any other is remembered for a while.
    pub fn end(mut self, outcome: &Outcome) {
        self.has_ended = true;
        let before = if matches!(outcome.state(), State::Deferred | State::Lost) {
            self.shard.lock().jobs.remove(&self.key).map(|(_, standing)| standing)
        } else {
            self.shard.lock().end(self.key, outcome.clone())
        };
        if let Some(Standing::Under(Some(told))) = before {
            told.send_replace(Some(outcome.clone()));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut known = self.shard.lock();
        if matches!(known.jobs.get(&self.key), Some((_, Standing::Under(_)))) {
            known.jobs.remove(&self.key);
        }
    }
}

impl Shard {
    fn begin(self: &Arc<Self>, known: &mut Known, key: Key, body: Body) -> Begun {
        match known.jobs.entry(key) {
            Entry::Occupied(mut entry) => match entry.get_mut() {
                (before, _) if *before != body => Begun::Other,
                (_, Standing::Ended(turn)) => Begun::Before(known.ended.at(*turn).clone()),
                (_, Standing::Under(told)) => {
                    let told = told.get_or_insert_with(|| watch::Sender::new(None));
                    Begun::Under(Waiting(told.subscribe()))
                }
            },
            Entry::Vacant(entry) => {
                entry.insert((body, Standing::Under(None)));
                Begun::First(Guard { shard: self.clone(), key, has_ended: false })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Known {
    /// How the job stood before.
    fn end(&mut self, key: Key, outcome: Outcome) -> Option<Standing> {
        let turn = self.ended.put(key, outcome);
        let begun = self.jobs.get_mut(&key);
        let before = begun.map(|(_, standing)| std::mem::replace(standing, Standing::Ended(turn)));
        if let Some((turn, oldest)) = self.ended.take_one_too_many()
            // One that was judged anew may be under way again, or have ended again.
            && matches!(self.jobs.get(&oldest), Some((_, Standing::Ended(last))) if *last == turn)
        {
            self.jobs.remove(&oldest);
        }
        before
    }
}

impl Ended {
    /// The turn of what was put there.
    fn put(&mut self, key: Key, outcome: Outcome) -> u64 {
        self.jobs.push_back((key, outcome));
        self.first + self.jobs.len() as u64 - 1
    }

    fn at(&self, turn: u64) -> &Outcome {
        &self.jobs[(turn - self.first) as usize].1
    }

    fn take_one_too_many(&mut self) -> Option<(u64, Key)> {
        if self.jobs.len() <= ENDED_MAX / SHARDS {
            return None;
        }
        let (key, _) = self.jobs.pop_front()?;
        self.first += 1;
        Some((self.first - 1, key))
    }
}

impl Hasher for KeyHash {
    fn write(&mut self, octets: &[u8]) {
        // Those in front tell the shard, and the time of a job that has no id.
        if let Some(last) = octets.last_chunk() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, Reason, Repeat};

    const BODY: Body = Body([1; 16]);

    fn first(recent: &Recent, send: &SendNumber) -> Guard {
        match recent.begin(send, BODY) {
            Begun::First(guard) => guard,
            _ => panic!("it is known already"),
        }
    }

    #[tokio::test]
    async fn the_same_job_twice_at_once_has_one_outcome() {
        let (recent, send) = (Recent::default(), SendNumber::fresh());
        let guard = first(&recent, &send);
        let Begun::Under(waiting) = recent.begin(&send, BODY) else { panic!() };
        assert!(matches!(recent.begin(&send, Body([2; 16])), Begun::Other));
        guard.end(&Outcome::Journaled(Repeat::No));
        assert_eq!(waiting.outcome().await, Outcome::Journaled(Repeat::No));
        assert!(matches!(recent.begin(&send, BODY), Begun::Before(Outcome::Journaled(_))));
        assert!(matches!(recent.begin(&send, Body([2; 16])), Begun::Other));
    }

    #[tokio::test]
    async fn what_may_be_submitted_again_is_forgotten() {
        let (recent, send) = (Recent::default(), SendNumber::fresh());
        let guard = first(&recent, &send);
        let Begun::Under(waiting) = recent.begin(&send, BODY) else { panic!() };
        let deferred = Outcome::Failed(Fault::new(Reason::TargetUnavailable, "down"));
        guard.end(&deferred);
        assert_eq!(waiting.outcome().await, deferred);
        drop(first(&recent, &send));
        drop(first(&recent, &send));
    }

    #[tokio::test]
    async fn b10_one_that_is_judged_anew_is_carried_once_and_keeps_its_body() {
        let (recent, send) = (Recent::default(), SendNumber::fresh());
        let refused = Outcome::Failed(Fault::new(Reason::NoConsent, "no"));
        first(&recent, &send).end(&refused);
        assert!(matches!(recent.begin_again(&send, Body([2; 16]), &refused), Begun::Other));
        let Begun::First(guard) = recent.begin_again(&send, BODY, &refused) else { panic!() };
        assert!(
            matches!(recent.begin_again(&send, BODY, &refused), Begun::Under(_)),
            "the other waits for it"
        );
        for _ in 0..ENDED_MAX {
            first(&recent, &SendNumber::fresh()).end(&Outcome::Journaled(Repeat::No));
        }
        assert!(matches!(recent.begin(&send, BODY), Begun::Under(_)), "and it is not forgotten meanwhile");
        guard.end(&Outcome::Journaled(Repeat::No));
        assert!(matches!(recent.begin(&send, BODY), Begun::Before(Outcome::Journaled(_))));
    }

    /// Two have seen that it was refused; the slower one comes when the other has delivered it.
    #[tokio::test]
    async fn a12_whoever_was_overtaken_does_not_begin_it_once_more() {
        let (recent, send) = (Recent::default(), SendNumber::fresh());
        let refused = Outcome::Failed(Fault::new(Reason::NoConsent, "no"));
        first(&recent, &send).end(&refused);
        let Begun::First(guard) = recent.begin_again(&send, BODY, &refused) else { panic!() };
        guard.end(&Outcome::Journaled(Repeat::No));
        let Begun::Before(outcome) = recent.begin_again(&send, BODY, &refused) else {
            panic!("a second time")
        };
        assert_eq!(outcome, Outcome::Journaled(Repeat::No));
    }

    #[test]
    fn one_that_was_judged_anew_is_remembered_from_its_last_end_on() {
        let (recent, send) = (Recent::default(), SendNumber::fresh());
        let refused = Outcome::Failed(Fault::new(Reason::NoConsent, "no"));
        let journaled = Outcome::Journaled(Repeat::No);
        first(&recent, &send).end(&refused);
        let end_others = |count: usize| {
            // Fresh ones begin with the time, so that all are in one shard.
            (0..count).for_each(|_| first(&recent, &SendNumber::fresh()).end(&journaled));
        };
        end_others(ENDED_MAX / SHARDS - 1);
        let Begun::First(guard) = recent.begin_again(&send, BODY, &refused) else { panic!() };
        guard.end(&journaled);
        end_others(ENDED_MAX / SHARDS - 1);
        assert!(matches!(recent.begin(&send, BODY), Begun::Before(outcome) if outcome == journaled));
        end_others(1);
        assert!(matches!(recent.begin(&send, BODY), Begun::First(_)), "and no longer");
    }

    #[tokio::test]
    async fn whoever_waits_for_one_that_is_dropped_hears_of_it() {
        let (recent, send) = (Recent::default(), SendNumber::fresh());
        let guard = first(&recent, &send);
        let Begun::Under(waiting) = recent.begin(&send, BODY) else { panic!() };
        drop(guard);
        assert_eq!(waiting.outcome().await, Outcome::Lost);
        drop(first(&recent, &send));
    }

    #[test]
    fn memory_is_bounded() {
        let recent = Recent::default();
        for _ in 0..ENDED_MAX * 2 {
            first(&recent, &SendNumber::fresh()).end(&Outcome::Journaled(Repeat::No));
        }
        let kept: usize = recent.shards.iter().map(|shard| shard.lock().jobs.len()).sum();
        assert!(kept <= ENDED_MAX);
    }
}
