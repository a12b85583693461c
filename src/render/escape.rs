//! Makes a value harmless for the place it lands in: HTML, a URL in an attribute, plain text, a header.
//!
//! Everywhere control characters, line and paragraph separators and bidi overrides are taken out; the marks
//! that Persian and Hebrew need (ZWNJ, ZWJ, LRM, RLM) stay. A value that needs no change is not copied.

use super::tree::Stands;
use crate::table::harmless;
use std::borrow::Cow;
use std::ops::Deref;
use zeroize::Zeroizing;

/// How a value is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// HTML text, RCDATA or a quoted attribute value.
    Html,
    /// Markup from the engine's data, in HTML text.
    Markup,
    /// The same in a part that holds a person's values: plain elements only, and of them those that may stand there.
    Plain(Stands),
    /// A whole URL in a quoted attribute value.
    UrlWhole,
    /// A part of a URL behind its scheme and host, in a quoted attribute value.
    UrlPart,
    /// As [`Escape::Html`], [`Escape::UrlWhole`] and [`Escape::UrlPart`] in a comment that Outlook reads: nothing in it ends the comment.
    CommentHtml,
    CommentUrl,
    CommentUrlPart,
    Text,
    Header,
    /// Text of a calendar or card (RFC 5545 §3.3.11, RFC 6350 §3.4).
    LineText,
    /// HTML in a property of one (`X-ALT-DESC`, RFC 9073 §6.5).
    LineHtml,
    /// A quoted parameter of one (RFC 6868).
    LineParameter,
    /// A whole URL in one.
    UrlInText,
    /// An address behind `mailto:` (RFC 6068 §2).
    Address,
    /// A whole field of CSV.
    CsvField,
    /// The same inside its quotes, with text behind it at most that calls nothing.
    CsvQuotedField,
    /// Where a field begins, inside its quotes, and anything may follow.
    CsvQuotedBegin,
    /// Inside the quotes of one (RFC 4180 §2).
    CsvQuoted,
    /// Inside the quotes of a JSON string (RFC 8259 §7).
    JsonText,
}

/// An escaped value. What had to be copied is wiped when dropped.
pub enum Escaped<'a> {
    AsIs(&'a str),
    Changed(Zeroizing<String>),
}

impl Deref for Escaped<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::AsIs(value) => value,
            Self::Changed(value) => value,
        }
    }
}

/// A value that cannot stand as a URL. Holds the reason only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    #[error("it has a control character")]
    Control,
    #[error("it is not an absolute http, https, mailto or tel URL")]
    Scheme,
    #[error("it has no host")]
    Host,
    #[error("it has a user name or an odd character before the host")]
    UserInfo,
}

/// Escapes a value for its place.
///
/// # Errors
/// [`BadUrl`] for [`Escape::UrlWhole`], [`Escape::CommentUrl`] and [`Escape::UrlInText`] only.
pub fn escape(value: &str, how: Escape) -> Result<Escaped<'_>, BadUrl> {
    Ok(match how {
        Escape::Html => rewrite(value, &HTML_BYTES, html_change),
        Escape::Markup | Escape::Plain(_) | Escape::Text => rewrite(value, &TEXT_BYTES, text_change),
        Escape::Header => rewrite(value, &HEADER_BYTES, header_change),
        Escape::UrlPart => percent(value, unreserved),
        Escape::UrlWhole => in_attribute(whole_url(value)?),
        Escape::CommentHtml => without_dashes(escape(value, Escape::Html)?),
        Escape::CommentUrl => without_dashes(escape(value, Escape::UrlWhole)?),
        Escape::CommentUrlPart => without_dashes(escape(value, Escape::UrlPart)?),
        Escape::UrlInText => whole_url(value)?,
        Escape::Address => percent(value, |byte| unreserved(byte) || b"@+!$'*".contains(&byte)),
        Escape::LineText => rewrite(value, &LINE_TEXT_BYTES, line_text_change),
        Escape::LineHtml => rewrite(value, &LINE_HTML_BYTES, line_html_change),
        Escape::LineParameter => rewrite(value, &PARAMETER_BYTES, parameter_change),
        Escape::CsvField => csv_field(value),
        Escape::CsvQuotedField => no_formula(rewrite(value, &CSV_BYTES, csv_change)),
        Escape::CsvQuotedBegin => no_sign(rewrite(value, &CSV_BYTES, csv_change)),
        Escape::CsvQuoted => rewrite(value, &CSV_BYTES, csv_change),
        Escape::JsonText => rewrite(value, &JSON_BYTES, json_change),
    })
}

