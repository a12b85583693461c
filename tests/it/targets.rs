//! First MTAs that refuse, hang, break off, talk nonsense or are not there.

use crate::set_up::{Mta, Presence, Stage};
use crate::world::{PATIENCE, World, assert_result};
use serde_json::{Value, json};
use std::time::Duration;
use tokenrelay::load::sink::{Act, Rule, Script, Step, When};
use toml_edit::{DocumentMut, value};

/// Profile of the target, what becomes of a job, and what an engine hears of it over SMTP.
const MISBEHAVIOURS: [(&str, &str, &str, &str); 18] = [
    ("refuse-mail", "deferred 550 5.7.1", "target-unavailable", "451 4.4.1"),
    ("refuse-rcpt", "rejected 550 5.1.1", "target-rejected", "550 5.1.1"),
    ("refuse-data", "deferred 554 5.7.0", "target-unavailable", "451 4.4.1"),
    // It takes nobody, and says nothing that only the message could be told.
    ("refuse-content", "deferred 554 5.7.1", "target-unavailable", "451 4.4.1"),
    ("tempfail", "deferred 451 4.7.1", "target-rejected", "451 4.7.1"),
    ("354-after-refused-rcpt", "rejected 550 5.1.1", "target-rejected", "550 5.1.1"),
    ("421-final", "deferred 421 4.3.2", "target-unavailable", "451 4.4.1"),
    ("421-greeting", "deferred", "target-unavailable", "451 4.4.1"),
    ("hang-greeting", "deferred", "target-unavailable", "451 4.4.1"),
    ("hang-after-data", "unknown", "target-unavailable", "554 5.4.2"),
    ("drop-after-data", "unknown", "target-unavailable", "554 5.4.2"),
    ("drop-before-data", "deferred", "target-unavailable", "451 4.4.1"),
    ("drop-at-mail", "deferred", "target-unavailable", "451 4.4.1"),
    ("garbage", "deferred", "target-unavailable", "451 4.4.1"),
    ("overlong-line", "deferred", "target-unavailable", "451 4.4.1"),
    ("endless-reply", "deferred", "target-unavailable", "451 4.4.1"),
    ("no-starttls", "deferred", "target-unavailable", "451 4.4.1"),
    ("extra-reply-before-tls", "deferred", "target-unavailable", "451 4.4.1"),
];

