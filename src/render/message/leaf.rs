//! Parts without parts of their own: read where they are text, rewritten where they hold a placeholder, and otherwise as
//! they came, as far as servers take them.

use super::charset::{Charset, Declared, ESCAPE, Stated};
use super::field::Field;
use super::header::sealed;
use super::media::{self, Format, MediaType};
use super::outline::{Content, Part};
use super::transfer::{Decoded, TransferEncoding};
use super::{Reader, bad_template, misplaced, opened};
use crate::fault::Fault;
use crate::message::Fixed;
use crate::render::body::{Body, Layout, Place};
use crate::render::encode::eight_bit::LINE_OCTETS_MAX;
use crate::render::encode::{Output, base64};
use crate::render::lint::Lint;
use crate::render::literals::Unmeant;
use crate::render::plan::piece::Piece;
use crate::render::program::Syntax;
use crate::render::shown;
use encoding_rs::{Encoding, UTF_8};
use std::borrow::Cow;

/// How far into an HTML text its own charset declaration is looked for (HTML §4.2.5.4).
const META_OCTETS_MAX: usize = 1024;

impl Format {
    fn syntax(self) -> Syntax {
        match self {
            Self::Prose | Self::Lines => Syntax::Text,
            Self::Html => Syntax::Html,
            Self::ContentLines => Syntax::ContentLines,
            Self::Csv => Syntax::Csv,
            Self::Json => Syntax::Json,
        }
    }

    fn layout(self) -> Layout {
        match self {
            Self::Prose | Self::Html => Layout::Prose,
            Self::ContentLines => Layout::Folded,
            Self::Csv | Self::Json | Self::Lines => Layout::ValuesOnOneLine,
        }
    }
}

/// What makes a body unfit for some server or for every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fitness {
    Fit,
    EightBit,
    /// A line past the limit.
    Unfit,
}

impl Fitness {
    fn of(body: &[u8]) -> Self {
        if has_long_line(body) {
            Self::Unfit
        } else if body.is_ascii() {
            Self::Fit
        } else {
            Self::EightBit
        }
    }
}

/// Whether a line is longer than the limit, with a CR. Looks back from where a line may end at the latest, so that lines
/// are not walked one by one.
fn has_long_line(body: &[u8]) -> bool {
    let mut rest = body;
    while let Some(window) = rest.get(..LINE_OCTETS_MAX + 2) {
        let Some(end) = memchr::memrchr(b'\n', window) else { return true };
        rest = &rest[end + 1..];
    }
    false
}

