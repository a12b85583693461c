//! The nouns of the flow: a token, a send number, and a job (one message for one recipient token).

use crate::engine::Engine;
pub use crate::fault::Repeat;
use crate::fault::{Fault, Reason};
use aws_lc_rs::hmac;
use bytes::Bytes;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Merge data sent by the engine with the job. Not personal by contract, yet never logged.
pub type Data = serde_json::Map<String, serde_json::Value>;

/// A number of JSON that is no machine word comes to a visitor as an object of this key and its digits, so that none is lost (serde_json with
/// `arbitrary_precision`).
pub const NUMBER_KEY: &str = "$serde_json::private::Number";

/// Longest name that an engine gives a job, in bytes.
pub const JOB_ID_BYTES_MAX: usize = 255;

/// Whether an engine may name a job so, at whichever door: 1 to 255 bytes of text without control characters, and no blank at
/// either end, which a header field would lose.
pub fn is_job_id(id: &str) -> bool {
    (1..=JOB_ID_BYTES_MAX).contains(&id.len()) && id.trim() == id && !id.chars().any(char::is_control)
}

/// What a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// `e_…`: an e-mail address.
    Email,
    /// `m_…`: a phone number.
    Mobile,
}

impl TokenKind {
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Email => "e_",
            Self::Mobile => "m_",
        }
    }
}

/// The local part of a token address, in lower case (`e_684384628`). Opaque: says nothing about the person.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(Box<str>);

impl Token {
    /// Shortest and longest local part taken as a token, in octets (RFC 5321 §4.5.3.1.1 sets the upper end).
    pub const LOCAL_OCTETS: std::ops::RangeInclusive<usize> = 8..=64;

    /// Reads a token from a local part, in any case.
    ///
    /// # Errors
    /// `not-a-token` when it has not the shape `e_` or `m_` followed by letters, digits, `-`, `_` or `.`.
    pub fn from_local(local: &str) -> Result<Self, Fault> {
        let lower = local.to_ascii_lowercase();
        let tail = lower.strip_prefix("e_").or_else(|| lower.strip_prefix("m_"));
        let well_formed = tail.is_some_and(|tail| {
            tail.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
                && !tail.ends_with('.')
                && !tail.starts_with('.')
                && !tail.as_bytes().windows(2).any(|pair| pair == b"..")
        });
        if well_formed && Self::LOCAL_OCTETS.contains(&lower.len()) {
            Ok(Self(lower.into_boxed_str()))
        } else {
            Err(not_a_token())
        }
    }

