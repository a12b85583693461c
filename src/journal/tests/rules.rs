//! What becomes of a job, rule by rule.

use super::*;
use crate::fault::{Reason, State};
use std::time::SystemTime;

#[tokio::test]
async fn a_held_job_comes_back_as_it_was_and_ends() {
    let place = Place::new();
    let mut odd = message("Subject: \u{e9}\r\nTo: e_684384628@tokens.example", "body\r\n\r\nmore");
    odd.sender = Some("".into());
    odd.require_tls = true;
    odd.purpose = Some("service".into());
    // Whole milliseconds, as the contract's timestamps are at most.
    odd.expires = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(clock::wall_ms() as u64 + 500_000));
    let latin = job_of(Content::Message(b"Subject: caf\xe9\r\n\r\n\xff\xfe".to_vec().into()));
    let headless = job_of(Content::Message(b"Subject: no body".to_vec().into()));
    let same = |job: &Job| Job { send: job.send.clone(), ..copy(job) };
    for job in [job(), inline("hello"), odd, latin, headless] {
        let (send, expected) = (job.send.clone(), same(&job));
        let number = place.held(job, How::Queued).await;
        assert_eq!(place.outcome(&send).await, Outcome::Journaled(Repeat::No));
        let mut claimed = place.claim(false).await;
        let claimed = claimed.pop().unwrap();
        assert_eq!((claimed.number, claimed.attempt, &*claimed.engine), (number, 1, "campaigns"));
        assert_eq!(place.number("SELECT count(*) FROM flight"), 1, "the disk knows");
        let read = Job { read_at: expected.read_at, ..claimed.job.into_job(expected.engine.clone()) };
        assert!(is_same(&read, &expected), "{read:?}\n{expected:?}");
        place.journal().offered(number).unwrap();
        place.settle(number, relayed()).await;
        assert_eq!(place.outcome(&send).await, relayed());
        place.check();
    }
    assert_eq!(place.number("SELECT held_bytes + held_jobs FROM journal"), 0);
    assert_eq!(place.number("SELECT count(*) FROM content"), 0);
    assert_eq!(place.journal().stats().in_flight, 0);
    assert_eq!(place.number("SELECT count(*) FROM event"), 10);
}

pub fn copy(job: &Job) -> Job {
    Job {
        send: job.send.clone(),
        job_id: job.job_id.clone(),
        engine: job.engine.clone(),
        token: job.token.clone(),
        content: job.content.clone(),
        data: job.data.clone(),
        locale: job.locale.clone(),
        campaign: job.campaign.clone(),
        purpose: job.purpose.clone(),
        target: job.target.clone(),
        expires: job.expires,
        sender: job.sender.clone(),
        require_tls: job.require_tls,
        repeat: job.repeat,
        read_at: job.read_at,
    }
}

#[tokio::test]
async fn the_same_job_is_known_and_another_body_is_told_apart() {
    let place = Place::new();
    let first = job();
    let (again, mut other) = (copy(&first), copy(&first));
    other.locale = None;
    place.held(first, How::Queued).await;
    assert!(matches!(place.hold(copy(&again), How::Queued).await, Ok(Held::Before(Outcome::Journaled(_)))));
    assert!(matches!(place.hold(other, How::Queued).await, Ok(Held::Other)));
    let claimed = place.claim(false).await.pop().unwrap();
    place.settle(claimed.number, Outcome::Failed(refused())).await;
    match place.hold(again, How::Queued).await {
        Ok(Held::Before(Outcome::Failed(fault))) => assert_eq!(fault, refused()),
        other => panic!("{other:?}"),
    }
    assert_eq!(place.journal().stats().held_jobs, 0);
    place.check();
}

#[tokio::test]
async fn a_job_that_comes_and_is_taken_in_one_commit_is_whole() {
    let place = Place::new();
    // Both orders gather while the writer is busy.
    let busy = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000) SELECT max(i) FROM n";
    let (_, held, claimed) =
        tokio::join!(place.run(busy), place.held(inline("hello"), How::Queued), place.claim(false));
    assert_eq!((claimed.len(), claimed[0].number), (1, held));
    assert_eq!(place.journal().stats().quarantined, 0);
    place.check();
}

