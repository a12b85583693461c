//! One batch of drafts on its way into the vault: who each is about, what becomes of the person, and what the indexes and the roll are
//! to be told.

use super::likeness::{is_named_by, moves_token, same_email};
use super::unplaced::Unplaced;
use crate::job::Token;
use crate::person::{EMAIL, PHONE, Person};
use crate::vault::batch_index::{BatchIndex, kind_number};
use crate::vault::cause::{Cause, Refusal};
use crate::vault::draft::Draft;
use crate::vault::error::{Damaged, DamagedPart};
use crate::vault::keyring::{Keyring, LookupHash, LookupOf};
use crate::vault::merge::{Tokens, merged, tokens_in, tokens_of};
use crate::vault::named::Named;
use crate::vault::person_row::{self, Opened};
use crate::vault::progress::{self, Moment};
use crate::vault::reader::stands_for;
use crate::vault::roll::{Edits, Roll, Seal, Stretch};
use crate::vault::{address, twins};
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;

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

/// What is to be stored, and how.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    pub drafts: &'a [Draft],
    pub address_change: AddressChange,
    /// Whether people were stored before this writer began, whose phones may be in the index in an older form.
    pub had_people: bool,
}

/// One answer a draft.
pub type Put = Result<Stored, Refusal>;

/// What a batch came to.
pub struct Outcome {
    pub answers: Vec<Put>,
    /// How far the vault has come with it.
    pub reached: i64,
}

/// Within the caller's transaction. New people are counted from `beyond`, where the vault has not come further.
pub fn put_all(
    db: &Connection,
    keys: &Keyring,
    order: Order<'_>,
    beyond: i64,
    unplaced: &mut Unplaced,
) -> rusqlite::Result<Outcome> {
    let Order { drafts, address_change, had_people } = order;
    let named: Vec<Named> = drafts.iter().map(|draft| Named::of(keys, draft)).collect();
    let tokens = named.iter().flat_map(Named::tokens).collect();
    let addresses = named.iter().flat_map(Named::addresses).collect();
    let mut roll = Roll::default();
    roll.look(db, keys, Moment::default())?;
    let reached = progress::reached(db)?;
    let first = reached.max(beyond);
    let mut batch = Batch {
        keys,
        roll,
        edits: Edits::default(),
        index: BatchIndex::read_ahead(db, tokens, addresses)?,
        next: first,
        has_updated: false,
        has_twins: twins::are_there(db)?,
        db,
        address_change,
        had_people,
        unplaced,
    };
    let mut answers = Vec::with_capacity(drafts.len());
    for (draft, named) in drafts.iter().zip(&named) {
        answers.push(batch.put(draft, named)?);
    }
    let Batch { index, next, has_updated, edits, .. } = batch;
    if next == first && !has_updated {
        return Ok(Outcome { answers, reached });
    }
    index.write_back(db)?;
    // An older copy of the vault is known by this number, so whatever is changed moves it.
    let next = next + i64::from(has_updated);
    db.execute("UPDATE vault SET next_person = ?1", [next])?;
    edits.write(db, keys, next)?;
    Ok(Outcome { answers, reached: next })
}

struct Batch<'db> {
    db: &'db Connection,
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
    had_people: bool,
    /// What earlier rows withdrew of people who were not there.
    unplaced: &'db mut Unplaced,
}

