//! What a run came to: counted as results come, shown as a bar on a terminal and as a summary at the end.

use super::SendArgs;
use super::submit::Told;
use crate::cli::{Exit, progress, screen};
use crate::load::client::ResultText;
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Counts by state and by reason.
pub(super) struct Tally {
    by_state: BTreeMap<String, u64>,
    by_reason: BTreeMap<String, u64>,
    by_relay: u64,
    /// Why the relay did not read everything, if it said so.
    cut: Option<String>,
    begun: Instant,
    took: Duration,
    progress: Arc<Progress>,
}

/// The bar on the terminal: rows that are done with, and how many of them were skipped or not relayed.
pub(super) struct Progress {
    bar: ProgressBar,
    skipped: AtomicU64,
    not_relayed: AtomicU64,
}

impl Progress {
    /// A row that an earlier run had done with.
    pub fn skip(&self) {
        self.skipped.fetch_add(1, Relaxed);
        self.step();
    }

    fn answer(&self, not_relayed: u64) {
        self.not_relayed.store(not_relayed, Relaxed);
        self.step();
    }

    fn step(&self) {
        let counts = [(&self.skipped, "skipped"), (&self.not_relayed, "not relayed")];
        let told = counts.map(|(count, what)| (count.load(Relaxed), what));
        let parts =
            told.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        self.bar.set_message(parts.collect::<Vec<_>>().join(", "));
        self.bar.inc(1);
    }
}

impl Tally {
    pub fn new(total: Option<u64>, visible: bool) -> Self {
        // Draws on standard error, and only where that is a terminal.
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target);
        let form = match total {
            Some(_) => "{wide_bar} {human_pos}/{human_len}  {rate}  {msg}  {eta} left",
            None => "{spinner} {human_pos}  {rate}  {msg}",
        };
        bar.set_style(progress::style(form));
        Self {
            by_state: BTreeMap::new(),
            by_reason: BTreeMap::new(),
            by_relay: 0,
            cut: None,
            begun: Instant::now(),
            took: Duration::ZERO,
            progress: Arc::new(Progress { bar, skipped: AtomicU64::new(0), not_relayed: AtomicU64::new(0) }),
        }
    }

    /// Counts a result and gives its line.
    pub fn note<'a>(&mut self, told: &'a Told) -> &'a [u8] {
        let (Told::ByRelay(line) | Told::ByUs(line)) = told;
        let result = ResultText::read(line);
        if let Some(cause) = result.as_ref().ok().and_then(ResultText::of_the_rest) {
            self.cut.get_or_insert_with(|| cause.to_owned());
            return line;
        }
        self.by_relay += u64::from(matches!(told, Told::ByRelay(_)));
        let Ok(result) = result else { return line };
        count(&mut self.by_state, &result.state);
        if let Some(reason) = &result.reason {
            count(&mut self.by_reason, reason);
        }
        self.took = self.begun.elapsed();
        let fine = ["relayed", "journaled", "suppressed"].map(|state| self.of(state));
        self.progress.answer(self.answered() - fine.iter().sum::<u64>());
        line
    }

    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Results that came from the relay.
    pub fn by_relay(&self) -> u64 {
        self.by_relay
    }

    pub fn cut(&self) -> Option<&str> {
        self.cut.as_deref()
    }

    fn answered(&self) -> u64 {
        self.by_state.values().sum()
    }

    fn of(&self, state: &str) -> u64 {
        self.by_state.get(state).copied().unwrap_or_default()
    }

    /// Jobs that were not sent and will not be.
    fn failures(&self) -> u64 {
        let others = ["relayed", "journaled", "suppressed", "unknown", "deferred", "lost"];
        let settled = others.map(|state| self.of(state));
        self.answered() - settled.iter().sum::<u64>()
    }
}

fn count(counts: &mut BTreeMap<String, u64>, word: &str) {
    match counts.get_mut(word) {
        Some(count) => *count += 1,
        None => {
            counts.insert(word.to_owned(), 1);
        }
    }
}

/// What an earlier run left in its results file, in jobs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Before {
    pub journaled: u64,
    pub unknown: u64,
    pub suppressed: u64,
    pub failed: u64,
    /// Deferred or lost: submitted again.
    pub open: u64,
}

/// The end of a run.
pub(super) struct Summary {
    pub tally: Tally,
    /// Jobs an earlier run had finished.
    pub skipped: u64,
    pub before: Before,
    /// Submitted, and the connection ended before the result came.
    pub unanswered: u64,
    /// Part of the input was not submitted.
    pub incomplete: bool,
    pub trouble: Option<String>,
}

