//! Cuts the text into rows and values. By hand, since a quotation mark that stays open has to be told with the line where it
//! opened, which the csv crate does not say.

use super::{Cells, Decoded, Form, Key, RowFlaw, TableFault};
use std::io::{BufRead, Read};
use zeroize::Zeroizing;

/// How the files begin that spreadsheets keep for themselves: ZIP (xlsx, ods, numbers) and OLE (xls).
const WORKBOOKS: [&[u8]; 2] = [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"];

/// Line ends of one value. An address has five lines, a note perhaps twenty; the rest of a file has more.
pub const LINES_IN_FIELD_MAX: u64 = 100;
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
const SEPARATOR_LINE: &[u8] = b"sep=";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    FieldStart,
    Plain,
    Quoted,
    /// A quotation mark within a quoted value: half of two, or the end.
    Quote,
    /// Blanks behind the end of a quoted value.
    Behind,
    /// A CR behind the end of a quoted value: half a line end, or nothing that belongs there.
    BehindCr,
}

/// A quoted value with line ends in it.
#[derive(Debug, Clone, Copy)]
struct LongField {
    cell: usize,
    opened: u64,
}

/// What one look at the input came to.
enum Step {
    On { used: usize, at: At },
    RowEnd { used: usize },
}

pub struct Reader<R> {
    input: Decoded<R>,
    separator: u8,
    /// Rows end in a CR alone.
    cr_ends: bool,
    row_bytes_max: usize,
    row: Record,
    /// Line of what is read next.
    line: u64,
    /// The row before ended in a CR, which an LF may follow as the same line end.
    after_cr: bool,
}

/// The row that is being read, or was read last.
#[derive(Default)]
struct Record {
    line: u64,
    bytes: Zeroizing<Vec<u8>>,
    ends: Vec<usize>,
    /// Line in which the quoted value opened that is being read.
    opened: Option<u64>,
    long_fields: Vec<LongField>,
    /// Likewise of the first value that goes on behind its end.
    behind_quote: Option<u64>,
}

impl<R: Read> Reader<R> {
    pub fn open(input: R, row_bytes_max: usize) -> Result<Self, TableFault> {
        let mut input = Decoded::new(input);
        let start = input.peek(row_bytes_max, has_first_line)?;
        if WORKBOOKS.iter().any(|mark| start.starts_with(mark)) {
            return Err(TableFault::Workbook);
        }
        if let Some(form) = Form::of(start) {
            return Err(TableFault::NoTable(form));
        }
        let cr_ends = has_cr_line_ends(start);
        let (separator, used) = match stated_separator(start) {
            Some((separator, used)) => (separator, used),
            None => (most_used_separator(start), 0),
        };
        input.consume(used);
        let line = if used > 0 { 2 } else { 1 };
        Ok(Self { input, separator, cr_ends, row_bytes_max, row: Record::default(), line, after_cr: false })
    }

    pub fn separator(&self) -> u8 {
        self.separator
    }

    pub fn position(&self) -> u64 {
        self.input.position()
    }

