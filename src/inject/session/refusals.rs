//! Refusals: whose each is, and what becomes of its message and of the session.

use super::answers::{Asked, Envelope};
use super::{Offer, Owed, STRIKES_MAX, Session, Stop, set_apart};
use crate::fault::{Fault, Reason, ReplyCode};
use crate::inject::delivery::Parcel;
use crate::inject::health::Sign;
use crate::inject::lessons::{Ahead, Clearer};
use crate::inject::target::Target;
use crate::inject::verdict::{Command, Heard, Sent, Whose, whose};
use crate::report::scrub::scrub;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::{AsyncRead, AsyncWrite};

/// Times a message may be put off for reasons that are not its own before it is given back.
const DETOURS_MAX: u32 = 8;

/// A refusal and whose it is.
pub(super) struct Refused {
    pub whose: Whose,
    pub command: Command,
    pub offer: Offer,
    /// As the outcome of the message, if it is about it.
    pub fault: Fault,
}

impl Refused {
    /// 421: the target says good-bye (RFC 5321 §3.8).
    pub fn is_closing(&self) -> bool {
        self.fault.reply.is_some_and(|reply| reply.basic == 421)
    }

    /// With the session over behind it.
    pub fn at_last(self) -> Envelope {
        let stop = Stop::Closing(self.targets_fault());
        Envelope::RefusedAtLast(self, stop)
    }

