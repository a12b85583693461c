//! `jobs export`: what a filter means, as NDJSON or CSV, to a file or standard output.

use super::filter::{FilterArgs, SpanArgs};
use super::{Ended, Output, Place, line};
use crate::cli::Exit;
use crate::cli::files::unwritable;
use crate::counted::counted;
use crate::journal::ledger::Entry;
use crate::table;
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    span: SpanArgs,
    /// A new file, readable by its owner only; standard output without it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// [default: as the file's extension says, else ndjson]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Ndjson,
    Csv,
}

const COLUMNS: [&str; 17] = [
    "number",
    "send",
    "engine",
    "job_id",
    "campaign",
    "token",
    "accepted",
    "changed",
    "state",
    "reason",
    "detail",
    "target",
    "code",
    "enhanced",
    "attempt",
    "resent",
    "maybe_repeated",
];

pub fn export(args: &ExportArgs, place: &Place, output: &mut Output<'_>) -> Result<Exit, Ended> {
    let filter = args.filter.filter()?;
    let ledger = place.ledger()?;
    let is_csv = args.out.as_deref().and_then(Path::extension).is_some_and(|extension| extension == "csv");
    let format = args.format.unwrap_or(if is_csv { Format::Csv } else { Format::Ndjson });
    let Some(path) = &args.out else {
        let mut sheet = Sheet::begin(format, &mut *output.out)?;
        let count = ledger.for_each(&filter, args.span.from(), |entry| Ok::<_, Ended>(sheet.add(&entry)?))?;
        sheet.finish()?;
        if count == 0 {
            output.tell_strangers(&filter, &ledger)?;
        }
        return Ok(Exit::Ok);
    };
    let cannot = |error: io::Error| unwritable(path, &error);
    let file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(cannot)?;
    let mut sheet = Sheet::begin(format, BufWriter::new(file)).map_err(cannot)?;
    let count = ledger.for_each(&filter, args.span.from(), |entry| {
        sheet.add(&entry).map_err(|error| Ended::Wrong(cannot(error)))
    })?;
    let file = sheet.finish().map_err(cannot)?;
    file.into_inner().map_err(|error| cannot(error.into_error()))?.sync_all().map_err(cannot)?;
    if count == 0 {
        output.tell_strangers(&filter, &ledger)?;
    }
    writeln!(output.errors, "{} written to {}", counted(count, "job"), path.display())?;
    Ok(Exit::Ok)
}

/// Rows on their way out.
enum Sheet<W: Write> {
    Ndjson(W),
    Csv(Box<csv::Writer<W>>),
}

impl<W: Write> Sheet<W> {
    fn begin(format: Format, out: W) -> io::Result<Self> {
        if format == Format::Ndjson {
            return Ok(Self::Ndjson(out));
        }
        let mut sheet = csv::Writer::from_writer(out);
        sheet.write_record(COLUMNS)?;
        Ok(Self::Csv(Box::new(sheet)))
    }

    fn add(&mut self, entry: &Entry) -> io::Result<()> {
        match self {
            Self::Ndjson(out) => line(out, entry),
            Self::Csv(sheet) => {
                Ok(sheet.write_record(cells(entry).map(|cell| table::harmless(&cell).into_owned()))?)
            }
        }
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::Ndjson(mut out) => out.flush().map(|()| out),
            Self::Csv(sheet) => sheet.into_inner().map_err(|error| error.into_error()),
        }
    }
}

fn cells(entry: &Entry) -> [String; 17] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let verdict = &entry.verdict;
    [
        entry.number.0.to_string(),
        entry.send.to_string(),
        entry.engine.clone(),
        text(&entry.job_id),
        text(&entry.campaign),
        entry.token.clone(),
        entry.accepted.to_string(),
        entry.changed.to_string(),
        verdict.state.as_str().into(),
        verdict.reason.map_or("", |reason| reason.as_str()).into(),
        text(&verdict.detail),
        text(&verdict.target),
        verdict.code.map_or_else(String::new, |code| code.to_string()),
        text(&verdict.enhanced),
        entry.attempt.to_string(),
        entry.resent.to_string(),
        entry.maybe_repeated.to_string(),
    ]
}
