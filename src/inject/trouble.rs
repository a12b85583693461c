//! Why no session could be made: the cause in plain words and what to do about it.

use super::settings::TargetSettings;
use super::talk::Broken;
use crate::fault::{Fault, Reason, ReplyCode};
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
    #[error("it greeted with {code} {text}")]
    GreetingRefused { code: u16, text: String },
    #[error("it refused EHLO with {0}")]
    EhloRefused(u16),
    #[error("it offers neither AUTH PLAIN nor AUTH LOGIN")]
    AuthNotOffered,
    #[error("AUTH refused with {0}")]
    AuthRefused(u16),
    #[error("it ends every session before taking a message ({0})")]
    Fruitless(String),
    #[error("{0}")]
    Talk(String),
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
    #[error("its certificate is for another name")]
    WrongName,
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
            Self::AuthNotOffered => String::from("enable AUTH on the target, or remove auth"),
            Self::AuthRefused(_) => String::from("correct user and password in auth"),
            Self::Fruitless(_) | Self::Talk(_) => {
                format!("check the target's log; is it an SMTP server that listens on {host}:{port}?")
            }
        }
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
            Self::WrongName => format!("give the target a certificate for {server_name}, or correct host"),
            Self::Revoked | Self::Certificate(_) => String::from("replace the target's certificate"),
            Self::NothingInCommon => String::from("enable TLS 1.2 or 1.3 on the target"),
            Self::NotTls => format!("is {host}:{port} a STARTTLS port? then set tls = \"starttls\""),
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
        match bad {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            // A wrong signature is what an authority made anew under its old name comes to.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            // A self-signed certificate that calls itself an authority ends here.
            CertificateError::Other(ref other) if other.to_string().contains("CaUsedAsEndEntity") => {
                Self::UnknownIssuer
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
