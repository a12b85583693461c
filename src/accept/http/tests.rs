//! The HTTP door against a scripted house, over real sockets on loopback.

use super::*;
use crate::gate::Gate;
use crate::ticket::Board;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

mod keys;
mod odd_bodies;
mod receipts;
mod records;
mod strict;
mod unread;
mod world;
use world::*;

#[tokio::test]
async fn one_job_is_answered_with_its_outcome() {
    let world = World::new().await;
    let (status, result, _) = world.send(post("application/json; charset=utf-8", full(job("c1")))).await;
    assert_eq!((status, &result["state"], &result["job_id"]), (200, &json!("relayed"), &json!("c1")));
    let (_, again, _) = world.send(post("application/json", full(job("c1")))).await;
    assert_eq!(result["send"], again["send"]);
    for (then, expected, reason) in [
        ("unknown-token", 422, "unknown-token"),
        ("no-consent", 422, "no-consent"),
        ("deferred", 503, "target-unavailable"),
        ("in-doubt", 202, "target-unavailable"),
    ] {
        let (status, result, head) = world.send(post("application/json", full(job_then("c2", then)))).await;
        assert_eq!((status, &result["reason"]), (expected, &json!(reason)), "{then}");
        assert_eq!(head.headers().contains_key("retry-after"), status == 503);
    }
    let (status, result, _) =
        world.send(post("application/json", full("{\"job_id\":\"c3\",\"to\":1}"))).await;
    assert_eq!((status, &result["reason"], &result["job_id"]), (400, &json!("bad-job"), &json!("c3")));
    let (status, result, _) = world.send(post("application/json", full(job_then("c4", "break")))).await;
    assert_eq!((status, &result["state"]), (500, &json!("lost")));
    let (status, result, _) = world.send(post("application/json", full(vec![b' '; 1 << 21]))).await;
    assert_eq!((status, &result["reason"]), (413, &json!("too-large")));
    world.close().await;
}

