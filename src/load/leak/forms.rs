//! The forms in which a value may lie in a file. ASCII letters are searched in either case, so a form is given in
//! one case only.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, Encoding, HEXLOWER};
use std::fmt;
use std::fmt::Write as _;

/// How a value was written. The order is that of plainness: the first that fits names a find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// UTF-8, in any case.
    Raw,
    Reversed,
    Hex,
    /// In a URL (RFC 3986 §2.1), in whole or where needed.
    Percent,
    /// With either alphabet, at any alignment.
    Base64,
    /// RFC 2045 §6.7 or RFC 2047 §4.2.
    QuotedPrintable,
    /// In either byte order.
    Utf16,
    /// HTML character references, named, decimal or hexadecimal.
    Entity,
    /// With backslashes, as in JSON or a debug print.
    Escaped,
    /// As the numbers of its bytes: `[100, 97, ...]`.
    ByteList,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "plain text",
            Self::Reversed => "reversed text",
            Self::Hex => "hex",
            Self::Percent => "percent-encoding",
            Self::Base64 => "base64",
            Self::QuotedPrintable => "quoted-printable",
            Self::Utf16 => "UTF-16",
            Self::Entity => "HTML entities",
            Self::Escaped => "escaped text",
            Self::ByteList => "a list of bytes",
        })
    }
}

/// Gives each form of `value` to `found`, some more than once.
pub fn each(value: &str, found: &mut dyn FnMut(Form, Vec<u8>)) {
    found(Form::Raw, value.to_uppercase().into_bytes());
    let lower = value.to_lowercase();
    each_of_one_case(value, found);
    if lower != value {
        each_of_one_case(&lower, found);
    }
}

fn each_of_one_case(value: &str, found: &mut dyn FnMut(Form, Vec<u8>)) {
    let bytes = value.as_bytes();
    found(Form::Raw, bytes.to_vec());
    found(Form::Reversed, value.chars().rev().collect::<String>().into_bytes());
    found(Form::Hex, HEXLOWER.encode(bytes).into_bytes());
    for encoding in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
        for alignment in 0..3 {
            found(Form::Base64, base64_inside(encoding, alignment, bytes));
        }
    }
    found(Form::Utf16, value.encode_utf16().flat_map(u16::to_le_bytes).collect());
    found(Form::Utf16, value.encode_utf16().flat_map(u16::to_be_bytes).collect());
    found(Form::ByteList, listed(bytes, ", "));
    found(Form::ByteList, listed(bytes, ","));
    percent(bytes, found);
    quoted_printable(bytes, found);
    entities(value, found);
    escaped(value, found);
}

/// The characters of base64 that hold bits of the value only, when `alignment` bytes stand before it.
fn base64_inside(encoding: &Encoding, alignment: usize, bytes: &[u8]) -> Vec<u8> {
    let mut padded = vec![0; alignment];
    padded.extend_from_slice(bytes);
    let encoded = encoding.encode(&padded).into_bytes();
    encoded[(alignment * 8).div_ceil(6)..padded.len() * 8 / 6].to_vec()
}

fn listed(bytes: &[u8], separator: &str) -> Vec<u8> {
    bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(separator).into_bytes()
}

fn percent(bytes: &[u8], found: &mut dyn FnMut(Form, Vec<u8>)) {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    // What stays plain in a query, a path and a local part of mailto: differs from writer to writer.
    for plain_too in [&b""[..], b"@", b"@+", b"@!'()*", b"@:/,;$&='+!()*"] {
        let some = coded(bytes, '%', &|b| unreserved(b) || plain_too.contains(&b));
        found(Form::Percent, some.replace("%20", "+").into_bytes());
        found(Form::Percent, some.into_bytes());
    }
    found(Form::Percent, coded(bytes, '%', &|_| false).into_bytes());
}

fn quoted_printable(bytes: &[u8], found: &mut dyn FnMut(Form, Vec<u8>)) {
    let body = coded(bytes, '=', &|b| b == b' ' || (b.is_ascii_graphic() && b != b'='));
    found(Form::QuotedPrintable, body.into_bytes());
    // The encoded-word of a phrase spares letters, digits and few others; writers differ in which.
    for plain_too in [&b""[..], b"!*+-/", b"-.", b".-@'", b"!*+-/.,'@&:;()"] {
        let word = coded(bytes, '=', &|b| b == b' ' || b.is_ascii_alphanumeric() || plain_too.contains(&b));
        found(Form::QuotedPrintable, word.replace(' ', "_").into_bytes());
    }
    found(Form::QuotedPrintable, coded(bytes, '=', &|_| false).into_bytes());
}

fn coded(bytes: &[u8], mark: char, plain: &dyn Fn(u8) -> bool) -> String {
    let mut out = String::new();
    for &b in bytes {
        if plain(b) {
            out.push(char::from(b));
        } else {
            write!(out, "{mark}{b:02X}").expect("a String takes everything");
        }
    }
    out
}

fn entities(value: &str, found: &mut dyn FnMut(Form, Vec<u8>)) {
    let named = |c: char, apostrophe: &str| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => apostrophe.to_owned(),
        c => c.to_string(),
    };
    let decimal = |c: char| format!("&#{};", u32::from(c));
    let hexadecimal = |c: char| format!("&#x{:x};", u32::from(c));
    for apostrophe in ["'", "&#39;", "&#x27;", "&apos;"] {
        let each = |other: &dyn Fn(char) -> String| -> Vec<u8> {
            value
                .chars()
                .map(|c| if c.is_ascii() { named(c, apostrophe) } else { other(c) })
                .collect::<String>()
                .into()
        };
        found(Form::Entity, each(&|c| c.to_string()));
        found(Form::Entity, each(&decimal));
        found(Form::Entity, each(&hexadecimal));
    }
    let specials = |c: char| !c.is_ascii() || "&<>\"'".contains(c);
    for number in [&decimal as &dyn Fn(char) -> String, &hexadecimal] {
        let some: String =
            value.chars().map(|c| if specials(c) { number(c) } else { c.to_string() }).collect();
        found(Form::Entity, some.into_bytes());
        found(Form::Entity, value.chars().map(number).collect::<String>().into_bytes());
    }
}

fn escaped(value: &str, found: &mut dyn FnMut(Form, Vec<u8>)) {
    let unit =
        |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04x}")).collect::<String>();
    let quoted = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c => c.to_string(),
    };
    let json: String = value.chars().map(quoted).collect();
    let json_ascii: String = value.chars().map(|c| if c.is_ascii() { quoted(c) } else { unit(c) }).collect();
    let json_html: String =
        json_ascii.chars().map(|c| if "<>&'".contains(c) { unit(c) } else { c.to_string() }).collect();
    found(Form::Escaped, json.replace('/', "\\/").into_bytes());
    found(Form::Escaped, json.into_bytes());
    found(Form::Escaped, json_ascii.into_bytes());
    found(Form::Escaped, json_html.into_bytes());
    found(Form::Escaped, value.chars().map(unit).collect::<String>().into_bytes());
    found(Form::Escaped, value.escape_debug().to_string().into_bytes());
    let debugged = format!("{value:?}");
    found(Form::Escaped, debugged.as_bytes()[1..debugged.len() - 1].to_vec());
    found(Form::Escaped, value.escape_unicode().to_string().into_bytes());
    let ascii = value.as_bytes().escape_ascii().to_string();
    found(Form::Escaped, ascii.replace("\\'", "'").into_bytes());
    found(Form::Escaped, ascii.into_bytes());
}
