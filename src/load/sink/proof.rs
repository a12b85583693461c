//! Whether a message is the one its recipient should get: the values in it against a digest made beforehand. No I/O.
//!
//! What is looked at: the fields To and Subject, and every stretch of the content between `[[` and `]]`, as they lie on
//! the wire (so a transfer encoding that changes them makes a message wrong). A mark at the beginning and one at the
//! end of each text show that nothing between was cut off.

use aws_lc_rs::digest::{Context, SHA256};
use memchr::memmem;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

static OPENS: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"[["));
static CLOSES: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"]]"));

/// Digests of what each recipient should get, and what was found.
#[derive(Debug, Default)]
pub struct Proofs {
    /// By hash of the address: a million of them would be many, and two of the same hash only make messages wrong.
    expected: HashMap<u64, Expected>,
    hasher: RandomState,
    verified: AtomicU64,
    wrong: AtomicU64,
    distinct: AtomicU64,
}

#[derive(Debug)]
struct Expected {
    digest: u64,
    is_seen: AtomicBool,
}

/// What the messages came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct ProofStats {
    /// Messages with the values of their own recipient.
    pub verified: u64,
    /// Messages with others, or to somebody of whom nothing is known.
    pub wrong: u64,
    /// Recipients that had at least one verified message.
    pub distinct: u64,
}

/// A line that names no recipient and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not 'recipient,digest' with 16 hex digits")]
pub struct BadProof {
    pub line: usize,
}

impl Proofs {
    /// Reads `recipient,digest` lines: the first 16 hex digits of SHA-256 over the value of To, that of Subject, and
    /// each stretch between the marks, every one followed by a line feed.
    ///
    /// # Errors
    /// [`BadProof`] with the first line that is none.
    pub fn read(text: &str) -> Result<Self, BadProof> {
        let hasher = RandomState::new();
        let mut expected = HashMap::with_capacity(memchr::memchr_iter(b'\n', text.as_bytes()).count());
        for (at, line) in text.lines().enumerate() {
            let (recipient, digest) = line
                .rsplit_once(',')
                .filter(|(_, digest)| digest.len() == 16)
                .and_then(|(recipient, digest)| Some((recipient, u64::from_str_radix(digest, 16).ok()?)))
                .ok_or(BadProof { line: at + 1 })?;
            let is_seen = AtomicBool::new(false);
            expected.insert(hasher.hash_one(recipient.as_bytes()), Expected { digest, is_seen });
        }
        Ok(Self { expected, hasher, ..Self::default() })
    }

    pub fn stats(&self) -> ProofStats {
        ProofStats {
            verified: self.verified.load(Relaxed),
            wrong: self.wrong.load(Relaxed),
            distinct: self.distinct.load(Relaxed),
        }
    }

    pub(super) fn judge(&self, recipient: &[u8], content: &[u8]) {
        let expected = self.expected.get(&self.hasher.hash_one(recipient));
        let Some(expected) = expected.filter(|expected| expected.digest == digest(content)) else {
            self.wrong.fetch_add(1, Relaxed);
            return;
        };
        self.verified.fetch_add(1, Relaxed);
        if !expected.is_seen.swap(true, Relaxed) {
            self.distinct.fetch_add(1, Relaxed);
        }
    }
}

fn digest(content: &[u8]) -> u64 {
    let header_end = memmem::find(content, b"\r\n\r\n").map_or(content.len(), |end| end + 2);
    let header = &content[..header_end];
    let mut context = Context::new(&SHA256);
    for name in [b"to: ".as_slice(), b"subject: "] {
        context.update(field(header, name).unwrap_or_default());
        context.update(b"\n");
    }
    let mut rest = &content[header_end..];
    while let Some(from) = OPENS.find(rest) {
        let stretch = &rest[from + 2..];
        let Some(end) = CLOSES.find(stretch) else { break };
        context.update(&stretch[..end]);
        context.update(b"\n");
        rest = &stretch[end + 2..];
    }
    short(context.finish().as_ref())
}

fn short(digest: &[u8]) -> u64 {
    digest.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets))
}

/// The rest of the line that begins with this name. A folded field is not put together: it counts as wrong.
fn field<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut start = 0;
    while start < header.len() {
        let line = &header[start..];
        let end = memchr::memchr(b'\n', line)?;
        if line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name) {
            return Some(line[name.len()..end].trim_ascii_end());
        }
        start += end + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &str = "Subject: Hello, Ana\r\nTo: Ana <ana@people.test>\r\nX: y\r\n\r\n\
        Dear [[Ana|Paris]],\r\nmore [ of ] it\r\n[[end]]\r\n";

    fn proofs(text: &str) -> Proofs {
        let digest = short(aws_lc_rs::digest::digest(&SHA256, text.as_bytes()).as_ref());
        Proofs::read(&format!("ana@people.test,{digest:016x}\nbo@people.test,0000000000000000\n")).unwrap()
    }

    #[test]
    fn a_message_with_its_own_values_is_verified_in_any_order_of_fields() {
        let proofs = proofs("Ana <ana@people.test>\nHello, Ana\nAna|Paris\nend\n");
        proofs.judge(b"ana@people.test", CONTENT.as_bytes());
        proofs.judge(b"ana@people.test", CONTENT.as_bytes());
        assert_eq!(proofs.stats(), ProofStats { verified: 2, wrong: 0, distinct: 1 });
    }

    #[test]
    fn anything_else_is_wrong() {
        let proofs = proofs("Ana <ana@people.test>\nHello, Ana\nAna|Paris\nend\n");
        for (from, to) in [("Paris", "Lyon"), ("[[end]]", ""), ("Hello, Ana", "Hello, Bo"), ("Ana <", "Bo <")]
        {
            proofs.judge(b"ana@people.test", CONTENT.replace(from, to).as_bytes());
        }
        proofs.judge(b"ana@people.test", b"");
        proofs.judge(b"ana@people.test", b"To");
        proofs.judge(b"bo@people.test", CONTENT.as_bytes());
        proofs.judge(b"nobody@people.test", CONTENT.as_bytes());
        assert_eq!(proofs.stats(), ProofStats { verified: 0, wrong: 8, distinct: 0 });
    }

    #[test]
    fn a_file_that_is_none_says_where() {
        for bad in ["a@b,0000000000000000\na@b", "a@b,0000000000000000\na@b,xyz"] {
            assert_eq!(Proofs::read(bad).unwrap_err(), BadProof { line: 2 });
        }
    }
}
