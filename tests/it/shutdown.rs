//! Stopping with jobs under way.

use crate::set_up::{Mta, Presence, Stage};
use crate::world::eventually;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::net::TcpStream;
use tokenrelay::load::sink::Script;

const JOBS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_is_settled_and_nobody_new_is_let_in() {
    let silent = Mta { presence: Presence::Silent, ..Mta::new("mta1", Script::default()) };
    let mut world = Stage::new().mta(silent).up().await;
    let lines: Vec<Bytes> =
        (0..JOBS).map(|number| Bytes::from(format!("{}\n", world.job(0, &format!("j-{number}"))))).collect();
    let mut http = world.http().await;
    let results = http.stream(stream::iter(lines).chain(stream::pending())).await.unwrap();
    let mut smtp = world.smtp().await;
    smtp.hand_over(&world.people[1].address(), &world.message(1)).await.unwrap();
    let mut idle = world.smtp().await;
    eventually("all are accepted", || world.board.accepted() == JOBS + 1).await;
    let stopping = tokio::spawn(world.app.take().unwrap().stop());
    for door in ["http", "smtp"] {
        let address = world.door(door);
        eventually("new connections are refused", || TcpStream::connect(address).is_err()).await;
    }
    assert_eq!(idle.hear().await.unwrap().code, 421, "an idle engine is told");
    assert!(!stopping.is_finished(), "jobs are waited for");
    world.mtas[0].open();
    let results = results.rest().await.unwrap();
    assert_eq!(results.iter().filter(|result| result["state"] == "relayed").count() as u64, JOBS);
    assert_eq!(smtp.hear().await.unwrap().code, 250);
    world.left_by_stop = Some(stopping.await.unwrap());
    assert_eq!(world.sink().stats().messages, JOBS + 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_relay_stops_at_once_and_cleanly() {
    let mut world = Stage::new().up().await;
    world.http().await.post(&world.job(0, "a")).await;
    world.stop().await;
    assert_eq!(world.left_by_stop, Some(0));
    world.finish().await;
}
