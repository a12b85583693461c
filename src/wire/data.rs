//! Cuts message content out of a byte stream, for `DATA` (RFC 5321 §4.5.2) and `BDAT` (RFC 3030).
//!
//! Only CRLF.CRLF ends `DATA`, whatever else is in it. A bare CR or a NUL anywhere, and a bare LF where it is not taken as a
//! line end, make the content unfit; its framing goes on all the same, so that its end can be found and answered.
//!
//! Where a bare LF is taken as a line end, it never helps to end the content: a dot between line ends of which one is a
//! bare LF stays content, and leaves with another dot before it. So what this relay takes for one message is one message for
//! every reader behind it.

use super::dot;
use crate::message::has_lawful_line_ends;
use memchr::memmem;
use std::sync::LazyLock;

/// Bytes looked at together from a line that begins with a dot.
const DOTTED_BYTES: usize = dot::UNSTUFFED_BYTES_MAX;

static LF_DOT: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\n."));

/// Why the content is refused and the session closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadData {
    #[error("bare CR")]
    BareCr,
    #[error("bare LF")]
    BareLf,
    #[error("NUL")]
    Nul,
    /// Nothing came behind a dot that stands alone between bare line ends: it was meant as the end.
    #[error("a dot alone on its line, but not between CR LF and CR LF,")]
    LoneDot,
}

/// What a bare LF in the content is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BareLf {
    /// A line end, and CRLF from here on.
    #[default]
    Normalize,
    Refuse,
}

/// What one call made of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Bytes of the input that belong to the content (or to its end) and are done with.
    pub octets: usize,
    /// The end of the content, or of the chunk, was reached.
    pub is_complete: bool,
}

/// What was found in the content that is no line of it.
#[derive(Debug, Clone, Copy, Default)]
struct Findings {
    bare_lf: BareLf,
    has_bare_lf: bool,
    fault: Option<BadData>,
}

impl Findings {
    /// The first fault is the one that is told.
    fn note(&mut self, fault: BadData) {
        self.has_bare_lf |= fault == BadData::BareLf;
        if (fault, self.bare_lf) != (BadData::BareLf, BareLf::Normalize) {
            self.fault.get_or_insert(fault);
        }
    }
}

/// The line end before what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    CrLf,
    Lf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The start of a line, behind this line end. Before the content stands the CRLF of the command.
    LineStart(LineEnd),
    Line,
    Cr,
    /// A dot at the start of a line.
    Dot(LineEnd),
    /// A dot alone so far, and a CR.
    DotCr(LineEnd),
}

/// Frames `DATA` and undoes dot-stuffing.
#[derive(Debug)]
pub struct DataFramer {
    at: At,
    findings: Findings,
    /// The line before, if it was one dot that did not end the content.
    is_behind_lone_dot: bool,
}

impl Default for DataFramer {
    fn default() -> Self {
        Self::new(BareLf::default())
    }
}

impl DataFramer {
    pub fn new(bare_lf: BareLf) -> Self {
        let findings = Findings { bare_lf, ..Findings::default() };
        Self { at: At::LineStart(LineEnd::CrLf), findings, is_behind_lone_dot: false }
    }

    /// Appends content to `message`, line ends included. The final dot is not part of it. Of content with a
    /// [`DataFramer::fault`] the message is not to be used.
    pub fn take(&mut self, input: &[u8], message: &mut Vec<u8>) -> Taken {
        let (mut done, mut is_plain) = (0, true);
        while let Some(&next) = input.get(done) {
            let is_within_lines = match self.at {
                At::Line => true,
                At::LineStart(_) => next != b'.',
                At::Cr | At::Dot(_) | At::DotCr(_) => false,
            };
            if is_within_lines && is_plain {
                let lines = take_lines(&input[done..], message);
                // Otherwise the rest is half a line, or breaks the rules somewhere: line by line from here.
                is_plain = lines > 0;
                if is_plain {
                    done += lines;
                    self.start_line(LineEnd::CrLf);
                }
                continue;
            }
            if is_within_lines {
                let text = copy_line(&input[done..], message);
                done += text;
                if text > 0 {
                    self.at = At::Line;
                    continue;
                }
            }
            // Where one line begins with a dot others may: to search for each would cost more than to look at every word.
            let is_dotted = next == b'.' && matches!(self.at, At::LineStart(_));
            if is_dotted && self.at == At::LineStart(LineEnd::CrLf) {
                let dotted = &input[done..input.len().min(done + DOTTED_BYTES)];
                let lines = take_dotted_lines(dotted, message);
                if lines > 0 {
                    done += lines;
                    self.start_line(LineEnd::CrLf);
                    continue;
                }
            }
            let bytes = if is_dotted { DOTTED_BYTES } else { 1 };
            for byte in &input[done..input.len().min(done + bytes)] {
                done += 1;
                if self.step(*byte, message) {
                    return Taken { octets: done, is_complete: true };
                }
            }
        }
        Taken { octets: done, is_complete: false }
    }

