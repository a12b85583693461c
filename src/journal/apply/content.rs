//! Content that jobs share: written once, counted, and gone with the last job that uses it.

use super::Batch;
use crate::journal::record::{Hash, Shared, hash};
use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

/// The uses of a content within one commit.
#[derive(Debug)]
pub struct Uses {
    /// As the table has it.
    before: Option<i64>,
    change: i64,
    /// Needed when it is not in the table.
    octets: Option<Bytes>,
}

impl Uses {
    /// Bytes it will add to what is held.
    pub fn bytes_new(&self) -> i64 {
        self.octets.as_ref().map_or(0, |octets| octets.len() as i64)
    }
}

/// A content as it was read.
#[derive(Debug, Clone)]
pub enum Loaded {
    Whole(Bytes),
    /// It is gone, or not what its hash says.
    Damaged,
}

impl Batch<'_> {
    /// One use more when the content is given, one less otherwise.
    pub fn use_content(&mut self, hash: Hash, content: Option<&Shared>) -> rusqlite::Result<()> {
        let uses = self.uses(hash)?;
        match content {
            Some(content) => {
                uses.change += 1;
                if uses.before.is_none() && uses.octets.is_none() {
                    uses.octets = Some(content.octets.clone());
                }
            }
            None => uses.change -= 1,
        }
        Ok(())
    }

    /// Whether the content would have to be written.
    pub fn is_new_content(&mut self, hash: Hash) -> rusqlite::Result<bool> {
        let uses = self.uses(hash)?;
        Ok(uses.before.is_none() && uses.octets.is_none())
    }

    fn uses(&mut self, hash: Hash) -> rusqlite::Result<&mut Uses> {
        use std::collections::hash_map::Entry;
        match self.contents.entry(hash) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let mut select = self.db.prepare_cached("SELECT uses FROM content WHERE hash = ?1")?;
                let before = select.query_row([hash], |row| row.get(0)).optional()?;
                Ok(unknown.insert(Uses { before, change: 0, octets: None }))
            }
        }
    }

    pub(super) fn write_contents(&mut self) -> rusqlite::Result<()> {
        for (hash, uses) in std::mem::take(&mut self.contents) {
            let after = uses.before.unwrap_or(0) + uses.change;
            match (uses.before, uses.octets) {
                (Some(_), _) if uses.change == 0 => {}
                (Some(_), _) if after > 0 => {
                    let mut update =
                        self.db.prepare_cached("UPDATE content SET uses = ?2 WHERE hash = ?1")?;
                    update.execute(params![hash, after])?;
                }
                (Some(_), _) => {
                    let mut length =
                        self.db.prepare_cached("SELECT length(octets) FROM content WHERE hash = ?1")?;
                    self.held_bytes -= length.query_row([hash], |row| row.get::<_, i64>(0))?;
                    self.db.prepare_cached("DELETE FROM content WHERE hash = ?1")?.execute([hash])?;
                }
                (None, Some(octets)) if after > 0 => {
                    self.held_bytes += octets.len() as i64;
                    self.db
                        .prepare_cached("INSERT INTO content (hash, uses, octets) VALUES (?1, ?2, ?3)")?
                        .execute(params![hash, after, &*octets])?;
                }
                (None, _) => {}
            }
        }
        Ok(())
    }

    pub fn load_content(&self, hash_given: Hash) -> rusqlite::Result<Loaded> {
        // What came in with this commit is written at its end.
        if let Some(octets) = self.contents.get(&hash_given).and_then(|uses| uses.octets.clone()) {
            return Ok(Loaded::Whole(octets));
        }
        let mut select = self.db.prepare_cached("SELECT octets FROM content WHERE hash = ?1")?;
        let octets: Option<Vec<u8>> = select.query_row([hash_given], |row| row.get(0)).optional()?;
        Ok(match octets {
            Some(octets) if hash(&octets) == hash_given => Loaded::Whole(octets.into()),
            _ => Loaded::Damaged,
        })
    }
}
