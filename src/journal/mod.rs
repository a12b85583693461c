//! Journal: the durable queue of jobs that are still to be delivered, and the ledger of what became of each. Holds
//! tokens, templates and data, never a person's values: an attempt resolves and renders anew.

mod apply;
mod arm;
mod body;
mod clock;
mod commit;
mod error;
mod file;
mod flight;
mod handle;
mod handoff;
mod inbox;
pub mod inspect;
mod judge;
mod kept;
mod known;
pub mod ledger;
mod marks;
mod order;
mod origin;
mod outcome;
mod past;
mod reader;
mod record;
mod recovered;
mod recovery;
mod rescue;
mod run;
mod salvage;
mod salvaged;
mod schedule;
mod schema;
mod shared;
mod space;
mod sync;
mod upkeep;
mod writer;

#[cfg(test)]
mod tests;

pub use arm::Departures;
pub use body::Body;
pub use error::{JournalError, Trouble};
pub use file::FILE_NAME;
pub use handle::Journal;
pub use handoff::Handoff;
pub use order::Resuming;
pub use origin::{Provenance, Sign};
pub use past::Past;
pub use record::Unclaimed;
pub use recovered::Recovered;
pub use salvaged::Salvaged;
pub use shared::Stats;
pub use space::Full;

use crate::fault::Fault;
use crate::ticket::Outcome;
use std::path::PathBuf;
use std::time::Duration;

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
    pub keep_refused: KeepRefused,
}

/// For how long, and in how many bytes, what refused jobs were made from is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepRefused {
    pub duration: Duration,
    pub bytes_max: u64,
}

impl KeepRefused {
    fn is_on(self) -> bool {
        !self.duration.is_zero() && self.bytes_max > 0
    }
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

/// What the ledger knows of a job that comes again.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    pub body: Body,
    pub outcome: Outcome,
    pub offer: Offer,
}

/// Whether a target may have got a job at an attempt that did not end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    Never,
    Maybe,
}

impl Earlier {
    /// Whether the same job goes on when it comes again: it was refused, and no target can have it.
    pub fn is_judged_anew(&self) -> bool {
        match &self.outcome {
            Outcome::Failed(fault) => self.offer == Offer::Never && fault.is_before_any_offer(),
            _ => false,
        }
    }
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

/// What the journal answers to a job that was refused and comes again, and is not to be held.
#[derive(Debug)]
pub enum Resumed<Until = Resuming> {
    /// It may be attempted. Nobody else will until this is dropped, which is to be behind its outcome.
    Anew(Until),
    /// It has gone on meanwhile, so far.
    Before(Outcome),
    /// Its id came before, with another body.
    Other,
}

impl Resumed<()> {
    /// With what says how long that holds.
    fn until<T>(self, over: impl FnOnce() -> T) -> Resumed<T> {
        match self {
            Self::Anew(()) => Resumed::Anew(over()),
            Self::Before(outcome) => Resumed::Before(outcome),
            Self::Other => Resumed::Other,
        }
    }
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
