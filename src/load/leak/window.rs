//! A stream seen through a window that moves forward and keeps the end of what it showed before, so that nothing
//! is cut in two; and the same bytes without their line breaks.

use std::io::{self, Read};

const CHUNK_BYTES: usize = 256 << 10;

/// The bytes in view.
pub struct Window {
    bytes: Vec<u8>,
    start: u64,
    /// Bytes at the front that were in view before.
    seen: usize,
    overlap: usize,
}

/// What a magic number promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Zlib,
}

impl Window {
    /// `overlap` is how many bytes stay in view when the window moves.
    pub fn new(overlap: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, seen: 0, overlap }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where in the stream the window begins.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Where in the stream the window ends.
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Moves on and tells how many bytes came into view; they are there even if the reading ended in an error.
    pub fn advance(&mut self, source: &mut (impl Read + ?Sized)) -> (usize, io::Result<()>) {
        let gone = self.bytes.len().saturating_sub(self.overlap);
        self.bytes.drain(..gone);
        self.start += gone as u64;
        self.seen = self.bytes.len();
        let read = source.take(CHUNK_BYTES as u64).read_to_end(&mut self.bytes);
        (self.bytes.len() - self.seen, read.map(drop))
    }

    /// Where in the stream something compressed may begin, among the bytes that came into view last.
    pub fn compressed_streams(&self) -> Vec<(Compression, u64)> {
        let from = self.seen.saturating_sub(2);
        (from..self.bytes.len())
            .filter_map(|at| {
                let compression = match &self.bytes[at..] {
                    [0x1f, 0x8b, 0x08, ..] => Compression::Gzip,
                    // The usual window and each of the four levels (RFC 1950 §2.2).
                    [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Compression::Zlib,
                    _ => return None,
                };
                Some((compression, self.start + at as u64))
            })
            .collect()
    }
}

/// Bytes without line breaks and without the soft line breaks of quoted-printable.
pub struct Unfolded {
    pub bytes: Vec<u8>,
    /// For each break taken out: where it would stand in `bytes`, and how many bytes were taken out up to there.
    breaks: Vec<(usize, usize)>,
}

impl Unfolded {
    /// `None` when there is no line break to take out.
    pub fn of(folded: &[u8]) -> Option<Self> {
        let mut unfolded = Self { bytes: Vec::new(), breaks: Vec::new() };
        let mut from = 0;
        for at in memchr::memchr_iter(b'\n', folded) {
            let line = &folded[from..at];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = line.strip_suffix(b"=").unwrap_or(line);
            unfolded.bytes.extend_from_slice(line);
            from = at + 1;
            unfolded.breaks.push((unfolded.bytes.len(), from - unfolded.bytes.len()));
        }
        if from == 0 {
            return None;
        }
        unfolded.bytes.extend_from_slice(&folded[from..]);
        Some(unfolded)
    }

    /// Where the byte at `at` stood before.
    pub fn folded_offset(&self, at: usize) -> usize {
        let breaks_before = self.breaks.partition_point(|(position, _)| *position <= at);
        at + breaks_before.checked_sub(1).map_or(0, |last| self.breaks[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_shows_every_byte_and_keeps_the_overlap() {
        let stream: Vec<u8> = (0..CHUNK_BYTES * 2 + 77).map(|i| (i % 251) as u8).collect();
        let mut window = Window::new(100);
        let mut source = stream.as_slice();
        let mut seen = Vec::new();
        loop {
            let (fresh, read) = window.advance(&mut source);
            read.unwrap();
            if fresh == 0 {
                break;
            }
            let whole = window.bytes();
            assert_eq!(whole, &stream[window.start() as usize..window.end() as usize]);
            assert!(seen.is_empty() || whole.len() == fresh + 100);
            seen.extend_from_slice(&whole[whole.len() - fresh..]);
        }
        assert_eq!(seen, stream);
    }

    #[test]
    fn line_breaks_are_taken_out_and_offsets_are_those_of_before() {
        let folded = b"ab=\r\ncd\nef=3D\r\n\r\ng";
        let unfolded = Unfolded::of(folded).unwrap();
        assert_eq!(unfolded.bytes, b"abcdef=3Dg");
        for (at, byte) in unfolded.bytes.iter().enumerate() {
            assert_eq!(folded[unfolded.folded_offset(at)], *byte);
        }
        assert!(Unfolded::of(b"no break").is_none());
    }

    proptest::proptest! {
        #[test]
        fn offsets_lead_back_to_the_same_byte(folded in "[ab=\r\n]{0,40}") {
            if let Some(unfolded) = Unfolded::of(folded.as_bytes()) {
                for (at, byte) in unfolded.bytes.iter().enumerate() {
                    assert_eq!(folded.as_bytes()[unfolded.folded_offset(at)], *byte);
                }
            }
        }
    }
}
