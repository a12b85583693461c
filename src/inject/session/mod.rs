//! The dialogue of one session: envelope, content, final answer, and the next envelope behind the final dot; or, where
//! the target offers CHUNKING and messages wait, several whole messages at once.
//!
//! Phase decides what a lost connection means: before the final dot was handed to the stream the message may be
//! offered elsewhere, after it the outcome is in doubt and the message is never offered again.

mod answers;
mod chunks;
mod content;

pub(super) use chunks::IN_FLIGHT_MAX;

use super::delivery::{Delivery, Parcel};
use super::ehlo::Capabilities;
use super::envelope::{Group, judge};
use super::talk::{Broken, Talk};
use super::target::Target;
use crate::fault::{Fault, Reason};
use answers::Envelope;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

/// A session that had nothing to do for longer has to show anew that its target is there.
const REST: Duration = Duration::from_millis(100);
/// Longest wait for the answer to QUIT.
const QUIT_LIMIT: Duration = Duration::from_secs(2);

/// One session, used by one worker for many messages.
pub(super) struct Session<S> {
    talk: Talk<S>,
    offered: Capabilities,
    is_tls: bool,
    group: Group,
    /// One for each message that goes out in the same write.
    groups: Vec<Group>,
    /// A transaction was refused halfway: RSET comes first in the next group.
    owes_reset: bool,
    made_at: Instant,
    envelopes: u64,
    answered: u64,
    /// The target's last answer to content came quickly.
    is_brisk: bool,
    /// Nothing was heard of the target for a while. It may have left without a word: the next message goes as envelope
    /// alone first, which finds that out while nothing is in doubt.
    has_rested: bool,
    /// The enhanced codes of this target's replies say which command they answer.
    tells_apart: bool,
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
            groups: Vec::new(),
            owes_reset: false,
            made_at: Instant::now(),
            envelopes: 0,
            answered: 0,
            is_brisk: false,
            has_rested: false,
            tells_apart: false,
            peer_left: false,
        }
    }

    pub fn offered(&self) -> Capabilities {
        self.offered
    }

    /// Sends `carried` and then what the target's queue holds, until the session is spent, idle for too long,
    /// unwanted (the queue was closed) or broken.
    pub async fn serve(mut self, target: &Arc<Target>, carried: Vec<Parcel>) -> Ended {
        self.talk.heed(target.halted.clone());
        let mut carried = carried.into_iter();
        while !self.is_spent(target) {
            let next = match carried.next() {
                Some(parcel) => Some(parcel),
                None => self.next_parcel(target).await,
            };
            let Some(mut parcel) = next else { break };
            target.note_wait(&parcel);
            if let Err(cause) = target.leave(&mut parcel).await {
                parcel.give_back(cause);
                continue;
            }
            let Some(parcel) = self.fitting(parcel, target) else { continue };
            let exchanged = target.watched(self.offer(target, parcel)).await;
            if let Err(Halt { mut unsent, stop }) = exchanged {
                unsent.extend(carried);
                let fault = Some(stop_fault(stop, target));
                return Ended { unsent, fault, was_fruitful: self.answered > 0 };
            }
        }
        self.part(target).await;
        Ended { unsent: carried.collect(), fault: None, was_fruitful: true }
    }

    async fn offer(&mut self, target: &Arc<Target>, parcel: Parcel) -> Result<(), Halt> {
        if self.may_chunk(target) {
            self.exchange_chunks(target, parcel).await
        } else {
            self.exchange(target, parcel).await
        }
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
        let idle_since = Instant::now();
        let idle_until = idle_since + target.settings.idle_max;
        tokio::select! {
            biased;
            parcel = target.queue.next() => {
                self.has_rested |= idle_since.elapsed() >= REST;
                parcel
            }
            () = target.halted.cancelled() => None,
            () = self.talk.overhear() => {
                self.peer_left = true;
                None
            }
            () = sleep_until(idle_until) => None,
        }
    }

    /// Settles at once what this session's target cannot take.
    fn fitting(&self, mut parcel: Parcel, target: &Arc<Target>) -> Option<Parcel> {
        if !parcel.take() {
            return None;
        }
        parcel.pass.get_or_insert_with(|| target.flow.pass());
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

    /// Takes the next parcel whose envelope may go out behind this content (RFC 2920 §3.1), and writes that envelope.
    fn overlap(&mut self, target: &Arc<Target>) -> Option<Parcel> {
        self.group.clear();
        if !self.offered.pipelining || !self.is_brisk || self.is_spent(target) {
            return None;
        }
        if self.may_chunk(target) || target.queue.is_empty() || !target.try_leave() {
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

    fn refuse(&mut self, target: &Arc<Target>, parcel: Parcel, fault: Fault) {
        self.answered += 1;
        target.stats.refused.fetch_add(1, Relaxed);
        parcel.fail(fault);
    }
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
