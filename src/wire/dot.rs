//! Transparency of DATA (RFC 5321 §4.5.2): a line that starts with a dot is sent with one dot more.

use memchr::memmem;
use std::sync::LazyLock;

/// What ends a DATA block that already ends with CRLF.
pub const FINAL_DOT: &[u8] = b".\r\n";

static LINE_WITH_DOT: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\r\n."));

/// Bytes of a message looked at together: where no line among them begins with a dot they are copied at once.
const STEP_BYTES: usize = 1024;
const LINE_END: u16 = u16::from_be_bytes(*b"\r\n");

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

    /// Without a branch for each byte.
    fn by_byte(&self, step: &[u8], stuffed: &mut Vec<u8>) {
        let start = stuffed.len();
        stuffed.resize(start + 2 * step.len(), 0);
        let (mut end, mut before) = (start, u16::from_be_bytes(self.before));
        let room = stuffed.as_mut_slice();
        for byte in step {
            let needs_dot = (*byte == b'.') & (before == LINE_END);
            let [first, second] = if needs_dot { [b'.', b'.'] } else { [*byte, 0] };
            if let Some([one, two]) = room.get_mut(end..end + 2) {
                (*one, *two) = (first, second);
            }
            end += 1 + usize::from(needs_dot);
            before = before << 8 | u16::from(*byte);
        }
        stuffed.truncate(end);
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
///
/// Written so that many bytes are looked at by one instruction.
pub fn has_dot_after_bare_line_end(message: &[u8]) -> bool {
    let is_stray = |before: u8, line_end: u8, byte: u8| {
        u8::from(byte == b'.')
            & (u8::from(line_end == b'\r') | (u8::from(line_end == b'\n') & u8::from(before != b'\r')))
    };
    let opens =
        |at: usize| message.get(at..at + 2) == Some(b"\n.") || message.get(at..at + 2) == Some(b"\r.");
    let [_, seconds @ ..] = message else { return false };
    let [_, thirds @ ..] = seconds else { return opens(0) };
    let bytes = message.iter().zip(seconds).zip(thirds);
    opens(0)
        || bytes.fold(0, |stray, ((before, line_end), byte)| stray | is_stray(*before, *line_end, *byte)) != 0
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
