//! The write path: drafts to people, a batch a transaction, on the one connection that writes.

use super::batch_index::{BatchIndex, kind_number};
use super::cause::{Cause, Refusal};
use super::draft::Draft;
use super::error::{Damaged, DamagedPart, VaultError, io_error, store_error};
use super::keyring::{Keyring, LookupHash, LookupOf};
use super::mark::Mark;
use super::merge::{Tokens, merged, tokens_in, tokens_of};
use super::named::Named;
use super::person_row::{self, Opened};
use super::progress::Moment;
use super::reader::stands_for;
use super::roll::{Edits, Roll, Seal, Stretch};
use super::{address, field_names, progress, reindex, store, twins};
use crate::job::Token;
use crate::person::{EMAIL, PHONE, Person};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What became of a stored draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Created,
    Updated,
    /// Everything in it was already so.
    Unchanged,
}

/// A person as it is stored now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The vault's own number of the person.
    pub id: i64,
    pub email_token: Option<Token>,
    pub mobile_token: Option<Token>,
    pub change: Change,
}

/// Whether a draft that names a known token may give it another address. A mistaken token in a long list
/// would send one person's mail to another, so lists have to ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressChange {
    Allowed,
    Refused,
}

/// One answer a draft.
pub type Put = Result<Stored, Refusal>;

/// Writes people. One at a time over all processes: the others wait for the file's write lock.
pub struct Writer {
    path: PathBuf,
    keys: Arc<Keyring>,
    mark: Arc<Mark>,
    db: Connection,
}

impl Writer {
    pub(super) fn open(path: &Path, keys: Arc<Keyring>, mark: Arc<Mark>) -> Result<Self, VaultError> {
        let db = store::connect(path, store::Use::Write)?;
        // A backup of an older format may have been put in the place of the file that was opened.
        if store::format_of(&db).map_err(store_error(path))? < store::FORMAT {
            reindex::bring_up_to_date(path, &keys, &mark)?;
        }
        Ok(Self { path: path.to_owned(), keys, mark, db })
    }

    /// Stores one person: the one whose token or address the draft names, otherwise a new one. On disk when it
    /// returns.
    ///
    /// # Errors
    /// [`VaultError`] when nothing could be written; the inner [`Refusal`] when this draft cannot be.
    pub fn put(&mut self, draft: &Draft) -> Result<Put, VaultError> {
        let mut answers = self.put_batch(std::slice::from_ref(draft), AddressChange::Allowed)?;
        Ok(answers.pop().expect("one draft has one answer"))
    }

    /// Stores a batch in one transaction. Refused drafts leave the others alone.
    ///
    /// # Errors
    /// [`VaultError`] when the batch as a whole could not be written: then nothing of it is.
    pub fn put_batch(&mut self, drafts: &[Draft], change: AddressChange) -> Result<Vec<Put>, VaultError> {
        let keys = self.keys.clone();
        let path = self.path.clone();
        let has = progress::reached(&self.db).map_err(store_error(&path))?;
        let beyond = self.mark.before_write(has).map_err(io_error(&path))?;
        let (answers, has) = self.put_all(&keys, drafts, change, Some(beyond)).map_err(store_error(&path))?;
        self.mark.raise(has);
        Ok(answers)
    }

    /// What [`Self::put_batch`] would answer. Nothing is stored.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read.
    pub fn try_batch(&mut self, drafts: &[Draft], change: AddressChange) -> Result<Vec<Put>, VaultError> {
        let keys = self.keys.clone();
        let path = self.path.clone();
        let (answers, _) = self.put_all(&keys, drafts, change, None).map_err(store_error(&path))?;
        Ok(answers)
    }

    /// Names of people's fields: these, where anybody has them, and those of everybody who was looked at to find out.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read.
    pub fn field_names(&self, wanted: &[&str]) -> Result<BTreeSet<String>, VaultError> {
        field_names::find(&self.db, &self.keys, wanted).map_err(store_error(&self.path))
    }

    /// Moves the write-ahead log into the file and empties it. After an import.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be written.
    pub fn settle(&mut self) -> Result<(), VaultError> {
        store::checkpoint(&self.db).map_err(store_error(&self.path))
    }

