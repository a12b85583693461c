//! Cuts message content out of a byte stream, for `DATA` (RFC 5321 §4.5.2) and `BDAT` (RFC 3030).
//!
//! Only CRLF.CRLF ends `DATA`. A bare CR, a bare LF or a NUL anywhere is an error after which nothing of the
//! stream may be read as commands: whoever wrote it may have meant a program with other ideas of a line end.

use memchr::memmem;
use std::sync::LazyLock;

/// Bytes looked at one by one from a line that begins with a dot.
const DOTTED_BYTES: usize = 1024;

static LF_DOT: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\n."));

/// Why the content is refused and the session closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadData {
    #[error("bare CR")]
    BareCr,
    #[error("bare LF")]
    BareLf,
    #[error("NUL")]
    Nul,
}

/// What one call made of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Octets of the input that belong to the content (or to its end) and are done with.
    pub octets: usize,
    /// The end of the content, or of the chunk, was reached.
    pub is_complete: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Line,
    Cr,
    /// A dot at the start of a line.
    Dot,
    /// A dot alone so far, and a CR.
    DotCr,
}

/// Frames `DATA` and undoes dot-stuffing.
#[derive(Debug)]
pub struct DataFramer {
    at: At,
}

impl Default for DataFramer {
    fn default() -> Self {
        Self { at: At::LineStart }
    }
}

impl DataFramer {
    /// Appends content to `message`, line ends included. The final dot is not part of it.
    ///
    /// # Errors
    /// [`BadData`]; the framer must not be used after it.
    pub fn take(&mut self, input: &[u8], message: &mut Vec<u8>) -> Result<Taken, BadData> {
        let (mut done, mut is_plain) = (0, true);
        while let Some(&next) = input.get(done) {
            if is_plain && (self.at == At::Line || (self.at == At::LineStart && next != b'.')) {
                match take_lines(&input[done..], message) {
                    // The rest is half a line, or breaks the rules somewhere: octet by octet from here.
                    0 => is_plain = false,
                    lines => {
                        done += lines;
                        self.at = At::LineStart;
                        continue;
                    }
                }
            }
            if (self.at, next) == (At::LineStart, b'.') {
                // Where one line begins with a dot others may: to search for each would cost more than to look at each byte.
                let dotted = &input[done..input.len().min(done + DOTTED_BYTES)];
                let taken = self.take_dotted(dotted, message)?;
                done += taken.octets;
                if taken.is_complete {
                    return Ok(Taken { octets: done, is_complete: true });
                }
                continue;
            }
            self.at = match (self.at, next) {
                (At::Dot, b'\r') => At::DotCr,
                (At::DotCr, b'\n') => return Ok(Taken { octets: done + 1, is_complete: true }),
                (At::Cr, b'\n') => {
                    message.extend_from_slice(b"\r\n");
                    At::LineStart
                }
                (At::Cr | At::DotCr, _) => return Err(BadData::BareCr),
                (At::LineStart | At::Line | At::Dot, _) => {
                    done += copy_line(&input[done..], message)?;
                    if input.get(done) != Some(&b'\r') {
                        self.at = At::Line;
                        break;
                    }
                    At::Cr
                }
            };
            done += 1;
        }
        Ok(Taken { octets: done, is_complete: false })
    }

    /// Byte by byte, whatever stands there.
    fn take_dotted(&mut self, input: &[u8], message: &mut Vec<u8>) -> Result<Taken, BadData> {
        for (done, byte) in input.iter().enumerate() {
            self.at = match (self.at, *byte) {
                (At::DotCr, b'\n') => return Ok(Taken { octets: done + 1, is_complete: true }),
                (At::Cr, b'\n') => {
                    message.extend_from_slice(b"\r\n");
                    At::LineStart
                }
                (At::Cr | At::DotCr, _) => return Err(BadData::BareCr),
                (At::LineStart, b'.') => At::Dot,
                (At::Dot, b'\r') => At::DotCr,
                (At::LineStart | At::Line, b'\r') => At::Cr,
                (_, b'\n') => return Err(BadData::BareLf),
                (_, 0) => return Err(BadData::Nul),
                (_, other) => {
                    message.push(other);
                    At::Line
                }
            };
        }
        Ok(Taken { octets: input.len(), is_complete: false })
    }
}

