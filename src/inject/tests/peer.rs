//! A target whose every answer a test decides, with the habits of real ones: what it does with input that comes early,
//! with chunks it refuses, and with more than it wants.

use super::*;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One command as the peer sees it.
pub(super) struct Ask<'a> {
    /// Counted from 0.
    pub session: usize,
    /// CONNECT, AUTH, RSET, MAIL, RCPT, DATA, BDAT, QUIT; `.` for the final dot and the last chunk.
    pub verb: &'a str,
    /// The recipient of the transaction, or of this RCPT.
    pub recipient: &'a str,
    /// The whole line.
    pub line: &'a str,
    /// MAIL commands of the session so far, this one included.
    pub mails: usize,
    /// Messages the session has taken.
    pub taken: usize,
    /// It came before the answer to the final dot was given.
    pub is_early: bool,
    /// RCPT without MAIL.
    pub is_out_of_turn: bool,
}

/// What the peer does instead of the usual.
pub(super) enum Say {
    Usual,
    Text(String),
    TextAndClose(String),
    /// It closes only after a while.
    TextAndCloseLate(String, std::time::Duration),
    /// Without a word.
    Close,
    /// With input unread: the connection is reset, and what was not sent yet is lost.
    Reset,
    /// The usual, to QUIT, after a while.
    After(std::time::Duration),
    /// The usual, and whatever has come behind it is thrown away.
    Flush,
    /// This, to BDAT, and the chunk is taken for commands.
    ChunkUnread(String),
}

pub(super) fn text(text: impl Into<String>) -> Say {
    Say::Text(text.into())
}

type Manners = dyn Fn(&Ask<'_>) -> Say + Send + Sync;

/// What the peer has seen.
#[derive(Default)]
pub(super) struct Seen {
    pub sessions: usize,
    /// Connections that are open, and the most that were at once.
    pub open: usize,
    pub open_most: usize,
    /// Recipient -> how often a message for them was answered 2xx.
    pub taken: BTreeMap<String, usize>,
    /// Recipient -> 5xx answers to RCPT or content.
    pub refused: BTreeMap<String, usize>,
    pub mails: usize,
    pub quits: usize,
}

pub(super) struct Peer {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// `offers` by session, in lines of EHLO without the first.
    pub async fn start(
        offers: impl Fn(usize) -> &'static [&'static str] + Send + 'static,
        manners: impl Fn(&Ask<'_>) -> Say + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Seen>>::default();
        let manners: Arc<Manners> = Arc::new(manners);
        let seen_there = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let mut seen = seen_there.lock().unwrap();
                let session = seen.sessions;
                seen.sessions += 1;
                seen.open += 1;
                seen.open_most = seen.open_most.max(seen.open);
                drop(seen);
                let talk = Talk::new(socket, session, (manners.clone(), seen_there.clone()));
                let (hold, seen_behind) = (talk.hold(offers(session)), seen_there.clone());
                tokio::spawn(async move {
                    hold.await;
                    seen_behind.lock().unwrap().open -= 1;
                });
            }
        });
        Self { port, seen, task }
    }

    pub fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub fn settings(&self, name: &str) -> TargetSettings {
        TargetSettings { tls: TlsMode::None, ..TargetSettings::new(name, "127.0.0.1", self.port) }
    }
}

struct Talk {
    socket: TcpStream,
    session: usize,
    manners: Arc<Manners>,
    seen: Arc<Mutex<Seen>>,
    heard: Vec<u8>,
    says: Vec<u8>,
    /// Bytes of what was heard that came before the answer to a dot.
    early: usize,
    has_sender: bool,
    recipient: String,
    mails: usize,
    taken: usize,
    resets: bool,
    closes_late: std::time::Duration,
}

/// Whether the conversation goes on.
type Goes = Option<()>;

impl Talk {
    fn new(socket: TcpStream, session: usize, shared: (Arc<Manners>, Arc<Mutex<Seen>>)) -> Self {
        let (manners, seen) = shared;
        let (heard, says) = (Vec::with_capacity(64 * 1024), Vec::new());
        let recipient = String::new();
        Self {
            socket,
            session,
            manners,
            seen,
            heard,
            says,
            early: 0,
            has_sender: false,
            recipient,
            mails: 0,
            taken: 0,
            resets: false,
            closes_late: std::time::Duration::ZERO,
        }
    }

