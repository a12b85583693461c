//! Which messages may be in flight together, and how many.

use super::chunks::Flight;
use super::{Owed, Session};
use crate::inject::delivery::Parcel;
use crate::inject::lessons::Ahead;
use crate::inject::target::Target;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Messages on their way at once, at most. All of them are in doubt when the connection is lost. So few that their errors, were
/// all of them refused at MAIL, stay below Postfix' smtpd_hard_error_limit.
pub(in crate::inject) const IN_FLIGHT_MAX: usize = 6;
/// The same for a target that was not seen to take one behind another yet: what is offered is not always kept.
const IN_FLIGHT_AT_FIRST_MAX: usize = 2;
/// Octets on their way at once: past this no further message is begun.
const OCTETS_IN_FLIGHT_MAX: usize = 256 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    /// Whether content may go with its envelope, without waiting for a 354: the target understands it, and has shown
    /// a moment ago that it is there and quick.
    pub(super) fn may_chunk(&self, target: &Target) -> bool {
        let knows_how = self.offered.chunking && self.offered.pipelining && self.tells_apart;
        let is_ready = self.is_brisk && !self.has_rested && self.owed == Owed::Nothing;
        knows_how && is_ready && target.lessons.ahead() == Ahead::Messages && self.in_flight_max(target) > 0
    }

    /// How many may be in flight.
    fn in_flight_max(&self, target: &Target) -> usize {
        let is_proven = target.lessons.chunks_are_proven();
        let most = if is_proven { IN_FLIGHT_MAX } else { IN_FLIGHT_AT_FIRST_MAX };
        most.min(target.lessons.endurance.messages_ahead(self.errors, target.stats.relayed()))
    }

    /// Whether an envelope may go out while the message before is not answered yet.
    pub(super) fn may_send_behind(&self, target: &Target) -> bool {
        target.lessons.endurance.envelope_ahead(self.errors, target.stats.relayed())
    }

    /// Takes what may be sent now out of the queue.
    pub(super) fn board(
        &mut self,
        target: &Arc<Target>,
        first: Option<Parcel>,
        flights: &VecDeque<Flight>,
    ) -> Vec<Parcel> {
        let mut octets: usize = flights.iter().map(|flight| flight.parcel.delivery.message.len()).sum();
        let mut boarding: Vec<Parcel> = Vec::with_capacity(IN_FLIGHT_MAX);
        if let Some(parcel) = first {
            octets += parcel.delivery.message.len();
            boarding.push(parcel);
            self.envelopes += 1;
        }
        let most = self.in_flight_max(target);
        while flights.len() + boarding.len() < most && octets < OCTETS_IN_FLIGHT_MAX {
            let may_follow = self.is_brisk && target.lessons.ahead() == Ahead::Messages;
            let is_due = may_follow && self.carried.is_empty() && !self.is_spent(target);
            if !is_due || !target.queue.has_for(&self.witness) || !target.try_leave() {
                break;
            }
            let Some(parcel) = self.next_that_fits(target) else { continue };
            let Some(parcel) = self.unsuspected(parcel) else { break };
            octets += parcel.delivery.message.len();
            boarding.push(parcel);
            self.envelopes += 1;
        }
        boarding
    }
}
