//! What a job is made of, as a number: a job that comes again under the same id must be the same.

use crate::byte_search;
use crate::job::{Content, Job};
use crate::media_type;
use aws_lc_rs::digest;
use memchr::memmem;
use std::sync::LazyLock;

/// 128 bits of SHA-256 over everything of a job that shapes its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body(pub [u8; 16]);

/// Header fields that mail software writes anew each time it submits the same message.
const WRITTEN_ANEW: [&[u8]; 4] = [b"date:", b"message-id:", b"received:", b"x-mailer:"];

impl Body {
    /// Of a job without an id of its engine's: it never comes again, so nothing has to be compared.
    const OF_NO_ID: Self = Self([0; 16]);

    pub fn of(job: &Job) -> Self {
        if job.job_id.is_none() {
            return Self::OF_NO_ID;
        }
        let mut body = Digest(digest::Context::new(&digest::SHA256));
        body.put(job.token.as_str().as_bytes());
        match &job.content {
            Content::Template(name) => body.part(b't', name.as_bytes()),
            Content::Inline(content) => {
                let text = serde_json::to_vec(&**content).expect("strings serialise");
                body.part(b'i', &text);
            }
            Content::Message(octets) => body.message(octets),
        }
        body.put(&serde_json::to_vec(&job.data).expect("a JSON object serialises"));
        for label in [&job.locale, &job.campaign, &job.purpose, &job.target, &job.sender] {
            match label {
                Some(label) => body.part(b'+', label.as_bytes()),
                None => body.part(b'-', b""),
            }
        }
        let since = job.expires.and_then(|expires| expires.duration_since(std::time::UNIX_EPOCH).ok());
        body.put(&since.map_or(0, |since| since.as_millis() as u64 + 1).to_le_bytes());
        body.put(&[u8::from(job.require_tls)]);
        let digest = body.0.finish();
        Self(*digest.as_ref().first_chunk().expect("SHA-256 has 32 octets"))
    }
}

static LF_DASHES: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\n--"));

struct Digest(digest::Context);

impl Digest {
    /// The next part behind its length, so that no two different jobs read alike.
    fn put(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn part(&mut self, kind: u8, part: &[u8]) {
        self.0.update(&[kind]);
        self.put(part);
    }

    /// A message without what differs from one submission to the next: some header fields, and the wording of the
    /// boundaries between its parts. All that a person would read is in it, whatever it looks like.
    fn message(&mut self, octets: &[u8]) {
        let mut message = Reading { digest: digest::Context::new(&digest::SHA256), boundaries: Vec::new() };
        let mut rest = message.header(octets, &WRITTEN_ANEW);
        while let Some(part) = message.up_to_part(rest) {
            rest = message.header(part, &[]);
        }
        self.part(b'm', message.digest.finish().as_ref());
    }
}

struct Reading<'m> {
    digest: digest::Context,
    /// Those declared so far: a boundary stands for its place in this list.
    boundaries: Vec<&'m [u8]>,
}

/// A line between parts (RFC 2046 §5.1.1).
struct Delimiter {
    number: usize,
    is_last: bool,
}

