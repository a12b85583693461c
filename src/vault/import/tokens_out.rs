//! The list of an import's tokens for the campaign engine: line, tokens, and the one column that the operator
//! chose to tell rows apart; never an address.

use crate::job::Token;
use crate::table;
use crate::vault::address::Phone;
use crate::vault::writer::Stored;
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// The columns that every list begins with.
pub const HEADER: [&str; 3] = ["line", "email_token", "mobile_token"];

/// A CSV file that only its owner may read. It appears when it is whole: until then an older one stays.
pub struct TokensOut {
    list: csv::Writer<BufWriter<File>>,
    /// Where it is written until then, and where it belongs; nothing for what is no plain file, such as a pipe.
    unfinished: Option<(TempPath, PathBuf)>,
    has_match_column: bool,
    amiss: Amiss,
}

/// Values of the chosen column that are not in the list as the file has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amiss {
    /// They are what tokens stand for.
    pub left_out: u64,
    /// They have got an apostrophe in front.
    pub marked: u64,
}

impl TokensOut {
    /// Starts the list.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path, match_column: Option<&str>) -> io::Result<Self> {
        // The file that a link leads to is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (file, unfinished) = match fs::metadata(&path) {
            Ok(found) if !found.is_file() => (File::options().write(true).open(&path)?, None),
            _ => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let new = tempfile::Builder::new()
                    .prefix(".tokens-")
                    .tempfile_in(folder.unwrap_or(Path::new(".")))?;
                let (file, new) = new.into_parts();
                (file, Some((new, path)))
            }
        };
        let mut list = csv::Writer::from_writer(BufWriter::new(file));
        list.write_record(HEADER.into_iter().chain(match_column)).map_err(io::Error::from)?;
        Ok(Self { list, unfinished, has_match_column: match_column.is_some(), amiss: Amiss::default() })
    }

    /// One row's tokens. A value that is an address or a phone number is left out, and counted; what a spreadsheet would run as a
    /// formula gets an apostrophe in front, as in every list that is written here.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, line: u64, stored: &Stored, matched: Option<&str>) -> io::Result<()> {
        let number = line.to_string();
        let text = |token: &'_ Option<Token>| token.as_ref().map_or(String::new(), |t| t.as_str().to_owned());
        let (email, mobile) = (text(&stored.email_token), text(&stored.mobile_token));
        let told = matched.filter(|value| !is_address(value));
        self.amiss.left_out += u64::from(told.is_none() && matched.is_some());
        let matched = self.has_match_column.then(|| table::harmless(told.unwrap_or_default()));
        self.amiss.marked += u64::from(matches!(matched, Some(Cow::Owned(_))));
        let row = [number.as_str(), &email, &mobile];
        self.list.write_record(row.into_iter().chain(matched.as_deref())).map_err(io::Error::from)
    }

    /// Whether there is an older list in its place.
    pub fn replaces_another(&self) -> bool {
        self.unfinished.as_ref().is_some_and(|(_, path)| path.exists())
    }

    pub fn amiss(&self) -> Amiss {
        self.amiss
    }

    /// Puts everything on disk, in place of an older list.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> io::Result<()> {
        let file = self.list.into_inner().map_err(|error| error.into_error())?;
        let file = file.into_inner().map_err(|error| error.into_error())?;
        match self.unfinished {
            Some((new, path)) => {
                file.sync_all()?;
                new.persist(path).map_err(|error| error.error)
            }
            None => Ok(()),
        }
    }
}

/// What has a sign of an address in its middle, or is a whole phone number with its country.
fn is_address(value: &str) -> bool {
    let value = value.trim();
    let is_email = value.char_indices().any(|(at, c)| c == '@' && at > 0);
    is_email || value.starts_with('+') && value.len() > 7 && Phone::parse(value).is_ok()
}
