//! The envelope of a message: who submits it, from which address, to which tokens.

use crate::engine::Engine;
use crate::job::Token;
use std::sync::Arc;

/// The envelope of one message.
#[derive(Debug)]
pub struct Envelope {
    pub engine: Arc<Engine>,
    /// Empty for the null reverse-path.
    pub sender: Box<str>,
    /// `REQUIRETLS` (RFC 8689).
    pub require_tls: bool,
    /// Each token once.
    pub recipients: Vec<Recipient>,
    /// The door takes several recipients, so a job id of the engine does not name one job.
    pub is_shared: bool,
    /// The index of the recipient that each accepted `RCPT` named: LMTP owes each of them an answer, a repeated one
    /// too (RFC 2033 §4.2).
    pub(super) rcpts: Vec<usize>,
}

/// One recipient of a message.
#[derive(Debug)]
pub struct Recipient {
    pub token: Token,
}

/// How a further `RCPT` fits into the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    New,
    /// The same mailbox twice is one recipient.
    Again(usize),
    /// One for the next transaction.
    Full,
}

impl Envelope {
    pub(super) fn new(engine: Arc<Engine>, sender: Box<str>, require_tls: bool, is_shared: bool) -> Self {
        Self { engine, sender, require_tls, recipients: Vec::new(), is_shared, rcpts: Vec::new() }
    }

    pub(super) fn fit(&self, token: &Token, recipients_max: usize) -> Fit {
        let has_room = self.rcpts.len() < recipients_max;
        match self.recipients.iter().position(|recipient| recipient.token == *token) {
            Some(_) if self.is_shared && !has_room => Fit::Full,
            Some(at) => Fit::Again(at),
            None if has_room => Fit::New,
            None => Fit::Full,
        }
    }

    pub(super) fn add(&mut self, token: Token) {
        self.rcpts.push(self.recipients.len());
        self.recipients.push(Recipient { token });
    }

    /// Another `RCPT` for the recipient at `at`. Where the content has one answer in any case, nothing is kept of it.
    pub(super) fn add_again(&mut self, at: usize) {
        if self.is_shared {
            self.rcpts.push(at);
        }
    }
}