/// Hanging targets are given up soon.
fn impatient(file: &mut DocumentMut) {
    for target in file["target"].as_array_of_tables_mut().unwrap().iter_mut() {
        target["reply_timeout"] = value("400ms");
        target["final_dot_timeout"] = value("400ms");
        target["connect_timeout"] = value("2s");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_misbehaviour_has_its_outcome_and_nothing_is_sent_by_it() {
    let with = |stage: Stage, (profile, ..): &(&'static str, _, _, _)| {
        stage.mta(Mta::new(profile, Script::profile(profile).unwrap()))
    };
    let world = MISBEHAVIOURS.iter().fold(Stage::new().edit(impatient), with).up().await;
    let jobs = MISBEHAVIOURS.iter().map(|(profile, ..)| targeted(&world, profile));
    let results = world.http().await.submit(jobs).await;
    for (profile, outcome, reason, _) in MISBEHAVIOURS {
        let result = results.iter().find(|result| result["job_id"] == profile).unwrap();
        assert_eq!((outcome_of(result).as_str(), &result["reason"]), (outcome, &json!(reason)), "{result}");
        assert_eq!(result["target"], profile, "{result}");
    }
    let said = MISBEHAVIOURS.map(|(profile, .., codes)| over_smtp(&world, profile, codes));
    futures_util::future::join_all(said).await;
    assert!(world.messages().is_empty());
    world.finish().await;
}

fn targeted(world: &World, target: &str) -> Value {
    let mut job = world.job(0, target);
    job["target"] = target.into();
    job
}

fn outcome_of(result: &Value) -> String {
    let word = |key: &str| result[key].to_string().trim_matches('"').replace("null", "");
    [word("state"), word("code"), word("enhanced")].join(" ").trim_end().to_owned()
}

async fn over_smtp(world: &World, target: &str, codes: &str) {
    let message = format!("X-TokenRelay-Target: {target}\r\n{}", world.message(1));
    let reply = world.smtp().await.send(&world.people[1].address(), &message).await;
    assert_eq!(reply.codes(), codes, "{target}: {reply:?}");
}

/// It has the message by then: to give up on the answer would make it `unknown`, or mail it twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c6_a_target_that_scans_for_longer_than_other_replies_may_take_is_waited_for() {
    let scans =
        Rule { step: Step::Content, when: When::Always, act: Act::Delay(Duration::from_millis(1500)) };
    let slow = Mta::new("slow", Script { rules: vec![scans], ..Script::default() });
    let short = |file: &mut DocumentMut| {
        for target in file["target"].as_array_of_tables_mut().unwrap().iter_mut() {
            target["reply_timeout"] = value("500ms");
        }
    };
    let world = Stage::new().edit(short).mta(slow).up().await;
    let over_http = async { world.http().await.post(&targeted(&world, "slow")).await.json() };
    let (result, ()) = tokio::join!(over_http, over_smtp(&world, "slow", "250 2.0.0"));
    assert_eq!(result["state"], "relayed", "{result}");
    world.finish().await;
}

/// On one thread, so that the outage is known by the time the job that found it out goes on.
#[tokio::test]
async fn the_next_priority_takes_over_while_the_first_is_down() {
    let down = Mta { presence: Presence::Down, ..Mta::new("first", Script::default()) };
    let second = Mta { priority: 1, ..Mta::new("second", Script::default()) };
    let mut world = Stage::new().mta(down).mta(second).up().await;
    let mut http = world.http().await;
    for job_id in ["finds-out", "a", "b"] {
        let result = http.post(&world.job(1, job_id)).await.json();
        assert_eq!((&result["state"], &result["target"]), (&json!("relayed"), &json!("second")), "{result}");
    }
    world.mtas[0].open();
    let back = async {
        let mut number = 0;
        while http.post(&world.job(2, &format!("back-{number}"))).await.json()["target"] != "first" {
            number += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.expect("the first one is used again");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_target_is_used_and_no_other() {
    let first = Mta::new("first", Script::default());
    let second = Mta { priority: 1, ..Mta::new("second", Script::default()) };
    let down = Mta { presence: Presence::Down, ..Mta::new("down", Script::default()) };
    let world = Stage::new().mta(first).mta(second).mta(down).up().await;
    let mut http = world.http().await;
    let result = http.post(&targeted(&world, "second")).await.json();
    assert_eq!((&result["state"], &result["target"]), (&json!("relayed"), &json!("second")), "{result}");
    for _ in 0..2 {
        assert_result(&http.post(&targeted(&world, "down")).await.json(), "deferred", "target-unavailable");
    }
    let answer = http.post(&targeted(&world, "third")).await;
    assert_eq!(answer.status, 400);
    assert_result(&answer.json(), "rejected", "bad-job");
    over_smtp(&world, "second", "250 2.0.0").await;
    over_smtp(&world, "third", "550 5.6.0").await;
    let messages = |at: usize| world.mtas[at].sink.as_ref().unwrap().stats().messages;
    assert_eq!((messages(0), messages(1)), (0, 2));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_was_never_there_keeps_no_job_waiting() {
    for _ in 0..10 {
        let down = Mta { presence: Presence::Down, ..Mta::new("mta1", Script::default()) };
        let world = Stage::new().mta(down).up().await;
        let mut http = world.http().await;
        let jobs = (0..500).map(|number| world.job(number % 4, &format!("j-{number}")));
        let results =
            tokio::time::timeout(PATIENCE, http.submit(jobs)).await.expect("no job is kept waiting");
        assert_eq!(results.len(), 500);
        results.iter().for_each(|result| assert_result(result, "deferred", "target-unavailable"));
        world.finish().await;
    }
}
