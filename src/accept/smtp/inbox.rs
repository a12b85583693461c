//! The octets a client sent that were not used yet. Bounded, and able to wipe what held a password.

use crate::accept::smtp::passage::{PASSAGE_OCTETS, Passage};
use std::io;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::Zeroize;

/// Room while commands are awaited: most sessions of many idle clients hold only this.
const COMMAND_OCTETS: usize = 1024;
/// Room for a long line or for content.
const CONTENT_OCTETS: usize = PASSAGE_OCTETS;

#[derive(Debug, Default)]
pub struct Inbox {
    octets: Vec<u8>,
    used: usize,
    received: u64,
    /// The last read took all the room there was: more is waiting, so it is no idle client.
    was_filled: bool,
}

impl Inbox {
    pub fn unused(&self) -> &[u8] {
        &self.octets[self.used..]
    }

    /// All that ever came in.
    pub fn received(&self) -> u64 {
        self.received
    }

    pub fn is_empty(&self) -> bool {
        self.used == self.octets.len()
    }

    pub fn consume(&mut self, octets: usize) {
        self.used += octets;
        debug_assert!(self.used <= self.octets.len());
    }

    /// As [`Inbox::consume`], and nothing of these octets stays in memory.
    pub fn consume_secret(&mut self, octets: usize) {
        self.octets[self.used..self.used + octets].zeroize();
        self.consume(octets);
    }

    /// Reads once, some octets or the end (0). Cancel-safe.
    ///
    /// # Errors
    /// As the stream.
    pub async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        self.make_room();
        // `take` keeps the buffer at its size: `read_buf` alone would let it grow.
        let room = (self.octets.capacity() - self.octets.len()) as u64;
        let read = (&mut *stream).take(room).read_buf(&mut self.octets).await?;
        self.was_filled = read as u64 == room;
        self.received += read as u64;
        Ok(read)
    }

    /// Reads once, as [`Inbox::fill`], and shows what came to `take`, which says how much of it is used; only the rest
    /// is kept.
    pub fn poll_through(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut impl Passage,
        mut take: impl FnMut(&[u8]) -> usize,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(self.is_empty());
        let mut read = 0;
        let mut look = |came: &[u8]| {
            read = came.len();
            self.keep(&came[take(came)..]);
        };
        ready!(stream.poll_pass(cx, &mut look))?;
        self.received += read as u64;
        Poll::Ready(Ok(read))
    }

    /// Nothing but this is kept.
    fn keep(&mut self, rest: &[u8]) {
        if self.octets.capacity() < rest.len() {
            self.octets.zeroize();
            self.octets = Vec::with_capacity(rest.len().max(COMMAND_OCTETS));
        }
        self.octets.clear();
        self.used = 0;
        self.octets.extend_from_slice(rest);
    }

    fn make_room(&mut self) {
        if self.used > 0 {
            let (used, left) = (self.used, self.octets.len() - self.used);
            self.octets.copy_within(used.., 0);
            // What was used is no secret or wiped already; of what moved no second copy stays.
            self.octets[used.max(left)..].zeroize();
            self.octets.truncate(left);
            self.used = 0;
        }
        let is_narrow = self.was_filled && self.octets.capacity() < CONTENT_OCTETS;
        if self.octets.len() == self.octets.capacity() || is_narrow {
            let wider = if self.octets.capacity() == 0 { COMMAND_OCTETS } else { CONTENT_OCTETS };
            let mut next = Vec::with_capacity(wider.max(self.octets.len() + COMMAND_OCTETS));
            next.extend_from_slice(&self.octets);
            // By hand, because a growing `Vec` would leave an unwiped copy behind.
            self.octets.zeroize();
            self.octets = next;
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn what_passes_by_is_not_kept_and_the_rest_is() {
        let mut inbox = Inbox::default();
        let sent = [b"c".repeat(9_000), b"MAIL\r\n".to_vec()].concat();
        let mut stream = sent.as_slice();
        let read =
            poll_fn(|cx| inbox.poll_through(cx, &mut stream, |octets| octets.len() - 6)).await.unwrap();
        assert_eq!((read, inbox.received(), inbox.unused()), (9_006, 9_006, &b"MAIL\r\n"[..]));
        assert_eq!(inbox.octets.capacity(), COMMAND_OCTETS);
        inbox.consume(6);
        let mut stream = &sent[..9_000];
        poll_fn(|cx| inbox.poll_through(cx, &mut stream, |_| 1_000)).await.unwrap();
        assert_eq!(inbox.unused().len(), 8_000);
        assert_eq!(poll_fn(|cx| Inbox::default().poll_through(cx, &mut &b""[..], |_| 0)).await.unwrap(), 0);
    }
}
