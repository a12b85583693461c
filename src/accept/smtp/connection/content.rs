//! Reading the content of a message, or passing over a refused chunk, within its time.

use super::{Conversation, Ended};
use crate::accept::smtp::inbox::CONTENT_OCTETS;
use crate::accept::smtp::incoming::{Framing, Incoming};
use crate::accept::smtp::session::{Event, Step, Unread};
use crate::wire::data::Taken;
use std::future::poll_fn;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

impl Conversation {
    pub(super) fn begin_message(&self, declared: Option<u64>) -> Incoming {
        Incoming::new(self.door.settings.limits.message_bytes_max, declared)
    }

    /// Reads content to its end, or to the end of its chunk.
    pub(super) async fn read_content<S>(
        &mut self,
        framing: Framing,
        is_last: bool,
        stream: &mut S,
    ) -> Result<Step, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limits = &self.door.settings.limits;
        let (content_end, idle_max) = (Instant::now() + limits.content_max, limits.idle_max);
        let mut passed = None;
        loop {
            let outcome = timeout_at(content_end, self.take_content(passed.take(), framing, is_last)).await;
            match outcome {
                Err(_) => return Ok(self.session.handle(Event::TimedOut)),
                Ok(Some(read)) => return Ok(self.session.handle(Event::ContentRead(read))),
                Ok(None) => {}
            }
            self.flush(stream).await?;
            let deadline = content_end.min(Instant::now() + idle_max);
            match timeout_at(deadline, self.read_on(&mut passed, framing, stream)).await {
                Ok(Ok(0)) | Ok(Err(_)) => return Err(Ended::Gone),
                Ok(Ok(_)) => {}
                Err(_) => return Ok(self.session.handle(Event::TimedOut)),
            }
        }
    }

    /// Reads once. Where the message may have what comes without waiting for room, it passes the inbox by: `passed` is
    /// then what the message took.
    async fn read_on<S>(
        &mut self,
        passed: &mut Option<Result<Taken, Unread>>,
        framing: Framing,
        stream: &mut S,
    ) -> io::Result<usize>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let incoming = self.incoming.as_mut().expect("content is read into a message");
        if !self.inbox.is_empty() || !incoming.has_room(CONTENT_OCTETS) {
            return self.inbox.fill(stream).await;
        }
        let mut take = |octets: &[u8]| {
            let taken = incoming.take(octets, framing);
            let used = taken.as_ref().map_or(octets.len(), |taken| taken.octets);
            *passed = Some(taken);
            used
        };
        poll_fn(|cx| self.inbox.poll_through(cx, stream, &mut take)).await
    }

    /// Moves content from the inbox to the message, unless it was `passed` to it already; `None` when there is more to
    /// come. When it is cancelled the session ends.
    async fn take_content(
        &mut self,
        passed: Option<Result<Taken, Unread>>,
        framing: Framing,
        is_last: bool,
    ) -> Option<Result<(), Unread>> {
        let incoming = self.incoming.as_mut().expect("content is read into a message");
        let gate = self.door.house.gate();
        let taken = match passed {
            Some(taken) => taken,
            None => {
                incoming.make_room(self.inbox.unused().len(), gate).await;
                let taken = incoming.take(self.inbox.unused(), framing);
                self.inbox.consume(taken.as_ref().map_or(0, |taken| taken.octets));
                taken
            }
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(fault) => return Some(Err(fault)),
        };
        if !taken.is_complete {
            return None;
        }
        if !is_last {
            return Some(Ok(()));
        }
        match incoming.finish(framing, gate).await {
            Ok(received) => {
                self.received = Some(received);
                Some(Ok(()))
            }
            Err(fault) => Some(Err(fault)),
        }
    }

    pub(super) async fn skip<S>(&mut self, octets: u64, stream: &mut S) -> Result<Step, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let deadline = Instant::now() + self.door.settings.limits.content_max;
        let mut left = octets;
        while left > 0 {
            let here = left.min(self.inbox.unused().len() as u64);
            self.inbox.consume(here as usize);
            left -= here;
            if left == 0 {
                break;
            }
            self.flush(stream).await?;
            match timeout_at(deadline, self.inbox.fill(stream)).await {
                Ok(Ok(0)) | Ok(Err(_)) => return Err(Ended::Gone),
                Ok(Ok(_)) => {}
                Err(_) => return Ok(self.session.handle(Event::TimedOut)),
            }
        }
        Ok(self.session.handle(Event::ChunkSkipped))
    }
}
