//! What the writer is asked to do, and what it answers.

use super::body::Body;
use super::flight::RowThen;
use super::inbox::Inbox;
use super::outcome::Verdict;
use super::record::{Stored, Written};
use super::{Handoff, Held, How, Lane, Resumed};
use crate::fault::Fault;
use crate::job::Job;
use crate::ticket::Outcome;
use std::sync::Arc;
use tokio::sync::oneshot;

pub type Answer<T> = oneshot::Sender<Result<T, Fault>>;

#[derive(Debug)]
pub enum Order {
    Hold {
        drafts: Vec<Draft>,
        answer: Answer<Vec<Held>>,
    },
    Record(Box<Ended>),
    /// A job that was refused is to be judged anew, outside of the journal.
    Resume {
        send: [u8; 16],
        body: Body,
        answer: Answer<Resumed>,
    },
    /// The attempt at it is over.
    EndResumed {
        send: [u8; 16],
    },
    Claim {
        lane: Lane,
        count: usize,
        answer: Answer<Caught>,
    },
    Settle {
        number: i64,
        end: End,
        /// What is known of its row, if anything.
        row: Option<Box<RowThen>>,
    },
    #[cfg(test)]
    Run(String, oneshot::Sender<rusqlite::Result<()>>),
    /// The write-ahead log goes into the file, as it does when it has become long.
    #[cfg(test)]
    Checkpoint(oneshot::Sender<()>),
    /// The writer's thread ends at once, as if the process were killed.
    #[cfg(test)]
    Crash,
}

/// A job to be held, all that can be done for it beforehand being done.
#[derive(Debug)]
pub struct Draft {
    pub job: Arc<Job>,
    pub body: Body,
    pub how: How,
    pub written: Written,
    /// When its time is over, in milliseconds of the journal's clock.
    pub expires: i64,
}

impl Draft {
    pub fn row_bytes(&self) -> u64 {
        self.written.row_bytes()
    }
}

/// A job that was never held.
#[derive(Debug)]
pub struct Ended {
    pub job: Arc<Job>,
    pub body: Body,
    pub outcome: Outcome,
    /// What it is made from, where that is to be kept.
    pub written: Option<Written>,
    /// Its note, kept until the ledger has the outcome.
    #[expect(dead_code, reason = "it is kept by being here")]
    pub handoff: Option<Arc<Handoff>>,
}

/// How an attempt ended, as far as it did.
#[derive(Debug)]
pub enum End {
    Known(Verdict),
    /// Nothing was attempted: it waits again.
    GivenBack,
    /// It was not its turn, and why.
    NotItsTurn(Verdict),
    /// What is held of the job cannot be read.
    Damaged,
}

impl Order {
    pub fn jobs(&self) -> usize {
        match self {
            Self::Hold { drafts, .. } => drafts.len(),
            Self::Claim { count, .. } => *count,
            _ => 1,
        }
    }

    /// Whether somebody waits until it is on disk.
    pub fn is_awaited(&self) -> bool {
        !matches!(self, Self::Record(_) | Self::EndResumed { .. } | Self::Settle { .. })
    }

    /// Whether it may join a commit under way; what only tests ask for may not.
    pub fn may_join(&self) -> bool {
        match self {
            Self::Hold { .. }
            | Self::Record(_)
            | Self::Resume { .. }
            | Self::EndResumed { .. }
            | Self::Claim { .. }
            | Self::Settle { .. } => true,
            #[cfg(test)]
            Self::Run(..) | Self::Checkpoint(_) | Self::Crash => false,
        }
    }

    pub fn bytes(&self) -> u64 {
        match self {
            Self::Hold { drafts, .. } => drafts.iter().map(|draft| draft.written.bytes()).sum(),
            Self::Record(ended) => ended.written.as_ref().map_or(0, Written::bytes),
            _ => 0,
        }
    }
}

/// A claimed job as the writer read it.
#[derive(Debug)]
pub struct Raw {
    pub number: i64,
    pub attempt: u32,
    pub stored: Stored,
    pub row: Option<Box<RowThen>>,
}

/// That a job which was refused is attempted anew outside of the journal: until this is dropped nobody else may.
#[derive(Debug)]
pub struct Resuming {
    send: [u8; 16],
    inbox: Arc<Inbox>,
}

impl Resuming {
    pub(super) fn new(send: [u8; 16], inbox: Arc<Inbox>) -> Self {
        Self { send, inbox }
    }
}

impl Drop for Resuming {
    fn drop(&mut self) {
        // Once the journal is closed, the next start sees to it.
        let _ = self.inbox.push(Order::EndResumed { send: self.send });
    }
}

/// Claimed jobs on their way to whoever asked. When nobody takes them they are given back.
#[derive(Debug)]
pub struct Caught {
    raws: Vec<Raw>,
    inbox: Arc<Inbox>,
}

impl Caught {
    pub fn new(raws: Vec<Raw>, inbox: Arc<Inbox>) -> Self {
        Self { raws, inbox }
    }

    pub fn into_raws(mut self) -> Vec<Raw> {
        std::mem::take(&mut self.raws)
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        for raw in self.raws.drain(..) {
            // Once the journal is closed, the next start finds it in flight and not offered.
            let _ = self.inbox.push(Order::Settle { number: raw.number, end: End::GivenBack, row: None });
        }
    }
}