#[derive(Clone, Copy)]
enum Change {
    Keep,
    Drop,
    With(&'static str),
}

/// Bytes at which a change may be needed: ASCII by itself, and the lead bytes of C1 controls (C2) and of
/// separators and bidi controls (E2).
const fn bytes_of_interest(ascii: &[u8], tab_and_newline_stay: bool) -> [bool; 256] {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = true;
        i += 1;
    }
    table[b'\t' as usize] = !tab_and_newline_stay;
    table[b'\n' as usize] = !tab_and_newline_stay;
    table[0x7f] = true;
    table[0xc2] = true;
    table[0xe2] = true;
    let mut i = 0;
    while i < ascii.len() {
        table[ascii[i] as usize] = true;
        i += 1;
    }
    table
}

static TEXT_BYTES: [bool; 256] = bytes_of_interest(b"", true);
static HTML_BYTES: [bool; 256] = bytes_of_interest(b"&<>\"'`=", true);
static HEADER_BYTES: [bool; 256] = bytes_of_interest(b"", false);
static LINE_TEXT_BYTES: [bool; 256] = bytes_of_interest(b"\\;,", false);
static PARAMETER_BYTES: [bool; 256] = bytes_of_interest(b"^\"", false);
static CSV_BYTES: [bool; 256] = bytes_of_interest(b"\"", false);
static LINE_HTML_BYTES: [bool; 256] = bytes_of_interest(b"\\;,&<>\"'`=", false);
static JSON_BYTES: [bool; 256] = bytes_of_interest(b"\"\\", false);

/// The same entities as handlebars', so a template reads the same there.
fn html_change(c: char, next: Option<char>) -> Change {
    match c {
        '&' => Change::With("&amp;"),
        '<' => Change::With("&lt;"),
        '>' => Change::With("&gt;"),
        '"' => Change::With("&quot;"),
        '\'' => Change::With("&#x27;"),
        '`' => Change::With("&#x60;"),
        '=' => Change::With("&#x3D;"),
        _ => text_change(c, next),
    }
}

fn text_change(c: char, next: Option<char>) -> Change {
    match c {
        '\t' | '\n' => Change::Keep,
        '\r' if next == Some('\n') => Change::Drop,
        '\r' => Change::With("\n"),
        '\u{2028}' | '\u{2029}' => Change::With(" "),
        c if c.is_control() || is_bidi_control(c) => Change::Drop,
        _ => Change::Keep,
    }
}

fn header_change(c: char, next: Option<char>) -> Change {
    match c {
        '\r' if next == Some('\n') => Change::Drop,
        '\u{2028}' | '\u{2029}' => Change::With(" "),
        c if c.is_control() => Change::With(" "),
        c if is_bidi_control(c) => Change::Drop,
        _ => Change::Keep,
    }
}

fn line_text_change(c: char, next: Option<char>) -> Change {
    match c {
        '\\' => Change::With("\\\\"),
        ';' => Change::With("\\;"),
        ',' => Change::With("\\,"),
        '\n' => Change::With("\\n"),
        '\r' if next != Some('\n') => Change::With("\\n"),
        _ => text_change(c, next),
    }
}

