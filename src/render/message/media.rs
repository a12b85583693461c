//! Content-Type and Content-Disposition of a part, read as mail clients read them: without semicolons, in quotes, given
//! twice (RFC 2045 §5, RFC 2183, RFC 2231).

use super::charset::Declared;
use super::field::Field;
use super::parameters::{PARAMETER_OCTETS_MAX, Parameter, Written, extended, is_token};
use super::transfer::TransferEncoding;
use super::{bad_job, word};
use crate::fault::Fault;
use crate::render::encode::Output;
use crate::render::literals::may_begin_in;
use crate::render::program::Syntax;
use std::borrow::Cow;

/// What a part is.
#[derive(Debug)]
pub struct MediaType {
    /// Lower case; `text/plain` where none is stated (RFC 2045 §5.2), `message/rfc822` in a digest (RFC 2046 §5.1.5).
    kind: String,
    subtype: String,
    parameters: Vec<Parameter>,
    pub encoding: TransferEncoding,
    /// What the other Content-Transfer-Encoding says, where a part has two.
    pub other_encoding: Option<TransferEncoding>,
    is_attachment: bool,
    /// By the name of its file: what programs go by where the type does not say it.
    is_named_as_lines: bool,
}

/// The formats of text that placeholders are looked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// People read it as it stands.
    Prose,
    Html,
    /// iCalendar and vCard.
    ContentLines,
    Csv,
    Json,
    /// Another one, made of lines.
    Lines,
}

impl MediaType {
    pub fn of(fields: &[Field<'_>], is_in_digest: bool) -> Self {
        let (kind, subtype) = if is_in_digest { ("message", "rfc822") } else { ("text", "plain") };
        let mut encodings = fields
            .iter()
            .filter(|field| field.is("content-transfer-encoding"))
            .map(|field| TransferEncoding::of(&String::from_utf8_lossy(field.value)));
        let encoding = encodings.next().unwrap_or(TransferEncoding::Identity);
        let mut media = Self {
            kind: kind.into(),
            subtype: subtype.into(),
            parameters: Vec::new(),
            encoding,
            other_encoding: encodings.find(|other| *other != encoding),
            is_attachment: false,
            is_named_as_lines: false,
        };
        if let Some(field) = fields.iter().find(|field| field.is("content-type")) {
            let written = Written::of(&String::from_utf8_lossy(field.value));
            (media.kind, media.subtype) = match written.value.split_once('/') {
                Some((kind, subtype)) if is_token(kind) && is_token(subtype) => {
                    (kind.to_ascii_lowercase(), subtype.to_ascii_lowercase())
                }
                _ => ("text".into(), "plain".into()),
            };
            media.parameters = written.parameters;
        }
        if let Some(field) = fields.iter().find(|field| field.is("content-disposition")) {
            let written = Written::of(&String::from_utf8_lossy(field.value));
            media.is_attachment = !matches!(written.value.to_ascii_lowercase().as_str(), "inline" | "");
            media.is_named_as_lines = is_named_as_lines(&written.parameters, "filename");
        }
        media.is_named_as_lines |= is_named_as_lines(&media.parameters, "name");
        media
    }

    /// Those of a multipart, the likeliest first: readers differ in which of two they take.
    pub fn boundaries(&self) -> Vec<Cow<'_, str>> {
        if self.kind != "multipart" {
            return Vec::new();
        }
        let plain =
            self.parameters.iter().filter(|p| p.name == "boundary").map(|p| Cow::Borrowed(p.value.as_str()));
        let mut found: Vec<_> = plain.collect();
        if found.is_empty() {
            found.extend(self.parameter("boundary"));
        }
        found.retain(|boundary| !boundary.is_empty() && boundary.is_ascii());
        found
    }

    pub fn is_sealed(&self) -> bool {
        self.kind == "multipart" && matches!(self.subtype.as_str(), "signed" | "encrypted")
    }

    pub fn is_digest(&self) -> bool {
        self.kind == "multipart" && self.subtype == "digest"
    }

    pub fn is_text(&self) -> bool {
        self.kind == "text"
    }

    /// Whose octets RFC 2046 §5.2.1 lets nobody encode.
    pub fn is_composite(&self) -> bool {
        matches!(self.kind.as_str(), "message" | "multipart")
    }

