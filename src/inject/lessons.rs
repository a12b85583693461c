//! What the target's answers have taught: how far ahead of them one may send, and how many messages a session takes. Each
//! lesson is forgotten after a while and learned anew.

use super::endurance::Endurance;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// How long a target that disliked what came ahead is spared it. Doubles with each such lesson.
const SPARED_MIN: Duration = Duration::from_secs(600);
const SPARED_MAX: Duration = Duration::from_secs(24 * 3600);
/// One that ended a session with more sent behind a final dot may have been restarted: it is spared that until it has taken so
/// many messages, or as long as for the first dislike.
const SPARED_MESSAGES: u64 = 2000;
/// One that does so again within a day does not bear it well: each time costs a message its answer.
const SPARED_AGAIN: Duration = Duration::from_secs(6 * 3600);
const ENDS_RECUR: Duration = Duration::from_secs(24 * 3600);
/// How long the share of a session that was learned holds.
const SHARE_HOLDS: Duration = Duration::from_secs(3600);

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
    /// Messages it has to take until then, if that is sooner; 0: time alone counts.
    ahead_lifts_behind: AtomicU64,
    /// Milliseconds after `born` at which a session last ended with more behind a final dot, and one more; 0: none did.
    ended_ms: AtomicU64,
    chunks_proven: AtomicBool,
    resets_refused: AtomicBool,
    /// Messages a session takes; 0: nothing learned.
    share: AtomicU64,
    share_lapses_ms: AtomicU64,
    pub endurance: Endurance,
}

impl Lessons {
    pub fn new() -> Self {
        Self {
            born: Instant::now(),
            ahead: AtomicU8::new(Ahead::Messages as u8),
            ahead_lessons: AtomicU32::new(0),
            ahead_lifts_ms: AtomicU64::new(0),
            ahead_lifts_behind: AtomicU64::new(0),
            ended_ms: AtomicU64::new(0),
            chunks_proven: AtomicBool::new(false),
            resets_refused: AtomicBool::new(false),
            share: AtomicU64::new(0),
            share_lapses_ms: AtomicU64::new(0),
            endurance: Endurance::new(),
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
        self.spare(ahead, SPARED_MIN.saturating_mul(1 << lessons.min(10)).min(SPARED_MAX));
        self.ahead_lifts_behind.store(0, Relaxed);
    }

    /// A session ended without the answer to a final dot behind which more was sent. Some targets bear that mostly (Dovecot's
    /// submission proxy), and nothing else tells them from one that was restarted.
    pub fn ended_with_more_behind_a_dot(&self) {
        if self.ahead() <= Ahead::Group {
            return;
        }
        let now_ms = self.now_ms();
        let before_ms = self.ended_ms.swap(now_ms + 1, Relaxed);
        let is_again = before_ms > 0 && now_ms < before_ms + ENDS_RECUR.as_millis() as u64;
        let (spared, messages) = if is_again { (SPARED_AGAIN, 0) } else { (SPARED_MIN, SPARED_MESSAGES) };
        self.spare(Ahead::Group, spared);
        self.ahead_lifts_behind.store(messages, Relaxed);
    }

    fn spare(&self, ahead: Ahead, spared: Duration) {
        self.ahead_lifts_ms.fetch_max(self.now_ms() + spared.as_millis() as u64, Relaxed);
        self.ahead.store(ahead as u8, Relaxed);
        self.chunks_proven.store(false, Relaxed);
    }

    /// It took a message.
    pub fn took(&self) {
        if self.ahead_lifts_behind.load(Relaxed) == 0 {
            return;
        }
        let less = |left: u64| left.checked_sub(1);
        if self.ahead_lifts_behind.fetch_update(Relaxed, Relaxed, less) == Ok(1) {
            self.ahead_lifts_ms.store(0, Relaxed);
        }
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

    fn now_ms(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a4_an_end_behind_a_dot_is_borne_in_mind_for_so_many_messages_and_another_one_for_hours() {
        let lessons = Lessons::new();
        let take = |messages| (0..messages).for_each(|_| lessons.took());
        lessons.ended_with_more_behind_a_dot();
        lessons.ended_with_more_behind_a_dot();
        take(SPARED_MESSAGES - 1);
        assert_eq!(lessons.ahead(), Ahead::Group);
        take(1);
        assert_eq!(lessons.ahead(), Ahead::Messages, "it may have been restarted");
        lessons.ended_with_more_behind_a_dot();
        take(3 * SPARED_MESSAGES);
        pass(SPARED_AGAIN - Duration::from_secs(1)).await;
        assert_eq!(lessons.ahead(), Ahead::Group);
        pass(ENDS_RECUR).await;
        assert_eq!(lessons.ahead(), Ahead::Messages);
        lessons.ended_with_more_behind_a_dot();
        pass(SPARED_MIN).await;
        assert_eq!(lessons.ahead(), Ahead::Messages, "the one before is long ago");
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
}
