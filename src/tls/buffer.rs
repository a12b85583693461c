//! Bytes between a socket and TLS. An empty buffer keeps no memory: it comes from a stock of its thread, and goes back wiped.

use std::cell::RefCell;
use std::ops::Range;

/// The longest record with its frame (RFC 5246 §6.2.3; those of RFC 8446 are shorter).
pub const RECORD_BYTES_MAX: usize = 5 + (16 << 10) + 2048;
/// Buffers that a thread keeps. One is in use while a connection reads, and nearly always empty when it has read.
const STOCK_MAX: usize = 4;
/// What waits for its end in so little goes to a buffer of its own size, lest slow clients hold one of the stock each.
const FEW_BYTES: usize = 4096;

thread_local! {
    /// Each of [`RECORD_BYTES_MAX`], all zeros. What is used again stays in the processor's cache.
    static STOCK: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Behind what it holds there are only zeros.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    held: Range<usize>,
}

impl Buffer {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub fn held(&self) -> &[u8] {
        &self.bytes[self.held.clone()]
    }

    pub fn held_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.held.clone()]
    }

    /// What may be written behind what is held, `least` bytes or more; [`Buffer::add`] says how much it was.
    pub fn room(&mut self, least: usize) -> &mut [u8] {
        if self.bytes.len() - self.held.end < least {
            self.make_room(least);
        }
        &mut self.bytes[self.held.end..]
    }

    pub fn add(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.bytes.len() - self.held.end);
        self.held.end += bytes;
    }

    /// The first `bytes` are done with.
    pub fn discard(&mut self, bytes: usize) {
        self.held.start = (self.held.start + bytes).min(self.held.end);
        if self.held.is_empty() {
            self.give_back();
        }
    }

    /// Before a longer wait: of what was done with nothing stays.
    pub fn settle(&mut self) {
        if self.is_empty() {
            self.give_back();
        } else if self.len() <= FEW_BYTES && self.bytes.len() >= RECORD_BYTES_MAX {
            self.move_to(self.held().to_vec());
        }
    }

    fn make_room(&mut self, least: usize) {
        let wanted = self.len() + least;
        if wanted > self.bytes.len() {
            return self.move_to(if wanted <= RECORD_BYTES_MAX { from_stock() } else { vec![0; wanted] });
        }
        let (end, left) = (self.held.end, self.len());
        self.bytes.copy_within(self.held.clone(), 0);
        self.bytes[left..end].fill(0);
        self.held = 0..left;
    }

    /// `bytes` are as many at least as are held.
    fn move_to(&mut self, bytes: Vec<u8>) {
        let mut other = Self { bytes, held: 0..self.len() };
        other.held_mut().copy_from_slice(self.held());
        std::mem::replace(self, other).give_back();
    }

    fn give_back(&mut self) {
        let Self { mut bytes, held } = std::mem::take(self);
        // Another one is wiped by the allocator, which gets it back.
        if bytes.len() == RECORD_BYTES_MAX {
            bytes[..held.end].fill(0);
            STOCK.with_borrow_mut(|stock| {
                if stock.len() < STOCK_MAX {
                    stock.push(bytes);
                }
            });
        }
    }
}

fn from_stock() -> Vec<u8> {
    STOCK.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; RECORD_BYTES_MAX])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn put(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        buffer.add(bytes.len());
    }

    proptest! {
        #[test]
        fn it_holds_what_came_in_order_and_zeros_only_behind(
            steps in prop::collection::vec((0usize..30_000, 0usize..40_000, any::<bool>()), 1..20),
        ) {
            let (mut buffer, mut wanted) = (Buffer::default(), VecDeque::new());
            for (count, (put_in, done, waits)) in steps.into_iter().enumerate() {
                let bytes: Vec<u8> = (0..put_in).map(|n| ((n + count) % 255) as u8 + 1).collect();
                put(&mut buffer, &bytes);
                wanted.extend(bytes);
                buffer.discard(done);
                wanted.drain(..done.min(wanted.len()));
                if waits {
                    buffer.settle();
                }
                prop_assert!(buffer.held() == wanted.make_contiguous());
                prop_assert!(buffer.room(1).iter().all(|byte| *byte == 0));
            }
            let left = buffer.len();
            buffer.discard(left);
            prop_assert_eq!(buffer.capacity(), 0);
        }
    }

    #[test]
    fn the_stock_holds_nothing_of_what_was_in_a_buffer() {
        let mut buffer = Buffer::default();
        put(&mut buffer, &[b'd'; 9000]);
        buffer.discard(8000);
        buffer.room(RECORD_BYTES_MAX - 1000);
        assert_eq!(buffer.bytes.iter().filter(|byte| **byte != 0).count(), 1000, "it moved to the front");
        buffer.settle();
        assert_eq!((buffer.len(), buffer.capacity()), (1000, 1000));
        buffer.discard(1000);
        let stock = STOCK.take();
        assert!(!stock.is_empty() && stock.iter().flatten().all(|byte| *byte == 0));
        assert!(stock.iter().all(|bytes| bytes.len() == RECORD_BYTES_MAX));
    }
}
