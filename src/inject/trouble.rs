//! Why no session could be made: the cause in plain words and what to do about it.

use super::settings::{TargetSettings, TlsMode};
use super::talk::Broken;
use crate::fault::{Enhanced, Fault, Reason, ReplyCode};
use crate::tls::{NeedsPin, Pin};
use rustls::{AlertDescription, CertificateError, Error as TlsError};
use std::io;
use std::time::Duration;

/// Everything that can go wrong before a first message. Nothing was sent, so another target may be tried.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Trouble {
    #[error("its name cannot be resolved")]
    NameNotResolved,
    #[error("the connection was refused")]
    ConnectRefused,
    #[error("no connection within {} s", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    #[error("the connection failed: {0}")]
    Connect(io::ErrorKind),
    #[error("it would be spoken to in clear text over a network")]
    ClearTextOffLoopback,
    #[error("no trusted authority is configured for it")]
    NoTrust,
    #[error("the name to verify is neither a host name nor an address")]
    BadServerName,
    #[error("TLS: {0}")]
    Tls(TlsTrouble),
    #[error("it does not offer STARTTLS")]
    StartTlsNotOffered,
    #[error("it refused STARTTLS with {0}")]
    StartTlsRefused(u16),
    #[error("it sent more behind its answer to STARTTLS, as somebody on the path would")]
    InjectedBeforeTls,
    #[error("it did not greet within {} s", .0.as_secs_f32())]
    NoGreeting(Duration),
    #[error("it speaks TLS from the first byte, and SMTP in clear was expected")]
    SpeaksTls,
    #[error("it greeted with {code} {text}")]
    GreetingRefused { code: u16, text: String },
    #[error("it refused EHLO with {0}")]
    EhloRefused(u16),
    #[error("it offers neither AUTH PLAIN nor AUTH LOGIN")]
    AuthNotOffered,
    #[error("{0}")]
    AuthRefused(AuthRefusal),
    #[error("it refuses {} with {}", .0.command, .0.said())]
    Refuses(Refusal),
    #[error("it ends every session before taking a message ({0})")]
    Fruitless(String),
    #[error("{0}")]
    Talk(String),
}

/// What the target said to AUTH, last.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{mechanism} was refused with {} {text}", said(*.code))]
pub struct AuthRefusal {
    pub mechanism: &'static str,
    pub code: ReplyCode,
    /// Without what it echoes.
    pub text: String,
}

impl AuthRefusal {
    /// Only what the reply speaks of is to be mended (RFC 4954 §6).
    fn fix(&self, settings: &TargetSettings) -> String {
        let user = settings.auth.as_ref().map_or("", |auth| auth.user.as_str());
        match (self.code.basic, self.code.enhanced) {
            (_, Some(Enhanced(_, 7, 8))) => Self::credentials(user),
            (530 | 538, _) | (_, Some(Enhanced(5, 7, 11))) => match settings.tls {
                TlsMode::None => String::from(
                    "set tls = \"starttls\" or \"implicit\": the target takes AUTH inside TLS only",
                ),
                TlsMode::StartTls | TlsMode::Implicit => String::from(
                    "make the target see that this connection is encrypted: is there a proxy in between?",
                ),
            },
            (400..=499, _) => String::from(
                "user and password were not judged: see the target's log for what its AUTH waits on; the relay tries again",
            ),
            (500..=504, _) | (534, None | Some(Enhanced(_, 7, 9))) => String::from(
                "make the target take AUTH PLAIN or AUTH LOGIN: it offers what it does not have; user and password were not judged",
            ),
            (535, None) => Self::credentials(user),
            (535, Some(_)) => format!(
                "does the target let {user} send by AUTH? if it does, correct user and password in auth"
            ),
            _ => format!("see what the target says of {user}, and its log"),
        }
    }

    fn credentials(user: &str) -> String {
        format!("correct auth of this target: user = \"{user}\", and what its password refers to")
    }
}

