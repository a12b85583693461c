//! A job that comes again when it had been refused: it goes on, unless a target may have it.

use super::rules::copy;
use super::*;
use crate::fault::{Reason, State};

fn no_consent() -> Outcome {
    Outcome::Failed(Fault::new(Reason::NoConsent, "no consent for 'service'"))
}

#[tokio::test]
async fn b10_a_held_job_that_was_refused_goes_on_when_it_comes_again() {
    let place = Place::new();
    let first = job();
    let (again, once_more, mut other) = (copy(&first), copy(&first), copy(&first));
    let send = first.send.clone();
    let number = place.held(first, How::Queued).await;
    place.claim(false).await;
    place.settle(number, no_consent()).await;
    other.locale = None;
    assert!(
        matches!(place.hold(other, How::Queued).await, Ok(Held::Other)),
        "its id is its own all the same"
    );
    assert_eq!(place.held(again, How::Queued).await, number);
    assert_eq!(place.outcome(&send).await, Outcome::Journaled(Repeat::No));
    place.check();
    let claimed = place.claim(false).await.pop().unwrap();
    assert_eq!((claimed.number, claimed.attempt), (number, 2));
    place.settle(number, relayed()).await;
    assert_eq!(place.number("SELECT count(*) FROM attempt WHERE number = 1 AND reason = 'no-consent'"), 1);
    assert_eq!(place.number("SELECT sum(jobs) FROM tally"), 1, "in the totals there is what became of it");
    assert_eq!(place.number("SELECT count(*) FROM event"), 4, "each change is told");
    let Ok(Held::Before(Outcome::Relayed(_))) = place.hold(once_more, How::Queued).await else { panic!() };
    place.check();
}

#[tokio::test]
async fn b10_what_a_target_may_have_keeps_its_result() {
    let place = Place::with(|settings| settings.unknown = WhenUnknown::Resend);
    for doubtful in [How::InDoubt(Fault::in_doubt("gone").at(&"mta1".into())), How::Queued] {
        let first = job();
        let again = copy(&first);
        let is_queued = matches!(doubtful, How::Queued);
        let number = place.held(first, doubtful).await;
        let last = if is_queued {
            place.claim(false).await;
            Outcome::Failed(refused())
        } else {
            place.claim_retry().await;
            no_consent()
        };
        place.settle(number, last.clone()).await;
        match place.hold(again, How::Queued).await {
            Ok(Held::Before(outcome)) => assert_eq!(outcome, last),
            other => panic!("{other:?}"),
        }
        place.check();
    }
}

#[tokio::test]
async fn b10_a_refused_job_that_is_never_held_goes_on_too() {
    let mut place = Place::new();
    let jobs = [Arc::new(job()), Arc::new(job())];
    for job in &jobs {
        for _ in 0..2 {
            place.journal().record(job.clone(), Body::of(job), no_consent()).await;
        }
    }
    place.settle(Number(0), Outcome::Lost).await;
    assert_eq!(place.number("SELECT sum(attempts) FROM job"), 4);
    assert_eq!(place.number("SELECT jobs FROM tally WHERE reason = 'no-consent'"), 2);
    place.journal().record(jobs[0].clone(), Body::of(&jobs[0]), relayed()).await;
    // The other was on its way when the relay was killed: it must not look as if no target had it.
    let handoff = place.journal().hand_off(jobs[1].clone(), Body::of(&jobs[1])).await;
    assert!(handoff.offered());
    place.settle(Number(0), Outcome::Lost).await;
    place.crash().await;
    drop(handoff);
    assert_eq!(place.open().handed_off, 1);
    assert_eq!(
        place.outcome(&jobs[0].send).await,
        Outcome::Relayed(Relayed { attempt: 3, ..relay_of(relayed()) })
    );
    assert_eq!(place.outcome(&jobs[1].send).await.state(), State::Unknown);
    assert!(!place.journal().look_up(&jobs[1].send).await.unwrap().unwrap().is_judged_anew());
    place.check();
}

fn relay_of(outcome: Outcome) -> Relayed {
    match outcome {
        Outcome::Relayed(relayed) => relayed,
        other => panic!("{other:?}"),
    }
}
