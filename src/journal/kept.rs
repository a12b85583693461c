//! What refused jobs were made from, kept for a while: who mends what they were refused for can have them judged anew
//! (`jobs retry`). Only what no target can have is kept. It lies apart from what is held, within a bound of its own.

use super::outcome::MAYBE_OFFERED;
use super::record::{Hash, Written};
use crate::fault::{Reason, State};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use std::sync::LazyLock;

/// What a kept job takes beside its record.
const ROW_BYTES: i64 = super::record::ROW_BYTES as i64;

/// Of a row of `job`: whether the relay refused it, and no target can have it. In the words of
/// [`crate::fault::Fault::is_before_any_offer`].
pub static IS_REFUSED: LazyLock<String> = LazyLock::new(|| {
    let [rejected, suppressed] = [State::Rejected, State::Suppressed].map(State::as_str);
    let [by_target, duplicate] = [Reason::TargetRejected, Reason::Duplicate].map(Reason::as_str);
    format!(
        "(job.state IN ('{rejected}', '{suppressed}') AND job.code IS NULL
         AND ifnull(job.reason, '') NOT IN ('{by_target}', '{duplicate}') AND NOT {MAYBE_OFFERED})"
    )
});

static KEEP_PAYLOAD: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT OR IGNORE INTO kept (job, since, target, content, record, checksum)
             SELECT job.id, ?2, payload.target, payload.content, payload.record, payload.checksum
             FROM job JOIN payload ON payload.job = job.id WHERE job.id = ?1 AND {}
             RETURNING content, length(record)",
        *IS_REFUSED
    )
});

static KEEP_WRITTEN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT OR IGNORE INTO kept (job, since, target, content, record, checksum)
             SELECT job.id, ?2, ?3, ?4, ?5, ?6 FROM job WHERE job.id = ?1 AND {}
             RETURNING content, length(record)",
        *IS_REFUSED
    )
});

/// By how much what is kept has grown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Growth {
    pub jobs: i64,
    pub bytes: i64,
}

impl std::ops::AddAssign for Growth {
    fn add_assign(&mut self, more: Self) {
        self.jobs += more.jobs;
        self.bytes += more.bytes;
    }
}

/// A job that comes from a door, refused without having been held.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    pub target: &'a str,
    pub written: &'a Written,
}

type Taken = (Option<Hash>, i64);

