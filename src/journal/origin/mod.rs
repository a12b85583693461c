//! Where the state that a start finds comes from: what may have happened to it since the last run, and so how much of
//! what that run noted beside the database can be believed.

mod place;
mod witness;

pub use place::{BootId, FileIdentity, Here, Likeness, Probe, mount_of};
pub use witness::{Told, Witness};

use super::flight::{Header, Standing};
use std::fmt;

/// What the database says of the last run that had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Which journal it is, whatever its path.
    pub id: [u8; 16],
    /// Counts the starts.
    pub epoch: u64,
    pub file: FileIdentity,
    pub machine: Option<[u8; 16]>,
}

/// What has happened since the last run, as far as can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// It was made by this start.
    New,
    /// The last run ended in order.
    Ended,
    /// The process died; the system, and what it had in memory of the files, lived on.
    Killed,
    /// The machine lost its power or was reset, or the file system was mounted anew: only what was synced is there.
    Unsynced,
    /// The disk had refused to be written, or what was noted beside the database is gone.
    BrokeDown,
    /// Other runs may have delivered what is held here.
    Copied(Sign),
}

/// By what a copy was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The database is not the file that the last run wrote: it was copied or restored.
    OtherFile,
    /// A later run than the database knows of has had it: it was set back.
    SetBack,
}

impl Sign {
    pub const ALL: [Self; 2] = [Self::OtherFile, Self::SetBack];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtherFile => "copied",
            Self::SetBack => "set-back",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sign| sign.as_str() == word)
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherFile => "the state folder was copied or restored from a backup",
            Self::SetBack => "the state folder was set back to an earlier time",
        })
    }
}

/// How much of the flight log can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notes {
    /// Every note is there, and the last of each.
    Exact,
    /// What had to be on the disk before a message left is there; what came behind that may be.
    Synced,
    /// A note that is there is true; that none is there says nothing.
    Stray,
}

/// Which jobs that come may have come before, and been carried, without the ledger knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    Nothing,
    /// What was handed off and not held: its row is written behind the answer.
    HandedOff,
    /// Anything.
    All,
}

impl Provenance {
    pub fn notes(self) -> Notes {
        match self {
            Self::New | Self::Ended | Self::Killed => Notes::Exact,
            Self::Unsynced => Notes::Synced,
            Self::BrokeDown | Self::Copied(_) => Notes::Stray,
        }
    }

    pub fn forgotten(self) -> Forgotten {
        match self {
            Self::New | Self::Ended | Self::Killed => Forgotten::Nothing,
            Self::Unsynced | Self::BrokeDown => Forgotten::HandedOff,
            Self::Copied(_) => Forgotten::All,
        }
    }

    pub fn sign(self) -> Option<Sign> {
        match self {
            Self::Copied(sign) => Some(sign),
            Self::New | Self::Ended | Self::Killed | Self::Unsynced | Self::BrokeDown => None,
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Ended => f.write_str("the last run ended in order"),
            Self::Killed => f.write_str("the last run was killed"),
            Self::Unsynced => f.write_str("the machine or its file system went down under the last run"),
            Self::BrokeDown => f.write_str("the disk failed under the last run, or its notes are gone"),
            Self::Copied(sign) => sign.fmt(f),
        }
    }
}

/// All that a start can find out before it changes anything.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// `None` in a database that no run of this format has had.
    pub stamp: Option<&'a Stamp>,
    pub is_new: bool,
    /// The file that lies there now.
    pub file: FileIdentity,
    pub log: Option<&'a Header>,
    pub memory: Memory,
    pub here: &'a Here,
    /// What was said outside of the state folder since the system was started.
    pub told: Option<Told>,
}

/// Whether what was written to the flight log and not synced can still be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    Kept,
    Unclear,
    /// The system has said that it could not write it.
    Lost,
}

