//! The bound on work in the house: how many jobs, and how many bytes of them, may be inside at once.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Light jobs that take the place of one.
const PLACES: usize = 4;
/// Longest wait at a gate that tells at once.
const TOLD_WITHIN: Duration = Duration::from_millis(30);

/// Waiting here is the relay's back-pressure: a door that cannot enter stops reading from its engine.
#[derive(Debug, Clone)]
pub struct Gate {
    places: Arc<Semaphore>,
    /// What a job takes of them.
    takes: u32,
    bytes: Arc<Semaphore>,
    bytes_max: u32,
    /// Longest wait of whoever asks for room soon.
    wait_max: Duration,
}

/// Room for one job; given back when dropped.
#[derive(Debug)]
pub struct Entry {
    _places: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Gate {
    /// Bounds for one kind of bytes: jobs as received, or messages as rendered.
    pub fn new(jobs_in_flight_max: usize, bytes_in_flight_max: u32) -> Self {
        Self {
            places: Arc::new(Semaphore::new(
                jobs_in_flight_max.saturating_mul(PLACES).min(Semaphore::MAX_PERMITS),
            )),
            takes: PLACES as u32,
            bytes: Arc::new(Semaphore::new(bytes_in_flight_max as usize)),
            bytes_max: bytes_in_flight_max,
            wait_max: Duration::MAX,
        }
    }

    /// The same gate for jobs that hold little beside their bytes while they are inside: four take the place of one.
    pub fn light(&self) -> Self {
        Self { takes: 1, ..self.clone() }
    }

    /// The same gate for jobs whose engines are told at once when there is no room: in an overload each would only wait
    /// here for its turn behind all the others.
    pub fn telling_at_once(&self) -> Self {
        Self { wait_max: TOLD_WITHIN, ..self.clone() }
    }

    /// Waits for room, but not for long: at most `wait_max`, and what this gate allows.
    pub async fn enter_soon(&self, bytes: usize, wait_max: Duration) -> Option<Entry> {
        match self.wait_max.min(wait_max) {
            Duration::MAX => Some(self.enter(bytes).await),
            wait_max => tokio::time::timeout(wait_max, self.enter(bytes)).await.ok(),
        }
    }

    /// Waits until there is room. A job larger than the whole bound enters alone.
    pub async fn enter(&self, bytes: usize) -> Entry {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let places = self.places.clone().acquire_many_owned(self.takes);
        let places = places.await.expect("the gate is never closed");
        let bytes = self.bytes.clone().acquire_many_owned(bytes).await.expect("the gate is never closed");
        Entry { _places: places, _bytes: bytes }
    }

    /// Room for one more job if there is any now. Never waits, so whoever already holds an entry may ask.
    pub fn try_enter(&self, bytes: usize) -> Option<Entry> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let places = self.places.clone().try_acquire_many_owned(self.takes).ok()?;
        let bytes = self.bytes.clone().try_acquire_many_owned(bytes).ok()?;
        Some(Entry { _places: places, _bytes: bytes })
    }

    /// Jobs that could enter right now.
    pub fn free(&self) -> usize {
        self.places.available_permits() / self.takes as usize
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
    async fn light_jobs_take_a_part_of_a_place_at_the_same_gate() {
        let gate = Gate::new(2, 100);
        let light = gate.light();
        let inside: Vec<_> = (0..PLACES + 1).map(|_| light.try_enter(1).unwrap()).collect();
        assert!(gate.try_enter(1).is_none() && gate.free() == 0 && light.free() == PLACES - 1);
        drop(inside);
        assert_eq!((gate.free(), light.free()), (2, 2 * PLACES));
    }

    #[tokio::test(start_paused = true)]
    async fn c10_who_finds_no_room_is_told_at_once() {
        let gate = Gate::new(1, 100);
        let inside = gate.enter(1).await;
        let from = tokio::time::Instant::now();
        assert!(gate.telling_at_once().enter_soon(1, Duration::MAX).await.is_none());
        assert!(from.elapsed() <= Duration::from_millis(50), "{:?}", from.elapsed());
        assert!(futures_util::poll!(Box::pin(gate.enter_soon(1, Duration::MAX))).is_pending(), "others wait");
        drop(inside);
        assert!(gate.telling_at_once().enter_soon(1, Duration::MAX).await.is_some());
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
