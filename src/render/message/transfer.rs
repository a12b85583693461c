//! Content-Transfer-Encodings, read as leniently as mail clients read them (RFC 2045 §6).

use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferEncoding {
    Identity,
    QuotedPrintable,
    Base64,
    /// Never registered, and still read by some.
    Uuencode,
    Unknown,
}

/// What a part's body says.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'m> {
    pub octets: Cow<'m, [u8]>,
    /// All readers come to the same.
    pub is_sure: bool,
}

impl TransferEncoding {
    /// The first word of the field; comments and quotes are passed over.
    pub fn of(value: &str) -> Self {
        let word: String = without_comments(value)
            .trim_start_matches([' ', '\t', '\r', '\n', '"', '\''])
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        match word.to_ascii_lowercase().as_str() {
            "" | "7bit" | "8bit" | "binary" | "7-bit" | "8-bit" => Self::Identity,
            "quoted-printable" => Self::QuotedPrintable,
            "base64" => Self::Base64,
            "x-uuencode" | "uuencode" | "x-uue" | "uue" => Self::Uuencode,
            _ => Self::Unknown,
        }
    }

    /// `None` where the encoding is unknown, or the body is not in it.
    pub fn decode(self, body: &[u8]) -> Option<Decoded<'_>> {
        match self {
            Self::Identity => Some(Decoded { octets: Cow::Borrowed(body), is_sure: true }),
            Self::QuotedPrintable => Some(quoted_printable(body)),
            Self::Base64 => base64(body),
            Self::Uuencode => uuencoded(body),
            Self::Unknown => None,
        }
    }
}

/// RFC 5322 §3.2.2, for fields without quoted strings that matter.
pub fn without_comments(value: &str) -> Cow<'_, str> {
    if !value.contains('(') {
        return Cow::Borrowed(value);
    }
    let (mut depth, mut is_quoted, mut is_escaped) = (0usize, false, false);
    let mut kept = String::with_capacity(value.len());
    for c in value.chars() {
        let was_escaped = std::mem::replace(&mut is_escaped, false);
        match c {
            '\\' if !was_escaped && (is_quoted || depth > 0) => is_escaped = true,
            '"' if depth == 0 && !was_escaped => is_quoted = !is_quoted,
            '(' if !is_quoted && !was_escaped => depth += 1,
            ')' if !is_quoted && !was_escaped && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            kept.push(c);
        }
    }
    Cow::Owned(kept)
}

/// What is no escape stays as it stands.
fn quoted_printable(body: &[u8]) -> Decoded<'static> {
    let mut octets = Vec::with_capacity(body.len());
    let mut is_sure = true;
    let mut rest = body;
    // Where one sign is escaped others may be: a search for each would cost more than a look.
    let next = |rest: &[u8]| if rest.first() == Some(&b'=') { Some(0) } else { memchr::memchr(b'=', rest) };
    while let Some(at) = next(rest) {
        octets.extend_from_slice(&rest[..at]);
        let after = &rest[at + 1..];
        let blanks = after.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        let line_end = &after[blanks..];
        if let Some(octet) = hex_pair(after) {
            octets.push(octet);
            rest = &after[2..];
        } else if line_end.starts_with(b"\r\n") {
            rest = &line_end[2..];
        } else if line_end.is_empty() {
            rest = line_end;
        } else {
            octets.push(b'=');
            is_sure = false;
            rest = after;
        }
    }
    octets.extend_from_slice(rest);
    Decoded { octets: Cow::Owned(octets), is_sure }
}

pub fn hex_pair(text: &[u8]) -> Option<u8> {
    let digit = |octet: &u8| char::from(*octet).to_digit(16);
    let [high, low, ..] = text else { return None };
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// One run of base64, up to its padding.
struct Run {
    octets: Vec<u8>,
    /// Octets of the text that were read.
    read: usize,
    has_junk: bool,
    /// It ends within an octet.
    is_torn: bool,
}

/// Octets outside the alphabet are passed over (RFC 2045 §6.8), and what stands behind the padding is not read: a
/// mailing list's footer, which readers do not show either. Runs that were padded one by one are read on.
fn base64(body: &[u8]) -> Option<Decoded<'static>> {
    let first = base64_run(body);
    if first.is_torn {
        return None;
    }
    let Run { mut octets, mut read, has_junk, .. } = first;
    let mut is_sure = !has_junk;
    while read < body.len() && is_base64(&body[read..]) {
        let next = base64_run(&body[read..]);
        if next.octets.is_empty() {
            break;
        }
        is_sure = false;
        octets.extend_from_slice(&next.octets);
        read += next.read;
    }
    is_sure &= body[read..].trim_ascii().is_empty();
    Some(Decoded { octets: Cow::Owned(octets), is_sure })
}

