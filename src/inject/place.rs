//! The places for connections that a target may have open at once. One is taken before a connection is made, and free when it
//! is closed, by the target too: a session that says good-bye still has its own.

use super::stats::TargetStats;
use super::talk::Talk;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

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

/// How long a target that wants fewer connections gets no more than it bore, and then one more each time.
const CEILING_RISES: Duration = Duration::from_secs(60);

/// How many connections a target bears that said that it has too many.
#[derive(Debug, Default)]
pub(super) struct Ceiling(Mutex<Option<(usize, Instant)>>);

impl Ceiling {
    /// It has too many with so many open. Whether there can be fewer.
    pub fn lower(&self, open: usize) -> bool {
        let most = self.under(open).saturating_sub(1).max(1);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((most, Instant::now()));
        open > 1
    }

    /// As many of these as it bears.
    pub fn under(&self, max: usize) -> usize {
        let mut ceiling = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((most, since)) = *ceiling else { return max };
        let risen = (since.elapsed().as_secs() / CEILING_RISES.as_secs()) as usize;
        if most + risen >= max {
            // Asked with what is open, it says nothing of what may be.
            return max;
        }
        if risen > 0 {
            *ceiling = Some((most + risen, since + CEILING_RISES * risen as u32));
        }
        most + risen
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
