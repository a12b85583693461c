//! Why something about a person is not stored: the column and the cause, never the value.

use super::address::{AddressFault, PhoneFault};
use super::value::NoValue;
use crate::counted::counted;
use std::sync::Arc;

/// Why a row, or one column of it, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error("not an e-mail address: {0}")]
    Email(AddressFault),
    #[error("not a phone number: {0}")]
    Phone(PhoneFault),
    #[error(
        "not a token; a token is e_ or m_ followed by letters, digits, - _ or dots, 8 to 64 octets, without @"
    )]
    Token,
    #[error("a token of the wrong kind; addresses have e_ tokens, phone numbers m_ tokens")]
    TokenKind,
    #[error("an m_ token needs a phone number, an e_ token an e-mail address")]
    TokenWithoutAddress,
    #[error("given twice")]
    Twice,
    #[error(
        "names are 1 to 64 letters, digits and _, not starting with a digit, as in {{{{person.first_name}}}}"
    )]
    ColumnName,
    #[error("longer than 64 KiB")]
    ValueLength,
    #[error("all values together are longer than 512 KiB, or there are more than 500 fields")]
    RecordLength,
    #[error("holds a NUL character")]
    Nul,
    #[error(
        "is what a spreadsheet writes where a formula failed (such as #N/A) or a column was too narrow (###); people would be addressed by it"
    )]
    SheetError,
    #[error("{0}")]
    NoValue(NoValue),
    /// Of a field, whose values may be taken as they are.
    #[error("{0}")]
    Unlikely(NoValue),
    #[error("begins with the apostrophe by which spreadsheets mark a text; save the column without it")]
    TextMark,
    #[error("not UTF-8; save the file as UTF-8")]
    Utf8,
    #[error(
        "purposes are words of letters, digits, - _ or dots that begin with a letter, separated by spaces or commas; a leading - means refused"
    )]
    Purpose,
    #[error(
        "says yes or no, and not to what; write the purposes (marketing service), with a leading - what was refused \
         (-marketing); or import with --consent-for marketing, and the column's words count as yes or no to marketing"
    )]
    Answer,
    #[error(
        "neither yes nor no, as --consent-for asks; write yes or no (true, false, 1, 0, opt-in, opt-out, ...), or leave it empty"
    )]
    NoAnswer,
    #[error(
        "no purpose that an engine or template names; did you mean {0}? (Or name it in purposes of an [[engine]] first)"
    )]
    NearPurpose(Arc<str>),
    #[error("the same purpose is both given and refused")]
    Contradiction,
    #[error("not a day; write YYYY-MM-DD")]
    Day,
    #[error("has neither email nor phone, and no token of a person already in the vault")]
    NoAddress,
    #[error("{} where the header has {expected}", counted(*.found as u64, "column"))]
    ColumnCount { found: usize, expected: usize },
    #[error("not valid JSON at character {0} of the line")]
    Json(usize),
    #[error(
        "not a JSON object; each line is one object like {{\"email\":\"...\",\"first_name\":\"...\"}} (jq -c '.[]' makes them of a list)"
    )]
    NotAnObject,
    #[error("a list or object; values are text, numbers, true, false or null")]
    Nested,
    #[error("{0}")]
    Row(crate::table::RowFlaw),
    #[error("longer than 1 MiB")]
    LineLength,
    #[error(
        "this token already stands for another address; if the address has changed, import with \
         --change-addresses or use: tokenrelay vault put"
    )]
    TokenTaken,
    #[error("this person already has another token of this kind; tokens are never exchanged")]
    OtherToken,
    #[error("this address belongs to another person already in the vault")]
    AddressTaken,
    #[error("{0}")]
    Damaged(super::error::Damaged),
}

/// A refusal with the column it is about, if it is about one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub column: Option<Arc<str>>,
    pub cause: Cause,
    /// What the row withdraws of consent was stored all the same.
    pub withdrew: bool,
}

impl Refusal {
    pub fn of(column: &str, cause: Cause) -> Self {
        Self { column: Some(column.into()), cause, withdrew: false }
    }

    pub(super) fn is_of_consent(&self) -> bool {
        self.column.as_deref() == Some("consent")
    }
}

impl From<Cause> for Refusal {
    fn from(cause: Cause) -> Self {
        Self { column: None, cause, withdrew: false }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(column) = &self.column {
            write!(f, "{column}: ")?;
        }
        write!(f, "{}", self.cause)?;
        if let (Some(column), Cause::Unlikely(_) | Cause::SheetError) = (&self.column, &self.cause) {
            write!(f, "; where it is right as it stands, add --as-is {column}")?;
        }
        if self.withdrew { f.write_str(" (the consent that the row withdraws is withdrawn)") } else { Ok(()) }
    }
}
