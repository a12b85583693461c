//! Header fields as they stand in a message (RFC 5322 §2.2).

use super::{DECODED_FIELD_OCTETS_MAX, HEADER_OCTETS_MAX, HEADERS_MAX, bad_job, has_placeholder, too_large};
use crate::fault::Fault;
use crate::render::encode::eight_bit::LINE_OCTETS_MAX;
use crate::render::encode::header::is_name;
use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;

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

impl Field<'_> {
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value unfolded, encoded words decoded (RFC 2047).
    pub fn text(&self) -> String {
        if let Some(plain) = plain_text(self.value) {
            return plain.to_owned();
        }
        let line = self.line();
        match MessageStream::new(&line).parse_unstructured() {
            HeaderValue::Text(text) => text.into_owned(),
            _ => String::new(),
        }
    }

    /// The value with one line end, as the parsers want it.
    pub fn line(&self) -> Vec<u8> {
        [self.value.trim_ascii_end(), b"\n"].concat()
    }

    pub fn has_placeholder(&self) -> bool {
        let mut may_hide = false;
        for at in memchr::memchr2_iter(b'{', b'=', self.value) {
            match self.value.get(at..at + 2) {
                Some(b"{{") => return true,
                Some(b"=?") => may_hide = true,
                _ => {}
            }
        }
        may_hide && has_placeholder(&self.text())
    }

    /// Whether its value has to be read, and not only passed on.
    fn is_read(&self) -> bool {
        let holds = |sign: &[u8]| memchr::memmem::find(self.value, sign).is_some();
        holds(b"=?") || holds(b"{{") || self.name.to_ascii_lowercase().starts_with("content-")
    }

    /// Whether it cannot go out as it is: letters outside ASCII, or a line past the limit.
    pub fn is_unlawful(&self) -> bool {
        let has_long_line =
            || self.raw.split(|byte| *byte == b'\n').any(|line| line.len() > LINE_OCTETS_MAX + 1);
        !self.raw.is_ascii() || (self.raw.len() > LINE_OCTETS_MAX && has_long_line())
    }
}

/// Cuts a part into its header fields and its body.
///
/// # Errors
/// `bad-job` for a line that is no field, `too-large` past [`HEADERS_MAX`] and the limits on their size.
pub fn split(whole: &[u8]) -> Result<(Vec<Field<'_>>, &[u8]), Fault> {
    let mut fields = Vec::with_capacity(FIELDS_EXPECTED);
    let mut rest = whole;
    while !rest.is_empty() {
        if let Some(body) = rest.strip_prefix(b"\r\n") {
            return Ok((fields, body));
        }
        let (raw, after) = rest.split_at(field_end(rest));
        let field = parse(raw).ok_or_else(|| {
            bad_job(format!("field {} of a header is not a header field", fields.len() + 1))
        })?;
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
    Ok((fields, rest))
}

/// What [`MessageStream::parse_unstructured`] makes of a value on one line of printable ASCII without encoded words: the
/// same without the white space around it. Nearly every value is one.
fn plain_text(value: &[u8]) -> Option<&str> {
    let text = value.trim_ascii_end();
    let is_plain = text.iter().all(|octet| matches!(octet, b' '..=b'~' | b'\t'))
        && memchr::memchr_iter(b'=', text).all(|at| text.get(at + 1) != Some(&b'?'));
    std::str::from_utf8(text).ok().filter(|_| is_plain).map(|text| text.trim_start_matches([' ', '\t']))
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
        fn a_plain_value_reads_as_the_parser_reads_it(value in "[ -~\t]{0,20}(\r\n)?|(a| |\t|=|\\?|\r\n |\r\n){0,12}") {
            if let Some(plain) = plain_text(value.as_bytes()) {
                let line = [value.as_bytes().trim_ascii_end(), b"\n"].concat();
                let parsed = match MessageStream::new(&line).parse_unstructured() {
                    HeaderValue::Text(text) => text.into_owned(),
                    _ => String::new(),
                };
                prop_assert_eq!(plain, parsed);
            }
        }
    }
}
