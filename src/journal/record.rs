//! A held job as it lies on disk: a record of its own, and the content it shares with others. Both are checked when
//! they are read, so that a flipped bit is never sent.

use crate::engine::Engine;
use crate::job::{Content, Data, InlineContent, Job, Repeat, SendNumber, Token};
use aws_lc_rs::digest;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// 128 bits of SHA-256 over a content's octets.
pub type Hash = [u8; 16];

/// Content that many jobs may share.
#[derive(Debug, Clone)]
pub struct Shared {
    pub hash: Hash,
    pub octets: Bytes,
}

/// What the journal writes of a job.
#[derive(Debug)]
pub struct Written {
    pub record: Vec<u8>,
    pub checksum: u32,
    pub content: Option<Shared>,
}

/// What a row of a held job takes beside its record, about.
pub const ROW_BYTES: u64 = 256;

/// Why a job cannot be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

/// The record: its length (4 octets, little-endian), JSON, and behind it the header of a message, which differs by
/// recipient. The engine's name is there so that another one cannot be put in its place unnoticed.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    send: Cow<'a, str>,
    engine: Cow<'a, str>,
    token: Cow<'a, str>,
    content: Kind<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Data::is_empty")]
    data: Cow<'a, Data>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locale: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    campaign: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purpose: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'a, str>>,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sender: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    require_tls: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind<'a> {
    Template(Cow<'a, str>),
    Inline,
    Message,
}

impl Written {
    /// What it takes without its content, about.
    pub fn row_bytes(&self) -> u64 {
        self.record.len() as u64 + ROW_BYTES
    }

    /// What it takes, about.
    pub fn bytes(&self) -> u64 {
        self.row_bytes() + self.content.as_ref().map_or(0, |content| content.octets.len() as u64)
    }

    pub fn of(job: &Job) -> Self {
        let (kind, header, content) = match &job.content {
            Content::Template(name) => (Kind::Template(Cow::Borrowed(name)), None, None),
            Content::Inline(inline) => {
                let octets = serde_json::to_vec(&**inline).expect("strings serialise");
                (Kind::Inline, None, Some(Bytes::from(octets)))
            }
            Content::Message(octets) => {
                let body = start_of_body(octets);
                let content = (body < octets.len()).then(|| octets.slice(body..));
                (Kind::Message, Some(octets.slice(..body)), content)
            }
        };
        let expires = job.expires.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let head = Record {
            send: Cow::Borrowed(job.send.as_str()),
            engine: Cow::Borrowed(&job.engine.name),
            token: Cow::Borrowed(job.token.as_str()),
            content: kind,
            job_id: label(&job.job_id),
            data: Cow::Borrowed(&job.data),
            locale: label(&job.locale),
            campaign: label(&job.campaign),
            purpose: label(&job.purpose),
            target: label(&job.target),
            expires: expires.map(|since| since.as_millis() as u64),
            sender: label(&job.sender),
            require_tls: job.require_tls,
        };
        let mut record = vec![0; 4];
        serde_json::to_writer(&mut record, &head).expect("strings and numbers serialise");
        let length = u32::try_from(record.len() - 4).expect("a job is far smaller than 4 GiB");
        record[..4].copy_from_slice(&length.to_le_bytes());
        record.extend_from_slice(header.as_deref().unwrap_or_default());
        let checksum = checksum(&record);
        let content = content.map(|octets| Shared { hash: hash(&octets), octets });
        Self { record, checksum, content }
    }
}

fn label(label: &Option<Box<str>>) -> Option<Cow<'_, str>> {
    label.as_deref().map(Cow::Borrowed)
}

/// Where a message's body begins: behind the first empty line.
fn start_of_body(octets: &[u8]) -> usize {
    memchr::memmem::find(octets, b"\r\n\r\n").map_or(octets.len(), |at| at + 4)
}

pub fn hash(octets: &[u8]) -> Hash {
    let digest = digest::digest(&digest::SHA256, octets);
    *digest.as_ref().first_chunk().expect("SHA-256 has 32 octets")
}

/// CRC-32 over a record.
pub fn checksum(record: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(record);
    crc.sum()
}

/// The deadline that a job brought with it, in milliseconds of Unix time.
pub fn own_deadline(record: &[u8]) -> Result<Option<i64>, Damaged> {
    let (json, _) = split(record)?;
    let record: Record<'_> = serde_json::from_slice(json).map_err(|_| Damaged)?;
    Ok(record.expires.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)))
}

/// The JSON, and the header of a message.
fn split(record: &[u8]) -> Result<(&[u8], &[u8]), Damaged> {
    let (length, rest) = record.split_first_chunk::<4>().ok_or(Damaged)?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(Damaged)
}

/// What a payload row holds, with the columns of its job that say which it is.
#[derive(Debug)]
pub struct Stored {
    pub send: Vec<u8>,
    pub engine: Box<str>,
    pub record: Vec<u8>,
    pub checksum: i64,
    pub content: Option<Bytes>,
}

/// A held job without its engine, which may have changed since or be gone.
#[derive(Debug)]
pub struct Unclaimed {
    send: SendNumber,
    token: Token,
    content: Content,
    job_id: Option<Box<str>>,
    data: Data,
    locale: Option<Box<str>>,
    campaign: Option<Box<str>>,
    purpose: Option<Box<str>>,
    target: Option<Box<str>>,
    expires: Option<std::time::SystemTime>,
    sender: Option<Box<str>>,
    require_tls: bool,
}

impl Unclaimed {
    pub fn read(stored: &Stored) -> Result<Self, Damaged> {
        if i64::from(checksum(&stored.record)) != stored.checksum {
            return Err(Damaged);
        }
        let (json, header) = split(&stored.record)?;
        let record: Record<'static> = serde_json::from_slice(json).map_err(|_| Damaged)?;
        let send = SendNumber::parse(&record.send).ok_or(Damaged)?;
        if send.bits() != *stored.send || *record.engine != *stored.engine {
            return Err(Damaged);
        }
        let content = match (record.content, &stored.content) {
            (Kind::Template(name), None) => Content::Template(name.into()),
            (Kind::Inline, Some(octets)) => {
                let inline: InlineContent = serde_json::from_slice(octets).map_err(|_| Damaged)?;
                Content::Inline(Arc::new(inline))
            }
            (Kind::Message, body) => {
                Content::Message([header, body.as_deref().unwrap_or_default()].concat().into())
            }
            _ => return Err(Damaged),
        };
        let label = |label: Option<Cow<'static, str>>| label.map(|label| label.into_owned().into_boxed_str());
        Ok(Self {
            send,
            token: Token::from_local(&record.token).map_err(|_| Damaged)?,
            content,
            job_id: label(record.job_id),
            data: record.data.into_owned(),
            locale: label(record.locale),
            campaign: label(record.campaign),
            purpose: label(record.purpose),
            target: label(record.target),
            expires: record.expires.and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
            sender: label(record.sender),
            require_tls: record.require_tls,
        })
    }

    pub fn send(&self) -> &SendNumber {
        &self.send
    }

    pub fn into_job(self, engine: Arc<Engine>) -> Job {
        Job {
            send: self.send,
            job_id: self.job_id,
            engine,
            token: self.token,
            content: self.content,
            data: self.data,
            locale: self.locale,
            campaign: self.campaign,
            purpose: self.purpose,
            target: self.target,
            expires: self.expires,
            sender: self.sender,
            require_tls: self.require_tls,
            repeat: Repeat::No,
            read_at: std::time::Instant::now(),
        }
    }
}
