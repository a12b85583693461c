//! Text in header fields: as it is where that is safe, else as encoded words (RFC 2047).

use super::output::Output;
use base64_simd::{AsOut, STANDARD};

/// Longest line with an encoded word, without its CRLF (RFC 2047 §2).
const LINE_MAX: usize = 76;
/// Longest encoded word (RFC 2047 §2).
const WORD_MAX: usize = 75;
/// `=?UTF-8?B?` and `?=`.
const FRAME: usize = 12;
/// A longer stretch without a place to fold is encoded, to stay well below the 998 of RFC 5322 §2.1.1.
const STRETCH_MAX: usize = 800;
/// A longer display name is encoded, so it can be folded anywhere.
const PLAIN_NAME_MAX: usize = 60;

/// Appends `text` as header text: control characters and line separators become spaces, bidi overrides and
/// byte order marks vanish. Nothing that passes here can begin a new header field.
pub fn put_clean(text: &str, into: &mut Output) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return into.put(text.as_bytes());
    }
    let mut run = 0;
    for (at, c) in text.char_indices() {
        let Some(substitute) = substitute(c) else { continue };
        into.put(&text.as_bytes()[run..at]);
        into.put(substitute.as_bytes());
        run = at + c.len_utf8();
    }
    into.put(&text.as_bytes()[run..]);
}

fn substitute(c: char) -> Option<&'static str> {
    match c {
        '\u{2028}' | '\u{2029}' => Some(" "),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => Some(""),
        c if c.is_control() => Some(" "),
        _ => None,
    }
}

/// Writes clean text as an unstructured value (RFC 5322 §3.2.5) that begins at `column` of its line. Gives the
/// column after it.
pub fn unstructured(text: &str, column: usize, out: &mut Output) -> usize {
    if may_stand_as_written(text) { folded(text, column, out) } else { encoded(text, column, out) }
}

/// Writes clean text as a display name (RFC 5322 §3.2.5 `phrase`). Gives the column after it.
///
/// Only an atom or a quoted string without the signs of address lists is left readable: a careless reader must
/// not find an address in a name.
pub fn phrase(text: &str, column: usize, out: &mut Output) -> usize {
    let is_short = text.len() <= PLAIN_NAME_MAX && may_stand_as_written(text);
    let is_atoms = || text.bytes().all(|byte| is_atext(byte) || byte == b' ') && !text.contains("  ");
    let is_quotable = || text.bytes().all(|byte| is_atext(byte) || b" .,".contains(&byte));
    if is_short && is_atoms() {
        fold_before(text.len(), column, out, |out| out.put(text.as_bytes()))
    } else if is_short && is_quotable() {
        fold_before(text.len() + 2, column, out, |out| {
            out.push(b'"');
            out.put(text.as_bytes());
            out.push(b'"');
        })
    } else {
        encoded(text, column, out)
    }
}

/// Goes to the next line first where `len` octets do not fit on this one.
pub fn fold_before(len: usize, column: usize, out: &mut Output, write: impl FnOnce(&mut Output)) -> usize {
    let column = if column > 1 && column + len > LINE_MAX { fold(out) } else { column };
    write(out);
    column + len
}

pub fn fold(out: &mut Output) -> usize {
    out.put(b"\r\n ");
    1
}

/// `atext` of RFC 5322 §3.2.3.
pub fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// Printable ASCII that no reader takes for an encoded word and that can be folded.
fn may_stand_as_written(text: &str) -> bool {
    let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_trimmed = !text.starts_with(' ') && !text.ends_with(' ');
    let can_fold = || {
        text.len() <= STRETCH_MAX
            || (!text.contains("  ") && text.split(' ').all(|word| word.len() <= STRETCH_MAX))
    };
    let looks_encoded = || memchr::memchr(b'=', text.as_bytes()).is_some() && text.contains("=?");
    is_printable && is_trimmed && !looks_encoded() && can_fold()
}

fn folded(text: &str, mut column: usize, out: &mut Output) -> usize {
    if column + text.len() <= LINE_MAX {
        out.put(text.as_bytes());
        return column + text.len();
    }
    let mut previous_len = 0;
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            // Folding between two spaces would leave one of them at a line's end, where it gets lost.
            let is_single_space = previous_len > 0 && !word.is_empty();
            if is_single_space && column + 1 + word.len() > LINE_MAX {
                column = fold(out);
            } else {
                out.push(b' ');
                column += 1;
            }
        }
        out.put(word.as_bytes());
        column += word.len();
        previous_len = word.len();
    }
    column
}

/// Writes text as encoded words in UTF-8, whichever of B and Q is shorter; no character is cut.
fn encoded(text: &str, column: usize, out: &mut Output) -> usize {
    let q_octets: usize = text.bytes().map(q_cost).sum();
    if q_octets <= text.len().div_ceil(3) * 4 {
        words(text, column, out, &Q)
    } else {
        words(text, column, out, &B)
    }
}

/// One of the two encodings of RFC 2047 §4.
struct Coding {
    label: &'static [u8],
    /// How many octets of text fit into a word with this much room, at most.
    fitting: fn(&str, usize) -> usize,
    write: fn(&str, &mut Output),
}

const B: Coding = Coding {
    label: b"=?UTF-8?B?",
    fitting: |text, room| char_floor(text, room / 4 * 3),
    write: |text, out| {
        if let Some(area) = out.extend(text.len().div_ceil(3) * 4) {
            let _ = STANDARD.encode(text.as_bytes(), area.as_out());
        }
    },
};

