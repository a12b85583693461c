//! Messages are armed before they may leave: a note of each is on the disk, one write and one fsync for many, and the next ones
//! are armed meanwhile. After a power cut what was armed is in doubt, and everything else is known not to have left. So that this is
//! little, no more is armed for a target than it takes up soon.

use super::error::Trouble;
use super::shared::Shared;
use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Messages of one target that are armed and have not left: at least, and at most.
const WIDTH_MIN: usize = 16;
const WIDTH_MAX: usize = 1_024;
/// How often it is looked at what a target takes up.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long to wait for a place: the target may have gone down, and another one have room.
const PLACE_WAIT: Duration = Duration::from_millis(500);
/// Targets that are remembered: engines may name any.
const TARGETS_KEPT: usize = 256;

/// What waits to be armed.
#[derive(Debug, Default)]
pub struct Arming {
    // Plain data, held for a few lines.
    queue: Mutex<Queue>,
    more: Condvar,
    // Likewise.
    gates: Mutex<HashMap<Box<str>, Arc<Gate>>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Waiting>,
    is_closed: bool,
}

/// A note to be written, and whoever waits until it is on the disk.
#[derive(Debug)]
struct Waiting {
    arm: Arm,
    answer: oneshot::Sender<()>,
}

/// That a message may be about to leave: what is to be noted, and in which seat of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arm {
    pub number: i64,
    pub attempt: u32,
    pub seat: u32,
}

/// How many messages of a target may be armed and not have left.
#[derive(Debug)]
struct Gate {
    places: Arc<Semaphore>,
    /// Places in all, taken or not.
    width: AtomicUsize,
    /// Places given back since the last look.
    left: AtomicUsize,
}

/// One message that is armed, or about to be, and has not left.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    /// Given back with it.
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.left.fetch_add(1, Relaxed);
    }
}

impl Gate {
    fn new() -> Self {
        let width = AtomicUsize::new(WIDTH_MIN);
        Self { places: Arc::new(Semaphore::new(WIDTH_MIN)), width, left: AtomicUsize::new(0) }
    }

    /// Twice what has left since the last look: one half on its way to the disk, the other to the target.
    fn look(&self) {
        let width = self.width.load(Relaxed);
        let wanted = self.left.swap(0, Relaxed) * 2 + WIDTH_MIN;
        // Narrower by and by: a pause of the target's is not its pace.
        let wanted = wanted.max(width - width / 8).min(WIDTH_MAX);
        if wanted > width {
            self.places.add_permits(wanted - width);
            self.width.store(wanted, Relaxed);
        } else {
            let narrowed = self.places.forget_permits(width - wanted);
            self.width.store(width - narrowed, Relaxed);
        }
    }
}

impl Arming {
    /// Waits a while until one more message of this target may be armed.
    pub async fn place(&self, target: &str) -> Option<Place> {
        let gate = self.gate(target);
        let permit = match gate.places.clone().try_acquire_owned() {
            // Most find one, and need no timer.
            Ok(permit) => permit,
            Err(_) => {
                let free = gate.places.clone().acquire_owned();
                // Nobody closes it.
                tokio::time::timeout(PLACE_WAIT, free).await.ok()?.ok()?
            }
        };
        Some(Place { gate, _permit: permit })
    }

    fn gate(&self, target: &str) -> Arc<Gate> {
        let mut gates = self.gates.lock().expect("no holder of this lock panics");
        if let Some(gate) = gates.get(target) {
            return gate.clone();
        }
        if gates.len() >= TARGETS_KEPT {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        gates.entry(target.into()).or_insert_with(|| Arc::new(Gate::new())).clone()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of this lock panics")
    }

    /// Waits until the note is on the disk. False when that will not be. Given up while it waits, it is written all the same.
    pub async fn note(&self, arm: Arm) -> bool {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut queue = self.queue();
            if queue.is_closed {
                return false;
            }
            queue.waiting.push(Waiting { arm, answer });
            queue.waiting.len() == 1
        };
        // Where others wait, the thread has been called, or is at the disk and looks afterwards.
        if is_first {
            self.more.notify_one();
        }
        answered.await.is_ok()
    }

