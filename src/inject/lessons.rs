//! What the target's answers have taught: how far ahead of them one may send, how many messages a session takes, which
//! senders it does not want, and whether it takes anybody. Each lesson is forgotten after a while and learned anew.

use crate::fault::Fault;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// How long a target that disliked what came ahead is spared it. Doubles with each such lesson.
const SPARED_MIN: Duration = Duration::from_secs(600);
const SPARED_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long the share of a session that was learned holds.
const SHARE_HOLDS: Duration = Duration::from_secs(3600);
/// How long the messages of a sender that was refused wait before one of them tries again.
const SENDER_WAITS: Duration = Duration::from_secs(60);
/// Senders remembered at once; who does not fit is found out anew with each message.
const SENDERS_MAX: usize = 64;
/// For this long an acceptance shows that the target takes people.
const ACCEPTANCE_SHOWS: Duration = Duration::from_secs(600);
/// Refusals in a row are no coincidence when so many would come together less often than once in a thousand times, at
/// the rate at which this target refuses; within these bounds.
const COINCIDENCE: f64 = 0.001;
const ALIKE_MIN: u32 = 2;
const ALIKE_MAX: u32 = 12;
/// Errors in a row that a session survives, where nothing is learned: Postfix' smtpd_hard_error_limit.
const ERRORS_MAX: u32 = 20;
/// For this long after a refusal others are thought to come.
const REFUSALS_RECUR: Duration = Duration::from_secs(600);
/// A target that accepted somebody this recently is not down.
const ACCEPTED_NOW: Duration = Duration::from_secs(10);

/// How much a session sends ahead of the target's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Ahead {
    Nothing,
    /// MAIL, RCPT and DATA together, where the target offers PIPELINING.
    Group,
    /// The next envelope behind the final dot.
    Envelope,
    /// Whole messages, where the target offers CHUNKING.
    Messages,
}

/// What is shown of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    /// How many messages a session takes, when the target said so.
    pub messages_per_connection_max: Option<u64>,
    /// How much is sent ahead of answers: 0 nothing, 1 an envelope's commands, 2 the next envelope behind a final dot,
    /// 3 whole messages. As far as the target offers PIPELINING and CHUNKING.
    pub sent_ahead: u64,
}

#[derive(Debug)]
pub(super) struct Lessons {
    born: Instant,
    ahead: AtomicU8,
    ahead_lessons: AtomicU32,
    /// Milliseconds after `born` at which the target is tried with everything again.
    ahead_lifts_ms: AtomicU64,
    chunks_proven: AtomicBool,
    resets_refused: AtomicBool,
    /// Messages a session takes; 0: nothing learned.
    share: AtomicU64,
    share_lapses_ms: AtomicU64,
    /// Errors in a row behind which sessions ended; 0: nothing learned.
    errors_max: AtomicU32,
    /// Milliseconds after `born` until which further refusals are thought to come.
    refusals_until_ms: AtomicU64,
    /// How many senders are remembered, so that nobody looks for theirs while there are none.
    senders_count: AtomicU32,
    /// Plain data, held for lines only; looked at while a sender is refused.
    senders: Mutex<Vec<RefusedSender>>,
    accepted_at_ms: AtomicU64,
    /// Plain data, held for lines only; looked at for refusals that do not tell whose they are.
    alike: Mutex<Alike>,
}

#[derive(Debug)]
struct RefusedSender {
    address: String,
    until: Instant,
    cause: Fault,
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
    /// How many in a row are too many for people.
    fn too_many(&self, taken: u64) -> u32 {
        let refused = f64::from(self.refused_in_all) + 1.0;
        let rate = refused / (refused + taken as f64 + 1.0);
        let in_a_row = (COINCIDENCE.ln() / rate.ln()).ceil();
        (in_a_row as u32).clamp(ALIKE_MIN, ALIKE_MAX)
    }
}

/// What an unclear refusal is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clearer {
    /// The target takes others.
    Persons,
    /// It takes nobody.
    Targets,
}

impl Lessons {
    pub fn new() -> Self {
        Self {
            born: Instant::now(),
            ahead: AtomicU8::new(Ahead::Messages as u8),
            ahead_lessons: AtomicU32::new(0),
            ahead_lifts_ms: AtomicU64::new(0),
            chunks_proven: AtomicBool::new(false),
            resets_refused: AtomicBool::new(false),
            share: AtomicU64::new(0),
            share_lapses_ms: AtomicU64::new(0),
            errors_max: AtomicU32::new(0),
            refusals_until_ms: AtomicU64::new(0),
            senders_count: AtomicU32::new(0),
            senders: Mutex::default(),
            accepted_at_ms: AtomicU64::new(0),
            alike: Mutex::default(),
        }
    }

    pub fn learned(&self) -> Learned {
        Learned { messages_per_connection_max: self.share(), sent_ahead: self.ahead() as u64 }
    }

