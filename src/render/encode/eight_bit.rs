//! Bodies sent as they are (RFC 6152): CRLF line ends, no NUL, and a watch on the longest line.

use super::output::Output;
use crate::message::Fixed;
use memchr::memmem;

/// Longest line, without its CRLF (RFC 5322 §2.1.1).
pub const LINE_OCTETS_MAX: usize = 998;

/// A fixed text with CRLF line ends, and what is known of its lines.
#[derive(Debug)]
pub struct Piece {
    text: Fixed,
    /// Octets before the first CRLF, or of all when there is none.
    first_line: usize,
    /// Octets after the last CRLF; `None` when there is no CRLF.
    last_line: Option<usize>,
    has_long_line: bool,
    /// A line within begins with `--`, as every MIME boundary does (RFC 2046 §5.1.1).
    has_dash_line: bool,
    /// A CR that ends no line, which nobody may send as it is (RFC 5321 §2.3.8).
    has_lone_cr: bool,
}

impl Piece {
    pub fn new(text: &str) -> Self {
        let mut out = Output::unbounded();
        let mut writer = Writer::new(&mut out);
        writer.value(text);
        let (has_long_line, has_lone_cr) = (writer.has_long_line, writer.has_lone_cr);
        let text = out.as_bytes();
        Self {
            first_line: memmem::find(text, b"\r\n").unwrap_or(text.len()),
            has_lone_cr,
            last_line: memchr::memrchr(b'\n', text).map(|at| text.len() - at - 1),
            has_dash_line: memmem::find(text, b"\n--").is_some(),
            text: Fixed::new(text),
            has_long_line,
        }
    }

    /// Whether one of its lines is too long or, in a multipart, could be taken for a boundary.
    pub fn is_barred(&self, in_multipart: bool) -> bool {
        self.has_long_line || self.has_lone_cr || (in_multipart && self.has_dash_line)
    }
}

/// Writes one body.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Output,
    /// Octets on the current line.
    column: usize,
    has_long_line: bool,
    /// The current line consists of dashes alone, at most one.
    may_become_dash_line: bool,
    has_dash_line: bool,
    has_lone_cr: bool,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Output) -> Self {
        Self {
            out,
            column: 0,
            has_long_line: false,
            may_become_dash_line: true,
            has_dash_line: false,
            has_lone_cr: false,
        }
    }

    pub fn fixed(&mut self, piece: &Piece) {
        self.has_lone_cr |= piece.has_lone_cr;
        self.has_long_line |= piece.has_long_line || self.column + piece.first_line > LINE_OCTETS_MAX;
        self.note_dashes(&piece.text);
        match piece.last_line {
            Some(octets) => {
                self.begin_line();
                self.note_dashes(&piece.text[piece.text.len() - octets..]);
                self.has_dash_line |= piece.has_dash_line;
                self.column = octets;
            }
            None => self.column += piece.first_line,
        }
        self.out.put_fixed(&piece.text);
    }

    pub fn value(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while let Some(at) = memchr::memchr3(b'\r', b'\n', 0, rest) {
            self.run(&rest[..at]);
            let is_crlf = rest[at..].starts_with(b"\r\n");
            if is_crlf || rest[at] == b'\n' {
                self.out.put(b"\r\n");
                self.begin_line();
            } else if rest[at] == b'\r' {
                self.run(b"\r");
                self.has_lone_cr = true;
            }
            rest = &rest[at + 1 + usize::from(is_crlf)..];
        }
        self.run(rest);
    }

    /// Whether the text may stand as it is. In a multipart no line may begin like a boundary.
    pub fn finish(self, in_multipart: bool) -> bool {
        let is_barred = self.has_long_line || self.has_lone_cr || (in_multipart && self.has_dash_line);
        !is_barred
    }

    fn begin_line(&mut self) {
        self.column = 0;
        self.may_become_dash_line = true;
    }

    /// Looks whether the current line comes to begin with `--`. Two octets decide; of what stands behind a line end
    /// nothing is seen here.
    fn note_dashes(&mut self, text: &[u8]) {
        if !self.may_become_dash_line {
            return;
        }
        let before = self.column.min(1);
        let dashes = text.iter().take(2 - before).take_while(|octet| **octet == b'-').count();
        self.has_dash_line |= before + dashes == 2;
        self.may_become_dash_line = dashes == text.len() && before + dashes < 2;
    }

    fn run(&mut self, text: &[u8]) {
        self.note_dashes(text);
        self.out.put(text);
        self.column += text.len();
        self.has_long_line |= self.column > LINE_OCTETS_MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(pieces: &[(bool, String)]) -> (Vec<u8>, bool) {
        let mut out = Output::unbounded();
        let mut writer = Writer::new(&mut out);
        for (is_fixed, text) in pieces {
            if *is_fixed { writer.fixed(&Piece::new(text)) } else { writer.value(text) }
        }
        let may_stand = writer.finish(true);
        (out.as_bytes().to_vec(), may_stand)
    }

    proptest! {
        #[test]
        fn what_may_stand_has_only_lawful_lines(
            pieces in prop::collection::vec((any::<bool>(), "[a\0\r\n\\-]{0,6}|x{0,600}|\\PC{0,9}"), 0..6)
        ) {
            let (bytes, may_stand) = encode(&pieces);
            let text = String::from_utf8(bytes).unwrap();
            let lawful = |line: &str| line.len() <= 998 && !line.starts_with("--");
            prop_assert!(text.split("\r\n").all(|line| !line.contains(['\n', '\0'])));
            let has_lone_cr = text.replace("\r\n", "").contains('\r');
            prop_assert_eq!(may_stand, !has_lone_cr && text.split("\r\n").all(lawful));
        }
    }
}
