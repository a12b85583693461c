//! What came of the jobs.

use super::pace::{Due, Pace, Rate};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Later than this behind its time a job counts as held back: the clock's own coarseness stays well below.
const BEHIND_MAX: Duration = Duration::from_millis(10);
/// Longest time that is told apart from longer ones, in microseconds.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// One connection's account.
#[derive(Debug)]
pub struct Tally {
    sent: u64,
    answered: u64,
    outcomes: BTreeMap<Outcome, u64>,
    latency: Histogram<u64>,
    behind: u64,
    behind_longest: Duration,
    last_answer: Duration,
}

/// State and reason, as the relay names them; over SMTP the reply's codes.
pub type Outcome = (String, String);

impl Default for Tally {
    fn default() -> Self {
        let latency = Histogram::new_with_max(LATENCY_MAX_US, 3).expect("the bounds are valid");
        Self {
            sent: 0,
            answered: 0,
            outcomes: BTreeMap::new(),
            latency,
            behind: 0,
            behind_longest: Duration::ZERO,
            last_answer: Duration::ZERO,
        }
    }
}

impl Tally {
    /// A job goes out, at `now` since the start.
    pub fn sent(&mut self, due: Due, now: Duration) {
        self.sent += 1;
        let behind = now.saturating_sub(due.at);
        self.behind_longest = self.behind_longest.max(behind);
        self.behind += u64::from(behind > BEHIND_MAX);
    }

    /// Its answer came, at `now` since the start; `at` is when the job was due.
    pub fn answered(&mut self, at: Duration, now: Duration, state: &str, reason: &str) {
        self.answered += 1;
        self.last_answer = self.last_answer.max(now);
        let micros = u64::try_from(now.saturating_sub(at).as_micros()).unwrap_or(LATENCY_MAX_US);
        self.latency.saturating_record(micros);
        self.count(state, reason);
    }

    /// What has no answer by now has none, for this reason.
    pub fn close(&mut self, reason: &str) {
        let told: u64 = self.outcomes.values().sum();
        if let Some(open) = self.sent.checked_sub(told).filter(|open| *open > 0) {
            *self.outcomes.entry((String::from("unanswered"), reason.to_owned())).or_default() += open;
        }
    }

    fn count(&mut self, state: &str, reason: &str) {
        let known = self.outcomes.iter_mut().find(|((s, r), _)| s == state && r == reason);
        match known {
            Some((_, count)) => *count += 1,
            None => drop(self.outcomes.insert((state.to_owned(), reason.to_owned()), 1)),
        }
    }

    /// Takes another connection's account in.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.behind += other.behind;
        self.behind_longest = self.behind_longest.max(other.behind_longest);
        self.last_answer = self.last_answer.max(other.last_answer);
        self.latency.add(&other.latency).expect("all histograms have the same bounds");
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
    }
}

/// The whole run.
#[derive(Debug)]
pub struct Report {
    pub rate: Rate,
    pub lasting: Duration,
    /// Jobs that should have been sent; those that were, where only time told.
    pub planned: u64,
    pub sent: u64,
    pub answered: u64,
    pub relayed: u64,
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Answers per second, until the last one.
    pub achieved: f64,
    /// From the moment a job was due to its answer, in microseconds.
    pub latency: Histogram<u64>,
    /// Jobs that went out more than 10 ms after their time.
    pub behind: u64,
    pub behind_longest: Duration,
    /// The generator's own.
    pub cpu: Duration,
}

impl Report {
    pub(super) fn of(tallies: Vec<Tally>, pace: &Pace, cpu: Duration) -> Self {
        let mut all = Tally::default();
        tallies.iter().for_each(|tally| all.add(tally));
        let until = all.last_answer.max(pace.lasting_min());
        let lasting = if pace.lasting_min().is_zero() { all.last_answer } else { pace.lasting() };
        let relayed =
            all.outcomes.iter().filter(|((state, _), _)| state == "relayed").map(|(_, count)| count);
        Self {
            rate: pace.rate(),
            lasting,
            planned: pace.planned().unwrap_or(all.sent),
            sent: all.sent,
            answered: all.answered,
            relayed: relayed.sum(),
            achieved: all.answered as f64 / until.as_secs_f64(),
            outcomes: all.outcomes,
            latency: all.latency,
            behind: all.behind,
            behind_longest: all.behind_longest,
            cpu,
        }
    }

    /// Planned jobs that were not relayed: unsent and unanswered ones too.
    pub fn failed(&self) -> u64 {
        self.planned.saturating_sub(self.relayed)
    }

    /// Whether the jobs went out when they were due: all of them, and at most one in a hundred late.
    pub fn kept_the_rate(&self) -> bool {
        self.sent == self.planned && self.behind * 100 <= self.planned
    }
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use super::*;

    #[test]
    fn time_counts_from_when_a_job_was_due() {
        let ms = Duration::from_millis;
        let pace = Pace::start(&Plan {
            rate: Rate::PerSecond(100.0),
            lasting: ms(20),
            jobs_max: None,
            connections: 1,
        })
        .unwrap();
        let (mut one, mut two) = (Tally::default(), Tally::default());
        one.sent(Due { number: 0, at: ms(0) }, ms(1));
        one.answered(ms(0), ms(3), "relayed", "");
        two.sent(Due { number: 1, at: ms(10) }, ms(500));
        two.answered(ms(10), ms(510), "rejected", "bad-job");
        let report = Report::of(vec![one, two], &pace, Duration::ZERO);
        assert_eq!((report.planned, report.sent, report.relayed, report.failed()), (2, 2, 1, 1));
        assert!(
            report.latency.max() >= 500_000 && report.latency.min() <= 3_001,
            "{:?}",
            report.latency.max()
        );
        assert_eq!((report.behind, report.behind_longest), (1, ms(490)));
        assert!(!report.kept_the_rate());
        assert!((report.achieved - 2.0 / 0.510).abs() < 0.01);
    }
}