const Q: Coding = Coding {
    label: b"=?UTF-8?Q?",
    fitting: |text, room| {
        let mut left = room;
        for (at, c) in text.char_indices() {
            let cost = text.as_bytes()[at..at + c.len_utf8()].iter().map(|byte| q_cost(*byte)).sum();
            match left.checked_sub(cost) {
                Some(rest) => left = rest,
                None => return at,
            }
        }
        text.len()
    },
    write: |text, out| {
        for byte in text.bytes() {
            match byte {
                b' ' => out.push(b'_'),
                _ if q_cost(byte) == 1 => out.push(byte),
                _ => out.put(&[b'=', hex(byte >> 4), hex(byte & 15)]),
            }
        }
    },
};

fn words(text: &str, mut column: usize, out: &mut Output, coding: &Coding) -> usize {
    let mut rest = text;
    while !rest.is_empty() {
        let room = |column: usize| LINE_MAX.saturating_sub(column).min(WORD_MAX).saturating_sub(FRAME);
        let mut taken = (coding.fitting)(rest, room(column));
        // A short first word looks odd and costs a frame; begin on a fresh line instead.
        if column > 1 && (rest.len() < text.len() || taken < rest.len().min(8)) {
            column = fold(out);
            taken = (coding.fitting)(rest, room(column));
        }
        let (word, after) = rest.split_at(taken);
        let before = out.len();
        out.put(coding.label);
        (coding.write)(word, out);
        out.put(b"?=");
        column += out.len() - before;
        rest = after;
    }
    column
}

/// The largest character boundary that is not above `len`.
fn char_floor(text: &str, len: usize) -> usize {
    (0..=len.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The signs that are safe in a phrase too (RFC 2047 §5 rule 3), and the space, cost one octet.
fn q_cost(byte: u8) -> usize {
    if byte.is_ascii_alphanumeric() || b"!*+-/ ".contains(&byte) { 1 } else { 3 }
}

fn hex(digit: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(digit)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::MessageParser;
    use proptest::prelude::*;

    fn field(name: &str, text: &str, write: fn(&str, usize, &mut Output) -> usize) -> String {
        let mut clean = Output::unbounded();
        put_clean(text, &mut clean);
        let mut out = Output::unbounded();
        out.put(name.as_bytes());
        out.put(b": ");
        write(clean.as_text(), name.len() + 2, &mut out);
        out.as_text().to_owned()
    }

    fn subject(field: &str) -> String {
        let message = format!("{field}\r\n\r\n");
        let parsed = MessageParser::new().header_text("Subject").parse(&message).unwrap();
        assert_eq!(parsed.headers().len(), 1, "{field}");
        parsed.subject().unwrap_or_default().to_owned()
    }

    fn cleaned(text: &str) -> String {
        let mut clean = Output::unbounded();
        put_clean(text, &mut clean);
        clean.as_text().to_owned()
    }

    fn is_lawful(field: &str) -> bool {
        field.split("\r\n").enumerate().all(|(index, line)| {
            line.len() <= 998
                && !line.contains(['\r', '\n', '\0'])
                && (index == 0 || line.starts_with(' '))
                && line.is_ascii()
                && (index == 0 || !line.trim().is_empty())
                && (!line.contains("=?") || line.len() <= 76)
        })
    }

    proptest! {
        #[test]
        fn any_text_decodes_to_itself(text in "\\PC{0,200}|[a-z=?_ ]{0,300}|(a|b|א|😀){0,400}") {
            let field = field("Subject", &text, unstructured);
            prop_assert!(is_lawful(&field), "{}", field);
            // The reader used here drops leading and trailing space of plain text, and joins folded lines by one.
            let (read, wanted) = (subject(&field), cleaned(&text));
            prop_assert_eq!(read.trim(), wanted.trim());
        }

        #[test]
        fn nothing_makes_a_second_field(text in any::<String>()) {
            let field = field("Subject", &text, unstructured);
            prop_assert!(is_lawful(&field), "{:?}", field);
        }

        #[test]
        fn any_name_decodes_to_itself(text in "[a-zA-Z .,<>@\"\\\\()א-ת😀=?]{1,150}") {
            let mut field = field("To", text.trim(), phrase);
            prop_assert!(is_lawful(&field), "{}", field);
            field.push_str(" <dana@example.test>\r\n\r\n");
            let parsed = MessageParser::new().with_address_headers().parse(&field).unwrap();
            let to = parsed.to().unwrap();
            prop_assert_eq!(to.as_list().unwrap().len(), 1);
            prop_assert_eq!(to.first().unwrap().address(), Some("dana@example.test"));
            prop_assert_eq!(to.first().unwrap().name().unwrap_or_default().trim(), text.trim());
        }
    }

    #[test]
    fn plain_text_stays_readable_and_hidden_words_are_encoded() {
        assert_eq!(field("Subject", "Your order A-17", unstructured), "Subject: Your order A-17");
        assert_eq!(subject(&field("Subject", "=?UTF-8?B?DQo=?=", unstructured)), "=?UTF-8?B?DQo=?=");
        assert_eq!(field("To", "Dana Levi", phrase), "To: Dana Levi");
        assert_eq!(field("To", "Levi, D.", phrase), "To: \"Levi, D.\"");
        assert_eq!(field("To", "a@x <b@y>", phrase), "To: =?UTF-8?B?YUB4IDxiQHk+?=");
        assert_eq!(field("To", "Zoë", phrase), "To: =?UTF-8?Q?Zo=C3=AB?=");
    }

    #[test]
    fn line_ends_and_overrides_do_not_pass() {
        assert_eq!(cleaned("a\r\nBcc: x\u{202e}y\u{2028}z\u{85}\0"), "a  Bcc: xy z  ");
        assert_eq!(cleaned("שלום\tעולם"), "שלום עולם");
        // The low byte of this character is LF; it is a letter all the same.
        assert_eq!(cleaned("ċ\u{10a}"), "ċ\u{10a}");
    }
}
