//! `vault import FILE`, and the rows that `vault put -` takes from standard input.

use super::show::Show;
use super::{Streams, writer};
use crate::cli::progress;
use crate::cli::{CliError, Exit};
use crate::purpose::{Known, Standing, is_purpose};
use crate::table::TableFault;
use crate::vault::import::{
    Format, HeaderFault, ImportError, Observer, Options, Summary, TokensOut, import as import_rows,
    meant_for_address,
};
use crate::vault::{AddressChange, Cleared, Refusal, Settings, Stored, Unclearable};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A .csv or .ndjson file; `-` reads standard input and needs --format.
    ///
    /// Columns: email and/or phone, optional token, consent (purposes, separated by spaces; a leading - means
    /// refused), retention (YYYY-MM-DD); any other column is a person field. Empty values leave what is known (see
    /// --clear).
    file: PathBuf,
    /// What the file is written in, where its extension does not say it.
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Write line and tokens of every stored row to this CSV file, readable by its owner only.
    #[arg(long, value_name = "FILE")]
    tokens_out: Option<PathBuf>,
    /// Also write this column to --tokens-out, to tell the rows apart. It lies there in the clear: choose a
    /// customer number, nothing personal.
    #[arg(long, value_name = "COLUMN", requires = "tokens_out")]
    tokens_with: Option<String>,
    /// Of this field nothing stays but what the file says: for the people in the file an empty or missing value takes
    /// away what is known, as it otherwise would not. Several with commas. A file with tokens alone clears it of them all.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    clear: Vec<String>,
    /// The column consent says yes or no to this purpose (yes, true, 1, opt-in, subscribed; no, false, 0, opt-out, unsubscribed;
    /// in other languages too). Without it, such words are refused.
    #[arg(long, value_name = "PURPOSE")]
    consent_for: Option<String>,
    /// Let a row that names a known token give it another address.
    #[arg(long)]
    change_addresses: bool,
    /// Most refused rows to list one by one.
    #[arg(long, value_name = "N", default_value_t = 100)]
    errors_max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Csv,
    Ndjson,
    #[value(hide = true)]
    Xml,
}

pub fn import(
    args: ImportArgs,
    settings: &Settings,
    purposes: Known,
    show: Show,
    streams: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let options = Options {
        format: format_of(&args)?,
        match_column: match_column(args.tokens_with.as_deref())?,
        consent_for: consent_for(args.consent_for.as_deref(), &purposes)?,
        purposes,
        address_change: if args.change_addresses { AddressChange::Allowed } else { AddressChange::Refused },
        cleared: Cleared::of(&args.clear).map_err(unclearable)?,
    };
    let (mut input, bytes) = open_input(&args.file, &mut *streams.input)?;
    let mut writer = writer(settings, streams.errors)?;
    let told = match &args.tokens_out {
        Some(path) => Told::List(Box::new(create_list(path, &options)?)),
        None => Told::Nowhere,
    };
    let mut report = Report::new(args.errors_max, told, progress_bar(bytes));
    let outcome = import_rows(&mut writer, &mut input, &options, &mut report);
    drop(input);
    report.warn(&options.purposes, streams.errors);
    report.finish(outcome, show, streams)
}

/// What is wrong with a purpose that nobody can mail for, and what would mend it.
pub fn nobodys(known: &Known) -> String {
    let names: Vec<&str> = known.names().collect();
    format!(
        "consent names a purpose that no engine and no template names (they name {}); it was stored, and counts once one of \
         them does",
        names.join(", ")
    )
}

fn consent_for(purpose: Option<&str>, known: &Known) -> Result<Option<Arc<str>>, CliError> {
    let Some(purpose) = purpose else { return Ok(None) };
    if !is_purpose(purpose) {
        return Err(CliError::new(Exit::Usage, "--consent-for: this is no purpose")
            .fix("name the one that the column says yes or no to, such as marketing"));
    }
    if let Standing::SlipOf(meant) = known.standing(purpose) {
        let cause = format!("--consent-for: no engine or template names {purpose}; did you mean {meant}?");
        return Err(CliError::new(Exit::Usage, cause)
            .fix(format!("write {meant}, or name the purpose in purposes of an [[engine]] first")));
    }
    Ok(Some(purpose.into()))
}

