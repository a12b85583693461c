//! Refusals in a row that are alike: how many are too many for people, by the rate at which the target refuses.

/// Refusals in a row are no coincidence when so many would come together less often than once in a thousand times, at
/// the rate at which this target refuses; within these bounds.
const COINCIDENCE: f64 = 0.001;
const ALIKE_MIN: u32 = 2;
pub(super) const ALIKE_MAX: u32 = 60;
/// More refusals in a row, at least, than one session has a part in.
const EVERYBODY_MIN: u32 = 12;
/// The same for recipients that the target says it does not have: what a broken table of recipients says of each. A
/// sorted list may hold all who were with a company that is gone.
const NOBODY_KNOWN_MIN: u32 = 100;
/// Messages of late by which the rate is known.
const RATE_OF_LATE: f64 = 200.0;

/// What a refusal is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clearer {
    /// The target takes others.
    Persons,
    /// Another session has to see it.
    LookAgain,
    /// The target takes nobody.
    Targets,
    /// It takes some, and refuses so many that it is asked again later.
    Waits,
}

/// Refusals in a row that are alike.
#[derive(Debug, Default)]
pub(super) struct Alike {
    /// How many messages the target had taken by then.
    taken: u64,
    refused: u32,
    /// Of late, for the rate: the refusals, and where the messages taken are counted from.
    refused_of_late: f64,
    taken_from: f64,
}

impl Alike {
    pub fn note(&mut self, taken: u64) {
        self.refused = if self.taken == taken { self.refused.saturating_add(1) } else { 1 };
        self.taken = taken;
        self.refused_of_late += 1.0;
        let taken_of_late = taken as f64 - self.taken_from;
        let too_many = (self.refused_of_late + taken_of_late) / RATE_OF_LATE;
        if too_many > 1.0 {
            self.refused_of_late /= too_many;
            self.taken_from = taken as f64 - taken_of_late / too_many;
        }
    }

    /// How many were refused since the target took somebody.
    fn in_a_row(&self, taken: u64) -> u32 {
        if self.taken == taken { self.refused } else { 0 }
    }

    /// Whether no more than this were refused in a row.
    pub fn is_within(&self, taken: u64, most: u32) -> bool {
        self.in_a_row(taken) <= most
    }

    /// How many in a row are too many for people, by what was before them.
    pub fn too_many(&self, taken: u64) -> u32 {
        let refused = (self.refused_of_late - f64::from(self.in_a_row(taken))).max(0.0) + 1.0;
        let taken = (taken as f64 - self.taken_from).max(0.0) + 1.0;
        let too_many = (COINCIDENCE.ln() / (refused / (refused + taken)).ln()).ceil();
        (too_many as u32).clamp(ALIKE_MIN, ALIKE_MAX)
    }

    pub fn is_too_many(&self, taken: u64) -> bool {
        self.in_a_row(taken) >= self.too_many(taken)
    }

    /// More in a row than one session has a part in. Of a target that is new nothing is known.
    pub fn is_everybody(&self, taken: u64) -> bool {
        let too_many = if taken == 0 { ALIKE_MAX } else { self.too_many(taken) };
        self.in_a_row(taken) > EVERYBODY_MIN.max(2 * too_many)
    }

    /// More in a row than any list holds.
    pub fn is_nobody_known(&self, taken: u64) -> bool {
        self.in_a_row(taken) > NOBODY_KNOWN_MIN.max(2 * self.too_many(taken))
    }
}
