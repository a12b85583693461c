//! The bound on work in the house: how many jobs, and how many bytes of them, may be inside at once.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Waiting here is the relay's back-pressure: a door that cannot enter stops reading from its engine.
#[derive(Debug, Clone)]
pub struct Gate {
    jobs: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    bytes_max: u32,
}

/// Room for one job; given back when dropped.
#[derive(Debug)]
pub struct Entry {
    _job: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Gate {
    /// Bounds for one kind of bytes: jobs as received, or messages as rendered.
    pub fn new(jobs_in_flight_max: usize, bytes_in_flight_max: u32) -> Self {
        Self {
            jobs: Arc::new(Semaphore::new(jobs_in_flight_max)),
            bytes: Arc::new(Semaphore::new(bytes_in_flight_max as usize)),
            bytes_max: bytes_in_flight_max,
        }
    }

    /// Waits until there is room. A job larger than the whole bound enters alone.
    pub async fn enter(&self, bytes: usize) -> Entry {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let job = self.jobs.clone().acquire_owned().await.expect("the gate is never closed");
        let bytes = self.bytes.clone().acquire_many_owned(bytes).await.expect("the gate is never closed");
        Entry { _job: job, _bytes: bytes }
    }

    /// Room for one more job if there is any now. Never waits, so whoever already holds an entry may ask.
    pub fn try_enter(&self, bytes: usize) -> Option<Entry> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let job = self.jobs.clone().try_acquire_owned().ok()?;
        let bytes = self.bytes.clone().try_acquire_many_owned(bytes).ok()?;
        Some(Entry { _job: job, _bytes: bytes })
    }

    /// Jobs that could enter right now.
    pub fn free(&self) -> usize {
        self.jobs.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_byte_bound_holds_back_the_next_job() {
        let gate = Gate::new(10, 100);
        let first = gate.enter(80).await;
        let mut second = Box::pin(gate.enter(30));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        second.await;
    }

    #[tokio::test]
    async fn trying_takes_what_is_free_and_leaves_nothing_behind() {
        let gate = Gate::new(2, 100);
        let first = gate.try_enter(80);
        assert!(first.is_some() && gate.try_enter(30).is_none());
        assert_eq!(gate.free(), 1, "a job that found no room for its bytes holds no place");
        drop(first);
        assert!(gate.try_enter(1_000_000).is_some());
    }

    #[tokio::test]
    async fn a_job_larger_than_the_bound_enters_alone() {
        let gate = Gate::new(10, 100);
        let whole = gate.enter(1_000_000).await;
        assert!(futures_util::poll!(Box::pin(gate.enter(1))).is_pending());
        drop(whole);
        gate.enter(1).await;
    }
}
