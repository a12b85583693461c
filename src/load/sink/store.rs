//! What the sink has taken: counters, and on request the messages themselves, in memory or in a folder.

use super::proof::ProofStats;
use serde::Serialize;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::Notify;

/// A message as it arrived: content with dot-stuffing undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SunkMessage {
    pub envelope: SunkEnvelope,
    pub content: Vec<u8>,
}

/// The envelope as the client gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SunkEnvelope {
    /// The reverse-path without angle brackets.
    pub sender: String,
    /// What stood behind it in MAIL.
    pub parameters: String,
    pub recipients: Vec<String>,
    pub tls: bool,
    /// Number of the session it came in, from one.
    pub session: u64,
}

/// A reading of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SinkStats {
    pub sessions: u64,
    /// Sessions that got through a TLS handshake.
    pub tls_sessions: u64,
    /// Those that went on from a TLS session before.
    pub tls_resumed: u64,
    pub mail_commands: u64,
    /// Contents that arrived whole, whatever was answered.
    pub contents: u64,
    /// Messages answered with 2xx.
    pub messages: u64,
    /// Recipients of those messages.
    pub recipients: u64,
    /// Octets of those messages as sent.
    pub octets: u64,
    /// What they were held against, where they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proofs: Option<ProofStats>,
}

/// Counters that the sessions share.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub sessions: AtomicU64,
    pub tls_sessions: AtomicU64,
    pub tls_resumed: AtomicU64,
    pub mail_commands: AtomicU64,
    pub contents: AtomicU64,
    pub messages: AtomicU64,
    pub recipients: AtomicU64,
    pub octets: AtomicU64,
}

impl Tally {
    pub fn read(&self) -> SinkStats {
        SinkStats {
            sessions: self.sessions.load(Relaxed),
            tls_sessions: self.tls_sessions.load(Relaxed),
            tls_resumed: self.tls_resumed.load(Relaxed),
            mail_commands: self.mail_commands.load(Relaxed),
            contents: self.contents.load(Relaxed),
            messages: self.messages.load(Relaxed),
            recipients: self.recipients.load(Relaxed),
            octets: self.octets.load(Relaxed),
            proofs: None,
        }
    }
}

/// Where messages end.
#[derive(Debug)]
pub(super) struct Store {
    pub tally: Tally,
    /// Woken whenever a counter of contents or messages has moved.
    pub moved: Notify,
    keep: bool,
    dump_dir: Option<PathBuf>,
    dumped: AtomicU64,
    /// Plain data, held for lines only.
    kept: Mutex<Vec<SunkMessage>>,
}

impl Store {
    pub fn new(keep: bool, dump_dir: Option<PathBuf>) -> Self {
        Self {
            tally: Tally::default(),
            moved: Notify::new(),
            keep,
            dump_dir,
            dumped: AtomicU64::new(0),
            kept: Mutex::default(),
        }
    }

    /// Whether content has to be collected at all.
    pub fn wants_content(&self) -> bool {
        self.keep || self.dump_dir.is_some()
    }

    /// # Errors
    /// The dump folder cannot be written to.
    pub async fn put(&self, message: SunkMessage) -> io::Result<()> {
        if let Some(dir) = &self.dump_dir {
            let number = self.dumped.fetch_add(1, Relaxed) + 1;
            tokio::fs::write(dir.join(format!("{number:06}.eml")), &message.content).await?;
            let envelope = serde_json::to_vec_pretty(&message.envelope)?;
            tokio::fs::write(dir.join(format!("{number:06}.json")), envelope).await?;
        }
        if self.keep {
            self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(message);
        }
        Ok(())
    }

    pub fn kept(&self) -> Vec<SunkMessage> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
