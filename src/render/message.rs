//! A message that is its own template: an engine's RFC 5322 message becomes a plan. What holds no placeholder
//! keeps its octets; what holds one is read, whatever its encoding and charset, and written anew in UTF-8.
//!
//! The messages of a campaign differ in recipient, Message-ID, date and the like, and in the boundaries of their
//! multiparts, but hardly in their content. So the content is compiled once, and only the header for each message; where
//! not even the boundaries differ, the content is not looked at a second time, but for its fingerprint.

mod charset;
mod field;
mod head;
mod header;
mod leaf;
mod media;
mod multipart;
mod opened;
mod outline;
mod parameters;
pub mod senders;
#[cfg(test)]
mod tests;
mod trace;
mod transfer;
mod untouched;
mod word;
mod xml;

use super::fingerprint::Canonical;
use super::lint::Lint;
use super::literals::Unmeant;
use super::memo::{Content, Kind, Memo};
use super::plan::builder::Assembly;
use super::plan::{Envelope, Head, Pieces, Plan};
use super::program::{Program, Syntax};
use super::scope::FieldRules;
use crate::fault::{Fault, Reason};
use crate::job::Token;
use crate::message::has_lawful_line_ends;
use charset::Declared;
use head::Heading;
use outline::{Outline, Part, Section};
use std::sync::Arc;

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
    /// left out. What `memo` knows already is not compiled again.
    ///
    /// # Errors
    /// `bad-template` for a mistake in a placeholder, one where none may stand, and personal data in a header
    /// for machines; `bad-job` for a message that cannot be read; `too-large` past one of the limits.
    pub(in crate::render) fn from_message(
        raw: &[u8],
        token_of: &dyn Fn(&str) -> Option<Token>,
        memo: &Memo,
    ) -> Result<Plan, Fault> {
        let outline = Outline::read(raw)?;
        let (header, body) = raw.split_at(raw.len() - outline.body.len());
        refuse_stray_control(header)?;
        let content = memo.content(&outline.literal(memo.fingerprint(body)), || {
            let tree = outline.tree()?;
            let pieces = memo.pieces(&tree.canonical(Kind::Message, body.len()), || {
                refuse_stray_control(body)?;
                let mut reader = Reader::new(memo, Declared::of(&tree.root));
                reader.part(&tree.root)?;
                let pieces = Pieces::new(reader.assembly.finish()).needing_eight_bit(reader.eight_bit_part);
                Ok(pieces.with_unmeant(reader.unmeant.into_list()))
            })?;
            Ok(Content { pieces, boundaries: tree.boundaries.into_iter().map(Box::from).collect() })
        })?;
        let is_plain = header.is_ascii() && memchr::memchr(charset::ESCAPE, header).is_none();
        let declared = if is_plain { Declared::default() } else { outline.declared() };
        let heading = Heading::read(&outline, token_of, Reader::new(memo, declared))?;
        if heading.programs + content.pieces.programs() > PROGRAMS_MAX {
            return Err(too_many_programs());
        }
        let envelope = Envelope {
            needs_smtputf8: heading.needs_smtputf8,
            from: heading.from,
            return_path: None,
            purposes: Box::default(),
            fields: FieldRules::of_message(),
        };
        let head = Head { pieces: heading.pieces, boundaries: content.boundaries, unmeant: heading.unmeant };
        Ok(Plan::assemble(head, content.pieces, envelope))
    }
}

/// Collects the pieces of a plan.
struct Reader<'c> {
    memo: &'c Memo,
    declared: Declared,
    assembly: Assembly,
    programs: usize,
    /// The first part that has 8-bit octets and cannot be encoded anew.
    eight_bit_part: Option<Box<str>>,
    unmeant: Unmeant,
}

impl<'c> Reader<'c> {
    fn new(memo: &'c Memo, declared: Declared) -> Self {
        Self {
            memo,
            declared,
            assembly: Assembly::default(),
            programs: 0,
            eight_bit_part: None,
            unmeant: Unmeant::default(),
        }
    }

    fn part(&mut self, part: &Part<'_>) -> Result<(), Fault> {
        let (sections, exchange) = match &part.content {
            outline::Content::Single | outline::Content::Opaque => return self.leaf(part),
            outline::Content::Multi { sections, exchange } => (sections, *exchange),
        };
        self.fields(part, |_| true)?;
        self.assembly.put(part.blank);
        for section in sections {
            if let Section::Between(between) = section {
                self.look_between(between.octets, part);
            }
            match section {
                Section::Between(between) if part.inside.is_sealed => {
                    self.needs_eight_bit(between.octets, part);
                    self.assembly.put(between.octets);
                }
                Section::Between(between) => {
                    self.put_cut(between.octets, exchange.zip(between.boundary_at));
                }
                Section::Part(part) => self.part(part)?,
            }
        }
        Ok(())
    }

    /// Notes that a stretch of the part goes out as it is.
    fn needs_eight_bit(&mut self, octets: &[u8], part: &Part<'_>) {
        if self.eight_bit_part.is_none() && !octets.is_ascii() {
            self.eight_bit_part = Some(part.place().into());
        }
    }

    /// A field, which at the end of a message may lack its line end.
    fn put_line(&mut self, field: &[u8]) {
        self.assembly.put(field);
        if !field.ends_with(b"\n") {
            self.assembly.put(b"\r\n");
        }
    }

    /// Compiles the text of a part that holds a placeholder.
    fn part_program(&mut self, source: &str, syntax: Syntax, place: &str) -> Result<Program, Fault> {
        self.count_program()?;
        Program::compile_as_it_stands(source, syntax, place).map_err(|lints| bad_template(&lints))
    }

    /// Compiles the value of a field that holds a placeholder, unless it is known.
    fn header_program(&mut self, source: &str, place: &str) -> Result<Arc<Program>, Fault> {
        self.count_program()?;
        let mut canonical = Canonical::new(Kind::HeaderProgram, source.len());
        canonical.put(source.as_bytes());
        self.memo.program(&canonical, || {
            Program::compile(source, Syntax::Header, place).map_err(|lints| bad_template(&lints))
        })
    }

    fn count_program(&mut self) -> Result<(), Fault> {
        self.programs += 1;
        if self.programs > PROGRAMS_MAX { Err(too_many_programs()) } else { Ok(()) }
    }
}

/// Refuses line ends that readers disagree about.
fn refuse_stray_control(octets: &[u8]) -> Result<(), Fault> {
    if !has_lawful_line_ends(octets) {
        return Err(bad_job("the message holds a bare CR, a bare LF or a NUL; end lines with CRLF"));
    }
    Ok(())
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

fn bad_template_text(text: String) -> Fault {
    Fault::new(Reason::BadTemplate, text)
}

fn bad_job(text: impl Into<String>) -> Fault {
    Fault::new(Reason::BadJob, text.into())
}

fn too_large(text: String) -> Fault {
    Fault::new(Reason::TooLarge, text)
}

fn too_many_programs() -> Fault {
    too_large(format!("more than {PROGRAMS_MAX} headers and parts hold placeholders"))
}
