//! Content, final dot and its answer: from here on a lost connection may leave a message in doubt.

use super::answers::Asked;
use super::ending::{Halt, Stop};
use super::{Offer, Session, chunks};
use crate::fault::{Fault, Reason, ReplyCode};
use crate::inject::delivery::{Delivery, Parcel};
use crate::inject::health::Sign;
use crate::inject::settings::Deadlines;
use crate::inject::talk::{Broken, Torn, slices};
use crate::inject::target::Target;
use crate::inject::verdict::{Command, Whose};
use crate::message::Message;
use crate::personal::Wiped;
use crate::wire::dot;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::yield_now;
use tokio::time::Instant;

/// Longest wait for the reason of a target that stopped reading.
pub(super) const EARLY_REFUSAL_LIMIT: Duration = Duration::from_millis(500);
/// A target that takes longer to answer a final dot, the way there and back left out, gets no envelope behind it: it would
/// only wait there while another session could take it.
const OVERLAP_REPLY_MAX: Duration = Duration::from_millis(50);

/// Bytes of a message that get their extra dots together, and then leave together.
const STUFFED_BYTES_MAX: usize = 32 * 1024;

/// The dialogue stands behind DATA with nothing to send: the session is over.
fn unnoted(parcel: Parcel) -> Halt {
    let fault = Delivery::unnoted();
    parcel.fail(fault.clone());
    Halt::leaving([], Stop::Closing(fault))
}

enum ContentTorn {
    BeforeDot(Broken),
    AfterDot(Broken),
}

