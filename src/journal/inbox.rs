//! What waits for the writer: orders gather while the disk takes the last commit, and the next one, written just before
//! the disk is free again, takes them all.

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
    disk: Disk,
}

/// What the disk does, as far as the next commit has to mind it.
#[derive(Debug, Clone, Copy, Default)]
pub enum Disk {
    #[default]
    Idle,
    /// An fsync is under way, and about to end then.
    Busy { until: Instant },
    /// The same, and one more commit is written already. This bounds what is written and not on the disk.
    Behind,
}

impl Queue {
    fn is_full(&self) -> bool {
        self.jobs >= COMMIT_JOBS_MAX
    }

    /// Whether somebody waits, or enough has gathered.
    fn is_urgent(&self) -> bool {
        self.awaited > 0 || self.is_full() || self.closed
    }

    /// When it is time for a commit, which takes about so long; `None` for not before the disk says more.
    fn due(&self, takes: Duration) -> Option<Instant> {
        let since = self.since?;
        let gathered = if self.is_urgent() { since } else { since + GATHER };
        match self.disk {
            _ if self.closed => Some(since),
            Disk::Idle => Some(gathered),
            Disk::Busy { .. } if self.is_full() => Some(since),
            // Whatever comes until then is in this commit, and no later on the disk for it.
            Disk::Busy { until } => Some(until.checked_sub(takes).map_or(gathered, |at| at.max(gathered))),
            Disk::Behind => None,
        }
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
        let before = (queue.orders.is_empty(), queue.is_urgent(), queue.is_full());
        queue.put(order, kib);
        let is_news = before != (false, queue.is_urgent(), queue.is_full());
        drop(queue);
        if is_news {
            self.more.notify_one();
        }
        Ok(())
    }

    /// What waits, as much as one commit takes, once it is time for one; a commit takes about so long. `patience` is for
    /// the first of it.
    pub fn take(&self, patience: Duration, takes: Duration) -> Taken {
        let give_up = Instant::now() + patience;
        let mut queue = self.lock();
        loop {
            let is_empty = queue.orders.is_empty();
            if is_empty && queue.closed {
                return Taken::Closed;
            }
            let wake = if is_empty { Some(give_up) } else { queue.due(takes) };
            let left = wake.map(|at| at.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            let left = left.unwrap_or(Duration::MAX);
            queue = self.more.wait_timeout(queue, left).expect("no holder of this lock panics").0;
        }
        if queue.orders.is_empty() {
            return Taken::Idle;
        }
        let orders = self.take_from(queue, COMMIT_JOBS_MAX, |_| true);
        Taken::Orders(orders)
    }

    /// What has come in the meantime for a commit of so many jobs: waits while the disk is busy, as long as the rest of
    /// the commit leaves time for it.
    pub fn take_more(&self, jobs: usize, rest_takes: Duration) -> Vec<Order> {
        let mut queue = self.lock();
        while let Disk::Busy { until } = queue.disk
            && jobs + queue.jobs < COMMIT_JOBS_MAX
            && !queue.closed
        {
            let left = until.saturating_duration_since(Instant::now()).saturating_sub(rest_takes);
            if left.is_zero() {
                break;
            }
            queue = self.more.wait_timeout(queue, left).expect("no holder of this lock panics").0;
        }
        self.take_from(queue, COMMIT_JOBS_MAX.saturating_sub(jobs), Order::may_join)
    }

    /// The first of them, as far as `wanted`.
    fn take_from(
        &self,
        mut queue: MutexGuard<'_, Queue>,
        jobs_max: usize,
        wanted: impl Fn(&Order) -> bool,
    ) -> Vec<Order> {
        let (mut taken, mut jobs, mut kib) = (Vec::new(), 0, 0u32);
        while jobs < jobs_max && kib < COMMIT_KIB_MAX {
            if !queue.orders.front().is_some_and(|(order, _)| wanted(order)) {
                break;
            }
            let Some((order, permits)) = queue.pop() else { break };
            jobs += order.jobs();
            kib = kib.saturating_add(permits);
            taken.push(order);
        }
        queue.since = (!queue.orders.is_empty()).then(Instant::now);
        drop(queue);
        self.room.add_permits(kib as usize);
        taken
    }

    pub fn disk_is(&self, disk: Disk) {
        self.lock().disk = disk;
        // The writer may wait for this alone, with a commit half made.
        self.more.notify_one();
    }

    /// What nobody will take any more.
    pub fn clear(&self) -> Vec<Order> {
        let mut queue = self.lock();
        std::iter::from_fn(|| queue.pop()).map(|(order, _)| order).collect()
    }

    /// What has come is still taken; nothing more comes.
    pub fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.more.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Lane;
    use std::sync::Arc;

    const LONG: Duration = Duration::from_secs(20);

    fn awaited() -> Order {
        let lane = Lane { target: "".into(), is_retry: false };
        Order::Claim { lane, count: 1, answer: tokio::sync::oneshot::channel().0 }
    }

    /// How long it takes until an order is taken that came while the disk was so, and what has happened then.
    fn taken_after(disk: Disk, takes: Duration, then: impl FnOnce(&Inbox) + Send + 'static) -> Duration {
        let inbox = Arc::new(Inbox::new());
        inbox.disk_is(disk);
        inbox.push(awaited()).unwrap();
        let other = inbox.clone();
        let began = Instant::now();
        let then = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            then(&other);
        });
        let taken = inbox.take(Duration::ZERO, takes);
        let after = began.elapsed();
        assert!(matches!(taken, Taken::Orders(orders) if orders.len() == 1));
        then.join().unwrap();
        after
    }

    #[test]
    fn a_commit_is_made_at_once_or_just_before_the_disk_is_free_and_never_two_ahead() {
        let soon = Duration::from_millis(90);
        let busy = || Disk::Busy { until: Instant::now() + LONG };
        assert!(taken_after(Disk::Idle, LONG, |_| {}) < soon);
        assert!(taken_after(busy(), LONG, |_| {}) < soon, "it takes as long as the disk");
        let idle = |inbox: &Inbox| inbox.disk_is(Disk::Idle);
        assert!(taken_after(busy(), Duration::ZERO, idle) >= soon);
        assert!(taken_after(Disk::Behind, LONG, idle) >= soon);
        assert!(taken_after(Disk::Behind, LONG, Inbox::close) >= soon, "what came is still written");
    }

    #[test]
    fn what_comes_while_the_disk_is_busy_joins_the_commit_under_way_and_tests_do_not() {
        let inbox = Inbox::new();
        inbox.push(awaited()).unwrap();
        inbox.push(Order::Crash).unwrap();
        inbox.push(awaited()).unwrap();
        assert_eq!(inbox.take_more(1, Duration::ZERO).len(), 1);
        assert_eq!(inbox.take_more(COMMIT_JOBS_MAX, Duration::ZERO).len(), 0, "it is full");
        let Taken::Orders(rest) = inbox.take(LONG, Duration::ZERO) else { panic!("there is more") };
        assert_eq!(rest.len(), 2);
    }
}
