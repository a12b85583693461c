//! A target as meant: where it is, how it is trusted, how much it may be given, how long it may take.

use crate::personal::Personal;
use crate::tls::ClientTls;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS from the first octet (RFC 8314 §3).
    Implicit,
    /// STARTTLS (RFC 3207), required: a target that does not offer it gets nothing.
    StartTls,
    /// Clear text; refused for any address that is not loopback.
    None,
}

/// Longest wait in each phase of a dialogue. The defaults of the SMTP phases are those of RFC 5321 §4.5.3.2.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    pub connect: Duration,
    /// The whole TLS handshake.
    pub tls: Duration,
    pub greeting: Duration,
    /// Answers to EHLO, STARTTLS, AUTH.
    pub helo: Duration,
    /// Answers to MAIL, RCPT, RSET.
    pub command: Duration,
    /// The 354 that opens the content.
    pub data_initiation: Duration,
    /// Each write of content that does not progress.
    pub data_block: Duration,
    /// The answer to the final dot.
    pub final_reply: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            connect: Duration::from_secs(10),
            tls: Duration::from_secs(10),
            greeting: minutes(5),
            helo: minutes(5),
            command: minutes(5),
            data_initiation: minutes(2),
            data_block: minutes(3),
            final_reply: minutes(10),
        }
    }
}

/// What the relay shows of itself with AUTH.
#[derive(Debug, Clone)]
pub struct TargetAuth {
    pub user: String,
    pub password: Personal<String>,
}

/// One `[[target]]`.
#[derive(Debug, Clone)]
pub struct TargetSettings {
    pub name: Arc<str>,
    pub host: String,
    pub port: u16,
    pub tls: TlsMode,
    /// Whom to trust. Needed unless `tls` is [`TlsMode::None`].
    pub client_tls: Option<ClientTls>,
    /// The name or address that the target's certificate has to carry.
    pub server_name: String,
    pub auth: Option<TargetAuth>,
    /// What EHLO says (RFC 5321 §4.1.1.1).
    pub helo_name: String,
    pub connections_max: usize,
    pub messages_per_connection_max: u64,
    pub connection_age_max: Duration,
    /// A session that had nothing to send for this long is closed.
    pub idle_max: Duration,
    pub rate_per_second_max: Option<u32>,
    /// Share among targets of the same priority.
    pub weight: u32,
    /// Lower is used first.
    pub priority: u32,
    pub deadlines: Deadlines,
}

impl TargetSettings {
    /// A target with the defaults of the configuration file: STARTTLS, 16 sessions, 1,000 messages and 10 minutes
    /// each.
    pub fn new(name: &str, host: &str, port: u16) -> Self {
        Self {
            name: name.into(),
            host: host.to_owned(),
            port,
            tls: TlsMode::StartTls,
            client_tls: None,
            server_name: host.to_owned(),
            auth: None,
            helo_name: String::from("localhost"),
            connections_max: 16,
            messages_per_connection_max: 1000,
            connection_age_max: Duration::from_secs(600),
            idle_max: Duration::from_secs(30),
            rate_per_second_max: None,
            weight: 1,
            priority: 0,
            deadlines: Deadlines::default(),
        }
    }
}
