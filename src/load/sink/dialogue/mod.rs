//! The sink's side of one session: every complete command in what was read is answered in one write (RFC 2920).

mod answer;
mod greeting;
mod transaction;

use super::command::{LINE_OCTETS_MAX, Reach, Verb, chunk, path, reach, verb};
use super::script::Step;
use super::store::{SunkEnvelope, SunkMessage};
use super::{Proofs, Shared};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use transaction::Transaction;

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

    async fn take_content<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<Flow> {
        let is_start = self.transaction.content_octets == 0;
        match reach(&self.incoming[self.unread.clone()], is_start) {
            Reach::AtLeast(octets) => {
                self.collect(octets);
                Ok(Flow::NeedMore)
            }
            Reach::Ends { content, end } => {
                self.collect_last(content);
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
        if here == left && is_last {
            self.collect_last(here as usize);
        } else {
            self.collect(here as usize);
        }
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

    /// The last piece; when it is the only one, it need not be copied.
    fn collect_last(&mut self, octets: usize) {
        if !self.shared.collects_pieces_only || self.transaction.content_octets > 0 {
            return self.collect(octets);
        }
        self.transaction.in_place = Some(self.unread.start..self.unread.start + octets);
        self.unread.start += octets;
        self.transaction.content_octets = octets as u64;
    }

    fn judge(&self, proofs: &Proofs) {
        let transaction = &self.transaction;
        let content = transaction.in_place.clone().map(|range| &self.incoming[range]);
        for recipient in &transaction.recipients {
            proofs.judge(&transaction.octets[recipient.clone()], content.unwrap_or(&transaction.content));
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
        if let Some(record) = &self.shared.settings.record {
            record.note(&self.envelope(), &self.transaction.header("Message-ID:"), said.code)?;
        }
        let store = &self.shared.store;
        if said.is_positive() {
            store.tally.recipients.fetch_add(self.transaction.recipients.len() as u64, Relaxed);
            store.tally.octets.fetch_add(self.transaction.content_octets, Relaxed);
            if let Some(proofs) = &self.shared.settings.proofs {
                self.judge(proofs);
            }
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
        SunkMessage { envelope: self.envelope(), content: self.transaction.plain_content() }
    }

    fn envelope(&self) -> SunkEnvelope {
        let transaction = &self.transaction;
        SunkEnvelope {
            sender: transaction.sender.as_ref().map(|range| transaction.text(range)).unwrap_or_default(),
            parameters: transaction.text(&transaction.parameters),
            recipients: transaction.recipients.iter().map(|range| transaction.text(range)).collect(),
            tls: self.is_tls,
            session: self.number,
        }
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
