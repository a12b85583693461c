//! Answers to the order of our commands, full sessions and 421: nobody's mail is refused, doubled or kept waiting for
//! them.

use super::jobs::*;
use super::peer::{Ask, Peer, Say, text};
use super::*;
use crate::fault::State;
use std::time::Duration;

#[tokio::test]
async fn a1_a_target_that_refuses_what_comes_behind_a_dot_gets_300_of_300() {
    let manners = |ask: &Ask<'_>| match ask.is_early && ask.verb != "." {
        true => text("503 5.5.1 pipelined after end of DATA"),
        false => Say::Usual,
    };
    let peer = Peer::start(|_| PIPELINING, manners).await;
    let injector = one_session(&peer);
    let states = send(&injector, 0..300).await;
    assert_eq!(count(&states, State::Relayed), 300);
    assert_each_once(&peer, 300);
    let again = (stats(&injector).order_refused(), stats(&injector).offered_again());
    assert_eq!(
        (peer.seen().sessions, learned(&injector).sent_ahead, again),
        (1, 1, (1, 0)),
        "once is enough"
    );
}

#[tokio::test]
async fn a1_a_target_that_throws_away_what_comes_behind_a_dot_is_waited_for_once() {
    let manners = |ask: &Ask<'_>| if ask.verb == "." { Say::Flush } else { Say::Usual };
    let peer = Peer::start(|_| PIPELINING, manners).await;
    let mut settings = peer.settings("mta1");
    settings.connections_max = 1;
    settings.deadlines.command = Duration::from_millis(300);
    let injector = Injector::start(vec![settings]);
    let states = send(&injector, 0..100).await;
    assert_eq!(count(&states, State::Relayed), 100);
    assert_each_once(&peer, 100);
    assert_eq!((peer.seen().sessions, learned(&injector).sent_ahead), (2, 1));
}

/// Exim's smtp_enforce_sync.
#[tokio::test]
async fn a1_a_target_that_leaves_over_early_input_gets_everything_in_turn() {
    for at_dot in [true, false] {
        let manners = move |ask: &Ask<'_>| match ask.verb {
            "." if at_dot && ask.is_early => Say::TextAndClose("554 SMTP synchronization error".into()),
            "MAIL" if ask.is_early => Say::TextAndClose("554 SMTP synchronization error".into()),
            _ => Say::Usual,
        };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let injector = one_session(&peer);
        let states = send(&injector, 0..60).await;
        assert_eq!(count(&states, State::Relayed), 60, "{at_dot}");
        assert_each_once(&peer, 60);
    }
}

#[tokio::test]
async fn a1_a_target_that_dislikes_any_group_is_spoken_to_step_by_step() {
    for said in ["503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining", "503 no"]
    {
        let manners = move |ask: &Ask<'_>| match ask.verb {
            // The envelope of a first message never came with a pause.
            "DATA" if ask.session == 0 && ask.mails == 1 => text(said),
            _ => Say::Usual,
        };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let injector = one_session(&peer);
        let states = send(&injector, 0..20).await;
        assert_eq!(count(&states, State::Relayed), 20);
        assert_each_once(&peer, 20);
        assert_eq!(learned(&injector).sent_ahead, 0);
    }
}

#[tokio::test]
async fn a1_where_rset_is_refused_no_message_is_added_to_an_open_transaction() {
    for offers in [PLAIN, PIPELINING, CHUNKING] {
        let manners = |ask: &Ask<'_>| match ask.verb {
            "RSET" => text("503 5.5.2 Need mail command"),
            "RCPT" if ask.recipient == address(5) || ask.recipient == address(15) => {
                text("550 5.1.1 no such user")
            }
            _ => Say::Usual,
        };
        let peer = Peer::start(move |_| offers, manners).await;
        let injector = one_session(&peer);
        let states = send(&injector, 0..30).await;
        assert_eq!((count(&states, State::Relayed), count(&states, State::Rejected)), (28, 2), "{offers:?}");
        assert_each_once(&peer, 28);
    }
}

/// go-smtp refuses a chunk without reading it, and takes the message in it for commands.
#[tokio::test]
async fn a1_a_target_that_does_not_read_the_chunk_it_refuses_harms_nobody() {
    let manners = |ask: &Ask<'_>| match ask.verb {
        "RCPT" if ask.recipient == address(20) => text("550 5.1.1 no such user"),
        "BDAT" if ask.recipient.is_empty() => Say::ChunkUnread("502 5.5.1 Missing RCPT TO command.".into()),
        _ => Say::Usual,
    };
    let peer = Peer::start(|_| CHUNKING, manners).await;
    let injector = one_session(&peer);
    let states = send(&injector, 0..60).await;
    assert_eq!(count(&states, State::Rejected), 1);
    assert!(peer.seen().taken.values().all(|times| *times == 1));
    assert!(count(&states, State::Unknown) < 8 && count(&states, State::Deferred) == 0, "{states:?}");
    // From now on no chunk goes before its recipient is known.
    let states = send(&injector, 100..160).await;
    assert_eq!(count(&states, State::Relayed), 60);
}

