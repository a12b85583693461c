//! The file being imported: counts what was read, ends the last line where the file does not, and refuses to
//! hand out more than one row may be long.

use super::ROW_BYTES_MAX;
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Bytes asked of the file at once.
pub const READ_BYTES: usize = 128 * 1024;

/// A reader that says where it is and stops a row that does not end.
pub struct Source<R> {
    inner: R,
    position: Rc<Cell<u64>>,
    /// Position at which the current row becomes too long.
    row_end_max: Rc<Cell<u64>>,
    last_byte: u8,
}

/// Moves the limit of a [`Source`] along with the rows.
pub struct RowLimit {
    position: Rc<Cell<u64>>,
    row_end_max: Rc<Cell<u64>>,
}

impl RowLimit {
    /// A new row starts about here; what is already buffered comes on top.
    pub fn start_row(&self) {
        self.row_end_max.set(self.position.get() + ROW_BYTES_MAX as u64);
    }

    pub fn is_reached(&self) -> bool {
        self.position.get() >= self.row_end_max.get()
    }
}

impl<R: Read> Source<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, position: Rc::default(), row_end_max: Rc::new(Cell::new(u64::MAX)), last_byte: b'\n' }
    }

    pub fn position(&self) -> Rc<Cell<u64>> {
        self.position.clone()
    }

    pub fn row_limit(&self) -> RowLimit {
        RowLimit { position: self.position.clone(), row_end_max: self.row_end_max.clone() }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position.get() >= self.row_end_max.get() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let count = self.inner.read(buffer)?;
        if let (0, false, Some(first)) = (count, self.last_byte == b'\n', buffer.first_mut()) {
            self.last_byte = b'\n';
            *first = b'\n';
            return Ok(1);
        }
        self.last_byte = buffer[..count].last().copied().unwrap_or(self.last_byte);
        self.position.set(self.position.get() + count as u64);
        Ok(count)
    }
}
