//! The roll: what the vault says of itself, so that a row of an earlier day, or one that was taken away, shows. A record that
//! opens is genuine; only the roll tells that it is the latest.
//!
//! A tree of sealed nodes, of which each holds for its children the seal that they have now. At the bottom stands for each
//! person the seal of the record, and for each stretch of the index of tokens a digest of its rows. The root holds how far the
//! vault has come, which is noted outside of it too ([`super::mark`]): whoever puts back a row together with its nodes has to
//! put back the root, and that number with it.
//!
//! A look-up costs one node: those above it are remembered.

mod audit;
mod stretch;

pub use audit::{Audit, audit, build, renew};
pub use stretch::Stretch;

use super::error::Broken;
use super::keyring::Keyring;
use super::progress::{self, Moment};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, HashMap, HashSet};

pub const TABLE: &str = "
    CREATE TABLE roll (
        node INTEGER PRIMARY KEY, sealed BLOB NOT NULL
    ) STRICT;
";

const SLOT_BITS: u32 = 7;
const SLOTS: usize = 1 << SLOT_BITS;
const ROOT: i64 = -1;
const ROOT_BYTES: usize = 24;
/// Nodes above the bottom that a reader remembers, of a kilobyte each. A million people have 64 of them.
const REMEMBERED_MAX: usize = 4096;

/// What tells one sealed value from each other that was ever sealed: the beginning of its random nonce. Nothing has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal(u64);

impl Seal {
    const NONE: Self = Self(0);

    pub fn of(sealed: &[u8]) -> Self {
        let beginning = sealed.first_chunk().map_or(0, |beginning| u64::from_le_bytes(*beginning));
        Self(beginning.max(1))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
enum Tree {
    People = 0,
    Tokens = 1,
}

impl Tree {
    const ALL: [Self; 2] = [Self::People, Self::Tokens];

    /// Room for 34,000 million numbers of people and of changes, and for the stretches of the index.
    fn levels(self) -> u32 {
        match self {
            Self::People => 5,
            Self::Tokens => 2,
        }
    }

    fn top(self) -> Node {
        Node { tree: self, level: self.levels() - 1, index: 0 }
    }
}

/// Which node it is; those of level 0 hold what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    tree: Tree,
    level: u32,
    index: i64,
}

impl Node {
    /// Its number in the file.
    fn row(self) -> i64 {
        ((self.tree as i64) << 60) | (i64::from(self.level) << 56) | self.index
    }

    /// Which of its slots leads to this number.
    fn slot(self, number: i64) -> usize {
        ((number >> (SLOT_BITS * self.level)) & (SLOTS as i64 - 1)) as usize
    }

    fn child(self, slot: usize) -> Self {
        Self { level: self.level - 1, index: (self.index << SLOT_BITS) | slot as i64, ..self }
    }

    /// Whether the number is below it; that of a top is bounded by nothing else.
    fn has(self, number: i64) -> bool {
        number >> (SLOT_BITS * (self.level + 1)) == self.index
    }
}

type Slots = [u64; SLOTS];

fn place(row: i64) -> [u8; 16] {
    let mut place = *b"roll\0\0\0\0\0\0\0\0\0\0\0\0";
    place[8..].copy_from_slice(&row.to_le_bytes());
    place
}

fn select(db: &Connection, row: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT sealed FROM roll WHERE node = ?1")?
        .query_row([row], |row| row.get(0))
        .optional()
}

fn replace(db: &Connection, keys: &Keyring, row: i64, clear: &[u8]) -> rusqlite::Result<Seal> {
    let sealed = keys.roll().seal(&place(row), clear);
    db.prepare_cached("INSERT OR REPLACE INTO roll (node, sealed) VALUES (?1, ?2)")?
        .execute(params![row, sealed])?;
    Ok(Seal::of(&sealed))
}

/// The node, if it is the one that bears this seal.
fn load(
    db: &Connection,
    keys: &Keyring,
    node: Node,
    seal: Seal,
) -> rusqlite::Result<Result<Box<Slots>, Broken>> {
    let mut slots = Box::new([0; SLOTS]);
    if seal == Seal::NONE {
        return Ok(Ok(slots));
    }
    let Some(sealed) = select(db, node.row())? else { return Ok(Err(Broken)) };
    let clear = if Seal::of(&sealed) == seal { keys.roll().open(&place(node.row()), &sealed) } else { None };
    let Some(clear) = clear else { return Ok(Err(Broken)) };
    for (slot, bytes) in slots.iter_mut().zip(clear.as_chunks::<8>().0) {
        *slot = u64::from_le_bytes(*bytes);
    }
    Ok(Ok(slots))
}

/// The top of it all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Root {
    /// How far the vault has come: as `next_person` says in the clear.
    reached: i64,
    tops: [Seal; 2],
}

