//! Connections of the HTTP door: permits, TLS, protocol, idle supervision and drain.

use super::plain::{is_plain_http, say_https};
use super::rest::{Rests, Whole};
use super::slots::{Slots, Use};
use super::strict;
use super::{Counts, DoorTls, Limits, Settings, auth, routes};
use crate::accept::notices::Notices;
use crate::engine::Engine;
use crate::tls;
use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::{SockRef, TcpKeepalive};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Request heads over this are refused.
const HEADER_BYTES_MAX: usize = 32 * 1024;
const HEADERS_MAX: usize = 64;
/// Read and write buffer of one HTTP/1.1 connection.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
const H2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
const H2_RESETS_PENDING_MAX: usize = 20;
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the requests of all connections share.
#[derive(Clone)]
pub(super) struct Door {
    pub settings: Arc<Settings>,
    pub sources: Arc<auth::Sources>,
    pub notices: Arc<Notices<(IpAddr, auth::KeyRefusal)>>,
    /// Of clients that spoke without TLS where it is spoken.
    pub plain_notices: Arc<Notices<IpAddr>>,
    pub event_slots: Arc<Slots>,
    pub result_slots: Arc<Slots>,
    /// Cancelled when the door closes: no more jobs are read.
    pub stop: CancellationToken,
    /// Cancelled when the drain took too long: connections end as they are.
    pub cut: CancellationToken,
    /// Connections and jobs, so that the drain can wait for them.
    pub tasks: TaskTracker,
}

impl Door {
    /// Whether a request of this engine that waits may wait on: not once the door closes, nor once a reload took away the
    /// engine or its key.
    pub fn may_wait(&self, engine: &Engine) -> bool {
        !self.stop.is_cancelled() && self.settings.house.engines().still_know(engine)
    }
}

/// What the requests of one connection share.
#[derive(Debug)]
pub(super) struct Peer {
    pub address: SocketAddr,
    /// An engine has shown its key here, and nobody a wrong one since: the source's lock-out does not reach it.
    pub known: AtomicBool,
    /// Ends the connection at once, with all its requests.
    pub cut: CancellationToken,
    requests: AtomicU64,
    open: AtomicU64,
}

/// Keeps the connection from being taken for idle.
#[derive(Debug)]
pub(super) struct Busy(Arc<Peer>);

impl Peer {
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.open.fetch_add(1, Relaxed);
        Busy(self.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

pub(super) async fn serve(
    listener: TcpListener,
    tls: DoorTls,
    settings: Arc<Settings>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let limits = &settings.limits;
    let door = Door {
        settings: settings.clone(),
        sources: Arc::new(auth::Sources::new(limits.wrong_keys_max, limits.wrong_keys_window)),
        notices: Arc::default(),
        plain_notices: Arc::default(),
        event_slots: Slots::new(Use::AwaitingEvents, limits.event_streams_max),
        result_slots: Slots::new(Use::ReadingResults, limits.result_pages_max),
        stop: CancellationToken::new(),
        cut: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let router = routes::router(door.clone());
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let mut shutdown = pin!(shutdown);
    loop {
        let (socket, address) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            },
        };
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            Counts::add(&settings.counts.connections_refused);
            door.tasks.spawn(turn_away(socket, matches!(tls, DoorTls::None)));
            continue;
        };
        let line = Line { door: door.clone(), router: router.clone(), tls: tls.clone(), _permit: permit };
        door.tasks.spawn(line.run(socket, address));
    }
    drop(listener);
    door.stop.cancel();
    door.tasks.close();
    if timeout(limits.drain_max, door.tasks.wait()).await.is_err() {
        tracing::warn!(left = door.tasks.len(), "http door closed before all its requests were finished");
        door.cut.cancel();
    }
}

/// Out of file descriptors, most likely: connections that end give some back.
async fn pause_after(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::warn!(%error, "http door cannot accept connections; raise the limit of open files if it lasts");
        sleep(ACCEPT_PAUSE).await;
    }
}