/// What the target said to an envelope or a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub command: &'static str,
    pub sender: String,
    pub code: ReplyCode,
    /// Without what it echoes.
    pub text: String,
}

/// What a refusal speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    Encryption,
    Authentication,
    Sender,
    Relaying,
    Unsaid,
}

impl Refusal {
    pub(super) fn of(self, sender: &str) -> Self {
        Self { sender: sender.to_owned(), ..self }
    }

    pub(super) fn said(&self) -> String {
        format!("{} {}", said(self.code), self.text)
    }

    pub(super) fn blame(&self) -> Blame {
        const SIGNS: [(Blame, &[&str]); 4] = [
            (Blame::Encryption, &["starttls", "tls", "encrypt"]),
            (Blame::Sender, &["sender", "send as", "sendas", "not owned", "from address", "not verified"]),
            (Blame::Authentication, &["authenticat", "auth ", "log in", "logged in"]),
            (Blame::Relaying, &["relay", "rcpthosts", "gateway"]),
        ];
        let text = self.text.to_lowercase();
        let by_text = SIGNS.into_iter().find(|(_, signs)| signs.iter().any(|sign| text.contains(sign)));
        match (by_text, self.code.basic, self.code.enhanced) {
            (Some((blame, _)), ..) => blame,
            (None, 530, _) => Blame::Authentication,
            (None, _, Some(Enhanced(_, 7, 60))) | (None, _, Some(Enhanced(_, 1, 7 | 8))) => Blame::Sender,
            (None, _, Some(Enhanced(5, 7, 1))) if self.command == "RCPT" => Blame::Relaying,
            (None, ..) => Blame::Unsaid,
        }
    }

    fn fix(&self, settings: &TargetSettings) -> String {
        let sender = &self.sender;
        match (self.blame(), &settings.auth) {
            (Blame::Encryption, _) if settings.tls == TlsMode::None => {
                String::from("set tls = \"starttls\" or \"implicit\" for this target")
            }
            (Blame::Encryption, _) => String::from(
                "make the target see that this connection is encrypted: is there a proxy in between?",
            ),
            (Blame::Sender, Some(auth)) => format!(
                "let {} send as <{sender}> on the target, or send from another address (return_path or from of the templates)",
                auth.user
            ),
            (Blame::Sender, None) => {
                format!("let this relay send as <{sender}> on the target, or send from another address")
            }
            (Blame::Authentication | Blame::Relaying, None) => String::from(
                "set auth = { user = \"...\", password = \"file:...\" } for this target, or let this machine's address \
                 relay there (mynetworks in Postfix, relay_from_hosts in Exim)",
            ),
            (Blame::Authentication | Blame::Relaying, Some(auth)) => {
                format!(
                    "let {} relay to every domain on the target; is this its submission port (587 or 465)?",
                    auth.user
                )
            }
            (Blame::Unsaid, _) if self.code.is_transient() => {
                String::from("the target takes nothing now: see its log, and check again")
            }
            (Blame::Unsaid, _) => {
                String::from("see the target's log for why it takes nothing from this relay")
            }
        }
    }
}

fn said(code: ReplyCode) -> String {
    match code.enhanced {
        Some(enhanced) => format!("{} {enhanced}", code.basic),
        None => code.basic.to_string(),
    }
}

/// What went wrong in the TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsTrouble {
    #[error("its certificate has expired")]
    Expired,
    #[error("its certificate is not valid yet")]
    NotYetValid,
    #[error("its certificate was not issued by a trusted authority (unknown issuer or self-signed)")]
    UnknownIssuer,
    #[error("its certificate signed itself, so no authority can vouch for it")]
    SelfSigned(Pin),
    #[error("its public key is none of those in pin")]
    NotPinned(Pin),
    #[error("its certificate is for another name")]
    WrongName,
    #[error("its certificate is that of an authority, which cannot stand for a server")]
    AuthorityItself,
    #[error("its certificate is revoked")]
    Revoked,
    #[error("its certificate cannot be used ({0})")]
    Certificate(String),
    #[error("no protocol version or cipher in common")]
    NothingInCommon,
    #[error("it refused the handshake ({0})")]
    Alert(String),
    #[error("what it speaks is not TLS")]
    NotTls,
    #[error("no handshake within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    #[error("it closed the connection during the handshake")]
    Closed,
    #[error("the handshake failed ({0})")]
    Other(String),
}

