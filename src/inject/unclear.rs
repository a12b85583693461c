//! Whose a refusal is that does not tell: what becomes of others shows it.
//!
//! A message is refused for good only when it is refused twice and a session that refused it takes others, or when
//! nobody else is there to compare with and sessions agree of which one took others before, or three new ones. A target
//! that refuses everybody refuses nobody in particular, and neither does a session that takes nobody while others do:
//! behind one name there may be several machines.

use super::alike::{Alike, Clearer};
use super::inquiry::{Inquiry, Whom, Words};
use super::majority::{Majority, Refuses};
use super::unknown::{Said, Seen, Unasked, Unknown};
use super::verdict::Command;
use super::witness::{USELESS_MIN, Witness};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// For this long an acceptance shows that the target takes people.
const ACCEPTANCE_SHOWS: Duration = Duration::from_secs(600);
/// A target that took nobody for so long may have lost its table of recipients since.
const COLD_AFTER: Duration = Duration::from_secs(3600);
/// Mailboxes that a target finds full or closed in a row while it has taken nobody yet, or not for long.
const MAILBOXES_AT_FIRST: u32 = 5;
/// A target that accepted somebody this recently is not down.
const ACCEPTED_NOW: Duration = Duration::from_secs(10);
/// For this long what one session refused and another one took shows that they are not alike.
const DISAGREEMENT_SHOWS: Duration = Duration::from_secs(600);
/// Refusals found to be people's, and none found to be a session's, until a session is believed when it says so again.
const BELIEVED_MIN: u32 = 3;
/// For so long a message that was refused waits for its session to take others, which shows more than another session.
const OTHERS_SHOW: Duration = Duration::from_millis(100);
/// Sessions that have to agree where none of them has anybody else to judge.
const LOOKS_MIN: usize = 3;
/// Sessions that a message is offered to.
const LOOKS_MAX: usize = 6;

/// What sessions have said of one message without telling whose that is.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    looks: Vec<Look>,
    /// Whether a session that refused it may say so again though it took nobody since.
    next: Next,
}

#[derive(Debug)]
struct Look {
    witness: Arc<Witness>,
    at: Instant,
    /// What that session had taken by then.
    taken: u64,
    /// What the target had.
    taken_in_all: u64,
}

impl Look {
    /// The session takes others.
    fn is_among_others(&self) -> bool {
        self.witness.taken() > self.taken
    }
}

/// Who has to see a message next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A session that did not refuse it, or takes others.
    #[default]
    Another,
    Any,
}

/// Whether a session may look at a message now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    Now,
    /// When it is due: what becomes of others may show more by then.
    Later,
    /// Only others may.
    Never,
}

impl Doubt {
    /// Whether the session of this witness may look at it: one that refuses neither it nor others just now.
    pub fn sight(&self, witness: &Arc<Witness>) -> Sight {
        let Some(first) = self.looks.first() else { return Sight::Now };
        if !witness.is_good() && self.next == Next::Another {
            return Sight::Never;
        }
        if self.is_among_others() {
            return Sight::Now;
        }
        if self.is_by(witness) && (self.next == Next::Another || witness.taken() == 0) {
            return Sight::Never;
        }
        if Instant::now() >= first.at + OTHERS_SHOW { Sight::Now } else { Sight::Later }
    }

    /// When what becomes of others has had its time to show more.
    pub fn due_at(&self) -> Option<Instant> {
        Some(self.looks.first()?.at + OTHERS_SHOW)
    }

    /// No session has refused it like that.
    pub fn is_none(&self) -> bool {
        self.looks.is_empty()
    }

    fn is_by(&self, witness: &Arc<Witness>) -> bool {
        self.looks.iter().any(|look| Arc::ptr_eq(&look.witness, witness))
    }

    /// `taken_in_all`: the messages the target has taken until now.
    pub fn add(&mut self, witness: &Arc<Witness>, taken_in_all: u64) {
        let (witness, taken) = (witness.clone(), witness.taken());
        self.looks.push(Look { witness, at: Instant::now(), taken, taken_in_all });
    }

