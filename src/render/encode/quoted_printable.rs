//! Quoted-printable (RFC 2045 §6.7). Fixed text is encoded once; values are encoded where they land.
//!
//! A fixed piece is encoded as if it began a line. Where it does not fit behind what stands there already, the
//! writer puts a soft line break in front, so the piece itself never changes.
//!
//! A line never begins with `.` (no dot-stuffing), `-` (no value can look like a MIME boundary) or `From `
//! (no mailbox file changes it).

use super::output::Output;
use crate::message::Fixed;

/// Longest line, without its CRLF (RFC 2045 §6.7 rule 5).
const LINE_MAX: usize = 76;
/// Octets of text on a line: one is kept for the `=` of a soft break.
const TEXT_MAX: usize = LINE_MAX - 1;

/// A fixed text, encoded.
#[derive(Debug)]
pub struct Piece {
    /// Without the white space octet it may end with, which the next piece decides about.
    encoded: Fixed,
    white_space: Option<u8>,
    /// Octets before the first CRLF, or of all when there is none.
    first_line: usize,
    /// Octets after the last CRLF; `None` when there is no CRLF.
    last_line: Option<usize>,
    begins_with_break: bool,
}

impl Piece {
    pub fn encode(text: &str) -> Self {
        let mut out = Output::unbounded();
        let mut writer = Writer::new(&mut out);
        writer.value(text);
        let encoded = out.as_bytes();
        let first_line = memchr::memchr(b'\r', encoded);
        let last_line = memchr::memrchr(b'\n', encoded).map(|at| encoded.len() - at - 1);
        let white_space = encoded.last().copied().filter(|octet| matches!(octet, b' ' | b'\t'));
        let rest = encoded.len() - usize::from(white_space.is_some());
        Self {
            first_line: first_line.unwrap_or(encoded.len()),
            last_line,
            begins_with_break: text.starts_with('\n') || text.starts_with("\r\n"),
            encoded: Fixed::new(&encoded[..rest]),
            white_space,
        }
    }

    /// Octets on the wire.
    pub fn encoded_len(&self) -> usize {
        self.encoded.len() + usize::from(self.white_space.is_some())
    }

    fn fits_at(&self, column: usize) -> bool {
        let line_max = if self.last_line.is_some() { LINE_MAX } else { TEXT_MAX };
        column + self.first_line <= line_max
    }
}

/// Writes one body. Call [`Writer::finish`] before anything else is put.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Output,
    /// Octets on the current line.
    column: usize,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Output) -> Self {
        Self { out, column: 0 }
    }

    pub fn fixed(&mut self, piece: &Piece) {
        if piece.begins_with_break {
            self.protect_white_space();
        } else if self.column > 0 && !piece.fits_at(self.column) {
            self.soft_break();
        }
        self.out.put_fixed(&piece.encoded);
        if let Some(octet) = piece.white_space {
            self.out.push(octet);
        }
        self.column = piece.last_line.unwrap_or(self.column + piece.encoded_len());
    }

    pub fn value(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = match byte {
                b'\n' => {
                    self.hard_break();
                    tail
                }
                b'\r' if tail.first() == Some(&b'\n') => {
                    self.hard_break();
                    &tail[1..]
                }
                // One alone ends no line.
                0 => tail,
                _ if !is_literal(byte) || (self.column == 0 && is_unsafe_at_line_start(rest)) => {
                    self.triplet(byte);
                    tail
                }
                _ => self.literals(rest),
            };
        }
    }

    /// Ends the text; white space at its end survives.
    pub fn finish(mut self) {
        self.protect_white_space();
    }

    fn literals<'t>(&mut self, text: &'t [u8]) -> &'t [u8] {
        if self.column >= TEXT_MAX {
            self.soft_break();
            return text;
        }
        let room = text.len().min(TEXT_MAX - self.column);
        let count = text[..room].iter().take_while(|byte| is_literal(**byte)).count();
        let (literals, rest) = text.split_at(count);
        self.out.put(literals);
        self.column += count;
        rest
    }

    fn triplet(&mut self, byte: u8) {
        if self.column + 3 > TEXT_MAX {
            self.soft_break();
        }
        self.out.put(&escaped(byte));
        self.column += 3;
    }

    fn soft_break(&mut self) {
        self.out.put(b"=\r\n");
        self.column = 0;
    }

    fn hard_break(&mut self) {
        self.protect_white_space();
        self.out.put(b"\r\n");
        self.column = 0;
    }

    /// White space at the end of a line would be taken off on the way (RFC 2045 §6.7 rule 3).
    fn protect_white_space(&mut self) {
        let Some(last @ (b' ' | b'\t')) = self.out.last() else { return };
        if self.column == 0 {
            return;
        }
        if self.column + 2 <= LINE_MAX {
            self.out.pop();
            self.out.put(&escaped(last));
            self.column += 2;
        } else {
            self.soft_break();
        }
    }
}

