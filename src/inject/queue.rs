//! What waits for a session of one target. Bounded: a full queue holds back whoever delivers.
//!
//! Of several sessions that wait, the one that waited last is called, and no other: its target was heard of a moment
//! ago, and those that are not needed any more get their rest.

use super::delivery::Parcel;
use super::unclear::Sight;
use super::witness::Witness;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until};

/// Parcels that may wait. More would only be memory: the pipeline's own bound comes first.
const PARCELS_MAX: usize = 1024;
/// How long nobody else calls for another session after somebody did, if none comes.
const CALL_LASTS: Duration = Duration::from_secs(1);
/// How long a message that others refused is left to the sessions that take people.
const BETTER_HAS: Duration = Duration::from_secs(1);

/// Why a session waits no longer.
pub(super) enum Unneeded {
    /// There is what no session that is open may look at: it takes another one. Said to one of them only.
    AnotherSessions,
    /// The queue is closed and empty.
    Closed,
}

/// Why a look has found nothing.
enum Nothing {
    AtAll,
    /// Others may look at what there is, or this one too, later.
    Until(Instant),
    AnotherSessions,
}

pub(super) struct Queue {
    /// Plain data, held to put one in or take one out, never across an await.
    state: Mutex<State>,
    /// A permit for each parcel that still has room. Closed with the queue.
    room: Semaphore,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    parcels: VecDeque<Parcel>,
    /// Of the sessions that are open.
    open: Vec<Arc<Witness>>,
    /// When one of them called for another session that has not come yet.
    called_at: Option<Instant>,
}

/// A session that is open; dropped when it is over.
pub(super) struct Enrolled<'a> {
    queue: &'a Queue,
    witness: Arc<Witness>,
}

impl Drop for Enrolled<'_> {
    fn drop(&mut self) {
        self.queue.state().open.retain(|open| !Arc::ptr_eq(open, &self.witness));
    }
}

impl State {
    /// The first that the session of this witness may look at.
    fn position(&self, witness: &Arc<Witness>) -> Option<usize> {
        self.parcels.iter().position(|parcel| {
            parcel.doubt.is_none()
                || (parcel.doubt.sight(witness) == Sight::Now && !self.is_for_better(parcel, witness))
        })
    }

    /// Whether a session is there for this one that takes people, while the one of this witness has yet to show that.
    fn is_for_better(&self, parcel: &Parcel, witness: &Witness) -> bool {
        let better = |open: &Arc<Witness>| open.is_proven() && parcel.doubt.sight(open) != Sight::Never;
        let is_early = || parcel.doubt.due_at().is_some_and(|at| Instant::now() < at + BETTER_HAS);
        !witness.is_proven() && self.open.iter().any(better) && is_early()
    }

    /// Whether a session that is open may look at this one, now or later.
    fn is_for_any(&self, parcel: &Parcel) -> bool {
        self.open.iter().any(|open| parcel.doubt.sight(open) != Sight::Never)
    }

    /// Whether there is anything that no session that is open may look at.
    fn has_orphans(&self) -> bool {
        self.parcels.iter().any(|parcel| !parcel.doubt.is_none() && !self.is_for_any(parcel))
    }

    /// The sessions that are open have had their time for what waits for another one, and nobody has called for it.
    fn calls(&mut self, now: Instant) -> bool {
        let is_called = self.called_at.is_some_and(|at| now < at + CALL_LASTS);
        let is_due =
            |parcel: &Parcel| parcel.doubt.due_at().is_some_and(|at| now >= at) && !self.is_for_any(parcel);
        let calls = !is_called && self.parcels.iter().any(is_due);
        if calls {
            self.called_at = Some(now);
        }
        calls
    }

    /// When to look again.
    fn look_again_at(&self, now: Instant) -> Instant {
        let due = self.parcels.iter().filter_map(|parcel| parcel.doubt.due_at()).filter(|at| *at > now);
        due.min().unwrap_or(now + CALL_LASTS)
    }
}

impl Queue {
    pub fn new() -> Self {
        Self { state: Mutex::default(), room: Semaphore::new(PARCELS_MAX), arrived: Notify::new() }
    }

