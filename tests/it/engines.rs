//! Engines that go away before they heard what became of their jobs.

use crate::set_up::{Mta, Presence, Stage};
use crate::world::eventually;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokenrelay::fault::State;
use tokenrelay::load::sink::Script;

const JOBS: u64 = 20;

fn silent() -> Mta {
    Mta { presence: Presence::Silent, ..Mta::new("mta1", Script::default()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_a_stream_that_broke_off_are_sent_all_the_same() {
    let mut world = Stage::new().mta(silent()).up().await;
    let lines: Vec<Bytes> =
        (0..JOBS).map(|number| Bytes::from(format!("{}\n", world.job(0, &format!("j-{number}"))))).collect();
    let mut http = world.http().await;
    let results = http.stream(stream::iter(lines).chain(stream::pending())).await.unwrap();
    eventually("all jobs are accepted", || world.board.accepted() == JOBS).await;
    drop((http, results));
    world.mtas[0].open();
    eventually("all jobs are relayed", || world.settled(State::Relayed) == JOBS).await;
    assert_eq!(world.sink().stats().messages, JOBS);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_broke_off_within_its_line_was_never_one() {
    let world = Stage::new().up().await;
    let whole = world.job(0, "whole").to_string();
    let half = world.job(1, "half").to_string();
    let octets = format!("{whole}\n{}", &half[..half.len() - 5]);
    let mut http = world.http().await;
    let mut results =
        http.stream(stream::iter([Bytes::from(octets)]).chain(stream::pending())).await.unwrap();
    assert_eq!(results.next().await.unwrap().unwrap()["job_id"], "whole");
    drop((http, results));
    assert_eq!((world.board.accepted(), world.sink().stats().messages), (1, 1));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_engine_hung_up_is_sent_all_the_same() {
    let mut world = Stage::new().mta(silent()).up().await;
    let mut smtp = world.smtp().await;
    smtp.hand_over(&world.people[0].address(), &world.message(0)).await.unwrap();
    eventually("the message is accepted", || world.board.accepted() == 1).await;
    drop(smtp);
    world.mtas[0].open();
    eventually("the message is relayed", || world.settled(State::Relayed) == 1).await;
    assert_eq!(world.sink().stats().messages, 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_broke_off_before_its_final_dot_was_never_one() {
    let world = Stage::new().up().await;
    let mut smtp = world.smtp().await;
    for command in ["MAIL FROM:<a@shop.example>", &format!("RCPT TO:<{}>", world.people[0].address()), "DATA"]
    {
        assert!(smtp.say(command).await.unwrap().code < 400);
    }
    smtp.tell(world.message(0).as_bytes()).await.unwrap();
    drop(smtp);
    // The next message goes the whole way; by then the first would have, too.
    assert_eq!(world.smtp().await.send(&world.people[1].address(), &world.message(1)).await.code, 250);
    assert_eq!((world.board.accepted(), world.sink().stats().messages), (1, 1));
    world.finish().await;
}
