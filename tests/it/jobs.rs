//! What engines get wrong in their jobs, through the door it concerns: a stated reason, and nothing is sent.

use crate::set_up::{NARROW, Stage, key_of};
use crate::world::{World, assert_result};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use toml_edit::value;

/// Whose first name is missing.
const NAMELESS: usize = 3;
const UNKNOWN: &str = "e_000000000000000000@tokens.example";

fn stage() -> Stage {
    Stage::new().column(NAMELESS, "first_name", "").engine("narrow", NARROW)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_line_is_named_and_the_stream_goes_on() {
    let world = stage().up().await;
    let with = |person: usize, id: &str, key: &str, value: Value| {
        let mut job = world.job(person, id);
        job[key] = value;
        job.to_string()
    };
    let lines = [
        world.job(0, "good-1").to_string(),
        with(0, "unknown", "to", UNKNOWN.into()),
        with(0, "plain", "to", world.people[1].value("email").into()),
        with(0, "foreign", "to", world.people[0].address().replace("tokens.", "other.").into()),
        String::from(r#"{"job_id":"broken","to":"#),
        format!("\"{}\"", world.people[1].value("last_name")),
        world.job(NAMELESS, "nameless").to_string(),
        with(0, "no-template", "template", "absent".into()),
        with(0, "purpose", "purpose", "politics".into()),
        with(0, "late", "expires", "2020-01-01T00:00:00Z".into()),
        with(0, "strange", "colour", world.people[1].value("city").into()),
        world.job(1, "good-2").to_string(),
    ];
    let octets: Vec<Bytes> = lines.iter().map(|line| Bytes::from(format!("{line}\n"))).collect();
    let results = world.http().await.stream(stream::iter(octets)).await.unwrap().rest().await.unwrap();
    let of = |line: usize| results.iter().find(|result| result["line"] == json!(line)).unwrap();
    let wanted = [
        (2, "rejected", "unknown-token"),
        (3, "rejected", "not-a-token"),
        (4, "rejected", "not-a-token"),
        (5, "rejected", "bad-job"),
        (6, "rejected", "bad-job"),
        (7, "rejected", "missing-field"),
        (8, "rejected", "template-not-found"),
        (9, "rejected", "purpose-not-granted"),
        (10, "expired", "bad-job"),
        (11, "rejected", "bad-job"),
    ];
    for (line, state, reason) in wanted {
        assert_result(of(line), state, reason);
    }
    assert_eq!(of(7)["detail"].as_str().map(|detail| detail.contains("first_name")), Some(true));
    assert_eq!(results.iter().filter(|result| result["state"] == "relayed").count(), 2);
    assert_eq!((results.len(), world.sink().stats().mail_commands), (lines.len(), 2));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_recipient_or_message_is_refused_and_the_session_goes_on() {
    let world = stage().up().await;
    let mut smtp = world.smtp().await;
    let message = world.message(0);
    let purpose = |word: &str| message.replace("Purpose: service", &format!("Purpose: {word}"));
    let token = world.people[0].address();
    let nobody = world.people[NAMELESS].address();
    for (to, message, codes, word) in [
        (UNKNOWN, message.clone(), "550 5.1.1", "unknown-token"),
        (world.people[1].value("email"), message.clone(), "550 5.7.1", "not-a-token"),
        (&token, purpose("politics"), "550 5.7.1", "purpose-not-granted"),
        (&token, format!("X-TokenRelay-Template: absent\r\n{message}"), "550 5.6.0", "template-not-found"),
        (&token, format!("X-TokenRelay-Colour: red\r\n{message}"), "550 5.6.0", "bad-job"),
        (&nobody, format!("X-TokenRelay-Template: note\r\n{message}"), "550 5.6.0", "missing-field"),
        (&token, message.clone(), "250 2.0.0", "Ok"),
    ] {
        let reply = smtp.send(to, &message).await;
        assert_eq!(reply.codes(), codes, "{reply:?}");
        assert!(reply.text.contains(word), "{reply:?}");
    }
    assert_eq!(world.sink().stats().mail_commands, 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_gets_what_it_was_granted_and_nothing_else() {
    let world = stage().up().await;
    let mut http = world.http_as(&key_of("narrow")).await;
    let own = |text: &str, id: &str| {
        let content = json!({"from": "a@shop.example", "subject": "Hello", "text": text});
        json!({"job_id": id, "to": world.people[0].address(), "purpose": "service", "content": content})
    };
    let mut other = world.job(0, "other");
    other["purpose"] = "marketing".into();
    let mut template = world.job(0, "template");
    template["template"] = "absent".into();
    for (job, state, reason) in [
        (world.job(0, "note"), "rejected", "field-not-granted"),
        (own("Dear {{person.first_name}} of {{person.city}}", "own"), "rejected", "field-not-granted"),
        (own("Dear {{person.phone}}", "phone"), "rejected", "field-not-granted"),
        (template, "rejected", "template-not-found"),
    ] {
        let answer = http.post(&job).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
        assert_result(&answer.json(), state, reason);
    }
    other["content"] = own("Hello", "")["content"].take();
    other.as_object_mut().unwrap().remove("template");
    assert_result(&http.post(&other).await.json(), "rejected", "purpose-not-granted");
    let answer = http.post(&own("Dear {{person.first_name}}", "granted")).await;
    assert_eq!(answer.json()["state"], "relayed", "{}", answer.text);
    let reply = world.smtp_as("narrow", &key_of("narrow")).await;
    refused_field(&world, reply).await;
    let stranger = world.http_as("nobody's key").await.post(&world.job(0, "stranger")).await;
    assert_eq!(stranger.status, 401);
    assert_eq!(world.sink().stats().mail_commands, 1);
    world.finish().await;
}

async fn refused_field(world: &World, mut smtp: crate::smtp::Smtp) {
    let reply = smtp.send(&world.people[0].address(), &world.message(0)).await;
    assert_eq!(reply.codes(), "550 5.7.1");
    assert!(reply.text.contains("field-not-granted") && reply.text.contains("last_name"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_refused_before_it_is_sent() {
    let world = Stage::new().edit(|file| file["limits"]["message_bytes_max"] = value("16KiB")).up().await;
    let text = "as long as a long letter ".repeat(4096);
    let content = json!({"from": "a@shop.example", "subject": "Hello", "text": text});
    let mut job = world.job(0, "large");
    job.as_object_mut().unwrap().remove("template");
    job["content"] = content;
    let answer = world.http().await.post(&job).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
    assert_result(&answer.json(), "rejected", "too-large");
    let mut smtp = world.smtp().await;
    let reply = smtp.send(&world.people[0].address(), &format!("{}{text}", world.message(0))).await;
    assert_eq!(reply.codes(), "552 5.3.4", "{reply:?}");
    assert_eq!(smtp.send(&world.people[0].address(), &world.message(0)).await.code, 250);
    assert_eq!(world.sink().stats().mail_commands, 1);
    world.finish().await;
}

/// Most the relay, and this test beside it, may grow while a line goes by.
const GROWTH_KIB_MAX: u64 = 64 * 1024;
const CHUNK: &[u8] = &[b'0'; 256 * 1024];
const GIGABYTE: usize = 1 << 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_a_gigabyte_goes_by_in_flat_memory() {
    let world = Stage::new().quiet().up().await;
    let first = Bytes::from(format!("{}\n{{\"job_id\":\"", world.job(0, "before")));
    let last = Bytes::from(format!("\"}}\n{}\n", world.job(1, "behind")));
    let highest = std::sync::Arc::new(AtomicU64::new(0));
    let seen = highest.clone();
    let zeros = (0..GIGABYTE / CHUNK.len()).map(move |_| {
        seen.fetch_max(resident_kib(), Relaxed);
        Bytes::from_static(CHUNK)
    });
    let mut http = world.http().await;
    assert_eq!(http.post(&world.job(2, "warm")).await.status, 200);
    let before = resident_kib();
    let octets = stream::iter([first].into_iter().chain(zeros).chain([last]));
    let results = http.stream(octets).await.unwrap().rest().await.unwrap();
    assert_eq!(results.len(), 3, "{results:?}");
    let bad = results.iter().find(|result| result["line"] == json!(2)).unwrap();
    assert_result(bad, "rejected", "bad-job");
    assert_eq!(results.iter().filter(|result| result["state"] == "relayed").count(), 2);
    let growth = highest.load(Relaxed).saturating_sub(before);
    assert!(growth <= GROWTH_KIB_MAX, "resident memory grew by {growth} KiB");
    world.finish().await;
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p11_many_unknown_tokens_of_an_engine_are_counted_and_told() {
    let world = Stage::new().up().await;
    let mark = crate::log::mark();
    let (mut http, mut smtp) = (world.http().await, world.smtp().await);
    for number in 0..120 {
        let mut job = world.job(0, &format!("u-{number}"));
        job["to"] = json!(format!("e_{number:026}@tokens.example"));
        assert_eq!(http.post(&job).await.json()["reason"], "unknown-token");
    }
    smtp.say("MAIL FROM:<>").await.unwrap();
    for number in 200..203 {
        assert_eq!(smtp.say(&format!("RCPT TO:<e_{number:026}@tokens.example>")).await.unwrap().code, 550);
    }
    let metrics = http.get("/metrics").await.text;
    let line = "tokenrelay_unknown_tokens_total{engine=\"campaigns\"} 123";
    assert!(metrics.contains(line), "{metrics}");
    let logged = String::from_utf8(crate::log::since(mark)).unwrap();
    let told: Vec<&str> =
        logged.lines().filter(|line| line.contains("many tokens") && line.contains("campaigns")).collect();
    assert!(!told.is_empty() && !told[0].contains("e_0000"), "{told:?}");
    world.finish().await;
}
