//! What a target is asked that refuses everybody, for what may be each one's own: it knows nobody, say.
//!
//! That it is there is known, and the next one may be whom it takes. So it is not left alone like a target that is down,
//! where any message finds out: it is asked about each person once a round. Rounds become longer, so that those who are not
//! there are asked about less and less, and questions come further apart the more were in vain: a target may take them for
//! a search for addresses.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How far apart questions are for each one before them: sixty are asked within 4 s, a hundred within 10 s.
const APART_EACH: Duration = Duration::from_millis(2);
const APART_MAX: Duration = Duration::from_secs(10);
/// Questions that may be asked at once, behind a time with fewer.
const AT_ONCE_MAX: f64 = 16.0;
const ROUND_FIRST: Duration = Duration::from_secs(1);
const ROUND_MAX: Duration = Duration::from_secs(30);
/// How long it is known whom the target refused before it took others.
const KEPT: Duration = Duration::from_secs(3600);
/// Not asked about in any.
const NO_ROUND: u32 = u32::MAX;
/// People remembered. What is asked about further ones is bounded by how far apart questions are.
const PEOPLE_MAX: usize = 4096;
/// People whom the target may refuse so for good, if it refuses no more than these, or has taken somebody since it refused them
/// first...
const FEW_MAX: usize = 6;
/// ...and still does after this time: a table of recipients that is not there is seldom away for so few, or for so long.
const CONFIRMED_AFTER: Duration = Duration::from_secs(60);

/// Whom a message is for, as far as asking again is concerned. Says nothing of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Whom(u64);

impl Whom {
    /// By what the job calls them.
    pub fn of(token: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Whether another target could take the message meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    /// One is up: this one is asked once a round.
    Others,
}

/// Whether a target may be asked about somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    Given,
    /// They were not asked about in this round, and it is not their turn yet.
    NotYet,
    /// They were, or another target is there.
    NotInThisRound,
}

#[derive(Debug, Default)]
pub(super) struct Inquiry {
    /// Whether there is anything to forget.
    is_begun: AtomicBool,
    /// Plain data, held for lines; looked at while the target refuses everybody.
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    people: HashMap<Whom, Answered>,
    round: u32,
    round_ends: Instant,
    asked_in_round: u32,
    /// Of whom it was no use asking in this round.
    known_in_round: u32,
    asked: u32,
    /// Questions that may be asked at once, as of then.
    saved: f64,
    at: Instant,
    /// When it took somebody last.
    taken_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Answered {
    round: u32,
    refused_since: Option<Instant>,
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            people: HashMap::new(),
            round: 0,
            round_ends: now + ROUND_FIRST,
            asked_in_round: 0,
            known_in_round: 0,
            asked: 0,
            saved: AT_ONCE_MAX,
            at: now,
            taken_at: None,
        }
    }

    /// It took somebody: all begins anew, but for whom it refused before.
    fn over(mut self, now: Instant) -> Self {
        self.people.retain(|_, it| {
            it.round = NO_ROUND;
            it.refused_since.is_some_and(|since| now < since + KEPT)
        });
        Self { people: self.people, taken_at: Some(now), ..Self::new(now) }
    }

    fn confirms(&self, whom: Whom, now: Instant) -> bool {
        let Some(since) = self.people.get(&whom).and_then(|it| it.refused_since) else { return false };
        let has_taken_others = self.taken_at.is_some_and(|taken| taken > since);
        now >= since + CONFIRMED_AFTER && (has_taken_others || self.refused() <= FEW_MAX)
    }

    /// Whom it has refused since it took somebody.
    fn refused(&self) -> usize {
        let is_since = |since: Instant| self.taken_at.is_none_or(|taken| since >= taken);
        self.people.values().filter(|it| it.refused_since.is_some_and(is_since)).count()
    }

    fn go_on(&mut self, now: Instant) {
        if now >= self.round_ends {
            self.round += 1;
            self.round_ends = now + ROUND_FIRST.saturating_mul(1 << self.round.min(10)).min(ROUND_MAX);
            (self.asked_in_round, self.known_in_round) = (0, 0);
        }
        let apart = APART_EACH.saturating_mul(self.asked.max(1)).min(APART_MAX);
        let more = now.saturating_duration_since(self.at).as_secs_f64() / apart.as_secs_f64();
        (self.saved, self.at) = ((self.saved + more).min(AT_ONCE_MAX), now);
    }

    fn ask(&mut self, whom: Option<Whom>, company: Company) -> Leave {
        let known = whom.and_then(|whom| self.people.get(&whom)).copied();
        let is_again = known.is_some_and(|known| known.round == self.round);
        // Who was asked about before leaves some for those who were not.
        let needed = if known.is_some() { AT_ONCE_MAX / 2.0 } else { 1.0 };
        self.known_in_round += u32::from(is_again || (known.is_some() && self.saved < needed));
        if is_again || (company == Company::Others && self.asked_in_round > 0) {
            return Leave::NotInThisRound;
        }
        if self.saved < needed {
            return Leave::NotYet;
        }
        self.saved -= 1.0;
        self.asked += 1;
        self.asked_in_round += 1;
        if let Some(whom) = whom {
            let refused_since = known.and_then(|known| known.refused_since);
            self.remember(whom, Answered { round: self.round, refused_since });
        }
        Leave::Given
    }

    fn remember(&mut self, whom: Whom, answered: Answered) {
        if self.people.len() >= PEOPLE_MAX && !self.people.contains_key(&whom) {
            return;
        }
        self.people.insert(whom, answered);
    }
}

