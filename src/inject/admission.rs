//! What a session asks of its target before a message leaves, and who watches that the target still says something.

use super::breaker::{Kind, Look, Standing};
use super::delivery::{Elsewhere, Errand, Parcel};
use super::flow::{Narrow, Pass};
use super::health::Sign;
use super::inquiry::{Company, Leave, Whom};
use super::pace::Complaint;
use super::queue::Unneeded;
use super::target::Target;
use super::witness::Witness;
use crate::fault::{Fault, Reason};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Looks within that time.
const LOOKS: u32 = 4;
/// Times its usual answer after which a slow target is late.
const LATE_TIMES: u32 = 4;

impl Target {
    /// What a session saw, which says something about the target and not only about one message.
    pub fn note(&self, sign: Sign) {
        match &sign {
            Sign::Took | Sign::Answered => {
                self.flow.widen();
                self.pace.answered();
            }
            Sign::PutOff | Sign::Refused(..) => {}
            Sign::Throttled(fault) => {
                self.stats.throttled.fetch_add(1, Relaxed);
                let follows = self.pace.slow_down(self.flow.per_second(), fault.clone());
                if follows == Complaint::First {
                    tracing::warn!(target_mta = %self.settings.name, cause = %fault.detail, "asks for less and is slowed");
                }
                if follows != Complaint::InVain {
                    self.flow.narrow(Narrow::Half);
                }
            }
            // The other sessions offer no more than one until the target has answered.
            Sign::Declined(_) | Sign::InDoubt(_) | Sign::SessionEnded(_) => self.flow.narrow(Narrow::One),
        }
        let before = self.breaker.shut().map(|(kind, _)| kind);
        let is_refused = matches!(sign, Sign::Refused(..));
        let is_asked_on = is_refused && before == Some(Kind::Refusing);
        let cause = self.health.note(&self.breaker, sign);
        if before.is_some() && self.breaker.shut().is_none() {
            // Those that were patient go on.
            self.turned.notify_waiters();
        }
        // Who is asked about now was not turned away.
        if let Some(cause) = cause.filter(|_| !is_asked_on) {
            if before.is_none() {
                tracing::warn!(target_mta = %self.settings.name, cause = %cause.detail, "takes no messages");
            }
            let kind = if is_refused { Kind::Refusing } else { Kind::Failing };
            self.turn_away(kind, &cause);
        }
    }

    /// What the session of this witness may look at; `None` when it is not needed any more, or has to make way for
    /// another one. Cancel-safe.
    pub async fn next_for(self: &Arc<Self>, witness: &Arc<Witness>) -> Option<Parcel> {
        loop {
            match self.queue.next(witness).await {
                Ok(parcel) => return Some(parcel),
                Err(Unneeded::AnotherSessions) if self.has_room_for_another() => {}
                Err(Unneeded::AnotherSessions | Unneeded::Closed) => return None,
            }
        }
    }

    /// Waits until this message may be offered. It can be withdrawn meanwhile. Cancel-safe.
    ///
    /// # Errors
    /// Why it may not be: it is to be given back.
    pub async fn leave(&self, parcel: &mut Parcel) -> Result<(), Fault> {
        parcel.release();
        loop {
            let turned = self.turned.notified();
            let look = match parcel.errand {
                Errand::Attempt => Look::Up,
                _ => self.look_for(parcel),
            };
            let looks_again = match (parcel.errand, look) {
                (Errand::Attempt, _) | (_, Look::Attempt(..)) => {
                    parcel.errand = Errand::Attempt;
                    parcel.pass = Some(self.flow.pass());
                    return Ok(());
                }
                (_, Look::Up) => None,
                (Errand::Patient, Look::Down(kind, _)) if kind.is_silence() => self.breaker.try_again_at(),
                (_, Look::Down(kind, cause)) => return Err(kind.told(cause, parcel.attempts)),
            };
            if let Some(cause) = self.too_slow_for(parcel) {
                return Err(cause);
            }
            let _waits_here = looks_again.map(|_| Counted::one_more(&self.in_hand));
            tokio::select! {
                biased;
                () = parcel.abandoned() => return Err(self.not_taken()),
                pass = self.enter(), if looks_again.is_none() => {
                    parcel.pass = Some(pass);
                    return Ok(());
                }
                () = turned => match self.breaker.shut() {
                    // It may have another way now that this target is down.
                    Some((kind, cause)) if looks_again.is_none() => return Err(kind.told(cause, parcel.attempts)),
                    _ => {}
                },
                () = sleep_until(looks_again.unwrap_or_else(Instant::now)), if looks_again.is_some() => {}
            }
        }
    }

    /// Whether it takes people now, so that a refusal that does not tell is no sign that it is down.
    pub fn accepts_now(&self) -> bool {
        self.unclear.accepts_now(self.stats.relayed())
    }

    /// How the target stands, for whoever may bring messages.
    pub fn standing(&self) -> Standing {
        match self.breaker.shut().map(|(kind, _)| kind) {
            None => Standing::Up,
            Some(Kind::Refusing) => match self.inquiry.leaves(Company::Alone) {
                0 => Standing::Down,
                leaves => Standing::AttemptsDue(leaves),
            },
            Some(_) => match self.breaker.is_due() {
                None => Standing::Up,
                Some(true) => Standing::AttemptsDue(1),
                Some(false) => Standing::Down,
            },
        }
    }

    /// The same for one that is here already.
    fn look_for(&self, parcel: &Parcel) -> Look {
        match self.breaker.ask(self.attempt_max()) {
            Look::Down(Kind::Refusing, cause) if parcel.elsewhere == Elsewhere::Nowhere => {
                self.asked_on((Some(parcel.delivery.whom), parcel.attempts), cause, Company::Alone)
            }
            look => look,
        }
    }

