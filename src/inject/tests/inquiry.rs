//! Targets that refuse everybody they were asked about until now: how soon one who is there is found, and how many of those who
//! are there are refused meanwhile.

use super::jobs::*;
use super::peer::{Ask, Peer, Say, text};
use super::*;
use crate::fault::State;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const UNKNOWN: &str = "550 5.1.1 user unknown";
const OFFERS: [&[&str]; 3] = [PLAIN, PIPELINING, CHUNKING];

fn number(ask: &Ask<'_>) -> usize {
    let address = ask.recipient.strip_prefix('p').and_then(|rest| rest.split('@').next());
    address.and_then(|number| number.parse().ok()).unwrap()
}

fn with(peer: &Peer, connections_max: usize) -> Injector {
    Injector::start(vec![TargetSettings { connections_max, ..peer.settings("mta1") }])
}

/// Sixty who are not there come again and again, and one who is there behind them: it is not the first one's turn each time.
#[tokio::test]
async fn a6_one_who_is_there_waits_seconds_behind_many_who_are_not() {
    for said in [UNKNOWN, "550 Invalid recipient", "550 5.4.1 Recipient address rejected: Access denied"] {
        let manners = move |ask: &Ask<'_>| match ask.verb {
            "RCPT" if number(ask) < 60 => text(said),
            _ => Say::Usual,
        };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let injector = with(&peer, 4);
        let found = async {
            while peer.seen().taken.is_empty() {
                send(&injector, 0..61).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let is_found = tokio::time::timeout(Duration::from_secs(10), found).await.is_ok();
        assert!(is_found, "{said}: {} were asked about", peer.seen().refused.len());
        let asked_most = peer.seen().refused.values().copied().max().unwrap_or_default();
        assert!(asked_most <= 8, "{said}: one was asked about {asked_most} times");
    }
}

/// One that was not offered was not refused: it says what it waits for, and no code of the target's.
#[tokio::test]
async fn a11_only_who_was_asked_about_is_told_of_a_refusal() {
    for offers in OFFERS {
        let is_taken = |number: usize| number < 20;
        let manners = move |ask: &Ask<'_>| match ask.verb {
            "RCPT" if !is_taken(number(ask)) => text("550 Invalid recipient"),
            _ => Say::Usual,
        };
        let peer = Peer::start(move |_| offers, manners).await;
        let injector = with(&peer, 4);
        assert_eq!(count(&send(&injector, 0..20).await, State::Relayed), 20);
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(60)).await;
        tokio::time::resume();
        let mut untried = 0;
        for (number, outcome) in (20..120).zip(outcomes(&injector, 20..120, Duration::from_secs(9)).await) {
            let fault = fault(outcome);
            let was_asked = peer.seen().refused.contains_key(&address(number));
            let what = format!("{offers:?}, {number}, asked: {was_asked}: {fault}");
            assert_eq!(fault.is_untried(), !was_asked, "{what}");
            assert_eq!(fault.reply.is_some(), was_asked, "{what}");
            untried += usize::from(fault.is_untried());
        }
        assert!(untried >= 40, "{offers:?}: {untried} were not asked about");
    }
}

/// What is believed at first is believed once, however often this relay is started; one that took people is known.
#[tokio::test]
async fn a6_a_start_does_not_begin_to_believe_anew() {
    let manners = |ask: &Ask<'_>| if ask.verb == "RCPT" { text(UNKNOWN) } else { Say::Usual };
    let peer = Peer::start(|_| PIPELINING, manners).await;
    for (taken_ago, refused_since, jobs, rejected) in [
        (None, 0, 5, 3),
        (None, 2, 5, 1),
        (None, 3, 5, 0),
        (Some(Duration::from_secs(7200)), 3, 5, 0),
        (Some(Duration::from_secs(60)), 0, 6, 6),
    ] {
        let injector = with(&peer, 4);
        injector.remember("mta1", taken_ago, refused_since);
        let states = send(&injector, 0..jobs).await;
        assert_eq!(count(&states, State::Rejected), rejected, "{taken_ago:?} {refused_since}");
        assert_eq!(count(&states, State::Deferred), jobs - rejected);
    }
}

/// It was away for a while, or is new, and the other one takes people.
#[tokio::test]
async fn a6_nobody_is_refused_by_a_target_that_knows_nobody_while_another_can_be_asked() {
    let is_dead = |number: usize| number % 10 == 3;
    let empty = |ask: &Ask<'_>| if ask.verb == "RCPT" { text(UNKNOWN) } else { Say::Usual };
    let well = move |ask: &Ask<'_>| match ask.verb {
        "RCPT" if is_dead(number(ask)) => text(UNKNOWN),
        _ => Say::Usual,
    };
    for (first, second) in [(10, 10), (10, 20), (20, 10)] {
        let (empty, well) =
            (Peer::start(|_| PIPELINING, empty).await, Peer::start(|_| PIPELINING, well).await);
        let injector = Injector::start(vec![
            TargetSettings { priority: first, ..empty.settings("mta1") },
            TargetSettings { priority: second, ..well.settings("mta2") },
        ]);
        let states = send(&injector, 0..120).await;
        let outcome = [State::Relayed, State::Rejected].map(|state| count(&states, state));
        assert_eq!(outcome, [108, 12], "{first}, {second}");
        assert!(empty.seen().refused.len() <= 30, "{} were asked about", empty.seen().refused.len());
    }
}

