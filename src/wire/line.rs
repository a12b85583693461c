//! Cuts a client's command lines out of a byte stream. Only CRLF ends a line (RFC 5321 §2.3.8); a bare CR, a
//! bare LF or a NUL is an error, because two programs that disagree about line ends can be made to disagree
//! about commands.

/// Longest command line with its CRLF (RFC 5321 §4.5.3.1.4).
pub const COMMAND_OCTETS_MAX: usize = 512;
/// Longest `MAIL` or `RCPT` line: 512 plus what SIZE, BODY, SMTPUTF8, AUTH and the DSN parameters add (RFC 1870,
/// 3461 §5, 4954 §3, 6152, 6531 §3.4).
pub const ENVELOPE_OCTETS_MAX: usize = 2048;
/// Longest line of definitions (`XDFN`).
pub const DEFINITIONS_OCTETS_MAX: usize = 8192;
/// Longest line of an AUTH exchange (RFC 4954 §4).
pub const SASL_OCTETS_MAX: usize = 12_288;

/// Which bound applies to the line that is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    Command,
    /// A response within an AUTH exchange.
    Sasl,
}

/// Where the awaited line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framed {
    /// The line is `input[..length]`; its CRLF follows.
    Line {
        length: usize,
    },
    NeedMore,
}

/// Why the stream cannot be read on as commands. The session has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    #[error("bare CR")]
    BareCr,
    #[error("bare LF")]
    BareLf,
    #[error("NUL")]
    Nul,
    #[error("line too long")]
    TooLong,
}

/// Remembers how far the input was searched, so bytes that trickle in are looked at once.
#[derive(Debug, Default)]
pub struct LineFramer {
    searched: usize,
}

impl LineFramer {
    /// `input` begins with the awaited line and only grows until a line was found.
    ///
    /// # Errors
    /// [`BadLine`]; the framer must not be used after it.
    pub fn frame(&mut self, input: &[u8], kind: LineKind) -> Result<Framed, BadLine> {
        let found = memchr::memchr3(b'\r', b'\n', 0, &input[self.searched..]).map(|at| self.searched + at);
        let Some(at) = found else {
            self.searched = input.len();
            return within_limit(input, input.len() + 2, kind).map(|()| Framed::NeedMore);
        };
        match (input[at], input.get(at + 1)) {
            (b'\r', Some(b'\n')) => {
                within_limit(input, at + 2, kind)?;
                self.searched = 0;
                Ok(Framed::Line { length: at })
            }
            (b'\r', None) => {
                self.searched = at;
                within_limit(input, at + 2, kind).map(|()| Framed::NeedMore)
            }
            (b'\r', Some(_)) => Err(BadLine::BareCr),
            (b'\n', _) => Err(BadLine::BareLf),
            _ => Err(BadLine::Nul),
        }
    }
}

fn within_limit(line: &[u8], octets: usize, kind: LineKind) -> Result<(), BadLine> {
    if octets <= COMMAND_OCTETS_MAX || octets <= octets_max(line, kind) {
        return Ok(());
    }
    Err(BadLine::TooLong)
}

fn octets_max(line: &[u8], kind: LineKind) -> usize {
    let begins = |verb: &[u8]| line.get(..verb.len()).is_some_and(|start| start.eq_ignore_ascii_case(verb));
    if kind == LineKind::Sasl || begins(b"AUTH ") {
        SASL_OCTETS_MAX
    } else if begins(b"MAIL ") || begins(b"RCPT ") {
        ENVELOPE_OCTETS_MAX
    } else if begins(b"XDFN ") {
        DEFINITIONS_OCTETS_MAX
    } else {
        COMMAND_OCTETS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All lines of a stream that arrives in the given pieces.
    fn lines(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, BadLine> {
        let (mut framer, mut input, mut found) = (LineFramer::default(), Vec::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            while let Framed::Line { length } = framer.frame(&input, LineKind::Command)? {
                found.push(input[..length].to_vec());
                input.drain(..length + 2);
            }
        }
        Ok(found)
    }

    #[test]
    fn only_crlf_ends_a_line() {
        assert_eq!(lines(&[b"NOOP\r\nQUIT\r\n"]), Ok(vec![b"NOOP".to_vec(), b"QUIT".to_vec()]));
        assert_eq!(lines(&[b"NOOP\r", b"\n"]), Ok(vec![b"NOOP".to_vec()]));
        assert_eq!(lines(&[b"NOOP\n"]), Err(BadLine::BareLf));
        assert_eq!(lines(&[b"NOOP\rQUIT\r\n"]), Err(BadLine::BareCr));
        assert_eq!(lines(&[b"NOOP\r", b"\r\n"]), Err(BadLine::BareCr));
        assert_eq!(lines(&[b"NO\0OP\r\n"]), Err(BadLine::Nul));
    }

    #[test]
    fn each_kind_of_line_has_its_bound() {
        let line = |verb: &str, octets: usize| format!("{verb}{}\r\n", "x".repeat(octets - verb.len() - 2));
        assert!(lines(&[line("NOOP ", 512).as_bytes()]).is_ok());
        assert_eq!(lines(&[line("NOOP ", 513).as_bytes()]), Err(BadLine::TooLong));
        assert!(lines(&[line("mail FROM:", 2048).as_bytes()]).is_ok());
        assert_eq!(lines(&[line("RCPT TO:", 2049).as_bytes()]), Err(BadLine::TooLong));
        assert!(lines(&[line("AUTH PLAIN ", 12_288).as_bytes()]).is_ok());
        assert_eq!(lines(&[line("AUTH PLAIN ", 12_289).as_bytes()]), Err(BadLine::TooLong));
        assert_eq!(lines(&[&[b'x'; 511]]), Err(BadLine::TooLong), "without waiting for the end");
    }

    proptest! {
        #[test]
        fn the_split_of_the_stream_changes_nothing(
            stream in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(0), Just(b'a')], 0..40),
            cut in 0usize..40,
        ) {
            let stream: Vec<u8> = stream.into_iter().flat_map(|b| if b == b'a' { b"a\r\n".to_vec() } else { vec![b] }).collect();
            let cut = cut.min(stream.len());
            prop_assert_eq!(lines(&[&stream]), lines(&[&stream[..cut], &stream[cut..]]));
        }
    }
}
