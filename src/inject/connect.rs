//! Makes a session: TCP, TLS, greeting, EHLO, AUTH, each step with its deadline and its own reason to fail.

use super::auth::{Unavailable, authenticate};
use super::ehlo::Capabilities;
use super::machines::Machines;
use super::place::Place;
use super::session::Session;
use super::settings::{TargetSettings, TlsMode};
use super::stream::{Encrypted, Stream, Underneath};
use super::talk::{Broken, Talk};
use super::trouble::{TlsTrouble, Trouble, greeting_refused};
use crate::fault::ReplyCode;
use crate::report::gist::gist;
use crate::report::scrub::Marked;
use rustls_pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// A session that is ready for MAIL, and whether its TLS was resumed. What the target says is counted in `pulse`, and
/// which ways to log in it does not have in `unavailable`.
pub(super) async fn establish(
    settings: &TargetSettings,
    unavailable: &Unavailable,
    pulse: &Arc<AtomicU64>,
    machines: &Machines,
    place: Place,
) -> Result<(Session<Stream>, bool), Trouble> {
    let (tcp, peer) = open_tcp(settings, machines).await?;
    match open_session(settings, unavailable, pulse, tcp).await {
        Ok((talk, offered)) => {
            let (is_tls, is_resumed) = (talk.stream().is_tls(), talk.stream().is_resumed());
            Ok((Session::new(talk, offered, is_tls, peer).at(place), is_resumed))
        }
        Err(Refusing { trouble, talk }) => {
            machines.leave(peer);
            if let Some(talk) = talk {
                place.keep_until_closed(talk);
            }
            Err(trouble)
        }
    }
}

/// Why a connection came to no session, and what is left of it, if the target has had its say.
struct Refusing {
    trouble: Trouble,
    talk: Option<Talk<Stream>>,
}

impl From<Trouble> for Refusing {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, talk: None }
    }
}

impl Refusing {
    /// One that has said nothing will not close either.
    fn on(talk: Talk<Stream>, trouble: Trouble) -> Self {
        let talk = trouble.is_said().then_some(talk);
        Self { trouble, talk }
    }
}

async fn open_session(
    settings: &TargetSettings,
    unavailable: &Unavailable,
    pulse: &Arc<AtomicU64>,
    tcp: TcpStream,
) -> Result<(Talk<Stream>, Capabilities), Refusing> {
    let mut talk = match settings.tls {
        TlsMode::Implicit => Talk::new(start_tls(settings, tcp).await?),
        TlsMode::StartTls | TlsMode::None => Talk::new(Stream::Clear(tcp)),
    }
    .counted_in(pulse);
    let greeted = match read_greeting(settings, &mut talk).await {
        Ok(()) => say_ehlo(settings, &mut talk).await,
        Err(trouble) => Err(trouble),
    };
    let mut offered = match greeted {
        Ok(offered) => offered,
        Err(trouble) => return Err(Refusing::on(talk, trouble)),
    };
    if settings.tls == TlsMode::StartTls {
        talk = change_to_tls(settings, talk, offered).await?.counted_in(pulse);
        // RFC 3207 §4.2: what was said before TLS is forgotten.
        offered = match say_ehlo(settings, &mut talk).await {
            Ok(offered) => offered,
            Err(trouble) => return Err(Refusing::on(talk, trouble)),
        };
    }
    match authenticate(settings, &mut talk, offered, unavailable).await {
        Ok(()) => Ok((talk, offered)),
        Err(trouble) => Err(Refusing::on(talk, trouble)),
    }
}

/// A connection to one of the machines behind the target's name, and which that is.
pub(super) async fn open_tcp(
    settings: &TargetSettings,
    machines: &Machines,
) -> Result<(TcpStream, SocketAddr), Trouble> {
    let until = Instant::now() + settings.deadlines.connect;
    let found = timeout_at(until, tokio::net::lookup_host((settings.host.as_str(), settings.port)));
    let late = |_| Trouble::ConnectTimeout(settings.deadlines.connect);
    let found = found.await.map_err(late)?.map_err(|_| Trouble::NameNotResolved)?;
    open_first(settings, &machines.in_order(found.collect()), until).await
}

