//! Encoded words in header fields (RFC 2047), read as leniently as mail clients read them: beside other text, cut within
//! a letter, with spaces in them.

use super::charset::{Charset, Stated};
use super::transfer::TransferEncoding;
use std::borrow::Cow;

/// A field's text.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    /// Nothing in it was unreadable.
    pub is_whole: bool,
}

struct Word<'v> {
    charset: &'v str,
    is_base64: bool,
    text: &'v str,
}

/// Decodes a value; line ends are taken out of it.
pub fn decode(value: &str) -> Text {
    let unfolded: Cow<'_, str> = if value.contains(['\r', '\n']) {
        value.chars().filter(|c| !matches!(c, '\r' | '\n')).collect::<String>().into()
    } else {
        value.into()
    };
    let mut out = Text { text: String::with_capacity(unfolded.len()), is_whole: true };
    let mut rest = unfolded.trim_matches([' ', '\t']);
    let mut run: Vec<Word<'_>> = Vec::new();
    while let Some(start) = rest.find("=?") {
        let (before, onwards) = rest.split_at(start);
        let Some((word, after)) = word(onwards) else {
            out.put_run(&mut run);
            out.text.push_str(&rest[..start + 2]);
            rest = &rest[start + 2..];
            continue;
        };
        // White space between two encoded words is not part of the text (RFC 2047 §6.2).
        let is_gap = !run.is_empty() && before.bytes().all(|octet| matches!(octet, b' ' | b'\t'));
        if !is_gap {
            out.put_run(&mut run);
            out.text.push_str(before);
        }
        run.push(word);
        rest = after;
    }
    out.put_run(&mut run);
    out.text.push_str(rest);
    out
}

/// What readers that do without the end of an encoded word (Python's `email`) make of a value whose last one has none.
pub fn decode_unended(value: &str) -> Option<Text> {
    let start = value.rfind("=?")?;
    let mut parts = value[start + 2..].splitn(3, '?');
    let (_, encoding, text) = (parts.next()?, parts.next()?, parts.next()?);
    if !matches!(encoding, "b" | "B" | "q" | "Q") || text.contains("?=") {
        return None;
    }
    let length = text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len());
    let end = value.len() - text.len() + length;
    Some(decode(&[&value[..end], "?=", &value[end..]].concat()))
}

/// `=?charset?encoding?text?=`, and what follows it.
fn word(from: &str) -> Option<(Word<'_>, &str)> {
    let (charset, rest) = from.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (text, after) = rest.split_once("?=")?;
    // Without a charset too: Python's `email` reads those as US-ASCII.
    let is_token = charset.bytes().all(|octet| octet.is_ascii_graphic());
    let is_base64 = match encoding {
        "b" | "B" => true,
        "q" | "Q" => false,
        _ => return None,
    };
    // RFC 2231 §5 lets a language follow the charset.
    let charset = charset.split('*').next().unwrap_or(charset);
    is_token.then_some((Word { charset, is_base64, text }, after))
}

impl Text {
    /// Neighbours in one charset are one text: some senders cut within a letter, or within a quartet of base64.
    fn put_run(&mut self, run: &mut Vec<Word<'_>>) {
        let mut words = run.drain(..).peekable();
        while let Some(first) = words.next() {
            let charset = first.charset;
            let (mut octets, mut quartets) = (Vec::new(), String::new());
            let mut next = Some(first);
            while let Some(word) = next {
                let goes_on = word.is_base64 && !quartets.ends_with('=') && quartets.len() % 4 != 0;
                if !goes_on {
                    self.take_quartets(&mut quartets, &mut octets);
                }
                if word.is_base64 {
                    quartets.push_str(word.text)
                } else {
                    octets.extend(decode_q(word.text))
                }
                next = words.next_if(|next| next.charset.eq_ignore_ascii_case(charset));
            }
            self.take_quartets(&mut quartets, &mut octets);
            self.put(charset, &octets);
        }
    }

    fn take_quartets(&mut self, quartets: &mut String, octets: &mut Vec<u8>) {
        match TransferEncoding::Base64.decode(quartets.as_bytes()) {
            Some(decoded) => octets.extend_from_slice(&decoded.octets),
            None => self.is_whole &= quartets.is_empty(),
        }
        quartets.clear();
    }

    fn put(&mut self, label: &str, octets: &[u8]) {
        let charset = match Stated::of(Some(label)) {
            Stated::Charset(charset) => charset,
            Stated::Nothing => Charset::Known(encoding_rs::UTF_8),
            Stated::Foreign => {
                self.is_whole = false;
                Charset::Known(encoding_rs::UTF_8)
            }
        };
        let (text, is_whole) = charset.decode(octets);
        self.text.push_str(&text);
        self.is_whole &= is_whole;
    }
}

fn decode_q(text: &str) -> Vec<u8> {
    let spaced = text.replace('_', " ");
    let decoded = TransferEncoding::QuotedPrintable.decode(spaced.as_bytes());
    decoded.map(|decoded| decoded.octets.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> String {
        let Text { text, is_whole } = decode(value);
        assert!(is_whole, "{value}");
        text
    }

    #[test]
    fn words_are_read_wherever_they_are_cut() {
        assert_eq!(read(" plain =? text \r\n"), "plain =? text");
        assert_eq!(read("=?utf-8?q?a=20b_c?= d"), "a b c d");
        assert_eq!(read("x =?UTF-8?B?15PX?=\r\n =?utf-8*he?b?oNeU?="), "x דנה");
        assert_eq!(read("=?utf-8?q?=C3?= =?utf-8?q?=A9?="), "é");
        assert_eq!(read("=?utf-8?b?e3twZX?= =?utf-8?b?Jzb24=?="), "{{person");
        assert_eq!(read("{=?utf-8?q?{person.x}}?="), "{{person.x}}");
        assert_eq!(read("=?utf-8?q?a b?="), "a b");
        assert_eq!(read("=?iso-8859-1?q?=e9?= =?utf-8?b?w6k=?="), "éé");
        assert_eq!(read("=?iso-2022-jp?B?GyRCJDMbKEI=?="), "こ");
    }

    #[test]
    fn b4_a_word_without_its_end_is_read_as_some_readers_do() {
        let read = |value| decode_unended(value).map(|told| told.text);
        assert_eq!(read("a =?utf-8?q?=7B=7Bx=7D=7D").as_deref(), Some("a {{x}}"));
        assert_eq!(decode("a =??q?=7B=7Bx=7D=7D?= b").text, "a {{x}} b");
        assert_eq!(read("=?utf-8?b?e3t4fX0= b").as_deref(), Some("{{x}} b"));
        for whole in ["=?utf-8?q?=7B=7Bx?=", "a =? b", "=?utf-8?x?=7B", "=?utf-8?q"] {
            assert_eq!(read(whole), None, "{whole}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for value in ["=?cp037?q?=C0?=", "=?utf-8?q?=FF?=", "=?utf-8?b?a?="] {
            assert!(!decode(value).is_whole, "{value}");
        }
    }
}
