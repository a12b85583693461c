//! Several machines behind one name, of which one does not work: the others do the work, and nobody is refused.

use super::jobs::*;
use super::peer::{Ask, Peer, Say, text};
use super::*;
use crate::fault::State;
use crate::inject::auth::Unavailable;
use crate::inject::connect::{establish, open_first};
use crate::inject::machines::Machines;
use crate::inject::place::Places;
use futures_util::FutureExt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// What a sick machine says to everybody, and to what. None of it tells whose it is.
const SICK: [(&str, &str); 8] = [
    ("MAIL", "550 5.7.1 Access denied"),
    ("MAIL", "554 5.7.1 Relay access denied"),
    ("MAIL", "552 exceeded storage allocation"),
    ("RCPT", "550 5.7.1 Access denied"),
    ("RCPT", "550 Administrative prohibition"),
    ("RCPT", "554 5.7.1 Relay access denied"),
    (".", "554 5.7.1 rejected by our filter"),
    (".", "554 5.3.5 system incorrectly configured"),
];

const OFFERS: [&[&str]; 3] = [PLAIN, PIPELINING, CHUNKING];

/// Sessions of a machine behind a balancer: every second one, or as a die falls.
const SPREADS: [fn(usize) -> bool; 3] = [
    |session| session.is_multiple_of(2),
    |session| session % 2 == 1,
    |session| session.wrapping_mul(0x9E37_79B9) & 0x8000 == 0,
];

#[tokio::test]
async fn a6_one_of_two_machines_that_refuses_everybody_refuses_nobody() {
    for (at, said) in SICK {
        for offers in OFFERS {
            for is_sick in SPREADS {
                one_of_two_is_sick((at, said), offers, is_sick).await;
            }
        }
    }
}

async fn one_of_two_is_sick(
    (at, said): (&'static str, &'static str),
    offers: &'static [&'static str],
    is_sick: fn(usize) -> bool,
) {
    let manners = move |ask: &Ask<'_>| match ask.verb == at && is_sick(ask.session) {
        true => text(said),
        false => Say::Usual,
    };
    let peer = Peer::start(move |_| offers, manners).await;
    for connections_max in [1, 16] {
        let injector = Injector::start(vec![TargetSettings { connections_max, ..peer.settings("mta1") }]);
        let states = send(&injector, connections_max * 1000..connections_max * 1000 + 100).await;
        let relayed = count(&states, State::Relayed);
        let what = format!("{at} {said} {offers:?} {connections_max}");
        assert_eq!(count(&states, State::Rejected), 0, "{what}");
        assert!(relayed >= 90, "{what}: {relayed} of 100");
    }
}

/// It was well, and half of the open sessions turn sick.
#[tokio::test]
async fn a6_a_machine_that_turns_sick_is_left() {
    for (at, said) in SICK {
        for offers in OFFERS {
            let is_sick =
                |ask: &Ask<'_>| ask.session.is_multiple_of(2) && (ask.taken >= 10 || ask.session > 20);
            let manners = move |ask: &Ask<'_>| match ask.verb == at && is_sick(ask) {
                true => text(said),
                false => Say::Usual,
            };
            let peer = Peer::start(move |_| offers, manners).await;
            let injector = Injector::start(vec![peer.settings("mta1")]);
            let states = send(&injector, 0..400).await;
            let relayed = count(&states, State::Relayed);
            assert_eq!(count(&states, State::Rejected), 0, "{at} {said} {offers:?}");
            assert!(relayed >= 380, "{at} {said} {offers:?}: {relayed} of 400");
        }
    }
}