/// Frames one `BDAT` chunk of a known length. Content is taken as it is, but the line discipline holds across
/// chunks, so the framer lives as long as the message.
#[derive(Debug, Default)]
pub struct ChunkFramer {
    left: u64,
    after_cr: bool,
}

impl ChunkFramer {
    pub fn begin(&mut self, octets: u64) {
        self.left = octets;
    }

    /// # Errors
    /// [`BadData`]; the framer must not be used after it.
    pub fn take(&mut self, input: &[u8], message: &mut Vec<u8>) -> Result<Taken, BadData> {
        let octets = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
        let chunk = &input[..octets];
        let (mut done, mut is_plain) = (0, true);
        while done < chunk.len() {
            if self.after_cr {
                if chunk[done] != b'\n' {
                    return Err(BadData::BareCr);
                }
                message.extend_from_slice(b"\r\n");
                self.after_cr = false;
                done += 1;
                continue;
            }
            let rest = &chunk[done..];
            let lines = rest.strip_suffix(b"\r").unwrap_or(rest);
            if is_plain && has_lawful_line_ends(lines) {
                message.extend_from_slice(lines);
                self.after_cr = lines.len() < rest.len();
                break;
            }
            is_plain = false;
            done += copy_line(&chunk[done..], message)?;
            if chunk.get(done) == Some(&b'\r') {
                self.after_cr = true;
                done += 1;
            }
        }
        self.left -= octets as u64;
        Ok(Taken { octets, is_complete: self.left == 0 })
    }

    /// The last chunk has been taken: a message whose last line has no end gets one, so that whoever sends it
    /// on ends it the same way.
    ///
    /// # Errors
    /// [`BadData::BareCr`] when the content ends in half a line end.
    pub fn finish(&mut self, message: &mut Vec<u8>) -> Result<(), BadData> {
        if self.after_cr {
            return Err(BadData::BareCr);
        }
        if !message.is_empty() && !message.ends_with(b"\r\n") {
            message.extend_from_slice(b"\r\n");
        }
        Ok(())
    }
}

/// Copies whole lines at once, up to the next that begins with a dot; `input` stands within a line or at the start of
/// one without a dot. How many octets that were: none where there is no line end, or one that breaks the rules.
fn take_lines(input: &[u8], message: &mut Vec<u8>) -> usize {
    let length = match LF_DOT.find(input) {
        Some(at) => at + 1,
        None => memchr::memrchr(b'\n', input).map_or(0, |at| at + 1),
    };
    let lines = &input[..length];
    if !has_lawful_line_ends(lines) {
        return 0;
    }
    message.extend_from_slice(lines);
    length
}

/// Whether every CR stands before an LF, every LF behind a CR, and no NUL anywhere. Written so that many octets are
/// looked at by one instruction.
fn has_lawful_line_ends(octets: &[u8]) -> bool {
    let (Some(first), Some(last)) = (octets.first(), octets.last()) else { return true };
    let pairs = octets.iter().zip(&octets[1..]);
    let is_broken = pairs.fold(0, |broken, (octet, next)| {
        broken | u8::from(*octet == 0) | (u8::from(*octet == b'\r') ^ u8::from(*next == b'\n'))
    });
    is_broken == 0 && *first != b'\n' && *last != 0 && *last != b'\r'
}

