//! How a session ends within an exchange, and what becomes of the messages it has.

use super::{STRIKES_MAX, Session};
use crate::fault::{Fault, Reason};
use crate::inject::delivery::Parcel;
use crate::inject::talk::Broken;
use crate::inject::target::Target;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::{AsyncRead, AsyncWrite};

/// How a session ended: what it could not send, and why if the target is to blame.
pub(in crate::inject) struct Ended {
    /// Parcels with nothing of theirs in doubt, in their order.
    pub unsent: Vec<Parcel>,
    pub fault: Option<Fault>,
    /// It ended before any message got an answer of its own, and not with one that others have ended with before.
    pub speaks_of_target: bool,
}

/// The session is over for a reason of the target's.
pub(super) enum Stop {
    Broken(Broken),
    /// 421 (RFC 5321 §3.8), already cleaned.
    Closing(Fault),
    /// By us, with nothing under way: another session may be of more use.
    Left(Fault, Speaks),
    /// The same, to a recipient, and others are taken.
    ClosingOverRecipient(Fault),
}

/// What it says of a target that a session with it was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    OfTarget,
    /// It refuses people whom it may not know: that is judged by what becomes of others.
    OfPeople,
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// What is left when a session stops within an exchange.
pub(super) struct Halt {
    /// The message whose answer was waited for.
    pub blamed: Option<Box<Parcel>>,
    /// Those around it.
    pub unsent: Vec<Parcel>,
    pub stop: Stop,
}

impl Halt {
    pub fn blaming(parcel: Parcel, stop: impl Into<Stop>) -> Self {
        Self { blamed: Some(Box::new(parcel)), unsent: Vec::new(), stop: stop.into() }
    }

    /// With the envelope of another message out: QUIT would stand where its content is awaited.
    pub fn leaving_behind(next: Option<Parcel>, stop: Stop) -> Self {
        match (&next, stop) {
            (Some(_), Stop::Left(fault, _)) => Self::leaving(next, Stop::Closing(fault)),
            (_, stop) => Self::leaving(next, stop),
        }
    }

    pub fn leaving(unsent: impl IntoIterator<Item = Parcel>, stop: impl Into<Stop>) -> Self {
        Self { blamed: None, unsent: unsent.into_iter().collect(), stop: stop.into() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    /// What is left of a session that ended within an exchange. The message with which it happened goes behind those
    /// around it, which have nothing to do with it, and not for ever.
    pub(super) fn broken_off(mut self, mut halt: Halt, target: &Arc<Target>) -> Ended {
        let mut unsent = halt.unsent;
        unsent.extend(self.carried.drain(..));
        unsent.append(&mut self.misfits);
        let is_good_bye = matches!(halt.stop, Stop::Broken(Broken::GoodBye));
        // It follows from what the session was told before, not from the message that was next.
        let is_bystander = is_good_bye && (self.answered > 0 || self.refused_last.is_some());
        unsent.extend(halt.blamed.take_if(|_| is_bystander).map(|parcel| *parcel));
        let is_over_recipient = matches!(halt.stop, Stop::ClosingOverRecipient(_));
        let is_suspects = is_over_recipient || halt.blamed.as_ref().is_some_and(|parcel| parcel.strikes > 0);
        let is_left = matches!(halt.stop, Stop::Left(..));
        let is_closing = is_good_bye || matches!(halt.stop, Stop::Closing(_) | Stop::ClosingOverRecipient(_));
        let is_of_people = matches!(halt.stop, Stop::Left(_, Speaks::OfPeople));
        let fault = match self.refused_last.take() {
            Some(refusal) if is_good_bye => refusal,
            _ => stop_fault(halt.stop, target),
        };
        if let Some(mut parcel) = halt.blamed {
            parcel.strikes += 1;
            if parcel.strikes < STRIKES_MAX {
                unsent.push(*parcel);
            } else {
                target.stats.set_apart.fetch_add(1, Relaxed);
                parcel.pass_on(set_apart(&fault));
            }
        }
        // A session that refuses what others refuse has nothing to say of a target that takes others.
        let is_targets = !self.is_useless(target) || !target.accepts_now();
        let speaks_of_target = self.answered == 0 && !is_suspects && is_targets && !is_of_people;
        if is_left {
            self.say_good_bye();
        } else if is_closing {
            self.close();
        }
        Ended { unsent, fault: Some(fault), speaks_of_target }
    }
}

/// Why a message is left to itself that sessions ended with.
pub(super) fn set_apart(fault: &Fault) -> Fault {
    let detail =
        format!("{}; {STRIKES_MAX} sessions ended with this message, try it later by itself", fault.detail);
    let mut apart = Fault::new(Reason::TargetUnavailable, detail);
    (apart.reply, apart.target) = (fault.reply, fault.target.clone());
    apart
}

pub(super) fn stop_fault(stop: Stop, target: &Arc<Target>) -> Fault {
    let name = &target.settings.name;
    match stop {
        Stop::Closing(fault) | Stop::Left(fault, _) | Stop::ClosingOverRecipient(fault) => fault,
        Stop::Broken(broken) => {
            let detail =
                format!("target {name} gave up before taking the message: {broken}; submit it again");
            Fault::new(Reason::TargetUnavailable, detail).at(name)
        }
    }
}
