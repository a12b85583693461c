//! Recipients refused as unknown: by who is there to know them, and by one machine of several that has lost its table.

use super::jobs::*;
use super::peer::{Ask, Peer, Say, text};
use super::*;
use crate::fault::State;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const UNKNOWN: &str = "550 5.1.1 user unknown";

async fn outcome(peer: &Peer, connections_max: usize, jobs: usize) -> [usize; 3] {
    let injector = Injector::start(vec![TargetSettings { connections_max, ..peer.settings("mta1") }]);
    let states = send(&injector, 0..jobs).await;
    [State::Relayed, State::Rejected, State::Deferred].map(|state| count(&states, state))
}

#[tokio::test]
async fn a6_every_second_session_that_knows_nobody_refuses_hardly_anybody() {
    for (offers, sick) in [(PLAIN, 0), (PIPELINING, 0), (PIPELINING, 1), (CHUNKING, 1)] {
        let manners = move |ask: &Ask<'_>| match ask.verb {
            "RCPT" if ask.session % 2 == sick => text(UNKNOWN),
            _ => Say::Usual,
        };
        let peer = Peer::start(move |_| offers, manners).await;
        let [relayed, rejected, _] = outcome(&peer, 8, 600).await;
        assert!(
            rejected <= 3 && relayed == 600 - rejected,
            "{offers:?} {sick}: {relayed}, {rejected} rejected"
        );
    }
}

/// It took people until then. What is believed of it first is bounded: a few each session, and some behind an agreement.
#[tokio::test]
async fn a6_a_machine_that_loses_its_table_under_way_refuses_a_few() {
    let taken = AtomicUsize::new(0);
    let manners = move |ask: &Ask<'_>| {
        taken.fetch_add(usize::from(ask.verb == "."), Relaxed);
        let is_sick = ask.session % 2 == 1 && taken.load(Relaxed) >= 200;
        if ask.verb == "RCPT" && is_sick { text(UNKNOWN) } else { Say::Usual }
    };
    let peer = Peer::start(|_| PIPELINING, manners).await;
    let [relayed, rejected, _] = outcome(&peer, 8, 1_000).await;
    assert!(rejected <= 40 && relayed == 1_000 - rejected, "{relayed}, {rejected} rejected");
}

/// Its table of recipients is empty, or not there, from the start. With as many sessions as there are, and as much on its way
/// before the first answer.
#[tokio::test]
async fn a6_a_target_that_has_known_nobody_yet_refuses_no_more_than_a_few() {
    for offers in [PLAIN, PIPELINING, CHUNKING] {
        for connections_max in [1, 4, 32] {
            let manners = |ask: &Ask<'_>| if ask.verb == "RCPT" { text(UNKNOWN) } else { Say::Usual };
            let peer = Peer::start(move |_| offers, manners).await;
            let [relayed, rejected, deferred] = outcome(&peer, connections_max, 100).await;
            let seen = peer.seen();
            assert!(
                rejected <= 5 && (relayed, rejected + deferred) == (0, 100),
                "{offers:?} {connections_max}: {rejected} rejected, {deferred} deferred"
            );
            // A session that knew three of none is left for another one, which may know somebody.
            let asked: usize = seen.refused.values().sum();
            let most = 4 * connections_max + 8 + asked / 3;
            assert!(seen.sessions <= most && asked <= 200, "{} sessions for {asked}", seen.sessions);
        }
    }
}

/// It takes them as soon as it has its table; nobody has to do anything.
#[tokio::test]
async fn a6_a_target_whose_table_comes_late_gets_its_messages_then() {
    let is_there = Arc::new(AtomicBool::new(false));
    let table = is_there.clone();
    let manners = move |ask: &Ask<'_>| match ask.verb {
        "RCPT" if !table.load(Relaxed) => text(UNKNOWN),
        _ => Say::Usual,
    };
    let peer = Peer::start(|_| PIPELINING, manners).await;
    let injector = Injector::start(vec![TargetSettings { connections_max: 4, ..peer.settings("mta1") }]);
    let before = send(&injector, 0..60).await;
    assert!(count(&before, State::Rejected) <= 5, "{before:?}");
    is_there.store(true, Relaxed);
    let attempts = async {
        while count(&send(&injector, 60..61).await, State::Relayed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), attempts).await.expect("it is tried again");
    assert_eq!(count(&send(&injector, 61..161).await, State::Relayed), 100);
}