    pub fn cells(&self) -> Cells<'_> {
        Cells { bytes: &self.row.bytes, ends: &self.row.ends }
    }

    pub fn row_line(&self) -> u64 {
        self.row.line
    }

    /// Reads the next row, blank or not; `false` behind the last.
    ///
    /// # Errors
    /// [`TableFault`]; the reader must not be used after it.
    pub fn read(&mut self) -> Result<bool, TableFault> {
        self.row.begin(self.line);
        let (mut at, mut has_begun) = (At::FieldStart, false);
        loop {
            let chunk = self.input.fill_buf()?;
            let Some(&first) = chunk.first() else {
                return if has_begun { self.finish(at).map(|()| true) } else { Ok(false) };
            };
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                self.input.consume(1);
                continue;
            }
            has_begun = true;
            let step = self.row.take(
                chunk,
                at,
                Dialect { separator: self.separator, cr_ends: self.cr_ends },
                &mut self.line,
            );
            match step {
                Step::On { used, at: next } => {
                    self.input.consume(used);
                    at = next;
                }
                Step::RowEnd { used } => {
                    self.after_cr = chunk[used - 1] == b'\r';
                    self.input.consume(used);
                    self.line += 1;
                    return Ok(true);
                }
            }
            self.check()?;
        }
    }

    fn check(&self) -> Result<(), TableFault> {
        match self.row.opened {
            Some(opened) if self.line - opened > LINES_IN_FIELD_MAX => {
                Err(TableFault::FieldLines { line: opened })
            }
            _ if self.row.bytes.len() > self.row_bytes_max => {
                Err(TableFault::RowLength { line: self.row.line })
            }
            _ => Ok(()),
        }
    }

    /// The file ends within the row.
    fn finish(&mut self, at: At) -> Result<(), TableFault> {
        match (at, self.row.opened) {
            (At::Quoted, Some(line)) => Err(TableFault::QuoteOpen { line }),
            _ => {
                self.row.end_field(at, self.cr_ends, self.line);
                Ok(())
            }
        }
    }

    /// What is wrong with the row that was read, its number of columns aside.
    pub fn flaw(&self, key: Option<Key>, columns: usize) -> Option<RowFlaw> {
        if let Some(line) = self.row.behind_quote {
            return Some(RowFlaw::BehindQuote { line });
        }
        let key = key.filter(|_| columns > 1)?;
        let holds_rows = |field: &&LongField| {
            let value = self.cells().get(field.cell).unwrap_or_default();
            let mut lines = value.split(|byte| matches!(byte, b'\n' | b'\r')).skip(1).peekable();
            while let Some(line) = lines.next() {
                let cells: Vec<&[u8]> = line.split(|byte| *byte == self.separator).collect();
                // The quotation mark that closed the value stands somewhere in the last of them.
                let enough = if lines.peek().is_some() { columns } else { columns.min(key.column + 2) };
                let named = cells.get(key.column).map(|cell| unquoted(cell));
                if cells.len() >= enough && named.is_some_and(key.is_one) {
                    return true;
                }
            }
            false
        };
        let field = self.row.long_fields.iter().find(holds_rows)?;
        Some(RowFlaw::HoldsRows { line: field.opened })
    }
}

#[derive(Debug, Clone, Copy)]
struct Dialect {
    separator: u8,
    cr_ends: bool,
}

impl Record {
    fn begin(&mut self, line: u64) {
        self.line = line;
        self.bytes.clear();
        self.ends.clear();
        self.long_fields.clear();
        (self.opened, self.behind_quote) = (None, None);
    }

    /// Takes what can be taken at once.
    fn take(&mut self, chunk: &[u8], at: At, dialect: Dialect, line: &mut u64) -> Step {
        let Dialect { separator, cr_ends } = dialect;
        let ends_row = |byte: u8| byte == b'\n' || (cr_ends && byte == b'\r');
        let first = chunk[0];
        match at {
            At::FieldStart if first == b'"' => {
                self.opened = Some(*line);
                Step::On { used: 1, at: At::Quoted }
            }
            At::FieldStart | At::Plain => {
                let row_end = if cr_ends { b'\r' } else { b'\n' };
                let found = memchr::memchr3(separator, b'\n', row_end, chunk);
                self.bytes.extend_from_slice(&chunk[..found.unwrap_or(chunk.len())]);
                match found {
                    None => Step::On { used: chunk.len(), at: At::Plain },
                    Some(end) => self.end(chunk[end], end + 1, (At::Plain, dialect), *line),
                }
            }
            At::Quoted => {
                let found = memchr::memchr(b'"', chunk);
                let value = &chunk[..found.unwrap_or(chunk.len())];
                *line += memchr::memchr_iter(if cr_ends { b'\r' } else { b'\n' }, value).count() as u64;
                self.bytes.extend_from_slice(value);
                match found {
                    None => Step::On { used: chunk.len(), at },
                    Some(quote) => Step::On { used: quote + 1, at: At::Quote },
                }
            }
            At::Quote if first == b'"' => {
                self.bytes.push(b'"');
                Step::On { used: 1, at: At::Quoted }
            }
            At::Quote | At::Behind if first == b' ' => Step::On { used: 1, at: At::Behind },
            At::Quote | At::Behind if first == b'\r' && !cr_ends => Step::On { used: 1, at: At::BehindCr },
            At::Quote | At::Behind if first == separator || ends_row(first) => {
                self.end(first, 1, (at, dialect), *line)
            }
            At::BehindCr if first == b'\n' => self.end(first, 1, (at, dialect), *line),
            At::Quote | At::Behind | At::BehindCr => {
                self.behind_quote = self.behind_quote.or(self.opened);
                Step::On { used: 0, at: At::Plain }
            }
        }
    }

