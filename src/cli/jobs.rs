//! `tokenrelay jobs …`: the ledger on the command line. It reads the journal's file beside a running relay; only
//! `retry`, `release` and `cancel` write, in short transactions.

mod change;
mod export;
mod filter;
mod list;
mod show;
mod summary;

use super::screen::Width;
use super::{CliError, Exit};
use crate::job::{SendNumber, SendNumbers};
use crate::journal::ledger::{Entry, Filter, Ledger, LedgerError};
use clap::{Args, Subcommand};
pub(super) use show::write_event;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct JobsArgs {
    #[command(subcommand)]
    verb: Verb,
    /// One JSON object a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The latest jobs, newest first, those that are meant by all the filters
    List(list::ListArgs),
    /// A campaign in words: its jobs by outcome and reason, from when to when, how fast
    Summary(summary::SummaryArgs),
    /// One job with its attempts, and when it is tried again
    Show(show::ShowArgs),
    /// Write jobs to a file or to standard output
    Export(export::ExportArgs),
    /// Attempt at once what waits for its next attempt; judge anew what was refused before a target saw it, as long as it is
    /// kept (journal.keep_refused); send what is in doubt again: that may arrive twice, under one Message-ID
    Retry(change::ChangeArgs),
    /// Let go what is held since the state folder was copied, restored or set back; it may have been sent since
    Release(change::ReleaseArgs),
    /// Call off what waits or is in doubt; what is under way is left
    Cancel(change::ChangeArgs),
}

/// Where the ledger lies, and how jobs that engines have named are found in it.
pub struct Place {
    pub journal_dir: PathBuf,
    /// `None` when the vault's key cannot be read: jobs are then looked for one by one.
    pub numbers: Option<SendNumbers>,
    /// How long a job without `expires` of its own is tried.
    pub tried_for: Duration,
}

impl Place {
    fn ledger(&self) -> Result<Ledger, CliError> {
        Ok(Ledger::open(&self.journal_dir)?)
    }

    /// The jobs that an engine calls so: one, or over LMTP one a recipient.
    fn named(&self, engine: &str, job_id: &str) -> Result<Vec<Entry>, CliError> {
        let ledger = self.ledger()?;
        if let Some(numbers) = &self.numbers
            && let Some(entry) = ledger.by_send(&numbers.of(engine, job_id))?
        {
            return Ok(vec![entry]);
        }
        let filter = Filter { engine: Some(engine.into()), job_id: Some(job_id.into()), ..Filter::default() };
        Ok(ledger.page(&filter, None, NAMED_MAX)?)
    }
}

/// Jobs of one name that are shown.
const NAMED_MAX: u64 = 100;

/// Where a command writes.
pub struct Output<'a> {
    pub out: &'a mut dyn Write,
    pub errors: &'a mut dyn Write,
}

/// What is told of jobs fits it, also in a file.
const WIDTH: Width = Width::Chars(80);
/// Of what is said below a line.
const INDENT: usize = 4;

impl Output<'_> {
    /// In as many lines as it takes; all behind the first are indented.
    fn say(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(WIDTH.wrap(text, INDENT).as_bytes())
    }

    /// As [`Output::say`], to whoever looks at the terminal.
    fn note(&mut self, text: &str) -> io::Result<()> {
        self.errors.write_all(WIDTH.wrap(text, INDENT).as_bytes())
    }

    /// Where no job is meant: whether that is for a name that was mistyped.
    fn tell_strangers(&mut self, filter: &Filter, ledger: &Ledger) -> Result<(), Ended> {
        for stranger in filter::strangers(filter, ledger)? {
            self.note(&stranger)?;
        }
        Ok(())
    }
}

/// Runs one `jobs` command on the terminal.
///
/// # Errors
/// [`CliError`] with cause and fix: no ledger, a filter that cannot be read, jobs that could not be changed.
pub fn run(args: JobsArgs, place: &Place) -> Result<Exit, CliError> {
    run_on(args, place, &mut Output { out: &mut io::stdout().lock(), errors: &mut io::stderr().lock() })
}

/// [`run`] on streams of the caller's choice.
///
/// # Errors
/// As [`run`].
pub fn run_on(args: JobsArgs, place: &Place, output: &mut Output<'_>) -> Result<Exit, CliError> {
    let json = args.json;
    let ended = match args.verb {
        Verb::List(args) => list::list(&args, place, json, output),
        Verb::Summary(args) => summary::summary(&args, place, (json, output.out)),
        Verb::Show(args) => show::show(&args, place, (json, output.out)),
        Verb::Export(args) => export::export(&args, place, output),
        Verb::Retry(args) => change::retry(&args, place, json, output),
        Verb::Release(args) => change::release(&args, place, json, output),
        Verb::Cancel(args) => change::cancel(&args, place, json, output),
    };
    match ended {
        Ok(exit) => Ok(exit),
        Err(Ended::Wrong(error)) => Err(error),
        // Whoever reads has seen enough.
        Err(Ended::Unread) => Ok(Exit::Ok),
    }
}

/// Why a command ends early.
#[derive(Debug)]
pub enum Ended {
    Wrong(CliError),
    /// Nobody reads its output any more.
    Unread,
}

impl From<CliError> for Ended {
    fn from(error: CliError) -> Self {
        Self::Wrong(error)
    }
}

impl From<LedgerError> for Ended {
    fn from(error: LedgerError) -> Self {
        Self::Wrong(error.into())
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            kind => Self::Wrong(CliError::failed(format_args!("the output cannot be written: {kind}"))),
        }
    }
}

impl From<LedgerError> for CliError {
    fn from(error: LedgerError) -> Self {
        let exit = if error.is_transient() { Exit::Temporary } else { Exit::Failed };
        // The ledger's own words hold cause and fix, parted by the first semicolon.
        let text = error.to_string();
        match text.split_once("; ") {
            Some((cause, fix)) => Self::new(exit, cause).fix(fix),
            None => Self::new(exit, text),
        }
    }
}

/// A send number as a person gives it.
fn send_number(text: &str) -> Result<SendNumber, String> {
    SendNumber::parse(text.trim())
        .ok_or_else(|| "not a send number (s_ and 26 letters and digits); for an engine's own id: jobs show --engine ENGINE JOB_ID".into())
}

/// A text that engines or targets chose, as a terminal may show it: nothing in it acts.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// One JSON object on a line of its own.
fn line(out: &mut dyn Write, value: &impl serde::Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    writeln!(out, "{text}")
}

#[cfg(test)]
mod tests;
