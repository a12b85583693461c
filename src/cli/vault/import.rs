//! `vault import FILE`, and the rows that `vault put -` takes from standard input.

mod refusals;
mod report;

pub use report::told_of;

use super::show::Show;
use super::{Streams, writer};
use crate::cli::progress;
use crate::cli::{CliError, Exit};
use crate::purpose::{Known, Standing, is_purpose};
use crate::table::Form;
use crate::vault::import::{
    Format, Options, TokensOut, UnfitPlace, check_list_place, import as import_rows, reads_like_address,
    rehearse,
};
use crate::vault::value::Words;
use crate::vault::{AddressChange, Cleared, Column, Rehearsal, Settings, Unclearable, Vault};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use refusals::{ALIKE_MAX, Refusals};
use report::{Report, Told};
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
    /// Cells that hold this word, such as NULL, are as if they were empty; may be repeated. Without it they are refused.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    empty_word: Vec<String>,
    /// Cells that hold this text, such as Null, are what they say, though programs write it where there is no value; may be repeated.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    literal_word: Vec<String>,
    /// Take the values of this column as they are, such as None in allergies or {{vip}} in a code; may be repeated. Without it, what
    /// programs leave in place of a value is refused. Several with commas.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    as_is: Vec<String>,
    /// Let a row that names a known token give it another address.
    #[arg(long)]
    change_addresses: bool,
    /// Read and check the file, and count what would be new, changed and refused, and store nothing.
    #[arg(long, conflicts_with = "tokens_out")]
    dry_run: bool,
    /// Refused rows to list one by one. Without it a hundred, of rows that are alike only the first three; with --json a hundred.
    #[arg(long, value_name = "N")]
    errors_max: Option<usize>,
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
    if let Some(list) = &args.tokens_out {
        let own: Vec<&Path> =
            [&settings.dir].into_iter().chain(settings.mark_dirs.first()).map(AsRef::as_ref).collect();
        check_list_place(list, &args.file, &own).map_err(|why| unfit(list, why))?;
    }
    let options = Options {
        format: format_of(&args)?,
        match_column: match_column(args.tokens_with.as_deref())?,
        consent_for: consent_for(args.consent_for.as_deref(), &purposes)?,
        purposes,
        words: words_of(&args)?,
        address_change: if args.change_addresses { AddressChange::Allowed } else { AddressChange::Refused },
        cleared: Cleared::of(&args.clear).map_err(unclearable)?,
    };
    if args.dry_run && Vault::is_in(&settings.dir) && Vault::is_of_older_format(&settings.dir)? {
        return Err(older_format());
    }
    let (mut input, bytes) = open_input(&args.file, &mut *streams.input)?;
    let told = match &args.tokens_out {
        Some(path) => Told::List(Box::new(create_list(path, &options)?)),
        None if args.dry_run => Told::Rehearsal,
        None => Told::Nowhere,
    };
    let refusals = refusals(args.errors_max, show);
    let mut report = Report::new(refusals, told, progress_bar(bytes));
    let outcome = match args.dry_run {
        false => import_rows(&mut writer(settings, streams.errors)?, &mut input, &options, &mut report),
        true => rehearse(rehearsal(settings, streams.errors)?, &mut input, &options, &mut report),
    };
    drop(input);
    report.warn(&options.purposes, streams.errors);
    report.finish(outcome, show, streams)
}

fn refusals(errors_max: Option<usize>, show: Show) -> Refusals {
    const LISTED_MAX: usize = 100;
    let alike_max = if errors_max.is_some() || show.json { usize::MAX } else { ALIKE_MAX };
    Refusals::new(errors_max.unwrap_or(LISTED_MAX), alike_max)
}

fn rehearsal(settings: &Settings, errors: &mut dyn Write) -> Result<Rehearsal, CliError> {
    Ok(match Vault::is_in(&settings.dir) {
        true => Rehearsal::on(writer(settings, errors)?)?,
        false => Rehearsal::without_vault()?,
    })
}