    /// Whether its sender's refusal is the sender's: two sessions say so of which one takes others, or many do.
    pub fn judge_sender(&mut self, witness: &Arc<Witness>, taken_in_all: u64) -> Clearer {
        // One that has begun to refuse others as well shows nothing.
        let are_good = || self.looks.iter().all(|look| look.witness.in_a_row.load(Relaxed) <= 1);
        let takes_others = self.is_among_others() || (witness.took_the_one_before() && are_good());
        self.add(witness, taken_in_all);
        match self.looks.len() {
            1 => Clearer::LookAgain,
            looks if takes_others || looks >= LOOKS_MAX => Clearer::Persons,
            _ => Clearer::LookAgain,
        }
    }

    /// A session that refused it has taken others since.
    fn is_among_others(&self) -> bool {
        self.looks.iter().any(Look::is_among_others)
    }

    /// Nobody else was there to be judged since the look before, by any session.
    fn is_alone(&self) -> bool {
        let [.., before, last] = &*self.looks else { return false };
        before.taken_in_all == last.taken_in_all
    }

    /// Of the sessions that refused it, one took others before.
    fn is_of_one_that_took_others(&self) -> bool {
        self.looks.iter().any(|look| look.taken > 0)
    }

    /// It was the person's: those who said so were right.
    fn acquit(&self) {
        for (at, look) in self.looks.iter().enumerate() {
            let is_again = self.looks[..at].iter().any(|before| Arc::ptr_eq(&before.witness, &look.witness));
            if !is_again && !look.is_among_others() {
                look.witness.was_right();
            }
        }
    }
}

/// What was asked of whom.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub command: Command,
    pub whom: Whom,
    pub elsewhere: Unasked,
    pub inquiry: &'a Inquiry,
    /// Messages the target has taken until now.
    pub taken: u64,
}

#[derive(Debug)]
pub(super) struct Unclear {
    born: Instant,
    accepted_at_ms: AtomicU64,
    /// Until then it is known to have taken people before this relay was started.
    warm_until_ms: AtomicU64,
    /// Recipients taken at RCPT.
    known: AtomicU64,
    /// When one session took what another one had refused.
    disagreed_at_ms: AtomicU64,
    /// Refusals found to be people's since.
    right: AtomicU32,
    /// Plain data, held for lines only; looked at for refusals that do not tell whose they are.
    alike: Mutex<Alike>,
    unknown: Unknown,
    /// As `alike`, for recipients of whom more was said behind the content.
    mailboxes: Mutex<Alike>,
    /// Of recipients at RCPT, and of what came behind.
    recipients: Majority,
    contents: Majority,
}

impl Unclear {
    pub fn new() -> Self {
        Self {
            born: Instant::now(),
            accepted_at_ms: AtomicU64::new(0),
            warm_until_ms: AtomicU64::new(0),
            known: AtomicU64::new(0),
            disagreed_at_ms: AtomicU64::new(0),
            right: AtomicU32::new(0),
            alike: Mutex::default(),
            unknown: Unknown::default(),
            mailboxes: Mutex::default(),
            recipients: Majority::default(),
            contents: Majority::default(),
        }
    }

    /// The target knows a recipient.
    pub fn knows_one(&self) {
        self.known.fetch_add(1, Relaxed);
    }

    /// What was seen of the target before this relay was started: how long ago it took somebody, and how many it has refused since.
    pub fn remember(&self, taken_ago: Option<Duration>, refused: u32) {
        let warm = COLD_AFTER.saturating_sub(taken_ago.unwrap_or(COLD_AFTER));
        self.warm_until_ms.store(warm.as_millis() as u64, Relaxed);
        self.unknown.remember(refused);
    }

    /// The target took a message at about this time, of which sessions had said this before.
    pub fn accepted(&self, at: Instant, doubt: &Doubt) {
        let at_ms = at.saturating_duration_since(self.born).as_millis() as u64 + 1;
        self.accepted_at_ms.store(at_ms, Relaxed);
        if !doubt.is_none() {
            self.disagreed_at_ms.store(at_ms, Relaxed);
            self.right.store(0, Relaxed);
            self.unknown.was_wrong();
        }
    }