/// Whom the better target is asked about first is not there: it is left to be asked about others, and those may not be refused
/// by the other one meanwhile.
#[tokio::test]
async fn a6_nor_while_the_other_has_refused_everybody_until_now() {
    let is_dead = |number: usize| number < 2 || number % 10 == 3;
    let empty = |ask: &Ask<'_>| if ask.verb == "RCPT" { text(UNKNOWN) } else { Say::Usual };
    let well = move |ask: &Ask<'_>| match ask.verb {
        "RCPT" if is_dead(number(ask)) => text(UNKNOWN),
        _ => Say::Usual,
    };
    for (first, second) in [(10, 10), (10, 20), (20, 10)] {
        let (empty, well) =
            (Peer::start(|_| PIPELINING, empty).await, Peer::start(|_| PIPELINING, well).await);
        let injector = Injector::start(vec![
            TargetSettings { priority: first, ..empty.settings("mta1") },
            TargetSettings { priority: second, ..well.settings("mta2") },
        ]);
        let mut alive = Vec::new();
        for people in [0..2, 2..12, 12..60] {
            let states = send(&injector, people.clone()).await;
            alive.extend(people.zip(states).filter(|(number, _)| !is_dead(*number)));
        }
        let rejected = alive.iter().filter(|(_, state)| *state == State::Rejected).count();
        assert_eq!(rejected, 0, "{first}, {second}: {alive:?}");
    }
}

/// The table of recipients is gone from some moment on. However many sessions there are, no more are refused than may well be
/// dead in a row.
#[tokio::test]
async fn a6_a_table_that_is_lost_under_way_costs_a_few() {
    for offers in OFFERS {
        for (connections_max, dead_of_ten) in [(1, 0), (4, 1), (8, 0), (32, 1)] {
            let is_dead = move |number: usize| number * 7 % 10 < dead_of_ten;
            let asked = AtomicUsize::new(0);
            let manners = move |ask: &Ask<'_>| match ask.verb {
                "RCPT" if asked.fetch_add(1, Relaxed) >= 150 || is_dead(number(ask)) => text(UNKNOWN),
                _ => Say::Usual,
            };
            let peer = Peer::start(move |_| offers, manners).await;
            let states = send(&with(&peer, connections_max), 0..400).await;
            let alive = (0..400).filter(|number| !is_dead(*number));
            let rejected = alive.filter(|number| states[*number] == State::Rejected).count();
            assert!(rejected <= 5, "{offers:?}, {connections_max}, {dead_of_ten}: {rejected} rejected");
            assert!(count(&states, State::Relayed) >= 100);
        }
    }
}

/// Nobody else is there to compare with: few tries, and then an outcome.
#[tokio::test]
async fn a3_one_alone_whom_a_new_target_refuses_is_tried_a_few_times_and_then_refused() {
    for (at, said) in [
        (".", "554 5.7.1 Spam message rejected"),
        (".", "550 5.1.1 User does not exist"),
        ("RCPT", "550 Invalid recipient: <x>"),
        ("RCPT", "554 5.7.1 Recipient address rejected: Access denied"),
        ("RCPT", "550 5.4.1 Access denied"),
    ] {
        let manners = move |ask: &Ask<'_>| if ask.verb == at { text(said) } else { Say::Usual };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let injector = with(&peer, 4);
        let first = fault(outcomes(&injector, 0..1, Duration::from_secs(9)).await.remove(0));
        assert_eq!(first.state(), State::Deferred, "{said}");
        assert!(!first.detail.contains("takes nothing"), "{}", first.detail);
        let mut after = None;
        for seconds in (10..=800).step_by(10) {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(10)).await;
            tokio::time::resume();
            if send(&injector, 0..1).await == [State::Rejected] {
                after = Some(seconds);
                break;
            }
        }
        assert!(after.is_some_and(|after| (600..640).contains(&after)), "{said}: after {after:?} s");
        assert!(peer.seen().mails <= 40, "{said}: {} times", peer.seen().mails);
    }
}

/// Postfix' postscreen lets in whom it has seen to leave politely.
#[tokio::test]
async fn a1_a_session_that_is_left_is_told() {
    for offers in OFFERS {
        let manners = |ask: &Ask<'_>| match ask.verb {
            "RCPT" if ask.session == 0 => text("450 4.3.2 Service currently unavailable"),
            _ => Say::Usual,
        };
        let peer = Peer::start(move |_| offers, manners).await;
        let injector = with(&peer, 1);
        let relayed = async {
            while count(&send(&injector, 0..8).await, State::Relayed) == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), relayed).await.expect("another session is made");
        assert!(peer.seen().quits >= 1, "{offers:?}");
    }
}
