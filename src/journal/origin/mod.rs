//! Where the state that a start finds comes from: what may have happened to it since the last run, and so how much of
//! what that run noted beside the database can be believed.

mod place;
mod witness;

pub use place::{BootId, FileIdentity, Here, Likeness, Probe, mount_of, peek};
pub use witness::{Told, Voice, Witness};

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

/// Who had the database last, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamped<'a> {
    /// Nobody: it was made by this start.
    New,
    /// It is of a format that did not say.
    Before,
    /// It did say, and that is damaged or gone.
    Lost,
    By(&'a Stamp),
}

/// How far a journal had come. It moves with every commit, and so within a run too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub epoch: u64,
    /// Of the last commit, on the journal's clock.
    pub clock: i64,
}

/// How far the database has come, on the journal's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// Its last commit.
    pub clock: i64,
    /// What the flight log was sure to say on the disk by then; 0 while nothing it says is still needed.
    pub log: i64,
    /// The last commit that its own file holds, without the write-ahead log. `None` where that cannot be told.
    pub file: Option<i64>,
}

/// What has happened since the last run, as far as can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// It was made by this start.
    New,
    /// So was this one, and another lay here before, which is gone or was overwritten.
    Emptied,
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
    /// The database, or its file below the write-ahead log, had come further than it has now: it was set back.
    SetBack,
    /// The same of the flight log.
    LogSetBack,
    /// Nobody can say: the database's own word of it is damaged or gone.
    Unreadable,
}

impl Sign {
    pub const ALL: [Self; 4] = [Self::OtherFile, Self::SetBack, Self::LogSetBack, Self::Unreadable];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtherFile => "copied",
            Self::SetBack => "set-back",
            Self::LogSetBack => "log-set-back",
            Self::Unreadable => "unreadable",
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
            Self::LogSetBack => "the flight log in the state folder was set back to an earlier time",
            Self::Unreadable => {
                "it cannot be read any more which run had the state folder last, so it may be a copy"
            }
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
    /// They may be of other jobs with the same numbers.
    Foreign,
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
            Self::Emptied => Notes::Foreign,
        }
    }

    pub fn forgotten(self) -> Forgotten {
        match self {
            Self::New | Self::Ended | Self::Killed => Forgotten::Nothing,
            Self::Unsynced | Self::BrokeDown => Forgotten::HandedOff,
            Self::Copied(_) | Self::Emptied => Forgotten::All,
        }
    }

    pub fn sign(self) -> Option<Sign> {
        match self {
            Self::Copied(sign) => Some(sign),
            Self::New | Self::Emptied | Self::Ended | Self::Killed | Self::Unsynced | Self::BrokeDown => None,
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Emptied => f.write_str("a new one, though there was a journal here before, which is gone"),
            Self::Ended => f.write_str("the last run ended in order"),
            Self::Killed => f.write_str("the last run was killed"),
            Self::Unsynced => f.write_str("the machine or its file system went down under the last run"),
            Self::BrokeDown => f.write_str("the disk failed under the last run, or its notes are gone"),
            Self::Copied(sign) => sign.fmt(f),
        }
    }
}

/// All that a start can find out before it changes anything.
///
/// While nothing is done to them, the database has come as far as the flight log says or further, and that as far as is
/// said elsewhere: each is told only what the one before has, the flight log and what is said elsewhere of nothing that is
/// not on the disk ([`super::sync`]). So a kill leaves none of them ahead of the one before, and a power cut neither of the
/// two ahead of the database; the flight log may then be behind what is said elsewhere, but not behind what the database
/// knows of it.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    pub stamp: Stamped<'a>,
    pub reach: Reach,
    /// The file that lies there now.
    pub file: FileIdentity,
    pub log: Option<&'a Header>,
    pub memory: Memory,
    pub here: &'a Here,
    /// What was said outside of the state folder.
    pub told: &'a [Told],
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
        match self.stamp {
            Stamped::New if self.log.is_some_and(|log| log.epoch > 0) || !self.told.is_empty() => {
                Provenance::Emptied
            }
            Stamped::New => Provenance::New,
            Stamped::Before => self.of_log(self.log),
            Stamped::Lost => Provenance::Copied(Sign::Unreadable),
            Stamped::By(stamp) => self.of_stamp(stamp),
        }
    }

    /// How much of the flight log can be believed, if that is what has happened.
    pub fn notes(&self, provenance: Provenance) -> Notes {
        let is_foreign = match (self.stamp, self.log) {
            (Stamped::Lost, _) => true,
            (Stamped::By(stamp), Some(log)) => log.id != stamp.id || log.mark().epoch > stamp.epoch,
            _ => false,
        };
        if is_foreign { Notes::Foreign } else { provenance.notes() }
    }

    fn of_stamp(&self, stamp: &Stamp) -> Provenance {
        if self.likeness(stamp) == Likeness::Other {
            return Provenance::Copied(Sign::OtherFile);
        }
        let reached = Mark { epoch: stamp.epoch, clock: self.reach.clock };
        // One of a journal that lay here before says nothing.
        let log = self.log.filter(|log| log.id == stamp.id);
        let told = self.told.iter().filter(|told| told.id == stamp.id).max_by_key(|told| told.mark);
        let latest = log.map(Header::mark).max(told.map(|told| told.mark));
        let has_old_file = matches!((self.reach.file, log), (Some(file), Some(log)) if file < log.base);
        if latest > Some(reached) || has_old_file {
            return Provenance::Copied(Sign::SetBack);
        }
        if told.is_some_and(|told| told.mark.epoch == stamp.epoch && told.has_broken_down) {
            return Provenance::BrokeDown;
        }
        if log.is_some_and(|log| self.is_log_behind(log, stamp, told)) {
            return Provenance::Copied(Sign::LogSetBack);
        }
        // A start that was cut short before it had begun the new log has dealt with what the old one says.
        self.of_log(log.filter(|log| log.epoch + 1 >= stamp.epoch))
    }

    fn is_log_behind(&self, log: &Header, stamp: &Stamp, told: Option<&Told>) -> bool {
        let known = Mark { epoch: stamp.epoch, clock: self.reach.log };
        let is_same_boot = |told: &&Told| told.boot.is_some() && told.boot == self.here.boot;
        let told = told.filter(is_same_boot).filter(|_| self.memory == Memory::Kept);
        (known.clock > 0 && log.mark() < known) || told.is_some_and(|told| log.mark() < told.mark)
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
mod tests;