fn is_literal(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t') && byte != b'='
}

fn is_unsafe_at_line_start(text: &[u8]) -> bool {
    // The rest of "From " may come from the next piece.
    let may_become_from = || text.starts_with(b"From ") || b"From ".starts_with(text);
    matches!(text[0], b'.' | b'-') || (text[0] == b'F' && may_become_from())
}

fn escaped(byte: u8) -> [u8; 3] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    [b'=', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::decoders::quoted_printable::quoted_printable_decode;
    use proptest::prelude::*;

    /// Texts with a flag: `true` for fixed ones.
    fn encode(pieces: &[(bool, String)]) -> Vec<u8> {
        let mut out = Output::unbounded();
        let mut writer = Writer::new(&mut out);
        for (is_fixed, text) in pieces {
            if *is_fixed { writer.fixed(&Piece::encode(text)) } else { writer.value(text) }
        }
        writer.finish();
        out.as_bytes().to_vec()
    }

    fn wanted(pieces: &[(bool, String)]) -> String {
        let breaks = |text: &String| text.replace("\r\n", "\n").replace('\0', "");
        pieces.iter().map(|(_, text)| breaks(text).replace('\n', "\r\n")).collect()
    }

    fn check(pieces: &[(bool, String)]) {
        let encoded = encode(pieces);
        let decoded = quoted_printable_decode(&encoded).unwrap();
        assert_eq!(String::from_utf8(decoded).unwrap(), wanted(pieces), "{pieces:?}");
        for line in String::from_utf8(encoded).unwrap().split("\r\n") {
            assert!(line.len() <= 76, "{line}");
            assert!(!line.contains(['\r', '\n', '\0']) && !line.ends_with([' ', '\t']), "{line:?}");
            assert!(!line.starts_with(['.', '-']) && !line.starts_with("From "), "{line:?}");
        }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ \t\r\n.=a\\-]{0,20}",
            "\\PC{0,120}",
            Just(String::from("From ")),
            Just("x".repeat(75)),
            Just("y".repeat(74) + " "),
            any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn any_pieces_decode_to_the_same_text(pieces in prop::collection::vec((any::<bool>(), text()), 0..8)) {
            check(&pieces);
        }

        #[test]
        fn a_text_cut_anywhere_decodes_to_the_same(text in "[ -~א-ת😀\n]{0,300}", cut in 0usize..300) {
            let cut = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            check(&[(true, text[..cut].into()), (true, text[cut..].into())]);
            check(&[(true, text[..cut].into()), (false, text[cut..].into())]);
        }
    }

    #[test]
    fn a_value_stays_on_the_line_when_it_fits() {
        let pieces = [(true, "Hello ".into()), (false, "Dana".into()), (true, ", welcome\n".into())];
        assert_eq!(encode(&pieces), b"Hello Dana, welcome\r\n");
    }

    #[test]
    fn white_space_before_an_empty_value_survives() {
        let pieces = [(true, "Hello ".into()), (false, String::new()), (true, "\nnext".into())];
        assert_eq!(encode(&pieces), b"Hello=20\r\nnext");
        let from = [(false, "Fr".into()), (true, "om here".into())];
        assert_eq!(encode(&from), b"=46rom here");
    }
}
