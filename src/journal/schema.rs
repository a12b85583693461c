//! The journal's tables. Nothing in them is personal: a person is a token, a message is a template and data.
//!
//! A job is one row of `job` for as long as the ledger keeps it. While something is still to be done for it, `payload`
//! holds what it is made from, and it stands in `due` (waits for its next attempt) or in `flight` (an attempt is under
//! way), or in neither when it is held in doubt. `payload.target` and `payload.due` say where in `due` it stands, or stood
//! last, which spares an index. `deadline` says when to look at which held jobs, as their time may be over: a row is
//! for all jobs from `first` to `last` that were taken on together and expire together. `kept` is what refused jobs were made
//! from, with the contents they share: nothing is done for them unless a person asks. `parked` are jobs that waited when
//! the state was copied, and are not attempted until a person says so. `run` says which run had the file last. Rows are numbered in the order of arrival, so that new ones land side
//! by side; the send number finds them again.

/// The format this program writes (`PRAGMA user_version`).
pub const FORMAT: i64 = 5;
/// The first format of those that are brought up to this one where they lie ([`STEPS`]).
pub const FORMAT_BEFORE: i64 = 2;
/// The first format in which every start leaves its stamp.
pub const FORMAT_STAMPED: i64 = 3;
/// Marks the file as a journal (`PRAGMA application_id`, "TKNJ").
pub const APPLICATION_ID: i64 = 0x544b_4e4a;

