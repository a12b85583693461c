//! The configuration: the file as written becomes the configuration as meant, and every mistake in it is
//! reported at once with its line and column.

mod advice;
mod engine;
mod example;
mod keys;
mod listener;
mod log;
mod node;
mod read;
mod section;
pub mod units;
mod variables;

pub use example::EXAMPLE;
pub use node::{ENV_PREFIX, Origin};
pub use section::Problem;

use crate::job::Acceptance;
use crate::resolve::ConsentRule;
use crate::secret::SecretRef;
use crate::senders::Senders;
use crate::tls::{ServerFiles, Trust};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// File used when no `-c` is given.
pub const DEFAULT_FILE: &str = "tokenrelay.toml";

/// The configuration as meant: every default applied, every path absolute or relative to the working
/// directory, every secret still a reference.
#[derive(Debug, Clone)]
pub struct Config {
    pub file: PathBuf,
    pub state_dir: PathBuf,
    pub open_files: OpenFiles,
    pub vault_key: SecretRef,
    pub cache: CacheConfig,
    pub templates_dir: Option<PathBuf>,
    pub consent: ConsentRule,
    pub limits: Limits,
    pub journal: JournalConfig,
    pub log: LogConfig,
    pub listeners: Vec<Listener>,
    pub targets: Vec<Target>,
    pub engines: Vec<EngineConfig>,
}

#[derive(Debug, Clone)]
pub struct CacheConfig {
    pub bytes_max: u64,
    pub ttl: Duration,
    pub negative_ttl: Duration,
}

/// Bounds on what may be inside the relay at once. Memory follows from them.
#[derive(Debug, Clone)]
pub struct Limits {
    pub jobs_in_flight_max: usize,
    pub bytes_in_flight_max: u32,
    pub message_bytes_max: usize,
    pub job_line_bytes_max: usize,
    pub connections_max: usize,
    pub connections_per_source_max: usize,
    /// SMTP and LMTP doors.
    pub messages_per_source_per_minute_max: u64,
    /// SMTP and LMTP doors.
    pub bytes_per_source_per_minute_max: u64,
    /// How long a job may wait for the first MTA before it is given back as deferred.
    pub handoff_wait: Duration,
    /// How long `serve` waits for work in flight when it is asked to stop.
    pub drain_wait: Duration,
}

/// The durable queue and its ledger.
#[derive(Debug, Clone)]
pub struct JournalConfig {
    pub bytes_max: u64,
    pub disk_free_min: u64,
    pub retry_first: Duration,
    pub retry_max: Duration,
    pub expires: Duration,
    pub resends_unknown: bool,
    pub retention: Duration,
    pub keep_refused: Duration,
    pub keep_refused_bytes_max: u64,
}

#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Filter directives, such as `info` or `tokenrelay=debug`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerKind {
    Smtp,
    Lmtp,
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    Implicit,
    StartTls,
    None,
}

/// Where a door is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    Tcp(SocketAddr),
    /// The path of a socket file.
    Unix(PathBuf),
}

impl Bind {
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What a bare LF in the content of a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BareNewline {
    /// A line end, as CRLF is. Only CRLF.CRLF ends a message all the same.
    #[default]
    Normalize,
    /// The message is refused at its end.
    Refuse,
}

/// A door for engines.
#[derive(Debug, Clone)]
pub struct Listener {
    pub kind: ListenerKind,
    pub bind: Bind,
    pub tls: TlsMode,
    /// Present unless `tls` is `none`.
    pub identity: Option<ServerFiles>,
    /// Who signs the certificates engines may show.
    pub client_ca: Option<PathBuf>,
    /// What a positive answer means here.
    pub accept: Acceptance,
    pub bare_newline: BareNewline,
    pub token_domains: Vec<String>,
    /// Who submits here without AUTH. Only where nobody but this machine can connect.
    pub engine: Option<String>,
}

/// A first MTA.
#[derive(Debug, Clone)]
pub struct Target {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub tls: TlsMode,
    pub trust: Trust,
    /// Name the certificate must have.
    pub server_name: String,
    pub helo_name: String,
    pub auth: Option<(String, SecretRef)>,
    pub connections_max: usize,
    pub messages_per_connection_max: u32,
    pub connection_age_max: Duration,
    pub idle_max: Duration,
    pub connect_timeout: Duration,
    pub timeouts: Timeouts,
    pub rate_per_second_max: Option<u32>,
    pub weight: u32,
    pub priority: u32,
}

/// Longest wait for a target's replies, by phase.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    pub greeting: Duration,
    /// EHLO, STARTTLS, AUTH.
    pub helo: Duration,
    /// MAIL, RCPT, RSET.
    pub reply: Duration,
    /// DATA.
    pub data: Duration,
    /// The answer to the content, which a target may look at for long.
    pub final_dot: Duration,
}

/// What a relay does that finds its secrets open to other users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFiles {
    Refuse,
    Warn,
}

#[derive(Debug, Clone)]
pub struct EngineConfig {
    pub name: String,
    /// At least one of this and `client_cert_san` is there.
    pub secret: Option<SecretRef>,
    pub client_cert_san: Option<String>,
    pub templates: Vec<String>,
    pub fields: Vec<String>,
    pub purposes: Vec<String>,
    /// What it may name as sender; `None` is everything.
    pub senders: Option<Senders>,
    /// Placeholders of other products that its messages mean as they stand.
    pub allow_literal: Vec<String>,
    pub purpose_default: Option<String>,
    pub rate_per_second_max: Option<u32>,
}

impl Config {
    /// Reads a file and lays the environment over it.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let source = std::fs::read_to_string(file)
            .map_err(|cause| ConfigError::Unreadable { file: file.into(), cause })?;
        Self::parse(&source, file, std::env::vars())
    }

    /// The same from text; `file` names it in errors and is what paths are relative to.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn parse(
        source: &str,
        file: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let wrong = |problems| ConfigError::Wrong { file: file.into(), problems };
        let mut root = node::parse(source).map_err(|(origin, cause)| {
            let mend = advice::mend_of_syntax(source, &origin, &cause);
            wrong(vec![Problem { origin, cause, key: None, mend }])
        })?;
        let environment: Vec<(String, String)> = environment.collect();
        let mistyped = variables::mistyped(source, &environment);
        let unplaced = node::lay_over(&mut root, environment.into_iter());
        read::config(&root, unplaced, file, mistyped).map_err(wrong)
    }

    /// Every key that exists, as `section.key`: what documentation has to list.
    pub fn keys() -> Vec<String> {
        keys::keys()
    }

    /// Whether any door may take custody of jobs, which needs the journal.
    pub fn needs_journal(&self) -> bool {
        self.listeners.iter().any(|listener| listener.accept != Acceptance::Handoff)
    }

    pub fn journal_dir(&self) -> PathBuf {
        self.state_dir.join("journal")
    }

    pub fn vault_dir(&self) -> PathBuf {
        self.state_dir.join("vault")
    }
}

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    Unreadable { file: PathBuf, cause: std::io::Error },
    Wrong { file: PathBuf, problems: Vec<Problem> },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, cause } => write!(f, "cannot read {}: {cause}", file.display()),
            Self::Wrong { file, problems } => {
                for (number, problem) in problems.iter().enumerate() {
                    let separator = if number == 0 { "" } else { "\n" };
                    write!(f, "{separator}{}", problem.told(file))?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}
