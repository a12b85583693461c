//! The list of an import's tokens for the campaign engine: line, tokens, and the one column that the operator
//! chose to tell rows apart; never an address.

use crate::job::Token;
use crate::vault::writer::Stored;
use std::fs::File;
use std::io::{self, BufWriter};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// A CSV file that only its owner may read.
pub struct TokensOut {
    list: csv::Writer<BufWriter<File>>,
    has_match_column: bool,
}

impl TokensOut {
    /// Starts the list, in place of an older one.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path, match_column: Option<&str>) -> io::Result<Self> {
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        // An older file keeps its mode when it is opened.
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        let mut list = csv::Writer::from_writer(BufWriter::new(file));
        let header = ["line", "email_token", "mobile_token"];
        list.write_record(header.into_iter().chain(match_column)).map_err(io::Error::from)?;
        Ok(Self { list, has_match_column: match_column.is_some() })
    }

    /// One row's tokens. A value that looks like an address, or that a spreadsheet would run as a formula, is
    /// left out.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, line: u64, stored: &Stored, matched: Option<&str>) -> io::Result<()> {
        let number = line.to_string();
        let text = |token: &'_ Option<Token>| token.as_ref().map_or(String::new(), |t| t.as_str().to_owned());
        let (email, mobile) = (text(&stored.email_token), text(&stored.mobile_token));
        let harmless = |value: &&str| !value.contains('@') && !value.starts_with(['=', '+', '-', '\t', '\r']);
        let matched = self.has_match_column.then(|| matched.filter(harmless).unwrap_or_default());
        let row = [number.as_str(), &email, &mobile];
        self.list.write_record(row.into_iter().chain(matched)).map_err(io::Error::from)
    }

    /// Puts everything on disk.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> io::Result<()> {
        let file = self.list.into_inner().map_err(|error| error.into_error())?;
        file.into_inner().map_err(|error| error.into_error())?.sync_all()
    }
}
