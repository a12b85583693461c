//! The outline of a message: where header fields, parts and boundaries stand, before anything is decoded. Two messages
//! with the same [`Tree::canonical`] form have the same plan but for their own header fields and boundaries.

use super::charset::Declared;
use super::field::{self, Field, Split, Unreadable};
use super::media::MediaType;
use super::{DEPTH_MAX, PARTS_MAX, header, multipart, too_large};
use crate::fault::Fault;
use crate::render::fingerprint::{Canonical, Fingerprint};
use crate::render::memo::Kind;
use crate::render::plan::piece::BOUNDARY_OCTETS_MAX;

/// A message cut into what is its own and what it may share with others.
#[derive(Debug)]
pub struct Outline<'m> {
    /// Fields of the message's own header that say nothing about its content.
    pub head: Vec<Field<'m>>,
    /// Those that do.
    structure: Vec<Field<'m>>,
    pub body: &'m [u8],
}

/// What stands where in a message's content.
#[derive(Debug)]
pub struct Tree<'m> {
    pub root: Part<'m>,
    /// Boundaries that another message may have in another wording, by their numbers.
    pub boundaries: Vec<&'m str>,
}

/// One part as it came.
#[derive(Debug)]
pub struct Part<'m> {
    /// From 1, in the order parts begin.
    pub number: usize,
    pub fields: Vec<Field<'m>>,
    /// The empty line between header and body; none where the part ends before it.
    pub blank: &'m [u8],
    pub body: &'m [u8],
    pub content: Content<'m>,
    pub inside: Inside,
}

/// What a part is inside of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inside {
    pub depth: usize,
    /// Signed or encrypted as it is: nothing in it may change.
    pub is_sealed: bool,
    /// A digest's own part, which is a message where nothing else is said (RFC 2046 §5.1.5).
    pub is_in_digest: bool,
}

#[derive(Debug)]
pub enum Content<'m> {
    Single,
    /// Its header cannot be read: the part is a body and nothing else.
    Opaque,
    Multi {
        sections: Vec<Section<'m>>,
        exchange: Option<Exchange>,
    },
}

/// A stretch of a multipart's body.
#[derive(Debug)]
pub enum Section<'m> {
    Between(multipart::Between<'m>),
    Part(Part<'m>),
}

/// A boundary that says nothing but where parts end, so that any other would do.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    pub number: usize,
    pub octets: usize,
    /// Where it begins in the part's first Content-Type field.
    pub field_at: usize,
}

impl<'m> Outline<'m> {
    /// # Errors
    /// `bad-job` for what cannot be read, `too-large` past the limits on fields.
    pub fn read(raw: &'m [u8]) -> Result<Self, Fault> {
        let Split { fields: mut head, body, .. } = field::split(raw).map_err(Unreadable::into_fault)?;
        header::check(&head)?;
        let structure = head.extract_if(.., |field| is_about_content(field)).collect();
        Ok(Self { head, structure, body })
    }

    /// Everything but the head, octet by octet: two messages with the same have the same [`Tree`].
    pub fn literal(&self, of_body: Fingerprint) -> Canonical {
        let mut literal = Canonical::new(Kind::Literal, 0);
        literal.mark(b'f', self.structure.len() as u32);
        for field in &self.structure {
            literal.put(field.raw);
        }
        literal.put(&of_body);
        literal
    }

    /// # Errors
    /// `bad-job` for what cannot be read, `too-large` past the limits on fields, parts and depth.
    pub fn tree(&self) -> Result<Tree<'m>, Fault> {
        let mut reading = Reading { parts: 0, boundaries: Vec::new() };
        let whole = Split { fields: self.structure.clone(), blank: b"\r\n", body: self.body };
        let root = reading.part(whole, Inside::default())?;
        Ok(Tree { root, boundaries: reading.boundaries })
    }

    /// What raw letters of the header are read by, where UTF-8 is not what they are.
    pub fn declared(&self) -> Declared {
        self.tree().map_or_else(|_| Declared::default(), |tree| Declared::of(&tree.root))
    }
}

impl Tree<'_> {
    /// Everything but the head and the wording of exchangeable boundaries.
    pub fn canonical(&self, kind: Kind, octets: usize) -> Canonical {
        let mut canonical = Canonical::new(kind, octets);
        self.root.write(&mut canonical);
        canonical
    }
}

/// Content-Length is not: it is left out, like the others that speak of the message as it came.
fn is_about_content(field: &Field<'_>) -> bool {
    let starts = |with: &str| field.name.get(..with.len()).is_some_and(|s| s.eq_ignore_ascii_case(with));
    (starts("content-") && !field.is("content-length")) || field.is("mime-version")
}

impl Part<'_> {
    pub fn is_root(&self) -> bool {
        self.inside.depth == 0
    }

    pub fn media(&self) -> MediaType {
        MediaType::of(&self.fields, self.inside.is_in_digest)
    }

    /// How errors name it.
    pub fn place(&self) -> String {
        match &self.content {
            Content::Opaque => format!("part {} (without a readable header)", self.number),
            _ => format!("part {} ({})", self.number, self.media().name()),
        }
    }

    /// Cut where the boundary stands, a field or a section is written as what is before and what is behind it.
    fn write(&self, canonical: &mut Canonical) {
        let exchange = match &self.content {
            Content::Multi { exchange, .. } => *exchange,
            Content::Single | Content::Opaque => None,
        };
        canonical.mark(b'f', self.fields.len() as u32);
        let mut uncut = exchange;
        for field in &self.fields {
            let cut = if field.is("content-type") { uncut.take() } else { None };
            put_cut(field.raw, cut.map(|exchange| (exchange, exchange.field_at)), canonical);
        }
        canonical.put(self.blank);
        match &self.content {
            Content::Single | Content::Opaque => canonical.put(self.body),
            Content::Multi { sections, .. } => {
                canonical.mark(b's', sections.len() as u32);
                for section in sections {
                    match section {
                        Section::Part(part) => part.write(canonical),
                        Section::Between(between) => {
                            put_cut(between.octets, exchange.zip(between.boundary_at), canonical);
                        }
                    }
                }
            }
        }
    }
}