fn words_of(args: &ImportArgs) -> Result<Words, CliError> {
    Ok(Words {
        empty: args.empty_word.clone().into(),
        literal: args.literal_word.clone().into(),
        as_is: fields_as_is(&args.as_is)?,
        of_list: true,
    })
}

/// What is mailed to, and what keeps somebody from being mailed, is looked at whatever it holds.
pub fn fields_as_is(names: &[String]) -> Result<Arc<[String]>, CliError> {
    match names.iter().find(|name| !matches!(Column::named(name), Ok(Column::Field(_)))) {
        None => Ok(names.into()),
        Some(_) => Err(CliError::new(
            Exit::Usage,
            "--as-is: only the fields of a person can be taken as they are, not addresses, tokens, consent or retention",
        )
        .fix("name a person field, such as allergies")),
    }
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

fn older_format() -> CliError {
    CliError::failed("--dry-run: the vault has an older format, and would be brought up to date, which writes")
        .fix("run it on a copy of the vault's folder and key; or take up this version first, with a copy to go back to")
}

fn unclearable(why: Unclearable) -> CliError {
    CliError::new(Exit::Usage, format_args!("--clear: {why}")).fix(why.fix())
}

fn unfit(list: &Path, why: UnfitPlace) -> CliError {
    CliError::new(Exit::Usage, format_args!("--tokens-out: {} {why}; nothing was read", list.display()))
        .fix("give --tokens-out another name, such as tokens.csv, outside of state_dir; or move what lies there away")
}

fn create_list(path: &Path, options: &Options) -> Result<TokensOut, CliError> {
    TokensOut::create(path, options.match_column.as_deref()).map_err(|error| {
        CliError::failed(format_args!("{} cannot be written: {}", path.display(), error.kind()))
            .fix("choose another file for --tokens-out")
    })
}

/// `vault put -`: each line's tokens are printed as soon as they are stored.
pub fn put_lines(
    as_is: &[String],
    settings: &Settings,
    purposes: Known,
    show: Show,
    streams: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let options = Options::of(Format::Ndjson);
    let words = Words { as_is: fields_as_is(as_is)?, ..options.words };
    let options = Options { address_change: AddressChange::Allowed, purposes, words, ..options };
    let mut writer = writer(settings, streams.errors)?;
    let refusals = Refusals::new(usize::MAX, usize::MAX);
    let mut report = Report::new(refusals, Told::Lines(show, &mut *streams.output), None);
    let outcome = import_rows(&mut writer, &mut *streams.input, &options, &mut report);
    report.warn(&options.purposes, streams.errors);
    report.end_lines(outcome, streams.errors)
}

fn format_of(args: &ImportArgs) -> Result<Format, CliError> {
    let no_xml =
        || CliError::failed("XML is not available in this version").fix("save the file as CSV or NDJSON");
    match args.format {
        Some(FormatName::Csv) => Ok(Format::Csv),
        Some(FormatName::Ndjson) => Ok(Format::Ndjson),
        Some(FormatName::Xml) => Err(no_xml()),
        None if args.file.extension().is_some_and(|end| end.eq_ignore_ascii_case("xml")) => Err(no_xml()),
        None if args.file.extension().is_some_and(|end| end.eq_ignore_ascii_case("json")) => {
            Err(CliError::failed("a list in JSON is not read").fix(Form::Json.fix()))
        }
        None if is_packed(&args.file) => {
            Err(CliError::failed("the file is compressed").fix(Form::Compressed.fix()))
        }
        None => Format::of(&args.file).ok_or_else(|| {
            CliError::new(Exit::Usage, "the file's name does not say its format")
                .fix("add --format csv or ndjson")
        }),
    }
}

fn is_packed(file: &Path) -> bool {
    let ends = ["gz", "bz2", "xz", "zst", "zip", "7z"];
    file.extension().is_some_and(|end| ends.iter().any(|known| end.eq_ignore_ascii_case(known)))
}

/// The list of tokens lies in the clear, so it never holds what it is meant to replace.
fn match_column(name: Option<&str>) -> Result<Option<String>, CliError> {
    match name {
        Some(name) if reads_like_address(name) => {
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