/// A limit of messages a session, in the words of OpenSMTPD, Stalwart, IONOS, Exim and of nobody in particular.
#[tokio::test]
async fn a2_a_session_that_is_full_is_followed_by_another_one() {
    let limits = [
        ("MAIL", "452 4.5.3 Command refused: Too many messages sent", Some(10)),
        ("DATA", "452 4.4.5 Maximum number of messages per session exceeded.", Some(10)),
        ("MAIL", "451-Requested action aborted\r\n451 Mails per session limit exceeded", Some(10)),
        ("MAIL", "421 too many messages in this connection", Some(10)),
        ("MAIL", "451 4.3.0 try again later", None),
    ];
    for (at, said, share) in limits {
        // A chunk needs no DATA.
        let kinds = if at == "DATA" { vec![PLAIN, PIPELINING] } else { vec![PLAIN, PIPELINING, CHUNKING] };
        for offers in kinds {
            let manners = move |ask: &Ask<'_>| match ask.verb == at && ask.taken >= 10 {
                true => text(said),
                false => Say::Usual,
            };
            let peer = Peer::start(move |_| offers, manners).await;
            let injector = one_session(&peer);
            let states = send(&injector, 0..100).await;
            assert_eq!(count(&states, State::Relayed), 100, "{said} {offers:?}");
            assert_each_once(&peer, 100);
            // Behind a full session nothing else can be sent; when the limit is known nothing tries.
            assert!(peer.seen().sessions <= 11, "{said} {offers:?}: {}", peer.seen().sessions);
            assert_eq!(learned(&injector).messages_per_connection_max, share, "{said} {offers:?}");
        }
    }
}

#[tokio::test]
async fn a2_a_target_that_takes_nothing_on_a_new_session_either_is_not_asked_for_ever() {
    for said in ["452 4.5.3 Too many messages sent", "451 4.3.0 try again later", "421 4.3.2 not now"] {
        let manners = move |ask: &Ask<'_>| if ask.verb == "MAIL" { text(said) } else { Say::Usual };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let injector = one_session(&peer);
        let states = send_within(&injector, 0..20, Duration::from_millis(500)).await;
        assert_eq!(count(&states, State::Deferred), 20, "{said}");
        assert!(peer.seen().mails <= 60, "{said}: {}", peer.seen().mails);
    }
}

/// Postfix' smtpd_hard_error_limit: the answer to whatever comes after too many errors is 421.
#[tokio::test]
async fn a4_421_behind_a_refused_recipient_leaves_nobody_in_doubt() {
    for says in ["421 4.7.0 mx.test Error: too many errors", "421 4.3.2 bye"] {
        let errors = std::sync::Mutex::new((0, 0));
        let manners = move |ask: &Ask<'_>| {
            let mut errors = errors.lock().unwrap();
            if errors.0 != ask.session {
                *errors = (ask.session, 0);
            }
            let is_refused = ask.verb == "RCPT" && ask.recipient.starts_with("p1");
            let has_nobody = ask.verb == "." && ask.recipient.is_empty();
            errors.1 += usize::from(is_refused || has_nobody);
            match (errors.1 >= 8 && !is_refused, is_refused) {
                (true, _) => Say::TextAndClose(says.into()),
                (_, true) => text("550 5.1.1 no such user"),
                _ => Say::Usual,
            }
        };
        let peer = Peer::start(|_| CHUNKING, manners).await;
        let injector = one_session(&peer);
        let mixed = (100..150).flat_map(|number| [number, 2 * number, 2 * number + 1]);
        let numbers: Vec<usize> = (20..99).chain(mixed).collect();
        let states = send(&injector, numbers.clone()).await;
        let refused = numbers.iter().filter(|number| address(**number).starts_with("p1")).count();
        assert_eq!(count(&states, State::Unknown), 0, "{states:?}");
        assert_eq!(count(&states, State::Rejected), refused);
        assert_eq!(count(&states, State::Relayed), numbers.len() - refused);
        assert_each_once(&peer, numbers.len() - refused);
    }
}

#[tokio::test]
async fn a4_421_to_anything_leaves_what_it_does_not_answer_unsent() {
    for verb in ["RSET", "MAIL", "RCPT", "DATA", "."] {
        for offers in [PLAIN, PIPELINING, CHUNKING] {
            let manners = move |ask: &Ask<'_>| match ask.verb == verb && ask.session == 0 && ask.taken >= 15 {
                true => Say::TextAndClose("421 4.3.2 shutting down".into()),
                false => Say::Usual,
            };
            let peer = Peer::start(move |_| offers, manners).await;
            let injector = one_session(&peer);
            let states = send(&injector, 0..60).await;
            assert_eq!(count(&states, State::Relayed), 60, "{verb} {offers:?}: {states:?}");
            assert_each_once(&peer, 60);
        }
    }
}
