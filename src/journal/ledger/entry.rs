//! What the ledger says about a job, its attempts and its events. Nothing of it is personal.

use crate::fault::{Reason, State};
use crate::job::SendNumber;
use crate::journal::Number;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Result, Row};
use serde::{Serialize, Serializer};
use std::fmt;

/// A moment in milliseconds of Unix time; shown as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub i64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The order of arrival; where a list goes on (`after`).
    #[serde(serialize_with = "bare")]
    pub number: Number,
    #[serde(serialize_with = "shown")]
    pub send: SendNumber,
    pub engine: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    pub token: String,
    pub accepted: At,
    pub changed: At,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Attempts so far.
    pub attempt: u32,
    /// It was sent again after an outcome in doubt, or is to be: it may arrive twice, under one Message-ID.
    pub resent: bool,
    /// The relay may have carried it before and have forgotten (a power cut, a restored state): it may arrive twice, under
    /// one Message-ID.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub maybe_repeated: bool,
}

/// A state with its cause, as the contract words it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The target's reply code and its enhanced code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enhanced: Option<String>,
}

/// Where a job is right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It waits for its next attempt.
    Waiting,
    /// An attempt is under way.
    InFlight,
    /// It may have been delivered, and is held until somebody decides.
    HeldInDoubt,
    /// It waited when the state was copied, and is not attempted until somebody says so.
    Parked,
    /// It was refused before any target saw it; what it was made from is kept for a while, so that it can be judged anew.
    Kept,
    /// Nothing more will be done; nothing it was made from is held.
    Ended,
}

impl Standing {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::InFlight => "in-flight",
            Self::HeldInDoubt => "held-in-doubt",
            Self::Parked => "parked",
            Self::Kept => "kept",
            Self::Ended => "ended",
        }
    }
}

/// One attempt at a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// From 1.
    pub attempt: u32,
    pub at: At,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// One change of a job's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Grows with every event; where reading goes on (`after`).
    pub seq: i64,
    pub at: At,
    #[serde(serialize_with = "shown")]
    pub send: SendNumber,
    pub engine: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    #[serde(flatten)]
    pub verdict: Verdict,
    pub attempt: u32,
    /// As [`Entry::maybe_repeated`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub maybe_repeated: bool,
}

/// Jobs of a campaign by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(pub Vec<Count>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    pub state: State,
    pub reason: Option<Reason>,
    pub jobs: u64,
}

impl Counts {
    pub fn of(&self, state: State) -> u64 {
        self.0.iter().filter(|count| count.state == state).map(|count| count.jobs).sum()
    }

    pub fn jobs(&self) -> u64 {
        self.0.iter().map(|count| count.jobs).sum()
    }

    /// No job is still to be delivered. Jobs in doubt are not: nothing happens to them by itself.
    pub fn is_finished(&self) -> bool {
        self.of(State::Journaled) == 0
    }
}

pub(super) const ENTRY_COLUMNS: &str = "id, send, engine, job_id, campaign, token, accepted, changed, attempts, is_resent, maybe_repeated, \
    state, reason, detail, target, code, enhanced";

/// Reads [`ENTRY_COLUMNS`].
pub(super) fn entry(row: &Row<'_>) -> Result<Entry> {
    Ok(Entry {
        number: Number(row.get(0)?),
        send: row.get::<_, Send>(1)?.0,
        engine: row.get(2)?,
        job_id: row.get(3)?,
        campaign: row.get(4)?,
        token: row.get(5)?,
        accepted: At(row.get(6)?),
        changed: At(row.get(7)?),
        attempt: row.get(8)?,
        resent: row.get(9)?,
        maybe_repeated: row.get(10)?,
        verdict: verdict(row, 11)?,
    })
}

/// Reads state, reason, detail, target, code and enhanced, from this column on.
pub(super) fn verdict(row: &Row<'_>, first: usize) -> Result<Verdict> {
    Ok(Verdict {
        state: row.get::<_, Word<State>>(first)?.0,
        reason: row.get::<_, Option<Word<Reason>>>(first + 1)?.map(|word| word.0),
        detail: row.get(first + 2)?,
        target: row.get(first + 3)?,
        code: row.get(first + 4)?,
        enhanced: row.get(first + 5)?,
    })
}

/// A send number as its 128 bits.
pub(super) struct Send(pub SendNumber);

impl FromSql for Send {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bits = <[u8; 16]>::try_from(value.as_blob()?).map_err(|_| FromSqlError::InvalidType)?;
        Ok(Self(SendNumber::from_bits(bits)))
    }
}

/// A word of a closed list.
pub(super) struct Word<T>(pub T);

impl FromSql for Word<State> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        State::parse(value.as_str()?).map(Self).ok_or(FromSqlError::InvalidType)
    }
}

impl FromSql for Word<Reason> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Reason::parse(value.as_str()?).map(Self).ok_or(FromSqlError::InvalidType)
    }
}

fn shown<S: Serializer>(value: &SendNumber, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(value.as_str())
}

fn bare<S: Serializer>(number: &Number, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_i64(number.0)
}
