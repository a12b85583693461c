//! Notices that the vault was changed by whomever: what was read from it before may be true no more.

use super::error::VaultError;
use super::place::{FileId, Link, Place};
use rusqlite::Connection;
use std::sync::Arc;

/// A look at the vault's file now and then. Blocks, for microseconds.
pub struct Watch {
    place: Arc<Place>,
    link: Arc<Link>,
    /// What was found last; `None` when nothing could be read.
    seen: Option<(FileId, i64)>,
}

impl Watch {
    pub(super) fn open(place: Arc<Place>) -> Result<Self, VaultError> {
        let link = place.link()?;
        let mut watch = Self { place, link, seen: None };
        watch.seen = Some(watch.look()?);
        Ok(watch)
    }

    /// Whether something was committed, or another file lies there, since this was asked last.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read, or another vault lies in its place. Once it can be read again, it counts
    /// as changed.
    pub fn has_changed(&mut self) -> Result<bool, VaultError> {
        let before = self.seen.take();
        self.seen = Some(self.look()?);
        Ok(self.seen != before)
    }

    fn look(&self) -> Result<(FileId, i64), VaultError> {
        let file = FileId::at(self.place.path())?;
        Ok((file, self.place.read(&self.link, version)?))
    }
}

/// A number that differs whenever another connection has committed in between.
fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "data_version", |row| row.get(0))
}
