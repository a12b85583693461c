//! The sink's reading of client octets: command lines, paths, and where a content ends. No I/O.

use memchr::memmem;
use std::sync::LazyLock;

static END_OF_DATA: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\r\n.\r\n"));

/// Longest command line, with its end, in octets. AUTH lines are the longest (RFC 4954 §4).
pub(super) const LINE_OCTETS_MAX: usize = 12 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Ehlo,
    Helo,
    StartTls,
    Auth,
    Mail,
    Recipient,
    Data,
    Chunk,
    Reset,
    NoOp,
    Quit,
    Unknown,
}

/// Splits a line, without its end, into verb and the rest.
pub(super) fn verb(line: &[u8]) -> (Verb, &[u8]) {
    let end = memchr::memchr(b' ', line).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
    let verb = match word.len() {
        4 if is(b"MAIL") => Verb::Mail,
        4 if is(b"RCPT") => Verb::Recipient,
        4 if is(b"DATA") => Verb::Data,
        4 if is(b"BDAT") => Verb::Chunk,
        4 if is(b"RSET") => Verb::Reset,
        4 if is(b"NOOP") => Verb::NoOp,
        4 if is(b"QUIT") => Verb::Quit,
        4 if is(b"EHLO") => Verb::Ehlo,
        4 if is(b"HELO") => Verb::Helo,
        4 if is(b"AUTH") => Verb::Auth,
        8 if is(b"STARTTLS") => Verb::StartTls,
        _ => Verb::Unknown,
    };
    (verb, rest.trim_ascii())
}

/// The path of `FROM:<...> parameters` or `TO:<...> parameters`.
pub(super) fn path<'a>(argument: &'a [u8], keyword: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (head, rest) = argument.split_at_checked(keyword.len())?;
    let rest = rest.trim_ascii_start().strip_prefix(b"<").filter(|_| head.eq_ignore_ascii_case(keyword))?;
    let end = memchr::memchr(b'>', rest)?;
    Some((&rest[..end], rest[end + 1..].trim_ascii()))
}

/// `size [LAST]` of BDAT (RFC 3030 §2).
pub(super) fn chunk(argument: &[u8]) -> Option<(u64, bool)> {
    let text = std::str::from_utf8(argument).ok()?;
    match text.split_once(' ') {
        Some((octets, last)) => Some((octets.parse().ok()?, last.eq_ignore_ascii_case("LAST"))),
        None => Some((text.parse().ok()?, false)),
    }
}

/// How far a DATA content reaches into what has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// `content` octets, then the final dot up to `end`.
    Ends { content: usize, end: usize },
    /// At least this many octets are content; the rest may be the start of the final dot.
    AtLeast(usize),
}

pub(super) fn reach(unread: &[u8], is_start: bool) -> Reach {
    if is_start && unread.starts_with(b".\r\n") {
        return Reach::Ends { content: 0, end: 3 };
    }
    match END_OF_DATA.find(unread) {
        Some(at) => Reach::Ends { content: at + 2, end: at + 5 },
        None => Reach::AtLeast(unread.len().saturating_sub(4)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_read_in_any_case() {
        assert_eq!(verb(b"mail FROM:<a@b>"), (Verb::Mail, b"FROM:<a@b>".as_slice()));
        assert_eq!(verb(b"StartTLS"), (Verb::StartTls, b"".as_slice()));
        assert_eq!(verb(b"VRFY x").0, Verb::Unknown);
        assert_eq!(path(b"from:<a@b> SIZE=1", b"FROM:"), Some((b"a@b".as_slice(), b"SIZE=1".as_slice())));
        assert_eq!(path(b"FROM:a@b", b"FROM:"), None);
        assert_eq!(path(b"TO", b"FROM:"), None);
        assert_eq!(chunk(b"10 LAST"), Some((10, true)));
        assert_eq!(chunk(b"x"), None);
    }

    proptest! {
        #[test]
        fn content_ends_at_the_same_octet_at_any_split(body in "(\r\n|\\.|a){0,40}", step in 1usize..7) {
            let mut octets = crate::wire::dot::stuffed(body.as_bytes());
            if !octets.is_empty() && !octets.ends_with(b"\r\n") {
                octets.extend_from_slice(b"\r\n");
            }
            let wanted = octets.len();
            octets.extend_from_slice(b".\r\nMAIL");
            let (mut from, mut upto, mut content) = (0, 0, 0);
            loop {
                upto = (upto + step).min(octets.len());
                match reach(&octets[from..upto], from == 0) {
                    Reach::Ends { content: more, end } => {
                        prop_assert_eq!((content + more, from + end), (wanted, wanted + 3));
                        break;
                    }
                    Reach::AtLeast(more) => {
                        content += more;
                        from += more;
                    }
                }
            }
        }
    }
}
