//! The pieces of a plan, each writing its own stretch of the message.

use super::RenderRequest;
use super::mailbox::{Mailbox, Mailboxes};
use crate::fault::{Fault, Reason};
use crate::message::Fixed;
use crate::render::body::{Body, Transfer};
use crate::render::encode::header::Unfoldable;
use crate::render::encode::output::SHARED_OCTETS_MIN;
use crate::render::encode::{Address, Output, header, word};
use crate::render::program::{Program, Sink};
use crate::render::run::VALUE_BYTES_MAX;
use crate::render::scope::Scope;
use std::sync::Arc;

/// Longest text of a header field before it is encoded, in octets. The person's values are not counted.
pub const HEADER_TEXT_OCTETS_MAX: usize = 16 * 1024;

/// Longest boundary (RFC 2046 §5.1.1).
pub const BOUNDARY_OCTETS_MAX: usize = 70;

/// A stretch of the message.
#[derive(Debug)]
pub enum Piece {
    /// Written out already.
    Fixed(Fixed),
    /// The same for everybody, but in a form the target takes.
    ByTransfer {
        eight_bit: Fixed,
        seven_bit: Fixed,
    },
    /// A header field for people.
    Text {
        name: Box<str>,
        program: Arc<Program>,
    },
    /// A header field for machines: URLs, ids.
    Verbatim {
        name: Box<str>,
        program: Arc<Program>,
    },
    Mailboxes(Mailboxes),
    /// From, for a message that has none.
    From,
    Date,
    MessageId,
    SendNumber,
    /// The boundary of this number, as the message at hand has it.
    Boundary(usize),
    /// Content-Transfer-Encoding, empty line, text.
    Body(Box<Body>),
}

/// Names the field; its value may be anything.
pub(in crate::render) fn unfoldable(name: &str, cause: Unfoldable) -> Fault {
    Fault::new(
        Reason::TooLarge,
        format!("the header {name} holds {cause}; shorten the value, or put a space in it"),
    )
}

/// What fills a plan for one person.
pub struct Filling<'a> {
    pub scope: Scope<'a>,
    pub request: &'a RenderRequest<'a>,
    pub recipient: &'a Address,
    /// The address of From, or what stands in for it.
    pub from: &'a Address,
    pub boundaries: &'a [Box<str>],
}

impl Piece {
    pub fn fixed(bytes: impl Into<Box<[u8]>>) -> Self {
        Self::Fixed(Fixed::new(bytes))
    }

