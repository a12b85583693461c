//! The relay's ledger as it lies on disk.

use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// One row of `job`, with what is still there for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub send: String,
    pub job_id: Option<String>,
    pub state: String,
    pub is_resent: bool,
    pub has_payload: bool,
    pub is_due: bool,
    pub is_in_flight: bool,
    /// The state its last event tells.
    pub last_event: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub rows: Vec<Row>,
    /// How many jobs the relay counts in each state.
    pub tally: BTreeMap<String, i64>,
    pub held_jobs: i64,
    pub held_bytes: i64,
    pub quarantined: i64,
    /// Rows of `payload`, `due` and `flight` together whose job there is not.
    pub orphans: i64,
    /// What SQLite's own check says.
    pub integrity: String,
}

const ROWS: &str = "SELECT send, job_id, state, is_resent, id IN (SELECT job FROM payload),
    id IN (SELECT job FROM due), id IN (SELECT job FROM flight),
    (SELECT state FROM event WHERE event.job = job.id ORDER BY seq DESC LIMIT 1) FROM job";
const ORPHANS: &str = "SELECT count(*) FROM
    (SELECT job FROM payload UNION ALL SELECT job FROM due UNION ALL SELECT job FROM flight)
    WHERE job NOT IN (SELECT id FROM job)";
const BUSY: &str = "SELECT (SELECT count(*) FROM due) + (SELECT count(*) FROM flight)
    + (SELECT count(*) FROM job WHERE state = 'journaled')";

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.busy_timeout(Duration::from_secs(20))?;
    Ok(db)
}

/// Jobs for which something is still to be done.
pub fn busy(file: &Path) -> rusqlite::Result<i64> {
    open(file)?.query_row(BUSY, [], |row| row.get(0))
}

impl Ledger {
    pub fn read(file: &Path) -> rusqlite::Result<Self> {
        let db = open(file)?;
        let mut rows = db.prepare(ROWS)?;
        let rows = rows.query_map([], |row| {
            let send: [u8; 16] = row.get(0)?;
            Ok(Row {
                send: tokenrelay::job::SendNumber::from_bits(send).as_str().to_owned(),
                job_id: row.get(1)?,
                state: row.get(2)?,
                is_resent: row.get(3)?,
                has_payload: row.get(4)?,
                is_due: row.get(5)?,
                is_in_flight: row.get(6)?,
                last_event: row.get(7)?,
            })
        })?;
        let mut tally = db.prepare("SELECT state, sum(jobs) FROM tally GROUP BY state")?;
        let tally = tally.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let tally: rusqlite::Result<BTreeMap<String, i64>> = tally.collect();
        let held = "SELECT held_jobs, held_bytes, quarantined FROM journal";
        let (held_jobs, held_bytes, quarantined) =
            db.query_row(held, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(Self {
            rows: rows.collect::<rusqlite::Result<_>>()?,
            tally: tally?.into_iter().filter(|(_, jobs)| *jobs > 0).collect(),
            held_jobs,
            held_bytes,
            quarantined,
            orphans: db.query_row(ORPHANS, [], |row| row.get(0))?,
            integrity: db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?,
        })
    }
}
