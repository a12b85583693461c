//! Targets that refuse most of those they are asked about: half of a table, or an old list; and those that refuse some, in
//! words that do not tell, with others behind them.

use super::jobs::*;
use super::peer::{Ask, Peer, Say, text};
use super::*;
use crate::fault::State;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const UNKNOWN: &str = "550 5.1.1 user unknown";

fn number(ask: &Ask<'_>) -> usize {
    let address = ask.recipient.strip_prefix('p').and_then(|rest| rest.split('@').next());
    address.and_then(|number| number.parse().ok()).unwrap()
}

/// Asks for all that have no outcome yet, twice a minute, as held jobs come again: after how many minutes all have one.
async fn until_all_have(injector: &Injector, states: &mut [Option<State>]) -> u32 {
    for half_minutes in 0..240 {
        let open: Vec<usize> = (0..states.len()).filter(|number| states[*number].is_none()).collect();
        let came = send(injector, open.iter().copied()).await;
        for (number, state) in open.into_iter().zip(came) {
            states[number] = Some(state).filter(|state| *state != State::Deferred);
        }
        if states.iter().all(Option::is_some) {
            return half_minutes / 2;
        }
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(30)).await;
        tokio::time::resume();
    }
    u32::MAX
}

/// At its start a target has a part of its table, for as long as nobody looks.
#[tokio::test]
async fn a6_half_a_table_refuses_a_few_of_those_who_are_there() {
    for of_twenty in [1, 2, 4, 7] {
        for offers in [PLAIN, PIPELINING, CHUNKING] {
            let is_whole = Arc::new(AtomicBool::new(false));
            let whole = is_whole.clone();
            let manners = move |ask: &Ask<'_>| match ask.verb {
                "RCPT" if number(ask) * 7 % 20 >= of_twenty && !whole.load(Relaxed) => text(UNKNOWN),
                _ => Say::Usual,
            };
            let peer = Peer::start(move |_| offers, manners).await;
            let injector = Injector::start(vec![peer.settings("mta1")]);
            let mut rejected = 0;
            for people in [0..400, 0..400, 400..800] {
                rejected += count(&send(&injector, people).await, State::Rejected);
            }
            assert!(rejected <= 30, "{of_twenty} of twenty, {offers:?}: {rejected} rejected");
            is_whole.store(true, Relaxed);
            let states = send(&injector, 800..1_200).await;
            assert_eq!(count(&states, State::Relayed), 400, "{of_twenty} of twenty, {offers:?}");
        }
    }
}

/// Most of an old list are not there, which comes out, and all who are there get their messages at once.
#[tokio::test]
async fn a6_a_list_that_is_mostly_dead_comes_to_its_end() {
    for of_twenty in [12, 16, 19] {
        let is_dead = move |number: usize| number * 7 % 20 < of_twenty;
        let manners = move |ask: &Ask<'_>| match ask.verb {
            "RCPT" if is_dead(number(ask)) => text(UNKNOWN),
            _ => Say::Usual,
        };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let injector = Injector::start(vec![peer.settings("mta1")]);
        let mut states = [None; 300];
        let minutes = until_all_have(&injector, &mut states).await;
        assert!((10..=90).contains(&minutes), "{of_twenty} of twenty: after {minutes} minutes");
        for (number, state) in states.into_iter().enumerate() {
            let expected = if is_dead(number) { State::Rejected } else { State::Relayed };
            assert_eq!(state, Some(expected), "{of_twenty} of twenty, {number}");
        }
    }
}

/// Nobody of them is there.
#[tokio::test]
async fn a6_a_list_that_is_dead_to_the_last_comes_to_its_end() {
    let manners = |ask: &Ask<'_>| if ask.verb == "RCPT" { text(UNKNOWN) } else { Say::Usual };
    for people in [7, 100] {
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let injector = Injector::start(vec![peer.settings("mta1")]);
        let mut states = vec![None; people];
        let minutes = until_all_have(&injector, &mut states).await;
        assert!((10..=40).contains(&minutes), "{people}: after {minutes} minutes");
        assert!(states.iter().all(|state| *state == Some(State::Rejected)));
    }
}

/// Thirty in a row are refused, and the target takes who is behind them: those do not wait for an outage to be over.
#[tokio::test]
async fn a11_who_is_behind_a_run_of_refusals_goes_within_seconds() {
    for (at, said) in [
        ("RCPT", "550 5.4.1 Access denied"),
        ("RCPT", "550 5.7.1 Administrative prohibition"),
        (".", "554 5.7.1 Spam message rejected"),
    ] {
        for (offers, connections_max) in [(PLAIN, 1), (PIPELINING, 4), (CHUNKING, 16)] {
            let manners = move |ask: &Ask<'_>| match ask.verb == at && (100..130).contains(&number(ask)) {
                true => text(said),
                false => Say::Usual,
            };
            let peer = Peer::start(move |_| offers, manners).await;
            let settings = TargetSettings { connections_max, ..peer.settings("mta1") };
            let injector = Injector::start(vec![settings]);
            assert_eq!(count(&send(&injector, 0..100).await, State::Relayed), 100);
            // A minute later, so that none of those shows that it takes people this very moment.
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(60)).await;
            tokio::time::resume();
            let what = format!("{said}, {offers:?}, {connections_max}");
            let rejected = rejected_before_all_others_are_taken(&injector, &what).await;
            assert!(rejected == 0 || !said.contains("prohibition"), "{what}: {rejected}");
        }
    }
}

/// Of those from 100 on, of whom the first thirty are refused.
async fn rejected_before_all_others_are_taken(injector: &Injector, what: &str) -> usize {
    let from = Instant::now();
    let (mut open, mut rejected): (BTreeSet<usize>, usize) = ((100..180).collect(), 0);
    while open.iter().any(|number| *number >= 130) {
        let numbers: Vec<usize> = open.iter().copied().collect();
        for (number, state) in numbers.iter().zip(send(injector, numbers.iter().copied()).await) {
            rejected += usize::from(state == State::Rejected);
            assert!(state != State::Rejected || *number < 130, "{what}: {number}");
            if state != State::Deferred {
                open.remove(number);
            }
        }
        assert!(from.elapsed() < Duration::from_secs(10), "{what}: {} wait", open.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rejected
}

/// It took people, and begins to refuse everybody for a reason of its own: whatever it says and however often they come.
#[tokio::test]
async fn a11_a_target_that_begins_to_refuse_everybody_books_about_ten() {
    for (at, said) in
        [("RCPT", "550 5.4.1 Access denied"), (".", "554 5.7.1 Spam message rejected"), ("RCPT", UNKNOWN)]
    {
        let manners = move |ask: &Ask<'_>| match ask.verb == at && number(ask) >= 100 {
            true => text(said),
            false => Say::Usual,
        };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let injector = Injector::start(vec![peer.settings("mta1")]);
        assert_eq!(count(&send(&injector, 0..100).await, State::Relayed), 100);
        let mut states = [None; 200];
        let mut rejected = 0;
        for minutes in [0, 1, 2, 4, 8, 16] {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(minutes * 60)).await;
            tokio::time::resume();
            let open: Vec<usize> = (0..200).filter(|number| states[*number].is_none()).collect();
            let came = send(&injector, open.iter().map(|number| 100 + number)).await;
            for (number, state) in open.into_iter().zip(came) {
                rejected += usize::from(state == State::Rejected);
                states[number] = Some(state).filter(|state| *state != State::Deferred);
            }
        }
        assert!(rejected <= 12, "{said}: {rejected} rejected");
    }
}
