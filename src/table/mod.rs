//! A table in a text file as people's programs save it: RFC 4180, and what Excel, LibreOffice and Numbers make of it. Every
//! file with rows and columns is read here, so that what one command understands every other does.
//!
//! Taken: comma, semicolon, tab or bar between the columns, `sep=` in the first line; UTF-8 or UTF-16; CR LF, LF or CR;
//! blank rows, and empty columns behind the last name; `="00123"`, by which programs keep a spreadsheet from making a number of it. Not taken is what may hide a row in another row's value: a quotation
//! mark that is not closed, or closed in the middle of a value.

mod decode;
mod form;
mod record;
#[cfg(test)]
mod tests;

pub use decode::Decoded;
pub use form::Form;

use crate::counted::counted;
use record::{LINES_IN_FIELD_MAX, Reader};
use std::borrow::Cow;
use std::io::{self, Read};
use std::path::Path;

/// Why a table cannot be read on. Lines are counted from 1.
#[derive(Debug, thiserror::Error)]
pub enum TableFault {
    #[error("the file cannot be read on: {}", .0.kind())]
    Read(#[from] io::Error),
    #[error("the file is empty; the first line names the columns")]
    Empty,
    #[error(
        "it is a workbook (xlsx, xls, ods, numbers), not a table; in the program that made it, save it as CSV UTF-8"
    )]
    Workbook,
    #[error("{0}; {fix}", fix = .0.fix())]
    NoTable(Form),
    #[error("column {0} has no name in the first line")]
    Nameless(usize),
    #[error("the name of column {0} is not UTF-8; save the file as UTF-8")]
    NotText(usize),
    #[error(
        "the quotation mark opened in line {line} is never closed; close it there, or write it twice and the value in \
         quotation marks if it belongs to the value"
    )]
    QuoteOpen { line: u64 },
    #[error(
        "the quotation mark opened in line {line} is not closed within {LINES_IN_FIELD_MAX} lines; most often its end is missing"
    )]
    FieldLines { line: u64 },
    #[error("the row that starts at line {line} is too long; most often a quotation mark is missing there")]
    RowLength { line: u64 },
}

/// Why one row cannot be used, while the next one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowFlaw {
    #[error(
        "the value that opens with a quotation mark in line {line} goes on behind its end; write quotation marks within \
         a value twice"
    )]
    BehindQuote { line: u64 },
    #[error(
        "the value that opens with a quotation mark in line {line} holds what looks like further rows; most often its end is \
         missing"
    )]
    HoldsRows { line: u64 },
    #[error("{} where the header has {expected}", counted(*.found as u64, "column"))]
    ColumnCount { found: usize, expected: usize },
    #[error("column {column} holds something and has no name in the first line")]
    Nameless { column: usize },
}

/// What a row is known by, to tell a row from a line of a value.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub column: usize,
    pub is_one: fn(&[u8]) -> bool,
}

const DOS_END: u8 = 0x1a;

/// A table with its header read.
pub struct Table<R> {
    reader: Reader<R>,
    header: Vec<String>,
    /// Columns of the header with those that have no name, behind the last that has one.
    width: usize,
    key: Option<Key>,
    /// No row was read yet.
    is_at_start: bool,
}

/// One row that is not blank.
#[derive(Debug)]
pub struct Row<'a> {
    /// Where it starts.
    pub line: u64,
    /// The values in the order of the header, as many.
    pub cells: Result<Cells<'a>, RowFlaw>,
}

/// The values of a row; not necessarily UTF-8.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    bytes: &'a [u8],
    ends: &'a [usize],
}

