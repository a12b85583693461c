//! What a target holds against us, lacks, or breaks off at is not a person's outcome, and nobody else's either.

use super::jobs::*;
use super::peer::{Ask, Peer, Say, text};
use super::*;
use crate::fault::{Reason, State};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const POLICIES: [(&str, &str); 12] = [
    ("RCPT", "530 5.7.0 Authentication required"),
    ("RCPT", "554 5.7.1 <x>: Relay access denied"),
    ("RCPT", "550 relay not permitted"),
    ("RCPT", "554 5.7.1 Service unavailable; Client host [127.0.0.1] blocked using zen.example"),
    ("RCPT", "550 5.7.64 TenantAttribution; Relay Access Denied"),
    ("RCPT", "550 5.7.1 Access denied"),
    ("MAIL", "530 5.7.0 Must issue a STARTTLS command first"),
    ("MAIL", "550 5.7.1 not you"),
    ("DATA", "554 5.7.0 no data today"),
    (".", "554 5.7.1 Relay access denied"),
    (".", "550 5.7.60 SMTP; Client does not have permissions to send as this sender"),
    (".", "530 5.7.57 Client was not authenticated"),
];

/// Nobody is rejected, the target shows its trouble, and one that takes the messages gets them.
#[tokio::test]
async fn a3_a_policy_of_the_target_is_nobodys_outcome() {
    for (at, said) in POLICIES {
        let manners = move |ask: &Ask<'_>| if ask.verb == at { text(said) } else { Say::Usual };
        let refuses = Peer::start(|_| PIPELINING, manners).await;
        let injector = one_session(&refuses);
        let states = send(&injector, 0..20).await;
        assert_eq!(count(&states, State::Deferred), 20, "{at} {said}: {states:?}");
        let down = injector.targets().find_map(|(_, _, cause)| cause);
        let cause = down.or_else(|| injector.refused_senders().next().map(|(_, cause)| cause));
        let cause = cause.unwrap_or_else(|| panic!("{said}: it looks well"));
        assert_eq!(cause.reason, Reason::TargetUnavailable, "{said}");
        assert!(cause.detail.contains(&said[..3]), "{cause}");

        let takes = Peer::start(|_| PIPELINING, |_| Say::Usual).await;
        let second = TargetSettings { priority: 1, ..takes.settings("mta2") };
        let both = Injector::start(vec![refuses.settings("mta1"), second]);
        let states = send(&both, 0..20).await;
        assert_eq!(count(&states, State::Relayed), 20, "{at} {said}");
        assert_each_once(&takes, 20);
    }
}

#[tokio::test]
async fn a3_the_messages_of_a_refused_sender_wait_and_those_of_others_go_on() {
    for at in ["MAIL", "RCPT", "."] {
        let refused = std::sync::Mutex::new(false);
        let manners = move |ask: &Ask<'_>| {
            let mut refused = refused.lock().unwrap();
            if ask.verb == "MAIL" {
                *refused = ask.line.contains("bad@");
            }
            match ask.verb == at && *refused {
                true => text("550 5.1.8 <bad@relay.example>: Sender address rejected: Domain not found"),
                false => Say::Usual,
            }
        };
        let peer = Peer::start(|_| PLAIN, manners).await;
        let injector = one_session(&peer);
        for number in 0..20 {
            let bad = Delivery { sender: String::from("bad@relay.example"), ..to(number) };
            let fault = fault(deliver(&injector, bad).await);
            assert_eq!((fault.reason, fault.state()), (Reason::TargetUnavailable, State::Deferred), "{at}");
            assert!(deliver(&injector, to(100 + number)).await.is_ok(), "{at}");
        }
        // Behind MAIL one recipient is not enough.
        let mails = if at == "MAIL" { 21 } else { 22 };
        assert_eq!(peer.seen().mails, mails, "{at}: the sender is not tried on and on");
    }
}

/// "Access denied" may be the target's or the person's: the others tell.
#[tokio::test]
async fn a3_an_unclear_refusal_is_the_persons_while_others_are_taken() {
    for offers in [PLAIN, PIPELINING, CHUNKING] {
        let manners = |ask: &Ask<'_>| match ask.verb == "RCPT" && ask.recipient == address(20) {
            true => text("550 5.7.1 Access denied"),
            false => Say::Usual,
        };
        let peer = Peer::start(move |_| offers, manners).await;
        let injector = one_session(&peer);
        let states = send(&injector, 0..60).await;
        assert_eq!((states[20], count(&states, State::Relayed)), (State::Rejected, 59), "{offers:?}");
        assert_each_once(&peer, 59);
    }
}

