//! The mail transaction: MAIL, RCPT, then DATA or BDAT, and the outcome (RFC 5321 §3.3, RFC 3030).
//!
//! The answer after the content is the outcome. SMTP has one answer: where it is the first MTA's, a transaction takes
//! one recipient and the client sends the others in the next ones (RFC 5321 §4.5.3.1.10); where jobs are held, one
//! answer says that all of them are. LMTP has an answer for each.

use super::envelope::{Fit, Variables};
use super::merge::Merge;
use super::{
    Act, Channel, Envelope, LoginRefusal, Notice, Protocol, Session, State, Step, Transaction, Turn, Unread,
    close, noted, read_line, reply, step,
};
use crate::accept::smtp::answer;
use crate::accept::smtp::reply::Reply;
use crate::engine::Engine;
use crate::fault::Fault;
use crate::job::{SendNumber, Token};
use crate::ticket::Outcome;
use crate::wire::line::LineKind;
use crate::wire::params::MailParams;
use crate::wire::path::Address;
use std::sync::Arc;

impl Session {
    pub(super) fn on_mail(
        &mut self,
        state: State,
        sender: Option<Address<'_>>,
        params: MailParams,
        merge: Option<Merge>,
    ) -> Turn {
        let engine = match state {
            State::Ready(engine) => engine,
            State::Named => match self.present() {
                Some(engine) => engine,
                None => return self.not_logged_in(State::Named),
            },
            State::Fresh => return self.not_logged_in(state),
            state => return self.protest(state, reply(503, (5, 5, 1), "a transaction is already open")),
        };
        if self.messages >= self.policy.messages_max {
            return close(421, (4, 7, 0), "enough messages on this connection; connect again");
        }
        let refused = if params.size.is_some_and(|size| size > self.policy.message_bytes_max as u64) {
            Some(too_large())
        } else if params.requires_tls && self.channel != Channel::Encrypted {
            Some(reply(555, (5, 5, 4), "REQUIRETLS is taken within TLS only"))
        } else if sender.is_some_and(Address::is_international) && !params.is_utf8 {
            Some(reply(553, (5, 6, 7), "the sender's address needs the SMTPUTF8 parameter"))
        } else {
            None
        };
        if let Some(refusal) = refused {
            return read_line(State::Ready(engine), Some(refusal));
        }
        let sender = sender.map(Address::written).unwrap_or_default().into();
        let envelope = Envelope::new(engine, sender, params.requires_tls, self.policy.recipients_max > 1);
        let transaction = Transaction { envelope, declared: params.size, merge };
        read_line(State::Mail(transaction), Some(reply(250, (2, 1, 0), "Ok")))
    }

    pub(super) fn on_rcpt(&mut self, state: State, recipient: Address<'_>) -> Turn {
        let mut transaction = match state {
            State::Mail(transaction) | State::Addressed(transaction) => transaction,
            State::Fresh | State::Named if self.present().is_none() => return self.not_logged_in(state),
            state => return self.protest(state, reply(503, (5, 5, 1), "MAIL comes first")),
        };
        if let Some(merge) = &mut transaction.merge {
            merge.is_used = true;
        }
        let token = match token_of(recipient, &self.policy.token_domains) {
            Ok(token) => token,
            Err(fault) => return read_line(transaction.open(), Some(answer::to_refusal(&fault))),
        };
        let variables = transaction.variables();
        match transaction.envelope.fit(&token, &variables, self.policy.recipients_max) {
            Fit::New => {
                let act = Act::FindToken(token.clone());
                step(State::FindingToken(transaction, token), None, act)
            }
            Fit::Again(at) => {
                transaction.envelope.add_again(at);
                read_line(State::Addressed(transaction), Some(reply(250, (2, 1, 5), "Ok")))
            }
            Fit::Full => {
                let put_off = |text: &'static str| reply(452, (4, 5, 3), text);
                let next = State::Addressed(transaction);
                match self.policy.recipients_max {
                    1 => {
                        let text = "one recipient a transaction; send this one in the next";
                        noted(read_line(next, Some(put_off(text))), Notice::OneRecipient)
                    }
                    _ => {
                        let text = "enough recipients for one transaction; send this one in the next";
                        read_line(next, Some(put_off(text)))
                    }
                }
            }
        }
    }

