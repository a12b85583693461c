//! Targets that have had enough of errors at some point, or do not bear what comes early, and leave with the rest unread, which
//! resets the connection and takes along what they had not sent yet.

use super::jobs::{CHUNKING, PIPELINING, PLAIN, count, send};
use super::peer::{Ask, Peer, Say, text as reply};
use super::*;
use crate::fault::State;
use crate::inject::session::IN_FLIGHT_MAX;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const JOBS: usize = 200;

/// Since when a target counts errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// It took a message: Postfix' smtpd_hard_error_limit.
    Taking,
    /// The session began: go-smtp.
    Beginning,
}

/// Refuses every so many-th recipient, and resets the connection behind so many errors.
fn impatient(errors_max: u32, refuses_every: usize, since: Since) -> impl Fn(&Ask<'_>) -> Say + Send + Sync {
    let errors = Mutex::new(HashMap::<usize, u32>::new());
    move |ask: &Ask<'_>| {
        let mut errors = errors.lock().unwrap();
        let errors = errors.entry(ask.session).or_default();
        let number =
            ask.line.strip_prefix("RCPT TO:<p").and_then(|rest| rest.split('@').next()?.parse().ok());
        let is_unknown = number.is_some_and(|number: usize| number % refuses_every == refuses_every - 1);
        let is_behind = matches!(ask.verb, "DATA" | ".") && ask.recipient.is_empty();
        match (is_unknown || is_behind, ask.verb) {
            _ if *errors >= errors_max => return Say::Reset,
            (true, _) => *errors += 1,
            (false, ".") if since == Since::Taking => *errors = 0,
            _ => {}
        }
        if is_unknown { reply("550 5.1.1 no such user") } else { Say::Usual }
    }
}

/// Cold each time: nothing is known of the target.
async fn assert_nothing_is_in_doubt(since: Since, cases: &[(u32, usize)]) {
    for offers in [PLAIN, PIPELINING, CHUNKING] {
        for (errors_max, refuses_every) in cases.iter().copied() {
            let peer = Peer::start(move |_| offers, impatient(errors_max, refuses_every, since)).await;
            let injector =
                Injector::start(vec![TargetSettings { connections_max: 4, ..peer.settings("mta1") }]);
            let states = send(&injector, 0..JOBS).await;
            let whole = [State::Relayed, State::Rejected].map(|state| count(&states, state));
            let refused = JOBS / refuses_every;
            assert_eq!(
                whole,
                [JOBS - refused, refused],
                "{errors_max}, {refuses_every}, {offers:?}, {since:?}: {states:?}"
            );
        }
    }
}

#[tokio::test]
async fn a4_a_reset_behind_any_number_of_errors_puts_nothing_in_doubt() {
    let cases = [(2, 5), (3, 2), (3, 5), (3, 20), (4, 5), (7, 2), (10, 2), (20, 2)];
    assert_nothing_is_in_doubt(Since::Taking, &cases).await;
}

#[tokio::test]
async fn a4_a_reset_behind_errors_that_are_counted_from_the_start_puts_nothing_in_doubt() {
    let cases = [(3, 2), (3, 5), (3, 8), (4, 5), (5, 5), (7, 2), (9, 5), (10, 2), (20, 2)];
    assert_nothing_is_in_doubt(Since::Beginning, &cases).await;
}

/// Dovecot's submission proxy (2.3.19) ends a session now and then that has more behind a final dot, with the message taken.
#[tokio::test]
async fn a4_a_target_that_ends_sessions_for_what_comes_early_loses_one_answer_or_two() {
    // Whole messages that are ahead are lost with one end.
    for (offers, most) in [(PIPELINING, 2), (CHUNKING, 2 + IN_FLIGHT_MAX)] {
        let dots = AtomicUsize::new(0);
        let panics = move |ask: &Ask<'_>| {
            let is_panic = ask.verb == "." && ask.is_early && dots.fetch_add(1, Relaxed) % 50 == 49;
            if is_panic { Say::Reset } else { Say::Usual }
        };
        let peer = Peer::start(move |_| offers, panics).await;
        let injector = Injector::start(vec![TargetSettings { connections_max: 2, ..peer.settings("mta1") }]);
        let states = send(&injector, 0..1000).await;
        let unknown = count(&states, State::Unknown);
        assert!((1..=most).contains(&unknown), "{unknown} in doubt, {offers:?}");
        assert_eq!(count(&states, State::Relayed), 1000 - unknown, "{offers:?}");
    }
}
