//! Whole header fields, each ending with its CRLF. Names come from templates that were checked at load.

use super::output::Output;
use super::word;

/// Longest name of a field, in octets: it has to fit in a line with the start of its value.
pub const NAME_OCTETS_MAX: usize = 64;

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

/// A field for machines (URLs, ids): plain ASCII, folded at spaces, never encoded. `text` is clean; what is not
/// printable ASCII in it is written as percent triplets (RFC 3986 §2.1).
pub fn verbatim(name: &str, text: &str, out: &mut Output) {
    let mut column = start(name, out);
    for (index, stretch) in text.split(' ').filter(|stretch| !stretch.is_empty()).enumerate() {
        if index > 0 {
            column = separate(stretch.len(), column, out);
        }
        if stretch.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
            out.put(stretch.as_bytes());
            column += stretch.len();
            continue;
        }
        for byte in stretch.bytes() {
            let before = out.len();
            put_percent_encoded(byte, out);
            column += out.len() - before;
        }
    }
    out.put(b"\r\n");
}

/// A space, or a fold where `len` more octets do not fit on this line.
pub fn separate(len: usize, column: usize, out: &mut Output) -> usize {
    if column + 1 + len > 76 {
        return word::fold(out);
    }
    out.push(b' ');
    column + 1
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

    #[test]
    fn names_are_checked() {
        assert!(is_name("List-Unsubscribe") && !is_name("") && !is_name("a b") && !is_name("a:b"));
        assert!(!is_name("Sübject") && !is_name("X\r\nY") && !is_name(&"x".repeat(65)));
    }

    #[test]
    fn a_field_for_machines_is_never_encoded() {
        let mut out = Output::unbounded();
        let text = "<mailto:u@x.example?subject=out>, <https://x.example/unsubscribe/s_0123456789/ä>";
        verbatim("List-Unsubscribe", text, &mut out);
        assert_eq!(
            out.as_text(),
            "List-Unsubscribe: <mailto:u@x.example?subject=out>,\r\n <https://x.example/unsubscribe/s_0123456789/%C3%A4>\r\n"
        );
    }
}
