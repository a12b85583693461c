//! What came of the jobs.

use super::pace::{Due, Pace, Rate};
use crate::fault::State;
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
    outcomes: BTreeMap<Outcome, Count>,
    latency: Histogram<u64>,
    behind: u64,
    behind_longest: Duration,
    last_answer: Duration,
}

/// State and reason, as the relay names them; over SMTP the reply's codes.
pub type Outcome = (String, String);

/// How often it came, and what the relay said the first time.
#[derive(Debug, Clone, Default)]
pub struct Count {
    pub jobs: u64,
    pub detail: String,
}

/// An answer of the relay.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    pub state: &'a str,
    pub reason: &'a str,
    pub detail: &'a str,
}

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
    pub fn answered(&mut self, at: Duration, now: Duration, told: Told<'_>) {
        self.answered += 1;
        self.last_answer = self.last_answer.max(now);
        let micros = u64::try_from(now.saturating_sub(at).as_micros()).unwrap_or(LATENCY_MAX_US);
        self.latency.saturating_record(micros);
        self.count(told);
    }

    /// What has no answer by now has none, for this reason; `detail` says more of it, or nothing.
    pub fn close(&mut self, reason: &str, detail: &str) {
        let told: u64 = self.outcomes.values().map(|count| count.jobs).sum();
        if let Some(open) = self.sent.checked_sub(told).filter(|open| *open > 0) {
            let count = self.outcomes.entry((String::from("unanswered"), reason.to_owned())).or_default();
            count.jobs += open;
            count.detail = detail.to_owned();
        }
    }

    fn count(&mut self, Told { state, reason, detail }: Told<'_>) {
        let known = self.outcomes.iter_mut().find(|((s, r), _)| s == state && r == reason);
        if let Some((_, count)) = known {
            count.jobs += 1;
            return;
        }
        let outcome = (state.to_owned(), reason.to_owned());
        self.outcomes.insert(outcome, Count { jobs: 1, detail: detail.to_owned() });
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
            let first = || Count { jobs: 0, detail: count.detail.clone() };
            self.outcomes.entry(outcome.clone()).or_insert_with(first).jobs += count.jobs;
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
    /// Held by the relay, which delivers them.
    pub journaled: u64,
    /// Kept back as the person wants it: no failure.
    pub suppressed: u64,
    pub outcomes: BTreeMap<Outcome, Count>,
    /// Answers per second, until the last one.
    pub achieved: f64,
    /// Seconds until the last answer.
    answering: f64,
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
        let of = |state: State| -> u64 {
            let told = all.outcomes.iter().filter(|((name, _), _)| name == state.as_str());
            told.map(|(_, count)| count.jobs).sum()
        };
        Self {
            rate: pace.rate(),
            lasting,
            planned: pace.planned().unwrap_or(all.sent),
            sent: all.sent,
            answered: all.answered,
            relayed: of(State::Relayed),
            journaled: of(State::Journaled),
            suppressed: of(State::Suppressed),
            achieved: all.answered as f64 / until.as_secs_f64(),
            answering: all.last_answer.as_secs_f64(),
            outcomes: all.outcomes,
            latency: all.latency,
            behind: all.behind,
            behind_longest: all.behind_longest,
            cpu,
        }
    }

    /// Jobs that the relay took.
    pub fn taken(&self) -> u64 {
        self.relayed + self.journaled
    }

    /// Planned jobs that it neither took nor kept back for the person's sake: unsent and unanswered ones too.
    pub fn failed(&self) -> u64 {
        self.planned.saturating_sub(self.taken() + self.suppressed)
    }

    /// The most frequent reason, when the relay took none of the jobs and not for the persons' sake alone.
    pub fn futile(&self) -> Option<(&Outcome, &Count)> {
        if self.taken() > 0 || self.failed() == 0 {
            return None;
        }
        let failed = self.outcomes.iter().filter(|((state, _), _)| state != State::Suppressed.as_str());
        failed.max_by_key(|(_, count)| count.jobs)
    }

    /// Whether the jobs went out when they were due, all of them and at most one in a hundred late, and were answered
    /// at that rate too. `None`: no rate was asked for.
    pub fn kept_the_rate(&self) -> Option<bool> {
        let Rate::PerSecond(rate) = self.rate else { return None };
        let went_out = self.sent == self.planned && self.behind * 100 <= self.planned;
        // An answer that takes its time is not a rate that was not kept, one that takes longer and longer is.
        let usual = self.latency.value_at_quantile(0.5) as f64 / 1e6;
        let needed = self.answered as f64 / rate;
        let came_back = self.answered == self.planned && self.answering - usual <= needed * 1.02 + 0.1;
        Some(went_out && came_back)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use super::*;

    fn told(state: &str) -> Told<'_> {
        Told { state, reason: "", detail: "" }
    }

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
        one.answered(ms(0), ms(3), told("relayed"));
        two.sent(Due { number: 1, at: ms(10) }, ms(500));
        two.answered(ms(10), ms(510), told("rejected"));
        let report = Report::of(vec![one, two], &pace, Duration::ZERO);
        assert_eq!((report.planned, report.sent, report.relayed, report.failed()), (2, 2, 1, 1));
        assert!(
            report.latency.max() >= 500_000 && report.latency.min() <= 3_001,
            "{:?}",
            report.latency.max()
        );
        assert_eq!((report.behind, report.behind_longest), (1, ms(490)));
        assert_eq!(report.kept_the_rate(), Some(false));
        assert!((report.achieved - 2.0 / 0.510).abs() < 0.01);
    }
    /// As many jobs as given, a hundred a second; job `n` is answered after what `took` says.
    fn report(jobs: u64, took: impl Fn(u64) -> u64, state: &str) -> Report {
        let ms = Duration::from_millis;
        let plan =
            Plan { rate: Rate::PerSecond(100.0), lasting: ms(10 * jobs), jobs_max: None, connections: 1 };
        let mut tally = Tally::default();
        for number in 0..jobs {
            let at = ms(10 * number);
            tally.sent(Due { number, at }, at);
            tally.answered(at, at + ms(took(number)), told(state));
        }
        Report::of(vec![tally], &Pace::start(&plan).unwrap(), Duration::ZERO)
    }

    #[test]
    fn d_answers_that_come_later_and_later_do_not_keep_the_rate() {
        assert_eq!(report(200, |_| 900, "relayed").kept_the_rate(), Some(true));
        assert_eq!(report(200, |number| number * 5, "relayed").kept_the_rate(), Some(false));
    }

    #[test]
    fn d_a_run_that_reached_nobody_says_why_and_who_refused_is_no_failure() {
        let refused = report(10, |_| 5, "rejected");
        assert_eq!((refused.failed(), refused.futile().map(|(_, count)| count.jobs)), (10, Some(10)));
        let kept_back = report(10, |_| 5, "suppressed");
        assert_eq!((kept_back.failed(), kept_back.suppressed, kept_back.futile().is_none()), (0, 10, true));
        let held = report(10, |_| 5, "journaled");
        assert_eq!((held.failed(), held.taken(), held.futile().is_none()), (0, 10, true));
    }
}