    /// A multipart that could not be cut into parts.
    pub fn is_unread_multipart(&self) -> bool {
        self.kind == "multipart"
    }

    /// For what people are told.
    pub fn name(&self) -> String {
        format!("{}/{}", self.kind.escape_debug(), self.subtype.escape_debug())
    }

    /// The value of a parameter; the first counts where it stands twice. One by RFC 2231 is decoded.
    pub fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        let plain = self.parameters.iter().find(|parameter| parameter.name == name);
        if let Some(plain) = plain {
            return Some(Cow::Borrowed(&plain.value));
        }
        extended(&self.parameters, name).map(Cow::Owned)
    }

    /// How placeholders are looked for; `None` where they are not. A calendar is filled wherever it stands, any other
    /// text only where it is not attached.
    pub fn format(&self) -> Option<Format> {
        match (self.kind.as_str(), self.subtype.as_str()) {
            ("text", "calendar" | "x-vcalendar" | "vcard" | "x-vcard" | "directory")
            | ("application", "ics") => Some(Format::ContentLines),
            _ if self.is_named_as_lines && self.says_nothing() => Some(Format::ContentLines),
            ("text", subtype) if !self.is_attachment => Some(match subtype {
                "html" | "x-amp-html" | "watch-html" | "xml" => Format::Html,
                "plain" | "enriched" | "richtext" | "markdown" | "x-markdown" => Format::Prose,
                "csv" | "comma-separated-values" | "x-csv" | "x-comma-separated-values" => Format::Csv,
                _ if is_json(subtype) => Format::Json,
                _ => Format::Lines,
            }),
            ("application", subtype) if !self.is_attachment && is_json(subtype) => Some(Format::Json),
            ("application", subtype) if !self.is_attachment && is_xml(subtype) => Some(Format::Html),
            _ => None,
        }
    }

    /// How a text that is not filled is shown.
    pub fn shown_as(&self) -> Syntax {
        match self.subtype.as_str() {
            "html" | "x-amp-html" | "watch-html" => Syntax::Html,
            subtype if is_xml(subtype) => Syntax::Html,
            subtype if is_json(subtype) => Syntax::Json,
            _ => Syntax::Text,
        }
    }

    /// A text of which nobody but its own programs knows what they make links of.
    pub fn is_unjudged_text(&self) -> bool {
        let is_read = |format| {
            matches!(format, Format::Html | Format::ContentLines | Format::Csv | Format::Json)
                || format == Format::Prose && self.subtype == "plain"
        };
        let is_own_vocabulary =
            self.is_read_as_xml() && !matches!(self.subtype.as_str(), "xml" | "xhtml+xml");
        is_own_vocabulary || !self.format().is_some_and(is_read)
    }

    pub fn is_read_as_xml(&self) -> bool {
        is_xml(&self.subtype)
    }

    /// XHTML may be sent without its root; other XML is read by what its root says.
    pub fn may_hold_a_piece(&self) -> bool {
        self.subtype == "xhtml+xml"
    }

    /// A message or a piece of one, or what was said about one.
    pub fn is_message(&self) -> bool {
        self.kind == "message"
    }

    /// A kind in which text is no text, whatever its bytes look like.
    pub fn is_picture_or_sound(&self) -> bool {
        matches!(self.kind.as_str(), "image" | "audio" | "video" | "font") && !is_xml(&self.subtype)
    }

    /// A type that says no more than that there are bytes or text, or one that nobody registered for a calendar.
    fn says_nothing(&self) -> bool {
        match (self.kind.as_str(), self.subtype.as_str()) {
            ("text", subtype) => !matches!(subtype, "html" | "x-amp-html" | "watch-html" | "xml"),
            ("application", subtype) => [
                "octet-stream",
                "x-download",
                "download",
                "force-download",
                "x-force-download",
                "unknown",
                "x-unknown",
            ]
            .contains(&subtype),
            ("binary", "octet-stream") => true,
            _ => false,
        }
    }

    /// The part's Content-Type field in UTF-8, other parameters kept as they are.
    ///
    /// # Errors
    /// `bad-job` for a parameter that cannot be read.
    pub fn field_in_utf8(&self, fields: &[Field<'_>], declared: Declared) -> Result<Output, Fault> {
        let raw = fields.iter().find(|field| field.is("content-type") && !field.raw.is_ascii());
        let read =
            raw.map(|field| field.value_in_utf8(declared).map(|text| Written::of(&text))).transpose()?;
        let parameters = read.map_or_else(|| self.parameters.clone(), |written| written.parameters);
        let mut out = Output::unbounded();
        out.put(format!("Content-Type: {}/{}; charset=utf-8", self.kind, self.subtype).as_bytes());
        // By `delsp` readers put together what stands in two lines here (RFC 3676 §4.1), a link and a value.
        let is_kept = |parameter: &&Parameter| !matches!(parameter.base(), "charset" | "delsp");
        for parameter in parameters.iter().filter(is_kept) {
            parameter.write(&parameters, &mut out);
        }
        out.put(b"\r\n");
        Ok(out)
    }
}

