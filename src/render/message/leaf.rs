//! Parts without parts of their own: read where they are text, rewritten where they hold a placeholder.

use super::field::Field;
use super::header::sealed;
use super::outline::Part;
use super::{Reader, has_placeholder, misplaced};
use crate::fault::Fault;
use crate::message::Fixed;
use crate::render::body::{Body, Place};
use crate::render::encode::eight_bit::LINE_OCTETS_MAX;
use crate::render::encode::{Output, base64, parameter, word};
use crate::render::plan::piece::Piece;
use crate::render::program::Syntax;
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;
use mail_parser::{ContentType, HeaderValue};
use std::borrow::Cow;

/// How far into an HTML text its own charset declaration is looked for (HTML §4.2.5.4).
const META_OCTETS_MAX: usize = 1024;

/// Content-Type, Content-Transfer-Encoding and Content-Disposition of a part.
pub struct MediaType {
    /// Lower case; `text` and `plain` where none is stated.
    kind: String,
    subtype: String,
    parameters: Vec<(String, String)>,
    encoding: TransferEncoding,
    is_attachment: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TransferEncoding {
    Identity,
    QuotedPrintable,
    Base64,
    Unknown,
}

impl MediaType {
    pub fn of(fields: &[Field<'_>]) -> Self {
        let line = |name: &str| fields.iter().find(|field| field.is(name)).map(Field::line);
        let mut media = Self {
            kind: "text".into(),
            subtype: "plain".into(),
            parameters: Vec::new(),
            encoding: line("content-transfer-encoding")
                .map_or(TransferEncoding::Identity, |line| encoding(&line)),
            is_attachment: false,
        };
        if let Some(line) = line("content-type")
            && let Some(written) = structured(&line)
        {
            media.kind = written.c_type.to_ascii_lowercase();
            media.subtype = written.c_subtype.as_deref().unwrap_or_default().to_ascii_lowercase();
            let attributes = written.attributes.into_iter().flatten();
            media.parameters =
                attributes.map(|a| (a.name.to_ascii_lowercase(), a.value.into_owned())).collect();
        }
        if let Some(line) = line("content-disposition") {
            media.is_attachment = structured(&line).is_some_and(|written| !written.is_inline());
        }
        media
    }

    pub fn boundary(&self) -> Option<&str> {
        if self.kind == "multipart" { self.parameter("boundary").filter(|b| !b.is_empty()) } else { None }
    }

    pub fn is_sealed(&self) -> bool {
        matches!(self.subtype.as_str(), "signed" | "encrypted")
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn is_readable_text(&self) -> bool {
        self.kind == "text" && !self.is_attachment
    }

    fn syntax(&self) -> Syntax {
        if matches!(self.subtype.as_str(), "html" | "x-amp-html" | "watch-html") {
            Syntax::Html
        } else {
            Syntax::Text
        }
    }

    /// The part's Content-Type field in UTF-8, other parameters kept.
    fn field_in_utf8(&self) -> Output {
        let mut out = Output::unbounded();
        let subtype = if is_token(&self.subtype) { &self.subtype } else { "plain" };
        out.put(format!("Content-Type: text/{subtype}; charset=utf-8").as_bytes());
        for (name, value) in &self.parameters {
            if name != "charset" {
                put_parameter(name, value, &mut out);
            }
        }
        out.put(b"\r\n");
        out
    }
}

/// Writes a Content-Type or Content-Disposition anew, its parameters encoded as they should be (RFC 2231).
pub fn put_structured(field: &Field<'_>, out: &mut Output) -> Option<()> {
    let line = field.line();
    let written = structured(&line)?;
    let is_lawful = is_token(&written.c_type) && written.c_subtype.as_deref().is_none_or(is_token);
    if !is_lawful {
        return None;
    }
    out.put(format!("{}: {}", field.name, written.c_type).as_bytes());
    if let Some(subtype) = &written.c_subtype {
        out.put(format!("/{subtype}").as_bytes());
    }
    for attribute in written.attributes.iter().flatten() {
        put_parameter(&attribute.name, &attribute.value, out);
    }
    out.put(b"\r\n");
    Some(())
}

fn put_parameter(name: &str, value: &str, out: &mut Output) {
    if is_token(name) {
        let mut clean = Output::unbounded();
        word::put_clean(value, &mut clean);
        parameter::write(name, clean.as_text(), out);
    }
}

impl Reader<'_> {
    /// A part that has no parts of its own.
    pub(super) fn leaf(&mut self, part: &Part<'_>, body: &[u8]) -> Result<(), Fault> {
        let media = MediaType::of(&part.fields);
        if media.is_readable_text()
            && let Some(text) = text(body, &media)?
        {
            if part.inside.is_sealed {
                return Err(sealed());
            }
            return self.text_leaf(part, &media, &text);
        }
        let is_encoded =
            matches!(media.encoding, TransferEncoding::QuotedPrintable | TransferEncoding::Base64);
        let has_long_line = body.split(|byte| *byte == b'\n').any(|line| line.len() > LINE_OCTETS_MAX + 1);
        let is_unlawful = has_long_line || (!is_encoded && !body.is_ascii());
        // What cannot be encoded anew keeps its octets: RFC 2046 §5.2.1 for messages, seals for the rest.
        if !is_unlawful || part.inside.is_sealed || media.kind == "message" || media.kind == "multipart" {
            self.fields(part, |_| true)?;
            self.assembly.put(b"\r\n");
            self.assembly.put(body);
            return Ok(());
        }
        self.convertible_leaf(part, body, &media, has_long_line)
    }

    fn text_leaf(&mut self, part: &Part<'_>, media: &MediaType, text: &str) -> Result<(), Fault> {
        let is_replaced =
            |field: &Field<'_>| field.is("content-type") || field.is("content-transfer-encoding");
        self.fields(part, |field| !is_replaced(field) && !field.is("content-md5"))?;
        self.add_mime_version(part);
        self.assembly.put(media.field_in_utf8().as_bytes());
        let syntax = media.syntax();
        let place = format!("part {} (text/{})", part.number, media.subtype.escape_debug());
        let text = if syntax == Syntax::Html { html_in_utf8(text) } else { Cow::Borrowed(text) };
        let program = self.part_program(&text, syntax, &place)?;
        let is_prose =
            syntax == Syntax::Html || matches!(media.subtype.as_str(), "plain" | "enriched" | "markdown");
        let place = Place { in_multipart: !part.is_root(), values_on_one_line: !is_prose };
        self.assembly.add(Piece::Body(Box::new(Body::new(program, place))));
        Ok(())
    }

    /// A part that the target may not take as it is: eight-bit octets, or lines past the limit.
    fn convertible_leaf(
        &mut self,
        part: &Part<'_>,
        body: &[u8],
        media: &MediaType,
        has_long_line: bool,
    ) -> Result<(), Fault> {
        self.fields(part, |field| !field.is("content-transfer-encoding"))?;
        self.add_mime_version(part);
        let octets = decoded(body, media.encoding).unwrap_or(Cow::Borrowed(body));
        let mut encoded = Output::unbounded();
        encoded.put(b"Content-Transfer-Encoding: base64\r\n\r\n");
        base64::write(&octets, &mut encoded);
        if has_long_line {
            self.assembly.put(encoded.as_bytes());
        } else {
            let eight_bit = [b"Content-Transfer-Encoding: 8bit\r\n\r\n", body].concat();
            let seven_bit = Fixed::new(encoded.as_bytes());
            self.assembly.add(Piece::ByTransfer { eight_bit: Fixed::new(eight_bit), seven_bit });
        }
        Ok(())
    }

    fn add_mime_version(&mut self, part: &Part<'_>) {
        if part.is_root() && !part.fields.iter().any(|field| field.is("mime-version")) {
            self.assembly.put(b"MIME-Version: 1.0\r\n");
        }
    }
}

/// The text of a part that holds a placeholder.
fn text(body: &[u8], media: &MediaType) -> Result<Option<String>, Fault> {
    let Some(octets) = decoded(body, media.encoding) else {
        return if memchr::memmem::find(body, b"{{").is_some() {
            Err(misplaced("a placeholder in a part whose transfer encoding is broken"))
        } else {
            Ok(None)
        };
    };
    let charset = charset(media.parameter("charset"), &octets);
    let (text, _, is_broken) = charset.unwrap_or(UTF_8).decode(&octets);
    if !has_placeholder(&text) {
        return Ok(None);
    }
    if charset.is_none() || is_broken {
        return Err(misplaced("a placeholder in a part that is not valid in its charset; send it in UTF-8"));
    }
    Ok(Some(text.into_owned()))
}

fn structured(line: &[u8]) -> Option<ContentType<'_>> {
    match MessageStream::new(line).parse_content_type() {
        HeaderValue::ContentType(written) => Some(written),
        _ => None,
    }
}

fn encoding(line: &[u8]) -> TransferEncoding {
    match line.trim_ascii().to_ascii_lowercase().as_slice() {
        b"" | b"7bit" | b"8bit" | b"binary" => TransferEncoding::Identity,
        b"quoted-printable" => TransferEncoding::QuotedPrintable,
        b"base64" => TransferEncoding::Base64,
        _ => TransferEncoding::Unknown,
    }
}

fn decoded(body: &[u8], encoding: TransferEncoding) -> Option<Cow<'_, [u8]>> {
    match encoding {
        TransferEncoding::Identity => Some(Cow::Borrowed(body)),
        TransferEncoding::QuotedPrintable => quoted_printable_decode(body).map(Cow::Owned),
        TransferEncoding::Base64 => base64_decode(body).map(Cow::Owned),
        TransferEncoding::Unknown => None,
    }
}

