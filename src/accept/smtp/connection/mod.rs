//! Carries out what the session decides on one connection: reads, writes, encrypts, waits, and never longer
//! than the limits say.

mod content;
mod login;
mod submit;

use crate::accept::smtp::DoorTls;
use crate::accept::smtp::inbox::Inbox;
use crate::accept::smtp::incoming::{Framing, Incoming, Received};
use crate::accept::smtp::passage::Passage;
use crate::accept::smtp::serve::{Door, Place};
use crate::accept::smtp::session::{Act, Channel, Event, Notice, Session, Step};
use crate::accept::smtp::sources::Source;
use crate::fault::{Fault, Reason};
use crate::patience::{self, Patience};
use crate::tls::{self, ServerStream};
use crate::wire::line::{Framed, LineFramer, LineKind};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

/// Replies held back while a client pipelines.
const OUTBOX_OCTETS_MAX: usize = 8 * 1024;
/// What a client that is sent away may still send before it notices, so that it can read its last reply.
const LINGER_OCTETS_MAX: usize = 1024 * 1024;
const LINGER_MAX: Duration = Duration::from_secs(1);

/// How talking on one stream ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The session is over; the stream may be closed.
    Closed,
    /// The client went away, or took no reply in time.
    Gone,
    Encrypt,
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// One client, from its first octet to its last.
pub(super) async fn run<S>(door: Arc<Door>, mut stream: S, (source, place): (Source, Place))
where
    S: Passage + AsyncWrite,
{
    let channel = match door.settings.tls {
        DoorTls::None => Channel::Local,
        DoorTls::StartTls(_) => Channel::Clear,
        DoorTls::Implicit(_) => Channel::Encrypted,
    };
    let mut conversation = Conversation::new(door.clone(), (source, place), channel);
    match &door.settings.tls {
        DoorTls::Implicit(acceptor) => {
            let handshake = tls::accept(acceptor().config().clone(), stream);
            let Some(mut stream) = conversation.encrypt(handshake).await else { return };
            conversation.recognise(&stream);
            conversation.converse(&mut stream, Event::Connected).await;
        }
        DoorTls::StartTls(acceptor) => {
            let ended = conversation.converse(&mut stream, Event::Connected).await;
            if ended == Ended::Encrypt {
                let handshake = tls::accept(acceptor().config().clone(), stream);
                let Some(mut stream) = conversation.encrypt(handshake).await else { return };
                conversation.recognise(&stream);
                conversation.converse(&mut stream, Event::Encrypted).await;
            }
        }
        DoorTls::None => {
            conversation.converse(&mut stream, Event::Connected).await;
        }
    }
    let messages = conversation.session.messages();
    tracing::debug!(%source, messages, "connection ended");
}

pub(super) struct Conversation {
    door: Arc<Door>,
    session: Session,
    source: Source,
    place: Place,
    /// Messages and octets that the source has been charged with.
    charged: (u32, u64),
    inbox: Inbox,
    outbox: Vec<u8>,
    lines: LineFramer,
    incoming: Option<Incoming>,
    received: Option<Received>,
    began: Instant,
    patience: Patience,
}

impl Conversation {
    pub(super) fn new(door: Arc<Door>, (source, place): (Source, Place), channel: Channel) -> Self {
        let mut session = Session::new(door.policy.clone(), channel);
        session.recognise(door.resident());
        Self {
            door,
            session,
            source,
            place,
            charged: (0, 0),
            inbox: Inbox::default(),
            outbox: Vec::new(),
            lines: LineFramer::default(),
            incoming: None,
            received: None,
            began: Instant::now(),
            patience: Patience::default(),
        }
    }

    /// The engine whose certificate this is; the handshake has verified it.
    fn recognise<S>(&mut self, stream: &ServerStream<S>) {
        let shown = stream.peer_certificates().and_then(<[_]>::first);
        let Some(certificate) = shown else { return };
        match self.door.house.engines().by_certificate(&tls::names_of(certificate)) {
            Some(engine) => {
                tracing::debug!(source = %self.source, engine = %engine.name, "engine shown by its certificate");
                self.session.recognise(Some(engine));
            }
            None => tracing::info!(source = %self.source, "a client certificate belongs to no engine"),
        }
    }