impl Evidence<'_> {
    pub fn judge(&self) -> Provenance {
        let Some(stamp) = self.stamp else {
            return if self.is_new { Provenance::New } else { self.of_log(self.log) };
        };
        if self.likeness(stamp) == Likeness::Other {
            return Provenance::Copied(Sign::OtherFile);
        }
        // One of a journal that lay here before says nothing.
        let log = self.log.filter(|log| log.id == stamp.id);
        let told = self.told.filter(|told| told.id == stamp.id);
        let latest = log.map_or(0, |log| log.epoch).max(told.map_or(0, |told| told.epoch));
        if latest > stamp.epoch {
            return Provenance::Copied(Sign::SetBack);
        }
        // A start that was cut short before it had begun the new log has dealt with what the old one says.
        let log = log.filter(|log| log.epoch + 1 >= stamp.epoch);
        let has_broken = told.is_some_and(|told| told.epoch == stamp.epoch && told.has_broken_down);
        if has_broken { Provenance::BrokeDown } else { self.of_log(log) }
    }

    fn likeness(&self, stamp: &Stamp) -> Likeness {
        let is_elsewhere = match (stamp.machine, self.here.machine) {
            (Some(then), Some(now)) => then != now,
            _ => false,
        };
        match stamp.file.compare(&self.file) {
            // A number alone may be met again on another machine's disk. Where the file's birth is known a new machine
            // says nothing: a container is given one at every start, and its volume is the same.
            Likeness::SameNumber if is_elsewhere => Likeness::Other,
            likeness => likeness,
        }
    }

    fn of_log(&self, log: Option<&Header>) -> Provenance {
        let Some(log) = log else { return Provenance::BrokeDown };
        let is_same_boot = self.here.boot.is_some_and(|boot| boot == log.boot);
        match (log.standing, self.memory) {
            (Standing::Ended, _) => Provenance::Ended,
            (Standing::BrokenDown, _) | (Standing::Running, Memory::Lost) => Provenance::BrokeDown,
            (Standing::Running, Memory::Kept) if is_same_boot => Provenance::Killed,
            (Standing::Running, _) => Provenance::Unsynced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: [u8; 36] = [b'7'; 36];

    fn file(inode: u64) -> FileIdentity {
        FileIdentity { inode, born: Some(5), volume: None, is_lasting: true }
    }

    fn header() -> Header {
        Header { boot: BOOT, id: [1; 16], epoch: 9, ..Header::default() }
    }

    fn here() -> Here {
        Here { boot: Some(BOOT), machine: Some([3; 16]), witness: None }
    }

    struct Case {
        stamp: Stamp,
        file: FileIdentity,
        log: Option<Header>,
        here: Here,
        memory: Memory,
        told: Option<Told>,
    }

    impl Case {
        /// Killed, and started again.
        fn new() -> Self {
            let stamp = Stamp { id: [1; 16], epoch: 9, file: file(7), machine: Some([3; 16]) };
            let log = Some(header());
            Self { stamp, file: file(7), log, here: here(), memory: Memory::Kept, told: None }
        }

        fn judged(change: impl FnOnce(&mut Self)) -> Provenance {
            let mut case = Self::new();
            change(&mut case);
            let Self { stamp, file, log, here, memory, told } = &case;
            let evidence = Evidence {
                stamp: Some(stamp),
                is_new: false,
                file: *file,
                log: log.as_ref(),
                memory: *memory,
                here,
                told: *told,
            };
            evidence.judge()
        }
    }

    fn told(epoch: u64, has_broken_down: bool) -> Option<Told> {
        Some(Told { id: [1; 16], epoch, has_broken_down })
    }

    fn standing(standing: Standing) -> Option<Header> {
        Some(Header { standing, ..header() })
    }

    #[test]
    fn c7_notes_are_trusted_only_when_nothing_broke_in_between() {
        assert_eq!(Case::judged(|_| {}), Provenance::Killed);
        assert_eq!(Case::judged(|case| case.log = standing(Standing::Ended)), Provenance::Ended);
        assert_eq!(Case::judged(|case| case.memory = Memory::Unclear), Provenance::Unsynced, "mounted anew");
        assert_eq!(Case::judged(|case| case.memory = Memory::Lost), Provenance::BrokeDown);
        assert_eq!(Case::judged(|case| case.log = standing(Standing::BrokenDown)), Provenance::BrokeDown);
        // The disk refused even that, and it was said elsewhere.
        assert_eq!(Case::judged(|case| case.told = told(9, true)), Provenance::BrokeDown);
        assert_eq!(Case::judged(|case| case.told = told(8, true)), Provenance::Killed, "dealt with since");
        assert_eq!(Case::judged(|case| case.log = None), Provenance::BrokeDown);
        let other_boot = |case: &mut Case| case.here.boot = Some([b'8'; 36]);
        assert_eq!(Case::judged(other_boot), Provenance::Unsynced);
        assert_eq!(Case::judged(|case| case.here.boot = None), Provenance::Unsynced);
        let ended_then_booted = |case: &mut Case| {
            case.log = standing(Standing::Ended);
            case.here.boot = Some([b'8'; 36]);
        };
        assert_eq!(Case::judged(ended_then_booted), Provenance::Ended);
    }

    #[test]
    fn c12_a_copy_is_known_and_a_container_or_a_reboot_is_none() {
        let copied = Provenance::Copied(Sign::OtherFile);
        let set_back = Provenance::Copied(Sign::SetBack);
        assert_eq!(Case::judged(|case| case.file = file(8)), copied);
        assert_eq!(Case::judged(|case| case.file.born = Some(6)), copied);
        // A container with the same volume gets a new machine id at each start.
        assert_eq!(Case::judged(|case| case.here.machine = Some([4; 16])), Provenance::Killed);
        assert_eq!(Case::judged(|case| case.here.machine = None), Provenance::Killed);
        let only_number = |case: &mut Case| {
            (case.file.born, case.stamp.file.born) = (None, None);
            case.here.machine = Some([4; 16]);
        };
        assert_eq!(Case::judged(only_number), copied, "the same number on another machine's disk");
        // The numbers of such a file system change by themselves.
        let passing = |case: &mut Case| case.file = FileIdentity { is_lasting: false, ..file(8) };
        assert_eq!(Case::judged(passing), Provenance::Killed);
        let subvolume = |case: &mut Case| {
            (case.stamp.file.volume, case.file.volume) = (Some(1), Some(2));
        };
        assert_eq!(Case::judged(subvolume), copied, "a snapshot of btrfs keeps all numbers but this");
        assert_eq!(Case::judged(|case| case.log = Some(Header { epoch: 10, ..header() })), set_back);
        assert_eq!(Case::judged(|case| case.told = told(10, false)), set_back);
        assert_eq!(Case::judged(|case| case.told = told(9, false)), Provenance::Killed);
        let other_id =
            |case: &mut Case| case.told = Some(Told { id: [2; 16], epoch: 99, has_broken_down: true });
        assert_eq!(Case::judged(other_id), Provenance::Killed);
    }

    #[test]
    fn a_start_that_was_cut_short_is_no_breakdown() {
        let at = |epoch| move |case: &mut Case| case.log = Some(Header { epoch, ..header() });
        assert_eq!(Case::judged(at(8)), Provenance::Killed);
        assert_eq!(Case::judged(at(7)), Provenance::BrokeDown, "the notes of the last run are gone");
    }
}
