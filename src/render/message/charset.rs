//! Charsets of texts and header fields: a reading that would lose something is none.

use super::outline::{Content, Part, Section};
use super::transfer::base64_digit;
use encoding_rs::{EUC_KR, Encoding, GBK, UTF_8, UTF_16BE, UTF_16LE};
use std::borrow::Cow;

/// Shifts to another charset in those of ISO 2022.
pub const ESCAPE: u8 = 0x1b;

/// How octets become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    Known(&'static Encoding),
    /// RFC 2152.
    Utf7,
    /// HZ-GB-2312 (RFC 1843).
    Hz,
    /// RFC 1557.
    Iso2022Kr,
    /// UTF-16 without a word on the order of its octets (RFC 2781).
    Utf16,
}

/// What a label says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stated {
    Charset(Charset),
    /// None, plain ASCII, or a word for "unknown".
    Nothing,
    /// A charset that cannot be read here.
    Foreign,
}

impl Stated {
    pub fn of(label: Option<&str>) -> Self {
        let label = label.unwrap_or_default().trim_matches([' ', '\t', '"', '\'', ';']).to_ascii_lowercase();
        match label.as_str() {
            "" | "us-ascii" | "ascii" | "unknown-8bit" | "unknown" | "x-unknown" | "default" | "binary"
            | "7bit" | "8bit" | "none" | "ansi_x3.4-1968" => return Self::Nothing,
            "utf-7" | "unicode-1-1-utf-7" | "utf7" | "csutf7" | "x-unicode-2-0-utf-7" => {
                return Self::Charset(Charset::Utf7);
            }
            "hz-gb-2312" | "hz" => return Self::Charset(Charset::Hz),
            "iso-2022-kr" | "csiso2022kr" => return Self::Charset(Charset::Iso2022Kr),
            "utf-16" | "utf16" | "ucs-2" | "unicode" | "iso-10646-ucs-2" => {
                return Self::Charset(Charset::Utf16);
            }
            _ => {}
        }
        match encoding(&label) {
            Some(encoding) if encoding != encoding_rs::REPLACEMENT => Self::Charset(Charset::Known(encoding)),
            _ => Self::Foreign,
        }
    }
}

fn encoding(label: &str) -> Option<&'static Encoding> {
    let alias = match label {
        "cp932" => "shift_jis",
        "cp936" | "ms936" => "gbk",
        "cp949" => "euc-kr",
        "cp950" => "big5",
        "utf8mb4" | "utf-8mb4" | "utf_8" => "utf-8",
        "latin-1" => "latin1",
        other => other,
    };
    Encoding::for_label(alias.as_bytes()).or_else(|| {
        let number = alias.strip_prefix("windows").or_else(|| alias.strip_prefix("win"))?;
        let number = number.trim_start_matches(['-', '_']);
        Encoding::for_label(format!("windows-{number}").as_bytes())
    })
}

impl Charset {
    /// The text, and whether all of it could be read.
    pub fn decode(self, octets: &[u8]) -> (Cow<'_, str>, bool) {
        match self {
            Self::Known(encoding) => {
                let (text, _, is_broken) = encoding.decode(octets);
                (text, !is_broken)
            }
            Self::Utf7 => utf7(octets).map_or_else(|| lossy(octets), |text| (Cow::Owned(text), true)),
            Self::Hz => owned(GBK, &lifted(octets, Shift::TILDE)),
            Self::Iso2022Kr => owned(EUC_KR, &lifted(octets, Shift::OUT_AND_IN)),
            Self::Utf16 => {
                // Big-endian where nothing says otherwise, but most who write it are little-endian machines.
                let little = (UTF_16LE.decode(octets).0, UTF_16BE.decode(octets).0);
                let ascii = |text: &str| text.chars().filter(char::is_ascii).count();
                let order = if ascii(&little.0) >= ascii(&little.1) { UTF_16LE } else { UTF_16BE };
                Self::Known(order).decode(octets)
            }
        }
    }

