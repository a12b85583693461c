//! A journal written by hand, for the tests of every room that reads one.

use crate::fault::{Fault, Reason, State};
use crate::job::SendNumber;
use crate::journal::ledger::{Ask, Desk, Done, Entry, Ledger, change};
use crate::journal::record::Written;
use crate::journal::{Number, kept, schema};
use rusqlite::{Connection, params};

/// A journal with jobs as a test wants them.
pub(crate) struct Book {
    pub dir: tempfile::TempDir,
    pub db: Connection,
    jobs: i64,
}

/// How a job stands in the book.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stand {
    Fresh,
    Retry {
        at: i64,
    },
    Flight,
    Doubt,
    Ended(State, Option<Reason>),
    /// Refused for a missing field, and kept.
    Kept,
}

const CONTENT: [u8; 4] = [9; 4];
/// Octets of each record.
const RECORD_OCTETS: i64 = 10;
/// Octets of the one content.
const CONTENT_OCTETS: i64 = 100;

impl Book {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Connection::open(dir.path().join(crate::journal::FILE_NAME)).unwrap();
        db.pragma_update(None, "application_id", schema::APPLICATION_ID).unwrap();
        db.pragma_update(None, "user_version", schema::FORMAT).unwrap();
        db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
        db.execute_batch(schema::TABLES).unwrap();
        db.execute("UPDATE journal SET clock = 1000", []).unwrap();
        db.execute("INSERT INTO content VALUES (?1, 0, zeroblob(?2))", params![CONTENT, CONTENT_OCTETS])
            .unwrap();
        db.execute("UPDATE journal SET held_bytes = ?1", [CONTENT_OCTETS]).unwrap();
        Self { dir, db, jobs: 0 }
    }

    pub fn send(number: i64) -> SendNumber {
        let mut bits = [0; 16];
        bits[..8].copy_from_slice(&number.to_be_bytes());
        SendNumber::from_bits(bits)
    }

    /// Adds a job named `j1`, `j2` ..., accepted at as many seconds.
    pub fn add(&mut self, engine: &str, campaign: Option<&str>, stand: Stand) -> Number {
        self.jobs += 1;
        let id = self.jobs;
        let all = self.db.transaction().unwrap();
        let (state, reason) = match stand {
            Stand::Doubt => (State::Unknown, Some(Reason::TargetUnavailable)),
            Stand::Ended(state, reason) => (state, reason),
            Stand::Kept => (State::Rejected, Some(Reason::MissingField)),
            _ => (State::Journaled, None),
        };
        let refusal = Fault::new(reason.unwrap_or(Reason::BadJob), "no").into_state(state);
        let code = (!refusal.is_before_any_offer()).then_some(250);
        let reason = reason.map(Reason::as_str);
        all.execute(
            "INSERT INTO job VALUES (?1, ?2, ?3, ?4, ?5, ?6, x'00', ?7, ?7, ?8, ?9, NULL, 'mta1', ?10, '2.0.0', 1, 0, 0)",
            params![
                id,
                Self::send(id).bits(),
                engine,
                format!("j{id}"),
                campaign,
                format!("e_token{id:06}"),
                id * 1000,
                state.as_str(),
                reason,
                code
            ],
        )
        .unwrap();
        let counted = (engine, campaign.unwrap_or_default());
        change::count(&all, counted, (state.as_str(), reason), 1).unwrap();
        all.execute(
            "INSERT INTO event (job, at, state, reason, attempt) VALUES (?1, ?2, ?3, ?4, 1)",
            params![id, id * 1000, state.as_str(), reason],
        )
        .unwrap();
        match stand {
            Stand::Ended(..) => {}
            Stand::Kept => keep(&all, id),
            _ => hold(&all, id, stand),
        }
        all.commit().unwrap();
        Number(id)
    }

    pub fn attempt(&self, job: Number, number: u32, state: State, reason: Option<Reason>) {
        let reason = reason.map(Reason::as_str);
        self.db
            .execute(
                "INSERT INTO attempt VALUES (?1, ?2, ?3, ?4, ?5, 'busy', 'mta1', 451, '4.3.0')",
                params![job.0, number, 1000 * i64::from(number), state.as_str(), reason],
            )
            .unwrap();
    }

    /// What must hold between the tables, whatever was done.
    pub fn audit(&self) {
        let one = |sql: &str| self.db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let wrong_counts = one(
            "SELECT count(*) FROM (
                SELECT engine, coalesce(campaign, ''), state, iif(state = 'journaled', '', coalesce(reason, '')), count(*)
                    FROM job GROUP BY 1, 2, 3, 4 EXCEPT SELECT * FROM tally)
             UNION ALL SELECT count(*) FROM (
                SELECT * FROM tally EXCEPT
                SELECT engine, coalesce(campaign, ''), state, iif(state = 'journaled', '', coalesce(reason, '')), count(*)
                    FROM job GROUP BY 1, 2, 3, 4)
             ORDER BY 1 DESC LIMIT 1",
        );
        assert_eq!(wrong_counts, 0, "the tally is what the jobs are");
        let held = one("SELECT coalesce(sum(length(record)), 0) FROM payload")
            + change::ROW_BYTES * one("SELECT count(*) FROM payload")
            + one("SELECT coalesce(sum(length(octets)), 0) FROM content");
        assert_eq!(one("SELECT held_bytes FROM journal"), held);
        assert_eq!(one("SELECT held_jobs FROM journal"), one("SELECT count(*) FROM payload"));
        let uses = one("SELECT coalesce(sum(uses), 0) FROM content");
        assert_eq!(uses, one("SELECT count(*) FROM payload WHERE content IS NOT NULL"));
        for stray in [
            "SELECT count(*) FROM due WHERE job NOT IN (SELECT job FROM payload)",
            "SELECT count(*) FROM flight WHERE job NOT IN (SELECT job FROM payload)",
            "SELECT count(*) FROM due JOIN flight USING (job)",
            "SELECT count(*) FROM due JOIN payload USING (job) WHERE due.at <> payload.due",
            "SELECT count(*) FROM job WHERE state = 'journaled'
                AND id NOT IN (SELECT job FROM due UNION SELECT job FROM flight)",
            "SELECT count(*) FROM job WHERE state <> (SELECT state FROM event WHERE job = id ORDER BY seq DESC LIMIT 1)",
        ] {
            assert_eq!(one(stray), 0, "{stray}");
        }
    }

    pub fn ledger(&self) -> Ledger {
        Ledger::open(self.dir.path()).unwrap()
    }

    pub fn change(&self, jobs: &[Number], ask: Ask) -> Vec<Done> {
        Desk::open(self.dir.path()).unwrap().change(jobs, ask, 5_000_000).unwrap()
    }

    pub fn entry(&self, job: Number) -> Entry {
        self.ledger().by_send(&Self::send(job.0)).unwrap().unwrap()
    }
}