fn put_cut(octets: &[u8], cut: Option<(Exchange, usize)>, canonical: &mut Canonical) {
    let Some((exchange, at)) = cut else { return canonical.put(octets) };
    canonical.mark(b'b', exchange.number as u32);
    canonical.put(&octets[..at]);
    canonical.put(&octets[at + exchange.octets..]);
}

struct Reading<'m> {
    parts: usize,
    boundaries: Vec<&'m str>,
}

impl<'m> Reading<'m> {
    fn part(&mut self, split: Split<'m>, inside: Inside) -> Result<Part<'m>, Fault> {
        self.count(inside)?;
        let number = self.parts;
        let Split { fields, blank, body } = split;
        let content = self.content(&fields, body, inside)?;
        Ok(Part { number, fields, blank, body, content, inside })
    }

    fn count(&mut self, inside: Inside) -> Result<(), Fault> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(too_large(format!("the message has more than {PARTS_MAX} MIME parts")));
        }
        if inside.depth > DEPTH_MAX {
            return Err(too_large(format!("multiparts stand more than {DEPTH_MAX} deep in each other")));
        }
        Ok(())
    }

    fn content(
        &mut self,
        fields: &[Field<'m>],
        body: &'m [u8],
        inside: Inside,
    ) -> Result<Content<'m>, Fault> {
        if !may_be_multipart(fields) {
            return Ok(Content::Single);
        }
        let media = MediaType::of(fields, inside.is_in_digest);
        let boundaries = media.boundaries();
        let cut = boundaries.iter().map(|boundary| (boundary, multipart::split(body, boundary)));
        // One without a part is shown by nobody; it stays as it came.
        let Some((boundary, sections)) = cut.into_iter().find(|(_, sections)| has_part(sections)) else {
            return Ok(Content::Single);
        };
        let inside = Inside {
            depth: inside.depth + 1,
            is_sealed: inside.is_sealed || media.is_sealed(),
            is_in_digest: media.is_digest(),
        };
        let exchange = if inside.is_sealed { None } else { self.exchange(fields, boundary) };
        let sections = sections.into_iter().map(|section| self.section(section, inside));
        Ok(Content::Multi { sections: sections.collect::<Result<_, _>>()?, exchange })
    }

    fn section(&mut self, section: multipart::Section<'m>, inside: Inside) -> Result<Section<'m>, Fault> {
        let whole = match section {
            multipart::Section::Between(between) => return Ok(Section::Between(between)),
            multipart::Section::Part(whole) => whole,
        };
        match field::split(whole) {
            Ok(split) => Ok(Section::Part(self.part(split, inside)?)),
            Err(Unreadable::TooLarge(fault)) => Err(fault),
            Err(Unreadable::NoField(_)) => {
                self.count(inside)?;
                let (number, content) = (self.parts, Content::Opaque);
                Ok(Section::Part(Part {
                    number,
                    fields: Vec::new(),
                    blank: &[],
                    body: whole,
                    content,
                    inside,
                }))
            }
        }
    }

    /// Whether another boundary could stand in this one's place without a difference to any reader: it has only
    /// letters, digits and signs that mean nothing, and stands plainly in a field that goes out as it is.
    fn exchange(&mut self, fields: &[Field<'m>], boundary: &str) -> Option<Exchange> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=.+".contains(&byte);
        let octets = boundary.len();
        let is_exchangeable = octets <= BOUNDARY_OCTETS_MAX
            && boundary.bytes().all(is_plain)
            && boundary.bytes().any(|byte| byte.is_ascii_alphanumeric());
        let field = fields.iter().find(|field| field.is("content-type"))?;
        if !is_exchangeable || field.is_unlawful() || field.has_placeholder() {
            return None;
        }
        let field_at = find(field.raw, boundary.as_bytes())?;
        let (before, from) = field.raw.split_at(field_at);
        let (written, after) = from.split_at(octets);
        let before = before.strip_suffix(b"\"").unwrap_or(before);
        const PARAMETER: &[u8] = b"boundary=";
        let name = &before[before.len().saturating_sub(PARAMETER.len())..];
        let is_parameter = name.eq_ignore_ascii_case(PARAMETER)
            && after.first().is_none_or(|next| b"\";\r\n \t".contains(next))
            && find(after, boundary.as_bytes()).is_none();
        if !is_parameter {
            return None;
        }
        self.boundaries.push(std::str::from_utf8(written).ok()?);
        Some(Exchange { number: self.boundaries.len() - 1, octets, field_at })
    }
}

/// Where `needle` is in a short text: less work than to prepare a search for one.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle.first()?;
    memchr::memchr_iter(*first, text).find(|at| text[*at..].starts_with(needle))
}

fn has_part(sections: &[multipart::Section<'_>]) -> bool {
    sections.iter().any(|section| matches!(section, multipart::Section::Part(_)))
}

/// Most parts are none, and need no closer look.
fn may_be_multipart(fields: &[Field<'_>]) -> bool {
    let is_named = |value: &[u8]| {
        memchr::memchr2_iter(b'm', b'M', value)
            .any(|at| value.get(at..at + 9).is_some_and(|word| word.eq_ignore_ascii_case(b"multipart")))
    };
    fields.iter().find(|field| field.is("content-type")).is_some_and(|field| is_named(field.value))
}
