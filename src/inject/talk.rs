//! Octets to and from one target: replies read with a deadline, content written with the point of no return known.

use crate::fault::ReplyCode;
use crate::patience::Patience;
use crate::wire::reply::{BadReply, Reply, ReplyFramer};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// A reply that takes longer than this is slow: other sessions may be worth their cost.
pub(super) const SLOW_REPLY: Duration = Duration::from_millis(2);

/// Longest time that counts as the way there and back: the rest is the target's own.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(500);

const INCOMING_OCTETS: usize = 4 * 1024;
const INCOMING_OCTETS_MAX: usize = 128 * 1024;
/// Parts given to the stream at once. TLS walks over all it is given for the little that it takes each time.
const SLICES_MAX: usize = 64;
/// Why a conversation cannot go on. Never holds what the target said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("the target closed the connection")]
    Closed,
    #[error("the connection failed: {0}")]
    Io(io::ErrorKind),
    #[error("the target said nothing for {} s", .0.as_secs_f32())]
    Silent(Duration),
    #[error("the target does not answer in SMTP: {0}")]
    BadReply(#[from] BadReply),
    #[error("the relay is stopping and waited no longer")]
    Stopping,
    #[error("the target said good-bye unasked (421)")]
    GoodBye,
    #[error("the target's replies do not fit the commands (got {0})")]
    OutOfStep(u16),
}

impl Broken {
    /// There is no connection any more.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Closed | Self::Io(_))
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            kind => Self::Io(kind),
        }
    }
}

/// A write that did not end well, with the octets that the stream had taken by then.
#[derive(Debug)]
pub(super) struct Torn {
    pub taken: usize,
    pub broken: Broken,
}

/// Parts for [`Talk::write`].
pub(super) fn slices<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<IoSlice<'a>> {
    parts.filter(|part| !part.is_empty()).map(IoSlice::new).collect()
}