/// At the bound of connections. Over TLS even an answer would cost a handshake, so it is closed.
async fn turn_away(mut socket: TcpStream, plain: bool) {
    const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    if plain {
        let _ = timeout(Duration::from_secs(1), socket.write_all(BUSY)).await;
    }
}

/// Counts a connection as open for as long as it lives.
struct Open(Arc<Counts>);

impl Open {
    fn count(counts: Arc<Counts>) -> Self {
        counts.connections_open.fetch_add(1, Relaxed);
        Self(counts)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections_open.fetch_sub(1, Relaxed);
    }
}

/// One connection from accept to end.
struct Line {
    door: Door,
    router: Router,
    tls: DoorTls,
    _permit: OwnedSemaphorePermit,
}

impl Line {
    async fn run(self, socket: TcpStream, address: SocketAddr) {
        let _open = Open::count(self.door.settings.counts.clone());
        // A result is small and waited for; Nagle would hold it back.
        let _ = socket.set_nodelay(true);
        // A peer that vanished without a word is noticed even where nothing is due to be written.
        let _ = SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER));
        match &self.tls {
            DoorTls::None => self.speak(socket, address).await,
            DoorTls::Implicit(acceptor) => {
                let handshake = async {
                    if is_plain_http(&socket).await {
                        say_https(socket, &self.door, address.ip()).await;
                        return Ok(None);
                    }
                    tls::accept(acceptor().config().clone(), socket).await.map(Some)
                };
                match timeout(self.door.settings.limits.handshake_max, handshake).await {
                    Ok(Ok(Some(stream))) => self.speak(stream, address).await,
                    Ok(Ok(None)) => {}
                    Ok(Err(error)) => tracing::debug!(%address, kind = %error.kind(), "tls handshake failed"),
                    Err(_) => tracing::debug!(%address, "tls handshake took too long"),
                }
            }
        }
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        socket: S,
        address: SocketAddr,
    ) {
        let peer = Arc::new(Peer {
            address,
            known: AtomicBool::new(false),
            cut: self.door.cut.child_token(),
            requests: AtomicU64::new(0),
            open: AtomicU64::new(0),
        });
        let limits = &self.door.settings.limits;
        let rests = Rests::of(&self.door);
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            peer.requests.fetch_add(1, Relaxed);
            Counts::add(&self.door.settings.counts.requests);
            request.extensions_mut().insert(peer.clone());
            let refusal = strict::refusal(&request);
            let request = Whole::of(request, &rests);
            let router = self.router.clone();
            async move {
                if let Some(problem) = refusal {
                    let mut response = problem.into_response();
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    return Ok(response);
                }
                let Ok(response) = router.oneshot(request).await;
                Ok::<_, Infallible>(response)
            }
        });
        let builder = protocol(limits);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
        let mut stopping = false;
        let mut idle = Idle::default();
        let mut next_look = Instant::now() + limits.idle_max / 2;
        loop {
            tokio::select! {
                _ = connection.as_mut() => break,
                () = peer.cut.cancelled() => break,
                () = self.door.stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(next_look) => {
                    next_look += limits.idle_max / 2;
                    match idle.looks(&peer) {
                        0 | 1 => {}
                        2 => connection.as_mut().graceful_shutdown(),
                        _ => break,
                    }
                }
            }
        }
    }
}

fn protocol(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_max)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams_max)
        .max_pending_accept_reset_streams(H2_RESETS_PENDING_MAX)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(BUFFER_BYTES_MAX)
        .keep_alive_interval(limits.idle_max)
        .keep_alive_timeout(limits.handshake_max);
    builder
}

/// Counts looks at a connection that found it without a request, open or new. Covers what the protocol's own
/// timers do not: a first byte that never comes, an idle HTTP/2 connection, an answer nobody reads.
#[derive(Debug, Default)]
struct Idle {
    requests_before: u64,
    looks: u32,
}

impl Idle {
    fn looks(&mut self, peer: &Peer) -> u32 {
        let requests = peer.requests.load(Relaxed);
        if peer.open.load(Relaxed) > 0 || requests != self.requests_before {
            self.looks = 0;
        } else {
            self.looks += 1;
        }
        self.requests_before = requests;
        self.looks
    }
}
