//! Which jobs the ledger may know: a Bloom filter over their send numbers, so that a new job, as nearly all are, need
//! not be looked up. "New" is certain, "known" has to be looked up. It is bounded: with more jobs than it has room
//! for it says "known" more and more often, and the ledger is asked as if there were no filter.

use super::file::{self, Use};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::thread::JoinHandle;

/// Of 512 bits each, so that a look-up touches one line of the processor's cache: 8 MiB in all.
const BLOCKS: usize = 1 << 17;
const WORDS: usize = 8;
/// Bits set for each job.
const BITS: usize = 6;
/// From here on (8 bits a job) it is wrong so often, once in 20, that reading more into it is not worth the time.
const JOBS_MAX: u64 = (BLOCKS * 512 / 8) as u64;
/// Send numbers of one read, so that the write-ahead log is not held back for long.
const READ_AT_ONCE: i64 = 20_000;

#[derive(Debug)]
pub struct Known {
    words: Box<[AtomicU64]>,
    /// Whether everything is in it that was in the ledger at the start.
    is_whole: AtomicBool,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            words: (0..BLOCKS * WORDS).map(|_| AtomicU64::new(0)).collect(),
            is_whole: AtomicBool::new(false),
        }
    }
}

impl Known {
    /// To be called before the job can get into the ledger.
    pub fn add(&self, send: &[u8; 16]) {
        for (word, bit) in places(send) {
            self.words[word].fetch_or(bit, Relaxed);
        }
    }

    /// Whether the ledger certainly knows nothing of it.
    pub fn is_new(&self, send: &[u8; 16]) -> bool {
        self.is_whole.load(SeqCst)
            && places(send).any(|(word, bit)| self.words[word].load(Relaxed) & bit == 0)
    }

    /// Reads in what the ledger holds already. Blocks, for a second a million jobs at most.
    fn read_in(&self, db: &Connection) -> rusqlite::Result<()> {
        let jobs: i64 =
            db.query_row("SELECT ifnull(max(id), 0) - ifnull(min(id), 0) FROM job", [], |row| row.get(0))?;
        if jobs.unsigned_abs() > JOBS_MAX {
            return Ok(());
        }
        let mut select = db.prepare("SELECT send FROM job WHERE send > ?1 ORDER BY send LIMIT ?2")?;
        let mut last = Vec::new();
        loop {
            let mut rows = select.query(rusqlite::params![last, READ_AT_ONCE])?;
            let mut next = None;
            while let Some(row) = rows.next()? {
                let send: [u8; 16] = row.get(0)?;
                self.add(&send);
                next = Some(send);
            }
            let Some(send) = next else { break };
            last = send.to_vec();
        }
        self.is_whole.store(true, SeqCst);
        Ok(())
    }
}

/// The last 80 bits of a send number are random, or a keyed hash: they say where it belongs.
fn places(send: &[u8; 16]) -> impl Iterator<Item = (usize, u64)> {
    let number = u128::from_be_bytes(*send);
    let block = number as usize % BLOCKS;
    (0..BITS).map(move |n| {
        let place = (number >> (24 + 9 * n)) as usize % 512;
        (block * WORDS + place / 64, 1 << (place % 64))
    })
}

/// Reads the ledger in on a thread of its own; every job is looked up meanwhile, and if it fails, for good.
pub fn start(known: &Arc<Known>, path: PathBuf) -> std::io::Result<JoinHandle<()>> {
    let known = Arc::downgrade(known);
    let read = move || {
        let Some(known) = known.upgrade() else { return };
        let read = file::connect(&path, Use::Read).and_then(|db| known.read_in(&db));
        if let Err(error) = read {
            tracing::warn!(%error, "the ledger could not be read ahead; jobs are looked up one by one");
        }
    };
    std::thread::Builder::new().name("journal-known".into()).spawn(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::SendNumber;

    fn ledger(sends: &[[u8; 16]]) -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(crate::journal::schema::TABLES).unwrap();
        let mut insert = db
            .prepare(
                "INSERT INTO job (send, engine, token, body, accepted, changed, state, attempts, is_resent)
                     VALUES (?1, 'e', 't', x'', 0, 0, 'relayed', 1, 0)",
            )
            .unwrap();
        for send in sends {
            insert.execute([send]).unwrap();
        }
        drop(insert);
        db
    }

    #[test]
    fn what_is_in_the_ledger_is_never_new_and_hardly_anything_else_is_known() {
        let sends: Vec<[u8; 16]> = (0..50_000).map(|_| SendNumber::fresh().bits()).collect();
        let (before, after) = sends.split_at(45_000);
        let known = Known::default();
        assert!(!known.is_new(&sends[0]), "nothing is new as long as it has not read the ledger");
        known.read_in(&ledger(before)).unwrap();
        after.iter().for_each(|send| known.add(send));
        assert!(!sends.iter().any(|send| known.is_new(send)));
        let wrong = (0..50_000).filter(|_| !known.is_new(&SendNumber::fresh().bits())).count();
        assert!(wrong < 50, "{wrong} of 50,000 new ones would be looked up");
    }

    #[test]
    fn a_ledger_too_large_for_it_leaves_everything_to_be_looked_up() {
        let db = ledger(&[[1; 16], [2; 16]]);
        db.execute(
            "UPDATE job SET id = ?1 WHERE send = ?2",
            rusqlite::params![JOBS_MAX as i64 + 9, [2u8; 16]],
        )
        .unwrap();
        let known = Known::default();
        known.read_in(&db).unwrap();
        assert!(!known.is_new(&[3; 16]));
    }
}
