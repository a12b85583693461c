//! Lets clients in: one task a connection, so many at a time, so many from one source.

use crate::accept::door::House;
use crate::accept::notices::Notices;
use crate::accept::quota::{Allowance, Spent};
use crate::accept::smtp::connection;
use crate::accept::smtp::guesses::Guesses;
use crate::accept::smtp::passage::Passage;
use crate::accept::smtp::session::{Notice, Policy, Protocol};
use crate::accept::smtp::sources::{Admission, Source, Sources, TooMuch};
use crate::accept::smtp::{DoorTls, Settings};
use crate::engine::Engine;
use std::future::Future;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Waited after a failed accept (out of file descriptors, for one), so the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where clients of a door come in.
#[derive(Debug)]
pub enum DoorListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A client that has just come in.
enum Visitor {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What every connection of one door shares.
#[derive(Debug)]
pub(super) struct Door {
    pub settings: Settings,
    pub policy: Arc<Policy>,
    pub house: House,
    pub guesses: Guesses,
    pub notices: Notices<(Source, Notice)>,
    /// Connections and, apart from them, jobs: a job goes on when its client has gone.
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
    sources: Arc<Sources>,
    places: Arc<Semaphore>,
}

/// The right to be connected; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    admission: Admission,
}

/// Serves the door until `shutdown` resolves, then lets sessions and jobs end for `drain_max`. Clients that wait
/// between commands are sent away at once; a message whose content has begun is still taken and answered.
pub async fn serve(
    listener: impl Into<DoorListener>,
    settings: Settings,
    house: House,
    shutdown: impl Future<Output = ()>,
) {
    let listener = listener.into();
    let door = Arc::new(Door::new(settings, house));
    tokio::select! {
        () = accept_all(&listener, &door) => {}
        () = shutdown => {}
    }
    drop(listener);
    door.stop.cancel();
    door.tasks.close();
    let drained = tokio::time::timeout(door.settings.limits.drain_max, door.tasks.wait()).await;
    if drained.is_err() {
        tracing::warn!(tasks = door.tasks.len(), "SMTP door closed before all its sessions had ended");
    }
}

/// Cancel-safe: a connection is either with the listener or has its task.
async fn accept_all(listener: &DoorListener, door: &Arc<Door>) {
    loop {
        match listener.accept().await {
            Ok((visitor, peer)) => let_in(door, visitor, peer),
            Err(fault) => {
                tracing::warn!(%fault, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn let_in(door: &Arc<Door>, visitor: Visitor, source: Source) {
    match (door.place(source), visitor) {
        (Ok(place), Visitor::Tcp(stream)) => {
            // Replies are small and awaited: Nagle's algorithm would only delay them.
            let _ = stream.set_nodelay(true);
            attend(door, stream, (source, place));
        }
        (Ok(place), Visitor::Unix(stream)) => attend(door, stream, (source, place)),
        (Err(refusal), visitor) => {
            tracing::debug!(%source, refusal, "connection refused");
            // A client of implicit TLS would not understand it.
            if !matches!(door.settings.tls, DoorTls::Implicit(_)) {
                visitor.turn_away(refusal);
            }
        }
    }
}

fn attend<S>(door: &Arc<Door>, stream: S, (source, place): (Source, Place))
where
    S: Passage + AsyncWrite + Send + 'static,
{
    // In a box of its own: a task is aligned to 128 octets, and the system's allocator does not use the hole that a
    // large aligned block leaves for the next one of its size, so connections that come and go would take ever
    // more memory.
    let session = Box::pin(connection::run(door.clone(), stream, (source, place)));
    door.tasks.spawn(session);
}

impl DoorListener {
    /// The next client and where it comes from.
    async fn accept(&self) -> io::Result<(Visitor, Source)> {
        match self {
            Self::Tcp(listener) => {
                listener.accept().await.map(|(stream, peer)| (Visitor::Tcp(stream), peer.ip().into()))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let source = stream.peer_cred().map_or(Source::MACHINE, |user| Source::User(user.uid()));
                Ok((Visitor::Unix(stream), source))
            }
        }
    }
}

impl From<TcpListener> for DoorListener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixListener> for DoorListener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

impl Visitor {
    /// Best effort and without waiting.
    fn turn_away(self, refusal: &str) {
        let _ = match self {
            Self::Tcp(stream) => stream.into_std().and_then(|mut stream| stream.write(refusal.as_bytes())),
            Self::Unix(stream) => stream.into_std().and_then(|mut stream| stream.write(refusal.as_bytes())),
        };
    }
}

impl Place {
    /// What all connections of this source used.
    pub fn spent(&self) -> &Spent {
        &self.admission.spent
    }
}

impl Door {
    pub fn new(settings: Settings, house: House) -> Self {
        let limits = &settings.limits;
        let policy = Policy {
            host_name: settings.host_name.clone(),
            protocol: settings.protocol,
            recipients_max: match settings.protocol {
                Protocol::Smtp if !house.may_hold() => 1,
                Protocol::Smtp | Protocol::Lmtp => limits.recipients_per_transaction_max,
            },
            token_domains: settings.token_domains.clone(),
            message_bytes_max: limits.message_bytes_max,
            errors_max: limits.errors_max,
            messages_max: limits.messages_per_connection_max,
            commands_per_message_max: limits.commands_per_message_max,
        };
        Self {
            policy: Arc::new(policy),
            house,
            guesses: Guesses::new(limits.guesses.clone()),
            notices: Notices::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            sources: Arc::new(Sources::new(limits.connections_per_source_max)),
            places: Arc::new(Semaphore::new(limits.connections_max)),
            settings,
        }
    }

    /// How long a client may be waited for: a quarter of the usual when less than a quarter of the places is
    /// free, so that clients that only hold a place make room for those that use it.
    pub fn patience(&self, usual: Duration) -> Duration {
        if self.is_crowded() { usual / 4 } else { usual }
    }

    /// How much of something one connection may use up, by the same rule.
    pub fn share(&self, usual: u64) -> u64 {
        if self.is_crowded() { (usual / 4).max(1) } else { usual }
    }

    /// How much one source may use in a minute, by the same rule.
    pub fn allowance(&self) -> Allowance {
        let limits = &self.settings.limits;
        let usual = Allowance {
            messages: limits.messages_per_source_per_minute_max,
            octets: limits.octets_per_source_per_minute_max,
        };
        if self.is_crowded() { usual.quarter() } else { usual }
    }

    fn is_crowded(&self) -> bool {
        self.places.available_permits() < self.settings.limits.connections_max / 4
    }

    /// The engine this door belongs to, as it is configured now.
    pub fn resident(&self) -> Option<Arc<Engine>> {
        self.house.engines().by_name(self.settings.engine.as_deref()?)
    }

    pub fn place(&self, source: Source) -> Result<Place, &'static str> {
        if matches!(self.settings.tls, DoorTls::None) && !source.is_local() {
            return Err("554 5.7.0 this door serves its own machine only\r\n");
        }
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| "421 4.3.2 too many connections; try again later\r\n")?;
        let admission = self.sources.admit(source, self.allowance()).map_err(|too_much| match too_much {
            TooMuch::Connections => "421 4.7.0 too many connections from your address\r\n",
            TooMuch::Use => {
                "421 4.7.1 enough octets or messages from your address for now; connect later\r\n"
            }
        })?;
        Ok(Place { _place: place, admission })
    }
}
