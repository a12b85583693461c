//! Targets that are down, come back, or share the work.

use super::*;
use crate::fault::{Reason, State};
use crate::load::sink::{Act, Step, When};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A port that nothing listens on.
async fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn clear(name: &str, port: u16) -> TargetSettings {
    TargetSettings { tls: TlsMode::None, ..TargetSettings::new(name, "127.0.0.1", port) }
}

async fn send(injector: &Injector, named: Option<&str>, text: &str) -> Result<Accepted, DeliverError> {
    let handle = injector.choose(named)?;
    injector.deliver(&handle, delivery(text)).await
}

#[tokio::test]
async fn a_dead_target_is_said_plainly_and_not_tried_for_every_job() {
    let injector = Injector::start(vec![clear("mta1", dead_port().await)]);
    let Err(DeliverError::Failed(fault)) = send(&injector, None, "x\r\n").await else { panic!() };
    assert_eq!((fault.reason, fault.state()), (Reason::TargetUnavailable, State::Deferred));
    assert!(
        fault.detail.contains("refused") && fault.detail.contains("check that the target listens"),
        "{fault}"
    );
    // The pause before the next attempt must not pass while a busy machine gets through these.
    tokio::time::pause();
    for _ in 0..100 {
        assert!(send(&injector, None, "x\r\n").await.is_err());
    }
    let (_, stats, down) = injector.targets().next().unwrap();
    assert_eq!(stats.connect_failures(), 1);
    assert!(down.is_some());
}

#[tokio::test]
async fn a_burst_for_a_dead_target_fails_at_once() {
    let injector = Injector::start(vec![clear("mta1", dead_port().await)]);
    let burst = (0..200).map(|_| send(&injector, None, "x\r\n"));
    for outcome in futures_util::future::join_all(burst).await {
        assert!(matches!(outcome, Err(DeliverError::Failed(fault)) if fault.state() == State::Deferred));
    }
}

#[tokio::test]
async fn a_target_that_comes_back_is_found_by_the_attempt_that_is_due() {
    let port = dead_port().await;
    let injector = Injector::start(vec![clear("mta1", port)]);
    assert!(send(&injector, None, "x\r\n").await.is_err());
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let sink = Sink::start(vec![listener], SinkSettings::default());
    assert!(injector.choose(None).is_err(), "the pause is not over");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
    send(&injector, None, "x\r\n").await.unwrap();
    assert_eq!(sink.stats().messages, 1);
    assert!(injector.targets().next().unwrap().2.is_none());
}

#[tokio::test]
async fn a_message_moves_on_when_its_target_cannot_be_reached() {
    let (sink, port) = sink(SinkSettings::default()).await;
    let second = TargetSettings { priority: 1, ..clear("second", port) };
    let injector = Injector::start(vec![second, clear("first", dead_port().await)]);
    assert_eq!(&**injector.choose(None).unwrap().name(), "first");
    let accepted = send(&injector, None, "x\r\n").await.unwrap();
    assert_eq!(&*accepted.target, "second");
    assert_eq!(&**injector.choose(None).unwrap().name(), "second");
    assert!(send(&injector, Some("first"), "x\r\n").await.is_err(), "a named target is not replaced");
    assert_eq!(sink.stats().messages, 1);
}

#[tokio::test]
async fn an_unknown_name_lists_the_configured_ones() {
    let injector = Injector::start(vec![clear("mta1", 1), clear("mta2", 2)]);
    let fault = injector.choose(Some("mta3")).err().unwrap();
    assert_eq!(fault.reason, Reason::BadJob);
    assert!(fault.detail.contains("mta1, mta2"));
}

#[tokio::test]
async fn weights_are_kept_even_in_short_runs() {
    let weighted = |name, weight| TargetSettings { weight, ..clear(name, 1) };
    let injector = Injector::start(vec![weighted("a", 3), weighted("b", 1)]);
    for _ in 0..5 {
        let names = (0..40).map(|_| injector.choose(None).unwrap().name().clone());
        let of_a = names.filter(|name| &**name == "a").count();
        assert!((28..=32).contains(&of_a), "{of_a}");
    }
}

#[tokio::test]
async fn a_session_the_target_closed_while_idle_is_replaced() {
    // Closes behind each answered message, as a target does that limits messages per session.
    let script = Script::default().with(Step::Content, When::Always, Act::Close);
    let pair = pair_with(script, |_| {}).await;
    for number in 0..5 {
        pair.deliver(&message(number)).await.unwrap();
    }
    assert_eq!((pair.sink.messages().len(), pair.sink.stats().sessions), (5, 5));
}

