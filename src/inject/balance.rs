//! All targets together: which one a message goes to, and to which other when the first cannot be reached.

mod company;
mod outages;
mod seen;
mod waiting;

use super::breaker::{Look, Standing};
use super::delivery::{Accepted, DeliverError, Delivery, Errand, Settled};
use super::ehlo::Capabilities;
use super::inquiry::{Company, Whom};
use super::lessons::Learned;
use super::pace::Slowed;
use super::settings::{TargetSettings, TlsMode};
use super::stats::TargetStats;
use super::target::Target;
use crate::fault::{Fault, Reason};
use crate::nearest::did_you_mean;
use seen::{Seen, keep_least_crowded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use waiting::deliver_to;

/// The stage that sends. Sessions are made when they are needed and belong to the runtime that delivers.
pub struct Injector {
    /// Every target, by priority; equal ones in the order of the configuration.
    targets: Vec<Arc<Target>>,
    turn: AtomicU32,
    /// Jobs that may wait for one target while it is silent, so that those for the others find room.
    share: usize,
}

/// The target chosen for a message.
#[derive(Clone)]
pub struct TargetHandle {
    seat: Arc<Seat>,
    /// The job named it: no other will do.
    is_named: bool,
    /// What the job asks for, whichever target it gets.
    wish: Wish,
    /// On what terms it goes to this one.
    errand: Errand,
}

/// On what terms a job asks for a target, and for whom it is, where that is known.
#[derive(Debug, Clone, Copy)]
struct Wish {
    wants: Errand,
    whom: Option<Whom>,
}

/// One job at a target, from the choice to the outcome.
struct Seat {
    target: Arc<Target>,
}

impl Seat {
    fn take(target: &Arc<Target>) -> Arc<Self> {
        target.seats.fetch_add(1, Relaxed);
        Arc::new(Self { target: target.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.target.seats.fetch_sub(1, Relaxed);
    }
}

impl TargetHandle {
    pub fn name(&self) -> &Arc<str> {
        &self.target().settings.name
    }

    fn is_at(&self, target: &Arc<Target>) -> bool {
        Arc::ptr_eq(self.target(), target)
    }

    fn target(&self) -> &Arc<Target> {
        &self.seat.target
    }
}

impl Injector {
    /// Connects nowhere yet.
    pub fn start(targets: Vec<TargetSettings>) -> Self {
        let others = targets.len().saturating_sub(1);
        let mut targets: Vec<_> = targets.into_iter().map(|settings| Target::new(settings, others)).collect();
        targets.sort_by_key(|target| target.settings.priority);
        Self { targets, turn: AtomicU32::new(0), share: usize::MAX }
    }

    /// With so many places for jobs in the house. A target that is silent has its part of them and no more.
    pub fn with_places(self, places: usize) -> Self {
        let share = if self.targets.len() > 1 { (places / self.targets.len()).max(1) } else { usize::MAX };
        Self { share, ..self }
    }

    /// The target for a message that has patience; see [`Injector::choose_for`].
    ///
    /// # Errors
    /// Those of [`Injector::choose_for`].
    pub fn choose(&self, named: Option<&str>) -> Result<TargetHandle, Fault> {
        self.choose_for(named, Errand::Patient)
    }

    /// The same for a message to nobody in particular; see [`Injector::choose_to`].
    ///
    /// # Errors
    /// Those of [`Injector::choose_to`].
    pub fn choose_for(&self, named: Option<&str>, wants: Errand) -> Result<TargetHandle, Fault> {
        self.choose_by(named, Wish { wants, whom: None })
    }

    /// The target for the next message: the one `named`, or by priority, room and weight among those that are up. Call
    /// it inside the runtime: for a target that is down and due, one attempt to connect is started.
    ///
    /// # Errors
    /// `bad-job` for a name that is not configured; `target-unavailable` when no target is up.
    pub fn choose_to(&self, named: Option<&str>, wants: Errand, whom: Whom) -> Result<TargetHandle, Fault> {
        self.choose_by(named, Wish { wants, whom: Some(whom) })
    }

    fn choose_by(&self, named: Option<&str>, wish: Wish) -> Result<TargetHandle, Fault> {
        let Some(name) = named else { return self.choose_among(wish, |_| true) };
        let target = self.targets.iter().find(|target| &*target.settings.name == name);
        let target = target.ok_or_else(|| self.unknown_target(name))?;
        let handle = |errand| TargetHandle { seat: Seat::take(target), is_named: true, wish, errand };
        let wants = wish.wants;
        match target.ask(wish.whom, || Company::Alone) {
            Look::Up => Ok(handle(wants)),
            Look::Attempt(..) => Ok(handle(Errand::Attempt)),
            Look::Down(kind, _) if wants.bears(kind) && self.has_share(target) => Ok(handle(wants)),
            Look::Down(_, cause) => Err(cause),
        }
    }

    /// The target for a job that `before` could not serve. Whoever has patience may go on waiting for the same one. A
    /// target that will not be taken is not asked: it would give away the attempt that is due.
    pub fn choose_after(&self, before: &TargetHandle) -> Option<TargetHandle> {
        let chosen = match (before.wish.wants, before.is_named) {
            (Errand::Patient, true) => self.choose_by(Some(before.name()), before.wish),
            (Errand::Patient, false) => self.choose_among(before.wish, |_| true),
            (_, true) => return None,
            (_, false) => self.choose_among(before.wish, |target| !before.is_at(target)),
        };
        chosen.ok()
    }

    /// How the named target stands, or the best one. A name that is not configured counts as up: the message that
    /// names it learns the truth.
    pub fn standing(&self, named: Option<&str>) -> Standing {
        let concerned = |target: &&Arc<Target>| named.is_none_or(|name| &*target.settings.name == name);
        let mut standing = None;
        for target in self.targets.iter().filter(concerned) {
            standing = match (target.standing(), standing) {
                (Standing::Up, _) => return Standing::Up,
                (Standing::AttemptsDue(one), Some(Standing::AttemptsDue(other))) => {
                    Some(Standing::AttemptsDue(one.max(other)))
                }
                (Standing::Down, Some(other)) => Some(other),
                (one, _) => Some(one),
            };
        }
        standing.unwrap_or(Standing::Up)
    }

    /// What the target offered in its last EHLO; before the first session one is made.
    ///
    /// # Errors
    /// `target-unavailable` with the reason no session could be made.
    pub async fn capabilities(&self, handle: &TargetHandle) -> Result<Capabilities, Fault> {
        handle.target().capabilities(handle.errand).await
    }

    /// Sends one message and waits for the target's answer to it. A message that could not be handed to an
    /// unnamed target goes to the next one that is up. Dropping the future withdraws a message that was not offered
    /// yet; one whose dialogue has begun is sent all the same, and its outcome is counted and then forgotten.
    ///
    /// # Errors
    /// [`DeliverError::NeedsSevenBit`], or the fault: `target-rejected` with the target's code, `target-unavailable`
    /// when nothing was sent, or in doubt when the connection was lost after the final dot.
    pub async fn deliver(&self, handle: &TargetHandle, delivery: Delivery) -> Result<Accepted, DeliverError> {
        delivery.check()?;
        let mut handle = handle.clone();
        let mut delivery = delivery;
        let mut tried = 1;
        let mut passed = Vec::new();
        loop {
            if delivery.require_tls && !handle.is_named {
                // Apart from the future of each job, as few ask for it.
                handle = Box::pin(self.requiring_tls(handle)).await?;
            }
            let elsewhere = self.elsewhere(&handle, &passed);
            let (fault, unsent) = match deliver_to(&handle, delivery, elsewhere).await {
                Settled::Accepted(accepted) => return Ok(accepted),
                Settled::Failed(error) => return Err(error),
                Settled::Unreached(fault, unsent) => (fault, unsent),
                Settled::Passed(fault, unsent) => {
                    passed.push(handle.target().clone());
                    handle = self.other_than(&passed, &handle, fault)?;
                    delivery = *unsent;
                    continue;
                }
            };
            let other = if tried > self.targets.len() { None } else { self.choose_after(&handle) };
            let Some(other) = other else { return Err(fault.into()) };
            // Who waits on for a target that is silent has not tried in vain: its patience has a bound of its own.
            let waits_on = other.is_at(handle.target()) && other.target().is_silent();
            tried += usize::from(!waits_on);
            (handle, delivery) = (other, *unsent);
        }
    }

    /// Takes nothing new, sends what waits, says QUIT everywhere. Not bounded in time: give it the time there is.
    pub async fn drain(&self) {
        futures_util::future::join_all(self.targets.iter().map(Target::drain)).await;
    }

    /// Waits for no reply any more: every message under way gets its outcome now, in doubt if all of it was sent.
    pub fn halt(&self) {
        self.targets.iter().for_each(|target| target.halted.cancel());
    }

    /// Every target with its counters and, when it is down, why.
    pub fn targets(&self) -> impl Iterator<Item = (&TargetSettings, &TargetStats, Option<Fault>)> {
        self.targets.iter().map(|target| (&target.settings, &target.stats, target.breaker.cause()))
    }

    /// Why targets that are up do not take everything: a sender that one of them refuses now.
    pub fn refused_senders(&self) -> impl Iterator<Item = (&Arc<str>, Fault)> {
        self.targets.iter().filter_map(|target| Some((&target.settings.name, target.senders.any_cause()?)))
    }

    /// What sessions have learned of each target by its replies.
    pub fn learned(&self) -> impl Iterator<Item = (&Arc<str>, Learned)> {
        self.targets.iter().map(|target| (&target.settings.name, target.lessons.learned()))
    }

    /// Another target for a message that these did not take.
    ///
    /// # Errors
    /// `fault`, when there is none. When it is a permanent one and a target that is down might take the message, why
    /// that one is down.
    fn other_than(
        &self,
        passed: &[Arc<Target>],
        before: &TargetHandle,
        fault: Fault,
    ) -> Result<TargetHandle, Fault> {
        let is_passed = |target: &Arc<Target>| passed.iter().any(|passed| Arc::ptr_eq(passed, target));
        if before.is_named || self.targets.iter().all(is_passed) {
            return Err(fault);
        }
        self.choose_among(before.wish, |target| !is_passed(target))
            .map_err(|down| if fault.is_transient() { fault } else { down })
    }

    /// Every target, and what it gets if it asked for less.
    pub fn slowed(&self) -> impl Iterator<Item = (&Arc<str>, Option<Slowed>)> {
        self.targets.iter().map(|target| (&target.settings.name, target.pace.kept_to()))
    }

    /// The target for a message that must stay within verified TLS (RFC 8689 §4.2.1): the chosen one when it promises
    /// that, else the first by priority that does. When none does, the chosen one: its refusal says so (5.7.30).
    ///
    /// # Errors
    /// `target-unavailable` when none that is up promises it, and one that is down might.
    async fn requiring_tls(&self, chosen: TargetHandle) -> Result<TargetHandle, Fault> {
        let mut down = None;
        let handles =
            self.targets.iter().filter(|target| !Arc::ptr_eq(target, chosen.target())).map(|target| {
                TargetHandle { seat: Seat::take(target), errand: chosen.wish.wants, ..chosen.clone() }
            });
        for handle in std::iter::once(chosen.clone()).chain(handles) {
            if handle.target().settings.tls == TlsMode::None {
                continue;
            }
            let capabilities = match handle.target().breaker.shut() {
                Some((kind, cause)) if !handle.errand.bears(kind) => Err(cause),
                _ => self.capabilities(&handle).await,
            };
            match capabilities {
                Ok(capabilities) if capabilities.require_tls => return Ok(handle),
                Ok(_) => {}
                Err(cause) => {
                    down.get_or_insert(cause);
                }
            }
        }
        match down {
            Some(cause) => Err(cause),
            None => Ok(chosen),
        }
    }

    /// Each target is looked at once, and what was seen decides: between two looks it may have gone down or come back.
    fn choose_among(
        &self,
        wish: Wish,
        is_eligible: impl Fn(&Arc<Target>) -> bool,
    ) -> Result<TargetHandle, Fault> {
        let wants = wish.wants;
        let handle =
            |target, errand| TargetHandle { seat: Seat::take(target), is_named: false, wish, errand };
        let mut seen = Seen::default();
        for group in self.targets.chunk_by(|a, b| a.settings.priority == b.settings.priority) {
            seen.up.clear();
            for target in group.iter().filter(|target| is_eligible(target)) {
                let may_wait = |kind| wants.bears(kind) && self.has_share(target);
                let company = || self.company(target, &is_eligible);
                if seen.add(target, target.ask(wish.whom, company), may_wait) {
                    return Ok(handle(target, Errand::Attempt));
                }
            }
            keep_least_crowded(&mut seen.up);
            if let Some(target) = self.weighted(&seen.up) {
                return Ok(handle(target, wants));
            }
        }
        match (seen.attempted, self.weighted(&seen.silent)) {
            (Some(target), _) => Ok(handle(target, Errand::Attempt)),
            (None, Some(target)) => Ok(handle(target, wants)),
            (None, None) => Err(seen.down.unwrap_or_else(no_target)),
        }
    }

    /// Whether one more job may wait for a target that is silent.
    fn has_share(&self, target: &Target) -> bool {
        target.seats.load(Relaxed) < self.share
    }

    /// One of them, in proportion to their weights.
    fn weighted<'a>(&self, up: &[&'a Arc<Target>]) -> Option<&'a Arc<Target>> {
        let weight = |target: &Target| u64::from(target.settings.weight.max(1));
        let (last, others) = up.split_last()?;
        if others.is_empty() {
            return Some(last);
        }
        let total: u64 = up.iter().map(|target| weight(target)).sum();
        // Multiples of the golden ratio fall evenly, so that even short runs keep the proportions.
        let turn = self.turn.fetch_add(1, Relaxed).wrapping_mul(0x9E37_79B9);
        let mut at = (u64::from(turn) * total) >> 32;
        let it = others.iter().find(|target| {
            let is_it = at < weight(target);
            at = at.wrapping_sub(weight(target));
            is_it
        });
        Some(it.unwrap_or(last))
    }

    fn unknown_target(&self, name: &str) -> Fault {
        let names: Vec<&str> = self.targets.iter().map(|target| &*target.settings.name).collect();
        let near = did_you_mean(name, names.iter().copied());
        let detail = format!("no such target{near}; configured are: {}", names.join(", "));
        Fault::new(Reason::BadJob, detail)
    }
}

fn no_target() -> Fault {
    Fault::new(Reason::TargetUnavailable, "no target is configured; add a [[target]]")
}

#[cfg(test)]
mod tests;
