//! Texts as programs write them for other programs: HTML, JSON, addresses of pages, headers of mail.

use super::Signs;
use serde::de::IgnoredAny;

#[rustfmt::skip]
const ENTITIES: [&str; 26] = [
    "amp", "lt", "gt", "quot", "apos", "nbsp", "szlig", "aelig", "oelig", "euro", "ndash", "mdash", "hellip", "laquo", "raquo", "lsquo", "rsquo",
    "ldquo", "rdquo", "bdquo", "copy", "reg", "trade", "shy", "thorn", "eth",
];
const ACCENTS: [&str; 9] = ["uml", "acute", "grave", "circ", "tilde", "cedil", "ring", "slash", "caron"];

pub fn holds_entity(text: &str) -> bool {
    text.split('&').skip(1).filter_map(|behind| behind.split_once(';')).any(|(name, _)| is_entity(name))
}

fn is_entity(name: &str) -> bool {
    if let Some(number) = name.strip_prefix('#') {
        let is_digits = |digits: &str, radix| {
            (1..=7).contains(&digits.len()) && digits.chars().all(|c| c.is_digit(radix))
        };
        return match number.strip_prefix(['x', 'X']) {
            Some(digits) => is_digits(digits, 16),
            None => is_digits(number, 10),
        };
    }
    let lower = name.to_ascii_lowercase();
    let is_accented = ACCENTS.iter().any(|accent| {
        lower
            .strip_suffix(accent)
            .is_some_and(|letter| letter.len() == 1 && letter.as_bytes()[0].is_ascii_alphabetic())
    });
    is_accented || ENTITIES.contains(&lower.as_str())
}

/// Whether the whole is a list or an object, as JSON or as Python prints it.
pub fn is_json(text: &str) -> bool {
    let is_within = |open: char, close: char| text.starts_with(open) && text.ends_with(close);
    let is_printed = || ["{'", "['"].iter().any(|begin| text.starts_with(begin));
    (is_within('{', '}') || is_within('[', ']'))
        && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && (is_printed() || serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// How letters in the text are escaped: `J\u00f6rg`, `J%C3%B6rg`, `=?utf-8?Q?J=C3=B6rg?=`.
pub fn escapes_in(text: &str, signs: Signs, field: &str) -> Option<&'static str> {
    match () {
        () if signs.has(Signs::BACKSLASH) && holds_unicode_escape(text) => Some("J\\u00f6rg"),
        () if signs.has(Signs::EQUALS) && holds_encoded_word(text) => Some("=?utf-8?Q?J=C3=B6rg?="),
        () if signs.has(Signs::BRACKET) && !is_of_addresses(text, field) && holds_percent(text) => {
            Some("J%C3%B6rg")
        }
        () => None,
    }
}

/// What JSON escapes that is a letter, or a sign that it need not escape.
fn holds_unicode_escape(text: &str) -> bool {
    text.split("\\u").skip(1).any(|behind| {
        let digits = behind.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        number.is_some_and(|number| number >= 0xa0 || (0x20..0x7f).contains(&number))
    })
}

/// RFC 2047.
fn holds_encoded_word(text: &str) -> bool {
    text.match_indices("=?").any(|(at, begin)| {
        let mut parts = text[at + begin.len()..].splitn(3, '?');
        let charset = parts.next().unwrap_or_default();
        let is_charset = !charset.is_empty()
            && charset.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:*".contains(&b));
        let encoding = parts.next().unwrap_or_default();
        is_charset
            && ["Q", "q", "B", "b"].contains(&encoding)
            && parts.next().is_some_and(|rest| rest.contains("?="))
    })
}

/// In the address of a page it belongs there.
fn is_of_addresses(text: &str, field: &str) -> bool {
    const FIELDS: [&str; 11] =
        ["url", "uri", "link", "href", "slug", "path", "query", "utm", "param", "website", "page"];
    let field = field.to_ascii_lowercase();
    text.contains(['/', '?', '=', '&', '@']) || FIELDS.iter().any(|part| field.contains(part))
}

/// A letter of UTF-8, each of its bytes written as `%` and two digits.
fn holds_percent(text: &str) -> bool {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        bytes.clear();
        rest = &rest[at..];
        while let Some(byte) = percent_byte(rest) {
            bytes.push(byte);
            rest = &rest[3..];
        }
        let is_letter = std::str::from_utf8(&bytes).is_ok_and(|read| !read.is_ascii());
        if is_letter {
            return true;
        }
        rest = rest.strip_prefix('%').unwrap_or(rest);
    }
    false
}

fn percent_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix('%')?.get(..2)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
}
