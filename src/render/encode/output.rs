//! The buffer a message is written into: bounded, wiped when dropped, and grown without leaving a copy behind.

use zeroize::Zeroizing;

/// Octets of one message. Once [`Output::size_max`] is passed nothing more is taken and [`Output::finish`]
/// says so; writers need not check.
pub struct Output {
    bytes: Zeroizing<Vec<u8>>,
    size_max: usize,
    overflowed: bool,
}

/// More octets than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more octets than allowed")]
pub struct TooLarge;

impl Output {
    /// `size_max` is in octets.
    pub fn new(capacity: usize, size_max: usize) -> Self {
        let bytes = Zeroizing::new(Vec::with_capacity(capacity.min(size_max)));
        Self { bytes, size_max, overflowed: false }
    }

    /// For text that is bounded elsewhere, such as a template being loaded.
    pub fn unbounded() -> Self {
        Self::new(0, usize::MAX)
    }

    pub fn put(&mut self, bytes: &[u8]) {
        if self.make_room(bytes.len()) {
            self.bytes.extend_from_slice(bytes);
        }
    }

    pub fn push(&mut self, byte: u8) {
        if self.make_room(1) {
            self.bytes.push(byte);
        }
    }

    /// Adds `count` zeroes and gives them out to be filled; `None` when there is no room.
    pub fn extend(&mut self, count: usize) -> Option<&mut [u8]> {
        let start = self.bytes.len();
        if !self.make_room(count) {
            return None;
        }
        self.bytes.resize(start + count, 0);
        Some(&mut self.bytes[start..])
    }

    /// Takes nothing more: something that belongs here was too large already.
    pub fn overflow(&mut self) {
        self.overflowed = true;
    }

    pub fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Takes the last byte back.
    pub fn pop(&mut self) {
        self.bytes.pop();
    }

    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn size_max(&self) -> usize {
        self.size_max
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The content where only text was put.
    pub fn as_text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// # Errors
    /// [`TooLarge`] when something was not taken.
    pub fn finish(self) -> Result<Zeroizing<Vec<u8>>, TooLarge> {
        if self.overflowed { Err(TooLarge) } else { Ok(self.bytes) }
    }

    /// Grows by hand: a plain `Vec` would leave an unwiped copy behind when it moves.
    fn make_room(&mut self, more: usize) -> bool {
        let needed = self.bytes.len().saturating_add(more);
        if needed > self.size_max {
            self.overflowed = true;
            return false;
        }
        if needed > self.bytes.capacity() {
            let capacity = (needed + needed / 2).max(256).min(self.size_max);
            let mut wider = Zeroizing::new(Vec::with_capacity(capacity));
            wider.extend_from_slice(&self.bytes);
            self.bytes = wider;
        }
        !self.overflowed
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output({} octets)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_past_the_limit() {
        let mut out = Output::new(0, 10);
        out.put(b"12345678");
        out.put(b"90");
        assert_eq!(out.as_text(), "1234567890");
        out.push(b'x');
        assert_eq!(out.len(), 10);
        assert_eq!(out.finish().unwrap_err(), TooLarge);
    }

    #[test]
    fn growing_keeps_the_content() {
        let mut out = Output::unbounded();
        for n in 0..10_000u32 {
            out.put(&n.to_le_bytes());
        }
        let bytes = out.finish().unwrap();
        assert!((0..10_000u32).all(|n| bytes[n as usize * 4..][..4] == n.to_le_bytes()));
    }
}