    /// As the state of the target: the message may go elsewhere, or later.
    pub fn targets_fault(&self) -> Fault {
        let advice = match self.whose {
            Whose::Sender => "its messages wait; let the target take this sender, or send from another",
            Whose::Throttle => "the relay sends it less; raise the target's limit or lower rate_max",
            Whose::Session | Whose::SessionFull | Whose::Order => "it was not taken and can be sent again",
            _ if self.fault.is_transient() => "the target takes no messages now; see its log",
            _ => "not about the recipient: let this relay send through the target (relaying, auth, TLS)",
        };
        let detail = format!("{}; {advice}", self.fault.detail);
        let mut fault = Fault::new(Reason::TargetUnavailable, detail);
        (fault.reply, fault.target) = (self.fault.reply, self.fault.target.clone());
        fault
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    /// The reply read last, with whose it is and without what it echoes.
    pub(super) fn refused(&self, asked: Asked<'_>, command: Command, code: ReplyCode) -> Refused {
        let Asked { target, delivery, offer } = asked;
        let text = match self.talk.last_reply() {
            Ok(reply) => {
                let octets = zeroize::Zeroizing::new(reply.lines().collect::<Vec<_>>().join(b" ".as_slice()));
                scrub(&octets, delivery.known_values())
            }
            Err(_) => String::new(),
        };
        let heard = Heard {
            command,
            sent: if offer == Offer::Stepwise { Sent::InTurn } else { Sent::Ahead },
            code,
            text: &text.to_lowercase(),
            taken_before: self.taken,
        };
        let whose = whose(&heard);
        let name = &target.settings.name;
        let mut said = code.basic.to_string();
        if let Some(enhanced) = code.enhanced {
            said = format!("{said} {enhanced}");
        }
        let detail = format!("target {name} refused {}: {said} {text}", command.name());
        Refused { whose, command, offer, fault: Fault::refused(code, detail).at(name) }
    }

    /// Settles a refused message, or keeps it to be offered again. What it gives ends the session.
    pub(super) fn settle_refusal(
        &mut self,
        target: &Arc<Target>,
        parcel: Parcel,
        refused: Refused,
    ) -> Option<Stop> {
        match refused.whose {
            Whose::Recipient | Whose::Message => self.refuse(target, parcel, refused),
            Whose::Unclear => self.clear_up(target, parcel, refused),
            Whose::Sender => self.refuse_sender(target, parcel, &refused),
            Whose::Target => self.decline(target, parcel, &refused),
            Whose::Throttle => {
                target.note(Sign::Throttled(refused.targets_fault()));
                let stop = refused.is_closing().then(|| Stop::Closing(refused.targets_fault()));
                self.put_off(target, parcel, &refused);
                return stop;
            }
            Whose::SessionFull => {
                target.lessons.learn_share(self.taken);
                self.put_off(target, parcel, &refused);
                return Some(Stop::Closing(refused.targets_fault()));
            }
            Whose::Session => {
                self.put_off(target, parcel, &refused);
                return Some(Stop::Closing(refused.targets_fault()));
            }
            Whose::Order => return self.learn_order(target, parcel, &refused),
        }
        None
    }

    fn refuse(&mut self, target: &Target, parcel: Parcel, refused: Refused) {
        self.answered += 1;
        target.stats.refused.fetch_add(1, Relaxed);
        let puts_off = refused.command == Command::Recipient && refused.fault.is_transient();
        target.note(if puts_off { Sign::PutOff } else { Sign::Answered });
        parcel.fail(refused.fault);
    }

    /// Nobody's messages are taken.
    fn decline(&mut self, target: &Target, parcel: Parcel, refused: &Refused) {
        target.note(Sign::Declined(refused.targets_fault()));
        self.pass_on(target, parcel, refused);
    }

    /// Not the message's fate: it may have another target, or wait.
    fn pass_on(&mut self, target: &Target, parcel: Parcel, refused: &Refused) {
        self.answered += 1;
        target.stats.declined.fetch_add(1, Relaxed);
        parcel.pass_on(refused.targets_fault());
    }

    fn refuse_sender(&mut self, target: &Target, parcel: Parcel, refused: &Refused) {
        let fault = refused.targets_fault();
        if target.lessons.refuse_sender(&parcel.delivery.sender, fault.clone()) {
            tracing::warn!(target_mta = %target.settings.name, cause = %fault.detail, "a sender is refused");
        }
        self.pass_on(target, parcel, refused);
    }

    /// Whether a refusal is the person's shows in what becomes of others: a permanent one is looked at twice.
    fn clear_up(&mut self, target: &Arc<Target>, mut parcel: Parcel, refused: Refused) {
        let taken = target.stats.relayed();
        let taken_at_first = match parcel.unclear_at {
            Some(taken_at_first) => taken_at_first,
            None => {
                target.lessons.note_unclear(taken);
                parcel.unclear_at = Some(taken);
                if !refused.fault.is_transient() && !parcel.is_overdue() {
                    target.stats.offered_again.fetch_add(1, Relaxed);
                    self.look_again(target, parcel);
                    return;
                }
                taken
            }
        };
        match target.lessons.clear_up(taken_at_first, taken) {
            Clearer::Persons => self.refuse(target, parcel, refused),
            // It takes others: whatever this one is about, the target is not down.
            Clearer::Targets if target.lessons.accepts_now() => self.pass_on(target, parcel, &refused),
            Clearer::Targets => self.decline(target, parcel, &refused),
        }
    }

    /// Behind whatever waits, so that others come in between.
    fn look_again(&mut self, target: &Arc<Target>, mut parcel: Parcel) {
        parcel.release();
        if let Err(parcel) = target.queue.try_push(parcel) {
            self.carry(*parcel);
        }
    }

    /// For a reason that is not the message's: it goes again, on this session or another, but not for ever.
    fn put_off(&mut self, target: &Arc<Target>, mut parcel: Parcel, refused: &Refused) {
        let is_first = self.answered == 0 && refused.is_closing();
        parcel.detours += 1;
        parcel.strikes += u32::from(is_first);
        if parcel.strikes >= STRIKES_MAX {
            target.stats.set_apart.fetch_add(1, Relaxed);
            parcel.pass_on(set_apart(&refused.targets_fault()));
        } else if is_first && refused.command == Command::Content {
            // A whole message goes over the line only once for a target that does nothing but say good-bye to it.
            self.decline(target, parcel, refused);
        } else if parcel.detours > DETOURS_MAX || parcel.is_overdue() {
            self.decline(target, parcel, refused);
        } else {
            self.carry(parcel);
        }
    }

    /// The target takes no offence at the message, but at the order in which our commands came.
    fn learn_order(&mut self, target: &Arc<Target>, parcel: Parcel, refused: &Refused) -> Option<Stop> {
        target.stats.order_refused.fetch_add(1, Relaxed);
        let is_behind_chunk = self.owed == Owed::ResetBehindChunk;
        match (refused.command, refused.offer) {
            (Command::Reset, _) if !is_behind_chunk => target.lessons.learn_resets_refused(),
            (Command::Reset, _) | (_, Offer::Chunked) => target.lessons.send_ahead_at_most(Ahead::Envelope),
            (_, Offer::Overlapped) => target.lessons.send_ahead_at_most(Ahead::Group),
            (_, Offer::Grouped | Offer::Stepwise) => target.lessons.send_ahead_at_most(Ahead::Nothing),
        }
        self.put_off(target, parcel, refused);
        // What stands behind a refused RSET would be added to a transaction that is still open.
        (refused.command == Command::Reset).then(|| Stop::Closing(refused.targets_fault()))
    }
}
