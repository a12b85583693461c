//! The message that is being received: its octets, and the room in the house they were given.
//!
//! A small message is held against the bound on connections and enters the house when it is complete, so a slow
//! sender holds no place that others wait for. A larger one enters as soon as it stops being small, before more
//! of it is read.

use crate::accept::smtp::session::Unread;
use crate::gate::{Entry, Gate};
use crate::wire::data::{BadData, BareLf, ChunkFramer, DataFramer, Taken};
use std::time::Duration;

/// Octets of a message that are held without having entered the house.
pub const SMALL_OCTETS_MAX: usize = 64 * 1024;
/// Content beyond the bound that is read and dropped so that its end can be answered.
const OVERRUN_FACTOR: usize = 2;

/// What ends a transaction or a session, in place of content.
const FAREWELLS: [&[u8; FAREWELL_OCTETS]; 2] = [b"QUIT\r\n", b"RSET\r\n"];
const FAREWELL_OCTETS: usize = 6;

/// Whether the octets are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    Drop(Unread),
}

#[derive(Debug)]
pub struct Incoming {
    octets: Vec<u8>,
    octets_max: usize,
    /// All that came, kept or not.
    read: usize,
    declared: Option<u64>,
    entries: Vec<Entry>,
    reserved: usize,
    fate: Fate,
    /// How unwanted content begins, as far as that has to be known.
    beginning: Vec<u8>,
    data: DataFramer,
    chunks: ChunkFramer,
}

/// A message that came to its end, with its room in the house.
#[derive(Debug)]
pub struct Received {
    pub octets: Vec<u8>,
    pub entries: Vec<Entry>,
    /// Some of its lines ended in a bare LF.
    pub had_bare_lf: bool,
}

/// How the content is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Dot,
    Chunk,
}

impl Incoming {
    pub fn new(octets_max: usize, declared: Option<u64>, bare_lf: BareLf) -> Self {
        Self {
            octets: Vec::new(),
            octets_max,
            read: 0,
            declared,
            entries: Vec::new(),
            reserved: SMALL_OCTETS_MAX,
            fate: Fate::Keep,
            beginning: Vec::new(),
            data: DataFramer::new(bare_lf),
            chunks: ChunkFramer::new(bare_lf),
        }
    }

    /// Content that is for nobody: read to its end, and nothing of it is kept.
    pub fn unwanted(octets_max: usize) -> Self {
        Self { fate: Fate::Drop(Unread::NoRecipient), ..Self::new(octets_max, None, BareLf::Normalize) }
    }

    pub fn begin_chunk(&mut self, octets: u64) {
        self.chunks.begin(octets);
    }

    /// Takes what belongs to the content; the caller made room for it first. Unfit content is read to its end too, so that
    /// the client hears why: one that is answered in the middle of it sees a broken connection.
    ///
    /// # Errors
    /// [`Unread::Endless`], [`Unread::Bad`] where that is endless, and [`Unread::Farewell`], after which the session closes.
    pub fn take(&mut self, input: &[u8], framing: Framing) -> Result<Taken, Unread> {
        let taken = match framing {
            Framing::Dot => self.data.take(input, &mut self.octets),
            Framing::Chunk => self.chunks.take(input, &mut self.octets),
        };
        if let Some(fault) = self.fault() {
            self.drop_content(Unread::Bad(fault));
        }
        self.read += taken.octets;
        if self.read / OVERRUN_FACTOR > self.octets_max + SMALL_OCTETS_MAX {
            return Err(self.fault().map_or(Unread::Endless, Unread::Bad));
        }
        if self.fate == Fate::Keep && self.octets.len() > self.octets_max {
            self.drop_content(Unread::TooLarge);
        }
        if self.fate == Fate::Drop(Unread::NoRecipient) {
            self.judge_beginning()?;
        }
        if self.fate != Fate::Keep {
            self.octets.clear();
        }
        Ok(taken)
    }

    /// A client that does not know that it has to end unwanted content with a dot says good-bye, and would wait for
    /// an answer for ever.
    fn judge_beginning(&mut self) -> Result<(), Unread> {
        let missing = FAREWELL_OCTETS.saturating_sub(self.beginning.len()).min(self.octets.len());
        self.beginning.extend_from_slice(&self.octets[..missing]);
        let is_farewell = FAREWELLS.iter().any(|farewell| self.beginning.eq_ignore_ascii_case(*farewell));
        if missing > 0 && is_farewell { Err(Unread::Farewell) } else { Ok(()) }
    }

