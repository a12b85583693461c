//! Refusals: whose each is, and what becomes of its message and of the session.

use super::answers::{Asked, Envelope};
use super::ending::{Speaks, Stop, set_apart};
use super::recipients::is_asking;
use super::{Offer, Owed, STRIKES_MAX, Session};
use crate::fault::{Fault, Reason, ReplyCode};
use crate::inject::alike::Clearer;
use crate::inject::connect::last_reply;
use crate::inject::delivery::{Errand, Parcel};
use crate::inject::health::{Credit, Sign};
use crate::inject::lessons::Ahead;
use crate::inject::senders::Follows;
use crate::inject::target::Target;
use crate::inject::trouble::{Blame, Refusal};
use crate::inject::verdict::{Command, Heard, Sent, Whose, whose};
use crate::report::gist::gist;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Times a message may be put off for reasons that are not its own before it is given back.
const DETOURS_MAX: u32 = 8;
/// A session that has others to serve makes way for another one only behind this time.
const MAKES_WAY: Duration = Duration::from_millis(300);

/// A refusal and whose it is.
pub(super) struct Refused {
    pub whose: Whose,
    pub command: Command,
    pub offer: Offer,
    said: Refusal,
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

    fn speaks(&self) -> Speaks {
        match self.whose {
            Whose::Recipient | Whose::Unclear if !self.fault.is_transient() => Speaks::OfPeople,
            _ => Speaks::OfTarget,
        }
    }

