//! The dialogue with one SMTP client as a state machine without I/O: an event comes in, a reply and the one
//! thing to do next go out (RFC 5321 §4, 2033, 3207, 4954, 3030).

mod envelope;
mod hello;
mod login;
mod merge;
mod notice;
#[cfg(test)]
mod tests;
mod transaction;

pub use envelope::{Envelope, Recipient, Variables};
pub use hello::Protocol;
pub use notice::{LoginRefusal, Notice};

use crate::accept::smtp::reply::Reply;
use crate::engine::Engine;
use crate::fault::{Fault, ReplyCode};
use crate::job::{SendNumber, Token};
use crate::ticket::Outcome;
use crate::wire::command::{self, BadCommand, Command};
use crate::wire::data::BadData;
use crate::wire::line::{BadLine, LineKind};
use crate::wire::params::BadParams;
use crate::wire::sasl::Credentials;
use std::mem;
use std::sync::Arc;

/// What the dialogue has to know of the door's settings.
#[derive(Debug, Clone)]
pub struct Policy {
    pub host_name: String,
    pub protocol: Protocol,
    /// Most recipients of one transaction.
    pub recipients_max: usize,
    /// Recipients in these domains are tokens; all others are refused.
    pub token_domains: Vec<String>,
    pub message_bytes_max: usize,
    /// Refused commands after which the client is sent away.
    pub errors_max: u32,
    pub messages_max: u32,
    /// Commands since the last message, or since the start.
    pub commands_per_message_max: u32,
}

/// What protects the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Nothing yet: STARTTLS is offered, and nothing else is done before it.
    Clear,
    /// The machine itself: loopback or a Unix socket, on a door without TLS.
    Local,
    Encrypted,
}

/// What happened to the connection, or what became of an [`Act`].
#[derive(Debug)]
pub enum Event<'a> {
    Connected,
    Line {
        line: &'a [u8],
        /// More octets came with the line. They were sent before its answer.
        is_pipelined: bool,
    },
    BadLine(BadLine),
    Encrypted,
    PasswordChecked(Login),
    TokenChecked(Result<(), Fault>),
    ContentRead(Result<(), Unread>),
    ChunkSkipped,
    /// The message was not made a job.
    Refused(Fault),
    /// What became of each recipient of the envelope, in its order.
    Settled(Vec<(SendNumber, Outcome)>),
    TimedOut,
    /// The time to log in, or the age of the connection, is over.
    TooOld,
    /// The connection has had its share of octets or messages.
    UsedUp,
    /// All connections of this source together had what a source may have in a minute.
    SourceUsedUp,
    /// A reload took away the engine that logged in, or its credential.
    Disowned,
    ShuttingDown,
}

/// What became of an offered password.
#[derive(Debug)]
pub enum Login {
    As(Arc<Engine>),
    /// No engine has the name.
    Unknown,
    Wrong,
    /// Too many wrong ones lately; this one was not looked at.
    Locked,
}

/// Why the content of a message cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    Bad(BadData),
    /// Read to its end and dropped.
    TooLarge,
    /// Read to its end and dropped: no memory free for it.
    NoRoom,
    /// Read to its end and dropped: no recipient of it was accepted.
    NoRecipient,
    /// Content for nobody begins as a client does that wants to end.
    Farewell,
    /// Far beyond the bound and no end in sight.
    Endless,
}

/// The answer to an event and what to do then.
#[derive(Debug)]
pub struct Step {
    pub reply: Option<Reply>,
    /// LMTP answers content once for each recipient (RFC 2033 §4.2).
    pub more: Vec<Reply>,
    pub notice: Option<Notice>,
    pub act: Act,
}

/// The one thing to do next. Each ends in an [`Event`].
#[derive(Debug)]
pub enum Act {
    ReadLine(LineKind),
    Encrypt,
    CheckPassword(Credentials),
    FindToken(Token),
    ReadContent {
        /// Octets the client declared.
        declared: Option<u64>,
    },
    /// Content that is for nobody.
    SkipContent,
    ReadChunk {
        octets: u64,
        is_last: bool,
    },
    SkipChunk {
        octets: u64,
    },
    Submit(Envelope),
    Close,
}

/// `MAIL` was accepted.
#[derive(Debug)]
struct Transaction {
    envelope: Envelope,
    declared: Option<u64>,
    /// Opened by `XMRG`.
    merge: Option<merge::Merge>,
}

/// What is known of a LOGIN or PLAIN exchange so far.
#[derive(Debug)]
enum Exchange {
    External,
    Plain,
    LoginUser,
    LoginPassword(zeroize::Zeroizing<String>),
}

#[derive(Debug)]
enum State {
    /// No EHLO or HELO yet, or forgotten after STARTTLS.
    Fresh,
    Named,
    Encrypting,
    Sasl(Exchange),
    CheckingPassword,
    Ready(Arc<Engine>),
    Mail(Transaction),
    FindingToken(Transaction, Token),
    Addressed(Transaction),
    ReadingContent(Envelope),
    /// Between two chunks; how many octets of the message are there.
    Chunking(Envelope, u64),
    ReadingChunk {
        envelope: Envelope,
        octets: u64,
        is_last: bool,
    },
    /// Who submits, and the recipient each `RCPT` stands for.
    Settling(Arc<Engine>, Vec<usize>),
    Closed,
}