    /// Makes sure that `more` octets may be held. Waits only while nothing is held of the house yet, so two
    /// senders never wait for each other; without room later the message is read to its end and refused.
    pub async fn make_room(&mut self, more: usize, gate: &Gate) {
        let needed = self.needed(more);
        if self.fate != Fate::Keep {
            return;
        }
        if needed <= self.reserved {
            // Once for what is here, rather than line by line.
            match self.entries.is_empty() {
                true => self.octets.reserve(more),
                false => self.octets.reserve_exact(more),
            }
            return;
        }
        if self.entries.is_empty() {
            let declared = self.declared.map_or(0, |size| usize::try_from(size).unwrap_or(usize::MAX));
            let wanted = declared.max(needed * 2).min(self.octets_max);
            let Some(entry) = gate.enter_soon(wanted, Duration::MAX).await else {
                return self.drop_content(Unread::NoRoom);
            };
            self.entries.push(entry);
            return self.hold(wanted);
        }
        let missing = needed - self.reserved;
        let mut wanted = self.reserved.clamp(missing, self.octets_max - self.reserved);
        loop {
            // A wait that is asked once may say no though there is room: a task that has done much has to let others go first.
            if let Some(entry) = gate.try_enter(wanted) {
                self.entries.push(entry);
                return self.hold(self.reserved + wanted);
            }
            if wanted == missing {
                return self.drop_content(Unread::NoRoom);
            }
            // Half as much, so that what is left of the house is taken in few entries.
            wanted = (wanted / 2).max(missing);
        }
    }

    fn hold(&mut self, octets: usize) {
        self.reserved = octets;
        self.octets.reserve_exact(octets + SMALL_OCTETS_MAX - self.octets.len());
    }

    /// What is too long is dropped as soon as it was read, and needs no room.
    fn needed(&self, more: usize) -> usize {
        (self.octets.len() + more).min(self.octets_max)
    }

    /// Whether [`Incoming::make_room`] would not wait for so many octets.
    pub fn has_room(&self, more: usize) -> bool {
        self.fate != Fate::Keep || self.needed(more) <= self.reserved
    }

    /// The content came to its end. Cancel-safe: nothing is given away before it has entered.
    ///
    /// # Errors
    /// [`Unread`] when it was dropped on the way, or ends in half a line end.
    pub async fn finish(&mut self, framing: Framing, gate: &Gate) -> Result<Received, Unread> {
        if framing == Framing::Chunk {
            self.chunks.finish(&mut self.octets);
        }
        if let Some(fault) = self.fault() {
            self.drop_content(Unread::Bad(fault));
        }
        if let Fate::Drop(reason) = self.fate {
            return Err(reason);
        }
        if self.entries.is_empty() {
            let entry = gate.enter_soon(self.octets.len(), Duration::MAX).await;
            self.entries.push(entry.ok_or(Unread::NoRoom)?);
        }
        let (octets, entries) = (std::mem::take(&mut self.octets), std::mem::take(&mut self.entries));
        Ok(Received { octets, entries, had_bare_lf: self.data.has_bare_lf() || self.chunks.has_bare_lf() })
    }

    /// What is wrong with the content, as far as it was read.
    pub fn fault(&self) -> Option<BadData> {
        self.data.fault().or(self.chunks.fault())
    }

    /// Whether the client may think that it has ended the content.
    pub fn is_behind_lone_dot(&self) -> bool {
        self.data.is_behind_lone_dot()
    }

