//! Messages are armed before they may leave: a note of each is on the disk, one write and one fsync for a group, and the next
//! group is armed meanwhile. After a power cut what was armed is in doubt, and everything else is known not to have left. So that
//! this is little, no more is armed for a target than it takes up soon.
//!
//! Groups are made here, of what was claimed, and their attempts begin when they are armed: an attempt that had begun before and
//! waited for its note would have to be woken, each by itself.

use super::error::Trouble;
use super::shared::Shared;
use super::{Claimed, Number};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Messages of one target that are armed and have not left: at least, and at most.
const WIDTH_MIN: usize = 16;
const WIDTH_MAX: usize = 1_024;
/// How often it is looked at what a target takes up, and how long a group waits to become larger. What leaves within two of them
/// may be in doubt behind a power cut; an fsync costs the more the oftener it comes.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Targets that are remembered: engines may name any.
const TARGETS_KEPT: usize = 256;

/// What waits to be armed.
#[derive(Debug, Default)]
pub struct Arming {
    // Plain data, held for some lines.
    state: Mutex<State>,
    more: Arc<Condvar>,
}

#[derive(Debug, Default)]
struct State {
    lines: HashMap<Box<str>, Line>,
    is_closed: bool,
}

/// What waits for one target.
#[derive(Debug)]
struct Line {
    gate: Arc<Gate>,
    batches: VecDeque<Batch>,
    /// When the last group of it was taken.
    taken_at: Instant,
}

/// Jobs that were claimed together. Nobody listens any more when they have been given up.
#[derive(Debug)]
struct Batch {
    waiting: VecDeque<Number>,
    armed: mpsc::UnboundedSender<Vec<Number>>,
}

/// How many messages of a target may be armed and not have left.
#[derive(Debug)]
pub struct Gate {
    /// Places in all.
    width: AtomicUsize,
    taken: AtomicUsize,
    /// Places given back since the last look.
    left: AtomicUsize,
    /// Told when half of them are free.
    freed: Arc<Condvar>,
}

/// One message that is armed, or about to be, and has not left.
#[derive(Debug)]
pub struct Place(Arc<Gate>);

impl Place {
    pub fn of(gate: &Arc<Gate>) -> Self {
        gate.taken.fetch_add(1, Relaxed);
        Self(gate.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(gate) = self;
        gate.left.fetch_add(1, Relaxed);
        let taken = gate.taken.fetch_sub(1, Relaxed) - 1;
        // Not within the lock, so it may come too early to be heard; the next look is never far.
        if taken == gate.width.load(Relaxed) / 2 {
            gate.freed.notify_one();
        }
    }
}

impl Gate {
    pub fn new(freed: Arc<Condvar>) -> Arc<Self> {
        let (width, taken, left) = (AtomicUsize::new(WIDTH_MIN), AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { width, taken, left, freed })
    }

    /// Twice what has left since the last look: one half on its way to the disk, the other to the target.
    fn look(&self) {
        let width = self.width.load(Relaxed);
        let wanted = self.left.swap(0, Relaxed) * 2 + WIDTH_MIN;
        // Narrower by and by: a pause of the target's is not its pace.
        self.width.store(wanted.max(width - width / 8).min(WIDTH_MAX), Relaxed);
    }
}

impl Line {
    fn new(freed: &Arc<Condvar>) -> Self {
        Self { gate: Gate::new(freed.clone()), batches: VecDeque::new(), taken_at: Instant::now() }
    }

    /// How many of those that wait are to be armed now. A few are not worth an fsync while the target has more than these to take
    /// up: they go when they are as many as are armed, which is half of the places where more wait than there is room for, or
    /// when more have not come for a while. Whoever finds little before it goes at once.
    fn ready(&self, now: Instant) -> usize {
        let waiting = self.batches.iter().map(|batch| batch.waiting.len()).sum();
        let (width, taken) = (self.gate.width.load(Relaxed), self.gate.taken.load(Relaxed));
        let room = width.saturating_sub(taken).min(waiting);
        let is_worth_it = room >= taken || now >= self.taken_at + LOOK_EVERY;
        if is_worth_it { room } else { 0 }
    }

