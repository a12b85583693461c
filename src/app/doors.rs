//! Opens the doors: binds the listeners and serves each in a task.

mod socket;

use super::Parts;
use crate::accept::door::House;
use crate::accept::{http, smtp};
use crate::config::{BareNewline, Bind, Config, Listener, ListenerKind, TlsMode};
use crate::exit::{CliError, Exit};
use crate::tls::ServerTls;
use socket::Socket;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A door that takes jobs.
#[derive(Debug, Clone)]
pub struct OpenDoor {
    pub kind: &'static str,
    pub address: Bind,
    pub tls: &'static str,
}

/// A door, and the files of its identity with whose they are.
pub type Opened = (OpenDoor, Option<(String, ServerTls)>);

type Acceptor = Arc<dyn Fn() -> TlsAcceptor + Send + Sync>;

/// Binds all listeners before any of them serves: a relay that cannot open every door opens none.
pub async fn open(
    config: &Config,
    house: &House,
    parts: &Arc<Parts>,
    (shutdown, tasks): (&CancellationToken, &TaskTracker),
) -> Result<Vec<Opened>, CliError> {
    let mut bound: Vec<(&Listener, Socket, Option<ServerTls>)> = Vec::new();
    for listener in &config.listeners {
        let socket = Socket::bind(&listener.bind).await.map_err(|cause| {
            CliError::new(
                Exit::Temporary,
                format!("cannot listen on {} of this [[listener]]: {}", listener.bind, cause.kind()),
            )
            .fix(bind_fix(&listener.bind, &cause, bound.iter().map(|(opened, ..)| &opened.bind)))
        })?;
        bound.push((listener, socket, server_tls(listener)?));
    }
    let mut doors = Vec::new();
    for (listener, socket, tls) in bound {
        let acceptor = tls.clone().map(|tls| -> Acceptor { Arc::new(move || tls.acceptor()) });
        let house = house.promising(listener.accept);
        let address = socket.address().map_err(CliError::failed)?;
        let stop = shutdown.clone().cancelled_owned();
        let kind = match (listener.kind, socket) {
            (ListenerKind::Http, Socket::Tcp(socket)) => {
                let settings = http_settings(config, listener, &house, parts);
                let tls = acceptor.map_or(http::DoorTls::None, http::DoorTls::Implicit);
                tasks.spawn(http::serve(socket, tls, settings, stop));
                "http"
            }
            (ListenerKind::Http, Socket::Unix(..)) => {
                return Err(CliError::new(Exit::Config, "an http listener takes an IP address and port"));
            }
            (kind, socket) => {
                let settings = smtp_settings(config, listener, acceptor, parts);
                tasks.spawn(async move {
                    // The file outlives the door by nothing.
                    let (socket, _file) = socket.into_door();
                    smtp::serve(socket, settings, house, stop).await;
                });
                if kind == ListenerKind::Lmtp { "lmtp" } else { "smtp" }
            }
        };
        let tls = tls.map(|tls| (format!("listener {}", listener.bind), tls));
        doors.push((OpenDoor { kind, address, tls: tls_word(listener.tls) }, tls));
    }
    Ok(doors)
}

/// What mends that a door cannot be opened; `opened` are those that this program has opened before it.
pub fn bind_fix<'a>(bind: &Bind, cause: &io::Error, opened: impl IntoIterator<Item = &'a Bind>) -> String {
    if cause.kind() == io::ErrorKind::AddrInUse
        && let Some(other) = opened.into_iter().find(|other| overlap(bind, other))
    {
        return format!("{other} takes this port already: give one of the two another one, or remove one");
    }
    match (cause.kind(), bind) {
        (io::ErrorKind::AddrInUse, Bind::Tcp(address)) => format!(
            "another program listens there: end it (ss -ltnp 'sport = :{}' names it), or choose another address or port",
            address.port()
        ),
        (io::ErrorKind::AddrInUse, Bind::Unix(_)) => String::from(
            "end the program that listens there, or remove what lies there, or choose another path",
        ),
        (io::ErrorKind::AddrNotAvailable, _) => String::from(
            "this machine does not have that address (ip addr lists those it has); 0.0.0.0 or [::] takes all of them",
        ),
        (io::ErrorKind::PermissionDenied, Bind::Tcp(_)) => String::from(
            "ports below 1024 need a right: AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit; or choose a higher port",
        ),
        (io::ErrorKind::PermissionDenied, Bind::Unix(path)) => {
            format!("let this user write to {}", folder(path).display())
        }
        (io::ErrorKind::NotFound, Bind::Unix(path)) => format!("mkdir -p {}", folder(path).display()),
        _ => String::from("choose another address"),
    }
}