    /// Whose a refusal is that ends a job if it is the person's. `taken`: the messages the target has taken until now.
    pub fn judge(&self, doubt: &mut Doubt, witness: &Arc<Witness>, asked: Asked<'_>) -> Clearer {
        let taken = asked.taken;
        let refuses = self.refuses(asked, doubt);
        if !doubt.is_by(witness) {
            witness.refused();
        }
        let mut alike = self.alike();
        if doubt.is_none() {
            alike.note(taken);
        }
        let is_among_others = doubt.is_among_others();
        doubt.add(witness, taken);
        let judged = match doubt.looks.len() {
            _ if asked.inquiry.confirms(asked.whom, Words::Unclear, refuses) => Clearer::Persons,
            _ if is_among_others => persons_where(refuses),
            _ if alike.is_everybody(taken) => Clearer::Targets,
            1 => Clearer::LookAgain,
            _ if self.do_agree(doubt, &alike, taken) => persons_where(refuses),
            looks if looks < LOOKS_MIN => Clearer::LookAgain,
            _ if !self.takes_people() => Clearer::Targets,
            looks if looks < LOOKS_MAX => Clearer::LookAgain,
            _ => Clearer::Targets,
        };
        match judged {
            Clearer::Persons => {
                self.right.fetch_add(1, Relaxed);
                doubt.acquit();
            }
            Clearer::Waits => doubt.acquit(),
            Clearer::LookAgain | Clearer::Targets => {
                let is_believed = doubt.looks.len() == 1 && self.right.load(Relaxed) >= BELIEVED_MIN;
                doubt.next = if is_believed { Next::Any } else { Next::Another };
            }
        }
        judged
    }

    /// Nobody else is there, and sessions agree that are like others and not in a row of refusals that is too long.
    fn do_agree(&self, doubt: &Doubt, alike: &Alike, taken: u64) -> bool {
        let too_many = alike.too_many(taken);
        let are_well = || doubt.looks.iter().all(|look| look.witness.in_a_row.load(Relaxed) < too_many);
        let are_enough = doubt.looks.len() >= LOOKS_MIN || doubt.is_of_one_that_took_others();
        are_enough
            && doubt.is_alone()
            && !alike.is_too_many(taken)
            && self.takes_people()
            && !within(self.born, &self.disagreed_at_ms, DISAGREEMENT_SHOWS)
            && are_well()
    }

    /// Whose a refusal is for now, which ends no job.
    pub fn judge_transient(&self, witness: &Witness, taken: u64) -> Clearer {
        witness.refused();
        let mut alike = self.alike();
        alike.note(taken);
        if self.takes_people() && !alike.is_too_many(taken) { Clearer::Persons } else { Clearer::Targets }
    }

    /// Whose a recipient's refusal is as one that is not there: theirs, if a session says so that knows others, or
    /// sessions agree.
    pub fn judge_unknown(&self, doubt: &mut Doubt, witness: &Arc<Witness>, asked: Asked<'_>) -> Clearer {
        let said = Said {
            is_proven: witness.is_proven(),
            in_a_row: witness.unknown_in_a_row.fetch_add(1, Relaxed) + 1,
            looks_of_others: doubt.looks.iter().filter(|look| !Arc::ptr_eq(&look.witness, witness)).count(),
            is_first: doubt.is_none(),
            do_disagree: within(self.born, &self.disagreed_at_ms, DISAGREEMENT_SHOWS),
            is_cold: self.is_cold(),
            elsewhere: asked.elsewhere,
        };
        let seen = Seen { taken: asked.taken, known: self.known.load(Relaxed) };
        let refuses = self.refuses(asked, doubt);
        let judged = match self.unknown.judge(said, seen) {
            Clearer::Persons if refuses == Refuses::Some => Clearer::Persons,
            _ if asked.inquiry.confirms(asked.whom, Words::OfTheRecipient, refuses) => Clearer::Persons,
            Clearer::Persons => Clearer::Waits,
            judged => judged,
        };
        match judged {
            Clearer::Persons | Clearer::Waits if said.looks_of_others > 0 => {
                witness.knows_people();
                doubt.looks.iter().for_each(|look| look.witness.knows_people());
            }
            Clearer::LookAgain => doubt.add(witness, asked.taken),
            Clearer::Persons | Clearer::Targets | Clearer::Waits => {}
        }
        judged
    }

