//! The lines of iCalendar and vCard (RFC 5545 §3.1, RFC 6350 §3.2): folding, and quotes around parameters that hold a
//! placeholder.

use super::encode::Output;

/// Longest line, without its line end.
const LINE_OCTETS_MAX: usize = 75;

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