/// Whether two doors want the same port of the same address: 0.0.0.0 is all of IPv4, and `[::]` all there are.
pub fn overlap(one: &Bind, other: &Bind) -> bool {
    let (Some(one), Some(other)) = (one.tcp(), other.tcp()) else { return one == other };
    let covers =
        |all: SocketAddr, one: SocketAddr| all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    one.port() == other.port() && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
}

/// In which a socket file lies.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn tls_word(mode: TlsMode) -> &'static str {
    match mode {
        TlsMode::Implicit => "implicit",
        TlsMode::StartTls => "starttls",
        TlsMode::None => "none",
    }
}

fn server_tls(listener: &Listener) -> Result<Option<ServerTls>, CliError> {
    let Some(files) = listener.identity.clone().filter(|_| listener.tls != TlsMode::None) else {
        return Ok(None);
    };
    let alpn: &[&[u8]] = match listener.kind {
        ListenerKind::Http => &[b"h2", b"http/1.1", b"http/1.0"],
        ListenerKind::Smtp | ListenerKind::Lmtp => &[],
    };
    let tls = ServerTls::load_with_clients(files, listener.client_ca.clone(), alpn).map_err(|error| {
        CliError::new(Exit::Config, format!("listener {}: {error}", listener.bind)).fix(error.fix())
    })?;
    Ok(Some(tls))
}

fn smtp_settings(
    config: &Config,
    listener: &Listener,
    acceptor: Option<Acceptor>,
    parts: &Arc<Parts>,
) -> smtp::Settings {
    let limits = &config.limits;
    let tls = match (listener.tls, acceptor) {
        (TlsMode::StartTls, Some(acceptor)) => smtp::DoorTls::StartTls(acceptor),
        (TlsMode::Implicit, Some(acceptor)) => smtp::DoorTls::Implicit(acceptor),
        _ => smtp::DoorTls::None,
    };
    smtp::Settings {
        host_name: config
            .targets
            .first()
            .map_or_else(|| "localhost".into(), |target| target.helo_name.clone()),
        protocol: match listener.kind {
            ListenerKind::Lmtp => smtp::Protocol::Lmtp,
            ListenerKind::Smtp | ListenerKind::Http => smtp::Protocol::Smtp,
        },
        engine: listener.engine.as_deref().map(Arc::from),
        tls,
        token_domains: listener.token_domains.clone(),
        quotas: parts.quotas.clone(),
        bare_lf: match listener.bare_newline {
            BareNewline::Normalize => smtp::BareLf::Normalize,
            BareNewline::Refuse => smtp::BareLf::Refuse,
        },
        limits: smtp::Limits {
            message_bytes_max: limits.message_bytes_max,
            connections_max: limits.connections_max,
            connections_per_source_max: limits.connections_per_source_max,
            messages_per_source_per_minute_max: limits.messages_per_source_per_minute_max,
            octets_per_source_per_minute_max: limits.bytes_per_source_per_minute_max,
            drain_max: limits.drain_wait,
            ..smtp::Limits::default()
        },
    }
}

fn http_settings(config: &Config, listener: &Listener, house: &House, parts: &Arc<Parts>) -> http::Settings {
    let limits = &config.limits;
    let (ready, metrics) = (parts.clone(), parts.clone());
    http::Settings {
        house: house.clone(),
        token_domains: listener.token_domains.clone().into(),
        quotas: parts.quotas.clone(),
        limits: http::Limits {
            connections_max: limits.connections_max,
            job_line_bytes_max: limits.job_line_bytes_max,
            drain_max: limits.drain_wait,
            ..http::Limits::default()
        },
        ready: Arc::new(move || ready.ready()),
        metrics: Arc::new(move || metrics.metrics()),
        counts: parts.http_counts.clone(),
        ledger: parts
            .custody
            .journal
            .clone()
            .map(|journal| super::ledger::for_doors(config.journal_dir(), Some(journal))),
    }
}
