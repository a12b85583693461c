//! Which run has the database: written into it by every start, and read by the next.

use super::error::Trouble;
use super::origin::{FileIdentity, Forgotten, Provenance, Reach, Sign, Stamp};
use super::record::checksum;
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

/// What a journal says of the run that had it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Last {
    /// No run of a format that says so has had it.
    None,
    /// That is damaged, or gone.
    Lost,
    Run(Run),
}

impl Last {
    pub fn read(db: &Connection) -> rusqlite::Result<Self> {
        match Run::read(db) {
            Ok(Some(run)) => Ok(Self::Run(run)),
            Ok(None) => {
                let is_stamped = "SELECT log_clock >= 0 FROM journal";
                Ok(if db.query_row(is_stamped, [], |row| row.get(0))? { Self::Lost } else { Self::None })
            }
            Err(error) if Trouble::of_store(&error) == Trouble::Damaged => Ok(Self::Lost),
            Err(error) => Err(error),
        }
    }

    pub fn run(&self) -> Option<&Run> {
        match self {
            Self::Run(run) => Some(run),
            Self::None | Self::Lost => None,
        }
    }
}

/// How far the database has come; what its file holds without the log is for whoever looks at that.
pub fn reach(db: &Connection) -> rusqlite::Result<Reach> {
    db.query_row("SELECT clock, log_clock FROM journal", [], |row| {
        Ok(Reach { clock: row.get(0)?, log: row.get(1)?, file: None })
    })
}

const COLUMNS: &str = "id, epoch, inode, born, volume, is_lasting, machine, sign, handoffs_unsure_until, \
                       all_unsure_until, checksum";

/// A stamp of the format before has none.
const NO_CHECKSUM: i64 = 0;

impl Run {
    /// `None` in a journal that no start of a format that does so has stamped.
    ///
    /// # Errors
    /// As for damaged rows, also when the stamp is not as it was written.
    pub fn read(db: &Connection) -> rusqlite::Result<Option<Self>> {
        db.query_row(&format!("SELECT {COLUMNS} FROM run"), [], read).optional()
    }

    pub fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let Self { stamp: Stamp { id, epoch, file, machine }, sign, unsure } = self;
        let FileIdentity { inode, born, volume, is_lasting } = file;
        db.execute(
            &format!(
                "INSERT OR REPLACE INTO run (only, {COLUMNS}) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            ),
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
                unsure.all_until,
                self.checksum()
            ],
        )?;
        Ok(())
    }

    fn checksum(&self) -> i64 {
        let Self { stamp: Stamp { id, epoch, file, machine }, sign, unsure } = self;
        let FileIdentity { inode, born, volume, is_lasting } = file;
        let mut bytes = id.to_vec();
        bytes.extend([*epoch, *inode, u64::from(*is_lasting)].map(u64::to_le_bytes).concat());
        bytes.extend([unsure.handoffs_until, unsure.all_until].map(i64::to_le_bytes).concat());
        for optional in [born.map(i64::cast_unsigned), *volume] {
            bytes.push(u8::from(optional.is_some()));
            bytes.extend(optional.unwrap_or_default().to_le_bytes());
        }
        bytes.extend(machine.iter().flatten());
        bytes.extend(sign.map_or("", Sign::as_str).bytes());
        i64::from(checksum(&bytes)).max(NO_CHECKSUM + 1)
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
    let run = Run { stamp, sign: sign.as_deref().and_then(Sign::parse), unsure };
    if ![NO_CHECKSUM, run.checksum()].contains(&row.get(10)?) {
        return Err(rusqlite::Error::InvalidQuery);
    }
    Ok(run)
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
    fn c12_a_stamp_that_is_not_as_it_was_written_is_lost_and_one_of_the_format_before_is_not() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(crate::journal::schema::TABLES).unwrap();
        assert_eq!(Last::read(&db).unwrap(), Last::None);
        let file = FileIdentity { inode: 7, born: Some(5), volume: None, is_lasting: true };
        let stamp = Stamp { id: [9; 16], epoch: 3, file, machine: Some([1; 16]) };
        let run = Run { stamp, sign: None, unsure: Unsure::default() };
        for damage in [
            "UPDATE run SET id = zeroblob(16)",
            "UPDATE run SET id = zeroblob(3)",
            "UPDATE run SET epoch = epoch + 1",
            "UPDATE run SET inode = inode + 1",
            "UPDATE run SET born = NULL",
            "UPDATE run SET volume = 0",
            "UPDATE run SET is_lasting = 0",
            "UPDATE run SET machine = NULL",
            "UPDATE run SET sign = 'copied'",
            "UPDATE run SET all_unsure_until = 5",
            "UPDATE run SET checksum = checksum + 1",
            "DELETE FROM run",
        ] {
            run.write(&db).unwrap();
            db.execute_batch("UPDATE journal SET log_clock = 0").unwrap();
            assert_eq!(Last::read(&db).unwrap(), Last::Run(run.clone()));
            db.execute_batch(damage).unwrap();
            assert_eq!(Last::read(&db).unwrap(), Last::Lost, "{damage}");
        }
        run.write(&db).unwrap();
        db.execute_batch("UPDATE run SET checksum = 0").unwrap();
        assert_eq!(Last::read(&db).unwrap(), Last::Run(run));
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
