//! The whole vault read once: every record opened, every index row held against the record it leads to. Finds
//! what a look-up cannot notice, such as an index row that is gone.

use super::address;
use super::batch_index::kind_number;
use super::error::{Damaged, DamagedPart, VaultError, store_error};
use super::keyring::{Keyring, LookupHash, LookupOf};
use super::person_row;
use super::roll::{self, Audit};
use super::{reindex, store, twins};
use crate::job::Token;
use crate::person::{PHONE, Person};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;
use std::path::Path;
use zeroize::Zeroizing;

/// Most damaged people that are listed one by one.
const LISTED_MAX: usize = 1000;

/// What a walk over the whole vault found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub people: u64,
    pub damaged: u64,
    /// Numbers of the first thousand damaged people.
    pub damaged_people: Vec<i64>,
    /// Index rows that lead to nobody whose record agrees.
    pub stray_index_rows: u64,
    /// The number for the next new person is one already given.
    pub numbering_broken: bool,
    /// People whose record is genuine and an earlier one; counted as damaged too.
    pub put_back: u64,
    /// People whose record was taken away.
    pub taken_away: u64,
    /// Parts of the index of tokens, of 4,096, from which a row was taken, or to which one was added.
    pub altered_index_parts: u64,
    /// What tells which record is the latest was itself altered or put back.
    pub roll_broken: bool,
}

impl Verified {
    pub fn is_whole(&self) -> bool {
        self.damaged == 0
            && self.stray_index_rows == 0
            && !self.numbering_broken
            && self.has_all_of_its_roll()
    }

    /// Whether its records are those that were written last, as far as each opens.
    pub fn has_all_of_its_roll(&self) -> bool {
        self.put_back + self.taken_away + self.altered_index_parts == 0 && !self.roll_broken
    }
}

pub(super) fn verify(path: &Path, db: &mut Connection, keys: &Keyring) -> Result<Verified, VaultError> {
    let failed = store_error(path);
    let pages: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(&failed)?;
    if pages != "ok" {
        return Err(VaultError::DamagedFile {
            path: path.to_owned(),
            what: "its pages or indexes do not fit together",
        });
    }
    db.transaction().and_then(|moment| walk(&moment, keys)).map_err(failed)
}

/// How the index was made: a backup of an older format may lie there, which is brought up to date when somebody writes it.
#[derive(Debug, Clone, Copy)]
enum Index {
    Before,
    Now,
}

impl Index {
    fn of(db: &Connection) -> rusqlite::Result<Self> {
        Ok(if store::format_of(db)? < reindex::FORMAT_OF_TWINS { Self::Before } else { Self::Now })
    }

    fn form(self, email: &str) -> Zeroizing<String> {
        match self {
            Self::Before => reindex::form_before(email),
            Self::Now => address::normalised(email),
        }
    }

    /// Several people of a time when one address had several forms: the index leads to the first.
    fn is_twin(self, db: &Connection, hash: &LookupHash, person: i64) -> rusqlite::Result<bool> {
        match self {
            Self::Before => Ok(false),
            Self::Now => twins::is_one(db, hash, person),
        }
    }

    fn rows(self) -> &'static str {
        match self {
            Self::Before => "SELECT (SELECT count(*) FROM token) + (SELECT count(*) FROM address)",
            Self::Now => {
                "SELECT (SELECT count(*) FROM token) + (SELECT count(*) FROM address) + (SELECT count(*) FROM twin)"
            }
        }
    }
}

