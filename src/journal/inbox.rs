//! What waits for the writer: orders gather while it commits, and the next commit takes them all.

use super::order::Order;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Room for orders that wait: one permit for each started KiB.
const ROOM_KIB: u32 = 32 * 1024;
/// Most jobs, and about the most bytes, of one commit.
const COMMIT_JOBS_MAX: usize = 2_048;
const COMMIT_KIB_MAX: u32 = 8 * 1024;

#[derive(Debug)]
pub struct Inbox {
    // Plain data, held for a few lines; std's, because the writer is a thread that blocks.
    queue: Mutex<Queue>,
    more: Condvar,
    room: Semaphore,
}

#[derive(Debug, Default)]
struct Queue {
    /// Each with the permits to be given back.
    orders: VecDeque<(Order, u32)>,
    closed: bool,
}

#[derive(Debug)]
pub enum Taken {
    Orders(Vec<Order>),
    /// Nothing came within the time given.
    Idle,
    /// Nothing will come any more.
    Closed,
}

impl Inbox {
    pub fn new() -> Self {
        Self {
            queue: Mutex::new(Queue::default()),
            more: Condvar::new(),
            room: Semaphore::new(ROOM_KIB as usize),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of this lock panics")
    }

    /// Waits for room and leaves the order; one larger than all the room waits until it is alone. Dropped while it
    /// waits, nothing has happened. Gives the order back when the journal is closed.
    pub async fn put(&self, order: Order) -> Result<(), Order> {
        let kib = u32::try_from(order.bytes() / 1024 + 1).unwrap_or(u32::MAX).min(ROOM_KIB);
        let Ok(permits) = self.room.acquire_many(kib).await else { return Err(order) };
        permits.forget();
        self.leave(order, kib)
    }

    /// Leaves an order that must not wait: how many there can be is bounded by what is in flight.
    pub fn push(&self, order: Order) -> Result<(), Order> {
        self.leave(order, 0)
    }

    fn leave(&self, order: Order, kib: u32) -> Result<(), Order> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(order);
        }
        queue.orders.push_back((order, kib));
        drop(queue);
        self.more.notify_one();
        Ok(())
    }

    /// What waits, as much as one commit takes; waits for the first of it.
    pub fn take(&self, patience: Duration) -> Taken {
        let queue = self.lock();
        let (mut queue, _) = self
            .more
            .wait_timeout_while(queue, patience, |queue| queue.orders.is_empty() && !queue.closed)
            .expect("no holder of this lock panics");
        if queue.orders.is_empty() {
            return if queue.closed { Taken::Closed } else { Taken::Idle };
        }
        let (mut taken, mut jobs, mut kib) = (Vec::new(), 0, 0u32);
        while jobs < COMMIT_JOBS_MAX && kib < COMMIT_KIB_MAX {
            let Some((order, permits)) = queue.orders.pop_front() else { break };
            jobs += order.jobs();
            kib = kib.saturating_add(permits);
            taken.push(order);
        }
        drop(queue);
        self.room.add_permits(kib as usize);
        Taken::Orders(taken)
    }

    /// What has come is still taken; nothing more comes.
    pub fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.more.notify_all();
    }
}
