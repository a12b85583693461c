//! All targets together: which one a message goes to, and to which other when the first cannot be reached.

mod outages;
mod seen;

use super::breaker::Look;
use super::delivery::{Accepted, DeliverError, Delivery, Errand, Parcel, Settled};
use super::ehlo::Capabilities;
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
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Longest wait for a session of a message that has another way.
const SESSION_WAIT: Duration = Duration::from_millis(300);
/// The same where there is no session yet.
const FIRST_SESSION_WAIT: Duration = Duration::from_secs(1);

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
    wants: Errand,
    /// On what terms it goes to this one.
    errand: Errand,
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

/// Whether a message could leave now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Up,
    /// Down; one message may find out whether it still is.
    AttemptDue,
    Down,
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

    /// The target for the next message: the one `named`, or by priority, room and weight among those that are up. Call
    /// it inside the runtime: for a target that is down and due, one attempt to connect is started.
    ///
    /// # Errors
    /// `bad-job` for a name that is not configured; `target-unavailable` when no target is up.
    pub fn choose_for(&self, named: Option<&str>, wants: Errand) -> Result<TargetHandle, Fault> {
        let Some(name) = named else { return self.choose_among(wants, |_| true) };
        let target = self.targets.iter().find(|target| &*target.settings.name == name);
        let target = target.ok_or_else(|| self.unknown_target(name))?;
        let handle = |errand| TargetHandle { seat: Seat::take(target), is_named: true, wants, errand };
        match target.ask() {
            Look::Up => Ok(handle(wants)),
            Look::Attempt(..) => Ok(handle(Errand::Attempt)),
            Look::Down(kind, _) if wants.bears(kind) && self.has_share(target) => Ok(handle(wants)),
            Look::Down(_, cause) => Err(cause),
        }
    }

    /// The target for a job that `before` could not serve. Whoever has patience may go on waiting for the same one. A
    /// target that will not be taken is not asked: it would give away the attempt that is due.
    pub fn choose_after(&self, before: &TargetHandle) -> Option<TargetHandle> {
        let chosen = match (before.wants, before.is_named) {
            (Errand::Patient, true) => self.choose_for(Some(before.name()), before.wants),
            (Errand::Patient, false) => self.choose_among(before.wants, |_| true),
            (_, true) => return None,
            (_, false) => self.choose_among(before.wants, |target| !before.is_at(target)),
        };
        chosen.ok()
    }

    /// How the named target stands, or the best one. A name that is not configured counts as up: the message that
    /// names it learns the truth.
    pub fn standing(&self, named: Option<&str>) -> Standing {
        let concerned = |target: &&Arc<Target>| named.is_none_or(|name| &*target.settings.name == name);
        let standings = self.targets.iter().filter(concerned).map(|target| match target.breaker.is_due() {
            None => Standing::Up,
            Some(true) => Standing::AttemptDue,
            Some(false) => Standing::Down,
        });
        standings.min_by_key(|standing| *standing as u8).unwrap_or(Standing::Up)
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
                handle = self.requiring_tls(handle).await?;
            }
            let (fault, unsent) = match deliver_to(&handle, delivery).await {
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
        self.choose_among(before.wants, |target| !is_passed(target))
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
                TargetHandle { seat: Seat::take(target), errand: chosen.wants, ..chosen.clone() }
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
        wants: Errand,
        is_eligible: impl Fn(&Arc<Target>) -> bool,
    ) -> Result<TargetHandle, Fault> {
        let handle =
            |target, errand| TargetHandle { seat: Seat::take(target), is_named: false, wants, errand };
        let mut seen = Seen::default();
        for group in self.targets.chunk_by(|a, b| a.settings.priority == b.settings.priority) {
            seen.up.clear();
            for target in group.iter().filter(|target| is_eligible(target)) {
                let may_wait = |kind| wants.bears(kind) && self.has_share(target);
                if seen.add(target, target.ask(), may_wait) {
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

async fn deliver_to(handle: &TargetHandle, mut delivery: Delivery) -> Settled {
    let target = handle.target();
    match target.breaker.shut() {
        Some((kind, cause)) if !handle.errand.bears(kind) => {
            return Settled::Unreached(cause, Box::new(delivery));
        }
        _ => {}
    }
    let name = &target.settings.name;
    if handle.errand == Errand::Hasty {
        let wait = if target.established() > 0 { SESSION_WAIT } else { FIRST_SESSION_WAIT };
        let soon = Instant::now() + wait;
        delivery.give_up_at = Some(delivery.give_up_at.map_or(soon, |at| at.min(soon)));
    }
    let give_up_at = delivery.give_up_at;
    let (parcel, mut settled, claim) = Parcel::new(delivery, handle.errand);
    let submitted = async {
        target.submit(parcel).await;
        if handle.errand == Errand::Attempt {
            // Its sessions may all wait for answers that never come.
            target.grow();
        }
        (&mut settled).await
    };
    let Some(at) = give_up_at else {
        return submitted.await.unwrap_or_else(|_| vanished(name));
    };
    match timeout_at(at, submitted).await {
        Ok(answer) => answer.unwrap_or_else(|_| vanished(name)),
        Err(_) if claim.get() => Settled::Failed(target.not_taken().into()),
        // A session has it: its own deadlines bound the rest.
        Err(_) => settled.await.unwrap_or_else(|_| vanished(name)),
    }
}

/// A worker that vanished with the parcel may have sent it.
fn vanished(target: &Arc<str>) -> Settled {
    Settled::Failed(Fault::in_doubt(format!("the session to target {target} was lost")).at(target).into())
}

#[cfg(test)]
mod tests;