    /// A target that refuses everybody may be asked about somebody else.
    fn asked_on(&self, (whom, offers): (Option<Whom>, u32), cause: Fault, company: Company) -> Look {
        let told = |cause| Kind::Refusing.told(cause, offers);
        match self.inquiry.ask(whom, company) {
            Leave::Given => Look::Attempt(Kind::Refusing, cause),
            Leave::NotYet => Look::Down(Kind::Refusing, told(cause)),
            // It is left alone as far as they are concerned.
            Leave::NotInThisRound => Look::Down(Kind::Failing, told(cause)),
        }
    }

    /// How the target stands, for whoever has a message for it. A message that waits in a session's hand for a silent
    /// target finds out itself whether it still is: it has its session already, and another would wait for one.
    /// One that refuses everybody may be asked about somebody else.
    pub fn ask(self: &Arc<Self>, whom: Option<Whom>, company: impl FnOnce() -> Company) -> Look {
        let look = match self.in_hand.load(Relaxed) {
            0 => self.breaker.ask(self.attempt_max()),
            _ => self.breaker.shut().map_or(Look::Up, |(kind, cause)| Look::Down(kind, cause)),
        };
        let look = match look {
            Look::Down(Kind::Refusing, cause) => self.asked_on((whom, 0), cause, company()),
            look => look,
        };
        if let Look::Attempt(..) = look {
            self.ensure_worker();
        }
        look
    }

    /// Whether one more message may leave now, behind another.
    pub fn try_leave(&self) -> bool {
        self.breaker.shut().is_none()
            && self.flow.has_room()
            && self.pace.take().is_ok()
            && self.rate.as_ref().is_none_or(super::rate::Rate::try_take)
    }

    async fn enter(&self) -> Pass {
        if let Some(rate) = &self.rate {
            rate.take().await;
        }
        while let Err(at) = self.pace.take() {
            sleep_until(at).await;
        }
        self.flow.enter().await
    }

    /// Whoever waits for this message has no patience left, or none for a pause that the target asked for.
    fn too_slow_for(&self, parcel: &Parcel) -> Option<Fault> {
        let give_up_at = parcel.delivery.give_up_at?;
        match self.pace.resumes() {
            Some((resumes, cause)) if resumes >= give_up_at => Some(cause),
            _ if Instant::now() >= give_up_at => Some(self.not_taken()),
            _ => None,
        }
    }

    /// No session had time for a message within its patience.
    pub fn not_taken(&self) -> Fault {
        let name = &self.settings.name;
        if let Some(slowed) = self.pace.kept_to() {
            return slowed.cause;
        }
        let detail = format!("target {name} had no session free in time; nothing was sent");
        Fault::new(Reason::TargetUnavailable, detail).at(name)
    }

    /// How long an attempt to reach the target may take.
    pub fn attempt_max(&self) -> Duration {
        self.settings.deadlines.connect + self.settings.deadlines.tls
    }

    /// Does it, and looks meanwhile whether the target says anything on any of its sessions.
    pub async fn watched<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut heard = self.pulse.load(Relaxed);
        let mut looks = 0;
        loop {
            let late = self.late_min.max(self.flow.usual() * LATE_TIMES);
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep(late / LOOKS) => {}
            }
            let pulse = self.pulse.load(Relaxed);
            looks = if pulse == heard { looks + 1 } else { 0 };
            heard = pulse;
            if looks == LOOKS {
                looks = 0;
                self.silent(late);
            }
        }
    }

    /// Nothing goes to it any more but a probe now and then; what was not offered yet has other ways.
    fn silent(&self, late: Duration) {
        let kind = match (self.flow.under_way(), self.established()) {
            (0, 0) => Kind::Ungreeted,
            // A further session takes its time, and nobody waits for it.
            (0, _) => return,
            _ => Kind::Silent,
        };
        if self.breaker.shut().is_some() {
            return;
        }
        let name = &self.settings.name;
        let what = if kind == Kind::Silent { "has answered nothing" } else { "has made no session" };
        let detail = format!("target {name} {what} for {:.1} s; nothing was sent", late.as_secs_f32());
        let cause = Fault::new(Reason::TargetUnavailable, detail).at(name);
        tracing::warn!(target_mta = %name, "{what} for {:.1} s: left alone until it does", late.as_secs_f32());
        if kind == Kind::Silent {
            self.flow.narrow(Narrow::One);
            self.flow.write_off();
        }
        self.breaker.open(kind, cause.clone());
        self.turn_away(kind, &cause);
        if kind == Kind::Ungreeted {
            self.learn_silence(&cause);
        }
    }

    /// It says nothing, and may be slow and nothing worse.
    pub fn is_silent(&self) -> bool {
        self.breaker.shut().is_some_and(|(kind, _)| kind.is_silence())
    }

    /// Gives back what was not offered yet: another target may have it.
    fn turn_away(&self, kind: Kind, cause: &Fault) {
        self.turned.notify_waiters();
        while let Some(parcel) = self.queue.take() {
            let cause = kind.told(cause.clone(), parcel.attempts);
            parcel.give_back(cause);
        }
    }

    /// Whether a message given to it now would be offered at once, or wait, and for how many turns: less is better.
    pub fn crowding(&self) -> Crowding {
        let (jobs, limit) = (self.seats.load(Relaxed), self.flow.limit());
        match jobs {
            _ if jobs < limit => Crowding::None,
            _ if self.flow.is_stuck() => Crowding::Stuck,
            _ if jobs < limit * 4 => Crowding::Some,
            _ => Crowding::Much,
        }
    }
}

/// Counts something while it lasts.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn one_more(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// How many wait at a target, held against what it works off at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Crowding {
    None,
    Some,
    Much,
    /// And none of them was answered for a while.
    Stuck,
}
