//! Bodies that the door does not need, or not to their end.

use super::*;
use hyper::Request;
use hyper::client::conn::http2;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

const PIECES: usize = 32;

/// A body of 2 MiB that gives its next piece when the one before was taken, and closes the channel with the last one.
fn long_body() -> (TestBody, mpsc::Receiver<()>) {
    let (taken, all_taken) = mpsc::channel(PIECES);
    let pieces = stream::unfold((0, taken), |(count, taken)| async move {
        if count == PIECES {
            taken.send(()).await.unwrap();
            return None;
        }
        tokio::task::yield_now().await;
        let piece: Result<_, Infallible> = Ok(Frame::data(Bytes::from(vec![b'a'; 64 * 1024])));
        Some((piece, (count + 1, taken)))
    });
    (BodyExt::boxed(StreamBody::new(pieces)), all_taken)
}

fn early_answers() -> Vec<(u16, Request<TestBody>, mpsc::Receiver<()>)> {
    let request = |status: u16, content_type: &str, key: &str, path: &str| {
        let (body, all_taken) = long_body();
        let mut request = post(content_type, body);
        *request.uri_mut() = format!("http://relay{path}").parse().unwrap();
        request.headers_mut().insert("authorization", HeaderValue::from_str(key).unwrap());
        (status, request, all_taken)
    };
    vec![
        request(413, "application/json", KEY, "/v1/jobs"),
        request(415, "text/plain", KEY, "/v1/jobs"),
        request(400, "application/json", KEY, "/v1/jobs?colour=blue"),
        request(401, "application/json", "Bearer nobody", "/v1/jobs"),
        request(404, "application/json", KEY, "/v1/nothing"),
        request(405, "application/json", KEY, "/v1/limits"),
    ]
}

/// A client that writes everything before it reads has its answer too, and its connection goes on.
#[tokio::test]
async fn what_is_left_of_a_body_is_read_behind_an_early_answer_over_http2() {
    let world = World::new().await;
    let socket = TcpStream::connect(world.address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake::<_, _, TestBody>(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    let connection = tokio::spawn(connection);
    for (status, mut request, mut all_taken) in early_answers() {
        request.headers_mut().remove("host");
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(all_taken.recv().await, Some(()), "{status}");
        assert!(!response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
    drop(sender);
    let _ = connection.await;
    world.close().await;
}

#[tokio::test]
async fn what_is_left_of_a_body_is_read_behind_an_early_answer_over_http1() {
    let world = World::new().await;
    let mut sender = world.client().await;
    for (status, request, mut all_taken) in early_answers() {
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(all_taken.recv().await, Some(()), "{status}");
        response.into_body().collect().await.unwrap();
    }
    drop(sender);
    world.close().await;
}

/// Nobody keeps a connection by a body without an end, with or without a key.
#[tokio::test]
async fn the_rest_of_a_body_is_bounded_in_time() {
    let limits = Limits {
        rest_max: Duration::from_millis(800),
        rest_silence_max: Duration::from_millis(300),
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let head = "POST /v1/jobs HTTP/1.1\r\nhost: relay\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut endless = TcpStream::connect(world.address).await.unwrap();
    endless.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'a'; 0x10000], b"\r\n"].concat();
    let sending = async { while endless.write_all(&chunk).await.is_ok() {} };
    timeout(Duration::from_secs(9), sending).await.unwrap();
    let mut silent = TcpStream::connect(world.address).await.unwrap();
    silent.write_all(head.as_bytes()).await.unwrap();
    let answer = timeout(Duration::from_secs(9), read_all(&mut silent)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    world.close().await;
}

/// A file of jobs under the wrong type, sent by a client that reads nothing before it has written it all.
#[tokio::test]
async fn b_the_answer_to_a_long_body_outlives_it() {
    const CHUNK: &[u8] = &[b'a'; 0x10000];
    const CHUNKS: usize = 640;
    let world = World::new().await;
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nhost: relay\r\nauthorization: {KEY}\r\ncontent-type: text/plain\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        CHUNKS * CHUNK.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..CHUNKS {
        socket.write_all(CHUNK).await.unwrap();
    }
    let answer = timeout(Duration::from_secs(9), read_all(&mut socket)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
    world.close().await;
}

#[tokio::test]
async fn who_waits_for_100_continue_is_told_at_once_and_sends_nothing() {
    let world = World::new().await;
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let head = "POST /v1/jobs HTTP/1.1\r\nhost: relay\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let answer = timeout(Duration::from_secs(4), read_all(&mut socket)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    world.close().await;
}
