//! Tries a target step by step for the checklist, and says at which step it fails, why, and what to do.

use super::auth::{Unavailable, authenticate};
use super::connect;
use super::ehlo::Capabilities;
use super::settings::{TargetSettings, TlsMode};
use super::stream::Stream;
use super::talk::Talk;
use super::trouble::{TlsTrouble, Trouble};
use std::time::Duration;

const QUIT_LIMIT: Duration = Duration::from_secs(2);

/// One step and what came of it: what was found, or cause and fix.
#[derive(Debug, Clone)]
pub struct ProbeStep {
    /// `tcp`, `tls`, `ehlo` or `auth`.
    pub name: &'static str,
    pub result: Result<String, ProbeFailure>,
}

#[derive(Debug, Clone)]
pub struct ProbeFailure {
    pub cause: String,
    pub fix: String,
    pub trouble: Trouble,
}

/// Walks through TCP, TLS, EHLO and AUTH; the last step is the first that failed. Sends no message.
pub async fn probe(target: &TargetSettings) -> Vec<ProbeStep> {
    let mut steps = Vec::new();
    if let Err((name, trouble)) = walk(target, &mut steps).await {
        let failure = ProbeFailure { cause: trouble.to_string(), fix: trouble.fix(target), trouble };
        steps.push(ProbeStep { name, result: Err(failure) });
    }
    steps
}

type Failed = (&'static str, Trouble);

async fn walk(target: &TargetSettings, steps: &mut Vec<ProbeStep>) -> Result<(), Failed> {
    let mut passed = |name, found| steps.push(ProbeStep { name, result: Ok(found) });
    let tcp = connect::open_tcp(target).await.map_err(|trouble| ("tcp", trouble))?;
    passed("tcp", tcp.peer_addr().map(|peer| format!("connected to {peer}")).unwrap_or_default());
    let mut talk = if target.tls == TlsMode::Implicit {
        let stream = connect::start_tls(target, tcp).await.map_err(|trouble| ("tls", trouble))?;
        passed("tls", describe_tls(&stream));
        Talk::new(stream)
    } else {
        Talk::new(Stream::Clear(tcp))
    };
    let mut offered = match greet(target, &mut talk).await {
        Ok(offered) => offered,
        Err(Trouble::NoGreeting(_)) if speaks_tls(target).await => return Err(("ehlo", Trouble::SpeaksTls)),
        Err(trouble) => return Err(("ehlo", trouble)),
    };
    if target.tls == TlsMode::StartTls {
        talk = connect::change_to_tls(target, talk, offered).await.map_err(|trouble| ("tls", trouble))?;
        passed("tls", describe_tls(talk.stream()));
        offered = connect::say_ehlo(target, &mut talk).await.map_err(|trouble| ("ehlo", trouble))?;
    }
    passed("ehlo", offered.describe());
    if let Some(auth) = &target.auth {
        authenticate(target, &mut talk, offered, &Unavailable::default())
            .await
            .map_err(|trouble| ("auth", trouble))?;
        passed("auth", format!("accepted as {}", auth.user));
    }
    talk.quit(QUIT_LIMIT).await;
    Ok(())
}

/// Whether a port that says nothing waits for TLS to begin: only a further connection can tell.
async fn speaks_tls(target: &TargetSettings) -> bool {
    let Ok(tcp) = connect::open_tcp(target).await else { return false };
    match connect::start_tls(target, tcp).await {
        Ok(_) => true,
        // It answered in TLS, if not as wanted.
        Err(Trouble::Tls(trouble)) => {
            !matches!(trouble, TlsTrouble::NotTls | TlsTrouble::Timeout(_) | TlsTrouble::Closed)
        }
        Err(_) => false,
    }
}

async fn greet(target: &TargetSettings, talk: &mut Talk<Stream>) -> Result<Capabilities, Trouble> {
    connect::read_greeting(target, talk).await?;
    connect::say_ehlo(target, talk).await
}

/// Version, cipher and how long the certificate is still good.
fn describe_tls(stream: &Stream) -> String {
    let Stream::Tls(stream) = stream else { return String::from("clear text") };
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version().and_then(|v| v.as_str()).unwrap_or("TLS");
    let cipher =
        connection.negotiated_cipher_suite().and_then(|c| c.suite().as_str()).unwrap_or("unknown cipher");
    let until = connection.peer_certificates().and_then(|chain| not_after(chain.first()?.as_ref()));
    match until {
        Some(until) => format!("{version}, {cipher}, certificate verified, valid until {until}"),
        None => format!("{version}, {cipher}, certificate verified"),
    }
}

fn not_after(der: &[u8]) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let at = jiff::Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?;
    Some(at.strftime("%Y-%m-%d").to_string())
}
