//! The dialogue of one session: envelope, content, final answer, and the next envelope behind the final dot.
//!
//! Phase decides what a lost connection means: before the final dot was handed to the stream the message may be
//! offered elsewhere, after it the outcome is in doubt and the message is never offered again.

use super::delivery::{Delivery, Parcel};
use super::ehlo::Capabilities;
use super::envelope::{Group, judge};
use super::settings::Deadlines;
use super::talk::{Broken, Talk, Torn};
use super::target::Target;
use crate::fault::{Fault, Reason, ReplyCode};
use crate::report::scrub::scrub;
use crate::wire::dot;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

/// Longest wait for the answer to QUIT.
const QUIT_LIMIT: Duration = Duration::from_secs(2);
/// Longest wait for the reason of a target that stopped reading.
const EARLY_REFUSAL_LIMIT: Duration = Duration::from_millis(500);
/// A target that takes longer to answer a final dot gets no envelope behind it: it would only wait there while
/// another session could take it.
const OVERLAP_REPLY_MAX: Duration = Duration::from_millis(50);

/// One session, used by one worker for many messages.
pub(super) struct Session<S> {
    talk: Talk<S>,
    offered: Capabilities,
    is_tls: bool,
    group: Group,
    /// A transaction was refused halfway: RSET comes first in the next group.
    owes_reset: bool,
    made_at: Instant,
    envelopes: u64,
    answered: u64,
    is_brisk: bool,
    /// The target closed, or spoke unasked, while nothing was going on.
    peer_left: bool,
}

/// How a session ended: what it could not send, and why if the target is to blame.
pub(super) struct Ended {
    /// Parcels with nothing of theirs in doubt, in their order.
    pub unsent: Vec<Parcel>,
    pub fault: Option<Fault>,
    /// At least one message got an answer that is its own.
    pub was_fruitful: bool,
}

/// The session is over for a reason of the target's.
enum Stop {
    Broken(Broken),
    /// 421 (RFC 5321 §3.8), already cleaned.
    Closing(Fault),
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// What the envelope came to.
enum Envelope {
    /// 354: the content is awaited.
    Open,
    /// Refused, and the target does not await content.
    Refused(Fault),
    /// Refused, but DATA was answered 354 all the same (RFC 2920 §3.1).
    RefusedButOpen(Fault),
}

/// What is left when a session stops within an exchange.
struct Halt {
    unsent: Vec<Parcel>,
    stop: Stop,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    pub fn new(talk: Talk<S>, offered: Capabilities, is_tls: bool) -> Self {
        Self {
            talk,
            offered,
            is_tls,
            group: Group::new(),
            owes_reset: false,
            made_at: Instant::now(),
            envelopes: 0,
            answered: 0,
            is_brisk: false,
            peer_left: false,
        }
    }

    pub fn offered(&self) -> Capabilities {
        self.offered
    }

    /// Sends `carried` and then what the target's queue holds, until the session is spent, idle for too long,
    /// unwanted (the queue was closed) or broken.
    pub async fn serve(mut self, target: &Arc<Target>, carried: Vec<Parcel>) -> Ended {
        let mut carried = carried.into_iter();
        while !self.is_spent(target) {
            let next = match carried.next() {
                Some(parcel) => Some(parcel),
                None => self.next_parcel(target).await,
            };
            let Some(parcel) = next else { break };
            let Some(parcel) = self.fitting(parcel, target) else { continue };
            target.note_wait(&parcel);
            target.await_rate().await;
            if let Err(Halt { mut unsent, stop }) = self.exchange(target, parcel).await {
                unsent.extend(carried);
                let fault = Some(stop_fault(stop, target));
                return Ended { unsent, fault, was_fruitful: self.answered > 0 };
            }
        }
        self.part(target).await;
        Ended { unsent: carried.collect(), fault: None, was_fruitful: true }
    }

    /// Says good-bye, beside the worker while there is other work to do.
    async fn part(mut self, target: &Target) {
        if self.talk.has_unread() || self.peer_left {
            return;
        }
        if target.queue.is_closed() {
            self.talk.quit(QUIT_LIMIT).await;
        } else {
            tokio::spawn(async move { self.talk.quit(QUIT_LIMIT).await });
        }
    }

    fn is_spent(&self, target: &Arc<Target>) -> bool {
        // A session that offered nothing yet is not spent: it would only be made again.
        let is_old = || self.made_at.elapsed() >= target.settings.connection_age_max;
        self.envelopes > 0 && (self.envelopes >= target.settings.messages_per_connection_max || is_old())
    }

    /// Waits for work. `None`: the session is over without anybody's fault. Cancel-safe parts only: the queue loses
    /// nothing, and what the target says while idle stays in the buffer.
    async fn next_parcel(&mut self, target: &Arc<Target>) -> Option<Parcel> {
        if let Some(parcel) = target.queue.try_next() {
            return Some(parcel);
        }
        let idle_until = Instant::now() + target.settings.idle_max;
        tokio::select! {
            biased;
            parcel = target.queue.next() => parcel,
            () = self.talk.overhear() => {
                self.peer_left = true;
                None
            }
            () = sleep_until(idle_until) => None,
        }
    }

