//! The boundary in the Content-Type of a multipart (RFC 2045 §5.1, RFC 2046 §5.1.1), for rooms that find the parts of a message and read
//! no more of it. `render` reads every parameter, and more leniently; on what is well formed all agree.

use std::ops::Range;

const NAME: &[u8] = b"boundary";
/// What a parameter begins behind, and an unquoted value ends before.
const ENDS: &[u8] = b"; \t\r\n";

/// Whether what follows a boundary leaves it one (RFC 2046 §5.1.1): the end of the line, white space before it, or the two
/// dashes of the last delimiter. Looked at before the whole line is.
pub fn may_end_boundary(tail: &[u8]) -> bool {
    match tail {
        [] | [b'-', b'-'] => true,
        [b'-', b'-', next, ..] | [next, ..] => next.is_ascii_whitespace(),
    }
}

/// Where the boundary stands in the value of a Content-Type field, without quotation marks.
pub fn boundary(value: &[u8]) -> Option<Range<usize>> {
    if !starts_with(value.trim_ascii_start(), b"multipart/") {
        return None;
    }
    let at = parameter(value)?;
    let blanks = |at: usize| value[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let sign = at + NAME.len() + blanks(at + NAME.len());
    (value.get(sign) == Some(&b'=')).then_some(())?;
    let start = sign + 1 + blanks(sign + 1);
    let (start, end) = match value.get(start)? {
        b'"' => {
            let behind = start + 1;
            (behind, memchr::memchr(b'"', &value[behind..]).map_or(value.len(), |at| behind + at))
        }
        _ => (start, start + value[start..].iter().take_while(|byte| !ENDS.contains(byte)).count()),
    };
    (start < end).then_some(start..end)
}

/// Where the parameter begins: neither in a quoted value nor in a comment.
fn parameter(value: &[u8]) -> Option<usize> {
    let (mut is_quoted, mut comments) = (false, 0u32);
    for at in 1..value.len() {
        match value[at] {
            b'"' if comments == 0 => is_quoted = !is_quoted,
            b'(' if !is_quoted => comments += 1,
            b')' if !is_quoted => comments = comments.saturating_sub(1),
            _ if is_quoted || comments > 0 => {}
            _ if ENDS.contains(&value[at - 1]) && starts_with(&value[at..], NAME) => return Some(at),
            _ => {}
        }
    }
    None
}

fn starts_with(text: &[u8], name: &[u8]) -> bool {
    text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b6_the_boundary_is_found_where_readers_find_it() {
        for (value, found) in [
            ("multipart/mixed; boundary=abc", Some("abc")),
            (" Multipart/Mixed;\r\n\tBOUNDARY = \"a b\"; x=y", Some("a b")),
            ("multipart/mixed; x=\"; boundary=no\"; boundary=yes", Some("yes")),
            ("multipart/mixed (a ; boundary=no (b) ; boundary=no); boundary=yes", Some("yes")),
            ("multipart/mixed; xboundary=no; boundary=yes;", Some("yes")),
            ("multipart/mixed; boundary=\"open", Some("open")),
            ("multipart/mixed; boundary=", None),
            ("multipart/mixed; boundary", None),
            ("multipart/mixed; boundary=\"\"", None),
            ("text/plain; boundary=abc", None),
            ("", None),
        ] {
            let range = boundary(value.as_bytes());
            assert_eq!(range.map(|range| &value[range]), found, "{value}");
        }
    }
}
