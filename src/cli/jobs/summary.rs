//! `jobs summary`: a campaign in words, or as one JSON object.

use super::filter::{NAMES_MAX, meant};
use super::show::Out;
use super::{Ended, Place, line, plain};
use crate::cli::{CliError, Exit};
use crate::counted::counted;
use crate::fault::{Reason, State};
use crate::journal::ledger::{Counts, Ledger, Span};
use clap::Args;
use serde::Serialize;
use std::io::Write;

#[derive(Debug, Args)]
pub struct SummaryArgs {
    /// `campaign` of the jobs
    campaign: String,
    /// Only this engine's jobs
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
}

#[derive(Serialize)]
struct Told<'a> {
    campaign: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'a str>,
    jobs: u64,
    /// Nothing is still to be delivered.
    finished: bool,
    counts: Vec<Counted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_accepted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_changed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
}

#[derive(Serialize)]
struct Counted {
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    jobs: u64,
}

pub fn summary(args: &SummaryArgs, place: &Place, (json, out): Out<'_>) -> Result<Exit, Ended> {
    let (ledger, engine) = (place.ledger()?, args.engine.as_deref());
    let counts = ledger.campaign(engine, &args.campaign)?;
    // Jobs of no campaign are counted under no name.
    if counts.jobs() == 0 || args.campaign.is_empty() {
        return Err(no_campaign(&ledger, args)?.into());
    }
    let span = ledger.campaign_span(engine, &args.campaign)?;
    if json {
        line(out, &told(args, &counts, span))?;
    } else {
        words(out, args, &counts, span)?;
    }
    Ok(Exit::Ok)
}

fn no_campaign(ledger: &Ledger, args: &SummaryArgs) -> Result<CliError, Ended> {
    let names = ledger.campaigns(args.engine.as_deref(), NAMES_MAX)?;
    let fix = meant(&args.campaign, &names)
        .unwrap_or_else(|| "set 'campaign' in each job (X-TokenRelay-Campaign over SMTP)".to_owned());
    Ok(CliError::failed("the ledger has no job of this campaign").fix(fix))
}

fn told<'a>(args: &'a SummaryArgs, counts: &Counts, span: Option<Span>) -> Told<'a> {
    let counted =
        counts.0.iter().map(|count| Counted { state: count.state, reason: count.reason, jobs: count.jobs });
    Told {
        campaign: &args.campaign,
        engine: args.engine.as_deref(),
        jobs: counts.jobs(),
        finished: counts.is_finished(),
        counts: counted.collect(),
        first_accepted: span.map(|span| span.first.to_string()),
        last_changed: span.map(|span| span.last.to_string()),
        seconds: span.map(seconds),
        per_second: span.and_then(per_second),
    }
}

fn seconds(span: Span) -> f64 {
    (span.last.0 - span.first.0).max(0) as f64 / 1000.0
}

/// Of the jobs that are kept and took one attempt; none where they took no time that could be measured.
fn per_second(span: Span) -> Option<f64> {
    let at_once = span.at_once?;
    let seconds = (at_once.last.0 - span.first.0).max(0) as f64 / 1000.0;
    (seconds > 0.0).then(|| (at_once.jobs as f64 / seconds * 10.0).round() / 10.0)
}

fn words(out: &mut dyn Write, args: &SummaryArgs, counts: &Counts, span: Option<Span>) -> Result<(), Ended> {
    let of = args.engine.as_deref().map_or_else(String::new, |engine| format!(" of {}", plain(engine)));
    writeln!(out, "campaign {}{of}: {}", plain(&args.campaign), counted(counts.jobs(), "job"))?;
    for count in &counts.0 {
        let reason = count.reason.map_or_else(String::new, |reason| format!(" ({})", reason.as_str()));
        writeln!(out, "{:>12}  {}{reason}", count.jobs, count.state.as_str())?;
    }
    if let Some(span) = span {
        let rate = per_second(span);
        let told = rate.map_or_else(String::new, |rate| format!(", {rate} a second"));
        writeln!(out, "from {} to {} ({} s{told})", span.first, span.last, seconds(span))?;
        let again = span.jobs - span.at_once.map_or(0, |at_once| at_once.jobs);
        if rate.is_some() && again > 0 {
            writeln!(out, "the rate leaves out {} with several attempts", counted(again, "job"))?;
        }
        if span.jobs < counts.jobs() {
            writeln!(out, "these times are of what the ledger still keeps: {}", counted(span.jobs, "job"))?;
        }
    }
    for sentence in sentences(counts) {
        writeln!(out, "{sentence}")?;
    }
    Ok(())
}

/// What is still to come, and what a person may have to decide on.
fn sentences(counts: &Counts) -> Vec<String> {
    let first = match counts.of(State::Journaled) {
        0 => "finished: nothing is still to be delivered".to_owned(),
        held => format!("not finished: {} still to be delivered", counted(held, "job")),
    };
    let doubt = "unknown ones may have arrived: tokenrelay jobs list --state unknown --detail";
    let is_doubtful = counts.of(State::Unknown) > 0;
    [Some(first), is_doubtful.then(|| doubt.to_owned())].into_iter().flatten().collect()
}