    /// How much may be sent ahead now.
    pub fn ahead(&self) -> Ahead {
        match self.ahead.load(Relaxed) {
            level if level == Ahead::Messages as u8 => Ahead::Messages,
            _ if self.now_ms() >= self.ahead_lifts_ms.load(Relaxed) => {
                self.ahead.store(Ahead::Messages as u8, Relaxed);
                Ahead::Messages
            }
            level if level == Ahead::Envelope as u8 => Ahead::Envelope,
            level if level == Ahead::Group as u8 => Ahead::Group,
            _ => Ahead::Nothing,
        }
    }

    /// From now on no more than this, for a while.
    pub fn send_ahead_at_most(&self, ahead: Ahead) {
        if ahead >= self.ahead() {
            return;
        }
        let lessons = self.ahead_lessons.fetch_add(1, Relaxed);
        let spared = SPARED_MIN.saturating_mul(1 << lessons.min(10)).min(SPARED_MAX);
        self.ahead_lifts_ms.store(self.now_ms() + spared.as_millis() as u64, Relaxed);
        self.ahead.store(ahead as u8, Relaxed);
        self.chunks_proven.store(false, Relaxed);
    }

    /// Whether the target was seen to take a message that came right behind another one.
    pub fn chunks_are_proven(&self) -> bool {
        self.chunks_proven.load(Relaxed)
    }

    pub fn prove_chunks(&self) {
        if !self.chunks_are_proven() {
            self.chunks_proven.store(true, Relaxed);
        }
    }

    /// Whether RSET is of no use: a session behind a refused recipient is replaced instead.
    pub fn resets_are_refused(&self) -> bool {
        self.resets_refused.load(Relaxed)
    }

    pub fn learn_resets_refused(&self) {
        self.resets_refused.store(true, Relaxed);
    }

    /// How many messages a session takes, as far as the target said so.
    pub fn share(&self) -> Option<u64> {
        let share = self.share.load(Relaxed);
        if share == 0 || self.now_ms() >= self.share_lapses_ms.load(Relaxed) {
            return None;
        }
        Some(share)
    }

    pub fn learn_share(&self, taken: u64) {
        let share = self.share().map_or(taken, |before| before.min(taken)).max(1);
        self.share_lapses_ms.store(self.now_ms() + SHARE_HOLDS.as_millis() as u64, Relaxed);
        self.share.store(share, Relaxed);
    }

    /// A command was refused.
    pub fn note_error(&self) {
        self.refusals_until_ms.store(self.now_ms() + REFUSALS_RECUR.as_millis() as u64, Relaxed);
    }

    /// How many further errors a session survives with so many in a row behind it. `None`: none are to be thought of.
    pub fn errors_left(&self, behind: u32) -> Option<u32> {
        let until = self.refusals_until_ms.load(Relaxed);
        if behind == 0 && (until == 0 || self.now_ms() >= until) {
            return None;
        }
        let most = match self.errors_max.load(Relaxed) {
            0 => ERRORS_MAX,
            learned => learned,
        };
        Some(most.saturating_sub(behind))
    }

    /// A session ended behind so many errors in a row.
    pub fn learn_errors_max(&self, errors: u32) {
        let known = self.errors_max.load(Relaxed);
        if errors > 0 && (known == 0 || errors < known) {
            self.errors_max.store(errors, Relaxed);
        }
    }

    /// Why this sender's messages wait, if they do.
    pub fn sender_cause(&self, address: &str) -> Option<Fault> {
        if self.senders_count.load(Relaxed) == 0 {
            return None;
        }
        let senders = self.fresh_senders();
        senders.iter().find(|sender| sender.address == address).map(|sender| sender.cause.clone())
    }

    /// A sender that is refused now: the target does not take everything.
    pub fn any_sender_cause(&self) -> Option<Fault> {
        if self.senders_count.load(Relaxed) == 0 {
            return None;
        }
        self.fresh_senders().first().map(|sender| sender.cause.clone())
    }

    /// True for a sender that was not refused already.
    pub fn refuse_sender(&self, address: &str, cause: Fault) -> bool {
        let mut senders = self.fresh_senders();
        let until = Instant::now() + SENDER_WAITS;
        if let Some(known) = senders.iter_mut().find(|sender| sender.address == address) {
            (known.until, known.cause) = (until, cause);
            return false;
        }
        if senders.len() < SENDERS_MAX {
            senders.push(RefusedSender { address: address.to_owned(), until, cause });
            self.senders_count.store(senders.len() as u32, Relaxed);
        }
        true
    }

    /// The target took a message at about this time.
    pub fn accepted(&self, at: Instant) {
        self.accepted_at_ms.store(at.saturating_duration_since(self.born).as_millis() as u64 + 1, Relaxed);
    }

    /// A refusal that does not tell whose it is, for a message that was not refused like that before. `taken`: the
    /// messages the target has taken until now.
    pub fn note_unclear(&self, taken: u64) {
        let mut alike = self.alike.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        alike.refused = if alike.taken == taken { alike.refused.saturating_add(1) } else { 1 };
        alike.refused_in_all = alike.refused_in_all.saturating_add(1);
        alike.taken = taken;
    }

