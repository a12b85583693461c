//! Recipients refused as unknown: by who is there to know them, and by one machine of several that has lost its table.

use super::jobs::*;
use super::peer::{Ask, Peer, Say, text};
use super::*;
use crate::fault::State;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

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

/// Nobody who is not there is held.
#[tokio::test]
async fn a6_lists_that_are_dead_in_part_or_as_a_whole_come_out_right() {
    for (offers, connections_max) in [(PLAIN, 1), (PIPELINING, 8), (CHUNKING, 2)] {
        for (of_ten, jobs) in [(1, 300), (6, 300), (10, 60)] {
            let is_dead = move |number: usize| number * 7 % 10 < of_ten;
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
async fn a3_a_target_that_finds_every_mailbox_full_refuses_a_hundred_and_then_nobody() {
    for said in ["552 5.2.2 no room", "550 5.2.1 mailbox disabled", "552 mailbox full"] {
        let manners = move |ask: &Ask<'_>| if ask.verb == "." { text(said) } else { Say::Usual };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let [relayed, rejected, deferred] = outcome(&peer, 4, 300).await;
        assert!((relayed, rejected + deferred) == (0, 300) && rejected <= 110, "{said}: {rejected} rejected");
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
    let mails = AtomicUsize::new(0);
    let manners = move |ask: &Ask<'_>| match ask.verb {
        "MAIL" if (30..36).contains(&mails.fetch_add(1, Relaxed)) => text("451 4.3.0 not now"),
        "RCPT" if ask.mails == 1 && ask.session == 1 => text(UNKNOWN),
        _ => Say::Usual,
    };
    let peer = Peer::start(|_| PLAIN, manners).await;
    let injector = one_session(&peer);
    let states = send(&injector, 0..40).await;
    assert_eq!(count(&states, State::Rejected), 0, "{states:?}");
}