    /// Settles at once what this session's target cannot take.
    fn fitting(&self, parcel: Parcel, target: &Arc<Target>) -> Option<Parcel> {
        if parcel.is_abandoned() {
            return None;
        }
        match judge(&parcel.delivery, self.offered, self.is_tls, &target.settings.name) {
            Ok(()) => Some(parcel),
            Err(error) => {
                parcel.fail(error);
                None
            }
        }
    }

    /// Carries one parcel to its answer, and every parcel whose envelope could be sent behind the one before.
    async fn exchange(&mut self, target: &Arc<Target>, parcel: Parcel) -> Result<(), Halt> {
        let mut current = parcel;
        if let Err(broken) = self.open(target, &mut current).await {
            return Err(Halt { unsent: vec![current], stop: broken.into() });
        }
        loop {
            let envelope = match self.envelope_answers(target, &current.delivery).await {
                Ok(envelope) => envelope,
                Err(stop) => return Err(Halt { unsent: vec![current], stop }),
            };
            let next = match envelope {
                Envelope::Open => self.send_content(target, current).await?,
                Envelope::Refused(fault) => {
                    self.refuse(target, current, fault);
                    None
                }
                Envelope::RefusedButOpen(fault) => {
                    self.refuse(target, current, fault);
                    self.send_nothing(&target.settings.deadlines).await?;
                    None
                }
            };
            match next {
                Some(next) => current = next,
                None => return Ok(()),
            }
        }
    }

    /// The first group of an exchange: everything up to DATA with PIPELINING, only the next command without.
    async fn open(&mut self, target: &Arc<Target>, parcel: &mut Parcel) -> Result<(), Broken> {
        if self.talk.has_unread() {
            return Err(Broken::OutOfStep(0));
        }
        parcel.attempts += 1;
        self.envelopes += 1;
        self.group.clear();
        if self.offered.pipelining {
            self.write_envelope(&parcel.delivery);
            self.talk.send(self.group.as_slice(), target.settings.deadlines.command).await?;
        }
        Ok(())
    }

    fn write_envelope(&mut self, delivery: &Delivery) {
        if self.owes_reset {
            self.group.reset();
        }
        self.group.mail(delivery, self.offered).recipient(delivery).data();
    }