    /// Every octet of ASCII stands for itself wherever it stands.
    fn is_plain_ascii(self) -> bool {
        matches!(self, Self::Known(encoding) if encoding.is_ascii_compatible())
    }
}

fn lossy(octets: &[u8]) -> (Cow<'_, str>, bool) {
    (String::from_utf8_lossy(octets), false)
}

fn owned(encoding: &'static Encoding, octets: &[u8]) -> (Cow<'static, str>, bool) {
    let (text, _, is_broken) = encoding.decode(octets);
    (Cow::Owned(text.into_owned()), !is_broken)
}

/// The signs that shift to two octets a letter and back.
struct Shift {
    out: &'static [u8],
    back: &'static [u8],
    /// Signs that stand for something else or for nothing.
    others: &'static [(&'static [u8], &'static [u8])],
}

impl Shift {
    const TILDE: Self = Self { out: b"~{", back: b"~}", others: &[(b"~~", b"~"), (b"~\r\n", b"")] };
    const OUT_AND_IN: Self = Self { out: b"\x0e", back: b"\x0f", others: &[(b"\x1b$)C", b"")] };
}

/// Seven-bit text in two shifts as the eight-bit charset it is taken from. A line begins unshifted.
fn lifted(octets: &[u8], shift: Shift) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    let (mut rest, mut is_out) = (octets, false);
    while let Some((octet, tail)) = rest.split_first() {
        let other = shift.others.iter().find(|(sign, _)| !is_out && rest.starts_with(sign));
        rest = if let Some((sign, stands_for)) = other {
            out.extend_from_slice(stands_for);
            &rest[sign.len()..]
        } else if rest.starts_with(if is_out { shift.back } else { shift.out }) {
            is_out = !is_out;
            &rest[shift.out.len()..]
        } else {
            is_out &= *octet != b'\n';
            let is_letter = is_out && (0x21..=0x7e).contains(octet);
            out.push(if is_letter { octet | 0x80 } else { *octet });
            tail
        };
    }
    out
}

fn utf7(octets: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(octets.len());
    let mut rest = octets;
    while let Some(at) = memchr::memchr(b'+', rest) {
        text.push_str(std::str::from_utf8(&rest[..at]).ok()?);
        let run = rest[at + 1..].iter().take_while(|octet| base64_digit(**octet).is_some()).count();
        let (shifted, after) = rest[at + 1..].split_at(run);
        if shifted.is_empty() && after.starts_with(b"-") {
            text.push('+');
        }
        let (mut bits, mut held, mut units) = (0u32, 0u32, Vec::with_capacity(run / 2));
        for six in shifted.iter().filter_map(|octet| base64_digit(*octet)) {
            (bits, held) = (bits << 6 | u32::from(six), held + 6);
            if held >= 16 {
                held -= 16;
                units.push((bits >> held) as u16);
            }
        }
        text.push_str(&String::from_utf16(&units).ok()?);
        rest = after.strip_prefix(b"-").unwrap_or(after);
    }
    text.push_str(std::str::from_utf8(rest).ok()?);
    Some(text)
}

/// The one charset that a message's texts are in, where they agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Declared(Option<Charset>);

impl Declared {
    pub fn of(root: &Part<'_>) -> Self {
        let mut found = Vec::new();
        collect(root, &mut found);
        found.dedup();
        match found.as_slice() {
            [only] => Self(Some(*only)),
            _ => Self(None),
        }
    }

