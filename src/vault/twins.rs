//! People who share an address with an earlier one: a vault of format 1 took two spellings of an address for two addresses.
//! Both keep their tokens, which engines hold. The index of addresses leads to the first; here stand the others, so that
//! what is said about mail to the address reaches all of them.

use super::keyring::LookupHash;
use rusqlite::{Connection, OptionalExtension, params};

pub const TABLE: &str = "
    CREATE TABLE twin (
        hash BLOB NOT NULL, person INTEGER NOT NULL, PRIMARY KEY (hash, person)
    ) STRICT, WITHOUT ROWID;
";

pub fn are_there(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT EXISTS (SELECT 1 FROM twin)", [], |row| row.get(0))
}

pub fn add(db: &Connection, hash: &LookupHash, person: i64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO twin (hash, person) VALUES (?1, ?2)")?.execute(params![hash, person])?;
    Ok(())
}

/// Whether this person was one of the others with this address.
pub fn remove(db: &Connection, hash: &LookupHash, person: i64) -> rusqlite::Result<bool> {
    let rows = db
        .prepare_cached("DELETE FROM twin WHERE hash = ?1 AND person = ?2")?
        .execute(params![hash, person])?;
    Ok(rows > 0)
}

pub fn is_one(db: &Connection, hash: &LookupHash, person: i64) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM twin WHERE hash = ?1 AND person = ?2")?.exists(params![hash, person])
}

/// The others with this address, in the order they came.
pub fn others(db: &Connection, hash: &LookupHash) -> rusqlite::Result<Vec<i64>> {
    db.prepare_cached("SELECT person FROM twin WHERE hash = ?1 ORDER BY person")?
        .query_map([hash], |row| row.get(0))?
        .collect()
}

/// The one whom the index leads to from now on, when the first has another address.
pub fn take_first(db: &Connection, hash: &LookupHash) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(
        "DELETE FROM twin WHERE hash = ?1 AND person = (SELECT min(person) FROM twin WHERE hash = ?1) RETURNING person",
    )?
    .query_row([hash], |row| row.get(0))
    .optional()
}
