//! Reading the content of a message, or passing over a refused chunk, within its time.

use super::{Conversation, Ended};
use crate::accept::smtp::incoming::{Framing, Incoming};
use crate::accept::smtp::passage::{PASSAGE_OCTETS, Passage};
use crate::accept::smtp::session::{Event, Step, Unread};
use crate::patience::{self, Over};
use crate::wire::data::{BadData, Taken};
use std::future::poll_fn;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

/// Unfit content is read on so long, so that its sender hears the answer at its end.
const UNFIT_CONTENT_MAX: Duration = Duration::from_secs(60);
const UNFIT_IDLE_MAX: Duration = Duration::from_secs(10);
/// Behind a dot alone on its line that is not the end of the content, but may be meant so.
const LONE_DOT_IDLE_MAX: Duration = Duration::from_secs(30);

impl Conversation {
    pub(super) fn begin_message(&self, declared: Option<u64>) -> Incoming {
        let settings = &self.door.settings;
        Incoming::new(settings.limits.message_bytes_max, declared, settings.bare_lf)
    }

    /// Reads content to its end, or to the end of its chunk.
    pub(super) async fn read_content<S>(
        &mut self,
        framing: Framing,
        is_last: bool,
        stream: &mut S,
    ) -> Result<Step, Ended>
    where
        S: Passage + AsyncWrite,
    {
        let limits = &self.door.settings.limits;
        let mut content_end = Instant::now() + limits.content_max;
        let mut unfit_since = None;
        let mut passed = None;
        loop {
            let take = self.take_content(passed.take(), framing, is_last);
            let outcome = patience::until(|| content_end, take).await;
            match outcome {
                Err(_) => return Ok(self.out_of_time()),
                Ok(Some(read)) => return Ok(self.session.handle(Event::ContentRead(read))),
                Ok(None) => {}
            }
            self.flush(stream).await?;
            if self.incoming.as_ref().is_some_and(|incoming| incoming.fault().is_some()) {
                let since = *unfit_since.get_or_insert_with(Instant::now);
                content_end = content_end.min(since + UNFIT_CONTENT_MAX);
            }
            match self.read_on(content_end, (&mut passed, framing), stream).await {
                Ok(Ok(0)) | Ok(Err(_)) => return Err(Ended::Gone),
                Ok(Ok(_)) => {}
                Err(_) => return Ok(self.out_of_time()),
            }
        }
    }

    /// How long nothing may come of the content.
    fn content_idle_max(&self) -> Duration {
        let usual = self.door.settings.limits.idle_max;
        match &self.incoming {
            Some(incoming) if incoming.fault().is_some() => usual.min(UNFIT_IDLE_MAX),
            Some(incoming) if incoming.is_behind_lone_dot() => usual.min(LONE_DOT_IDLE_MAX),
            _ => usual,
        }
    }

    /// Nothing came any more. Whose content is unfit hears that, and so does who thinks that it has ended it.
    fn out_of_time(&mut self) -> Step {
        let fault = match &self.incoming {
            Some(incoming) if incoming.is_behind_lone_dot() => incoming.fault().or(Some(BadData::LoneDot)),
            Some(incoming) => incoming.fault(),
            None => None,
        };
        let bad = |fault| Event::ContentRead(Err(Unread::Bad(fault)));
        self.session.handle(fault.map_or(Event::TimedOut, bad))
    }

    /// Reads once, within the time of the content. Where the message may have what comes without waiting for room, it passes the inbox by: `passed` is
    /// then what the message took.
    async fn read_on<S>(
        &mut self,
        content_end: Instant,
        (passed, framing): (&mut Option<Result<Taken, Unread>>, Framing),
        stream: &mut S,
    ) -> Result<io::Result<usize>, Over>
    where
        S: Passage + AsyncWrite,
    {
        let idle_max = self.content_idle_max();
        let deadline = || content_end.min(Instant::now() + idle_max);
        let incoming = self.incoming.as_mut().expect("content is read into a message");
        if !self.inbox.is_empty() || !incoming.has_room(PASSAGE_OCTETS) {
            return self.patience.until(deadline, self.inbox.fill(stream)).await;
        }
        let mut take = |octets: &[u8]| {
            let taken = incoming.take(octets, framing);
            let used = taken.as_ref().map_or(octets.len(), |taken| taken.octets);
            *passed = Some(taken);
            used
        };
        let through = poll_fn(|cx| self.inbox.poll_through(cx, stream, &mut take));
        self.patience.until(deadline, through).await
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