    /// A session has come that may look at what there is.
    pub fn enroll(&self, witness: &Arc<Witness>) -> Enrolled<'_> {
        let mut state = self.state();
        state.open.push(witness.clone());
        state.called_at = None;
        Enrolled { queue: self, witness: witness.clone() }
    }

    /// Waits for room. Cancel-safe: a dropped wait has queued nothing.
    ///
    /// # Errors
    /// The parcel, when the queue is closed.
    pub async fn push(&self, parcel: Box<Parcel>) -> Result<(), Box<Parcel>> {
        let Ok(room) = self.room.acquire().await else { return Err(parcel) };
        room.forget();
        self.put(*parcel);
        Ok(())
    }

    /// # Errors
    /// The parcel, when the queue is full or closed.
    pub fn try_push(&self, parcel: Parcel) -> Result<(), Box<Parcel>> {
        let Ok(room) = self.room.try_acquire() else { return Err(Box::new(parcel)) };
        room.forget();
        self.put(parcel);
        Ok(())
    }

    /// What the session of this witness may look at. Cancel-safe.
    ///
    /// # Errors
    /// There will be nothing.
    pub async fn next(&self, witness: &Arc<Witness>) -> Result<Parcel, Unneeded> {
        loop {
            // Made first: whatever arrives behind the look is not missed.
            let mut arrived = pin!(self.arrived.notified());
            arrived.as_mut().enable();
            let is_closed = self.is_closed();
            match self.look(witness) {
                Ok(parcel) => return Ok(parcel),
                Err(Nothing::AnotherSessions) => return Err(Unneeded::AnotherSessions),
                Err(Nothing::AtAll) if is_closed => return Err(Unneeded::Closed),
                Err(Nothing::AtAll) => arrived.await,
                Err(Nothing::Until(at)) => {
                    tokio::select! {
                        () = arrived => {}
                        () = sleep_until(at) => {}
                    }
                }
            }
        }
    }

    /// The first that the session of this witness may look at.
    pub fn try_next(&self, witness: &Arc<Witness>) -> Option<Parcel> {
        let mut state = self.state();
        let at = state.position(witness)?;
        self.take_at(&mut state, at)
    }

    fn look(&self, witness: &Arc<Witness>) -> Result<Parcel, Nothing> {
        let mut state = self.state();
        if let Some(at) = state.position(witness)
            && let Some(parcel) = self.take_at(&mut state, at)
        {
            return Ok(parcel);
        }
        if state.parcels.is_empty() {
            return Err(Nothing::AtAll);
        }
        let now = Instant::now();
        Err(if state.calls(now) {
            Nothing::AnotherSessions
        } else {
            Nothing::Until(state.look_again_at(now))
        })
    }

    fn take_at(&self, state: &mut State, at: usize) -> Option<Parcel> {
        let parcel = state.parcels.remove(at)?;
        self.room.add_permits(1);
        Some(parcel)
    }

    /// Whatever is first, to be given back.
    pub fn take(&self) -> Option<Parcel> {
        let mut state = self.state();
        self.take_at(&mut state, 0)
    }

    /// Whether it holds anything for the session of this witness.
    pub fn has_for(&self, witness: &Arc<Witness>) -> bool {
        self.state().position(witness).is_some()
    }

    /// Whether it holds what no session that is open may look at, and nobody has called for another one.
    pub fn calls_for_another(&self) -> bool {
        self.state().calls(Instant::now())
    }

    /// Whether it holds anything that the sessions that are open would not look at.
    pub fn needs_another(&self) -> bool {
        let state = self.state();
        state.parcels.iter().any(|parcel| parcel.doubt.is_none()) || state.has_orphans()
    }

    pub fn is_empty(&self) -> bool {
        self.state().parcels.is_empty()
    }

    pub fn is_closed(&self) -> bool {
        self.room.is_closed()
    }

    /// Nothing comes in any more; what is in can still be taken.
    pub fn close(&self) {
        self.room.close();
        self.arrived.notify_waiters();
    }

    fn put(&self, parcel: Parcel) {
        let is_for_any = parcel.doubt.is_none();
        self.state().parcels.push_back(parcel);
        // Not every session may look at what others refused.
        if is_for_any { self.arrived.notify_last() } else { self.arrived.notify_waiters() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