    /// As the state of the target: the message may go elsewhere, or later.
    pub fn targets_fault(&self) -> Fault {
        let advice = match self.whose {
            Whose::Sender | Whose::UnclearSender => {
                "its messages wait; let the target take this sender, or send from another"
            }
            Whose::Connections => "the relay makes fewer; raise the target's limit or lower connections_max",
            Whose::Throttle => "the relay sends it less; raise the target's limit or lower rate_max",
            Whose::Session | Whose::SessionFull | Whose::Order => "it was not taken and can be sent again",
            _ if self.fault.is_transient() => "the target takes no messages now; see its log",
            Whose::Recipient => {
                "not booked on the recipient: it may say so of everybody; see its table of recipients"
            }
            Whose::Unclear if self.said.blame() == Blame::Unsaid => {
                "the recipient's, the message's, or the target's own: that shows when it takes others; tried again with \
                 growing pauses until then"
            }
            _ => match self.said.blame() {
                Blame::Encryption => "not about the recipient: the target wants TLS; see tls of this target",
                Blame::Authentication => "not about the recipient: see auth of this target",
                Blame::Relaying => {
                    "not about the recipient: let this relay send through the target (relaying, auth)"
                }
                Blame::Sender => "not about the recipient: let the target take this sender",
                Blame::Unsaid => "not about the recipient: see the target's log for why it takes nothing",
            },
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
        let reply = last_reply(&self.talk, delivery.known_values());
        let heard = Heard {
            command,
            sent: if offer == Offer::Stepwise { Sent::InTurn } else { Sent::Ahead },
            code,
            text: &Zeroizing::new(reply.scrubbed().to_lowercase()),
            taken_before: self.witness.taken(),
        };
        let whose = whose(&heard);
        let text = gist(&reply, code, delivery.known_values());
        let name = &target.settings.name;
        let said = Refusal { command: command.name(), sender: String::new(), code, text };
        let detail = format!("target {name} refused {}: {}", command.name(), said.said());
        Refused { whose, command, offer, said, fault: Fault::refused(code, detail).at(name) }
    }

    /// Settles a refused message, or keeps it to be offered again. What it gives ends the session.
    pub(super) fn settle_refusal(
        &mut self,
        target: &Arc<Target>,
        parcel: Parcel,
        refused: Refused,
    ) -> Option<Stop> {
        let refused = self.with_cause(refused);
        match refused.whose {
            Whose::Recipient => self.refuse_recipient(target, parcel, refused),
            Whose::Message => {
                self.refuse(target, parcel, refused);
                None
            }
            Whose::Unclear => self.clear_up(target, parcel, refused),
            Whose::UnclearSender => self.clear_sender_up(target, parcel, &refused),
            Whose::Sender => {
                self.refuse_sender(target, parcel, &refused);
                None
            }
            Whose::Target => self.declined_here(target, parcel, &refused),
            Whose::Connections if target.ceiling.lower(target.established()) => {
                self.put_off(target, parcel, &refused);
                Some(Stop::Closing(refused.targets_fault()))
            }
            Whose::Throttle | Whose::Connections => {
                target.note(Sign::Throttled(refused.targets_fault()));
                let stop = refused.is_closing().then(|| Stop::Closing(refused.targets_fault()));
                self.put_off(target, parcel, &refused);
                stop
            }
            Whose::SessionFull => {
                target.lessons.learn_share(self.witness.taken());
                self.put_off(target, parcel, &refused);
                Some(Stop::Closing(refused.targets_fault()))
            }
            Whose::Session if refused.command == Command::Recipient && refused.is_closing() => {
                Some(self.close_over_recipient(target, parcel, &refused))
            }
            Whose::Session => {
                self.put_off(target, parcel, &refused);
                Some(Stop::Closing(refused.targets_fault()))
            }
            Whose::Order => self.learn_order(target, parcel, &refused),
        }
    }

    /// A target that has had enough of errors says good-bye for what it refused before, and that is what there is to mend.
    fn with_cause(&mut self, mut refused: Refused) -> Refused {
        let is_ones = matches!(refused.whose, Whose::Recipient | Whose::Message | Whose::SessionFull);
        match &self.refused_last {
            Some(cause) if refused.is_closing() && refused.whose == Whose::Session => {
                let detail = format!("{}; then it said good-bye: {}", cause.detail, refused.said.said());
                refused.fault.detail = detail.into();
            }
            _ if !refused.is_closing() && !is_ones => self.refused_last = Some(refused.targets_fault()),
            _ => {}
        }
        refused
    }

    pub(super) fn refuse(&mut self, target: &Target, parcel: Parcel, refused: Refused) {
        self.answered += 1;
        target.stats.refused.fetch_add(1, Relaxed);
        let puts_off = refused.command == Command::Recipient && refused.fault.is_transient();
        target.note(if puts_off { Sign::PutOff } else { Sign::Answered });
        parcel.fail(refused.fault);
    }

    /// Nobody's messages are taken. What is said to recipients only, by a target that takes people, may be said to some of them.
    fn decline(&mut self, target: &Target, parcel: Parcel, refused: &Refused) {
        let is_to_some = refused.command == Command::Recipient
            && !refused.fault.is_transient()
            && target.unclear.takes_people();
        target.note(match is_to_some {
            true => Sign::Refused(refused.targets_fault(), Credit::Some),
            false => Sign::Declined(refused.targets_fault()),
        });
        self.pass_on(target, parcel, refused);
    }

    /// Not the message's fate: it may have another target, or wait.
    pub(super) fn pass_on(&mut self, target: &Target, parcel: Parcel, refused: &Refused) {
        self.answered += 1;
        target.stats.declined.fetch_add(1, Relaxed);
        parcel.pass_on(refused.targets_fault());
    }

    /// A refusal that is the target's, if it is not one machine's behind the name: another session sees it, once.
    fn declined_here(&mut self, target: &Arc<Target>, mut parcel: Parcel, refused: &Refused) -> Option<Stop> {
        self.witness.refused();
        let stop = self.witness.takes_nobody().then(|| self.leave(target, refused));
        if parcel.doubt.is_none() && parcel.errand != Errand::Attempt && !parcel.is_overdue() {
            parcel.doubt.add(&self.witness, target.stats.relayed());
            self.look_again(target, parcel);
        } else {
            self.decline(target, parcel, refused);
        }
        stop
    }

    fn refuse_sender(&mut self, target: &Target, parcel: Parcel, refused: &Refused) {
        let fault = refused.targets_fault();
        match target.senders.refuse(&parcel.delivery.sender, refused.command, fault.clone()) {
            Follows::Targets => return self.decline(target, parcel, refused),
            Follows::Waits => {
                tracing::warn!(target_mta = %target.settings.name, cause = %fault.detail, "a sender is refused");
            }
            Follows::Nothing => {}
        }
        self.pass_on(target, parcel, refused);
    }

    /// Refused before anything but its sender was named, for a reason that may be this session's.
    fn clear_sender_up(
        &mut self,
        target: &Arc<Target>,
        mut parcel: Parcel,
        refused: &Refused,
    ) -> Option<Stop> {
        self.witness.refused();
        let judged = parcel.doubt.judge_sender(&self.witness, target.stats.relayed());
        if judged == Clearer::LookAgain && !parcel.is_overdue() {
            self.look_again(target, parcel);
        } else {
            self.refuse_sender(target, parcel, refused);
        }
        self.is_useless(target).then(|| self.leave(target, refused))
    }

    /// Whether a refusal is the person's shows in what becomes of others.
    fn clear_up(&mut self, target: &Arc<Target>, mut parcel: Parcel, refused: Refused) -> Option<Stop> {
        let taken = target.stats.relayed();
        let is_for_good = !refused.fault.is_transient();
        let clearer = match is_for_good {
            false => target.unclear.judge_transient(&self.witness, taken),
            true => {
                let asked = self.asked_of(target, &parcel, refused.command);
                target.unclear.judge(&mut parcel.doubt, &self.witness, asked)
            }
        };
        let is_asking = is_for_good && is_asking(target, &parcel);
        // Some take nobody on a session, and everybody on the next one: Postfix' postscreen of a client that is new. During an
        // outage one message at a time finds out, which a session that has taken nobody does not.
        let has_refused_all = self.witness.has_refused_all()
            || (parcel.errand == Errand::Attempt && !self.witness.is_proven() && !is_asking);
        let is_lost = clearer == Clearer::Targets && has_refused_all;
        let stop = (is_lost || self.is_useless(target)).then(|| self.leave(target, &refused));
        if is_for_good && clearer == Clearer::Targets {
            target.inquiry.refused(parcel.delivery.whom);
        }
        match clearer {
            Clearer::Persons => self.refuse_person(target, parcel, refused),
            Clearer::Waits => self.keep_waiting(target, parcel, &refused),
            Clearer::LookAgain if !parcel.is_overdue() && !is_asking => self.look_again(target, parcel),
            // It takes others: whatever this one is about, the target is not down.
            _ if target.accepts_now() => self.pass_on(target, parcel, &refused),
            // Who is behind those whom it refuses may be taken: they are asked about.
            _ if is_for_good => self.refuse_for_all(target, parcel, &refused),
            Clearer::LookAgain | Clearer::Targets => self.decline(target, parcel, &refused),
        }
        stop
    }

    pub(super) fn is_useless(&self, target: &Target) -> bool {
        target.unclear.is_useless(&self.witness, target.stats.relayed())
    }

    /// This session is of no use, and so may its machine be.
    pub(super) fn leave(&self, target: &Target, refused: &Refused) -> Stop {
        target.machines.leave(self.peer);
        match refused.is_closing() {
            true => Stop::Closing(refused.targets_fault()),
            false => Stop::Left(refused.targets_fault(), refused.speaks()),
        }
    }

    /// By another session, behind whatever waits.
    pub(super) fn look_again(&mut self, target: &Arc<Target>, parcel: Parcel) {
        target.stats.offered_again.fetch_add(1, Relaxed);
        self.makes_way_at = Some(Instant::now() + MAKES_WAY);
        self.put_last(target, parcel);
    }

    /// Behind whatever waits, for any session.
    fn put_last(&mut self, target: &Target, mut parcel: Parcel) {
        parcel.release();
        if let Err(parcel) = target.queue.try_push(parcel) {
            self.misfits.push(*parcel);
        }
    }

    /// 421 to RCPT may speak of that recipient: too many at once for its host, say. As long as others are taken, the message
    /// goes behind all others, and not for ever.
    fn close_over_recipient(&mut self, target: &Arc<Target>, mut parcel: Parcel, refused: &Refused) -> Stop {
        let fault = refused.targets_fault();
        let is_targets = match parcel.strikes {
            0 => target.unclear.judge_transient(&self.witness, target.stats.relayed()) == Clearer::Targets,
            _ => !target.accepts_now(),
        };
        if is_targets {
            self.put_off(target, parcel, refused);
            return Stop::Closing(fault);
        }
        parcel.strikes += 1;
        if parcel.strikes >= STRIKES_MAX {
            target.stats.set_apart.fetch_add(1, Relaxed);
            parcel.pass_on(set_apart(&fault));
        } else if parcel.is_overdue() {
            parcel.pass_on(fault.clone());
        } else {
            self.put_last(target, parcel);
        }
        Stop::ClosingOverRecipient(fault)
    }

    /// For a reason that is not the message's: it goes again, on this session or another, but not for ever.
    fn put_off(&mut self, target: &Arc<Target>, mut parcel: Parcel, refused: &Refused) {
        let is_first = self.answered == 0 && refused.is_closing();
        parcel.detours += 1;
        parcel.strikes += u32::from(is_first);
        if parcel.strikes >= STRIKES_MAX && !target.accepts_now() {
            // It says good-bye to everybody.
            self.decline(target, parcel, refused);
        } else if parcel.strikes >= STRIKES_MAX {
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