impl Reader<'_> {
    /// A part that has no parts of its own.
    pub(super) fn leaf(&mut self, part: &Part<'_>) -> Result<(), Fault> {
        for name in part.fields.iter().flat_map(media::file_names) {
            self.unmeant.look_at(&name, Syntax::Header);
        }
        let media = part.media();
        let is_opaque = matches!(part.content, Content::Opaque);
        if is_opaque || media.is_unread_multipart() {
            if shown::shows(&String::from_utf8_lossy(part.body), Syntax::Html) {
                return Err(misplaced(format!(
                    "{}: a placeholder in a part that cannot be read; its header needs an empty line behind it, and a \
                     multipart a boundary that occurs",
                    part.place()
                )));
            }
            return self.as_it_came(part);
        }
        match media.format() {
            Some(format) => {
                if let Some(text) = text(part, &media, format, self.declared, &mut self.unmeant)? {
                    if part.inside.is_sealed {
                        return Err(sealed(part));
                    }
                    return self.text_leaf(part, &media, format, &text);
                }
            }
            None => self.look_at_untouched(part, &media),
        }
        let fitness = Fitness::of(part.body);
        let labels = part.fields.iter().filter(|field| field.is("content-transfer-encoding")).count();
        let may_be_encoded = !part.inside.is_sealed && !media.is_composite() && labels <= 1;
        let decoded =
            if may_be_encoded && fitness != Fitness::Fit { media.encoding.decode(part.body) } else { None };
        match (decoded, fitness) {
            (Some(decoded), Fitness::EightBit | Fitness::Unfit)
                if media.encoding != TransferEncoding::Uuencode =>
            {
                self.convertible_leaf(part, &decoded.octets, fitness)
            }
            _ => self.as_it_came(part),
        }
    }

    fn as_it_came(&mut self, part: &Part<'_>) -> Result<(), Fault> {
        self.fields(part, |_| true)?;
        self.assembly.put(part.blank);
        self.needs_eight_bit(part.body, part);
        self.assembly.put(part.body);
        Ok(())
    }

    fn text_leaf(
        &mut self,
        part: &Part<'_>,
        media: &MediaType,
        format: Format,
        text: &str,
    ) -> Result<(), Fault> {
        let is_replaced =
            |field: &Field<'_>| field.is("content-type") || field.is("content-transfer-encoding");
        if part.fields.iter().filter(|field| field.is("content-type")).any(Field::has_placeholder) {
            return Err(misplaced(String::from(
                "a placeholder in Content-Type; put it in a text or in Subject",
            )));
        }
        self.fields(part, |field| !is_replaced(field) && !field.is("content-md5"))?;
        self.add_mime_version(part);
        self.assembly.put(media.field_in_utf8(&part.fields, self.declared)?.as_bytes());
        let text = if format == Format::Html { html_in_utf8(text) } else { Cow::Borrowed(text) };
        let program = self.part_program(&text, format.syntax(), &part.place())?;
        if let Some(at) = program.first_person()
            && let Err((cause, fix)) = opened::judge(part, media, format, &text)
        {
            return Err(bad_template(&[Lint::new(&part.place(), at, cause, fix)]));
        }
        let place = Place { in_multipart: !part.is_root(), layout: format.layout() };
        self.assembly.add(Piece::Body(Box::new(Body::new(program, place))));
        Ok(())
    }

    /// A part that the target may not take as it is: eight-bit octets, or lines past the limit.
    fn convertible_leaf(&mut self, part: &Part<'_>, octets: &[u8], fitness: Fitness) -> Result<(), Fault> {
        let is_label = |field: &Field<'_>| field.is("content-transfer-encoding");
        let label = part.fields.iter().find(|field| is_label(field)).map_or(&[][..], |field| field.raw);
        let stands_before = |field: &Field<'_>| label.is_empty() || field.raw.as_ptr() < label.as_ptr();
        self.fields(part, |field| !is_label(field) && stands_before(field))?;
        let lacks_version = part.is_root() && !part.fields.iter().any(|field| field.is("mime-version"));
        let version: &[u8] = if lacks_version { b"MIME-Version: 1.0\r\n" } else { b"" };
        self.put_by_transfer(label, &[version, b"Content-Transfer-Encoding: base64\r\n"].concat(), fitness);
        self.fields(part, |field| !is_label(field) && !stands_before(field))?;
        let mut encoded = Output::unbounded();
        encoded.put(b"\r\n");
        base64::write(octets, &mut encoded);
        self.put_by_transfer(&[part.blank, part.body].concat(), encoded.as_bytes(), fitness);
        Ok(())
    }

    fn put_by_transfer(&mut self, eight_bit: &[u8], seven_bit: &[u8], fitness: Fitness) {
        match fitness {
            Fitness::Unfit => self.assembly.put(seven_bit),
            Fitness::Fit | Fitness::EightBit => self.assembly.add(Piece::ByTransfer {
                eight_bit: Fixed::new(eight_bit),
                seven_bit: Fixed::new(seven_bit),
            }),
        }
    }

    fn add_mime_version(&mut self, part: &Part<'_>) {
        if part.is_root() && !part.fields.iter().any(|field| field.is("mime-version")) {
            self.assembly.put(b"MIME-Version: 1.0\r\n");
        }
    }
}

/// The text of a part in which a reader would show a placeholder.
fn text(
    part: &Part<'_>,
    media: &MediaType,
    format: Format,
    declared: Declared,
    unmeant: &mut Unmeant,
) -> Result<Option<String>, Fault> {
    let syntax = format.syntax();
    let refuse = |cause: &str| Err(misplaced(format!("{}: {cause}", part.place())));
    let readings = [Some(media.encoding), media.other_encoding].into_iter().flatten();
    for other in readings.skip(1).filter_map(|encoding| encoding.decode(part.body)) {
        if shown::shows(&String::from_utf8_lossy(&other.octets), syntax) {
            return refuse("a placeholder, and two Content-Transfer-Encodings; send one");
        }
    }
    let is_broken = "a placeholder in a part whose transfer encoding is broken; encode it as its label says";
    let Some(Decoded { octets, is_sure }) = media.encoding.decode(part.body) else {
        let shows = shown::shows(&String::from_utf8_lossy(part.body), syntax);
        return if shows { refuse(is_broken) } else { Ok(None) };
    };
    let Reading { text, is_whole } = match Reading::of(media, &octets, declared) {
        Ok(reading) => reading,
        Err(cause) => return refuse(cause),
    };
    if matches!(format, Format::Prose | Format::Html | Format::ContentLines) {
        unmeant.look_at(&text, syntax);
    }
    if !shown::shows(&text, syntax) {
        let is_beside = !is_sure && shown::shows(&String::from_utf8_lossy(part.body), syntax);
        return if is_beside { refuse(is_broken) } else { Ok(None) };
    }
    let is_footed = media.encoding == TransferEncoding::Base64;
    if !is_sure && !is_footed || media.encoding == TransferEncoding::Uuencode {
        return refuse(is_broken);
    }
    if is_footed && memchr::memmem::find(part.body, b"{{").is_some() {
        return refuse("a placeholder beside base64, which not every reader shows; encode it with the rest");
    }
    if !is_whole {
        return refuse("a placeholder in a part that is not valid in its charset; send it in UTF-8");
    }
    if text.contains('\0') {
        return refuse(
            "a placeholder in a text that holds a NUL, which no text can be sent with; take it out",
        );
    }
    Ok(Some(text.into_owned()))
}

