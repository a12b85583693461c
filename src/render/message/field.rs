//! Header fields as they stand in a message (RFC 5322 §2.2).

use super::charset::Declared;
use super::media::unreadable;
use super::word::{self, Text};
use super::{
    DECODED_FIELD_OCTETS_MAX, HEADER_OCTETS_MAX, HEADERS_MAX, bad_job, bad_template_text, too_large,
};
use crate::fault::Fault;
use crate::render::encode::eight_bit::LINE_OCTETS_MAX;
use crate::render::encode::header::is_name;
use crate::render::shown;
use std::borrow::Cow;

/// Most headers have no more.
const FIELDS_EXPECTED: usize = 16;

/// One field with its folded lines.
#[derive(Debug, Clone, Copy)]
pub struct Field<'m> {
    pub name: &'m str,
    /// Behind the colon, folding and the last CRLF included.
    pub value: &'m [u8],
    /// All of it.
    pub raw: &'m [u8],
}

/// A part cut into its header fields, the empty line and its body: what came, octet by octet.
#[derive(Debug)]
pub struct Split<'m> {
    pub fields: Vec<Field<'m>>,
    /// Nothing where the part ends with its header.
    pub blank: &'m [u8],
    pub body: &'m [u8],
}

/// Why a header cannot be read.
#[derive(Debug)]
pub enum Unreadable {
    /// The line of this number is no field.
    NoField(usize),
    TooLarge(Fault),
}

impl Field<'_> {
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value unfolded, encoded words decoded (RFC 2047).
    ///
    /// # Errors
    /// `bad-job` where a letter of it would be lost.
    pub fn text(&self, declared: Declared) -> Result<String, Fault> {
        if let Some(plain) = plain_text(self.value) {
            return Ok(plain.to_owned());
        }
        let value = self.value_in_utf8(declared)?;
        let Text { text, is_whole } = word::decode(&value);
        if shows_unended(&value) {
            return Err(bad_template_text(format!(
                "the header {} has a placeholder in an encoded word without its end, ?=, which some readers show; end it",
                self.name
            )));
        }
        if is_whole {
            return Ok(text);
        }
        Err(bad_template_text(format!(
            "the header {} has an encoded word that cannot be read in its charset; write it in UTF-8",
            self.name
        )))
    }

    /// # Errors
    /// `bad-job` for 8-bit octets without a sure reading.
    pub fn value_in_utf8(&self, declared: Declared) -> Result<Cow<'_, str>, Fault> {
        declared.read(self.value).ok_or_else(|| unreadable(self.name))
    }

    /// Whether a reader would show a placeholder here, however it is written.
    pub fn has_placeholder(&self) -> bool {
        let mut may_hide = false;
        for at in memchr::memchr3_iter(b'{', b'=', b'%', self.value) {
            match self.value.get(at..at + 2) {
                Some(b"{{") => return true,
                Some(b"=?" | b"%7" | b"%2") => may_hide = true,
                Some([b'{', next]) if !next.is_ascii() => may_hide = true,
                _ => {}
            }
        }
        let value = || String::from_utf8_lossy(self.value);
        may_hide && (shown::shows_in_line(&word::decode(&value()).text) || shows_unended(&value()))
    }

    /// Whether an encoded word may begin in its value (RFC 2047 §2).
    pub fn may_hold_word(&self) -> bool {
        may_hold_word(self.value)
    }

    /// Whether its value has to be read, and not only passed on.
    fn is_read(&self) -> bool {
        self.may_hold_word()
            || memchr::memmem::find(self.value, b"{{").is_some()
            || self.name.to_ascii_lowercase().starts_with("content-")
    }

    /// Whether it cannot go out as it is: letters outside ASCII, or a line past the limit.
    pub fn is_unlawful(&self) -> bool {
        !self.raw.is_ascii() || self.has_long_line()
    }

    /// Past the limit of RFC 5322 §2.1.1.
    pub fn has_long_line(&self) -> bool {
        let is_long = |line: &[u8]| line.len() > LINE_OCTETS_MAX + 1;
        self.raw.len() > LINE_OCTETS_MAX && self.raw.split(|byte| *byte == b'\n').any(is_long)
    }
}

