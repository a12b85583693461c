//! One person's row: its key wrapped under a vault key, its record sealed under its own key, and both tied to
//! the person's number and versions.

use super::envelope::{SealingKey, random_key};
use super::error::{Damaged, DamagedPart};
use super::keyring::Keyring;
use super::roll::Seal;
use super::store::is_corruption;
use crate::person::Person;
use rusqlite::{CachedStatement, Connection, Row, params};

/// The numbers of a row that lie in the clear and are authenticated with key and record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowHead {
    pub id: i64,
    /// The vault key that wraps this person's key.
    pub vault_key: i64,
    /// Counts the record's changes, from 1.
    pub version: i64,
    pub restricted: bool,
}

impl RowHead {
    fn key_place(&self) -> [u8; 24] {
        let mut place = *b"person's\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        place[8..16].copy_from_slice(&self.id.to_le_bytes());
        place[16..].copy_from_slice(&self.vault_key.to_le_bytes());
        place
    }

    fn record_place(&self) -> [u8; 33] {
        let mut place = [0u8; 33];
        place[..8].copy_from_slice(b"record\0\0");
        place[8..16].copy_from_slice(&self.id.to_le_bytes());
        place[16..24].copy_from_slice(&self.version.to_le_bytes());
        place[24..32].copy_from_slice(&self.vault_key.to_le_bytes());
        place[32] = u8::from(self.restricted);
        place
    }
}

/// The sealed parts of a row.
#[derive(Debug)]
struct SealedRow {
    head: RowHead,
    wrapped_key: Vec<u8>,
    record: Vec<u8>,
}

/// Seals a new person under a key of its own.
fn seal_new(keys: &Keyring, id: i64, person: &Person) -> SealedRow {
    let (vault_key, wrapping) = keys.newest();
    let head = RowHead { id, vault_key, version: 1, restricted: person.is_restricted() };
    let own = random_key();
    SealedRow {
        head,
        wrapped_key: wrapping.seal(&head.key_place(), own.as_slice()),
        record: SealingKey::new(&own).seal(&head.record_place(), person.record()),
    }
}

/// A person with what is needed to seal the next version of it.
pub struct Opened {
    pub head: RowHead,
    pub person: Person,
    /// What tells this record from those before it.
    pub seal: Seal,
    own: SealingKey,
}

impl Opened {
    /// The next version of the record, under the same key of the person.
    pub fn reseal(&self, person: &Person) -> (RowHead, Vec<u8>) {
        let head =
            RowHead { version: self.head.version + 1, restricted: person.is_restricted(), ..self.head };
        (head, self.own.seal(&head.record_place(), person.record()))
    }
}

/// Prepares the look-up of one row by number.
pub fn select(db: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    db.prepare_cached("SELECT vault_key, version, restricted, wrapped_key, record FROM person WHERE id = ?1")
}

/// Reads and opens one person. The inner result says whether this person is whole; the outer one is a store
/// that cannot be read at all.
pub fn fetch(
    select: &mut CachedStatement<'_>,
    keys: &Keyring,
    id: i64,
) -> rusqlite::Result<Result<Opened, Damaged>> {
    let damaged = |part| Damaged { person: id, part };
    let opened = select.query([id]).and_then(|mut rows| match rows.next()? {
        Some(row) => open(row, keys, id),
        None => Ok(Err(DamagedPart::Missing)),
    });
    match opened {
        Ok(opened) => Ok(opened.map_err(damaged)),
        Err(error) if is_corruption(&error) => Ok(Err(damaged(DamagedPart::Row))),
        Err(error) => Err(error),
    }
}

/// Puts a new person there, and tells the record's seal.
pub fn insert(db: &Connection, keys: &Keyring, id: i64, person: &Person) -> rusqlite::Result<Seal> {
    let SealedRow { head, wrapped_key, record } = seal_new(keys, id, person);
    db.prepare_cached(
        "INSERT INTO person (id, vault_key, version, restricted, wrapped_key, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![id, head.vault_key, head.version, head.restricted, wrapped_key, record])?;
    Ok(Seal::of(&record))
}

/// Puts the next version of a person in the place of this one, and tells its seal.
pub fn update(db: &Connection, known: &Opened, after: &Person) -> rusqlite::Result<Seal> {
    let (head, record) = known.reseal(after);
    db.prepare_cached("UPDATE person SET version = ?2, restricted = ?3, record = ?4 WHERE id = ?1")?
        .execute(params![head.id, head.version, head.restricted, record])?;
    Ok(Seal::of(&record))
}

fn open(row: &Row<'_>, keys: &Keyring, id: i64) -> rusqlite::Result<Result<Opened, DamagedPart>> {
    let restricted = match row.get::<_, i64>(2)? {
        0 => false,
        1 => true,
        _ => return Ok(Err(DamagedPart::Row)),
    };
    let head = RowHead { id, vault_key: row.get(0)?, version: row.get(1)?, restricted };
    let wrapped_key = row.get_ref(3)?.as_blob()?;
    let record = row.get_ref(4)?.as_blob()?;
    let seal = Seal::of(record);
    let own = keys
        .version(head.vault_key)
        .and_then(|wrapping| wrapping.open_key(&head.key_place(), wrapped_key))
        .ok_or(DamagedPart::Key);
    Ok(own.and_then(|own| {
        let own = SealingKey::new(&own);
        let record = own.open(&head.record_place(), record).ok_or(DamagedPart::Record)?;
        let person = Person::from_record(record).map_err(|_| DamagedPart::Record)?;
        Ok(Opened { head, person, seal, own })
    }))
}