    /// One byte, whatever it is; whether it is the last of the final dot.
    fn step(&mut self, byte: u8, message: &mut Vec<u8>) -> bool {
        match (self.at, byte) {
            (At::DotCr(LineEnd::CrLf), b'\n') => return true,
            (At::DotCr(LineEnd::Lf), b'\n') => self.keep_lone_dot(LineEnd::CrLf, message),
            (At::Dot(_), b'\n') => {
                self.findings.note(BadData::BareLf);
                self.keep_lone_dot(LineEnd::Lf, message);
            }
            (At::Cr, b'\n') => {
                message.extend_from_slice(b"\r\n");
                self.start_line(LineEnd::CrLf);
            }
            (At::Cr | At::DotCr(_), _) => {
                self.findings.note(BadData::BareCr);
                self.at = At::Line;
                return self.step(byte, message);
            }
            (At::LineStart(before), b'.') => self.at = At::Dot(before),
            (At::Dot(before), b'\r') => self.at = At::DotCr(before),
            (At::LineStart(_) | At::Line, b'\r') => self.at = At::Cr,
            (At::LineStart(_) | At::Line, b'\n') => {
                self.findings.note(BadData::BareLf);
                message.extend_from_slice(b"\r\n");
                self.start_line(LineEnd::Lf);
            }
            (At::LineStart(_) | At::Line | At::Dot(_), 0) => {
                self.findings.note(BadData::Nul);
                self.at = At::Line;
            }
            (At::LineStart(_) | At::Line | At::Dot(_), other) => {
                message.push(other);
                self.at = At::Line;
            }
        }
        false
    }

    /// What makes the content unfit, as far as it was read.
    pub fn fault(&self) -> Option<BadData> {
        self.findings.fault
    }

    /// Whether a bare LF was among the line ends.
    pub fn has_bare_lf(&self) -> bool {
        self.findings.has_bare_lf
    }

    /// Whether all that was read so far ends in a dot alone on its line that did not end the content. Nothing more may
    /// come: to a client with other ideas of a line end it was the end.
    pub fn is_behind_lone_dot(&self) -> bool {
        self.is_behind_lone_dot && matches!(self.at, At::LineStart(_))
    }

    fn start_line(&mut self, behind: LineEnd) {
        self.at = At::LineStart(behind);
        self.is_behind_lone_dot = false;
    }

    /// No client that stuffs its dots wrote this one, so it is content as it stands.
    fn keep_lone_dot(&mut self, end: LineEnd, message: &mut Vec<u8>) {
        message.extend_from_slice(b".\r\n");
        self.at = At::LineStart(end);
        self.is_behind_lone_dot = true;
    }
}

/// Frames one `BDAT` chunk of a known length. Content is taken as it is, but the line discipline holds across
/// chunks, so the framer lives as long as the message.
#[derive(Debug, Default)]
pub struct ChunkFramer {
    left: u64,
    after_cr: bool,
    findings: Findings,
}

impl ChunkFramer {
    pub fn new(bare_lf: BareLf) -> Self {
        Self { findings: Findings { bare_lf, ..Findings::default() }, ..Self::default() }
    }

