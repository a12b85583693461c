//! Row by row out of a damaged file: whatever stands on a page that can be read is read, wherever the others lie.

use super::error::Trouble;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Statement, params_from_iter};

/// Tables in the order of numbers, with the column of those: what lies behind an unreadable page can be reached.
const NUMBERED: [(&str, &str); 7] = [
    ("job", "id"),
    ("payload", "job"),
    ("flight", "job"),
    ("event", "seq"),
    ("kept", "seq"),
    ("attempt", "job"),
    ("parked", "job"),
];
/// What rows are made from, in the order of its hashes, and where those stand.
const CONTENTS: [(&str, &str); 2] = [("content", "payload"), ("kept_content", "kept")];
/// What `due` and `tally` lack is known from the others.
const UNNUMBERED: [&str; 3] = ["due", "run", "tally"];
/// Of these, tables that an older format does not have.
const LATER: [&str; 4] = ["kept", "kept_content", "parked", "run"];
/// How far behind the last row that was read there may be others, where the highest number is not known.
const GAP_MAX: i64 = 1 << 16;
/// Rows that are none, in one reading, behind which nothing is believed to come.
const SPOILT_MAX: u64 = 1 << 14;
/// Most looks for what lies between unreadable pages: some ten seconds.
const LOOKS_MAX: u64 = 1 << 21;

/// Whether everything could be read. Fails only when the new file cannot be written.
pub fn copy(old: &Connection, all: &Connection) -> rusqlite::Result<bool> {
    let mut is_complete = true;
    let clock = old.query_row("SELECT clock FROM journal", [], |row| row.get::<_, i64>(0));
    // Until there is one, it is at 0: how far it had come is lost.
    all.execute("UPDATE journal SET clock = ?1", [clock.as_ref().unwrap_or(&0)])?;
    if let Ok(log) = old.query_row("SELECT log_clock FROM journal", [], |row| row.get::<_, i64>(0)) {
        all.execute("UPDATE journal SET log_clock = ?1", [log])?;
    }
    let has = |table: &str| !LATER.contains(&table) || old.table_exists(None, table) != Ok(false);
    for table in UNNUMBERED.into_iter().filter(|table| has(table)) {
        is_complete &= copy_table(old, all, table)?;
    }
    for (table, number) in NUMBERED.into_iter().filter(|(table, _)| has(table)) {
        let is_whole = copy_numbered(old, all, table, number)?;
        if table == "parked" && !is_whole {
            park_the_rest(all)?;
        }
        is_complete &= is_whole;
    }
    for (contents, rows) in CONTENTS.into_iter().filter(|(contents, _)| has(contents)) {
        if !copy_table(old, all, contents)? {
            is_complete = false;
            copy_wanted(old, all, contents, rows)?;
        }
    }
    let sequences = old.prepare("SELECT name, max(seq) FROM sqlite_sequence GROUP BY name");
    if let Ok(mut select) = sequences
        && let Ok(rows) = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))
    {
        for (name, seq) in rows.flatten() {
            all.execute("UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1", (name, seq))?;
        }
    }
    Ok(is_complete)
}

/// As far as it can be read. Whether that was all.
fn copy_table(old: &Connection, all: &Connection, table: &str) -> rusqlite::Result<bool> {
    let mut put = Put::new(all, old, table)?;
    match old.prepare(&format!("SELECT * FROM {table}")) {
        Ok(mut select) => Ok(put.rows(&mut select, Order::Any)?.end == End::OfTheQuery && put.spoilt == 0),
        Err(_) => Ok(false),
    }
}

