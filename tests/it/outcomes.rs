//! One outcome each: what engines are told adds up, and equals what the first MTA took.

use crate::set_up::{Mta, Stage};
use crate::world::World;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use tokenrelay::fault::State;
use tokenrelay::load::sink::SunkMessage;

const PEOPLE: usize = 10;
const OVER_HTTP: usize = 300;
const OVER_SMTP: usize = 200;
const SMTP_CONNECTIONS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_has_one_outcome_and_what_was_relayed_arrived_once() {
    let mta = Mta::behaving("tempfail=5,refuse-rcpt=7,drop-before-data=23,drop-after-data=17,421-final=19");
    let world = Stage::new().people(PEOPLE).mta(mta).up().await;
    let (over_http, over_smtp) = tokio::join!(over_http(&world), over_smtp(&world));
    let told: Vec<(String, String)> = over_http.into_iter().chain(over_smtp).collect();
    assert_eq!(told.len(), OVER_HTTP + OVER_SMTP);
    let count = |state: State| told.iter().filter(|(said, _)| said == state.as_str()).count() as u64;
    for state in State::ALL {
        assert_eq!(count(state), world.settled(state), "{}", state.as_str());
    }
    for state in [State::Relayed, State::Deferred, State::Rejected, State::Unknown] {
        assert!(count(state) > 0, "no job was {}", state.as_str());
    }
    let arrived: Vec<String> = world.messages().iter().map(send_number).collect();
    let once: BTreeSet<&String> = arrived.iter().collect();
    assert_eq!(arrived.len(), once.len(), "a message was taken twice");
    let relayed = told.iter().filter(|(state, _)| state == "relayed").map(|(_, send)| send);
    assert_eq!(relayed.collect::<BTreeSet<_>>(), once);
    assert_eq!(world.sink().stats().messages, world.settled(State::Relayed));
    world.finish().await;
}

/// State and send number of each job.
async fn over_http(world: &World) -> Vec<(String, String)> {
    let jobs = (0..OVER_HTTP).map(|number| world.job(number % PEOPLE, &format!("h-{number}")));
    let results = world.http().await.submit(jobs).await;
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    results.iter().map(|result| (text(&result["state"]), text(&result["send"]))).collect()
}

async fn over_smtp(world: &World) -> Vec<(String, String)> {
    let connections = (0..SMTP_CONNECTIONS).map(|connection| async move {
        let mut smtp = world.smtp().await;
        let mut told = Vec::new();
        for number in (connection..OVER_SMTP).step_by(SMTP_CONNECTIONS) {
            let message = format!("X-TokenRelay-Job-Id: s-{number}\r\n{}", world.message(number % PEOPLE));
            let reply = smtp.send(&world.people[number % PEOPLE].address(), &message).await;
            let send =
                reply.text.rsplit_once("s_").map(|(_, number)| format!("s_{}", number.trim_end_matches(')')));
            let state = match reply.code {
                250 => "relayed",
                554 if reply.text.contains("outcome unknown") => "unknown",
                400..=499 => "deferred",
                _ => "rejected",
            };
            told.push((state.to_owned(), send.expect("a reply names the send number")));
        }
        told
    });
    join_all(connections).await.concat()
}

/// The local part of Message-ID.
pub fn send_number(message: &SunkMessage) -> String {
    let text = String::from_utf8_lossy(&message.content);
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("Message-ID: <")).collect();
    assert_eq!(ids.len(), 1, "one Message-ID each");
    ids[0].split('@').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_submitted_again_is_the_same_job() {
    let stage = Stage::new()
        .engine("other", crate::set_up::Grants { templates: &["*"], fields: &["*"], purposes: &["service"] });
    let mut world = stage.up().await;
    let mut http = world.http().await;
    let mut sends = Vec::new();
    for job_id in ["same", "same", "another"] {
        sends.push(http.post(&world.job(0, job_id)).await.json()["send"].as_str().unwrap().to_owned());
    }
    let message = format!("X-TokenRelay-Job-Id: same\r\n{}", world.message(0));
    let reply = world.smtp().await.send(&world.people[0].address(), &message).await;
    assert_eq!(reply.codes(), "550 5.6.0", "another body under the same id: {reply:?}");
    let mut other = world.http_as(&crate::set_up::key_of("other")).await;
    sends.push(other.post(&world.job(0, "same")).await.json()["send"].as_str().unwrap().to_owned());
    // With handoff nothing is kept: what comes again after a restart is sent again, under its old Message-ID.
    drop((http, other));
    world.restart().await;
    world.http().await.post(&world.job(0, "same")).await;
    let arrived: Vec<String> = world.messages().iter().map(send_number).collect();
    let [same, again, another, others] = &sends[..] else { panic!("{sends:?}") };
    assert_eq!(same, again);
    assert_eq!([same, another, others, same].map(String::as_str), arrived[..]);
    assert_eq!(sends.iter().collect::<BTreeSet<_>>().len(), 3);
    world.finish().await;
}