/// One person is refused by both machines, in words that do not tell, while one of the machines is sick. As docs/smtp.md has it,
/// such a one may be put off where the other machine was left before it said so too.
#[tokio::test]
async fn a6_a_person_refused_by_all_machines_is_refused() {
    for at in ["RCPT", "."] {
        let manners = move |ask: &Ask<'_>| {
            let is_refused = ask.session.is_multiple_of(2) || ask.recipient == address(20);
            if ask.verb == at && is_refused { text("550 5.7.1 Access denied") } else { Say::Usual }
        };
        let mut refused = 0;
        for _ in 0..5 {
            let peer = Peer::start(|_| PIPELINING, manners).await;
            let injector = Injector::start(vec![peer.settings("mta1")]);
            let mut states = send(&injector, 0..100).await;
            assert!(count(&states, State::Relayed) >= 95, "{at}: {states:?}");
            let of_the_refused = states.swap_remove(20);
            assert!(matches!(of_the_refused, State::Rejected | State::Deferred), "{at}: {of_the_refused:?}");
            assert_eq!(count(&states, State::Rejected), 0, "{at}: {states:?}");
            refused += usize::from(of_the_refused == State::Rejected);
        }
        assert!(refused >= 3, "{at}: refused {refused} times of 5");
    }
}

/// A refused connection, greeting or password is that of one machine until another says so too.
#[tokio::test]
async fn a3_a_connection_that_one_machine_refuses_is_made_to_another_at_once() {
    for (at, said) in [
        ("CONNECT", "554 5.7.1 no service for you"),
        ("CONNECT", "421 4.3.2 too busy"),
        ("AUTH", "535 5.7.8 credentials invalid"),
        ("AUTH", "454 4.7.0 temporary failure"),
    ] {
        let manners = move |ask: &Ask<'_>| match ask.verb == at && ask.session.is_multiple_of(2) {
            true => text(said),
            false => Say::Usual,
        };
        let peer = Peer::start(|_| &["PIPELINING", "AUTH PLAIN"], manners).await;
        let auth = Some(TargetAuth { user: "relay".into(), password: String::from("s3cret").into() });
        let injector = Injector::start(vec![TargetSettings { auth, ..peer.settings("mta1") }]);
        let states = send(&injector, 0..40).await;
        assert_eq!(count(&states, State::Relayed), 40, "{at} {said}: {states:?}");
    }
}

/// A password that is wrong everywhere is tried twice, and then not for every job.
#[tokio::test]
async fn a3_what_all_machines_refuse_is_tried_twice() {
    let manners = |ask: &Ask<'_>| match ask.verb == "AUTH" {
        true => text("535 5.7.8 credentials invalid"),
        false => Say::Usual,
    };
    let peer = Peer::start(|_| &["PIPELINING", "AUTH PLAIN"], manners).await;
    let auth = Some(TargetAuth { user: "relay".into(), password: String::from("s3cret").into() });
    let injector = Injector::start(vec![TargetSettings { auth, ..peer.settings("mta1") }]);
    assert_eq!(fault(deliver(&injector, to(0)).await).state(), State::Deferred);
    assert_eq!(fault(deliver(&injector, to(1)).await).state(), State::Deferred);
    assert_eq!(peer.seen().sessions, 2);
}

/// Two addresses of one name on one port: the first refuses connections, then both take them and the second does not work.
#[tokio::test]
async fn a6_of_two_addresses_behind_one_name_the_one_that_works_is_taken() {
    let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = good.local_addr().unwrap().port();
    let addresses = [("127.0.0.2", port), ("127.0.0.1", port)]
        .map(|(ip, port)| SocketAddr::new(ip.parse().unwrap(), port));
    let settings = TargetSettings { tls: TlsMode::None, ..TargetSettings::new("mta1", "two.test", port) };
    let machines = Machines::default();
    let open = async || {
        let until = tokio::time::Instant::now() + settings.deadlines.connect;
        open_first(&settings, &machines.in_order(addresses.to_vec()), until).await.map(|(_, peer)| peer)
    };
    assert_eq!(open().await.unwrap(), addresses[1], "the first refuses");
    let _other = TcpListener::bind(addresses[0]).await.unwrap();
    assert_eq!(open().await.unwrap(), addresses[0]);
    machines.leave(addresses[0]);
    assert_eq!(open().await.unwrap(), addresses[1], "the first was left");
    drop(good);
    assert_eq!(open().await.unwrap(), addresses[0], "better that one than none");
    drop(_other);
    assert!(matches!(open().await, Err(Trouble::ConnectRefused)));
}

