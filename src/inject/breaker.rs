//! Keeps a target that does not work from costing every job an attempt: after a failure it is left alone until a
//! growing, jittered pause is over, and then it is tried once at a time.

use crate::fault::{Fault, State};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Where each attempt may put a message in doubt: four times as long each time, so that a whole hour costs six or seven.
const DOUBTFUL_PAUSE_MIN: Duration = Duration::from_secs(2);
const DOUBTFUL_PAUSE_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Whether there is an outage; written under its lock.
    is_open: AtomicBool,
    /// Plain data, held for lines only; looked at when the target is down.
    outage: Mutex<Option<Outage>>,
    /// Likewise.
    recoveries: Mutex<Recoveries>,
}

/// How often a target was down and is up again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recoveries {
    pub count: u64,
    /// When the last of these outages began.
    pub down_since: Option<SystemTime>,
}

#[derive(Debug)]
struct Outage {
    kind: Kind,
    since: SystemTime,
    failures: u32,
    try_again_at: Instant,
    cause: Fault,
}

/// What is wrong with a target, which decides what shows that it is well again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// No session can be made. One that is made ends it, and needs no message for that.
    Unreachable,
    /// None has come about for a while. One that does ends it.
    Ungreeted,
    /// It has messages and answers nothing. Only an answer to a message ends it.
    Silent,
    /// Sessions can be made and messages are not taken. Only an answer to a message ends it.
    Failing,
    /// It refuses everybody, for what may be each one's own. Only a message that it takes ends it, and which may find out is not
    /// decided here ([`super::inquiry`]).
    Refusing,
    /// It takes messages and does not say what became of them. Only an answer to a message ends it.
    Losing,
}

impl Kind {
    /// Whether only a message shows that it is over.
    pub fn needs_message(self) -> bool {
        matches!(self, Self::Silent | Self::Failing | Self::Refusing | Self::Losing)
    }

    /// Whether an attempt may put its message in doubt.
    fn is_doubtful(self) -> bool {
        matches!(self, Self::Silent | Self::Losing)
    }

    /// Why it is down, as a message is told that was offered so often meanwhile.
    pub fn told(self, cause: Fault, offers: u32) -> Fault {
        if self == Self::Refusing && offers == 0 { cause.untried() } else { cause }
    }

    /// The target may be slow and nothing worse: who has patience may wait for it.
    pub fn is_silence(self) -> bool {
        matches!(self, Self::Ungreeted | Self::Silent)
    }
}

/// How a target stands, and what whoever asked may do. One look decides: the next one may see something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    Up,
    /// Down, and whoever asked has the attempt that was due.
    Attempt(Kind, Fault),
    Down(Kind, Fault),
}

/// Whether a message could leave now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Up,
    /// Down; so many messages may find out whether it still is.
    AttemptsDue(usize),
    Down,
}

impl Breaker {
    /// Why the target is down, or `None` while it is up.
    pub fn cause(&self) -> Option<Fault> {
        self.shut().map(|(_, cause)| cause)
    }

    /// In which way the target is down, and why.
    pub fn shut(&self) -> Option<(Kind, Fault)> {
        if !self.is_open.load(Relaxed) {
            return None;
        }
        self.lock().as_ref().map(|outage| (outage.kind, outage.cause.clone()))
    }

    /// Whether an attempt is due, without taking it; `None` while the target is up.
    pub fn is_due(&self) -> Option<bool> {
        if !self.is_open.load(Relaxed) {
            return None;
        }
        self.lock().as_ref().map(|outage| Instant::now() >= outage.try_again_at)
    }

    /// How the target stands. Takes the one attempt that is due, if the pause is over; that claim lapses after
    /// `attempt_max`, or after the next pause when that is longer.
    pub fn ask(&self, attempt_max: Duration) -> Look {
        if !self.is_open.load(Relaxed) {
            return Look::Up;
        }
        let mut outage = self.lock();
        let Some(outage) = outage.as_mut() else { return Look::Up };
        let now = Instant::now();
        if now < outage.try_again_at || outage.kind == Kind::Refusing {
            return Look::Down(outage.kind, outage.cause.clone());
        }
        let lapse = match outage.kind {
            Kind::Unreachable | Kind::Ungreeted => attempt_max,
            // What it gets may hang for long: the next one comes after a longer pause whatever becomes of it.
            Kind::Silent | Kind::Failing | Kind::Refusing | Kind::Losing => {
                outage.failures = outage.failures.saturating_add(1);
                pause(outage.kind, outage.failures, random_share())
            }
        };
        outage.try_again_at = now + lapse;
        Look::Attempt(outage.kind, outage.cause.clone())
    }

    /// Whoever took the attempt that was due found nothing out: it is due again.
    pub fn give_back_attempt(&self) {
        if let Some(outage) = self.lock().as_mut() {
            outage.failures = outage.failures.saturating_sub(1).max(1);
            outage.try_again_at = Instant::now();
        }
    }

    /// When the next attempt is due.
    pub fn try_again_at(&self) -> Option<Instant> {
        self.lock().as_ref().map(|outage| outage.try_again_at)
    }

    /// From now on `cause` is what jobs are told that do not go: it never says that one is in doubt.
    pub fn open(&self, kind: Kind, cause: Fault) {
        let cause = cause.into_state(State::Deferred);
        let mut outage = self.lock();
        let failures = match outage.as_ref() {
            None => 1,
            // The attempt was counted when it was given out.
            // What it cost before says nothing about how often messages may be put in doubt.
            Some(before) if kind.is_doubtful() && !before.kind.is_doubtful() => 1,
            Some(before) if before.kind.needs_message() && kind.needs_message() => before.failures,
            Some(before) => before.failures.saturating_add(1),
        };
        let try_again_at = Instant::now() + pause(kind, failures, random_share());
        let since = outage.as_ref().map_or_else(SystemTime::now, |before| before.since);
        *outage = Some(Outage { kind, since, failures, try_again_at, cause });
        self.is_open.store(true, Relaxed);
    }

