//! What a start has found and made of it, for whoever is told.

use super::origin::Provenance;
use super::salvaged::Salvaged;
use crate::counted::counted;
use std::fmt;

/// What the start has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Jobs that are held: they wait, or are held in doubt.
    pub held: u64,
    /// Jobs that were in flight and may have been delivered.
    pub in_doubt: u64,
    /// Jobs that were in flight and that the target had taken.
    pub relayed: u64,
    /// Jobs that were in flight and had not been offered: they wait again.
    pub given_back: u64,
    /// Jobs that were not held and on their way, and that the ledger did not know.
    pub handed_off: u64,
    /// Jobs that were refused although a failed commit left them on the disk.
    pub refused: u64,
    /// What was saved from a damaged file.
    pub salvaged: Option<Salvaged>,
    /// What happened since the last run.
    pub provenance: Provenance,
    /// Jobs that are not attempted until a person says so, as the state is, or was, a copy.
    pub parked: u64,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {} held", self.provenance, counted(self.held, "job"))?;
        for (count, what) in [
            (self.in_doubt, "in doubt"),
            (self.relayed, "relayed when it stopped"),
            (self.given_back, "to be tried again"),
            (self.refused, "taken back, as they were refused"),
            (self.handed_off, "handed off when it stopped, now in the ledger"),
            (self.parked, "held until a person releases or cancels them"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        match &self.salvaged {
            Some(salvaged) => write!(f, "; the file was damaged, or of an older format: {salvaged}"),
            None => Ok(()),
        }
    }
}

impl Recovered {
    pub(super) fn of(provenance: Provenance) -> Self {
        Self {
            held: 0,
            in_doubt: 0,
            relayed: 0,
            given_back: 0,
            handed_off: 0,
            refused: 0,
            salvaged: None,
            provenance,
            parked: 0,
        }
    }
}
