//! The read path: a batch of tokens to people, on a connection of its own, off the async threads.

use super::error::{Damaged, DamagedPart, Trouble, VaultError, io_error, store_error};
use super::keyring::{Keyring, LookupHash, LookupOf};
use super::person_row;
use super::store;
use crate::job::Token;
use crate::person::Person;
use rusqlite::{Connection, OptionalExtension};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What one token of a batch stands for: a person, nobody, or somebody whose rows were altered.
pub type Found = Result<Option<Person>, Damaged>;

/// Reads people by token. Blocks; use it from a blocking thread. One a thread: `Send`, not shared.
pub struct Reader {
    path: PathBuf,
    keys: Arc<Keyring>,
    db: Connection,
    file: FileId,
}

/// Device and inode: which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl Reader {
    pub(super) fn open(path: &Path, keys: Arc<Keyring>) -> Result<Self, VaultError> {
        // Before it is opened: a file put in its place meanwhile is then noticed at the first read.
        let file = FileId::at(path)?;
        let db = store::connect(path, store::Use::Read)?;
        Ok(Self { path: path.to_owned(), keys, db, file })
    }

    /// One answer a token, in the order of `tokens`. All of them are of one moment. A damaged person does not
    /// keep the others from being served.
    ///
    /// # Errors
    /// [`VaultError`] when the store as a whole cannot be read, or is not the one that was opened any more: an
    /// open file outlives its name, and what was removed must not be served.
    pub fn read_batch(&mut self, tokens: &[Token]) -> Result<Vec<Found>, VaultError> {
        if FileId::at(&self.path)? != self.file {
            return Err(VaultError::Unavailable { path: self.path.clone(), trouble: Trouble::Replaced });
        }
        read(&self.db, &self.keys, tokens).map_err(store_error(&self.path))
    }
}

impl FileId {
    pub(super) fn at(path: &Path) -> Result<Self, VaultError> {
        let found = std::fs::metadata(path).map_err(io_error(path))?;
        Ok(Self(found.dev(), found.ino()))
    }
}

/// One transaction around a batch. Its statements are kept prepared: for a batch of one they would cost as much as the
/// record.
fn read(db: &Connection, keys: &Keyring, tokens: &[Token]) -> rusqlite::Result<Vec<Found>> {
    db.prepare_cached("BEGIN")?.execute([])?;
    let found = read_at_one_moment(db, keys, tokens);
    let ended = db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
    if ended.is_err() && !db.is_autocommit() {
        db.execute_batch("ROLLBACK")?;
    }
    found
}

fn read_at_one_moment(db: &Connection, keys: &Keyring, tokens: &[Token]) -> rusqlite::Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    found.resize_with(tokens.len(), || Ok(None));
    let mut select = person_row::select(db)?;
    for Located { slot, person } in locate(db, keys, tokens)? {
        found[slot] = person_row::fetch(&mut select, keys, person)?.and_then(|opened| {
            if stands_for(&opened.person, &tokens[slot]) {
                Ok(Some(opened.person))
            } else {
                Err(Damaged { person, part: DamagedPart::Index })
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
