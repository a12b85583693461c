//! Bodies that cost more to read than to send.

use super::*;

/// A byte a chunk: every job has its result, whatever the lines are.
#[tokio::test]
async fn c3_a_stream_in_chunks_of_one_byte_is_read_like_any_other() {
    let world = World::new().await;
    let deep =
        format!("{{\"job_id\":\"deep\",\"data\":{{\"a\":{}1{}}}}}", "[".repeat(3000), "]".repeat(3000));
    let text = [job("c1"), deep, "x".repeat(500), job("c4")].join("\n");
    let results =
        world.stream(text.bytes().map(|byte| Bytes::copy_from_slice(&[byte])).collect(), None).await;
    let told = |line: usize| results.iter().find(|result| result["line"] == line).unwrap();
    let relayed: Vec<_> = results.iter().filter(|result| result["state"] == "relayed").collect();
    assert_eq!((results.len(), relayed.len()), (4, 2));
    assert_eq!(told(2)["job_id"], "deep");
    assert!(told(2)["detail"].as_str().unwrap().contains("120 levels deep"), "{}", told(2));
    assert_eq!(told(3)["reason"], "bad-job");
    world.close().await;
}

#[tokio::test]
async fn c3_deep_nesting_is_a_bad_job_and_no_more() {
    let world = World::new().await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for closes in [0, 100_000] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(closes));
            let body = format!("{{\"job_id\":\"d\",\"data\":{{\"a\":{deep}}}}}");
            let (status, result, _) = world.send(post("application/json", full(body))).await;
            assert_eq!((status, &result["reason"]), (400, &json!("bad-job")));
            assert!(result["detail"].as_str().unwrap().contains("120 levels deep"), "{result}");
            // Where it stands in for a job, or for a key nobody knows, as well.
            for body in [deep.clone(), format!("{{\"colour\":{deep},\"job_id\":\"d\"}}")] {
                assert_eq!(world.send(post("application/json", full(body))).await.0, 400);
            }
        }
    }
    world.close().await;
}