#[tokio::test]
async fn a_session_is_spent_after_its_messages_and_after_its_time() {
    let pair = pair_with(Script::default(), |target| target.messages_per_connection_max = 2).await;
    for number in 0..6 {
        pair.deliver(&message(number)).await.unwrap();
    }
    assert_eq!((pair.sink.messages().len(), pair.sink.stats().sessions), (6, 3));

    let pair = pair_with(Script::default(), |target| target.connection_age_max = Duration::ZERO).await;
    for number in 0..3 {
        pair.deliver(&message(number)).await.unwrap();
    }
    assert_eq!((pair.sink.messages().len(), pair.sink.stats().sessions), (3, 3));
}

#[tokio::test]
async fn sessions_grow_while_replies_are_slow_and_stay_within_the_limit() {
    let script = Script::default().with(Step::Content, When::Always, Act::Delay(Duration::from_millis(20)));
    let pair = pair_with(script, |target| target.connections_max = 4).await;
    let many = (0..60).map(|number| {
        let (pair, text) = (&pair, message(number));
        async move { pair.deliver(&text).await.unwrap() }
    });
    futures_util::future::join_all(many).await;
    assert_eq!(pair.sink.stats().sessions, 4);
    assert_eq!(pair.sink.messages().len(), 60);
}

#[tokio::test]
async fn a_drained_injector_has_sent_everything_and_takes_nothing() {
    let pair = pair_with(Script::default(), |target| target.connections_max = 1).await;
    let handle = pair.injector.choose(None).unwrap();
    let mut waiting: Vec<_> =
        (0..20).map(|number| Box::pin(pair.injector.deliver(&handle, delivery(&message(number))))).collect();
    for wait in &mut waiting {
        assert!(futures_util::poll!(wait).is_pending());
    }
    pair.injector.drain().await;
    for wait in waiting {
        wait.await.unwrap();
    }
    assert_eq!(pair.stats().sessions_open(), 0);
    let fault = pair.fault("x\r\n").await;
    assert_eq!((fault.reason, fault.state()), (Reason::TargetUnavailable, State::Deferred));
}

#[tokio::test]
async fn the_rate_is_kept() {
    let pair = pair_with(Script::default(), |target| target.rate_per_second_max = Some(50)).await;
    let from = std::time::Instant::now();
    let many = (0..15).map(|number| {
        let (pair, text) = (&pair, message(number));
        async move { pair.deliver(&text).await.unwrap() }
    });
    futures_util::future::join_all(many).await;
    // Five at once, then one each 20 ms.
    assert!(from.elapsed() >= Duration::from_millis(180), "{:?}", from.elapsed());
}

#[tokio::test]
async fn a_delivery_nobody_took_in_time_is_given_back_unsent_and_one_that_was_taken_is_waited_for() {
    let pair = pair_with(Script::profile("slow=300").unwrap(), |target| target.connections_max = 1).await;
    let handle = pair.injector.choose(None).unwrap();
    pair.injector.capabilities(&handle).await.unwrap();
    let soon = |number: usize| {
        let give_up_at = Some(tokio::time::Instant::now() + Duration::from_millis(100));
        pair.injector.deliver(&handle, Delivery { give_up_at, ..delivery(&message(number)) })
    };
    let (first, second) = tokio::join!(soon(1), soon(2));
    first.unwrap();
    match second {
        Err(DeliverError::Failed(fault)) => {
            assert_eq!((fault.reason, fault.state()), (Reason::TargetUnavailable, State::Deferred));
        }
        other => panic!("a fault was expected, not {other:?}"),
    }
    pair.injector.drain().await;
    assert_eq!(pair.arrived(), [message(1)]);
}