/// An entity's own semicolon is one of the line's too.
fn line_html_change(c: char, next: Option<char>) -> Change {
    match c {
        '&' => Change::With("&amp\\;"),
        '<' => Change::With("&lt\\;"),
        '>' => Change::With("&gt\\;"),
        '"' => Change::With("&quot\\;"),
        '\'' => Change::With("&#x27\\;"),
        '`' => Change::With("&#x60\\;"),
        '=' => Change::With("&#x3D\\;"),
        _ => line_text_change(c, next),
    }
}

fn parameter_change(c: char, next: Option<char>) -> Change {
    match c {
        '^' => Change::With("^^"),
        '"' => Change::With("^'"),
        '\n' => Change::With("^n"),
        '\r' if next != Some('\n') => Change::With("^n"),
        _ => text_change(c, next),
    }
}

fn csv_change(c: char, next: Option<char>) -> Change {
    if c == '"' { Change::With("\"\"") } else { header_change(c, next) }
}

fn json_change(c: char, next: Option<char>) -> Change {
    match c {
        '"' => Change::With("\\\""),
        '\\' => Change::With("\\\\"),
        '\n' => Change::With("\\n"),
        '\t' => Change::With("\\t"),
        '\r' if next != Some('\n') => Change::With("\\n"),
        _ => text_change(c, next),
    }
}

/// In quotes where it holds a delimiter, as it is where it does not.
fn csv_field(value: &str) -> Escaped<'_> {
    let escaped = no_formula(rewrite(value, &CSV_BYTES, csv_change));
    if !value.contains([',', ';', '\t', '"', '\n', '\r']) {
        return escaped;
    }
    let mut quoted = Zeroizing::new(String::with_capacity(escaped.len() + 2));
    quoted.push('"');
    quoted.push_str(&escaped);
    quoted.push('"');
    Escaped::Changed(quoted)
}

/// Numbers stay as they are, those of telephones too: without a letter nothing is fetched.
fn is_number(cell: &str) -> bool {
    cell.strip_prefix(['+', '-']).is_some_and(|rest| {
        rest.bytes().all(|byte| {
            byte.is_ascii_digit() || matches!(byte, b' ' | b'.' | b',' | b'-' | b'/' | b'(' | b')')
        })
    })
}

/// A field that a spreadsheet would run is made a text.
fn no_formula(field: Escaped<'_>) -> Escaped<'_> {
    if is_number(&field) { field } else { no_sign(field) }
}

/// The same where a number may be the first part of one.
fn no_sign(field: Escaped<'_>) -> Escaped<'_> {
    match harmless(&field) {
        Cow::Borrowed(_) => field,
        Cow::Owned(text) => Escaped::Changed(Zeroizing::new(text)),
    }
}

/// Embeddings, overrides and isolates (U+202A–202E, U+2066–2069): they reorder the text around a value.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn rewrite<'a>(value: &'a str, table: &[bool; 256], change: fn(char, Option<char>) -> Change) -> Escaped<'a> {
    let Some(first) = first_change(value, table, change) else { return Escaped::AsIs(value) };
    let tail = &value[first..];
    let changes = || {
        let mut chars = tail.chars().peekable();
        std::iter::from_fn(move || {
            let c = chars.next()?;
            Some((c, change(c, chars.peek().copied())))
        })
    };
    let length = |(c, change): (char, Change)| match change {
        Change::Keep => c.len_utf8(),
        Change::Drop => 0,
        Change::With(text) => text.len(),
    };
    let mut out = Zeroizing::new(String::with_capacity(first + changes().map(length).sum::<usize>()));
    out.push_str(&value[..first]);
    for (c, change) in changes() {
        match change {
            Change::Keep => out.push(c),
            Change::Drop => {}
            Change::With(text) => out.push_str(text),
        }
    }
    Escaped::Changed(out)
}

fn first_change(value: &str, table: &[bool; 256], change: fn(char, Option<char>) -> Change) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = value.as_bytes()[at..].iter().position(|byte| table[*byte as usize]) {
        at += found;
        let mut chars = value[at..].chars();
        let c = chars.next()?;
        if !matches!(change(c, chars.next()), Change::Keep) {
            return Some(at);
        }
        at += c.len_utf8();
    }
    None
}

