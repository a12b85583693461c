//! Notices that the vault was changed by whomever: what was read from it before may be true no more.

use super::error::{VaultError, store_error};
use super::reader::FileId;
use super::store;
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// A look at the vault's file now and then. Blocks, for microseconds.
pub struct Watch {
    path: PathBuf,
    db: Connection,
    file: Option<FileId>,
    version: i64,
}

impl Watch {
    pub(super) fn open(path: &Path) -> Result<Self, VaultError> {
        let file = FileId::at(path)?;
        let db = store::connect(path, store::Use::Read)?;
        let version = version(&db).map_err(store_error(path))?;
        Ok(Self { path: path.to_owned(), db, file: Some(file), version })
    }

    /// Whether something was committed, or another file lies there, since this was asked last.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read.
    pub fn has_changed(&mut self) -> Result<bool, VaultError> {
        let file = FileId::at(&self.path).ok();
        let version = version(&self.db).map_err(store_error(&self.path))?;
        let is_other = (self.file, self.version) != (file, version);
        (self.file, self.version) = (file, version);
        Ok(is_other)
    }
}

/// A number that differs whenever another connection has committed in between.
fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "data_version", |row| row.get(0))
}