impl Inquiry {
    /// Whether a message for them may go to the target now, which counts as asked then.
    pub fn ask(&self, whom: Option<Whom>, company: Company) -> Leave {
        self.with(|state| state.ask(whom, company))
    }

    /// How many may be asked about now by who does not know about whom.
    pub fn leaves(&self, company: Company) -> usize {
        self.with(|state| match company {
            Company::Others => usize::from(state.asked_in_round == 0 && state.saved >= 1.0),
            // Those who come have been asked about in this round.
            Company::Alone if f64::from(state.known_in_round) >= AT_ONCE_MAX => {
                usize::from(state.saved >= 1.0)
            }
            Company::Alone => state.saved as usize,
        })
    }

    /// The target refused them, and that is not believed.
    pub fn refused(&self, whom: Whom) {
        self.with(|state| {
            let now = state.at;
            let since = state.people.get(&whom).and_then(|it| it.refused_since).unwrap_or(now);
            state.remember(whom, Answered { round: state.round, refused_since: Some(since) });
        });
    }

    /// Whether they are few whom the target refuses, and it refuses this one as it did a while ago.
    pub fn confirms(&self, whom: Whom) -> bool {
        // To look begins nothing: else the next message that is taken would have something to forget.
        self.lock().as_ref().is_some_and(|state| state.confirms(whom, Instant::now()))
    }

    /// It took somebody.
    pub fn end(&self) {
        if self.is_begun.load(Relaxed) {
            let now = Instant::now();
            let mut state = self.lock();
            *state = state.take().map(|state| state.over(now));
            self.is_begun.store(false, Relaxed);
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let now = Instant::now();
        let mut state = self.lock();
        self.is_begun.store(true, Relaxed);
        let state = state.get_or_insert_with(|| State::new(now));
        state.go_on(now);
        look(state)
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    /// When each of so many was asked about, if it is tried every 10 ms, and of whom.
    async fn asked(inquiry: &Inquiry, people: u32, within: Duration) -> Vec<(Duration, u32)> {
        let from = Instant::now();
        let mut asked = Vec::new();
        while from.elapsed() < within {
            for person in 0..people {
                if inquiry.ask(Some(Whom::of(person)), Company::Alone) == Leave::Given {
                    inquiry.refused(Whom::of(person));
                    asked.push((from.elapsed(), person));
                }
            }
            advance(Duration::from_millis(10)).await;
        }
        asked
    }

    #[tokio::test(start_paused = true)]
    async fn a6_one_behind_many_who_are_not_there_is_asked_about_within_seconds() {
        for (ahead, seconds) in [(10, 0), (60, 5), (100, 11), (200, 42)] {
            let asked = asked(&Inquiry::default(), ahead + 1, Duration::from_secs(60)).await;
            let first = asked.iter().find(|(_, person)| *person == ahead).map(|(at, _)| *at);
            assert!(first.is_some_and(|at| at <= Duration::from_secs(seconds)), "{ahead}: {first:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a6_who_was_asked_about_waits_longer_each_time_and_leaves_others_their_turn() {
        let inquiry = Inquiry::default();
        let times: Vec<u64> =
            asked(&inquiry, 1, Duration::from_secs(130)).await.iter().map(|(at, _)| at.as_secs()).collect();
        assert_eq!(times, [0, 1, 3, 7, 15, 31, 61, 91, 121]);
        assert_eq!(inquiry.ask(Some(Whom::of(0)), Company::Alone), Leave::NotInThisRound);
        assert_eq!(inquiry.ask(Some(Whom::of(1)), Company::Alone), Leave::Given);
    }

    #[tokio::test(start_paused = true)]
    async fn a6_beside_another_target_it_is_asked_once_a_round() {
        let inquiry = Inquiry::default();
        assert_eq!(inquiry.leaves(Company::Others), 1);
        let leave = |person: u32| inquiry.ask(Some(Whom::of(person)), Company::Others);
        assert_eq!([leave(1), leave(2)], [Leave::Given, Leave::NotInThisRound]);
        assert_eq!(inquiry.leaves(Company::Others), 0);
        advance(ROUND_FIRST).await;
        assert_eq!([leave(2), leave(3)], [Leave::Given, Leave::NotInThisRound]);
    }

    #[tokio::test(start_paused = true)]
    async fn a6_a_few_are_believed_after_a_while_and_many_are_not() {
        for (people, expected) in [(1, true), (FEW_MAX, true), (FEW_MAX + 1, false)] {
            let inquiry = Inquiry::default();
            (0..people).for_each(|person| inquiry.refused(Whom::of(person)));
            assert!(!inquiry.confirms(Whom::of(0usize)));
            advance(CONFIRMED_AFTER).await;
            assert_eq!(inquiry.confirms(Whom::of(0usize)), expected, "{people}");
            assert!(!inquiry.confirms(Whom::of("another")));
            inquiry.end();
            assert!(inquiry.confirms(Whom::of(0usize)), "it takes others, and still not this one");
            inquiry.refused(Whom::of("new"));
            assert!(!inquiry.confirms(Whom::of("new")));
        }
        let unasked = Inquiry::default();
        assert!(!unasked.confirms(Whom::of(0usize)) && !unasked.is_begun.load(Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let inquiry = Inquiry::default();
        (0..2 * PEOPLE_MAX).for_each(|person| inquiry.refused(Whom::of(person)));
        assert_eq!(inquiry.lock().as_ref().unwrap().people.len(), PEOPLE_MAX);
    }
}