#[tokio::test]
async fn what_fails_for_now_is_tried_again_until_its_time_is_over() {
    let place = Place::new();
    let job = job();
    let send = job.send.clone();
    let number = place.held(job, How::Failed(busy())).await;
    assert!(place.claim(false).await.is_empty(), "it waits among the retries");
    for attempt in 2..8 {
        let claimed = place.claim_retry().await;
        assert_eq!((claimed.number, claimed.attempt), (number, attempt));
        place.settle(number, Outcome::Failed(busy())).await;
        assert_eq!(place.outcome(&send).await, Outcome::Journaled(Repeat::No));
        assert_eq!(place.number("SELECT count(*) FROM attempt"), i64::from(attempt));
    }
    place.claim_retry().await;
    place.db().execute("UPDATE payload SET expires = 0", []).unwrap();
    place.settle(number, Outcome::Failed(busy())).await;
    assert_eq!(place.outcome(&send).await, Outcome::Failed(busy().into_state(State::Expired)));
    assert_eq!(place.number("SELECT attempts FROM job"), 8);
    place.check();
}

#[tokio::test]
async fn a_retry_that_comes_too_late_ends_with_the_reason_it_had() {
    let place = Place::new();
    let job = job();
    let send = job.send.clone();
    place.held(job, How::Failed(busy())).await;
    place.db().execute("UPDATE payload SET expires = 0", []).unwrap();
    while place.outcome(&send).await == Outcome::Journaled(Repeat::No) {
        assert!(place.claim(true).await.is_empty());
    }
    assert_eq!(place.outcome(&send).await, Outcome::Failed(busy().into_state(State::Expired)));
    place.check();
}

#[tokio::test]
async fn a_job_whose_time_is_over_is_not_given_out() {
    let place = Place::new();
    let mut late = job();
    late.expires = Some(SystemTime::now() - Duration::from_secs(1));
    let send = late.send.clone();
    place.held(late, How::Queued).await;
    assert!(place.claim(false).await.is_empty());
    assert_eq!(place.outcome(&send).await, Outcome::Failed(Fault::expired()));
    place.check();
}

