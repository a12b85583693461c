//! People from a file: rows to drafts, drafts to the vault in batches; a bad row is told by its line and the
//! good ones are kept.

mod csv_rows;
mod gone;
mod header_fault;
mod list_place;
mod naming;
mod ndjson_members;
mod ndjson_rows;
mod observer;
mod storage;
mod tokens_out;

pub use header_fault::HeaderFault;
pub use list_place::{UnfitPlace, check as check_list_place};
pub use observer::Observer;
pub use tokens_out::{Amiss, TokensOut};

use super::cleared::Cleared;
use super::column::Column;
use super::draft::Draft;
use super::error::VaultError;
use super::value::{Notice, Words};
use super::writer::{AddressChange, Change, Put, Rehearsal, Writer};
use crate::nearest::did_you_mean;
use crate::purpose::Known;
use crate::table::{self, TableFault};
use csv_rows::CsvRows;
use gone::Gone;
use naming::reads_like_consent;
pub use naming::{as_name, reads_like_address};
use ndjson_rows::NdjsonRows;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use storage::Storage;
use zeroize::Zeroizing;

/// Longest row, in bytes.
pub const ROW_BYTES_MAX: usize = 1024 * 1024;
/// Rows of one transaction. Keyed hashes fall all over the indexes, so a batch rewrites most of their pages:
/// few large batches cost far less than many small ones.
const BATCH_ROWS_MAX: usize = 16_384;
/// Bytes of one transaction's rows, so a batch of long rows stays bounded too.
const BATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the rows are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Ndjson,
}

impl Format {
    /// Tells the format by the file's extension.
    pub fn of(path: &Path) -> Option<Self> {
        if table::is_named_so(path) {
            return Some(Self::Csv);
        }
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// Counts of an import. `read` is the sum of the next four.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub read: u64,
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub failed: u64,
    /// Rows among those that failed of which the consent that they withdraw is withdrawn.
    pub withdrew: u64,
}

impl Summary {
    /// People that are in the vault as their rows say.
    pub fn kept(&self) -> u64 {
        self.created + self.updated + self.unchanged
    }

    fn count(&mut self, put: &Put) {
        self.read += 1;
        match put.as_ref().map(|stored| stored.change) {
            Ok(Change::Created) => self.created += 1,
            Ok(Change::Updated) => self.updated += 1,
            Ok(Change::Unchanged) => self.unchanged += 1,
            Err(refusal) => {
                self.failed += 1;
                self.withdrew += u64::from(refusal.withdrew);
            }
        }
    }
}

/// Why an import ended early. What was stored before stays stored; importing the file again is safe.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the header cannot be used: {0}")]
    Header(HeaderFault),
    #[error("the file cannot be read on: {}", .0.kind())]
    Read(io::Error),
    #[error(transparent)]
    Table(#[from] TableFault),
    #[error("--clear: there is no field {name}, neither in the file nor of anybody in the vault{near}")]
    NoSuchField { name: String, near: String },
    #[error("--as-is: there is no column {name} in the file{near}")]
    NoSuchColumn { name: String, near: String },
    #[error("the list of tokens cannot be written: {}", .0.kind())]
    TokensOut(io::Error),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

pub(super) struct Row {
    pub line: u64,
    pub draft: Draft,
    pub matched: Option<Zeroizing<String>>,
}

/// How to import.
#[derive(Debug, Clone)]
pub struct Options {
    pub format: Format,
    /// A column whose value is told with each row's tokens, such as a customer number.
    pub match_column: Option<String>,
    /// Whether a row that names a known token may give it another address.
    pub address_change: AddressChange,
    /// Fields of which nothing stays but what the rows say.
    pub cleared: Option<Cleared>,
    /// The purpose to which the words of the column of consent say yes or no, where they name none themselves.
    pub consent_for: Option<Arc<str>>,
    /// What the configuration knows of.
    pub purposes: Known,
    pub words: Words,
}

impl Options {
    /// Everything as the rows say it.
    pub fn of(format: Format) -> Self {
        Self {
            format,
            match_column: None,
            address_change: AddressChange::Refused,
            cleared: None,
            consent_for: None,
            purposes: Known::default(),
            words: Words { of_list: true, ..Words::default() },
        }
    }

    fn column(&self, named: Column) -> Column {
        match (named, &self.consent_for) {
            (Column::Consent, Some(purpose)) => Column::Answer(purpose.clone()),
            (column, _) => column,
        }
    }
}

enum Rows<'a, R: Read> {
    Csv(Box<CsvRows<R>>),
    Ndjson(NdjsonRows<'a, R>),
}

impl<R: Read> Rows<'_, R> {
    fn next(&mut self) -> Result<Option<Row>, ImportError> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::Ndjson(rows) => rows.next(),
        }
    }

    /// Whether no names come that were not read yet.
    fn are_all_named(&self) -> bool {
        matches!(self, Self::Csv(_))
    }

    /// Whether so few came that all are held.
    fn has_all_names(&self) -> bool {
        match self {
            Self::Csv(_) => true,
            Self::Ndjson(rows) => rows.has_all_names(),
        }
    }

    /// Names of columns and keys that were read so far.
    fn names(&self) -> BTreeSet<&str> {
        match self {
            Self::Csv(rows) => rows.columns().map(Column::name).collect(),
            Self::Ndjson(rows) => rows.names().collect(),
        }
    }

    /// Bytes of the file that were read so far.
    fn position(&self) -> u64 {
        match self {
            Self::Csv(rows) => rows.position(),
            Self::Ndjson(rows) => rows.position(),
        }
    }
}

