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
                self.by_word(step, stuffed);
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

    /// A word at a time, without a branch for each byte.
    fn by_word(&self, step: &[u8], stuffed: &mut Vec<u8>) {
        let start = stuffed.len();
        stuffed.resize(start + step.len() / 2 + 1 + step.len() + size_of::<u128>(), 0);
        let mut room = Room { room: stuffed, end: start };
        let mut before = u16::from_be_bytes(self.before);
        let (head, words) = step.split_at(step.len().min(2));
        for byte in head {
            room.put_stuffed(&mut before, *byte);
        }
        let mut at = head.len();
        while let Some(word) = Word::at(step, at) {
            // By halves, so that each fits a register with its dots.
            for half in [0, 32] {
                let (bytes, dots) = ((word.bytes >> half) as u32, (word.dots >> half) as u32);
                room.put(u128::from(with_dots(bytes, dots)), 4 + dots.count_ones() as usize);
            }
            at += WORD_BYTES;
        }
        if at > head.len() {
            before = u16::from_be_bytes([step[at - 2], step[at - 1]]);
        }
        for byte in &words[at - head.len()..] {
            room.put_stuffed(&mut before, *byte);
        }
        let end = room.end;
        stuffed.truncate(end);
    }
}

const WORD_BYTES: usize = 8;

/// Eight bytes, and which of them are dots at the start of a line: the top bit of each such byte.
struct Word {
    bytes: u64,
    dots: u64,
}

impl Word {
    /// `None` at the end, and at the beginning, where what stands before is not known.
    fn at(text: &[u8], at: usize) -> Option<Self> {
        let load = |at: usize| Some(u64::from_le_bytes(*text.get(at..)?.first_chunk()?));
        let bytes = load(at)?;
        let dots = equal(bytes, b'.')
            & equal(load(at.checked_sub(1)?)?, b'\n')
            & equal(load(at.checked_sub(2)?)?, b'\r');
        Some(Self { bytes, dots })
    }
}

/// The four bytes with one more dot before each of `dots`, of which there are two at most.
fn with_dots(bytes: u32, dots: u32) -> u64 {
    let (mut bytes, mut dots) = (u64::from(bytes), dots);
    // From the last one on, so that the places of those before it stay.
    while dots != 0 {
        let shift = (31 - dots.leading_zeros()) & !7;
        let below = (1 << shift) - 1;
        bytes = bytes & below | u64::from(b'.') << shift | (bytes & !below) << 8;
        dots &= below as u32;
    }
    bytes
}

/// The top bit of each byte that is this one.
fn equal(word: u64, byte: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = 0x7f * ONES;
    let differs = word ^ (u64::from(byte) * ONES);
    // No carry leaves a byte.
    !(((differs & LOW) + LOW) | differs | LOW)
}

/// Room that is written to in pieces of a fixed size: sixteen bytes longer than what it comes to hold.
struct Room<'r> {
    room: &'r mut [u8],
    end: usize,
}

impl Room<'_> {
    /// The first `length` of these bytes.
    fn put(&mut self, bytes: u128, length: usize) {
        if let Some(place) = self.room.get_mut(self.end..).and_then(|room| room.first_chunk_mut()) {
            *place = bytes.to_le_bytes();
        }
        self.end += length;
    }

    fn put_stuffed(&mut self, before: &mut u16, byte: u8) {
        let needs_dot = byte == b'.' && *before == LINE_END;
        let length = 1 + usize::from(needs_dot);
        self.put(u128::from_le_bytes([byte, byte, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), length);
        *before = *before << 8 | u16::from(byte);
    }
}

/// Most bytes that [`unstuff_lines`] takes at once; of more it takes none.
pub const UNSTUFFED_BYTES_MAX: usize = 1024;

/// Appends whole lines to `plain` without their extra dots, up to the first that is a dot alone; gives how many bytes that
/// were. `lines` starts at a line start and holds no line end but CRLF, which it ends with.
pub fn unstuff_lines(lines: &[u8], plain: &mut Vec<u8>) -> usize {
    let lines = if lines.len() > UNSTUFFED_BYTES_MAX { &[][..] } else { lines };
    // Not in `plain` itself, which was given just the room that it needs.
    let mut held = [0; UNSTUFFED_BYTES_MAX + size_of::<u128>()];
    let mut room = Room { room: &mut held, end: 0 };
    let (mut at, mut before) = (0, LINE_END);
    while at < lines.len() {
        if let Some(word) = Word::at(lines, at)
            && lone_dots(lines, at, word.dots) == 0
        {
            let (mut bytes, mut dots) = (word.bytes, word.dots);
            while dots != 0 {
                let shift = (63 - dots.leading_zeros()) & !7;
                let below = (1 << shift) - 1;
                bytes = bytes & below | (bytes >> 8) & !below;
                dots &= below;
            }
            room.put(u128::from(bytes), WORD_BYTES - word.dots.count_ones() as usize);
            at += WORD_BYTES;
            before = u16::from_be_bytes([lines[at - 2], lines[at - 1]]);
            continue;
        }
        let byte = lines[at];
        let is_at_start = before == LINE_END;
        if is_at_start && lines[at..].starts_with(FINAL_DOT) {
            break;
        }
        room.put(u128::from(byte), usize::from(byte != b'.' || !is_at_start));
        before = before << 8 | u16::from(byte);
        at += 1;
    }
    let end = room.end;
    plain.extend_from_slice(&held[..end]);
    at
}

/// Those of `dots` that stand alone on their line; all of them where that cannot be seen.
fn lone_dots(lines: &[u8], at: usize, dots: u64) -> u64 {
    if dots == 0 {
        return 0;
    }
    let next = lines.get(at + 1..).and_then(|next| next.first_chunk());
    next.map_or(dots, |next| dots & equal(u64::from_le_bytes(*next), b'\r'))
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
        fn whole_lines_are_unstuffed_up_to_a_lone_dot(
            lines in proptest::collection::vec("\\.{0,3}[a.]{0,12}", 0..40),
            is_ended in any::<bool>(),
        ) {
            let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let mut wire = stuffed(content.as_bytes());
            let length = wire.len();
            if is_ended {
                wire.extend_from_slice(b".\r\nQUIT\r\n");
            }
            let mut plain = b"before".to_vec();
            prop_assert_eq!(unstuff_lines(&wire, &mut plain), length);
            prop_assert_eq!(&plain[6..], content.as_bytes());
        }

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
