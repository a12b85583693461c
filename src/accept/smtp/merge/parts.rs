//! Where the text of a message is: its leaves, and how each is encoded. Reads no more of MIME than that (RFC 2045,
//! 2046).

use crate::accept::smtp::headers::{field_end, split};
use crate::media_type::boundary;
use std::ops::Range;

/// Multiparts within each other or side by side.
const BOUNDARIES_MAX: usize = 100;

/// A run of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub kind: Kind,
    pub octets: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Header fields with their blank line.
    Header,
    /// Text as it is.
    Plain,
    QuotedPrintable,
    Base64,
    /// Attachments, what is no text, delimiters: not looked into.
    Other,
}

/// The runs of a message in order, without gaps; `None` when its multiparts cannot be followed.
pub fn of(message: &[u8]) -> Option<Vec<Part>> {
    let (mut parts, mut boundaries, mut at) = (Vec::new(), Vec::new(), 0);
    let mut add = |kind, octets: Range<usize>| {
        if !octets.is_empty() {
            parts.push(Part { kind, octets });
        }
    };
    loop {
        let (entity, body) = read_header(message, at)?;
        add(Kind::Header, at..body);
        at = body;
        match entity {
            Entity::Message => continue,
            Entity::Multipart(boundary) => {
                boundaries.push(boundary);
                if boundaries.len() > BOUNDARIES_MAX {
                    return None;
                }
            }
            Entity::Leaf(kind) => {
                let end = next_delimiter(message, at, &boundaries).map_or(message.len(), |line| line.start);
                add(kind, at..end);
                at = end;
            }
        }
        let preamble = at;
        loop {
            let Some(line) = next_delimiter(message, at, &boundaries) else {
                add(Kind::Other, preamble..message.len());
                return Some(parts);
            };
            at = line.end;
            if !is_last(&message[line], &boundaries) {
                break;
            }
        }
        add(Kind::Other, preamble..at);
    }
}

enum Entity {
    Leaf(Kind),
    Multipart(Vec<u8>),
    /// A message within the message.
    Message,
}

/// What the header at `at` says of the body behind it, and where that begins.
fn read_header(message: &[u8], mut at: usize) -> Option<(Entity, usize)> {
    let (mut media_type, mut encoding, mut is_attachment) = (Vec::new(), Vec::new(), false);
    while at < message.len() && !message[at..].starts_with(b"\r\n") {
        let end = field_end(message, at);
        // A line that is no field: the header is not well formed, and ends here as far as readers agree.
        let Some((name, value)) = split(&message[at..end]) else { break };
        if name.eq_ignore_ascii_case(b"Content-Type") {
            media_type = unfolded(value);
        } else if name.eq_ignore_ascii_case(b"Content-Transfer-Encoding") {
            encoding = unfolded(value).to_ascii_lowercase();
        } else if name.eq_ignore_ascii_case(b"Content-Disposition") {
            is_attachment = unfolded(value).to_ascii_lowercase().starts_with(b"attachment");
        }
        at = end;
    }
    let body = if message[at..].starts_with(b"\r\n") { at + 2 } else { at };
    let lower = media_type.to_ascii_lowercase();
    let entity = if lower.starts_with(b"multipart/") {
        Entity::Multipart(media_type[boundary(&media_type)?].to_vec())
    } else if lower.starts_with(b"message/rfc822") && !is_attachment && !encoding.starts_with(b"base64") {
        Entity::Message
    } else if is_attachment || !(lower.is_empty() || lower.starts_with(b"text/")) {
        Entity::Leaf(Kind::Other)
    } else if encoding.starts_with(b"quoted-printable") {
        Entity::Leaf(Kind::QuotedPrintable)
    } else if encoding.starts_with(b"base64") {
        Entity::Leaf(Kind::Base64)
    } else {
        Entity::Leaf(Kind::Plain)
    };
    Some((entity, body))
}

fn unfolded(value: &[u8]) -> Vec<u8> {
    let octets = value.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n'));
    octets.collect::<Vec<u8>>().trim_ascii().to_vec()
}

/// The next line that delimits a part, with its line end.
fn next_delimiter(message: &[u8], from: usize, boundaries: &[Vec<u8>]) -> Option<Range<usize>> {
    if boundaries.is_empty() {
        return None;
    }
    let mut start = from;
    while start < message.len() {
        let end = memchr::memchr(b'\n', &message[start..]).map_or(message.len(), |at| start + at + 1);
        if message[start..].starts_with(b"--") && named(&message[start..end], boundaries).is_some() {
            return Some(start..end);
        }
        start = end;
    }
    None
}

/// What follows the boundary in a line; the longest boundary counts, as one may begin with another.
fn named<'a>(line: &'a [u8], boundaries: &[Vec<u8>]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(b"--")?;
    boundaries
        .iter()
        .filter_map(|boundary| rest.strip_prefix(boundary.as_slice()))
        .min_by_key(|rest| rest.len())
}

fn is_last(line: &[u8], boundaries: &[Vec<u8>]) -> bool {
    named(line, boundaries).is_some_and(|rest| rest.starts_with(b"--"))
}
