//! What a target is asked that refuses everybody, for what may be each one's own: it knows nobody, say.
//!
//! That it is there is known, and the next one may be whom it takes. So it is not left alone like a target that is down,
//! where any message finds out: it is asked about each person once a round. Rounds become longer, so that those who are not
//! there are asked about less and less, and questions come further apart the more were in vain: a target may take them for
//! a search for addresses.

use super::majority::Refuses;
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
/// People remembered. What is asked about further ones is bounded by how far apart questions are.
const PEOPLE_MAX: usize = 65_536;
/// How often those are looked for who need not be remembered any more.
const FORGETS_EVERY: Duration = Duration::from_secs(10);
/// People whom the target may refuse so for good, if it refuses no more than these, or has taken somebody since it refused them
/// first...
const FEW_MAX: usize = 6;
/// ...and still does after this time: a table of recipients that is not there is seldom away for so few.
const CONFIRMED_AFTER: Duration = Duration::from_secs(60);
/// What it says so often and for so long it says for good, though it refuses most, or many: a list may be old.
const SETTLED_TIMES: u32 = 3;
const SETTLED_AFTER: Duration = Duration::from_secs(600);
/// As often within this time counts once.
const TIMES_APART: Duration = Duration::from_secs(60);
/// More people than these, and nobody taken: rather than a list that is dead to the last one this is a table that is not there,
/// which somebody has mended within...
const MANY_MAX: usize = 100;
/// ...this time.
const SETTLED_FOR_MANY: Duration = Duration::from_secs(3600);

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

/// In which words somebody is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// Those of one who is not there.
    OfTheRecipient,
    /// They do not tell whose they are.
    Unclear,
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
    /// When it was looked last who need not be remembered.
    forgot_at: Instant,
    /// Each has a number of its own.
    round: u32,
    /// How many there were since it took somebody.
    rounds: u32,
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
    /// Whom it has refused since.
    refused: usize,
}

#[derive(Debug, Clone, Copy)]
struct Answered {
    round: u32,
    refused: Option<Refused>,
}

#[derive(Debug, Clone, Copy)]
struct Refused {
    since: Instant,
    last: Instant,
    /// So often, and when that was counted last.
    times: u32,
    counted: Instant,
}

impl Refused {
    fn first(now: Instant) -> Self {
        Self { since: now, last: now, times: 1, counted: now }
    }