/// Its policy changes in the middle of a campaign: from then on everybody is refused alike.
#[tokio::test]
async fn a3_a_target_that_begins_to_refuse_everybody_rejects_nobody() {
    for offers in [PLAIN, PIPELINING, CHUNKING] {
        let taken = std::sync::atomic::AtomicUsize::new(0);
        let manners = move |ask: &Ask<'_>| {
            let is_taken = ask.verb == "." && ask.recipient.starts_with('p');
            let taken = taken.fetch_add(usize::from(is_taken), std::sync::atomic::Ordering::Relaxed);
            if ask.verb == "RCPT" && taken >= 20 { text("550 5.7.1 Access denied") } else { Say::Usual }
        };
        let peer = Peer::start(move |_| offers, manners).await;
        let injector = one_session(&peer);
        let states = send(&injector, 0..60).await;
        assert_eq!((count(&states, State::Relayed), count(&states, State::Rejected)), (20, 0), "{offers:?}");
    }
}

/// Of two machines behind one name one lacks SMTPUTF8.
#[tokio::test]
async fn a6_a_message_goes_to_a_session_that_offers_what_it_needs() {
    for lacking in [[0usize, 2].as_slice(), &[0, 1, 2, 4], &[1, 3]] {
        let offers = |session| if lacking.contains(&session) { PIPELINING } else { SMTPUTF8 };
        let peer = Peer::start(offers, |_| Say::Usual).await;
        let injector = one_session(&peer);
        let mut relayed = 0;
        for number in 0..10 {
            let utf8 = Delivery { smtputf8: number % 2 == 1, ..to(number) };
            relayed += usize::from(deliver(&injector, utf8).await.is_ok());
        }
        assert_eq!(relayed, 10, "{lacking:?}");
        assert_each_once(&peer, 10);
    }
}

#[tokio::test]
async fn a6_what_no_session_offers_is_refused_by_the_last_target_only() {
    let (lacks, offers) =
        (Peer::start(|_| PIPELINING, |_| Say::Usual), Peer::start(|_| SMTPUTF8, |_| Say::Usual));
    let (lacks, offers) = tokio::join!(lacks, offers);
    let utf8 = |number| Delivery { smtputf8: true, ..to(number) };
    let alone = one_session(&lacks);
    let refused = fault(deliver(&alone, utf8(0)).await);
    assert_eq!((refused.state(), lacks.seen().sessions), (State::Rejected, 6));
    assert_eq!(fault(deliver(&alone, utf8(1)).await).state(), State::Rejected);
    assert_eq!(lacks.seen().sessions, 6, "it is known by now");
    let second = TargetSettings { priority: 1, ..offers.settings("mta2") };
    let both = Injector::start(vec![lacks.settings("mta1"), second]);
    assert_eq!(&*deliver(&both, utf8(2)).await.unwrap().target, "mta2");
    drop(offers);
    let dead = TargetSettings { priority: 1, ..TargetSettings::new("dead", "127.0.0.1", 1) };
    let one_down = Injector::start(vec![lacks.settings("mta1"), dead]);
    assert!(one_down.capabilities(&one_down.choose(Some("dead")).unwrap()).await.is_err());
    assert_eq!(
        fault(deliver(&one_down, utf8(3)).await).state(),
        State::Deferred,
        "the other one may offer it"
    );
}

#[tokio::test]
async fn a7_one_recipient_that_ends_sessions_holds_nobody_up() {
    for offers in [PLAIN, PIPELINING] {
        for count_of_poison in [1, 3] {
            let is_poison =
                move |address: &str| (7..7 + count_of_poison).any(|n| address == self::address(n));
            let manners = move |ask: &Ask<'_>| match ask.verb == "RCPT" && is_poison(ask.recipient) {
                true => Say::Close,
                false => Say::Usual,
            };
            let peer = Peer::start(move |_| offers, manners).await;
            let injector = one_session(&peer);
            let states = send(&injector, 0..60).await;
            assert_eq!(count(&states, State::Relayed), 60 - count_of_poison, "{offers:?}: {states:?}");
            assert!((7..7 + count_of_poison).all(|number| states[number] == State::Deferred));
            assert_each_once(&peer, 60 - count_of_poison);
        }
    }
}

#[tokio::test]
async fn a7_a_job_that_ends_sessions_alone_is_set_apart_and_the_target_stays_up() {
    let manners = |ask: &Ask<'_>| match ask.verb == "RCPT" && ask.recipient == address(7) {
        true => Say::Close,
        false => Say::Usual,
    };
    let peer = Peer::start(|_| PIPELINING, manners).await;
    let injector = one_session(&peer);
    let fault = fault(deliver(&injector, to(7)).await);
    assert!(fault.detail.contains("3 sessions ended with this message"), "{fault}");
    assert_eq!((peer.seen().sessions, stats(&injector).set_apart()), (3, 1));
    assert!(deliver(&injector, to(8)).await.is_ok());
    assert!(injector.targets().next().unwrap().2.is_none());
}