#[tokio::test]
async fn jobs_that_nobody_takes_expire_by_themselves() {
    let place = Place::new();
    let late = |target: &str| {
        let mut late = job();
        late.target = Some(target.into());
        late.expires = Some(SystemTime::now() - Duration::from_secs(5));
        late
    };
    let flying = place.held(late("mta1"), How::InFlight).await;
    let doubt = place.held(late("mta1"), How::InDoubt(Fault::in_doubt("gone"))).await;
    let tried = place.held(late("mta1"), How::Failed(busy())).await;
    let young = place.held(job(), How::Queued).await;
    // More than end in one commit.
    let drafts = (0..1_200).map(|_| {
        let job = Arc::new(late("mta9"));
        let body = Body::of(&job);
        (job, body, How::Queued)
    });
    place.journal().hold(drafts.collect()).await.unwrap();
    let began = std::time::Instant::now();
    while place.number("SELECT count(*) FROM job WHERE state = 'expired'") < 1_201 {
        assert!(began.elapsed() < Duration::from_secs(30), "they do not expire");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    place.check();
    let state = |number: Number| {
        let sql = format!("SELECT state || ifnull(reason, '') FROM job WHERE id = {}", number.0);
        place.db().query_row(&sql, [], |row| row.get::<_, String>(0)).unwrap()
    };
    assert_eq!([flying, young].map(state), ["journaled"; 2]);
    assert_eq!([doubt, tried].map(state), ["unknowntarget-unavailable", "expiredtarget-rejected"]);
    assert_eq!(place.number("SELECT count(*) FROM event WHERE state = 'expired'"), 1_201);
    assert_eq!(place.number("SELECT count(*) FROM due"), 1, "the young one");
    assert_eq!(place.number("SELECT count(*) FROM deadline"), 1, "likewise");
    // What was in flight meanwhile is not looked at again: it ends when it comes back.
    place.settle(flying, Outcome::Journaled(Repeat::No)).await;
    assert_eq!(state(flying), "expiredbad-job");
    place.check();
}

#[tokio::test]
async fn in_doubt_is_held_or_sent_again_and_flagged() {
    for (unknown, is_held) in [(WhenUnknown::Hold, true), (WhenUnknown::Resend, false)] {
        let place = Place::with(|settings| settings.unknown = unknown);
        let doubt = Fault::in_doubt("gone").at(&"mta1".into());
        let (before, during) = (job(), job());
        let sends = [before.send.clone(), during.send.clone()];
        place.held(before, How::InDoubt(doubt.clone())).await;
        let number = place.held(during, How::InFlight).await;
        place.journal().offered(number).unwrap();
        place.settle(number, Outcome::Failed(doubt.clone())).await;
        place.check();
        assert_eq!(place.number("SELECT count(*) FROM event WHERE state = 'unknown'"), 2);
        assert_eq!(place.number("SELECT count(*) FROM attempt WHERE state = 'unknown'"), 2);
        assert_eq!(place.number("SELECT sum(is_resent) FROM job"), if is_held { 0 } else { 2 });
        for send in &sends {
            let expected =
                if is_held { Outcome::HeldInDoubt(doubt.clone()) } else { Outcome::Journaled(Repeat::No) };
            assert_eq!(place.outcome(send).await, expected);
        }
        if !is_held {
            let again = place.claim_retry().await;
            assert_eq!(again.attempt, 2);
        }
    }
}

#[tokio::test]
async fn a_dropped_attempt_is_in_doubt_once_it_was_offered() {
    let place = Place::new();
    let (one, other) = (job(), job());
    let sends = [one.send.clone(), other.send.clone()];
    let offered = place.held(one, How::InFlight).await;
    let waiting = place.held(other, How::InFlight).await;
    place.journal().offered(offered).unwrap();
    place.settle(offered, Outcome::Lost).await;
    place.settle(waiting, Outcome::Lost).await;
    assert!(matches!(place.outcome(&sends[0]).await, Outcome::HeldInDoubt(_)));
    assert_eq!(place.outcome(&sends[1]).await, Outcome::Journaled(Repeat::No));
    let again = place.claim_retry().await;
    assert_eq!((again.number, again.attempt), (waiting, 2));
    place.settle(waiting, Outcome::Journaled(Repeat::No)).await;
    let again = place.claim_retry().await;
    assert_eq!((again.number, again.attempt), (waiting, 2), "given back, it has not been attempted");
    assert!(place.journal().offered(offered).is_err(), "it is settled");
    place.check();
}

#[tokio::test]
async fn a_job_is_settled_once() {
    let place = Place::new();
    let job = job();
    let send = job.send.clone();
    let number = place.held(job, How::InFlight).await;
    place.settle(number, relayed()).await;
    place.settle(number, Outcome::Failed(refused())).await;
    assert_eq!(place.outcome(&send).await, relayed());
    place.check();
}

#[tokio::test]
async fn outcomes_of_jobs_never_held_are_in_the_ledger_and_a_deferred_one_may_come_again() {
    let place = Place::new();
    let job = Arc::new(job());
    let body = Body::of(&job);
    let deferred = Fault::new(Reason::VaultUnavailable, "the vault is away");
    place.journal().record(job.clone(), body, Outcome::Failed(deferred.clone())).await;
    place.settle(Number(0), Outcome::Lost).await;
    assert_eq!(place.outcome(&job.send).await, Outcome::Failed(deferred));
    place.check();
    let held = place.journal().hold(vec![(job.clone(), body, How::Queued)]).await.unwrap();
    assert!(matches!(held[..], [Held::New(_)]));
    place.check();
    place.journal().record(job.clone(), body, relayed()).await;
    place.settle(Number(0), Outcome::Lost).await;
    assert_eq!(
        place.outcome(&job.send).await,
        Outcome::Journaled(Repeat::No),
        "what is held is not overwritten"
    );
    assert_eq!(place.number("SELECT count(*) FROM job"), 1);
    place.check();
}

#[tokio::test]
async fn lanes_stand_apart_and_say_when_their_first_is_due() {
    let place = Place::with(|settings| {
        settings.retry_first = Duration::from_secs(100);
        settings.retry_max = Duration::from_secs(100);
    });
    for target in [None, Some("mta1"), Some("mta2")] {
        for how in [How::Queued, How::Failed(busy())] {
            let mut job = job();
            job.target = target.map(Into::into);
            place.held(job, how).await;
        }
    }
    let lanes = place.journal().lanes().await.unwrap();
    let names: Vec<_> = lanes.iter().map(|(lane, _)| (&*lane.target, lane.is_retry)).collect();
    let expected = ["", "mta1", "mta2"].map(|target| [(target, false), (target, true)]).concat();
    assert_eq!(names, expected);
    for (lane, until) in lanes {
        assert_eq!(until.is_zero(), !lane.is_retry, "{lane:?} {until:?}");
        let claimed = place.journal().claim(&lane, 10).await.unwrap();
        assert_eq!(claimed.len(), usize::from(!lane.is_retry));
    }
    assert_eq!(place.journal().stats().in_flight, 3);
}

#[tokio::test]
async fn first_come_first_served_and_not_more_than_asked() {
    let place = Place::new();
    let mut numbers = Vec::new();
    for _ in 0..5 {
        numbers.push(place.held(job(), How::Queued).await);
    }
    let lane = Lane { target: "".into(), is_retry: false };
    let mut claimed = Vec::new();
    for count in [2, 0, 2, 2] {
        claimed.extend(place.journal().claim(&lane, count).await.unwrap().iter().map(|c| c.number));
    }
    assert_eq!(claimed, numbers);
}

#[tokio::test]
async fn a_claim_that_nobody_waits_for_is_given_back() {
    let place = Place::new();
    for _ in 0..100 {
        place.held(job(), How::Queued).await;
    }
    let lane = Lane { target: "".into(), is_retry: false };
    for _ in 0..20 {
        let mut claim = Box::pin(place.journal().claim(&lane, 5));
        let _ = futures_util::poll!(&mut claim);
        drop(claim);
    }
    let mut found = 0;
    while found < 100 {
        found += place.claim(false).await.len();
    }
    place.check();
}

#[tokio::test]
async fn stirring_ends_when_something_is_held() {
    let place = Place::new();
    let journal = place.journal().clone();
    let stirred = tokio::spawn(async move {
        let began = std::time::Instant::now();
        for _ in 0..3 {
            journal.stir().await;
        }
        began.elapsed()
    });
    while !stirred.is_finished() {
        place.held(job(), How::Queued).await;
    }
    assert!(stirred.await.unwrap() < Duration::from_millis(1400));
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_and_the_rest_is_not() {
    let mut place = Place::with(|settings| settings.retention = Duration::ZERO);
    let mut sends = Vec::new();
    for outcome in [Some(relayed()), Some(Outcome::Failed(Fault::in_doubt("gone"))), None] {
        let job = message("X: y", "body");
        sends.push(job.send.clone());
        let number = place.held(job, How::InFlight).await;
        if let Some(outcome) = outcome {
            place.settle(number, outcome).await;
        }
    }
    let later = std::time::Instant::now();
    while later.elapsed() < Duration::from_millis(3) {}
    place.close().await;
    let (mut writer, _) = recovery::open(place.settings.clone(), here(BOOT)).unwrap();
    assert!(writer.sweep().unwrap());
    drop(writer);
    place.open();
    let mut known = Vec::new();
    for send in &sends {
        known.push(place.journal().look_up(send).await.unwrap().is_some());
    }
    assert_eq!(known, [false, false, true]);
    assert_eq!(place.number("SELECT sum(jobs) FROM tally"), 3, "the tally stays");
    assert_eq!(place.number("SELECT count(*) FROM attempt"), 0);
    assert_eq!(place.number("SELECT held_jobs FROM journal"), 1);
    assert_eq!(place.number("SELECT uses FROM content"), 1);
}