/// Copies up to the next CR or the end of the input; how many octets that were.
fn copy_line(input: &[u8], message: &mut Vec<u8>) -> Result<usize, BadData> {
    let length = match memchr::memchr3(b'\r', b'\n', 0, input) {
        None => input.len(),
        Some(at) if input[at] == b'\r' => at,
        Some(at) if input[at] == b'\n' => return Err(BadData::BareLf),
        Some(_) => return Err(BadData::Nul),
    };
    message.extend_from_slice(&input[..length]);
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The message and what follows it, or `None` for the message when it is not complete.
    type Cut = (Option<Vec<u8>>, Vec<u8>);

    fn data(pieces: &[&[u8]]) -> Result<Cut, BadData> {
        let (mut framer, mut message) = (DataFramer::default(), Vec::new());
        for (at, piece) in pieces.iter().enumerate() {
            let taken = framer.take(piece, &mut message)?;
            if taken.is_complete {
                let mut rest = piece[taken.octets..].to_vec();
                rest.extend(pieces[at + 1..].concat());
                return Ok((Some(message), rest));
            }
            assert_eq!(taken.octets, piece.len());
        }
        Ok((None, Vec::new()))
    }

    fn chunks(pieces: &[&[u8]]) -> Result<Vec<u8>, BadData> {
        let (mut framer, mut message) = (ChunkFramer::default(), Vec::new());
        for piece in pieces {
            framer.begin(piece.len() as u64);
            let taken = framer.take(piece, &mut message)?;
            assert_eq!(taken, Taken { octets: piece.len(), is_complete: true });
        }
        framer.finish(&mut message)?;
        Ok(message)
    }

    fn stuffed(content: &[u8]) -> Vec<u8> {
        let mut stream = Vec::new();
        for line in content.split_inclusive(|b| *b == b'\n') {
            if line.starts_with(b".") {
                stream.push(b'.');
            }
            stream.extend_from_slice(line);
        }
        stream.extend_from_slice(b".\r\n");
        stream
    }

    #[test]
    fn the_final_dot_ends_the_message_and_nothing_else_does() {
        assert_eq!(data(&[b"a\r\n.\r\nQUIT"]), Ok((Some(b"a\r\n".to_vec()), b"QUIT".to_vec())));
        assert_eq!(data(&[b".\r\n"]), Ok((Some(Vec::new()), Vec::new())));
        assert_eq!(
            data(&[b"..\r\n.x\r\n...y\r\n.\r\n"]),
            Ok((Some(b".\r\nx\r\n..y\r\n".to_vec()), Vec::new()))
        );
        assert_eq!(data(&[b"a\r\n. \r\n"]), Ok((None, Vec::new())));
    }

    #[test]
    fn every_other_line_end_is_refused() {
        for (stream, fault) in [
            (&b"a\n.\r\n"[..], BadData::BareLf),
            (b"a\r\n.\n", BadData::BareLf),
            (b"a\r\n.\rx", BadData::BareCr),
            (b"a\r.\r\n", BadData::BareCr),
            (b"a\r\r\n.\r\n", BadData::BareCr),
            (b"a\0\r\n", BadData::Nul),
            (b"\n", BadData::BareLf),
            (b".\0\r\n", BadData::Nul),
        ] {
            assert_eq!(data(&[stream]), Err(fault), "{}", stream.escape_ascii());
        }
        assert_eq!(chunks(&[b"a\r", b"b"]), Err(BadData::BareCr));
        assert_eq!(chunks(&[b"a\r"]), Err(BadData::BareCr));
        assert_eq!(chunks(&[b"a\n"]), Err(BadData::BareLf));
        assert_eq!(chunks(&[b"a\0"]), Err(BadData::Nul));
    }

    #[test]
    fn chunks_are_taken_as_they_are() {
        assert_eq!(chunks(&[b"a\r", b"\n.\r\n", b"b"]).unwrap(), b"a\r\n.\r\nb\r\n");
        let (mut framer, mut message) = (ChunkFramer::default(), Vec::new());
        framer.begin(3);
        let taken = framer.take(b"abcQUIT\r\n", &mut message).unwrap();
        assert_eq!((taken.octets, taken.is_complete, message.as_slice()), (3, true, &b"abc"[..]));
    }

    /// Line ends, NULs and dots around one dot: whatever a sender writes, at most one message comes out and
    /// what follows the true end is the only thing read as commands.
    #[test]
    fn smuggling_sweep() {
        const ENDS: [&[u8]; 8] = [b"\r\n", b"\n", b"\r", b"\r\r", b"\n\n", b"\n\r", b"\r\r\n", b"\r\0\n"];
        let dots: [&[u8]; 4] = [b".", b"..", b". ", b".\0"];
        let smuggled = b"MAIL FROM:<evil@example.test>\r\nRCPT TO:<e_22222222@tokens.example>\r\n";
        for (before, after) in ENDS.iter().flat_map(|b| ENDS.iter().map(move |a| (b, a))) {
            for dot in dots {
                let stream = [b"a: b\r\n\r\ntext", *before, dot, *after, smuggled, b"\r\n.\r\n"].concat();
                let is_true_end = *before == b"\r\n" && dot == b"." && *after == b"\r\n";
                let whole = data(&[&stream]);
                match &whole {
                    Ok((Some(_), rest)) if is_true_end => assert!(rest.starts_with(smuggled)),
                    Ok((Some(message), rest)) => {
                        assert!(rest.is_empty() && memchr::memmem::find(message, b"evil").is_some());
                        assert!(*before == b"\r\n" && *after == b"\r\n");
                    }
                    Ok((None, _)) => panic!("{} hangs", stream.escape_ascii()),
                    Err(_) => assert!(!is_true_end),
                }
                for cut in 0..stream.len() {
                    assert_eq!(data(&[&stream[..cut], &stream[cut..]]), whole, "{}", stream.escape_ascii());
                }
                let single: Vec<&[u8]> = stream.chunks(1).collect();
                assert_eq!(data(&single), whole);
                let is_clean = chunks(&[&stream]).is_ok();
                assert_eq!(is_clean, [before, after].iter().all(|e| **e == b"\r\n") && !dot.contains(&0));
            }
        }
    }

    proptest! {
        #[test]
        fn stuffing_is_undone_at_any_split(
            lines in proptest::collection::vec("[.a ]{0,4}", 0..8),
            cuts in proptest::collection::vec(0usize..64, 0..4),
        ) {
            let content: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
            let mut stream = stuffed(&content);
            stream.extend_from_slice(b"QUIT\r\n");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(data(&pieces), Ok((Some(content), b"QUIT\r\n".to_vec())));
        }

        /// Whole lines are taken at once: what is made of them must be what is made of single octets.
        #[test]
        fn lines_taken_at_once_are_what_single_octets_make(
            stream in proptest::collection::vec(
                prop_oneof![
                    6 => Just(&b"\r\n"[..]), 1 => Just(&b"\r"[..]), 1 => Just(&b"\n"[..]), 1 => Just(&b"\0"[..]),
                    4 => Just(&b"."[..]), 6 => Just(&b"a"[..]), 3 => Just(&b"a line of more octets than one register\r\n"[..]),
                ],
                0..40,
            ),
            cut in 0usize..200,
        ) {
            let stream = stream.concat();
            let single: Vec<&[u8]> = stream.chunks(1).collect();
            let (before, after) = stream.split_at(cut.min(stream.len()));
            let expected = data(&single);
            prop_assert_eq!(data(&[&stream]), expected.clone());
            prop_assert_eq!(data(&[before, after]), expected);
            prop_assert_eq!(chunks(&[&stream]), chunks(&single));
            prop_assert_eq!(chunks(&[before, after]), chunks(&single));
        }

        #[test]
        fn chunks_do_not_depend_on_their_split(
            content in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a')], 0..12),
            cut in 0usize..12,
        ) {
            let cut = cut.min(content.len());
            prop_assert_eq!(chunks(&[&content]), chunks(&[&content[..cut], &content[cut..]]));
        }
    }
}
