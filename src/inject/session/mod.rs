//! The dialogue of one session: envelope, content, final answer, and the next envelope behind the final dot; or, where
//! the target offers CHUNKING and messages wait, several whole messages at once.
//!
//! Phase decides what a lost connection means: before the final dot was handed to the stream the message may be
//! offered elsewhere, after it the outcome is in doubt and the message is never offered again.

mod answers;
mod boarding;
mod chunks;
mod content;
mod ending;
mod fitting;
mod recipients;
mod refusals;

pub(super) use boarding::IN_FLIGHT_MAX;
pub(super) use ending::Ended;

use super::delivery::{Delivery, Parcel};
use super::ehlo::Capabilities;
use super::endurance::Errors;
use super::envelope::Group;
use super::lessons::Ahead;
use super::place::{CLOSED_WITHIN, Place};
use super::talk::{Broken, Talk};
use super::target::Target;
use super::witness::Witness;
use crate::fault::{Fault, Reason};
use answers::{Asked, Envelope};
use ending::{Halt, Stop};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

/// A session that had nothing to do for longer has to show anew that its target is there.
const REST: Duration = Duration::from_millis(100);
/// Longest wait for the answer to QUIT.
const QUIT_LIMIT: Duration = Duration::from_secs(2);
/// Sessions that may end while they wait for the answer to the same message. Then it is left to itself.
const STRIKES_MAX: u32 = 3;

/// One session, used by one worker for many messages.
pub(super) struct Session<S> {
    talk: Talk<S>,
    /// Its target's. Dropped behind the connection.
    place: Option<Place>,
    offered: Capabilities,
    is_tls: bool,
    group: Group,
    /// One for each message that goes out in the same write.
    groups: Vec<Group>,
    /// Taken from the queue and not carried to an answer: they come before what the queue holds.
    carried: VecDeque<Parcel>,
    /// What this session cannot take and another one may.
    misfits: Vec<Parcel>,
    owed: Owed,
    made_at: Instant,
    envelopes: u64,
    answered: u64,
    /// Commands it has refused.
    errors: Errors,
    /// The last refusal that may be why it takes nobody, since it took somebody.
    refused_last: Option<Fault>,
    /// The machine it is with.
    peer: SocketAddr,
    witness: Arc<Witness>,
    /// When it makes way for a session that looks anew at what it refused, if nobody else has by then.
    makes_way_at: Option<Instant>,
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

/// What has to go in front of the next envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    Nothing,
    /// RSET: a transaction was refused halfway.
    Reset,
    /// RSET, behind a chunk that was refused. A target that took the chunk for commands says more than was asked.
    ResetBehindChunk,
}

