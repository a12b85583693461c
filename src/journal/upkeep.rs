//! What the writer does between commits: the write-ahead log is moved into the file, room is given back to the disk, what
//! is too late expires, the ledger forgets, the ballast is taken on again.

use super::apply::{Batch, Swept};
use super::clock::{millis, wall_ms};
use super::error::Trouble;
use super::file::WRITE_WAIT;
use super::flight::Standing;
use super::writer::{Made, Writer};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::time::{Duration, Instant};

/// Pages in the write-ahead log from which on they are moved into the file: 16 MiB, which the ballast can take in.
const LOG_PAGES_MAX: i64 = 4_096;
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Between the parts of a sweep, so that jobs come first.
const SWEEP_PAUSE: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Likewise while the disk has little left.
const LOOK_SOON: Duration = Duration::from_millis(250);
/// What the log's file may take while the disk has little left, and what may be given up and not yet gone.
const LOG_BYTES_SCARCE: u64 = 1 << 20;
/// How long what is read beside may hold up the emptying of the log.
const EMPTY_WAIT: Duration = Duration::from_millis(50);
/// Empty pages that the file keeps for what comes next, in bytes, while the disk has plenty.
const EMPTY_BYTES_KEPT: u64 = 16 << 20;
/// Pages given back in one commit. Each may put another one in its place, which goes through the log.
const PAGES_GIVEN_BACK: usize = 1_024;
const PAGES_GIVEN_BACK_SCARCE: usize = 128;

#[derive(Debug)]
pub struct Upkeep {
    next_sweep: Instant,
    /// The sweep under way goes on behind this job.
    swept_upto: i64,
    next_look: Instant,
    next_deadline: Instant,
}

impl Upkeep {
    pub fn new() -> Self {
        let now = Instant::now();
        Self { next_sweep: now + SWEEP_EVERY, swept_upto: 0, next_look: now + LOOK_EVERY, next_deadline: now }
    }

    /// Until there is something to do.
    pub fn pause(&self) -> Duration {
        let next = self.next_sweep.min(self.next_look).min(self.next_deadline);
        next.saturating_duration_since(Instant::now())
    }
}

impl Writer {
    /// What is due of it, as long as the file can be trusted.
    pub fn keep_up(&mut self) {
        let steps =
            [Self::checkpoint_if_long, Self::sweep_if_time, Self::expire_if_time, Self::give_back_if_time];
        for step in steps {
            if self.shared.is_poisoned() {
                return;
            }
            let kept = step(self);
            self.look_at(kept);
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
            trouble => self.shared.break_down(trouble),
        }
    }

    fn checkpoint_if_long(&mut self) -> rusqlite::Result<()> {
        let (pages, moved) = checkpoint(&self.db, "NOOP")?;
        if pages - moved >= LOG_PAGES_MAX {
            self.checkpoint("PASSIVE")?;
        }
        Ok(())
    }

    /// The disk is full: what is only there to be thrown off goes, and so does the log, once its pages are in the file.
    /// What was delivered has left room for them there.
    pub fn make_room(&mut self) {
        self.space.drop_ballast();
        let emptied = self.empty_log();
        self.look_at(emptied);
    }

    fn give_back_if_time(&mut self) -> rusqlite::Result<()> {
        if Instant::now() < self.upkeep.next_look {
            return Ok(());
        }
        // Should it fail, not at once again.
        self.upkeep.next_look = Instant::now() + LOOK_EVERY;
        let given = self.give_back();
        self.space.take_ballast();
        self.shared.tell_full(self.space.fullness(self.totals.held_bytes));
        self.shared.set_oldest(oldest(&self.db)?);
        given
    }

    /// Gives room back to the disk, a part at a time: the log and all empty pages when the disk has little left, most
    /// empty pages when nothing is held. Otherwise both are used again where they are.
    fn give_back(&mut self) -> rusqlite::Result<()> {
        self.space.look(&self.db)?;
        let is_scarce = self.space.is_scarce();
        if is_scarce && self.totals.kept_jobs > 0 {
            self.in_one(|batch, _| batch.sweep_kept(i64::MAX))?;
        }
        let (kept, pages) = match is_scarce {
            true => (0, PAGES_GIVEN_BACK_SCARCE),
            false => (EMPTY_BYTES_KEPT, PAGES_GIVEN_BACK),
        };
        let is_wanted = self.space.empty() > kept && (is_scarce || self.totals.held_jobs == 0);
        if is_wanted && give_back_pages(&self.db, pages)? {
            self.upkeep.next_look = Instant::now() + SWEEP_PAUSE;
        } else if is_scarce {
            self.upkeep.next_look = Instant::now() + LOOK_SOON;
        }
        let log = if is_scarce { self.space.log() } else { 0 };
        if log.max(self.space.surplus()) > LOG_BYTES_SCARCE {
            self.empty_log()?;
        }
        Ok(())
    }

    /// Moves the log's pages into the file and makes the log's file empty, unless somebody reads it.
    fn empty_log(&mut self) -> rusqlite::Result<()> {
        self.db.busy_timeout(EMPTY_WAIT)?;
        let emptied = self.checkpoint("TRUNCATE");
        self.db.busy_timeout(WRITE_WAIT)?;
        emptied
    }

