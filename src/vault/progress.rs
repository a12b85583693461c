//! Numbers that tell whether a vault is where it was.

use rusqlite::Connection;

/// How far it has come: the number of its next person, which every commit that changes anybody moves.
pub fn reached(db: &Connection) -> rusqlite::Result<i64> {
    db.prepare_cached("SELECT next_person FROM vault")?.query_row([], |row| row.get(0))
}

/// A number that differs whenever another connection has committed in between.
pub fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// Which of the connections of one link it is: what was seen through another one is no measure.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Opening(pub u64);

/// Two reads of one connection at the same moment see the same vault.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub opening: Opening,
    /// As [`version`] says it.
    pub version: i64,
}
