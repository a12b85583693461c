//! One text part: a program with its fixed text encoded ahead, written with the Content-Transfer-Encoding that
//! suits the target and, where it matters, this message.

use super::encode::{Output, base64, eight_bit, quoted_printable};
use super::program::{Program, Sink};
use super::scope::Scope;
use crate::fault::Fault;

/// What the target takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    SevenBit,
    /// The target offers 8BITMIME (RFC 6152).
    EightBit,
}

/// Where a text part stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub in_multipart: bool,
    /// The format knows no line breaks inside a value (text/calendar, text/csv …): they become spaces.
    pub values_on_one_line: bool,
}

/// A text part. Holds its fixed text in every form it may be written in.
#[derive(Debug)]
pub struct Body {
    program: Program,
    place: Place,
    quoted: Vec<quoted_printable::Piece>,
    plain: Vec<eight_bit::Piece>,
    may_be_eight_bit: bool,
    compact: Compact,
}

/// The shorter of the two encodings for targets that take seven bits only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compact {
    QuotedPrintable,
    Base64,
}

impl Body {
    pub fn new(program: Program, place: Place) -> Self {
        let quoted: Vec<_> =
            program.fixed().iter().map(|text| quoted_printable::Piece::encode(text)).collect();
        let plain: Vec<_> = program.fixed().iter().map(|text| eight_bit::Piece::new(text)).collect();
        let plain_octets = plain.iter().map(|piece| piece.as_bytes().len()).sum();
        let quoted_octets: usize = quoted.iter().map(quoted_printable::Piece::encoded_len).sum();
        let is_lawful = |piece: &eight_bit::Piece| {
            !piece.has_long_line() && !(place.in_multipart && piece.has_dash_line())
        };
        Self {
            may_be_eight_bit: plain.iter().all(is_lawful),
            compact: if quoted_octets > base64::encoded_len(plain_octets) {
                Compact::Base64
            } else {
                Compact::QuotedPrintable
            },
            program,
            place,
            quoted,
            plain,
        }
    }

    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Octets of the fixed text on the wire, at most.
    pub fn fixed_octets(&self) -> usize {
        self.quoted.iter().map(quoted_printable::Piece::encoded_len).sum()
    }

    /// Octets of memory held, nearly.
    pub fn cost_bytes(&self) -> usize {
        let plain: usize = self.plain.iter().map(|piece| piece.as_bytes().len()).sum();
        // The program keeps its own copy of the fixed text.
        2 * plain + self.fixed_octets() + self.plain.len() * 128
    }

    /// Writes the Content-Transfer-Encoding field, the empty line and the text, without a line end behind it.
    ///
    /// # Errors
    /// Those of [`Program::run`].
    pub fn write(&self, scope: &Scope<'_>, transfer: Transfer, out: &mut Output) -> Result<(), Fault> {
        let start = out.len();
        if transfer == Transfer::EightBit && self.may_be_eight_bit {
            if self.write_eight_bit(scope, out)? {
                return Ok(());
            }
            // A value made a line too long, or like a boundary.
            out.truncate(start);
        }
        match self.compact {
            Compact::QuotedPrintable => self.write_quoted(scope, out),
            Compact::Base64 => self.write_base64(scope, out),
        }
    }

    fn write_eight_bit(&self, scope: &Scope<'_>, out: &mut Output) -> Result<bool, Fault> {
        out.put(b"Content-Transfer-Encoding: 8bit\r\n\r\n");
        let mut sink = PlainSink { writer: eight_bit::Writer::new(out), pieces: &self.plain };
        self.run(scope, &mut sink)?;
        Ok(sink.writer.finish(self.place.in_multipart))
    }

    fn write_quoted(&self, scope: &Scope<'_>, out: &mut Output) -> Result<(), Fault> {
        out.put(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        let mut sink = QuotedSink { writer: quoted_printable::Writer::new(out), pieces: &self.quoted };
        self.run(scope, &mut sink)?;
        sink.writer.finish();
        Ok(())
    }

    fn write_base64(&self, scope: &Scope<'_>, out: &mut Output) -> Result<(), Fault> {
        out.put(b"Content-Transfer-Encoding: base64\r\n\r\n");
        let plain: usize = self.plain.iter().map(|piece| piece.as_bytes().len()).sum();
        let mut text = Output::new(plain + 32 * self.plain.len(), out.size_max());
        let mut sink = PlainSink { writer: eight_bit::Writer::new(&mut text), pieces: &self.plain };
        self.run(scope, &mut sink)?;
        match text.finish() {
            Ok(text) => base64::write(&text, out),
            Err(_) => out.overflow(),
        }
        Ok(())
    }

    fn run(&self, scope: &Scope<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
        if self.place.values_on_one_line {
            self.program.run(scope, &mut OneLine(sink))
        } else {
            self.program.run(scope, sink)
        }
    }
}

struct PlainSink<'o, 'p> {
    writer: eight_bit::Writer<'o>,
    pieces: &'p [eight_bit::Piece],
}

impl Sink for PlainSink<'_, '_> {
    fn fixed(&mut self, index: usize) {
        self.writer.fixed(&self.pieces[index]);
    }

    fn value(&mut self, escaped: &str) {
        self.writer.value(escaped);
    }
}

struct QuotedSink<'o, 'p> {
    writer: quoted_printable::Writer<'o>,
    pieces: &'p [quoted_printable::Piece],
}

impl Sink for QuotedSink<'_, '_> {
    fn fixed(&mut self, index: usize) {
        self.writer.fixed(&self.pieces[index]);
    }

    fn value(&mut self, escaped: &str) {
        self.writer.value(escaped);
    }
}

/// Keeps line breaks of values out of formats where they would begin something new.
struct OneLine<'s>(&'s mut dyn Sink);

impl Sink for OneLine<'_> {
    fn fixed(&mut self, index: usize) {
        self.0.fixed(index);
    }

    fn value(&mut self, escaped: &str) {
        for (index, line) in escaped.split(['\r', '\n']).enumerate() {
            if index > 0 {
                self.0.value(" ");
            }
            self.0.value(line);
        }
    }
}