/// Every third recipient is answered like that, and what becomes of all of them is right.
async fn third_answered_421(
    ends: fn(String) -> Say,
    offers: &'static [&'static str],
    connections_max: usize,
) {
    let is_poison = |number: usize| number % 3 == 1;
    let manners = move |ask: &Ask<'_>| {
        let number = ask.recipient.strip_prefix('p').and_then(|rest| rest.split('@').next()?.parse().ok());
        match number {
            Some(number) if ask.verb == "RCPT" && is_poison(number) => {
                ends("421 4.7.0 <address>: try again later".into())
            }
            _ => Say::Usual,
        }
    };
    let peer = Peer::start(move |_| offers, manners).await;
    let injector = Injector::start(vec![TargetSettings { connections_max, ..peer.settings("mta1") }]);
    let states = send(&injector, 0..48).await;
    for (number, state) in states.iter().enumerate() {
        let right = if is_poison(number) { State::Deferred } else { State::Relayed };
        assert_eq!(*state, right, "{number} of {offers:?}, {connections_max}: {states:?}");
    }
    let sessions = peer.seen().sessions;
    assert!(sessions <= 3 * 16 + connections_max, "{offers:?}, {connections_max}: {sessions} sessions");
    assert_eq!(injector.targets().next().unwrap().2, None);
}

/// 421 to RCPT may speak of that recipient. However many there are, those around them arrive and the target stays up.
#[tokio::test]
async fn a7_recipients_answered_421_hold_nobody_up() {
    for ends in [Say::TextAndClose, Say::Text] {
        for (offers, connections_max) in
            [(PLAIN, 1), (PLAIN, 4), (PIPELINING, 1), (PIPELINING, 4), (CHUNKING, 2)]
        {
            third_answered_421(ends, offers, connections_max).await;
        }
    }
}

/// Postfix whose milter is gone: the sentence is about nobody, though its code is the one that milters give for a message.
#[tokio::test]
async fn a11_a_target_whose_filter_is_gone_leaves_its_messages_to_the_next_one() {
    for at in ["RCPT", "."] {
        let manners = move |ask: &Ask<'_>| match ask.verb == at {
            true => text("451 4.7.1 Service unavailable - try again later"),
            false => Say::Usual,
        };
        let sick = Peer::start(|_| PIPELINING, manners).await;
        let well = Peer::start(|_| PIPELINING, |_| Say::Usual).await;
        let second = TargetSettings { priority: 1, ..well.settings("mta2") };
        let injector = Injector::start(vec![sick.settings("mta1"), second]);
        let states = send(&injector, 0..100).await;
        assert_eq!(count(&states, State::Relayed), 100, "{at}: {states:?}");
        assert!(sick.seen().mails <= 60, "{at}: {} attempts", sick.seen().mails);
    }
}

/// Postfix' postscreen takes nobody on the first session of a machine it does not know, and everybody once that has ended.
#[tokio::test]
async fn a11_a_target_that_takes_mail_from_the_second_session_on_is_not_kept_on_the_first() {
    for offers in [PLAIN, PIPELINING] {
        let manners = move |ask: &Ask<'_>| match ask.verb == "RCPT" && ask.session == 0 {
            true => text("450 4.3.2 Service currently unavailable"),
            false => Say::Usual,
        };
        let peer = Peer::start(move |_| offers, manners).await;
        let injector = one_session(&peer);
        let mut first = send(&injector, 0..60).await;
        first.extend(send_within(&injector, 60..120, Duration::from_secs(20)).await);
        assert!(count(&first, State::Relayed) >= 60, "{offers:?}: {first:?}");
        assert_eq!(count(&first, State::Rejected), 0);
        assert!(peer.seen().sessions <= 4, "{} sessions", peer.seen().sessions);
    }
}

/// The same of the first three: during the outage each attempt is made on a session of its own, as the pauses grow.
#[tokio::test]
async fn a11_an_attempt_is_not_made_on_a_session_that_has_taken_nobody() {
    let refused = Arc::new(AtomicUsize::new(0));
    let count_refused = refused.clone();
    let manners = move |ask: &Ask<'_>| match ask.verb == "RCPT" && ask.session < 3 {
        true => {
            count_refused.fetch_add(1, Relaxed);
            text("450 4.3.2 Service currently unavailable")
        }
        false => Say::Usual,
    };
    let peer = Peer::start(|_| PLAIN, manners).await;
    let injector = one_session(&peer);
    send(&injector, 0..20).await;
    let attempts = async {
        while count(&send(&injector, 20..21).await, State::Relayed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), attempts).await.expect("it is found well");
    assert!(refused.load(Relaxed) <= 7, "{} refusals", refused.load(Relaxed));
}

