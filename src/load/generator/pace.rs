//! When each job is due.

use super::Plan;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// The clock thread sleeps no shorter than this: jobs due within it are released together.
const TICK: Duration = Duration::from_micros(200);
/// More than there are connections: lets all of them see that it is over.
const FAREWELL: usize = 1 << 16;

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Jobs per second, whatever the answers.
    PerSecond(f64),
    /// Each connection sends its next job when the one before is answered.
    Max,
}

/// Hands out jobs when they are due.
#[derive(Debug)]
pub struct Pace {
    start: Instant,
    plan: Plan,
    next: AtomicU64,
    /// One permit for each job that is due and not taken.
    due: Semaphore,
}

/// A job to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub number: u64,
    /// Since the start.
    pub at: Duration,
}

impl Pace {
    /// # Errors
    /// When there can be no more threads.
    pub fn start(plan: &Plan) -> std::io::Result<Arc<Self>> {
        let start = Instant::now();
        let pace = Arc::new(Self { start, plan: *plan, next: AtomicU64::new(0), due: Semaphore::new(0) });
        if let Rate::PerSecond(_) = plan.rate {
            // tokio's timer has milliseconds; the system's is some fifty times finer.
            let clock = pace.clone();
            std::thread::Builder::new().name("load-clock".into()).spawn(move || clock.keep())?;
        }
        Ok(pace)
    }

    /// The next job, as soon as it is due; `None` when it is over.
    pub async fn next(&self) -> Option<Due> {
        match self.plan.rate {
            Rate::Max => self.try_next(),
            Rate::PerSecond(_) => {
                self.due.acquire().await.ok()?.forget();
                self.take()
            }
        }
    }

    /// The next job, if it is due now.
    pub fn try_next(&self) -> Option<Due> {
        match self.plan.rate {
            Rate::Max => {
                let at = self.start.elapsed();
                let number = (at < self.plan.lasting).then(|| self.next.fetch_add(1, Relaxed))?;
                (number < self.plan.jobs_max.unwrap_or(u64::MAX)).then_some(Due { number, at })
            }
            Rate::PerSecond(_) => {
                self.due.try_acquire().ok()?.forget();
                self.take()
            }
        }
    }

    pub fn since_start(&self) -> Duration {
        self.start.elapsed()
    }

    /// Jobs in all; `None` where only time tells.
    pub fn planned(&self) -> Option<u64> {
        match self.plan.rate {
            Rate::Max => None,
            Rate::PerSecond(rate) => {
                let in_time = (rate * self.plan.lasting.as_secs_f64()).ceil() as u64;
                Some(in_time.min(self.plan.jobs_max.unwrap_or(u64::MAX)))
            }
        }
    }

    pub fn rate(&self) -> Rate {
        self.plan.rate
    }

    pub fn lasting(&self) -> Duration {
        self.plan.lasting
    }

    /// For this long at least jobs were to be sent: not at all where their number decides.
    pub fn lasting_min(&self) -> Duration {
        if self.plan.jobs_max.is_some() { Duration::ZERO } else { self.plan.lasting }
    }

    /// How long after the start no answer is waited for any more.
    pub fn give_up_at(&self) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + self.plan.lasting + super::GRACE)
    }

    fn take(&self) -> Option<Due> {
        let number = self.next.fetch_add(1, Relaxed);
        (number < self.planned()?).then(|| Due { number, at: self.due_at(number) })
    }

    fn due_at(&self, number: u64) -> Duration {
        match self.plan.rate {
            Rate::Max => Duration::ZERO,
            Rate::PerSecond(rate) => Duration::from_secs_f64(number as f64 / rate),
        }
    }

    /// Releases jobs until the last one.
    fn keep(&self) {
        let planned = self.planned().unwrap_or(0);
        let mut released = 0;
        while released < planned {
            let now = self.start.elapsed();
            let mut ready = 0;
            while released < planned && self.due_at(released) <= now {
                released += 1;
                ready += 1;
            }
            self.due.add_permits(ready);
            if released < planned {
                std::thread::sleep(self.due_at(released).saturating_sub(now).max(TICK));
            }
        }
        self.due.add_permits(FAREWELL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rate: Rate, ms: u64, jobs_max: Option<u64>) -> Plan {
        Plan { rate, lasting: Duration::from_millis(ms), jobs_max, connections: 1 }
    }

    #[tokio::test]
    async fn each_job_comes_once_and_none_before_it_is_due() {
        let pace = Pace::start(&plan(Rate::PerSecond(2_000.0), 100, None)).unwrap();
        let mut numbers = Vec::new();
        while let Some(due) = pace.next().await {
            assert!(due.at <= pace.since_start());
            assert_eq!(due.at, Duration::from_secs_f64(due.number as f64 / 2_000.0));
            numbers.push(due.number);
        }
        assert_eq!(numbers, (0..200).collect::<Vec<_>>());
        assert!(pace.next().await.is_none());
    }

    #[tokio::test]
    async fn the_closed_loop_ends_with_its_time() {
        let pace = Pace::start(&plan(Rate::Max, 20, None)).unwrap();
        let mut last = None;
        while let Some(due) = pace.next().await {
            last = Some(due);
        }
        assert!(last.unwrap().number > 0 && last.unwrap().at < Duration::from_millis(20));
    }

    #[tokio::test]
    async fn no_more_jobs_come_than_were_asked_for() {
        for rate in [Rate::Max, Rate::PerSecond(100_000.0)] {
            let pace = Pace::start(&plan(rate, 60_000, Some(50))).unwrap();
            let mut count = 0;
            while pace.next().await.is_some() {
                count += 1;
            }
            assert_eq!((count, pace.lasting_min()), (50, Duration::ZERO));
        }
    }
}
