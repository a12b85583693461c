//! What the writer does between commits: the write-ahead log is moved into the file, the ledger forgets, the ballast is
//! taken on again.

use super::apply::{Batch, Swept};
use super::clock::millis;
use super::error::Trouble;
use super::writer::Writer;
use rusqlite::{Connection, TransactionBehavior};
use std::time::{Duration, Instant};

/// Pages in the write-ahead log from which on they are moved into the file: 16 MiB.
const LOG_PAGES_MAX: i64 = 4_096;
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Between the parts of a sweep, so that jobs come first.
const SWEEP_PAUSE: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Upkeep {
    next_sweep: Instant,
    /// The sweep under way goes on behind this job.
    swept_upto: i64,
    next_look: Instant,
}

impl Upkeep {
    pub fn new() -> Self {
        let now = Instant::now();
        Self { next_sweep: now + SWEEP_EVERY, swept_upto: 0, next_look: now + LOOK_EVERY }
    }

    /// Until there is something to do.
    pub fn pause(&self) -> Duration {
        self.next_sweep.saturating_duration_since(Instant::now())
    }
}

impl Writer {
    pub fn keep_up(&mut self) {
        let kept = self.checkpoint_if_long().and_then(|()| self.sweep_if_time());
        self.look_at(kept);
        let now = Instant::now();
        if now >= self.upkeep.next_look {
            self.upkeep.next_look = now + LOOK_EVERY;
            self.space.take_ballast();
        }
    }

    /// A failure here is as bad as one in a commit, and a full disk as harmless.
    fn look_at(&mut self, kept: rusqlite::Result<()>) {
        let Err(error) = kept else { return };
        match Trouble::of_store(&error) {
            Trouble::DiskFull => {
                self.space.drop_ballast();
            }
            Trouble::Busy => {}
            trouble => self.shared.poison(trouble),
        }
    }

    fn checkpoint_if_long(&mut self) -> rusqlite::Result<()> {
        let (pages, moved) = checkpoint(&self.db, "NOOP")?;
        if pages - moved >= LOG_PAGES_MAX {
            checkpoint(&self.db, "PASSIVE")?;
        }
        Ok(())
    }

    fn sweep_if_time(&mut self) -> rusqlite::Result<()> {
        if Instant::now() < self.upkeep.next_sweep {
            return Ok(());
        }
        let is_done = self.sweep()?;
        let pause = if is_done { SWEEP_EVERY } else { SWEEP_PAUSE };
        self.upkeep.next_sweep = Instant::now() + pause;
        Ok(())
    }

    /// One part of a sweep. Whether it was the last.
    pub fn sweep(&mut self) -> rusqlite::Result<bool> {
        let moment = self.shared.moment();
        let before = moment.wall.saturating_sub(millis(self.shared.settings.retention));
        let all = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut batch = Batch::new(&all, &self.shared.settings, moment, &mut self.chance);
        let swept = batch.sweep(self.upkeep.swept_upto, before)?;
        let has_more_events = batch.sweep_events(before)?;
        let totals = batch.finish()?;
        all.commit()?;
        self.totals = totals;
        self.shared.committed(totals);
        self.upkeep.swept_upto = match swept {
            Swept::Upto(job) => job,
            Swept::Done => 0,
        };
        Ok(swept == Swept::Done && !has_more_events)
    }

    /// Everything is in the one file, and the log is empty.
    pub fn close(self) {
        if let Err(error) = checkpoint(&self.db, "TRUNCATE") {
            tracing::warn!(%error, "the journal's log stays; the next start reads it");
        }
    }
}

/// Pages in the log, and how many of them are in the file by now.
fn checkpoint(db: &Connection, how: &str) -> rusqlite::Result<(i64, i64)> {
    db.prepare_cached(&format!("PRAGMA wal_checkpoint({how})"))?
        .query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}
