//! What becomes of the header fields of any part.

use super::charset::Declared;
use super::field::Field;
use super::outline::{Content, Exchange, Part};
use super::{Reader, bad_job, media, misplaced};
use crate::fault::Fault;
use crate::message::Fixed;
use crate::render::encode::eight_bit::LINE_OCTETS_MAX;
use crate::render::encode::{Output, header, word};
use crate::render::escape::printable;
use crate::render::leak;
use crate::render::plan::builder::is_for_machines;
use crate::render::plan::fields_read;
use crate::render::plan::piece::{Piece, unfoldable};
use crate::render::program::Program;
use crate::render::shown;
use std::sync::Arc;

/// Fields that may stand once only (RFC 5322 §3.6); readers differ in which of two they show.
const SINGLE: [&str; 9] =
    ["from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id", "content-type"];

/// # Errors
/// `bad-job` for a field that stands twice and may stand once only.
pub fn check(fields: &[Field<'_>]) -> Result<(), Fault> {
    for name in SINGLE {
        if fields.iter().filter(|field| field.is(name)).count() > 1 {
            return Err(bad_job(format!("the header {name} stands twice (RFC 5322 §3.6); send it once")));
        }
    }
    Ok(())
}

impl Reader<'_> {
    /// Writes the fields of a part that `keep` lets through, without the empty line.
    pub(super) fn fields(&mut self, part: &Part<'_>, keep: impl Fn(&Field<'_>) -> bool) -> Result<(), Fault> {
        let mut exchange = match &part.content {
            Content::Multi { exchange, .. } => *exchange,
            Content::Single | Content::Opaque => None,
        };
        for field in part.fields.iter().filter(|field| keep(field)) {
            let cut = if field.is("content-type") { exchange.take() } else { None };
            match cut {
                Some(exchange) => self.put_cut(field.raw, Some((exchange, exchange.field_at))),
                None => self.part_field(field, part)?,
            }
        }
        Ok(())
    }

    /// A field of a part as it came, where that may be: to its last octet, for a seal may cover it.
    fn part_field(&mut self, field: &Field<'_>, part: &Part<'_>) -> Result<(), Fault> {
        let shows = || has_placeholder(field);
        if part.inside.is_sealed {
            if shows() || is_in_name(field) {
                return Err(sealed(part));
            }
            if field.has_long_line() {
                return Err(bad_job(format!(
                    "{}: the header {} has a line past {LINE_OCTETS_MAX} bytes, and what is signed cannot be folded",
                    part.place(),
                    field.name
                )));
            }
            self.needs_eight_bit(field.raw, part);
            self.assembly.put(field.raw);
            return Ok(());
        }
        let ends_the_part = part.blank.is_empty() && !field.raw.ends_with(b"\n");
        if ends_the_part && !field.is_unlawful() && !shows() {
            self.assembly.put(field.raw);
            return Ok(());
        }
        self.field(field)
    }

    pub(super) fn field(&mut self, field: &Field<'_>) -> Result<(), Fault> {
        if is_in_name(field) {
            return Err(in_a_name(field));
        }
        let has_placeholder = has_placeholder(field);
        if !has_placeholder && !field.is_unlawful() {
            self.put_line(field.raw);
            return Ok(());
        }
        if has_placeholder && is_structure(field.name) {
            let text = format!("a placeholder in {}; put it in a text or in Subject", field.name);
            return Err(misplaced(text));
        }
        if has_placeholder && field.is("date") {
            return Err(misplaced("a placeholder in Date; leave the field out, and the relay writes it"));
        }
        if has_placeholder {
            return self.program_field(field.name, &field.text(self.declared)?);
        }
        let out = written_anew(field, self.declared)?;
        if out.as_bytes().split(|byte| *byte == b'\n').any(|line| line.len() > LINE_OCTETS_MAX + 1) {
            return Err(bad_job(format!("the header {} has a line past 998 octets", field.name)));
        }
        self.assembly.put(out.as_bytes());
        Ok(())
    }

    fn program_field(&mut self, name: &str, text: &str) -> Result<(), Fault> {
        let program = self.impersonal(name, text)?;
        let name: Box<str> = name.into();
        self.assembly.add(if is_for_machines(&name) {
            Piece::Verbatim { name, program }
        } else {
            Piece::Text { name, program }
        });
        Ok(())
    }

    /// Puts the message's own boundary where this one stands.
    pub(super) fn put_cut(&mut self, octets: &[u8], cut: Option<(Exchange, usize)>) {
        let Some((exchange, at)) = cut else { return self.put_unread(octets) };
        self.put_unread(&octets[..at]);
        self.assembly.add(Piece::Boundary(exchange.number));
        self.put_unread(&octets[at + exchange.octets..]);
    }

    /// What stands before, between and behind parts: no reader shows it, so a target that takes seven bits only gets
    /// question marks.
    fn put_unread(&mut self, octets: &[u8]) {
        if octets.is_ascii() {
            return self.assembly.put(octets);
        }
        let ascii: Vec<u8> =
            octets.iter().map(|octet| if octet.is_ascii() { *octet } else { b'?' }).collect();
        self.assembly.add(Piece::ByTransfer { eight_bit: Fixed::new(octets), seven_bit: Fixed::new(ascii) });
    }

    /// Compiles a field's value; the leak guard refuses a person in what machines read.
    pub(super) fn impersonal(&mut self, name: &str, text: &str) -> Result<Arc<Program>, Fault> {
        let program = self.header_program(text, name)?;
        if fields_read(&program).next().is_some() && !leak::header_may_hold_person(name) {
            return Err(misplaced(format!(
                "person.* in the header {name}, which machines log; use send.number or data.* there"
            )));
        }
        Ok(program)
    }
}

