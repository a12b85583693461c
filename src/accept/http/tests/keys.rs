//! Wrong keys: who is locked out by them, and who is not.

use super::*;
use crate::engine::Engines;
use hyper::Request;
use hyper::client::conn::http1::SendRequest;

fn with_key(key: &str) -> Request<TestBody> {
    let mut request = get("/v1/limits");
    request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}

async fn ask(client: &mut SendRequest<TestBody>, key: &str) -> u16 {
    client.ready().await.unwrap();
    let response = client.send_request(with_key(key)).await.unwrap();
    let status = response.status().as_u16();
    response.into_body().collect().await.unwrap();
    status
}

#[tokio::test]
async fn p11_a_guessing_source_is_locked_out_but_for_the_engines_it_has_shown() {
    let limits = Limits { wrong_keys_max: 3, wrong_key_delay: Duration::ZERO, ..Limits::default() };
    let world = World::with(limits).await;
    let mut good = world.client().await;
    assert_eq!(ask(&mut good, "k-campaigns").await, 200);
    for (key, expected) in
        [("a", 401), ("a", 401), ("b", 401), ("a", 401), ("c", 401), ("d", 429), ("a", 429)]
    {
        assert_eq!(world.send(with_key(key)).await.0, expected, "{key}");
    }
    assert_eq!(world.send(with_key("k-slow")).await.0, 429, "a right guess is not told from a wrong one");
    assert_eq!(world.send(get("/v1/limits")).await.0, 200, "on a new connection");
    assert_eq!(ask(&mut good, "k-campaigns").await, 200);
    for number in 0..30 {
        world.send(with_key(&format!("guess-{number}"))).await;
    }
    assert_eq!(world.send(get("/v1/limits")).await.0, 429);
    assert_eq!(ask(&mut good, "k-campaigns").await, 200);
    world.close().await;
}

#[tokio::test]
async fn p11_a_right_key_lifts_no_limit_of_wrong_ones_on_its_connection() {
    let limits = Limits { wrong_keys_max: 3, wrong_key_delay: Duration::ZERO, ..Limits::default() };
    let world = World::with(limits).await;
    let mut client = world.client().await;
    let mut wrong = Vec::new();
    for number in 0..40 {
        assert_eq!(ask(&mut client, "k-campaigns").await, if number < 30 { 200 } else { 429 }, "{number}");
        wrong.push(ask(&mut client, &format!("guess-{number}")).await);
    }
    // Each was said to be wrong while the connection was known, and counted; then it ends.
    assert!(
        wrong[..30].iter().all(|status| *status == 401) && wrong[30..].iter().all(|status| *status == 429)
    );
    world.close().await;
}

#[tokio::test]
async fn a_body_ends_with_the_key_that_opened_it() {
    let world = World::new().await;
    let (lines, body) = tokio::sync::mpsc::channel::<Bytes>(1);
    let frames =
        stream::unfold(body, |mut body| async move { Some((Ok(Frame::data(body.recv().await?)), body)) });
    let request = post("application/x-ndjson", BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(frames)))));
    let mut response = world.client().await.send_request(request).await.unwrap().into_body();
    lines.send(Bytes::from(job("c0") + "\n")).await.unwrap();
    assert!(response.frame().await.unwrap().is_ok());
    world.engines.send_replace(Arc::new(Engines::new(vec![])));
    lines.send(Bytes::from(job("c1") + "\n")).await.unwrap();
    drop(lines);
    let last = response.frame().await.unwrap().unwrap().into_data().unwrap();
    let last: Value = serde_json::from_slice(&last).unwrap();
    assert!(last["job_id"].is_null() && last["line"].is_null(), "it names no job: {last}");
    assert_eq!(last["state"], "rejected");
    assert!(last["detail"].as_str().unwrap().starts_with("the key was taken away"), "{last}");
    assert!(response.frame().await.is_none(), "nothing became of the second");
    assert_eq!(world.board.accepted(), 1);
    world.close().await;
}