    async fn envelope_answers(
        &mut self,
        target: &Arc<Target>,
        delivery: &Delivery,
    ) -> Result<Envelope, Stop> {
        if self.offered.pipelining {
            self.pipelined_answers(target, delivery).await
        } else {
            self.stepwise_answers(target, delivery).await
        }
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

    async fn answer(&mut self, target: &Arc<Target>, limit: Duration) -> Result<ReplyCode, Broken> {
        self.talk.reply(limit, || target.grow()).await
    }

    async fn reset_answer(&mut self, target: &Arc<Target>) -> Result<(), Broken> {
        let code = self.answer(target, target.settings.deadlines.command).await?;
        if code.is_positive() { Ok(()) } else { Err(Broken::OutOfStep(code.basic)) }
    }

    /// Content, final dot, and the next envelope if there is one to overlap; then the answer to the dot.
    async fn send_content(&mut self, target: &Arc<Target>, current: Parcel) -> Result<Option<Parcel>, Halt> {
        if let Err(stop) = self.nothing_unasked().await {
            return Err(Halt { unsent: vec![current], stop });
        }
        let next = self.overlap(target);
        let written_at = Instant::now();
        match self.write_content(&target.settings.deadlines, &current.delivery).await {
            Ok(()) => {}
            Err(ContentTorn::BeforeDot(broken)) => {
                return Err(self.cut_short(target, current, next, broken).await);
            }
            Err(ContentTorn::AfterDot(broken)) => {
                return Err(self.doubt(target, current, next, broken));
            }
        }
        let code = match self.answer(target, target.settings.deadlines.final_reply).await {
            Ok(code) if matches!(code.basic, 200..=299 | 400..=599) => code,
            Ok(code) => return Err(self.doubt(target, current, next, Broken::OutOfStep(code.basic))),
            Err(broken) => return Err(self.doubt(target, current, next, broken)),
        };
        self.is_brisk = written_at.elapsed() < OVERLAP_REPLY_MAX;
        self.settle(target, current, next, code)
    }

    /// The target stopped reading before the final dot. Some say why first (552 on a message they find too long).
    async fn cut_short(
        &mut self,
        target: &Arc<Target>,
        current: Parcel,
        next: Option<Parcel>,
        broken: Broken,
    ) -> Halt {
        let said = match broken {
            Broken::Silent(_) => None,
            _ => self.talk.reply(EARLY_REFUSAL_LIMIT, || {}).await.ok(),
        };
        match said.filter(|code| matches!(code.basic, 400..=599) && code.basic != 421) {
            Some(code) => {
                let fault = self.refusal("the message", code, target, &current.delivery);
                self.refuse(target, current, fault);
                Halt { unsent: next.into_iter().collect(), stop: broken.into() }
            }
            None => {
                let unsent = std::iter::once(current).chain(next).collect();
                Halt { unsent, stop: broken.into() }
            }
        }
    }

    /// The answer to the final dot is there: it is the message's outcome, if it was alone.
    fn settle(
        &mut self,
        target: &Arc<Target>,
        current: Parcel,
        next: Option<Parcel>,
        code: ReplyCode,
    ) -> Result<Option<Parcel>, Halt> {
        let unasked = next.is_none() && self.talk.has_unread() && !self.talk.unread_is_closing();
        if unasked {
            // Two answers to one dot: there is no telling which one counts.
            return Err(self.doubt(target, current, next, Broken::OutOfStep(code.basic)));
        }
        if code.is_positive() {
            self.answered += 1;
            target.stats.relayed.fetch_add(1, Relaxed);
            current.accept(&target.settings.name, code);
            return Ok(next);
        }
        let fault = self.refusal("the message", code, target, &current.delivery);
        self.refuse(target, current, fault.clone());
        if code.basic == 421 {
            return Err(Halt { unsent: next.into_iter().collect(), stop: Stop::Closing(fault) });
        }
        Ok(next)
    }

    /// Before content goes out nothing may be unread: it would be taken for the answer to the final dot.
    async fn nothing_unasked(&mut self) -> Result<(), Stop> {
        self.talk.glance().await?;
        if self.talk.has_unread() { Err(Broken::OutOfStep(0).into()) } else { Ok(()) }
    }

    /// Takes the next parcel whose envelope may go out behind this content (RFC 2920 §3.1), and writes that envelope.
    fn overlap(&mut self, target: &Arc<Target>) -> Option<Parcel> {
        self.group.clear();
        if !self.offered.pipelining || !self.is_brisk || self.is_spent(target) {
            return None;
        }
        if target.queue.is_empty() || !target.try_rate() {
            return None;
        }
        let parcel = target.queue.try_next()?;
        target.note_wait(&parcel);
        let mut parcel = self.fitting(parcel, target)?;
        parcel.attempts += 1;
        self.envelopes += 1;
        self.write_envelope(&parcel.delivery);
        Some(parcel)
    }

    async fn write_content(&mut self, deadlines: &Deadlines, delivery: &Delivery) -> Result<(), ContentTorn> {
        let content = delivery.message.as_slice();
        let line_end: &[u8] = if content.is_empty() || content.ends_with(b"\r\n") { b"" } else { b"\r\n" };
        let mut dots = 0;
        let stuffed = dot::stretches(content).enumerate().flat_map(|(at, stretch)| {
            let extra: &[u8] = if at == 0 { b"" } else { b"." };
            dots += extra.len();
            [extra, stretch]
        });
        let parts = stuffed.chain([line_end, dot::FINAL_DOT, self.group.as_slice()]);
        let written = self.talk.write(parts, deadlines.data_block).await;
        let upto_dot = content.len() + dots + line_end.len() + dot::FINAL_DOT.len();
        written.map_err(|Torn { taken, broken }| {
            if taken < upto_dot { ContentTorn::BeforeDot(broken) } else { ContentTorn::AfterDot(broken) }
        })
    }

    /// A lone dot where a refused envelope left the content open; its answer changes nothing.
    async fn send_nothing(&mut self, deadlines: &Deadlines) -> Result<(), Halt> {
        let ended = async {
            self.talk.send(dot::FINAL_DOT, deadlines.data_block).await?;
            self.talk.reply(deadlines.final_reply, || {}).await
        };
        match ended.await {
            Ok(_) => Ok(()),
            Err(broken) => Err(Halt { unsent: Vec::new(), stop: broken.into() }),
        }
    }

    fn doubt(&mut self, target: &Arc<Target>, current: Parcel, next: Option<Parcel>, broken: Broken) -> Halt {
        self.answered += 1;
        target.stats.in_doubt.fetch_add(1, Relaxed);
        let name = &target.settings.name;
        let detail = format!("target {name} took the whole message and did not confirm it: {broken}");
        current.fail(Fault::in_doubt(detail).at(name));
        Halt { unsent: next.into_iter().collect(), stop: broken.into() }
    }

    fn refuse(&mut self, target: &Arc<Target>, parcel: Parcel, fault: Fault) {
        self.answered += 1;
        target.stats.refused.fetch_add(1, Relaxed);
        parcel.fail(fault);
    }

    /// `None` for a 2xx to MAIL or RCPT.
    fn refusal_of(
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
    fn refusal(&self, what: &str, code: ReplyCode, target: &Arc<Target>, delivery: &Delivery) -> Fault {
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
        Fault::refused(code, format!("target {name} refused {what}: {said} {text}")).at(name)
    }
}

enum ContentTorn {
    BeforeDot(Broken),
    AfterDot(Broken),
}

fn stop_fault(stop: Stop, target: &Arc<Target>) -> Fault {
    let name = &target.settings.name;
    match stop {
        Stop::Closing(fault) => fault,
        Stop::Broken(broken) => {
            let detail =
                format!("target {name} gave up before taking the message: {broken}; submit it again");
            Fault::new(Reason::TargetUnavailable, detail).at(name)
        }
    }
}