fn hold(db: &Connection, id: i64, stand: Stand) {
    db.execute(
        "INSERT INTO payload VALUES (?1, 0, 'mta1', 0, ?2, zeroblob(?3), 0)",
        params![id, CONTENT, RECORD_OCTETS],
    )
    .unwrap();
    db.execute("UPDATE content SET uses = uses + 1", []).unwrap();
    db.execute(
        "UPDATE journal SET held_jobs = held_jobs + 1, held_bytes = held_bytes + ?1",
        [RECORD_OCTETS + change::ROW_BYTES],
    )
    .unwrap();
    let due = |is_retry, at| change::Due { target: "mta1".into(), is_retry, at };
    match stand {
        Stand::Fresh => change::join(db, id, &due(false, 1000)).unwrap(),
        Stand::Retry { at } => change::join(db, id, &due(true, at)).unwrap(),
        Stand::Flight => {
            db.execute("INSERT INTO flight VALUES (?1, 900, 1)", [id]).unwrap();
        }
        Stand::Doubt | Stand::Ended(..) | Stand::Kept => {}
    }
}

fn keep(db: &Connection, id: i64) {
    let written = Written { record: vec![0; RECORD_OCTETS as usize], checksum: 0, content: None };
    let growth = kept::keep(db, id, 1000, kept::Refused { target: "mta1", written: &written }).unwrap();
    db.execute(
        "UPDATE journal SET kept_jobs = kept_jobs + ?1, kept_bytes = kept_bytes + ?2",
        [growth.jobs, growth.bytes],
    )
    .unwrap();
}
