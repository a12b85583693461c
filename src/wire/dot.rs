//! Transparency of DATA (RFC 5321 §4.5.2): a line that starts with a dot is sent with one dot more.

use memchr::memmem;
use std::sync::LazyLock;

/// What ends a DATA block that already ends with CRLF.
pub const FINAL_DOT: &[u8] = b".\r\n";

static LINE_WITH_DOT: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\r\n."));
static LF_DOT: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\n."));
static CR_DOT: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\r."));

/// Bytes of a message looked at together: where no line among them begins with a dot they are copied at once.
const STEP_BYTES: usize = 1024;

/// Puts the extra dots into a message that comes in any number of pieces. Its cost does not depend on how many dots
/// there are: a message may be nothing but lines that begin with one.
#[derive(Debug, Clone, Copy)]
pub struct Stuffer {
    /// The two bytes before the next.
    before: [u8; 2],
}

impl Default for Stuffer {
    fn default() -> Self {
        Self { before: *b"\r\n" }
    }
}

impl Stuffer {
    /// Appends `piece`, which goes on where the last one ended, to `stuffed`. At most half as many bytes more, and one.
    pub fn stuff(&mut self, piece: &[u8], stuffed: &mut Vec<u8>) {
        for step in piece.chunks(STEP_BYTES) {
            let opens_with_dot = step[0] == b'.' || (self.before[1] == b'\r' && step.starts_with(b"\n."));
            if opens_with_dot || LINE_WITH_DOT.find(step).is_some() {
                self.by_byte(step, stuffed);
            } else {
                stuffed.extend_from_slice(step);
            }
            self.before = match step {
                [.., before, last] => [*before, *last],
                [last] => [self.before[1], *last],
                [] => self.before,
            };
        }
    }

    fn by_byte(&self, step: &[u8], stuffed: &mut Vec<u8>) {
        stuffed.reserve(step.len() + step.len().div_ceil(2));
        let mut before = self.before;
        for byte in step {
            if *byte == b'.' && before == *b"\r\n" {
                stuffed.push(b'.');
            }
            stuffed.push(*byte);
            before = [before[1], *byte];
        }
    }
}

/// A message with its extra dots, in one piece.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len());
    Stuffer::default().stuff(message, &mut stuffed);
    stuffed
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

    #[test]
    fn every_line_that_starts_with_a_dot_gets_one_more() {
        assert_eq!(stuffed(b"a\r\n.b\r\n"), b"a\r\n..b\r\n");
        assert_eq!(stuffed(b".\r\n.\r\n..\r\n"), b"..\r\n..\r\n...\r\n");
        assert_eq!(stuffed(b"a.b\n.c\r.d\r\n"), b"a.b\n.c\r.d\r\n");
        assert_eq!(stuffed(b""), b"");
        assert_eq!(stuffed(b"."), b"..");
    }

    #[test]
    fn c2_no_content_grows_by_more_than_half_and_one() {
        for line in [".\r\n", "\r\n.", "..\r\n", "."] {
            let message = line.repeat(5_000);
            let more = stuffed(message.as_bytes()).len() - message.len();
            assert!(more <= message.len() / 2 + 1, "{line:?}: {more} more");
        }
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
            unstuff(&stuffed(message.as_bytes()), &mut plain);
            prop_assert_eq!(plain, message.as_bytes());
        }

        #[test]
        fn any_pieces_are_stuffed_as_the_whole(
            message in "(\r\n|\\.|a|\r|\n){0,60}|((a{0,9}|\\.)\r\n){300,500}",
            cuts in proptest::collection::vec(1usize..1500, 1..9),
        ) {
            let (mut rest, mut in_pieces, mut stuffer) = (message.as_bytes(), Vec::new(), Stuffer::default());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                stuffer.stuff(piece, &mut in_pieces);
                rest = after;
            }
            let by_line: Vec<String> = message.split("\r\n")
                .map(|line| if line.starts_with('.') { format!(".{line}") } else { line.into() }).collect();
            prop_assert_eq!(&in_pieces, &stuffed(message.as_bytes()));
            prop_assert_eq!(in_pieces, by_line.join("\r\n").into_bytes());
        }

        #[test]
        fn no_stuffed_message_holds_the_end_of_data(message in "(\r\n|\\.|a){0,60}") {
            let mut wire = b"\r\n".to_vec();
            wire.extend(stuffed(message.as_bytes()));
            prop_assert!(memmem::find(&wire, b"\r\n.\r\n").is_none());
        }
    }
}