    /// `DATA`, or for a merge `XPRT 1 LAST`.
    ///
    /// A client that does not wait for the answer sends content, which could begin with commands of whoever wrote
    /// it. When it comes is no help in telling it from commands, so a session does not go on behind a refusal. The
    /// one refusal that honest clients meet every day, since they send DATA behind RCPT (RFC 2920), keeps it: where
    /// no recipient was accepted, content is asked for and dropped, and a client that waited ends it with a lone dot
    /// (RFC 2920 §3.1).
    pub(super) fn on_data(&mut self, state: State, is_merge: bool) -> Turn {
        let go_ahead = || Some(Reply::bare(354, "end data with <CR><LF>.<CR><LF>"));
        let refusal = match state {
            State::Addressed(Transaction { envelope, declared, merge }) if merge.is_some() == is_merge => {
                return step(State::ReadingContent(envelope), go_ahead(), Act::ReadContent { declared });
            }
            State::Mail(Transaction { envelope, merge, .. })
                if merge.is_some() == is_merge && self.policy.protocol == Protocol::Smtp =>
            {
                return step(State::ReadingContent(envelope), go_ahead(), Act::SkipContent);
            }
            // RFC 2033 §4.2 asks for a refusal at once.
            State::Mail(_) => self.no_recipient(),
            State::Addressed(_) if is_merge => reply(503, (5, 5, 1), "XPRT belongs to XMRG; say DATA"),
            State::Addressed(_) => wants_part(),
            State::Fresh | State::Named if self.present().is_none() => login_required(self.channel),
            _ => reply(503, (5, 5, 1), "MAIL and RCPT come first"),
        };
        refuse_content(refusal)
    }

    pub(super) fn on_bdat(&mut self, state: State, octets: u64, is_last: bool) -> Turn {
        let message_octets_max = self.policy.message_bytes_max as u64;
        let (envelope, before) = match state {
            State::Addressed(ref transaction) if transaction.merge.is_some() => {
                return self.skip_chunk(state, octets, wants_part());
            }
            State::Addressed(transaction) => (transaction.envelope, 0),
            State::Chunking(envelope, before) => (envelope, before),
            State::Mail(_) => return self.skip_chunk(state, octets, self.no_recipient()),
            State::Fresh | State::Named if self.present().is_none() => {
                let refusal = login_required(self.channel);
                return self.skip_chunk(state, octets, refusal);
            }
            state => {
                return self.skip_chunk(state, octets, reply(503, (5, 5, 1), "MAIL and RCPT come first"));
            }
        };
        let octets_so_far = before.saturating_add(octets);
        if octets_so_far > message_octets_max {
            let rcpts = if is_last { envelope.rcpts.len() } else { 1 };
            let (next, step) = self.skip_chunk(State::Ready(envelope.engine), octets, too_large());
            return self.to_each(rcpts, (next, step));
        }
        let next = State::ReadingChunk { envelope, octets: octets_so_far, is_last };
        step(next, None, Act::ReadChunk { octets, is_last })
    }

    pub(super) fn on_settled(
        &mut self,
        engine: Arc<Engine>,
        rcpts: &[usize],
        outcomes: &[(SendNumber, Outcome)],
    ) -> Turn {
        self.message_done();
        let of = |at: &usize| {
            let lost = || reply(451, (4, 3, 0), "the relay could not say what became of it");
            outcomes.get(*at).map_or_else(lost, |(send, outcome)| answer::to_outcome(send, outcome))
        };
        let worst = |at: &&usize| outcomes.get(**at).map_or(0, |(_, outcome)| u8::from(is_taken(outcome)));
        let answered: Vec<usize> = match self.policy.protocol {
            Protocol::Smtp => rcpts.iter().min_by_key(worst).copied().into_iter().collect(),
            Protocol::Lmtp => rcpts.to_vec(),
        };
        let mut replies = answered.iter().map(of);
        let reply = replies.next();
        let more = replies.collect();
        (State::Ready(engine), Step { reply, more, notice: None, act: Act::ReadLine(LineKind::Command) })
    }

    pub(super) fn on_refused(&mut self, engine: Arc<Engine>, rcpts: &[usize], fault: &Fault) -> Turn {
        self.message_done();
        self.to_each(rcpts.len(), read_line(State::Ready(engine), Some(answer::to_refusal(fault))))
    }

    pub(super) fn on_content_read(&self, envelope: Envelope, read: Result<(), Unread>) -> Turn {
        let rcpts = envelope.rcpts.len();
        let refused = match read {
            Ok(()) => {
                let next = State::Settling(envelope.engine.clone(), envelope.rcpts.clone());
                return step(next, None, Act::Submit(envelope));
            }
            // No error: a pipelining client did not know that its recipient was refused.
            Err(Unread::NoRecipient) => read_line(State::Ready(envelope.engine), Some(self.no_recipient())),
            // It is not obeyed, since it could be content all the same: what comes of it is an end, and no more.
            Err(Unread::Farewell) => refuse_content(self.no_recipient()),
            Err(Unread::TooLarge) => read_line(State::Ready(envelope.engine), Some(too_large())),
            Err(Unread::NoRoom) => {
                let text = "the relay is busy; send it again later";
                read_line(State::Ready(envelope.engine), Some(reply(452, (4, 3, 1), text)))
            }
            Err(Unread::Endless) => close(552, (5, 3, 4), "the message has no end; closing the connection"),
            Err(Unread::Bad(fault)) => {
                let text = format!("{fault} in the message; lines end in CR LF; closing the connection");
                noted(close(554, (5, 5, 2), &text), Notice::Content(fault))
            }
        };
        self.to_each(rcpts, refused)
    }