/// With any of the formats made of it (RFC 6839 §3.1).
fn is_json(subtype: &str) -> bool {
    matches!(subtype, "json" | "x-json") || subtype.ends_with("+json")
}

/// With any of the formats made of it (RFC 7303 §4.2).
fn is_xml(subtype: &str) -> bool {
    subtype == "xml" || subtype.ends_with("+xml")
}

/// Calendars and cards, as most programs attach them.
fn is_named_as_lines(parameters: &[Parameter], name: &str) -> bool {
    let plain = parameters.iter().find(|parameter| parameter.name == name);
    let value = plain.map(|plain| word::decode(&plain.value).text).or_else(|| extended(parameters, name));
    value.is_some_and(|file| {
        let extension = file
            .trim()
            .trim_end_matches('.')
            .rsplit_once('.')
            .map(|(_, extension)| extension.to_ascii_lowercase());
        extension.is_some_and(|extension| {
            ["ics", "ical", "icalendar", "ifb", "vcs", "vcf", "vcard"].contains(&extension.as_str())
        })
    })
}

/// Whether a parameter shows a placeholder, as the name of a file may.
pub fn shows_placeholder(field: &Field<'_>, shows: impl Fn(&str) -> bool) -> bool {
    let Written { parameters, .. } = Written::of(&String::from_utf8_lossy(field.value));
    let shown = |parameter: &Parameter| {
        shows(&word::decode(&parameter.value).text)
            || extended(&parameters, parameter.base()).is_some_and(|text| shows(&text))
    };
    parameters.iter().any(shown)
}

/// The names of a file that a field gives, as far as they may hold a placeholder of another product.
pub fn file_names(field: &Field<'_>) -> Vec<String> {
    let may_hold = may_begin_in(field.value) || field.may_hold_word();
    if may_hold { all_names(field, Parameter::base) } else { Vec::new() }
}

/// Those that readers take a field to give.
pub fn names(field: &Field<'_>) -> Vec<String> {
    all_names(field, |parameter| &parameter.name)
}

/// `named`: which name of a parameter counts, where it is continued or encoded.
fn all_names(field: &Field<'_>, named: impl Fn(&Parameter) -> &str) -> Vec<String> {
    if !field.is("content-type") && !field.is("content-disposition") {
        return Vec::new();
    }
    let Written { parameters, .. } = Written::of(&String::from_utf8_lossy(field.value));
    let is_name = |parameter: &&Parameter| matches!(named(parameter), "name" | "filename");
    let plain = parameters.iter().filter(is_name).map(|parameter| word::decode(&parameter.value).text);
    let extended = ["name", "filename"].into_iter().filter_map(|base| extended(&parameters, base));
    plain.chain(extended).collect()
}

/// Writes a Content-Type or Content-Disposition anew, its parameters encoded as they should be (RFC 2231). `None` where
/// it is none.
///
/// # Errors
/// `bad-job` for a parameter that cannot be read.
pub fn put_structured(field: &Field<'_>, declared: Declared, out: &mut Output) -> Result<Option<()>, Fault> {
    let text = declared.read(field.value).ok_or_else(|| unreadable(field.name))?;
    let written = Written::of(&text);
    if !written.value.split('/').all(is_token) {
        return Ok(None);
    }
    out.put(format!("{}: {}", field.name, written.value).as_bytes());
    for parameter in &written.parameters {
        let is_lawful = parameter.raw.is_ascii() && parameter.raw.len() <= PARAMETER_OCTETS_MAX;
        if parameter.base() == "boundary" && !is_lawful {
            return Err(bad_job(
                "the boundary in Content-Type makes a line past 998 bytes, or has letters outside ASCII, which no \
                 server takes; use one of up to 70 bytes of ASCII (RFC 2046 §5.1.1)",
            ));
        }
        parameter.write(&written.parameters, out);
    }
    out.put(b"\r\n");
    Ok(Some(()))
}