    /// How many it refuses, this one among them.
    fn refuses(&self, asked: Asked<'_>, doubt: &Doubt) -> Refuses {
        let (majority, taken) = match asked.command {
            Command::Recipient => (&self.recipients, self.known.load(Relaxed)),
            _ => (&self.contents, asked.taken),
        };
        if doubt.is_none() {
            majority.refused(taken);
        }
        majority.refuses(taken)
    }

    /// Whose it is that behind the content a recipient is refused for good, with a mailbox that is full, or closed: the target's,
    /// if so many were in a row, and none taken between, that it says so of everybody.
    pub fn judge_mailbox(&self, doubt: &Doubt, asked: Asked<'_>) -> Clearer {
        let taken = asked.taken;
        let mut mailboxes = self.mailboxes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        mailboxes.note(taken);
        let is_everybody = mailboxes.is_nobody_known(taken)
            || (self.is_cold() && !mailboxes.is_within(taken, MAILBOXES_AT_FIRST));
        drop(mailboxes);
        match (self.refuses(asked, doubt), is_everybody) {
            (Refuses::Some, false) => Clearer::Persons,
            (refuses, _) if asked.inquiry.confirms(asked.whom, Words::OfTheRecipient, refuses) => {
                Clearer::Persons
            }
            (_, true) => Clearer::Targets,
            (Refuses::Most, false) => Clearer::Waits,
        }
    }

    /// Whether the target has taken somebody of late.
    pub fn takes_people(&self) -> bool {
        within(self.born, &self.accepted_at_ms, ACCEPTANCE_SHOWS)
    }

    /// Whether the target has taken nobody yet, or not for long.
    pub fn is_cold(&self) -> bool {
        !within(self.born, &self.accepted_at_ms, COLD_AFTER)
            && self.born.elapsed().as_millis() as u64 >= self.warm_until_ms.load(Relaxed)
    }

    /// Whether the target takes people now, so that a refusal that does not tell is no sign that it is down.
    pub fn accepts_now(&self, taken: u64) -> bool {
        within(self.born, &self.accepted_at_ms, ACCEPTED_NOW) && !self.alike().is_everybody(taken)
    }

    /// Whether this session refuses more in a row than people account for: another one may not.
    pub fn is_useless(&self, witness: &Witness, taken: u64) -> bool {
        let in_a_row = witness.in_a_row.load(Relaxed);
        let refuses = in_a_row >= USELESS_MIN && in_a_row >= self.alike().too_many(taken);
        refuses || self.knows_nobody(witness, taken)
    }

    /// Whether this session knows nobody, while others are known to differ from it, or none is known to be good.
    fn knows_nobody(&self, witness: &Witness, taken: u64) -> bool {
        let in_a_row = witness.unknown_in_a_row.load(Relaxed);
        let do_disagree = || within(self.born, &self.disagreed_at_ms, DISAGREEMENT_SHOWS);
        in_a_row >= USELESS_MIN
            && (self.is_cold() || (do_disagree() && in_a_row >= self.unknown.too_many(taken)))
    }