fn unclearable(why: Unclearable) -> CliError {
    CliError::new(Exit::Usage, format_args!("--clear: {why}")).fix(why.fix())
}

fn create_list(path: &Path, options: &Options) -> Result<TokensOut, CliError> {
    TokensOut::create(path, options.match_column.as_deref()).map_err(|error| {
        CliError::failed(format_args!("{} cannot be written: {}", path.display(), error.kind()))
            .fix("choose another file for --tokens-out")
    })
}

/// `vault put -`: each line's tokens are printed as soon as they are stored.
pub fn put_lines(
    settings: &Settings,
    purposes: Known,
    show: Show,
    streams: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let options = Options { address_change: AddressChange::Allowed, purposes, ..Options::of(Format::Ndjson) };
    let mut writer = writer(settings, streams.errors)?;
    let mut report = Report::new(usize::MAX, Told::Lines(show, &mut *streams.output), None);
    let outcome = import_rows(&mut writer, &mut *streams.input, &options, &mut report);
    report.warn(&options.purposes, streams.errors);
    let Report { summary, listed, .. } = report;
    say_refusals(&listed, &summary, streams.errors);
    let summary = outcome.map_err(|error| failure(error, &summary))?;
    ended(&summary)
}

fn format_of(args: &ImportArgs) -> Result<Format, CliError> {
    let no_xml =
        || CliError::failed("XML is not available in this version").fix("save the file as CSV or NDJSON");
    match args.format {
        Some(FormatName::Csv) => Ok(Format::Csv),
        Some(FormatName::Ndjson) => Ok(Format::Ndjson),
        Some(FormatName::Xml) => Err(no_xml()),
        None if args.file.extension().is_some_and(|end| end.eq_ignore_ascii_case("xml")) => Err(no_xml()),
        None => Format::of(&args.file).ok_or_else(|| {
            CliError::new(Exit::Usage, "the file's name does not say its format")
                .fix("add --format csv or ndjson")
        }),
    }
}

/// The list of tokens lies in the clear, so it never holds what it is meant to replace.
fn match_column(name: Option<&str>) -> Result<Option<String>, CliError> {
    match name {
        Some(name) if ["email", "phone"].iter().any(|address| name.eq_ignore_ascii_case(address)) => {
            Err(CliError::new(Exit::Usage, "the list of tokens never holds addresses or phone numbers")
                .fix("name another column with --tokens-with, such as a customer number"))
        }
        name => Ok(name.map(String::from)),
    }
}

/// The file and, where it is known, its length in bytes.
fn open_input<'a>(
    path: &Path,
    standard: &'a mut dyn Read,
) -> Result<(Box<dyn Read + 'a>, Option<u64>), CliError> {
    if path == Path::new("-") {
        return Ok((Box::new(standard), None));
    }
    let failed = |error: io::Error| {
        CliError::failed(format_args!("{} cannot be read: {}", path.display(), error.kind()))
            .fix("check its name and that this user may read it")
    };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    Ok((Box::new(file), Some(bytes)))
}

fn progress_bar(bytes: Option<u64>) -> Option<ProgressBar> {
    if !io::stderr().is_terminal() {
        return None;
    }
    Some(progress::bar(Some(bytes?), "{wide_bar} {percent}%  {msg}  {eta} left"))
}

/// Where stored rows are told.
enum Told<'a> {
    Nowhere,
    List(Box<TokensOut>),
    Lines(Show, &'a mut dyn Write),
}

struct Report<'a> {
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
    fn new(errors_max: usize, told: Told<'a>, bar: Option<ProgressBar>) -> Self {
        Self { told, listed: Vec::new(), errors_max, bar, summary: Summary::default(), nobodys: None }
    }

    /// The words themselves may be anything that a column holds, so they are not told.
    fn warn(&self, known: &Known, errors: &mut dyn Write) {
        if let Some(Nobodys { first, rows }) = self.nobodys {
            let rows = if rows == 1 { String::from("1 row") } else { format!("{rows} rows") };
            let _ = writeln!(errors, "warning: {rows}, the first in line {first}: {}", nobodys(known));
        }
    }

    fn finish(
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
