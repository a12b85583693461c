//! Which fields people have. Names are sealed with their values, so people are opened until all that are looked for are found.

use super::keyring::Keyring;
use super::person_row;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;

/// These, where anybody has them, and those of everybody who was looked at to find out.
pub fn find(db: &Connection, keys: &Keyring, wanted: &[&str]) -> rusqlite::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut select = person_row::select(db)?;
    let mut next = db.prepare("SELECT id FROM person WHERE id > ?1 ORDER BY id LIMIT 1")?;
    let mut after = 0;
    while !wanted.iter().all(|name| found.contains(*name)) {
        let Some(id) = next.query_row([after], |row| row.get::<_, i64>(0)).optional()? else { break };
        after = id;
        // Of a damaged person nothing is known.
        let Ok(opened) = person_row::fetch(&mut select, keys, id)? else { continue };
        for (name, _) in opened.person.fields() {
            if !found.contains(name) {
                found.insert(name.to_owned());
            }
        }
    }
    Ok(found)
}
