//! One text part: a program with its fixed text encoded ahead, written with the Content-Transfer-Encoding that
//! suits the target and, where it matters, this message.

use super::content_lines;
use super::encode::output::SHARED_OCTETS_MIN;
use super::encode::{Output, base64, eight_bit, quoted_printable};
use super::program::{Program, Sink};
use super::scope::Scope;
use super::weight::Weight;
use crate::fault::Fault;
use std::sync::OnceLock;

/// Content-Transfer-Encoding and the empty line, at most.
const FIELD_OCTETS: usize = 64;

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
    pub layout: Layout,
}

/// How the lines of a text are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    #[default]
    Prose,
    /// The format knows no line breaks inside a value (text/csv …): they become spaces.
    ValuesOnOneLine,
    /// Content lines: a long one is folded (RFC 5545 §3.1, RFC 6350 §3.2).
    Folded,
}

/// A text part. Its fixed text is encoded once, in each form that is asked for.
#[derive(Debug)]
pub struct Body {
    program: Program,
    place: Place,
    quoted: OnceLock<Vec<quoted_printable::Piece>>,
    plain: OnceLock<Plain>,
    compact: Compact,
    octets: usize,
}

/// The fixed text for eight-bit and base64 bodies.
#[derive(Debug)]
struct Plain {
    pieces: Vec<eight_bit::Piece>,
    /// No piece has a line that forbids 8bit here.
    may_stand: bool,
}

/// The shorter of the two encodings for targets that take seven bits only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compact {
    QuotedPrintable,
    Base64,
}

impl Body {
    pub fn new(program: Program, place: Place) -> Self {
        let octets: usize = program.fixed().iter().map(|text| text.len()).sum();
        let tripled: usize = program.fixed().iter().map(|text| triplets(text)).sum();
        let is_longer_quoted = octets + 2 * tripled > base64::encoded_len(octets);
        Self {
            compact: if is_longer_quoted { Compact::Base64 } else { Compact::QuotedPrintable },
            octets: if is_longer_quoted { base64::encoded_len(octets) } else { octets + 2 * tripled },
            program,
            place,
            quoted: OnceLock::new(),
            plain: OnceLock::new(),
        }
    }

    /// Encodes the fixed text now rather than with the first message.
    pub fn prepare(&self) {
        self.plain();
        if self.compact == Compact::QuotedPrintable {
            self.quoted();
        }
    }

    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Octets of the fixed text on the wire, nearly.
    pub fn fixed_octets(&self) -> usize {
        self.octets
    }

    /// Octets of fixed text that are copied into each message, and stretches that are not, nearly.
    pub fn copied_and_shared(&self) -> (usize, usize) {
        if self.compact == Compact::Base64 {
            return (self.octets, self.program.fixed().len());
        }
        let (short, long): (Vec<_>, Vec<_>) =
            self.program.fixed().iter().map(|text| text.len()).partition(|len| *len < SHARED_OCTETS_MIN);
        (short.iter().sum(), long.len())
    }

    /// Octets of memory held when every form has been asked for, nearly.
    pub fn cost_bytes(&self) -> usize {
        3 * self.octets + self.program.fixed().len() * 128
    }

    /// Octets that a text of this weight takes here at most, with the field before it, whatever the target takes.
    pub(super) fn octets_at_most(&self, text: Weight) -> usize {
        let text = if self.place.layout == Layout::Folded { text.folded() } else { text };
        let encoded = match (self.place.layout, self.compact) {
            (Layout::Folded, _) | (_, Compact::QuotedPrintable) => text.quoted(),
            (_, Compact::Base64) => text.base64(),
        };
        encoded + FIELD_OCTETS
    }

    fn quoted(&self) -> &[quoted_printable::Piece] {
        let encode =
            || self.program.fixed().iter().map(|text| quoted_printable::Piece::encode(text)).collect();
        self.quoted.get_or_init(encode)
    }

    fn plain(&self) -> &Plain {
        self.plain.get_or_init(|| {
            let pieces: Vec<_> =
                self.program.fixed().iter().map(|text| eight_bit::Piece::new(text)).collect();
            let in_multipart = self.place.in_multipart;
            let may_stand = !pieces.iter().any(|piece| piece.is_barred(in_multipart));
            Plain { pieces, may_stand }
        })
    }

