//! A test MTA: takes messages as cheaply as it can, counts them, keeps them on request, and misbehaves by script.

mod command;
mod dialogue;
mod proof;
mod record;
mod script;
mod store;

pub use proof::{BadProof, ProofStats, Proofs};
pub use record::Record;
pub use script::{Act, Number, Offers, PROFILES, Profile, Rule, Script, Step, UnknownProfile, When};
pub use store::{SinkStats, SunkEnvelope, SunkMessage};

use dialogue::{Dialogue, Parting};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use store::Store;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

/// rustls reads 4 KiB at a time; through this buffer one system call brings several messages.
const SOCKET_OCTETS: usize = 64 * 1024;

/// How the sink speaks TLS.
#[derive(Clone, Default)]
pub enum SinkTls {
    #[default]
    None,
    StartTls(Arc<rustls::ServerConfig>),
    Implicit(Arc<rustls::ServerConfig>),
}

#[derive(Default)]
pub struct SinkSettings {
    pub tls: SinkTls,
    pub script: Script,
    /// An existing folder: each message as `NNNNNN.eml` with its envelope as `NNNNNN.json`.
    pub dump_dir: Option<PathBuf>,
    /// User and password: MAIL is refused before AUTH.
    pub auth: Option<(String, String)>,
    /// What each recipient should get; every message is held against it, and none is refused for it.
    pub proofs: Option<Proofs>,
    /// Where a line is written for each content that arrives, before its answer.
    pub record: Option<Record>,
    /// Keep every message in memory for [`SinkHandle::messages`].
    pub keep: bool,
}

/// Starts a sink on listeners the caller has bound.
pub struct Sink;

/// A running sink. Dropping it stops it.
pub struct SinkHandle {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    accepting: Vec<tokio::task::JoinHandle<()>>,
    sessions: TaskTracker,
    stop: watch::Sender<bool>,
}

/// What every session of a sink shares.
struct Shared {
    settings: SinkSettings,
    /// The rules that are in force now; what is offered and kept stays as it was at the start.
    rules: watch::Sender<Arc<[Rule]>>,
    store: Store,
    /// How often each step has come up, over all sessions.
    occurrences: [AtomicU64; Step::COUNT],
    /// Content has to be collected, for the store, for an echo or for its proof.
    collects: bool,
    /// Only for its proof: a content that arrived in one piece is looked at where it lies.
    collects_pieces_only: bool,
}

impl Sink {
    /// Accepts on every listener until the handle is stopped or dropped.
    pub fn start(listeners: Vec<TcpListener>, settings: SinkSettings) -> SinkHandle {
        let store = Store::new(settings.keep, settings.dump_dir.clone());
        let keeps = store.wants_content() || settings.script.echoes_content() || settings.record.is_some();
        let collects = keeps || settings.proofs.is_some();
        let shared = Arc::new(Shared {
            rules: watch::Sender::new(settings.script.rules.clone().into()),
            settings,
            store,
            occurrences: Default::default(),
            collects,
            collects_pieces_only: !keeps,
        });
        let (stop, stopped) = watch::channel(false);
        let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let sessions = TaskTracker::new();
        let accept = |listener| accept(listener, shared.clone(), sessions.clone(), stopped.clone());
        let accepting = listeners.into_iter().map(|listener| tokio::spawn(accept(listener))).collect();
        SinkHandle { addresses, shared, accepting, sessions, stop }
    }
}

impl SinkHandle {
    /// The address of the first listener.
    pub fn address(&self) -> Option<SocketAddr> {
        self.addresses.first().copied()
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn stats(&self) -> SinkStats {
        let proofs = self.shared.settings.proofs.as_ref().map(Proofs::stats);
        SinkStats { proofs, ..self.shared.store.tally.read() }
    }

    /// From now on the sink follows these rules, on sessions that are open too.
    pub fn behave(&self, script: Script) {
        self.shared.rules.send_replace(script.rules.into());
    }

    /// What was kept, in the order of arrival; empty unless `keep` was set.
    pub fn messages(&self) -> Vec<SunkMessage> {
        self.shared.store.kept()
    }

    /// Waits until the counters satisfy `enough`.
    pub async fn wait_until(&self, enough: impl Fn(&SinkStats) -> bool) {
        loop {
            let moved = self.shared.store.moved.notified();
            if enough(&self.stats()) {
                return;
            }
            moved.await;
        }
    }

    /// Takes no more connections, cuts those that are open, and waits for their tasks.
    pub async fn stop(mut self) -> SinkStats {
        self.halt();
        for task in self.accepting.drain(..) {
            let _ = task.await;
        }
        self.sessions.wait().await;
        self.stats()
    }

    fn halt(&self) {
        self.stop.send_replace(true);
        self.sessions.close();
        self.accepting.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Drop for SinkHandle {
    fn drop(&mut self) {
        self.halt();
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    sessions: TaskTracker,
    stopped: watch::Receiver<bool>,
) {
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let number = shared.store.tally.sessions.fetch_add(1, Relaxed) + 1;
        let (shared, mut stopped) = (shared.clone(), stopped.clone());
        sessions.spawn(async move {
            let session = Box::pin(serve(tcp, shared, number));
            tokio::select! {
                // What ends a session is the client's business; a sink has nobody to tell.
                _ = session => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
    }
}

async fn serve(tcp: TcpStream, shared: Arc<Shared>, number: u64) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut tcp = BufReader::with_capacity(SOCKET_OCTETS, tcp);
    let mut dialogue = Dialogue::new(shared.clone(), number);
    let config = match &shared.settings.tls {
        SinkTls::Implicit(config) => config.clone(),
        SinkTls::StartTls(_) | SinkTls::None => {
            let parting = dialogue.run(&mut tcp, true).await?;
            match (&shared.settings.tls, parting) {
                (SinkTls::StartTls(config), Parting::StartTls) => config.clone(),
                _ => return tcp.shutdown().await,
            }
        }
    };
    let mut tls = TlsAcceptor::from(config).accept(tcp).await?;
    let is_resumed = tls.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    shared.store.tally.tls_sessions.fetch_add(1, Relaxed);
    shared.store.tally.tls_resumed.fetch_add(u64::from(is_resumed), Relaxed);
    dialogue.enter_tls();
    let greets = matches!(shared.settings.tls, SinkTls::Implicit(_));
    dialogue.run(&mut tls, greets).await?;
    tls.shutdown().await
}
