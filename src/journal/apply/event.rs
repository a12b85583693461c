//! What happened, as events. They are gathered and written together at the end of a commit: whenever a statement gives
//! numbers to rows that must never come again, SQLite reads and writes the last number in a table of its own.

use super::Batch;
use crate::fault::Enhanced;
use crate::journal::outcome::Verdict;
use rusqlite::types::ToSql;
use std::sync::{Arc, LazyLock};

/// Events of one statement.
const AT_ONCE: usize = 32;
const COLUMNS: usize = 8;

static INSERT: LazyLock<String> = LazyLock::new(|| insert(1));
static INSERT_MANY: LazyLock<String> = LazyLock::new(|| insert(AT_ONCE));

/// A row that cannot be written ends the whole commit (`OR FAIL`), so that SQLite need not be able to take back the rows
/// before it.
fn insert(rows: usize) -> String {
    let row = format!("({})", ["?"; COLUMNS].join(", "));
    let rows = vec![row; rows].join(", ");
    format!(
        "INSERT OR FAIL INTO event (job, at, state, reason, target, code, enhanced, attempt) VALUES {rows}"
    )
}

#[derive(Debug)]
pub(super) struct Event {
    job: i64,
    state: &'static str,
    reason: Option<&'static str>,
    target: Option<Arc<str>>,
    code: Option<u16>,
    enhanced: Option<Enhanced>,
    attempt: u32,
}

impl Batch<'_> {
    pub(super) fn event(&mut self, job: i64, verdict: &Verdict, attempt: u32) {
        self.events.push(Event {
            job,
            state: verdict.state.as_str(),
            reason: verdict.reason_word(),
            target: verdict.target.clone(),
            code: verdict.code,
            enhanced: verdict.enhanced,
            attempt,
        });
    }

    pub(super) fn write_events(&mut self) -> rusqlite::Result<()> {
        let events = std::mem::take(&mut self.events);
        let mut many = events.chunks_exact(AT_ONCE);
        for events in &mut many {
            self.write_rows(&INSERT_MANY, events)?;
        }
        many.remainder().iter().try_for_each(|event| self.write_rows(&INSERT, std::slice::from_ref(event)))
    }

    fn write_rows(&self, insert: &str, events: &[Event]) -> rusqlite::Result<()> {
        let mut insert = self.db.prepare_cached(insert)?;
        for (at, event) in events.iter().enumerate() {
            let enhanced = event.enhanced.map(|enhanced| enhanced.to_string());
            let Event { job, state, reason, target, code, attempt, .. } = event;
            let values: [&dyn ToSql; COLUMNS] =
                [job, &self.moment.wall, state, reason, target, code, &enhanced, attempt];
            for (column, value) in values.into_iter().enumerate() {
                insert.raw_bind_parameter(at * COLUMNS + column + 1, value)?;
            }
        }
        insert.raw_execute()?;
        Ok(())
    }
}