#[tokio::test]
async fn ten_thousand_jobs_in_odd_pieces_have_one_result_each() {
    let world = World::new().await;
    let mut all = Bytes::from((0..10_000).map(|n| job(&format!("c{n}")) + "\n").collect::<String>());
    let mut chunks = Vec::new();
    for cut in (1..5000).map(|n| n * 7919 % 4001 + 1).cycle() {
        if all.is_empty() {
            break;
        }
        chunks.push(all.split_to(cut.min(all.len())));
    }
    let results = world.stream(chunks, None).await;
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for result in &results {
        assert_eq!(result["state"], "relayed");
        *seen.entry(result["job_id"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!((results.len(), seen.len()), (10_000, 10_000));
    let counts = world.close().await;
    assert_eq!(counts.jobs_taken.load(Relaxed), 10_000);
}

#[tokio::test]
async fn bad_lines_are_named_and_the_stream_goes_on() {
    let world = World::with(Limits { job_line_bytes_max: 4096, ..Limits::default() }).await;
    let text = [
        format!("\u{feff}{}\r\n", job("c1")).into_bytes(),
        b"\n{\"job_id\":\"c3\",\"job_id\":\"c3\"}\n".to_vec(),
        vec![b'x'; 5_000_000],
        b"\n{\"job_id\":\"c5\",\"data\":\"\xff\"}\n".to_vec(),
        b"{\"job_id\":\"c6\",\"colour\":1}\n".to_vec(),
        br#"{"job_id":"c7","to":"dana@example.test","template":"t"}"#.to_vec(),
        format!("\n{}", job("c8")).into_bytes(),
    ]
    .concat();
    let results = world.stream(vec![Bytes::from(text)], None).await;
    let by_line: HashMap<u64, &Value> =
        results.iter().filter_map(|result| Some((result["line"].as_u64()?, result))).collect();
    let relayed: Vec<&Value> = results.iter().filter(|result| result["state"] == "relayed").collect();
    assert_eq!((results.len(), relayed.len(), by_line.len()), (7, 2, 5));
    for (line, job_id, reason) in [
        (3, json!("c3"), "bad-job"),
        (4, Value::Null, "bad-job"),
        (5, json!("c5"), "bad-job"),
        (6, json!("c6"), "bad-job"),
        (7, json!("c7"), "not-a-token"),
    ] {
        let result = by_line[&line];
        assert_eq!((&result["job_id"], &result["reason"]), (&job_id, &json!(reason)), "{result}");
        assert_eq!(result["state"], "rejected");
        assert!(!result.to_string().contains("dana") && !result.to_string().contains("colour"));
    }
    world.close().await;
}

#[tokio::test]
async fn compressed_bodies_are_read_and_their_bombs_are_bounded() {
    let world = World::new().await;
    let lines = format!("{}\n{}\n", job("c1"), job("c2"));
    assert_eq!(world.stream(vec![gzip(lines.as_bytes())], Some("gzip")).await.len(), 2);
    assert_eq!(world.stream(vec![zstd_frame(lines.as_bytes(), 17)], Some("zstd")).await.len(), 2);

    let bomb = [vec![b'a'; 4 << 20], format!("\n{}\n", job("c3")).into_bytes()].concat();
    let results = world.stream(vec![gzip(&bomb)], Some("gzip")).await;
    assert_eq!((&results[0]["line"], &results[1]["job_id"]), (&json!(1), &json!("c3")));

    let mut single = post("application/json", full(gzip(&bomb)));
    single.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(world.send(single).await.0, 413);

    // A frame that asks for a window of 128 MiB is refused before anything is set aside for it.
    let results = world.stream(vec![zstd_frame(lines.as_bytes(), 27)], Some("zstd")).await;
    assert_eq!((results.len(), &results[0]["reason"]), (1, &json!("bad-job")));

    // What came before the break is neither lost nor doubled.
    let mut cut = gzip(lines.as_bytes());
    cut.truncate(cut.len() - 4);
    let results = world.stream(vec![cut], Some("gzip")).await;
    let states: Vec<&Value> = results.iter().map(|result| &result["state"]).collect();
    assert_eq!(states.iter().filter(|state| **state == "relayed").count(), 2);
    assert_eq!(states.len(), 3);

    let mut other = post("application/x-ndjson", full(""));
    other.headers_mut().insert("content-encoding", "br".parse().unwrap());
    assert_eq!(world.send(other).await.0, 415);
    world.close().await;
}

fn gzip(text: &[u8]) -> Bytes {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    Bytes::from(encoder.finish().unwrap())
}

/// A zstd frame of blocks of 128 KiB that repeat one byte each (RFC 8878 §3.1.1.2): four bytes a block.
fn zstd_run(byte: u8, blocks: usize) -> Bytes {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (17 - 10) << 3];
    for block in 1..=blocks {
        let header = (128u32 << 10) << 3 | 1 << 1 | u32::from(block == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(byte);
    }
    Bytes::from(frame)
}

#[tokio::test]
async fn c3_a_body_that_unpacks_to_nothing_is_refused_soon_and_jobs_may_swell() {
    let world = World::new().await;
    // A gigabyte each, and 16 MiB.
    for (encoding, bomb) in [
        ("zstd", zstd_run(b'\n', 8192)),
        ("zstd", zstd_run(b' ', 8192)),
        ("zstd", zstd_run(b'x', 8192)),
        ("gzip", gzip(&vec![b'\n'; 16 << 20])),
        ("gzip", gzip("\r\n".repeat(8 << 20).as_bytes())),
    ] {
        let mut request = post("application/x-ndjson", full(bomb));
        request.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        let (status, problem, _) = world.send(request).await;
        assert_eq!(
            (status, &problem["type"]),
            (413, &json!("urn:tokenrelay:problem:body-swells")),
            "{problem}"
        );
        assert!(problem["detail"].as_str().unwrap().contains("send one job a line"), "{problem}");
    }

    // As it is, and in members that hold nothing.
    let blank = Bytes::from(vec![b'\n'; 16 << 20]);
    let empty = Bytes::from(gzip(b"").repeat(100_000));
    for (encoding, body) in [("identity", blank), ("gzip", empty)] {
        let mut request = post("application/x-ndjson", full(body.clone()));
        request.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        request.headers_mut().insert("content-length", body.len().into());
        let (status, problem, _) = world.send(request).await;
        let kind = &problem["type"];
        assert_eq!((status, kind), (413, &json!("urn:tokenrelay:problem:body-swells")), "{problem}");
    }

    // What came before it is neither lost nor doubled, and the last result says where reading ended.
    let lines = format!("{}\n{}\n", job("c1"), job("c2"));
    for filler in ["\n", "no job\n"] {
        let bomb = [lines.as_str(), &filler.repeat((16 << 20) / filler.len()), &lines].concat();
        let mut results = world.stream(vec![gzip(bomb.as_bytes())], Some("gzip")).await;
        let last = results.pop().unwrap();
        assert_eq!((&last["reason"], last["line"].is_u64()), (&json!("too-large"), true), "{last}");
        let relayed = results.iter().filter(|result| result["state"] == "relayed").count();
        assert!(relayed == 2 && results.len() < 30_000, "{relayed} of {}", results.len());
    }

    // Jobs that differ in nothing but their ids compress well past the ratio.
    let wide = |number: usize| {
        let mut wide: Value = serde_json::from_str(&job(&format!("w{number}"))).unwrap();
        wide["data"] = json!({ "text": "all the same ".repeat(4000) });
        format!("{wide}\n\n")
    };
    let many: String = (0..300).map(wide).collect();
    let packed = gzip(many.as_bytes());
    assert!(many.len() > 200 * packed.len() && many.len() > 12 << 20, "{} {}", many.len(), packed.len());
    let results = world.stream(vec![packed], Some("gzip")).await;
    assert!(results.len() == 300 && results.iter().all(|result| result["state"] == "relayed"));
    world.close().await;
}

/// A zstd frame of one raw block, asking for a window of `2^window_log` bytes (RFC 8878 §3.1.1).
fn zstd_frame(text: &[u8], window_log: u8) -> Bytes {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (window_log - 10) << 3];
    let header = (text.len() as u32) << 3 | 1;
    frame.extend_from_slice(&header.to_le_bytes()[..3]);
    frame.extend_from_slice(text);
    Bytes::from(frame)
}

#[tokio::test]
async fn results_come_while_jobs_are_still_written() {
    let world = World::new().await;
    let (lines, body) = tokio::sync::mpsc::channel::<Bytes>(1);
    let frames =
        stream::unfold(body, |mut body| async move { Some((Ok(Frame::data(body.recv().await?)), body)) });
    let request = post("application/x-ndjson", BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(frames)))));
    let mut response = world.client().await.send_request(request).await.unwrap().into_body();
    for n in 0..20 {
        lines.send(Bytes::from(job(&format!("c{n}")) + "\n")).await.unwrap();
        let result = response.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&result).unwrap()["job_id"], format!("c{n}"));
    }
    drop(lines);
    assert!(response.frame().await.is_none());
    world.close().await;
}