/// One conversation. What was read is wiped as soon as the next reply is asked for.
pub(super) struct Talk<S> {
    stream: S,
    incoming: Zeroizing<Vec<u8>>,
    unread: Range<usize>,
    last: Range<usize>,
    framer: ReplyFramer,
    halted: CancellationToken,
    patience: Patience,
    /// When the commands went out of whose replies nothing has come yet.
    asked_at: Option<Instant>,
    /// The shortest time in which commands were answered.
    round_trip: Option<Duration>,
    /// Counts what shows that the other side is there.
    pulse: Arc<AtomicU64>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            incoming: Zeroizing::new(vec![0; INCOMING_OCTETS]),
            unread: 0..0,
            last: 0..0,
            framer: ReplyFramer::default(),
            halted: CancellationToken::new(),
            patience: Patience::default(),
            asked_at: None,
            round_trip: None,
            pulse: Arc::default(),
        }
    }

    /// Counts in `pulse` what the target says, and what it takes of a long content.
    pub fn counted_in(self, pulse: &Arc<AtomicU64>) -> Self {
        Self { pulse: pulse.clone(), ..self }
    }

    /// From now on a write that makes no progress ends when `halted` does, not only at its limit.
    pub fn heed(&mut self, halted: CancellationToken) {
        self.halted = halted;
    }

    /// The stream alone, for a change to TLS. Whatever came behind the last reply is dropped with the conversation,
    /// so ask [`Talk::has_unread`] first.
    pub fn into_stream(self) -> S {
        self.stream
    }

    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Reads the next reply. `slow` is told once when it takes longer than [`SLOW_REPLY`].
    ///
    /// Not cancel-safe in meaning: a reply that was awaited and not read would be taken for the next one, so a
    /// conversation whose wait was dropped has to be dropped too.
    pub async fn reply(&mut self, limit: Duration, mut slow: impl FnMut()) -> Result<ReplyCode, Broken> {
        let mut until = None;
        loop {
            if let Some(code) = self.reply_at_hand()? {
                return Ok(code);
            }
            self.make_room()?;
            let free = &mut self.incoming[self.unread.end..];
            let soon = || {
                let now = Instant::now();
                (now + SLOW_REPLY).min(*until.get_or_insert(now + limit))
            };
            let read = match self.patience.until(soon, self.stream.read(free)).await {
                Ok(read) => read,
                Err(_) => {
                    slow();
                    let until = || *until.get_or_insert_with(|| Instant::now() + limit);
                    let late = self.patience.until(until, self.stream.read(free)).await;
                    late.map_err(|_| Broken::Silent(limit))?
                }
            };
            match read? {
                0 => return Err(Broken::Closed),
                octets => {
                    self.pulse.fetch_add(1, Relaxed);
                    self.unread.end += octets;
                    self.note_round_trip();
                }
            }
        }
    }

    fn note_round_trip(&mut self) {
        if let Some(asked_at) = self.asked_at.take() {
            let elapsed = asked_at.elapsed();
            self.round_trip = Some(self.round_trip.map_or(elapsed, |least| least.min(elapsed)));
        }
    }

    /// How long the way there and back takes, at most, as far as answers to commands have shown. A command takes a target
    /// next to no time.
    pub fn round_trip(&self) -> Duration {
        self.round_trip.unwrap_or_default().min(ROUND_TRIP_MAX)
    }

    /// The next reply, if it has been read already.
    pub fn reply_at_hand(&mut self) -> Result<Option<ReplyCode>, Broken> {
        let Some(octets) = self.framer.find_end(&self.incoming[self.unread.clone()])? else {
            return Ok(None);
        };
        self.last = self.unread.start..self.unread.start + octets;
        self.unread.start += octets;
        Ok(Some(self.last_reply()?.code))
    }

    /// The reply read last, until the next one is asked for.
    pub fn last_reply(&self) -> Result<Reply<'_>, BadReply> {
        Reply::parse(&self.incoming[self.last.clone()])
    }

    /// Whether octets came that no command has asked for.
    pub fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Before something is sent nothing may be unread: it would be taken for the answer.
    ///
    /// # Errors
    /// What came unasked is the target's good-bye (RFC 5321 §3.8), or nothing that has a meaning.
    pub fn expect_nothing(&self) -> Result<(), Broken> {
        match self.has_unread() {
            false => Ok(()),
            true if self.unread_is_closing() => Err(Broken::GoodBye),
            true => Err(Broken::OutOfStep(0)),
        }
    }

    /// Whether what came unasked is the target's good-bye.
    pub fn unread_is_closing(&self) -> bool {
        self.incoming[self.unread.clone()].starts_with(b"421")
    }

    /// Whether what came is a record of TLS (RFC 8446 §5.1): an alert or a handshake message.
    pub fn unread_is_tls(&self) -> bool {
        matches!(self.incoming[self.unread.clone()], [0x15 | 0x16, 3, ..])
    }

    /// Takes in what has already arrived, without waiting. An end of the connection is seen by the next read.
    pub async fn glance(&mut self) -> Result<(), Broken> {
        self.make_room()?;
        let (stream, free) = (&mut self.stream, &mut self.incoming[self.unread.end..]);
        let mut free = ReadBuf::new(free);
        poll_fn(|cx| {
            let _ = Pin::new(&mut *stream).poll_read(cx, &mut free);
            Poll::Ready(())
        })
        .await;
        self.unread.end += free.filled().len();
        Ok(())
    }

    /// Completes when the target says something unasked or closes. Cancel-safe: nothing read is lost.
    pub async fn overhear(&mut self) {
        if self.make_room().is_err() {
            return;
        }
        if let Ok(octets) = self.stream.read(&mut self.incoming[self.unread.end..]).await {
            self.unread.end += octets;
        }
    }

    /// Writes every part and flushes. `limit` is for each step that makes no progress.
    pub async fn write(&mut self, mut slices: Vec<IoSlice<'_>>, limit: Duration) -> Result<(), Torn> {
        let mut taken = 0;
        self.write_slices(&mut slices, limit, &mut taken).await.map_err(|broken| Torn { taken, broken })?;
        let flushed = tokio::select! {
            biased;
            flushed = self.patience.until(|| Instant::now() + limit, self.stream.flush()) => flushed,
            () = self.halted.cancelled() => return Err(Torn { taken, broken: Broken::Stopping }),
        };
        match flushed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Torn { taken, broken: error.into() }),
            Err(_) => Err(Torn { taken, broken: Broken::Silent(limit) }),
        }
    }

    async fn write_slices(
        &mut self,
        mut slices: &mut [IoSlice<'_>],
        limit: Duration,
        taken: &mut usize,
    ) -> Result<(), Broken> {
        while !slices.is_empty() {
            let next = &slices[..slices.len().min(SLICES_MAX)];
            // A pending write has handed over nothing (tokio::io::AsyncWrite), so leaving it is safe.
            let octets = tokio::select! {
                biased;
                written = self.patience.until(|| Instant::now() + limit, self.stream.write_vectored(next)) => {
                    written.map_err(|_| Broken::Silent(limit))??
                }
                () = self.halted.cancelled() => return Err(Broken::Stopping),
            };
            if octets == 0 {
                return Err(Broken::Closed);
            }
            if *taken > 0 {
                // It made room for more than went out at first.
                self.pulse.fetch_add(1, Relaxed);
            }
            *taken += octets;
            IoSlice::advance_slices(&mut slices, octets);
        }
        Ok(())
    }

    /// One command, or several in a group.
    pub async fn send(&mut self, commands: &[u8], limit: Duration) -> Result<(), Broken> {
        self.write(vec![IoSlice::new(commands)], limit).await.map_err(|torn| torn.broken)?;
        self.asked_at = Some(Instant::now());
        Ok(())
    }

    /// Says good-bye and closes; what the target answers no longer matters. Until it has closed too it counts the session.
    pub async fn quit(&mut self, limit: Duration) {
        let leave = async {
            self.stream.write_all(b"QUIT\r\n").await?;
            self.stream.flush().await?;
            let _ = self.stream.read(&mut self.incoming).await?;
            self.see_closed().await
        };
        let _ = timeout(limit, leave).await;
    }

    /// Closes where the target has said good-bye already, and waits until it has closed too.
    pub async fn close(&mut self, limit: Duration) {
        let _ = timeout(limit, self.see_closed()).await;
    }

    async fn see_closed(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        while self.stream.read(&mut self.incoming).await? > 0 {}
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), Broken> {
        if self.unread.is_empty() {
            // Replies may echo a person's values: they do not outlive their use.
            self.incoming[..self.unread.end].fill(0);
            self.unread = 0..0;
            self.last = 0..0;
        } else if self.unread.end == self.incoming.len() && self.unread.start > 0 {
            self.incoming.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
            self.last = 0..0;
        } else if self.unread.end == self.incoming.len() {
            if self.incoming.len() >= INCOMING_OCTETS_MAX {
                return Err(BadReply::TooLong.into());
            }
            // By hand: a `Vec` that grows by itself leaves its old octets behind unwiped.
            let mut wider = Zeroizing::new(vec![0; self.incoming.len() * 2]);
            wider[..self.incoming.len()].copy_from_slice(&self.incoming);
            self.incoming = wider;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Context;

    /// Takes a TLS record's worth a call, and counts the parts it is shown.
    #[derive(Default)]
    struct Walked {
        parts: usize,
        bytes: Vec<u8>,
    }

    impl AsyncRead for Walked {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Walked {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let before = self.bytes.len();
            self.parts += bufs.len();
            bufs.iter().for_each(|part| self.bytes.extend_from_slice(part));
            self.bytes.truncate(before + 16 * 1024);
            Poll::Ready(Ok(self.bytes.len() - before))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn c2_four_times_the_parts_are_about_four_times_the_walk() {
        let mut walked = Vec::new();
        for parts in [5_000, 20_000] {
            let stretch = vec![b'x'; 256];
            let mut talk = Talk::new(Walked::default());
            let message = (0..parts).map(|_| stretch.as_slice());
            talk.write(slices(message), Duration::from_secs(1)).await.unwrap();
            assert_eq!(talk.stream.bytes.len(), parts * 256);
            walked.push(talk.stream.parts);
        }
        assert!(walked[1] < walked[0] * 5 && walked[1] < 2 * 20_000, "{walked:?}");
    }
}
