//! What the load generator found, for a person or as JSON, and whether it is good enough.

use crate::cli::screen;
use crate::counted::counted;
use crate::load::generator::{Count, Rate, Report};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// # Errors
/// When standard output cannot be written.
pub fn print(report: &Report, is_json: bool) -> io::Result<()> {
    let text = if is_json { format!("{}\n", as_json(report)) } else { as_text(report) };
    screen::stdout().write_all(text.as_bytes())
}

/// The thresholds that do not hold, in words.
pub fn broken(report: &Report, p99_max: Option<Duration>, failed_max: Option<u64>) -> Vec<String> {
    let mut broken = Vec::new();
    let p99 = Duration::from_micros(report.latency.value_at_quantile(0.99));
    if let Some(max) = p99_max
        && (p99 > max || report.answered == 0)
    {
        broken.push(format!("p99 is {}, more than {}", in_ms(p99), in_ms(max)));
    }
    if let Some(max) = failed_max
        && report.failed() > max
    {
        broken.push(format!("{} failed, more than {max}", counted(report.failed(), "job")));
    }
    broken
}

/// That the relay took nothing, and why most of all.
pub fn none_taken(report: &Report) -> Option<String> {
    let ((state, reason), Count { jobs, detail }) = report.futile()?;
    let why = [state, reason, detail].map(String::as_str);
    let why: Vec<&str> = why.into_iter().filter(|word| !word.is_empty()).collect();
    Some(format!("of {} none was taken; {jobs} {}", counted(report.planned, "job"), why.join(": ")))
}

fn asked_rate(report: &Report) -> String {
    match report.rate {
        Rate::PerSecond(rate) => format!("{rate}/s"),
        Rate::Max => String::from("as fast as can be"),
    }
}

fn as_text(report: &Report) -> String {
    let mut text = String::new();
    write(report, &mut text).expect("a String takes everything");
    text
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let asked = match report.rate {
        Rate::PerSecond(rate) => format!("{rate} jobs/s asked for, open loop"),
        Rate::Max => String::from("closed loop"),
    };
    writeln!(out, "{} in {:.1} s, {asked}", counted(report.planned, "job"), report.lasting.as_secs_f64())?;
    writeln!(out, "sent      {:>10}", report.sent)?;
    writeln!(out, "relayed   {:>10}   {:.0}/s answered", report.relayed, report.achieved)?;
    for ((state, reason), count) in report.outcomes.iter().filter(|((state, _), _)| state != "relayed") {
        writeln!(out, "{state:<9} {:>10}   {reason}", count.jobs)?;
        if state == "unanswered" && !count.detail.is_empty() {
            writeln!(out, "  {}", count.detail)?;
        }
    }
    write!(out, "latency  ")?;
    for (name, quantile) in QUANTILES {
        write!(out, " {name} {}", in_ms(micros(report.latency.value_at_quantile(quantile))))?;
    }
    writeln!(out, " max {}", in_ms(micros(report.latency.max())))?;
    writeln!(out, "own CPU   {:.2} s, {:.1} us a job", report.cpu.as_secs_f64(), cpu_us(report))?;
    if report.kept_the_rate() == Some(false) {
        let (behind, longest) = (report.behind, in_ms(report.behind_longest));
        let unsent = report.planned - report.sent.min(report.planned);
        let unanswered = report.sent.saturating_sub(report.answered);
        writeln!(
            out,
            "the rate was not kept: {} went out late, by up to {longest}, {unsent} not at all,",
            counted(behind, "job")
        )?;
        writeln!(
            out,
            "{:.0}/s and not {} were answered, {unanswered} never; times count from when a job was due",
            report.achieved,
            asked_rate(report)
        )?;
    }
    Ok(())
}

fn as_json(report: &Report) -> Json {
    let outcomes: Vec<Json> = report
        .outcomes
        .iter()
        .map(|((state, reason), count)| json!({"state": state, "reason": reason, "count": count.jobs}))
        .collect();
    let mut latency: serde_json::Map<String, Json> = QUANTILES
        .iter()
        .map(|(name, quantile)| (name.to_string(), report.latency.value_at_quantile(*quantile).into()))
        .collect();
    latency.insert("max".into(), report.latency.max().into());
    json!({
        "loop": match report.rate { Rate::Max => "closed", Rate::PerSecond(_) => "open" },
        "rate": match report.rate { Rate::Max => None, Rate::PerSecond(rate) => Some(rate) },
        "seconds": report.lasting.as_secs_f64(),
        "planned": report.planned,
        "sent": report.sent,
        "answered": report.answered,
        "relayed": report.relayed,
        "journaled": report.journaled,
        "suppressed": report.suppressed,
        "failed": report.failed(),
        "outcomes": outcomes,
        "achieved": report.achieved,
        "latency_us": latency,
        "late": report.behind,
        "late_longest_us": report.behind_longest.as_micros() as u64,
        "kept_the_rate": report.kept_the_rate(),
        "cpu_seconds": report.cpu.as_secs_f64(),
        "cpu_us_per_job": cpu_us(report),
    })
}

fn cpu_us(report: &Report) -> f64 {
    report.cpu.as_secs_f64() * 1e6 / report.sent.max(1) as f64
}

fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

fn in_ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