    /// Gives the bytes that its programs put out, as [`Program::run`] does.
    ///
    /// # Errors
    /// Those of [`Program::run`], and `too-large` for header text past [`HEADER_TEXT_OCTETS_MAX`], or that cannot be folded.
    pub fn write(&self, filling: &Filling<'_>, out: &mut Output) -> Result<usize, Fault> {
        let request = filling.request;
        match self {
            Self::Fixed(octets) => out.put_fixed(octets),
            Self::ByTransfer { eight_bit, seven_bit } => match request.transfer {
                Transfer::EightBit => out.put_fixed(eight_bit),
                Transfer::SevenBit => out.put_fixed(seven_bit),
            },
            Self::Text { name, program } => {
                let written = clean_text(program, &filling.scope)?;
                header::unstructured(name, written.text.as_text(), out);
                return Ok(written.bytes);
            }
            Self::Verbatim { name, program } => return write_verbatim(name, program, &filling.scope, out),
            Self::Mailboxes(mailboxes) => return mailboxes.write(filling, out),
            Self::From => {
                header::start("From", out);
                out.put(filling.from.as_str().as_bytes());
                out.put(b"\r\n");
            }
            Self::Date => header::unstructured("Date", request.now.header(), out),
            Self::MessageId => {
                out.put(b"Message-ID: <");
                out.put(request.send.as_str().as_bytes());
                out.push(b'@');
                out.put(filling.from.domain().as_bytes());
                out.put(b">\r\n");
            }
            Self::SendNumber => header::unstructured("X-Send-Number", request.send.as_str(), out),
            Self::Boundary(number) => {
                let boundary = filling.boundaries.get(*number).expect("a plan has all its boundaries");
                out.put(boundary.as_bytes());
            }
            Self::Body(body) => return body.write(&filling.scope, request.transfer, out),
        }
        Ok(0)
    }

    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        let (own, mailboxes): (_, &[Mailbox]) = match self {
            Self::Text { program, .. } | Self::Verbatim { program, .. } => (Some(program.as_ref()), &[]),
            Self::Mailboxes(mailboxes) => (None, &mailboxes.list),
            Self::Body(body) => (Some(body.program()), &[]),
            _ => (None, &[]),
        };
        own.into_iter().chain(mailboxes.iter().filter_map(Mailbox::program))
    }

    /// Octets on the wire that are known already.
    pub fn fixed_octets(&self) -> usize {
        match self {
            Self::Fixed(bytes) => bytes.len(),
            Self::ByTransfer { eight_bit, seven_bit } => eight_bit.len().max(seven_bit.len()),
            Self::Body(body) => body.fixed_octets(),
            Self::Boundary(_) => BOUNDARY_OCTETS_MAX,
            _ => 0,
        }
    }

    /// Of the octets that are known already: how many are copied into each message, and in how many stretches the
    /// others stand.
    pub fn copied_and_shared(&self) -> (usize, usize) {
        match self {
            Self::Body(body) => body.copied_and_shared(),
            other if other.fixed_octets() >= SHARED_OCTETS_MIN => (0, 1),
            other => (other.fixed_octets(), 0),
        }
    }

    /// Octets of memory held, nearly.
    pub fn cost_bytes(&self) -> usize {
        let held = match self {
            Self::ByTransfer { eight_bit, seven_bit } => eight_bit.len() + seven_bit.len(),
            Self::Body(body) => body.cost_bytes(),
            Self::Text { program, .. } | Self::Verbatim { program, .. } => program.cost_bytes() + 64,
            Self::Mailboxes(mailboxes) => mailboxes.list.len() * 256,
            other => other.fixed_octets() + 256,
        };
        held + size_of::<Self>()
    }
}

/// A field for machines.
///
/// # Errors
/// As [`Piece::write`].
pub(super) fn write_verbatim(
    name: &str,
    program: &Program,
    scope: &Scope<'_>,
    out: &mut Output,
) -> Result<usize, Fault> {
    let written = clean_text(program, scope)?;
    header::verbatim(name, written.text.as_text(), out).map_err(|cause| unfoldable(name, cause))?;
    Ok(written.bytes)
}

/// The text of a header field, clean, and what [`Program::run`] counts of it.
pub struct HeaderText {
    pub text: Output,
    pub bytes: usize,
}

/// Runs a program for a header field; what comes out holds no line end and no other control character.
pub fn clean_text(program: &Program, scope: &Scope<'_>) -> Result<HeaderText, Fault> {
    // Nothing grows when it is cleaned, so this cuts nothing that the limits let pass.
    let mut sink = HeaderSink { program, text: Output::new(256, HEADER_TEXT_OCTETS_MAX + VALUE_BYTES_MAX) };
    let bytes = program.run(scope, &mut sink)?;
    check_header_text(bytes)?;
    Ok(HeaderText { text: sink.text, bytes })
}

pub(super) fn check_header_text(bytes: usize) -> Result<(), Fault> {
    if bytes > HEADER_TEXT_OCTETS_MAX {
        let text = format!("a header field has more than {HEADER_TEXT_OCTETS_MAX} bytes of text");
        return Err(Fault::new(Reason::TooLarge, text));
    }
    Ok(())
}

struct HeaderSink<'p> {
    program: &'p Program,
    text: Output,
}

impl Sink for HeaderSink<'_> {
    fn fixed(&mut self, index: usize) {
        word::put_clean(&self.program.fixed()[index], &mut self.text);
    }

    fn value(&mut self, escaped: &str) {
        word::put_clean(escaped, &mut self.text);
    }
}
