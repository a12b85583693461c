//! How many messages may be with one target without an answer. All of them are in doubt when it dies behind their
//! final dots, so it is no more than the target has shown to work off: the bound grows while answers come and more
//! waits, goes back when less is needed, and falls to one at the first sign of trouble.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The bound for a target of which nothing is known yet, and that of one that needs little.
const FIRST: usize = 4;
/// A target that is full and answers nothing for this long, or some times its usual answer, gets nothing that another
/// one would take.
const STUCK: Duration = Duration::from_millis(100);
const STUCK_TIMES: u32 = 4;
/// How often the bound is held against what was needed.
const REVIEW: Duration = Duration::from_secs(1);

pub(super) struct Flow {
    /// Plain data, held for lines, twice a message.
    state: Mutex<State>,
    /// As in the state, for those who only look.
    limit: AtomicUsize,
    /// The usual time from offer to answer, in microseconds.
    usual_us: AtomicU64,
    freed: Notify,
}

struct State {
    under_way: usize,
    /// How often what was under way has been written off.
    written_off: u64,
    limit: usize,
    max: usize,
    /// Somebody found no room since the bound last grew.
    lacked: bool,
    /// When the last message left it, with an answer or without.
    freed_at: Instant,
    reviewed_at: Instant,
    /// Since the last review.
    peak: usize,
    entered: u64,
    /// Messages a second between the two reviews before.
    per_second: f64,
}

/// How far the bound falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Narrow {
    Half,
    One,
}

/// One message that is with the target; dropped when it is there no more.
pub(super) struct Pass {
    flow: Arc<Flow>,
    since: Instant,
    written_off: u64,
}

impl Flow {
    pub fn new(max: usize) -> Arc<Self> {
        let state = State {
            under_way: 0,
            written_off: 0,
            limit: FIRST.min(max),
            max,
            lacked: false,
            freed_at: Instant::now(),
            reviewed_at: Instant::now(),
            peak: 0,
            entered: 0,
            per_second: 0.0,
        };
        Arc::new(Self {
            limit: AtomicUsize::new(state.limit),
            state: Mutex::new(state),
            usual_us: AtomicU64::new(0),
            freed: Notify::new(),
        })
    }

    /// Waits for room. Cancel-safe.
    pub async fn enter(self: &Arc<Self>) -> Pass {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.state();
                if state.has_room() {
                    return self.pass_in(&mut state);
                }
            }
            freed.await;
        }
    }

    pub fn has_room(&self) -> bool {
        self.state().has_room()
    }

    /// For a message that goes whether there is room or not.
    pub fn pass(self: &Arc<Self>) -> Pass {
        self.pass_in(&mut self.state())
    }

    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Whether all that may be with the target is there, and none of it has been answered for a while.
    pub fn is_stuck(&self) -> bool {
        let state = self.state();
        state.under_way >= state.limit && state.freed_at.elapsed() > STUCK.max(self.usual() * STUCK_TIMES)
    }

    pub fn under_way(&self) -> usize {
        self.state().under_way
    }

    /// The target works: more may be with it, if more waits.
    pub fn widen(&self) {
        let mut state = self.state();
        let is_narrow = state.limit < FIRST.min(state.max);
        if is_narrow || (state.lacked && state.limit < state.max) {
            state.limit += 1;
            state.lacked = false;
            self.limit.store(state.limit, Relaxed);
            drop(state);
            self.freed.notify_waiters();
        }
    }

    pub fn narrow(&self, how: Narrow) {
        let mut state = self.state();
        state.limit = match how {
            Narrow::Half => (state.limit / 2).max(1),
            Narrow::One => state.limit.min(1),
        };
        self.limit.store(state.limit, Relaxed);
    }

    /// What the target has now it may never answer: it is not waited for when the target answers others again.
    pub fn write_off(&self) {
        let mut state = self.state();
        state.under_way = 0;
        state.written_off += 1;
    }

    /// Messages a second of late.
    pub fn per_second(&self) -> f64 {
        let state = self.state();
        let elapsed = state.reviewed_at.elapsed().as_secs_f64();
        state.per_second.max(state.entered as f64 / elapsed.max(0.1))
    }

    /// The usual time from offer to answer.
    pub fn usual(&self) -> Duration {
        Duration::from_micros(self.usual_us.load(Relaxed))
    }

    fn pass_in(self: &Arc<Self>, state: &mut State) -> Pass {
        let since = Instant::now();
        if state.under_way == 0 {
            state.freed_at = since;
        }
        state.under_way += 1;
        state.entered += 1;
        state.peak = state.peak.max(state.under_way);
        if since.duration_since(state.reviewed_at) >= REVIEW {
            state.review(since);
            self.limit.store(state.limit, Relaxed);
        }
        Pass { flow: self.clone(), since, written_off: state.written_off }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&mut self) -> bool {
        let has_room = self.under_way < self.limit;
        self.lacked |= !has_room;
        has_room
    }

    fn review(&mut self, now: Instant) {
        self.per_second = self.entered as f64 / now.duration_since(self.reviewed_at).as_secs_f64();
        // One that is narrowed widens with the target's answers only.
        if self.limit > FIRST {
            self.limit = self.limit.min(self.peak * 2).max(FIRST);
        }
        self.peak = self.under_way;
        self.entered = 0;
        self.reviewed_at = now;
    }
}

impl Pass {
    /// The target took the message.
    pub fn answered(&self) {
        let took = self.since.elapsed().as_micros() as u64;
        let usual = self.flow.usual_us.load(Relaxed);
        let usual = if usual == 0 { took } else { usual - usual / 8 + took / 8 };
        // Two at once may lose one of them, which changes little.
        self.flow.usual_us.store(usual, Relaxed);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.flow.state();
        if state.written_off != self.written_off {
            return;
        }
        state.under_way = state.under_way.saturating_sub(1);
        state.freed_at = Instant::now();
        let is_awaited = state.lacked && state.under_way < state.limit;
        drop(state);
        if is_awaited {
            self.flow.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages that could be offered before the first answer.
    fn fill(flow: &Arc<Flow>) -> Vec<Pass> {
        std::iter::from_fn(|| flow.has_room().then(|| flow.pass())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a11_what_may_be_in_doubt_is_little_until_the_target_shows_more() {
        let flow = Flow::new(128);
        let mut with_it = fill(&flow);
        assert_eq!(with_it.len(), FIRST);
        for round_trip in 1..=5 {
            for _ in 0..with_it.len() {
                with_it.remove(0);
                flow.widen();
                with_it.extend(fill(&flow));
            }
            assert_eq!(with_it.len(), FIRST << round_trip);
        }
        flow.narrow(Narrow::One);
        drop(with_it);
        assert_eq!(fill(&flow).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a11_the_bound_goes_back_to_what_is_needed() {
        let flow = Flow::new(128);
        for _ in 0..100 {
            let full = fill(&flow);
            flow.widen();
            drop(full);
        }
        assert!(flow.limit() > 60);
        for _ in 0..3 {
            tokio::time::advance(REVIEW).await;
            drop(flow.pass());
        }
        assert_eq!(flow.limit(), FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn a10_what_hangs_for_ever_is_in_nobodys_way_when_the_target_answers_again() {
        let flow = Flow::new(128);
        let hanging = fill(&flow);
        flow.narrow(Narrow::One);
        flow.write_off();
        let probe = flow.pass();
        assert!(!flow.has_room());
        flow.widen();
        drop(probe);
        assert_eq!(fill(&flow).len(), 2);
        let after = fill(&flow);
        drop(hanging);
        assert_eq!(flow.under_way(), after.len());
    }
}