    fn alike(&self) -> std::sync::MutexGuard<'_, Alike> {
        self.alike.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Theirs, which is believed of a few where most are refused.
fn persons_where(refuses: Refuses) -> Clearer {
    if refuses == Refuses::Some { Clearer::Persons } else { Clearer::Waits }
}

/// Whether that was this recently. 0: never.
fn within(born: Instant, at_ms: &AtomicU64, time: Duration) -> bool {
    let at_ms = at_ms.load(Relaxed);
    at_ms > 0 && (born.elapsed().as_millis() as u64) < at_ms + time.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::alike::ALIKE_MAX;

    /// One session that took this many.
    fn session(taken: u64) -> Arc<Witness> {
        let witness = Witness::default();
        (0..taken).for_each(|_| witness.took());
        Arc::new(witness)
    }

    fn look(unclear: &Unclear, doubt: &mut Doubt, witness: &Arc<Witness>, taken: u64) -> Clearer {
        let (command, whom, inquiry) = (Command::Content, Whom::of("e_1"), &Inquiry::default());
        unclear.judge(doubt, witness, Asked { command, whom, elsewhere: Unasked::None, inquiry, taken })
    }

    fn that_takes() -> Unclear {
        let unclear = Unclear::new();
        unclear.accepted(Instant::now(), &Doubt::default());
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

    /// Behind a session that takes others, and behind others at once; before that only when they had time to show more.
    #[tokio::test(start_paused = true)]
    async fn a11_the_session_that_refused_it_looks_again_when_it_takes_others() {
        let (unclear, only, other) = (that_takes(), session(1), session(1));
        let mut doubt = Doubt::default();
        look(&unclear, &mut doubt, &only, 1);
        assert_eq!((doubt.sight(&only), doubt.sight(&other)), (Sight::Never, Sight::Later));
        tokio::time::advance(OTHERS_SHOW).await;
        assert_eq!((doubt.sight(&only), doubt.sight(&other)), (Sight::Never, Sight::Now));
        other.refused();
        assert_eq!(doubt.sight(&other), Sight::Never, "it refuses others as well");
        only.took();
        assert_eq!((doubt.sight(&only), doubt.sight(&other)), (Sight::Now, Sight::Never));
        assert_eq!(look(&unclear, &mut doubt, &only, 2), Clearer::Persons);
    }

    /// Where refusals were found to be people's one session may say so twice; not where sessions disagreed.
    #[tokio::test(start_paused = true)]
    async fn a11_a_target_whose_refusals_were_right_is_believed_without_another_session() {
        let (unclear, only) = (that_takes(), session(1));
        for taken in 1..=u64::from(BELIEVED_MIN) {
            let mut doubt = Doubt::default();
            look(&unclear, &mut doubt, &only, taken);
            only.took();
            assert_eq!(look(&unclear, &mut doubt, &only, taken + 1), Clearer::Persons);
        }
        let mut doubt = Doubt::default();
        look(&unclear, &mut doubt, &only, 10);
        assert_eq!(doubt.sight(&only), Sight::Later);
        tokio::time::advance(OTHERS_SHOW).await;
        assert_eq!(
            (doubt.sight(&only), look(&unclear, &mut doubt, &only, 10)),
            (Sight::Now, Clearer::Persons)
        );
        assert_eq!(only.in_a_row.load(Relaxed), 0, "it was right");

        let mut doubt = Doubt::default();
        look(&unclear, &mut doubt, &session(0), 11);
        unclear.accepted(Instant::now(), &doubt);
        let mut doubt = Doubt::default();
        look(&unclear, &mut doubt, &only, 12);
        tokio::time::advance(OTHERS_SHOW).await;
        assert_eq!(doubt.sight(&only), Sight::Never);
        for _ in 2..LOOKS_MAX {
            assert_eq!(
                look(&unclear, &mut doubt, &session(1), 12),
                Clearer::LookAgain,
                "one of them may be sick"
            );
        }
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
            unclear.judge_transient(&Witness::default(), taken);
        }
        for _ in 0..6 {
            assert_eq!(unclear.judge_transient(&Witness::default(), 100), Clearer::Persons);
        }
        for _ in 0..ALIKE_MAX {
            unclear.judge_transient(&Witness::default(), 100);
        }
        assert_eq!(unclear.judge_transient(&Witness::default(), 100), Clearer::Targets);
        assert!(!unclear.accepts_now(100) && unclear.accepts_now(101), "until it takes somebody");
        tokio::time::advance(ACCEPTANCE_SHOWS + Duration::from_secs(1)).await;
        assert_eq!(
            (unclear.judge_transient(&Witness::default(), 101), unclear.accepts_now(101)),
            (Clearer::Targets, false)
        );
    }
}