    pub(super) fn on_chunk_read(
        &self,
        envelope: Envelope,
        octets: u64,
        is_last: bool,
        read: Result<(), Unread>,
    ) -> Turn {
        match read {
            Ok(()) if !is_last => {
                let reply = reply(250, (2, 0, 0), format!("Ok: {octets} octets so far"));
                read_line(State::Chunking(envelope, octets), Some(reply))
            }
            Ok(()) => self.on_content_read(envelope, Ok(())),
            Err(fault) => {
                let (next, mut step) = self.on_content_read(envelope, Err(fault));
                // Only the last chunk is answered for each recipient.
                if !is_last {
                    step.more.clear();
                }
                (next, step)
            }
        }
    }

    /// The one answer to a message as the answer for each of its recipients, where the protocol wants that.
    fn to_each(&self, rcpts: usize, (next, mut step): Turn) -> Turn {
        if self.policy.protocol == Protocol::Lmtp {
            step.more = step.reply.iter().cycle().take(rcpts.saturating_sub(1)).cloned().collect();
        }
        (next, step)
    }

    /// Who may submit without a login: known by the channel, and never on one that others can read.
    pub(super) fn present(&self) -> Option<Arc<Engine>> {
        self.known.clone().filter(|_| self.channel != Channel::Clear)
    }

    fn no_recipient(&self) -> Reply {
        // RFC 2033 §4.2 asks for 503 by name.
        let basic = if self.policy.protocol == Protocol::Lmtp { 503 } else { 554 };
        reply(basic, (5, 5, 1), "no valid recipients")
    }

    fn message_done(&mut self) {
        self.messages += 1;
        self.commands = 0;
    }

    fn not_logged_in(&mut self, state: State) -> Turn {
        let refusal = login_required(self.channel);
        self.turn_down(state, refusal, LoginRefusal::Missing)
    }

    /// The octets of a refused chunk are content, so they are passed over (RFC 3030 §2); a client whose chunk
    /// is larger than any message may be, or who may not submit at all, is sent away instead.
    fn skip_chunk(&mut self, state: State, octets: u64, refusal: Reply) -> Turn {
        let is_bounded = octets <= self.policy.message_bytes_max as u64 && state.engine().is_some();
        if !is_bounded && octets > 0 {
            return step(State::Closed, Some(refusal), Act::Close);
        }
        step(state, Some(refusal), Act::SkipChunk { octets })
    }
}

impl Transaction {
    /// What is said of the recipients that are named now.
    fn variables(&self) -> Arc<Variables> {
        self.merge.as_ref().map(|merge| merge.variables.clone()).unwrap_or_default()
    }

    pub(super) fn open(self) -> State {
        if self.envelope.recipients.is_empty() { State::Mail(self) } else { State::Addressed(self) }
    }
}

pub(super) fn on_token_checked(mut transaction: Transaction, token: Token, found: Result<(), Fault>) -> Turn {
    match found {
        Ok(()) => {
            let variables = transaction.variables();
            transaction.envelope.add(token, variables);
            read_line(State::Addressed(transaction), Some(reply(250, (2, 1, 5), "Ok")))
        }
        Err(fault) => read_line(transaction.open(), Some(answer::to_refusal(&fault))),
    }
}

/// The token a path stands for, its quoting undone, so the mailbox judged is the mailbox meant.
fn token_of(recipient: Address<'_>, domains: &[String]) -> Result<Token, Fault> {
    let written = recipient.written();
    if written.starts_with('"') {
        return Token::from_address(&format!("{}@{}", recipient.local_part(), recipient.domain()), domains);
    }
    Token::from_address(written, domains)
}

/// More than one part is not taken.
pub(super) fn refuse_part() -> Turn {
    refuse_content(reply(504, (5, 5, 4), "a merge has one part here; say XPRT 1 LAST"))
}

fn refuse_content(refusal: Reply) -> Turn {
    step(State::Closed, Some(refusal), Act::Close)
}

fn wants_part() -> Reply {
    reply(503, (5, 5, 1), "the content of XMRG comes with XPRT 1 LAST")
}

fn too_large() -> Reply {
    reply(552, (5, 3, 4), "too-large: the message is larger than this relay takes")
}

fn login_required(channel: Channel) -> Reply {
    match channel {
        Channel::Clear => reply(530, (5, 7, 0), "use STARTTLS first, then AUTH"),
        Channel::Local | Channel::Encrypted => reply(530, (5, 7, 0), "authentication is required"),
    }
}

fn is_taken(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Relayed(_) | Outcome::Journaled(_) | Outcome::HeldInDoubt(_))
}
