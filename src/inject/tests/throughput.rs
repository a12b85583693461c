//! Many messages, each whole and exactly once.

use super::*;
use futures_util::StreamExt;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn send_all(profile: &str, connections_max: usize, count: usize) {
    let pair = pair_with(Script::profile(profile).unwrap(), |target| {
        target.connections_max = connections_max;
        target.messages_per_connection_max = 3000;
    })
    .await;
    let sends = futures_util::stream::iter(0..count).map(|number| {
        let (pair, text) = (&pair, message(number));
        async move { pair.deliver(&text).await }
    });
    let outcomes: Vec<_> = sends.buffer_unordered(200).collect().await;
    assert!(outcomes.iter().all(Result::is_ok));
    let mut wanted: Vec<_> = (0..count).map(message).collect();
    wanted.sort();
    assert!(pair.arrived() == wanted, "every message once, as it was given");
    assert!(pair.sink.stats().sessions <= (connections_max + count / 3000) as u64);
}

#[tokio::test]
async fn ten_thousand_over_one_session_at_a_time() {
    send_all("accept", 1, 10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_over_eight_sessions() {
    send_all("accept", 8, 10_000).await;
}

#[tokio::test]
async fn without_pipelining_too() {
    send_all("no-pipelining", 2, 500).await;
}

/// Refusals, lost connections and 421 mixed: what was answered 250 has arrived once, what is in doubt at most once,
/// what was refused not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_has_one_outcome_whatever_the_target_does() {
    let profile =
        "refuse-rcpt=7,tempfail=11,drop-after-data=13,drop-before-data=17,refuse-content=19,421-final=23";
    let pair = pair_with(Script::profile(profile).unwrap(), |target| target.connections_max = 4).await;
    let sends = futures_util::stream::iter(0..2000).map(|number| {
        let (pair, text) = (&pair, message(number));
        async move { (text.clone(), pair.deliver(&text).await) }
    });
    let outcomes: Vec<_> = sends.buffer_unordered(100).collect().await;
    let mut arrived = BTreeMap::new();
    for content in pair.arrived() {
        *arrived.entry(content).or_insert(0) += 1;
    }
    for (text, outcome) in outcomes {
        let times = arrived.get(&text).copied().unwrap_or(0);
        match outcome {
            Ok(_) => assert_eq!(times, 1, "relayed"),
            Err(_) => assert_eq!(times, 0, "the sink keeps only what it answered 250"),
        }
    }
    let stats = pair.stats();
    assert!(stats.relayed() > 1000 && stats.in_doubt() > 50 && stats.refused() > 100);
    assert_eq!(stats.relayed(), pair.sink.stats().messages);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn contents_arrive_octet_for_octet(
        contents in proptest::collection::vec("(\r\n|\r\n\\.|\\.\r\n|\\.|text |é){0,40}", 1..12),
        profile in prop_oneof![Just("accept"), Just("no-chunking"), Just("no-pipelining")],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let pair = pair(profile).await;
            let sends = contents.iter().map(|content| pair.deliver(content));
            for outcome in futures_util::future::join_all(sends).await {
                outcome.unwrap();
            }
            let whole = |content: &String| {
                let is_whole = content.is_empty() || content.ends_with("\r\n");
                if is_whole { content.clone() } else { format!("{content}\r\n") }
            };
            let mut wanted: Vec<_> = contents.iter().map(whole).collect();
            wanted.sort();
            assert_eq!(pair.arrived(), wanted);
        });
    }
}

/// Answers `steps` one after the other, each when its mark has come; what came is forgotten at each answer.
async fn answer(listener: TcpListener, steps: &[(&str, &str)]) {
    let (mut socket, _) = listener.accept().await.unwrap();
    socket.write_all(b"220 steps.test\r\n").await.unwrap();
    let mut heard = Vec::new();
    for (mark, says) in steps {
        while memchr::memmem::find(&heard, mark.as_bytes()).is_none() {
            assert!(socket.read_buf(&mut heard).await.unwrap() > 0, "{mark:?}: closed before");
        }
        heard.clear();
        socket.write_all(says.as_bytes()).await.unwrap();
    }
}

/// The envelope that follows a rest goes alone, but the next one goes behind its content at once: a round trip each.
#[tokio::test]
async fn after_a_rest_messages_follow_each_other_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = TargetSettings::new("mta1", "127.0.0.1", listener.local_addr().unwrap().port());
    (target.tls, target.connections_max) = (TlsMode::None, 1);
    let injector = Injector::start(vec![target]);
    let open = "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n";
    let open_next = format!("250 2.0.0 taken\r\n{open}");
    let server = tokio::spawn(async move {
        let steps = [
            ("EHLO", "250-steps.test\r\n250 PIPELINING\r\n"),
            ("DATA\r\n", open),
            ("\r\n.\r\n", "250 2.0.0 taken\r\n"),
            ("DATA\r\n", open),
            ("\r\n.\r\nMAIL", &open_next),
            ("\r\n.\r\nMAIL", &open_next),
            ("\r\n.\r\n", "250 2.0.0 taken\r\n"),
        ];
        answer(listener, &steps).await;
    });
    let handle = injector.choose(None).unwrap();
    injector.deliver(&handle, delivery(&message(0))).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
    let together = (1..=3).map(|number| injector.deliver(&handle, delivery(&message(number))));
    let together = futures_util::future::join_all(together.collect::<Vec<_>>());
    let outcomes =
        tokio::time::timeout(Duration::from_secs(20), together).await.expect("no message waits alone");
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    server.abort();
}

/// Longer than the buffer of the dotted path, with dots on either side of each of its borders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_content_full_of_dots_arrives_as_it_was_given_behind_either_command() {
    for profile in ["no-chunking", "accept"] {
        let pair = pair(profile).await;
        for line in [".\r\n", "..\r\n", ".a dotted line\r\n", "\r\n.\r\n"] {
            let text = format!("Subject: dots\r\n\r\n{}", line.repeat(200_000 / line.len()));
            pair.deliver(&text).await.unwrap();
            assert!(pair.sink.messages().last().unwrap().content == text.as_bytes(), "{profile} {line:?}");
        }
    }
}

/// More than a socket holds, so that each write is cut anywhere, several at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_arrive_as_they_were_given_over_a_clear_connection() {
    for profile in ["no-chunking", "accept"] {
        let script = Script::profile(profile).unwrap();
        let (sink, port) = sink(SinkSettings { script, keep: true, ..SinkSettings::default() }).await;
        let target = TargetSettings { tls: TlsMode::None, ..TargetSettings::new("mta1", "127.0.0.1", port) };
        let injector = Injector::start(vec![target]);
        let handle = injector.choose(None).unwrap();
        let text = |number| format!("Subject: {number}\r\n\r\n{}", ".line\r\nother line\r\n".repeat(150_000));
        let sends = (0..5).map(|number| injector.deliver(&handle, delivery(&text(number))));
        for outcome in futures_util::future::join_all(sends).await {
            assert!(outcome.is_ok(), "{profile}: {outcome:?}");
        }
        let mut arrived: Vec<_> = sink.messages().into_iter().map(|message| message.content).collect();
        arrived.sort();
        assert!(arrived == (0..5).map(|number| text(number).into_bytes()).collect::<Vec<_>>(), "{profile}");
    }
}
