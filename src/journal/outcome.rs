//! Outcomes as columns of the ledger, and back.

use crate::fault::{Enhanced, Fault, Reason, ReplyCode, State};
use crate::job::Repeat;
use crate::ticket::{Outcome, Relayed, StageTimes};
use rusqlite::Row;
use std::borrow::Cow;
use std::sync::Arc;

/// What rows of `job`, `attempt` and `event` say of an outcome.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub state: State,
    pub reason: Option<Reason>,
    pub detail: Option<Cow<'static, str>>,
    pub target: Option<Arc<str>>,
    pub code: Option<u16>,
    pub enhanced: Option<Enhanced>,
}

impl Verdict {
    /// Nothing but a state.
    pub fn plain(state: State) -> Self {
        Self { state, reason: None, detail: None, target: None, code: None, enhanced: None }
    }

    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Relayed(relayed) => Self {
                target: Some(relayed.target.clone()),
                code: Some(relayed.code.basic),
                enhanced: relayed.code.enhanced,
                ..Self::plain(State::Relayed)
            },
            Outcome::Failed(fault) | Outcome::HeldInDoubt(fault) => Self::failed(fault),
            Outcome::Journaled(_) => Self::plain(State::Journaled),
            Outcome::Lost => Self::plain(State::Lost),
        }
    }

    pub fn failed(fault: &Fault) -> Self {
        Self {
            state: fault.state(),
            reason: Some(fault.reason),
            detail: Some(fault.detail.clone()),
            target: fault.target.clone(),
            code: fault.reply.map(|reply| reply.basic),
            enhanced: fault.reply.and_then(|reply| reply.enhanced),
        }
    }

    /// The same cause with another outcome.
    pub fn into_state(self, state: State) -> Self {
        Self { state, ..self }
    }

    pub fn reason_word(&self) -> Option<&'static str> {
        self.reason.map(Reason::as_str)
    }

    pub fn enhanced_text(&self) -> Option<String> {
        self.enhanced.map(|enhanced| enhanced.to_string())
    }

    /// Reads [`COLUMNS`], the first of which is number `at`.
    pub fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        let word = |at| row.get_ref(at)?.as_str_or_null().map_err(|_| rusqlite::Error::InvalidQuery);
        let state = word(at)?.and_then(State::parse).ok_or(rusqlite::Error::InvalidQuery)?;
        Ok(Self {
            state,
            reason: word(at + 1)?.and_then(Reason::parse),
            detail: word(at + 2)?.map(|text| Cow::Owned(text.to_owned())),
            target: word(at + 3)?.map(Arc::from),
            code: row.get(at + 4)?,
            enhanced: word(at + 5)?.and_then(Enhanced::parse),
        })
    }

    /// What an engine is told of a job that came before.
    pub fn into_outcome(self, attempts: u32, is_held: bool) -> Outcome {
        let code = self.code.map(|basic| ReplyCode { basic, enhanced: self.enhanced });
        match self.state {
            State::Relayed => Outcome::Relayed(Relayed {
                target: self.target.unwrap_or_else(|| "".into()),
                code: code.unwrap_or(ReplyCode { basic: 250, enhanced: None }),
                attempt: attempts,
                times: StageTimes::default(),
                repeat: Repeat::No,
            }),
            State::Journaled => Outcome::Journaled(Repeat::No),
            State::Lost => Outcome::Lost,
            state => {
                let detail = self.detail.unwrap_or(Cow::Borrowed("the ledger says no more"));
                let mut fault = Fault::new(self.reason.unwrap_or(Reason::BadJob), detail).into_state(state);
                fault.reply = code;
                fault.target = self.target;
                if state == State::Unknown && is_held {
                    return Outcome::HeldInDoubt(fault);
                }
                Outcome::Failed(fault)
            }
        }
    }
}

/// Of a row of `job`: whether a target may have got it at an attempt that did not end it, or by another run of the relay.
pub const MAYBE_OFFERED: &str = "(is_resent OR maybe_repeated
     OR EXISTS (SELECT 1 FROM attempt WHERE attempt.job = job.id AND attempt.state = 'unknown'))";

/// The columns of `job` that [`Verdict::read`] reads.
pub const COLUMNS: &str = "state, reason, detail, target, code, enhanced";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        let target: Arc<str> = "mta1".into();
        let relayed = Relayed {
            target: target.clone(),
            code: ReplyCode::new(250, 2, 0, 0),
            attempt: 3,
            times: StageTimes::default(),
            repeat: Repeat::No,
        };
        let refused = Fault::refused(ReplyCode::new(550, 5, 7, 1), "no").at(&target);
        let outcomes = [
            Outcome::Relayed(relayed),
            Outcome::Failed(refused.clone()),
            Outcome::Failed(refused.into_state(State::Cancelled)),
            Outcome::Failed(Fault::expired()),
            Outcome::HeldInDoubt(Fault::in_doubt("gone").at(&target)),
            Outcome::Journaled(Repeat::No),
            Outcome::Lost,
        ];
        for outcome in outcomes {
            let verdict = Verdict::of(&outcome);
            let row = rusqlite::params![
                verdict.state.as_str(),
                verdict.reason_word(),
                verdict.detail,
                verdict.target,
                verdict.code,
                verdict.enhanced_text()
            ];
            let read =
                db.query_row("SELECT ?1, ?2, ?3, ?4, ?5, ?6", row, |row| Verdict::read(row, 0)).unwrap();
            let is_held = matches!(outcome, Outcome::HeldInDoubt(_));
            assert_eq!(read.into_outcome(3, is_held), outcome);
        }
    }
}