/// RFC 3986 §2.3.
fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What may stand in a URL besides unreserved characters without ending the attribute: RFC 3986 §2.2 without
/// the quotes, and `%` of what is already encoded.
fn url_char(byte: u8) -> bool {
    unreserved(byte) || b":/?#[]@!$&()*+,;=%".contains(&byte)
}

/// Percent-encodes every byte that `keep` does not keep.
fn percent(value: &str, keep: fn(u8) -> bool) -> Escaped<'_> {
    if value.bytes().all(keep) {
        return Escaped::AsIs(value);
    }
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let length = value.bytes().map(|byte| if keep(byte) { 1 } else { 3 }).sum();
    let mut out = Zeroizing::new(String::with_capacity(length));
    for byte in value.bytes() {
        if keep(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Escaped::Changed(out)
}

fn whole_url(value: &str) -> Result<Escaped<'_>, BadUrl> {
    if value.chars().any(|c| c.is_control() || is_bidi_control(c) || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(BadUrl::Control);
    }
    let (scheme, rest) = value.split_once(':').ok_or(BadUrl::Scheme)?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => check_authority(rest)?,
        "mailto" | "tel" if !rest.is_empty() => {}
        _ => return Err(BadUrl::Scheme),
    }
    Ok(percent(value, url_char))
}

