//! Several messages in flight: each goes out as envelope and one BDAT chunk (RFC 3030) without waiting for the
//! answers to those before it.
//!
//! Only where the target's replies say by their enhanced codes (RFC 3463) what they answer: to MAIL, RCPT and BDAT
//! alike it says 250, and one reply too many would otherwise be taken for the acceptance of a message. RSET stands in
//! front of every envelope sent behind an unanswered one, so that a transaction that failed leaves nothing behind.

use super::answers::{Asked, note_known};
use super::boarding::IN_FLIGHT_MAX;
use super::content::EARLY_REFUSAL_LIMIT;
use super::ending::{Halt, Speaks, Stop, stop_fault};
use super::refusals::Refused;
use super::{Offer, Owed, Session};
use crate::fault::{Fault, ReplyCode};
use crate::inject::delivery::{Delivery, Parcel};
use crate::inject::envelope::Group;
use crate::inject::health::Sign;
use crate::inject::lessons::Ahead;
use crate::inject::talk::{Broken, Torn, slices};
use crate::inject::target::Target;
use crate::inject::verdict::Command;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

/// RFC 3463 §3.2: addressing status, in answers to MAIL and RCPT.
const ADDRESSING: u16 = 1;
/// Longest look at what a target says that took a message for commands.
const BABBLE_LIMIT: Duration = Duration::from_secs(5);

/// A message wholly handed to the stream and not answered yet.
pub(super) struct Flight {
    pub parcel: Parcel,
    /// RSET went in front of it.
    resets: bool,
}

/// The answers to one flight.
struct Landing {
    /// The answer to its content, or why there is none.
    content: Result<ReplyCode, Broken>,
    /// What of it was refused first.
    refusal: Option<Refused>,
    /// 421 was among them.
    goodbye: Option<Fault>,
}

impl Landing {
    /// An acceptance counts only when it is the only answer.
    fn if_one(self, is_one: bool) -> Self {
        match self.content {
            Ok(code) if code.is_positive() && !is_one => {
                Self { content: Err(Broken::OutOfStep(code.basic)), ..self }
            }
            _ => self,
        }
    }
}

/// A flight whose answers broke off before the one to its content.
struct Unanswered {
    parcel: Parcel,
    refusal: Option<Refused>,
    broken: Broken,
}

/// How it goes on behind a flight.
enum Course {
    Steady,
    /// Nothing more is begun: the session is to end when the flights under way are answered.
    Leaving(Fault, Speaks),
    /// The same, behind 421: what the target does not answer any more it did not take either (RFC 5321 §3.8).
    Closing(Fault),
    /// There is nothing to go by any more: whatever is not answered is in doubt.
    Lost(Broken),
    /// The session is over, and nothing was taken of what is not answered.
    Untaken(Fault),
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
    /// Carries this parcel and what waits behind it to their answers, until nothing waits any more.
    pub(super) async fn exchange_chunks(&mut self, target: &Arc<Target>, first: Parcel) -> Result<(), Halt> {
        if let Err(broken) = self.talk.expect_nothing() {
            return Err(Halt::blaming(first, broken));
        }
        let mut flights = VecDeque::with_capacity(IN_FLIGHT_MAX);
        let mut next = Some(first);
        let mut torn = None;
        let mut course = Course::Steady;
        loop {
            let may_begin = torn.is_none() && matches!(course, Course::Steady) && self.owed == Owed::Nothing;
            if may_begin && flights.len() <= IN_FLIGHT_MAX / 2 {
                let boarding = self.board(target, next.take(), &flights);
                torn = self.take_off(target, boarding, &mut flights).await.err();
            }
            let Some(flight) = flights.pop_front() else {
                return end(course, torn);
            };
            let is_sure = torn.is_none() && !matches!(course, Course::Closing(_));
            let limit = if is_sure { target.settings.deadlines.final_reply } else { EARLY_REFUSAL_LIMIT };
            let landing = self.landing(target, &flight, limit).await;
            let sent_at = flight.parcel.sent_at;
            // Two answers to one message: there is no telling which one counts.
            let is_one = !flights.is_empty() || !self.has_more_than_asked();
            course = self.land(target, flight, landing.if_one(is_one), course).await;
            self.is_brisk = self.was_brisk(sent_at);
            self.ground(target, &course, &mut flights);
        }
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
        broken.map_or(Ok(()), |broken| Err(Halt::leaving(unsent, broken)))
    }

