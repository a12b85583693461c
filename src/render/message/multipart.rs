//! Cuts a multipart body at its boundary lines (RFC 2046 §5.1.1).

use super::PARTS_MAX;
use crate::{byte_search, media_type};
use memchr::memmem;

/// A stretch of a multipart body. Put together in order they are the body again, octet by octet.
#[derive(Debug, PartialEq, Eq)]
pub enum Section<'m> {
    Between(Between<'m>),
    Part(&'m [u8]),
}

/// Preamble, boundary line, epilogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between<'m> {
    pub octets: &'m [u8],
    /// Where its one boundary begins, behind the two dashes; none where the multipart has no boundary line.
    pub boundary_at: Option<usize>,
}

/// A boundary counts only at the beginning of a line and with nothing but white space behind it. Stops after
/// more parts than a message may have.
pub fn split<'m>(body: &'m [u8], boundary: &str) -> Vec<Section<'m>> {
    let mut sections = Vec::new();
    let mut between_start = 0;
    let mut boundary_at = None;
    let mut part_start = None;
    let between = |start: usize, end: usize, boundary_at: Option<usize>| {
        let boundary_at = boundary_at.map(|at| at - start);
        Section::Between(Between { octets: &body[start..end], boundary_at })
    };
    let delimiter = [b"\n--", boundary.as_bytes()].concat();
    for line in BoundaryLines::new(body, &delimiter) {
        if let Some(part_start) = part_start {
            // The line end before a boundary belongs to the boundary; an empty part has none of its own.
            let part_end = line.start.saturating_sub(2).max(part_start);
            sections.push(between(between_start, part_start, boundary_at));
            sections.push(Section::Part(&body[part_start..part_end]));
            between_start = part_end;
        }
        boundary_at = Some(line.start + 2);
        part_start = Some(line.end);
        if sections.len() > 2 * PARTS_MAX {
            break;
        }
        if line.is_last {
            part_start = None;
            break;
        }
    }
    match part_start {
        // The last boundary is missing: the part goes on to the end.
        Some(part_start) => {
            sections.push(between(between_start, part_start, boundary_at));
            sections.push(Section::Part(&body[part_start..]));
        }
        None => sections.push(between(between_start, body.len(), boundary_at)),
    }
    sections
}

struct BoundaryLine {
    start: usize,
    /// Behind the line's CRLF.
    end: usize,
    is_last: bool,
}

/// As much of a delimiter as a search looks for. The search for a longer one would have to be prepared at length.
const SEARCHED_OCTETS_MAX: usize = 16;

/// Found one by one: a hostile body may hold millions. What is looked for begins with the line end before it, so where
/// one is, there is no other within.
struct BoundaryLines<'m, 'd> {
    body: &'m [u8],
    /// Line feed, dashes, boundary.
    delimiter: &'d [u8],
    finder: memmem::Finder<'d>,
    from: usize,
}

impl<'m, 'd> BoundaryLines<'m, 'd> {
    fn new(body: &'m [u8], delimiter: &'d [u8]) -> Self {
        let finder = memmem::Finder::new(&delimiter[..delimiter.len().min(SEARCHED_OCTETS_MAX)]);
        Self { body, delimiter, finder, from: 0 }
    }

    /// Where the next delimiter's dashes are; each is given once.
    fn next_delimiter(&mut self) -> Option<usize> {
        let delimiter = &self.delimiter[1..];
        if self.from == 0 && self.body.starts_with(delimiter) {
            self.from = delimiter.len();
            return Some(0);
        }
        loop {
            let start = self.from + byte_search::find(&self.finder, &self.body[self.from..])? + 1;
            if self.body[start..].starts_with(delimiter) {
                self.from = start + delimiter.len();
                return Some(start);
            }
            self.from = start;
        }
    }
}

impl Iterator for BoundaryLines<'_, '_> {
    type Item = BoundaryLine;

    fn next(&mut self) -> Option<BoundaryLine> {
        loop {
            let start = self.next_delimiter()?;
            let tail = &self.body[self.from..];
            if !media_type::may_end_boundary(tail) {
                continue;
            }
            let line = &tail[..memchr::memchr(b'\n', tail).map_or(tail.len(), |at| at + 1)];
            let after_dashes = line.strip_prefix(b"--");
            if after_dashes.unwrap_or(line).iter().all(u8::is_ascii_whitespace) {
                return Some(BoundaryLine {
                    start,
                    end: self.from + line.len(),
                    is_last: after_dashes.is_some(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Section::Part;
    use proptest::prelude::*;

    #[test]
    fn parts_stand_between_boundary_lines_only() {
        let body = b"pre\r\n--b\r\nA: 1\r\n\r\n--bx\r\nx --b\r\n--b \t\r\n\r\n--b--\r\npost --b\r\n--b\r\n";
        let parts: Vec<_> = split(body, "b").into_iter().filter(|s| matches!(s, Part(_))).collect();
        assert_eq!(parts, [Part(b"A: 1\r\n\r\n--bx\r\nx --b"), Part(b"")]);
        let between = |octets, boundary_at| Section::Between(Between { octets, boundary_at });
        assert_eq!(split(b"nothing", "b"), [between(b"nothing", None)]);
        assert_eq!(split(b"--b\r\nopen", "b"), [between(b"--b\r\n", Some(2)), Part(b"open")]);
        let all = split(b"pre\r\n--b\r\nx\r\n--b--\r\n", "b");
        assert_eq!(all[0], between(b"pre\r\n--b\r\n", Some(7)));
        assert_eq!(all[2], between(b"\r\n--b--\r\n", Some(4)));
    }

    proptest! {
        #[test]
        fn the_sections_are_the_body(body in "(--b|--|b|\r\n| |x){0,40}") {
            let joined: Vec<u8> = split(body.as_bytes(), "b")
                .iter()
                .flat_map(|section| match section {
                    Section::Between(Between { octets, .. }) | Part(octets) => octets.to_vec(),
                })
                .collect();
            prop_assert_eq!(joined, body.as_bytes());
            for section in split(body.as_bytes(), "b") {
                if let Section::Between(Between { octets, boundary_at: Some(at) }) = section {
                    prop_assert!(octets[..at].ends_with(b"--") && octets[at..].starts_with(b"b"));
                }
            }
        }
    }
}