    fn take(&mut self, now: Instant) -> Vec<Group> {
        self.batches.retain(|batch| !batch.armed.is_closed());
        let mut room = self.ready(now);
        let mut groups = Vec::new();
        while room > 0
            && let Some(mut batch) = self.batches.pop_front()
        {
            let numbers: Vec<Number> = batch.waiting.drain(..room.min(batch.waiting.len())).collect();
            room -= numbers.len();
            groups.push(Group { gate: self.gate.clone(), armed: batch.armed.clone(), numbers });
            if !batch.waiting.is_empty() {
                self.batches.push_front(batch);
            }
            self.taken_at = now;
        }
        groups
    }
}

/// Jobs of one batch that are armed together.
#[derive(Debug)]
struct Group {
    gate: Arc<Gate>,
    armed: mpsc::UnboundedSender<Vec<Number>>,
    numbers: Vec<Number>,
}

impl Group {
    fn tell(self) {
        // They may have been given up.
        let _ = self.armed.send(self.numbers);
    }
}

/// Claimed jobs, to be attempted as they are armed.
#[derive(Debug)]
pub struct Departures {
    waiting: VecDeque<Claimed>,
    armed: mpsc::UnboundedReceiver<Vec<Number>>,
    /// Those that could not be noted.
    passed_over: Vec<Claimed>,
}

impl Departures {
    /// The next of them that may leave from here on: the disk says so. `None` when no more will. Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<Claimed>> {
        if self.waiting.is_empty() {
            return None;
        }
        let numbers = self.armed.recv().await?;
        let mut group = Vec::with_capacity(numbers.len());
        for number in numbers {
            while let Some(claimed) = self.waiting.pop_front() {
                if claimed.number == number {
                    group.push(claimed);
                    break;
                }
                self.passed_over.push(claimed);
            }
        }
        Some(group)
    }

    /// Those that have not been told to leave, and must not any more. Some of them may count as armed.
    pub fn give_up(mut self) -> Vec<Claimed> {
        self.passed_over.extend(self.waiting.drain(..));
        self.passed_over
    }
}

impl Arming {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Jobs that were claimed for this target are to be armed, in their order.
    pub fn arm(&self, target: &str, claimed: Vec<Claimed>) -> Departures {
        let (tell, armed) = mpsc::unbounded_channel();
        let waiting: VecDeque<Number> = claimed.iter().map(|claimed| claimed.number).collect();
        let mut state = self.state();
        if !state.is_closed && !waiting.is_empty() {
            state.line(target, &self.more).batches.push_back(Batch { waiting, armed: tell });
            self.more.notify_one();
        }
        drop(state);
        Departures { waiting: claimed.into(), armed, passed_over: Vec::new() }
    }

    /// Nothing is armed any more.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.lines.clear();
        self.more.notify_one();
    }

    /// What is to be armed together, once there is anything; `None` when there will not be.
    fn next(&self, looked: &mut Instant) -> Option<Vec<Group>> {
        let mut state = self.state();
        loop {
            if state.is_closed {
                return None;
            }
            let now = Instant::now();
            if now >= *looked + LOOK_EVERY {
                state.lines.values().for_each(|line| line.gate.look());
                *looked = now;
            }
            let groups: Vec<Group> = state.lines.values_mut().flat_map(|line| line.take(now)).collect();
            if !groups.is_empty() {
                return Some(groups);
            }
            let waits = state.lines.values().any(|line| !line.batches.is_empty());
            let most = if waits { LOOK_EVERY } else { Duration::MAX };
            state = self.more.wait_timeout(state, most).expect("no holder of this lock panics").0;
        }
    }
}

impl State {
    fn line(&mut self, target: &str, freed: &Arc<Condvar>) -> &mut Line {
        if self.lines.len() >= TARGETS_KEPT && !self.lines.contains_key(target) {
            self.lines.retain(|_, line| !line.batches.is_empty() || Arc::strong_count(&line.gate) > 1);
        }
        self.lines.entry(target.into()).or_insert_with(|| Line::new(freed))
    }
}

/// The thread that waits for the disk; it ends when the arming is closed, or the disk fails.
pub fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let run = move || {
        if catch_unwind(AssertUnwindSafe(|| arm_until_closed(&shared))).is_err() {
            shared.break_down(Trouble::Io(io::ErrorKind::Other));
        }
        shared.arming.close();
    };
    std::thread::Builder::new().name("journal-arm".into()).spawn(run)
}