    /// Writes the Content-Transfer-Encoding field, the empty line and the text, without a line end behind it. Gives the
    /// bytes that the program puts out, as [`Program::run`] does.
    ///
    /// # Errors
    /// Those of [`Program::run`].
    pub fn write(&self, scope: &Scope<'_>, transfer: Transfer, out: &mut Output) -> Result<usize, Fault> {
        if self.place.layout == Layout::Folded {
            return self.write_folded(scope, transfer, out);
        }
        let start = out.mark();
        if transfer == Transfer::EightBit && self.plain().may_stand {
            if let Some(bytes) = self.write_eight_bit(scope, out)? {
                return Ok(bytes);
            }
            // A value made a line too long, or like a boundary.
            out.back_to(start);
        }
        match self.compact {
            Compact::QuotedPrintable => self.write_quoted(scope, out),
            Compact::Base64 => self.write_base64(scope, out),
        }
    }

    /// None where the text cannot stand so.
    fn write_eight_bit(&self, scope: &Scope<'_>, out: &mut Output) -> Result<Option<usize>, Fault> {
        out.put(b"Content-Transfer-Encoding: 8bit\r\n\r\n");
        let mut sink = PlainSink { writer: eight_bit::Writer::new(out), pieces: &self.plain().pieces };
        let bytes = self.run(scope, &mut sink)?;
        Ok(sink.writer.finish(self.place.in_multipart).then_some(bytes))
    }

    fn write_quoted(&self, scope: &Scope<'_>, out: &mut Output) -> Result<usize, Fault> {
        out.put(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        let mut sink = QuotedSink { writer: quoted_printable::Writer::new(out), pieces: self.quoted() };
        let bytes = self.run(scope, &mut sink)?;
        sink.writer.finish();
        Ok(bytes)
    }

    fn write_base64(&self, scope: &Scope<'_>, out: &mut Output) -> Result<usize, Fault> {
        out.put(b"Content-Transfer-Encoding: base64\r\n\r\n");
        let room = self.octets + 32 * self.program.fixed().len();
        let mut text = Output::new(room, out.size_max());
        let mut sink = PlainSink { writer: eight_bit::Writer::new(&mut text), pieces: &self.plain().pieces };
        let bytes = self.run(scope, &mut sink)?;
        match text.finish() {
            Ok(text) => base64::write(&text.to_octets(), out),
            Err(_) => out.overflow(),
        }
        Ok(bytes)
    }

    /// Where lines are folded depends on the values, so all of the text is made first.
    fn write_folded(&self, scope: &Scope<'_>, transfer: Transfer, out: &mut Output) -> Result<usize, Fault> {
        let room = self.octets + 32 * self.program.fixed().len();
        let mut text = Output::new(room, out.size_max());
        let bytes = self.run(scope, &mut TextSink { program: &self.program, text: &mut text })?;
        if text.has_overflowed() {
            out.overflow();
            return Ok(bytes);
        }
        let mut folded = Output::new(text.len() + text.len() / 16, out.size_max());
        content_lines::fold(text.as_text(), &mut folded);
        let is_plain = folded.as_bytes().is_ascii() || transfer == Transfer::EightBit;
        let start = out.mark();
        if is_plain {
            let label: &[u8] = if folded.as_bytes().is_ascii() { b"7bit" } else { b"8bit" };
            out.put(&[b"Content-Transfer-Encoding: ".as_slice(), label, b"\r\n\r\n"].concat());
            let mut writer = eight_bit::Writer::new(out);
            writer.value(folded.as_text());
            if writer.finish(self.place.in_multipart) {
                return Ok(bytes);
            }
            out.back_to(start);
        }
        out.put(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        let mut writer = quoted_printable::Writer::new(out);
        writer.value(folded.as_text());
        writer.finish();
        Ok(bytes)
    }

    fn run(&self, scope: &Scope<'_>, sink: &mut dyn Sink) -> Result<usize, Fault> {
        match self.place.layout {
            Layout::ValuesOnOneLine => self.program.run(scope, &mut OneLine(sink)),
            Layout::Prose | Layout::Folded => self.program.run(scope, sink),
        }
    }
}

/// Octets that quoted-printable writes as three.
fn triplets(text: &str) -> usize {
    text.bytes().filter(|byte| !byte.is_ascii() || *byte == b'=').count()
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

/// Collects the text as it is.
struct TextSink<'t, 'p> {
    program: &'p Program,
    text: &'t mut Output,
}

impl Sink for TextSink<'_, '_> {
    fn fixed(&mut self, index: usize) {
        self.text.put(self.program.fixed()[index].as_bytes());
    }

    fn value(&mut self, escaped: &str) {
        self.text.put(escaped.as_bytes());
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
