//! Which run has the database: written into it by every start, and read by the next.

use super::origin::{FileIdentity, Forgotten, Provenance, Sign, Stamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// The row that the last start has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub stamp: Stamp,
    /// By what the jobs that are parked were known to be a copy's, the last time that was so.
    pub sign: Option<Sign>,
    pub unsure: Unsure,
}

/// Until when, on the journal's clock, jobs may come that came before and that the ledger has forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unsure {
    pub handoffs_until: i64,
    pub all_until: i64,
}

impl Unsure {
    /// With what this start has found out.
    pub fn after(self, provenance: Provenance, until: i64) -> Self {
        match provenance.forgotten() {
            Forgotten::Nothing => self,
            Forgotten::HandedOff => Self { handoffs_until: self.handoffs_until.max(until), ..self },
            Forgotten::All => Self { handoffs_until: until, all_until: until },
        }
    }
}

const COLUMNS: &str =
    "id, epoch, inode, born, volume, is_lasting, machine, sign, handoffs_unsure_until, all_unsure_until";

impl Run {
    /// `None` in a journal that no start of this format has had.
    pub fn read(db: &Connection) -> rusqlite::Result<Option<Self>> {
        db.query_row(&format!("SELECT {COLUMNS} FROM run"), [], read).optional()
    }

    pub fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let Self { stamp: Stamp { id, epoch, file, machine }, sign, unsure } = self;
        let FileIdentity { inode, born, volume, is_lasting } = file;
        db.execute(
            &format!("INSERT OR REPLACE INTO run (only, {COLUMNS}) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
            params![
                id,
                epoch.cast_signed(),
                inode.cast_signed(),
                born,
                volume.map(u64::cast_signed),
                is_lasting,
                machine,
                sign.map(Sign::as_str),
                unsure.handoffs_until,
                unsure.all_until
            ],
        )?;
        Ok(())
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
    let file = FileIdentity {
        inode: number(2)?,
        born: row.get(3)?,
        volume: row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
        is_lasting: row.get(5)?,
    };
    let stamp = Stamp { id: row.get(0)?, epoch: number(1)?, file, machine: row.get(6)? };
    let sign: Option<String> = row.get(7)?;
    let unsure = Unsure { handoffs_until: row.get(8)?, all_until: row.get(9)? };
    Ok(Run { stamp, sign: sign.as_deref().and_then(Sign::parse), unsure })
}

/// Takes everything that waits out of its lane, until a person says that it may go.
pub fn park(db: &Connection) -> rusqlite::Result<u64> {
    let parked =
        db.execute("INSERT OR IGNORE INTO parked (job, is_retry) SELECT job, is_retry FROM due", [])?;
    db.execute("DELETE FROM due", [])?;
    Ok(parked as u64)
}

/// Jobs that are parked.
pub fn parked(db: &Connection) -> rusqlite::Result<u64> {
    let count: i64 = db.query_row("SELECT count(*) FROM parked", [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_reads_as_written() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(crate::journal::schema::TABLES).unwrap();
        assert_eq!(Run::read(&db).unwrap(), None);
        let file = FileIdentity { inode: u64::MAX, born: Some(-5), volume: Some(u64::MAX), is_lasting: true };
        let stamp = Stamp { id: [9; 16], epoch: 3, file, machine: Some([1; 16]) };
        let unsure = Unsure { handoffs_until: 7, all_until: 8 };
        for (machine, sign) in [(Some([1; 16]), Some(Sign::SetBack)), (None, None)] {
            let run = Run { stamp: Stamp { machine, ..stamp.clone() }, sign, unsure };
            run.write(&db).unwrap();
            assert_eq!(Run::read(&db).unwrap(), Some(run));
        }
    }

    #[test]
    fn c8_how_long_a_repeat_may_come_is_never_shortened() {
        let unsure = Unsure { handoffs_until: 70, all_until: 80 };
        assert_eq!(unsure.after(Provenance::Ended, 90), unsure);
        assert_eq!(unsure.after(Provenance::Killed, 90), unsure);
        assert_eq!(unsure.after(Provenance::Unsynced, 60), unsure);
        assert_eq!(unsure.after(Provenance::Unsynced, 90).handoffs_until, 90);
        let copied = unsure.after(Provenance::Copied(Sign::OtherFile), 90);
        assert_eq!(copied, Unsure { handoffs_until: 90, all_until: 90 });
    }
}
