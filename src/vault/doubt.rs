//! A file that was written behind SQLite's back. Half a copy may look like a vault in which somebody is missing, and nobody
//! must be told for good that a token is unknown because of that: so the file is read from end to end first.

use super::error::{Trouble, VaultError, store_error};
use super::keyring::{Keyring, VaultRow};
use super::root_key::RootKey;
use super::sentry::{Closing, Log, Stamp};
use super::{store, verify};
use rusqlite::Connection;
use std::path::Path;

/// What is known of it so far.
#[derive(Debug, Clone, Default)]
pub struct Doubt {
    /// As it was at the last look.
    stamp: Option<Stamp>,
    /// What is wrong with it as it stands there.
    finding: Option<VaultError>,
}

impl Doubt {
    /// Why nobody is read meanwhile.
    pub fn cause(&self, path: &Path) -> VaultError {
        self.finding.clone().unwrap_or_else(|| VaultError::Unavailable {
            path: path.to_owned(),
            trouble: Trouble::Overwritten,
        })
    }

    /// What it looks like now, to see whether it stands still.
    pub fn begins_with(&mut self, path: &Path) {
        self.stamp = Stamp::at(path).ok();
    }

    /// Reads it from end to end once it has stood still from one look to the next; `None` when it is whole. What was found
    /// wrong stays so until the file changes.
    pub fn after_a_look(self, path: &Path, row: &VaultRow, keys: &Keyring) -> Option<Self> {
        let now = match Stamp::at(path) {
            Ok(now) => now,
            Err(cause) => return Some(Self { stamp: None, finding: Some(cause) }),
        };
        if self.stamp != Some(now) {
            return Some(Self { stamp: Some(now), finding: None });
        }
        if self.finding.as_ref().is_some_and(|finding| !finding.is_transient()) {
            return Some(self);
        }
        let found = examine(path, row, keys);
        // It was written meanwhile, or its mode was mended.
        let after = Stamp::at(path).ok();
        match found {
            Ok(()) if after == Some(now) => None,
            Ok(()) => Some(Self { stamp: after, finding: None }),
            Err(cause) => Some(Self { stamp: after, finding: Some(cause) }),
        }
    }
}

/// The first look at a vault, and its format. A log that a killed process has left is put into a file that came there later
/// only when both together are a whole vault.
pub fn open_first(path: &Path, root: &RootKey) -> Result<(VaultRow, Keyring, i64), VaultError> {
    let is_suspect = store::is_younger_than_its_log(path);
    match unlock(path, root, is_suspect) {
        Err(VaultError::DamagedFile { .. }) if is_suspect => {
            Err(VaultError::Unavailable { path: path.to_owned(), trouble: Trouble::ForeignLog })
        }
        opened => opened,
    }
}

fn unlock(path: &Path, root: &RootKey, is_suspect: bool) -> Result<(VaultRow, Keyring, i64), VaultError> {
    let failed = store_error(path);
    let mut db = store::connect(path, store::Use::Read)?;
    let (row, keys) = store::unlock(path, &db, root)?;
    if is_suspect && Log::of(&db).map_err(&failed)?.has_more() {
        is_whole(path, &mut db, &row, &keys)?;
        // As it would have been when its last connection was closed; left to others where somebody reads.
        let _ = store::checkpoint(&db);
    }
    let format = store::format_of(&db).map_err(failed)?;
    Ok((row, keys, format))
}

fn examine(path: &Path, row: &VaultRow, keys: &Keyring) -> Result<(), VaultError> {
    let mut db = store::connect(path, store::Use::Read)?;
    let found = is_whole(path, &mut db, row, keys);
    // A log that belongs to another copy must not get into the file.
    Closing::HandsOff.close(db);
    found
}

fn is_whole(path: &Path, db: &mut Connection, row: &VaultRow, keys: &Keyring) -> Result<(), VaultError> {
    if store::row(db).map_err(store_error(path))? != *row {
        return Err(VaultError::Unavailable { path: path.to_owned(), trouble: Trouble::Replaced });
    }
    if verify::verify(path, db, keys)?.is_whole() {
        return Ok(());
    }
    Err(VaultError::DamagedFile {
        path: path.to_owned(),
        what: "it was overwritten while it was open, and its records and indexes do not fit together (a -wal beside it \
               that belongs to an earlier copy has to go with that)",
    })
}
