//! Jobs that come together, share something, or end together.

use super::*;

#[tokio::test]
async fn jobs_of_one_call_may_repeat_each_other() {
    let place = Place::new();
    let first = Arc::new(job());
    let body = Body::of(&first);
    let jobs = vec![(first.clone(), body, How::Queued), (first, body, How::Queued)];
    let held = place.journal().hold(jobs).await.unwrap();
    assert!(matches!(held[..], [Held::New(_), Held::Before(Outcome::Journaled(_))]));
    place.check();
}

#[tokio::test]
async fn what_ends_in_one_commit_ends_once_each_and_leaves_its_neighbours_alone() {
    let place = Place::new();
    let entries = (0..90).map(|_| Arc::new(job())).map(|job| (job.clone(), Body::of(&job), How::Queued));
    place.journal().hold(entries.collect()).await.unwrap();
    let claimed = place.claim(false).await;
    assert_eq!(claimed.len(), 90);
    let mut ended: Vec<Number> = claimed.iter().map(|claimed| claimed.number).collect();
    let kept: Vec<Number> = ended.extract_if(.., |number| number.0 % 7 == 0).collect();
    ended.reverse();
    for number in &ended {
        place.journal().settle(*number, relayed()).await;
    }
    place.journal().settle(ended[3], Outcome::Failed(refused())).await;
    place.settle(kept[0], Outcome::Journaled(Repeat::No)).await;
    let in_state = |state| place.number(&format!("SELECT count(*) FROM job WHERE state = '{state}'"));
    assert_eq!((in_state("relayed"), in_state("journaled")), (ended.len() as i64, kept.len() as i64));
    assert_eq!(place.number("SELECT count(*) FROM event WHERE state = 'relayed'"), ended.len() as i64);
    assert_eq!(place.number("SELECT count(*) FROM flight"), kept.len() as i64 - 1);
    place.check();
}

#[tokio::test]
async fn a_body_that_many_share_lies_there_once() {
    let place = Place::new();
    let text = "x".repeat(20_000);
    let mut jobs = Vec::new();
    for number in 0..50 {
        let job = Arc::new(message(&format!("X-Number: {number}"), &text));
        let body = Body::of(&job);
        jobs.push((job, body, How::Queued));
    }
    let held = place.journal().hold(jobs).await.unwrap();
    assert_eq!(held.len(), 50);
    assert_eq!(place.number("SELECT count(*) FROM content"), 1);
    assert_eq!(place.number("SELECT uses FROM content"), 50);
    assert!(place.number("SELECT held_bytes FROM journal") < 60_000);
    place.check();
    for claimed in place.claim(false).await {
        place.journal().settle(claimed.number, relayed()).await;
    }
    place.settle(Number(0), Outcome::Lost).await;
    assert_eq!(place.number("SELECT count(*) FROM content"), 0);
    place.check();
}
