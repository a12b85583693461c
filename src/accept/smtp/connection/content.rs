//! Reading the content of a message, or passing over a refused chunk, within its time.

use super::{Conversation, Ended};
use crate::accept::smtp::incoming::{Framing, Incoming};
use crate::accept::smtp::session::{Event, Step, Unread};
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
        loop {
            let outcome = timeout_at(content_end, self.take_content(framing, is_last)).await;
            match outcome {
                Err(_) => return Ok(self.session.handle(Event::TimedOut)),
                Ok(Some(read)) => return Ok(self.session.handle(Event::ContentRead(read))),
                Ok(None) => {}
            }
            self.flush(stream).await?;
            let deadline = content_end.min(Instant::now() + idle_max);
            match timeout_at(deadline, self.inbox.fill(stream)).await {
                Ok(Ok(0)) | Ok(Err(_)) => return Err(Ended::Gone),
                Ok(Ok(_)) => {}
                Err(_) => return Ok(self.session.handle(Event::TimedOut)),
            }
        }
    }

    /// Moves content from the inbox to the message; `None` when there is more to come. When it is cancelled the
    /// session ends.
    async fn take_content(&mut self, framing: Framing, is_last: bool) -> Option<Result<(), Unread>> {
        let incoming = self.incoming.as_mut().expect("content is read into a message");
        let gate = self.door.house.gate();
        incoming.make_room(self.inbox.unused().len(), gate).await;
        let taken = match incoming.take(self.inbox.unused(), framing) {
            Ok(taken) => taken,
            Err(fault) => return Some(Err(fault)),
        };
        self.inbox.consume(taken.octets);
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