/// Stores every good row of `input`.
///
/// # Errors
/// [`ImportError`] when it could not go on; refused rows are told to the observer instead.
pub fn import(
    writer: &mut Writer,
    input: impl Read,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Summary, ImportError> {
    store(Storage::Vault(writer), input, options, observer)
}

/// What [`import`] would come to, with nothing stored.
///
/// # Errors
/// As [`import`].
pub fn rehearse(
    rehearsal: Rehearsal,
    input: impl Read,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Summary, ImportError> {
    store(Storage::Nowhere(Box::new(rehearsal)), input, options, observer)
}

fn store(
    mut storage: Storage<'_>,
    input: impl Read,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Summary, ImportError> {
    let mut rows = match options.format {
        Format::Csv => Rows::Csv(Box::new(CsvRows::open(input, options)?)),
        Format::Ndjson => Rows::Ndjson(NdjsonRows::open(input, options)),
    };
    if rows.are_all_named() {
        check_as_is(&options.words.as_is, &rows.names())?;
    }
    let mut unchecked = options.cleared.as_ref();
    let mut summary = Summary::default();
    let mut batch = Batch { drafts: Vec::new(), of: Vec::new(), from: 0, options, gone: Gone::default() };
    let ended = loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        batch.add(row, &mut summary, observer);
        if batch.drafts.len() == BATCH_ROWS_MAX || rows.position() - batch.from >= BATCH_BYTES_MAX {
            if let Some(cleared) = unchecked.take_if(|_| rows.are_all_named()) {
                check_cleared(cleared, &rows.names(), &storage)?;
            }
            batch.store(&mut storage, &mut summary, observer)?;
            batch.from = rows.position();
            observer.progress(rows.position(), &summary);
        }
    };
    if let Some(cleared) = unchecked {
        check_cleared(cleared, &rows.names(), &storage)?;
    }
    // The good rows before an unreadable place are kept.
    batch.store(&mut storage, &mut summary, observer)?;
    observer.progress(rows.position(), &summary);
    tell_of_consent(&rows.names(), &batch.gone, observer);
    observer.withdrawals_forgotten(storage.withdrawals_forgotten());
    storage.settle()?;
    ended?;
    // In NDJSON only the last row tells, and none was kept from the vault by a name that is nowhere.
    if rows.has_all_names() {
        check_as_is(&options.words.as_is, &rows.names())?;
    }
    Ok(summary)
}

/// Where one column says what people consent to, others may say what they like.
fn tell_of_consent(names: &BTreeSet<&str>, gone: &Gone, observer: &mut dyn Observer) {
    let named = |name: &&&str| Column::named(name);
    if names.iter().any(|name| named(&name).is_ok_and(|column| column.is_of_consent())) {
        return;
    }
    let alike = |name: &&&str| matches!(named(name), Ok(Column::Field(_))) && reads_like_consent(name);
    names.iter().filter(alike).for_each(|name| observer.reads_like_consent(name));
    let others = gone.columns().filter(|(name, _)| !reads_like_consent(name));
    others.for_each(|(name, word)| observer.holds_word_of_leaving(name, word));
}

/// A column that is not there is a slip, and the one that was meant would go on being refused.
fn check_as_is(columns: &[String], in_file: &BTreeSet<&str>) -> Result<(), ImportError> {
    match columns.iter().find(|name| !in_file.contains(name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let near = did_you_mean(name, in_file.iter().copied());
            Err(ImportError::NoSuchColumn { name: name.clone(), near })
        }
    }
}

/// A field that is nowhere is a slip, and would go on being known under its right name. Told before the first row is stored; in NDJSON,
/// where a later row may have it, before the last ones are.
fn check_cleared(
    cleared: &Cleared,
    in_file: &BTreeSet<&str>,
    storage: &Storage<'_>,
) -> Result<(), ImportError> {
    let wanted: Vec<&str> = cleared.names().filter(|name| !in_file.contains(name)).collect();
    let known = storage.field_names(&wanted)?;
    match wanted.into_iter().find(|name| !known.contains(*name)) {
        None => Ok(()),
        Some(name) => {
            let names = in_file.iter().copied().chain(known.iter().map(String::as_str));
            Err(ImportError::NoSuchField { name: name.into(), near: did_you_mean(name, names) })
        }
    }
}

/// Rows waiting for their transaction.
struct Batch<'a> {
    drafts: Vec<Draft>,
    of: Vec<(u64, Option<Zeroizing<String>>)>,
    /// Where in the file it starts.
    from: u64,
    options: &'a Options,
    gone: Gone,
}

impl Batch<'_> {
    fn add(&mut self, row: Row, summary: &mut Summary, observer: &mut dyn Observer) {
        let draft = row.draft.spelled(&self.options.purposes);
        self.gone.look(&draft.fields);
        match draft.refusal().filter(|_| draft.withdrawal().is_none()) {
            Some(refusal) => {
                summary.count(&Err(refusal.clone()));
                observer.refused(row.line, refusal);
            }
            None => {
                let notices = draft.notices().filter(|_| draft.refusal().is_none());
                notices.for_each(|notice| observer.noticed(row.line, notice));
                self.drafts.push(draft.clearing(self.options.cleared.clone()));
                self.of.push((row.line, row.matched));
            }
        }
    }

    fn store(
        &mut self,
        storage: &mut Storage<'_>,
        summary: &mut Summary,
        observer: &mut dyn Observer,
    ) -> Result<(), ImportError> {
        if self.drafts.is_empty() {
            return Ok(());
        }
        let answers = storage.put(&self.drafts, self.options.address_change)?;
        for ((draft, (line, matched)), put) in self.drafts.drain(..).zip(self.of.drain(..)).zip(&answers) {
            summary.count(put);
            let is_new = put.as_ref().is_ok_and(|stored| stored.change == Change::Created);
            if is_new && draft.withdraws_by_local_phone() {
                observer.noticed(line, Notice::LocalPhone);
            }
            match put {
                Ok(stored) => {
                    let matched = matched.as_ref().map(|value| value.as_str());
                    observer.stored(line, stored, matched).map_err(ImportError::TokensOut)?;
                }
                Err(refusal) => observer.refused(line, refusal),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