    /// Whose such a refusal is. `taken_at_first`: the messages the target had taken when it said so first.
    pub fn clear_up(&self, taken_at_first: u64, taken: u64) -> Clearer {
        if taken > taken_at_first {
            return Clearer::Persons;
        }
        let alike = self.alike.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_coincidence = alike.refused < alike.too_many(taken);
        let is_persons = is_coincidence && self.accepted_within(ACCEPTANCE_SHOWS);
        if is_persons { Clearer::Persons } else { Clearer::Targets }
    }

    /// Whether the target takes people now, so that a refusal that does not tell is no sign that it is down.
    pub fn accepts_now(&self) -> bool {
        self.accepted_within(ACCEPTED_NOW)
    }

    fn accepted_within(&self, time: Duration) -> bool {
        let accepted_at = self.accepted_at_ms.load(Relaxed);
        accepted_at > 0 && self.now_ms() < accepted_at + time.as_millis() as u64
    }

    fn fresh_senders(&self) -> std::sync::MutexGuard<'_, Vec<RefusedSender>> {
        let mut senders = self.senders.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        senders.retain(|sender| sender.until > now);
        self.senders_count.store(senders.len() as u32, Relaxed);
        senders
    }

    fn now_ms(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Reason;

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a1_what_a_target_dislikes_it_is_spared_for_longer_each_time() {
        let lessons = Lessons::new();
        lessons.send_ahead_at_most(Ahead::Group);
        lessons.send_ahead_at_most(Ahead::Envelope);
        assert_eq!(lessons.ahead(), Ahead::Group, "the stricter lesson holds");
        pass(SPARED_MIN).await;
        assert_eq!(lessons.ahead(), Ahead::Messages);
        lessons.send_ahead_at_most(Ahead::Nothing);
        pass(SPARED_MIN).await;
        assert_eq!(lessons.ahead(), Ahead::Nothing);
        pass(SPARED_MIN).await;
        assert_eq!(lessons.ahead(), Ahead::Messages);
    }

    #[tokio::test(start_paused = true)]
    async fn a2_the_smallest_share_holds_and_lapses() {
        let lessons = Lessons::new();
        assert_eq!(lessons.share(), None);
        for taken in [100, 98, 120] {
            lessons.learn_share(taken);
        }
        assert_eq!(lessons.share(), Some(98));
        pass(SHARE_HOLDS).await;
        assert_eq!(lessons.share(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a3_a_refused_sender_waits_alone_and_senders_are_bounded() {
        let lessons = Lessons::new();
        let cause = Fault::new(Reason::TargetUnavailable, "no");
        assert!(lessons.refuse_sender("a@x.test", cause.clone()));
        assert!(!lessons.refuse_sender("a@x.test", cause.clone()));
        assert_eq!(lessons.sender_cause("a@x.test"), Some(cause.clone()));
        assert_eq!(lessons.sender_cause("b@x.test"), None);
        for number in 0..2 * SENDERS_MAX {
            lessons.refuse_sender(&format!("{number}@x.test"), cause.clone());
        }
        assert_eq!(lessons.senders.lock().unwrap().len(), SENDERS_MAX);
        pass(SENDER_WAITS).await;
        assert_eq!((lessons.sender_cause("a@x.test"), lessons.any_sender_cause()), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a3_a_refusal_that_does_not_tell_is_the_persons_only_while_others_are_taken() {
        let lessons = Lessons::new();
        lessons.note_unclear(0);
        assert_eq!(lessons.clear_up(0, 0), Clearer::Targets, "it never took anybody");
        assert_eq!(lessons.clear_up(0, 1), Clearer::Persons, "it took one since");
        lessons.accepted(Instant::now());
        lessons.note_unclear(1000);
        assert_eq!(lessons.clear_up(1000, 1000), Clearer::Persons, "it took one a moment ago");
        lessons.note_unclear(1000);
        assert_eq!(
            lessons.clear_up(1000, 1000),
            Clearer::Targets,
            "two in a row, where hardly any is refused"
        );
        lessons.note_unclear(1001);
        assert!(lessons.accepts_now());
        pass(ACCEPTANCE_SHOWS + Duration::from_secs(1)).await;
        assert_eq!(lessons.clear_up(1001, 1001), Clearer::Targets, "long ago");
        assert!(!lessons.accepts_now());
    }

    /// Every second address is dead: several in a row are people, and a target that takes nobody shows all the same.
    #[tokio::test(start_paused = true)]
    async fn a3_where_many_are_refused_it_takes_more_in_a_row() {
        let lessons = Lessons::new();
        for taken in 0..100 {
            lessons.note_unclear(taken);
        }
        lessons.accepted(Instant::now());
        for _ in 0..6 {
            lessons.note_unclear(100);
        }
        assert_eq!(lessons.clear_up(100, 100), Clearer::Persons);
        for _ in 0..ALIKE_MAX {
            lessons.note_unclear(100);
        }
        assert_eq!(lessons.clear_up(100, 100), Clearer::Targets);
    }
}