    fn again(self, now: Instant) -> Self {
        match now >= self.counted + TIMES_APART {
            true => Self { last: now, times: self.times.saturating_add(1), counted: now, ..self },
            false => Self { last: now, ..self },
        }
    }
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            people: HashMap::new(),
            forgot_at: now,
            round: 0,
            rounds: 0,
            round_ends: now + ROUND_FIRST,
            asked_in_round: 0,
            known_in_round: 0,
            asked: 0,
            saved: AT_ONCE_MAX,
            at: now,
            taken_at: None,
            refused: 0,
        }
    }

    /// It took somebody: all begins anew, but for whom it refused before. What it costs is the same for few and many.
    fn over(self, now: Instant) -> Self {
        let Self { people, forgot_at, round, .. } = self;
        Self { people, forgot_at, round: round.wrapping_add(1), taken_at: Some(now), ..Self::new(now) }
    }

    fn confirms(&self, (whom, words): (Whom, Words), refuses: Refuses, now: Instant) -> bool {
        let Some(refused) = self.refused(whom) else { return false };
        let lasted = now.saturating_duration_since(refused.since);
        let has_taken_others = self.taken_at.is_some_and(|taken| taken > refused.since);
        let is_one_of_few = has_taken_others || (self.refused <= FEW_MAX && words == Words::OfTheRecipient);
        if refuses == Refuses::Some && is_one_of_few && lasted >= CONFIRMED_AFTER {
            return true;
        }
        let is_settled_by = match words {
            _ if has_taken_others || self.refused <= FEW_MAX => SETTLED_AFTER,
            Words::OfTheRecipient if self.refused <= MANY_MAX => SETTLED_AFTER,
            Words::OfTheRecipient => SETTLED_FOR_MANY,
            Words::Unclear => return false,
        };
        refused.times >= SETTLED_TIMES && lasted >= is_settled_by
    }

    fn refused(&self, whom: Whom) -> Option<Refused> {
        self.people.get(&whom)?.refused
    }

    /// It refused this one.
    fn refuse(&mut self, whom: Whom) {
        let (now, before) = (self.at, self.refused(whom));
        let is_since = |refused: Refused| self.taken_at.is_none_or(|taken| refused.last >= taken);
        self.refused += usize::from(!before.is_some_and(is_since));
        let refused = before.map_or_else(|| Refused::first(now), |before| before.again(now));
        self.remember(whom, Answered { round: self.round, refused: Some(refused) });
    }

    fn go_on(&mut self, now: Instant) {
        if now >= self.round_ends {
            (self.round, self.rounds) = (self.round.wrapping_add(1), self.rounds + 1);
            self.round_ends = now + ROUND_FIRST.saturating_mul(1 << self.rounds.min(10)).min(ROUND_MAX);
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
            let refused = known.and_then(|known| known.refused);
            self.remember(whom, Answered { round: self.round, refused });
        }
        Leave::Given
    }

    fn remember(&mut self, whom: Whom, answered: Answered) {
        if self.people.len() >= PEOPLE_MAX && !self.people.contains_key(&whom) && !self.forget() {
            return;
        }
        self.people.insert(whom, answered);
    }

    /// Those who were asked about and not refused, or long ago. Whether that made room.
    fn forget(&mut self) -> bool {
        let now = self.at;
        if now >= self.forgot_at + FORGETS_EVERY {
            self.forgot_at = now;
            let is_kept = |it: &Answered| it.refused.is_some_and(|refused| now < refused.since + KEPT);
            let round = self.round;
            self.people.retain(|_, it| it.round == round || is_kept(it));
        }
        self.people.len() < PEOPLE_MAX
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
        self.with(|state| state.refuse(whom));
    }

    /// Whether it refuses this one as it did a while ago, and that is theirs: they are few, or it takes others, or has said it
    /// often enough and for long enough.
    pub fn confirms(&self, whom: Whom, words: Words, refuses: Refuses) -> bool {
        // To look begins nothing: else the next message that is taken would have something to forget.
        let now = Instant::now();
        self.lock().as_ref().is_some_and(|state| state.confirms((whom, words), refuses, now))
    }

    /// They have their outcome.
    pub fn settled(&self, whom: Whom) {
        if let Some(state) = self.lock().as_mut() {
            state.people.remove(&whom);
        }
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

    /// Whether the target's word of this person is taken for good by now.
    fn confirmed(inquiry: &Inquiry, person: usize, words: Words, refuses: Refuses) -> bool {
        inquiry.confirms(Whom::of(person), words, refuses)
    }

    #[tokio::test(start_paused = true)]
    async fn a6_a_few_are_believed_after_a_while_and_many_are_not() {
        for (people, expected) in [(1, true), (FEW_MAX, true), (FEW_MAX + 1, false)] {
            let inquiry = Inquiry::default();
            (0..people).for_each(|person| inquiry.refused(Whom::of(person)));
            let is_theirs = |words| confirmed(&inquiry, 0, words, Refuses::Some);
            assert!(!is_theirs(Words::OfTheRecipient));
            advance(CONFIRMED_AFTER).await;
            assert_eq!(is_theirs(Words::OfTheRecipient), expected, "{people}");
            assert!(!is_theirs(Words::Unclear), "nothing shows that it is not the target's");
            assert!(!confirmed(&inquiry, 1000, Words::OfTheRecipient, Refuses::Some));
            inquiry.end();
            assert!(is_theirs(Words::OfTheRecipient) && is_theirs(Words::Unclear), "it takes others");
            assert!(!confirmed(&inquiry, 0, Words::OfTheRecipient, Refuses::Most));
        }
        let unasked = Inquiry::default();
        assert!(!confirmed(&unasked, 0, Words::OfTheRecipient, Refuses::Some));
        assert!(!unasked.is_begun.load(Relaxed));
    }

    /// When the first of so many is believed to be refused for good, who is asked about every minute.
    async fn settled_after(people: usize, words: Words, takes_others: bool) -> Option<u64> {
        let inquiry = Inquiry::default();
        for minutes in 0..90 {
            if confirmed(&inquiry, 0, words, Refuses::Most) {
                return Some(minutes);
            }
            (0..people).for_each(|person| inquiry.refused(Whom::of(person)));
            advance(Duration::from_secs(60)).await;
            if takes_others {
                inquiry.end();
            }
        }
        None
    }

    /// A list that is old to its last address comes to its end; a target that refuses everybody in words of its own books nobody.
    #[tokio::test(start_paused = true)]
    async fn a6_what_is_said_three_times_in_ten_minutes_is_believed_of_most_too() {
        assert_eq!(settled_after(1_000, Words::OfTheRecipient, true).await, Some(10));
        assert_eq!(settled_after(1_000, Words::Unclear, true).await, Some(10));
        assert_eq!(settled_after(MANY_MAX, Words::OfTheRecipient, false).await, Some(10));
        assert_eq!(settled_after(MANY_MAX + 1, Words::OfTheRecipient, false).await, Some(60));
        assert_eq!(settled_after(FEW_MAX, Words::Unclear, false).await, Some(10));
        assert_eq!(settled_after(FEW_MAX + 1, Words::Unclear, false).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a6_what_is_said_thrice_at_once_was_said_once() {
        let inquiry = Inquiry::default();
        (0..MANY_MAX).for_each(|person| inquiry.refused(Whom::of(person)));
        (0..9).for_each(|_| inquiry.refused(Whom::of(0usize)));
        advance(SETTLED_AFTER).await;
        inquiry.refused(Whom::of(0usize));
        assert!(!confirmed(&inquiry, 0, Words::OfTheRecipient, Refuses::Most), "twice");
        advance(TIMES_APART).await;
        inquiry.refused(Whom::of(0usize));
        assert!(confirmed(&inquiry, 0, Words::OfTheRecipient, Refuses::Most));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let inquiry = Inquiry::default();
        (0..2 * PEOPLE_MAX).for_each(|person| inquiry.refused(Whom::of(person)));
        let remembered = || inquiry.lock().as_ref().unwrap().people.len();
        assert_eq!(remembered(), PEOPLE_MAX);
        advance(KEPT).await;
        inquiry.end();
        inquiry.refused(Whom::of("new"));
        assert_eq!(remembered(), 1, "who was refused long ago is not remembered");
    }
}
