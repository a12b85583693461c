//! Recipients that are refused: theirs, one machine's, or a target's that says it of everybody.

use super::Session;
use super::ending::Stop;
use super::refusals::Refused;
use crate::inject::alike::Clearer;
use crate::inject::breaker::Kind;
use crate::inject::delivery::{Elsewhere, Errand, Parcel};
use crate::inject::health::{Credit, Sign};
use crate::inject::target::Target;
use crate::inject::unclear;
use crate::inject::unknown::Unasked;
use crate::inject::verdict::Command;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Whether it is this message that a target is asked with which refuses everybody. Its answer is for now: other sessions would
/// say the same.
pub(super) fn is_asking(target: &Target, parcel: &Parcel) -> bool {
    let refuses_all = || target.breaker.shut().is_some_and(|(kind, _)| kind == Kind::Refusing);
    parcel.errand == Errand::Attempt && (target.unclear.is_cold() || refuses_all())
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    /// A table of recipients that is gone or empty says of everybody that they are not there: then it is the target's, or
    /// one machine's behind its name.
    pub(super) fn refuse_recipient(
        &mut self,
        target: &Arc<Target>,
        mut parcel: Parcel,
        refused: Refused,
    ) -> Option<Stop> {
        if refused.command != Command::Recipient || refused.fault.is_transient() {
            self.refuse_behind_recipient(target, parcel, refused);
            return None;
        }
        let is_cold = target.unclear.is_cold();
        let asked = self.asked_of(target, &parcel, refused.command);
        let judged = target.unclear.judge_unknown(&mut parcel.doubt, &self.witness, asked);
        let is_lost = !matches!(judged, Clearer::Persons | Clearer::Waits)
            && (asked.elsewhere == Unasked::Machine || self.is_useless(target));
        let stop = is_lost.then(|| self.leave(target, &refused));
        match judged {
            Clearer::Persons => self.refuse_person(target, parcel, refused),
            Clearer::Waits => self.keep_waiting(target, parcel, &refused),
            // That it answers does not show that a target is well which may know nobody.
            Clearer::LookAgain if is_asking(target, &parcel) || (is_cold && parcel.is_overdue()) => {
                self.refuse_for_all(target, parcel, &refused);
            }
            Clearer::LookAgain if !parcel.is_overdue() => {
                if parcel.errand == Errand::Attempt {
                    // It was to find out whether the target is there, and has.
                    target.note(Sign::Answered);
                    parcel.errand = Errand::Usual;
                }
                if is_cold {
                    target.inquiry.refused(parcel.delivery.whom);
                }
                self.look_again(target, parcel);
            }
            Clearer::LookAgain => self.pass_on(target, parcel, &refused),
            Clearer::Targets => self.refuse_for_all(target, parcel, &refused),
        }
        stop
    }

    pub(super) fn asked_of<'a>(
        &self,
        target: &'a Target,
        parcel: &Parcel,
        command: Command,
    ) -> unclear::Asked<'a> {
        let elsewhere = match parcel.elsewhere {
            Elsewhere::AnotherTarget => Unasked::Target,
            Elsewhere::Nowhere if target.machines.has_another(self.peer) => Unasked::Machine,
            Elsewhere::Nowhere => Unasked::None,
        };
        let (whom, inquiry, taken) = (parcel.delivery.whom, &target.inquiry, target.stats.relayed());
        unclear::Asked { command, whom, elsewhere, inquiry, taken }
    }

    /// It is theirs.
    pub(super) fn refuse_person(&mut self, target: &Target, parcel: Parcel, refused: Refused) {
        target.inquiry.settled(parcel.delivery.whom);
        self.refuse(target, parcel, refused);
    }

    /// It may be theirs. The target works, and refuses so many that it may not know all whom it has.
    pub(super) fn keep_waiting(&mut self, target: &Target, parcel: Parcel, refused: &Refused) {
        target.inquiry.refused(parcel.delivery.whom);
        target.note(Sign::Answered);
        self.pass_on(target, parcel, refused);
    }

    /// Of the recipient, though not at RCPT for good. A target that finds everybody's mailbox full or closed speaks of its own.
    fn refuse_behind_recipient(&mut self, target: &Target, parcel: Parcel, refused: Refused) {
        if refused.command != Command::Content || refused.fault.is_transient() {
            return self.refuse(target, parcel, refused);
        }
        let asked = self.asked_of(target, &parcel, refused.command);
        match target.unclear.judge_mailbox(&parcel.doubt, asked) {
            Clearer::Persons => self.refuse_person(target, parcel, refused),
            Clearer::Waits => self.keep_waiting(target, parcel, &refused),
            Clearer::LookAgain | Clearer::Targets => self.refuse_for_all(target, parcel, &refused),
        }
    }

    /// Refused for what may be theirs, by a target that shows of nobody that it takes them: the next one may be whom it takes.
    pub(super) fn refuse_for_all(&mut self, target: &Target, parcel: Parcel, refused: &Refused) {
        target.inquiry.refused(parcel.delivery.whom);
        let credit = if target.unclear.is_cold() { Credit::None } else { Credit::Some };
        target.note(Sign::Refused(refused.targets_fault(), credit));
        self.pass_on(target, parcel, refused);
    }
}
