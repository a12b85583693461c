//! Several messages in flight: each goes out as envelope and one BDAT chunk (RFC 3030) without waiting for the
//! answers to those before it.
//!
//! Only where the target's replies say by their enhanced codes (RFC 3463) what they answer: to MAIL, RCPT and BDAT
//! alike it says 250, and one reply too many would otherwise be taken for the acceptance of a message. RSET stands in
//! front of every envelope sent behind an unanswered one, so that a transaction that failed leaves nothing behind.

use super::{Halt, Session, Stop};
use crate::fault::{Fault, ReplyCode};
use crate::inject::delivery::{Delivery, Parcel};
use crate::inject::envelope::Group;
use crate::inject::health::Sign;
use crate::inject::talk::{Broken, Torn, slices};
use crate::inject::target::Target;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::content::{EARLY_REFUSAL_LIMIT, OVERLAP_REPLY_MAX};

/// Messages on their way at once, at most. All of them are in doubt when the connection is lost.
pub(in crate::inject) const IN_FLIGHT_MAX: usize = 8;
/// Octets on their way at once: past this no further message is begun.
const OCTETS_IN_FLIGHT_MAX: usize = 256 * 1024;
/// RFC 3463 §3.2: addressing status, in answers to MAIL and RCPT.
const ADDRESSING: u16 = 1;

/// A message wholly handed to the stream and not answered yet.
struct Flight {
    parcel: Parcel,
    /// RSET went in front of it.
    resets: bool,
}

/// What the answers to one flight came to.
enum Landing {
    Accepted(ReplyCode),
    Refused(Fault),
    /// 421 before the content was judged: not taken, and nothing behind it either.
    Closing(Fault),
    Doubt(Broken),
}

/// Whether the enhanced code of a positive reply to MAIL or RCPT says that it is one.
pub(super) fn says_addressing(code: ReplyCode) -> bool {
    code.enhanced.is_some_and(|enhanced| enhanced.1 == ADDRESSING)
}