/// A connection to the first machine that takes one, and which that is.
pub(super) async fn open_first(
    settings: &TargetSettings,
    addresses: &[SocketAddr],
    until: Instant,
) -> Result<(TcpStream, SocketAddr), Trouble> {
    let late = || Trouble::ConnectTimeout(settings.deadlines.connect);
    let mut trouble = Trouble::NameNotResolved;
    for (at, address) in addresses.iter().enumerate() {
        // One that swallows what it is sent must not take the others' time.
        let share = (until - Instant::now()) / (addresses.len() - at) as u32;
        trouble = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok((prepared(settings, tcp, *address)?, *address)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Trouble::ConnectRefused,
            Ok(Err(error)) => Trouble::Connect(error.kind()),
            Err(_) => late(),
        };
    }
    Err(trouble)
}

fn prepared(settings: &TargetSettings, tcp: TcpStream, peer: SocketAddr) -> Result<TcpStream, Trouble> {
    // Without this, Nagle's algorithm waits for delayed ACKs after every command group.
    tcp.set_nodelay(true).map_err(|error| Trouble::Connect(error.kind()))?;
    if settings.tls == TlsMode::None && !peer.ip().to_canonical().is_loopback() {
        return Err(Trouble::ClearTextOffLoopback);
    }
    Ok(tcp)
}

pub(super) async fn start_tls(settings: &TargetSettings, tcp: TcpStream) -> Result<Stream, Trouble> {
    let config = settings.client_tls.as_ref().ok_or(Trouble::NoTrust)?.config();
    let name = ServerName::try_from(settings.server_name.clone()).map_err(|_| Trouble::BadServerName)?;
    let limit = settings.deadlines.tls;
    match timeout(limit, TlsConnector::from(config).connect(name, Underneath::new(tcp))).await {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(Encrypted::new(stream)))),
        Ok(Err(error)) => Err(Trouble::Tls(error.into())),
        Err(_) => Err(Trouble::Tls(TlsTrouble::Timeout(limit))),
    }
}

pub(super) async fn read_greeting(settings: &TargetSettings, talk: &mut Talk<Stream>) -> Result<(), Trouble> {
    let limit = settings.deadlines.greeting;
    let code = match talk.reply(limit, || {}).await {
        Ok(code) => code,
        Err(_) if talk.unread_is_tls() => return Err(Trouble::SpeaksTls),
        Err(Broken::Silent(_)) => return Err(Trouble::NoGreeting(limit)),
        Err(broken) => return Err(broken.into()),
    };
    if code.basic != 220 {
        return Err(greeting_refused(code, last_text(talk, code)));
    }
    Ok(())
}

pub(super) async fn say_ehlo(
    settings: &TargetSettings,
    talk: &mut Talk<Stream>,
) -> Result<Capabilities, Trouble> {
    let code = command(settings, talk, format!("EHLO {}\r\n", settings.helo_name).as_bytes()).await?;
    if code.basic != 250 {
        return Err(Trouble::EhloRefused(code.basic));
    }
    let reply = talk.last_reply().map_err(Broken::from)?;
    Ok(Capabilities::read(&reply))
}

/// STARTTLS on a conversation in clear. Never goes on without TLS.
pub(super) async fn change_to_tls(
    settings: &TargetSettings,
    mut talk: Talk<Stream>,
    offered: Capabilities,
) -> Result<Talk<Stream>, Trouble> {
    if !offered.starttls {
        return Err(Trouble::StartTlsNotOffered);
    }
    let code = command(settings, &mut talk, b"STARTTLS\r\n").await?;
    if code.basic != 220 {
        return Err(Trouble::StartTlsRefused(code.basic));
    }
    talk.glance().await?;
    if talk.has_unread() {
        return Err(Trouble::InjectedBeforeTls);
    }
    let Stream::Clear(tcp) = talk.into_stream() else { return Err(Trouble::InjectedBeforeTls) };
    Ok(Talk::new(start_tls(settings, tcp).await?))
}

pub(super) async fn command(
    settings: &TargetSettings,
    talk: &mut Talk<Stream>,
    line: &[u8],
) -> Result<ReplyCode, Trouble> {
    if talk.has_unread() {
        return Err(Broken::OutOfStep(0).into());
    }
    talk.send(line, settings.deadlines.helo).await?;
    Ok(talk.reply(settings.deadlines.helo, || {}).await?)
}

/// What was said last, as it may be told.
pub(super) fn last_text(talk: &Talk<Stream>, code: ReplyCode) -> String {
    gist(&last_reply(talk, []), code, [])
}

/// The text of the reply read last, in which the person's values are marked.
pub(super) fn last_reply<'a, S>(talk: &Talk<S>, known: impl IntoIterator<Item = &'a str>) -> Marked
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let text = talk.last_reply().map(|reply| reply.lines().collect::<Vec<_>>().join(b" ".as_slice()));
    Marked::of(&Zeroizing::new(text.unwrap_or_default()), known)
}
