//! The read path: a batch of tokens to people, on a connection of its own, off the async threads.

use super::error::{Damaged, DamagedPart, VaultError, Withheld};
use super::keyring::{Keyring, LookupHash, LookupOf};
use super::person_row;
use super::place::{Link, Place, Read};
use super::roll::{Roll, Stretch};
use crate::job::Token;
use crate::person::Person;
use rusqlite::{Connection, OptionalExtension};
use std::cell::RefCell;
use std::sync::Arc;

/// What one token of a batch stands for: a person, nobody, or somebody whose rows were altered or who cannot be looked for.
pub type Found = Result<Option<Person>, Withheld>;

/// Reads people by token. Blocks; use it from a blocking thread. One a thread: `Send`, not shared.
pub struct Reader {
    place: Arc<Place>,
    link: Arc<Link>,
    keys: Arc<Keyring>,
    // Its own: held for one read.
    roll: RefCell<Roll>,
}

impl Reader {
    pub(super) fn open(place: Arc<Place>, keys: Arc<Keyring>) -> Result<Self, VaultError> {
        let link = place.link()?;
        Ok(Self { place, link, keys, roll: RefCell::default() })
    }

    /// One answer a token, in the order of `tokens`. All of them are of one moment. A damaged person does not
    /// keep the others from being served.
    ///
    /// # Errors
    /// [`VaultError`] when the store as a whole cannot be read, or another vault lies in its place.
    pub fn read_batch(&mut self, tokens: &[Token]) -> Result<Vec<Found>, VaultError> {
        let read = |db: &Connection, moment| {
            let mut roll = self.roll.borrow_mut();
            roll.look(db, &self.keys, moment)?;
            read(db, &self.keys, &mut roll, tokens)
        };
        match self.place.read(&self.link, read)? {
            Read::Sure(found) => Ok(found),
            Read::Unsure(found) => Ok(found.into_iter().map(only_if_somebody).collect()),
        }
    }
}

/// A record that opens and is in the roll is the person's; that there is none, or a later one, is not sure.
fn only_if_somebody(found: Found) -> Found {
    match found {
        Ok(Some(person)) => Ok(Some(person)),
        Ok(None)
        | Err(
            Withheld::Unsure
            | Withheld::IndexAltered
            | Withheld::Damaged(Damaged { part: DamagedPart::Earlier, .. }),
        ) => Err(Withheld::Unsure),
        Err(damaged) => Err(damaged),
    }
}

fn read(db: &Connection, keys: &Keyring, roll: &mut Roll, tokens: &[Token]) -> rusqlite::Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    found.resize_with(tokens.len(), || Ok(None));
    let mut select = person_row::select(db)?;
    for Located { slot, hash, person } in locate(db, keys, tokens)? {
        let Some(person) = person else {
            if roll.is_complete(db, keys, Stretch::of(&hash))? != Ok(true) {
                found[slot] = Err(Withheld::IndexAltered);
            }
            continue;
        };
        let damaged = |part| Err(Damaged { person, part }.into());
        found[slot] = match person_row::fetch(&mut select, keys, person)? {
            Err(damaged) => Err(damaged.into()),
            Ok(opened) if !stands_for(&opened.person, &tokens[slot]) => damaged(DamagedPart::Index),
            Ok(opened) if roll.is_latest(db, keys, person, opened.seal)? != Ok(true) => {
                damaged(DamagedPart::Earlier)
            }
            Ok(opened) => Ok(Some(opened.person)),
        };
    }
    Ok(found)
}

/// An index row could have been altered to lead to somebody else: the record itself has to hold the token.
pub(super) fn stands_for(person: &Person, token: &Token) -> bool {
    [person.email_token(), person.mobile_token()].contains(&Some(token.as_str()))
}

struct Located {
    slot: usize,
    hash: LookupHash,
    person: Option<i64>,
}

/// Where the people of these tokens lie, in the order of the file. Looking up in the order of the hashes, and
/// then reading in the order of the file, touches each page once.
fn locate(db: &Connection, keys: &Keyring, tokens: &[Token]) -> rusqlite::Result<Vec<Located>> {
    let hash_of = |(slot, token): (usize, &Token)| (keys.lookup_hash(LookupOf::Token, token.as_str()), slot);
    let mut hashes: Vec<(LookupHash, usize)> = tokens.iter().enumerate().map(hash_of).collect();
    hashes.sort_unstable();
    let mut index = db.prepare_cached("SELECT person FROM token WHERE hash = ?1")?;
    let mut located = Vec::with_capacity(hashes.len());
    for (hash, slot) in hashes {
        let person = index.query_row([hash], |row| row.get(0)).optional()?;
        located.push(Located { slot, hash, person });
    }
    located.sort_unstable_by_key(|found| found.person);
    Ok(located)
}
