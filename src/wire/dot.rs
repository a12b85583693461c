//! Transparency of DATA (RFC 5321 §4.5.2): a line that starts with a dot is sent with one dot more.

use memchr::memmem;
use std::sync::LazyLock;

/// What ends a DATA block that already ends with CRLF.
pub const FINAL_DOT: &[u8] = b".\r\n";

static LINE_WITH_DOT: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\r\n."));
static LF_DOT: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\n."));
static CR_DOT: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\r."));

/// The stretches of a message between which a dot has to be written; one stretch when nothing has to be
/// stuffed, so the common message is sent as it is, without a copy.
pub fn stretches(message: &[u8]) -> Stretches<'_> {
    Stretches { rest: Some(message), first: true }
}

#[derive(Debug, Clone)]
pub struct Stretches<'a> {
    rest: Option<&'a [u8]>,
    first: bool,
}

impl<'a> Iterator for Stretches<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        // A dot that opens the message has no CRLF before it: an empty stretch puts the extra dot there.
        if std::mem::take(&mut self.first) && rest.first() == Some(&b'.') {
            return Some(&[]);
        }
        let Some(at) = LINE_WITH_DOT.find(rest) else {
            self.rest = None;
            return Some(rest);
        };
        let (stretch, tail) = rest.split_at(at + 2);
        self.rest = Some(tail);
        Some(stretch)
    }
}

/// Whether a dot follows a bare LF or a bare CR. A receiver that takes those for line ends would see the end of the
/// message there and read the rest as commands.
pub fn has_dot_after_bare_line_end(message: &[u8]) -> bool {
    let after_bare_lf =
        LF_DOT.find_iter(message).any(|at| at.checked_sub(1).is_none_or(|before| message[before] != b'\r'));
    after_bare_lf || CR_DOT.find(message).is_some()
}

/// Appends `stuffed` to `plain` with the extra dots taken away. `stuffed` starts at a line start and may end
/// anywhere except between CRLF and its dot.
pub fn unstuff(stuffed: &[u8], plain: &mut Vec<u8>) {
    let mut rest = stuffed.strip_prefix(b".").unwrap_or(stuffed);
    while let Some(at) = LINE_WITH_DOT.find(rest) {
        plain.extend_from_slice(&rest[..at + 2]);
        rest = &rest[at + 3..];
    }
    plain.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuff(message: &[u8]) -> Vec<u8> {
        stretches(message).collect::<Vec<_>>().join(b".".as_slice())
    }

    #[test]
    fn every_line_that_starts_with_a_dot_gets_one_more() {
        assert_eq!(stuff(b"a\r\n.b\r\n"), b"a\r\n..b\r\n");
        assert_eq!(stuff(b".\r\n.\r\n..\r\n"), b"..\r\n..\r\n...\r\n");
        assert_eq!(stuff(b"a.b\n.c\r.d\r\n"), b"a.b\n.c\r.d\r\n");
        assert_eq!(stuff(b""), b"");
        assert_eq!(stuff(b"."), b"..");
    }

    #[test]
    fn a_message_without_such_a_line_is_one_stretch() {
        assert_eq!(stretches(b"Subject: x\r\n\r\nbody.\r\n").count(), 1);
    }

    #[test]
    fn a_dot_after_a_bare_line_end_is_noticed() {
        for bad in [b"a\n.\r\n".as_slice(), b"\n.", b"a\r.\r", b"x\r\n\n.\n", b"\r\r."] {
            assert!(has_dot_after_bare_line_end(bad), "{bad:?}");
        }
        for good in [b"a\r\n.\r\n".as_slice(), b".", b"a\nb.\r", b"a.\r\n..\r\n", b""] {
            assert!(!has_dot_after_bare_line_end(good), "{good:?}");
        }
    }

    proptest! {
        #[test]
        fn stuffing_is_undone_exactly(message in "(\r\n|\\.|a|\r|\n){0,60}") {
            let mut plain = Vec::new();
            unstuff(&stuff(message.as_bytes()), &mut plain);
            prop_assert_eq!(plain, message.as_bytes());
        }

        #[test]
        fn no_stuffed_message_holds_the_end_of_data(message in "(\r\n|\\.|a){0,60}") {
            let mut wire = b"\r\n".to_vec();
            wire.extend(stuff(message.as_bytes()));
            prop_assert!(memmem::find(&wire, b"\r\n.\r\n").is_none());
        }
    }
}
