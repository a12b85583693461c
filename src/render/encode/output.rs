//! The buffer a message is written into: bounded, wiped when dropped, and grown without leaving a copy behind. What
//! is the same for everybody is referred to rather than copied.

use crate::message::{Fixed, Message};
use crate::personal::Wiped;

/// A shorter stretch is copied: that costs less than referring to it.
pub const SHARED_OCTETS_MIN: usize = 256;

/// Octets of one message. Once [`Output::size_max`] is passed nothing more is taken and [`Output::finish`]
/// says so; writers need not check.
pub struct Output {
    own: Wiped,
    /// Each behind so many octets of `own`.
    shared: Vec<(usize, Fixed)>,
    shared_octets: usize,
    may_share: bool,
    size_max: usize,
    overflowed: bool,
}

/// More octets than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more octets than allowed")]
pub struct TooLarge;

/// A place to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    own: usize,
    shared: usize,
    shared_octets: usize,
}

impl Output {
    /// All in one piece. `size_max` is in octets.
    pub fn new(capacity: usize, size_max: usize) -> Self {
        Self {
            own: Wiped::with_capacity(capacity.min(size_max)),
            shared: Vec::new(),
            shared_octets: 0,
            may_share: false,
            size_max,
            overflowed: false,
        }
    }

    /// With stretches that are referred to; `capacity` is for the others, in octets, and for `stretches` of the former.
    pub fn sharing((capacity, stretches): (usize, usize), size_max: usize) -> Self {
        let shared = Vec::with_capacity(stretches);
        Self { shared, may_share: true, ..Self::new(capacity, size_max) }
    }

    /// For text that is bounded elsewhere, such as a template being loaded.
    pub fn unbounded() -> Self {
        Self::new(0, usize::MAX)
    }

    pub fn put(&mut self, bytes: &[u8]) {
        if self.make_room(bytes.len()) {
            self.own.extend_from_slice(bytes);
        }
    }

    /// Puts what is the same for everybody.
    pub fn put_fixed(&mut self, fixed: &Fixed) {
        if !self.may_share || fixed.len() < SHARED_OCTETS_MIN {
            self.put(fixed);
        } else if self.has_room(fixed.len()) {
            self.shared.push((self.own.len(), fixed.clone()));
            self.shared_octets += fixed.len();
        }
    }

    pub fn push(&mut self, byte: u8) {
        if self.make_room(1) {
            self.own.push(byte);
        }
    }

    /// Adds `count` zeroes and gives them out to be filled; `None` when there is no room.
    pub fn extend(&mut self, count: usize) -> Option<&mut [u8]> {
        let start = self.own.len();
        if !self.make_room(count) {
            return None;
        }
        self.own.resize(start + count, 0);
        Some(&mut self.own[start..])
    }

    /// Takes nothing more: something that belongs here was too large already.
    pub fn overflow(&mut self) {
        self.overflowed = true;
    }

    pub fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// The octet put last.
    pub fn last(&self) -> Option<u8> {
        match self.shared.last() {
            Some((at, fixed)) if *at == self.own.len() => fixed.last().copied(),
            _ => self.own.last().copied(),
        }
    }

    /// Takes the last octet back, which was put by [`Output::put`] or [`Output::push`].
    pub fn pop(&mut self) {
        debug_assert!(self.shared.last().is_none_or(|(at, _)| *at < self.own.len()));
        self.own.pop();
    }

    pub fn mark(&self) -> Mark {
        Mark { own: self.own.len(), shared: self.shared.len(), shared_octets: self.shared_octets }
    }

    /// Takes back all that was put since.
    pub fn back_to(&mut self, mark: Mark) {
        self.own.truncate(mark.own);
        self.shared.truncate(mark.shared);
        self.shared_octets = mark.shared_octets;
    }

    /// A line end, unless the last line has one.
    pub fn end_line(&mut self) {
        let own = &self.own[self.shared.last().map_or(0, |(at, _)| *at)..];
        let shared = self.shared.last().map(|(_, fixed)| &fixed[..]).unwrap_or_default();
        let has_line_end = match own {
            [] => shared.ends_with(b"\r\n"),
            [octet] => *octet == b'\n' && shared.ends_with(b"\r"),
            _ => own.ends_with(b"\r\n"),
        };
        if !has_line_end {
            self.put(b"\r\n");
        }
    }

    pub fn len(&self) -> usize {
        self.own.len() + self.shared_octets
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn size_max(&self) -> usize {
        self.size_max
    }

    /// The content of an output in one piece.
    pub fn as_bytes(&self) -> &[u8] {
        debug_assert!(!self.may_share, "only an output in one piece is a slice");
        &self.own
    }

    /// As [`Output::as_bytes`], where only text was put.
    pub fn as_text(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// # Errors
    /// [`TooLarge`] when something was not taken.
    pub fn finish(self) -> Result<Message, TooLarge> {
        if self.overflowed { Err(TooLarge) } else { Ok(Message::new(self.own, self.shared)) }
    }

    fn has_room(&mut self, more: usize) -> bool {
        if self.len().saturating_add(more) > self.size_max {
            self.overflowed = true;
        }
        !self.overflowed
    }

    /// Grows by hand: a plain `Vec` would leave an unwiped copy behind when it moves.
    fn make_room(&mut self, more: usize) -> bool {
        if !self.has_room(more) {
            return false;
        }
        let needed = self.own.len() + more;
        if needed > self.own.capacity() {
            let capacity = (needed + needed / 2).max(256).min(self.size_max);
            let mut wider = Wiped::with_capacity(capacity);
            wider.extend_from_slice(&self.own);
            self.own = wider;
        }
        true
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output({} octets)", self.len())
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
        let bytes = out.finish().unwrap().to_octets();
        assert!((0..10_000u32).all(|n| bytes[n as usize * 4..][..4] == n.to_le_bytes()));
    }

    #[test]
    fn what_is_referred_to_counts_like_the_rest() {
        let fixed = Fixed::new("x".repeat(SHARED_OCTETS_MIN).into_bytes());
        let mut out = Output::sharing((16, 1), 600);
        out.put(b"a");
        out.put_fixed(&fixed);
        assert_eq!((out.len(), out.last()), (SHARED_OCTETS_MIN + 1, Some(b'x')));
        let mark = out.mark();
        out.put(b"b");
        out.put_fixed(&fixed);
        out.back_to(mark);
        out.put(b"c");
        assert_eq!((out.len(), out.last()), (SHARED_OCTETS_MIN + 2, Some(b'c')));
        let message = out.finish().unwrap().to_octets();
        assert_eq!(message.as_slice(), format!("a{}c", "x".repeat(SHARED_OCTETS_MIN)).as_bytes());

        let mut out = Output::sharing((16, 1), 300);
        out.put_fixed(&fixed);
        out.put_fixed(&fixed);
        assert_eq!(out.finish().unwrap_err(), TooLarge);
    }
}
