//! Whether one that the target says it does not have is not there. That depends on who says so: behind one name there may
//! be a machine that has lost its table of recipients, and says it of everybody.
//!
//! A session that takes others is believed. What one says that is new, or says it of too many in a row, is believed when
//! other sessions agree, and some more with that.

use super::alike::{Alike, Clearer};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Refusals in a row that are believed of a target that has taken nobody yet.
const BELIEVED_AT_FIRST: u32 = 3;
/// Refusals that are believed behind one on which sessions agreed.
const CREDIT: u32 = 16;
/// Other sessions that have to agree with one that takes others, with a new one, and where sessions are known to differ.
const AGREE_WITH_PROVEN: usize = 1;
const AGREE_WITH_NEW: usize = 2;
const AGREE_AT_MOST: usize = 5;

#[derive(Debug, Default)]
pub(super) struct Unknown {
    /// Plain data, held for lines only; looked at for refusals.
    refused: Mutex<Alike>,
    credit: AtomicU32,
}

/// What one session said of a recipient, and what is known of both.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    /// The session takes others.
    pub is_proven: bool,
    /// Recipients it did not know since it took the last one, this one included.
    pub in_a_row: u32,
    /// Sessions that said it of this recipient before.
    pub looks_of_others: usize,
    /// No session said anything of this recipient before.
    pub is_first: bool,
    /// Of late one session took whom another one did not know.
    pub do_disagree: bool,
}

impl Unknown {
    /// `taken`: the messages the target has taken until now.
    pub fn judge(&self, said: Said, taken: u64) -> Clearer {
        let mut refused = self.refused();
        if said.is_first {
            refused.note(taken);
        }
        if refused.is_nobody_known(taken) {
            return Clearer::Targets;
        }
        let is_trusted = said.is_proven && said.in_a_row <= refused.too_many(taken);
        let is_at_first = taken == 0 && refused.is_within(taken, BELIEVED_AT_FIRST);
        drop(refused);
        let needed = match said {
            Said { do_disagree: true, .. } => AGREE_AT_MOST,
            Said { is_proven: true, .. } => AGREE_WITH_PROVEN,
            _ => AGREE_WITH_NEW,
        };
        if said.looks_of_others >= needed {
            // Sessions of a target that takes nobody agree about everybody.
            self.credit.store(if taken > 0 { CREDIT } else { 0 }, Relaxed);
            return Clearer::Persons;
        }
        if is_trusted || is_at_first || self.spend() { Clearer::Persons } else { Clearer::LookAgain }
    }

    /// A session took whom another one did not know.
    pub fn was_wrong(&self) {
        self.credit.store(0, Relaxed);
    }

    /// How many in a row are too many for people.
    pub fn too_many(&self, taken: u64) -> u32 {
        self.refused().too_many(taken)
    }

    fn spend(&self) -> bool {
        self.credit.fetch_update(Relaxed, Relaxed, |credit| credit.checked_sub(1)).is_ok()
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, Alike> {
        self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Said =
        Said { is_proven: false, in_a_row: 1, looks_of_others: 0, is_first: true, do_disagree: false };
    const PROVEN: Said = Said { is_proven: true, ..NEW };

    #[test]
    fn a6_a_new_session_is_believed_when_two_others_agree_and_one_that_takes_others_at_once() {
        let unknown = Unknown::default();
        assert_eq!(unknown.judge(PROVEN, 10), Clearer::Persons);
        let look = |looks_of_others| Said { looks_of_others, is_first: looks_of_others == 0, ..NEW };
        assert_eq!(unknown.judge(look(0), 11), Clearer::LookAgain);
        assert_eq!(unknown.judge(look(1), 11), Clearer::LookAgain);
        assert_eq!(unknown.judge(look(2), 11), Clearer::Persons);
        for _ in 0..CREDIT {
            assert_eq!(unknown.judge(NEW, 12), Clearer::Persons, "they agreed a moment ago");
        }
        assert_eq!(unknown.judge(NEW, 12), Clearer::LookAgain);
    }

    #[test]
    fn a6_a_session_that_takes_nobody_any_more_is_not_believed_for_what_it_took() {
        let unknown = Unknown::default();
        let judged = |in_a_row, taken| unknown.judge(Said { in_a_row, ..PROVEN }, taken);
        let judged: Vec<_> = (1..=4).map(|in_a_row| judged(in_a_row, 500 + u64::from(in_a_row))).collect();
        assert_eq!(judged[..2], [Clearer::Persons; 2]);
        assert_eq!(judged[3], Clearer::LookAgain);
    }

    #[test]
    fn a6_where_sessions_differ_five_others_have_to_agree_and_no_credit_is_left() {
        let unknown = Unknown::default();
        unknown.judge(Said { looks_of_others: AGREE_WITH_NEW, is_first: false, ..NEW }, 10);
        unknown.was_wrong();
        let look = |looks_of_others| Said { looks_of_others, is_first: false, do_disagree: true, ..NEW };
        assert_eq!(unknown.judge(look(AGREE_AT_MOST - 1), 11), Clearer::LookAgain);
        assert_eq!(unknown.judge(look(AGREE_AT_MOST), 11), Clearer::Persons, "nobody is held for ever");
    }

    #[test]
    fn a6_that_sessions_agree_is_no_proof_while_nobody_was_taken() {
        let unknown = Unknown::default();
        for _ in 0..BELIEVED_AT_FIRST {
            assert_eq!(unknown.judge(NEW, 0), Clearer::Persons);
        }
        let agreed = Said { looks_of_others: AGREE_WITH_NEW, is_first: false, ..NEW };
        assert_eq!(unknown.judge(agreed, 0), Clearer::Persons);
        assert_eq!(unknown.judge(NEW, 0), Clearer::LookAgain);
    }

    #[test]
    fn a_target_that_is_new_may_refuse_a_few_before_it_takes_anybody() {
        let unknown = Unknown::default();
        for _ in 0..BELIEVED_AT_FIRST {
            assert_eq!(unknown.judge(NEW, 0), Clearer::Persons);
        }
        assert_eq!(unknown.judge(NEW, 0), Clearer::LookAgain);
    }
}
