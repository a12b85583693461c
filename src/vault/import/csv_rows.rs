//! Rows of a CSV file (RFC 4180) with a header: comma, semicolon or tab between the columns, a byte order mark
//! and any line end taken.

use super::source::{READ_BYTES, RowLimit, Source};
use super::{HeaderFault, ImportError, Row};
use crate::vault::draft::{Cause, Column, Draft, Refusal};
use csv::ByteRecord;
use std::io::{self, BufRead, BufReader, Read};
use zeroize::Zeroizing;

pub struct CsvRows<R: Read> {
    reader: csv::Reader<BufReader<Source<R>>>,
    limit: RowLimit,
    columns: Vec<Column>,
    match_column: Option<usize>,
    record: ByteRecord,
}

impl<R: Read> CsvRows<R> {
    pub fn open(source: Source<R>, match_column: Option<&str>) -> Result<Self, ImportError> {
        let limit = source.row_limit();
        limit.start_row();
        let mut input = BufReader::with_capacity(READ_BYTES, source);
        let delimiter = delimiter_in(input.fill_buf().map_err(ImportError::Read)?);
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            // Only this way are line numbers exact: the CR of a CRLF is taken off below.
            .terminator(csv::Terminator::Any(b'\n'))
            .buffer_capacity(READ_BYTES)
            .from_reader(input);
        let mut rows =
            Self { reader, limit, columns: Vec::new(), match_column: None, record: ByteRecord::new() };
        if !rows.read()? {
            return Err(ImportError::Header(HeaderFault::Empty));
        }
        rows.columns = columns_of(&rows.record).map_err(ImportError::Header)?;
        if let Some(name) = match_column {
            let at = rows.columns.iter().position(|column| column.name() == name);
            rows.match_column = Some(at.ok_or(ImportError::Header(HeaderFault::NoMatchColumn))?);
        }
        Ok(rows)
    }

    pub fn next(&mut self) -> Result<Option<Row>, ImportError> {
        while self.read()? {
            if self.record.as_slice() != b"\r" {
                return Ok(Some(Row { line: self.line(), draft: self.draft(), matched: self.matched() }));
            }
        }
        Ok(None)
    }

    fn read(&mut self) -> Result<bool, ImportError> {
        self.limit.start_row();
        let before = self.reader.position().line();
        self.reader.read_byte_record(&mut self.record).map_err(|error| {
            if self.limit.is_reached() {
                return ImportError::RowLength { line: before };
            }
            ImportError::Read(match error.into_kind() {
                csv::ErrorKind::Io(error) => error,
                _ => io::ErrorKind::InvalidData.into(),
            })
        })
    }

    /// Line of the file at which the row starts, from 1: counted back from the row's end, because blank lines
    /// before a row are read with it.
    fn line(&self) -> u64 {
        let within = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        self.reader.position().line() - 1 - within
    }

    fn draft(&self) -> Result<Draft, Refusal> {
        if self.record.len() != self.columns.len() {
            return Err(Cause::ColumnCount { found: self.record.len(), expected: self.columns.len() }.into());
        }
        let mut draft = Draft::default();
        for (at, column) in self.columns.iter().enumerate() {
            let value = std::str::from_utf8(self.value(at))
                .map_err(|_| Refusal { column: Some(column.name().into()), cause: Cause::Utf8 })?;
            draft.set(column, value)?;
        }
        draft.checked()
    }

    fn matched(&self) -> Option<Zeroizing<String>> {
        let value = self.value(self.match_column?);
        Some(Zeroizing::new(std::str::from_utf8(value).ok()?.to_owned()))
    }

    fn value(&self, at: usize) -> &[u8] {
        let value = self.record.get(at).unwrap_or_default();
        if at + 1 == self.record.len() { value.strip_suffix(b"\r").unwrap_or(value) } else { value }
    }
}

/// The separator that the first line uses most.
fn delimiter_in(start: &[u8]) -> u8 {
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| line.iter().filter(|byte| **byte == delimiter).count();
    let [comma, semicolon, tab] = [b',', b';', b'\t'].map(count);
    if comma >= semicolon && comma >= tab {
        b','
    } else if semicolon >= tab {
        b';'
    } else {
        b'\t'
    }
}

fn columns_of(header: &ByteRecord) -> Result<Vec<Column>, HeaderFault> {
    let mut columns: Vec<Column> = Vec::with_capacity(header.len());
    for (at, name) in header.iter().enumerate() {
        let name = std::str::from_utf8(name).map_err(|_| HeaderFault::Name(at + 1))?;
        let column = Column::named(name.trim_ascii()).map_err(|_| HeaderFault::Name(at + 1))?;
        if let Some(earlier) = columns.iter().position(|other| *other == column) {
            return Err(HeaderFault::Twice(earlier + 1, at + 1));
        }
        columns.push(column);
    }
    if columns.iter().any(Column::identifies) { Ok(columns) } else { Err(HeaderFault::NoAddress) }
}