    /// Reads the answers to one flight. 421 is not the last of them everywhere.
    async fn landing(&mut self, target: &Arc<Target>, flight: &Flight, limit: Duration) -> Landing {
        let asked = Asked { target, delivery: &flight.parcel.delivery, offer: Offer::Chunked };
        let mut landing = Landing { content: Err(Broken::Closed), refusal: None, goodbye: None };
        // Answers to MAIL and RCPT that say they are. Some recipients get another code (252 2.5.2, or none).
        let mut named = 0;
        let commands = [Command::Reset, Command::Mail, Command::Recipient, Command::Content];
        for command in commands.into_iter().skip(usize::from(!flight.resets)) {
            let code = match self.answer(target, limit).await {
                Ok(code) if matches!(code.basic, 200..=299 | 400..=599) => code,
                Ok(code) => return Landing { content: Err(Broken::OutOfStep(code.basic)), ..landing },
                Err(broken) => return Landing { content: Err(broken), ..landing },
            };
            let is_of_envelope = matches!(command, Command::Mail | Command::Recipient);
            named += usize::from(is_of_envelope && says_addressing(code));
            if command == Command::Recipient {
                note_known(target, code);
            }
            let is_lost = match command {
                Command::Reset if code.is_positive() => {
                    self.owed = Owed::Nothing;
                    false
                }
                // Behind a refused chunk it may be an answer to what stood in it.
                Command::Reset => self.owed == Owed::ResetBehindChunk && code.basic != 421,
                // An answer too many would be in its place, and the one to RCPT in that of the content's.
                Command::Content if code.is_positive() && landing.refusal.is_none() => match named {
                    2.. => says_addressing(code),
                    1 => !says_other(code),
                    0 => true,
                },
                Command::Mail | Command::Recipient | Command::Data | Command::Content => false,
            };
            landing.content = if is_lost { Err(Broken::OutOfStep(code.basic)) } else { Ok(code) };
            if is_lost {
                return landing;
            }
            if code.basic == 421 {
                landing.goodbye.get_or_insert_with(|| self.refused(asked, command, code).targets_fault());
            }
            if command == Command::Reset && !code.is_positive() && code.basic != 421 {
                // What it leaves behind shows in the answers to the envelope; no more is sent that would need it.
                target.lessons.learn_resets_refused();
                target.lessons.send_ahead_at_most(Ahead::Envelope);
            }
            if !code.is_positive() && (command != Command::Reset || code.basic == 421) {
                landing.refusal.get_or_insert_with(|| self.refused(asked, command, code));
            }
        }
        landing
    }

    /// Settles one flight.
    async fn land(
        &mut self,
        target: &Arc<Target>,
        flight: Flight,
        landing: Landing,
        course: Course,
    ) -> Course {
        let Landing { content, refusal, goodbye } = landing;
        let course = match (course, goodbye) {
            (Course::Closing(fault), _) | (_, Some(fault)) => Course::Closing(fault),
            (course, None) => course,
        };
        match (content, refusal) {
            (Ok(code), None) if code.is_positive() => {
                if flight.resets {
                    target.lessons.prove_chunks();
                }
                self.accept(target, flight.parcel, code);
                course
            }
            (Ok(code), Some(refused)) if !code.is_positive() => {
                self.land_refused(target, flight.parcel, refused, course)
            }
            // An acceptance of a message without sender or recipient, an answer to something else, or two answers.
            (Ok(code), _) => self.lose(target, flight.parcel, Broken::OutOfStep(code.basic)),
            (Err(broken), refusal) => {
                let unanswered = Unanswered { parcel: flight.parcel, refusal, broken };
                self.land_unanswered(target, unanswered, course).await
            }
        }
    }