    async fn hold(mut self, offers: &[&str]) {
        let said = self.ask("CONNECT", "");
        if self.say(said, "220 peer.test").1.is_some() {
            while self.step(offers).await.is_some() {}
        }
        if self.resets {
            self.socket.set_zero_linger().unwrap();
            return;
        }
        let _ = self.socket.write_all(&self.says).await;
        tokio::time::sleep(self.closes_late).await;
        let _ = self.socket.shutdown().await;
        // Unread input would turn the end into a reset, which takes the last answers with it.
        let mut rest = Vec::new();
        let _ = self.socket.read_to_end(&mut rest).await;
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.heard) {
                let line: Vec<u8> = self.take(end + 1);
                return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            self.more().await?;
        }
    }

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        self.early = self.early.saturating_sub(bytes);
        self.heard.drain(..bytes).collect()
    }

    /// Says what there is to say when nothing is left to read, like most servers.
    async fn more(&mut self) -> Goes {
        self.socket.write_all(&self.says).await.ok()?;
        self.says.clear();
        let bytes = self.socket.read_buf(&mut self.heard).await.ok()?;
        (bytes > 0).then_some(())
    }

    fn ask(&self, verb: &str, line: &str) -> Say {
        let Self { session, mails, taken, recipient, .. } = self;
        let (session, mails, taken, is_early) = (*session, *mails, *taken, self.early > 0);
        let is_out_of_turn = verb == "RCPT" && !self.has_sender;
        (self.manners)(&Ask { session, verb, recipient, line, mails, taken, is_early, is_out_of_turn })
    }

    fn say(&mut self, said: Say, usual: &str) -> (u16, Goes) {
        let (said, goes) = match said {
            Say::Usual | Say::After(_) => (usual.to_owned(), Some(())),
            Say::Flush => {
                self.heard.clear();
                self.early = 0;
                (usual.to_owned(), Some(()))
            }
            Say::Text(text) | Say::ChunkUnread(text) => (text, Some(())),
            Say::TextAndClose(text) => (text, None),
            Say::TextAndCloseLate(text, late) => {
                self.closes_late = late;
                (text, None)
            }
            Say::Close => return (0, None),
            Say::Reset => {
                self.resets = true;
                return (0, None);
            }
        };
        self.says.extend_from_slice(said.as_bytes());
        self.says.extend_from_slice(b"\r\n");
        (said[..3].parse().unwrap(), goes)
    }

    async fn step(&mut self, offers: &[&str]) -> Goes {
        let line = self.line().await?;
        let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
        match verb.as_str() {
            "EHLO" => {
                let lines: Vec<&str> = [&["peer.test"], offers].concat();
                let last = lines.len() - 1;
                for (at, line) in lines.iter().enumerate() {
                    let mark = if at == last { ' ' } else { '-' };
                    self.says.extend_from_slice(format!("250{mark}{line}\r\n").as_bytes());
                }
                Some(())
            }
            "MAIL" => {
                self.mails += 1;
                self.seen.lock().unwrap().mails += 1;
                let usual = if self.has_sender { "503 5.5.1 nested MAIL" } else { "250 2.1.0 ok" };
                let said = self.ask("MAIL", &line);
                let (code, goes) = self.say(said, usual);
                self.has_sender |= code == 250;
                goes
            }
            "RCPT" => self.step_recipient(&line),
            "RSET" => {
                let said = self.ask("RSET", &line);
                let (code, goes) = self.say(said, "250 2.0.0 forgotten");
                if code == 250 {
                    self.forget();
                }
                goes
            }
            "AUTH" => {
                let said = self.ask("AUTH", &line);
                self.say(said, "235 2.7.0 welcome").1
            }
            "DATA" => self.step_data(&line).await,
            "BDAT" => self.step_chunk(&line).await,
            "QUIT" => {
                let said = match self.ask("QUIT", &line) {
                    late @ Say::TextAndCloseLate(..) => late,
                    Say::After(pause) => {
                        tokio::time::sleep(pause).await;
                        Say::TextAndClose("221 2.0.0 bye".into())
                    }
                    _ => Say::TextAndClose("221 2.0.0 bye".into()),
                };
                self.seen.lock().unwrap().quits += 1;
                self.say(said, "").1
            }
            _ => self.say(text("500 5.5.2 what?"), "").1,
        }
    }

    fn step_recipient(&mut self, line: &str) -> Goes {
        let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let before = std::mem::replace(&mut self.recipient, address);
        let said = self.ask("RCPT", line);
        let usual = if self.has_sender { "250 2.1.5 ok" } else { "503 5.5.1 MAIL first" };
        let (code, goes) = self.say(said, usual);
        let address = self.recipient.clone();
        if !(200..300).contains(&code) {
            self.recipient = before;
        }
        if code >= 500 {
            *self.seen.lock().unwrap().refused.entry(address).or_default() += 1;
        }
        goes
    }

    async fn step_data(&mut self, line: &str) -> Goes {
        let usual = if self.recipient.is_empty() { "503 5.5.1 no valid recipients" } else { "354 go" };
        let said = self.ask("DATA", line);
        let (code, goes) = self.say(said, usual);
        goes?;
        if code != 354 {
            return Some(());
        }
        loop {
            if let Some(at) = memchr::memmem::find(&self.heard, b"\r\n.\r\n") {
                self.take(at + 5);
                break;
            }
            if self.heard.starts_with(b".\r\n") {
                self.take(3);
                break;
            }
            self.more().await?;
        }
        self.early = self.heard.len();
        self.finish()
    }

    async fn step_chunk(&mut self, line: &str) -> Goes {
        let bytes: usize = line.split(' ').nth(1).and_then(|bytes| bytes.parse().ok()).unwrap();
        if let Say::ChunkUnread(said) = self.ask("BDAT", line) {
            return self.say(text(said), "").1;
        }
        while self.heard.len() < bytes {
            self.more().await?;
        }
        self.take(bytes);
        self.early = self.heard.len();
        self.finish()
    }

    fn finish(&mut self) -> Goes {
        let has_recipient = self.has_sender && !self.recipient.is_empty();
        let usual = if has_recipient { "250 2.0.0 taken" } else { "503 5.5.1 no valid recipients" };
        let said = self.ask(".", "");
        let (code, goes) = self.say(said, usual);
        let mut seen = self.seen.lock().unwrap();
        if code == 250 {
            *seen.taken.entry(self.recipient.clone()).or_default() += 1;
            self.taken += 1;
        } else if code >= 500 && has_recipient {
            *seen.refused.entry(self.recipient.clone()).or_default() += 1;
        }
        drop(seen);
        self.forget();
        goes
    }

    fn forget(&mut self) {
        self.has_sender = false;
        self.recipient.clear();
    }
}