/// Whether a file of this name is a table, or a workbook that should be one: whoever opens it learns what to do.
pub fn is_named_so(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    ["csv", "tsv", "tab", "xlsx", "xls", "ods", "numbers"]
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

impl<R: Read> Table<R> {
    /// Reads up to the header.
    ///
    /// # Errors
    /// [`TableFault`].
    pub fn open(input: R, row_bytes_max: usize) -> Result<Self, TableFault> {
        let mut reader = Reader::open(input, row_bytes_max)?;
        loop {
            if !reader.read()? {
                return Err(TableFault::Empty);
            }
            if !reader.cells().is_blank() {
                break;
            }
        }
        let width = reader.cells().ends.len();
        let header = names(reader.cells()).map_err(|fault| match fault {
            // Markdown has a bar before the first name.
            TableFault::Nameless(1) | TableFault::NoTable(Form::Index) if reader.separator() == b'|' => {
                TableFault::NoTable(Form::Drawn)
            }
            fault => fault,
        })?;
        Ok(Self { reader, header, width, key: None, is_at_start: true })
    }

    /// The names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The sign between the columns.
    pub fn separator(&self) -> char {
        self.reader.separator().into()
    }

    pub fn known_by(&mut self, key: Key) {
        self.key = Some(key);
    }

    /// Bytes of the file that were read so far.
    pub fn position(&self) -> u64 {
        self.reader.position()
    }

    /// The next row that is not blank.
    ///
    /// # Errors
    /// [`TableFault`], after which there are no more.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, TableFault> {
        loop {
            if !self.reader.read()? {
                return Ok(None);
            }
            if !self.reader.cells().is_blank() {
                break;
            }
        }
        if std::mem::take(&mut self.is_at_start) && form::is_ruling(self.reader.cells().bytes) {
            return Err(TableFault::NoTable(Form::Drawn));
        }
        let columns = self.header.len();
        let flaw = self.reader.flaw(self.key, columns);
        let cells = self.reader.cells();
        let cells = flaw.map_or_else(|| cells.of_header(columns, self.width), Err);
        Ok(Some(Row { line: self.reader.row_line(), cells }))
    }
}

/// Empty columns behind the last name are no columns: spreadsheets write them.
fn names(cells: Cells<'_>) -> Result<Vec<String>, TableFault> {
    let mut names = Vec::new();
    for (at, name) in cells.iter().enumerate() {
        let name = std::str::from_utf8(name).map_err(|_| TableFault::NotText(at + 1))?;
        names.push(name.trim().to_owned());
    }
    let named = names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    names.truncate(named);
    match names.iter().position(String::is_empty) {
        Some(0) if form::has_index(&names) => Err(TableFault::NoTable(Form::Index)),
        Some(at) => Err(TableFault::Nameless(at + 1)),
        None => Ok(names),
    }
}

/// What a spreadsheet writes where a formula failed: `#N/A`, `#REF!`, `#NAME?`, `#DIV/0!`, `Err:502`; as they are called in other
/// languages: `#NV`, `#BEZUG!`, `#¡REF!`; and where the column was too narrow: `###`.
pub fn is_failed_formula(value: &str) -> bool {
    const WORDS: [&str; 11] = [
        "N/A",
        "NV",
        "N/D",
        "N/B",
        "N/V",
        "I/T",
        "YOK",
        "HIÁNYZIK",
        "NENÍ_K_DISPOZICI",
        "Н/Д",
        "GETTING_DATA",
    ];
    if let Some(number) = value.strip_prefix("Err:") {
        return number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    }
    let Some(word) = value.strip_prefix('#') else { return false };
    if WORDS.contains(&word) || word.len() >= 2 && word.bytes().all(|byte| byte == b'#') {
        return true;
    }
    let name = word.trim_start_matches(['\u{a1}', '\u{bf}']).strip_suffix(['!', '?']);
    let is_of_name = |c: char| c.is_uppercase() || c == '/' || c == '0';
    name.is_some_and(|name| (3..=20).contains(&name.chars().count()) && name.chars().all(is_of_name))
}

/// A spreadsheet would run a cell that begins so; an apostrophe in front makes it a text.
pub fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{cell}").into()
    } else {
        cell.into()
    }
}

/// What stands in `="..."`, a formula that is nothing but a text.
fn as_text(cell: &[u8]) -> Option<&[u8]> {
    let text = cell.strip_prefix(b"=\"")?.strip_suffix(b"\"")?;
    (!text.contains(&b'"')).then_some(text)
}

impl<'a> Cells<'a> {
    pub fn get(self, at: usize) -> Option<&'a [u8]> {
        let end = *self.ends.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let cell = &self.bytes[start..end];
        Some(as_text(cell).unwrap_or(cell))
    }

    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        (0..self.ends.len()).filter_map(move |at| self.get(at))
    }

    fn is_blank(self) -> bool {
        // DOS ended its files with a sign of their own.
        self.bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == DOS_END)
    }

    fn of_header(self, columns: usize, width: usize) -> Result<Self, RowFlaw> {
        let is_empty = |cell: &[u8]| cell.iter().all(u8::is_ascii_whitespace);
        let found = self.ends.len();
        if !(columns..=width).contains(&found) {
            return Err(RowFlaw::ColumnCount { found, expected: columns });
        }
        if let Some(at) = self.iter().skip(columns).position(|cell| !is_empty(cell)) {
            return Err(RowFlaw::Nameless { column: columns + at + 1 });
        }
        Ok(Self { ends: &self.ends[..columns], ..self })
    }
}
