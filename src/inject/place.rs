//! The places for connections that a target may have open at once. One is taken before a connection is made, and free when it
//! is closed, by the target too: a session that says good-bye still has its own.

use super::stats::TargetStats;
use super::talk::Talk;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a target may take to close a connection on which all is said, until another one is made in its place.
pub(super) const CLOSED_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Places(Arc<Semaphore>);

/// Whoever has it may have one connection open.
#[derive(Debug)]
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Beside the worker: the target counts a connection until it has closed it too.
    pub fn keep_until_closed(self, mut talk: Talk<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>) {
        tokio::spawn(async move {
            talk.close(CLOSED_WITHIN).await;
            drop((talk, self));
        });
    }
}

impl Places {
    pub fn new(connections_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))))
    }

    /// Waits for those that say good-bye, at most: there are no more workers than places. Cancel-safe.
    pub async fn take(&self) -> Place {
        Place { _permit: self.0.clone().acquire_owned().await.ok() }
    }
}

/// Counts a session while messages may be given to it.
pub(super) struct Open<'a> {
    established: &'a AtomicUsize,
    stats: &'a TargetStats,
}

impl<'a> Open<'a> {
    pub fn new(established: &'a AtomicUsize, stats: &'a TargetStats) -> Self {
        established.fetch_add(1, SeqCst);
        stats.sessions_made.fetch_add(1, Relaxed);
        stats.sessions_open.fetch_add(1, Relaxed);
        Self { established, stats }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.established.fetch_sub(1, SeqCst);
        self.stats.sessions_open.fetch_sub(1, Relaxed);
    }
}