    fn end(&mut self, byte: u8, used: usize, (at, dialect): (At, Dialect), line: u64) -> Step {
        self.end_field(at, dialect.cr_ends, line);
        if byte == dialect.separator { Step::On { used, at: At::FieldStart } } else { Step::RowEnd { used } }
    }

    fn end_field(&mut self, at: At, cr_ends: bool, line: u64) {
        let start = self.ends.last().copied().unwrap_or_default();
        if at == At::Plain && !cr_ends && self.bytes.len() > start && self.bytes.ends_with(b"\r") {
            self.bytes.pop();
        }
        if let Some(opened) = self.opened.take().filter(|opened| line > *opened) {
            self.long_fields.push(LongField { cell: self.ends.len(), opened });
        }
        self.ends.push(self.bytes.len());
    }
}

fn unquoted(cell: &[u8]) -> &[u8] {
    let cell = cell.trim_ascii();
    cell.strip_prefix(b"\"").and_then(|cell| cell.strip_suffix(b"\"")).unwrap_or(cell)
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Enough to tell the dialect by: the first line that is not blank, and what follows its end.
fn has_first_line(start: &[u8]) -> bool {
    let first = start.iter().position(|byte| !byte.is_ascii_whitespace());
    let end =
        first.and_then(|first| Some(first + start[first..].iter().position(|byte| is_line_end(*byte))?));
    end.is_some_and(|end| end + 1 < start.len())
}

/// Whether the first line end is a CR alone: old programs on Macs write them. Elsewhere a CR alone is part of a value.
fn has_cr_line_ends(start: &[u8]) -> bool {
    let first = start.iter().position(|byte| is_line_end(*byte));
    first.is_some_and(|at| start[at] == b'\r' && start.get(at + 1) != Some(&b'\n'))
}

/// `sep=;` as the first line, as Excel writes and reads it, and how long that line is.
fn stated_separator(start: &[u8]) -> Option<(u8, usize)> {
    let end = start.iter().position(|byte| is_line_end(*byte))?;
    let line = unquoted(&start[..end]);
    let (word, separator) = line.split_at_checked(SEPARATOR_LINE.len())?;
    // A tab is cut off as a blank at the end of the line.
    let separator = match separator {
        [separator] if separator.is_ascii_punctuation() => *separator,
        [] if start[..end].ends_with(b"\t") => b'\t',
        _ => return None,
    };
    let used = if start[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
    (word.eq_ignore_ascii_case(SEPARATOR_LINE) && separator != b'"').then_some((separator, used))
}

/// Of the first line that is not blank, outside of quotation marks.
fn most_used_separator(start: &[u8]) -> u8 {
    let mut lines = start.split(|byte| is_line_end(*byte));
    let line = lines.find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let outside = || line.split(|byte| *byte == b'"').step_by(2).flatten();
    let count = |separator: u8| outside().filter(|byte| **byte == separator).count();
    // The first of those that are used equally often.
    let most = SEPARATORS.into_iter().rev().max_by_key(|separator| count(*separator));
    most.unwrap_or(SEPARATORS[0])
}