/// A session that has had its share is followed by another when it is gone.
#[tokio::test]
async fn no_more_connections_are_open_than_may_be_while_sessions_say_good_bye() {
    for (connections_max, pause) in [(1, 10), (4, 0), (4, 40)] {
        let manners = move |ask: &Ask<'_>| match ask.verb {
            "QUIT" => Say::After(Duration::from_millis(pause)),
            _ => Say::Usual,
        };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let settings =
            TargetSettings { connections_max, messages_per_connection_max: 5, ..peer.settings("mta1") };
        let states = send(&Injector::start(vec![settings]), 0..200).await;
        assert_eq!(count(&states, State::Relayed), 200);
        let seen = peer.seen();
        let (most, sessions) = (seen.open_most, seen.sessions);
        assert!(most <= connections_max && sessions >= 40, "{connections_max}, {pause} ms: {most} at once");
    }
}

/// It has said its last word on a connection and takes its time to close it: until then it counts it.
#[tokio::test]
async fn a2_a_connection_counts_until_the_target_has_closed_it() {
    let late = |said: &str, ms| Say::TextAndCloseLate(said.into(), Duration::from_millis(ms));
    for (at, connections_max) in [("QUIT", 1), ("MAIL", 1), ("MAIL", 3), ("CONNECT", 2)] {
        let manners = move |ask: &Ask<'_>| match ask.verb {
            "QUIT" if at == "QUIT" => late("221 2.0.0 bye", 2_300),
            "MAIL" if at == "MAIL" && ask.taken == 4 => late("421 4.7.0 too many messages", 400),
            "CONNECT" if at == "CONNECT" && ask.session % 4 == 1 => late("421 4.3.2 not now", 400),
            _ => Say::Usual,
        };
        let peer = Peer::start(|_| PIPELINING, manners).await;
        let settings =
            TargetSettings { connections_max, messages_per_connection_max: 5, ..peer.settings("mta1") };
        let jobs = if at == "QUIT" { 8 } else { 30 };
        let injector = Injector::start(vec![settings]);
        let states = send(&injector, 0..jobs).await;
        let relayed = count(&states, State::Relayed);
        let seen = peer.seen();
        let (most, sessions) = (seen.open_most, seen.sessions);
        assert!(most <= connections_max, "{at}: {most} of {connections_max} were open, of {sessions}");
        assert!(
            sessions > connections_max && relayed > jobs / 2,
            "{at}: {sessions} sessions, {relayed} of {jobs}"
        );
    }
}

/// The same of one that is greeted, goes over to TLS and is refused there.
#[tokio::test]
async fn a2_a_connection_that_is_refused_within_tls_counts_until_it_is_closed() {
    let ca = DevAuthority::new("test authority").unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(ca.server(&["127.0.0.1"]).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = TargetSettings::new("mta1", "127.0.0.1", listener.local_addr().unwrap().port());
    settings.client_tls = Some(trusting(&ca));
    let (close, closed) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        for said in ["220 mx.test\r\n", "250-mx.test\r\n250 STARTTLS\r\n"] {
            tcp.write_all(said.as_bytes()).await.unwrap();
            assert!(tcp.read(&mut [0; 512]).await.unwrap() > 0);
        }
        tcp.write_all(b"220 go on\r\n").await.unwrap();
        let mut tls = acceptor.accept(tcp).await.unwrap();
        assert!(tls.read(&mut [0; 512]).await.unwrap() > 0);
        tls.write_all(b"421 4.3.2 not now\r\n").await.unwrap();
        tls.flush().await.unwrap();
        closed.await.unwrap();
    });
    let places = Places::new(1);
    let (unavailable, pulse) = (Unavailable::default(), Arc::default());
    let place = places.take().await;
    let refused = establish(&settings, &unavailable, &pulse, &Machines::default(), place).await;
    assert!(matches!(refused.err(), Some(Trouble::EhloRefused(421))));
    assert!(places.take().now_or_never().is_none(), "the target still counts it");
    close.send(()).unwrap();
    places.take().await;
}