impl Trouble {
    /// What to do about it.
    pub fn fix(&self, settings: &TargetSettings) -> String {
        let TargetSettings { host, port, server_name, .. } = settings;
        match self {
            Self::NameNotResolved => format!("check host = \"{host}\" and the resolver"),
            Self::ConnectRefused => format!("check that the target listens on {host}:{port}"),
            Self::ConnectTimeout(_) | Self::Connect(_) => {
                format!("check host, port and firewall on the way to {host}:{port}")
            }
            Self::ClearTextOffLoopback => String::from("set tls = \"starttls\" or \"implicit\""),
            Self::NoTrust => String::from("set ca = \"FILE\" to the authority that issued its certificate"),
            Self::BadServerName => format!("correct the name to verify, \"{server_name}\""),
            Self::Tls(trouble) => trouble.fix(settings),
            Self::StartTlsNotOffered | Self::StartTlsRefused(_) => {
                String::from("enable TLS on the target; the relay never falls back to clear text")
            }
            Self::InjectedBeforeTls => String::from("find out who answers in the target's place"),
            Self::GreetingRefused { .. } | Self::EhloRefused(_) => {
                String::from("check that the target lets this relay in (access list, load)")
            }
            Self::AuthNotOffered => String::from(
                "enable AUTH PLAIN or LOGIN on the target's port (587 or 465, not 25), or remove auth",
            ),
            Self::AuthRefused(refusal) => refusal.fix(settings),
            Self::Refuses(refusal) => refusal.fix(settings),
            Self::NoGreeting(_) if settings.tls == TlsMode::StartTls => format!(
                "does {host}:{port} speak TLS from the first byte, as port 465 does? then set tls = \"implicit\"; \
                 if it only is slow, set greeting_timeout"
            ),
            Self::NoGreeting(_) => {
                format!("is {host}:{port} an SMTP server? if it only is slow, set greeting_timeout")
            }
            Self::SpeaksTls => String::from("set tls = \"implicit\" for this target"),
            Self::Fruitless(_) | Self::Talk(_) => {
                format!("check the target's log; is it an SMTP server that listens on {host}:{port}?")
            }
        }
    }

    /// Whether another machine behind the name may do better, and at once: somebody answered, and not too late.
    pub(super) fn is_of_one_machine(&self) -> bool {
        match self {
            Self::NameNotResolved
            | Self::ConnectRefused
            | Self::ConnectTimeout(_)
            | Self::Connect(_)
            | Self::ClearTextOffLoopback
            | Self::NoTrust
            | Self::BadServerName
            | Self::NoGreeting(_)
            | Self::SpeaksTls
            | Self::Refuses(_)
            | Self::Fruitless(_)
            | Self::Tls(TlsTrouble::Timeout(_) | TlsTrouble::NotTls) => false,
            Self::Tls(_) | Self::StartTlsNotOffered | Self::StartTlsRefused(_) => true,
            Self::InjectedBeforeTls | Self::GreetingRefused { .. } | Self::EhloRefused(_) => true,
            Self::AuthNotOffered | Self::AuthRefused(_) | Self::Talk(_) => true,
        }
    }

    /// The target's own words: a reply that refuses.
    pub(super) fn is_said(&self) -> bool {
        matches!(self, Self::GreetingRefused { .. } | Self::EhloRefused(_) | Self::AuthRefused(_))
    }

