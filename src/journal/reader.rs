//! Questions about the journal are answered on a thread of its own, as many at once as have gathered.

use super::body::Body;
use super::error::Trouble;
use super::outcome::{COLUMNS, MAYBE_OFFERED, Verdict};
use super::shared::{Shared, unwritable};
use super::{Earlier, Lane, Offer, file};
use crate::fault::Fault;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Questions of one read.
const QUESTIONS_MAX: usize = 1_024;

type Answer<T> = oneshot::Sender<Result<T, Fault>>;

pub enum Question {
    LookUp([u8; 16], Answer<Option<Earlier>>),
    /// Each lane with the time its first job is due on the journal's clock.
    Lanes(Answer<Vec<(Lane, i64)>>),
}

/// Ends when the last sender is gone.
pub fn start(
    db: Connection,
    shared: Arc<Shared>,
) -> std::io::Result<(mpsc::Sender<Question>, JoinHandle<()>)> {
    let (ask, asked) = mpsc::channel();
    let run = move || {
        while let Ok(first) = asked.recv() {
            let more = asked.try_iter().take(QUESTIONS_MAX - 1);
            answer_all(&db, &shared, std::iter::once(first).chain(more));
        }
    };
    Ok((ask, std::thread::Builder::new().name("journal-read".into()).spawn(run)?))
}

fn answer_all(db: &Connection, shared: &Shared, questions: impl Iterator<Item = Question>) {
    // One moment for all of them. Without it each is a read of its own, and says itself what is wrong.
    let is_one = db.execute_batch("BEGIN").is_ok();
    for question in questions {
        match question {
            Question::LookUp(send, answer) => drop(answer.send(look_up(db, &send).map_err(told(shared)))),
            Question::Lanes(answer) => {
                if let Ok(has_parked) =
                    db.prepare_cached("SELECT 1 FROM parked").and_then(|mut any| any.exists([]))
                {
                    shared.has_parked.store(has_parked, Relaxed);
                }
                drop(answer.send(lanes(db).map_err(told(shared))));
            }
        }
    }
    if is_one {
        let _ = db.execute_batch("COMMIT");
    }
}

fn told(shared: &Shared) -> impl Fn(rusqlite::Error) -> Fault + '_ {
    |error| {
        let trouble = Trouble::of_store(&error);
        if trouble == Trouble::Damaged {
            shared.poison(trouble);
        }
        unwritable(trouble)
    }
}

fn look_up(db: &Connection, send: &[u8; 16]) -> rusqlite::Result<Option<Earlier>> {
    let mut select = db.prepare_cached(&format!(
        "SELECT body, attempts, EXISTS (SELECT 1 FROM payload WHERE payload.job = job.id), maybe_repeated, {MAYBE_OFFERED},
             {COLUMNS} FROM job WHERE send = ?1"
    ))?;
    let read = |row: &rusqlite::Row<'_>| {
        let outcome = Verdict::read(row, 5)?.into_outcome(row.get(1)?, row.get(2)?);
        Ok(Earlier {
            body: Body(row.get(0)?),
            outcome: outcome.of_repeat(super::apply::repeat(row.get(3)?)),
            offer: if row.get(4)? { Offer::Maybe } else { Offer::Never },
        })
    };
    select.query_row([send], read).optional()
}

const FIRST_OF_TARGET: &str = "SELECT target, is_retry, at FROM due WHERE target = ?1 AND is_retry > ?2
     ORDER BY is_retry, at LIMIT 1";
const FIRST_OF_NEXT_TARGET: &str = "SELECT target, is_retry, at FROM due WHERE target > ?1
     ORDER BY target, is_retry, at LIMIT 1";

/// Jumps from lane to lane, so that a million jobs in few lanes cost as much as a few. One comparison of target and
/// lane together would not do: SQLite then walks through the whole lane it comes from.
pub fn lanes(db: &Connection) -> rusqlite::Result<Vec<(Lane, i64)>> {
    let mut same_target = db.prepare_cached(FIRST_OF_TARGET)?;
    let mut next_target = db.prepare_cached(FIRST_OF_NEXT_TARGET)?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok((Lane { target: row.get(0)?, is_retry: row.get(1)? }, row.get::<_, i64>(2)?))
    };
    let mut found: Vec<(Lane, i64)> = Vec::new();
    let mut behind = (Box::<str>::from(""), -1);
    loop {
        let next = match same_target.query_row(params![behind.0, behind.1], read).optional()? {
            Some(next) => Some(next),
            None => next_target.query_row(params![behind.0], read).optional()?,
        };
        let Some((lane, at)) = next else { return Ok(found) };
        behind = (lane.target.clone(), i64::from(lane.is_retry));
        found.push((lane, at));
    }
}

pub fn connect(shared: &Shared) -> rusqlite::Result<Connection> {
    file::connect(&shared.path(), file::Use::Read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    #[test]
    fn lanes_cost_as_much_with_many_jobs_as_with_few() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(crate::journal::schema::TABLES).unwrap();
        db.execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
                 INSERT INTO due SELECT iif(i % 3 = 0, '', 'mta' || (i % 3)), i % 2, i, i FROM n",
        )
        .unwrap();
        let lanes = lanes(&db).unwrap();
        assert_eq!(lanes.len(), 6);
        assert!(lanes.iter().all(|(_, at)| *at <= 6), "{lanes:?}");
        for sql in [FIRST_OF_TARGET, FIRST_OF_NEXT_TARGET] {
            let steps = db.prepare_cached(sql).unwrap().get_status(StatementStatus::VmStep);
            assert!((1..500).contains(&steps), "{steps} steps: {sql}");
        }
    }
}
