//! How many refused commands in a row a session of the target survives.
//!
//! A target that has had enough of errors says 421 and closes, with what was sent ahead unread. That resets the
//! connection (RFC 1122 §4.2.2.13), and whatever the target has said that waits in its kernel for an acknowledgement of
//! what it said before (RFC 896) never leaves: messages that it took or refused would be in doubt. So where refusals are
//! to be thought of, no more goes ahead of answers than sessions were seen to survive, were all of it refused. Where no
//! session was seen to end behind errors, more may go as long as that many refusals in a row are unlikely: else a few dead
//! addresses would cost a campaign a round trip a message.
//!
//! Some count errors from the start of a session, whatever it takes between. Where many are refused no more goes ahead than
//! sessions were seen to survive in all, until one has survived more than such targets bear.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// For this long after a refusal others are thought to come.
const REFUSALS_RECUR: Duration = Duration::from_secs(600);
/// Messages taken without a refusal, at least, until none are thought to come.
pub(super) const CLEAN_MIN: u64 = 10;
/// Errors that a message makes that is refused at MAIL: RCPT and the chunk behind it are refused too.
const ERRORS_EACH: u32 = 3;
/// Those of them that come before the target has read its last command, behind which there is nothing it could leave unread.
const ERRORS_BEFORE_LAST: u32 = ERRORS_EACH - 1;
/// Chance, at most, that of what is ahead so many are refused in a row that a session may end.
const CHANCE_MAX: f64 = 0.01;
/// Errors in a row that a session is thought to survive where few are likely: Postfix' smtpd_hard_error_limit is 20.
const SURVIVED_USUALLY: u32 = 19;
/// Of so many messages the chance of a refusal is judged, nearly.
const WINDOW: u64 = 2000;
/// Errors from its start, at least, that a session survives whose target begins to count anew with each message it takes.
const SURVIVED_IN_ALL: u32 = 20;
/// Refused commands, of all of them and the messages taken, from which on a session is thought to have its share of errors
/// soon: one dead address in forty.
const MANY_REFUSED: f64 = 0.05;
/// How long holds what sessions survived, or ended behind: that may have been by chance.
const HOLDS: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Endurance {
    born: Instant,
    /// Errors in a row that a session went on behind.
    survived: Count,
    /// Errors from its start that a session went on behind.
    survived_in_all: Count,
    /// Errors in a row that a session ended behind; 0: none did.
    fatal: Count,
    /// Milliseconds after `born` until which further refusals are thought to come.
    refusals_until_ms: AtomicU64,
    /// Messages that the target had taken at the last refusal.
    taken_by_then: AtomicU64,
    /// Commands refused since so many were taken: some two a message.
    refused: AtomicU64,
    taken_before: AtomicU64,
}

/// Commands that a session has refused.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Errors {
    /// Since it took a message.
    in_a_row: u32,
    in_all: u32,
}

impl Errors {
    pub fn add(&mut self) {
        self.in_a_row += 1;
        self.in_all += 1;
    }

    /// It took a message.
    pub fn end_row(&mut self) {
        self.in_a_row = 0;
    }
}

/// A number that is forgotten after a while: 0 then.
#[derive(Debug, Default)]
struct Count {
    number: AtomicU32,
    lapses_ms: AtomicU64,
}

impl Count {
    fn get(&self, now_ms: u64) -> u32 {
        if now_ms < self.lapses_ms.load(Relaxed) { self.number.load(Relaxed) } else { 0 }
    }

    fn set(&self, number: u32, now_ms: u64) {
        self.lapses_ms.store(now_ms + HOLDS.as_millis() as u64, Relaxed);
        self.number.store(number, Relaxed);
    }
}

impl Endurance {
    pub fn new() -> Self {
        Self {
            born: Instant::now(),
            survived: Count::default(),
            survived_in_all: Count::default(),
            fatal: Count::default(),
            refusals_until_ms: AtomicU64::new(0),
            taken_by_then: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            taken_before: AtomicU64::new(0),
        }
    }

    /// A command was refused. `taken`: the messages that the target has taken until now.
    pub fn refused(&self, taken: u64) {
        self.taken_by_then.store(taken, Relaxed);
        self.refusals_until_ms.store(self.now_ms() + REFUSALS_RECUR.as_millis() as u64, Relaxed);
        let refused = self.refused.fetch_add(1, Relaxed) + 1;
        if taken.saturating_sub(self.taken_before.load(Relaxed)) > WINDOW {
            self.taken_before.store(taken - WINDOW / 2, Relaxed);
            self.refused.store(refused.div_ceil(2), Relaxed);
        }
    }

