//! Decodes the encoded-words of a header value (RFC 2047), in UTF-8 and US-ASCII. Mail libraries write them
//! without being asked as soon as a value is long or not ASCII.

use data_encoding::BASE64;
use std::borrow::Cow;

/// The value with its encoded-words decoded; `None` when one is not well formed or in another charset.
pub fn decode(value: &str) -> Option<Cow<'_, str>> {
    if !value.contains("=?") {
        return Some(Cow::Borrowed(value));
    }
    let (mut octets, mut rest, mut is_after_word) = (Vec::with_capacity(value.len()), value, false);
    while let Some(start) = rest.find("=?") {
        let (before, word_onwards) = rest.split_at(start);
        // White space between two encoded-words is not part of the value (RFC 2047 §6.2).
        let is_gap = is_after_word && before.bytes().all(|b| matches!(b, b' ' | b'\t'));
        if !is_gap {
            octets.extend_from_slice(before.as_bytes());
        }
        rest = decode_word(&word_onwards[2..], &mut octets)?;
        is_after_word = true;
    }
    octets.extend_from_slice(rest.as_bytes());
    String::from_utf8(octets).ok().map(Cow::Owned)
}

/// Decodes `charset?encoding?text?=` and returns what follows it.
fn decode_word<'a>(word: &'a str, octets: &mut Vec<u8>) -> Option<&'a str> {
    let (charset, rest) = word.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (text, rest) = rest.split_once("?=")?;
    // RFC 2231 §5 lets a language tag follow the charset.
    let charset = charset.split_once('*').map_or(charset, |(name, _)| name);
    if !["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known)) {
        return None;
    }
    match encoding {
        "B" | "b" => octets.extend(BASE64.decode(text.as_bytes()).ok()?),
        "Q" | "q" => decode_q(text.as_bytes(), octets)?,
        _ => return None,
    }
    Some(rest)
}

fn decode_q(mut text: &[u8], octets: &mut Vec<u8>) -> Option<()> {
    while let Some((&first, rest)) = text.split_first() {
        text = match first {
            b'=' => {
                let (hex, rest) = rest.split_first_chunk::<2>()?;
                let hex = std::str::from_utf8(hex).ok().filter(|hex| !hex.starts_with('+'))?;
                octets.push(u8::from_str_radix(hex, 16).ok()?);
                rest
            }
            b'_' => {
                octets.push(b' ');
                rest
            }
            other => {
                octets.push(other);
                rest
            }
        };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_decoded_and_joined() {
        assert_eq!(decode("plain = ?").unwrap(), "plain = ?");
        assert_eq!(decode("=?utf-8?q?a=20b_c?= d").unwrap(), "a b c d");
        assert_eq!(decode("x =?UTF-8?B?15PX?=  =?utf-8*he?b?oNeU?=").unwrap(), "x דנה");
        assert_eq!(decode("=?us-ascii?Q?=7B=22a=22=3A1=7D?=").unwrap(), "{\"a\":1}");
    }

    #[test]
    fn anything_else_is_refused() {
        for value in [
            "=?utf-8?q?a",
            "=?utf-16?q?a?=",
            "=?utf-8?x?a?=",
            "=?utf-8?b?a?=",
            "=?utf-8?q?=G0?=",
            "=?utf-8?q?=ff?=",
        ] {
            assert_eq!(decode(value), None, "{value}");
        }
    }
}
