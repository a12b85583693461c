//! The lines of iCalendar and vCard (RFC 5545 §3.1, RFC 6350 §3.2): folding, and quotes around parameters that hold a
//! placeholder.

use super::encode::Output;
use data_encoding::{BASE64, HEXUPPER_PERMISSIVE};
use std::borrow::Cow;

/// Longest line, without its line end.
const LINE_OCTETS_MAX: usize = 75;
/// Name and parameters of a line are looked for no further: each line of a fold looks at those before it.
const HEAD_BYTES_MAX: usize = 2000;

/// Writes the text with every long line folded, between characters.
pub(super) fn fold(text: &str, out: &mut Output) {
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        let mut room = LINE_OCTETS_MAX;
        while rest.trim_end_matches(['\r', '\n']).len() > room {
            let cut = (1..=room).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
            out.put(&rest.as_bytes()[..cut]);
            out.put(b"\r\n ");
            rest = &rest[cut..];
            room = LINE_OCTETS_MAX - 1;
        }
        out.put(rest.as_bytes());
    }
}

/// The first line whose value is encoded in itself (vCard 2.1 §2.1.3, RFC 2426 §2.4.1) and shows a placeholder to whoever decodes it,
/// counted from 1.
pub(super) fn encoded(source: &str) -> Option<usize> {
    if !has_encoding(source) {
        return None;
    }
    let mut lines = source.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let mut line = Cow::Borrowed(line);
        let is_folded = |line: &str, more: &str| {
            line.len() < HEAD_BYTES_MAX && more.starts_with([' ', '\t']) && end_of(line, &[':']) == line.len()
        };
        while let Some((_, more)) = lines.next_if(|(_, more)| is_folded(&line, more)) {
            line.to_mut().push_str(more.trim_start_matches([' ', '\t']));
        }
        let head = &line[..end_of(&line, &[':'])];
        let Some(way) = Encoding::of(head) else { continue };
        let mut value = line.get(head.len() + 1..).unwrap_or_default().to_owned();
        while let Some((_, more)) = lines.next_if(|(_, more)| way.goes_on(&value, more)) {
            if way == Encoding::QuotedPrintable && value.ends_with('=') {
                value.pop();
            }
            value.push_str(more.trim_start_matches([' ', '\t']));
        }
        if way.shows_placeholder(&value) {
            return Some(at + 1);
        }
    }
    None
}

