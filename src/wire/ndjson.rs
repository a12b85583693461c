//! Cuts a byte stream into lines (newline-delimited JSON) with a bound on the length of a line. Bytes in,
//! lines out, no I/O: an over-long line is skipped without being held, and the stream goes on behind it.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

/// What the stream held next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A line without its line end. Lines of white space only are counted and left out.
    Line { number: u64, bytes: Bytes },
    /// A line over the bound; its bytes were dropped as they came.
    TooLong { number: u64 },
}

/// Holds at most one unfinished line of `line_bytes_max` bytes, and the chunk it was given last.
#[derive(Debug)]
pub struct Framer {
    line_bytes_max: usize,
    chunk: Bytes,
    partial: BytesMut,
    skipping: bool,
    /// Lines begun so far; the first line is 1.
    number: u64,
    inside_line: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Room kept for the next unfinished line; a larger buffer is given back once its line is done.
const PARTIAL_BYTES_KEPT: usize = 64 * 1024;

impl Framer {
    /// `line_bytes_max` counts the line without its line end.
    pub fn new(line_bytes_max: usize) -> Self {
        Self {
            line_bytes_max,
            chunk: Bytes::new(),
            partial: BytesMut::new(),
            skipping: false,
            number: 0,
            inside_line: false,
        }
    }

    /// Gives the next chunk. Call [`Framer::next_frame`] until it says `None` before giving another.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "the last chunk is used up first");
        self.chunk = chunk;
    }

    /// The next whole line; `None` when more bytes are needed.
    pub fn next_frame(&mut self) -> Option<Frame> {
        while !self.chunk.is_empty() {
            if !self.inside_line {
                self.skip_empty_lines();
                if self.chunk.is_empty() {
                    return None;
                }
                self.inside_line = true;
                self.number += 1;
            }
            let Some(end) = memchr(b'\n', &self.chunk) else {
                let rest = std::mem::take(&mut self.chunk);
                self.hold(&rest);
                return None;
            };
            let tail = self.chunk.split_to(end + 1).slice(..end);
            if let Some(frame) = self.end_line(tail) {
                return Some(frame);
            }
        }
        None
    }

    /// The stream ended: a last line without a line end is a line all the same.
    pub fn finish(&mut self) -> Option<Frame> {
        if self.inside_line { self.end_line(Bytes::new()) } else { None }
    }

    /// Number of the line that is being read, or was read last.
    pub fn line_number(&self) -> u64 {
        self.number
    }

    /// Bytes of the unfinished line held right now.
    pub fn held_bytes(&self) -> usize {
        self.partial.len()
    }

    /// All that stand here at once: a stream may be nothing else.
    fn skip_empty_lines(&mut self) {
        let mut skipped = 0;
        loop {
            skipped += match &self.chunk[skipped..] {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                _ => break,
            };
            self.number += 1;
        }
        self.chunk.advance(skipped);
    }

    fn hold(&mut self, piece: &[u8]) {
        // One byte of grace for the CR of a CRLF that may still turn out to be the line end.
        if self.skipping || self.partial.len() + piece.len() > self.line_bytes_max + BYTE_ORDER_MARK.len() + 1
        {
            self.skipping = true;
            self.partial = BytesMut::new();
        } else {
            self.partial.extend_from_slice(piece);
        }
    }

    fn end_line(&mut self, tail: Bytes) -> Option<Frame> {
        self.inside_line = false;
        let number = self.number;
        let whole = if self.partial.is_empty() && !self.skipping {
            tail
        } else {
            self.hold(&tail);
            self.take_partial()
        };
        if std::mem::take(&mut self.skipping) {
            return Some(Frame::TooLong { number });
        }
        let bytes = without_mark_and_cr(whole, number);
        if bytes.len() > self.line_bytes_max {
            return Some(Frame::TooLong { number });
        }
        let blank = bytes.iter().all(|byte| matches!(byte, b' ' | b'\t'));
        (!blank).then_some(Frame::Line { number, bytes })
    }

    fn take_partial(&mut self) -> Bytes {
        let line = self.partial.split().freeze();
        if line.len() > PARTIAL_BYTES_KEPT {
            self.partial = BytesMut::new();
        }
        line
    }
}

/// One byte order mark in front of the first line is forgiven: Windows tools write it.
fn without_mark_and_cr(mut line: Bytes, number: u64) -> Bytes {
    if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
        line = line.slice(BYTE_ORDER_MARK.len()..);
    }
    if line.last() == Some(&b'\r') {
        line.truncate(line.len() - 1);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(chunks: impl IntoIterator<Item = Bytes>, max: usize) -> Vec<Frame> {
        let mut framer = Framer::new(max);
        let mut found = Vec::new();
        for chunk in chunks {
            framer.push(chunk);
            while let Some(frame) = framer.next_frame() {
                found.push(frame);
            }
            assert!(framer.held_bytes() <= max + 4);
        }
        found.extend(framer.finish());
        found
    }

    fn line(number: u64, text: &str) -> Frame {
        Frame::Line { number, bytes: Bytes::copy_from_slice(text.as_bytes()) }
    }

    #[test]
    fn lines_end_in_lf_crlf_or_the_end_of_the_stream() {
        let input = Bytes::from_static(b"\xef\xbb\xbfone\r\n\n  \ntwo\nthree");
        assert_eq!(frames([input], 10), [line(1, "one"), line(4, "two"), line(5, "three")]);
    }

    #[test]
    fn an_over_long_line_is_named_and_the_stream_goes_on() {
        let exact = "x".repeat(10);
        let text = format!("{exact}\r\n{exact}y\nafter\n{}", "z".repeat(1000));
        let expected =
            [line(1, &exact), Frame::TooLong { number: 2 }, line(3, "after"), Frame::TooLong { number: 4 }];
        assert_eq!(frames([Bytes::from(text)], 10), expected);
    }

    #[test]
    fn a_line_far_over_the_bound_is_not_held() {
        let mut framer = Framer::new(1024);
        let chunk = Bytes::from(vec![b'a'; 1 << 20]);
        for _ in 0..16 {
            framer.push(chunk.clone());
            assert_eq!(framer.next_frame(), None);
            assert_eq!(framer.held_bytes(), 0);
        }
        framer.push(Bytes::from_static(b"\nnext\n"));
        assert_eq!(framer.next_frame(), Some(Frame::TooLong { number: 1 }));
        assert_eq!(framer.next_frame(), Some(line(2, "next")));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            pieces in proptest::collection::vec("[ab\r\n\u{feff}]{0,12}", 0..12),
            cuts in proptest::collection::vec(1usize..9, 1..40),
            max in 1usize..12,
        ) {
            let whole = Bytes::from(pieces.concat());
            let mut rest = whole.clone();
            let mut split = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                split.push(rest.split_to((*cut).min(rest.len())));
            }
            prop_assert_eq!(frames(split, max), frames([whole], max));
        }
    }
}