/// A target that takes connections and says nothing, or stops reading in the middle of a message.
#[tokio::test]
async fn a_stopping_relay_gives_back_what_was_not_sent_whatever_it_waits_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let injector = Injector::start(vec![clear("mute", listener.local_addr().unwrap().port())]);
    let handle = injector.choose(None).unwrap();
    let stop = async {
        let (_connection, _) = listener.accept().await.unwrap();
        injector.halt();
    };
    let (offered, delivered, ()) =
        tokio::join!(injector.capabilities(&handle), injector.deliver(&handle, delivery(&message(1))), stop);
    assert_eq!(offered.unwrap_err().state(), State::Deferred);
    let Err(DeliverError::Failed(fault)) = delivered else { panic!("{delivered:?}") };
    assert_eq!(fault.state(), State::Deferred, "{fault}");

    let injector = Injector::start(vec![clear("deaf", listener.local_addr().unwrap().port())]);
    let handle = injector.choose(None).unwrap();
    let endless = format!("Subject: 1\r\n\r\n{}", "a line that fills the socket\r\n".repeat(1_000_000));
    let deaf = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection.write_all(b"220 deaf.test\r\n").await.unwrap();
        let mut heard = [0; 256];
        for reply in ["250 deaf.test\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
            let _ = connection.read(&mut heard).await.unwrap();
            connection.write_all(reply.as_bytes()).await.unwrap();
        }
        // The first octets of the content have come: the rest fills the socket.
        let _ = connection.read(&mut heard).await.unwrap();
        injector.halt();
        connection
    };
    let (delivered, _connection) = tokio::join!(injector.deliver(&handle, delivery(&endless)), deaf);
    let Err(DeliverError::Failed(fault)) = delivered else { panic!("{delivered:?}") };
    assert_eq!(fault.state(), State::Deferred, "{fault}");
    injector.drain().await;
}

#[tokio::test]
async fn a_message_that_must_stay_within_tls_goes_to_a_target_that_promises_it() {
    let ca = DevAuthority::new("test authority").unwrap();
    let target = async |name: &str, priority, require_tls| {
        let tls = SinkTls::StartTls(ca.server(&["127.0.0.1"]).unwrap());
        let mut script = Script::default();
        script.offers.require_tls = require_tls;
        let (sink, port) = sink(SinkSettings { tls, script, ..SinkSettings::default() }).await;
        let client_tls = Some(trusting(&ca));
        let settings =
            TargetSettings { priority, client_tls, ..TargetSettings::new(name, "127.0.0.1", port) };
        (sink, settings)
    };
    let must_stay = async |injector: &Injector, named| {
        let handle = injector.choose(named)?;
        injector.deliver(&handle, Delivery { require_tls: true, ..delivery("x\r\n") }).await
    };
    let code = |outcome: Result<Accepted, DeliverError>| match outcome {
        Err(DeliverError::Failed(fault)) => (fault.state(), fault.reply.and_then(|reply| reply.enhanced)),
        other => panic!("a fault was expected, not {other:?}"),
    };
    let (plain_sink, plain) = target("plain", 0, false).await;
    let (promising_sink, promising) = target("promising", 1, true).await;
    let both = Injector::start(vec![plain.clone(), promising]);
    for _ in 0..3 {
        assert_eq!(&*must_stay(&both, None).await.unwrap().target, "promising");
    }
    assert_eq!(
        &*send(&both, None, "x\r\n").await.unwrap().target,
        "plain",
        "other messages keep to the priority"
    );
    let not_offered = (State::Rejected, Some(crate::fault::Enhanced(5, 7, 30)));
    assert_eq!(code(must_stay(&both, Some("plain")).await), not_offered, "a named target is not replaced");
    let only_plain = Injector::start(vec![plain.clone()]);
    assert_eq!(code(must_stay(&only_plain, None).await), not_offered);
    let dead = TargetSettings {
        priority: 1,
        client_tls: plain.client_tls.clone(),
        ..TargetSettings::new("dead", "127.0.0.1", dead_port().await)
    };
    let one_down = Injector::start(vec![plain, dead]);
    assert_eq!(
        code(must_stay(&one_down, None).await).0,
        State::Deferred,
        "the one that is down may promise it"
    );
    assert_eq!((plain_sink.stats().messages, promising_sink.stats().messages), (1, 3));
}

/// Workers that the runtime drops unrun hire no others in their place, one within the other.
#[test]
fn a_runtime_that_shuts_down_with_messages_in_the_queue_ends() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let injector = runtime.block_on(async {
        let (sink, port) = sink(SinkSettings {
            script: Script::profile("hang-after-data").unwrap(),
            ..SinkSettings::default()
        })
        .await;
        let injector = Arc::new(Injector::start(vec![clear("mta1", port)]));
        for number in 0..64 {
            let injector = injector.clone();
            tokio::spawn(async move { send(&injector, None, &message(number)).await });
        }
        sink.wait_until(|stats| stats.contents >= 1).await;
        injector
    });
    drop(runtime);
    assert_eq!(injector.targets().next().unwrap().1.sessions_open(), 0);
}
