//! A message that is its own template: an engine's RFC 5322 message becomes a plan. What holds no placeholder
//! keeps its octets; what holds one is read, whatever its encoding and charset, and written anew in UTF-8.

mod field;
mod header;
mod leaf;
mod multipart;
#[cfg(test)]
mod tests;

use super::encode::Address;
use super::lint::Lint;
use super::plan::builder::Assembly;
use super::plan::{Envelope, Plan};
use super::program::{Program, Syntax};
use super::scope::FieldRules;
use crate::fault::{Fault, Reason};
use crate::job::Token;
use field::Field;
use leaf::MediaType;

/// Header fields of one part.
pub const HEADERS_MAX: usize = 500;
/// Octets of one part's header, as Postfix limits them, nearly.
pub const HEADER_OCTETS_MAX: usize = 128 * 1024;
/// Octets of a field that has to be decoded: the decoder's time grows with the square of an odd one.
pub const DECODED_FIELD_OCTETS_MAX: usize = 16 * 1024;
/// Parts of a message, multiparts counted too.
pub const PARTS_MAX: usize = 100;
/// Multiparts within each other.
pub const DEPTH_MAX: usize = 20;
/// Header fields and texts with placeholders.
pub const PROGRAMS_MAX: usize = 1_000;

impl Plan {
    /// Reads a whole message with CRLF line ends, dot-stuffing undone. `token_of` tells which addresses are
    /// tokens of this relay; in To, Cc and Reply-To the job's own token becomes the person, any other token is
    /// left out.
    ///
    /// # Errors
    /// `bad-template` for a mistake in a placeholder, one where none may stand, and personal data in a header
    /// for machines; `bad-job` for a message that cannot be read; `too-large` past one of the limits.
    pub fn from_message(raw: &[u8], token_of: &dyn Fn(&str) -> Option<Token>) -> Result<Plan, Fault> {
        if has_stray_control(raw) {
            return Err(bad_job("the message holds a bare CR, a bare LF or a NUL; end lines with CRLF"));
        }
        let mut reader = Reader::new(token_of);
        let (fields, body) = field::split(raw)?;
        header::check(&fields)?;
        reader.from = header::sender(&fields);
        reader.part(Part { fields, body, is_root: true }, Inside::default())?;
        let from = reader.from.ok_or_else(|| bad_job("the message has no From header with an address"))?;
        let envelope = Envelope {
            needs_smtputf8: reader.needs_smtputf8 || from.needs_smtputf8(),
            from,
            return_path: None,
            purpose: None,
            fields: FieldRules::of_message(),
        };
        Ok(Plan::assemble(reader.assembly.finish(), envelope))
    }
}

/// One part as it came: header fields and body.
struct Part<'m> {
    fields: Vec<Field<'m>>,
    body: &'m [u8],
    is_root: bool,
}

/// What a part is inside of.
#[derive(Clone, Copy, Default)]
struct Inside {
    depth: usize,
    /// Signed or encrypted as it is: nothing in it may change.
    is_sealed: bool,
}

/// Walks a message and collects the pieces of its plan.
struct Reader<'t> {
    token_of: &'t dyn Fn(&str) -> Option<Token>,
    assembly: Assembly,
    from: Option<Address>,
    needs_smtputf8: bool,
    parts: usize,
    programs: usize,
}

impl<'t> Reader<'t> {
    fn new(token_of: &'t dyn Fn(&str) -> Option<Token>) -> Self {
        Self {
            token_of,
            assembly: Assembly::default(),
            from: None,
            needs_smtputf8: false,
            parts: 0,
            programs: 0,
        }
    }

    fn part(&mut self, part: Part<'_>, inside: Inside) -> Result<(), Fault> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(too_large(format!("the message has more than {PARTS_MAX} MIME parts")));
        }
        if inside.depth > DEPTH_MAX {
            return Err(too_large(format!("multiparts stand more than {DEPTH_MAX} deep in each other")));
        }
        let media = MediaType::of(&part.fields);
        match media.boundary() {
            Some(boundary) => {
                self.header(&part, inside, |_| true)?;
                self.assembly.put(b"\r\n");
                let inside =
                    Inside { depth: inside.depth + 1, is_sealed: inside.is_sealed || media.is_sealed() };
                self.multipart(part.body, boundary, inside)
            }
            None => self.leaf(part, &media, inside),
        }
    }

    fn multipart(&mut self, body: &[u8], boundary: &str, inside: Inside) -> Result<(), Fault> {
        let sections = multipart::split(body, boundary);
        if !sections.iter().any(|section| matches!(section, multipart::Section::Part(_))) {
            return Err(bad_job("a multipart holds no part: its boundary does not occur"));
        }
        for section in sections {
            match section {
                multipart::Section::Between(octets) => self.assembly.put(octets),
                multipart::Section::Part(whole) => {
                    let (fields, body) = field::split(whole)?;
                    self.part(Part { fields, body, is_root: false }, inside)?;
                }
            }
        }
        Ok(())
    }

    /// Compiles a source that holds a placeholder.
    fn compile(&mut self, source: &str, syntax: Syntax, place: &str) -> Result<Program, Fault> {
        self.programs += 1;
        if self.programs > PROGRAMS_MAX {
            return Err(too_large(format!("more than {PROGRAMS_MAX} headers and parts hold placeholders")));
        }
        Program::compile(source, syntax, place).map_err(|lints| bad_template(&lints))
    }
}

fn has_stray_control(raw: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in raw {
        if byte == 0 || (byte == b'\n') != (previous == b'\r') {
            return true;
        }
        previous = byte;
    }
    previous == b'\r'
}

fn has_placeholder(text: &str) -> bool {
    text.contains("{{")
}

/// The first mistake; the others are like it.
fn bad_template(lints: &[Lint]) -> Fault {
    let text = lints.first().map_or_else(|| String::from("the template has a mistake"), Lint::to_string);
    Fault::new(Reason::BadTemplate, text)
}

fn misplaced(text: impl Into<String>) -> Fault {
    Fault::new(Reason::BadTemplate, text.into())
}

fn bad_job(text: impl Into<String>) -> Fault {
    Fault::new(Reason::BadJob, text.into())
}

fn too_large(text: String) -> Fault {
    Fault::new(Reason::TooLarge, text)
}