/// Two of them end a comment for all who do not read it (WHATWG HTML §13.2.5.50).
fn without_dashes(escaped: Escaped<'_>) -> Escaped<'_> {
    if !escaped.contains('-') {
        return escaped;
    }
    let mut out = Zeroizing::new(String::with_capacity(escaped.len() * 5));
    for (number, part) in escaped.split('-').enumerate() {
        out.push_str(if number > 0 { "&#45;" } else { "" });
        out.push_str(part);
    }
    Escaped::Changed(out)
}

fn in_attribute(url: Escaped<'_>) -> Escaped<'_> {
    match url {
        Escaped::AsIs(url) => rewrite(url, &HTML_BYTES, html_change),
        Escaped::Changed(url) => match rewrite(&url, &HTML_BYTES, html_change) {
            Escaped::AsIs(_) => Escaped::Changed(url),
            Escaped::Changed(html) => Escaped::Changed(html),
        },
    }
}

/// Host and port: no user name, and nothing that browsers read as a slash.
fn check_authority(rest: &str) -> Result<(), BadUrl> {
    let authority = rest.strip_prefix("//").ok_or(BadUrl::Host)?;
    let authority = authority.split(['/', '?', '#']).next().unwrap_or("");
    if authority.is_empty() || authority.starts_with(':') {
        return Err(BadUrl::Host);
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']' | '_');
    if authority.chars().all(plain) { Ok(()) } else { Err(BadUrl::UserInfo) }
}

/// The value after control filtering only, for showing names of data in texts.
pub fn printable(name: &str) -> Cow<'_, str> {
    match rewrite(name, &HEADER_BYTES, header_change) {
        Escaped::AsIs(name) => Cow::Borrowed(name),
        Escaped::Changed(name) => Cow::Owned(name.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn done(value: &str, how: Escape) -> String {
        escape(value, how).map(|escaped| escaped.to_string()).unwrap_or_else(|bad| format!("refused: {bad}"))
    }

    #[test]
    fn p3_no_value_makes_a_formula_of_a_field() {
        for value in ["=HYPERLINK(A1)", "+1+A1", "-A1", "@SUM(A1)", "-1!A0"] {
            assert_eq!(done(value, Escape::CsvField).trim_matches('"'), format!("'{value}"));
            assert_eq!(done(value, Escape::CsvQuotedField), format!("'{value}"));
        }
        for value in ["-12.50", "+49 170 (0) 123-45/6", "a=b", "Dana"] {
            assert_eq!(done(value, Escape::CsvField).trim_matches('"'), value);
            assert_eq!(done(value, Escape::CsvQuotedField), value);
            let is_signed = value.starts_with(['+', '-']);
            let begin = if is_signed { format!("'{value}") } else { value.to_owned() };
            assert_eq!(done(value, Escape::CsvQuotedBegin), begin);
        }
    }

    #[test]
    fn values_that_need_no_change_are_not_copied() {
        for value in ["Dana", "דנה כהן", "می\u{200c}خواهم", "\u{200e}x\u{200f}", "日本 — “x”", ""]
        {
            assert!(matches!(escape(value, Escape::Html), Ok(Escaped::AsIs(_))), "{value}");
            assert!(matches!(escape(value, Escape::Text), Ok(Escaped::AsIs(_))), "{value}");
            assert!(matches!(escape(value, Escape::Header), Ok(Escaped::AsIs(_))), "{value}");
        }
        assert!(matches!(escape("a-b_1.~", Escape::UrlPart), Ok(Escaped::AsIs(_))));
    }

    #[test]
    fn html_is_escaped_as_handlebars_does() {
        let value = "<a href='x'>\"&`=</a>";
        assert_eq!(done(value, Escape::Html), handlebars::html_escape(value));
    }

    #[test]
    fn line_ends_and_controls() {
        assert_eq!(done("a\r\nb\rc\nd\u{85}\0\u{b}\u{2028}e", Escape::Text), "a\nb\nc\nd e");
        assert_eq!(done("a\r\nBcc: x\rb\0c\u{85}\u{2029}d", Escape::Header), "a Bcc: x b c  d");
        assert_eq!(done("abc\u{202e}def\u{2066}", Escape::Header), "abcdef");
    }

    #[test]
    fn urls() {
        assert_eq!(
            done("https://x.test/a b?q=\"1\"&y='", Escape::UrlWhole),
            "https://x.test/a%20b?q&#x3D;%221%22&amp;y&#x3D;%27"
        );
        assert_eq!(done("a/b?c=d&e f", Escape::UrlPart), "a%2Fb%3Fc%3Dd%26e%20f");
        for bad in [
            "javascript:alert(1)",
            " https://x.test",
            "//x.test",
            "/x",
            "data:text/html,x",
            "https:x.test",
            "https://a@b.test",
            "https://a:b@c.test/",
            "https://good.test\\@evil.test/",
            "https:///x",
            "HTTPS://",
            "ja\nvascript:x",
            "https://x.test/\u{0}",
            "vbscript:x",
            "mailto:",
        ] {
            assert!(escape(bad, Escape::UrlWhole).is_err(), "{bad:?}");
        }
        assert!(escape("mailto:a@b.test", Escape::UrlWhole).is_ok());
    }

    fn harmless(c: char) -> bool {
        matches!(c, '\t' | '\n')
            || !(c.is_control() || is_bidi_control(c) || matches!(c, '\u{2028}' | '\u{2029}'))
    }

    proptest! {
        #[test]
        fn no_control_or_bidi_override_passes(value in "\\PC*|(.|[\r\n\0\u{85}\u{202e}\u{2066}\u{2028}<&'\"])*") {
            for how in [Escape::Html, Escape::Markup, Escape::Text, Escape::Header, Escape::UrlPart] {
                let out = done(&value, how);
                prop_assert!(out.chars().all(harmless));
                if how == Escape::Header {
                    prop_assert!(!out.contains(['\r', '\n', '\t']));
                }
                if how == Escape::Html {
                    prop_assert!(!out.contains(['<', '>', '"', '\'', '`', '=']));
                }
            }
        }

        #[test]
        fn a_whole_url_cannot_leave_its_attribute(value in "https://[a-z]{1,5}(.|[<&'\"=`\r\n])*") {
            if let Ok(url) = escape(&value, Escape::UrlWhole) {
                prop_assert!(url.bytes().all(|b| b > 0x20 && b < 0x7f && !b"<>\"'`=".contains(&b)));
            }
        }
    }
}
