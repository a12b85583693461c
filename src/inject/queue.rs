//! What waits for a session of one target. Bounded: a full queue holds back whoever delivers.

use super::delivery::Parcel;
use async_channel::{Receiver, Sender};

/// Parcels that may wait. More would only be memory: the pipeline's own bound comes first.
const PARCELS_MAX: usize = 1024;

pub(super) struct Queue {
    entrance: Sender<Parcel>,
    exit: Receiver<Parcel>,
}

impl Queue {
    pub fn new() -> Self {
        let (entrance, exit) = async_channel::bounded(PARCELS_MAX);
        Self { entrance, exit }
    }

    /// Waits for room. Cancel-safe: a dropped wait has queued nothing.
    ///
    /// # Errors
    /// The parcel, when the queue is closed.
    pub async fn push(&self, parcel: Parcel) -> Result<(), Parcel> {
        let Err(refused) = self.entrance.try_send(parcel) else { return Ok(()) };
        self.entrance.send(refused.into_inner()).await.map_err(async_channel::SendError::into_inner)
    }

    /// # Errors
    /// The parcel, when the queue is full or closed.
    pub fn try_push(&self, parcel: Parcel) -> Result<(), Box<Parcel>> {
        self.entrance.try_send(parcel).map_err(|refused| Box::new(refused.into_inner()))
    }

    /// Cancel-safe. `None` when the queue is closed and empty.
    pub async fn next(&self) -> Option<Parcel> {
        self.exit.recv().await.ok()
    }

    pub fn try_next(&self) -> Option<Parcel> {
        self.exit.try_recv().ok()
    }

    pub fn is_empty(&self) -> bool {
        self.exit.is_empty()
    }

    pub fn is_closed(&self) -> bool {
        self.entrance.is_closed()
    }

    /// Nothing comes in any more; what is in can still be taken.
    pub fn close(&self) {
        self.entrance.close();
    }
}
