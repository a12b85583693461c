//! Refusals that do not tell whose they are: everybody's are the target's, one's are the person's, and a sender's stop
//! nobody else.

use super::jobs::*;
use super::peer::{Ask, Peer, Say, text};
use super::*;
use crate::fault::State;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Behind the dot, and bare 552: what says nothing of its cause.
const UNCLEAR: [(&str, &str); 6] = [
    ("RCPT", "550 5.7.1 Access denied"),
    ("RCPT", "550 5.2.0 not now"),
    ("MAIL", "552 exceeded storage allocation"),
    (".", "554 5.7.1 rejected by our filter"),
    (".", "550 spam"),
    (".", "552 exceeded storage allocation"),
];

/// Refuses everybody from some message on.
fn refuses_from(
    (at, said): (&'static str, &'static str),
    from: usize,
) -> impl Fn(&Ask<'_>) -> Say + Send + Sync {
    let taken = AtomicUsize::new(0);
    move |ask| {
        let is_sick = taken.load(Relaxed) >= from;
        taken.fetch_add(usize::from(ask.verb == "." && !is_sick), Relaxed);
        if ask.verb == at && is_sick { text(said) } else { Say::Usual }
    }
}

/// One after the other.
async fn trickle(injector: &Injector, numbers: std::ops::Range<usize>) -> Vec<State> {
    let mut states = Vec::new();
    for number in numbers {
        states.push(state(&deliver(injector, to(number)).await));
    }
    states
}

/// At once, in a campaign, and one at a time.
#[tokio::test]
async fn a3_a_target_that_refuses_all_alike_refuses_hardly_anybody() {
    for (offers, good_before) in [(PLAIN, 0), (PIPELINING, 0), (CHUNKING, 0), (PLAIN, 30), (CHUNKING, 130)] {
        for refusal in UNCLEAR {
            let peer = Peer::start(move |_| offers, refuses_from(refusal, good_before)).await;
            let injector = Injector::start(vec![peer.settings("mta1")]);
            let mut states = send(&injector, 0..good_before + 100).await;
            states.extend(trickle(&injector, 1_000..1_020).await);
            let rejected = count(&states, State::Rejected);
            assert!(
                rejected <= good_before.min(2),
                "{refusal:?} {offers:?} {good_before}: {rejected} rejected"
            );
        }
    }
}

/// One after the other from the start of the outage on.
#[tokio::test]
async fn a3_a_target_that_begins_to_refuse_all_in_a_trickle_refuses_hardly_anybody() {
    for refusal in UNCLEAR {
        let peer = Peer::start(|_| PIPELINING, refuses_from(refusal, 30)).await;
        let injector = Injector::start(vec![peer.settings("mta1")]);
        let states = trickle(&injector, 0..100).await;
        let rejected = count(&states, State::Rejected);
        assert!(rejected <= 2 && count(&states, State::Relayed) == 30, "{refusal:?}: {rejected} rejected");
    }
}

/// Says this to one recipient, or sender, only.
fn refuses_one((at, said): (&'static str, &'static str)) -> impl Fn(&Ask<'_>) -> Say + Send + Sync {
    let senders = std::sync::Mutex::new(std::collections::BTreeMap::new());
    move |ask| {
        let mut senders = senders.lock().unwrap();
        if ask.verb == "MAIL" {
            senders.insert(ask.session, ask.line.contains("bad@"));
        }
        let is_bad = ask.recipient == address(20) || senders.get(&ask.session) == Some(&true);
        if ask.verb == at && is_bad { text(said) } else { Say::Usual }
    }
}

/// Among others, and when it is the only one that there is.
#[tokio::test]
async fn a3_one_message_that_is_refused_is_refused_soon() {
    for (offers, connections_max) in [(PLAIN, 1), (PIPELINING, 16), (CHUNKING, 4)] {
        for refusal in UNCLEAR {
            let peer = Peer::start(move |_| offers, refuses_one(refusal)).await;
            let settings = TargetSettings { connections_max, ..peer.settings("mta1") };
            refused_soon(&Injector::start(vec![settings]), &format!("{refusal:?} {offers:?}")).await;
        }
    }
}

async fn refused_soon(injector: &Injector, what: &str) {
    if !what.contains("MAIL") {
        let states = send(injector, 0..60).await;
        assert_eq!((states[20], count(&states, State::Relayed)), (State::Rejected, 59), "{what}");
    }
    assert!(deliver(injector, to(100)).await.is_ok());
    let from = Instant::now();
    let bad = Delivery { sender: String::from("bad@relay.example"), ..to(20) };
    assert_eq!(fault(deliver(injector, bad).await).state(), State::Rejected, "{what}");
    assert!(from.elapsed() < Duration::from_secs(2), "{what}: {:?}", from.elapsed());
    assert!(deliver(injector, to(101)).await.is_ok());
    assert!(injector.targets().next().unwrap().2.is_none(), "{what}: it is up");
}

