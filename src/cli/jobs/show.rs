//! `jobs show`: what the ledger says of one job, for people or as JSON for programs.

use super::{Ended, Place, WIDTH, line, plain, send_number};
use crate::cli::{CliError, Exit};
use crate::job::SendNumber;
use crate::journal::ledger::{Attempt, Entry, Event, Ledger, Standing, Verdict, Whereabouts};
use clap::Args;
use serde::Serialize;
use std::io::Write;

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A send number (`s_...`); with --engine, the id the engine gave the job
    id: String,
    /// The engine whose job_id is given
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
}

pub type Out<'a> = (bool, &'a mut dyn Write);

/// One job, as `--json` shows it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    standing: Standing,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_in_seconds: Option<u64>,
    attempts: &'a [Attempt],
}

pub fn show(args: &ShowArgs, place: &Place, (json, out): Out<'_>) -> Result<Exit, Ended> {
    let ledger = place.ledger()?;
    let found = match &args.engine {
        Some(engine) => place.named(engine, &args.id)?,
        None => ledger.by_send(&asked_for(&args.id)?)?.into_iter().collect(),
    };
    if found.is_empty() {
        let cause = "the ledger has no such job";
        return Err(CliError::failed(cause)
            .fix("jobs of an engine are named so: jobs show --engine ENGINE JOB_ID; what was kept: tokenrelay jobs list")
            .into());
    }
    for (number, entry) in found.iter().enumerate() {
        if number > 0 && !json {
            writeln!(out)?;
        }
        one(entry, &ledger, (json, out))?;
    }
    Ok(Exit::Ok)
}

fn asked_for(id: &str) -> Result<SendNumber, CliError> {
    send_number(id).map_err(|cause| {
        CliError::new(Exit::Usage, "this is not a send number (s_ and 26 letters and digits)")
            .fix(cause.split_once("; ").map_or("give a send number", |(_, fix)| fix).to_owned())
    })
}

fn one(entry: &Entry, ledger: &Ledger, (json, out): Out<'_>) -> Result<(), Ended> {
    let whereabouts = ledger.whereabouts(entry.number)?;
    let attempts = ledger.attempts(entry.number)?;
    if json {
        let due_in_seconds = whereabouts.due_in.map(|wait| wait.as_secs());
        let shown = Shown { entry, standing: whereabouts.standing, due_in_seconds, attempts: &attempts };
        return Ok(line(out, &shown)?);
    }
    let text = |text: &Option<String>| text.as_deref().map_or_else(String::new, plain);
    let rows = [
        ("send", entry.send.to_string()),
        ("job_id", text(&entry.job_id)),
        ("engine", plain(&entry.engine)),
        ("campaign", text(&entry.campaign)),
        ("token", plain(&entry.token)),
        ("state", verdict(&entry.verdict)),
        ("now", standing(&whereabouts)),
        ("resent", flag(entry.resent, "yes: it may arrive twice, under one Message-ID")),
        (
            "repeated",
            flag(
                entry.maybe_repeated,
                "maybe: carried before, and forgotten by a power cut or a restored state",
            ),
        ),
        ("accepted", entry.accepted.to_string()),
        ("changed", entry.changed.to_string()),
        ("attempts", entry.attempt.to_string()),
    ];
    let mut told = |line: &str, indent| out.write_all(WIDTH.wrap(line, indent).as_bytes());
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        told(&format!("{name:<9} {value}"), 10)?;
    }
    for attempt in &attempts {
        let line = format!("  {:>3}  {}  {}", attempt.attempt, attempt.at, verdict(&attempt.verdict));
        told(&line, 7)?;
    }
    Ok(())
}

fn flag(is_set: bool, text: &str) -> String {
    if is_set { text.into() } else { String::new() }
}

fn standing(whereabouts: &Whereabouts) -> String {
    match (whereabouts.standing, whereabouts.due_in) {
        (Standing::Waiting, Some(wait)) => format!("waiting; due in about {} s", wait.as_secs()),
        (Standing::Waiting, None) => "waiting".into(),
        (Standing::InFlight, _) => "in flight: an attempt is under way".into(),
        (Standing::HeldInDoubt, _) => {
            "held in doubt: it may have been delivered; decide with tokenrelay jobs retry or cancel".into()
        }
        (Standing::Parked, _) => {
            "held since the state was copied: it may have been sent; decide with tokenrelay jobs release or cancel".into()
        }
        (Standing::Kept, _) => "refused, and kept for a while: mend what it says, then tokenrelay jobs retry".into(),
        (Standing::Ended, _) => "ended".into(),
    }
}

pub fn verdict(verdict: &Verdict) -> String {
    let code = verdict.code.map(|code| code.to_string());
    let enhanced = verdict.enhanced.as_deref().map(plain);
    let target = verdict.target.as_deref().map(|target| format!("by {}", plain(target)));
    let detail = verdict.detail.as_deref().map(|detail| format!("- {}", plain(detail)));
    let reason = verdict.reason.map(|reason| reason.as_str().to_owned());
    let parts = [Some(verdict.state.as_str().to_owned()), reason, code, enhanced, target, detail];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// One event on a line.
pub fn write_event(out: &mut dyn Write, event: &Event, json: bool) -> std::io::Result<()> {
    if json {
        return line(out, event);
    }
    let job_id = event.job_id.as_deref().map_or_else(|| "-".into(), plain);
    let (engine, what) = (plain(&event.engine), verdict(&event.verdict));
    let repeated = flag(event.maybe_repeated, "  maybe_repeated");
    writeln!(
        out,
        "{:<8}  {}  {}  {engine:<12}  {job_id:<20}  {what}{repeated}",
        event.seq, event.at, event.send
    )
}
