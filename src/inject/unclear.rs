//! Whose a refusal is that does not tell: what becomes of others shows it.
//!
//! A message is refused for good only when two sessions refuse it of which one takes others, or when three do that have
//! nothing else to do with a target that takes people. A target that refuses everybody refuses nobody in particular,
//! and neither does a session that takes nobody while others do: behind one name there may be several machines.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// For this long an acceptance shows that the target takes people.
const ACCEPTANCE_SHOWS: Duration = Duration::from_secs(600);
/// A target that accepted somebody this recently is not down.
const ACCEPTED_NOW: Duration = Duration::from_secs(10);
/// Refusals in a row are no coincidence when so many would come together less often than once in a thousand times, at
/// the rate at which this target refuses; within these bounds.
const COINCIDENCE: f64 = 0.001;
const ALIKE_MIN: u32 = 2;
const ALIKE_MAX: u32 = 12;
/// Messages that a session refuses in a row, at least, before another one is made in its place.
const USELESS_MIN: u32 = 3;
/// Sessions that have to agree where none of them has anybody else to judge.
const LOOKS_MIN: usize = 3;
/// Sessions that a message is offered to.
const LOOKS_MAX: usize = 6;

/// What one session does with messages, which tells what a refusal of its is worth.
#[derive(Debug, Default)]
pub(super) struct Witness {
    taken: AtomicU64,
    /// Messages refused since it took the last one.
    in_a_row: AtomicU32,
}

impl Witness {
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    pub fn took(&self) {
        self.taken.fetch_add(1, Relaxed);
        if self.in_a_row.load(Relaxed) > 0 {
            self.in_a_row.store(0, Relaxed);
        }
    }

    pub fn refused(&self) {
        self.in_a_row.fetch_add(1, Relaxed);
    }

    /// It has taken nobody yet, or refused more than one since.
    pub fn takes_nobody(&self) -> bool {
        self.taken() == 0 || self.in_a_row.load(Relaxed) > 1
    }

    /// It took the one before this message, which it refused.
    fn took_the_one_before(&self) -> bool {
        self.taken() > 0 && self.in_a_row.load(Relaxed) == 1
    }

    /// It was asked about one message only, and refused it.
    fn knows_one_only(&self) -> bool {
        self.in_a_row.load(Relaxed) == 1
    }
}

/// What sessions have said of one message without telling whose that is.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    looks: Vec<Look>,
}

#[derive(Debug)]
struct Look {
    witness: Arc<Witness>,
    /// What that session had taken by then.
    taken: u64,
}

impl Doubt {
    /// Whether the session of this witness may look at it: one that refused neither it nor the message before.
    pub fn is_for(&self, witness: &Arc<Witness>) -> bool {
        self.is_none() || (witness.in_a_row.load(Relaxed) == 0 && !self.is_by(witness))
    }

    /// No session has refused it like that.
    pub fn is_none(&self) -> bool {
        self.looks.is_empty()
    }

    pub fn is_by(&self, witness: &Arc<Witness>) -> bool {
        self.looks.iter().any(|look| Arc::ptr_eq(&look.witness, witness))
    }

    pub fn add(&mut self, witness: &Arc<Witness>) {
        self.looks.push(Look { witness: witness.clone(), taken: witness.taken() });
    }

    /// Whether its sender's refusal is the sender's: two sessions say so of which one takes others, or many do.
    pub fn judge_sender(&mut self, witness: &Arc<Witness>) -> Clearer {
        let takes_others = self.is_among_others() || witness.took_the_one_before();
        self.add(witness);
        match self.looks.len() {
            1 => Clearer::LookAgain,
            looks if takes_others || looks >= LOOKS_MAX => Clearer::Persons,
            _ => Clearer::LookAgain,
        }
    }

    /// A session that refused it has taken others since.
    fn is_among_others(&self) -> bool {
        self.looks.iter().any(|look| look.witness.taken() > look.taken)
    }

    /// Nobody else was there to be judged by any of the sessions.
    fn is_alone(&self) -> bool {
        self.looks.iter().all(|look| look.witness.knows_one_only())
    }
}

/// What an unclear refusal is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clearer {
    /// The target takes others.
    Persons,
    /// Another session has to see it.
    LookAgain,
    /// The target takes nobody.
    Targets,
}

#[derive(Debug)]
pub(super) struct Unclear {
    born: Instant,
    accepted_at_ms: AtomicU64,
    /// Plain data, held for lines only; looked at for refusals that do not tell whose they are.
    alike: Mutex<Alike>,
}