/// Whether a parameter may say so, wherever its line is folded.
fn has_encoding(source: &str) -> bool {
    const PARAMETERS: [&str; 3] = ["encoding", "quoted-printable", "base64"];
    memchr::memchr_iter(b';', source.as_bytes()).any(|at| {
        let mut letters = source.as_bytes()[at + 1..].iter().filter(|byte| !byte.is_ascii_whitespace());
        let Some(first) = letters.next() else { return false };
        PARAMETERS.iter().any(|known| {
            let (begin, rest) = known.as_bytes().split_at(1);
            begin[0].eq_ignore_ascii_case(first)
                && rest.iter().all({
                    let mut letters = letters.clone();
                    move |wanted| letters.next().is_some_and(|byte| byte.eq_ignore_ascii_case(wanted))
                })
        })
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    QuotedPrintable,
    Base64,
}

impl Encoding {
    /// As the parameters say it, in version 2.1 without a name.
    fn of(head: &str) -> Option<Self> {
        head.split(';').skip(1).find_map(|parameter| {
            let parameter = parameter.trim().to_ascii_lowercase();
            let named = parameter.strip_prefix("encoding").map(str::trim_start);
            let way = named.and_then(|named| named.strip_prefix('=')).unwrap_or(&parameter);
            match way.trim().trim_matches('"') {
                "quoted-printable" | "q" => Some(Self::QuotedPrintable),
                "base64" | "b" => Some(Self::Base64),
                _ => None,
            }
        })
    }

    /// Whether the next line belongs to the value: by a soft line break, or folded.
    fn goes_on(self, value: &str, next: &str) -> bool {
        next.starts_with([' ', '\t']) || self == Self::QuotedPrintable && value.ends_with('=')
    }

    fn shows_placeholder(self, value: &str) -> bool {
        let decoded = match self {
            Self::QuotedPrintable => Some(from_quoted_printable(value)),
            Self::Base64 => BASE64.decode(value.trim().as_bytes()).ok(),
        };
        // A picture may hold two braces by chance.
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        value.contains("{{") || text.is_some_and(|text| text.contains("{{"))
    }
}

fn from_quoted_printable(value: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let octet =
            behind.get(..2).filter(|_| *first == b'=').and_then(|hex| HEXUPPER_PERMISSIVE.decode(hex).ok());
        match octet {
            Some(octet) => {
                bytes.extend(octet);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

/// The source unfolded, so that no placeholder is cut, and with every parameter that holds one in quotes, so that any
/// value may stand there (RFC 5545 §3.2).
pub(super) fn prepared(source: &str) -> String {
    let unfolded = source.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    let mut out = String::with_capacity(unfolded.len() + 64);
    for line in unfolded.split_inclusive('\n') {
        quote_parameters(line, &mut out);
    }
    out
}

fn quote_parameters(line: &str, out: &mut String) {
    let mut rest = line;
    loop {
        let end = end_of(rest, &[';', ':']);
        out.push_str(&rest[..end]);
        rest = &rest[end..];
        // Behind the colon stands the value.
        if !rest.starts_with(';') {
            return out.push_str(rest);
        }
        let name = end_of(rest, &['=', ':']);
        if !rest[name..].starts_with('=') {
            return out.push_str(rest);
        }
        out.push_str(&rest[..=name]);
        rest = &rest[name + 1..];
        loop {
            let end = end_of(rest, &[';', ':', ',']);
            let value = &rest[..end];
            if value.contains("{{") && !value.contains('"') {
                out.push('"');
                out.push_str(value);
                out.push('"');
            } else {
                out.push_str(value);
            }
            rest = &rest[end..];
            let Some(next) = rest.strip_prefix(',') else { break };
            out.push(',');
            rest = next;
        }
    }
}

/// Where the first of the signs stands outside quotes and tags, or a tag that closes a block opened before.
fn end_of(text: &str, signs: &[char]) -> usize {
    let (mut at, mut is_quoted, mut depth) = (0, false, 0usize);
    while let Some(c) = text[at..].chars().next() {
        if text[at..].starts_with("{{") {
            let tag = text[at..].find("}}").map_or(text.len() - at, |close| close + 2);
            let inner = text[at..at + tag].trim_start_matches(['{', '~', ' ']);
            let closes = inner.starts_with('/');
            if depth == 0 && (closes || inner.starts_with("else")) && at > 0 {
                return at;
            }
            depth = (depth + usize::from(inner.starts_with('#'))).saturating_sub(usize::from(closes));
            at += tag;
            continue;
        }
        if !is_quoted && (signs.contains(&c) || c == '\n' || c == '\r') {
            return at;
        }
        is_quoted ^= c == '"';
        at += c.len_utf8();
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parameters_with_a_placeholder_are_quoted() {
        for (line, wanted) in [
            ("ATTENDEE;CN={{a}};RSVP=TRUE:mailto:{{b}}", "ATTENDEE;CN=\"{{a}}\";RSVP=TRUE:mailto:{{b}}"),
            ("ATTENDEE;CN=\"{{a}}\":mailto:x", "ATTENDEE;CN=\"{{a}}\":mailto:x"),
            ("A;CN={{a}} {{b}},{{c}}:x", "A;CN=\"{{a}} {{b}}\",\"{{c}}\":x"),
            ("A;CN={{#if a}}{{a}}{{else}}G{{/if}}:x", "A;CN=\"{{#if a}}{{a}}{{else}}G{{/if}}\":x"),
            ("A{{#if a}};CN={{a}}{{/if}}:mailto:x", "A{{#if a}};CN=\"{{a}}\"{{/if}}:mailto:x"),
            ("SUMMARY:a;b={{c}}", "SUMMARY:a;b={{c}}"),
            ("A;X=\"a;b:{{c}}\":{{d}}", "A;X=\"a;b:{{c}}\":{{d}}"),
            ("SUMM\r\n ARY:{{data.\r\n\tx}}\r\n", "SUMMARY:{{data.x}}\n"),
        ] {
            assert_eq!(prepared(line), wanted);
        }
    }

    #[test]
    fn b15_a_placeholder_in_a_value_that_is_encoded_in_itself_is_found() {
        for (line, is_found) in [
            ("FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:{{person.first_name}}", true),
            ("FN;ENCODING=QUOTED-PRINTABLE:=7B=7Bperson.first_name=7d=7d", true),
            ("FN;QUOTED-PRINTABLE:Hi {{person=\r\n.first_name}}", true),
            ("FN;quoted-printable:Hi {=\r\n=7Bperson.first_name}}", true),
            ("NOTE;ENCODING=b:SGkge3twZXJzb24uZmlyc3RfbmFtZX19", true),
            ("NOTE;BASE64:SGkge3twZXJz\r\n b24uZmlyc3RfbmFtZX19", true),
            ("FN;CHARSET=UTF-8;\r\n ENCODING=QUOTED-PRINTABLE:=7B=7Ba=7D=7D", true),
            ("FN;ENCO\r\n DING=QUOTED-\r\n\tPRINTABLE:=7B=7Ba=7D=7D", true),
            ("FN;ENCODING\r\n =b:e3thfX0=", true),
            ("FN ; ENCODING = \"QUOTED-PRINTABLE\" : =7B=7Ba=7D=7D", true),
            ("FN;CHARSET=UTF-8;\r\n LANGUAGE=de:{{a}}", false),
            ("FN;ENCODING=QUOTED-PRINTABLE:K=C3=B6ln=\r\n am Rhein\r\nNOTE:{{a}}", false),
            ("NOTE:ENCODING=QUOTED-PRINTABLE =7B=7B", false),
            ("X;A=\";base64:\":{{a}}", false),
            ("PHOTO;ENCODING=b:/3t7/w==", false),
        ] {
            let card = format!("BEGIN:VCARD\r\n{line}\r\nEND:VCARD\r\n");
            assert_eq!(encoded(&card), is_found.then_some(2), "{line}");
        }
    }

    proptest! {
        #[test]
        fn folded_lines_are_short_and_unfold_to_themselves(text in "(\\PC{0,90}\n|[א-ת]{0,200}\n){0,4}") {
            let mut out = Output::unbounded();
            fold(&text, &mut out);
            let folded = out.as_text();
            prop_assert!(folded.split("\r\n").flat_map(|line| line.split('\n')).all(|line| line.len() <= 75));
            prop_assert_eq!(folded.replace("\r\n ", ""), text);
        }
    }
}