    /// Moves the log's pages into the file, and notes it when all of them are there: should somebody put an older file
    /// under the log, that is known by it.
    fn checkpoint(&self, how: &str) -> rusqlite::Result<()> {
        let (pages, moved) = checkpoint(&self.db, how)?;
        if pages >= 0
            && pages == moved
            && let Err(error) = self.shared.flights.rest_on(self.written)
        {
            self.shared.break_down(Trouble::of_io(&error));
        }
        Ok(())
    }

    fn sweep_if_time(&mut self) -> rusqlite::Result<()> {
        if Instant::now() < self.upkeep.next_sweep {
            return Ok(());
        }
        // Should it fail, not at once again.
        self.upkeep.next_sweep = Instant::now() + SWEEP_EVERY;
        if !self.sweep()? {
            self.upkeep.next_sweep = Instant::now() + SWEEP_PAUSE;
        }
        Ok(())
    }

    fn expire_if_time(&mut self) -> rusqlite::Result<()> {
        if Instant::now() < self.upkeep.next_deadline {
            return Ok(());
        }
        self.upkeep.next_deadline = Instant::now() + LOOK_EVERY;
        self.expire_late()
    }

    /// One part of what is too late ends.
    fn expire_late(&mut self) -> rusqlite::Result<()> {
        let now = self.shared.clock.now_ms();
        let is_any = "SELECT EXISTS (SELECT 1 FROM deadline WHERE at <= ?1)";
        if !self.db.prepare_cached(is_any)?.query_row([now], |row| row.get(0))? {
            return Ok(());
        }
        if self.in_one(|batch, _| batch.expire_late())? {
            self.upkeep.next_deadline = Instant::now() + SWEEP_PAUSE;
        }
        Ok(())
    }

    /// One commit of its own.
    fn in_one<T>(
        &mut self,
        work: impl FnOnce(&mut Batch<'_>, &Upkeep) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let all = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let moment = self.shared.moment(self.written);
        let mut batch = Batch::new(&all, &self.shared.settings, moment, &mut self.chance);
        let done = work(&mut batch, &self.upkeep)?;
        let totals = batch.finish()?;
        self.shared.unsynced.commit(self.serial + 1, || all.commit())?;
        (self.totals, self.written) = (totals, moment.clock);
        self.shared.committed(totals);
        self.hand_over(Vec::new(), Made::at(moment.clock));
        Ok(done)
    }

    /// One part of a sweep. Whether it was the last.
    pub fn sweep(&mut self) -> rusqlite::Result<bool> {
        let before = wall_ms().saturating_sub(millis(self.shared.settings.retention));
        let kept_before = self.shared.clock.now_ms() - millis(self.shared.settings.keep_refused.duration);
        let (swept, has_more) = self.in_one(|batch, upkeep| {
            let has_more_kept = batch.sweep_kept(kept_before)?;
            Ok((batch.sweep(upkeep.swept_upto, before)?, batch.sweep_events(before)? | has_more_kept))
        })?;
        self.upkeep.swept_upto = match swept {
            Swept::Upto(job) => job,
            Swept::Done => 0,
        };
        Ok(swept == Swept::Done && !has_more)
    }

    /// Everything is in the one file, and the log is empty; the next start is told so, unless something is still on its
    /// way.
    pub fn close(self) {
        if let Err(error) = self.checkpoint("TRUNCATE") {
            tracing::warn!(%error, "the journal's log stays; the next start reads it");
        }
        let shared = &self.shared;
        if shared.flights.count() == 0
            && shared.handoffs.is_idle()
            && let Err(error) = shared.flights.stand(Standing::Ended)
        {
            shared.poison(Trouble::of_io(&error));
        }
    }
}

/// When the first of the held jobs was accepted; they are numbered in that order.
fn oldest(db: &Connection) -> rusqlite::Result<Option<i64>> {
    let mut select =
        db.prepare_cached("SELECT accepted FROM job WHERE id = (SELECT min(job) FROM payload)")?;
    select.query_row([], |row| row.get(0)).optional()
}

/// False for a file that was made without the means for it.
fn give_back_pages(db: &Connection, most: usize) -> rusqlite::Result<bool> {
    const INCREMENTAL: i64 = 2;
    if db.prepare_cached("PRAGMA auto_vacuum")?.query_row([], |row| row.get::<_, i64>(0))? != INCREMENTAL {
        return Ok(false);
    }
    let mut give_back = db.prepare(&format!("PRAGMA incremental_vacuum({most})"))?;
    let mut pages = give_back.query([])?;
    while pages.next()?.is_some() {}
    Ok(true)
}

/// Pages in the log, and how many of them are in the file by now; -1 when nobody could look.
fn checkpoint(db: &Connection, how: &str) -> rusqlite::Result<(i64, i64)> {
    db.prepare_cached(&format!("PRAGMA wal_checkpoint({how})"))?
        .query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}