/// Whether a placeholder stands in its name. No name has a brace.
fn is_in_name(field: &Field<'_>) -> bool {
    memchr::memchr(b'{', field.name.as_bytes()).is_some() && field.name.contains("{{")
}

fn in_a_name(field: &Field<'_>) -> Fault {
    misplaced(format!(
        "a placeholder in the name of a header field, {}; write names out",
        printable(field.name)
    ))
}

/// Whether a reader would show a placeholder in the field, or in the name of a file that it gives.
fn has_placeholder(field: &Field<'_>) -> bool {
    field.has_placeholder()
        || (has_parameters(field) && media::shows_placeholder(field, shown::shows_in_line))
}

fn has_parameters(field: &Field<'_>) -> bool {
    field.is("content-type") || field.is("content-disposition")
}

/// A field with its text encoded and folded as it should have been.
fn written_anew(field: &Field<'_>, declared: Declared) -> Result<Output, Fault> {
    let mut out = Output::unbounded();
    if has_parameters(field) && media::put_structured(field, declared, &mut out)?.is_some() {
        return Ok(out);
    }
    let mut clean = Output::unbounded();
    word::put_clean(&field.text(declared)?, &mut clean);
    if is_for_machines(field.name) || is_structure(field.name) {
        header::verbatim(field.name, clean.as_text(), &mut out)
            .map_err(|cause| unfoldable(field.name, cause))?;
    } else {
        header::unstructured(field.name, clean.as_text(), &mut out);
    }
    Ok(out)
}

pub fn sealed(part: &Part<'_>) -> Fault {
    misplaced(format!(
        "{}: a placeholder in a signed or encrypted part, which cannot be changed; sign after personalising",
        part.place()
    ))
}

/// Fields that say how the part is built.
fn is_structure(name: &str) -> bool {
    const STRUCTURE: [&str; 6] = [
        "content-type",
        "content-transfer-encoding",
        "content-disposition",
        "content-id",
        "content-location",
        "mime-version",
    ];
    STRUCTURE.iter().any(|known| known.eq_ignore_ascii_case(name))
}
