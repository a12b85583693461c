//! What waits for something is due at once when that is mended, and what waits for something else is not.

use super::*;
use crate::fault::Reason;
use crate::journal::ledger::Mended;

/// Pauses that do not end by themselves.
fn patient() -> Place {
    let long = Duration::from_secs(1_000);
    Place::with(|settings| (settings.retry_first, settings.retry_max) = (long, long))
}

async fn waiting(place: &Place, target: Option<&str>, fault: Fault) -> Number {
    place.held(Job { target: target.map(Box::from), ..job() }, How::Failed(fault)).await
}

/// Jobs that are due now.
fn due(place: &Place) -> Vec<i64> {
    let db = place.db();
    let mut select = db.prepare("SELECT job FROM due WHERE at = 0 ORDER BY job").unwrap();
    select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn c9_what_is_mended_sends_what_waits_for_it() {
    use Reason::{BadJob, BadTemplate, TargetUnavailable, TemplateNotFound, VaultUnavailable};
    let target = |name: &str, down_since| Mended::Target { name: name.into(), down_since };
    for (mended, expected) in [
        (Mended::Vault, &[1][..]),
        (Mended::Reloaded, &[2, 3, 4, 5, 6, 7]),
        (Mended::Restarted, &[1, 2, 4, 5, 6, 7]),
        (target("mta1", 0), &[4, 5, 8]),
        (target("mta2", i64::MAX), &[4, 6]),
        (target("mta3", i64::MAX), &[4]),
    ] {
        let place = patient();
        let fault = |reason| Fault::new(reason, "x").into_state(crate::fault::State::Deferred);
        for (name, reason) in [
            (Some("mta1"), VaultUnavailable),
            (Some("mta1"), BadTemplate),
            (None, TemplateNotFound),
            (None, TargetUnavailable),
            (Some("mta1"), TargetUnavailable),
            (Some("mta2"), TargetUnavailable),
            (None, BadJob),
        ] {
            waiting(&place, name, fault(reason)).await;
        }
        waiting(&place, Some("mta1"), busy()).await;
        let doubt = waiting(&place, Some("mta1"), fault(VaultUnavailable)).await;
        // Whose word a person has to say.
        place
            .run(&format!(
                "INSERT INTO parked (job, is_retry) SELECT job, is_retry FROM due WHERE job = {0};
                 DELETE FROM due WHERE job = {0}",
                doubt.0
            ))
            .await;
        assert!(due(&place).is_empty());
        let hastened = place.journal().hasten(mended.clone()).await.unwrap();
        assert_eq!((due(&place), hastened), (expected.to_vec(), expected.len() as u64), "{mended}");
        place.check();
        assert_eq!(place.journal().hasten(mended).await.unwrap(), 0, "once");
    }
}

/// In parts, as the relay writes meanwhile.
#[tokio::test]
async fn c9_however_many_wait_each_is_sent() {
    let place = patient();
    let (body, fault) = (Fault::new(Reason::VaultUnavailable, "x"), busy());
    let jobs: Vec<_> = (0..5_000)
        .map(|number| {
            let job = Arc::new(job());
            let fault = if number % 3 == 0 { fault.clone() } else { body.clone() };
            (job.clone(), Body::of(&job), How::Failed(fault))
        })
        .collect();
    place.journal().hold(jobs).await.unwrap();
    assert_eq!(place.journal().hasten(Mended::Vault).await.unwrap(), 3_333);
    assert_eq!(due(&place).len(), 3_333);
    place.check();
}

/// Its target refuses others, and is asked about a few at a time: only an offer is an attempt.
#[tokio::test]
async fn a11_what_was_not_offered_counts_no_attempt_and_goes_before_what_was() {
    let untried = || busy().untried();
    let place = patient();
    let queued = place.held(job(), How::Queued).await;
    let failed = place.held(job(), How::Failed(busy())).await;
    place.run("UPDATE due SET at = 0; UPDATE payload SET due = 0").await;
    for _ in 0..5 {
        for is_retry in [false, true] {
            let claimed = place.claim(is_retry).await;
            let expected = if is_retry { (failed, 2) } else { (queued, 1) };
            let found: Vec<_> = claimed.iter().map(|claimed| (claimed.number, claimed.attempt)).collect();
            assert_eq!(found, [expected]);
            place.settle(expected.0, Outcome::Failed(untried())).await;
        }
        let pause = |job: Number| {
            place.number(&format!("SELECT at - (SELECT clock FROM journal) FROM due WHERE job = {}", job.0))
        };
        assert!((1..=1_000).contains(&pause(queued)), "{} ms", pause(queued));
        assert!((800_000..=1_200_000).contains(&pause(failed)), "{} ms", pause(failed));
        place.check();
        place.run("UPDATE due SET at = 0; UPDATE payload SET due = 0").await;
    }
    let told = |what: &str| place.number(&format!("SELECT count(*) FROM job WHERE {what}"));
    assert_eq!(told("attempts = 0 AND detail LIKE 'not offered yet%' AND code IS NULL"), 1);
    assert_eq!(told("attempts = 1 AND detail LIKE 'not offered yet%'"), 1);
    assert_eq!(place.number("SELECT count(*) FROM attempt"), 1, "that of the one that was offered");
}
