//! How fast a target that asked for less is given messages: halved with each time it asks, a little more with each
//! second in which it does not, and nothing at all for a pause that grows while it takes none.

use crate::fault::Fault;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Messages a second, at least.
const PER_SECOND_MIN: f64 = 0.1;
/// What a second without complaint adds, at least, and as a part of what there is.
const STEP_MIN: f64 = 0.5;
const STEP_PART: f64 = 0.05;
/// Complaints about messages that were on their way together are one.
const ONE_COMPLAINT: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Pace {
    /// Whether there is a pace to keep; written under its lock.
    is_kept: AtomicBool,
    /// Plain data, held for lines; only of a target that complained.
    kept: Mutex<Option<Kept>>,
}

/// How a target that asked for less is treated.
#[derive(Debug, Clone)]
pub struct Slowed {
    /// Messages a minute.
    pub per_minute: u64,
    /// How long it has been so.
    pub since: Duration,
    /// What the target said last.
    pub cause: Fault,
}

struct Kept {
    began_at: Instant,
    per_second: f64,
    /// The pace at which it began. Twice that is as good as none.
    at_first: f64,
    next_at: Instant,
    pause: Duration,
    complained_at: Instant,
    /// A message was taken since.
    has_answered: bool,
    raised_at: Instant,
    cause: Fault,
}

impl Pace {
    /// The target asked for less, while it got `per_second`.
    pub fn slow_down(&self, per_second: f64, cause: Fault) {
        let now = Instant::now();
        let mut kept = self.kept();
        match kept.as_mut() {
            Some(kept) if now.duration_since(kept.complained_at) < ONE_COMPLAINT => return,
            Some(kept) => {
                kept.pause = if kept.has_answered { PAUSE_MIN } else { (kept.pause * 2).min(PAUSE_MAX) };
                kept.per_second = (kept.per_second / 2.0).max(PER_SECOND_MIN);
                (kept.complained_at, kept.raised_at, kept.has_answered) = (now, now, false);
                kept.next_at = now + kept.pause;
                kept.cause = cause;
            }
            None => {
                *kept = Some(Kept {
                    began_at: now,
                    per_second: (per_second / 2.0).max(PER_SECOND_MIN),
                    at_first: per_second.max(1.0),
                    next_at: now + PAUSE_MIN,
                    pause: PAUSE_MIN,
                    complained_at: now,
                    has_answered: false,
                    raised_at: now,
                    cause,
                });
            }
        }
        self.is_kept.store(true, Relaxed);
    }

    /// The target took a message.
    pub fn answered(&self) {
        if self.is_kept.load(Relaxed)
            && let Some(kept) = self.kept().as_mut()
        {
            kept.has_answered = true;
        }
    }

    /// Takes the right to send one message now.
    ///
    /// # Errors
    /// When to ask again.
    pub fn take(&self) -> Result<(), Instant> {
        if !self.is_kept.load(Relaxed) {
            return Ok(());
        }
        let now = Instant::now();
        let mut slot = self.kept();
        let Some(kept) = slot.as_mut() else { return Ok(()) };
        kept.raise(now);
        if kept.per_second >= kept.at_first * 2.0 {
            *slot = None;
            self.is_kept.store(false, Relaxed);
            return Ok(());
        }
        if now < kept.next_at {
            return Err(kept.next_at);
        }
        kept.next_at = now + Duration::from_secs_f64(1.0 / kept.per_second);
        Ok(())
    }

    /// What the target is given because it asked for less; `None` while it gets all there is.
    pub fn kept_to(&self) -> Option<Slowed> {
        if !self.is_kept.load(Relaxed) {
            return None;
        }
        self.kept().as_ref().map(|kept| Slowed {
            per_minute: (kept.per_second * 60.0) as u64,
            since: kept.began_at.elapsed(),
            cause: kept.cause.clone(),
        })
    }

    /// When the pause is over that the target was given, if one is.
    pub fn resumes(&self) -> Option<(Instant, Fault)> {
        if !self.is_kept.load(Relaxed) {
            return None;
        }
        let kept = self.kept();
        let kept = kept.as_ref().filter(|kept| Instant::now() < kept.next_at)?;
        Some((kept.next_at, kept.cause.clone()))
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn raise(&mut self, now: Instant) {
        let mut seconds = now.duration_since(self.raised_at).as_secs();
        self.raised_at += Duration::from_secs(seconds);
        // A pause is none of the target's approval.
        if !self.has_answered {
            return;
        }
        while seconds > 0 && self.per_second < self.at_first * 2.0 {
            self.per_second += STEP_MIN.max(self.per_second * STEP_PART);
            seconds -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Reason;

    fn cause() -> Fault {
        Fault::new(Reason::TargetUnavailable, "450 4.7.1 too much mail")
    }

    /// A target that takes `per_minute` in each minute of its clock and complains about the rest: what it took, and
    /// what it got in vain.
    async fn minutes_with(pace: &Pace, minutes: u32, per_minute: u32) -> (u32, u32) {
        let (mut taken, mut refused, mut left) = (0, 0, 0);
        for tick in 0..minutes * 6_000 {
            if tick % 6_000 == 0 {
                left = per_minute;
            }
            match (pace.take(), left) {
                (Err(_), _) => {}
                (Ok(()), 0) => {
                    refused += 1;
                    pace.slow_down(100.0, cause());
                }
                (Ok(()), _) => {
                    left -= 1;
                    taken += 1;
                    pace.answered();
                }
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        (taken, refused)
    }

    #[tokio::test(start_paused = true)]
    async fn a5_a_target_with_a_limit_gets_most_of_it_and_few_messages_in_vain() {
        let pace = Pace::default();
        let (taken, refused) = minutes_with(&pace, 30, 60).await;
        assert!(taken >= 30 * 60 * 6 / 10, "{taken} of {}", 30 * 60);
        assert!(refused * 8 < taken, "{refused} of {taken} in vain");
    }

    #[tokio::test(start_paused = true)]
    async fn a5_it_recovers_and_then_nothing_is_kept() {
        let pace = Pace::default();
        pace.slow_down(100.0, cause());
        assert!(pace.take().is_err() && pace.kept_to().is_some());
        let (taken, refused) = minutes_with(&pace, 3, 1_000_000).await;
        assert!(pace.kept_to().is_none() && refused == 0 && taken > 1000, "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn a5_the_pause_grows_while_nothing_is_taken() {
        let pace = Pace::default();
        let (_, refused) = minutes_with(&pace, 60, 0).await;
        assert!((60..=75).contains(&refused), "{refused} in an hour");
    }
}