/// All of a table but what stands on pages that cannot be read. What is left behind the first of these is read from both ends and
/// halved, until it is known that nothing is.
fn copy_numbered(old: &Connection, new: &Connection, table: &str, number: &str) -> rusqlite::Result<bool> {
    let mut put = Put::new(new, old, table)?;
    let Ok(mut gaps) = Gaps::of(old, new, table, number) else { return Ok(false) };
    // On a page of rubbish rows of any number may seem to be.
    let end = highest(old, table).map(|last| last.saturating_add(1));
    let came = put.between(&mut gaps.up, 0, end.unwrap_or(i64::MAX))?;
    let read = came.to.unwrap_or(0);
    let end = end.unwrap_or(read.saturating_add(GAP_MAX));
    if came.end == End::OfTheQuery && put.spoilt == 0 && gaps.is_empty(read, end)? {
        return Ok(true);
    }
    let (mut unread, mut looks) = (vec![(read, end)], 0);
    while let Some((behind, before)) = unread.pop() {
        looks += 1;
        if looks > LOOKS_MAX {
            break;
        }
        let behind = put.between(&mut gaps.up, behind, before)?.to.unwrap_or(behind);
        let before = put.between(&mut gaps.down, behind, before)?.to.unwrap_or(before);
        if gaps.is_empty(behind, before)? {
            continue;
        }
        if before - behind > 2 {
            let middle = behind + (before - behind) / 2;
            unread.extend([(behind, middle + 1), (middle, before)]);
        }
    }
    Ok(false)
}

/// Ways into a table of which pages are unreadable. That a query ends without an error says nothing: on a page of rubbish it
/// ends early.
struct Gaps<'o, 'n> {
    up: Way<'o>,
    down: Way<'o>,
    next: Statement<'o>,
    previous: Statement<'o>,
    is_read: Statement<'n>,
}

impl<'o, 'n> Gaps<'o, 'n> {
    fn of(old: &'o Connection, new: &'n Connection, table: &str, number: &str) -> rusqlite::Result<Self> {
        let rows = |order| {
            let between = format!("{number} > ?1 AND {number} < ?2");
            old.prepare(&format!("SELECT * FROM {table} WHERE {between} ORDER BY {number} {order}"))
        };
        let one = |side, order| {
            let order = format!("ORDER BY {number} {order} LIMIT 1");
            old.prepare(&format!("SELECT {number} FROM {table} WHERE {number} {side} ?1 {order}"))
        };
        Ok(Self {
            up: Way { select: rows("ASC")?, order: Order::Up },
            down: Way { select: rows("DESC")?, order: Order::Down },
            next: one(">", "ASC")?,
            previous: one("<", "DESC")?,
            is_read: new.prepare(&format!("SELECT 1 FROM {table} WHERE {number} = ?1"))?,
        })
    }

    /// Whether nothing lies between: from either side one comes to a row that was read, and lies on the other.
    fn is_empty(&mut self, behind: i64, before: i64) -> rusqlite::Result<bool> {
        let next = self.next.query_row([behind], |row| row.get::<_, i64>(0)).optional();
        let previous = self.previous.query_row([before], |row| row.get::<_, i64>(0)).optional();
        let (Ok(next), Ok(previous)) = (next, previous) else { return Ok(false) };
        let is_beyond =
            next.is_none_or(|next| next >= before) && previous.is_none_or(|previous| previous <= behind);
        for number in next.iter().chain(&previous).filter(|_| is_beyond) {
            if !self.is_read.exists([number])? {
                return Ok(false);
            }
        }
        Ok(is_beyond)
    }
}

/// No row of the table has a higher number than this.
fn highest(old: &Connection, table: &str) -> Option<i64> {
    let counted = match table {
        // Whatever is kept was told as refused.
        "event" | "kept" => "event",
        // By their job.
        _ => "job",
    };
    let highest = "SELECT max(seq) FROM sqlite_sequence WHERE name = ?1";
    old.query_row(highest, [counted], |row| row.get(0)).ok()
}

/// Each content that a row is made from and that was not reached, by its hash.
fn copy_wanted(old: &Connection, new: &Connection, contents: &str, rows: &str) -> rusqlite::Result<()> {
    let mut put = Put::new(new, old, contents)?;
    let Ok(mut select) = old.prepare(&format!("SELECT * FROM {contents} WHERE hash = ?1")) else {
        return Ok(());
    };
    new.execute_batch(&format!(
        "CREATE TEMP TABLE wanted (hash BLOB PRIMARY KEY) WITHOUT ROWID;
         INSERT INTO wanted SELECT DISTINCT content FROM {rows} WHERE content IS NOT NULL
             AND content NOT IN (SELECT hash FROM {contents});"
    ))?;
    let mut next = new.prepare("SELECT hash FROM wanted WHERE hash > ?1 ORDER BY hash LIMIT 1")?;
    let mut behind: Vec<u8> = Vec::new();
    while let Some(hash) = next.query_row([behind], |row| row.get::<_, Vec<u8>>(0)).optional()? {
        if select.raw_bind_parameter(1, &hash).is_ok() {
            // One that cannot be read is lost, and its jobs with it.
            put.rows(&mut select, Order::Any)?;
        }
        behind = hash;
    }
    drop(next);
    new.execute_batch("DROP TABLE wanted")
}