    /// Reads a token address (`e_684384628@tokens.example`), in any case.
    ///
    /// # Errors
    /// `not-a-token` for any address outside `domains`: this relay sends to tokens only.
    pub fn from_address(address: &str, domains: &[String]) -> Result<Self, Fault> {
        let (local, domain) = address.rsplit_once('@').ok_or_else(not_a_token)?;
        if !domains.iter().any(|ours| ours.eq_ignore_ascii_case(domain)) {
            return Err(not_a_token());
        }
        Self::from_local(local)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn kind(&self) -> TokenKind {
        if self.0.starts_with("m_") { TokenKind::Mobile } else { TokenKind::Email }
    }
}

fn not_a_token() -> Fault {
    Fault::new(
        Reason::NotAToken,
        "the recipient is not a token of this relay; address people as e_...@ one of token_domains",
    )
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Random bits for so many send numbers are drawn in one call, which costs about as much as drawing for one.
const DRAWN_AT_ONCE: usize = 64;

thread_local! {
    static DRAWN: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
}

/// The opaque id the relay gives a job (`s_…`). Events, headers and URLs carry it instead of the person.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SendNumber(Arc<str>);

impl SendNumber {
    pub const PREFIX: &'static str = "s_";
    /// The prefix and 26 digits of base32.
    const OCTETS: usize = 2 + 26;

    /// A fresh one: 48 bits of the time in milliseconds (Unix), then 80 random ones. Numbers given one after the other
    /// thus lie side by side in an index, and a commit of many touches few of its pages.
    pub fn fresh() -> Self {
        let mut drawn = DRAWN.take();
        if drawn.is_empty() {
            drawn = vec![[0; 16]; DRAWN_AT_ONCE];
            aws_lc_rs::rand::fill(drawn.as_flattened_mut()).expect("the system's random source works");
        }
        let mut bits = drawn.pop().expect("some were drawn");
        DRAWN.set(drawn);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        bits[..6].copy_from_slice(&(now.as_millis() as u64).to_be_bytes()[2..]);
        Self::from_bits(bits)
    }

    /// The same number for the same 128 bits, so a job submitted again keeps its Message-ID.
    pub fn from_bits(bits: [u8; 16]) -> Self {
        let mut text = [0; Self::OCTETS];
        let (prefix, digits) = text.split_at_mut(Self::PREFIX.len());
        prefix.copy_from_slice(Self::PREFIX.as_bytes());
        data_encoding::BASE32_NOPAD.encode_mut(&bits, digits);
        digits.make_ascii_lowercase();
        Self(std::str::from_utf8(&text).expect("base32 is ASCII").into())
    }

    /// Reads what `as_str` gives.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(Self::PREFIX)?;
        let bits: [u8; 16] = crate::base32_lower_decode(digits)?.try_into().ok()?;
        Some(Self::from_bits(bits))
    }

    /// The 128 bits it stands for.
    pub fn bits(&self) -> [u8; 16] {
        let digits = &self.0[Self::PREFIX.len()..];
        let bits = crate::base32_lower_decode(digits).and_then(|bits| bits.try_into().ok());
        bits.expect("a send number is made from 128 bits")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SendNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SendNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Gives jobs that engines have named their send numbers. The same job of the same engine keeps its number, so its
/// Message-ID is stable without anything being stored. Cheap to clone.
#[derive(Clone)]
pub struct SendNumbers(hmac::Key);

impl SendNumbers {
    /// What the key is derived for from those of the vault.
    pub const KEY_PURPOSE: &'static str = "send-number";

    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub fn of(&self, engine: &str, job_id: &str) -> SendNumber {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [engine, job_id] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
        let tag = context.sign();
        let bits = tag.as_ref().first_chunk::<16>().expect("HMAC-SHA256 has 32 bytes");
        SendNumber::from_bits(*bits)
    }
}

/// What a positive answer to the engine means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// The first MTA has answered, and this is its answer. Nothing is stored.
    Handoff,
    /// The job is on disk and will be delivered.
    Journal,
    /// As `Handoff` while the first MTA takes it in time, as `Journal` otherwise.
    Auto,
}

/// What a job's message is made from.
#[derive(Debug, Clone)]
pub enum Content {
    /// A template folder of this relay.
    Template(Arc<str>),
    /// Sources sent in the job itself.
    Inline(Arc<InlineContent>),
    /// A whole RFC 5322 message with placeholders, as it came over SMTP: headers and body, CRLF line ends,
    /// dot-stuffing undone.
    Message(Bytes),
}

/// `"content": {"from", "subject", "text", "html"}` of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InlineContent {
    pub from: String,
    pub subject: String,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub html: Option<String>,
    #[serde(default)]
    pub reply_to: Option<String>,
}

/// One message for one recipient token, accepted from an engine that has shown who it is.
#[derive(Debug)]
pub struct Job {
    pub send: SendNumber,
    /// What the engine calls it, if it does. The same one again is the same job.
    pub job_id: Option<Box<str>>,
    pub engine: Arc<Engine>,
    pub token: Token,
    pub content: Content,
    pub data: Data,
    /// BCP 47 tag asked for by the engine.
    pub locale: Option<Box<str>>,
    pub campaign: Option<Box<str>>,
    pub purpose: Option<Box<str>>,
    pub target: Option<Box<str>>,
    pub expires: Option<SystemTime>,
    /// Envelope sender asked for by the engine (SMTP `MAIL FROM`); `Some("")` is the null reverse-path.
    pub sender: Option<Box<str>>,
    /// The engine asked that the message travels in TLS only (RFC 8689).
    pub require_tls: bool,
    /// Whether it may have been carried before, if the ledger does not know it.
    pub repeat: Repeat,
    /// When this process had read it, from its engine or back from the journal.
    pub read_at: Instant,
}

#[cfg(test)]
impl Job {
    /// Of an engine that may do nothing; each test changes what it is about.
    pub fn sample() -> Self {
        let engine = Engine {
            name: "campaigns".into(),
            credential: crate::engine::Credential::of(b"secret"),
            templates: vec![],
            fields: vec![],
            purposes: vec![],
            senders: None,
            allow_literal: vec![],
            purpose_default: None,
            rate_per_second_max: None,
        };
        Self {
            send: SendNumber::fresh(),
            job_id: Some("c42-17".into()),
            engine: Arc::new(engine),
            token: Token::from_local("e_684384628").expect("it is a token"),
            content: Content::Template("welcome".into()),
            data: Data::new(),
            locale: None,
            campaign: None,
            purpose: None,
            target: None,
            expires: None,
            sender: None,
            require_tls: false,
            repeat: Repeat::No,
            read_at: Instant::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_in_any_case_and_kept_in_lower_case() {
        let domains = [String::from("tokens.example")];
        let token = Token::from_address("E_684384628@Tokens.Example", &domains).unwrap();
        assert_eq!(token.as_str(), "e_684384628");
        assert_eq!(token.kind(), TokenKind::Email);
        assert_eq!(Token::from_local("m_0123456789").unwrap().kind(), TokenKind::Mobile);
    }

    #[test]
    fn anything_else_is_not_a_token() {
        let domains = [String::from("tokens.example")];
        let long = format!("e_{}@tokens.example", "a".repeat(63));
        for address in [
            "dana@example.test",
            "dana@tokens.example",
            "e_684384628@other.example",
            "e_684384628",
            "e_@tokens.example",
            "e_1234\r\n56@tokens.example",
            "e_1234 5678@tokens.example",
            "e_12345..678@tokens.example",
            "e_684384628@evil.example@tokens.example",
            &long,
        ] {
            let fault = Token::from_address(address, &domains).unwrap_err();
            assert_eq!(fault.reason, Reason::NotAToken, "{address:?}");
            assert!(!fault.to_string().contains("dana"));
        }
    }

    #[test]
    fn a_send_number_has_its_prefix_and_128_bits() {
        let number = SendNumber::from_bits([0xff; 16]);
        assert_eq!(number.as_str().len(), 2 + 26);
        assert_ne!(SendNumber::fresh(), SendNumber::fresh());
        let number = SendNumber::fresh();
        assert_eq!(SendNumber::parse(number.as_str()), Some(number.clone()));
        assert_eq!(SendNumber::from_bits(number.bits()), number);
        for other in ["", "s_", "s_aaaa", "e_aaaaaaaaaaaaaaaaaaaaaaaaaa", "s_aaaaaaaaaaaaaaaaaaaaaaaaa1"] {
            assert_eq!(SendNumber::parse(other), None, "{other}");
        }
    }

    #[test]
    fn fresh_send_numbers_lie_in_the_order_of_their_time() {
        let first = SendNumber::fresh().bits();
        std::thread::sleep(std::time::Duration::from_millis(3));
        let second = SendNumber::fresh().bits();
        assert!(first[..6] < second[..6] && first[6..] != second[6..], "{first:?} {second:?}");
    }

    #[test]
    fn a_send_number_is_stable_for_engine_and_job_and_different_otherwise() {
        let numbers = SendNumbers::new(&[7; 32]);
        assert_eq!(numbers.of("a", "bc"), numbers.of("a", "bc"));
        assert_ne!(numbers.of("a", "bc"), numbers.of("ab", "c"));
        assert_ne!(numbers.of("a", "bc"), SendNumbers::new(&[8; 32]).of("a", "bc"));
    }
}
