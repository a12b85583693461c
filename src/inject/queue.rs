//! What waits for a session of one target. Bounded: a full queue holds back whoever delivers.
//!
//! Of several sessions that wait, the one that waited last is called, and no other: its target was heard of a moment
//! ago, and those that are not needed any more get their rest.

use super::delivery::Parcel;
use super::unclear::Witness;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Notify, Semaphore};

/// Parcels that may wait. More would only be memory: the pipeline's own bound comes first.
const PARCELS_MAX: usize = 1024;

/// Why a look has found nothing.
enum Nothing {
    /// There is only what another session has to see.
    ForThisOne,
    AtAll,
}

pub(super) struct Queue {
    /// Plain data, held to put one in or take one out, never across an await.
    parcels: Mutex<VecDeque<Parcel>>,
    /// A permit for each parcel that still has room. Closed with the queue.
    room: Semaphore,
    arrived: Notify,
}

impl Queue {
    pub fn new() -> Self {
        Self { parcels: Mutex::default(), room: Semaphore::new(PARCELS_MAX), arrived: Notify::new() }
    }

    /// Waits for room. Cancel-safe: a dropped wait has queued nothing.
    ///
    /// # Errors
    /// The parcel, when the queue is closed.
    pub async fn push(&self, parcel: Parcel) -> Result<(), Parcel> {
        let Ok(room) = self.room.acquire().await else { return Err(parcel) };
        room.forget();
        self.put(parcel);
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

    /// What the session of this witness may look at. Cancel-safe. `None` when the queue is closed and empty, or holds
    /// only what another one has to see.
    pub async fn next(&self, witness: &Arc<Witness>) -> Option<Parcel> {
        loop {
            // Made first: whatever arrives behind the look is not missed.
            let mut arrived = pin!(self.arrived.notified());
            arrived.as_mut().enable();
            let is_closed = self.is_closed();
            match self.look(witness) {
                Ok(parcel) => return Some(parcel),
                Err(Nothing::ForThisOne) => return None,
                Err(Nothing::AtAll) if is_closed => return None,
                Err(Nothing::AtAll) => {}
            }
            arrived.await;
        }
    }

    /// The first that the session of this witness may look at.
    pub fn try_next(&self, witness: &Arc<Witness>) -> Option<Parcel> {
        self.look(witness).ok()
    }

    fn look(&self, witness: &Arc<Witness>) -> Result<Parcel, Nothing> {
        let mut parcels = self.parcels();
        let at = parcels.iter().position(|parcel| parcel.doubt.is_for(witness));
        let nothing = if parcels.is_empty() { Nothing::AtAll } else { Nothing::ForThisOne };
        let parcel = at.and_then(|at| parcels.remove(at)).ok_or(nothing)?;
        self.room.add_permits(1);
        Ok(parcel)
    }

    /// Whatever is first, to be given back.
    pub fn take(&self) -> Option<Parcel> {
        let parcel = self.parcels().pop_front()?;
        self.room.add_permits(1);
        Some(parcel)
    }

    /// Whether it holds anything for the session of this witness.
    pub fn has_for(&self, witness: &Arc<Witness>) -> bool {
        self.parcels().iter().any(|parcel| parcel.doubt.is_for(witness))
    }

    /// Whether it holds anything that another session has to see.
    pub fn has_for_others(&self, witness: &Arc<Witness>) -> bool {
        self.parcels().iter().any(|parcel| !parcel.doubt.is_for(witness))
    }

    pub fn is_empty(&self) -> bool {
        self.parcels().is_empty()
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
        self.parcels().push_back(parcel);
        self.arrived.notify_last();
    }

    fn parcels(&self) -> MutexGuard<'_, VecDeque<Parcel>> {
        self.parcels.lock().expect("no holder of this lock panics")
    }
}
