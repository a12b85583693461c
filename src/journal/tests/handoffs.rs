//! Jobs that were on their way without being held when the relay was killed.

use super::{Place, job, refused, relayed};
use crate::fault::{Fault, State};
use crate::job::{Acceptance, Job, Repeat};
use crate::journal::handoff::{FILE_NAME, Header};
use crate::journal::origin::Provenance;
use crate::journal::{Body, Handoff, Held, How, Number};
use crate::ticket::Outcome;
use std::sync::Arc;

async fn let_go(place: &Place, job: &Arc<Job>) -> Handoff {
    let handoff = place.journal().hand_off(job.clone(), Body::of(job)).await;
    assert!(handoff.offered());
    handoff
}

#[tokio::test]
async fn after_a_crash_the_ledger_knows_what_was_on_its_way() {
    let mut place = Place::new();
    let jobs: Vec<Arc<Job>> = (0..4).map(|_| Arc::new(job())).collect();
    let doubtful = let_go(&place, &jobs[0]).await;
    let taken = let_go(&place, &jobs[1]).await;
    taken.ended(&relayed());
    let never = let_go(&place, &jobs[2]).await;
    never.ended(&Outcome::Failed(super::busy()));
    let rejected = let_go(&place, &jobs[3]).await;
    rejected.ended(&Outcome::Failed(refused()));
    place.crash().await;
    drop((doubtful, taken, never, rejected));
    let recovered = place.open();
    assert_eq!((recovered.handed_off, recovered.held), (3, 0));
    assert_eq!(place.outcome(&jobs[0].send).await.state(), State::Unknown);
    assert_eq!(place.outcome(&jobs[1].send).await, relayed());
    assert_eq!(place.journal().look_up(&jobs[2].send).await.unwrap(), None, "it may be submitted again");
    assert_eq!(place.outcome(&jobs[3].send).await.state(), State::Rejected);
    place.check();
    place.close().await;
    assert_eq!(place.open().handed_off, 0, "they are told once");
}

#[tokio::test]
async fn c8_a_note_that_a_power_cut_has_left_is_true() {
    let mut place = Place::new();
    let jobs = [Arc::new(job()), Arc::new(Job { repeat: Repeat::Maybe, ..job() })];
    let handoffs = [let_go(&place, &jobs[0]).await, let_go(&place, &jobs[1]).await];
    handoffs[0].ended(&relayed());
    place.crash().await;
    drop(handoffs);
    assert_eq!(place.open_after(Some([b'x'; 36])).handed_off, 2);
    assert_eq!(place.outcome(&jobs[0].send).await, relayed());
    assert_eq!(place.outcome(&jobs[1].send).await.state(), State::Unknown);
    assert_eq!(place.number("SELECT sum(maybe_repeated) FROM job WHERE state = 'unknown'"), 1);
    assert_eq!(place.number("SELECT sum(maybe_repeated) FROM job"), 1);
}

#[tokio::test]
async fn a_handoff_in_doubt_that_comes_again_is_held_in_doubt() {
    let place = Place::new();
    let job = Arc::new(job());
    let (body, doubt) = (Body::of(&job), Fault::in_doubt("killed"));
    place.journal().record(job.clone(), body, Outcome::Failed(doubt.clone())).await;
    place.settle(Number(0), Outcome::Lost).await;
    assert_eq!(place.outcome(&job.send).await, Outcome::Failed(doubt.clone()));
    let hold = || place.journal().hold(vec![(job.clone(), body, How::InDoubt(doubt.clone()))]);
    assert!(matches!(hold().await.unwrap()[..], [Held::New(_)]));
    assert_eq!(place.outcome(&job.send).await, Outcome::HeldInDoubt(doubt.clone()));
    assert!(matches!(hold().await.unwrap()[..], [Held::Before(Outcome::HeldInDoubt(_))]), "it is held once");
    place.check();
}