#[tokio::test]
async fn a_compressed_stream_is_answered_as_far_as_it_was_flushed() {
    use std::io::Write;
    let world = World::new().await;
    let (pieces, body) = tokio::sync::mpsc::channel::<Bytes>(1);
    let frames =
        stream::unfold(body, |mut body| async move { Some((Ok(Frame::data(body.recv().await?)), body)) });
    let mut request =
        post("application/x-ndjson", BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(frames)))));
    request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    let mut response = world.client().await.send_request(request).await.unwrap().into_body();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for n in 0..5 {
        encoder.write_all((job(&format!("c{n}")) + "\n").as_bytes()).unwrap();
        encoder.flush().unwrap();
        pieces.send(Bytes::from(std::mem::take(encoder.get_mut()))).await.unwrap();
        let result = response.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&result).unwrap()["job_id"], format!("c{n}"));
    }
    pieces.send(Bytes::from(encoder.finish().unwrap())).await.unwrap();
    drop(pieces);
    assert!(response.frame().await.is_none());
    world.close().await;
}

/// `BoxBody` asks for `Sync`; a stream is only ever polled by one task.
struct SyncStream(
    std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync>>,
);

impl futures_util::Stream for SyncStream {
    type Item = Result<Frame<Bytes>, Infallible>;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_job_unsettled_and_its_half_line_is_no_job() {
    let world = World::new().await;
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let lines: String = (0..10).map(|n| job_then(&format!("c{n}"), "wait") + "\n").collect();
    let half = job("half");
    let chunk = format!("{lines}{half}");
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nhost: relay\r\nauthorization: {KEY}\r\ncontent-type: application/x-ndjson\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n",
        chunk.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    while world.board.accepted() < 10 {
        tokio::task::yield_now().await;
    }
    drop(socket);
    while world.counts.connections_open.load(Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
    world.released.add_permits(10);
    let board = world.board.clone();
    let counts = world.close().await;
    assert_eq!((board.accepted(), board.settled(crate::fault::State::Relayed)), (10, 10));
    assert_eq!(counts.results_undelivered.load(Relaxed), 10);
}

#[tokio::test]
async fn jobs_are_read_only_as_far_as_there_is_room() {
    let world = World::with(Limits { stream_jobs_max: 8, ..Limits::default() }).await;
    let body: String = (0..5000).map(|n| job_then(&format!("c{n}"), "wait") + "\n").collect();
    let request = post("application/x-ndjson", full(body));
    let response = world.client().await.send_request(request).await.unwrap();
    while world.board.accepted() < 8 {
        tokio::task::yield_now().await;
    }
    // Nothing settles, so nothing more is read, however long one looks.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!((world.board.accepted(), world.gate.free()), (8, JOBS_MAX - 8));
    world.released.add_permits(5000);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(memchr::memchr_iter(b'\n', &body).count(), 5000);
    world.close().await;
}

#[tokio::test]
async fn a_client_that_takes_no_results_loses_its_request_and_no_job() {
    let limits = Limits { stall_max: Duration::from_millis(200), ..Limits::default() };
    let world = World::with(limits).await;
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nhost: relay\r\nauthorization: {KEY}\r\ncontent-type: application/x-ndjson\r\n\
         content-length: 1000000000\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let lines: String = (0..500).map(|n| job(&format!("c{n}")) + "\n").collect();
    // Writing goes on until the relay ends it: first flow control, then the stall deadline.
    while socket.write_all(lines.as_bytes()).await.is_ok() {}
    let counts = world.close().await;
    assert_eq!(counts.streams_stalled.load(Relaxed), 1);
}

#[tokio::test]
async fn keys_are_refused_in_the_same_words() {
    let world = World::with(Limits { wrong_key_delay: Duration::ZERO, ..Limits::default() }).await;
    let request = |key: &[&str]| {
        let mut request = post("application/json", full(job("c1")));
        request.headers_mut().remove("authorization");
        key.iter().for_each(|key| {
            request.headers_mut().append("authorization", key.parse().unwrap());
        });
        request
    };
    let mut told = Vec::new();
    for key in [&[] as &[&str], &["Bearer wrong"], &[KEY, KEY], &["Basic k-campaigns"]] {
        let (status, problem, head) = world.send(request(key)).await;
        assert_eq!(status, 401, "{key:?}");
        assert_eq!(head.headers()["content-type"], "application/problem+json");
        assert!(head.headers().contains_key("www-authenticate"));
        told.push(problem.to_string());
    }
    told.dedup();
    assert_eq!(told.len(), 1);
    assert_eq!(world.board.accepted(), 0);
    world.close().await;
}

#[tokio::test]
async fn an_engine_over_its_rate_is_told_so() {
    let world = World::with(Limits { quota_wait_max: Duration::ZERO, ..Limits::default() }).await;
    let body: String = (0..5).map(|n| job(&format!("c{n}")) + "\n").collect();
    let mut request = post("application/x-ndjson", full(body));
    request.headers_mut().insert("authorization", "Bearer k-slow".parse().unwrap());
    let response = world.client().await.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    assert_eq!((text.matches("relayed").count(), text.matches("over-quota").count()), (2, 3), "{text}");
    let mut single = post("application/json", full(job("c9")));
    single.headers_mut().insert("authorization", "Bearer k-slow".parse().unwrap());
    assert_eq!(world.send(single).await.0, 429);
    world.close().await;
}

#[tokio::test]
async fn pages_and_problems() {
    let world = World::new().await;
    assert_eq!(world.send(get("/livez")).await.0, 200);
    let (status, ready, _) = world.send(get("/readyz")).await;
    assert_eq!((status, &ready["problems"][0]), (503, &json!("vault: sealed")));
    let (status, _, head) = world.send(get("/metrics")).await;
    assert_eq!(status, 200);
    assert!(head.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let (status, limits, _) = world.send(get("/v1/limits")).await;
    assert_eq!(
        (status, &limits["job_bytes_max"], &limits["engine"]),
        (200, &json!(1048576), &json!("campaigns"))
    );
    assert_eq!(world.send(get("/openapi.json")).await.1["info"]["title"], "tokenrelay");
    for path in ["/v1/jobs", "/v1/jobs/c1", "/v1/campaigns/c42", "/v1/events"] {
        let (status, problem, _) = world.send(get(path)).await;
        assert_eq!((status, &problem["status"]), (501, &json!(501)));
        let mut nobody = get(path);
        nobody.headers_mut().remove("authorization");
        assert_eq!(world.send(nobody).await.0, 401);
    }
    let (status, problem, _) = world.send(get("/no/such")).await;
    assert_eq!((status, &problem["type"]), (404, &json!("urn:tokenrelay:problem:not-found")));
    let mut delete = get("/v1/jobs");
    *delete.method_mut() = hyper::Method::DELETE;
    let (status, _, head) = world.send(delete).await;
    assert_eq!((status, head.headers()["allow"].to_str().unwrap()), (405, "GET, HEAD, POST"));
    assert_eq!(world.send(post("text/plain", full(""))).await.0, 415);
    world.close().await;
}

#[tokio::test]
async fn odd_requests_have_one_answer_each() {
    let world = World::new().await;
    let job = job("c1");
    let length = job.len();
    for (headers, body, expected) in [
        (
            format!("content-length: {length}\r\ntransfer-encoding: chunked"),
            format!("{length:x}\r\n{job}\r\n0\r\n\r\n"),
            "200",
        ),
        (format!("content-length: {length}\r\ncontent-length: 5"), job.clone(), "400"),
        (format!("content-length: {length}\r\nexpect: 100-continue"), job.clone(), "100"),
    ] {
        let mut socket = TcpStream::connect(world.address).await.unwrap();
        let request = format!(
            "POST /v1/jobs HTTP/1.1\r\nhost: relay\r\nconnection: close\r\nauthorization: {KEY}\r\n\
             content-type: application/json\r\n{headers}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let answer = read_all(&mut socket).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{headers}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1 + usize::from(expected == "100"), "{answer}");
    }
    assert_eq!(world.board.accepted(), 2);
    world.close().await;
}

#[tokio::test]
async fn a_stream_that_waits_for_100_continue_gets_it() {
    let world = World::new().await;
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let job = job("c1");
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nhost: relay\r\nconnection: close\r\nauthorization: {KEY}\r\n\
         content-type: application/x-ndjson\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        job.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0u8; 25];
    socket.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(job.as_bytes()).await.unwrap();
    let answer = read_all(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("relayed"), "{answer}");
    world.close().await;
}

#[tokio::test]
async fn idle_connections_end_and_those_over_the_bound_are_turned_away() {
    let limits = Limits { connections_max: 1, idle_max: Duration::from_millis(50), ..Limits::default() };
    let world = World::with(limits).await;
    let mut silent = TcpStream::connect(world.address).await.unwrap();
    while world.counts.connections_open.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let mut second = TcpStream::connect(world.address).await.unwrap();
    assert!(read_all(&mut second).await.starts_with("HTTP/1.1 503"));
    assert_eq!(read_all(&mut silent).await, "");
    let counts = world.close().await;
    assert_eq!(counts.connections_refused.load(Relaxed), 1);
}

#[tokio::test]
async fn closing_takes_no_more_jobs_and_answers_those_taken() {
    let world = World::new().await;
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let line = job_then("c1", "wait") + "\n";
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nhost: relay\r\nauthorization: {KEY}\r\ncontent-type: application/x-ndjson\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{line}\r\n",
        line.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    while world.board.accepted() < 1 {
        tokio::task::yield_now().await;
    }
    let released = world.released.clone();
    let closing = tokio::spawn(world.close());
    tokio::task::yield_now().await;
    released.add_permits(1);
    let answer = read_all(&mut socket).await;
    assert!(answer.contains("\"state\":\"relayed\"") && answer.ends_with("0\r\n\r\n"), "{answer}");
    closing.await.unwrap();
}

#[tokio::test]
async fn http2_over_tls_takes_streams_too() {
    let made = rcgen::generate_simple_self_signed(vec![String::from("localhost")]).unwrap();
    let chain = vec![made.cert.der().clone()];
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let builder = rustls::ServerConfig::builder_with_provider(crate::tls::provider());
    let mut server = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.clone(), key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(server));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let board = Arc::new(Board::default());
    let settings = Settings {
        house: house(Gate::new(JOBS_MAX, 1 << 20), board.clone(), Arc::new(Semaphore::new(0))),
        token_domains: vec![String::from("tokens.example")].into(),
        quotas: Arc::default(),
        limits: Limits::default(),
        ready: Arc::new(Ready::default),
        metrics: Arc::new(String::new),
        counts: Arc::default(),
        ledger: None,
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let tls = DoorTls::Implicit(Arc::new(move || acceptor.clone()));
    let door = tokio::spawn(serve(listener, tls, settings, async move { drop(stopped.await) }));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(chain[0].clone()).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(crate::tls::provider());
    let mut client = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let socket = TcpStream::connect(address).await.unwrap();
    let socket = connector.connect("localhost".try_into().unwrap(), socket).await.unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, TestBody>(executor, TokioIo::new(socket))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let body: String = (0..2000).map(|n| job(&format!("c{n}")) + "\n").collect();
    let mut request = post("application/x-ndjson", full(body));
    *request.uri_mut() = "https://localhost/v1/jobs".parse().unwrap();
    request.headers_mut().remove("host");
    let response = sender.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(memchr::memchr_iter(b'\n', &body).count(), 2000);
    assert_eq!((board.accepted(), board.open()), (2000, 0));
    drop(sender);
    let _ = connection.await;
    stop.send(()).unwrap();
    door.await.unwrap();
}
