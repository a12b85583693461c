//! What was saved of a damaged database file, for whoever is told.

use std::fmt;
use std::path::PathBuf;

/// What came of a damaged file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// Where the damaged file lies now.
    pub moved_to: PathBuf,
    /// Held jobs that were saved.
    pub jobs: u64,
    /// Held jobs of which only a part could be read: they are not sent.
    pub lost: u64,
    /// Whether every row could be read.
    pub is_complete: bool,
}

impl fmt::Display for Salvaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { moved_to, jobs, lost, is_complete } = self;
        let rest = if *is_complete { "all of it was read" } else { "a part of it cannot be read" };
        write!(f, "it lies at {}, {jobs} held jobs were saved, {lost} lost, {rest}", moved_to.display())
    }
}
