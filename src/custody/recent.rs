//! Jobs by their send number, under way or just ended: the same job submitted twice is carried once, also before the
//! ledger knows of it. Bounded; what it has forgotten the ledger still knows, where there is one.

use crate::fault::State;
use crate::job::SendNumber;
use crate::journal::Body;
use crate::ticket::Outcome;
use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

const SHARDS: usize = 16;
/// Ended jobs that are remembered, each some 300 octets.
const ENDED_MAX: usize = 32_768;

type Key = [u8; 16];

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
    jobs: HashMap<Key, (Body, Standing)>,
    /// Ended ones, the oldest first.
    ended: VecDeque<Key>,
}

/// Small: each job touches a place of the table that nobody has touched for long.
enum Standing {
    Under(watch::Receiver<Option<Outcome>>),
    Ended(Box<Outcome>),
}

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
    told: watch::Sender<Option<Outcome>>,
    /// Its end is remembered. From there on the same job may be judged anew, which is then another's to end.
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
        let is_as_seen = |(before, standing): &(Body, Standing)| {
            *before == body && matches!(standing, Standing::Ended(outcome) if **outcome == *ended)
        };
        if known.jobs.get(&key).is_some_and(is_as_seen) {
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
        self.told.send_replace(Some(outcome.clone()));
        if matches!(outcome.state(), State::Deferred | State::Lost) {
            return;
        }
        self.has_ended = true;
        let ended = Box::new(outcome.clone());
        let mut known = self.shard.lock();
        if let Some((_, standing)) = known.jobs.get_mut(&self.key) {
            *standing = Standing::Ended(ended);
        }
        known.ended.push_back(self.key);
        if known.ended.len() > ENDED_MAX / SHARDS
            && let Some(oldest) = known.ended.pop_front()
            // One that was judged anew may be under way again.
            && matches!(known.jobs.get(&oldest), Some((_, Standing::Ended(_))))
        {
            known.jobs.remove(&oldest);
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
            Entry::Occupied(entry) => match entry.get() {
                (before, _) if *before != body => Begun::Other,
                (_, Standing::Ended(outcome)) => Begun::Before(Outcome::clone(outcome)),
                (_, Standing::Under(told)) => Begun::Under(Waiting(told.clone())),
            },
            Entry::Vacant(entry) => {
                let (told, waiting) = watch::channel(None);
                entry.insert((body, Standing::Under(waiting)));
                Begun::First(Guard { shard: self.clone(), key, told, has_ended: false })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
    fn memory_is_bounded() {
        let recent = Recent::default();
        for _ in 0..ENDED_MAX * 2 {
            first(&recent, &SendNumber::fresh()).end(&Outcome::Journaled(Repeat::No));
        }
        let kept: usize = recent.shards.iter().map(|shard| shard.lock().jobs.len()).sum();
        assert!(kept <= ENDED_MAX);
    }
}
