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
    /// How many more may start now for this target.
    pub fn room(&self, target: &str) -> usize {
        let (under_way, width) =
            self.targets.get(target).map_or((0, FIRST), |share| (share.under_way, share.width));
        width.saturating_sub(under_way).min(TOTAL - self.under_way.min(TOTAL))
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

    pub fn end(&mut self, target: &str, pace: Pace) {
        self.under_way = self.under_way.saturating_sub(1);
        let is_crowded = self.targets.len() > TARGETS_KEPT;
        let Some(share) = self.targets.get_mut(target) else { return };
        share.under_way = share.under_way.saturating_sub(1);
        if is_crowded && share.under_way == 0 {
            self.targets.remove(target);
            return;
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_target_leaves_room_for_the_others() {
        let mut window = Window::default();
        for _ in 0..20 {
            let room = window.room("slow");
            window.start("slow", room);
            (0..room).for_each(|_| window.end("slow", Pace::Behind));
            tokio::time::advance(NARROWED_ONCE_IN).await;
        }
        assert_eq!(window.room("slow"), LEAST);
        for _ in 0..10 {
            let room = window.room("brisk");
            window.start("brisk", room);
            (0..room).for_each(|_| window.end("brisk", Pace::Kept));
        }
        assert_eq!(window.room("brisk"), TOTAL);
        window.start("slow", LEAST);
        assert_eq!((window.room("slow"), window.room("brisk")), (0, TOTAL - LEAST));
    }
}