impl<'m> Reading<'m> {
    /// Takes a header without the fields `left_out`, and gives what follows it: the empty line, or a delimiter.
    fn header(&mut self, octets: &'m [u8], left_out: &[&[u8]]) -> &'m [u8] {
        let mut rest = octets;
        while !rest.is_empty() && !is_blank(line(rest)) && self.delimiter(line(rest)).is_none() {
            let (field, after) = rest.split_at(field_len(rest));
            if !left_out.iter().any(|name| starts_with(field, name)) {
                self.field(field);
            }
            rest = after;
        }
        rest
    }

    fn field(&mut self, field: &'m [u8]) {
        let Some(value) = boundary(field) else { return self.digest.update(field) };
        let boundary = &field[value.clone()];
        let known = self.boundaries.iter().position(|known| *known == boundary);
        let number = known.unwrap_or_else(|| {
            self.boundaries.push(boundary);
            self.boundaries.len() - 1
        });
        // Whether it is in quotes says nothing.
        let before = &field[..value.start];
        let after = &field[value.end..];
        self.digest.update(before.strip_suffix(b"\"").unwrap_or(before));
        self.stand_in(number);
        self.digest.update(if before.ends_with(b"\"") {
            after.strip_prefix(b"\"").unwrap_or(after)
        } else {
            after
        });
    }

    /// No text holds a NUL, so none reads like it.
    fn stand_in(&mut self, number: usize) {
        self.digest.update(format!("\0{number}\0").as_bytes());
    }

    /// Takes a body up to the header of the next part, which it gives.
    fn up_to_part(&mut self, body: &'m [u8]) -> Option<&'m [u8]> {
        // Up to here it is in the digest.
        let mut done = 0;
        let mut dashes = if body.starts_with(b"--") { Some(0) } else { next_dashes(body, 0) };
        while let Some(start) = dashes.filter(|_| !self.boundaries.is_empty()) {
            dashes = next_dashes(body, start);
            if !self.may_delimit(&body[start..]) {
                continue;
            }
            let line = line(&body[start..]);
            let Some(Delimiter { number, is_last }) = self.delimiter(line) else { continue };
            self.digest.update(&body[done..start]);
            done = start + line.len();
            self.stand_in(number);
            self.digest.update(if is_last { b"--".as_slice() } else { b"" });
            if !is_last {
                return Some(&body[done..]);
            }
        }
        self.digest.update(&body[done..]);
        None
    }

    /// Whether a boundary stands behind two dashes, and nothing that makes it a longer word.
    fn may_delimit(&self, dashes: &[u8]) -> bool {
        let is_ended =
            |tail: &[u8]| tail.first().is_none_or(|next| next.is_ascii_whitespace() || *next == b'-');
        let stands = |rest: &[u8], boundary: &[u8]| rest.strip_prefix(boundary).is_some_and(is_ended);
        dashes.get(2..).is_some_and(|rest| self.boundaries.iter().any(|boundary| stands(rest, boundary)))
    }

    fn delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        let rest = line.strip_prefix(b"--")?;
        let behind = |boundary: &&[u8]| rest.strip_prefix(*boundary);
        let is_end = |tail: &[u8], is_last: bool| match tail.strip_prefix(b"--") {
            Some(tail) if is_last => is_blank(tail),
            _ => !is_last && is_blank(tail),
        };
        [false, true].into_iter().find_map(|is_last| {
            let ends = |boundary: &&[u8]| behind(boundary).is_some_and(|tail| is_end(tail, is_last));
            self.boundaries.iter().position(ends).map(|number| Delimiter { number, is_last })
        })
    }
}

fn line(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(b'\n', text).map_or(text.len(), |at| at + 1)]
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// The next line behind `from` that begins with two dashes.
fn next_dashes(body: &[u8], from: usize) -> Option<usize> {
    byte_search::find(&LF_DASHES, &body[from..]).map(|at| from + at + 1)
}

/// A field with its folded lines.
fn field_len(text: &[u8]) -> usize {
    let ends = memchr::memchr_iter(b'\n', text).map(|at| at + 1);
    ends.into_iter().find(|end| !matches!(text.get(*end), Some(b' ' | b'\t'))).unwrap_or(text.len())
}

fn starts_with(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// Where the boundary stands in a Content-Type field of a multipart.
fn boundary(field: &[u8]) -> Option<std::ops::Range<usize>> {
    const NAME: &[u8] = b"content-type:";
    let value = starts_with(field, NAME).then(|| &field[NAME.len()..])?;
    let found = media_type::boundary(value)?;
    Some(found.start + NAME.len()..found.end + NAME.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Data;

    fn job(content: Content, data: &str) -> Job {
        let data = serde_json::from_str::<Data>(data).unwrap();
        Job { content, data, ..Job::sample() }
    }

    fn of_message(text: &str) -> Body {
        Body::of(&job(Content::Message(text.replace('\n', "\r\n").into()), "{}"))
    }

    #[test]
    fn the_same_job_is_the_same_and_any_other_is_not() {
        let template = |name: &str, data: &str| Body::of(&job(Content::Template(name.into()), data));
        let one = template("welcome", r#"{"a":1,"b":"x"}"#);
        assert_eq!(one, template("welcome", r#"{"b":"x", "a":1}"#));
        assert_ne!(one, template("welcome", r#"{"a":2,"b":"x"}"#));
        assert_ne!(one, template("receipt", r#"{"a":1,"b":"x"}"#));
        let shifted = |locale: Option<&str>, purpose: Option<&str>| {
            let mut job = job(Content::Template("welcome".into()), "{}");
            (job.locale, job.purpose) = (locale.map(Box::from), purpose.map(Box::from));
            Body::of(&job)
        };
        assert_ne!(shifted(Some("he"), None), shifted(None, Some("he")));
    }

    #[test]
    fn a_message_submitted_again_is_the_same_though_its_date_and_boundary_are_new() {
        let message = |date: &str, boundary: &str, text: &str| {
            of_message(&format!(
                "Date: {date}\nMessage-ID: <{date}@x>\nSubject: Hi\nContent-Type: multipart/mixed;\n boundary=\"{boundary}\"\n\n--{boundary}\n\nDate: {text}\n--{boundary}--\n"
            ))
        };
        assert_eq!(message("1", "abc", "x"), message("2", "def", "x"));
        assert_ne!(message("1", "abc", "x"), message("1", "abc", "y"));
        let folded = "Subject: x\nContent-Type: multipart/mixed;\n boundary = \"B\"; x=\"; boundary=B\"\n\n--B\n\nt\n--B--\n";
        assert_eq!(of_message(folded), of_message(&folded.replace("\"B\"", "C").replace("--B", "--C")));
        assert_ne!(of_message("Subject: a\n\nb\n"), of_message("Subject: b\n\nb\n"));
    }

    #[test]
    fn b7_all_that_a_person_would_read_tells_bodies_apart() {
        let head = "Subject: x\nContent-Type: multipart/mixed; boundary=abc\n\n--abc\n";
        for (one, other) in [
            ("\nthe boundary=1 is open\n--abc--\n", "\nthe boundary=2 is open\n--abc--\n"),
            (
                "\nContent-Type: multipart/mixed; boundary=1\n--abc--\n",
                "\nContent-Type: multipart/mixed; boundary=2\n--abc--\n",
            ),
            (
                "Content-Type: text/plain; x=\"boundary=1\"\n\nx\n--abc--\n",
                "Content-Type: text/plain; x=\"boundary=2\"\n\nx\n--abc--\n",
            ),
            ("Subject: boundary=1\n\nx\n--abc--\n", "Subject: boundary=2\n\nx\n--abc--\n"),
            ("\n--abcd is 1\n--abc--\n", "\n--abcd is 2\n--abc--\n"),
            ("\n--abc 1\n--abc--\n", "\n--abc 2\n--abc--\n"),
            ("\nx\n--abc--\nDate: 1\n", "\nx\n--abc--\nDate: 2\n"),
            ("Date: 1\n\nx\n--abc--\n", "Date: 2\n\nx\n--abc--\n"),
            ("\nx\n--abc\n\ny\n--abc--\n", "\nx\n--abc--\n\ny\n--abc--\n"),
        ] {
            assert_ne!(of_message(&format!("{head}{one}")), of_message(&format!("{head}{other}")), "{one}");
        }
        let plain = |text: &str| of_message(&format!("Subject: x\n\n{text}\n"));
        assert_ne!(plain("boundary=1\n--1 a"), plain("boundary=1\n--1 b"));
    }

    #[test]
    fn b7_nested_boundaries_may_be_worded_anew() {
        let message = |outer: &str, inner: &str| {
            of_message(&format!(
                "Content-Type: multipart/mixed; boundary=\"{outer}\"\n\npre\n--{outer}\nContent-Type: multipart/alternative;\n\tboundary={inner}\n\n\
                 --{inner}\n\na\n--{inner}\n\nb\n--{inner}--\n\n--{outer}--\n"
            ))
        };
        assert_eq!(message("a", "b"), message("b--x", "c"));
        assert_eq!(message("a", "ab"), message("ab", "a"));
    }
}