    /// The first reason is the one that is told, unless the content is unfit: then the session ends with it.
    fn drop_content(&mut self, reason: Unread) {
        if self.fate == Fate::Keep || matches!(reason, Unread::Bad(_)) {
            self.fate = Fate::Drop(reason);
        }
        self.octets = Vec::new();
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn received(content: &[u8], octets_max: usize, gate: &Gate) -> Result<Received, Unread> {
        let mut incoming = Incoming::new(octets_max, None, BareLf::Normalize);
        for piece in content.chunks(1000) {
            incoming.make_room(piece.len(), gate).await;
            if incoming.take(piece, Framing::Dot)?.is_complete {
                return incoming.finish(Framing::Dot, gate).await;
            }
        }
        panic!("no end")
    }

    fn message(octets: usize) -> Vec<u8> {
        [b"x".repeat(octets - 2).as_slice(), b"\r\n.\r\n"].concat()
    }

    #[tokio::test]
    async fn a_small_message_enters_when_it_is_complete() {
        let gate = Gate::new(10, 1 << 20);
        let mut incoming = Incoming::new(1 << 20, Some(500), BareLf::Normalize);
        incoming.make_room(500, &gate).await;
        incoming.take(b"a\r\n", Framing::Dot).unwrap();
        assert_eq!(gate.free(), 10);
        incoming.take(b".\r\n", Framing::Dot).unwrap();
        let received = incoming.finish(Framing::Dot, &gate).await.unwrap();
        assert_eq!((received.octets.as_slice(), gate.free()), (&b"a\r\n"[..], 9));
    }

    #[tokio::test]
    async fn a_large_message_enters_on_the_way_and_leaves_whole() {
        let gate = Gate::new(10, 1 << 20);
        let received = received(&message(500_000), 1 << 20, &gate).await.unwrap();
        assert_eq!(received.octets.len(), 500_000);
        assert!(gate.free() < 10);
        drop(received);
        assert_eq!(gate.free(), 10);
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_at_its_end_and_holds_nothing() {
        let gate = Gate::new(10, 1 << 20);
        assert_eq!(received(&message(100_001), 100_000, &gate).await.unwrap_err(), Unread::TooLarge);
        assert!(received(&message(100_000), 100_000, &gate).await.is_ok());
        assert_eq!(received(&message(1_000_000), 100_000, &gate).await.unwrap_err(), Unread::Endless);
        assert_eq!(gate.free(), 10);
    }

    /// A task that has done much is told to let others go first, which is no lack of room.
    #[tokio::test]
    async fn a_large_message_finds_room_however_fast_it_comes() {
        let gate = Gate::new(10, 1 << 26);
        let octets = message(10_000_000);
        let mut incoming = Incoming::new(1 << 24, None, BareLf::Normalize);
        incoming.make_room(100_000, &gate).await;
        incoming.take(&octets[..100_000], Framing::Dot).unwrap();
        for piece in octets[100_000..].chunks(16 * 1024) {
            for _ in 0..200 {
                let _ = futures_util::poll!(std::pin::pin!(tokio::task::coop::consume_budget()));
            }
            incoming.make_room(piece.len(), &gate).await;
            incoming.take(piece, Framing::Dot).unwrap();
        }
        let received = incoming.finish(Framing::Dot, &gate).await.unwrap();
        assert_eq!(received.octets.len(), octets.len() - 3);
    }

    /// Whatever is free of the house is found, to the last byte of the largest message.
    #[tokio::test]
    async fn a_message_of_any_size_finds_the_room_that_an_idle_house_has() {
        const MIB: usize = 1 << 20;
        const DOT: &[u8] = b".\r\n";
        for (house, octets_max) in [(MIB, MIB), (MIB, 25 * MIB), (8 * MIB, 7 * MIB), (MIB, 100_000)] {
            let gate = Gate::new(512, house as u32);
            let largest = octets_max.min(house - DOT.len());
            for octets in (1..=7).map(|part| largest * part / 8).chain([largest - 1, largest]) {
                let received = received(&message(octets), octets_max, &gate).await;
                let received = received.unwrap_or_else(|why| panic!("{octets} of {house}: {why:?}"));
                assert_eq!(received.octets.len(), octets);
                assert!(received.entries.len() < 30, "{octets}: {}", received.entries.len());
                assert!(received.octets.capacity() <= octets_max.min(4 * octets) + 2 * SMALL_OCTETS_MAX);
            }
        }
    }

    #[tokio::test]
    async fn without_room_to_grow_the_message_is_refused() {
        let gate = Gate::new(10, 300_000);
        assert_eq!(received(&message(900_000), 1 << 20, &gate).await.unwrap_err(), Unread::NoRoom);
        assert_eq!(gate.free(), 10);
    }
}