fn arm_until_closed(shared: &Arc<Shared>) {
    let mut looked = Instant::now();
    while let Some(mut groups) = shared.arming.next(&mut looked) {
        let mut arms = Vec::new();
        for group in &mut groups {
            group.numbers.retain(|number| match shared.flights.begin_arm(number.0, Place::of(&group.gate)) {
                Ok(arm) => {
                    arms.push(arm);
                    true
                }
                // It was settled meanwhile, or there are too many: it stays.
                Err(_) => false,
            });
        }
        if let Err(error) = shared.flights.write_arms(&mut arms).and_then(|()| shared.flights.sync()) {
            tracing::error!(%error, "the flight log could not be written");
            return shared.break_down(Trouble::of_io(&error));
        }
        groups.into_iter().for_each(Group::tell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    type Told = mpsc::UnboundedReceiver<Vec<Number>>;

    fn waiting(arming: &Arming, target: &str, numbers: std::ops::Range<i64>) -> Told {
        let (armed, told) = mpsc::unbounded_channel();
        let waiting = numbers.map(Number).collect();
        let mut state = arming.state();
        state.line(target, &arming.more).batches.push_back(Batch { waiting, armed });
        told
    }

    /// What is armed now, of all targets.
    fn armed(arming: &Arming) -> Vec<Place> {
        armed_at(arming, Instant::now())
    }

    fn armed_at(arming: &Arming, now: Instant) -> Vec<Place> {
        let mut state = arming.state();
        let groups = state.lines.values_mut().flat_map(|line| line.take(now)).collect::<Vec<_>>();
        let place = |group: Group| {
            let places: Vec<Place> = group.numbers.iter().map(|_| Place::of(&group.gate)).collect();
            group.tell();
            places
        };
        groups.into_iter().flat_map(place).collect()
    }

    fn look(arming: &Arming) {
        arming.state().lines.values().for_each(|line| line.gate.look());
    }

    #[test]
    fn c8_no_more_is_armed_than_the_target_takes_up_soon() {
        let arming = Arming::default();
        let _silent = waiting(&arming, "silent", 0..100);
        let silent = armed(&arming);
        assert_eq!(silent.len(), WIDTH_MIN);
        let _brisk = waiting(&arming, "brisk", 0..100_000);
        let mut brisk = armed(&arming);
        assert_eq!(brisk.len(), WIDTH_MIN, "nobody waits behind another target");
        for _ in 0..12 {
            brisk.clear();
            look(&arming);
            brisk = armed(&arming);
        }
        assert_eq!(brisk.len(), WIDTH_MAX, "and the silent one has no more");
        brisk.clear();
        (0..100).for_each(|_| look(&arming));
        assert!(armed(&arming).len() < WIDTH_MIN * 2, "a target that stops gets few again");
    }

    #[test]
    fn c8_a_group_waits_until_half_of_the_places_are_free_and_not_for_long() {
        let (now, arming) = (Instant::now(), Arming::default());
        let mut told = waiting(&arming, "mta1", 0..WIDTH_MIN as i64 + 20);
        let mut places = armed_at(&arming, now);
        assert_eq!(told.try_recv().unwrap().len(), WIDTH_MIN);
        places.truncate(WIDTH_MIN / 2 + 1);
        assert!(armed_at(&arming, now).is_empty(), "a few are not worth an fsync");
        places.pop();
        let more = armed_at(&arming, now);
        assert_eq!(more.len(), WIDTH_MIN / 2);
        places.pop();
        assert!(armed_at(&arming, now).is_empty());
        let mut state = arming.state();
        let line = state.lines.values_mut().next().unwrap();
        assert_eq!(line.take(now + LOOK_EVERY).len(), 1, "others hold theirs for longer");
        drop(state);
        drop((places, more));
        assert_eq!(armed_at(&arming, now).len(), 11, "the last ones wait for nobody");
    }

    /// The end of a batch waits for the next one while the target has enough to do; a few that find it idle, or nearly so, do not.
    #[test]
    fn c8_the_end_of_a_batch_is_not_worth_an_fsync_and_a_single_message_is() {
        let (now, arming) = (Instant::now(), Arming::default());
        let _batch = waiting(&arming, "mta1", 0..10);
        let mut places = armed_at(&arming, now);
        assert_eq!(places.len(), 10, "nothing was before them");
        let _few = waiting(&arming, "mta1", 10..14);
        assert!(armed_at(&arming, now).is_empty(), "there is room for them, and no hurry");
        let _more = waiting(&arming, "mta1", 14..16);
        places.truncate(6);
        places.extend(armed_at(&arming, now));
        assert_eq!(places.len(), 12, "one fsync for both batches");
        places.truncate(1);
        for number in 16..20 {
            let _single = waiting(&arming, "mta1", number..number + 1);
            let single = armed_at(&arming, now);
            assert_eq!(single.len(), 1, "it comes by itself");
        }
    }

    #[test]
    fn c8_whoever_was_given_up_is_not_armed() {
        let arming = Arming::default();
        let (gone, mut there) = (waiting(&arming, "mta1", 0..5), waiting(&arming, "mta1", 5..8));
        drop(gone);
        assert_eq!(armed(&arming).len(), 3);
        assert_eq!(there.try_recv().unwrap(), [5, 6, 7].map(Number));
    }

    #[test]
    fn targets_that_are_not_in_use_are_forgotten() {
        let arming = Arming::default();
        let _told = waiting(&arming, "kept", 0..WIDTH_MIN as i64 * 2);
        let kept = armed(&arming);
        for number in 0..TARGETS_KEPT * 2 {
            let told = waiting(&arming, &number.to_string(), 0..1);
            drop((armed(&arming), told));
        }
        assert!(arming.state().lines.len() <= TARGETS_KEPT);
        let width = arming.state().lines["kept"].gate.taken.load(Relaxed);
        assert_eq!(width, kept.len());
    }

    #[tokio::test]
    async fn nobody_waits_for_an_arming_that_is_closed() {
        let arming = Arming::default();
        let mut told = waiting(&arming, "mta1", 0..1);
        assert_eq!(told.recv().now_or_never(), None);
        arming.close();
        assert_eq!(told.recv().await, None);
        assert_eq!(arming.arm("mta1", Vec::new()).next().await.map(|group| group.len()), None);
        assert!(arming.next(&mut Instant::now()).is_none());
    }
}
