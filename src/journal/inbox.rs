//! What waits for the writer: orders gather while it commits, and the next commit takes them all.

use super::order::Order;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Room for orders that wait: one permit for each started KiB.
const ROOM_KIB: u32 = 32 * 1024;
/// Most jobs, and about the most bytes, of one commit.
const COMMIT_JOBS_MAX: usize = 2_048;
const COMMIT_KIB_MAX: u32 = 8 * 1024;
/// How long what nobody waits for may lie, so that one commit takes more of it.
const GATHER: Duration = Duration::from_millis(4);

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
    /// Orders among them that somebody waits for, and jobs of all of them.
    awaited: usize,
    jobs: usize,
    /// When the first of them came.
    since: Option<Instant>,
    closed: bool,
}

impl Queue {
    /// Whether it is time for a commit though more may come.
    fn is_urgent(&self) -> bool {
        self.awaited > 0 || self.jobs >= COMMIT_JOBS_MAX || self.closed
    }

    fn put(&mut self, order: Order, permits: u32) {
        self.awaited += usize::from(order.is_awaited());
        self.jobs += order.jobs();
        self.since.get_or_insert_with(Instant::now);
        self.orders.push_back((order, permits));
    }

    fn pop(&mut self) -> Option<(Order, u32)> {
        let (order, permits) = self.orders.pop_front()?;
        self.awaited -= usize::from(order.is_awaited());
        self.jobs -= order.jobs();
        Some((order, permits))
    }
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
        let (was_empty, was_urgent) = (queue.orders.is_empty(), queue.is_urgent());
        queue.put(order, kib);
        let is_news = was_empty || (!was_urgent && queue.is_urgent());
        drop(queue);
        if is_news {
            self.more.notify_one();
        }
        Ok(())
    }

    /// What waits, as much as one commit takes; waits for the first of it, and a little for more where nobody waits
    /// for an answer.
    pub fn take(&self, patience: Duration) -> Taken {
        let queue = self.lock();
        let (queue, _) = self
            .more
            .wait_timeout_while(queue, patience, |queue| queue.orders.is_empty() && !queue.closed)
            .expect("no holder of this lock panics");
        if queue.orders.is_empty() {
            return if queue.closed { Taken::Closed } else { Taken::Idle };
        }
        let left = queue.since.map_or(Duration::ZERO, |since| GATHER.saturating_sub(since.elapsed()));
        let (mut queue, _) = self
            .more
            .wait_timeout_while(queue, left, |queue| !queue.is_urgent())
            .expect("no holder of this lock panics");
        let (mut taken, mut jobs, mut kib) = (Vec::new(), 0, 0u32);
        while jobs < COMMIT_JOBS_MAX && kib < COMMIT_KIB_MAX {
            let Some((order, permits)) = queue.pop() else { break };
            jobs += order.jobs();
            kib = kib.saturating_add(permits);
            taken.push(order);
        }
        queue.since = (!queue.orders.is_empty()).then(Instant::now);
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
