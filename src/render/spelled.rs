//! How readers read one sign, however it is written: as itself, as a character reference, as a triplet of a URL.

use super::program::Syntax;
use html5ever::data::NAMED_ENTITIES;
use std::borrow::Cow;

/// The sign that `text` begins with, and how many bytes it takes there.
pub(super) fn shown(text: &str, syntax: Syntax) -> Option<(char, usize)> {
    let plain = || text.chars().next().map(|c| (c, c.len_utf8()));
    if syntax == Syntax::Html { reference(text).or_else(plain) } else { plain() }
}

/// A character reference, and how many bytes it takes (HTML §13.5).
pub(super) fn reference(text: &str) -> Option<(char, usize)> {
    let (digits, radix) = match text.as_bytes() {
        [b'&', b'#', b'x' | b'X', ..] => (&text[3..], 16),
        [b'&', b'#', ..] => (&text[2..], 10),
        [b'&', ..] => return named(&text[1..]).map(|(c, bytes)| (c, bytes + 1)),
        _ => return None,
    };
    let values = digits.bytes().map_while(|byte| char::from(byte).to_digit(radix));
    let (length, value) = values.fold((0, 0_u32), |(length, value), digit| {
        (length + 1, value.saturating_mul(radix).saturating_add(digit))
    });
    let c = char::from_u32(value).filter(|_| length > 0)?;
    let end = text.len() - digits.len() + length;
    Some((c, end + usize::from(opens(&text[end..], b';'))))
}

/// The sign that a name stands for, the longest that is known: some need no semicolon behind them. Of the few that stand for
/// two signs the first.
fn named(text: &str) -> Option<(char, usize)> {
    const LONGEST: usize = "CounterClockwiseContourIntegral;".len();
    let letters = text.bytes().take(LONGEST).take_while(u8::is_ascii_alphanumeric).count();
    let longest = letters + usize::from(opens(&text[letters..], b';'));
    let known = |bytes: usize| {
        let (first, _) = NAMED_ENTITIES.get(&text[..bytes])?;
        char::from_u32(*first).filter(|c| *c != '\0').map(|c| (c, bytes))
    };
    (2..=longest).rev().find_map(known)
}

/// As a byte: to look for a `char` is a call.
pub(super) fn opens(text: &str, byte: u8) -> bool {
    text.as_bytes().first() == Some(&byte)
}

pub(super) fn has_no_width(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

/// What stands behind the number of an opening brace, whatever zeros it begins with.
fn behind_number<'n>(number: &'n [u8], brace: &[u8]) -> Option<&'n [u8]> {
    let zeros = number.iter().take_while(|byte| **byte == b'0').count();
    let (begun, behind) = number[zeros..].split_at_checked(brace.len())?;
    begun.eq_ignore_ascii_case(brace).then_some(behind)
}

/// What stands behind the reference to an opening brace that may stand here: most signs are ruled out at a glance.
pub(super) fn behind_brace(from: &[u8]) -> Option<&[u8]> {
    let behind = match from {
        [b'&', b'#', b'x' | b'X', hex @ ..] => behind_number(hex, b"7b")?,
        [b'&', b'#', digits @ ..] => behind_number(digits, b"123")?,
        [b'&', b'l', b'c', b'u', b'b', behind @ ..] => behind,
        [b'&', b'l', b'b', b'r', b'a', b'c', b'e', behind @ ..] => behind,
        _ => return None,
    };
    Some(behind.strip_prefix(b";").unwrap_or(behind))
}

/// How many bytes a brace takes that `text` begins with: itself, or as the triplet `%7B` or `%7D`, or that encoded once more.
pub(super) fn brace(text: &[u8], plain: u8, digit: u8) -> Option<usize> {
    match text {
        [first, ..] if *first == plain => Some(1),
        [b'%', b'7', last, ..] if last.eq_ignore_ascii_case(&digit) => Some("%7b".len()),
        [b'%', b'2', b'5', b'7', last, ..] if last.eq_ignore_ascii_case(&digit) => Some("%257b".len()),
        _ => None,
    }
}

/// What escapes of braces begin with in JSON (RFC 8259 §7).
pub(super) const JSON_BRACE: &str = "\\u007";

/// JSON with the escapes of braces as the braces that they are.
pub(super) fn json_braces(json: &str) -> Cow<'_, str> {
    let mut out: Option<String> = None;
    let mut from = 0;
    for at in memchr::memmem::find_iter(json.as_bytes(), JSON_BRACE) {
        let brace = match json.as_bytes().get(at + JSON_BRACE.len()) {
            Some(b'b' | b'B') => '{',
            Some(b'd' | b'D') => '}',
            _ => continue,
        };
        // Behind an odd number of backslashes it is the escape of a backslash, and letters.
        let backslashes = json.as_bytes()[from..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 1 {
            continue;
        }
        let out = out.get_or_insert_with(|| String::with_capacity(json.len()));
        out.push_str(&json[from..at]);
        out.push(brace);
        from = at + JSON_BRACE.len() + 1;
    }
    match out {
        None => Cow::Borrowed(json),
        Some(out) => Cow::Owned(out + &json[from..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_known_by_number_and_by_name() {
        for (text, shown) in [
            ("&#58;x", Some((':', 5))),
            ("&#x3A;", Some((':', 6))),
            ("&colon;", Some((':', 7))),
            ("&Tab;", Some(('\t', 5))),
            ("&ltx", Some(('<', 3))),
            ("&shyexample", Some(('\u{ad}', 4))),
            ("&colon", None),
            ("&COLON;", None),
            ("&;", None),
            ("&", None),
            ("&#;", None),
        ] {
            assert_eq!(reference(text), shown, "{text}");
        }
    }
}