#[tokio::test]
async fn a_job_held_while_it_was_handed_off_is_in_doubt_after_a_crash() {
    let mut place = Place::new();
    let job = Arc::new(job());
    let handoff = let_go(&place, &job).await;
    let held = place.journal().hold(vec![(job.clone(), Body::of(&job), How::InFlight)]).await.unwrap();
    assert!(matches!(held[..], [Held::New(_)]));
    place.crash().await;
    drop(handoff);
    let recovered = place.open();
    assert_eq!((recovered.in_doubt, recovered.given_back, recovered.handed_off), (1, 0, 0));
    assert!(matches!(place.outcome(&job.send).await, Outcome::HeldInDoubt(_)));
    place.check();
}

#[tokio::test]
async fn when_no_more_can_be_noted_the_next_one_waits_for_a_place() {
    use futures_util::FutureExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("handoff.log");
    let log = Arc::new(crate::journal::handoff::HandoffLog::start(&path, Header::default()).unwrap());
    let job = Arc::new(job());
    // Without tokio's budget, which would make a task pause after some.
    let next = || tokio::task::unconstrained(Handoff::new(log.clone(), job.clone(), Body::of(&job)));
    let mut under_way: Vec<Handoff> = std::iter::from_fn(|| next().now_or_never()).take(100_000).collect();
    assert_eq!(under_way.len(), 8_192);
    assert!(under_way.iter().all(Handoff::offered));
    under_way.pop();
    assert!(next().now_or_never().expect("one has ended").offered());
}

#[tokio::test]
async fn a_note_that_does_not_fit_lets_nothing_leave() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("handoff.log");
    let log = Arc::new(crate::journal::handoff::HandoffLog::start(&path, Header::default()).unwrap());
    let mut long = job();
    long.campaign = Some("c".repeat(2_000).into());
    let long = Arc::new(long);
    let handoff = Handoff::new(log, long.clone(), Body::of(&long)).await;
    assert!(!handoff.offered());
}

/// Whoever is told that all is safe may ask the ledger for it, whatever the journal is full of.
#[tokio::test]
async fn d_what_has_settled_is_in_the_ledger() {
    let place = Place::with(|settings| settings.bytes_max = 1);
    for _ in 0..3 {
        let job = Arc::new(job());
        let handoff = Arc::new(let_go(&place, &job).await);
        handoff.ended(&relayed());
        place.journal().record_handoff(handoff, relayed()).await;
    }
    place.journal().settled().await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM job WHERE state = 'relayed'"), 3);
}

/// What was let go of since the copy was made is in no note and in no row.
#[tokio::test]
async fn c12_a_handoff_log_that_was_set_back_alone_or_is_gone_makes_repeats_doubtful() {
    for is_gone in [false, true] {
        let mut place = Place::new();
        let path = place.settings.dir.join(FILE_NAME);
        let earlier = std::fs::read(&path).unwrap();
        // Marks are of milliseconds, and this commit is later than the copy.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        place.held(job(), How::Queued).await;
        let forgotten = let_go(&place, &Arc::new(job())).await;
        forgotten.ended(&relayed());
        place.crash().await;
        drop(forgotten);
        if is_gone {
            std::fs::remove_file(&path).unwrap();
        } else {
            std::fs::write(&path, &earlier).unwrap();
        }
        let found = place.open();
        assert_eq!((found.provenance, found.handed_off), (Provenance::Killed, 0));
        assert_eq!(place.journal().repeat(Acceptance::Auto), Repeat::Maybe);
        place.crash().await;
        place.open();
        assert_eq!(place.journal().repeat(Acceptance::Auto), Repeat::Maybe, "for as long as it may come");
    }
}

#[tokio::test]
async fn c12_a_kill_leaves_the_handoff_log_behind_nothing() {
    let mut place = Place::new();
    for _ in 0..3 {
        place.held(job(), How::Queued).await;
        let handoff = let_go(&place, &Arc::new(job())).await;
        place.crash().await;
        drop(handoff);
        assert_eq!(place.open().provenance, Provenance::Killed);
        assert_eq!(place.journal().repeat(Acceptance::Auto), Repeat::No);
    }
    place.close().await;
    std::fs::remove_file(place.settings.dir.join(FILE_NAME)).unwrap();
    place.open();
    assert_eq!(place.journal().repeat(Acceptance::Auto), Repeat::No, "the ledger has it all");
}