type Turn = (State, Step);

/// One client's session.
#[derive(Debug)]
pub struct Session {
    policy: Arc<Policy>,
    channel: Channel,
    state: State,
    /// Who is there by the channel itself: a client certificate, or this machine's own engine.
    known: Option<Arc<Engine>>,
    errors: u32,
    messages: u32,
    commands: u32,
}

impl Session {
    pub fn new(policy: Arc<Policy>, channel: Channel) -> Self {
        Self { policy, channel, state: State::Fresh, known: None, errors: 0, messages: 0, commands: 0 }
    }

    /// The channel itself shows who is there, so no login is needed on it.
    pub fn recognise(&mut self, engine: Option<Arc<Engine>>) {
        self.known = engine;
    }

    /// Takes the next event. An event that does not belong to the state closes the session.
    pub fn handle(&mut self, event: Event<'_>) -> Step {
        let state = mem::replace(&mut self.state, State::Closed);
        let (next, step) = self.turn(state, event);
        self.state = next;
        step
    }

    /// Messages that got their final answer.
    pub fn messages(&self) -> u32 {
        self.messages
    }

    /// Who is submitting, once that is known.
    pub fn engine(&self) -> Option<&Arc<Engine>> {
        self.state.engine().or(self.known.as_ref())
    }

    /// Whether no transaction is open.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Whether no transaction is open, logged in or not.
    pub fn is_between_messages(&self) -> bool {
        matches!(self.state, State::Fresh | State::Named | State::Sasl(_) | State::Ready(_))
    }

    /// Whether content read so far still belongs to a message.
    pub fn is_within_message(&self) -> bool {
        matches!(self.state, State::ReadingContent(_) | State::Chunking(..) | State::ReadingChunk { .. })
    }

    fn turn(&mut self, state: State, event: Event<'_>) -> Turn {
        match (state, event) {
            (_, Event::TimedOut) => close(421, (4, 4, 2), "it took too long; closing the connection"),
            (_, Event::TooOld) => close(421, (4, 3, 2), "this connection's time is over; connect again"),
            (_, Event::UsedUp) => {
                close(421, (4, 7, 0), "enough octets or messages on this connection; connect again")
            }
            (_, Event::SourceUsedUp) => {
                close(421, (4, 7, 1), "enough octets or messages from your address for now; connect later")
            }
            (_, Event::Disowned) => close(421, (4, 7, 0), "your login does not hold any more; log in again"),
            (_, Event::ShuttingDown) => close(421, (4, 3, 2), "the relay is going down; connect again"),
            (_, Event::BadLine(fault)) => refuse_line(fault),
            (State::Fresh, Event::Connected) => read_line(State::Fresh, Some(self.greeting())),
            (State::Sasl(exchange), Event::Line { line, .. }) => self.on_sasl(exchange, line),
            (state, Event::Line { line, is_pipelined }) => self.on_line(state, line, is_pipelined),
            (State::Encrypting, Event::Encrypted) => {
                // Whatever was said in the clear is forgotten (RFC 3207 §4.2).
                self.channel = Channel::Encrypted;
                read_line(State::Fresh, None)
            }
            (State::CheckingPassword, Event::PasswordChecked(login)) => self.on_password_checked(login),
            (State::FindingToken(transaction, token), Event::TokenChecked(found)) => {
                transaction::on_token_checked(transaction, token, found)
            }
            (State::ReadingContent(envelope), Event::ContentRead(read)) => {
                self.on_content_read(envelope, read)
            }
            (State::ReadingChunk { envelope, octets, is_last }, Event::ContentRead(read)) => {
                self.on_chunk_read(envelope, octets, is_last, read)
            }
            (state, Event::ChunkSkipped) => read_line(state, None),
            (State::Settling(engine, rcpts), Event::Refused(fault)) => {
                self.on_refused(engine, &rcpts, &fault)
            }
            (State::Settling(engine, rcpts), Event::Settled(outcomes)) => {
                self.on_settled(engine, &rcpts, &outcomes)
            }
            _ => close(421, (4, 3, 0), "the relay lost the thread; connect again"),
        }
    }

