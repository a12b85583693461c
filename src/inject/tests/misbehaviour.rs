//! Every way a target can misbehave, and what each must come to.

use super::*;
use crate::fault::{Reason, ReplyCode, State};
use crate::load::sink::{Act, Step, When};
use std::time::Duration;

/// No part of the person survives in what is passed on.
fn assert_clean(fault: &Fault) {
    let text = fault.to_string().to_lowercase();
    for value in ["dana", "levi", "post.example"] {
        assert!(!text.contains(value), "{text}");
    }
}

#[tokio::test]
async fn a_refused_recipient_costs_no_connection_and_echoes_nothing() {
    for profile in [
        "refuse-rcpt=2",
        "refuse-rcpt=2,no-chunking",
        "refuse-rcpt=2,no-pipelining",
        "354-after-refused-rcpt=2",
    ] {
        let pair = pair(profile).await;
        let mut refused = 0;
        for number in 0..10 {
            match pair.deliver(&message(number)).await {
                Ok(_) => {}
                Err(DeliverError::Failed(fault)) => {
                    refused += 1;
                    assert_clean(&fault);
                    assert_eq!(fault.state(), State::Rejected);
                    assert_eq!(fault.reply, Some(ReplyCode::new(550, 5, 1, 1)));
                    assert!(fault.detail.contains("unknown"), "{fault}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((refused, pair.stats().refused(), pair.stats().relayed()), (5, 5, 5), "{profile}");
        assert_eq!(pair.sink.stats().sessions, 1, "{profile}");
    }
}

#[tokio::test]
async fn every_refusal_keeps_its_code_and_its_session() {
    let cases = [
        ("", "554 5.6.0 not MIME", State::Rejected),
        ("no-chunking", "554 5.6.0 not MIME", State::Rejected),
        ("no-pipelining", "554 5.6.0 not MIME", State::Rejected),
        ("no-chunking", "451 4.3.0 not now", State::Deferred),
    ];
    for (profile, said, state) in cases {
        let script = if profile.is_empty() { Script::default() } else { Script::profile(profile).unwrap() };
        let pair =
            pair_with(script.with(Step::Content, When::Every(2), Act::Reply(said.into())), |_| {}).await;
        for number in 0..3 {
            pair.deliver(&message(number)).await.unwrap();
            let fault = pair.fault(&message(number)).await;
            assert_eq!((fault.reply.unwrap().basic.to_string(), fault.state()), (said[..3].into(), state));
            assert_eq!(fault.reason, Reason::TargetRejected, "{profile}");
            assert_clean(&fault);
        }
        assert_eq!((pair.sink.stats().sessions, pair.sink.messages().len()), (1, 3), "{profile}");
    }
}

/// What does not tell whose it is another session is asked about.
#[tokio::test]
async fn a_refusal_that_another_session_does_not_repeat_is_a_detour() {
    for profile in [
        "refuse-data=2,no-chunking",
        "refuse-data=2,no-pipelining",
        "refuse-content=2",
        "refuse-content=2,no-chunking",
        "refuse-content=2,no-pipelining",
        "refuse-content=2,long-replies",
    ] {
        let pair = pair(profile).await;
        for number in 0..6 {
            pair.deliver(&message(number)).await.unwrap();
        }
        assert_eq!(pair.sink.messages().len(), 6, "{profile}");
    }
}

#[tokio::test]
async fn a_target_that_closes_before_the_dot_is_tried_again_and_then_given_up() {
    let pair = pair("drop-before-data=2,no-chunking").await;
    for number in 0..5 {
        pair.deliver(&message(number)).await.unwrap();
    }
    assert_eq!(pair.sink.messages().len(), 5);
    assert!(pair.stats().offered_again() >= 4);

    for profile in
        ["drop-before-data", "drop-at-mail", "garbage", "overlong-line", "endless-reply", "extra-reply"]
    {
        let pair = super::pair(profile).await;
        let fault = pair.fault(&message(0)).await;
        assert_eq!((fault.reason, fault.state()), (Reason::TargetUnavailable, State::Deferred), "{profile}");
        assert_clean(&fault);
        let stats = pair.sink.stats();
        assert_eq!((stats.sessions, stats.messages), (3, 0), "{profile}");
        assert_eq!(pair.stats().in_doubt(), 0, "{profile}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_in_doubt_and_never_sent_again() {
    for profile in ["drop-after-data", "drop-after-data,no-pipelining", "extra-final-reply"] {
        let pair = pair(profile).await;
        let fault = pair.fault(&message(0)).await;
        assert_eq!(fault.state(), State::Unknown, "{profile}: {fault}");
        assert_clean(&fault);
        let stats = pair.sink.stats();
        assert_eq!((stats.contents, stats.sessions), (1, 1), "{profile}");
        assert_eq!((pair.stats().in_doubt(), pair.stats().relayed()), (1, 0), "{profile}");
    }
}

#[tokio::test]
async fn no_answer_to_the_dot_ends_at_the_deadline_in_doubt() {
    let pair = pair("hang-after-data").await;
    let fault = {
        let mut waiting = Box::pin(pair.fault("Subject: x\r\n\r\nx\r\n"));
        tokio::select! {
            fault = &mut waiting => panic!("too early: {fault}"),
            () = pair.sink.wait_until(|stats| stats.contents == 1) => {}
        }
        // From here on only deadlines move time.
        tokio::time::pause();
        let from = tokio::time::Instant::now();
        let fault = waiting.await;
        assert_eq!(from.elapsed().as_secs(), Deadlines::default().final_reply.as_secs());
        fault
    };
    assert_eq!(fault.state(), State::Unknown);
}

#[tokio::test]
async fn silence_in_the_envelope_ends_at_the_deadline_and_sends_nothing() {
    for step in [Step::Mail, Step::Recipient, Step::Data] {
        let script = Script::default().with(step, When::Always, Act::Hang);
        let pair = pair_with(script, |target| target.deadlines.command = Duration::from_secs(7)).await;
        let mut waiting = Box::pin(pair.fault("Subject: x\r\n\r\nx\r\n"));
        tokio::select! {
            fault = &mut waiting => panic!("too early: {fault}"),
            () = pair.sink.wait_until(|stats| stats.mail_commands == 1) => {}
        }
        // From here on only deadlines move time.
        tokio::time::pause();
        let fault = waiting.await;
        tokio::time::resume();
        assert_eq!((fault.reason, fault.state()), (Reason::TargetUnavailable, State::Deferred));
        assert_eq!((pair.stats().in_doubt(), pair.sink.stats().contents), (0, 0));
    }
}

/// The first message makes the target known as brisk, so that the third's envelope is sent behind the second's dot.
#[tokio::test]
async fn a_stopping_relay_reports_what_is_not_answered_as_in_doubt() {
    let pair = pair("hang-after-data").await;
    let text = message(0);
    let stop = async {
        pair.sink.wait_until(|stats| stats.contents == 1).await;
        pair.injector.halt();
    };
    let (fault, ()) = tokio::join!(pair.fault(&text), stop);
    assert_eq!(fault.state(), State::Unknown, "{fault}");
    assert!(fault.detail.contains("stopping"), "{fault}");
    pair.injector.drain().await;
}

#[tokio::test]
async fn of_two_overlapped_messages_only_the_dotted_one_is_in_doubt() {
    let script = Script::profile("no-chunking").unwrap();
    let script = script.with(Step::Content, When::Every(2), Act::Reply("".into())).with(
        Step::Content,
        When::Every(2),
        Act::Close,
    );
    let pair = pair_with(script, |target| target.connections_max = 1).await;
    pair.deliver(&message(0)).await.unwrap();
    let (second, third) = (message(1), message(2));
    let (second, third) = tokio::join!(pair.deliver(&second), pair.deliver(&third));
    let Err(DeliverError::Failed(fault)) = second else { panic!("{second:?}") };
    assert_eq!(fault.state(), State::Unknown);
    let third = third.unwrap();
    assert_eq!(third.attempts, 2, "its envelope was on the wire when the connection went");
    assert_eq!(pair.arrived(), [message(0), message(2)]);
    assert_eq!(pair.sink.stats().contents, 3);
}

#[tokio::test]
async fn messages_overlap_on_a_brisk_session() {
    let pair = pair_with(Script::default(), |target| target.connections_max = 1).await;
    pair.deliver(&message(0)).await.unwrap();
    let many = (1..100).map(|number| {
        let (pair, text) = (&pair, message(number));
        async move { pair.deliver(&text).await.unwrap() }
    });
    futures_util::future::join_all(many).await;
    assert_eq!(pair.sink.messages().len(), 100);
    assert_eq!(pair.sink.stats().sessions, 1);
}

#[tokio::test]
async fn closing_with_421_is_a_detour() {
    let pair = pair("421-final=2").await;
    for number in 0..3 {
        pair.deliver(&message(number)).await.unwrap();
    }
    assert_eq!(pair.sink.messages().len(), 3, "what 421 answers was not taken, and goes again");
    assert_eq!(pair.sink.stats().contents, 5);
    // At a new session it is the target that does not want it.
    let pair = super::pair("421-final").await;
    let fault = pair.fault(&message(0)).await;
    assert_eq!((fault.reply.unwrap().basic, fault.state()), (421, State::Deferred));
    assert_eq!(pair.sink.stats().contents, 1);

    let script = Script::default()
        .with(Step::Mail, When::Every(3), Act::Reply("421 4.3.2 enough".into()))
        .with(Step::Mail, When::Every(3), Act::Close);
    let pair = pair_with(script, |_| {}).await;
    for number in 0..6 {
        pair.deliver(&message(number)).await.unwrap();
    }
    assert_eq!(pair.sink.messages().len(), 6);
}

#[tokio::test]
async fn a_target_that_always_closes_with_421_gets_a_pause() {
    let pair = pair("421-after=0").await;
    for number in 0..2 {
        let fault = pair.fault(&message(number)).await;
        assert_eq!((fault.reply.unwrap().basic, fault.state()), (421, State::Deferred));
    }
    let sessions = pair.sink.stats().sessions;
    assert_eq!(sessions, 5);
    let fault = pair.fault(&message(2)).await;
    assert_eq!(fault.reason, Reason::TargetUnavailable);
    assert_eq!(pair.sink.stats().sessions, sessions, "the breaker was open");
}

#[tokio::test]
async fn what_the_target_lacks_is_said_without_sending() {
    let pair = pair("no-8bitmime,no-smtputf8,size=1000").await;
    let handle = pair.injector.choose(None).unwrap();
    let offered = pair.injector.capabilities(&handle).await.unwrap();
    assert!(offered.pipelining && !offered.eight_bit_mime && !offered.smtputf8);
    assert_eq!(offered.size_octets_max, Some(1000));
    let eight_bit = Delivery { eight_bit: EightBit::Convertible, ..delivery("x\r\n") };
    assert_eq!(pair.injector.deliver(&handle, eight_bit).await, Err(DeliverError::NeedsSevenBit));
    let utf8 = Delivery { smtputf8: true, ..delivery("x\r\n") };
    let Err(DeliverError::Failed(fault)) = pair.injector.deliver(&handle, utf8).await else { panic!() };
    assert_eq!((fault.state(), fault.reply), (State::Rejected, Some(ReplyCode::new(553, 5, 6, 7))));
    let fault = pair.fault(&"x".repeat(1001)).await;
    assert_eq!(fault.reason, Reason::TooLarge);
    assert_eq!(pair.sink.stats().mail_commands, 0);
    pair.deliver(&message(0)).await.unwrap();
    assert_eq!(pair.sink.stats().sessions, 6, "only the session that sends knows what it offers");
}

#[tokio::test]
async fn needed_parameters_reach_the_target() {
    let pair = pair("accept").await;
    let handle = pair.injector.choose(None).unwrap();
    let text = "Subject: é\r\n\r\né\r\n";
    let every = Delivery { smtputf8: true, eight_bit: EightBit::Convertible, ..delivery(text) };
    pair.injector.deliver(&handle, every).await.unwrap();
    let parameters = pair.sink.messages()[0].envelope.parameters.clone();
    assert_eq!(parameters, format!("SIZE={} BODY=8BITMIME SMTPUTF8", text.len()));
}

#[tokio::test]
async fn an_unsafe_envelope_or_content_never_reaches_a_target() {
    let pair = pair("accept").await;
    let handle = pair.injector.choose(None).unwrap();
    let smuggled = Personal::new(String::from("a@b.test>\r\nRCPT TO:<c@d.test"));
    for bad in [
        Delivery { recipient: smuggled, ..delivery("x\r\n") },
        Delivery { sender: String::from("a@b> SIZE=1"), ..delivery("x\r\n") },
        delivery("x\n.\r\nMAIL FROM:<a@b>\r\n"),
        delivery("x\r.\r\n"),
    ] {
        let Err(DeliverError::Failed(fault)) = pair.injector.deliver(&handle, bad).await else { panic!() };
        assert_eq!(fault.reason, Reason::BadJob);
    }
    assert_eq!(pair.sink.stats().sessions, 0);
}

#[tokio::test]
async fn a_wait_that_is_dropped_does_not_shift_the_answers_of_others() {
    let script = Script::default()
        .with(Step::Content, When::Always, Act::Delay(Duration::from_millis(30)))
        .with(Step::Content, When::Every(2), Act::Reply("554 5.6.0 every second one".into()));
    let pair = pair_with(script, |target| target.connections_max = 1).await;
    // Dropped in the middle of its dialogue: it is message one, and would have been accepted.
    {
        let text = message(0);
        let mut dropped = Box::pin(pair.deliver(&text));
        tokio::select! {
            done = &mut dropped => panic!("too early: {done:?}"),
            () = pair.sink.wait_until(|stats| stats.contents == 1) => {}
        }
    }
    assert_eq!(pair.fault(&message(1)).await.reply.unwrap().basic, 554);
    pair.deliver(&message(2)).await.unwrap();
    assert_eq!(pair.fault(&message(3)).await.reply.unwrap().basic, 554);
    assert_eq!(pair.arrived(), [message(0), message(2)]);
    assert_eq!(pair.sink.stats().sessions, 1);
}

#[tokio::test]
async fn a_wait_dropped_before_the_offer_withdraws_the_message() {
    let script = Script::default().with(Step::Content, When::First(1), Act::Delay(Duration::from_millis(30)));
    let pair = pair_with(script, |target| target.connections_max = 1).await;
    let (first, second) = (message(0), message(1));
    let mut waiting = Box::pin(pair.deliver(&first));
    tokio::select! {
        done = &mut waiting => panic!("too early: {done:?}"),
        () = pair.sink.wait_until(|stats| stats.contents == 1) => {}
    }
    let mut withdrawn = Box::pin(pair.deliver(&second));
    assert!(futures_util::poll!(&mut withdrawn).is_pending());
    drop(withdrawn);
    waiting.await.unwrap();
    pair.deliver(&message(2)).await.unwrap();
    assert_eq!(pair.arrived(), [message(0), message(2)]);
}
