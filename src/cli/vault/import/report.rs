//! What an import tells while it runs and at its end.

use super::refusals::Refusals;
use crate::cli::vault::Streams;
use crate::cli::vault::show::Show;
use crate::cli::{CliError, Exit};
use crate::counted::counted;
use crate::purpose::Known;
use crate::table::TableFault;
use crate::vault::import::{Amiss, HeaderFault, ImportError, Observer, Summary, TokensOut, as_name};
use crate::vault::value::Notice;
use crate::vault::{Refusal, Stored};
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// What may be wrong about a row that is stored, and what would mend it.
pub fn told_of(notice: Notice, known: &Known) -> String {
    match notice {
        Notice::NobodysPurpose => {
            let names = known.names().collect::<Vec<_>>().join(", ");
            format!(
                "consent names a purpose that no engine and no template names (they name {names}); it is kept, and counts \
                 once one of them does"
            )
        }
        Notice::Apostrophe => String::from(
            "a value begins with an apostrophe and is kept so: unless it is part of a name, as in 't Hart, it is a spreadsheet's mark of a \
             text, and belongs out of the file",
        ),
        Notice::LocalPhone => String::from(
            "withdraws a consent by a phone number without + and country that nobody in the vault had, so a new person was made; where \
             the vault has it with its country, as in +49 151 for 0151, write it so",
        ),
        Notice::SilentDash => String::from(
            "consent holds a - and is taken as empty, as --empty-word says: where it stands for no, import with no in its place",
        ),
        Notice::Backslash => String::from(
            "a value holds \\n, \\t or \\r with a backslash, or a backslash before a line end or at its own end, and is kept so, as people will see \
             it: where mysql -B, INTO OUTFILE or COPY has written a line end or a tab so, write the file as CSV",
        ),
        Notice::DoubleBackslash => String::from(
            "a value holds two backslashes and is kept so, in a file in which others are escaped by backslashes: where INTO OUTFILE or COPY has \
             written one backslash so, write the file as CSV",
        ),
        Notice::NullMark => String::from("a cell is \\N, by which databases write that there is nothing"),
    }
}

/// Where stored rows are told.
pub enum Told<'a> {
    Nowhere,
    /// Nothing is stored.
    Rehearsal,
    List(Box<TokensOut>),
    Lines(Show, &'a mut dyn Write),
}

pub struct Report<'a> {
    told: Told<'a>,
    refusals: Refusals,
    bar: Option<ProgressBar>,
    summary: Summary,
    noticed: BTreeMap<Notice, Noticed>,
    like_consent: Vec<String>,
    /// Columns and the word in them that says who is gone.
    gone: Vec<(String, &'static str)>,
    withdrawals_forgotten: u64,
}

/// Rows about which the same was noticed.
struct Noticed {
    first: u64,
    rows: u64,
}

impl<'a> Report<'a> {
    pub fn new(refusals: Refusals, told: Told<'a>, bar: Option<ProgressBar>) -> Self {
        Self {
            told,
            refusals,
            bar,
            summary: Summary::default(),
            noticed: BTreeMap::new(),
            like_consent: Vec::new(),
            gone: Vec::new(),
            withdrawals_forgotten: 0,
        }
    }

    /// Of rows that were told as they were stored.
    pub fn end_lines(
        self,
        outcome: Result<Summary, ImportError>,
        errors: &mut dyn Write,
    ) -> Result<Exit, CliError> {
        let Self { summary, refusals, .. } = self;
        refusals.say(summary.failed, errors);
        let summary = outcome.map_err(|error| failure(error, &summary))?;
        ended(&summary)
    }

