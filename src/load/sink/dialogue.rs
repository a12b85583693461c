//! The sink's side of one session: every complete command in what was read is answered in one write (RFC 2920).

use super::command::{LINE_OCTETS_MAX, Reach, Verb, chunk, path, reach, verb};
use super::script::{Act, Step};
use super::store::{SunkEnvelope, SunkMessage};
use super::{Shared, SinkTls};
use crate::wire::dot;
use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Several messages of the usual size in one read.
const INCOMING_OCTETS: usize = 64 * 1024;
const OUTGOING_OCTETS: usize = 4 * 1024;

/// How a run of the dialogue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parting {
    Closed,
    /// STARTTLS was agreed on.
    StartTls,
}

enum Mode {
    Command,
    /// Behind 354, until the final dot.
    Content,
    /// Behind BDAT, for so many octets more.
    Chunk {
        left: u64,
        is_last: bool,
    },
    AuthPlain,
    AuthUser,
    AuthPassword {
        user: Vec<u8>,
    },
}

enum Flow {
    Go,
    NeedMore,
    Leave(Parting),
}

/// What a reply came to: its code (0 for none), and whether the connection is closed behind it.
struct Said {
    code: u16,
    closes: bool,
}

impl Said {
    fn is_positive(&self) -> bool {
        (200..400).contains(&self.code)
    }

    fn flow(&self) -> Flow {
        if self.closes { Flow::Leave(Parting::Closed) } else { Flow::Go }
    }
}

/// The transaction so far; its buffers are used again for the next one.
#[derive(Default)]
struct Transaction {
    octets: Vec<u8>,
    sender: Option<Range<usize>>,
    parameters: Range<usize>,
    recipients: Vec<Range<usize>>,
    content: Vec<u8>,
    content_octets: u64,
    is_chunked: bool,
}

impl Transaction {
    fn clear(&mut self) {
        self.octets.clear();
        self.sender = None;
        self.parameters = 0..0;
        self.recipients.clear();
        self.content.clear();
        self.content_octets = 0;
        self.is_chunked = false;
    }

    fn note(&mut self, octets: &[u8]) -> Range<usize> {
        let start = self.octets.len();
        self.octets.extend_from_slice(octets);
        start..self.octets.len()
    }

    fn text(&self, range: &Range<usize>) -> String {
        String::from_utf8_lossy(&self.octets[range.clone()]).into_owned()
    }

    fn plain_content(&self) -> Vec<u8> {
        if self.is_chunked {
            return self.content.clone();
        }
        let mut plain = Vec::with_capacity(self.content.len());
        dot::unstuff(&self.content, &mut plain);
        plain
    }

    fn header(&self, name: &str) -> String {
        let head = String::from_utf8_lossy(&self.content);
        let value = head.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(name));
        value.unwrap_or_default().trim().to_owned()
    }

    /// A scripted reply with what it echoes.
    fn fill_in(&self, text: &str) -> String {
        let address = self.recipients.last().map(|range| self.text(range)).unwrap_or_default();
        let local = address.split('@').next().unwrap_or_default();
        let text = text.replace("{local}", local).replace("{to}", &self.header("To:"));
        text.replace("{subject}", &self.header("Subject:")).replace("{address}", &address)
    }
}

pub(super) struct Dialogue {
    shared: Arc<Shared>,
    number: u64,
    is_tls: bool,
    is_authenticated: bool,
    mode: Mode,
    incoming: Vec<u8>,
    unread: Range<usize>,
    outgoing: Vec<u8>,
    transaction: Transaction,
}

impl Dialogue {
    pub fn new(shared: Arc<Shared>, number: u64) -> Self {
        let is_authenticated = shared.settings.auth.is_none();
        Self {
            shared,
            number,
            is_tls: false,
            is_authenticated,
            mode: Mode::Command,
            incoming: vec![0; INCOMING_OCTETS],
            unread: 0..0,
            outgoing: Vec::with_capacity(OUTGOING_OCTETS),
            transaction: Transaction::default(),
        }
    }

    /// Forgets what was said and read in clear (RFC 3207 §4.2).
    pub fn enter_tls(&mut self) {
        self.is_tls = true;
        self.unread = 0..0;
        self.transaction.clear();
    }