/// The stated charset; where none or plain ASCII is stated, UTF-8 if it is that, else Windows-1252.
fn charset(stated: Option<&str>, octets: &[u8]) -> Option<&'static Encoding> {
    let stated = stated.map(str::trim).filter(|label| !label.is_empty());
    let is_vague = stated.is_none_or(|label| {
        ["us-ascii", "ascii", "unknown-8bit", "utf8"].iter().any(|vague| vague.eq_ignore_ascii_case(label))
    });
    if is_vague {
        return Some(if std::str::from_utf8(octets).is_ok() { UTF_8 } else { WINDOWS_1252 });
    }
    Encoding::for_label(stated.unwrap_or_default().as_bytes())
}

/// The HTML's own declaration of another charset would contradict the header.
fn html_in_utf8(text: &str) -> Cow<'_, str> {
    let head_end = (0..=text.len().min(META_OCTETS_MAX)).rev().find(|at| text.is_char_boundary(*at));
    let head = text[..head_end.unwrap_or(0)].to_ascii_lowercase();
    let Some(at) = head.find("<meta").and_then(|meta| Some(meta + head[meta..].find("charset=")?)) else {
        return Cow::Borrowed(text);
    };
    let label_start =
        at + "charset=".len() + usize::from(head[at + "charset=".len()..].starts_with(['"', '\'']));
    let label_len = head[label_start..].find(|c: char| !is_label_char(c)).unwrap_or(0);
    let label_end = label_start + label_len;
    if Encoding::for_label(&head.as_bytes()[label_start..label_end]).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned([&text[..label_start], "utf-8", &text[label_end..]].concat())
}

fn is_label_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_:.".contains(c)
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 60
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
}