fn taken(row: &Row<'_>) -> Result<Taken> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Keeps what a held job is made from, which is still there; if it was refused, which its row says by now. `since` is of the
/// journal's clock.
pub fn keep_payload(db: &Connection, job: i64, since: i64) -> Result<Growth> {
    let kept = db.prepare_cached(&KEEP_PAYLOAD)?.query_row([job, since], taken).optional()?;
    let Some((content, record_bytes)) = kept else { return Ok(Growth::default()) };
    let content_bytes = match content {
        None => Some(0),
        Some(hash) => share(db, "content", "kept_content", hash)?,
    };
    match content_bytes {
        Some(bytes) => Ok(Growth { jobs: 1, bytes: record_bytes + ROW_BYTES + bytes }),
        // Without its content it is nothing.
        None => {
            db.prepare_cached("DELETE FROM kept WHERE job = ?1")?.execute([job])?;
            Ok(Growth::default())
        }
    }
}

/// Likewise of a job that was never held.
pub fn keep(db: &Connection, job: i64, since: i64, refused: Refused<'_>) -> Result<Growth> {
    let Refused { target, written } = refused;
    let content = written.content.as_ref();
    let hash = content.map(|content| content.hash);
    let values = params![job, since, target, hash, written.record, written.checksum];
    let kept = db.prepare_cached(&KEEP_WRITTEN)?.query_row(values, taken).optional()?;
    let Some((_, record_bytes)) = kept else { return Ok(Growth::default()) };
    let mut bytes = record_bytes + ROW_BYTES;
    if let Some(content) = content {
        let mut put = db.prepare_cached(
            "INSERT INTO kept_content (hash, uses, octets) VALUES (?1, 1, ?2)
                 ON CONFLICT DO UPDATE SET uses = uses + 1 RETURNING uses",
        )?;
        let uses: i64 = put.query_row(params![content.hash, &*content.octets], |row| row.get(0))?;
        bytes += if uses == 1 { content.octets.len() as i64 } else { 0 };
    }
    Ok(Growth { jobs: 1, bytes })
}

/// One use more of a content in the one table, taken from the other where it is new. Bytes that are new there; `None` when it
/// is in neither.
fn share(db: &Connection, from: &str, to: &str, hash: Hash) -> Result<Option<i64>> {
    let mut put = db.prepare_cached(&format!(
        "INSERT INTO {to} (hash, uses, octets) SELECT hash, 1, octets FROM {from} WHERE hash = ?1
             ON CONFLICT DO UPDATE SET uses = uses + 1 RETURNING uses, length(octets)"
    ))?;
    let shared = put.query_row([hash], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(shared.map(|(uses, bytes): (i64, i64)| if uses == 1 { bytes } else { 0 }))
}

/// What a kept job is made from goes. Nothing happens to one that is not kept.
pub fn forget(db: &Connection, job: i64) -> Result<Growth> {
    let mut delete =
        db.prepare_cached("DELETE FROM kept WHERE job = ?1 RETURNING content, length(record)")?;
    let Some((content, record_bytes)) = delete.query_row([job], taken).optional()? else {
        return Ok(Growth::default());
    };
    let content_bytes = content.map_or(Ok(0), |hash| unshare(db, hash))?;
    Ok(Growth { jobs: -1, bytes: -(record_bytes + ROW_BYTES + content_bytes) })
}

fn unshare(db: &Connection, hash: Hash) -> Result<i64> {
    let mut release = db.prepare_cached(
        "UPDATE kept_content SET uses = uses - 1 WHERE hash = ?1 RETURNING uses, length(octets)",
    )?;
    let left: Option<(i64, i64)> =
        release.query_row([hash], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match left {
        Some((uses, bytes)) if uses <= 0 => {
            db.prepare_cached("DELETE FROM kept_content WHERE hash = ?1")?.execute([hash])?;
            Ok(bytes)
        }
        _ => Ok(0),
    }
}

/// The jobs that have been kept longest, with the moment since when.
pub fn oldest(db: &Connection, most: i64) -> Result<Vec<(i64, i64)>> {
    let mut select = db.prepare_cached("SELECT job, since FROM kept ORDER BY seq LIMIT ?1")?;
    select.query_map([most], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The record of a kept job.
pub fn record(db: &Connection, job: i64) -> Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT record FROM kept WHERE job = ?1")?.query_row([job], |row| row.get(0)).optional()
}

/// A job that was kept before the state was copied, restored or set back may have been mended and carried since by the run that
/// this one knows nothing of: whatever becomes of it now is flagged, as it is when its engine brings it again.
pub fn flag_if_unsure(db: &Connection, job: i64) -> Result<()> {
    db.prepare_cached(
        "UPDATE job SET maybe_repeated = 1 WHERE id = ?1
             AND (SELECT since FROM kept WHERE job = ?1) < (SELECT all_unsure_until FROM run)",
    )?
    .execute([job])?;
    Ok(())
}

/// A kept job is held again, until `expires` of the journal's clock. Where it goes: its target.
pub fn take_back(db: &Connection, job: i64, expires: i64) -> Result<Box<str>> {
    let mut put = db.prepare_cached(
        "INSERT INTO payload (job, expires, target, due, content, record, checksum)
             SELECT job, ?2, target, 0, content, record, checksum FROM kept WHERE job = ?1
             RETURNING target, content, length(record)",
    )?;
    type Put = (Box<str>, Option<Hash>, i64);
    let (target, content, record_bytes): Put =
        put.query_row([job, expires], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    drop(put);
    // One that is in neither is found damaged when it is taken out.
    let content_bytes = match content {
        Some(hash) => share(db, "kept_content", "content", hash)?.unwrap_or(0),
        None => 0,
    };
    let Growth { jobs, bytes } = forget(db, job)?;
    db.prepare_cached(
        "UPDATE journal SET held_bytes = held_bytes + ?1, held_jobs = held_jobs + 1,
             kept_bytes = kept_bytes + ?2, kept_jobs = kept_jobs + ?3",
    )?
    .execute([record_bytes + ROW_BYTES + content_bytes, bytes, jobs])?;
    Ok(target)
}

/// Makes the tables agree again, of what was saved from a damaged file.
pub fn mend(db: &Connection) -> Result<()> {
    db.execute_batch(&format!(
        "DELETE FROM kept WHERE job IN (SELECT job FROM payload)
             OR job NOT IN (SELECT id FROM job WHERE {})
             OR content NOT IN (SELECT hash FROM kept_content);",
        *IS_REFUSED
    ))?;
    count_uses(db, "kept", "kept_content")?;
    db.execute(
        "UPDATE journal SET kept_jobs = (SELECT count(*) FROM kept),
             kept_bytes = (SELECT ifnull(sum(length(record) + ?1), 0) FROM kept)
                 + (SELECT ifnull(sum(length(octets)), 0) FROM kept_content)",
        [ROW_BYTES],
    )?;
    Ok(())
}

/// Each content says again how many rows are made from it, and one that is nobody's goes. The rows are read once, however many
/// contents there are.
pub fn count_uses(db: &Connection, rows: &str, contents: &str) -> Result<()> {
    db.execute_batch(&format!(
        "CREATE TEMP TABLE used AS SELECT content AS hash, count(*) AS uses FROM {rows}
             WHERE content IS NOT NULL GROUP BY content;
         CREATE UNIQUE INDEX temp.used_hash ON used (hash);
         DELETE FROM {contents} WHERE hash NOT IN (SELECT hash FROM used);
         UPDATE {contents} SET uses = (SELECT uses FROM used WHERE used.hash = {contents}.hash);
         DROP TABLE used;"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, ReplyCode};

    #[test]
    fn b10_what_is_kept_is_mended_without_reading_all_of_it_for_each_message() {
        const MESSAGES: i64 = 20_000;
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(super::super::schema::TABLES).unwrap();
        let all = db.transaction().unwrap();
        for job in 0..MESSAGES {
            let content = job.to_le_bytes();
            all.execute(
                "INSERT INTO job (id, send, engine, token, body, accepted, changed, state, reason, attempts, is_resent)
                     VALUES (?1, ?2, 'e', 't', x'', 0, 0, 'rejected', 'missing-field', 1, 0)",
                params![job, content],
            )
            .unwrap();
            all.execute(
                "INSERT INTO kept (job, since, target, content, record, checksum) VALUES (?1, 0, '', ?2, zeroblob(300), 0)",
                params![job, content],
            )
            .unwrap();
            all.execute("INSERT INTO kept_content VALUES (?1, 7, zeroblob(100))", [content]).unwrap();
        }
        all.execute("INSERT INTO kept_content VALUES (x'ff', 1, x'00')", []).unwrap();
        all.execute("DELETE FROM job WHERE id = 1", []).unwrap();
        all.commit().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(mend(&db).map(|()| db)));
        let db = told
            .recv_timeout(std::time::Duration::from_secs(20))
            .expect("in a second, not a minute")
            .unwrap();
        let counts = "SELECT count(*), sum(uses), max(uses), (SELECT count(*) FROM kept) FROM kept_content";
        let counts: [i64; 4] =
            db.query_row(counts, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])).unwrap();
        assert_eq!(counts, [MESSAGES - 1, MESSAGES - 1, 1, MESSAGES - 1]);
    }

    #[test]
    fn b10_the_ledger_and_the_fault_call_the_same_refused() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(super::super::schema::TABLES).unwrap();
        let mut insert = db
            .prepare(
                "INSERT OR REPLACE INTO job (id, send, engine, token, body, accepted, changed, state, reason, code, attempts,
                     is_resent) VALUES (1, x'', 'e', 't', x'', 0, 0, ?1, ?2, ?3, 1, 0)",
            )
            .unwrap();
        let mut select = db.prepare(&format!("SELECT {} FROM job", *IS_REFUSED)).unwrap();
        for (reason, state) in Reason::ALL.iter().flat_map(|reason| State::ALL.map(|state| (*reason, state)))
        {
            for reply in [None, Some(ReplyCode::new(550, 5, 1, 1))] {
                let mut fault = Fault::new(reason, "x").into_state(state);
                fault.reply = reply;
                let code = reply.map(|reply| reply.basic);
                insert.execute(params![state.as_str(), reason.as_str(), code]).unwrap();
                let is_refused: bool = select.query_row([], |row| row.get(0)).unwrap();
                assert_eq!(is_refused, fault.is_before_any_offer(), "{fault:?}");
            }
        }
    }
}
