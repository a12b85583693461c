//! Senders whose messages wait because the target does not take them.

use super::verdict::Command;
use crate::fault::Fault;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

/// How long the messages of a sender that was refused wait before one of them tries again.
const WAIT: Duration = Duration::from_secs(60);
/// Senders remembered at once; who does not fit is found out anew with each message.
const SENDERS_MAX: usize = 64;
/// Behind MAIL a recipient may have a say in who may write to it: for so many of them it is the sender.
const RECIPIENTS_MIN: u32 = 2;
/// So many senders refused in a row, and nobody taken between: the next one shows that it is no sender's doing.
const ALIKE_MAX: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct Senders {
    /// How many are remembered, so that nobody looks for theirs while there are none.
    count: AtomicU32,
    /// Plain data, held for lines only; looked at while a sender is refused.
    refused: Mutex<Refused>,
}

#[derive(Debug, Default)]
struct Refused {
    senders: Vec<Sender>,
    /// Senders refused for the first time since the target took anybody.
    in_a_row: u32,
}

#[derive(Debug)]
struct Sender {
    address: String,
    until: Instant,
    /// Messages refused since one was taken.
    refusals: u32,
    cause: Fault,
}

impl Sender {
    fn waits(&self) -> bool {
        self.refusals >= RECIPIENTS_MIN
    }
}

/// What follows from the refusal of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// Its messages wait from now on.
    Waits,
    /// They wait already, or go on as before.
    Nothing,
    /// One sender like the other: it is the target.
    Targets,
}

impl Senders {
    /// Why this sender's messages wait, if they do.
    pub fn cause(&self, address: &str) -> Option<Fault> {
        self.first_waiting(|sender| sender.address == address)
    }

    /// A sender that is refused now: the target does not take everything.
    pub fn any_cause(&self) -> Option<Fault> {
        self.first_waiting(|_| true)
    }

    /// A message of this sender was refused for the sender's sake.
    pub fn refuse(&self, address: &str, at: Command, cause: Fault) -> Follows {
        let mut refused = self.fresh();
        let until = Instant::now() + WAIT;
        // MAIL is before any recipient.
        let weight = if at == Command::Mail { RECIPIENTS_MIN } else { 1 };
        if let Some(known) = refused.senders.iter_mut().find(|sender| sender.address == address) {
            let waited = known.waits();
            known.refusals = known.refusals.saturating_add(weight);
            (known.until, known.cause) = (until, cause);
            return if known.waits() && !waited { Follows::Waits } else { Follows::Nothing };
        }
        refused.in_a_row += 1;
        if refused.in_a_row > ALIKE_MAX {
            return Follows::Targets;
        }
        if refused.senders.len() < SENDERS_MAX {
            refused.senders.push(Sender { address: address.to_owned(), until, refusals: weight, cause });
            self.count.store(refused.senders.len() as u32, Relaxed);
        }
        if weight >= RECIPIENTS_MIN { Follows::Waits } else { Follows::Nothing }
    }

    /// A message of this sender was taken.
    pub fn taken(&self, address: &str) {
        if self.count.load(Relaxed) > 0 {
            let mut refused = self.fresh();
            refused.in_a_row = 0;
            refused.senders.retain(|sender| sender.address != address);
            self.count.store(refused.senders.len() as u32, Relaxed);
        }
    }

    fn first_waiting(&self, is_it: impl Fn(&Sender) -> bool) -> Option<Fault> {
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        let refused = self.fresh();
        refused.senders.iter().find(|sender| sender.waits() && is_it(sender)).map(|it| it.cause.clone())
    }

    fn fresh(&self) -> MutexGuard<'_, Refused> {
        let mut refused = self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        refused.senders.retain(|sender| sender.until > now);
        if refused.senders.is_empty() {
            refused.in_a_row = 0;
        }
        self.count.store(refused.senders.len() as u32, Relaxed);
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Reason;

    fn cause() -> Fault {
        Fault::new(Reason::TargetUnavailable, "no")
    }

    #[tokio::test(start_paused = true)]
    async fn a3_a_sender_refused_at_mail_waits_alone_for_a_while() {
        let senders = Senders::default();
        assert_eq!(senders.refuse("a@x.test", Command::Mail, cause()), Follows::Waits);
        assert_eq!(senders.refuse("a@x.test", Command::Mail, cause()), Follows::Nothing);
        assert_eq!((senders.cause("a@x.test"), senders.cause("b@x.test")), (Some(cause()), None));
        tokio::time::advance(WAIT).await;
        assert_eq!((senders.cause("a@x.test"), senders.any_cause()), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a3_one_recipient_that_does_not_want_a_sender_does_not_stop_it() {
        let senders = Senders::default();
        for at in [Command::Recipient, Command::Content] {
            assert_eq!(senders.refuse("a@x.test", at, cause()), Follows::Nothing);
            assert_eq!(senders.cause("a@x.test"), None);
            senders.taken("a@x.test");
        }
        senders.refuse("a@x.test", Command::Recipient, cause());
        senders.taken("b@x.test");
        assert_eq!(senders.refuse("a@x.test", Command::Recipient, cause()), Follows::Waits);
        assert_eq!(senders.cause("a@x.test"), Some(cause()));
    }

    #[tokio::test(start_paused = true)]
    async fn a3_the_third_sender_in_a_row_shows_that_it_is_the_target() {
        let senders = Senders::default();
        for round in 0..2 {
            for name in ["a", "b"] {
                let sender = format!("{name}{round}@x.test");
                assert_eq!(senders.refuse(&sender, Command::Mail, cause()), Follows::Waits);
            }
            senders.taken("z@x.test");
        }
        for sender in ["d@x.test", "e@x.test"] {
            assert_eq!(senders.refuse(sender, Command::Mail, cause()), Follows::Waits);
        }
        assert_eq!(senders.refuse("f@x.test", Command::Mail, cause()), Follows::Targets);
        assert_eq!(senders.cause("f@x.test"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a3_senders_are_bounded() {
        let senders = Senders::default();
        for number in 0..2 * SENDERS_MAX {
            senders.refuse(&format!("{number}@x.test"), Command::Mail, cause());
            senders.taken("z@x.test");
        }
        assert_eq!(senders.refused.lock().unwrap().senders.len(), SENDERS_MAX);
    }
}