/// Its own words at MAIL, which could be about anything: 40 jobs of others go on at once.
#[tokio::test]
async fn a3_a_sender_refused_in_plain_words_stops_nobody_else() {
    for said in
        ["550 5.7.1 Access denied", "550 no", "554 5.7.1 <bad@relay.example>: Sender address rejected"]
    {
        for offers in [PLAIN, PIPELINING, CHUNKING] {
            let manners = move |ask: &Ask<'_>| match ask.verb == "MAIL" && ask.line.contains("bad@") {
                true => text(said),
                false => Say::Usual,
            };
            let peer = Peer::start(move |_| offers, manners).await;
            one_sender_is_refused(&one_session(&peer), &format!("{said} {offers:?}")).await;
        }
    }
}

async fn one_sender_is_refused(injector: &Injector, what: &str) {
    let from = Instant::now();
    let bad = async {
        for number in 100..120 {
            let bad = Delivery { sender: String::from("bad@relay.example"), ..to(number) };
            assert_eq!(fault(deliver(injector, bad).await).state(), State::Deferred);
        }
    };
    let (states, ()) = tokio::join!(send(injector, 0..40), bad);
    assert_eq!(count(&states, State::Relayed), 40, "{what}: {states:?}");
    assert!(from.elapsed() < Duration::from_secs(2), "{what}: {:?}", from.elapsed());
    assert!(injector.targets().next().unwrap().2.is_none(), "{what}: it is up");
    assert!(injector.refused_senders().next().is_some(), "{what}: it looks well");
}

/// A recipient's own rule about a sender.
#[tokio::test]
async fn a7_one_recipient_that_does_not_want_a_sender_stops_nobody_else() {
    for at in ["RCPT", "."] {
        let manners = move |ask: &Ask<'_>| match ask.verb == at && ask.recipient == address(7) {
            true => text("550 5.7.1 <[address]>: Sender address rejected: not welcome here"),
            false => Say::Usual,
        };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let injector = one_session(&peer);
        let mut states = Vec::new();
        for number in 0..40 {
            states.push(state(&deliver(&injector, to(number)).await));
        }
        assert_eq!((count(&states, State::Relayed), states[7]), (39, State::Deferred), "{at}: {states:?}");
    }
}

/// 421 to every recipient is no fault of the message that came third.
#[tokio::test]
async fn a3_a_good_bye_to_everybody_is_not_the_messages() {
    let manners = |ask: &Ask<'_>| match ask.verb == "RCPT" {
        true => Say::TextAndClose("421 4.3.2 not now".into()),
        false => Say::Usual,
    };
    let peer = Peer::start(|_| PIPELINING, manners).await;
    let injector = one_session(&peer);
    let fault = fault(deliver(&injector, to(0)).await);
    assert!(!fault.detail.contains("3 sessions ended with this message"), "{fault}");
    assert_eq!(stats(&injector).set_apart(), 0);
}

/// Advice names what the reply blames and nothing else.
#[tokio::test]
async fn a3_a_refusal_that_blames_nothing_gets_no_advice_about_relaying() {
    for (at, said, advice) in [
        ("MAIL", "500 what", "see the target's log"),
        ("DATA", "554 no data today", "see the target's log"),
        ("RCPT", "554 5.7.1 Relay access denied", "let this relay send through the target"),
        ("RCPT", "530 5.7.0 Authentication required", "see auth of this target"),
        ("MAIL", "530 5.7.0 Must issue a STARTTLS command first", "see tls of this target"),
    ] {
        let manners = move |ask: &Ask<'_>| if ask.verb == at { text(said) } else { Say::Usual };
        let peer = Peer::start(|_| PLAIN, manners).await;
        let fault = fault(deliver(&one_session(&peer), to(0)).await);
        assert!(fault.detail.contains(advice), "{at} {said}: {fault}");
    }
}