/// Times are milliseconds: `accepted`, `changed` and `event.at` of the wall clock (Unix time), so that people can read
/// them; `due.at`, `flight.since`, `deadline.at`, `kept.since` and `payload.expires` of the journal's own clock, which never jumps when the wall
/// clock is set. `state`, `reason` and `enhanced` are the words of the contract. `payload.target` is the target the
/// job asks for, empty when it names none: its lane; `job.target` is the one that answered last. While a job is
/// `journaled`, `reason`, `detail`, `code` and `enhanced` say why its last attempt failed; it is tallied without them.
/// `flight.is_armed_first`: it leaves only after a note of it is on the disk. `run.sign` says by what the parked ones were
/// known to be a copy's, `run.checksum` is over all of the row; until `run.handoffs_unsure_until` and `run.all_unsure_until` (journal's clock) jobs may come that
/// came before and that the ledger has forgotten. `journal.clock` is of the last commit. `journal.log_clock` is the last
/// commit that the flight log was sure to know of then; 0 while nothing it says is needed, -1 until a start has left its
/// stamp in `run`.
pub const TABLES: &str = "
    CREATE TABLE journal (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        created INTEGER NOT NULL,
        clock INTEGER NOT NULL,
        held_bytes INTEGER NOT NULL,
        held_jobs INTEGER NOT NULL,
        quarantined INTEGER NOT NULL,
        log_clock INTEGER NOT NULL DEFAULT -1,
        kept_bytes INTEGER NOT NULL DEFAULT 0,
        kept_jobs INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    INSERT INTO journal VALUES (1, 0, 0, 0, 0, 0, -1, 0, 0);
    CREATE TABLE job (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        send BLOB NOT NULL,
        engine TEXT NOT NULL,
        job_id TEXT,
        campaign TEXT,
        token TEXT NOT NULL,
        body BLOB NOT NULL,
        accepted INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        state TEXT NOT NULL,
        reason TEXT,
        detail TEXT,
        target TEXT,
        code INTEGER,
        enhanced TEXT,
        attempts INTEGER NOT NULL,
        is_resent INTEGER NOT NULL,
        maybe_repeated INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE UNIQUE INDEX job_send ON job (send);
    CREATE INDEX job_campaign ON job (campaign, id) WHERE campaign IS NOT NULL;
    CREATE TABLE payload (
        job INTEGER PRIMARY KEY,
        expires INTEGER NOT NULL,
        target TEXT NOT NULL,
        due INTEGER NOT NULL DEFAULT 0,
        content BLOB,
        record BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE content (
        hash BLOB PRIMARY KEY,
        uses INTEGER NOT NULL,
        octets BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE kept (
        seq INTEGER PRIMARY KEY,
        job INTEGER NOT NULL UNIQUE,
        since INTEGER NOT NULL,
        target TEXT NOT NULL,
        content BLOB,
        record BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE kept_content (
        hash BLOB PRIMARY KEY,
        uses INTEGER NOT NULL,
        octets BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE due (
        target TEXT NOT NULL,
        is_retry INTEGER NOT NULL,
        at INTEGER NOT NULL,
        job INTEGER NOT NULL,
        PRIMARY KEY (target, is_retry, at, job)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE deadline (
        at INTEGER NOT NULL,
        part INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (at, part)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE flight (
        job INTEGER PRIMARY KEY,
        since INTEGER NOT NULL,
        is_armed_first INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE attempt (
        job INTEGER NOT NULL,
        number INTEGER NOT NULL,
        at INTEGER NOT NULL,
        state TEXT NOT NULL,
        reason TEXT,
        detail TEXT,
        target TEXT,
        code INTEGER,
        enhanced TEXT,
        PRIMARY KEY (job, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        job INTEGER NOT NULL,
        at INTEGER NOT NULL,
        state TEXT NOT NULL,
        reason TEXT,
        target TEXT,
        code INTEGER,
        enhanced TEXT,
        attempt INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE parked (
        job INTEGER PRIMARY KEY,
        is_retry INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE run (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        id BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        born INTEGER,
        volume INTEGER,
        is_lasting INTEGER NOT NULL,
        machine BLOB,
        sign TEXT,
        handoffs_unsure_until INTEGER NOT NULL,
        all_unsure_until INTEGER NOT NULL,
        checksum INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE tally (
        engine TEXT NOT NULL,
        campaign TEXT NOT NULL,
        state TEXT NOT NULL,
        reason TEXT NOT NULL,
        jobs INTEGER NOT NULL,
        PRIMARY KEY (engine, campaign, state, reason)
    ) STRICT, WITHOUT ROWID;
";

/// Each makes the next format out of one, from [`FORMAT_BEFORE`] on.
pub const STEPS: [&str; 3] = [FROM_2, FROM_3, FROM_4];

const FROM_2: &str = "
    ALTER TABLE job ADD COLUMN maybe_repeated INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE flight ADD COLUMN is_armed_first INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE parked (
        job INTEGER PRIMARY KEY,
        is_retry INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE run (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        id BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        born INTEGER,
        volume INTEGER,
        is_lasting INTEGER NOT NULL,
        machine BLOB,
        sign TEXT,
        handoffs_unsure_until INTEGER NOT NULL,
        all_unsure_until INTEGER NOT NULL
    ) STRICT;
    PRAGMA user_version = 3;
";

/// A stamp without a checksum is one of the format before.
const FROM_3: &str = "
    ALTER TABLE run ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE journal ADD COLUMN log_clock INTEGER NOT NULL DEFAULT -1;
    UPDATE journal SET log_clock = 0 WHERE EXISTS (SELECT 1 FROM run);
    PRAGMA user_version = 4;
";

const FROM_4: &str = "
    ALTER TABLE journal ADD COLUMN kept_bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE journal ADD COLUMN kept_jobs INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE kept (
        seq INTEGER PRIMARY KEY,
        job INTEGER NOT NULL UNIQUE,
        since INTEGER NOT NULL,
        target TEXT NOT NULL,
        content BLOB,
        record BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE kept_content (
        hash BLOB PRIMARY KEY,
        uses INTEGER NOT NULL,
        octets BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 5;
";

/// Takes a held job (number 1) out of `due`, if it stands there.
pub const LEAVE: &str = "DELETE FROM due WHERE job = ?1 AND is_retry IN (0, 1)
     AND target = (SELECT target FROM payload WHERE job = ?1)
     AND at = (SELECT due FROM payload WHERE job = ?1) RETURNING is_retry";

/// The way back, for tests of the way here.
#[cfg(test)]
pub const TO_4: &str = "
    ALTER TABLE journal DROP COLUMN kept_bytes;
    ALTER TABLE journal DROP COLUMN kept_jobs;
    DROP TABLE kept;
    DROP TABLE kept_content;
    PRAGMA user_version = 4;
";
#[cfg(test)]
pub const TO_3: &str = "
    ALTER TABLE run DROP COLUMN checksum;
    ALTER TABLE journal DROP COLUMN log_clock;
    PRAGMA user_version = 3;
";
#[cfg(test)]
pub const TO_2: &str = "
    ALTER TABLE job DROP COLUMN maybe_repeated;
    ALTER TABLE flight DROP COLUMN is_armed_first;
    DROP TABLE parked;
    DROP TABLE run;
    PRAGMA user_version = 2;
";

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// Every table with its columns, in the words that made them.
    fn shape(db: &Connection) -> Vec<(String, String)> {
        let mut select = db
            .prepare(
                "SELECT m.name, group_concat(c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || ifnull(c.dflt_value, ''))
                     FROM sqlite_schema AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table' GROUP BY 1 ORDER BY 1",
            )
            .unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn the_formats_before_become_this_one() {
        let (now, before) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        now.execute_batch(TABLES).unwrap();
        before.execute_batch(TABLES).unwrap();
        before.execute_batch(&format!("{TO_4}{TO_3}{TO_2}")).unwrap();
        for step in STEPS {
            assert_ne!(shape(&before), shape(&now));
            before.execute_batch(step).unwrap();
        }
        assert_eq!(shape(&before), shape(&now));
        let version: i64 = before.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, FORMAT);
        assert_eq!(STEPS.len() as i64, FORMAT - FORMAT_BEFORE);
    }
}
