//! The read path: a batch of tokens to people, on a connection of its own, off the async threads.

use super::error::{Damaged, DamagedPart, VaultError, Withheld};
use super::keyring::{Keyring, LookupHash, LookupOf};
use super::person_row;
use super::place::{Link, Place, Read};
use crate::job::Token;
use crate::person::Person;
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;

/// What one token of a batch stands for: a person, nobody, or somebody whose rows were altered or who cannot be looked for.
pub type Found = Result<Option<Person>, Withheld>;

/// Reads people by token. Blocks; use it from a blocking thread. One a thread: `Send`, not shared.
pub struct Reader {
    place: Arc<Place>,
    link: Arc<Link>,
    keys: Arc<Keyring>,
}

impl Reader {
    pub(super) fn open(place: Arc<Place>, keys: Arc<Keyring>) -> Result<Self, VaultError> {
        let link = place.link()?;
        Ok(Self { place, link, keys })
    }

    /// One answer a token, in the order of `tokens`. All of them are of one moment. A damaged person does not
    /// keep the others from being served.
    ///
    /// # Errors
    /// [`VaultError`] when the store as a whole cannot be read, or another vault lies in its place.
    pub fn read_batch(&mut self, tokens: &[Token]) -> Result<Vec<Found>, VaultError> {
        match self.place.read(&self.link, |db| read(db, &self.keys, tokens))? {
            Read::Sure(found) => Ok(found),
            Read::Unsure(found) => Ok(found.into_iter().map(only_if_somebody).collect()),
        }
    }
}

/// A record that opens is the person's; only that there is none is not sure.
fn only_if_somebody(found: Found) -> Found {
    found?.ok_or(Withheld::Unsure).map(Some)
}

fn read(db: &Connection, keys: &Keyring, tokens: &[Token]) -> rusqlite::Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    found.resize_with(tokens.len(), || Ok(None));
    let mut select = person_row::select(db)?;
    for Located { slot, person } in locate(db, keys, tokens)? {
        let opened = person_row::fetch(&mut select, keys, person)?.map_err(Withheld::from);
        found[slot] = opened.and_then(|opened| {
            if stands_for(&opened.person, &tokens[slot]) {
                Ok(Some(opened.person))
            } else {
                Err(Damaged { person, part: DamagedPart::Index }.into())
            }
        });
    }
    Ok(found)
}

/// An index row could have been altered to lead to somebody else: the record itself has to hold the token.
pub(super) fn stands_for(person: &Person, token: &Token) -> bool {
    [person.email_token(), person.mobile_token()].contains(&Some(token.as_str()))
}

struct Located {
    slot: usize,
    person: i64,
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
        if let Some(person) = index.query_row([hash], |row| row.get(0)).optional()? {
            located.push(Located { slot, person });
        }
    }
    located.sort_unstable_by_key(|found| found.person);
    Ok(located)
}
