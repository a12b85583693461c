//! Whole header fields, each ending with its CRLF. Names come from templates that were checked at load.

use super::eight_bit::LINE_OCTETS_MAX;
use super::output::Output;
use super::word;

/// Longest name of a field, in octets: it has to fit in a line with the start of its value.
pub const NAME_OCTETS_MAX: usize = 64;

/// A line is folded before it grows past this, where it can be.
const FOLDED_MAX: usize = 76;

/// Whether `name` can name a header field (RFC 5322 §3.6.8 `ftext`).
pub fn is_name(name: &str) -> bool {
    (1..=NAME_OCTETS_MAX).contains(&name.len()) && name.bytes().all(|b| matches!(b, 33..=126) && b != b':')
}

/// Writes `Name: ` and gives the column after it.
pub fn start(name: &str, out: &mut Output) -> usize {
    out.put(name.as_bytes());
    out.put(b": ");
    name.len() + 2
}

/// A field for people: encoded where it is not plain. `text` is clean ([`word::put_clean`]).
pub fn unstructured(name: &str, text: &str, out: &mut Output) {
    let column = start(name, out);
    word::unstructured(text, column, out);
    out.put(b"\r\n");
}

/// A stretch of a header's value is longer than a line may be, and has no place to fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes without a place to fold, and a line takes {LINE_OCTETS_MAX} (RFC 5322 §2.1.1)")]
pub struct Unfoldable(pub usize);

/// A field for machines (URLs, ids): plain ASCII, folded at spaces and between angle brackets, never encoded. `text` is
/// clean; what is not printable ASCII in it is written as percent triplets (RFC 3986 §2.1).
///
/// # Errors
/// [`Unfoldable`]; the field is then not whole.
pub fn verbatim(name: &str, text: &str, out: &mut Output) -> Result<(), Unfoldable> {
    let mut column = start(name, out);
    for (index, word) in text.split(' ').filter(|word| !word.is_empty()).enumerate() {
        for (part, stretch) in stretches(word).enumerate() {
            let len: usize = stretch.bytes().map(percent_encoded_len).sum();
            if len >= LINE_OCTETS_MAX {
                return Err(Unfoldable(len));
            }
            column = match (index, part) {
                (0, 0) if column + len > LINE_OCTETS_MAX => word::fold(out),
                (0, 0) => column,
                (_, 0) => separate(len, column, out),
                _ if column + len > FOLDED_MAX => word::fold(out),
                _ => column,
            };
            if len == stretch.len() {
                out.put(stretch.as_bytes());
            } else {
                stretch.bytes().for_each(|byte| put_percent_encoded(byte, out));
            }
            column += len;
        }
    }
    out.put(b"\r\n");
    Ok(())
}

/// A word cut where white space would change nothing: between `<...>` and the next, with or without a comma.
fn stretches(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let cut =
            memchr::memchr_iter(b'>', rest.as_bytes()).find_map(|at| match &rest.as_bytes()[at + 1..] {
                [b'<', ..] => Some(at + 1),
                [b',', b'<', ..] => Some(at + 2),
                _ => None,
            });
        let (stretch, after) = rest.split_at(cut.unwrap_or(rest.len()));
        rest = after;
        (!stretch.is_empty()).then_some(stretch)
    })
}

/// A space, or a fold where `len` more octets do not fit on this line.
pub fn separate(len: usize, column: usize, out: &mut Output) -> usize {
    if column + 1 + len > FOLDED_MAX {
        return word::fold(out);
    }
    out.push(b' ');
    column + 1
}

fn percent_encoded_len(byte: u8) -> usize {
    if matches!(byte, b'!'..=b'~') { 1 } else { 3 }
}

fn put_percent_encoded(byte: u8, out: &mut Output) {
    if matches!(byte, b'!'..=b'~') {
        return out.push(byte);
    }
    out.put(format!("%{byte:02X}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_checked() {
        assert!(is_name("List-Unsubscribe") && !is_name("") && !is_name("a b") && !is_name("a:b"));
        assert!(!is_name("Sübject") && !is_name("X\r\nY") && !is_name(&"x".repeat(65)));
    }

    #[test]
    fn a_field_for_machines_is_never_encoded() {
        let mut out = Output::unbounded();
        let text = "<mailto:u@x.example?subject=out>, <https://x.example/unsubscribe/s_0123456789/ä>";
        verbatim("List-Unsubscribe", text, &mut out).unwrap();
        assert_eq!(
            out.as_text(),
            "List-Unsubscribe: <mailto:u@x.example?subject=out>,\r\n <https://x.example/unsubscribe/s_0123456789/%C3%A4>\r\n"
        );
    }

    fn written(name: &str, text: &str) -> Result<String, Unfoldable> {
        let mut out = Output::unbounded();
        verbatim(name, text, &mut out).map(|()| out.as_text().to_owned())
    }

    #[test]
    fn c4_a_field_for_machines_folds_between_its_addresses_too() {
        let ids: Vec<String> =
            (0..60).map(|number| format!("<{number}.{}@brand.example>", "i".repeat(20))).collect();
        for (name, between) in
            [("References", ""), ("References", " "), ("List-Unsubscribe", ","), ("List-Help", ", ")]
        {
            let text = ids.join(between);
            let field = written(name, &text).unwrap();
            assert!(field.lines().all(|line| line.len() <= 78), "{field}");
            let unfolded = field.replace("\r\n", "").replace([' '], "");
            assert_eq!(unfolded, format!("{name}:{text}").replace(' ', ""));
        }
    }

    #[test]
    fn c4_what_cannot_be_folded_below_998_is_refused() {
        let name = "List-Unsubscribe";
        for (len, is_taken) in [(900, true), (985, true), (997, true), (998, false), (2000, false)] {
            let field = written(name, &"u".repeat(len));
            assert_eq!(field.is_ok(), is_taken, "{len}");
            assert!(
                field.is_ok_and(|field| field.lines().all(|line| line.len() <= 998)) || !is_taken,
                "{len}"
            );
        }
        // Percent triplets are what counts.
        assert_eq!(written(name, &"ä".repeat(200)), Err(Unfoldable(1200)));
    }

    proptest! {
        #[test]
        fn c4_no_line_of_any_field_is_past_998(text in "([a-z<>,]{0,120} ?|ä{0,90}|[!-~]{900,1100}| ){0,12}") {
            let mut clean = Output::unbounded();
            word::put_clean(&text, &mut clean);
            let mut people = Output::unbounded();
            unstructured("X-Name-As-Long-As-They-Get-In-Any-Template-That-Anybody-Has-Written", clean.as_text(), &mut people);
            for field in [Some(people.as_text().to_owned()), written("References", clean.as_text()).ok()].into_iter().flatten() {
                prop_assert!(field.ends_with("\r\n") && field.trim_end_matches("\r\n").split("\r\n").all(|line| line.len() <= 998), "{}", field);
            }
        }
    }
}
