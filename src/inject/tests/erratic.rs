//! A target that answers anything to anything: each message has its one outcome, and the right one.

use super::jobs::*;
use super::peer::{Ask, Peer, Say, text};
use super::*;
use crate::fault::State;
use std::time::Duration;

const CODES: [&str; 24] = [
    "421 4.3.2 closing",
    "421 too many messages in this connection",
    "450 4.7.1 too much mail",
    "450 4.2.0 greylisted",
    "451 4.3.0 error",
    "452 4.5.3 too many messages",
    "452 4.3.1 no space",
    "500 5.5.2 unrecognised",
    "501 5.5.4 syntax",
    "502 5.5.1 not implemented",
    "503 5.5.1 bad sequence",
    "521 5.3.2 no mail here",
    "530 5.7.0 authentication required",
    "550 5.1.1 no such user",
    "550 5.1.8 bad sender",
    "550 5.7.1 denied",
    "550 5.7.1 relay access denied",
    "550 5.7.60 send as",
    "552 5.3.4 too large",
    "553 5.1.3 odd address",
    "554 5.7.1 spam",
    "554 SMTP synchronization error",
    "555 5.5.4 parameters",
    "556 5.1.10 null MX",
];

/// A source of chances that one number tells.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Any answer to anything at any time, from one seed.
fn erratic(seed: u64) -> impl Fn(&Ask<'_>) -> Say + Send + Sync {
    let dice = std::sync::Mutex::new(Dice(seed));
    move |ask| {
        let mut dice = dice.lock().unwrap();
        if dice.below(12) > 0 || ask.verb == "CONNECT" {
            return Say::Usual;
        }
        let code = CODES[dice.below(CODES.len() as u64) as usize];
        // The size of a message may be refused before its recipient is known.
        if code.starts_with("552") && ask.verb != "." {
            return Say::Usual;
        }
        match dice.below(8) {
            0 => Say::Close,
            1 => Say::TextAndClose(code.into()),
            2 if ask.verb == "." && ask.is_early => Say::Flush,
            3 if ask.verb == "BDAT" && ask.recipient.is_empty() => Say::ChunkUnread(code.into()),
            _ if ask.verb == "BDAT" => Say::Usual,
            _ => text(code),
        }
    }
}

/// One run of 30 messages; what it says is a broken rule.
async fn erratic_run(seed: u64) -> Result<(), String> {
    let offers = [PLAIN, PIPELINING, CHUNKING][seed as usize % 3];
    let peer = Peer::start(move |_| offers, erratic(seed)).await;
    let mut settings = peer.settings("mta1");
    settings.connections_max = 1 + seed as usize % 3;
    settings.deadlines.command = Duration::from_millis(100);
    settings.deadlines.data_initiation = Duration::from_millis(100);
    settings.deadlines.final_reply = Duration::from_millis(200);
    let injector = Injector::start(vec![settings]);
    let outcomes = outcomes(&injector, 0..30, Duration::from_millis(500));
    let outcomes = tokio::time::timeout(Duration::from_secs(60), outcomes).await;
    let outcomes = outcomes.map_err(|_| String::from("no end"))?;
    let seen = peer.seen();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let state = state(&outcome);
        let taken = seen.taken.get(&address(number)).copied().unwrap_or(0);
        let refused = seen.refused.get(&address(number)).copied().unwrap_or(0);
        let is_right = match state {
            State::Relayed => taken == 1,
            State::Unknown => taken <= 1,
            State::Rejected => taken == 0 && refused > 0,
            _ => taken == 0,
        };
        if !is_right {
            return Err(format!("{number}: {outcome:?}, taken {taken}, refused {refused}"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn whatever_a_target_answers_each_message_has_its_one_outcome() {
    for seed in 0..150 {
        if let Err(broken) = erratic_run(seed).await {
            panic!("seed {seed}: {broken}");
        }
    }
}
