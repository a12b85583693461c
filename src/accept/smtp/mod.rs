//! The SMTP and LMTP submission door: an engine logs in, addresses tokens, sends a message and gets its outcome.
//!
//! `session` decides (no I/O), `connection` carries out, `serve` lets in.

pub mod answer;
mod connection;
mod guesses;
mod headers;
mod inbox;
mod incoming;
mod merge;
mod passage;
pub mod reply;
mod serve;
pub mod session;
mod sources;
mod submission;
#[cfg(test)]
mod tests;

pub use crate::wire::data::BareLf;
pub use guesses::GuessLimits;
pub use serve::{DoorListener, serve};
pub use session::Protocol;

use crate::accept::quota::Quotas;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Gives the acceptor for the next handshake, so a renewed certificate is used at once.
pub type Acceptor = Arc<dyn Fn() -> tokio_rustls::TlsAcceptor + Send + Sync>;

/// What protects the door.
#[derive(Clone)]
pub enum DoorTls {
    /// Clear text. Logins are taken from loopback only.
    None,
    StartTls(Acceptor),
    Implicit(Acceptor),
}

impl fmt::Debug for DoorTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::StartTls(_) => "StartTls",
            Self::Implicit(_) => "Implicit",
        })
    }
}

/// One SMTP door, as meant.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name in the greeting.
    pub host_name: String,
    pub protocol: Protocol,
    pub tls: DoorTls,
    /// Who submits here without a login. For doors that only this machine can reach.
    pub engine: Option<Arc<str>>,
    /// Recipients in these domains are tokens; all others are refused.
    pub token_domains: Vec<String>,
    /// Shared with the other doors: an engine has one rate.
    pub quotas: Arc<Quotas>,
    /// What a bare LF in content is.
    pub bare_lf: BareLf,
    pub limits: Limits,
}

/// Bounds of one door.
#[derive(Debug, Clone)]
pub struct Limits {
    pub message_bytes_max: usize,
    pub connections_max: usize,
    pub connections_per_source_max: usize,
    /// Refused commands after which a client is sent away.
    pub errors_max: u32,
    pub commands_per_message_max: u32,
    /// Recipients of one transaction. SMTP has one answer after the content, and takes one recipient where that
    /// answer is the first MTA's.
    pub recipients_per_transaction_max: usize,
    /// A quarter of it when the door is crowded.
    pub messages_per_connection_max: u32,
    /// All octets of a client, before TLS adds its own; a quarter of it when the door is crowded.
    pub octets_per_connection_max: u64,
    /// Of all connections of a source together, within a minute; a quarter of it when the door is crowded.
    pub messages_per_source_per_minute_max: u64,
    /// As the messages. All octets count, of refused messages too.
    pub octets_per_source_per_minute_max: u64,
    pub guesses: GuessLimits,
    /// Waited before a failed login is answered.
    pub login_failure_delay: Duration,
    pub handshake_max: Duration,
    /// From connecting to being logged in, TLS included; a quarter of it when the door is crowded.
    pub login_max: Duration,
    /// Without any octet, between commands (there a quarter of it when the door is crowded) and within content.
    pub idle_max: Duration,
    /// From the first to the last octet of a command line.
    pub line_max: Duration,
    /// From `354` to the final dot, waiting for room included.
    pub content_max: Duration,
    /// After this age a connection is closed between two commands.
    pub connection_age_max: Duration,
    /// For the vault to say whether a recipient is known.
    pub lookup_max: Duration,
    /// A message waits so long for its engine's rate, then it is refused as over quota.
    pub quota_wait_max: Duration,
    /// For one reply to be taken by the client.
    pub write_max: Duration,
    /// For sessions and jobs to end after shutdown was asked for.
    pub drain_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 25 * 1024 * 1024,
            connections_max: 2000,
            connections_per_source_max: 200,
            errors_max: 10,
            commands_per_message_max: 2000,
            recipients_per_transaction_max: 100,
            messages_per_connection_max: 10_000,
            octets_per_connection_max: 16 << 30,
            messages_per_source_per_minute_max: 3_000_000,
            octets_per_source_per_minute_max: 32 << 30,
            guesses: GuessLimits::default(),
            login_failure_delay: Duration::from_secs(1),
            handshake_max: Duration::from_secs(10),
            login_max: Duration::from_secs(60),
            idle_max: Duration::from_secs(300),
            line_max: Duration::from_secs(30),
            content_max: Duration::from_secs(600),
            connection_age_max: Duration::from_secs(3600),
            lookup_max: Duration::from_secs(30),
            quota_wait_max: Duration::from_secs(5),
            write_max: Duration::from_secs(30),
            drain_max: Duration::from_secs(30),
        }
    }
}
