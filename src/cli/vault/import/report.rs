//! What an import tells while it runs and at its end.

use crate::cli::vault::Streams;
use crate::cli::vault::show::Show;
use crate::cli::{CliError, Exit};
use crate::purpose::Known;
use crate::table::TableFault;
use crate::vault::import::{HeaderFault, ImportError, Observer, Summary, TokensOut, meant_for_address};
use crate::vault::{Refusal, Stored};
use indicatif::ProgressBar;
use std::io::{self, Write};

/// What is wrong with a purpose that nobody can mail for, and what would mend it.
pub fn nobodys(known: &Known) -> String {
    let names: Vec<&str> = known.names().collect();
    format!(
        "consent names a purpose that no engine and no template names (they name {}); it was stored, and counts once one of \
         them does",
        names.join(", ")
    )
}

/// Where stored rows are told.
pub enum Told<'a> {
    Nowhere,
    List(Box<TokensOut>),
    Lines(Show, &'a mut dyn Write),
}

pub struct Report<'a> {
    told: Told<'a>,
    listed: Vec<(u64, Refusal)>,
    errors_max: usize,
    bar: Option<ProgressBar>,
    summary: Summary,
    nobodys: Option<Nobodys>,
}

/// Rows that say something of purposes that nobody can mail for.
struct Nobodys {
    first: u64,
    rows: u64,
}

impl<'a> Report<'a> {
    pub fn new(errors_max: usize, told: Told<'a>, bar: Option<ProgressBar>) -> Self {
        Self { told, listed: Vec::new(), errors_max, bar, summary: Summary::default(), nobodys: None }
    }

    /// Of rows that were told as they were stored.
    pub fn end_lines(
        self,
        outcome: Result<Summary, ImportError>,
        errors: &mut dyn Write,
    ) -> Result<Exit, CliError> {
        let Self { summary, listed, .. } = self;
        say_refusals(&listed, &summary, errors);
        let summary = outcome.map_err(|error| failure(error, &summary))?;
        ended(&summary)
    }

    /// The words themselves may be anything that a column holds, so they are not told.
    pub fn warn(&self, known: &Known, errors: &mut dyn Write) {
        if let Some(Nobodys { first, rows }) = self.nobodys {
            let rows = if rows == 1 { String::from("1 row") } else { format!("{rows} rows") };
            let _ = writeln!(errors, "warning: {rows}, the first in line {first}: {}", nobodys(known));
        }
    }

    pub fn finish(
        self,
        outcome: Result<Summary, ImportError>,
        show: Show,
        streams: &mut Streams<'_>,
    ) -> Result<Exit, CliError> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let listed_to_disk = match self.told {
            Told::List(list) => list.finish(),
            _ => Ok(()),
        };
        if !show.json {
            say_refusals(&self.listed, &self.summary, streams.errors);
        }
        let summary = outcome.map_err(|error| failure(error, &self.summary))?;
        listed_to_disk.map_err(|error| failure(ImportError::TokensOut(error), &summary))?;
        show.summary(&summary, &self.listed, streams.output)?;
        ended(&summary)
    }
}

impl Observer for Report<'_> {
    fn stored(&mut self, line: u64, stored: &Stored, matched: Option<&str>) -> io::Result<()> {
        match &mut self.told {
            Told::List(list) => list.write(line, stored, matched),
            Told::Nowhere => Ok(()),
            Told::Lines(show, out) => show.write_stored(Some(line), stored, out),
        }
    }

    fn refused(&mut self, line: u64, refusal: &Refusal) {
        if self.listed.len() < self.errors_max {
            self.listed.push((line, refusal.clone()));
        }
    }

    fn nobodys_purpose(&mut self, line: u64) {
        self.nobodys.get_or_insert(Nobodys { first: line, rows: 0 }).rows += 1;
    }

    fn progress(&mut self, bytes: u64, so_far: &Summary) {
        self.summary = *so_far;
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
            bar.set_message(format!("{} people, {} failed", so_far.kept(), so_far.failed));
        }
    }
}

/// A closed stderr is no reason to fail: the summary tells the same.
fn say_refusals(listed: &[(u64, Refusal)], summary: &Summary, errors: &mut dyn Write) {
    for (line, refusal) in listed {
        let _ = writeln!(errors, "line {line}: {refusal}");
    }
    let left_out = summary.failed.saturating_sub(listed.len() as u64);
    if left_out > 0 && !listed.is_empty() {
        let _ = writeln!(errors, "... and {left_out} more (see --errors-max)");
    }
}

fn ended(summary: &Summary) -> Result<Exit, CliError> {
    if summary.failed == 0 {
        return Ok(Exit::Ok);
    }
    let cause =
        format!("{} of {} rows failed; the other {} were kept", summary.failed, summary.read, summary.kept());
    Err(CliError::failed(cause)
        .fix("correct these lines and import the file again: rows that are in stay as they are"))
}

fn failure(error: ImportError, so_far: &Summary) -> CliError {
    let kept = so_far.kept();
    match error {
        ImportError::Vault(error) if kept == 0 => error.into(),
        ImportError::Vault(error) => {
            let told = CliError::from(error);
            CliError { cause: format!("{} ({kept} rows were kept)", told.cause), ..told }
        }
        ImportError::Table(TableFault::Workbook) => CliError::failed(
            "the file is a workbook (xlsx, xls, ods, numbers), not a table; nothing was stored",
        )
        .fix("in the program that made it, save it as CSV UTF-8, and import that"),
        ImportError::NoSuchField { .. } if kept == 0 => CliError::new(Exit::Usage, error)
            .fix("correct the name, or leave --clear out: nobody has such a field, and nothing was stored"),
        ImportError::NoSuchField { .. } => CliError::new(Exit::Usage, format_args!("{error}; {kept} rows were kept"))
            .fix("correct the name, or leave --clear out, and import the file again: rows that are in stay as they are"),
        ImportError::Header(fault) => {
            let fix = header_fix(&fault);
            CliError::failed(ImportError::Header(fault)).fix(fix)
        }
        error => CliError::failed(format_args!("{error}; {kept} rows were kept"))
            .fix("correct the cause and import the file again: rows that are in stay as they are"),
    }
}

fn header_fix(fault: &HeaderFault) -> String {
    match fault {
        HeaderFault::NotAName { name, .. } | HeaderFault::LikeAddress { name, .. } => match as_name(name) {
            Some(better) => format!("name it {better}"),
            None => String::from("give it a name such as first_name"),
        },
        HeaderFault::Beside { name, meant, .. } => format!(
            "remove the one of the two that holds no address, or give it another name: {meant} for the address, other_{meant} for {name:?}"
        ),
        HeaderFault::NamedTwice { .. } => String::from("rename one of the two, or remove it"),
        HeaderFault::NoMatchColumn => String::from("name a column of the file"),
        HeaderFault::Empty | HeaderFault::Name(_) | HeaderFault::Twice(..) | HeaderFault::NoAddress => {
            String::from("name the columns in the first line, such as: email,first_name,last_name")
        }
    }
}

/// What may be a name and is most like the text: `First Name` becomes `first_name`.
fn as_name(text: &str) -> Option<String> {
    if let Some(address) = meant_for_address(text) {
        return Some(address.into());
    }
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_");
    // Letters that a name cannot have are not left out without a word.
    let is_whole = text.chars().all(|c| c.is_ascii() || !c.is_alphanumeric());
    (is_whole && name.starts_with(|c: char| c.is_ascii_alphabetic())).then_some(name)
}
