//! `tokenrelay events tail|replay`: the ledger's events, as they happen or from the first one kept.

use super::jobs::{Ended, Output, Place};
use super::{CliError, Exit, screen};
use crate::journal::ledger::{Event, Ledger};
use clap::{Args, Subcommand};
use std::io::{self, Write};
use std::time::Duration;

/// How often `tail` looks for new events.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const EVENTS_AT_ONCE: usize = 1000;

#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    verb: Verb,
    /// One JSON object a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Follow what happens, from now on or behind --after, until Ctrl-C
    Tail(Which),
    /// What has happened, from the first event kept or behind --after
    Replay(Which),
}

#[derive(Debug, Args)]
struct Which {
    /// Go on behind this event (`seq`)
    #[arg(long, value_name = "SEQ")]
    after: Option<i64>,
    /// Events of this engine's jobs only
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// Events of this campaign's jobs only
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// End after so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// Runs one `events` command on the terminal.
///
/// # Errors
/// [`CliError`] when there is no ledger, or it cannot be read.
pub fn run(args: &EventsArgs, place: &Place) -> Result<Exit, CliError> {
    let mut output = Output { out: &mut io::stdout().lock(), errors: &mut io::stderr().lock() };
    run_on(args, place, &mut output)
}

/// [`run`] on streams of the caller's choice.
///
/// # Errors
/// As [`run`].
pub fn run_on(args: &EventsArgs, place: &Place, output: &mut Output<'_>) -> Result<Exit, CliError> {
    match tell(args, place, output.out) {
        Ok(()) | Err(Ended::Unread) => Ok(Exit::Ok),
        Err(Ended::Wrong(error)) => Err(error),
    }
}

fn tell(args: &EventsArgs, place: &Place, out: &mut dyn Write) -> Result<(), Ended> {
    let ledger = Ledger::open(&place.journal_dir)?;
    let (which, follows) = match &args.verb {
        Verb::Tail(which) => (which, true),
        Verb::Replay(which) => (which, false),
    };
    let mut after = match which.after {
        Some(after) => after,
        None if follows => ledger.last_event()?,
        None => 0,
    };
    let mut left = which.limit.unwrap_or(u64::MAX);
    loop {
        let found = ledger.events(which.engine.as_deref(), after, EVENTS_AT_ONCE)?;
        after = found.next;
        let is_meant = |event: &&Event| which.campaign.is_none() || event.campaign == which.campaign;
        for event in found.events.iter().filter(is_meant) {
            if left == 0 {
                break;
            }
            left -= 1;
            write(out, event, args.json)?;
        }
        out.flush()?;
        if left == 0 || (found.is_end && !follows) {
            return Ok(());
        }
        if found.is_end {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// On a terminal in as many lines as it takes.
fn write(out: &mut dyn Write, event: &Event, json: bool) -> io::Result<()> {
    const SEQ_CHARS: usize = 10;
    let mut line = Vec::new();
    super::jobs::write_event(&mut line, event, json)?;
    let text = String::from_utf8_lossy(&line);
    let width = if json { screen::Width::Any } else { screen::width() };
    out.write_all(width.wrap(text.trim_end(), SEQ_CHARS).as_bytes())
}

#[cfg(test)]
mod tests;
