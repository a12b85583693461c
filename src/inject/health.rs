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
    /// It took a message: it works.
    Took,
    /// It refused one for what is the message's or the recipient's: it works, unless it does so with everybody.
    Answered,
    /// It puts a recipient off (4xx to RCPT): a full mailbox, greylisting. Says nothing about the next one.
    PutOff,
    /// It wants less: too many messages, recipients or connections in too short a time.
    Throttled(Fault),
    /// It takes no message now, whoever the recipient is: 4xx to MAIL, DATA or the content.
    Declined(Fault),
    /// It refused somebody for what may be theirs or not, and nobody is there who shows that it takes people: from the first one
    /// on, or from as many as are no coincidence.
    Refused(Fault, Credit),
    /// The connection ended behind the final dot without an answer.
    InDoubt(Fault),
    /// The session ended without an answer to any message.
    SessionEnded(Fault),
}

/// What a target that refuses somebody has shown before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credit {
    /// It has taken nobody yet, or not for long.
    None,
    /// It takes people.
    Some,
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
            Sign::Took => {
                self.answered();
                breaker.close();
                None
            }
            Sign::Answered => {
                self.answered();
                breaker.answered();
                None
            }
            Sign::PutOff => None,
            Sign::Throttled(fault) => {
                tracing::debug!(cause = %fault.detail, "asked to slow down");
                None
            }
            Sign::Declined(fault) | Sign::SessionEnded(fault) => {
                self.strike(breaker, Kind::Failing, fault, STRIKES_MAX)
            }
            Sign::Refused(fault, Credit::None) => self.strike(breaker, Kind::Refusing, fault, 1),
            Sign::Refused(fault, Credit::Some) => self.strike(breaker, Kind::Refusing, fault, STRIKES_MAX),
            Sign::InDoubt(fault) => {
                self.doubt.fetch_add(DOUBT, Relaxed);
                self.strike(breaker, Kind::Losing, fault, STRIKES_MAX)
            }
        }
    }

    fn answered(&self) {
        if self.strikes.load(Relaxed) > 0 {
            self.strikes.store(0, Relaxed);
        }
        if self.doubt.load(Relaxed) > 0 {
            let less = |doubt: u32| doubt.checked_sub(1);
            let _ = self.doubt.fetch_update(Relaxed, Relaxed, less);
        }
    }

    fn strike(&self, breaker: &Breaker, kind: Kind, fault: Fault, most: u32) -> Option<Fault> {
        let strikes = self.strikes.fetch_add(1, Relaxed) + 1;
        let doubt = self.doubt.load(Relaxed);
        // Who is down already and fails again stays down for longer.
        if strikes < most && doubt < DOUBT_MAX && breaker.cause().is_none() {
            return None;
        }
        // What is refused is in no doubt.
        let is_losing = doubt > 0 && kind != Kind::Refusing;
        breaker.open(if is_losing { Kind::Losing } else { kind }, fault.clone());
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