pub fn unreadable(name: &str) -> Fault {
    bad_job(format!(
        "the header {name} has letters outside ASCII that are neither UTF-8 nor in the one charset the message's texts declare; \
         send them in UTF-8 or as encoded words (RFC 2047)"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::field;
    use super::*;

    fn media(header: &str) -> MediaType {
        let split = field::split(header.as_bytes()).unwrap();
        MediaType::of(&split.fields, false)
    }

    proptest::proptest! {
        /// Who only looks for the parts of a message (crate::media_type) finds the same ones.
        #[test]
        fn b6_a_boundary_is_the_same_for_every_reader(
            before in proptest::collection::vec("; (x|name|Charset)=([a-z]{1,5}|\"[a-z ;=]{0,4}; boundary=[a-z]{1,3}\")|; \\(boundary=[a-z]{1,3}\\)|;\r\n\tq=1", 0..4),
            boundary in "[a-zA-Z0-9'+_.,:?-]{1,20}",
            quote in "\"?",
            name in "boundary|Boundary|BOUNDARY",
            sign in "=| = |= ",
            after in "|; x=y|;| \\(boundary=no\\)",
        ) {
            let value = format!(" multipart/mixed{}; {name}{sign}{quote}{boundary}{quote}{after}", before.concat());
            let found = crate::media_type::boundary(value.as_bytes()).map(|range| value[range].to_owned());
            proptest::prop_assert_eq!(found.as_deref(), Some(boundary.as_str()), "{}", value);
            let media = media(&format!("Content-Type:{value}\r\n"));
            let read = media.boundaries();
            proptest::prop_assert_eq!(read.first().map(|first| &**first), Some(boundary.as_str()), "{}", value);
        }
    }

    #[test]
    fn types_are_read_leniently() {
        for (header, name, charset) in [
            ("Content-Type: text/html charset=\"utf-8\"\r\n", "text/html", "utf-8"),
            ("Content-Type: TEXT/HTML;charset=utf-8;charset=latin1\r\n", "text/html", "utf-8"),
            ("Content-Type: \"text/html\"; charset = utf-8\r\n", "text/html", "utf-8"),
            (
                "Content-Type: text / html (x; charset=a);\r\n\tCharset*=us-ascii'en'utf-8\r\n",
                "text/html",
                "utf-8",
            ),
            ("Content-Type: text/html; charset=\"utf-8\r\n", "text/html", "utf-8"),
            ("Content-Type: text/html;; ; =x charset*0=ut; charset*1=f-8\r\n", "text/html", "utf-8"),
            ("Content-Type: text\r\n", "text/plain", ""),
            ("Content-Type: \r\n", "text/plain", ""),
            ("Content-Type: nonsense; charset=utf-8\r\n", "text/plain", "utf-8"),
            ("X: y\r\n", "text/plain", ""),
        ] {
            let media = media(header);
            assert_eq!(media.name(), name, "{header}");
            assert_eq!(media.parameter("charset").unwrap_or_default(), charset, "{header}");
        }
        assert_eq!(media("Content-Type: multipart/mixed boundary=\"a b\"\r\n").boundaries(), ["a b"]);
        assert_eq!(
            media("Content-Type: multipart/mixed; boundary=a; boundary=b\r\n").boundaries(),
            ["a", "b"]
        );
    }

    #[test]
    fn what_is_not_the_charset_stays_as_it_stands() {
        let header = "Content-Type: text/plain; name*=utf-8'de'M%C3%BCller; charset=latin1; x=\"a \\\" b\"; format=flowed\r\n";
        let split = field::split(header.as_bytes()).unwrap();
        let field = media(header).field_in_utf8(&split.fields, Declared::default()).unwrap();
        assert_eq!(
            field.as_text(),
            "Content-Type: text/plain; charset=utf-8;\r\n name*=utf-8'de'M%C3%BCller;\r\n x=\"a \\\" b\";\r\n format=flowed\r\n"
        );
    }
}
