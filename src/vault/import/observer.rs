//! Whoever is told of an import while it runs.

use super::Summary;
use crate::vault::cause::Refusal;
use crate::vault::value::Notice;
use crate::vault::writer::Stored;
use std::io;

/// What an import tells while it runs.
pub trait Observer {
    /// A row is in the vault, on disk. `matched` is the row's value in the column asked for.
    ///
    /// # Errors
    /// An error ends the import; what was stored stays.
    fn stored(&mut self, line: u64, stored: &Stored, matched: Option<&str>) -> io::Result<()>;

    /// A row was refused.
    fn refused(&mut self, line: u64, refusal: &Refusal);

    /// A column that is kept as a field says by its name who may be mailed, and what it holds keeps nobody from being mailed.
    fn reads_like_consent(&mut self, _column: &str) {}

    /// A column that is kept as a field holds a word by which lists say who is gone.
    fn holds_word_of_leaving(&mut self, _column: &str, _word: &'static str) {}

    /// A row that is taken may be wrong.
    fn noticed(&mut self, _line: u64, _notice: Notice) {}

    /// What refused rows withdrew about so many addresses and tokens that nobody in the vault has is not known any more, and was not applied to
    /// those that later rows brought.
    fn withdrawals_forgotten(&mut self, _names: u64) {}

    /// How far the file has been read.
    fn progress(&mut self, _bytes: u64, _so_far: &Summary) {}
}
