//! What the last sessions of a target offered: behind one name there may be machines that differ.

use super::ehlo::Capabilities;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

/// Sessions remembered.
const SESSIONS_MAX: usize = 16;
/// Sessions that have to agree before the target is said to lack something.
const SESSIONS_MIN: usize = 6;

/// What can be hoped for by a message that one session cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    /// Another session may take it.
    AnotherSession,
    /// None of the last ones would have.
    None,
}

#[derive(Debug, Default)]
pub(super) struct Offers {
    /// Plain data, held for lines only: once a session, and for a message that does not fit.
    last: Mutex<VecDeque<Capabilities>>,
}

impl Offers {
    /// One more session.
    pub fn note(&self, offered: Capabilities) {
        let mut last = self.last();
        if last.len() == SESSIONS_MAX {
            last.pop_front();
        }
        last.push_back(offered);
    }

    pub fn outlook(&self, fits: impl FnMut(Capabilities) -> bool) -> Outlook {
        let last = self.last();
        let is_open = last.len() < SESSIONS_MIN || last.iter().copied().any(fits);
        if is_open { Outlook::AnotherSession } else { Outlook::None }
    }

    fn last(&self) -> MutexGuard<'_, VecDeque<Capabilities>> {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a6_one_session_among_many_leaves_hope_and_the_first_two_do_too() {
        let (with, without) =
            (Capabilities { smtputf8: true, ..Capabilities::default() }, Capabilities::default());
        let offers = Offers::default();
        let outlook = |offers: &Offers| offers.outlook(|offered| offered.smtputf8);
        for _ in 0..SESSIONS_MIN {
            assert_eq!(outlook(&offers), Outlook::AnotherSession);
            offers.note(without);
        }
        assert_eq!(outlook(&offers), Outlook::None);
        offers.note(with);
        for _ in 0..SESSIONS_MAX {
            assert_eq!(outlook(&offers), Outlook::AnotherSession);
            offers.note(without);
        }
        assert_eq!(outlook(&offers), Outlook::None);
    }
}