    pub fn begin(&mut self, octets: u64) {
        self.left = octets;
    }

    /// As [`DataFramer::take`].
    pub fn take(&mut self, input: &[u8], message: &mut Vec<u8>) -> Taken {
        let octets = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
        let chunk = &input[..octets];
        let (mut done, mut is_plain) = (0, true);
        while done < chunk.len() {
            if std::mem::take(&mut self.after_cr) {
                if chunk[done] == b'\n' {
                    message.extend_from_slice(b"\r\n");
                    done += 1;
                } else {
                    self.findings.note(BadData::BareCr);
                }
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
            done += copy_line(rest, message);
            match chunk.get(done) {
                None => {}
                Some(b'\r') => self.after_cr = true,
                Some(b'\n') => {
                    self.findings.note(BadData::BareLf);
                    message.extend_from_slice(b"\r\n");
                }
                Some(_) => self.findings.note(BadData::Nul),
            }
            done += 1;
        }
        self.left -= octets as u64;
        Taken { octets, is_complete: self.left == 0 }
    }

    /// As [`DataFramer::fault`].
    pub fn fault(&self) -> Option<BadData> {
        self.findings.fault
    }

    /// As [`DataFramer::has_bare_lf`].
    pub fn has_bare_lf(&self) -> bool {
        self.findings.has_bare_lf
    }

    /// The last chunk has been taken: a message whose last line has no end gets one, so that whoever sends it
    /// on ends it the same way. Content that ends in half a line end has a fault now.
    pub fn finish(&mut self, message: &mut Vec<u8>) {
        if self.after_cr {
            self.findings.note(BadData::BareCr);
        }
        if !message.is_empty() && !message.ends_with(b"\r\n") {
            message.extend_from_slice(b"\r\n");
        }
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

/// As [`take_lines`], from the start of a line: extra dots are undone, and it ends before a dot alone on its line.
fn take_dotted_lines(input: &[u8], message: &mut Vec<u8>) -> usize {
    let lines = &input[..memchr::memrchr(b'\n', input).map_or(0, |at| at + 1)];
    if lines.is_empty() || !has_lawful_line_ends(lines) {
        return 0;
    }
    dot::unstuff_lines(lines, message)
}

/// Copies up to the next CR, LF or NUL, or the end of the input; how many bytes that were.
fn copy_line(input: &[u8], message: &mut Vec<u8>) -> usize {
    let length = memchr::memchr3(b'\r', b'\n', 0, input).unwrap_or(input.len());
    message.extend_from_slice(&input[..length]);
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The message and what follows it, or `None` for the message when it is not complete.
    type Cut = (Option<Vec<u8>>, Vec<u8>);

    fn data_with(bare_lf: BareLf, pieces: &[&[u8]]) -> Result<Cut, BadData> {
        let (mut framer, mut message) = (DataFramer::new(bare_lf), Vec::new());
        for (at, piece) in pieces.iter().enumerate() {
            let taken = framer.take(piece, &mut message);
            if taken.is_complete {
                let mut rest = piece[taken.octets..].to_vec();
                rest.extend(pieces[at + 1..].concat());
                return framer.fault().map_or(Ok((Some(message), rest)), Err);
            }
            assert_eq!(taken.octets, piece.len());
        }
        framer.fault().map_or(Ok((None, Vec::new())), Err)
    }

    fn data(pieces: &[&[u8]]) -> Result<Cut, BadData> {
        data_with(BareLf::Refuse, pieces)
    }

    fn chunks_with(bare_lf: BareLf, pieces: &[&[u8]]) -> Result<Vec<u8>, BadData> {
        let (mut framer, mut message) = (ChunkFramer::new(bare_lf), Vec::new());
        for piece in pieces {
            framer.begin(piece.len() as u64);
            let taken = framer.take(piece, &mut message);
            assert_eq!(taken, Taken { octets: piece.len(), is_complete: true });
        }
        framer.finish(&mut message);
        framer.fault().map_or(Ok(message), Err)
    }

    fn chunks(pieces: &[&[u8]]) -> Result<Vec<u8>, BadData> {
        chunks_with(BareLf::Refuse, pieces)
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
        let taken = framer.take(b"abcQUIT\r\n", &mut message);
        assert_eq!((taken.octets, taken.is_complete, message.as_slice()), (3, true, &b"abc"[..]));
    }

    #[test]
    fn b2_a_bare_lf_is_a_line_end_and_never_part_of_the_final_one() {
        let taken = |stream: &[u8]| data_with(BareLf::Normalize, &[stream]).unwrap();
        for (stream, message) in [
            (&b"a: b\n\ntext\n\r\n.\r\n"[..], &b"a: b\r\n\r\ntext\r\n\r\n"[..]),
            (b"a\n.\r\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
            (b"a\r\n.\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
            (b"a\n.\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
            (b"\n.\r\n\r\n.\r\n", b"\r\n.\r\n\r\n"),
            // Python's smtplib and every other client that knows LF stuffs the dots behind it too.
            (b"a\n..\n..b\n.\r\n.\r\n", b"a\r\n.\r\n.b\r\n.\r\n"),
        ] {
            assert_eq!(taken(stream), (Some(message.to_vec()), Vec::new()), "{}", stream.escape_ascii());
        }
        assert_eq!(taken(b"a\n.\n"), (None, Vec::new()), "the end is still to come");
        assert_eq!(data_with(BareLf::Normalize, &[b"a\rb\n"]), Err(BadData::BareCr));
        assert_eq!(data_with(BareLf::Normalize, &[b"a\n\0"]), Err(BadData::Nul));
        assert_eq!(
            chunks_with(BareLf::Normalize, &[b"a\r", b"\n.\n", b"\nb"]).unwrap(),
            b"a\r\n.\r\n\r\nb\r\n"
        );
        assert_eq!(chunks_with(BareLf::Normalize, &[b"a\r", b"b"]), Err(BadData::BareCr));
    }

    #[test]
    fn b2_a_dot_that_somebody_else_would_take_for_the_end_is_known() {
        for (stream, is_behind) in [
            (&b"a\n.\n"[..], true),
            (b"a\n.\r\n", true),
            (b"a\r\n.\n", true),
            (b"a\n.\nb", false),
            (b"a\n.\nb\n", false),
            (b"a\n", false),
            (b"a\n..\n", false),
        ] {
            let mut framer = DataFramer::default();
            framer.take(stream, &mut Vec::new());
            assert_eq!(framer.is_behind_lone_dot(), is_behind, "{}", stream.escape_ascii());
        }
    }

    #[test]
    fn b2_unfit_content_is_read_to_its_end() {
        for content in [
            &b"a\nb\r\n.\r\nQUIT"[..],
            b"a\rb\r\n.\r\nQUIT",
            b"a\0\r\n.\r\nQUIT",
            b"a\n.\r\nb\n.\n\r.\r\r\n.\r\nQUIT",
        ] {
            let mut framer = DataFramer::new(BareLf::Refuse);
            let taken = framer.take(content, &mut Vec::new());
            assert!(taken.is_complete && framer.fault().is_some());
            assert_eq!(&content[taken.octets..], b"QUIT", "{}", content.escape_ascii());
        }
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
                normalized(&stream, is_true_end.then_some(smuggled));
                let is_clean = chunks(&[&stream]).is_ok();
                assert_eq!(is_clean, [before, after].iter().all(|e| **e == b"\r\n") && !dot.contains(&0));
            }
        }
    }

    /// Where bare LFs are line ends: one message at most, in CRLF only, and up to the first CRLF.CRLF.
    fn normalized(stream: &[u8], behind_true_end: Option<&[u8]>) {
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        let whole = data_with(BareLf::Normalize, &[stream]);
        assert_eq!(data_with(BareLf::Normalize, &single), whole, "{}", stream.escape_ascii());
        match whole {
            Ok((Some(message), rest)) => {
                let end = memchr::memmem::find(stream, b"\r\n.\r\n").expect("the end of the case") + 5;
                assert_eq!(rest, &stream[end..]);
                assert!(has_lawful_line_ends(&message) && message.ends_with(b"\r\n"));
                assert!(
                    rest.is_empty() || rest.starts_with(behind_true_end.expect("nothing but the true end"))
                );
            }
            Ok((None, _)) => panic!("{} hangs", stream.escape_ascii()),
            Err(fault) => assert!(matches!(fault, BadData::BareCr | BadData::Nul)),
        }
    }

    /// What the rules say of a whole stream, without any thought of speed: where the content ends, its lines, and what is
    /// wrong with it first.
    struct Ruled {
        octets: Option<usize>,
        message: Vec<u8>,
        fault: Option<BadData>,
    }

    fn by_the_rules(bare_lf: BareLf, stream: &[u8]) -> Ruled {
        // The line end of the command stands before the content.
        let with_command = [b"\r\n", stream].concat();
        let end = memmem::find(&with_command, b"\r\n.\r\n");
        let content = &stream[..end.unwrap_or(stream.len())];
        let (mut message, mut line) = (Vec::new(), Vec::new());
        let mut fault = None;
        for (at, byte) in content.iter().enumerate() {
            let behind = stream.get(at + 1);
            match byte {
                b'\r' if behind == Some(&b'\n') => {}
                // Half a line end is no fault yet.
                b'\r' if behind.is_none() => {}
                b'\r' => fault = fault.or(Some(BadData::BareCr)),
                0 => fault = fault.or(Some(BadData::Nul)),
                b'\n' => {
                    let is_bare = at.checked_sub(1).is_none_or(|before| content[before] != b'\r');
                    if is_bare && bare_lf == BareLf::Refuse {
                        fault = fault.or(Some(BadData::BareLf));
                    }
                    let is_stuffed = line.starts_with(b".") && line.len() > 1;
                    message.extend_from_slice(&line[usize::from(is_stuffed)..]);
                    message.extend_from_slice(b"\r\n");
                    line.clear();
                }
                other => line.push(*other),
            }
        }
        Ruled { octets: end.map(|end| end + 3), message, fault }
    }

    /// Content with an end, or none, made of what matters to a framer.
    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            6 => Just(&b"\r\n"[..]), 2 => Just(&b"\n"[..]), 1 => Just(&b"\r"[..]), 1 => Just(&b"\0"[..]),
            5 => Just(&b"."[..]), 5 => Just(&b"a"[..]), 2 => Just(&b"\r\n."[..]), 1 => Just(&b"\r\n.\r\n"[..]),
            2 => Just(&b"a line of more bytes than one register\r\n"[..]),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn b2_the_framer_is_what_the_rules_say_at_any_split(
            stream in streams(),
            // Long runs before it make the framer look at bytes one by one, and stop doing so in the middle.
            dotted in prop_oneof![Just(0usize), DOTTED_BYTES / 4 - 3..DOTTED_BYTES / 4 + 3],
            cuts in proptest::collection::vec(0usize..300, 0..5),
            bare_lf in prop_oneof![Just(BareLf::Normalize), Just(BareLf::Refuse)],
        ) {
            let stream = [".x\r\n".repeat(dotted).as_bytes(), &stream].concat();
            let ruled = by_the_rules(bare_lf, &stream);
            let from = stream.len().saturating_sub(200);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| (from + cut).min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let (mut framer, mut message, mut octets) = (DataFramer::new(bare_lf), Vec::new(), None);
            for pair in cuts.windows(2) {
                let taken = framer.take(&stream[pair[0]..pair[1]], &mut message);
                if taken.is_complete {
                    octets = Some(pair[0] + taken.octets);
                    break;
                }
            }
            prop_assert_eq!((octets, framer.fault()), (ruled.octets, ruled.fault), "{}", stream.escape_ascii());
            if ruled.octets.is_some() && ruled.fault.is_none() {
                prop_assert_eq!(message, ruled.message, "{}", stream.escape_ascii());
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
            let (data, chunks) = (|p: &[&[u8]]| data_with(BareLf::Normalize, p), |p: &[&[u8]]| chunks_with(BareLf::Normalize, p));
            prop_assert_eq!(data(&[before, after]), data(&single));
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
