//! Opens the doors: binds the listeners and serves each in a task.

use super::Parts;
use crate::accept::door::House;
use crate::accept::{http, smtp};
use crate::config::{Config, Listener, ListenerKind, TlsMode};
use crate::exit::{CliError, Exit};
use crate::tls::ServerTls;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A door that takes jobs.
#[derive(Debug, Clone)]
pub struct OpenDoor {
    pub kind: &'static str,
    pub address: SocketAddr,
    pub tls: &'static str,
}

type Acceptor = Arc<dyn Fn() -> TlsAcceptor + Send + Sync>;

/// Binds all listeners before any of them serves: a relay that cannot open every door opens none.
pub async fn open(
    config: &Config,
    house: &House,
    parts: &Arc<Parts>,
    (shutdown, tasks): (&CancellationToken, &TaskTracker),
) -> Result<Vec<OpenDoor>, CliError> {
    let mut bound = Vec::new();
    for listener in &config.listeners {
        let socket = TcpListener::bind(listener.bind).await.map_err(|cause| {
            CliError::new(Exit::Temporary, format!("cannot listen on {}: {cause}", listener.bind))
                .fix("stop what uses this address, or change bind of this [[listener]]")
        })?;
        bound.push((listener, socket, acceptor(listener)?));
    }
    let mut doors = Vec::new();
    for (listener, socket, acceptor) in bound {
        let address = socket.local_addr().map_err(CliError::failed)?;
        let stop = shutdown.clone().cancelled_owned();
        let kind = match listener.kind {
            ListenerKind::Smtp => {
                let settings = smtp_settings(config, listener, acceptor, parts);
                tasks.spawn(smtp::serve(socket, settings, house.clone(), stop));
                "smtp"
            }
            ListenerKind::Http => {
                let settings = http_settings(config, listener, house, parts);
                let tls = acceptor.map_or(http::DoorTls::None, http::DoorTls::Implicit);
                tasks.spawn(http::serve(socket, tls, settings, stop));
                "http"
            }
        };
        doors.push(OpenDoor { kind, address, tls: tls_word(listener.tls) });
    }
    Ok(doors)
}

fn tls_word(mode: TlsMode) -> &'static str {
    match mode {
        TlsMode::Implicit => "implicit",
        TlsMode::StartTls => "starttls",
        TlsMode::None => "none",
    }
}

fn acceptor(listener: &Listener) -> Result<Option<Acceptor>, CliError> {
    let Some(files) = listener.identity.clone().filter(|_| listener.tls != TlsMode::None) else {
        return Ok(None);
    };
    let alpn: &[&[u8]] = match listener.kind {
        ListenerKind::Http => &[b"h2", b"http/1.1"],
        ListenerKind::Smtp => &[],
    };
    let tls = ServerTls::load(files, alpn).map_err(|cause| {
        CliError::new(Exit::Config, format!("listener {}: {cause}", listener.bind))
            .fix("cert is a PEM chain, key a reference to its PEM key")
    })?;
    Ok(Some(Arc::new(move || tls.acceptor())))
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
        tls,
        token_domains: listener.token_domains.clone(),
        quotas: parts.quotas.clone(),
        limits: smtp::Limits {
            message_bytes_max: limits.message_bytes_max,
            connections_max: limits.connections_max,
            connections_per_source_max: limits.connections_per_source_max,
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
    }
}