impl ContentTorn {
    fn at(Torn { taken, broken }: Torn, upto_dot: usize) -> Self {
        if taken < upto_dot { Self::BeforeDot(broken) } else { Self::AfterDot(broken) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Session<S> {
    /// Content, final dot, and the next envelope if there is one to overlap; then the answer to the dot.
    pub(super) async fn send_content(
        &mut self,
        target: &Arc<Target>,
        mut current: Parcel,
    ) -> Result<Option<Parcel>, Halt> {
        if let Err(stop) = self.nothing_unasked().await {
            return Err(Halt::blaming(current, stop));
        }
        if !current.delivery.may_leave() {
            return Err(unnoted(current));
        }
        let next = self.overlap(target, &current);
        let written_at = Instant::now();
        match self.write_content(&target.settings.deadlines, &current.delivery).await {
            Ok(()) => current.sent_at = Instant::now(),
            Err(ContentTorn::BeforeDot(broken)) => {
                return Err(self.cut_short(target, current, next, broken).await);
            }
            Err(ContentTorn::AfterDot(broken)) => {
                return Err(self.cut_off_behind_dot(target, current, next, broken).await);
            }
        }
        let code = match self.answer(target, target.settings.deadlines.final_reply).await {
            Ok(code) if matches!(code.basic, 200..=299 | 400..=599) => code,
            Ok(code) => return Err(self.doubt(target, current, next, Broken::OutOfStep(code.basic))),
            Err(broken) => return Err(self.doubt(target, current, next, broken)),
        };
        self.is_brisk = self.was_brisk(written_at);
        self.settle(target, current, next, code)
    }

    /// Whether an answer that is there now came quickly to what was written then.
    pub(super) fn was_brisk(&self, written_at: Instant) -> bool {
        written_at.elapsed() < OVERLAP_REPLY_MAX + self.talk.round_trip()
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
        match said.filter(|code| matches!(code.basic, 400..=599)) {
            Some(code) => {
                let asked = Asked { target, delivery: &current.delivery, offer: Offer::Stepwise };
                let refused = self.refused(asked, Command::Content, code);
                let stop = self.settle_refusal(target, current, refused);
                Halt::leaving(next, stop.unwrap_or(Stop::Broken(broken)))
            }
            None => Halt { unsent: next.into_iter().collect(), ..Halt::blaming(current, broken) },
        }
    }

    /// The message has left, and what was to follow it has not. The answer may be there all the same.
    async fn cut_off_behind_dot(
        &mut self,
        target: &Arc<Target>,
        current: Parcel,
        next: Option<Parcel>,
        broken: Broken,
    ) -> Halt {
        match self.answer(target, EARLY_REFUSAL_LIMIT).await {
            Ok(code) if matches!(code.basic, 200..=299 | 400..=599) => {
                match self.settle(target, current, next, code) {
                    Ok(next) => Halt::leaving(next, broken),
                    Err(halt) => halt,
                }
            }
            _ => self.doubt(target, current, next, broken),
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
            self.tells_apart &= chunks::says_other(code);
            self.accept(target, current, code);
            return Ok(next);
        }
        let offer = if next.is_some() { Offer::Overlapped } else { Offer::Stepwise };
        let refused =
            self.refused(Asked { target, delivery: &current.delivery, offer }, Command::Content, code);
        // Whatever it makes of the envelope that came too early, it is not in step any more.
        let is_out_of_step = next.is_some() && refused.whose == Whose::Order;
        let fault = refused.fault.clone();
        match self.settle_refusal(target, current, refused) {
            Some(stop) => Err(Halt::leaving_behind(next, stop)),
            None if is_out_of_step => Err(Halt::leaving(next, Stop::Closing(fault))),
            None => Ok(next),
        }
    }

    pub(super) fn accept(&mut self, target: &Target, parcel: Parcel, code: ReplyCode) {
        self.answered += 1;
        self.errors.end_row();
        self.refused_last = None;
        self.witness.took();
        target.lessons.took();
        target.stats.relayed.fetch_add(1, Relaxed);
        target.unclear.accepted(parcel.sent_at, &parcel.doubt);
        target.inquiry.end();
        target.senders.taken(&parcel.delivery.sender);
        target.note(Sign::Took);
        parcel.accept(&target.settings.name, code);
    }

    /// Before content goes out nothing may be unread: it would be taken for the answer to the final dot.
    async fn nothing_unasked(&mut self) -> Result<(), Stop> {
        self.talk.glance().await?;
        Ok(self.talk.expect_nothing()?)
    }

    async fn write_content(&mut self, deadlines: &Deadlines, delivery: &Delivery) -> Result<(), ContentTorn> {
        let message = &delivery.message;
        if message.has_dot_line() {
            return self.write_stuffed(deadlines, message).await;
        }
        let line_end = message.missing_line_end();
        let parts = message.parts().chain([line_end, dot::FINAL_DOT, self.group.as_slice()]);
        let written = self.talk.write(slices(parts), deadlines.data_block).await;
        let upto_dot = message.len() + line_end.len() + dot::FINAL_DOT.len();
        written.map_err(|torn| ContentTorn::at(torn, upto_dot))
    }

    /// The rare content with a dot at the start of a line, or with nothing but such lines: piece by piece through one
    /// buffer, and others go between.
    async fn write_stuffed(&mut self, deadlines: &Deadlines, message: &Message) -> Result<(), ContentTorn> {
        let mut stuffer = dot::Stuffer::default();
        let mut piece = Wiped::with_capacity(2 * STUFFED_BYTES_MAX);
        for part in message.parts().flat_map(|part| part.chunks(STUFFED_BYTES_MAX)) {
            if piece.len() + part.len() > STUFFED_BYTES_MAX {
                let written =
                    self.talk.write(slices([piece.as_slice()].into_iter()), deadlines.data_block).await;
                written.map_err(|torn| ContentTorn::BeforeDot(torn.broken))?;
                piece.clear();
                yield_now().await;
            }
            stuffer.stuff(part, &mut piece);
        }
        let line_end = message.missing_line_end();
        let parts = [&piece[..], line_end, dot::FINAL_DOT, self.group.as_slice()];
        let written = self.talk.write(slices(parts.into_iter()), deadlines.data_block).await;
        let upto_dot = piece.len() + line_end.len() + dot::FINAL_DOT.len();
        written.map_err(|torn| ContentTorn::at(torn, upto_dot))
    }

    /// A lone dot where a refused envelope left the content open; its answer changes nothing.
    pub(super) async fn send_nothing(&mut self, deadlines: &Deadlines) -> Result<(), Halt> {
        let ended = async {
            self.talk.send(dot::FINAL_DOT, deadlines.data_block).await?;
            self.talk.reply(deadlines.final_reply, || {}).await
        };
        match ended.await {
            Ok(_) => Ok(()),
            Err(broken) => Err(Halt::leaving([], broken)),
        }
    }

    fn doubt(&mut self, target: &Arc<Target>, current: Parcel, next: Option<Parcel>, broken: Broken) -> Halt {
        let fault = self.doubtful(target, current, broken);
        if next.is_some() && broken.is_end() {
            target.lessons.ended_with_more_behind_a_dot();
        }
        target.note(Sign::InDoubt(fault));
        Halt::leaving(next, broken)
    }

    /// What it gives is the target's state, which those are told that never went: the caller notes it as a sign, as several
    /// that are lost with one connection are one.
    pub(super) fn doubtful(&mut self, target: &Target, current: Parcel, broken: Broken) -> Fault {
        self.answered += 1;
        target.stats.in_doubt.fetch_add(1, Relaxed);
        let name = &target.settings.name;
        let detail = format!("target {name} took the whole message and did not confirm it: {broken}");
        current.fail(Fault::in_doubt(detail).at(name));
        let detail = format!(
            "target {name} takes whole messages and does not confirm them: {broken}; nothing was sent"
        );
        Fault::new(Reason::TargetUnavailable, detail).at(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::TargetSettings;
    use crate::inject::delivery::Errand;
    use crate::inject::ehlo::Capabilities;
    use crate::inject::talk::Talk;
    use std::collections::VecDeque;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};
    use tokio::io::ReadBuf;
    use tokio::time::{Sleep, sleep_until};

    /// A target somewhere that takes messages by DATA.
    struct Far {
        round_trip: Duration,
        /// How long it looks at a message.
        looks: Duration,
        /// Its answers, and when they are here.
        says: VecDeque<(Instant, &'static [u8])>,
        comes: Pin<Box<Sleep>>,
    }

    impl AsyncRead for Far {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let Some((at, text)) = self.says.front().copied() else { return Poll::Pending };
            self.comes.as_mut().reset(at);
            ready!(self.comes.as_mut().poll(cx));
            self.says.pop_front();
            buf.put_slice(text);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Far {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let here = Instant::now() + self.round_trip;
            if buf.ends_with(b"DATA\r\n") {
                self.says.push_back((here, b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n"));
            } else if buf == dot::FINAL_DOT {
                let looked = here + self.looks;
                self.says.push_back((looked, b"250 2.0.0 taken\r\n"));
            }
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Whether more goes to such a target ahead of its answers, once it has taken a message.
    async fn is_sent_ahead(round_trip_ms: u64, looks_ms: u64) -> bool {
        let target = Target::new(TargetSettings::new("mta1", "127.0.0.1", 1), 0);
        let far = Far {
            round_trip: Duration::from_millis(round_trip_ms),
            looks: Duration::from_millis(looks_ms),
            says: VecDeque::new(),
            comes: Box::pin(sleep_until(Instant::now())),
        };
        let offered = Capabilities { pipelining: true, ..Capabilities::default() };
        let mut session = Session::new(Talk::new(far), offered, false, "127.0.0.1:1".parse().unwrap());
        let message = crate::inject::tests::delivery("Subject: far\r\n\r\n");
        let (parcel, _settled, _) = Parcel::new(message, Errand::Usual);
        assert!(session.exchange(&target, parcel).await.is_ok());
        assert_eq!(session.answered, 1);
        session.is_brisk
    }

    /// Far away is not slow; one that looks long at a message is: what went ahead would wait there while another session
    /// could take it.
    #[tokio::test(start_paused = true)]
    async fn a_target_far_away_is_sent_more_ahead_of_its_answers_and_one_that_takes_its_time_is_not() {
        for (round_trip_ms, looks_ms) in [(1, 10), (50, 10), (80, 10), (300, 10), (450, 40)] {
            assert!(is_sent_ahead(round_trip_ms, looks_ms).await, "{round_trip_ms} ms, {looks_ms} ms");
        }
        for (round_trip_ms, looks_ms) in [(1, 60), (80, 60), (450, 60), (2_000, 10)] {
            assert!(!is_sent_ahead(round_trip_ms, looks_ms).await, "{round_trip_ms} ms, {looks_ms} ms");
        }
    }
}
