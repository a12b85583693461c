//! What people's consents are about. It is sealed with their values, so people are opened for it.

use super::keyring::Keyring;
use super::person_row;
use crate::person::Person;
use crate::purpose::{Known, Standing};
use rusqlite::Connection;
use serde::Serialize;

/// People who were looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Surveyed {
    pub people: u64,
    /// Of these, those whose consent names a purpose that nobody can mail for.
    pub strays: u64,
}

/// Looks at so many people, the latest first. Of a damaged one nothing is known.
pub fn survey(db: &Connection, keys: &Keyring, known: &Known, people_max: u64) -> rusqlite::Result<Surveyed> {
    let mut surveyed = Surveyed::default();
    let mut select = person_row::select(db)?;
    let mut latest = db.prepare("SELECT id FROM person ORDER BY id DESC LIMIT ?1")?;
    let ids = latest.query_map([people_max as i64], |row| row.get::<_, i64>(0))?;
    for id in ids {
        if let Ok(opened) = person_row::fetch(&mut select, keys, id?)? {
            surveyed.people += 1;
            surveyed.strays += u64::from(is_stray(&opened.person, known));
        }
    }
    Ok(surveyed)
}

fn is_stray(person: &Person, known: &Known) -> bool {
    person.consents().any(|(purpose, _)| known.standing(purpose) != Standing::Named)
}
