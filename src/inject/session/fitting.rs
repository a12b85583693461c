//! Which message this session may carry: what it needs has to be offered here, and its sender must not wait.

use super::Session;
use crate::fault::{Fault, Reason};
use crate::inject::delivery::{DeliverError, Errand, Parcel};
use crate::inject::envelope::{Misfit, judge};
use crate::inject::offers::Outlook;
use crate::inject::target::Target;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Sessions a message may find that lack what others of the target offer.
const MISFITS_MAX: u32 = 8;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    /// Keeps or settles what this session's target cannot take.
    pub(super) fn fitting(&mut self, mut parcel: Parcel, target: &Arc<Target>) -> Option<Parcel> {
        if !parcel.take() {
            return None;
        }
        if let Some(cause) = target.senders.cause(&parcel.delivery.sender) {
            if parcel.errand == Errand::Attempt {
                // It finds nothing out about the target: somebody else may.
                target.breaker.give_back_attempt();
            }
            parcel.pass_on(cause);
            return None;
        }
        parcel.pass.get_or_insert_with(|| target.flow.pass());
        match judge(&parcel.delivery, self.offered, self.is_tls, &target.settings.name) {
            Ok(()) => return Some(parcel),
            Err(Misfit::SevenBit) => parcel.fail(DeliverError::NeedsSevenBit),
            Err(Misfit::Lacks(fault)) => self.misfit(parcel, fault, target),
        }
        None
    }

    /// This session decides for itself alone: behind the target's name another machine may offer what it lacks.
    fn misfit(&mut self, mut parcel: Parcel, fault: Fault, target: &Arc<Target>) {
        let fits = |offered| judge(&parcel.delivery, offered, self.is_tls, &target.settings.name).is_ok();
        match target.offers.outlook(fits) {
            Outlook::None => parcel.pass_on(fault),
            Outlook::AnotherSession if parcel.misfits < MISFITS_MAX => {
                parcel.misfits += 1;
                parcel.release();
                self.misfits.push(parcel);
            }
            Outlook::AnotherSession => {
                let detail = format!("{}; some of its sessions do", fault.detail);
                parcel.pass_on(Fault::new(Reason::TargetUnavailable, detail).at(&target.settings.name));
            }
        }
    }

    /// For later; it is not with the target meanwhile.
    pub(super) fn carry(&mut self, mut parcel: Parcel) {
        parcel.release();
        self.carried.push_back(parcel);
    }

    pub(super) fn next_that_fits(&mut self, target: &Arc<Target>) -> Option<Parcel> {
        let parcel = target.queue.try_next(&self.witness)?;
        target.note_wait(&parcel);
        self.fitting(parcel, target)
    }

    /// A message with which sessions ended goes alone.
    pub(super) fn unsuspected(&mut self, parcel: Parcel) -> Option<Parcel> {
        if parcel.strikes == 0 {
            return Some(parcel);
        }
        self.carry(parcel);
        None
    }
}
