//! Reads SMTP replies (RFC 5321 §4.2) from a growing buffer: says where one ends, its code and its text.

use crate::fault::{Enhanced, ReplyCode};

/// Longest reply line taken, in octets with its line end. RFC 5321 §4.5.3.1.5 says 512; real targets exceed it.
pub const LINE_OCTETS_MAX: usize = 2048;
/// Most lines of one reply.
pub const LINES_MAX: usize = 100;
/// Most octets of one reply, all lines together.
pub const REPLY_OCTETS_MAX: usize = 64 * 1024;

/// Why bytes are not a reply. After one of these nothing that follows can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    #[error("a reply line is longer than {LINE_OCTETS_MAX} octets")]
    LineTooLong,
    #[error("a reply has more than {LINES_MAX} lines or {REPLY_OCTETS_MAX} octets")]
    TooLong,
    #[error("a reply does not start with a three-digit code")]
    NotAReply,
    #[error("the lines of one reply carry different codes")]
    CodesDiffer,
}

/// Finds the end of the next reply. Remembers what it has seen, so feeding a reply octet by octet costs no
/// more than feeding it at once.
#[derive(Debug, Default, Clone, Copy)]
pub struct ReplyFramer {
    line_start: usize,
    scanned: usize,
    lines: usize,
    code: u16,
}

impl ReplyFramer {
    /// `unread` starts at the first octet of the reply and only grows between calls. `Some` is the length of the
    /// reply; the framer is then ready for the next one. `None` means that more octets are needed.
    ///
    /// # Errors
    /// [`BadReply`] as soon as the octets cannot become a reply within the limits.
    pub fn find_end(&mut self, unread: &[u8]) -> Result<Option<usize>, BadReply> {
        while let Some(at) = memchr::memchr(b'\n', &unread[self.scanned..]) {
            let line_end = self.scanned + at + 1;
            let line = &unread[self.line_start..line_end];
            let head = line_head(line)?;
            if self.lines > 0 && head.code != self.code {
                return Err(BadReply::CodesDiffer);
            }
            self.code = head.code;
            self.lines += 1;
            self.line_start = line_end;
            self.scanned = line_end;
            if head.is_last {
                *self = Self::default();
                return Ok(Some(line_end));
            }
            if self.lines >= LINES_MAX || line_end >= REPLY_OCTETS_MAX {
                return Err(BadReply::TooLong);
            }
        }
        self.scanned = unread.len();
        if self.scanned - self.line_start > LINE_OCTETS_MAX {
            return Err(BadReply::LineTooLong);
        }
        Ok(None)
    }
}

/// One whole reply, as framed by [`ReplyFramer`].
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    pub code: ReplyCode,
    octets: &'a [u8],
}

impl<'a> Reply<'a> {
    /// # Errors
    /// [`BadReply`] when `octets` is not what the framer delimits.
    pub fn parse(octets: &'a [u8]) -> Result<Self, BadReply> {
        let mut lines = octets.split_inclusive(|b| *b == b'\n').rev();
        let head = line_head(lines.next().ok_or(BadReply::NotAReply)?)?;
        let code_of = |text| enhanced_code(text, head.code).map(|(code, _)| code);
        // Each line should have it (RFC 2034 §4); where the last has none, the nearest before it tells.
        let before = || lines.find_map(|line| code_of(line_head(line).ok()?.text));
        let enhanced = code_of(head.text).or_else(before);
        Ok(Self { code: ReplyCode { basic: head.code, enhanced }, octets })
    }

    /// The text of each line without code, enhanced code and line end. It is the peer's: it may echo an address.
    pub fn lines(&self) -> impl Iterator<Item = &'a [u8]> {
        self.octets.split_inclusive(|b| *b == b'\n').filter_map(|line| {
            let head = line_head(line).ok()?;
            let skip = enhanced_code(head.text, head.code).map_or(0, |(_, octets)| octets);
            Some(head.text.get(skip..).unwrap_or_default())
        })
    }
}

struct LineHead<'a> {
    code: u16,
    is_last: bool,
    text: &'a [u8],
}

fn line_head(line: &[u8]) -> Result<LineHead<'_>, BadReply> {
    if line.len() > LINE_OCTETS_MAX {
        return Err(BadReply::LineTooLong);
    }
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (digits, rest) = line.split_first_chunk::<3>().ok_or(BadReply::NotAReply)?;
    let [class @ b'2'..=b'5', b'0'..=b'9', b'0'..=b'9'] = *digits else { return Err(BadReply::NotAReply) };
    let code = u16::from(class - b'0') * 100 + u16::from(digits[1] - b'0') * 10 + u16::from(digits[2] - b'0');
    match rest {
        [] => Ok(LineHead { code, is_last: true, text: rest }),
        [b' ', text @ ..] => Ok(LineHead { code, is_last: true, text }),
        [b'-', text @ ..] => Ok(LineHead { code, is_last: false, text }),
        _ => Err(BadReply::NotAReply),
    }
}