/// What a target said before it had enough of errors is what there is to mend, and not that it left.
#[tokio::test]
async fn a3_a_good_bye_behind_refusals_hides_nobody_why() {
    for offers in [PLAIN, PIPELINING, CHUNKING] {
        let manners = |ask: &Ask<'_>| {
            match (ask.verb, ask.mails) {
            ("RCPT", ..3) => text("554 5.7.1 <x>: Recipient address rejected: Access denied"),
            // Both in one write, and the second one is asked for by nobody.
            ("RCPT", _) => Say::TextAndClose(
                "554 5.7.1 <x>: Recipient address rejected: Access denied\r\n421 4.7.0 peer.test Error: too many errors"
                    .into(),
            ),
            _ => Say::Usual,
        }
        };
        let peer = Peer::start(move |_| offers, manners).await;
        let injector = one_session(&peer);
        let outcomes = outcomes(&injector, 0..20, Duration::from_secs(20)).await;
        for fault in outcomes.into_iter().map(fault) {
            assert_eq!(fault.reason, Reason::TargetUnavailable, "{fault}");
            assert!(fault.detail.contains("Access denied"), "{offers:?}: {fault}");
        }
        let cause = injector.targets().find_map(|(_, _, cause)| cause).expect("it looks well");
        assert!(cause.detail.contains("Access denied"), "{offers:?}: {cause}");
    }
}

/// Postfix' postscreen hands a client on whose first session it has seen through: until then it puts everybody off.
#[tokio::test]
async fn a2_who_is_put_off_by_a_new_session_is_offered_to_another_one_first() {
    for offers in [PLAIN, PIPELINING, CHUNKING] {
        let manners = |ask: &Ask<'_>| match (ask.session, ask.verb) {
            (0, "RCPT") => text("450 4.3.2 Service currently unavailable"),
            _ => Say::Usual,
        };
        let peer = Peer::start(move |_| offers, manners).await;
        let injector = one_session(&peer);
        let handle = injector.choose(None).unwrap();
        // As a handoff: with no patience.
        for number in 0..5 {
            let outcome = injector.deliver(&handle, to(number)).await;
            assert!(outcome.is_ok(), "{number}, {offers:?}: {outcome:?}");
        }
        assert_each_once(&peer, 5);
    }
}

/// Every twentieth message, whatever the rate and however many connections: slower makes it no better.
#[tokio::test]
async fn a5_a_target_that_complains_at_any_rate_is_not_slowed_for_ever() {
    let mails = AtomicUsize::new(0);
    let manners = move |ask: &Ask<'_>| match ask.verb {
        "MAIL" if mails.fetch_add(1, Relaxed) % 20 == 19 => {
            Say::TextAndClose("421 4.7.0 too many connections, try later".into())
        }
        _ => Say::Usual,
    };
    let peer = Peer::start(|_| PIPELINING, manners).await;
    let injector = Injector::start(vec![TargetSettings { connections_max: 4, ..peer.settings("mta1") }]);
    let began = tokio::time::Instant::now();
    let states = send(&injector, 0..1000).await;
    assert_eq!(count(&states, State::Relayed), 1000);
    assert_each_once(&peer, 1000);
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
}

/// One that complains while more than so many are open gets no more, and is not slowed.
#[tokio::test]
async fn a5_words_about_connections_lower_their_number() {
    let open = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let manners = move |ask: &Ask<'_>| {
        let mut open = open.lock().unwrap();
        match ask.verb {
            "MAIL" => drop(open.insert(ask.session)),
            "QUIT" => drop(open.remove(&ask.session)),
            _ => {}
        }
        if ask.verb == "MAIL" && open.len() > 2 {
            open.remove(&ask.session);
            return Say::TextAndClose("421 4.7.0 mx Error: too many connections".into());
        }
        // Slow, so that more sessions are made.
        std::thread::sleep(Duration::from_millis(1));
        Say::Usual
    };
    let peer = Peer::start(|_| PLAIN, manners).await;
    let injector = Injector::start(vec![TargetSettings { connections_max: 8, ..peer.settings("mta1") }]);
    let states = send(&injector, 0..400).await;
    assert_eq!(count(&states, State::Relayed), 400);
    let complaints = stats(&injector).offered_again();
    assert!(complaints <= 12, "{complaints} complaints");
    assert_eq!(stats(&injector).throttled(), 0, "it is not slowed");
}
