//! The HTTP door: `POST /v1/jobs` and the small pages beside it, over TCP or TLS, HTTP/1.1 and HTTP/2.
//!
//! A stream request is full duplex: results are written while jobs are still being read, and a job is read only
//! when the house has room for it and its result has room in the request's bounded queue. A client that sends
//! everything before it reads anything is therefore held back by flow control as soon as its results fill the
//! queue and the sockets between; when it has taken nothing for [`Limits::stall_max`] the request is ended. Read
//! results while writing jobs, or keep requests small.
//!
//! Long-lived tasks: the accept loop waits on the listener; one task a connection waits on its socket; one reader
//! and one stall watch a stream request; one task a job waits on its outcome, whatever becomes of the client.

mod answer;
mod auth;
mod body;
mod connection;
mod cursor;
mod cut;
mod events;
mod jobs_route;
pub mod ledger;
mod openapi;
mod packed;
mod plain;
mod problem;
mod query;
mod receipt;
mod records;
mod rest;
mod result_line;
mod results;
mod routes;
mod single;
mod slots;
mod stall;
mod stream;
mod strict;
mod swelling;

#[cfg(test)]
mod tests;

use super::door::House;
use super::quota::Quotas;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// How connections are protected.
#[derive(Clone)]
pub enum DoorTls {
    /// Plain TCP: the caller allows it on loopback only.
    None,
    /// TLS from the first byte. Asked for each connection, so a renewed certificate is used at once. The caller
    /// sets ALPN (`h2`, `http/1.1`, `http/1.0`).
    Implicit(Arc<dyn Fn() -> TlsAcceptor + Send + Sync>),
}

/// What one door is made of.
#[derive(Clone)]
pub struct Settings {
    pub house: House,
    /// Only addresses under these are tokens.
    pub token_domains: Arc<[String]>,
    pub quotas: Arc<Quotas>,
    pub limits: Limits,
    pub ready: Arc<dyn Fn() -> Ready + Send + Sync>,
    /// The text of `/metrics`, in the OpenMetrics format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub counts: Arc<Counts>,
    /// What became of jobs; `None` on a relay that keeps nothing.
    pub ledger: Option<Arc<dyn ledger::Ledger>>,
}

/// Whether the house can take jobs. `problems` hold names of parts and causes, no values.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Ready {
    pub ok: bool,
    pub problems: Vec<String>,
}

/// Every bound of the door.
#[derive(Debug, Clone)]
pub struct Limits {
    /// More are answered 503 (plain) or closed (TLS) at once.
    pub connections_max: usize,
    /// Concurrent requests on one HTTP/2 connection.
    pub h2_streams_max: u32,
    /// Longest job, as a line of a stream or as a whole body, after decompression.
    pub job_line_bytes_max: usize,
    /// Jobs in flight and results not yet taken by the client, together, in one stream request.
    pub stream_jobs_max: usize,
    /// A request head has to be complete within this; also how long an idle HTTP/1.1 connection is kept.
    pub header_read_max: Duration,
    pub handshake_max: Duration,
    /// A connection without an open request is closed after one to one and a half times this.
    pub idle_max: Duration,
    /// A single job's body has to be complete within this.
    pub body_read_max: Duration,
    /// What is left of a body behind an early answer is read for so long.
    pub rest_max: Duration,
    /// And no longer once nothing of it came for so long, or the door has been closing for so long.
    pub rest_silence_max: Duration,
    /// Events, or results, in one page.
    pub page_max: usize,
    /// Pages of results that are open at once for one engine at this door.
    pub result_pages_max: usize,
    /// A request for events, or results, may wait for the first one so long.
    pub event_wait_max: Duration,
    /// Requests of one engine that wait for events at this door.
    pub event_streams_max: usize,
    /// How often such a request looks for new ones.
    pub events_poll: Duration,
    /// An event stream without events says so often that it is still there.
    pub event_heartbeat: Duration,
    /// A client that takes none of its waiting results for so long loses its request.
    pub stall_max: Duration,
    /// A single job waits so long for room in the house, then 503.
    pub gate_wait_max: Duration,
    /// A streamed job waits so long for its engine's rate, then `over-quota`.
    pub quota_wait_max: Duration,
    /// After shutdown: how long open requests may take to finish.
    pub drain_max: Duration,
    /// Different wrong keys of one source within [`Limits::wrong_keys_window`] before it is locked out, but for engines that it
    /// has shown the right key of; ten times as many lock those out too.
    pub wrong_keys_max: u32,
    pub wrong_keys_window: Duration,
    /// A wrong key is answered no sooner than this.
    pub wrong_key_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            h2_streams_max: 32,
            job_line_bytes_max: 1024 * 1024,
            stream_jobs_max: 1024,
            header_read_max: Duration::from_secs(15),
            handshake_max: Duration::from_secs(10),
            idle_max: Duration::from_secs(60),
            body_read_max: Duration::from_secs(30),
            rest_max: Duration::from_secs(30),
            rest_silence_max: Duration::from_secs(5),
            page_max: 5000,
            result_pages_max: 4,
            event_wait_max: Duration::from_secs(60),
            event_streams_max: 4,
            events_poll: Duration::from_millis(250),
            event_heartbeat: Duration::from_secs(15),
            stall_max: Duration::from_secs(60),
            gate_wait_max: Duration::from_secs(10),
            quota_wait_max: Duration::from_secs(5),
            drain_max: Duration::from_secs(30),
            wrong_keys_max: 10,
            wrong_keys_window: Duration::from_secs(60),
            wrong_key_delay: Duration::from_millis(200),
        }
    }
}

/// What the door counts, for the metrics page. All but the first only grow.
#[derive(Debug, Default)]
pub struct Counts {
    pub connections_open: AtomicU64,
    pub connections_refused: AtomicU64,
    pub requests: AtomicU64,
    pub keys_refused: AtomicU64,
    pub jobs_taken: AtomicU64,
    pub jobs_refused: AtomicU64,
    /// Settled, but the client had gone.
    pub results_undelivered: AtomicU64,
    pub streams_stalled: AtomicU64,
}

impl Counts {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }
}

impl fmt::Debug for DoorTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Implicit(_) => "Implicit",
        })
    }
}

/// Serves until `shutdown`, then takes no more jobs, lets open requests finish within [`Limits::drain_max`] and
/// returns. Jobs already taken are settled by then, or go on in tasks of their own.
pub async fn serve(
    listener: TcpListener,
    tls: DoorTls,
    settings: Settings,
    shutdown: impl Future<Output = ()> + Send,
) {
    connection::serve(listener, tls, Arc::new(settings), shutdown).await;
}