    /// A session went on behind so many errors.
    pub fn survived(&self, errors: Errors) {
        if errors.in_a_row == 0 {
            return;
        }
        let now_ms = self.now_ms();
        for (survived, known) in [(errors.in_a_row, &self.survived), (errors.in_all, &self.survived_in_all)] {
            if survived >= known.get(now_ms) {
                known.set(survived, now_ms);
            }
        }
    }

    /// A session ended behind so many errors.
    pub fn ended_behind(&self, errors: Errors) {
        let now_ms = self.now_ms();
        let known = self.fatal.get(now_ms);
        if errors.in_a_row > 0 && (known == 0 || errors.in_a_row <= known) {
            self.fatal.set(errors.in_a_row, now_ms);
        }
    }

    /// How many messages may be ahead of the answers of a session with so many errors behind it. `taken`: as for
    /// [`Endurance::refused`].
    pub fn messages_ahead(&self, errors: Errors, taken: u64) -> usize {
        let behind = errors.in_a_row;
        let Some(left) = self.errors_left(behind) else {
            return if self.refuses_nobody(taken) { usize::MAX } else { 0 };
        };
        if !self.bears_another(errors.in_all, taken) {
            return 0;
        }
        let survived = (left + ERRORS_EACH - ERRORS_BEFORE_LAST) / ERRORS_EACH;
        let usually = SURVIVED_USUALLY.saturating_sub(behind) / ERRORS_EACH;
        let unlikely = CHANCE_MAX / self.chance_of_an_end(behind, left, taken);
        survived.max(usually.min(unlikely as u32)) as usize
    }

    /// Whether an envelope may go behind a message that is not answered yet. Where no refusals are to be thought of it may:
    /// that answer follows one that was read, so nothing holds it back.
    pub fn envelope_ahead(&self, errors: Errors, taken: u64) -> bool {
        let behind = errors.in_a_row;
        self.errors_left(behind).is_none_or(|left| {
            let bears =
                left >= ERRORS_BEFORE_LAST || self.chance_of_an_end(behind, left, taken) <= CHANCE_MAX;
            bears && self.bears_another(errors.in_all, taken)
        })
    }

    /// That a message begins more refusals in a row than a session is known to survive.
    fn chance_of_an_end(&self, behind: u32, left: u32, taken: u64) -> f64 {
        // Where more than one message was refused just now, more will be: lists are dead in stretches.
        if behind > ERRORS_EACH || self.fatal.get(self.now_ms()) > 0 {
            return 1.0;
        }
        self.share_refused(taken).powi((left / ERRORS_BEFORE_LAST) as i32 + 1)
    }

    /// Refused commands, of all of them and the messages taken.
    fn share_refused(&self, taken: u64) -> f64 {
        let refused = self.refused.load(Relaxed);
        let seen = taken.saturating_sub(self.taken_before.load(Relaxed)) + refused;
        // Ten more: of the first few, one proves little.
        (refused + 1) as f64 / (seen + 10) as f64
    }

    /// Whether a session with so many errors since its start survives another message that is refused, as far as errors are
    /// counted from there.
    fn bears_another(&self, in_all: u32, taken: u64) -> bool {
        let survived = self.survived_in_all.get(self.now_ms());
        survived > SURVIVED_IN_ALL
            || in_all + ERRORS_BEFORE_LAST <= survived
            || self.share_refused(taken) < MANY_REFUSED
    }

    /// How many further errors a session is known to survive with so many in a row behind it. `None`: none are to be
    /// thought of.
    fn errors_left(&self, behind: u32) -> Option<u32> {
        let until_ms = self.refusals_until_ms.load(Relaxed);
        if behind == 0 && until_ms == 0 {
            return None;
        }
        let now_ms = self.now_ms();
        if behind == 0 && now_ms >= until_ms {
            return None;
        }
        let survived = match self.fatal.get(now_ms) {
            0 => self.survived.get(now_ms),
            // Behind one name there may be machines that bear more than others.
            fatal => self.survived.get(now_ms).min(fatal - 1),
        };
        Some(survived.saturating_sub(behind))
    }