/// The enhanced code at the start of a text, with the octets it takes (its space included). Its class has to be
/// the class of the basic code (RFC 2034 §4), or it is only text.
fn enhanced_code(text: &[u8], basic: u16) -> Option<(Enhanced, usize)> {
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    let mut parts = text[..end].split(|b| *b == b'.');
    let class = number(parts.next()?)?;
    let (subject, detail) = (number(parts.next()?)?, number(parts.next()?)?);
    let fits = parts.next().is_none() && class == basic / 100 && matches!(class, 2 | 4 | 5);
    fits.then_some((Enhanced(class as u8, subject, detail), (end + 1).min(text.len())))
}

fn number(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(octets: &[u8]) -> Result<Option<usize>, BadReply> {
        ReplyFramer::default().find_end(octets)
    }

    #[test]
    fn one_line_and_many_lines_end_where_they_should() {
        assert_eq!(read(b"250 ok\r\n354 go\r\n"), Ok(Some(8)));
        assert_eq!(read(b"250\r\n"), Ok(Some(5)));
        assert_eq!(read(b"250-a\r\n250-b\r\n250 c\r\nrest"), Ok(Some(21)));
        assert_eq!(read(b"250-a\r\n250"), Ok(None));
        assert_eq!(read(b""), Ok(None));
    }

    #[test]
    fn what_is_not_a_reply_is_said_at_once() {
        assert_eq!(read(b"hello\r\n"), Err(BadReply::NotAReply));
        assert_eq!(read(b"150 wait\r\n"), Err(BadReply::NotAReply));
        assert_eq!(read(b"250ok\r\n"), Err(BadReply::NotAReply));
        assert_eq!(read(b"\r\n"), Err(BadReply::NotAReply));
        assert_eq!(read(b"250-a\r\n550 b\r\n"), Err(BadReply::CodesDiffer));
        assert_eq!(read(&[b'2'; 3000]), Err(BadReply::LineTooLong));
        let endless = b"250-x\r\n".repeat(LINES_MAX);
        assert_eq!(read(&endless), Err(BadReply::TooLong));
    }

    #[test]
    fn the_enhanced_code_is_read_only_where_it_agrees() {
        let code = |octets: &[u8]| Reply::parse(octets).unwrap().code;
        assert_eq!(code(b"550 5.1.1 no such user\r\n"), ReplyCode::new(550, 5, 1, 1));
        assert_eq!(code(b"250-2.0.0 a\r\n250 2.0.0 b\r\n"), ReplyCode::new(250, 2, 0, 0));
        assert_eq!(code(b"250-2.1.5 a\r\n250-b\r\n250 c\r\n"), ReplyCode::new(250, 2, 1, 5));
        assert_eq!(code(b"550 4.1.1 odd\r\n").enhanced, None);
        assert_eq!(code(b"550 5.1.1.1 odd\r\n").enhanced, None);
        assert_eq!(code(b"550 5.1234.1 odd\r\n").enhanced, None);
        assert_eq!(code(b"354 go\r\n").enhanced, None);
        assert_eq!(code(b"554 5.7.1\r\n"), ReplyCode::new(554, 5, 7, 1));
    }

    #[test]
    fn the_text_comes_without_codes() {
        let reply = Reply::parse(b"550-5.1.1 no such\r\n550 5.1.1 user\r\n").unwrap();
        assert_eq!(reply.lines().collect::<Vec<_>>(), [b"no such".as_slice(), b"user"]);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_end(lines in proptest::collection::vec("[ -~]{0,40}", 1..6), step in 1usize..9) {
            let mut octets = Vec::new();
            for (at, line) in lines.iter().enumerate() {
                let mark = if at + 1 == lines.len() { ' ' } else { '-' };
                octets.extend_from_slice(format!("250{mark}{line}\r\n").as_bytes());
            }
            let whole = octets.len();
            octets.extend_from_slice(b"354 next\r\n");
            let mut framer = ReplyFramer::default();
            let mut upto = 0;
            let end = loop {
                upto = (upto + step).min(octets.len());
                if let Some(end) = framer.find_end(&octets[..upto]).unwrap() {
                    break end;
                }
            };
            prop_assert_eq!(end, whole);
        }

        #[test]
        fn no_input_makes_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(Some(end)) = read(&octets) {
                let reply = Reply::parse(&octets[..end]).unwrap();
                let _ = reply.lines().count();
            }
        }
    }
}