/// Refusals in a row that do not tell whose they are.
#[derive(Debug, Default)]
struct Alike {
    /// How many messages the target had taken by then.
    taken: u64,
    refused: u32,
    refused_in_all: u32,
}

impl Alike {
    fn note(&mut self, taken: u64) {
        self.refused = if self.taken == taken { self.refused.saturating_add(1) } else { 1 };
        self.refused_in_all = self.refused_in_all.saturating_add(1);
        self.taken = taken;
    }

    /// How many were refused since the target took somebody.
    fn in_a_row(&self, taken: u64) -> u32 {
        if self.taken == taken { self.refused } else { 0 }
    }

    /// How many in a row are too many for people.
    fn too_many(&self, taken: u64) -> u32 {
        let refused = f64::from(self.refused_in_all) + 1.0;
        let rate = refused / (refused + taken as f64 + 1.0);
        let too_many = (COINCIDENCE.ln() / rate.ln()).ceil();
        (too_many as u32).clamp(ALIKE_MIN, ALIKE_MAX)
    }

    fn is_too_many(&self, taken: u64) -> bool {
        self.in_a_row(taken) >= self.too_many(taken)
    }

    /// More in a row than one session has a part in.
    fn is_everybody(&self, taken: u64) -> bool {
        self.in_a_row(taken) > ALIKE_MAX.max(2 * self.too_many(taken))
    }
}

impl Unclear {
    pub fn new() -> Self {
        Self { born: Instant::now(), accepted_at_ms: AtomicU64::new(0), alike: Mutex::default() }
    }

    /// The target took a message at about this time.
    pub fn accepted(&self, at: Instant) {
        self.accepted_at_ms.store(at.saturating_duration_since(self.born).as_millis() as u64 + 1, Relaxed);
    }

    /// Whose a refusal is that ends a job if it is the person's. `taken`: the messages the target has taken until now.
    pub fn judge(&self, doubt: &mut Doubt, witness: &Arc<Witness>, taken: u64) -> Clearer {
        let mut alike = self.alike();
        let is_first = doubt.is_none();
        if is_first {
            alike.note(taken);
        }
        let is_too_many = alike.is_too_many(taken);
        let is_among_others = doubt.is_among_others();
        doubt.add(witness);
        match doubt.looks.len() {
            _ if is_among_others => Clearer::Persons,
            _ if alike.is_everybody(taken) => Clearer::Targets,
            1 => Clearer::LookAgain,
            _ if !is_too_many && doubt.is_alone() && witness.took_the_one_before() => Clearer::Persons,
            looks if looks < LOOKS_MIN => Clearer::LookAgain,
            _ if !self.accepted_within(ACCEPTANCE_SHOWS) => Clearer::Targets,
            _ if !is_too_many && doubt.is_alone() => Clearer::Persons,
            looks if looks < LOOKS_MAX => Clearer::LookAgain,
            _ => Clearer::Targets,
        }
    }

    /// Whose a refusal is for now, which ends no job.
    pub fn judge_transient(&self, taken: u64) -> Clearer {
        let mut alike = self.alike();
        alike.note(taken);
        let is_persons = !alike.is_too_many(taken) && self.accepted_within(ACCEPTANCE_SHOWS);
        if is_persons { Clearer::Persons } else { Clearer::Targets }
    }

    /// Whether the target takes people now, so that a refusal that does not tell is no sign that it is down.
    pub fn accepts_now(&self) -> bool {
        self.accepted_within(ACCEPTED_NOW)
    }

    /// Whether it has refused more in a row, on several sessions, than people could account for.
    pub fn refuses_all(&self, taken: u64) -> bool {
        self.alike().is_everybody(taken)
    }

    /// Whether this session refuses more in a row than people account for: another one may not.
    pub fn is_useless(&self, witness: &Witness, taken: u64) -> bool {
        let in_a_row = witness.in_a_row.load(Relaxed);
        in_a_row >= USELESS_MIN && in_a_row >= self.alike().too_many(taken)
    }