impl Root {
    fn open(keys: &Keyring, sealed: &[u8]) -> Option<Self> {
        let clear = keys.roll().open(&place(ROOT), sealed)?;
        let ([reached, people, tokens], []) = clear.as_chunks::<8>() else { return None };
        let seal = |bytes: &[u8; 8]| Seal(u64::from_le_bytes(*bytes));
        Some(Self { reached: i64::from_le_bytes(*reached), tops: [seal(people), seal(tokens)] })
    }

    fn read(db: &Connection, keys: &Keyring) -> rusqlite::Result<Self> {
        let sealed = select(db, ROOT)?.ok_or(Broken)?;
        Ok(Self::open(keys, &sealed).ok_or(Broken)?)
    }

    fn write(&self, db: &Connection, keys: &Keyring) -> rusqlite::Result<()> {
        let numbers = [self.reached as u64, self.tops[0].0, self.tops[1].0];
        let mut clear = [0; ROOT_BYTES];
        for (bytes, number) in clear.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *bytes = number.to_le_bytes();
        }
        replace(db, keys, ROOT, &clear).map(drop)
    }
}

/// The roll of a vault that holds nobody.
pub fn create(db: &Connection, keys: &Keyring, reached: i64) -> rusqlite::Result<()> {
    db.execute_batch(TABLE)?;
    Root { reached, tops: [Seal::NONE; 2] }.write(db, keys)
}

/// The roll as one connection has read it so far. What it remembers stays true: each node is known by its seal.
#[derive(Default)]
pub struct Roll {
    root: Option<Root>,
    above: HashMap<i64, (Seal, Box<Slots>)>,
    /// The node of the bottom that was read last.
    bottom: Option<(Node, Seal, Box<Slots>)>,
    /// When it was asked last.
    moment: Option<Moment>,
    /// Stretches of the index whose rows were all there at that moment.
    complete: HashSet<Stretch>,
}

impl Roll {
    /// To be asked first within each transaction.
    ///
    /// # Errors
    /// [`Broken`]: the root was altered or is an older one, and nothing can be said.
    pub fn look(&mut self, db: &Connection, keys: &Keyring, moment: Moment) -> rusqlite::Result<()> {
        if self.moment == Some(moment) {
            return Ok(());
        }
        self.moment = None;
        self.root = None;
        self.complete.clear();
        let root = Root::read(db, keys)?;
        if progress::reached(db)? != root.reached {
            return Err(Broken.into());
        }
        self.root = Some(root);
        self.moment = Some(moment);
        Ok(())
    }

    /// Whether this is the seal of the person's latest record.
    ///
    /// # Errors
    /// [`Broken`] inside: that part of the roll was altered.
    pub fn is_latest(
        &mut self,
        db: &Connection,
        keys: &Keyring,
        person: i64,
        seal: Seal,
    ) -> rusqlite::Result<Result<bool, Broken>> {
        Ok(self.told(db, keys, Tree::People, person)?.map(|told| Seal(told) == seal))
    }

    fn root(&self) -> Result<Root, Broken> {
        self.root.ok_or(Broken)
    }

    /// What stands at the bottom for a number.
    fn told(
        &mut self,
        db: &Connection,
        keys: &Keyring,
        tree: Tree,
        number: i64,
    ) -> rusqlite::Result<Result<u64, Broken>> {
        let (mut node, mut seal) = (tree.top(), self.root()?.tops[tree as usize]);
        if !node.has(number) {
            return Ok(Ok(0));
        }
        while node.level > 0 {
            let Some(slots) = self.above(db, keys, node, seal)? else { return Ok(Err(Broken)) };
            let slot = node.slot(number);
            (node, seal) = (node.child(slot), Seal(slots[slot]));
        }
        if !self.bottom.as_ref().is_some_and(|(known, sealed, _)| (*known, *sealed) == (node, seal)) {
            let Ok(slots) = load(db, keys, node, seal)? else { return Ok(Err(Broken)) };
            self.bottom = Some((node, seal, slots));
        }
        Ok(self.bottom.as_ref().map(|(_, _, slots)| slots[node.slot(number)]).ok_or(Broken))
    }

