//! The index of tokens, in stretches: of each the roll tells a digest of the rows. Only that says that a row is missing; a row
//! that is there leads to a record that names the token itself.

use super::{Broken, Roll, Tree};
use crate::vault::keyring::{Keyring, LOOKUP_BYTES, LookupHash};
use rusqlite::{Connection, Row, params};

/// Of 4,096: all hashes that begin with the same twelve bits. A vault of a million tokens has 250 rows in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stretch(u16);

impl Stretch {
    pub const COUNT: u16 = 1 << 12;

    pub fn of(hash: &LookupHash) -> Self {
        Self(u16::from_be_bytes([hash[0], hash[1]]) >> 4)
    }

    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    pub fn number(self) -> i64 {
        self.0.into()
    }

    /// The first and the last hash of it there could be.
    fn bounds(self) -> [LookupHash; 2] {
        let [first, second] = (self.0 << 4).to_be_bytes();
        let (mut from, mut to) = ([0; LOOKUP_BYTES], [0xff; LOOKUP_BYTES]);
        (from[0], from[1]) = (first, second);
        (to[0], to[1]) = (first, second | 0x0f);
        [from, to]
    }

    /// The digest of the rows that are there. Each counts as a number that nobody foresees without the key, and the sum is
    /// sealed: it can be seen neither what a row would change nor what the sum is.
    ///
    /// There is none where they are not in the order of their hashes: who writes pages could hide a row from a look-up and
    /// leave it to a walk.
    pub fn digest(self, db: &Connection, keys: &Keyring) -> rusqlite::Result<Option<u64>> {
        let mut rows = db.prepare_cached(
            "SELECT hash, kind, person FROM token WHERE hash BETWEEN ?1 AND ?2 ORDER BY hash",
        )?;
        let [from, to] = self.bounds();
        let mut rows = rows.query(params![from, to])?;
        let (mut digest, mut before) = (0, None);
        while let Some(row) = rows.next()? {
            let Ok((hash, kind, person)) = columns(row) else { return Ok(None) };
            if before >= Some(hash) {
                return Ok(None);
            }
            before = Some(hash);
            digest ^= keys.index_entry(&hash, kind, person);
        }
        Ok(Some(digest))
    }
}

fn columns(row: &Row<'_>) -> rusqlite::Result<(LookupHash, i64, i64)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

impl Roll {
    /// Whether all rows of a stretch are there, and no others. Looked at once for as long as nothing is committed.
    ///
    /// # Errors
    /// [`Broken`] inside: that part of the roll was altered.
    pub fn is_complete(
        &mut self,
        db: &Connection,
        keys: &Keyring,
        stretch: Stretch,
    ) -> rusqlite::Result<Result<bool, Broken>> {
        if self.complete.contains(&stretch) {
            return Ok(Ok(true));
        }
        let Ok(told) = self.told(db, keys, Tree::Tokens, stretch.number())? else { return Ok(Err(Broken)) };
        let is_complete = stretch.digest(db, keys)? == Some(told);
        if is_complete {
            self.complete.insert(stretch);
        }
        Ok(Ok(is_complete))
    }
}
