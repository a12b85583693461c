//! The choice of a target, also in the instant in which one goes down.

use super::*;
use crate::inject::breaker::Kind;
use std::time::Duration;

fn injector() -> Injector {
    let clear = |name| TargetSettings { tls: TlsMode::None, ..TargetSettings::new(name, "127.0.0.1", 1) };
    Injector::start(vec![clear("mta1"), clear("mta2")])
}

fn cause(name: &str) -> Fault {
    Fault::new(Reason::TargetUnavailable, format!("target {name} is down"))
}

fn toggle(target: &Target, done: &tokio_util::sync::CancellationToken) {
    while !done.is_cancelled() {
        for kind in [Kind::Failing, Kind::Silent] {
            target.breaker.open(kind, cause("any"));
            // Closed again at once, it would hardly ever be seen open.
            std::thread::yield_now();
            target.breaker.close();
            std::thread::yield_now();
        }
    }
}

/// How many choices were refused because of the targets.
fn choose_often(injector: &Injector, named: Option<&str>) -> usize {
    let wants = [Errand::Hasty, Errand::Usual, Errand::Patient].into_iter().cycle().take(60_000);
    let faults = wants.filter_map(|wants| injector.choose_for(named, wants).err());
    faults.inspect(|fault| assert_eq!(fault.reason, Reason::TargetUnavailable, "{fault}")).count()
}

/// Targets go down and come back in every instant of a choice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a12_a_choice_in_the_instant_of_an_outage_never_blames_the_job() {
    let injector = Arc::new(injector());
    let done = tokio_util::sync::CancellationToken::new();
    let toggling: Vec<_> = injector
        .targets
        .iter()
        .map(|target| {
            let (target, done) = (target.clone(), done.clone());
            tokio::task::spawn_blocking(move || toggle(&target, &done))
        })
        .collect();
    let choosing = [None, Some("mta1")].map(|named| {
        let injector = injector.clone();
        tokio::spawn(async move { choose_often(&injector, named) })
    });
    let mut refused = 0;
    for task in choosing {
        refused += task.await.unwrap();
    }
    // Where the threads of a busy machine run one after the other, that may not have met an outage yet.
    while refused == 0 {
        refused += choose_often(&injector, None);
    }
    done.cancel();
    for task in toggling {
        task.await.unwrap();
    }
    assert!(refused > 0, "the race was not driven");
    assert!(injector.targets.iter().all(|target| target.seats.load(Relaxed) == 0));
}

#[tokio::test(start_paused = true)]
async fn a10_jobs_that_name_a_silent_target_hold_no_more_than_its_share() {
    let injector = injector().with_places(8);
    injector.targets[0].breaker.open(Kind::Silent, cause("mta1"));
    let waiting: Vec<_> = (0..4).map(|_| injector.choose(Some("mta1")).unwrap()).collect();
    assert_eq!(injector.choose(Some("mta1")).err(), Some(cause("mta1")));
    assert!(injector.choose_for(Some("mta1"), Errand::Hasty).is_err(), "it has another way");
    assert_eq!(&**injector.choose(None).unwrap().name(), "mta2");
    drop(waiting);
    assert!(injector.choose(Some("mta1")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a10_who_has_no_room_gets_nothing_while_another_has() {
    let injector = injector();
    let first: Vec<_> = (0..8).map(|_| injector.choose(None).unwrap()).collect();
    let (slow, brisk): (Vec<_>, Vec<_>) = first.into_iter().partition(|handle| &**handle.name() == "mta1");
    assert_eq!((slow.len(), brisk.len()), (4, 4));
    drop(brisk);
    for _ in 0..100 {
        assert_eq!(&**injector.choose(None).unwrap().name(), "mta2");
    }
}

/// Both are down and due for an attempt: whoever cannot use the one leaves it to others.
#[tokio::test(start_paused = true)]
async fn a12_an_attempt_that_nobody_can_use_is_not_given_away() {
    let injector = injector();
    let [first, second] = &injector.targets[..] else { panic!() };
    let handle = injector.choose_for(None, Errand::Usual).unwrap();
    let (passed, other) = match handle.is_at(first) {
        true => (first, second),
        false => (second, first),
    };
    passed.breaker.open(Kind::Failing, cause("passed"));
    other.breaker.open(Kind::Losing, cause("other"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(passed.breaker.is_due(), Some(true));
    assert!(injector.choose_after(&handle).is_none());
    assert!(injector.other_than(std::slice::from_ref(passed), &handle, cause("passed")).is_err());
    assert_eq!(passed.breaker.is_due(), Some(true), "it is still to be had");
    assert!(injector.choose_for(None, Errand::Usual).is_ok());
}