    /// The words themselves may be anything that a column holds, so they are not told.
    pub fn warn(&self, known: &Known, errors: &mut dyn Write) {
        // Else the first of them would stand behind the bar, in its line.
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        for column in &self.like_consent {
            let _ = writeln!(
                errors,
                "warning: the column {column} reads as if it said who may be mailed; it is kept as a field and keeps nobody from being mailed: where \
                 it says yes or no to a purpose, name it consent and import with --consent-for PURPOSE (one that says yes to no mail has to be \
                 turned round first); in a list of people who are not to be mailed any more, write -PURPOSE into a column consent"
            );
        }
        for (column, word) in &self.gone {
            let _ = writeln!(
                errors,
                "warning: the column {column} holds {word:?}, as lists do of people who are not to be mailed any more; it is kept as a field and keeps nobody \
                 from being mailed: import such rows as a list of their own, with -PURPOSE in a column consent"
            );
        }
        if self.withdrawals_forgotten > 0 {
            let names = counted(self.withdrawals_forgotten, "name");
            let _ = writeln!(
                errors,
                "warning: too many refused rows withdraw consent of people who are not in the vault: what they say of {names} (addresses, tokens) was not \
                 kept; correct the rows, or import this file once more, and it is applied to those whom it brought"
            );
        }
        let shows_escapes =
            [Notice::Backslash, Notice::NullMark].iter().any(|sign| self.noticed.contains_key(sign));
        for (notice, Noticed { first, rows }) in &self.noticed {
            match notice {
                Notice::NullMark => continue,
                Notice::DoubleBackslash if !shows_escapes => continue,
                _ => {}
            }
            let (rows, what) = (counted(*rows, "row"), told_of(*notice, known));
            let _ = writeln!(errors, "warning: {rows}, the first in line {first}: {what}");
        }
    }

    pub fn finish(
        self,
        outcome: Result<Summary, ImportError>,
        show: Show,
        streams: &mut Streams<'_>,
    ) -> Result<Exit, CliError> {
        let is_rehearsal = matches!(self.told, Told::Rehearsal);
        let kept = if is_rehearsal { Summary::default() } else { self.summary };
        let listed_to_disk = match self.told {
            Told::List(list) if outcome.is_ok() && kept.kept() == 0 && list.replaces_another() => {
                let told = "warning: --tokens-out: no row was stored, so the older list is as it was";
                let _ = writeln!(streams.errors, "{told}");
                Ok(())
            }
            Told::List(list) if outcome.is_ok() => {
                warn_of_amiss(list.amiss(), streams.errors);
                list.finish()
            }
            Told::List(_) => {
                let told = "warning: --tokens-out: no list is written of a file that was not read to its end; an older one is as it was";
                // A closed stderr is no reason to fail.
                let _ = writeln!(streams.errors, "{told}");
                Ok(())
            }
            _ => Ok(()),
        };
        if !show.json {
            self.refusals.say(self.summary.failed, streams.errors);
        }
        let summary = outcome.map_err(|error| failure(error, &kept))?;
        listed_to_disk.map_err(|error| failure(ImportError::TokensOut(error), &summary))?;
        show.summary(&summary, self.refusals.listed(), streams.output)?;
        match is_rehearsal {
            true => rehearsed(&summary, streams.errors),
            false => ended(&summary),
        }
    }
}

impl Observer for Report<'_> {
    fn stored(&mut self, line: u64, stored: &Stored, matched: Option<&str>) -> io::Result<()> {
        match &mut self.told {
            Told::List(list) => list.write(line, stored, matched),
            Told::Nowhere | Told::Rehearsal => Ok(()),
            Told::Lines(show, out) => show.write_stored(Some(line), stored, out),
        }
    }

    fn refused(&mut self, line: u64, refusal: &Refusal) {
        self.refusals.add(line, refusal);
    }

    fn reads_like_consent(&mut self, column: &str) {
        self.like_consent.push(column.to_owned());
    }

    fn holds_word_of_leaving(&mut self, column: &str, word: &'static str) {
        self.gone.push((column.to_owned(), word));
    }

    fn withdrawals_forgotten(&mut self, names: u64) {
        self.withdrawals_forgotten = names;
    }

    fn noticed(&mut self, line: u64, notice: Notice) {
        self.noticed.entry(notice).or_insert(Noticed { first: line, rows: 0 }).rows += 1;
    }

    fn progress(&mut self, bytes: u64, so_far: &Summary) {
        self.summary = *so_far;
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
            bar.set_message(format!("{} people, {} failed", so_far.kept(), so_far.failed));
        }
    }
}

fn warn_of_amiss(amiss: Amiss, errors: &mut dyn Write) {
    let mut warn = |count: u64, what: &str| {
        if count > 0 {
            let _ = writeln!(errors, "warning: --tokens-with: {} {what}", counted(count, "value"));
        }
    };
    warn(
        amiss.left_out,
        "left out of the list, which holds no addresses and phone numbers; choose a column of customer numbers",
    );
    warn(
        amiss.marked,
        "with an apostrophe in front in the list: they begin with = + - or @, which a spreadsheet would run as a formula",
    );
}