    /// Whether it has taken so many without a refusal that none are likely.
    fn refuses_nobody(&self, taken: u64) -> bool {
        taken.saturating_sub(self.taken_by_then.load(Relaxed)) >= CLEAN_MIN
    }

    fn now_ms(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const NONE: Errors = Errors { in_a_row: 0, in_all: 0 };

    /// On a session that has taken nothing since.
    fn errors(in_a_row: u32) -> Errors {
        Errors { in_a_row, in_all: in_a_row }
    }

    #[tokio::test(start_paused = true)]
    async fn a4_a_target_that_refuses_is_sent_no_more_than_it_was_seen_to_survive() {
        let endurance = Endurance::new();
        assert_eq!(endurance.messages_ahead(NONE, CLEAN_MIN - 1), 0);
        assert_eq!(endurance.messages_ahead(NONE, CLEAN_MIN), usize::MAX);
        endurance.refused(CLEAN_MIN);
        assert_eq!((endurance.errors_left(0), endurance.refuses_nobody(CLEAN_MIN + 1)), (Some(0), false));
        endurance.survived(errors(2));
        let left = |behind| endurance.errors_left(behind);
        assert_eq!((left(0), left(2), left(3)), (Some(2), Some(0), Some(0)));
        endurance.survived(errors(7));
        endurance.survived(errors(5));
        assert_eq!(left(2), Some(5), "the most holds");
        advance(REFUSALS_RECUR).await;
        assert_eq!((left(0), left(1)), (None, Some(6)), "no refusal came for long, but to a session");
        assert!(endurance.refuses_nobody(2 * CLEAN_MIN));
    }

    /// How many go ahead of a session without errors, of a target that refuses one of so many.
    fn ahead_of(endurance: &Endurance, one_of: u64) -> usize {
        for taken in (one_of..4000).step_by(one_of as usize) {
            // RCPT and the chunk behind it.
            endurance.refused(taken);
            endurance.refused(taken);
        }
        assert!(
            endurance.messages_ahead(errors(2 * ERRORS_EACH), 4000) <= endurance.messages_ahead(NONE, 4000)
        );
        endurance.messages_ahead(NONE, 4000)
    }

    #[tokio::test(start_paused = true)]
    async fn a4_a_few_dead_addresses_cost_no_round_trip_a_message() {
        for (one_of, survived, expected) in
            [(1000, 2, 6..=6), (50, 2, 4..=6), (10, 2, 0..=1), (10, 6, 6..=6), (2, 6, 2..=2)]
        {
            let endurance = Endurance::new();
            endurance.survived(errors(survived));
            let ahead = ahead_of(&endurance, one_of);
            assert!(expected.contains(&ahead), "1 of {one_of}, {survived} survived: {ahead}");
            assert!(endurance.envelope_ahead(NONE, 4000));
            // Where sessions end, chance is no reason any more.
            endurance.ended_behind(errors(3));
            assert!(endurance.messages_ahead(NONE, 4000) <= 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a4_where_sessions_ended_counts_more_than_what_others_survived_and_both_lapse() {
        let endurance = Endurance::new();
        endurance.survived(errors(9));
        endurance.ended_behind(errors(5));
        endurance.ended_behind(errors(8));
        assert_eq!(endurance.errors_left(1), Some(3), "the least holds");
        advance(HOLDS).await;
        assert_eq!(endurance.errors_left(1), Some(0));
    }

    /// go-smtp leaves behind three errors from the start, whatever it took between.
    #[tokio::test(start_paused = true)]
    async fn a4_where_many_are_refused_errors_count_from_the_start_of_a_session_until_one_has_borne_many() {
        let refusing = |survived: u32, one_of: u64| {
            let endurance = Endurance::new();
            endurance.survived(Errors { in_a_row: 2, in_all: survived });
            ahead_of(&endurance, one_of);
            endurance
        };
        let second = Errors { in_a_row: 0, in_all: 2 };
        assert_eq!(refusing(2, 5).messages_ahead(NONE, 4000), 1);
        assert_eq!(refusing(2, 5).messages_ahead(second, 4000), 0);
        assert_eq!(refusing(4, 5).messages_ahead(second, 4000), 1);
        let many = Errors { in_a_row: 0, in_all: 200 };
        assert_eq!(refusing(SURVIVED_IN_ALL + 1, 5).messages_ahead(many, 4000), 1);
        assert!(refusing(2, 50).messages_ahead(second, 4000) >= 4, "a few dead addresses cost nothing");
    }
}