/// How an envelope went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer {
    /// Each command behind the answer to the one before.
    Stepwise,
    /// In one group (RFC 2920).
    Grouped,
    /// In one group behind the final dot of the message before.
    Overlapped,
    /// With its content behind it in one chunk.
    Chunked,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    pub fn new(talk: Talk<S>, offered: Capabilities, is_tls: bool, peer: SocketAddr) -> Self {
        Self {
            talk,
            place: None,
            offered,
            is_tls,
            group: Group::new(),
            groups: Vec::new(),
            carried: VecDeque::new(),
            misfits: Vec::new(),
            owed: Owed::Nothing,
            made_at: Instant::now(),
            envelopes: 0,
            answered: 0,
            errors: Errors::default(),
            refused_last: None,
            peer,
            witness: Arc::default(),
            makes_way_at: None,
            is_brisk: false,
            has_rested: false,
            tells_apart: false,
            peer_left: false,
        }
    }

    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    pub fn offered(&self) -> Capabilities {
        self.offered
    }

    /// Sends `carried` and then what the target's queue holds, until the session is spent, idle for too long,
    /// unwanted (the queue was closed) or broken.
    pub async fn serve(mut self, target: &Arc<Target>, carried: Vec<Parcel>) -> Ended {
        self.talk.heed(target.halted.clone());
        self.carried = carried.into();
        let witness = self.witness.clone();
        let enrolled = target.queue.enroll(&witness);
        while !self.is_spent(target) {
            let next = match self.carried.pop_front() {
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
            if let Err(halt) = exchanged {
                return self.broken_off(halt, target);
            }
        }
        drop(enrolled);
        let unsent = self.carried.drain(..).chain(self.misfits.drain(..)).collect();
        self.part(target).await;
        Ended { unsent, fault: None, speaks_of_target: false }
    }

    async fn offer(&mut self, target: &Arc<Target>, parcel: Parcel) -> Result<(), Halt> {
        if parcel.strikes == 0 && self.may_chunk(target) {
            self.exchange_chunks(target, parcel).await
        } else {
            self.exchange(target, parcel).await
        }
    }

    /// Says good-bye, beside the worker while there is other work to do.
    async fn part(mut self, target: &Target) {
        if self.talk.has_unread() || self.peer_left {
            return self.close();
        }
        if target.queue.is_closed() {
            self.talk.quit(QUIT_LIMIT).await;
        } else {
            self.say_good_bye();
        }
    }

    /// Beside the worker: nobody waits for it.
    fn say_good_bye(self) {
        let Self { mut talk, place, .. } = self;
        tokio::spawn(async move {
            talk.quit(CLOSED_WITHIN).await;
            drop((talk, place));
        });
    }

    /// The same where there is nothing to say any more.
    fn close(self) {
        if let Some(place) = self.place {
            place.keep_until_closed(self.talk);
        }
    }

    fn is_spent(&mut self, target: &Arc<Target>) -> bool {
        if self.misfits.len() + self.envelopes as usize == 0 {
            // A session that offered nothing yet is not spent: it would only be made again.
            return false;
        }
        let share = target.settings.messages_per_connection_max;
        let share = target.lessons.share().map_or(share, |learned| learned.min(share));
        let share = self.offered.messages_max.map_or(share, |said| said.min(share));
        let is_stuck = self.owed != Owed::Nothing && target.lessons.resets_are_refused();
        let is_old = || self.made_at.elapsed() >= target.settings.connection_age_max;
        !self.misfits.is_empty() || self.envelopes >= share || is_stuck || is_old() || self.makes_way(target)
    }

    /// Whether another session has to look at what this one refused, and there is no room for one beside it.
    fn makes_way(&mut self, target: &Arc<Target>) -> bool {
        if self.makes_way_at.is_none_or(|at| Instant::now() < at) {
            return false;
        }
        self.makes_way_at = None;
        target.queue.calls_for_another() && !target.has_room_for_another()
    }

    /// Waits for work. `None`: the session is over without anybody's fault. Cancel-safe parts only: the queue loses
    /// nothing, and what the target says while idle stays in the buffer.
    async fn next_parcel(&mut self, target: &Arc<Target>) -> Option<Parcel> {
        if let Some(parcel) = target.queue.try_next(&self.witness) {
            return Some(parcel);
        }
        let idle_since = Instant::now();
        let idle_until = idle_since + target.settings.idle_max;
        tokio::select! {
            biased;
            parcel = target.next_for(&self.witness) => {
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

    /// Carries one parcel to its answer, and every parcel whose envelope could be sent behind the one before.
    async fn exchange(&mut self, target: &Arc<Target>, parcel: Parcel) -> Result<(), Halt> {
        let mut current = parcel;
        let mut offer = match self.open(target, &mut current).await {
            Ok(offer) => offer,
            Err(broken) => return Err(Halt::blaming(current, broken)),
        };
        loop {
            let asked = Asked { target, delivery: &current.delivery, offer };
            let envelope = match self.envelope_answers(asked).await {
                Ok(envelope) => envelope,
                // Behind a dot it may have been the session's end and not this message's doing.
                Err(broken) if offer == Offer::Overlapped => return Err(Halt::leaving([current], broken)),
                Err(broken) => return Err(Halt::blaming(current, broken)),
            };
            let stop = match envelope {
                Envelope::Open => match self.send_content(target, current).await? {
                    Some(next) => {
                        (current, offer) = (next, Offer::Overlapped);
                        continue;
                    }
                    None => return Ok(()),
                },
                Envelope::Refused(refused) => self.settle_refusal(target, current, refused),
                Envelope::RefusedButOpen(refused) => {
                    let stop = self.settle_refusal(target, current, refused);
                    self.send_nothing(&target.settings.deadlines).await?;
                    stop
                }
                Envelope::RefusedAtLast(refused, stop) => {
                    let settled = self.settle_refusal(target, current, refused);
                    Some(settled.unwrap_or(stop))
                }
                Envelope::Unheard => Some(self.unheard(target, current)),
            };
            return stop.map_or(Ok(()), |stop| Err(Halt::leaving([], stop)));
        }
    }

    /// The first group of an exchange: everything up to DATA with PIPELINING, only the next command without.
    async fn open(&mut self, target: &Arc<Target>, parcel: &mut Parcel) -> Result<Offer, Broken> {
        self.talk.expect_nothing()?;
        parcel.attempts += 1;
        self.envelopes += 1;
        self.group.clear();
        // With a message that sessions ended with, the end may have taken the reply along that said why.
        if !self.offered.pipelining || target.lessons.ahead() < Ahead::Group || parcel.strikes > 0 {
            return Ok(Offer::Stepwise);
        }
        self.write_envelope(&parcel.delivery);
        self.talk.send(self.group.as_slice(), target.settings.deadlines.command).await?;
        Ok(Offer::Grouped)
    }

    fn write_envelope(&mut self, delivery: &Delivery) {
        if self.owed != Owed::Nothing {
            self.group.reset();
        }
        self.group.mail(delivery, self.offered).recipient(delivery).data();
    }

    /// Takes the next parcel whose envelope may go out behind this content (RFC 2920 §3.1), and writes that envelope.
    fn overlap(&mut self, target: &Arc<Target>, current: &Parcel) -> Option<Parcel> {
        self.group.clear();
        let is_trusted = self.offered.pipelining && self.is_brisk && current.strikes == 0;
        if !is_trusted || self.is_spent(target) || target.lessons.ahead() < Ahead::Envelope {
            return None;
        }
        if !self.carried.is_empty()
            || self.may_chunk(target)
            || !self.may_send_behind(target)
            || !target.queue.has_for(&self.witness)
            || !target.try_leave()
        {
            return None;
        }
        let mut parcel = self.next_that_fits(target).and_then(|parcel| self.unsuspected(parcel))?;
        parcel.attempts += 1;
        self.envelopes += 1;
        self.write_envelope(&parcel.delivery);
        Some(parcel)
    }

    /// The target throws away what stands behind a final dot, or is slow with it. It gets nothing there any more.
    fn unheard(&mut self, target: &Arc<Target>, parcel: Parcel) -> Stop {
        target.stats.order_refused.fetch_add(1, Relaxed);
        target.lessons.send_ahead_at_most(Ahead::Group);
        self.carry(parcel);
        let name = &target.settings.name;
        let detail = format!("target {name} did not answer what was sent behind a final dot");
        Stop::Closing(Fault::new(Reason::TargetUnavailable, detail).at(name))
    }
}