    async fn encrypt<T>(&self, handshake: impl Future<Output = io::Result<T>>) -> Option<T> {
        match timeout(self.door.settings.limits.handshake_max, handshake).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(fault)) => {
                tracing::debug!(source = %self.source, %fault, "TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!(source = %self.source, "TLS handshake took too long");
                None
            }
        }
    }

    /// Talks until the session ends or wants another stream.
    pub(super) async fn converse<S>(&mut self, stream: &mut S, first: Event<'_>) -> Ended
    where
        S: Passage + AsyncWrite,
    {
        let mut step = self.session.handle(first);
        let ended = loop {
            match self.carry_out(step, stream).await {
                Ok(next) => step = next,
                Err(ended) => break ended,
            }
        };
        if ended == Ended::Closed {
            self.linger(stream).await;
        }
        ended
    }

    /// Sends the reply, does the one thing, and asks the session what follows from it.
    async fn carry_out<S>(&mut self, step: Step, stream: &mut S) -> Result<Step, Ended>
    where
        S: Passage + AsyncWrite,
    {
        if let Some(notice) = step.notice {
            self.tell(notice);
        }
        for reply in step.reply.iter().chain(&step.more) {
            reply.write_to(&mut self.outbox);
            if self.outbox.len() > OUTBOX_OCTETS_MAX {
                self.flush(stream).await?;
            }
        }
        if !self.session.is_within_message() {
            self.incoming = None;
        }
        match step.act {
            Act::ReadLine(kind) => self.read_line(kind, stream).await,
            Act::Encrypt => {
                self.flush(stream).await?;
                Err(Ended::Encrypt)
            }
            Act::CheckPassword(credentials) => {
                let login = self.check(&credentials).await;
                Ok(self.session.handle(Event::PasswordChecked(login)))
            }
            Act::FindToken(token) => {
                let look_up = self.door.house.known(token, self.session.engine().map(|engine| &**engine));
                let limit = self.door.settings.limits.lookup_max;
                let found = patience::until(|| Instant::now() + limit, look_up).await;
                let found = found.unwrap_or_else(|_| Err(too_slow_to_know()));
                Ok(self.session.handle(Event::TokenChecked(found)))
            }
            Act::ReadContent { declared } => {
                self.incoming = Some(self.begin_message(declared));
                self.read_content(Framing::Dot, true, stream).await
            }
            Act::SkipContent => {
                self.incoming = Some(Incoming::unwanted(self.door.settings.limits.message_bytes_max));
                self.read_content(Framing::Dot, true, stream).await
            }
            Act::ReadChunk { octets, is_last } => {
                let mut incoming = self.incoming.take().unwrap_or_else(|| self.begin_message(None));
                incoming.begin_chunk(octets);
                self.incoming = Some(incoming);
                self.read_content(Framing::Chunk, is_last, stream).await
            }
            Act::SkipChunk { octets } => self.skip(octets, stream).await,
            Act::Submit(envelope) => {
                self.flush(stream).await?;
                Ok(self.submit(envelope).await)
            }
            Act::Close => {
                self.flush(stream).await?;
                Err(Ended::Closed)
            }
        }
    }

    async fn read_line<S>(&mut self, kind: LineKind, stream: &mut S) -> Result<Step, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limits = &self.door.settings.limits;
        let (line_max, idle_max) = (limits.line_max, self.door.patience(limits.idle_max));
        let session_end = match self.session.engine() {
            None => self.began + self.door.patience(limits.login_max),
            Some(_) => self.began + limits.connection_age_max,
        };
        if self.is_used_up() {
            return Ok(self.session.handle(Event::UsedUp));
        }
        if !self.charge() {
            return Ok(self.session.handle(Event::SourceUsedUp));
        }
        let mut line_end = None;
        loop {
            match self.lines.frame(self.inbox.unused(), kind) {
                Ok(Framed::Line { length }) => {
                    let unwanted = self.unwanted();
                    return Ok(unwanted.unwrap_or_else(|| self.take_line(length, kind)));
                }
                Ok(Framed::NeedMore) => {}
                Err(fault) => return Ok(self.session.handle(Event::BadLine(fault))),
            }
            // What a client does not read yet is no reason to wait less for what it says behind it.
            self.flush(stream).await?;
            let now = Instant::now();
            if now >= session_end {
                return Ok(self.session.handle(Event::TooOld));
            }
            if !self.inbox.is_empty() && line_end.is_none() {
                line_end = Some(now + line_max);
            }
            let deadline = line_end.unwrap_or(now + idle_max).min(session_end);
            // Cancel-safe: `fill` reads whole or not at all.
            let filled = tokio::select! {
                biased;
                () = self.door.stop.cancelled() => return Ok(self.session.handle(Event::ShuttingDown)),
                filled = self.patience.until(|| deadline, self.inbox.fill(stream)) => filled,
            };
            match filled {
                Ok(Ok(0)) | Ok(Err(_)) => return Err(Ended::Gone),
                Ok(Ok(_)) => {}
                Err(_) if Instant::now() >= session_end => return Ok(self.session.handle(Event::TooOld)),
                Err(_) => return Ok(self.session.handle(Event::TimedOut)),
            }
        }
    }

    /// Why no command is taken any more. A message that was begun may go on: at its end it is asked anew who submits it.
    fn unwanted(&mut self) -> Option<Step> {
        if !self.session.is_between_messages() {
            return None;
        }
        if self.door.stop.is_cancelled() {
            return Some(self.session.handle(Event::ShuttingDown));
        }
        let is_known = |engine| self.door.house.engines().still_know(engine);
        let is_disowned = self.session.engine().is_some_and(|engine| !is_known(engine));
        is_disowned.then(|| self.session.handle(Event::Disowned))
    }

    /// Octets count at every line, messages only between two of them.
    fn is_used_up(&self) -> bool {
        let limits = &self.door.settings.limits;
        let messages = u64::from(self.session.messages());
        self.inbox.received() >= self.door.share(limits.octets_per_connection_max)
            || self.session.is_idle()
                && messages >= self.door.share(limits.messages_per_connection_max.into())
    }

    /// Charges the source with what came since the last time; `false` when it is out of its allowance and no
    /// transaction is open, since what has begun is taken.
    fn charge(&mut self) -> bool {
        let now = (self.session.messages(), self.inbox.received());
        if now == self.charged {
            return true;
        }
        let (messages, octets) = (now.0 - self.charged.0, now.1 - self.charged.1);
        self.charged = now;
        let is_within = self.place.spent().add(messages.into(), octets, self.door.allowance());
        is_within || !self.session.is_between_messages()
    }

    fn take_line(&mut self, length: usize, kind: LineKind) -> Step {
        let unused = self.inbox.unused();
        let line = &unused[..length];
        let is_pipelined = unused.len() > length + 2;
        let is_secret =
            kind == LineKind::Sasl || line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH"));
        let step = self.session.handle(Event::Line { line, is_pipelined });
        if is_secret {
            self.inbox.consume_secret(length + 2);
        } else {
            self.inbox.consume(length + 2);
        }
        step
    }

    /// One line a source, cause and minute. The name that was offered is left out: it may be a password in the wrong field.
    fn tell(&self, notice: Notice) {
        let Some(more) = self.door.notices.due((self.source, notice)) else { return };
        let (cause, fix) = notice.words();
        let source = self.source;
        match notice {
            Notice::Login(_) => tracing::warn!(%source, cause, fix, more, "login refused"),
            Notice::Content(_) => tracing::warn!(%source, cause, fix, more, "message refused"),
            Notice::OneRecipient => tracing::warn!(%source, cause, fix, more, "recipients put off"),
            Notice::BareLfTaken => tracing::info!(%source, cause, fix, more, "message mended"),
        }
    }

    async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> Result<(), Ended> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let write = async {
            stream.write_all(&self.outbox).await?;
            stream.flush().await
        };
        let write_max = self.door.settings.limits.write_max;
        self.patience.until(|| Instant::now() + write_max, write).await.map_err(|_| Ended::Gone)??;
        self.outbox.clear();
        Ok(())
    }

    /// Closes so that the last reply arrives: a socket closed with unread octets in it is reset, and what was
    /// on its way to the client is lost.
    async fn linger<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) {
        let drain = async {
            stream.shutdown().await?;
            let mut read = 0;
            while read < LINGER_OCTETS_MAX {
                self.inbox.consume(self.inbox.unused().len());
                match self.inbox.fill(stream).await? {
                    0 => break,
                    octets => read += octets,
                }
            }
            Ok::<(), io::Error>(())
        };
        let _ = timeout(LINGER_MAX, drain).await;
    }
}

impl Drop for Conversation {
    /// What came after the last charge, from a client that went away within content for one.
    fn drop(&mut self) {
        self.charge();
    }
}

fn too_slow_to_know() -> Fault {
    Fault::new(Reason::VaultUnavailable, "the vault did not answer in time; try again later")
}
