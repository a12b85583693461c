//! The look-up index as one batch of writes sees it: read ahead in the order of the hashes, changed in memory,
//! written back in the order of the hashes, so a B-tree of random keys is walked once from left to right.

use super::keyring::LookupHash;
use crate::job::TokenKind;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;

#[derive(Debug, Clone, Copy)]
struct Entry {
    person: i64,
    /// Set while the row is not in the file yet.
    fresh: Option<Fresh>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fresh {
    Token(TokenKind),
    Address,
}

/// Tokens and addresses share the map: what a hash is made of is part of the hash.
#[derive(Default)]
pub struct BatchIndex(HashMap<LookupHash, Entry>);

impl BatchIndex {
    /// Reads what the file knows about these hashes.
    pub fn read_ahead(
        db: &Connection,
        mut tokens: Vec<LookupHash>,
        mut addresses: Vec<LookupHash>,
    ) -> rusqlite::Result<Self> {
        let mut index = Self(HashMap::with_capacity(tokens.len() + 2 * addresses.len()));
        tokens.sort_unstable();
        addresses.sort_unstable();
        index.look_up(db, "SELECT person FROM token WHERE hash = ?1", &tokens)?;
        index.look_up(db, "SELECT person FROM address WHERE hash = ?1", &addresses)?;
        Ok(index)
    }

    pub fn person(&self, hash: &LookupHash) -> Option<i64> {
        self.0.get(hash).map(|entry| entry.person)
    }

    /// The roll has to be told.
    pub fn add_token(&mut self, hash: LookupHash, kind: TokenKind, person: i64) {
        self.0.insert(hash, Entry { person, fresh: Some(Fresh::Token(kind)) });
    }

    pub fn add_address(&mut self, hash: LookupHash, person: i64) {
        self.0.insert(hash, Entry { person, fresh: Some(Fresh::Address) });
    }

    /// Forgets an address of this person; somebody else's stays.
    pub fn remove_address(
        &mut self,
        db: &Connection,
        hash: &LookupHash,
        person: i64,
    ) -> rusqlite::Result<()> {
        if self.person(hash) == Some(person) {
            self.0.remove(hash);
        }
        db.prepare_cached("DELETE FROM address WHERE hash = ?1 AND person = ?2")?
            .execute(params![hash, person])?;
        Ok(())
    }

    /// Writes what is not in the file yet.
    pub fn write_back(self, db: &Connection) -> rusqlite::Result<()> {
        let mut fresh: Vec<_> = self
            .0
            .into_iter()
            .filter_map(|(hash, entry)| entry.fresh.map(|fresh| (hash, fresh, entry.person)))
            .collect();
        fresh.sort_unstable_by_key(|(hash, ..)| *hash);
        let mut token = db.prepare_cached("INSERT INTO token (hash, kind, person) VALUES (?1, ?2, ?3)")?;
        let mut address = db.prepare_cached("INSERT INTO address (hash, person) VALUES (?1, ?2)")?;
        for (hash, what, person) in fresh {
            match what {
                Fresh::Token(kind) => token.execute(params![hash, kind_number(kind), person])?,
                Fresh::Address => address.execute(params![hash, person])?,
            };
        }
        Ok(())
    }

    fn look_up(&mut self, db: &Connection, query: &str, hashes: &[LookupHash]) -> rusqlite::Result<()> {
        let mut query = db.prepare_cached(query)?;
        for hash in hashes {
            if let Some(person) = query.query_row([hash], |row| row.get(0)).optional()? {
                self.0.insert(*hash, Entry { person, fresh: None });
            }
        }
        Ok(())
    }
}

/// How the file counts tokens by kind.
pub fn kind_number(kind: TokenKind) -> i64 {
    match kind {
        TokenKind::Email => 1,
        TokenKind::Mobile => 2,
    }
}