#[derive(Serialize)]
struct SummaryText<'a> {
    answered: u64,
    states: &'a BTreeMap<String, u64>,
    reasons: &'a BTreeMap<String, u64>,
    unanswered: u64,
    skipped: u64,
    suppressed_before: u64,
    failed_before: u64,
    journaled_before: u64,
    unknown_before: u64,
    resubmitted: u64,
    complete: bool,
    seconds: f64,
    per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<&'a str>,
}

impl Summary {
    pub fn exit(&self) -> Exit {
        let again = self.tally.of("deferred") + self.tally.of("lost") + self.unanswered;
        if again > 0 || self.incomplete {
            Exit::Temporary
        } else if self.tally.failures() + self.before.failed > 0 {
            Exit::Failed
        } else if self.tally.of("unknown") + self.before.unknown > 0 {
            Exit::Degraded
        } else {
            Exit::Ok
        }
    }

    /// To standard output; to standard error when the results themselves went to standard output.
    pub fn print(&self, args: &SendArgs, results: Option<&Path>) -> io::Result<()> {
        self.tally.progress.bar.finish_and_clear();
        let text = if args.json { self.json(results) } else { self.table(results) };
        if results.is_some() {
            screen::stdout().write_all(text.as_bytes())
        } else {
            io::stderr().write_all(text.as_bytes())
        }
    }

    fn per_second(&self) -> f64 {
        let seconds = self.tally.took.as_secs_f64();
        if seconds > 0.0 { self.tally.answered() as f64 / seconds } else { 0.0 }
    }

    fn json(&self, results: Option<&Path>) -> String {
        let text = SummaryText {
            answered: self.tally.answered(),
            states: &self.tally.by_state,
            reasons: &self.tally.by_reason,
            unanswered: self.unanswered,
            skipped: self.skipped,
            suppressed_before: self.before.suppressed,
            failed_before: self.before.failed,
            journaled_before: self.before.journaled,
            unknown_before: self.before.unknown,
            resubmitted: self.before.open,
            complete: !self.incomplete,
            seconds: (self.tally.took.as_secs_f64() * 1000.0).round() / 1000.0,
            per_second: self.per_second().round(),
            results,
            trouble: self.trouble.as_deref(),
        };
        serde_json::to_string(&text).expect("a summary always serialises") + "\n"
    }

    fn table(&self, results: Option<&Path>) -> String {
        let mut rows: Vec<(String, String)> = self
            .tally
            .by_state
            .iter()
            .map(|(state, count)| (state.clone(), format!("{count}{}", meaning(state))))
            .collect();
        let reasons =
            self.tally.by_reason.iter().map(|(reason, count)| (format!("  {reason}"), count.to_string()));
        rows.extend(reasons);
        if self.unanswered > 0 {
            rows.push(("unanswered".into(), format!("{}  (the connection ended first)", self.unanswered)));
        }
        if self.skipped > 0 {
            let Before { journaled, unknown, suppressed, failed, .. } = self.before;
            let earlier = format!(
                "answered earlier: {failed} failed, {suppressed} suppressed, {journaled} journaled, {unknown} unknown"
            );
            rows.push(("skipped".into(), format!("{}  ({earlier})", self.skipped)));
        }
        if self.before.open > 0 {
            rows.push(("submitted again".into(), format!("{}  (deferred earlier)", self.before.open)));
        }
        let seconds = self.tally.took.as_secs_f64();
        rows.push(("took".into(), format!("{seconds:.1} s, {:.0} jobs/s", self.per_second())));
        if let Some(path) = results {
            rows.push(("results".into(), path.display().to_string()));
        }
        let width = rows.iter().map(|(name, _)| name.len() + 2).max().unwrap_or(0).max(18);
        let mut text: String = rows.iter().map(|(name, value)| format!("{name:<width$}{value}\n")).collect();
        if let Some(trouble) = &self.trouble {
            text.push_str(&format!("stopped early: {trouble}\n"));
        }
        if self.exit() == Exit::Temporary {
            text.push_str(
                "next: the same command with --resume. Jobs keep their job_id, so their send number and Message-ID;\n\
                 one that was relayed without an answer reaching us may be repeated under the same Message-ID.\n",
            );
        }
        text
    }
}

/// What a state leaves to be known.
fn meaning(state: &str) -> &'static str {
    match state {
        "journaled" => "  (held and delivered later: tokenrelay jobs list --state journaled)",
        "unknown" => "  (may have arrived: tokenrelay jobs list --state unknown)",
        "deferred" => "  (nothing is held)",
        "suppressed" => "  (as the person wants it)",
        _ => "",
    }
}