impl Batch<'_> {
    /// Of a row that is refused, by its cells or by what is known, what it withdraws is stored all the same: who has said no is not
    /// mailed for the sake of another value.
    fn put(&mut self, draft: &Draft, named: &Named) -> rusqlite::Result<Put> {
        let put = match draft.refusal() {
            Some(refusal) => Err(refusal.clone()),
            None => self.store(draft, named)?,
        };
        match put {
            Err(refusal) => Ok(Err(Refusal { withdrew: self.withdraw(draft, named)?, ..refusal })),
            stored => Ok(stored),
        }
    }

    /// Every check comes before the first change, so a refused draft leaves no trace.
    fn store(&mut self, draft: &Draft, named: &Named) -> rusqlite::Result<Put> {
        let known = match self.identify(draft, named)? {
            Ok(known) => known,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let person = known.as_ref().map(|known| &known.person);
        let tokens = match tokens_of(person, draft) {
            Ok(tokens) => tokens,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut after = merged(person, draft, &tokens);
        let is_there = |hash: &LookupHash| self.index.person(hash).is_some();
        if let Some(said) = self.unplaced.for_newcomer(draft, named, after.email().is_some(), is_there) {
            after = merged(Some(&after), &said, &tokens);
        }
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

    /// Refuses for everybody whom the draft names what it refuses, and tells whether that was anybody.
    fn withdraw(&mut self, draft: &Draft, named: &Named) -> rusqlite::Result<bool> {
        let Some(said) = draft.withdrawal() else { return Ok(false) };
        self.unplaced.keep(&said, named, |hash| self.index.person(hash).is_some());
        let hashes = [named.email_token, named.mobile_token, named.email];
        let found = hashes.into_iter().flatten().filter_map(|hash| self.index.person(&hash));
        let found = found.chain(self.find_by_phone(draft, named)?);
        let mut withdrew = false;
        for id in found.collect::<BTreeSet<i64>>() {
            // Of a damaged one nothing is known.
            let Ok(known) = self.open(id)? else { continue };
            if !is_named_by(&known.person, draft) {
                continue;
            }
            let after = merged(Some(&known.person), &said, &tokens_in(&known.person));
            if after.record() != known.person.record() {
                self.update(&known, &after)?;
            }
            if self.has_twins {
                self.tell_twins(id, &after, &said)?;
            }
            withdrew = true;
        }
        Ok(withdrew)
    }

    /// Who the draft is about: by token, then by e-mail address, then by phone number.
    fn identify(
        &mut self,
        draft: &Draft,
        named: &Named,
    ) -> rusqlite::Result<Result<Option<Opened>, Refusal>> {
        let find = |hash: Option<LookupHash>| hash.and_then(|hash| self.index.person(&hash));
        let by_token = (find(named.email_token), find(named.mobile_token));
        let by_email = find(named.email);
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
            ((None, None), None) => {
                let by_phone = self.find_by_phone(draft, named)?;
                return self.identify_by_phone(draft, by_phone);
            }
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
                return Err(Refusal::of("token", Cause::TokenTaken));
            }
            Ok(Some(known))
        }))
    }

    fn find_by_phone(&self, draft: &Draft, named: &Named) -> rusqlite::Result<Option<i64>> {
        let found = named.phone.and_then(|hash| self.index.person(&hash));
        let phone = draft.phone.as_ref().filter(|_| found.is_none() && self.had_people);
        match phone.and_then(|phone| address::phone_before(&phone.normalised())) {
            Some(before) => self.index_owner(&self.keys.lookup_hash(LookupOf::Phone, &before)),
            None => Ok(found),
        }
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
        let mut before = phone
            .as_ref()
            .and_then(|phone| Some(self.keys.lookup_hash(LookupOf::Phone, &address::phone_before(phone)?)));
        let old = [
            email.map(|email| self.keys.lookup_hash(LookupOf::Email, &email)),
            phone.map(|phone| self.keys.lookup_hash(LookupOf::Phone, &phone)),
        ];
        for (new, old) in [named.email, named.phone].into_iter().zip(old) {
            let Some(new) = new.filter(|new| old != Some(*new)) else { continue };
            if let Some(old) = old {
                self.free_address(old, id)?;
            }
            if let Some(before) = before.take_if(|_| Some(new) == named.phone) {
                self.free_address(before, id)?;
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
    Ok(Err(Refusal::of(column, cause)))
}

fn astray(person: i64) -> Refusal {
    Cause::Damaged(Damaged { person, part: DamagedPart::Index }).into()
}
