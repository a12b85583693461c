//! What a parser of HTML, kept by others, makes of a text where our own tokenizer cannot know.

use super::lines::At;
use std::collections::BTreeSet;

/// Empty, where the two agree.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// Tags that end no line or field, though they would where they are meant to stand: by the piece of the text and the byte
    /// of their `>`.
    pub(super) passed_over: BTreeSet<(usize, usize)>,
    /// Markup of the job that stands in a table, outside of its cells.
    pub(super) rows: BTreeSet<At>,
}

impl Tree {
    pub(super) fn is_passed_over(&self, piece: usize, byte: usize) -> bool {
        !self.passed_over.is_empty() && self.passed_over.contains(&(piece, byte))
    }
}
