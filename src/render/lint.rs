//! A mistake in a template: where it is, what is wrong, what to change.

use super::escape::printable;
use std::fmt;

/// One mistake. Holds names and positions of the template's own text, never a value of a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Lint {
    /// The file or part, such as `welcome/he/body.html.hbs`.
    pub place: String,
    /// From 1; 0 when the mistake belongs to no line.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub cause: String,
    pub fix: String,
}

impl Lint {
    pub fn new(place: &str, at: (usize, usize), cause: impl Into<String>, fix: impl Into<String>) -> Self {
        // Names come from the template as they are: an escape sequence in one must not reach a terminal or log.
        let clean = |text: String| printable(&text).into_owned();
        let (cause, fix) = (clean(cause.into()), clean(fix.into()));
        Self { place: printable(place).into_owned(), line: at.0, column: at.1, cause, fix }
    }
}

impl Lint {
    /// Its place, with line and column where it has one.
    pub fn whereabouts(&self) -> String {
        match self.line {
            0 => self.place.clone(),
            line => format!("{}:{line}:{}", self.place, self.column),
        }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; fix: {}", self.whereabouts(), self.cause, self.fix)
    }
}

impl std::error::Error for Lint {}
