//! Whether one that the target says it does not have is not there. That depends on who says so: behind one name there may
//! be a machine that has lost its table of recipients, and says it of everybody.
//!
//! A session that takes others is believed. What one says that is new, or says it of too many in a row, is believed when
//! other sessions agree, and some more with that. That they agree shows nothing while the target has taken nobody yet, or not
//! for long: its table may not be there. Then a few are believed, and the others wait until it takes somebody.

use super::alike::{Alike, Clearer};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Refusals that are believed of a target that has taken nobody yet, or not for long.
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
    /// Likewise.
    at_first: Mutex<AtFirst>,
}

/// What was believed of a target since it took somebody last.
#[derive(Debug, Default)]
struct AtFirst {
    /// How many messages it had taken by then.
    taken: u64,
    believed: u32,
}

impl AtFirst {
    fn believes(&mut self, taken: u64) -> bool {
        if self.taken != taken {
            *self = Self { taken, believed: 0 };
        }
        let believes = self.believed < BELIEVED_AT_FIRST;
        self.believed += u32::from(believes);
        believes
    }
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
    /// The target has taken nobody yet, or not for long.
    pub is_cold: bool,
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
        drop(refused);
        let needed = match said {
            Said { do_disagree: true, .. } => AGREE_AT_MOST,
            Said { is_proven: true, .. } => AGREE_WITH_PROVEN,
            _ => AGREE_WITH_NEW,
        };
        let do_agree = said.looks_of_others >= needed;
        if said.is_cold {
            return match do_agree {
                _ if self.at_first().believes(taken) => Clearer::Persons,
                // Sessions of a target that knows nobody agree about everybody.
                true => Clearer::Targets,
                false => Clearer::LookAgain,
            };
        }
        if do_agree {
            self.credit.store(CREDIT, Relaxed);
            return Clearer::Persons;
        }
        if is_trusted || self.spend() { Clearer::Persons } else { Clearer::LookAgain }
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

    fn refused(&self) -> MutexGuard<'_, Alike> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at_first(&self) -> MutexGuard<'_, AtFirst> {
        self.at_first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Said = Said {
        is_proven: false,
        in_a_row: 1,
        looks_of_others: 0,
        is_first: true,
        do_disagree: false,
        is_cold: false,
    };
    const COLD: Said = Said { is_cold: true, ..NEW };
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

    /// However many sessions there are, and however often they agree.
    #[test]
    fn a6_that_sessions_agree_is_no_proof_while_nobody_was_taken() {
        let unknown = Unknown::default();
        for _ in 0..BELIEVED_AT_FIRST {
            assert_eq!(unknown.judge(COLD, 0), Clearer::Persons);
        }
        let look = |looks_of_others| Said { looks_of_others, is_first: looks_of_others == 0, ..COLD };
        for _ in 0..20 {
            let judged = [0, 1, 2].map(|looks| unknown.judge(look(looks), 0));
            assert_eq!(judged, [Clearer::LookAgain, Clearer::LookAgain, Clearer::Targets]);
        }
        assert_eq!(
            unknown.judge(NEW, 1),
            Clearer::LookAgain,
            "and they have no credit when it takes somebody"
        );
    }

    /// What was believed before counts no more, and neither does what was agreed on.
    #[test]
    fn a6_a_target_that_took_nobody_for_long_is_believed_as_little_as_a_new_one() {
        let unknown = Unknown::default();
        let agreed = Said { looks_of_others: AGREE_WITH_NEW, is_first: false, ..NEW };
        assert_eq!(unknown.judge(agreed, 500), Clearer::Persons);
        assert_eq!(unknown.judge(NEW, 500), Clearer::Persons, "credit");
        for _ in 0..BELIEVED_AT_FIRST {
            assert_eq!(unknown.judge(COLD, 500), Clearer::Persons);
        }
        assert_eq!(unknown.judge(COLD, 500), Clearer::LookAgain);
        assert_eq!(unknown.judge(Said { is_proven: true, ..COLD }, 500), Clearer::LookAgain);
        assert_eq!(unknown.judge(Said { is_cold: true, ..agreed }, 500), Clearer::Targets);
        assert_eq!(unknown.judge(COLD, 501), Clearer::Persons, "it has taken somebody since, long ago too");
    }
}
