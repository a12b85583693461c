//! Journal: the durable queue of jobs that are still to be delivered, and the ledger of what became of each. Holds
//! tokens, templates and data, never a person's values: an attempt resolves and renders anew.

mod body;
pub mod ledger;
#[cfg_attr(not(test), expect(dead_code, reason = "the store comes next"))]
mod schema;

pub use body::Body;

use crate::engine::Engine;
use crate::fault::Fault;
use crate::job::{Job, SendNumber};
use crate::ticket::Outcome;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Name of the file within the journal's directory.
pub const FILE_NAME: &str = "journal.db";

#[derive(Debug, Clone)]
pub struct Settings {
    /// Made with mode 0700 when it is missing.
    pub dir: PathBuf,
    /// Most bytes that jobs to be delivered may take; beyond it new ones are refused.
    pub bytes_max: u64,
    /// New jobs are refused while the disk has less than this left, so that what is held can still be delivered.
    pub disk_free_min: u64,
    /// Pause before the second attempt; each further one is twice as long, up to `retry_max`, and a fifth more or less.
    pub retry_first: Duration,
    pub retry_max: Duration,
    /// How long a job without `expires` of its own is tried.
    pub expires: Duration,
    pub unknown: WhenUnknown,
    /// How long the ledger keeps what has ended.
    pub retention: Duration,
}

/// What happens to a message whose answer was lost behind its final dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnknown {
    /// It stays as it is until a person decides.
    Hold,
    /// It is sent again under the same Message-ID, and flagged.
    Resend,
}

/// The journal's own number of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(pub i64);

/// How a job comes into the journal.
#[derive(Debug, Clone)]
pub enum How {
    /// To be delivered as soon as may be.
    Queued,
    /// An attempt is under way already; [`Journal::settle`] will follow.
    InFlight,
    /// An attempt has ended in doubt.
    InDoubt(Fault),
    /// An attempt has failed for a reason that may pass.
    Failed(Fault),
}

/// What the journal answers to a job that is to be held.
#[derive(Debug, Clone)]
pub enum Held {
    New(Number),
    /// It came before, with the same body. What is known of it; nothing was added.
    Before(Outcome),
    /// Its id came before, with another body. Nothing was added.
    Other,
}

/// One queue of jobs that wait: those of a target, fresh ones apart from those tried before, so that neither waits
/// behind the other. `target` is empty for jobs that name none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    pub target: Box<str>,
    pub is_retry: bool,
}

/// A job to be attempted. It stands in `flight` on disk by now.
#[derive(Debug)]
pub struct Claimed {
    pub number: Number,
    /// Counted from 1.
    pub attempt: u32,
    pub engine: Box<str>,
    /// Everything but its engine, which may have changed since or be gone.
    pub job: Unclaimed,
}

/// A held job without its engine.
#[derive(Debug)]
pub struct Unclaimed {}

impl Unclaimed {
    pub fn into_job(self, _engine: Arc<Engine>) -> Job {
        unreachable!("not written yet")
    }
}

/// The journal as the rest of the relay sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal {}

impl Journal {
    /// Takes jobs on, all of them or none. When the answer is there, they are on disk (fsync).
    ///
    /// # Errors
    /// [`Fault::no_storage`] when the journal or its disk is full; `target-unavailable`-like deferral when the
    /// journal cannot be written. Nothing is held then.
    pub async fn hold(&self, _jobs: Vec<(Arc<Job>, Body, How)>) -> Result<Vec<Held>, Fault> {
        Err(Fault::no_storage("not written yet"))
    }

    /// What is known of a job that came before under this number.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn look_up(&self, _send: &SendNumber) -> Result<Option<(Body, Outcome)>, Fault> {
        Ok(None)
    }

    /// Writes the outcome of a job that was never held into the ledger, behind the answer. Waits only while the
    /// writer is behind.
    pub async fn record(&self, _job: Arc<Job>, _body: Body, _outcome: Outcome) {}

    /// The lanes that hold jobs, with the time until their first is due.
    pub async fn lanes(&self) -> Result<Vec<(Lane, Duration)>, Fault> {
        Ok(Vec::new())
    }

    /// Takes up to `count` jobs that are due. When the answer is there, the disk says that they are in flight.
    ///
    /// # Errors
    /// When the journal cannot be written: nothing may be sent that a crash would forget.
    pub async fn claim(&self, _lane: &Lane, _count: usize) -> Result<Vec<Claimed>, Fault> {
        Ok(Vec::new())
    }

    /// To be called right before the last octets of a message leave: from here on a crash leaves it in doubt.
    pub fn offered(&self, _number: Number) {}

    /// Ends an attempt. The journal's rules say whether the job ends with it, is tried again, or is held in doubt.
    pub async fn settle(&self, _number: Number, _outcome: Outcome) {}

    /// Waits until jobs may have become due: something was held or changed, or time has passed.
    pub async fn stir(&self) {}
}
