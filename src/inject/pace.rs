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
/// Messages taken between two complaints, at least, of a target that may complain of so many whatever the pace.
const TAKEN_BETWEEN_MIN: u64 = 9;
/// Complaints in a row between which as few are taken though the pace was halved each time, until slowing is of no use.
const ALIKE_MAX: u32 = 4;
/// Complaints at full pace, at least, before that is held against what is taken between.
const COMPLAINTS_MIN: u64 = 4;
/// How long it holds that slowing is of no use, or that it is.
const USE_HOLDS: Duration = Duration::from_secs(3600);

/// What follows from a complaint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Complaint {
    /// The target gets less from now on.
    First,
    /// It gets less still, or does already.
    Further,
    /// It complains as often whatever it gets, so it gets all there is.
    InVain,
}

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
    /// Messages taken since the last complaint, and between that and the one before.
    taken: u64,
    taken_before: u64,
    /// Complaints in a row between which about as few were taken.
    alike: u32,
    full: Option<Full>,
    /// Slowing was found to be of use, or is to be: when that may be asked again.
    asked_again_at: Instant,
}

/// At full pace, as slowing is of no use.
struct Full {
    until: Instant,
    /// Taken between two complaints when it was slowed.
    usual: u64,
    taken: u64,
    complaints: u64,
}

impl Pace {
    /// The target asked for less, while it got `per_second`.
    pub fn slow_down(&self, per_second: f64, cause: Fault) -> Complaint {
        let now = Instant::now();
        let mut kept = self.kept();
        if let Some(kept) = kept.as_mut() {
            if kept.full.is_some() && kept.stays_full(now) {
                return Complaint::InVain;
            }
            if now.duration_since(kept.complained_at) < ONE_COMPLAINT {
                return Complaint::Further;
            }
            if kept.is_in_vain(now) {
                return Complaint::InVain;
            }
        }
        match kept.as_mut() {
            Some(kept) => {
                kept.pause = if kept.has_answered { PAUSE_MIN } else { (kept.pause * 2).min(PAUSE_MAX) };
                kept.per_second = (kept.per_second / 2.0).max(PER_SECOND_MIN);
                (kept.complained_at, kept.raised_at, kept.has_answered) = (now, now, false);
                kept.next_at = now + kept.pause;
                kept.cause = cause;
                return Complaint::Further;
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
                    taken: 0,
                    taken_before: 0,
                    alike: 0,
                    full: None,
                    asked_again_at: now,
                });
            }
        }
        self.is_kept.store(true, Relaxed);
        Complaint::First
    }

    /// The target took a message.
    pub fn answered(&self) {
        if self.is_kept.load(Relaxed)
            && let Some(kept) = self.kept().as_mut()
        {
            kept.has_answered = true;
            kept.taken += 1;
            if let Some(full) = kept.full.as_mut() {
                full.taken += 1;
            }
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
        match &kept.full {
            Some(full) if now < full.until => return Ok(()),
            Some(_) => {
                *slot = None;
                self.is_kept.store(false, Relaxed);
                return Ok(());
            }
            None => kept.raise(now),
        }
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
        self.kept().as_ref().filter(|kept| kept.full.is_none()).map(|kept| Slowed {
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
        let kept = kept.as_ref().filter(|kept| kept.full.is_none() && Instant::now() < kept.next_at)?;
        Some((kept.next_at, kept.cause.clone()))
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Whether the pace changes nothing: halved again and again, and as few are taken between two complaints as before.
    fn is_in_vain(&mut self, now: Instant) -> bool {
        let taken = std::mem::take(&mut self.taken);
        let is_alike = taken >= TAKEN_BETWEEN_MIN && taken < 2 * self.taken_before.max(taken / 2 + 1);
        self.alike = if is_alike { self.alike + 1 } else { 0 };
        self.taken_before = taken;
        if self.alike < ALIKE_MAX || now < self.asked_again_at {
            return false;
        }
        self.full = Some(Full { until: now + USE_HOLDS, usual: taken, taken: 0, complaints: 0 });
        true
    }

    /// One more complaint at full pace. When more come than before, slowing was of use.
    fn stays_full(&mut self, now: Instant) -> bool {
        let Some(full) = self.full.as_mut() else { return false };
        full.complaints += 1;
        if full.complaints < COMPLAINTS_MIN || full.taken >= full.complaints * full.usual / 2 {
            return true;
        }
        (self.full, self.alike) = (None, 0);
        self.asked_again_at = now + USE_HOLDS;
        false
    }

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

    /// Whatever the pace, and with so many taken between.
    #[tokio::test(start_paused = true)]
    async fn a5_a_target_that_complains_of_every_twentieth_is_not_slowed_for_ever() {
        let pace = Pace::default();
        let (mut taken, mut got) = (0, 0);
        for _ in 0..120_000 {
            let is_offered = pace.take().is_ok();
            got += i32::from(is_offered);
            if is_offered && got % 20 == 0 {
                pace.slow_down(100.0, cause());
            } else if is_offered {
                taken += 1;
                pace.answered();
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!(pace.kept_to().is_none());
        assert!(taken > 80_000, "{taken} in 20 minutes");
    }

    /// Ten a second and no more, with a share saved up in each pause: that looks alike at first.
    #[tokio::test(start_paused = true)]
    async fn a5_a_target_that_bears_less_than_it_gets_is_slowed_on() {
        let pace = Pace::default();
        let (mut tokens, mut taken, mut refused) = (10.0_f64, 0, 0);
        for _ in 0..600_000 {
            tokens = (tokens + 0.01).min(12.0);
            let is_offered = pace.take().is_ok();
            if is_offered && tokens >= 1.0 {
                (tokens, taken) = (tokens - 1.0, taken + 1);
                pace.answered();
            } else if is_offered {
                refused += 1;
                pace.slow_down(1000.0, cause());
            }
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(refused * 8 < taken, "{refused} of {taken} in vain");
    }

    #[tokio::test(start_paused = true)]
    async fn a5_the_pause_grows_while_nothing_is_taken() {
        let pace = Pace::default();
        let (_, refused) = minutes_with(&pace, 60, 0).await;
        assert!((60..=75).contains(&refused), "{refused} in an hour");
    }
}
