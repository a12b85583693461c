//! The disk behind the writer: while it takes one commit, the writer makes the next. Who waits for a commit is answered
//! when an fsync that began behind it has ended well; after one that has not, nobody is told any more that something is
//! written.

use super::commit::Commit;
use super::error::Trouble;
use super::inbox::Disk;
use super::shared::Shared;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Commits that a power cut may still take back.
#[derive(Debug)]
pub struct Unsynced {
    // Plain data, held for a few lines, and through the writing of a few octets when the disk fails.
    queue: Mutex<Queue>,
    more: Condvar,
    /// The last commit that may be read.
    visible: AtomicU64,
    /// Nothing more will be on the disk than is there.
    is_over: AtomicBool,
    /// The last commit that is on the disk.
    synced: watch::Sender<u64>,
}

#[derive(Debug)]
struct Queue {
    waiting: Vec<Commit>,
    is_syncing: bool,
    /// What an fsync takes, as of late.
    usual: Duration,
    /// Highest number of a job that is known to be on the disk.
    last_job: i64,
    is_broken: bool,
    is_closed: bool,
}

impl Queue {
    fn disk(&self) -> Disk {
        match (self.is_syncing, self.waiting.is_empty()) {
            (false, true) => Disk::Idle,
            (true, false) => Disk::Behind,
            _ => Disk::Busy { until: Instant::now() + self.usual },
        }
    }
}

impl Unsynced {
    pub fn new(last_job: i64) -> Self {
        let queue = Queue {
            waiting: Vec::new(),
            is_syncing: false,
            usual: Duration::ZERO,
            last_job,
            is_broken: false,
            is_closed: false,
        };
        Self {
            queue: Mutex::new(queue),
            more: Condvar::new(),
            visible: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            synced: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of this lock panics")
    }

    /// Makes a commit, which can be read from here on, unless it comes to nothing.
    pub fn commit<T, E>(&self, serial: u64, commit: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.visible.store(serial, SeqCst);
        commit().inspect_err(|_| {
            self.visible.store(serial - 1, SeqCst);
            self.synced.send_modify(|_| {});
        })
    }

    /// Waits until everything that can be read by now is on the disk. False when that will not be.
    pub async fn synced(&self) -> bool {
        let mut synced = self.synced.subscribe();
        let upto = self.visible.load(SeqCst);
        loop {
            if *synced.borrow_and_update() >= upto.min(self.visible.load(SeqCst)) {
                return true;
            }
            if self.is_over.load(SeqCst) || synced.changed().await.is_err() {
                return false;
            }
        }
    }

    fn end(&self) {
        self.is_over.store(true, SeqCst);
        self.synced.send_modify(|_| {});
    }
}

/// The thread that waits for the disk. It ends, everything being synced, when this is dropped.
#[derive(Debug)]
pub struct Syncing {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Syncing {
    /// `log` is the write-ahead log, which every commit goes into.
    pub fn start(shared: Arc<Shared>, log: &Path) -> io::Result<Self> {
        let log = File::open(log)?;
        let its = shared.clone();
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| sync_until_closed(&its, &log))).is_err() {
                its.break_down(Trouble::Io(io::ErrorKind::Other));
            }
        };
        let thread = std::thread::Builder::new().name("journal-sync".into()).spawn(run)?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        self.shared.unsynced.lock().is_closed = true;
        self.shared.unsynced.more.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.unsynced.end();
    }
}

fn sync_until_closed(shared: &Arc<Shared>, log: &File) {
    while let Some(commits) = shared.next_to_sync() {
        let began = Instant::now();
        match log.sync_data() {
            Ok(()) => shared.synced(commits, began.elapsed()),
            Err(error) => {
                tracing::error!(%error, "an fsync of the journal failed");
                shared.break_down(Trouble::Io(error.kind()));
                commits.into_iter().for_each(|commit| commit.refuse(shared));
            }
        }
    }
}

impl Shared {
    /// The writer's part is done; the disk's begins.
    pub fn sync(&self, commit: Commit) {
        let mut queue = self.unsynced.lock();
        if queue.is_broken {
            drop(queue);
            return commit.refuse(self);
        }
        queue.waiting.push(commit);
        self.inbox.disk_is(queue.disk());
        drop(queue);
        self.unsynced.more.notify_one();
    }

    /// All commits that wait; `None` when there are none and none will come.
    fn next_to_sync(&self) -> Option<Vec<Commit>> {
        let mut queue = self.unsynced.lock();
        queue.is_syncing = false;
        if queue.waiting.is_empty() {
            self.inbox.disk_is(Disk::Idle);
        }
        while queue.waiting.is_empty() {
            if queue.is_closed {
                return None;
            }
            queue = self.unsynced.more.wait(queue).expect("no holder of this lock panics");
        }
        let commits = std::mem::take(&mut queue.waiting);
        queue.is_syncing = true;
        self.inbox.disk_is(queue.disk());
        Some(commits)
    }

    fn synced(self: &Arc<Self>, commits: Vec<Commit>, took: Duration) {
        let mut queue = self.unsynced.lock();
        if queue.is_broken {
            drop(queue);
            return commits.into_iter().for_each(|commit| commit.refuse(self));
        }
        queue.usual = (queue.usual * 3 + took) / 4;
        for commit in &commits {
            queue.last_job = commit.last_job.unwrap_or(queue.last_job);
            self.unsynced.synced.send_replace(commit.serial);
        }
        drop(queue);
        if let Some(clock) = commits.iter().map(|commit| commit.clock).max() {
            self.reached(clock);
        }
        let shared = self.clone();
        self.herald.tell(move || commits.into_iter().for_each(|commit| commit.answer(&shared)));
    }

    /// After a write that failed. Whatever waits for the disk is refused: it may have kept a commit and not said so.
    pub fn break_down(&self, trouble: Trouble) {
        let mut queue = self.unsynced.lock();
        if std::mem::replace(&mut queue.is_broken, true) {
            return;
        }
        self.poison(trouble);
        self.arming.close();
        if let Err(error) = self.flights.refuse_above(queue.last_job) {
            tracing::error!(%error, "the flight log cannot be written either");
        }
        let waiting = std::mem::take(&mut queue.waiting);
        self.inbox.disk_is(Disk::Idle);
        drop(queue);
        self.unsynced.end();
        waiting.into_iter().for_each(|commit| commit.refuse(self));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn who_has_read_a_commit_waits_for_its_fsync_unless_it_came_to_nothing() {
        let unsynced = Unsynced::new(0);
        assert!(unsynced.synced().await, "nothing was written");
        unsynced.commit(1, || Ok::<(), ()>(())).unwrap();
        let mut waiting = Box::pin(unsynced.synced());
        assert_eq!((&mut waiting).now_or_never(), None);
        unsynced.synced.send_replace(1);
        assert!(waiting.await);
        let mut waiting = None;
        let failed = unsynced.commit(2, || {
            let synced = waiting.insert(Box::pin(unsynced.synced()));
            assert_eq!(synced.now_or_never(), None, "it may be read already");
            Err::<(), ()>(())
        });
        failed.unwrap_err();
        assert!(waiting.unwrap().await);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_disk_that_has_failed() {
        let unsynced = Unsynced::new(0);
        unsynced.commit(1, || Ok::<(), ()>(())).unwrap();
        let mut waiting = Box::pin(unsynced.synced());
        assert_eq!((&mut waiting).now_or_never(), None);
        unsynced.end();
        assert!(!waiting.await && !unsynced.synced().await);
    }
}