fn rehearsed(summary: &Summary, errors: &mut dyn Write) -> Result<Exit, CliError> {
    if summary.failed == 0 {
        let _ = writeln!(errors, "nothing was stored: this was a dry run");
        return Ok(Exit::Ok);
    }
    let cause = format!(
        "{} of {} would be refused{}; nothing was stored: this was a dry run",
        summary.failed,
        counted(summary.read, "row"),
        withdrawals(summary.withdrew, "would be"),
    );
    Err(CliError::failed(cause).fix("correct these lines, then import the file without --dry-run"))
}

fn ended(summary: &Summary) -> Result<Exit, CliError> {
    if summary.failed == 0 {
        return Ok(Exit::Ok);
    }
    let cause = format!(
        "{} of {} failed{}; {}",
        summary.failed,
        counted(summary.read, "row"),
        withdrawals(summary.withdrew, "was"),
        match (summary.kept(), summary.withdrew) {
            (0, 1..) => String::from("no row was kept"),
            (kept, _) => kept_rows(kept),
        }
    );
    Err(CliError::failed(cause)
        .fix("correct these lines and import the file again: rows that are in stay as they are"))
}

/// Of rows that were refused.
fn withdrawals(rows: u64, stored: &str) -> String {
    match rows {
        0 => String::new(),
        _ => format!(" (of which {rows} withdrew a consent: the withdrawal {stored} stored)"),
    }
}

fn failure(error: ImportError, so_far: &Summary) -> CliError {
    let kept = so_far.kept();
    match error {
        ImportError::Vault(error) if kept == 0 => error.into(),
        ImportError::Vault(error) => {
            let told = CliError::from(error);
            CliError { cause: format!("{} ({})", told.cause, kept_rows(kept)), ..told }
        }
        ImportError::Table(TableFault::Workbook) => CliError::failed(
            "the file is a workbook (xlsx, xls, ods, numbers), not a table; nothing was stored",
        )
        .fix("in the program that made it, save it as CSV UTF-8, and import that"),
        ImportError::Table(TableFault::NoTable(form)) => {
            CliError::failed(format_args!("the file is no table: {form}; {}", kept_rows(kept))).fix(form.fix())
        }
        ImportError::NoSuchField { .. } if kept == 0 => CliError::new(Exit::Usage, error)
            .fix("correct the name, or leave --clear out: nobody has such a field, and nothing was stored"),
        ImportError::NoSuchColumn { .. } => {
            CliError::new(Exit::Usage, format_args!("{error}; {}", kept_rows(kept)))
                .fix("correct the name, or leave --as-is out, and import the file again")
        }
        ImportError::NoSuchField { .. } => CliError::new(Exit::Usage, format_args!("{error}; {}", kept_rows(kept)))
            .fix("correct the name, or leave --clear out, and import the file again: rows that are in stay as they are"),
        ImportError::Header(fault) => {
            let fix = header_fix(&fault);
            CliError::failed(ImportError::Header(fault)).fix(fix)
        }
        error => CliError::failed(format_args!("{error}; {}", kept_rows(kept)))
            .fix("correct the cause and import the file again: rows that are in stay as they are"),
    }
}

fn kept_rows(kept: u64) -> String {
    match kept {
        0 => String::from("nothing was stored"),
        1 => String::from("1 row was kept"),
        more => format!("{} were kept", counted(more, "row")),
    }
}

fn header_fix(fault: &HeaderFault) -> String {
    match fault {
        HeaderFault::NotAName { all: Some(all), .. } => format!("name the columns {}", all),
        HeaderFault::NotAName { name, .. } | HeaderFault::LikeAddress { name, .. } => match as_name(name) {
            Some(better) => format!("name it {better}"),
            None => String::from("give it a name such as first_name"),
        },
        HeaderFault::Beside { name, meant, .. } => format!(
            "remove the one of the two that holds no address, or give it another name: {meant} for the address, other_{meant} for {name:?}"
        ),
        HeaderFault::NamedTwice { .. } => String::from("rename one of the two, or remove it"),
        HeaderFault::NoMatchColumn { .. } => String::from("name a column of the file"),
        HeaderFault::Empty | HeaderFault::Name(_) | HeaderFault::Twice(..) | HeaderFault::NoAddress => {
            String::from("name the columns in the first line, such as: email,first_name,last_name")
        }
    }
}
