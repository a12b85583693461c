//! The one-outcome obligation. Whoever holds a [`Ticket`] must settle it; dropping it unsettled reports
//! [`State::Lost`], which the board counts and every test treats as a failure.

use crate::fault::{Fault, Repeat, ReplyCode, State};
use crate::job::SendNumber;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Time spent in each stage of one job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes {
    pub resolve: Duration,
    pub render: Duration,
    pub inject: Duration,
    /// From the job read to the last octet of its message handed to the target's connection; of messages a target
    /// took.
    pub relay: Option<Duration>,
}

/// What [`StageTimes::coarse`] rounds up to.
const COARSE: Duration = Duration::from_millis(100);

impl StageTimes {
    /// The time of a look-up as it may be told: exactly, it would tell whether somebody else had this person mailed a moment
    /// ago, who is then still in the cache.
    pub fn in_milliseconds(time: Duration) -> Duration {
        let whole = u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Duration::from_millis(whole.max(1))
    }

    /// As they may be told of a message in which a person's values choose what stands there.
    pub fn coarse(self) -> Self {
        let rounded = |time: Duration| {
            let steps = time.as_nanos().div_ceil(COARSE.as_nanos());
            COARSE * u32::try_from(steps).unwrap_or(u32::MAX)
        };
        Self {
            render: rounded(self.render),
            inject: rounded(self.inject),
            relay: self.relay.map(rounded),
            ..self
        }
    }
}

/// The first MTA took the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    pub target: Arc<str>,
    pub code: ReplyCode,
    /// How many times the message was offered to a target, this one included.
    pub attempt: u32,
    pub times: StageTimes,
    pub repeat: Repeat,
}

/// The one outcome of an accepted recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Relayed(Relayed),
    Failed(Fault),
    /// On disk: it will be delivered, and the ledger says what becomes of it.
    Journaled(Repeat),
    /// On disk because its message may have been delivered: it is not sent again unless somebody says so.
    HeldInDoubt(Fault),
    /// The ticket was dropped without a word: a defect of the relay.
    Lost,
}

impl Outcome {
    pub fn state(&self) -> State {
        match self {
            Self::Relayed(_) => State::Relayed,
            Self::Failed(fault) | Self::HeldInDoubt(fault) => fault.state(),
            Self::Journaled(_) => State::Journaled,
            Self::Lost => State::Lost,
        }
    }

    /// The same, of a job that may have been carried before, or not.
    pub fn of_repeat(self, repeat: Repeat) -> Self {
        match self {
            Self::Relayed(relayed) => Self::Relayed(Relayed { repeat, ..relayed }),
            Self::Failed(fault) => Self::Failed(fault.of_repeat(repeat)),
            Self::Journaled(_) => Self::Journaled(repeat),
            Self::HeldInDoubt(fault) => Self::HeldInDoubt(fault.of_repeat(repeat)),
            Self::Lost => Self::Lost,
        }
    }

    /// Whether the job may have been carried before, and arrive twice.
    pub fn repeat(&self) -> Repeat {
        match self {
            Self::Relayed(relayed) => relayed.repeat,
            Self::Failed(fault) | Self::HeldInDoubt(fault) => fault.repeat(),
            Self::Journaled(repeat) => *repeat,
            Self::Lost => Repeat::No,
        }
    }
}

/// Counts accepted recipients and their outcomes. `accepted` equals the sum of outcomes plus what is open.
#[derive(Debug, Default)]
pub struct Board {
    accepted: AtomicU64,
    by_state: [AtomicU64; State::ALL.len()],
}

impl Board {
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    pub fn settled(&self, state: State) -> u64 {
        self.by_state[state as usize].load(Relaxed)
    }

    /// Tickets that are held by somebody right now.
    pub fn open(&self) -> u64 {
        let settled: u64 = State::ALL.iter().map(|state| self.settled(*state)).sum();
        self.accepted().saturating_sub(settled)
    }

    /// Takes on one recipient: the ticket to settle.
    pub fn issue(self: &Arc<Self>, send: SendNumber) -> Ticket {
        self.accepted.fetch_add(1, Relaxed);
        Ticket { send, is_settled: false, board: self.clone() }
    }
}

/// The obligation to say what became of one accepted recipient, exactly once.
#[must_use = "a ticket has to be settled; dropping it reports the recipient as lost"]
#[derive(Debug)]
pub struct Ticket {
    send: SendNumber,
    is_settled: bool,
    board: Arc<Board>,
}

impl Ticket {
    pub fn settle(mut self, outcome: &Outcome) {
        self.is_settled = true;
        self.count(outcome);
    }

    fn count(&self, outcome: &Outcome) {
        self.board.by_state[outcome.state() as usize].fetch_add(1, Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_settled {
            tracing::error!(send = %self.send, "ticket dropped unsettled: recipient lost");
            self.count(&Outcome::Lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Reason;

    #[test]
    fn a_settled_ticket_has_one_outcome() {
        let board = Arc::new(Board::default());
        let ticket = board.issue(SendNumber::fresh());
        assert_eq!(board.open(), 1);
        ticket.settle(&Outcome::Failed(Fault::new(Reason::UnknownToken, "no such token")));
        let counts = (board.open(), board.settled(State::Rejected), board.settled(State::Lost));
        assert_eq!(counts, (0, 1, 0));
    }

    #[test]
    fn a_dropped_ticket_reports_lost() {
        let board = Arc::new(Board::default());
        drop(board.issue(SendNumber::fresh()));
        assert_eq!((board.open(), board.settled(State::Lost)), (0, 1));
    }
}
