//! What an operator sees: log lines on stderr and the metrics page. Counts and names of things, never values.

#[cfg(test)]
mod captured;
mod line;
mod log;
mod ours;
mod pen;
mod queue;
mod repeats;

pub use log::{LogTo, finish_log, log_lines_dropped, start_log};

use crate::fault::State;
use crate::ticket::{Board, StageTimes};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Time of each stage, over all jobs that reached it.
#[derive(Debug, Clone)]
pub struct StageHistograms {
    resolve: Histogram,
    render: Histogram,
    inject: Histogram,
    relay: Histogram,
}

/// Upper ends in seconds: fine where a relay that has nothing to wait for is, up to the patience of engines.
const RELAY_SECONDS: [f64; 24] = [
    0.000_025, 0.000_05, 0.000_075, 0.000_1, 0.000_125, 0.000_15, 0.000_2, 0.000_25, 0.000_3, 0.000_4,
    0.000_5, 0.000_75, 0.001, 0.001_5, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

impl Default for StageHistograms {
    fn default() -> Self {
        let histogram = || Histogram::new(exponential_buckets(0.000_05, 2.5, 14));
        let relay = Histogram::new(RELAY_SECONDS);
        Self { resolve: histogram(), render: histogram(), inject: histogram(), relay }
    }
}

impl StageHistograms {
    pub fn observe(&self, times: &StageTimes) {
        self.resolve.observe(times.resolve.as_secs_f64());
        self.render.observe(times.render.as_secs_f64());
        self.inject.observe(times.inject.as_secs_f64());
        if let Some(relay) = times.relay {
            self.relay.observe(relay.as_secs_f64());
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EngineLabel {
    engine: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabel {
    target: String,
    what: &'static str,
}

/// Collects one scrape.
pub struct Page(Registry);

impl Default for Page {
    fn default() -> Self {
        Self(Registry::with_prefix("tokenrelay"))
    }
}

impl Page {
    pub fn jobs(&mut self, board: &Board) -> &mut Self {
        let outcomes = Family::<StateLabel, Counter>::default();
        for state in State::ALL {
            let label = StateLabel { state: state.as_str() };
            outcomes.get_or_create(&label).inc_by(board.settled(state));
        }
        self.0.register("jobs_outcome", "Accepted recipients by outcome", outcomes);
        self.counter("jobs_accepted", "Recipients accepted from engines", board.accepted());
        self.gauge("jobs_open", "Recipients accepted and not settled yet", board.open())
    }

    pub fn stages(&mut self, stages: &StageHistograms) -> &mut Self {
        self.0.register("stage_resolve_seconds", "Time in resolve", stages.resolve.clone());
        self.0.register("stage_render_seconds", "Time in render", stages.render.clone());
        self.0.register("stage_inject_seconds", "Time in inject", stages.inject.clone());
        self.0.register(
            "relay_seconds",
            "From a job read to the last octet of its message handed to the target, of messages a target took",
            stages.relay.clone(),
        );
        self
    }

    /// Counts of all targets: `(target, what, count)`.
    pub fn targets(&mut self, counts: impl Iterator<Item = (String, &'static str, u64)>) -> &mut Self {
        let family = Family::<TargetLabel, Counter>::default();
        for (target, what, count) in counts {
            family.get_or_create(&TargetLabel { target, what }).inc_by(count);
        }
        self.0.register("target", "What happened at each target", family);
        self
    }

    /// Tokens that the vault did not know: `(engine, count)`.
    pub fn unknown_tokens(&mut self, counts: impl Iterator<Item = (String, u64)>) -> &mut Self {
        let family = Family::<EngineLabel, Counter>::default();
        for (engine, count) in counts {
            family.get_or_create(&EngineLabel { engine }).inc_by(count);
        }
        self.0.register("unknown_tokens", "Recipients that the vault did not know, by engine", family);
        self
    }

    /// How all targets stand: `(target, what, value)`.
    pub fn target_states(&mut self, states: impl Iterator<Item = (String, &'static str, u64)>) -> &mut Self {
        self.target_gauges("target_state", "How each target stands now", states)
    }

    /// What was learned of targets by their replies: `(target, what, value)`.
    pub fn learned(&mut self, values: impl Iterator<Item = (String, &'static str, u64)>) -> &mut Self {
        self.target_gauges("target_learned", "What replies have taught of each target", values)
    }

    fn target_gauges(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (String, &'static str, u64)>,
    ) -> &mut Self {
        let family = Family::<TargetLabel, Gauge>::default();
        for (target, what, value) in values {
            family.get_or_create(&TargetLabel { target, what }).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.0.register(name, help, family);
        self
    }

    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> &mut Self {
        let counter: Counter = Counter::default();
        counter.inc_by(value);
        self.0.register(name, help, counter);
        self
    }

    pub fn gauge(&mut self, name: &str, help: &str, value: u64) -> &mut Self {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        self.0.register(name, help, gauge);
        self
    }

    /// The page in OpenMetrics text form.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.0) {
            Ok(()) => text,
            Err(std::fmt::Error) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::SendNumber;
    use crate::ticket::Outcome;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn the_page_counts_outcomes_by_state() {
        let board = Arc::new(Board::default());
        board.issue(SendNumber::fresh()).settle(&Outcome::Lost);
        let text = Page::default().jobs(&board).stages(&StageHistograms::default()).text();
        assert!(text.contains("tokenrelay_jobs_outcome_total{state=\"lost\"} 1"), "{text}");
        assert!(text.contains("tokenrelay_jobs_open 0"), "{text}");
    }

    #[test]
    fn time_in_the_relay_is_counted_of_messages_that_were_sent() {
        let stages = StageHistograms::default();
        stages.observe(&StageTimes::default());
        stages.observe(&StageTimes { relay: Some(Duration::from_micros(60)), ..StageTimes::default() });
        let text = Page::default().stages(&stages).text();
        for (up_to, count) in [("0.00005", 0), ("0.000075", 1), ("+Inf", 1)] {
            let line = format!("tokenrelay_relay_seconds_bucket{{le=\"{up_to}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
    }
}
