//! What an operator sees: log lines on stderr and the metrics page. Counts and names of things, never values.

use crate::config::{LogConfig, LogFormat};
use crate::fault::State;
use crate::ticket::{Board, StageTimes};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::io::IsTerminal;
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Where log lines go.
pub enum LogTo {
    Stderr,
    File(std::fs::File),
}

/// Starts logging; a second call changes nothing.
///
/// # Errors
/// When the level is not a filter.
pub fn start_log(log: &LogConfig, to: LogTo) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.level).map_err(|cause| format!("log.level: {cause}"))?;
    let (writer, is_terminal) = match to {
        LogTo::Stderr => (BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal()),
        LogTo::File(file) => (BoxMakeWriter::new(Mutex::new(file)), false),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(is_terminal);
    let started = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.with_target(false).try_init(),
    };
    drop(started);
    Ok(())
}

/// Time of each stage, over all jobs that reached it.
#[derive(Debug, Clone)]
pub struct StageHistograms {
    resolve: Histogram,
    render: Histogram,
    inject: Histogram,
}

impl Default for StageHistograms {
    fn default() -> Self {
        let histogram = || Histogram::new(exponential_buckets(0.000_05, 2.5, 14));
        Self { resolve: histogram(), render: histogram(), inject: histogram() }
    }
}

impl StageHistograms {
    pub fn observe(&self, times: &StageTimes) {
        self.resolve.observe(times.resolve.as_secs_f64());
        self.render.observe(times.render.as_secs_f64());
        self.inject.observe(times.inject.as_secs_f64());
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
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

    #[test]
    fn the_page_counts_outcomes_by_state() {
        let board = Arc::new(Board::default());
        let (ticket, _outcome) = board.issue(SendNumber::random());
        ticket.settle(Outcome::Lost);
        let text = Page::default().jobs(&board).stages(&StageHistograms::default()).text();
        assert!(text.contains("tokenrelay_jobs_outcome_total{state=\"lost\"} 1"), "{text}");
        assert!(text.contains("tokenrelay_jobs_open 0"), "{text}");
    }
}