    fn land_refused(
        &mut self,
        target: &Arc<Target>,
        parcel: Parcel,
        refused: Refused,
        course: Course,
    ) -> Course {
        self.owed = Owed::ResetBehindChunk;
        let fault = refused.targets_fault();
        let stop = self.settle_refusal(target, parcel, refused);
        match (course, stop) {
            (Course::Steady, Some(Stop::Left(_, speaks))) => Course::Leaving(fault, speaks),
            (Course::Steady, Some(_)) => Course::Leaving(fault, Speaks::OfTarget),
            (course, _) => course,
        }
    }

    async fn land_unanswered(
        &mut self,
        target: &Arc<Target>,
        unanswered: Unanswered,
        course: Course,
    ) -> Course {
        let Unanswered { parcel, refusal, broken } = unanswered;
        let is_over = broken.is_end();
        match (course, refusal) {
            (Course::Closing(fault), refusal) if is_over || matches!(broken, Broken::Silent(_)) => {
                match refusal {
                    Some(refused) => drop(self.settle_refusal(target, parcel, refused)),
                    None => self.carry(parcel),
                }
                Course::Untaken(fault)
            }
            // Nothing that would have followed could make it accepted.
            (_, Some(refused)) if is_over => {
                self.settle_refusal(target, parcel, refused);
                Course::Lost(broken)
            }
            (_, None) if self.owed == Owed::ResetBehindChunk && matches!(broken, Broken::OutOfStep(_)) => {
                target.lessons.send_ahead_at_most(Ahead::Envelope);
                if !self.was_nothing_taken(target).await {
                    return self.lose(target, parcel, broken);
                }
                target.stats.order_refused.fetch_add(1, Relaxed);
                self.carry(parcel);
                Course::Untaken(stop_fault(broken.into(), target))
            }
            _ => self.lose(target, parcel, broken),
        }
    }

    fn lose(&mut self, target: &Arc<Target>, parcel: Parcel, broken: Broken) -> Course {
        let fault = self.doubtful(target, parcel, broken);
        target.note(Sign::InDoubt(fault));
        Course::Lost(broken)
    }

    /// What is still in flight when the session is over.
    fn ground(&mut self, target: &Arc<Target>, course: &Course, flights: &mut VecDeque<Flight>) {
        match course {
            Course::Lost(broken) => {
                if broken.is_end() && !flights.is_empty() {
                    target.lessons.ended_with_more_behind_a_dot();
                }
                target.lessons.send_ahead_at_most(Ahead::Envelope);
                for flight in flights.drain(..) {
                    self.doubtful(target, flight.parcel, *broken);
                }
            }
            Course::Untaken(_) => flights.drain(..).for_each(|flight| self.carry(flight.parcel)),
            Course::Steady | Course::Leaving(..) | Course::Closing(_) => {}
        }
    }

    fn has_more_than_asked(&self) -> bool {
        self.talk.has_unread() && !self.talk.unread_is_closing()
    }

    /// A target that does not read the chunk it refuses takes the message in it for commands, and answers each line.
    /// When it leaves without a single positive answer, nothing behind was taken.
    async fn was_nothing_taken(&mut self, target: &Arc<Target>) -> bool {
        let heard_out = timeout(BABBLE_LIMIT, async {
            loop {
                match self.answer(target, EARLY_REFUSAL_LIMIT).await {
                    Ok(code) if code.is_positive() => return false,
                    Ok(_) => {}
                    Err(broken) => return broken.is_end(),
                }
            }
        });
        heard_out.await.unwrap_or(false)
    }
}

/// The flights have landed.
fn end(course: Course, torn: Option<Halt>) -> Result<(), Halt> {
    let stop = match course {
        Course::Steady => return torn.map_or(Ok(()), Err),
        Course::Leaving(fault, speaks) => Stop::Left(fault, speaks),
        Course::Closing(fault) | Course::Untaken(fault) => Stop::Closing(fault),
        Course::Lost(broken) => broken.into(),
    };
    Err(Halt::leaving(torn.into_iter().flat_map(|torn| torn.unsent), stop))
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