fn walk(db: &Transaction<'_>, keys: &Keyring) -> rusqlite::Result<Verified> {
    let index = Index::of(db)?;
    let audit = if store::format_of(db)? < store::FORMAT { Audit::default() } else { roll::audit(db, keys)? };
    let mut found = Verified {
        put_back: audit.put_back.len() as u64,
        taken_away: audit.taken_away,
        altered_index_parts: audit.altered_stretches,
        roll_broken: audit.is_broken,
        ..Verified::default()
    };
    let mut sound_index_rows = 0;
    let mut select = person_row::select(db)?;
    let mut after = 0;
    let mut next = db.prepare("SELECT id FROM person WHERE id > ?1 ORDER BY id LIMIT 1")?;
    while let Some(id) = next.query_row([after], |row| row.get::<_, i64>(0)).optional()? {
        after = id;
        found.people += 1;
        let whole = match person_row::fetch(&mut select, keys, id)? {
            Ok(_) if audit.put_back.binary_search(&id).is_ok() => {
                Err(Damaged { person: id, part: DamagedPart::Earlier })
            }
            Ok(opened) => index_rows(db, keys, index, id, &opened.person)?,
            Err(damaged) => Err(damaged),
        };
        match whole {
            Ok(rows) => sound_index_rows += rows,
            Err(damaged) => note(&mut found, damaged),
        }
    }
    let total = |query: &str| db.query_row(query, [], |row| row.get::<_, i64>(0));
    let rows = total(index.rows())?;
    // A damaged person's own rows cannot be told from stray ones, so they are counted as such.
    found.stray_index_rows = rows.saturating_sub(sound_index_rows).unsigned_abs();
    let below = total("SELECT count(*) FROM person WHERE id <= 0")?;
    found.numbering_broken = below > 0 || total("SELECT next_person FROM vault")? <= after;
    Ok(found)
}

fn note(found: &mut Verified, damaged: Damaged) {
    found.damaged += 1;
    if found.damaged_people.len() < LISTED_MAX {
        found.damaged_people.push(damaged.person);
    }
}

fn phone_row_before(db: &Transaction<'_>, keys: &Keyring, person: &Person) -> rusqlite::Result<Option<i64>> {
    let normal = person.field(PHONE).map(address::normalised_phone);
    let Some(before) = normal.and_then(|normal| address::phone_before(&normal)) else { return Ok(None) };
    let hash = keys.lookup_hash(LookupOf::Phone, &before);
    let mut row = db.prepare_cached("SELECT person FROM address WHERE hash = ?1")?;
    row.query_row(params![hash], |row| row.get(0)).optional()
}

/// How many index rows lead to this person, if all that have to are there.
fn index_rows(
    db: &Transaction<'_>,
    keys: &Keyring,
    index: Index,
    id: i64,
    person: &Person,
) -> rusqlite::Result<Result<i64, Damaged>> {
    let mut rows = 0;
    let mut token_row = db.prepare_cached("SELECT person, kind FROM token WHERE hash = ?1")?;
    let mut address_row = db.prepare_cached("SELECT person FROM address WHERE hash = ?1")?;
    let gone = Ok(Err(Damaged { person: id, part: DamagedPart::Index }));
    for local in [person.email_token(), person.mobile_token()].into_iter().flatten() {
        let Ok(token) = Token::from_local(local) else { return gone };
        let hash = keys.lookup_hash(LookupOf::Token, local);
        let row = token_row.query_row(params![hash], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if row != Some((id, kind_number(token.kind()))) {
            return gone;
        }
        rows += 1;
    }
    let email = person.email().map(|email| keys.lookup_hash(LookupOf::Email, &index.form(email)));
    let phone =
        person.field(PHONE).map(|phone| keys.lookup_hash(LookupOf::Phone, &address::normalised_phone(phone)));
    for (hash, shared) in [(email, false), (phone, true)] {
        let Some(hash) = hash else { continue };
        match address_row.query_row(params![hash], |row| row.get::<_, i64>(0)).optional()? {
            Some(owner) if owner == id => rows += 1,
            // As it was compared when it was stored.
            _ if shared && phone_row_before(db, keys, person)? == Some(id) => rows += 1,
            // A shared phone leads to one of those who have it, or to none when that one has a new number.
            _ if shared => {}
            Some(_) if index.is_twin(db, &hash, id)? => rows += 1,
            _ => return gone,
        }
    }
    Ok(Ok(rows))
}
