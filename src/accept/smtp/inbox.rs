//! The octets a client sent that were not used yet. Bounded, and able to wipe what held a password.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::Zeroize;

/// Room while commands are awaited: most sessions of many idle clients hold only this.
const COMMAND_OCTETS: usize = 1024;
/// Room for a long line or for content; one TLS record fits.
const CONTENT_OCTETS: usize = 16 * 1024;

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
