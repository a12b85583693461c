//! Rows of a table of people: each column is a field, or means what its name says.

use super::naming::{better_names, meant_for_address};
use super::{HeaderFault, ImportError, Options, ROW_BYTES_MAX, Row};
use crate::nearest::did_you_mean;
use crate::table::{Cells, Key, RowFlaw, Table, TableFault};
use crate::vault::address::{Phone, PhoneFault};
use crate::vault::cause::{Cause, Refusal};
use crate::vault::column::Column;
use crate::vault::draft::Draft;
use crate::vault::value::Words;
use std::io::Read;
use zeroize::Zeroizing;

pub struct CsvRows<R> {
    table: Table<R>,
    columns: Vec<Column>,
    match_column: Option<usize>,
    words: Words,
}

impl<R: Read> CsvRows<R> {
    pub fn open(input: R, options: &Options) -> Result<Self, ImportError> {
        let mut table = Table::open(input, ROW_BYTES_MAX).map_err(|fault| match fault {
            TableFault::Empty => ImportError::Header(HeaderFault::Empty),
            TableFault::Nameless(at) | TableFault::NotText(at) => ImportError::Header(HeaderFault::Name(at)),
            fault => ImportError::Table(fault),
        })?;
        let columns = columns_of(table.header(), table.separator()).map_err(ImportError::Header)?;
        let columns: Vec<Column> = columns.into_iter().map(|column| options.column(column)).collect();
        if let Some(key) = columns.iter().enumerate().find_map(|(at, column)| key_of(at, column)) {
            table.known_by(key);
        }
        let at = |name: &str| columns.iter().position(|column| column.name() == name);
        let match_column = match options.match_column.as_deref() {
            Some(name) => Some(at(name).ok_or_else(|| {
                let near = did_you_mean(name, columns.iter().map(Column::name));
                ImportError::Header(HeaderFault::NoMatchColumn { near })
            })?),
            None => None,
        };
        Ok(Self { table, columns, match_column, words: options.words.clone() })
    }

    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter()
    }

    pub fn position(&self) -> u64 {
        self.table.position()
    }

    pub fn next(&mut self) -> Result<Option<Row>, ImportError> {
        let Some(row) = self.table.next_row()? else { return Ok(None) };
        let line = row.line;
        Ok(Some(match row.cells {
            Ok(cells) => {
                let matched = self.match_column.and_then(|at| matched(cells, at));
                Row { line, draft: draft(&self.columns, &self.words, cells), matched }
            }
            Err(RowFlaw::ColumnCount { found, expected }) => {
                let draft = Draft::unreadable(Cause::ColumnCount { found, expected });
                Row { line, draft, matched: None }
            }
            Err(flaw) => Row { line, draft: Draft::unreadable(Cause::Row(flaw)), matched: None },
        }))
    }
}

/// What tells a row of such a file from a line of a value.
fn key_of(at: usize, column: &Column) -> Option<Key> {
    let is_one = match column {
        Column::Email => is_like_address,
        Column::Token | Column::EmailToken | Column::MobileToken => is_like_token,
        Column::Phone => is_like_phone,
        Column::Consent | Column::Answer(_) | Column::Retention | Column::Field(_) => return None,
    };
    Some(Key { column: at, is_one })
}

fn is_like_address(cell: &[u8]) -> bool {
    cell.contains(&b'@') && !cell.iter().any(u8::is_ascii_whitespace)
}

fn is_like_token(cell: &[u8]) -> bool {
    cell.starts_with(b"e_") || cell.starts_with(b"m_")
}

fn is_like_phone(cell: &[u8]) -> bool {
    let parsed = std::str::from_utf8(cell).map(Phone::parse);
    matches!(parsed, Ok(Ok(_) | Err(PhoneFault::Fraction | PhoneFault::Shortened)))
}

fn draft(columns: &[Column], words: &Words, cells: Cells<'_>) -> Draft {
    let mut draft = Draft::reading(words);
    for (column, value) in columns.iter().zip(cells.iter()) {
        match std::str::from_utf8(value) {
            Ok(value) => draft.read(column, value),
            Err(_) => draft.refuse(Refusal::of(column.name(), Cause::Utf8)),
        }
    }
    draft.finished()
}

fn matched(cells: Cells<'_>, at: usize) -> Option<Zeroizing<String>> {
    Some(Zeroizing::new(std::str::from_utf8(cells.get(at)?).ok()?.to_owned()))
}

fn columns_of(header: &[String], separator: char) -> Result<Vec<Column>, HeaderFault> {
    let mut columns: Vec<Column> = Vec::with_capacity(header.len());
    let is_named = |name: &String| Column::named(name).is_ok_and(|column| column.identifies());
    let is_like_one = |name: &String| is_named(name) || meant_for_address(name).is_some();
    let is_header = header.iter().any(is_like_one) && header.iter().all(|name| may_be_told(name));
    for (at, name) in header.iter().enumerate() {
        let second = at + 1;
        let Ok(column) = Column::named(name) else {
            return Err(match is_header {
                true => beside(header, at).unwrap_or_else(|| HeaderFault::NotAName {
                    at: second,
                    name: name.clone(),
                    all: better_names(header).map(|names| names.join(&separator.to_string())),
                }),
                false => HeaderFault::Name(second),
            });
        };
        if let Some(earlier) = columns.iter().position(|other| *other == column) {
            let first = earlier + 1;
            return Err(match is_header {
                true => HeaderFault::NamedTwice { first, second, name: column.name().into() },
                false => HeaderFault::Twice(first, second),
            });
        }
        columns.push(column);
    }
    if columns.iter().any(Column::identifies) {
        return Ok(columns);
    }
    let like_one = header.iter().position(|name| meant_for_address(name).is_some());
    Err(like_one.map_or(HeaderFault::NoAddress, |at| HeaderFault::LikeAddress {
        at: at + 1,
        name: header[at].clone(),
    }))
}

/// Of a column that is called like the addresses in another program, beside the one that is called so here: to rename it would
/// make two of one name.
fn beside(header: &[String], at: usize) -> Option<HeaderFault> {
    let meant = meant_for_address(&header[at])?;
    let first =
        header.iter().position(|other| Column::named(other).is_ok_and(|column| column.name() == meant))?;
    Some(HeaderFault::Beside { first: first + 1, second: at + 1, name: header[at].clone(), meant })
}

/// A name that reaches into the rows, as where lines end in a sign that ends none, holds what is a person's.
fn may_be_told(name: &str) -> bool {
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    !name.contains('@') && digits < 5 && name.chars().count() <= 64 && !name.contains(is_line_end)
}

fn is_line_end(c: char) -> bool {
    c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}')
}