    /// `beyond` is the number from which new people are counted; without one nothing is kept.
    fn put_all(
        &mut self,
        keys: &Keyring,
        drafts: &[Draft],
        address_change: AddressChange,
        beyond: Option<i64>,
    ) -> rusqlite::Result<(Vec<Put>, i64)> {
        let db = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let named: Vec<Named> = drafts.iter().map(|draft| Named::of(keys, draft)).collect();
        let tokens = named.iter().flat_map(Named::tokens).collect();
        let addresses = named.iter().flat_map(Named::addresses).collect();
        let mut roll = Roll::default();
        roll.look(&db, keys, Moment::default())?;
        let reached = progress::reached(&db)?;
        let first = reached.max(beyond.unwrap_or(reached));
        let mut batch = Batch {
            keys,
            roll,
            edits: Edits::default(),
            index: BatchIndex::read_ahead(&db, tokens, addresses)?,
            next: first,
            has_updated: false,
            has_twins: twins::are_there(&db)?,
            db: &db,
            address_change,
        };
        let mut answers = Vec::with_capacity(drafts.len());
        for (draft, named) in drafts.iter().zip(&named) {
            answers.push(batch.put(draft, named)?);
        }
        let Batch { index, next, has_updated, edits, .. } = batch;
        if beyond.is_none() || next == first && !has_updated {
            return Ok((answers, reached));
        }
        index.write_back(&db)?;
        // An older copy of the vault is known by this number, so whatever is changed moves it.
        let next = next + i64::from(has_updated);
        db.execute("UPDATE vault SET next_person = ?1", [next])?;
        edits.write(&db, keys, next)?;
        db.commit()?;
        Ok((answers, next))
    }
}

struct Batch<'db> {
    db: &'db Transaction<'db>,
    keys: &'db Keyring,
    index: BatchIndex,
    roll: Roll,
    /// What the roll is to be told of this batch.
    edits: Edits,
    /// Number of the next new person.
    next: i64,
    /// Whether anybody who was there before is another now.
    has_updated: bool,
    /// Whether any two people share an address; most vaults have none, and need no further look-up.
    has_twins: bool,
    address_change: AddressChange,
}