    fn alike(&self) -> std::sync::MutexGuard<'_, Alike> {
        self.alike.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn accepted_within(&self, time: Duration) -> bool {
        let accepted_at = self.accepted_at_ms.load(Relaxed);
        let now = self.born.elapsed().as_millis() as u64;
        accepted_at > 0 && now < accepted_at + time.as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One session that took this many.
    fn session(taken: u64) -> Arc<Witness> {
        let witness = Witness::default();
        (0..taken).for_each(|_| witness.took());
        Arc::new(witness)
    }

    fn look(unclear: &Unclear, doubt: &mut Doubt, witness: &Arc<Witness>, taken: u64) -> Clearer {
        witness.refused();
        unclear.judge(doubt, witness, taken)
    }

    fn that_takes() -> Unclear {
        let unclear = Unclear::new();
        unclear.accepted(Instant::now());
        unclear
    }

    #[tokio::test(start_paused = true)]
    async fn a3_two_sessions_of_which_one_takes_others_decide() {
        let (unclear, first, second) = (that_takes(), session(500), session(0));
        let mut doubt = Doubt::default();
        assert_eq!(look(&unclear, &mut doubt, &first, 500), Clearer::LookAgain);
        first.took();
        assert_eq!(look(&unclear, &mut doubt, &second, 501), Clearer::Persons, "the first takes others");

        let mut doubt = Doubt::default();
        assert_eq!(look(&unclear, &mut doubt, &session(0), 600), Clearer::LookAgain);
        assert_eq!(look(&unclear, &mut doubt, &session(9), 600), Clearer::Persons, "the second took others");
    }

    /// However often it is asked, a machine that takes nobody refuses nobody.
    #[tokio::test(start_paused = true)]
    async fn a6_sessions_that_take_nobody_decide_nothing_while_others_take() {
        let unclear = that_takes();
        let mut doubt = Doubt::default();
        for taken in 0..LOOKS_MAX as u64 - 1 {
            let sick = session(0);
            sick.refused();
            assert_eq!(look(&unclear, &mut doubt, &sick, 101 + taken), Clearer::LookAgain);
            assert!(!unclear.is_useless(&sick, 101 + taken));
            sick.refused();
            assert!(unclear.is_useless(&sick, 101 + taken));
        }
        assert_eq!(look(&unclear, &mut doubt, &session(0), 200), Clearer::Targets);
    }

    #[tokio::test(start_paused = true)]
    async fn a3_nobody_else_is_there_and_three_sessions_agree() {
        let unclear = that_takes();
        let mut doubt = Doubt::default();
        assert_eq!(look(&unclear, &mut doubt, &session(0), 9), Clearer::LookAgain);
        assert_eq!(look(&unclear, &mut doubt, &session(0), 9), Clearer::LookAgain);
        assert_eq!(look(&unclear, &mut doubt, &session(0), 9), Clearer::Persons);
        tokio::time::advance(ACCEPTANCE_SHOWS + Duration::from_secs(1)).await;
        let mut doubt = Doubt::default();
        let looks = [(); 3].map(|()| look(&unclear, &mut doubt, &session(0), 10));
        assert_eq!(
            looks,
            [Clearer::LookAgain, Clearer::LookAgain, Clearer::Targets],
            "it took nobody lately"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a3_two_in_a_row_are_the_targets_where_hardly_any_is_refused() {
        let unclear = that_takes();
        let both = [session(500), session(500)];
        let mut doubts = [Doubt::default(), Doubt::default()];
        for (doubt, witness) in doubts.iter_mut().zip(&both) {
            assert_eq!(look(&unclear, doubt, witness, 1000), Clearer::LookAgain);
        }
        for (doubt, witness) in doubts.iter_mut().zip(both.iter().rev()) {
            assert_eq!(look(&unclear, doubt, witness, 1000), Clearer::LookAgain);
            for _ in 3..LOOKS_MAX {
                assert_eq!(look(&unclear, doubt, &session(500), 1000), Clearer::LookAgain);
            }
            assert_eq!(look(&unclear, doubt, &session(500), 1000), Clearer::Targets);
        }
        for _ in 0..=ALIKE_MAX {
            look(&unclear, &mut Doubt::default(), &session(0), 1000);
        }
        let at_once = look(&unclear, &mut Doubt::default(), &session(0), 1000);
        assert_eq!(at_once, Clearer::Targets, "by now it is plain");
    }

    /// Every second address is dead: several in a row are people, and a target that takes nobody shows all the same.
    #[tokio::test(start_paused = true)]
    async fn a3_where_many_are_refused_it_takes_more_in_a_row() {
        let unclear = that_takes();
        for taken in 0..100 {
            unclear.judge_transient(taken);
        }
        for _ in 0..6 {
            assert_eq!(unclear.judge_transient(100), Clearer::Persons);
        }
        for _ in 0..ALIKE_MAX {
            unclear.judge_transient(100);
        }
        assert_eq!(unclear.judge_transient(100), Clearer::Targets);
        assert!(unclear.accepts_now());
        tokio::time::advance(ACCEPTANCE_SHOWS + Duration::from_secs(1)).await;
        assert_eq!((unclear.judge_transient(101), unclear.accepts_now()), (Clearer::Targets, false));
    }
}
