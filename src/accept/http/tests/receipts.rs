//! `?respond=ledger`: bodies of clients that read nothing before they have written everything.

use super::*;
use crate::accept::http::tests::records::world;
use crate::job::Acceptance;

fn for_receipt(content_type: &str, body: TestBody) -> hyper::Request<TestBody> {
    let mut request = post(content_type, body);
    *request.uri_mut() = "/v1/jobs?respond=ledger".parse().unwrap();
    request
}

const NDJSON: &str = "application/x-ndjson";

#[tokio::test]
async fn d_a_body_of_any_length_is_answered_once_with_its_counts() {
    // A queue of results that nobody reads would be full soon.
    let (world, records) =
        world(Limits { stream_jobs_max: 4, stall_max: Duration::from_millis(50), ..Limits::default() }).await;
    records.add_event("campaigns");
    let mut lines: Vec<String> = (0..5000).map(|n| job(&format!("c{n}"))).collect();
    lines.extend((0..1500).map(|n| job_then(&format!("u{n}"), "unknown-token")));
    lines.extend([job_then("d1", "in-doubt"), job_then("d2", "deferred"), "no job".into(), String::new()]);
    let (status, told, head) = world.send(for_receipt(NDJSON, full(lines.join("\n")))).await;
    assert_eq!(
        (status, &head.headers()["content-type"]),
        (202, &"application/json".parse().unwrap()),
        "{told}"
    );
    let numbers = ["jobs", "accepted", "refused", "refusals_left_out", "after"]
        .map(|name| told[name].as_u64().unwrap());
    assert_eq!(numbers, [6503, 5001, 1502, 502, 1]);
    assert_eq!(told["complete"], true);
    let refusals = told["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 1000);
    assert!(refusals.iter().all(|refusal| refusal["state"] != "relayed" && refusal["line"].is_u64()));
    let of = |state: &str, reason: Value| {
        let counts = told["counts"].as_array().unwrap();
        counts
            .iter()
            .find(|count| count["state"] == state && count["reason"] == reason)
            .map(|count| count["jobs"].clone())
    };
    assert_eq!(of("relayed", Value::Null), Some(json!(5000)));
    assert_eq!(of("rejected", json!("unknown-token")), Some(json!(1500)));
    assert_eq!(of("rejected", json!("bad-job")), Some(json!(1)));
    assert_eq!(of("deferred", json!("target-unavailable")), Some(json!(1)));
    assert_eq!(of("unknown", json!("target-unavailable")), Some(json!(1)));
    let counts = world.close().await;
    assert_eq!((counts.streams_stalled.load(Relaxed), counts.results_undelivered.load(Relaxed)), (0, 0));
}

#[tokio::test]
async fn d_nothing_is_promised_of_a_body_that_was_not_read_to_its_end() {
    let (world, records) = world(Limits::default()).await;
    let mut broken = for_receipt(NDJSON, full(format!("{}\n", job("c1"))));
    broken.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    let (status, told, _) = world.send(broken).await;
    assert_eq!((status, &told["type"]), (400, &json!("urn:tokenrelay:problem:body-broken")));
    assert_eq!((&told["complete"], &told["accepted"]), (&json!(false), &json!(0)));
    // What broke off is no job that was refused.
    assert_eq!((&told["jobs"], &told["refused"], &told["refusals"]), (&json!(0), &json!(0), &json!([])));
    let blank = format!("{}{}\n", "\n".repeat(250_000), job("c2"));
    let (status, told, _) = world.send(for_receipt(NDJSON, full(blank))).await;
    assert_eq!(
        (status, &told["type"], &told["complete"]),
        (413, &json!("urn:tokenrelay:problem:body-swells"), &json!(false))
    );
    assert_eq!((&told["jobs"], &told["counts"]), (&json!(0), &json!([])));
    records.is_broken.store(true, Relaxed);
    assert_eq!(world.send(for_receipt(NDJSON, full(job("c3")))).await.0, 503);
    assert_eq!(world.send(for_receipt("application/json", full(job("c3")))).await.0, 503);
    world.close().await;
}

#[tokio::test]
async fn d_a_door_that_closes_says_how_far_it_has_read() {
    let (mut world, _) = world(Limits::default()).await;
    let (feed, body) = tokio::sync::mpsc::channel::<Bytes>(1);
    let frames = stream::unfold(body, |mut body| async {
        let piece = body.recv().await?;
        Some((Ok(Frame::data(piece)), body))
    });
    let body = BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(frames))));
    let request = for_receipt(NDJSON, body);
    let mut client = world.client().await;
    let asked = tokio::spawn(async move { client.send_request(request).await.unwrap() });
    feed.send(Bytes::from(job("c1") + "\n")).await.unwrap();
    while world.counts.jobs_taken.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    world.stop.take().unwrap().send(()).unwrap();
    let response = asked.await.unwrap();
    assert_eq!(response.status(), 503);
    let told: Value =
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!((&told["complete"], &told["accepted"]), (&json!(false), &json!(1)));
    drop(feed);
    (&mut world.door).await.unwrap();
}

#[tokio::test]
async fn d_one_job_is_answered_as_always_but_never_with_200() {
    let (world, _) = world(Limits::default()).await;
    for (then, expected) in [("", 202), ("in-doubt", 202), ("unknown-token", 422), ("deferred", 503)] {
        let (status, told, _) = world.send(for_receipt("application/json", full(job_then("c1", then)))).await;
        assert_eq!((status, &told["job_id"]), (expected, &json!("c1")), "{then}");
    }
    world.close().await;
}

#[tokio::test]
async fn d_where_nothing_is_kept_a_receipt_is_refused_with_what_to_do() {
    let handoff =
        World::keeping(Limits::default(), Acceptance::Handoff, Some(Arc::new(records::Records::default())))
            .await;
    for world in [World::new().await, handoff] {
        for kind in [NDJSON, "application/json"] {
            let (status, told, _) = world.send(for_receipt(kind, full(job("c1")))).await;
            assert_eq!((status, &told["type"]), (400, &json!("urn:tokenrelay:problem:no-ledger-here")));
            let detail = told["detail"].as_str().unwrap();
            assert!(
                detail.contains("\"auto\" or \"journal\"") && detail.contains("leave ?respond=ledger out"),
                "{detail}"
            );
        }
        // What is not understood is not taken for a wish to send.
        for query in ["respond=later", "respond", "dry_run=1", "campaign=c42", "respond=%ff"] {
            let mut request = post("application/json", full(job("c1")));
            *request.uri_mut() = format!("/v1/jobs?{query}").parse().unwrap();
            let (status, told, _) = world.send(request).await;
            assert_eq!((status, &told["type"]), (400, &json!("urn:tokenrelay:problem:bad-query")), "{query}");
        }
        assert_eq!(world.close().await.jobs_taken.load(Relaxed), 0);
    }
}