/// Whether that of a positive reply to content says that it is none to MAIL or RCPT.
pub(super) fn says_other(code: ReplyCode) -> bool {
    code.enhanced.is_some_and(|enhanced| enhanced.1 != ADDRESSING)
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    /// Whether content may go with its envelope, without waiting for a 354: the target understands it, and has shown
    /// a moment ago that it is there and quick.
    pub(super) fn may_chunk(&self, target: &Target) -> bool {
        let knows_how = self.offered.chunking && self.offered.pipelining && self.tells_apart;
        let is_ready = self.is_brisk && !self.has_rested && !self.owes_reset;
        knows_how && is_ready && !target.chunks_are_paused()
    }

    /// Carries this parcel and what waits behind it to their answers, until nothing waits any more.
    pub(super) async fn exchange_chunks(&mut self, target: &Arc<Target>, first: Parcel) -> Result<(), Halt> {
        if self.talk.has_unread() {
            return Err(Halt { unsent: vec![first], stop: Broken::OutOfStep(0).into() });
        }
        let mut flights = VecDeque::with_capacity(IN_FLIGHT_MAX);
        let mut next = Some(first);
        let mut torn = None;
        loop {
            if torn.is_none() && flights.len() <= IN_FLIGHT_MAX / 2 {
                let boarding = self.board(target, next.take(), &flights);
                torn = self.take_off(target, boarding, &mut flights).await.err();
            }
            let Some(flight) = flights.pop_front() else {
                return torn.map_or(Ok(()), Err);
            };
            let limit = match &torn {
                Some(_) => EARLY_REFUSAL_LIMIT,
                None => target.settings.deadlines.final_reply,
            };
            let landing = self.landing(target, &flight, limit, flights.is_empty()).await;
            let sent_at = flight.parcel.sent_at;
            if let Some(grounded) = self.land(target, flight, landing) {
                target.pause_chunks();
                return Err(self.ground(target, flights, (grounded, torn)).await);
            }
            self.is_brisk = sent_at.elapsed() < OVERLAP_REPLY_MAX;
        }
    }

    /// Takes what may be sent now out of the queue.
    fn board(
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
        while flights.len() + boarding.len() < IN_FLIGHT_MAX && octets < OCTETS_IN_FLIGHT_MAX {
            if !self.is_brisk || self.is_spent(target) || target.queue.is_empty() || !target.try_leave() {
                break;
            }
            let Some(parcel) = target.queue.try_next() else { break };
            target.note_wait(&parcel);
            let Some(parcel) = self.fitting(parcel, target) else { continue };
            octets += parcel.delivery.message.len();
            boarding.push(parcel);
            self.envelopes += 1;
        }
        boarding
    }

    /// Writes them all. What was handed over whole is in flight, even if the stream broke behind it.
    async fn take_off(
        &mut self,
        target: &Arc<Target>,
        boarding: Vec<Parcel>,
        flights: &mut VecDeque<Flight>,
    ) -> Result<(), Halt> {
        let mut boarding: Vec<Parcel> = boarding.into_iter().filter_map(noted).collect();
        if boarding.is_empty() {
            return Ok(());
        }
        self.groups.resize_with(boarding.len().max(self.groups.len()), Group::new);
        let mut resets = !flights.is_empty();
        let first_resets = resets;
        let mut ends = Vec::with_capacity(boarding.len());
        let mut end = 0;
        for (group, parcel) in self.groups.iter_mut().zip(&mut boarding) {
            parcel.attempts += 1;
            let delivery = &parcel.delivery;
            let octets = delivery.message.len() + line_end(parcel).len();
            group.clear();
            if resets {
                group.reset();
            }
            group.mail(delivery, self.offered).recipient(delivery).last_chunk(octets);
            end += group.as_slice().len() + octets;
            ends.push(end);
            resets = true;
        }
        let parts = self.groups.iter().zip(&boarding).flat_map(|(group, parcel)| {
            let envelope = std::iter::once(group.as_slice());
            envelope.chain(parcel.delivery.message.parts()).chain([line_end(parcel)])
        });
        let written = self.talk.write(slices(parts), target.settings.deadlines.data_block).await;
        self.groups.iter_mut().for_each(Group::clear);
        let (taken, broken) = match written {
            Ok(()) => (end, None),
            Err(Torn { taken, broken }) => (taken, Some(broken)),
        };
        let sent_at = Instant::now();
        let whole = ends.iter().take_while(|end| **end <= taken).count();
        let unsent = boarding.split_off(whole);
        for (index, mut parcel) in boarding.into_iter().enumerate() {
            parcel.sent_at = sent_at;
            flights.push_back(Flight { parcel, resets: first_resets || index > 0 });
        }
        broken.map_or(Ok(()), |broken| Err(Halt { unsent, stop: broken.into() }))
    }

    /// Reads the answers to one flight.
    async fn landing(
        &mut self,
        target: &Arc<Target>,
        flight: &Flight,
        limit: Duration,
        is_last: bool,
    ) -> Landing {
        let mut refusal = None;
        match self.landed(target, flight, limit, &mut refusal).await {
            Err(Stop::Broken(broken)) => match refusal {
                // Nothing that would have followed could make it accepted.
                Some(fault) if matches!(broken, Broken::Closed | Broken::Io(_)) => Landing::Refused(fault),
                _ => Landing::Doubt(broken),
            },
            Err(Stop::Closing(fault)) => Landing::Closing(fault),
            Ok(code) if code.is_positive() => {
                // An acceptance of a message without sender or recipient, an answer to something else, or two answers.
                let is_odd = refusal.is_some()
                    || !says_other(code)
                    || (is_last && self.talk.has_unread() && !self.talk.unread_is_closing());
                if is_odd { Landing::Doubt(Broken::OutOfStep(code.basic)) } else { Landing::Accepted(code) }
            }
            Ok(code) => Landing::Refused(
                refusal.unwrap_or_else(|| self.refusal("the message", code, target, &flight.parcel.delivery)),
            ),
        }
    }

    /// The answer to the content; a refusal of the envelope is left in `refusal`.
    async fn landed(
        &mut self,
        target: &Arc<Target>,
        flight: &Flight,
        limit: Duration,
        refusal: &mut Option<Fault>,
    ) -> Result<ReplyCode, Stop> {
        let delivery = &flight.parcel.delivery;
        if flight.resets {
            let code = self.answer(target, limit).await?;
            if !code.is_positive() {
                let is_closing = code.basic == 421;
                let fault = || self.refusal("RSET", code, target, delivery);
                return Err(if is_closing {
                    Stop::Closing(fault())
                } else {
                    Broken::OutOfStep(code.basic).into()
                });
            }
        }
        for command in ["MAIL", "RCPT"] {
            let code = self.answer(target, limit).await?;
            if code.is_positive() && !says_addressing(code) {
                return Err(Broken::OutOfStep(code.basic).into());
            }
            if refusal.is_none() {
                *refusal = self.refusal_of(code, command, target, delivery)?;
            } else if code.basic == 421 {
                return Err(Stop::Closing(self.refusal(command, code, target, delivery)));
            }
        }
        let code = self.answer(target, limit).await?;
        match code.basic {
            200..=299 | 400..=599 => Ok(code),
            other => Err(Broken::OutOfStep(other).into()),
        }
    }

    /// Settles one flight. What it gives ends the session.
    fn land(&mut self, target: &Arc<Target>, flight: Flight, landing: Landing) -> Option<Grounded> {
        let name = &target.settings.name;
        match landing {
            Landing::Accepted(code) => {
                self.answered += 1;
                target.stats.relayed.fetch_add(1, Relaxed);
                target.note(Sign::Answered);
                flight.parcel.accept(name, code);
                None
            }
            Landing::Refused(fault) => {
                let is_closing = fault.reply.is_some_and(|reply| reply.basic == 421);
                self.refuse(target, flight.parcel, fault.clone());
                is_closing.then_some(Grounded::Closing { unsent: Vec::new(), fault })
            }
            Landing::Closing(fault) => Some(Grounded::Closing { unsent: vec![flight.parcel], fault }),
            Landing::Doubt(broken) => {
                let fault = self.doubtful(target, flight.parcel, broken);
                target.note(Sign::InDoubt(fault));
                Some(Grounded::Broken(broken))
            }
        }
    }

    /// The session is over. Behind 421 a target does nothing any more (RFC 5321 §3.8): if it says nothing either,
    /// what was sent behind it is not taken. Whatever else is not answered is in doubt.
    async fn ground(
        &mut self,
        target: &Arc<Target>,
        flights: VecDeque<Flight>,
        (grounded, torn): (Grounded, Option<Halt>),
    ) -> Halt {
        let (mut unsent, stop): (Vec<Parcel>, Stop) = match grounded {
            Grounded::Broken(broken) => {
                for flight in flights {
                    self.doubtful(target, flight.parcel, broken);
                }
                (Vec::new(), broken.into())
            }
            Grounded::Closing { mut unsent, fault } => {
                let silence = match flights.is_empty() {
                    true => Err(Broken::Closed),
                    false => self.answer(target, EARLY_REFUSAL_LIMIT).await,
                };
                for flight in flights {
                    match silence {
                        Err(Broken::Closed | Broken::Io(_)) => unsent.push(flight.parcel),
                        Err(broken) => drop(self.doubtful(target, flight.parcel, broken)),
                        Ok(code) => {
                            self.doubtful(target, flight.parcel, Broken::OutOfStep(code.basic));
                        }
                    }
                }
                (unsent, Stop::Closing(fault))
            }
        };
        unsent.extend(torn.into_iter().flat_map(|torn| torn.unsent));
        Halt { unsent, stop }
    }
}

/// Why a session that had messages in flight is over.
enum Grounded {
    Broken(Broken),
    Closing { unsent: Vec<Parcel>, fault: Fault },
}

/// Nothing leaves that could not be noted.
fn noted(parcel: Parcel) -> Option<Parcel> {
    if parcel.delivery.may_leave() {
        return Some(parcel);
    }
    parcel.fail(Delivery::unnoted());
    None
}

/// What the content lacks at its end.
fn line_end(parcel: &Parcel) -> &'static [u8] {
    let message = &parcel.delivery.message;
    if message.is_empty() || message.ends_with_line_end() { b"" } else { b"\r\n" }
}