    /// A session was made.
    pub fn reached(&self) {
        self.close_if(|kind| !kind.needs_message());
    }

    /// The target answered for a message as one does that works.
    pub fn answered(&self) {
        self.close_if(|kind| kind != Kind::Refusing);
    }

    /// It took a message.
    pub fn close(&self) {
        self.close_if(|_| true);
    }

    fn close_if(&self, ends: impl Fn(Kind) -> bool) {
        if !self.is_open.load(Relaxed) {
            return;
        }
        let mut outage = self.lock();
        if let Some(over) = outage.take_if(|outage| ends(outage.kind)) {
            self.is_open.store(false, Relaxed);
            let mut recoveries = self.recoveries.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *recoveries = Recoveries { count: recoveries.count + 1, down_since: Some(over.since) };
        }
    }

    pub fn recoveries(&self) -> Recoveries {
        *self.recoveries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Half of the doubling pause is fixed, the other half is drawn, so that relays do not come back in step.
fn pause(kind: Kind, failures: u32, share: f64) -> Duration {
    let (min, factor, max) = match kind {
        Kind::Unreachable | Kind::Ungreeted | Kind::Failing | Kind::Refusing => (PAUSE_MIN, 2u32, PAUSE_MAX),
        Kind::Silent | Kind::Losing => (DOUBTFUL_PAUSE_MIN, 4, DOUBTFUL_PAUSE_MAX),
    };
    let whole = min.saturating_mul(factor.pow(failures.saturating_sub(1).min(10))).min(max);
    whole.mul_f64(0.5 + share / 2.0)
}

fn random_share() -> f64 {
    let mut octets = [0; 4];
    // Without randomness the pause is only less spread.
    let _ = aws_lc_rs::rand::fill(&mut octets);
    f64::from(u32::from_le_bytes(octets)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Reason;
    use proptest::prelude::*;

    fn cause() -> Fault {
        Fault::new(Reason::TargetUnavailable, "down")
    }

    fn attempt(kind: Kind) -> Look {
        Look::Attempt(kind, cause())
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_one_attempt_is_due_after_the_pause() {
        let breaker = Breaker::default();
        assert_eq!((breaker.cause(), breaker.ask(PAUSE_MIN)), (None, Look::Up));
        breaker.open(Kind::Unreachable, cause());
        assert_eq!(breaker.ask(PAUSE_MIN), Look::Down(Kind::Unreachable, cause()));
        tokio::time::advance(PAUSE_MIN).await;
        assert_eq!(breaker.is_due(), Some(true));
        assert_eq!(breaker.ask(PAUSE_MIN), attempt(Kind::Unreachable));
        assert_eq!(
            breaker.ask(PAUSE_MIN),
            Look::Down(Kind::Unreachable, cause()),
            "a second one at the same time"
        );
        tokio::time::advance(PAUSE_MIN).await;
        assert_eq!(breaker.ask(PAUSE_MIN), attempt(Kind::Unreachable), "the claim has lapsed");
        breaker.reached();
        assert_eq!(breaker.cause(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a11_what_fails_messages_is_up_again_with_an_answer_and_not_with_a_session() {
        let breaker = Breaker::default();
        breaker.open(Kind::Failing, cause());
        breaker.reached();
        assert_eq!(breaker.cause(), Some(cause()));
        let mut attempts = 0;
        for _ in 0..600 {
            attempts += usize::from(breaker.ask(PAUSE_MIN) == attempt(Kind::Failing));
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!((4..=9).contains(&attempts), "{attempts} attempts in a minute");
        breaker.close();
        assert_eq!(breaker.ask(PAUSE_MIN), Look::Up);
    }

    /// In seconds, of a target that puts each of them in doubt.
    async fn attempts_in_an_hour(kind: Kind) -> Vec<u32> {
        let breaker = Breaker::default();
        breaker.open(kind, cause());
        let mut attempts = Vec::new();
        for second in 0..3600 {
            if breaker.ask(PAUSE_MIN) == attempt(kind) {
                breaker.open(kind, cause());
                attempts.push(second);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        attempts
    }

    #[tokio::test(start_paused = true)]
    async fn a11_few_attempts_put_a_message_in_doubt_however_long_it_lasts() {
        for kind in [Kind::Losing, Kind::Silent] {
            let attempts = attempts_in_an_hour(kind).await;
            let in_a_minute = attempts.iter().filter(|second| **second < 60).count();
            // With the three that showed it, ten.
            assert!((2..=4).contains(&in_a_minute) && attempts.len() <= 7, "{attempts:?}");
        }
    }

    proptest! {
        #[test]
        fn the_pause_stays_in_its_bounds_and_never_shrinks(failures in 1u32..100, share in 0.0..=1.0f64) {
            for (kind, min, max) in [
                (Kind::Failing, PAUSE_MIN, PAUSE_MAX),
                (Kind::Silent, DOUBTFUL_PAUSE_MIN, DOUBTFUL_PAUSE_MAX),
                (Kind::Losing, DOUBTFUL_PAUSE_MIN, DOUBTFUL_PAUSE_MAX),
            ] {
                let this = pause(kind, failures, share);
                prop_assert!(this >= min / 2 && this <= max);
                prop_assert!(pause(kind, failures + 1, share) >= this);
            }
        }
    }
}
