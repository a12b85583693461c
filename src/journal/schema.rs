//! The journal's tables. Nothing in them is personal: a person is a token, a message is a template and data.
//!
//! A job is one row of `job` for as long as the ledger keeps it. While something is still to be done for it, `payload`
//! holds what it is made from, and it stands in `due` (waits for its next attempt) or in `flight` (an attempt is under
//! way), or in neither when it is held in doubt. `payload.target` and `payload.due` say where in `due` it stands, or stood
//! last, which spares an index. `deadline` says when to look at which held jobs, as their time may be over: a row is
//! for all jobs from `first` to `last` that were taken on together and expire together. Rows are numbered in the order of arrival, so that new ones land side
//! by side; the send number finds them again.

/// The format this program writes (`PRAGMA user_version`).
pub const FORMAT: i64 = 2;
/// Marks the file as a journal (`PRAGMA application_id`, "TKNJ").
pub const APPLICATION_ID: i64 = 0x544b_4e4a;

/// Times are milliseconds: `accepted`, `changed` and `event.at` of the wall clock (Unix time), so that people can read
/// them; `due.at`, `flight.since`, `deadline.at` and `payload.expires` of the journal's own clock, which never jumps when the wall
/// clock is set. `state`, `reason` and `enhanced` are the words of the contract. `payload.target` is the target the
/// job asks for, empty when it names none: its lane; `job.target` is the one that answered last. While a job is
/// `journaled`, `reason`, `detail`, `code` and `enhanced` say why its last attempt failed; it is tallied without them.
pub const TABLES: &str = "
    CREATE TABLE journal (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        created INTEGER NOT NULL,
        clock INTEGER NOT NULL,
        held_bytes INTEGER NOT NULL,
        held_jobs INTEGER NOT NULL,
        quarantined INTEGER NOT NULL
    ) STRICT;
    INSERT INTO journal VALUES (1, 0, 0, 0, 0, 0);
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
        is_resent INTEGER NOT NULL
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
        since INTEGER NOT NULL
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
    CREATE TABLE tally (
        engine TEXT NOT NULL,
        campaign TEXT NOT NULL,
        state TEXT NOT NULL,
        reason TEXT NOT NULL,
        jobs INTEGER NOT NULL,
        PRIMARY KEY (engine, campaign, state, reason)
    ) STRICT, WITHOUT ROWID;
";

/// Takes a held job (number 1) out of `due`, if it stands there.
pub const LEAVE: &str = "DELETE FROM due WHERE job = ?1 AND is_retry IN (0, 1)
     AND target = (SELECT target FROM payload WHERE job = ?1)
     AND at = (SELECT due FROM payload WHERE job = ?1) RETURNING is_retry";
