//! The whole vault held against its roll, without opening a record: a second or two for a million people.

use super::{Broken, Edits, Node, Roll, Seal, Stretch, Tree, load};
use crate::vault::error::{Altered, is_broken};
use crate::vault::keyring::Keyring;
use crate::vault::progress::{self, Moment};
use rusqlite::{Connection, TransactionBehavior, params};

/// Edits of the roll that are held at once while it is made.
const PAGE: usize = 50_000;

/// What does not agree.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Audit {
    /// People whose row is not the latest, or not in the roll.
    pub put_back: Vec<i64>,
    /// People in the roll who have no row.
    pub taken_away: u64,
    /// Stretches of the index of tokens in which a row is missing, or one too many.
    pub altered_stretches: u64,
    /// The roll itself was altered, or put back.
    pub is_broken: bool,
}

impl Audit {
    /// `None` when all is as it was written.
    pub fn what(&self) -> Option<Altered> {
        let (put_back, taken_away) = (self.put_back.len() as u64, self.taken_away);
        let (index_parts, is_roll_broken) = (self.altered_stretches, self.is_broken);
        let altered = Altered { put_back, taken_away, index_parts, is_roll_broken };
        let is_whole = put_back + taken_away + self.altered_stretches == 0 && !self.is_broken;
        (!is_whole).then_some(altered)
    }
}

/// # Errors
/// When the file cannot be read.
pub fn audit(db: &Connection, keys: &Keyring) -> rusqlite::Result<Audit> {
    let mut found = Audit::default();
    let mut roll = Roll::default();
    match roll.look(db, keys, Moment::default()) {
        Err(error) if is_broken(&error) => return Ok(Audit { is_broken: true, ..found }),
        looked => looked?,
    }
    let mut told = 0;
    let mut people = db.prepare("SELECT id, substr(record, 1, 8) FROM person ORDER BY id")?;
    let mut rows = people.query([])?;
    while let Some(row) = rows.next()? {
        let (id, seal) = (row.get(0)?, Seal::of(row.get_ref(1)?.as_blob()?));
        match roll.told(db, keys, Tree::People, id)? {
            Ok(0) => found.put_back.push(id),
            Ok(latest) => {
                told += 1;
                if Seal(latest) != seal {
                    found.put_back.push(id);
                }
            }
            Err(Broken) => found.is_broken = true,
        }
    }
    for stretch in Stretch::all() {
        match roll.is_complete(db, keys, stretch)? {
            Ok(true) => {}
            Ok(false) => found.altered_stretches += 1,
            Err(Broken) => found.is_broken = true,
        }
    }
    match count(db, keys, Tree::People.top(), roll.root()?.tops[0])? {
        Ok(all) => found.taken_away = all - told,
        Err(Broken) => found.is_broken = true,
    }
    Ok(found)
}

/// How many there are in the roll below a node.
fn count(db: &Connection, keys: &Keyring, node: Node, seal: Seal) -> rusqlite::Result<Result<u64, Broken>> {
    let Ok(slots) = load(db, keys, node, seal)? else { return Ok(Err(Broken)) };
    let mut all = 0;
    for (slot, value) in slots.iter().enumerate().filter(|(_, value)| **value != 0) {
        if node.level == 0 {
            all += 1;
            continue;
        }
        match count(db, keys, node.child(slot), Seal(*value))? {
            Ok(below) => all += below,
            Err(Broken) => return Ok(Err(Broken)),
        }
    }
    Ok(Ok(all))
}

/// The roll of a vault that had none, as it stands.
///
/// # Errors
/// When the file cannot be read or written.
pub fn build(db: &Connection, keys: &Keyring, reached: i64) -> rusqlite::Result<()> {
    super::create(db, keys, reached)?;
    let mut after = i64::MIN;
    loop {
        let mut page = db.prepare_cached(
            "SELECT id, substr(record, 1, 8) FROM person WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let page = page.query_map(params![after, PAGE as i64], |row| {
            Ok((row.get::<_, i64>(0)?, Seal::of(row.get_ref(1)?.as_blob()?)))
        })?;
        let mut edits = Edits::default();
        for person in page {
            let (id, seal) = person?;
            edits.person(id, seal);
            after = id;
        }
        if edits.people.is_empty() {
            break;
        }
        edits.write(db, keys, reached)?;
    }
    let mut edits = Edits::default();
    for stretch in Stretch::all() {
        // One that is out of order stays without, and so is told of.
        if let Some(digest) = stretch.digest(db, keys)? {
            edits.token(stretch, digest);
        }
    }
    edits.write(db, keys, reached)
}

/// The roll made anew from what stands there.
///
/// # Errors
/// When the file cannot be read or written; the roll is as it was then.
pub fn renew(db: &mut Connection, keys: &Keyring) -> rusqlite::Result<()> {
    let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    all.execute_batch("DROP TABLE IF EXISTS roll")?;
    build(&all, keys, progress::reached(&all)?)?;
    all.commit()
}
