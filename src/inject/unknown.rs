//! Whether one that the target says it does not have is not there. That depends on who says so: behind one name there may
//! be a machine that has lost its table of recipients, and says it of everybody.
//!
//! A session that takes others is believed. What one says that is new, or says it of too many in a row, is believed when
//! other sessions agree, and some more with that. That they agree shows nothing while the target has taken nobody yet, or not
//! for long: its table may not be there. Then a few are believed, and the others wait until it takes somebody. Nor does it
//! where a target that took people refuses, on all sessions together, more in a row than its refusals are likely to: at a
//! share p of them n in a row come with a chance of p^n, and from one in a thousand on it is no coincidence ([`Alike`]): 2 where
//! hardly anybody is refused, 3 at 10 %, 6 at 30 %, 10 at a half. Of those who are there no more than that are refused.

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
    pub elsewhere: Unasked,
}

/// Who could be asked about a recipient besides this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unasked {
    Target,
    /// Another one behind the target's name.
    Machine,
    None,
}

/// What the target has done until now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Messages taken.
    pub taken: u64,
    /// Recipients taken at RCPT. Answers to RCPT come in one order, those to contents that were on their way when a table was
    /// lost come between and show nothing of it.
    pub known: u64,
}

impl Unknown {
    /// What a recipient's refusal is taken for, as far as what was seen of the target until now tells.
    pub fn judge(&self, said: Said, seen: Seen) -> Clearer {
        let mut refused = self.refused();
        if said.is_first {
            refused.note(seen.known);
        }
        let too_many = refused.too_many(seen.known);
        let is_doubtful = !refused.is_within(seen.known, too_many);
        drop(refused);
        let needed = match said {
            Said { do_disagree: true, .. } => AGREE_AT_MOST,
            Said { is_proven: true, .. } => AGREE_WITH_PROVEN,
            _ => AGREE_WITH_NEW,
        };
        let do_agree = said.looks_of_others >= needed;
        match said.elsewhere {
            _ if !said.is_cold => {}
            Unasked::Target => return Clearer::Targets,
            Unasked::Machine => return Clearer::LookAgain,
            Unasked::None if self.at_first().believes(seen.taken) => return Clearer::Persons,
            Unasked::None => {}
        }
        if said.is_cold || is_doubtful {
            // Sessions of a target that knows nobody agree about everybody.
            return if do_agree { Clearer::Targets } else { Clearer::LookAgain };
        }
        if do_agree {
            self.credit.store(CREDIT, Relaxed);
            return Clearer::Persons;
        }
        let is_trusted = said.is_proven && said.in_a_row <= too_many;
        if is_trusted || self.spend() { Clearer::Persons } else { Clearer::LookAgain }
    }

    /// Before this relay was started so many were believed, since the target took somebody last.
    pub fn remember(&self, believed: u32) {
        self.at_first().believed = believed;
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
        elsewhere: Unasked::None,
    };
    const COLD: Said = Said { is_cold: true, ..NEW };
    const PROVEN: Said = Said { is_proven: true, ..NEW };

    /// What it took it knew.
    const fn seen(taken: u64) -> Seen {
        Seen { taken, known: taken }
    }

    #[test]
    fn a6_a_new_session_is_believed_when_two_others_agree_and_one_that_takes_others_at_once() {
        let unknown = Unknown::default();
        assert_eq!(unknown.judge(PROVEN, seen(10)), Clearer::Persons);
        let look = |looks_of_others| Said { looks_of_others, is_first: looks_of_others == 0, ..NEW };
        assert_eq!(unknown.judge(look(0), seen(11)), Clearer::LookAgain);
        assert_eq!(unknown.judge(look(1), seen(11)), Clearer::LookAgain);
        assert_eq!(unknown.judge(look(2), seen(11)), Clearer::Persons);
        for known in 12..12 + u64::from(CREDIT) {
            assert_eq!(unknown.judge(NEW, seen(known)), Clearer::Persons, "they agreed a moment ago");
        }
        assert_eq!(unknown.judge(NEW, seen(100)), Clearer::LookAgain);
    }

    #[test]
    fn a6_a_session_that_takes_nobody_any_more_is_not_believed_for_what_it_took() {
        let unknown = Unknown::default();
        let judged = |in_a_row, taken| unknown.judge(Said { in_a_row, ..PROVEN }, seen(taken));
        let judged: Vec<_> = (1..=4).map(|in_a_row| judged(in_a_row, 500 + u64::from(in_a_row))).collect();
        assert_eq!(judged[..2], [Clearer::Persons; 2]);
        assert_eq!(judged[3], Clearer::LookAgain);
    }

    #[test]
    fn a6_where_sessions_differ_five_others_have_to_agree_and_no_credit_is_left() {
        let unknown = Unknown::default();
        unknown.judge(Said { looks_of_others: AGREE_WITH_NEW, is_first: false, ..NEW }, seen(10));
        unknown.was_wrong();
        let look = |looks_of_others| Said { looks_of_others, is_first: false, do_disagree: true, ..NEW };
        assert_eq!(unknown.judge(look(AGREE_AT_MOST - 1), seen(11)), Clearer::LookAgain);
        assert_eq!(unknown.judge(look(AGREE_AT_MOST), seen(11)), Clearer::Persons, "nobody is held for ever");
    }

    /// However many sessions there are, and however often they agree.
    #[test]
    fn a6_that_sessions_agree_is_no_proof_while_nobody_was_taken() {
        let unknown = Unknown::default();
        for _ in 0..BELIEVED_AT_FIRST {
            assert_eq!(unknown.judge(COLD, seen(0)), Clearer::Persons);
        }
        let look = |looks_of_others| Said { looks_of_others, is_first: looks_of_others == 0, ..COLD };
        for _ in 0..20 {
            let judged = [0, 1, 2].map(|looks| unknown.judge(look(looks), seen(0)));
            assert_eq!(judged, [Clearer::LookAgain, Clearer::LookAgain, Clearer::Targets]);
        }
        assert_eq!(
            unknown.judge(NEW, seen(1)),
            Clearer::LookAgain,
            "and they have no credit when it takes somebody"
        );
    }

    /// What was believed before counts no more, and neither does what was agreed on.
    #[test]
    fn a6_a_target_that_took_nobody_for_long_is_believed_as_little_as_a_new_one() {
        let unknown = Unknown::default();
        let agreed = Said { looks_of_others: AGREE_WITH_NEW, is_first: false, ..NEW };
        assert_eq!(unknown.judge(agreed, seen(500)), Clearer::Persons);
        assert_eq!(unknown.judge(NEW, seen(500)), Clearer::Persons, "credit");
        for _ in 0..BELIEVED_AT_FIRST {
            assert_eq!(unknown.judge(COLD, seen(500)), Clearer::Persons);
        }
        assert_eq!(unknown.judge(COLD, seen(500)), Clearer::LookAgain);
        assert_eq!(unknown.judge(Said { is_proven: true, ..COLD }, seen(500)), Clearer::LookAgain);
        assert_eq!(unknown.judge(Said { is_cold: true, ..agreed }, seen(500)), Clearer::Targets);
        assert_eq!(
            unknown.judge(COLD, seen(501)),
            Clearer::Persons,
            "it has taken somebody since, long ago too"
        );
    }
}