/// Of a copy nothing goes without a person's word: not even what was held back, and cannot be seen to be any more.
fn park_the_rest(all: &Connection) -> rusqlite::Result<()> {
    all.execute_batch(
        "INSERT OR IGNORE INTO parked (job, is_retry)
             SELECT payload.job, job.attempts > 0 FROM payload JOIN job ON job.id = payload.job
             WHERE job.state = 'journaled' AND EXISTS (SELECT 1 FROM run WHERE sign IS NOT NULL)
                 AND payload.job NOT IN (SELECT job FROM due) AND payload.job NOT IN (SELECT job FROM flight)",
    )
}

/// Rows on their way into a table of the new file.
struct Put<'n> {
    insert: Option<Statement<'n>>,
    columns: usize,
    /// Rows that could be read and are none.
    spoilt: u64,
}

impl<'n> Put<'n> {
    fn new(new: &'n Connection, old: &Connection, table: &str) -> rusqlite::Result<Self> {
        let Ok(select) = old.prepare(&format!("SELECT * FROM {table}")) else {
            return Ok(Self { insert: None, columns: 0, spoilt: 0 });
        };
        let names: Vec<&str> = select.column_names().collect();
        let places = vec!["?"; names.len()].join(", ");
        let sql = format!("INSERT OR IGNORE INTO {table} ({}) VALUES ({places})", names.join(", "));
        Ok(Self { insert: Some(new.prepare(&sql)?), columns: names.len(), spoilt: 0 })
    }

    /// Copies the rows between two numbers until one cannot be read, or one comes out of its order: a page of rubbish may lead
    /// anywhere.
    fn between(&mut self, way: &mut Way<'_>, behind: i64, before: i64) -> rusqlite::Result<Came> {
        let select = &mut way.select;
        let bound = select.raw_bind_parameter(1, behind).and_then(|()| select.raw_bind_parameter(2, before));
        if bound.is_err() { Ok(Came::NOWHERE) } else { self.rows(select, way.order) }
    }

    fn rows(&mut self, select: &mut Statement<'_>, order: Order) -> rusqlite::Result<Came> {
        let mut came = Came::NOWHERE;
        let Some(insert) = &mut self.insert else { return Ok(came) };
        let (mut rows, spoilt_before) = (select.raw_query(), self.spoilt);
        while self.spoilt - spoilt_before < SPOILT_MAX {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(Came { end: End::OfTheQuery, ..came }),
                Err(_) => break,
            };
            let values: Result<Vec<Value>, _> = (0..self.columns).map(|at| row.get(at)).collect();
            let Ok(values) = values else {
                self.spoilt += 1;
                continue;
            };
            let number = match values.first() {
                Some(Value::Integer(number)) => Some(*number),
                _ => None,
            };
            if !order.allows(came.to, number) {
                break;
            }
            match insert.execute(params_from_iter(values)) {
                // It was read before: the way leads in a circle.
                Ok(0) => break,
                Ok(_) => came.to = number.or(came.to),
                // A row that breaks the table's rules is part of the damage.
                Err(error) if Trouble::of_store(&error) == Trouble::Damaged => self.spoilt += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(came)
    }
}

/// How the rows of a query come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Up,
    Down,
    /// As they lie there.
    Any,
}

impl Order {
    /// Several rows may have the same number.
    fn allows(self, before: Option<i64>, now: Option<i64>) -> bool {
        match (self, before, now) {
            (Self::Up, Some(before), Some(now)) => before <= now,
            (Self::Down, Some(before), Some(now)) => now <= before,
            _ => true,
        }
    }
}

/// A query for what lies between two numbers.
struct Way<'o> {
    select: Statement<'o>,
    order: Order,
}

/// How far a query was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Came {
    /// The number of the last row, where rows have one.
    to: Option<i64>,
    end: End,
}

impl Came {
    const NOWHERE: Self = Self { to: None, end: End::Unreadable };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    OfTheQuery,
    Unreadable,
}
