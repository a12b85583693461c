//! The target's answers to an envelope.

use super::ending::Stop;
use super::refusals::Refused;
use super::{Offer, Owed, Session, chunks};
use crate::fault::ReplyCode;
use crate::inject::delivery::Delivery;
use crate::inject::talk::Broken;
use crate::inject::target::Target;
use crate::inject::verdict::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Longest wait for the first answer to an envelope behind a final dot that was answered. Some targets throw away what
/// stands behind a dot: they would be waited for in vain. Less than what makes a target count as silent.
const OVERLAP_SILENCE_MAX: Duration = Duration::from_millis(700);

/// What is asked of the target.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub target: &'a Arc<Target>,
    pub delivery: &'a Delivery,
    pub offer: Offer,
}

/// What the envelope came to.
pub(super) enum Envelope {
    /// 354: the content is awaited.
    Open,
    /// Refused, and the target does not await content.
    Refused(Refused),
    /// Refused, but DATA was answered 354 all the same (RFC 2920 §3.1).
    RefusedButOpen(Refused),
    /// Refused, and the session is over.
    RefusedAtLast(Refused, Stop),
    /// Not a word about an envelope that went out behind a final dot. An answer that is only late would be taken for
    /// another one, so the session is over.
    Unheard,
}

/// An answer to RCPT.
pub(super) fn note_known(target: &Target, recipient: ReplyCode) {
    if recipient.is_positive() {
        target.unclear.knows_one();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    pub(super) async fn envelope_answers(&mut self, asked: Asked<'_>) -> Result<Envelope, Broken> {
        let envelope = match asked.offer {
            Offer::Stepwise => self.stepwise_answers(asked).await?,
            Offer::Grouped | Offer::Overlapped | Offer::Chunked => self.grouped_answers(asked).await?,
        };
        self.has_rested = false;
        Ok(envelope)
    }

    async fn grouped_answers(&mut self, asked: Asked<'_>) -> Result<Envelope, Broken> {
        let deadlines = &asked.target.settings.deadlines;
        let first = match asked.offer {
            Offer::Overlapped => deadlines.command.min(OVERLAP_SILENCE_MAX),
            _ => deadlines.command,
        };
        let mut unheard = asked.offer == Offer::Overlapped;
        if self.owed != Owed::Nothing {
            match self.answer(asked.target, first).await {
                Ok(code) if code.is_positive() => self.owed = Owed::Nothing,
                Ok(code) => return Ok(self.refused(asked, Command::Reset, code).at_last()),
                Err(Broken::Silent(_)) if unheard => return Ok(Envelope::Unheard),
                Err(broken) => return Err(broken),
            }
            unheard = false;
        }
        let mail = match self.answer(asked.target, if unheard { first } else { deadlines.command }).await {
            Ok(code) => code,
            Err(Broken::Silent(_)) if unheard => return Ok(Envelope::Unheard),
            Err(broken) => return Err(broken),
        };
        match self.refusal_of(asked, Command::Mail, mail)? {
            Some(refused) if refused.is_closing() => Ok(refused.at_last()),
            Some(refused) => Ok(self.behind_a_refused_mail(asked.target, refused).await),
            None => self.behind_mail(asked, mail).await,
        }
    }

    /// The answers to RCPT and DATA of a group whose MAIL was refused follow from that. A target that leaves behind it,
    /// or does not answer what it threw away, changes nothing any more.
    async fn behind_a_refused_mail(&mut self, target: &Arc<Target>, refused: Refused) -> Envelope {
        let limit = target.settings.deadlines.command.min(OVERLAP_SILENCE_MAX);
        let recipient = match self.answer(target, limit).await {
            Ok(code) if code.basic == 421 => return refused.at_last(),
            Ok(code) => code,
            Err(broken) => return Envelope::RefusedAtLast(refused, broken.into()),
        };
        match self.answer(target, limit).await {
            // A dot would end a message for whoever it has in mind.
            Ok(code) if code.basic == 354 && recipient.is_positive() => refused.at_last(),
            Ok(code) if code.basic == 354 => Envelope::RefusedButOpen(refused),
            Ok(code) if code.basic == 421 => refused.at_last(),
            Ok(_) => Envelope::Refused(refused),
            Err(broken) => Envelope::RefusedAtLast(refused, broken.into()),
        }
    }

    async fn behind_mail(&mut self, asked: Asked<'_>, mail: ReplyCode) -> Result<Envelope, Broken> {
        let deadlines = &asked.target.settings.deadlines;
        let recipient = self.answer(asked.target, deadlines.command).await?;
        note_known(asked.target, recipient);
        self.tells_apart = chunks::says_addressing(mail) && chunks::says_addressing(recipient);
        let refused = match self.refusal_of(asked, Command::Recipient, recipient)? {
            Some(refused) if refused.is_closing() => return Ok(refused.at_last()),
            refused => refused,
        };
        let (data, refused) = match (self.answer(asked.target, deadlines.data_initiation).await, refused) {
            (Ok(data), refused) => (data, refused),
            // Whatever it would have said: there is nobody to send to.
            (Err(broken), Some(refused)) => return Ok(Envelope::RefusedAtLast(refused, broken.into())),
            (Err(broken), None) => return Err(broken),
        };
        match (data.basic, refused) {
            (354, None) => Ok(Envelope::Open),
            (354, Some(refused)) => Ok(Envelope::RefusedButOpen(refused)),
            (421, Some(refused)) => Ok(refused.at_last()),
            (421, None) => Ok(self.refused(asked, Command::Data, data).at_last()),
            (400..=599, refused) => {
                self.owed = Owed::Reset;
                Ok(Envelope::Refused(refused.unwrap_or_else(|| self.refused(asked, Command::Data, data))))
            }
            (other, _) => Err(Broken::OutOfStep(other)),
        }
    }

    async fn stepwise_answers(&mut self, asked: Asked<'_>) -> Result<Envelope, Broken> {
        let deadlines = asked.target.settings.deadlines;
        if self.owed != Owed::Nothing {
            self.group.clear();
            self.group.reset();
            let code = self.step(asked.target, deadlines.command).await?;
            if !code.is_positive() {
                return Ok(self.refused(asked, Command::Reset, code).at_last());
            }
            self.owed = Owed::Nothing;
        }
        for command in [Command::Mail, Command::Recipient] {
            self.group.clear();
            match command {
                Command::Mail => self.group.mail(asked.delivery, self.offered),
                _ => self.group.recipient(asked.delivery),
            };
            let code = self.step(asked.target, deadlines.command).await?;
            if command == Command::Recipient {
                note_known(asked.target, code);
            }
            if let Some(refused) = self.refusal_of(asked, command, code)? {
                if command == Command::Recipient {
                    self.owed = Owed::Reset;
                }
                return Ok(if refused.is_closing() { refused.at_last() } else { Envelope::Refused(refused) });
            }
        }
        self.group.clear();
        self.group.data();
        let code = self.step(asked.target, deadlines.data_initiation).await?;
        match code.basic {
            354 => Ok(Envelope::Open),
            421 => Ok(self.refused(asked, Command::Data, code).at_last()),
            400..=599 => {
                self.owed = Owed::Reset;
                Ok(Envelope::Refused(self.refused(asked, Command::Data, code)))
            }
            other => Err(Broken::OutOfStep(other)),
        }
    }

    async fn step(&mut self, target: &Arc<Target>, limit: Duration) -> Result<ReplyCode, Broken> {
        self.talk.expect_nothing()?;
        self.talk.send(self.group.as_slice(), limit).await?;
        self.answer(target, limit).await
    }

    pub(super) async fn answer(
        &mut self,
        target: &Arc<Target>,
        limit: Duration,
    ) -> Result<ReplyCode, Broken> {
        // Most replies of a group come in one piece.
        let answer = match self.talk.reply_at_hand()? {
            Some(code) => Ok(code),
            None => tokio::select! {
                biased;
                code = self.talk.reply(limit, || target.grow()) => code,
                () = target.halted.cancelled() => Err(Broken::Stopping),
            },
        };
        match answer {
            Ok(code) if code.basic != 421 => target.lessons.endurance.survived(self.errors),
            Ok(_) | Err(Broken::Closed | Broken::Io(_)) => target.lessons.endurance.ended_behind(self.errors),
            Err(_) => {}
        }
        let code = answer?;
        if code.basic >= 400 && code.basic != 421 {
            self.errors.add();
            target.lessons.endurance.refused(target.stats.relayed());
        }
        Ok(code)
    }

    /// `None` for a 2xx to MAIL or RCPT.
    fn refusal_of(
        &self,
        asked: Asked<'_>,
        command: Command,
        code: ReplyCode,
    ) -> Result<Option<Refused>, Broken> {
        match code.basic {
            200..=299 => Ok(None),
            400..=599 => Ok(Some(self.refused(asked, command, code))),
            other => Err(Broken::OutOfStep(other)),
        }
    }
}
