//! `jobs list`: the latest jobs, newest first, as a table of 80 columns or JSON.

use super::filter::FilterArgs;
use super::show::verdict;
use super::{Ended, INDENT, Output, Place, WIDTH, line, plain};
use crate::cli::Exit;
use crate::cli::screen::aligned;
use crate::journal::Number;
use crate::journal::ledger::{At, Entry};
use clap::Args;
use std::io::Write;

/// Jobs told where no number is given.
const LIMIT_DEFAULT: u64 = 50;
/// Jobs read at a time.
const PAGE_JOBS: u64 = 1000;
/// Jobs that are not told are counted no further than this.
const COUNTED_MAX: u64 = 100_000;

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// At most so many; how many more there are is said behind them. All of them in the order they came: jobs export
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT)]
    limit: u64,
    /// Go on behind (that is, before) the job of this number: the last line says it, and `number` of --json
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
    /// Also job_id, campaign, engine, target and its answer, in words
    #[arg(long)]
    detail: bool,
}

pub fn list(args: &ListArgs, place: &Place, json: bool, output: &mut Output<'_>) -> Result<Exit, Ended> {
    let filter = args.filter.filter()?;
    let ledger = place.ledger()?;
    if !json {
        writeln!(output.out, "{}", row(["CHANGED (UTC)", "SEND", "STATE", "REASON"]))?;
    }
    let (mut before, mut told) = (args.after.map(Number), 0);
    while told < args.limit {
        let page = ledger.latest(&filter, before, PAGE_JOBS.min(args.limit - told))?;
        let Some(last) = page.last() else { break };
        before = Some(last.number);
        told += page.len() as u64;
        for entry in &page {
            match (json, args.detail) {
                (true, _) => line(output.out, entry)?,
                (false, is_detailed) => {
                    writeln!(output.out, "{}", row_of(entry))?;
                    if is_detailed {
                        detail(output.out, entry)?;
                    }
                }
            }
        }
    }
    if told == 0 && args.after.is_none() && args.limit > 0 {
        output.tell_strangers(&filter, &ledger)?;
    }
    let more = match before.filter(|_| told == args.limit) {
        Some(before) => ledger.count_before(&filter, before, COUNTED_MAX + 1)?,
        None => 0,
    };
    if let Some(before) = before.filter(|_| more > 0) {
        let more = if more > COUNTED_MAX { format!("more than {COUNTED_MAX}") } else { more.to_string() };
        writeln!(output.errors, "... and {more} more: --after {}, or --limit N", before.0)?;
    }
    Ok(Exit::Ok)
}

/// A list is never held, so its columns have the widths of what they usually hold.
fn row(cells: [&str; 4]) -> String {
    aligned(cells, [17, 28, 10, 0])
}

pub fn row_of(entry: &Entry) -> String {
    let verdict = &entry.verdict;
    row([
        &moment(entry.changed),
        entry.send.as_str(),
        verdict.state.as_str(),
        verdict.reason.map_or("-", |reason| reason.as_str()),
    ])
}

/// To the second, the century left out.
fn moment(at: At) -> String {
    let text = at.to_string().replace('T', " ");
    text.get(2..19).map_or(text.clone(), str::to_owned)
}

fn detail(out: &mut dyn Write, entry: &Entry) -> Result<(), Ended> {
    let names = [("job_id", &entry.job_id), ("campaign", &entry.campaign)];
    let mut words: Vec<String> = names
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", plain(value.as_deref()?))))
        .collect();
    words.push(format!("engine {}", plain(&entry.engine)));
    words.push(format!("token {}", plain(&entry.token)));
    words.push(format!("attempts {}", entry.attempt));
    for text in [words.join(", "), verdict(&entry.verdict)] {
        write!(out, "{}", WIDTH.wrap(&format!("{:INDENT$}{text}", ""), INDENT))?;
    }
    Ok(())
}
