//! How many held jobs may be on their way at once, in all and for each target: a slow target gets as many as it
//! works off, so that the others are not kept waiting.

use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Attempts of held jobs at once, in all. More than are rendered at once: the others wait for their turn in memory, so
/// that a commit is not waited for.
pub const TOTAL: usize = 2_048;
/// What a target starts with, and what it keeps however slow it is.
const FIRST: usize = 32;
const LEAST: usize = 2;
/// Targets whose pace is remembered while nothing is on its way to them: engines may name any.
const TARGETS_KEPT: usize = 256;
/// Failures of the same moment have one cause.
const NARROWED_ONCE_IN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Window {
    under_way: usize,
    targets: HashMap<Box<str>, Share>,
    /// Targets that have something due and take it: none gets more than its part of the whole.
    sharers: usize,
}

struct Share {
    under_way: usize,
    width: usize,
    narrowed_at: Option<Instant>,
}

impl Default for Share {
    fn default() -> Self {
        Self { under_way: 0, width: FIRST, narrowed_at: None }
    }
}

/// How an attempt ended, as far as the target's pace is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The target answered.
    Kept,
    /// The target did not get to it, or answered that it is busy.
    Behind,
}

impl Window {
    /// How many targets have to share it from now on.
    pub fn share(&mut self, sharers: usize) {
        self.sharers = sharers;
    }

    /// How many more may start now for this target. A few are not worth a claim, which costs a commit: it is either
    /// a quarter of what the target may have at once, or none.
    pub fn room(&self, target: &str) -> usize {
        let (under_way, width) =
            self.targets.get(target).map_or((0, FIRST), |share| (share.under_way, share.width));
        let most = width.min((TOTAL / self.sharers.max(1)).max(1));
        let room = most.saturating_sub(under_way).min(TOTAL - self.under_way.min(TOTAL));
        if under_way > 0 && room < most / 4 { 0 } else { room }
    }

    pub fn start(&mut self, target: &str, count: usize) {
        self.under_way += count;
        match self.targets.get_mut(target) {
            Some(share) => share.under_way += count,
            None => {
                self.targets.insert(target.into(), Share { under_way: count, ..Share::default() });
            }
        }
    }

    /// Places for which there was no job.
    pub fn give_back(&mut self, target: &str, count: usize) {
        self.under_way = self.under_way.saturating_sub(count);
        if let Some(share) = self.targets.get_mut(target) {
            share.under_way = share.under_way.saturating_sub(count);
        }
    }

    /// Whether there is room for this target now.
    pub fn end(&mut self, target: &str, pace: Pace) -> bool {
        self.under_way = self.under_way.saturating_sub(1);
        let is_crowded = self.targets.len() > TARGETS_KEPT;
        let Some(share) = self.targets.get_mut(target) else { return true };
        share.under_way = share.under_way.saturating_sub(1);
        if is_crowded && share.under_way == 0 {
            self.targets.remove(target);
            return true;
        }
        match pace {
            Pace::Kept => share.width = (share.width + 1).min(TOTAL),
            Pace::Behind => {
                let is_new = share.narrowed_at.is_none_or(|at| at.elapsed() >= NARROWED_ONCE_IN);
                if is_new {
                    share.width = (share.width / 2).max(LEAST);
                    share.narrowed_at = Some(Instant::now());
                }
            }
        }
        self.room(target) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(window: &mut Window, target: &str, count: usize, pace: Pace) {
        for _ in 0..count {
            window.end(target, pace);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_target_leaves_room_for_the_others() {
        let mut window = Window::default();
        for _ in 0..20 {
            let room = window.room("slow");
            window.start("slow", room);
            end(&mut window, "slow", room, Pace::Behind);
            tokio::time::advance(NARROWED_ONCE_IN).await;
        }
        assert_eq!(window.room("slow"), LEAST);
        for _ in 0..10 {
            let room = window.room("brisk");
            window.start("brisk", room);
            end(&mut window, "brisk", room, Pace::Kept);
        }
        assert_eq!(window.room("brisk"), TOTAL);
        window.start("slow", LEAST);
        assert_eq!((window.room("slow"), window.room("brisk")), (0, TOTAL - LEAST));
    }

    /// A window in which these targets have shown that they take whatever comes.
    fn wide(targets: &[&str]) -> Window {
        let mut window = Window::default();
        for target in targets {
            while window.room(target) < TOTAL {
                let room = window.room(target);
                window.start(target, room);
                end(&mut window, target, room, Pace::Kept);
            }
        }
        window
    }

    #[tokio::test]
    async fn targets_have_equal_parts_of_it() {
        let mut window = wide(&["a", "b"]);
        let all = window.room("a");
        window.start("a", all);
        window.share(2);
        assert_eq!(window.room("b"), 0, "what is under way stays so");
        end(&mut window, "a", TOTAL / 2, Pace::Kept);
        assert_eq!((window.room("a"), window.room("b")), (0, TOTAL / 2));
    }

    #[tokio::test]
    async fn a_claim_is_worth_a_quarter() {
        let mut window = wide(&["a"]);
        window.start("a", TOTAL);
        let worth: Vec<bool> = (0..TOTAL / 4).map(|_| window.end("a", Pace::Kept)).collect();
        assert_eq!(worth.iter().position(|worth| *worth), Some(TOTAL / 4 - 1));
        assert_eq!(window.room("a"), TOTAL / 4);
    }
}