/// Three test people, and it truly knows none of them.
#[tokio::test]
async fn a6_the_first_three_who_are_not_there_are_answered_at_once() {
    for connections_max in [1, 8] {
        let manners = |ask: &Ask<'_>| if ask.verb == "RCPT" { text(UNKNOWN) } else { Say::Usual };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        assert_eq!(outcome(&peer, connections_max, 3).await, [0, 3, 0]);
        assert!(peer.seen().mails <= 3);
    }
}

/// Nobody who is not there is held, once the target takes anybody.
#[tokio::test]
async fn a6_lists_that_are_dead_in_part_come_out_right() {
    for (offers, connections_max) in [(PLAIN, 1), (PIPELINING, 8), (CHUNKING, 2)] {
        for (of_ten, jobs) in [(1, 300), (3, 300), (4, 300)] {
            let is_dead = move |number: usize| number > 0 && number * 7 % 10 < of_ten;
            let manners = move |ask: &Ask<'_>| {
                let number = ask.line.strip_prefix("RCPT TO:<p").and_then(|rest| rest.split('@').next());
                match number.and_then(|number| number.parse().ok()) {
                    Some(number) if is_dead(number) => text(UNKNOWN),
                    _ => Say::Usual,
                }
            };
            let peer = Peer::start(move |_| offers, manners).await;
            let dead = (0..jobs).filter(|number| is_dead(*number)).count();
            let outcome = outcome(&peer, connections_max, jobs).await;
            assert_eq!(outcome, [jobs - dead, dead, 0], "{of_ten} of ten, {offers:?}, {connections_max}");
            let sessions = peer.seen().sessions;
            assert!(sessions <= 40, "{of_ten} of ten, {offers:?}, {connections_max}: {sessions} sessions");
        }
    }
}

/// Everybody's mailbox is full, it says behind the content: the quota of our account, say.
#[tokio::test]
async fn a3_a_target_that_finds_every_mailbox_full_refuses_a_few_or_a_hundred_and_then_nobody() {
    for said in ["552 5.2.2 no room", "550 5.2.1 mailbox disabled", "552 mailbox full"] {
        for (first, most) in [(0, 5), (1, 110)] {
            let contents = AtomicUsize::new(0);
            let manners = move |ask: &Ask<'_>| match ask.verb {
                "." if contents.fetch_add(1, Relaxed) >= first => text(said),
                _ => Say::Usual,
            };
            let peer = Peer::start(|_| PIPELINING, manners).await;
            let [relayed, rejected, deferred] = outcome(&peer, 4, 300).await;
            assert_eq!((relayed, rejected + deferred), (first, 300 - first), "{said}");
            assert!(rejected <= most, "{said}: {rejected} rejected behind {first}");
        }
    }
}

/// One template too large, or of a kind that the target does not take, is refused for all: the engine is told, and nobody
/// waits for a target that works.
#[tokio::test]
async fn a3_a_message_that_the_target_finds_unfit_is_refused_however_many_are_alike() {
    for (at, said) in
        [(".", "554 5.6.0 not MIME"), (".", "552 5.3.4 too large"), ("MAIL", "552 5.3.4 too large")]
    {
        let manners = move |ask: &Ask<'_>| if ask.verb == at { text(said) } else { Say::Usual };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        assert_eq!(outcome(&peer, 4, 300).await, [0, 300, 0], "{at} {said}");
    }
}

/// The first message behind an outage goes to a machine that has lost its table. It finds out that the target is there, no
/// more.
#[tokio::test]
async fn a6_a_message_that_finds_a_target_there_again_is_not_judged_by_a_new_session_alone() {
    let (mails, behind) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let asked = behind.clone();
    let manners = move |ask: &Ask<'_>| match ask.verb {
        "MAIL" if (30..36).contains(&mails.fetch_add(1, Relaxed)) => text("451 4.3.0 not now"),
        "RCPT" if mails.load(Relaxed) > 36 && asked.fetch_add(1, Relaxed) == 0 => text(UNKNOWN),
        _ => Say::Usual,
    };
    let peer = Peer::start(|_| PLAIN, manners).await;
    let injector = one_session(&peer);
    let mut states = send(&injector, 0..40).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(120)).await;
    tokio::time::resume();
    states.extend(send(&injector, 40..44).await);
    assert!(behind.load(Relaxed) > 1, "it was asked again");
    assert_eq!(count(&states, State::Rejected), 0, "{states:?}");
}