    /// Serves until the client leaves, the script closes, or TLS is to begin.
    pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        greets: bool,
    ) -> io::Result<Parting> {
        if greets {
            let said = self.answer(stream, Step::Greeting, "220 sink.test ESMTP tokenrelay sink").await?;
            if said.closes {
                self.flush(stream).await?;
                return Ok(Parting::Closed);
            }
        }
        loop {
            let flow = loop {
                match self.advance(stream).await? {
                    Flow::Go if self.outgoing.len() < OUTGOING_OCTETS => {}
                    Flow::Go => self.flush(stream).await?,
                    flow => break flow,
                }
            };
            self.flush(stream).await?;
            if let Flow::Leave(parting) = flow {
                return Ok(parting);
            }
            if !self.read_more(stream).await? {
                return Ok(Parting::Closed);
            }
        }
    }

    async fn advance<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<Flow> {
        if self.unread.is_empty() {
            return Ok(Flow::NeedMore);
        }
        match self.mode {
            Mode::Content => self.take_content(stream).await,
            Mode::Chunk { left, is_last } => self.take_chunk(stream, left, is_last).await,
            _ => {
                let unread = &self.incoming[self.unread.clone()];
                let Some(end) = memchr::memchr(b'\n', unread) else {
                    let is_endless = unread.len() > LINE_OCTETS_MAX;
                    return Ok(if is_endless { Flow::Leave(Parting::Closed) } else { Flow::NeedMore });
                };
                let line = self.unread.start..self.unread.start + end;
                self.unread.start += end + 1;
                self.take_line(stream, line).await
            }
        }
    }

    async fn take_line<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        line: Range<usize>,
    ) -> io::Result<Flow> {
        let line = self.incoming[line].trim_ascii_end();
        if !matches!(self.mode, Mode::Command) {
            let line = line.to_vec();
            return self.take_auth_line(stream, &line).await;
        }
        let (verb, argument) = verb(line);
        match verb {
            Verb::Mail => {
                let known = self.is_authenticated && self.transaction.sender.is_none();
                let sender = path(argument, b"FROM:").filter(|_| known).map(|(sender, parameters)| {
                    self.transaction.parameters = self.transaction.note(parameters);
                    self.transaction.note(sender)
                });
                self.take_sender(stream, sender).await
            }
            Verb::Recipient => {
                let known = self.transaction.sender.is_some();
                let recipient = path(argument, b"TO:").filter(|_| known);
                let recipient = recipient.map(|(recipient, _)| self.transaction.note(recipient));
                self.take_recipient(stream, recipient).await
            }
            Verb::Data => {
                let usual = if self.transaction.recipients.is_empty() {
                    "503 5.5.1 no valid recipients"
                } else {
                    "354 end with a dot"
                };
                let said = self.answer(stream, Step::Data, usual).await?;
                if said.code == 354 {
                    self.mode = Mode::Content;
                }
                Ok(said.flow())
            }
            Verb::Chunk => {
                let Some((left, is_last)) = chunk(argument) else { return self.say("501 5.5.4 bad BDAT") };
                self.transaction.is_chunked = true;
                self.mode = Mode::Chunk { left, is_last };
                self.take_chunk(stream, left, is_last).await
            }
            Verb::Reset => {
                self.transaction.clear();
                self.say("250 2.0.0 forgotten")
            }
            Verb::NoOp => self.say("250 2.0.0 here"),
            Verb::Quit => {
                self.say("221 2.0.0 bye")?;
                Ok(Flow::Leave(Parting::Closed))
            }
            Verb::Helo => self.say("250 sink.test"),
            Verb::Ehlo => {
                let offers = self.ehlo_reply();
                let said = self.answer(stream, Step::Ehlo, &offers).await?;
                self.transaction.clear();
                Ok(said.flow())
            }
            Verb::StartTls => self.take_starttls(stream).await,
            Verb::Auth => {
                let argument = argument.to_vec();
                self.take_auth(stream, &argument).await
            }
            Verb::Unknown => self.say("500 5.5.2 unknown command"),
        }
    }

    async fn take_sender<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        sender: Option<Range<usize>>,
    ) -> io::Result<Flow> {
        self.shared.store.tally.mail_commands.fetch_add(1, Relaxed);
        self.shared.store.moved.notify_waiters();
        let usual = match &sender {
            Some(_) => "250 2.1.0 ok",
            None if !self.is_authenticated => "530 5.7.0 authenticate first",
            None => "503 5.5.1 bad MAIL",
        };
        let said = self.answer(stream, Step::Mail, usual).await?;
        if said.is_positive() {
            self.transaction.sender = sender;
        }
        Ok(said.flow())
    }

    async fn take_recipient<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        recipient: Option<Range<usize>>,
    ) -> io::Result<Flow> {
        let usual = if recipient.is_some() { "250 2.1.5 ok" } else { "503 5.5.1 bad RCPT" };
        // In place before the answer, which may echo it.
        let count = self.transaction.recipients.len();
        self.transaction.recipients.extend(recipient);
        let said = self.answer(stream, Step::Recipient, usual).await?;
        if !said.is_positive() {
            self.transaction.recipients.truncate(count);
        }
        Ok(said.flow())
    }

    async fn take_starttls<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<Flow> {
        if self.is_tls || !self.offers_starttls() {
            return self.say("503 5.5.1 not now");
        }
        let said = self.answer(stream, Step::StartTls, "220 2.0.0 ready").await?;
        Ok(if said.is_positive() && !said.closes { Flow::Leave(Parting::StartTls) } else { said.flow() })
    }

    fn offers_starttls(&self) -> bool {
        let settings = &self.shared.settings;
        matches!(settings.tls, SinkTls::StartTls(_)) && settings.script.offers.starttls && !self.is_tls
    }

    fn ehlo_reply(&self) -> String {
        let offers = &self.shared.settings.script.offers;
        let may_authenticate = self.is_tls || matches!(self.shared.settings.tls, SinkTls::None);
        let size = format!("SIZE {}", offers.size_octets_max);
        let lines = [
            (true, "sink.test"),
            (offers.pipelining, "PIPELINING"),
            (offers.eight_bit_mime, "8BITMIME"),
            (offers.smtputf8, "SMTPUTF8"),
            (offers.chunking, "CHUNKING"),
            (self.offers_starttls(), "STARTTLS"),
            (self.shared.settings.auth.is_some() && may_authenticate, "AUTH PLAIN LOGIN"),
            (true, "ENHANCEDSTATUSCODES"),
        ];
        let mut reply = String::new();
        for (_, line) in lines.iter().filter(|(offered, _)| *offered) {
            reply.push_str(&format!("250-{line}\r\n"));
        }
        reply + "250 " + &size
    }

    async fn take_auth<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        argument: &[u8],
    ) -> io::Result<Flow> {
        let (mechanism, initial) = verb_like(argument);
        if mechanism.eq_ignore_ascii_case(b"PLAIN") {
            self.mode = Mode::AuthPlain;
            if !initial.is_empty() {
                return self.take_auth_line(stream, initial).await;
            }
            return self.say("334 ");
        }
        if mechanism.eq_ignore_ascii_case(b"LOGIN") {
            self.mode = Mode::AuthUser;
            return self.say("334 VXNlcm5hbWU6");
        }
        self.say("504 5.5.4 unknown mechanism")
    }

    async fn take_auth_line<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        line: &[u8],
    ) -> io::Result<Flow> {
        let answer = data_encoding::BASE64.decode(line).unwrap_or_default();
        let offered = match std::mem::replace(&mut self.mode, Mode::Command) {
            Mode::AuthUser => {
                self.mode = Mode::AuthPassword { user: answer };
                return self.say("334 UGFzc3dvcmQ6");
            }
            Mode::AuthPassword { user } => (user, answer),
            _ => {
                let mut parts = answer.splitn(3, |octet| *octet == 0).skip(1).map(<[u8]>::to_vec);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
        };
        let is_known =
            self.shared.settings.auth.as_ref().is_some_and(|(user, password)| {
                offered.0 == user.as_bytes() && offered.1 == password.as_bytes()
            });
        let usual = if is_known { "235 2.7.0 welcome" } else { "535 5.7.8 wrong user or password" };
        let said = self.answer(stream, Step::Auth, usual).await?;
        self.is_authenticated |= said.is_positive();
        Ok(said.flow())
    }

    async fn take_content<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<Flow> {
        let is_start = self.transaction.content_octets == 0;
        match reach(&self.incoming[self.unread.clone()], is_start) {
            Reach::AtLeast(octets) => {
                self.collect(octets);
                Ok(Flow::NeedMore)
            }
            Reach::Ends { content, end } => {
                self.collect(content);
                self.unread.start += end - content;
                self.finish(stream).await
            }
        }
    }

    async fn take_chunk<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        left: u64,
        is_last: bool,
    ) -> io::Result<Flow> {
        let here = (self.unread.len() as u64).min(left);
        self.collect(here as usize);
        self.mode = Mode::Chunk { left: left - here, is_last };
        if here < left {
            return Ok(Flow::NeedMore);
        }
        if is_last {
            return self.finish(stream).await;
        }
        self.mode = Mode::Command;
        self.say("250 2.0.0 chunk taken")
    }

    fn collect(&mut self, octets: usize) {
        let from = self.unread.start;
        self.unread.start += octets;
        self.transaction.content_octets += octets as u64;
        let fits = self.transaction.content_octets <= self.shared.settings.script.offers.size_octets_max;
        if self.shared.collects && fits {
            self.transaction.content.extend_from_slice(&self.incoming[from..from + octets]);
        }
    }

    /// The content is whole: answer it, count it, keep it.
    async fn finish<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<Flow> {
        self.mode = Mode::Command;
        let store = &self.shared.store;
        store.tally.contents.fetch_add(1, Relaxed);
        store.moved.notify_waiters();
        let usual = if self.transaction.recipients.is_empty() {
            "554 5.5.1 no valid recipients"
        } else if self.transaction.content_octets > self.shared.settings.script.offers.size_octets_max {
            "552 5.3.4 message too big"
        } else {
            "250 2.0.0 taken"
        };
        let said = self.answer(stream, Step::Content, usual).await?;
        let store = &self.shared.store;
        if said.is_positive() {
            store.tally.recipients.fetch_add(self.transaction.recipients.len() as u64, Relaxed);
            store.tally.octets.fetch_add(self.transaction.content_octets, Relaxed);
            if store.wants_content() {
                store.put(self.message()).await?;
            }
            store.tally.messages.fetch_add(1, Relaxed);
            store.moved.notify_waiters();
        }
        self.transaction.clear();
        Ok(said.flow())
    }

    fn message(&self) -> SunkMessage {
        let transaction = &self.transaction;
        SunkMessage {
            envelope: SunkEnvelope {
                sender: transaction.sender.as_ref().map(|range| transaction.text(range)).unwrap_or_default(),
                parameters: transaction.text(&transaction.parameters),
                recipients: transaction.recipients.iter().map(|range| transaction.text(range)).collect(),
                tls: self.is_tls,
                session: self.number,
            },
            content: transaction.plain_content(),
        }
    }

    /// A reply no rule can change.
    fn say(&mut self, reply: &str) -> io::Result<Flow> {
        self.outgoing.extend_from_slice(reply.as_bytes());
        self.outgoing.extend_from_slice(b"\r\n");
        Ok(Flow::Go)
    }

    /// The usual reply, or what the script makes of it.
    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        step: Step,
        usual: &str,
    ) -> io::Result<Said> {
        if self.shared.settings.script.rules.is_empty() {
            self.say(usual)?;
            return Ok(Said { code: code_of(usual), closes: false });
        }
        let shared = self.shared.clone();
        let count = |step: Step| shared.occurrences[step as usize].fetch_add(1, Relaxed) + 1;
        let (nth, nth_of_any) = (count(step), count(Step::Any));
        let mut reply = Cow::Borrowed(usual);
        let (mut behind, mut closes) = (Vec::new(), false);
        for rule in &shared.settings.script.rules {
            let applies = (rule.step == step && rule.when.applies_to(nth))
                || (rule.step == Step::Any && rule.when.applies_to(nth_of_any));
            if !applies {
                continue;
            }
            match &rule.act {
                Act::Reply(text) => reply = self.transaction.fill_in(text).into(),
                Act::Lines(lines) => reply = in_lines(&reply, *lines).into(),
                Act::Extra(text) => behind.extend([text.as_bytes(), b"\r\n"].concat()),
                Act::Raw(octets) => {
                    reply = Cow::Borrowed("");
                    behind.extend_from_slice(octets);
                }
                Act::Delay(delay) => self.pause(stream, *delay).await?,
                Act::Hang => {
                    self.flush(stream).await?;
                    std::future::pending::<()>().await;
                }
                Act::Close => closes = true,
            }
        }
        if !reply.is_empty() {
            self.say(&reply)?;
        }
        self.outgoing.append(&mut behind);
        Ok(Said { code: code_of(&reply), closes })
    }

    async fn pause<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, delay: Duration) -> io::Result<()> {
        self.flush(stream).await?;
        tokio::time::sleep(delay).await;
        Ok(())
    }

    async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        if !self.outgoing.is_empty() {
            stream.write_all(&self.outgoing).await?;
            stream.flush().await?;
            self.outgoing.clear();
        }
        Ok(())
    }

    /// `false` at the end of the connection.
    async fn read_more<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<bool> {
        if self.unread.is_empty() {
            self.unread = 0..0;
        } else if self.unread.end == self.incoming.len() {
            self.incoming.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        let octets = stream.read(&mut self.incoming[self.unread.end..]).await?;
        self.unread.end += octets;
        Ok(octets > 0)
    }
}

fn code_of(reply: &str) -> u16 {
    reply.get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn in_lines(reply: &str, lines: usize) -> String {
    let (Some(code), Some(text)) =
        (reply.get(..3), reply.rsplit("\r\n").next().and_then(|last| last.get(4..)))
    else {
        return reply.to_owned();
    };
    // EHLO's own lines are kept: what it offers has to be found among the others.
    let mut head: String =
        reply.rsplit_once("\r\n").map(|(head, _)| format!("{head}\r\n")).unwrap_or_default();
    for _ in 1..lines {
        head.push_str(&format!("{code}-{text}\r\n"));
    }
    format!("{head}{code} {text}")
}

fn verb_like(argument: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b' ', argument).unwrap_or(argument.len());
    (&argument[..end], argument[end..].trim_ascii())
}
