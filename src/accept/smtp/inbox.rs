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
        let octets = (&mut *stream).take(room).read_buf(&mut self.octets).await?;
        self.received += octets as u64;
        Ok(octets)
    }

    fn make_room(&mut self) {
        if self.used > 0 {
            self.octets.copy_within(self.used.., 0);
            let left = self.octets.len() - self.used;
            self.octets[left..].zeroize();
            self.octets.truncate(left);
            self.used = 0;
        }
        if self.octets.len() == self.octets.capacity() {
            let wider = if self.octets.is_empty() { COMMAND_OCTETS } else { CONTENT_OCTETS };
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