    fn above(
        &mut self,
        db: &Connection,
        keys: &Keyring,
        node: Node,
        seal: Seal,
    ) -> rusqlite::Result<Option<&Slots>> {
        let row = node.row();
        if self.above.get(&row).is_none_or(|(known, _)| *known != seal) {
            let Ok(slots) = load(db, keys, node, seal)? else { return Ok(None) };
            if self.above.len() >= REMEMBERED_MAX {
                self.above.clear();
            }
            self.above.insert(row, (seal, slots));
        }
        Ok(self.above.get(&row).map(|(_, slots)| &**slots))
    }
}

/// What changes at the bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    Becomes(u64),
    /// A row comes into, or leaves, what a digest is of.
    Toggles(u64),
}

impl Edit {
    fn of(self, value: u64) -> u64 {
        match self {
            Self::Becomes(value) => value,
            Self::Toggles(entry) => value ^ entry,
        }
    }
}

/// What one transaction changes of the vault, to be told by the roll.
#[derive(Debug, Default)]
pub struct Edits {
    people: BTreeMap<i64, Seal>,
    /// One for each row, of as many stretches.
    tokens: Vec<(i64, Edit)>,
}

impl Edits {
    /// Somebody is new, or has another record from now on.
    pub fn person(&mut self, person: i64, record: Seal) {
        self.people.insert(person, record);
    }

    /// A row of the index of tokens is new.
    pub fn token(&mut self, stretch: Stretch, entry: u64) {
        self.tokens.push((stretch.number(), Edit::Toggles(entry)));
    }

    /// The record that a person has by these changes.
    pub fn seal_of(&self, person: i64) -> Option<Seal> {
        self.people.get(&person).copied()
    }

    /// Tells them. What stands in the way of that is held against its seal first: an older node must not become the latest
    /// by being written to.
    ///
    /// # Errors
    /// [`Broken`]; nothing must be committed then.
    pub fn write(mut self, db: &Connection, keys: &Keyring, reached: i64) -> rusqlite::Result<()> {
        let mut root = Root::read(db, keys)?;
        let people: Vec<_> = self.people.into_iter().map(|(at, seal)| (at, Edit::Becomes(seal.0))).collect();
        self.tokens.sort_unstable_by_key(|(at, _)| *at);
        for (tree, edits) in Tree::ALL.into_iter().zip([people, self.tokens]) {
            let top = &mut root.tops[tree as usize];
            if !edits.is_empty() {
                *top = rewrite(db, keys, tree.top(), *top, &edits)?;
            }
        }
        root.reached = reached;
        root.write(db, keys)
    }
}

/// Writes a node and those below it anew, as far as these edits, in the order of their numbers, go.
fn rewrite(
    db: &Connection,
    keys: &Keyring,
    node: Node,
    seal: Seal,
    edits: &[(i64, Edit)],
) -> rusqlite::Result<Seal> {
    if edits.iter().any(|(number, _)| !node.has(*number)) {
        return Err(Broken.into());
    }
    let mut slots = load(db, keys, node, seal)??;
    for run in edits.chunk_by(|one, other| node.slot(one.0) == node.slot(other.0)) {
        let slot = node.slot(run[0].0);
        slots[slot] = match node.level {
            0 => run.iter().fold(slots[slot], |value, (_, edit)| edit.of(value)),
            _ => rewrite(db, keys, node.child(slot), Seal(slots[slot]), run)?.0,
        };
    }
    let mut clear = [0; SLOTS * 8];
    for (bytes, slot) in clear.as_chunks_mut::<8>().0.iter_mut().zip(*slots) {
        *bytes = slot.to_le_bytes();
    }
    replace(db, keys, node.row(), &clear)
}