fn base64_run(text: &[u8]) -> Run {
    let mut run =
        Run { octets: Vec::with_capacity(text.len() / 4 * 3), read: 0, has_junk: false, is_torn: false };
    let (mut bits, mut held, mut letters) = (0u32, 0u32, 0usize);
    for octet in text {
        run.read += 1;
        let six = BASE64_DIGITS[usize::from(*octet)];
        if six == NO_DIGIT {
            if *octet == b'=' && letters % 4 >= 2 {
                // The other half of the padding.
                let rest = &text[run.read..];
                let blanks = rest.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
                if letters % 4 == 2 && rest.get(blanks) == Some(&b'=') {
                    run.read += blanks + 1;
                }
                return run;
            }
            run.has_junk |= !octet.is_ascii_whitespace();
            continue;
        }
        (bits, held, letters) = (bits << 6 | u32::from(six), held + 6, letters + 1);
        if held >= 8 {
            held -= 8;
            run.octets.push((bits >> held) as u8);
        }
    }
    run.is_torn = letters % 4 == 1;
    run.has_junk |= letters % 4 > 1;
    run
}

/// Nothing but whole quartets, padding and white space.
fn is_base64(text: &[u8]) -> bool {
    let mut signs = 0;
    let is_pure = text.iter().filter(|octet| !octet.is_ascii_whitespace()).all(|octet| {
        signs += 1;
        *octet == b'=' || base64_digit(*octet).is_some()
    });
    is_pure && signs % 4 == 0
}

const NO_DIGIT: u8 = 0xff;
/// What each octet stands for.
static BASE64_DIGITS: [u8; 256] = {
    let (mut digits, mut octet) = ([NO_DIGIT; 256], 0);
    while octet < digits.len() {
        if let Some(six) = base64_digit(octet as u8) {
            digits[octet] = six;
        }
        octet += 1;
    }
    digits
};

pub const fn base64_digit(octet: u8) -> Option<u8> {
    Some(match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// Between `begin` and `end`; a line's first sign says how many octets it holds.
fn uuencoded(body: &[u8]) -> Option<Decoded<'static>> {
    let mut octets = Vec::new();
    let mut lines = body.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.find(|line| line.starts_with(b"begin "))?;
    for line in lines.take_while(|line| *line != b"end") {
        let value = |octet: u8| octet.wrapping_sub(b' ') & 0x3f;
        let Some((count, signs)) = line.split_first() else { continue };
        let start = octets.len();
        for quartet in signs.chunks(4) {
            let bits =
                (0..4).fold(0u32, |bits, at| bits << 6 | u32::from(quartet.get(at).map_or(0, |s| value(*s))));
            octets.extend_from_slice(&bits.to_be_bytes()[1..]);
        }
        octets.truncate(start + usize::from(value(*count)));
    }
    Some(Decoded { octets: Cow::Owned(octets), is_sure: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(encoding: TransferEncoding, body: &[u8]) -> (String, bool) {
        let decoded = encoding.decode(body).unwrap();
        (String::from_utf8(decoded.octets.into_owned()).unwrap(), decoded.is_sure)
    }

    #[test]
    fn labels_are_read_leniently() {
        for label in
            ["base64", " BASE64 (x)", "(x) base64", "\"base64\"", "base64;", "base64 x", "\r\n\tbase64"]
        {
            assert_eq!(TransferEncoding::of(label), TransferEncoding::Base64, "{label}");
        }
        assert_eq!(TransferEncoding::of(" 8BIT\r\n"), TransferEncoding::Identity);
        assert_eq!(TransferEncoding::of("quoted printable"), TransferEncoding::Unknown);
    }

    #[test]
    fn base64_is_read_past_what_is_not_its_own() {
        let base64 = |body: &str| read(TransferEncoding::Base64, body.as_bytes());
        assert_eq!(base64("YWJj\r\nZGVm\r\n"), ("abcdef".into(), true));
        assert_eq!(base64("YW!Jj\r\n ZG\u{a0}Vm"), ("abcdef".into(), false));
        assert_eq!(base64("YQ==\r\n\r\n-- \r\nlist footer\r\n"), ("a".into(), false));
        assert_eq!(base64("YQ==YmM=\r\nZA==\r\n"), ("abcd".into(), false));
        assert_eq!(base64("YQ=\r\n=\r\n"), ("a".into(), true));
        assert_eq!(base64("YWI"), ("ab".into(), false));
        assert_eq!(TransferEncoding::Base64.decode(b"Hello"), None);
    }

    #[test]
    fn quoted_printable_keeps_what_is_no_escape() {
        let quoted = |body: &str| read(TransferEncoding::QuotedPrintable, body.as_bytes());
        assert_eq!(quoted("a=3d=\r\n=3D=  \r\nb="), ("a==b".into(), true));
        assert_eq!(quoted("=QQ =7B="), ("=QQ {".into(), false));
    }

    #[test]
    fn uuencoded_text_is_read() {
        let body = b"begin 644 x\r\n#0V%T\r\n`\r\nend\r\n";
        assert_eq!(read(TransferEncoding::Uuencode, body).0, "Cat");
    }

    proptest! {
        #[test]
        fn lawful_base64_is_sure(content in prop::collection::vec(any::<u8>(), 0..300)) {
            let encoded = data_encoding::BASE64_MIME.encode(&content);
            let decoded = TransferEncoding::Base64.decode(encoded.as_bytes()).unwrap();
            prop_assert_eq!(decoded.octets.as_ref(), content.as_slice());
            prop_assert!(decoded.is_sure);
        }
    }
}