fn may_hold_word(text: &[u8]) -> bool {
    memchr::memchr_iter(b'=', text).any(|at| text.get(at + 1) == Some(&b'?'))
}

fn shows_unended(value: &str) -> bool {
    word::decode_unended(value).is_some_and(|told| shown::shows_in_line(&told.text))
}

/// # Errors
/// Past [`HEADERS_MAX`] and the limits on their size, and for a line that is no field.
pub fn split(whole: &[u8]) -> Result<Split<'_>, Unreadable> {
    let mut fields = Vec::with_capacity(FIELDS_EXPECTED);
    let mut rest = whole;
    while !rest.is_empty() {
        if let Some(body) = rest.strip_prefix(b"\r\n") {
            return Ok(Split { fields, blank: &rest[..2], body });
        }
        let (raw, after) = rest.split_at(field_end(rest));
        let line = || memchr::memchr_iter(b'\n', &whole[..whole.len() - rest.len()]).count() + 1;
        let field = parse(raw).ok_or_else(|| Unreadable::NoField(line()))?;
        let too_large = |text| Unreadable::TooLarge(too_large(text));
        if whole.len() - after.len() > HEADER_OCTETS_MAX {
            return Err(too_large(format!("a header has more than {HEADER_OCTETS_MAX} octets")));
        }
        if raw.len() > DECODED_FIELD_OCTETS_MAX && field.is_read() {
            let text = format!("the header {} has more than {DECODED_FIELD_OCTETS_MAX} octets", field.name);
            return Err(too_large(text));
        }
        fields.push(field);
        if fields.len() > HEADERS_MAX {
            return Err(too_large(format!("a header has more than {HEADERS_MAX} fields")));
        }
        rest = after;
    }
    Ok(Split { fields, blank: &[], body: rest })
}

impl Unreadable {
    pub fn into_fault(self) -> Fault {
        match self {
            Self::NoField(line) => bad_job(format!(
                "line {line} of the message's header is no header field (RFC 5322 §2.2); \
                 write Name: value, begin folded lines with a space, and leave an empty line before the text"
            )),
            Self::TooLarge(fault) => fault,
        }
    }
}

/// What [`word::decode`] makes of a value on one line of printable ASCII without encoded words: the same without the
/// white space around it. Nearly every value is one.
fn plain_text(value: &[u8]) -> Option<&str> {
    let text = value.trim_ascii();
    let is_plain = text.iter().all(|octet| matches!(octet, b' '..=b'~' | b'\t')) && !may_hold_word(text);
    std::str::from_utf8(text).ok().filter(|_| is_plain)
}

/// The end of the first field: a line end that no white space follows.
fn field_end(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text)
        .map(|at| at + 1)
        .find(|end| !matches!(text.get(*end), Some(b' ' | b'\t')))
        .unwrap_or(text.len())
}

fn parse(raw: &[u8]) -> Option<Field<'_>> {
    let colon = memchr::memchr(b':', raw)?;
    // White space before the colon is obsolete syntax (RFC 5322 §4.5) and still seen.
    let name = std::str::from_utf8(&raw[..colon]).ok()?.trim_end_matches([' ', '\t']);
    is_name(name).then_some(Field { name, value: &raw[colon + 1..], raw })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_plain_value_reads_as_any_other(value in "[ -~\t]{0,20}(\r\n)?|(a| |\t|=|\\?|\r\n |\r\n){0,12}") {
            if let Some(plain) = plain_text(value.as_bytes()) {
                prop_assert_eq!(plain, word::decode(&value).text);
            }
        }
    }
}