    /// As the outcome of a job that needed this target: deferred, nothing sent.
    pub(super) fn to_fault(&self, settings: &TargetSettings) -> Fault {
        let detail = format!("target {}: {self}; {}", settings.name, self.fix(settings));
        Fault::new(Reason::TargetUnavailable, detail).at(&settings.name)
    }
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Self {
        Self::Talk(broken.to_string())
    }
}

impl From<&Fault> for Trouble {
    fn from(fault: &Fault) -> Self {
        Self::Fruitless(fault.detail.to_string())
    }
}

impl TlsTrouble {
    fn fix(&self, settings: &TargetSettings) -> String {
        let TargetSettings { host, port, server_name, .. } = settings;
        match self {
            Self::Expired | Self::NotYetValid => {
                String::from("renew the target's certificate, or correct this machine's clock")
            }
            Self::UnknownIssuer => {
                String::from("set ca to the authority that issued the target's certificate")
            }
            Self::SelfSigned(pin) => format!(
                "compare with the certificate on the target itself; if this is its key, write pin = [\"{pin}\"] for this \
                 target, instead of ca"
            ),
            Self::NotPinned(pin) => format!(
                "was the target's key exchanged? compare with the target itself; if this is its key, write pin = [\"{pin}\"]"
            ),
            Self::WrongName => format!("give the target a certificate for {server_name}, or correct host"),
            Self::AuthorityItself => format!("give the target a certificate of its own for {server_name}"),
            Self::Revoked | Self::Certificate(_) => String::from("replace the target's certificate"),
            Self::NothingInCommon => String::from("enable TLS 1.2 or 1.3 on the target"),
            Self::NotTls if settings.tls == TlsMode::Implicit => {
                format!("{host}:{port} speaks in clear at first: set tls = \"starttls\" for this target")
            }
            Self::NotTls => String::from("find out what answers STARTTLS in the target's place"),
            Self::Timeout(_) | Self::Closed if settings.tls == TlsMode::Implicit => format!(
                "is {host}:{port} a STARTTLS port, as 25 and 587 are? then set tls = \"starttls\"; else see the target's log"
            ),
            Self::Alert(_) | Self::Timeout(_) | Self::Closed | Self::Other(_) => {
                String::from("check the target's TLS settings and log")
            }
        }
    }
}

impl From<io::Error> for TlsTrouble {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Closed;
        }
        let kind = error.kind();
        match error.into_inner().and_then(|inner| inner.downcast::<TlsError>().ok()) {
            Some(error) => Self::from(*error),
            None if kind == io::ErrorKind::ConnectionReset => Self::Closed,
            None => Self::Other(kind.to_string()),
        }
    }
}

impl From<TlsError> for TlsTrouble {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::InvalidCertificate(bad) => Self::from(bad),
            TlsError::AlertReceived(
                AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure,
            )
            | TlsError::PeerIncompatible(_) => Self::NothingInCommon,
            TlsError::AlertReceived(alert) => Self::Alert(format!("{alert:?}")),
            TlsError::InvalidMessage(_) => Self::NotTls,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<CertificateError> for TlsTrouble {
    fn from(bad: CertificateError) -> Self {
        match NeedsPin::of(&bad) {
            Some(NeedsPin::SelfSigned(pin)) => return Self::SelfSigned(pin.clone()),
            Some(NeedsPin::NotPinned(pin)) => return Self::NotPinned(pin.clone()),
            None => {}
        }
        match bad {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            // A wrong signature is what an authority made anew under its old name comes to.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::Other(ref other) if other.to_string().contains("CaUsedAsEndEntity") => {
                Self::AuthorityItself
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            CertificateError::Revoked => Self::Revoked,
            other => Self::Certificate(format!("{other:?}").chars().take(80).collect()),
        }
    }
}

/// A refusal in the greeting, its text cleaned (it cannot be about a person yet, but it is the target's).
pub(super) fn greeting_refused(code: ReplyCode, text: String) -> Trouble {
    Trouble::GreetingRefused { code: code.basic, text }
}