    fn on_line(&mut self, state: State, line: &[u8], is_pipelined: bool) -> Turn {
        self.commands += 1;
        if self.commands > self.policy.commands_per_message_max {
            return close(421, (4, 7, 0), "too many commands without a message; closing the connection");
        }
        let command = match command::parse(line) {
            Ok(command) => command,
            // Content of a client that did not wait for 354. What follows was not meant as commands either.
            Err(BadCommand::HeaderField) => {
                return close(554, (5, 5, 1), "a header field in place of a command; closing the connection");
            }
            Err(fault) => return self.protest(state, syntax_error(fault)),
        };
        match command {
            Command::Ehlo(_) | Command::Helo(_) | Command::Lhlo(_) => self.on_hello(state, &command),
            Command::StartTls => self.on_starttls(state, is_pipelined),
            Command::Auth(mechanism, initial) => self.on_auth(state, mechanism, initial),
            Command::Mail(sender, params) => self.on_mail(state, sender, params, None),
            Command::Merge(sender, params) => {
                self.on_mail(state, sender, params, Some(merge::Merge::default()))
            }
            Command::Define(arguments) => self.on_define(state, arguments),
            Command::Part { number: 1, is_last: true } => self.on_data(state, true),
            Command::Part { .. } => transaction::refuse_part(),
            Command::Rcpt(recipient) => self.on_rcpt(state, recipient),
            Command::Data => self.on_data(state, false),
            Command::Bdat { octets, is_last } => self.on_bdat(state, octets, is_last),
            Command::Rset => read_line(state.reset(), Some(reply(250, (2, 0, 0), "Ok"))),
            Command::Noop => read_line(state, Some(reply(250, (2, 0, 0), "Ok"))),
            Command::Help => {
                let text = "EHLO LHLO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP QUIT; see RFC 5321";
                read_line(state, Some(reply(214, (2, 0, 0), text)))
            }
            Command::Verify => {
                read_line(state, Some(reply(252, (2, 5, 2), "addresses are not verified; send to a token")))
            }
            Command::Quit => close(221, (2, 0, 0), "Bye"),
            Command::Etrn => {
                self.protest(state, reply(502, (5, 5, 1), "the command is not available on this door"))
            }
        }
    }

    /// Refuses a command, and the client after too many of them.
    fn protest(&mut self, state: State, answer: Reply) -> Turn {
        self.errors += 1;
        if self.errors >= self.policy.errors_max {
            return close(421, (4, 7, 0), "too many errors; closing the connection");
        }
        read_line(state, Some(answer))
    }

    /// As [`Session::protest`], for a login that comes to nothing.
    fn turn_down(&mut self, state: State, answer: Reply, refusal: LoginRefusal) -> Turn {
        noted(self.protest(state, answer), Notice::Login(refusal))
    }
}

impl State {
    fn engine(&self) -> Option<&Arc<Engine>> {
        match self {
            Self::Ready(engine) | Self::Settling(engine, _) => Some(engine),
            Self::Mail(transaction) | Self::FindingToken(transaction, _) | Self::Addressed(transaction) => {
                Some(&transaction.envelope.engine)
            }
            Self::ReadingContent(envelope)
            | Self::Chunking(envelope, _)
            | Self::ReadingChunk { envelope, .. } => Some(&envelope.engine),
            _ => None,
        }
    }

    /// RSET: the transaction goes, the login stays (RFC 5321 §4.1.1.5).
    fn reset(self) -> Self {
        match self.engine() {
            Some(engine) => Self::Ready(engine.clone()),
            None => self,
        }
    }

    /// EHLO: as RSET, and the client has a name now.
    fn reset_to_named(self) -> Self {
        match self.reset() {
            Self::Fresh => Self::Named,
            other => other,
        }
    }
}

fn refuse_line(fault: BadLine) -> Turn {
    match fault {
        BadLine::TooLong => close(500, (5, 5, 6), "line too long; closing the connection"),
        BadLine::BareCr | BadLine::BareLf | BadLine::Nul => {
            close(500, (5, 5, 2), &format!("{fault} received; lines end in CR LF; closing the connection"))
        }
    }
}

fn syntax_error(fault: BadCommand) -> Reply {
    let (basic, enhanced) = match fault {
        BadCommand::Unknown | BadCommand::HeaderField => (500, (5, 5, 1)),
        BadCommand::Arguments(_) => (501, (5, 5, 4)),
        BadCommand::Sender(_) => (501, (5, 1, 7)),
        BadCommand::Recipient(_) => (501, (5, 1, 3)),
        BadCommand::Params(BadParams::Unknown) => (555, (5, 5, 4)),
        BadCommand::Params(_) => (501, (5, 5, 4)),
    };
    reply(basic, enhanced, fault.to_string())
}

fn reply(
    basic: u16,
    (class, subject, detail): (u8, u16, u16),
    text: impl Into<std::borrow::Cow<'static, str>>,
) -> Reply {
    Reply::new(ReplyCode::new(basic, class, subject, detail), text)
}

fn read_line(next: State, answer: Option<Reply>) -> Turn {
    step(next, answer, Act::ReadLine(LineKind::Command))
}

fn step(next: State, reply: Option<Reply>, act: Act) -> Turn {
    (next, Step { reply, more: Vec::new(), notice: None, act })
}

/// The same turn, and the operator is told.
fn noted((next, step): Turn, notice: Notice) -> Turn {
    (next, Step { notice: Some(notice), ..step })
}

fn close(basic: u16, enhanced: (u8, u16, u16), text: &str) -> Turn {
    step(State::Closed, Some(reply(basic, enhanced, String::from(text))), Act::Close)
}