    /// Nothing is armed any more.
    pub fn close(&self) {
        let waiting = {
            let mut queue = self.queue();
            queue.is_closed = true;
            std::mem::take(&mut queue.waiting)
        };
        drop(waiting);
        self.more.notify_one();
    }

    /// All that wait; `None` once it is closed.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue();
        while queue.waiting.is_empty() {
            if queue.is_closed {
                return None;
            }
            queue = self.more.wait(queue).expect("no holder of this lock panics");
        }
        Some(std::mem::take(&mut queue.waiting))
    }

    fn look(&self) {
        self.gates.lock().expect("no holder of this lock panics").values().for_each(|gate| gate.look());
    }
}

/// The thread that waits for the disk; it ends when the arming is closed, or the disk fails.
pub fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let run = move || {
        if catch_unwind(AssertUnwindSafe(|| sync_until_closed(&shared))).is_err() {
            shared.break_down(Trouble::Io(io::ErrorKind::Other));
        }
        shared.arming.close();
    };
    std::thread::Builder::new().name("journal-arm".into()).spawn(run)
}

fn sync_until_closed(shared: &Arc<Shared>) {
    let mut looked = Instant::now();
    while let Some(waiting) = shared.arming.next() {
        let mut arms: Vec<Arm> = waiting.iter().map(|waiting| waiting.arm).collect();
        if let Err(error) = shared.flights.write_arms(&mut arms).and_then(|()| shared.flights.sync()) {
            tracing::error!(%error, "the flight log could not be written");
            return shared.break_down(Trouble::of_io(&error));
        }
        shared.herald.tell(move || waiting.into_iter().for_each(tell));
        if looked.elapsed() >= LOOK_EVERY {
            shared.arming.look();
            looked = Instant::now();
        }
    }
}

fn tell(waiting: Waiting) {
    // It may have given up.
    let _ = waiting.answer.send(());
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn take(arming: &Arming, target: &str) -> Vec<Place> {
        // Without tokio's budget, which would make a task pause after some.
        let place = || tokio::task::unconstrained(arming.place(target)).now_or_never().flatten();
        std::iter::from_fn(place).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn c8_no_more_is_armed_than_the_target_takes_up_soon() {
        let arming = Arming::default();
        let silent = take(&arming, "silent");
        assert_eq!(silent.len(), WIDTH_MIN);
        let mut brisk = take(&arming, "brisk");
        assert_eq!(brisk.len(), WIDTH_MIN, "nobody waits behind another target");
        for _ in 0..12 {
            brisk.clear();
            arming.look();
            brisk = take(&arming, "brisk");
        }
        assert_eq!(brisk.len(), WIDTH_MAX);
        assert!(take(&arming, "silent").is_empty());
        brisk.clear();
        (0..100).for_each(|_| arming.look());
        assert!(take(&arming, "brisk").len() < WIDTH_MIN * 2, "a target that stops gets few again");
    }

    #[tokio::test(start_paused = true)]
    async fn targets_that_are_not_in_use_are_forgotten() {
        let arming = Arming::default();
        let kept = take(&arming, "kept");
        for number in 0..TARGETS_KEPT * 2 {
            drop(take(&arming, &number.to_string()));
        }
        assert!(arming.gates.lock().unwrap().len() <= TARGETS_KEPT);
        assert!(take(&arming, "kept").is_empty());
        drop(kept);
    }

    #[tokio::test]
    async fn nobody_waits_for_an_arming_that_is_closed() {
        let (arming, arm) = (Arming::default(), Arm { number: 1, attempt: 1, seat: 0 });
        let mut waiting = Box::pin(arming.note(arm));
        assert_eq!((&mut waiting).now_or_never(), None);
        arming.close();
        assert!(!waiting.await && !arming.note(arm).await);
    }
}
