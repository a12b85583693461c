//! What a job is made of, as a number: a job that comes again under the same id must be the same.

use crate::job::{Content, Job};
use aws_lc_rs::digest;
use memchr::memmem;

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

    /// A message without what differs from one submission to the next: some header fields, and the boundaries
    /// between its parts.
    fn message(&mut self, octets: &[u8]) {
        let mut message = digest::Context::new(&digest::SHA256);
        let boundaries = boundaries(octets);
        let find_boundary = |line| if boundaries.is_empty() { None } else { find_boundary(line) };
        let (mut is_header, mut is_left_out) = (true, false);
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            is_header &= !line.trim_ascii_end().is_empty();
            let is_continued = matches!(line.first(), Some(b' ' | b'\t'));
            if !(is_header && is_continued) {
                is_left_out = is_header && WRITTEN_ANEW.iter().any(|name| starts_with(line, name));
            }
            let is_boundary = line
                .strip_prefix(b"--")
                .is_some_and(|rest| boundaries.iter().any(|boundary| rest.starts_with(boundary)));
            if !is_left_out && !is_boundary && find_boundary(line).is_none() {
                message.update(line);
            }
        }
        self.part(b'm', message.finish().as_ref());
    }
}

fn starts_with(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// A word that every declaration of a boundary holds, in the ways it is written.
const WORDS: [&[u8]; 2] = [b"oundary=", b"OUNDARY="];

/// Where the value of a boundary parameter begins (RFC 2046 §5.1.1).
fn find_boundary(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"boundary=";
    line.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME)).map(|at| at + NAME.len())
}

/// The boundaries a message declares, quoted or not.
fn boundaries(octets: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    if WORDS.iter().all(|word| memmem::find(octets, word).is_none()) {
        return found;
    }
    for line in octets.split(|octet| *octet == b'\n') {
        let Some(value) = find_boundary(line).map(|at| &line[at..]) else { continue };
        let value = match value.strip_prefix(b"\"") {
            Some(quoted) => quoted.split(|octet| *octet == b'"').next(),
            None => value.split(|octet| b"; \t\r".contains(octet)).next(),
        };
        found.extend(value.filter(|value| !value.is_empty()));
    }
    found
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
        assert_ne!(of_message("Subject: a\n\nb\n"), of_message("Subject: b\n\nb\n"));
    }
}