/// It may work, and take its time: where no other target is there, nothing is said of silence for a while.
#[tokio::test]
async fn a10_a_target_that_takes_seconds_is_not_called_silent_where_it_is_alone() {
    let pair = pair("hang-after-data").await;
    let text = message(0);
    let mut waiting = Box::pin(pair.deliver(&text));
    tokio::select! {
        done = &mut waiting => panic!("too early: {done:?}"),
        () = pair.sink.wait_until(|stats| stats.contents == 1) => {}
    }
    tokio::time::pause();
    let is_down = || pair.injector.targets().next().unwrap().2.is_some();
    let mut down = Vec::new();
    for _ in 0..20 {
        tokio::time::advance(Duration::from_millis(250)).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        down.push(is_down());
    }
    assert!(down[..12].iter().all(|is_down| !is_down) && down[19], "{down:?}");
}

/// A table of recipients that is empty for a while: who is refused by then is refused, all others wait, or go elsewhere.
#[tokio::test]
async fn a3_a_target_that_knows_nobody_any_more_refuses_a_few_and_then_nobody() {
    for good_before in [0, 100] {
        let is_mended = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (mended, refuses) =
            (is_mended.clone(), refuses_from(("RCPT", "550 5.1.1 user unknown"), good_before));
        let manners = move |ask: &Ask<'_>| if mended.load(Relaxed) { Say::Usual } else { refuses(ask) };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let injector = Injector::start(vec![peer.settings("mta1")]);
        let states = send(&injector, 0..300).await;
        let rejected = count(&states, State::Rejected);
        // The last that it took may be counted among the first of them.
        assert!(rejected <= 110, "{good_before}: {rejected} rejected");
        let relayed = count(&states, State::Relayed);
        assert_eq!(rejected + count(&states, State::Deferred) + relayed, 300);
        // Recipients that it had taken by then still get their messages.
        assert!((good_before..good_before + 8).contains(&relayed), "{good_before}: {relayed} relayed");
        assert!(injector.targets().next().unwrap().2.is_some(), "{good_before}: it looks well");
        is_mended.store(true, Relaxed);
        while deliver(&injector, to(1000)).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(count(&send(&injector, 2000..2100).await, State::Relayed), 100, "{good_before}");

        let well = Peer::start(|_| PIPELINING, |_| Say::Usual).await;
        is_mended.store(false, Relaxed);
        let injector = Injector::start(vec![peer.settings("mta1"), well.settings("mta2")]);
        let states = send(&injector, 3000..3400).await;
        let rejected = count(&states, State::Rejected);
        assert!(rejected <= 110 && count(&states, State::Relayed) == 400 - rejected, "{states:?}");
    }
}

/// Six of ten are not there, and it says so in its own code.
#[tokio::test]
async fn a3_a_list_that_is_mostly_dead_does_not_stop_the_target() {
    let is_dead = |recipient: &str| recipient.bytes().map(usize::from).sum::<usize>() * 7 % 10 < 6;
    let manners = move |ask: &Ask<'_>| match ask.verb == "RCPT" && is_dead(ask.recipient) {
        true => text("550 5.1.1 user unknown"),
        false => Say::Usual,
    };
    for offers in [PLAIN, CHUNKING] {
        let peer = Peer::start(move |_| offers, manners).await;
        let injector = Injector::start(vec![peer.settings("mta1")]);
        let states = send(&injector, 0..300).await;
        let dead = (0..300).filter(|number| is_dead(&address(*number))).count();
        assert_eq!(count(&states, State::Relayed), 300 - dead, "whoever is there");
        assert!(count(&states, State::Rejected) >= 5 && dead > 150);
        assert!(injector.targets().next().unwrap().2.is_none(), "it is up");
    }
}

/// Each first contact is put off, in words that no table lists: a second attempt is taken.
#[tokio::test]
async fn a5_greylisting_in_any_words_costs_each_message_one_attempt() {
    for said in ["450 come back", "451 4.7.1 try later, friend", "450 4.2.0 not you, not yet"] {
        let met = std::sync::Mutex::new(std::collections::BTreeSet::new());
        let manners = move |ask: &Ask<'_>| {
            let is_new = ask.verb == "RCPT" && met.lock().unwrap().insert(ask.recipient.to_owned());
            if is_new { text(said) } else { Say::Usual }
        };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let injector = Injector::start(vec![peer.settings("mta1")]);
        let first = send(&injector, 0..300).await;
        assert_eq!(count(&first, State::Deferred), 300, "{said}");
        assert!(injector.targets().next().unwrap().2.is_none(), "{said}: it is up");
        assert_eq!(count(&send(&injector, 0..300).await, State::Relayed), 300, "{said}");
        assert_each_once(&peer, 300);
        assert!(peer.seen().sessions <= 20, "{said}: {} sessions", peer.seen().sessions);
    }
}
