//! The target's answers to an envelope, and what a refusal says without repeating whom it is about.

use super::{Session, Stop, chunks};
use crate::fault::{Enhanced, Fault, ReplyCode};
use crate::inject::delivery::Delivery;
use crate::inject::health::Sign;
use crate::inject::talk::Broken;
use crate::inject::target::Target;
use crate::report::scrub::scrub;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// RFC 3463 §3.6: too many recipients, which targets also say of messages.
const TOO_MANY: Enhanced = Enhanced(4, 5, 3);

/// What the envelope came to.
pub(super) enum Envelope {
    /// 354: the content is awaited.
    Open,
    /// Refused, and the target does not await content.
    Refused(Fault),
    /// Refused, but DATA was answered 354 all the same (RFC 2920 §3.1).
    RefusedButOpen(Fault),
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    pub(super) async fn envelope_answers(
        &mut self,
        target: &Arc<Target>,
        delivery: &Delivery,
    ) -> Result<Envelope, Stop> {
        let envelope = if self.offered.pipelining {
            self.pipelined_answers(target, delivery).await?
        } else {
            self.stepwise_answers(target, delivery).await?
        };
        self.has_rested = false;
        Ok(envelope)
    }

    async fn pipelined_answers(
        &mut self,
        target: &Arc<Target>,
        delivery: &Delivery,
    ) -> Result<Envelope, Stop> {
        let deadlines = &target.settings.deadlines;
        if std::mem::take(&mut self.owes_reset) {
            self.reset_answer(target).await?;
        }
        let mail = self.answer(target, deadlines.command).await?;
        let mut refusal = self.refusal_of(mail, "MAIL", target, delivery)?;
        let recipient = self.answer(target, deadlines.command).await?;
        self.tells_apart = chunks::says_addressing(mail) && chunks::says_addressing(recipient);
        if refusal.is_none() {
            refusal = self.refusal_of(recipient, "RCPT", target, delivery)?;
        } else if recipient.basic == 421 {
            return Err(Stop::Closing(self.refusal("RCPT", recipient, target, delivery)));
        }
        let data = self.answer(target, deadlines.data_initiation).await?;
        match (data.basic, refusal) {
            (354, None) => Ok(Envelope::Open),
            (354, Some(fault)) => Ok(Envelope::RefusedButOpen(fault)),
            (421, _) => Err(Stop::Closing(self.refusal("DATA", data, target, delivery))),
            (400..=599, refusal) => {
                self.owes_reset = true;
                Ok(Envelope::Refused(refusal.unwrap_or_else(|| self.refusal("DATA", data, target, delivery))))
            }
            (other, _) => Err(Broken::OutOfStep(other).into()),
        }
    }

    async fn stepwise_answers(
        &mut self,
        target: &Arc<Target>,
        delivery: &Delivery,
    ) -> Result<Envelope, Stop> {
        let deadlines = target.settings.deadlines;
        if std::mem::take(&mut self.owes_reset) {
            self.group.clear();
            self.group.reset();
            self.talk.send(self.group.as_slice(), deadlines.command).await?;
            self.reset_answer(target).await?;
        }
        for command in ["MAIL", "RCPT"] {
            self.group.clear();
            match command {
                "MAIL" => self.group.mail(delivery, self.offered),
                _ => self.group.recipient(delivery),
            };
            let code = self.step(target, deadlines.command).await?;
            if let Some(fault) = self.refusal_of(code, command, target, delivery)? {
                self.owes_reset = command == "RCPT";
                return Ok(Envelope::Refused(fault));
            }
        }
        self.group.clear();
        self.group.data();
        let code = self.step(target, deadlines.data_initiation).await?;
        match code.basic {
            354 => Ok(Envelope::Open),
            421 => Err(Stop::Closing(self.refusal("DATA", code, target, delivery))),
            400..=599 => {
                self.owes_reset = true;
                Ok(Envelope::Refused(self.refusal("DATA", code, target, delivery)))
            }
            other => Err(Broken::OutOfStep(other).into()),
        }
    }

    async fn step(&mut self, target: &Arc<Target>, limit: Duration) -> Result<ReplyCode, Broken> {
        if self.talk.has_unread() {
            return Err(Broken::OutOfStep(0));
        }
        self.talk.send(self.group.as_slice(), limit).await?;
        self.answer(target, limit).await
    }

    pub(super) async fn answer(
        &mut self,
        target: &Arc<Target>,
        limit: Duration,
    ) -> Result<ReplyCode, Broken> {
        // Most replies of a group come in one piece.
        if let Some(code) = self.talk.reply_at_hand()? {
            return Ok(code);
        }
        tokio::select! {
            biased;
            code = self.talk.reply(limit, || target.grow()) => code,
            () = target.halted.cancelled() => Err(Broken::Stopping),
        }
    }

    async fn reset_answer(&mut self, target: &Arc<Target>) -> Result<(), Broken> {
        let code = self.answer(target, target.settings.deadlines.command).await?;
        if code.is_positive() { Ok(()) } else { Err(Broken::OutOfStep(code.basic)) }
    }

    /// `None` for a 2xx to MAIL or RCPT.
    pub(super) fn refusal_of(
        &self,
        code: ReplyCode,
        command: &str,
        target: &Arc<Target>,
        delivery: &Delivery,
    ) -> Result<Option<Fault>, Stop> {
        match code.basic {
            200..=299 => Ok(None),
            421 => Err(Stop::Closing(self.refusal(command, code, target, delivery))),
            400..=599 => Ok(Some(self.refusal(command, code, target, delivery))),
            other => Err(Broken::OutOfStep(other).into()),
        }
    }

    /// The reply read last as a fault, without what it echoes.
    pub(super) fn refusal(
        &self,
        what: &str,
        code: ReplyCode,
        target: &Arc<Target>,
        delivery: &Delivery,
    ) -> Fault {
        let name = &target.settings.name;
        let mut said = code.basic.to_string();
        if let Some(enhanced) = code.enhanced {
            said = format!("{said} {enhanced}");
        }
        let text = match self.talk.last_reply() {
            Ok(reply) => {
                let octets = zeroize::Zeroizing::new(reply.lines().collect::<Vec<_>>().join(b" ".as_slice()));
                scrub(&octets, delivery.known_values())
            }
            Err(_) => String::new(),
        };
        let fault = Fault::refused(code, format!("target {name} refused {what}: {said} {text}")).at(name);
        if let Some(sign) = sign_of(what, code, &fault) {
            target.note(sign);
        }
        fault
    }
}

/// What a refusal says about the target. Behind 421 the session ends, which says it.
fn sign_of(what: &str, code: ReplyCode, fault: &Fault) -> Option<Sign> {
    match code.basic {
        421 => None,
        400..=499 if code.enhanced == Some(TOO_MANY) => Some(Sign::Throttled(fault.clone())),
        400..=499 if what == "RCPT" => Some(Sign::PutOff),
        400..=499 => Some(Sign::Declined(fault.clone())),
        _ => Some(Sign::Answered),
    }
}
