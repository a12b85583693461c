//! What a target's answers say about the target itself, whoever the recipient was, and when it is to be left alone.
//!
//! Sessions say what they saw as a [`Sign`]; what follows from it is decided here, in one place.

use super::breaker::{Breaker, Kind};
use crate::fault::Fault;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Messages in a row that the target did not take, for reasons of its own, before it is left alone.
const STRIKES_MAX: u32 = 5;
/// What a message in doubt counts for, of [`DOUBT_MAX`]. Each answer takes one away: a target that loses one message
/// in ten is left alone too, though others are answered in between.
const DOUBT: u32 = 10;
const DOUBT_MAX: u32 = 3 * DOUBT;

/// One thing a session saw.
#[derive(Debug, Clone)]
pub(super) enum Sign {
    /// It took a message, or refused one for what is the message's or the recipient's: it works.
    Answered,
    /// It puts a recipient off (4xx to RCPT): a full mailbox, greylisting. Says nothing about the next one.
    PutOff,
    /// It wants less: too many messages, recipients or connections in too short a time.
    Throttled(Fault),
    /// It takes no message now, whoever the recipient is: 4xx to MAIL, DATA or the content.
    Declined(Fault),
    /// The connection ended behind the final dot without an answer.
    InDoubt(Fault),
    /// The session ended without an answer to any message.
    SessionEnded(Fault),
}

#[derive(Debug, Default)]
pub(super) struct Health {
    /// Signs of trouble in a row.
    strikes: AtomicU32,
    doubt: AtomicU32,
}

impl Health {
    /// Takes note of a sign. While all is well an answer costs a few looks at what nobody writes. What it gives is
    /// why the target is to be left alone.
    pub fn note(&self, breaker: &Breaker, sign: Sign) -> Option<Fault> {
        match sign {
            Sign::Answered => {
                self.answered(breaker);
                None
            }
            Sign::PutOff => None,
            Sign::Throttled(fault) => {
                tracing::debug!(cause = %fault.detail, "asked to slow down");
                None
            }
            Sign::Declined(fault) | Sign::SessionEnded(fault) => self.strike(breaker, fault, 0),
            Sign::InDoubt(fault) => self.strike(breaker, fault, DOUBT),
        }
    }

    fn answered(&self, breaker: &Breaker) {
        if self.strikes.load(Relaxed) > 0 {
            self.strikes.store(0, Relaxed);
        }
        if self.doubt.load(Relaxed) > 0 {
            let less = |doubt: u32| doubt.checked_sub(1);
            let _ = self.doubt.fetch_update(Relaxed, Relaxed, less);
        }
        breaker.close();
    }

    fn strike(&self, breaker: &Breaker, fault: Fault, doubt: u32) -> Option<Fault> {
        let strikes = self.strikes.fetch_add(1, Relaxed) + 1;
        let doubt = self.doubt.fetch_add(doubt, Relaxed) + doubt;
        // Who is down already and fails again stays down for longer.
        if strikes < STRIKES_MAX && doubt < DOUBT_MAX && breaker.cause().is_none() {
            return None;
        }
        breaker.open(if doubt > 0 { Kind::Losing } else { Kind::Failing }, fault.clone());
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::ReplyCode;

    fn fault() -> Fault {
        Fault::refused(ReplyCode::new(451, 4, 3, 0), "target mta1 refused MAIL: 451 4.3.0 not now")
    }

    #[tokio::test(start_paused = true)]
    async fn a11_a_target_that_declines_everything_is_left_alone_after_five() {
        let (health, breaker) = (Health::default(), Breaker::default());
        for _ in 0..4 {
            health.note(&breaker, Sign::Declined(fault()));
        }
        health.note(&breaker, Sign::Answered);
        for count in 1..=5 {
            assert_eq!(breaker.cause(), None, "after {count}");
            health.note(&breaker, Sign::Declined(fault()));
        }
        assert_eq!(breaker.cause(), Some(fault()));
        health.note(&breaker, Sign::Answered);
        assert_eq!(breaker.cause(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a11_recipients_that_are_put_off_do_not_bring_a_target_down() {
        let (health, breaker) = (Health::default(), Breaker::default());
        for _ in 0..1000 {
            health.note(&breaker, Sign::PutOff);
        }
        assert_eq!(breaker.cause(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a11_messages_in_doubt_count_more_and_answers_between_them_do_not_hide_them() {
        let (health, breaker) = (Health::default(), Breaker::default());
        for _ in 0..3 {
            assert_eq!(breaker.cause(), None);
            health.note(&breaker, Sign::InDoubt(fault()));
        }
        assert_eq!(breaker.cause(), Some(fault()));
        let (health, breaker) = (Health::default(), Breaker::default());
        let mut doubts = 0;
        while breaker.cause().is_none() {
            health.note(&breaker, Sign::InDoubt(fault()));
            health.note(&breaker, Sign::Answered);
            health.note(&breaker, Sign::InDoubt(fault()));
            doubts += 2;
        }
        assert!(doubts <= 6, "{doubts}");
    }
}