/// A part's octets as text.
pub(super) struct Reading<'o> {
    pub text: Cow<'o, str>,
    /// No letter is lost.
    is_whole: bool,
}

impl<'o> Reading<'o> {
    /// By the charset that is stated; where none is, UTF-8, what the HTML says itself, or what the message's other texts
    /// are in.
    pub fn of(media: &MediaType, octets: &'o [u8], declared: Declared) -> Result<Self, &'static str> {
        let stated = Stated::of(media.parameter("charset").as_deref());
        if stated == Stated::Foreign {
            return Self::foreign(octets);
        }
        let charset = match stated {
            Stated::Charset(charset) => Some(charset),
            _ if std::str::from_utf8(octets).is_ok() && !octets.contains(&ESCAPE) => None,
            _ => own_charset(octets),
        };
        let Some(charset) = charset else {
            let text = declared.read(octets);
            let is_whole = text.is_some();
            return Ok(Self { text: text.unwrap_or_else(|| String::from_utf8_lossy(octets)), is_whole });
        };
        let (text, is_whole) = charset.decode(octets);
        // A label that lies, as readers who look at the octets find out.
        let is_plain = !matches!(charset, Charset::Known(known) if known.is_ascii_compatible());
        if is_plain && !text.contains("{{") && is_ascii_placeholder(octets) {
            return Err(
                "a placeholder that the charset stated does not show but a lenient reader would; send it in UTF-8",
            );
        }
        Ok(Self { text, is_whole })
    }

    /// ASCII without a shift to anything else is the same in every charset but for a few.
    fn foreign(octets: &'o [u8]) -> Result<Self, &'static str> {
        let is_shift = |octet: &u8| matches!(octet, 0 | 0x0e | 0x0f | 0x1b) || !octet.is_ascii();
        match std::str::from_utf8(octets) {
            Ok(text) if !octets.iter().any(is_shift) => {
                Ok(Self { text: Cow::Borrowed(text), is_whole: false })
            }
            _ => Err("its charset cannot be searched for placeholders; send it in UTF-8"),
        }
    }
}

/// Two braces, each as one octet or with zeroes around it.
fn is_ascii_placeholder(octets: &[u8]) -> bool {
    let mut without: Vec<u8> = Vec::with_capacity(octets.len());
    without.extend(octets.iter().filter(|octet| **octet != 0));
    memchr::memmem::find(&without, b"{{").is_some()
}

/// What an HTML text declares itself.
fn own_charset(octets: &[u8]) -> Option<Charset> {
    let head = String::from_utf8_lossy(&octets[..octets.len().min(META_OCTETS_MAX)]).to_ascii_lowercase();
    let (start, end) = meta_label(&head)?;
    match Stated::of(Some(&head[start..end])) {
        Stated::Charset(charset) => Some(charset),
        Stated::Nothing | Stated::Foreign => None,
    }
}

/// Where the label of an HTML text's own declaration stands. `head` is in lower case.
fn meta_label(head: &str) -> Option<(usize, usize)> {
    let meta = head.find("<meta")?;
    let at = meta + head[meta..].find("charset=")? + "charset=".len();
    let start = at + usize::from(head[at..].starts_with(['"', '\'']));
    let length = head[start..].find(|c: char| !is_label_char(c)).unwrap_or(0);
    Some((start, start + length))
}

/// The HTML's own declaration of another charset would contradict the header.
fn html_in_utf8(text: &str) -> Cow<'_, str> {
    let head_end = (0..=text.len().min(META_OCTETS_MAX)).rev().find(|at| text.is_char_boundary(*at));
    let head = text[..head_end.unwrap_or(0)].to_ascii_lowercase();
    match meta_label(&head) {
        Some((start, end))
            if Encoding::for_label(&head.as_bytes()[start..end]).is_some_and(|known| known != UTF_8) =>
        {
            Cow::Owned([&text[..start], "utf-8", &text[end..]].concat())
        }
        _ => Cow::Borrowed(text),
    }
}

fn is_label_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_:.".contains(c)
}
