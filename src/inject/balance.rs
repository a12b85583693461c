//! All targets together: which one a message goes to, and to which other when the first cannot be reached.

use super::breaker::{Kind, Look};
use super::delivery::{Accepted, DeliverError, Delivery, Parcel, Settled};
use super::ehlo::Capabilities;
use super::settings::{TargetSettings, TlsMode};
use super::stats::TargetStats;
use super::target::Target;
use crate::fault::{Fault, Reason};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tokio::time::timeout_at;

/// The stage that sends. Sessions are made when they are needed and belong to the runtime that delivers.
pub struct Injector {
    /// Every target, by priority; equal ones in the order of the configuration.
    targets: Vec<Arc<Target>>,
    turn: AtomicU32,
}

/// The target chosen for a message.
#[derive(Clone)]
pub struct TargetHandle {
    target: Arc<Target>,
    /// The job named it: no other will do.
    is_named: bool,
    /// The target was down and this choice made the attempt that was due.
    is_attempt: bool,
}

impl TargetHandle {
    pub fn name(&self) -> &Arc<str> {
        &self.target.settings.name
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
        let mut targets: Vec<_> = targets.into_iter().map(Target::new).collect();
        targets.sort_by_key(|target| target.settings.priority);
        Self { targets, turn: AtomicU32::new(0) }
    }

    /// The target for the next message: the one `named`, or by priority and weight among those that are up. Call it
    /// inside the runtime: for a target that is down and due, one attempt to connect is started.
    ///
    /// # Errors
    /// `bad-job` for a name that is not configured; `target-unavailable` when no target is up.
    pub fn choose(&self, named: Option<&str>) -> Result<TargetHandle, Fault> {
        let Some(name) = named else { return self.choose_any() };
        let target = self.targets.iter().find(|target| &*target.settings.name == name);
        let target = target.ok_or_else(|| self.unknown_target())?;
        let handle = |is_attempt| TargetHandle { target: target.clone(), is_named: true, is_attempt };
        match ask(target) {
            Look::Up => Ok(handle(false)),
            Look::Attempt(..) => Ok(handle(true)),
            Look::Down(cause) => Err(cause),
        }
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
        handle.target.capabilities(handle.is_attempt).await
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
        loop {
            if delivery.require_tls && !handle.is_named {
                handle = self.requiring_tls(handle).await?;
            }
            let (fault, unsent) = match deliver_to(&handle, delivery).await {
                Settled::Accepted(accepted) => return Ok(accepted),
                Settled::Failed(error) => return Err(error),
                Settled::Unreached(fault, unsent) => (fault, unsent),
            };
            let other =
                if handle.is_named || tried >= self.targets.len() { None } else { self.choose(None).ok() };
            match other.filter(|other| !Arc::ptr_eq(&other.target, &handle.target)) {
                Some(other) => handle = other,
                None => return Err(fault.into()),
            }
            delivery = *unsent;
            tried += 1;
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

    /// The target for a message that must stay within verified TLS (RFC 8689 §4.2.1): the chosen one when it promises
    /// that, else the first by priority that does. When none does, the chosen one: its refusal says so (5.7.30).
    ///
    /// # Errors
    /// `target-unavailable` when none that is up promises it, and one that is down might.
    async fn requiring_tls(&self, chosen: TargetHandle) -> Result<TargetHandle, Fault> {
        let mut down = None;
        let handles = self
            .targets
            .iter()
            .filter(|target| !Arc::ptr_eq(target, &chosen.target))
            .map(|target| TargetHandle { target: target.clone(), is_named: false, is_attempt: false });
        for handle in std::iter::once(chosen.clone()).chain(handles) {
            if handle.target.settings.tls == TlsMode::None {
                continue;
            }
            let cause = handle.target.breaker.cause().filter(|_| !handle.is_attempt);
            let capabilities = match cause {
                Some(cause) => Err(cause),
                None => handle.target.capabilities(handle.is_attempt).await,
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
    fn choose_any(&self) -> Result<TargetHandle, Fault> {
        let handle = |target: &Arc<Target>, is_attempt| TargetHandle {
            target: target.clone(),
            is_named: false,
            is_attempt,
        };
        let mut attempted = None;
        let mut down = None;
        for group in self.targets.chunk_by(|a, b| a.settings.priority == b.settings.priority) {
            let mut up = Vec::with_capacity(group.len());
            for target in group {
                match ask(target) {
                    Look::Up => up.push(target),
                    // Only a message shows whether it takes one.
                    Look::Attempt(Kind::Failing, _) => return Ok(handle(target, true)),
                    Look::Attempt(Kind::Unreachable, cause) => {
                        attempted.get_or_insert(target);
                        down.get_or_insert(cause);
                    }
                    Look::Down(cause) => {
                        down.get_or_insert(cause);
                    }
                }
            }
            if let Some(target) = self.weighted(&up) {
                return Ok(handle(target, false));
            }
        }
        match attempted {
            Some(target) => Ok(handle(target, true)),
            None => Err(down.unwrap_or_else(no_target)),
        }
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

    fn unknown_target(&self) -> Fault {
        let names: Vec<&str> = self.targets.iter().map(|target| &*target.settings.name).collect();
        let detail = format!("no such target; configured are: {}", names.join(", "));
        Fault::new(Reason::BadJob, detail)
    }
}

/// How a target stands; for one that is down and due, an attempt to connect is started.
fn ask(target: &Arc<Target>) -> Look {
    let deadlines = &target.settings.deadlines;
    let look = target.breaker.ask(deadlines.connect + deadlines.tls);
    if let Look::Attempt(..) = look {
        target.ensure_worker();
    }
    look
}

fn no_target() -> Fault {
    Fault::new(Reason::TargetUnavailable, "no target is configured; add a [[target]]")
}

async fn deliver_to(handle: &TargetHandle, delivery: Delivery) -> Settled {
    let target = &handle.target;
    if !handle.is_attempt
        && let Some(cause) = target.breaker.cause()
    {
        return Settled::Unreached(cause, Box::new(delivery));
    }
    let name = &target.settings.name;
    let give_up_at = delivery.give_up_at;
    let (parcel, mut settled, claim) = Parcel::new(delivery);
    if let Some(at) = give_up_at {
        let offered = async {
            target.submit(parcel).await;
            (&mut settled).await
        };
        match timeout_at(at, offered).await {
            Ok(answer) => return answer.unwrap_or_else(|_| vanished(name)),
            Err(_) if claim.get() => return Settled::Failed(not_taken(name).into()),
            // A session has it: its own deadlines bound the rest.
            Err(_) => {}
        }
    } else {
        target.submit(parcel).await;
    }
    settled.await.unwrap_or_else(|_| vanished(name))
}

/// A worker that vanished with the parcel may have sent it.
fn vanished(target: &Arc<str>) -> Settled {
    Settled::Failed(Fault::in_doubt(format!("the session to target {target} was lost")).at(target).into())
}

fn not_taken(target: &Arc<str>) -> Fault {
    let detail = format!("target {target} had no session free within handoff_wait; nothing was sent");
    Fault::new(Reason::TargetUnavailable, detail).at(target)
}
