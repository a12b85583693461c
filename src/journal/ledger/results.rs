//! Jobs by their last results, in the order in which those came to be.
//!
//! Each change of a job's state is an event with a number that only grows; the event of the state a job is in now says where the job
//! stands. Events of states that it has left are passed over, so a job that changes moves to the end of the list, and is never
//! behind a cursor with a result that the cursor's owner has not seen.

use super::entry::{self, ENTRY_COLUMNS, Entry};
use super::{EVENTS_SCANNED_MAX, Ledger, LedgerError};
use crate::fault::State;
use rusqlite::Row;

/// Whose results are meant; `None` leaves everybody's in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Whose<'a> {
    pub engine: Option<&'a str>,
    pub campaign: Option<&'a str>,
}

/// Some results, each with its place, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Results {
    pub results: Vec<(i64, Entry)>,
    /// The cursor for the next read. It may be ahead of the last result: others were passed over.
    pub next: i64,
    /// There was nothing more when it was read.
    pub is_end: bool,
}

const ENGINE: usize = 2;
const CAMPAIGN: usize = 4;
const ATTEMPTS: usize = 8;
const STATE: usize = 11;
/// Behind [`ENTRY_COLUMNS`].
const SEQ: usize = 17;
const EVENT_STATE: usize = 18;
const EVENT_ATTEMPT: usize = 19;

impl Ledger {
    /// Up to `limit` results behind the cursor `after`. One read looks at a bounded number of events, whosever they are.
    ///
    /// # Errors
    /// [`LedgerError`] when the file cannot be read.
    pub fn results(&self, whose: Whose<'_>, after: i64, limit: usize) -> Result<Results, LedgerError> {
        let sql = format!(
            "SELECT {ENTRY_COLUMNS}, seq, event_state, event_attempt FROM (
                 SELECT seq, job AS of, state AS event_state, attempt AS event_attempt FROM event
                     WHERE seq > ?1 ORDER BY seq LIMIT ?2)
                 LEFT JOIN job ON job.id = of ORDER BY seq"
        );
        self.read(|db| {
            let mut select = db.prepare_cached(&sql)?;
            let mut rows = select.query((after, EVENTS_SCANNED_MAX as i64))?;
            let mut found = Results { results: Vec::new(), next: after, is_end: false };
            for scanned in 0.. {
                if found.results.len() == limit {
                    break;
                }
                let Some(row) = rows.next()? else {
                    found.is_end = scanned < EVENTS_SCANNED_MAX;
                    break;
                };
                found.next = row.get(SEQ)?;
                if whose.is_of(row)? && is_last(row)? {
                    found.results.push((found.next, entry::entry(row)?));
                }
            }
            Ok(found)
        })
    }
}

impl Whose<'_> {
    /// Of a job that the ledger no longer keeps, nothing is left to tell.
    fn is_of(self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let Some(engine) = row.get_ref(ENGINE)?.as_str_or_null()? else { return Ok(false) };
        let campaign = row.get_ref(CAMPAIGN)?.as_str_or_null()?;
        Ok(self.engine.is_none_or(|wanted| wanted == engine)
            && self.campaign.is_none_or(|wanted| Some(wanted) == campaign))
    }
}

/// Whether the event tells of the state that its job is in now. While a job is journaled its attempts are not events.
fn is_last(row: &Row<'_>) -> rusqlite::Result<bool> {
    let state = row.get_ref(STATE)?.as_str()?;
    if state != row.get_ref(EVENT_STATE)?.as_str()? {
        return Ok(false);
    }
    Ok(state == State::Journaled.as_str()
        || row.get::<_, u32>(ATTEMPTS)? == row.get::<_, u32>(EVENT_ATTEMPT)?)
}
