//! The envelope of a message: who submits it, from which address, to which tokens.

use crate::engine::Engine;
use crate::job::{Data, Token};
use std::collections::BTreeSet;
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
    /// Every variable that was defined, in a merge (`XMRG`).
    pub merged: Option<BTreeSet<Box<str>>>,
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
    pub variables: Arc<Variables>,
}

/// What a merge says of a recipient (`XDFN`). Recipients that follow the same definitions share them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variables {
    pub data: Data,
    /// Instead of the sender of the whole.
    pub sender: Option<Box<str>>,
    pub campaign: Option<Box<str>>,
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
        Self {
            engine,
            sender,
            require_tls,
            recipients: Vec::new(),
            merged: None,
            is_shared,
            rcpts: Vec::new(),
        }
    }

    pub(super) fn fit(&self, token: &Token, variables: &Variables, recipients_max: usize) -> Fit {
        let has_room = self.rcpts.len() < recipients_max;
        match self.recipients.iter().position(|recipient| recipient.token == *token) {
            Some(_) if self.is_shared && !has_room => Fit::Full,
            // The same person with other values is another message.
            Some(at) if *self.recipients[at].variables != *variables => Fit::Full,
            Some(at) => Fit::Again(at),
            None if has_room => Fit::New,
            None => Fit::Full,
        }
    }

    pub(super) fn add(&mut self, token: Token, variables: Arc<Variables>) {
        self.rcpts.push(self.recipients.len());
        self.recipients.push(Recipient { token, variables });
    }

    /// Another `RCPT` for the recipient at `at`. Where the content has one answer in any case, nothing is kept of it.
    pub(super) fn add_again(&mut self, at: usize) {
        if self.is_shared {
            self.rcpts.push(at);
        }
    }
}
