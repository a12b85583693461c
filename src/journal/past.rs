//! What the ledger knows of targets from before the start: whether one takes people, and how many it has refused since it took
//! somebody. A relay that is started anew would believe each time what it believes of a target that it does not know.

use super::clock::wall_ms;
use super::file::{self, Use};
use super::handle::Journal;
use crate::fault::{Reason, State};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::time::Duration;

/// Jobs that are looked at, the youngest ones.
const JOBS_MAX: i64 = 10_000;

/// One target, as far as the ledger tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// How long ago it took somebody last.
    pub taken_ago: Option<Duration>,
    /// How many it has refused for good since.
    pub refused_since: u32,
}

impl Journal {
    /// Of each target by its name. Blocks for some milliseconds. What cannot be read is not known.
    pub fn pasts(&self) -> BTreeMap<String, Past> {
        let read = file::connect(&self.shared().path(), Use::Read).and_then(|db| pasts(&db, wall_ms()));
        read.unwrap_or_else(|error| {
            tracing::warn!(%error, "what targets did before the start could not be read; they count as new");
            BTreeMap::new()
        })
    }
}

fn pasts(db: &Connection, now: i64) -> rusqlite::Result<BTreeMap<String, Past>> {
    let mut select = db.prepare(
        "SELECT target, state = ?1, changed FROM job
             WHERE id > (SELECT max(id) FROM job) - ?2 AND target IS NOT NULL AND (state = ?1 OR (state = ?3 AND reason = ?4))
             ORDER BY changed",
    )?;
    let states = [State::Relayed.as_str(), State::Rejected.as_str()];
    let mut rows = select.query(params![states[0], JOBS_MAX, states[1], Reason::TargetRejected.as_str()])?;
    let mut pasts = BTreeMap::<String, Past>::new();
    while let Some(row) = rows.next()? {
        let past = pasts.entry(row.get(0)?).or_default();
        let (is_taken, at): (bool, i64) = (row.get(1)?, row.get(2)?);
        *past = match is_taken {
            true => {
                let ago = Duration::from_millis(now.saturating_sub(at).max(0).unsigned_abs());
                Past { taken_ago: Some(ago), refused_since: 0 }
            }
            false => Past { refused_since: past.refused_since.saturating_add(1), ..*past },
        };
    }
    Ok(pasts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a6_a_start_knows_who_took_people_and_how_many_were_refused_since() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(crate::journal::schema::TABLES).unwrap();
        let rows = [
            ("mta1", "rejected", "target-rejected", 100),
            ("mta1", "relayed", "", 200),
            ("mta1", "rejected", "target-rejected", 300),
            ("mta1", "rejected", "bad-job", 310),
            ("mta2", "rejected", "target-rejected", 320),
            ("mta2", "rejected", "target-rejected", 330),
            ("mta3", "journaled", "target-unavailable", 340),
        ];
        for (number, (target, state, reason, changed)) in rows.into_iter().enumerate() {
            let reason = Some(reason).filter(|reason| !reason.is_empty());
            db.execute(
                "INSERT INTO job (send, engine, token, body, accepted, changed, state, reason, target, attempts, is_resent)
                     VALUES (?1, 'e', 't', x'', 0, ?2, ?3, ?4, ?5, 1, 0)",
                params![[number as u8; 16], changed, state, reason, target],
            )
            .unwrap();
        }
        let pasts = pasts(&db, 1200).unwrap();
        let taken = Past { taken_ago: Some(Duration::from_secs(1)), refused_since: 1 };
        assert_eq!(pasts.get("mta1"), Some(&taken));
        assert_eq!(pasts.get("mta2"), Some(&Past { taken_ago: None, refused_since: 2 }));
        assert_eq!(pasts.len(), 2);
    }
}