impl Batch<'_> {
    /// Every check comes before the first change, so a refused draft leaves no trace.
    fn put(&mut self, draft: &Draft, named: &Named) -> rusqlite::Result<Put> {
        let known = match self.identify(draft, named)? {
            Ok(known) => known,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let person = known.as_ref().map(|known| &known.person);
        let tokens = match tokens_of(person, draft) {
            Ok(tokens) => tokens,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let after = merged(person, draft, &tokens);
        let (id, change) = match &known {
            None => (self.insert(&after)?, Change::Created),
            Some(known) if known.person.record() == after.record() => (known.head.id, Change::Unchanged),
            Some(known) => (self.update(known, &after)?, Change::Updated),
        };
        if change != Change::Unchanged {
            self.index_tokens(person, &tokens, id);
            self.index_addresses(person, named, id)?;
        }
        if self.has_twins && !draft.consents.is_empty() {
            self.tell_twins(id, &after, draft)?;
        }
        Ok(Ok(Stored { id, email_token: tokens.email, mobile_token: tokens.mobile, change }))
    }

    /// Who the draft is about: by token, then by e-mail address, then by phone number.
    fn identify(
        &mut self,
        draft: &Draft,
        named: &Named,
    ) -> rusqlite::Result<Result<Option<Opened>, Refusal>> {
        let find = |hash: Option<LookupHash>| hash.and_then(|hash| self.index.person(&hash));
        let by_token = (find(named.email_token), find(named.mobile_token));
        let (by_email, by_phone) = (find(named.email), find(named.phone));
        let id = match (by_token, by_email) {
            ((Some(one), Some(other)), _) if one != other => {
                return refused("mobile_token", Cause::TokenTaken);
            }
            ((Some(id), _) | (None, Some(id)), Some(other))
                if id != other && !self.is_twin(id, named.email)? =>
            {
                return refused(EMAIL, Cause::AddressTaken);
            }
            ((Some(id), _) | (None, Some(id)), _) | ((None, None), Some(id)) => id,
            ((None, None), None) => return self.identify_by_phone(draft, by_phone),
        };
        Ok(self.open(id)?.and_then(|known| {
            let given = [&draft.email_token, &draft.mobile_token];
            let found_by_token = [by_token.0, by_token.1].map(|found| found.is_some());
            let misled = given.iter().zip(found_by_token).any(|(token, found)| {
                found && token.as_ref().is_some_and(|token| !stands_for(&known.person, token))
            });
            if misled || (by_email.is_some() && !same_email(&known.person, draft)) {
                return Err(astray(id));
            }
            if self.address_change == AddressChange::Refused && moves_token(&known.person, draft) {
                return Err(Refusal { column: Some("token".into()), cause: Cause::TokenTaken });
            }
            Ok(Some(known))
        }))
    }

    /// Several people may share a phone, so it tells who somebody is only where no e-mail address says
    /// otherwise.
    fn identify_by_phone(
        &mut self,
        draft: &Draft,
        found: Option<i64>,
    ) -> rusqlite::Result<Result<Option<Opened>, Refusal>> {
        let Some(id) = found else { return Ok(Ok(None)) };
        Ok(self.open(id)?.and_then(|known| {
            let number = known.person.field(PHONE).map(address::normalised_phone);
            if number != draft.phone.as_ref().map(|phone| phone.normalised()) {
                return Err(astray(id));
            }
            let somebody_else = draft.email.is_some() && known.person.email().is_some();
            Ok(Some(known).filter(|_| !somebody_else))
        }))
    }

    /// What was put back must not become the latest by being written to.
    fn open(&mut self, id: i64) -> rusqlite::Result<Result<Opened, Refusal>> {
        let mut select = person_row::select(self.db)?;
        let opened = match person_row::fetch(&mut select, self.keys, id)? {
            Ok(opened) if !self.is_latest(id, opened.seal)? => {
                Err(Damaged { person: id, part: DamagedPart::Earlier })
            }
            opened => opened,
        };
        Ok(opened.map_err(|damaged| Cause::Damaged(damaged).into()))
    }

    fn is_latest(&mut self, id: i64, seal: Seal) -> rusqlite::Result<bool> {
        match self.edits.seal_of(id) {
            Some(latest) => Ok(latest == seal),
            None => Ok(self.roll.is_latest(self.db, self.keys, id, seal)? == Ok(true)),
        }
    }

    fn insert(&mut self, person: &Person) -> rusqlite::Result<i64> {
        let id = self.next;
        let seal = person_row::insert(self.db, self.keys, id, person)?;
        self.edits.person(id, seal);
        self.next += 1;
        Ok(id)
    }

    fn update(&mut self, known: &Opened, after: &Person) -> rusqlite::Result<i64> {
        self.has_updated = true;
        let seal = person_row::update(self.db, known, after)?;
        self.edits.person(known.head.id, seal);
        Ok(known.head.id)
    }

    fn is_twin(&self, id: i64, email: Option<LookupHash>) -> rusqlite::Result<bool> {
        let Some(hash) = email.filter(|_| self.has_twins) else { return Ok(false) };
        twins::is_one(self.db, &hash, id)
    }

    /// What was said about mail to an address holds for everybody who has it.
    fn tell_twins(&mut self, id: i64, person: &Person, draft: &Draft) -> rusqlite::Result<()> {
        let Some(email) = person.email() else { return Ok(()) };
        let hash = self.keys.lookup_hash(LookupOf::Email, &address::normalised(email));
        let said = draft.consents_only();
        for other in self.index_owner(&hash)?.into_iter().chain(twins::others(self.db, &hash)?) {
            let known = if other == id { continue } else { self.open(other)? };
            let Ok(known) = known else { continue };
            let after = merged(Some(&known.person), &said, &tokens_in(&known.person));
            if after.record() != known.person.record() {
                self.update(&known, &after)?;
            }
        }
        Ok(())
    }

    /// Whom the index of addresses leads to, where the batch did not read it ahead too.
    fn index_owner(&self, hash: &LookupHash) -> rusqlite::Result<Option<i64>> {
        match self.index.person(hash) {
            Some(person) => Ok(Some(person)),
            None => self
                .db
                .prepare_cached("SELECT person FROM address WHERE hash = ?1")?
                .query_row([hash], |row| row.get(0))
                .optional(),
        }
    }

    fn index_tokens(&mut self, before: Option<&Person>, tokens: &Tokens, id: i64) {
        let had = before.map_or((None, None), |person| (person.email_token(), person.mobile_token()));
        for (token, had) in [(&tokens.email, had.0), (&tokens.mobile, had.1)] {
            let Some(token) = token.as_ref().filter(|_| had.is_none()) else { continue };
            let hash = self.keys.lookup_hash(LookupOf::Token, token.as_str());
            self.index.add_token(hash, token.kind(), id);
            let entry = self.keys.index_entry(&hash, kind_number(token.kind()), id);
            self.edits.token(Stretch::of(&hash), entry);
        }
    }

    /// A person has another address from now on. One who shared the old one is who has it now.
    fn free_address(&mut self, old: LookupHash, id: i64) -> rusqlite::Result<()> {
        if self.has_twins && twins::remove(self.db, &old, id)? {
            return Ok(());
        }
        self.index.remove_address(self.db, &old, id)?;
        if self.has_twins
            && self.index_owner(&old)?.is_none()
            && let Some(twin) = twins::take_first(self.db, &old)?
        {
            self.index.add_address(old, twin);
        }
        Ok(())
    }

    fn index_addresses(&mut self, before: Option<&Person>, named: &Named, id: i64) -> rusqlite::Result<()> {
        let email = before.and_then(Person::email).map(address::normalised);
        let phone = before.and_then(|person| person.field(PHONE)).map(address::normalised_phone);
        let old = [
            email.map(|email| self.keys.lookup_hash(LookupOf::Email, &email)),
            phone.map(|phone| self.keys.lookup_hash(LookupOf::Phone, &phone)),
        ];
        for (new, old) in [named.email, named.phone].into_iter().zip(old) {
            let Some(new) = new.filter(|new| old != Some(*new)) else { continue };
            if let Some(old) = old {
                self.free_address(old, id)?;
            }
            // A shared phone stays with the first who had it.
            if self.index.person(&new).is_none() {
                self.index.add_address(new, id);
            }
        }
        Ok(())
    }
}

fn refused<T>(column: &str, cause: Cause) -> rusqlite::Result<Result<T, Refusal>> {
    Ok(Err(Refusal { column: Some(column.into()), cause }))
}

fn astray(person: i64) -> Refusal {
    Cause::Damaged(Damaged { person, part: DamagedPart::Index }).into()
}

/// Whether a token that the draft names would stand for another address than before.
fn moves_token(person: &Person, draft: &Draft) -> bool {
    let email = draft.email_token.is_some() && draft.email.is_some() && person.email().is_some();
    let known_phone = person.field(PHONE).map(address::normalised_phone);
    let phone = draft.mobile_token.is_some() && draft.phone.is_some() && known_phone.is_some();
    (email && !same_email(person, draft))
        || (phone && known_phone != draft.phone.as_ref().map(|phone| phone.normalised()))
}

fn same_email(person: &Person, draft: &Draft) -> bool {
    person.email().map(address::normalised) == draft.email.as_ref().map(|email| email.normalised())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixture, draft, put, token_of};

    #[test]
    fn a_second_writer_waits_its_turn_and_a_reader_does_not() {
        let fixture = Fixture::new();
        let vault = fixture.vault();
        let stored = put(&mut vault.writer().unwrap(), &[("email", "dana@example.test")]);
        let blocker = fixture.raw();
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        let found = vault.reader().unwrap().read_batch(&[token_of(&stored)]).unwrap();
        assert!(found[0].as_ref().unwrap().is_some());
        let mut writer = vault.writer().unwrap();
        writer.db.busy_timeout(std::time::Duration::ZERO).unwrap();
        let error = writer.put(&draft(&[("email", "eve@example.test")])).unwrap_err();
        assert!(error.is_transient(), "{error}");
        blocker.execute_batch("COMMIT").unwrap();
        assert!(writer.put(&draft(&[("email", "eve@example.test")])).unwrap().is_ok());
    }
}
