//! Tries a target step by step for the checklist, and says at which step it fails, why, and what to do.

use super::auth::{Unavailable, authenticate};
use super::connect;
use super::ehlo::Capabilities;
use super::machines::Machines;
use super::settings::{TargetSettings, TlsMode};
use super::stream::Stream;
use super::talk::Talk;
use super::trouble::{Blame, Refusal, TlsTrouble, Trouble};
use super::verdict::{Command, Heard, Sent, Whose, whose};
use crate::report::gist::gist;
use std::time::Duration;

const QUIT_LIMIT: Duration = Duration::from_secs(2);

/// Nobody's address, at a domain that everybody may name (RFC 2606 §3): no message goes there.
const RECIPIENT: &str = "tokenrelay-check@example.com";

/// Whose messages a probe asks the target to take, and for whom.
#[derive(Debug, Clone)]
pub struct ProbeEnvelope {
    /// Each is asked for; an empty one is the null reverse-path.
    pub senders: Vec<String>,
    pub recipient: String,
}

impl Default for ProbeEnvelope {
    fn default() -> Self {
        Self { senders: vec![String::new()], recipient: String::from(RECIPIENT) }
    }
}

/// One step and what came of it: what was found, or cause and fix.
#[derive(Debug, Clone)]
pub struct ProbeStep {
    /// `tcp`, `tls`, `ehlo`, `auth`, `mail` or `rcpt`.
    pub name: &'static str,
    pub result: Result<String, ProbeFailure>,
}

#[derive(Debug, Clone)]
pub struct ProbeFailure {
    pub cause: String,
    pub fix: String,
    pub trouble: Trouble,
}

/// Walks through TCP, TLS, EHLO, AUTH, MAIL and RCPT; the last step is the first that failed. Sends no message.
pub async fn probe(target: &TargetSettings, envelope: &ProbeEnvelope) -> Vec<ProbeStep> {
    let mut steps = Vec::new();
    if let Err((name, trouble)) = walk(target, envelope, &mut steps).await {
        let failure = ProbeFailure { cause: trouble.to_string(), fix: trouble.fix(target), trouble };
        steps.push(ProbeStep { name, result: Err(failure) });
    }
    steps
}

type Failed = (&'static str, Trouble);

async fn walk(
    target: &TargetSettings,
    envelope: &ProbeEnvelope,
    steps: &mut Vec<ProbeStep>,
) -> Result<(), Failed> {
    let mut passed = |name, found| steps.push(ProbeStep { name, result: Ok(found) });
    let (tcp, _) =
        connect::open_tcp(target, &Machines::default()).await.map_err(|trouble| ("tcp", trouble))?;
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
    let asked = ask(target, envelope, &mut talk).await;
    talk.quit(QUIT_LIMIT).await;
    let notes = asked?;
    passed("mail", format!("takes {}", list(&envelope.senders)));
    passed("rcpt", notes.unwrap_or_else(|| String::from("relays to other domains")));
    Ok(())
}

/// Each sender, and behind each the recipient: some judge a sender only there. What is to be noted of the recipient.
async fn ask(
    target: &TargetSettings,
    envelope: &ProbeEnvelope,
    talk: &mut Talk<Stream>,
) -> Result<Option<String>, Failed> {
    let mut note = None;
    for sender in &envelope.senders {
        let mail = ask_for(target, talk, (Command::Mail, &format!("MAIL FROM:<{sender}>"))).await;
        if let Some((_, refusal)) = mail.map_err(|trouble| ("mail", trouble))? {
            return Err(("mail", Trouble::Refuses(refusal.of(sender))));
        }
        let line = format!("RCPT TO:<{}>", envelope.recipient);
        let recipient = ask_for(target, talk, (Command::Recipient, &line)).await;
        match recipient.map_err(|trouble| ("rcpt", trouble))? {
            None => {}
            Some((whose, refusal)) if is_about_recipient(whose, &refusal) => {
                note = Some(format!(
                    "note: of {} it says {}; nothing is wrong if others are taken",
                    envelope.recipient,
                    refusal.said()
                ));
            }
            Some((_, refusal)) => return Err(("rcpt", Trouble::Refuses(refusal.of(sender)))),
        }
        let reset = connect::command(target, talk, b"RSET\r\n").await.map_err(|trouble| ("rcpt", trouble))?;
        if !reset.is_positive() {
            break;
        }
    }
    Ok(note)
}

fn list(senders: &[String]) -> String {
    senders.iter().map(|sender| format!("<{sender}>")).collect::<Vec<_>>().join(", ")
}

/// A refusal of the probe's own recipient says nothing of others; neither does one that asks for patience.
fn is_about_recipient(whose: Whose, refusal: &Refusal) -> bool {
    match whose {
        Whose::Recipient | Whose::Message | Whose::Unclear => true,
        Whose::Throttle | Whose::Connections => true,
        Whose::Target => refusal.code.is_transient() && refusal.blame() == Blame::Unsaid,
        Whose::Sender | Whose::UnclearSender | Whose::SessionFull | Whose::Session | Whose::Order => false,
    }
}

/// `None`: the target agrees.
async fn ask_for(
    target: &TargetSettings,
    talk: &mut Talk<Stream>,
    (command, line): (Command, &str),
) -> Result<Option<(Whose, Refusal)>, Trouble> {
    let code = connect::command(target, talk, format!("{line}\r\n").as_bytes()).await?;
    if code.is_positive() {
        return Ok(None);
    }
    let reply = connect::last_reply(talk, []);
    let heard =
        Heard { command, sent: Sent::InTurn, code, text: &reply.scrubbed().to_lowercase(), taken_before: 0 };
    let text = gist(&reply, code, []);
    Ok(Some((whose(&heard), Refusal { command: command.name(), sender: String::new(), code, text })))
}

/// Whether a port that says nothing waits for TLS to begin: only a further connection can tell.
async fn speaks_tls(target: &TargetSettings) -> bool {
    let Ok((tcp, _)) = connect::open_tcp(target, &Machines::default()).await else { return false };
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
    let connection = stream.connection();
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