    /// Eight-bit octets that no one has labelled: UTF-8, else what the message's texts are in. `None` where no reading
    /// is sure.
    pub fn read(self, octets: &[u8]) -> Option<Cow<'_, str>> {
        if octets.contains(&ESCAPE) {
            let (text, is_whole) = self.0?.decode(octets);
            return (is_whole && !text.contains(char::from(ESCAPE))).then_some(text);
        }
        let utf8 = std::str::from_utf8(octets).ok();
        let stated = || {
            let charset = self.0.filter(|charset| charset.is_plain_ascii())?;
            let (text, is_whole) = charset.decode(octets);
            is_whole.then_some(text)
        };
        match utf8 {
            Some(text) if !self.may_look_like_utf8(text) => Some(Cow::Borrowed(text)),
            Some(text) => Some(stated().unwrap_or(Cow::Borrowed(text))),
            None => stated(),
        }
    }

    /// A few letters of two octets each, as East Asian charsets have them, may be UTF-8 by chance.
    fn may_look_like_utf8(self, text: &str) -> bool {
        let is_asian = self.0.is_some_and(|charset| {
            matches!(charset, Charset::Known(encoding) if !encoding.is_single_byte() && encoding != UTF_8)
        });
        is_asian && !text.is_ascii() && text.chars().all(|c| c.len_utf8() <= 2)
    }
}

fn collect(part: &Part<'_>, found: &mut Vec<Charset>) {
    match &part.content {
        Content::Single | Content::Opaque => {
            let media = part.media();
            if media.is_text()
                && let Stated::Charset(charset) = Stated::of(media.parameter("charset").as_deref())
                && !found.contains(&charset)
            {
                // UTF-8 was tried already.
                if charset != Charset::Known(UTF_8) {
                    found.push(charset);
                }
            }
        }
        Content::Multi { sections, .. } => {
            for section in sections {
                if let Section::Part(part) = section {
                    collect(part, found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(label: &str, octets: &[u8]) -> String {
        let Stated::Charset(charset) = Stated::of(Some(label)) else { panic!("{label}") };
        let (text, is_whole) = charset.decode(octets);
        assert!(is_whole, "{label}");
        text.into_owned()
    }

    #[test]
    fn charsets_that_browsers_do_not_know_are_read() {
        assert_eq!(decode("iso-2022-kr", b"\x1b$)C\x0e>H3g\x0f Dear {{x}}"), "안녕 Dear {{x}}");
        assert_eq!(decode("hz-gb-2312", b"~{VPND~} {{x}} ~~"), "中文 {{x}} ~");
        assert_eq!(decode("utf-7", b"a +AHsAew-x+AH0AfQ- +- +2D3eAA"), "a {{x}} + 😀");
        assert_eq!(decode("utf-16", b"\0{\0{"), "{{");
        assert_eq!(decode("UTF-16", b"{\0{\0"), "{{");
        assert_eq!(decode("windows1255", b"\xf9"), "ש");
        assert_eq!(decode("'cp1252'", b"\xe9"), "é");
        assert_eq!(Stated::of(Some("cp037")), Stated::Foreign);
        assert_eq!(Stated::of(Some("iso-2022-cn")), Stated::Foreign);
    }

    #[test]
    fn unlabelled_octets_are_read_only_where_it_is_sure() {
        let declared = |label| match Stated::of(Some(label)) {
            Stated::Charset(charset) => Declared(Some(charset)),
            _ => Declared(None),
        };
        assert_eq!(declared("iso-8859-1").read(b"Caf\xe9").as_deref(), Some("Café"));
        assert_eq!(declared("iso-8859-1").read("Café".as_bytes()).as_deref(), Some("Café"));
        assert_eq!(declared("gb2312").read(b"\xc4\xa3").as_deref(), Some("模"));
        assert_eq!(declared("iso-2022-jp").read(b"a \x1b$B$3\x1b(B").as_deref(), Some("a こ"));
        assert_eq!(declared("latin1").read(b"a \x1b$B$3\x1b(B"), None);
        assert_eq!(declared("utf-7").read(b"Caf\xe9"), None);
        assert_eq!(Declared(None).read(b"Caf\xe9"), None);
        assert_eq!(declared("windows-1255").read(b"\xff"), None);
    }
}
