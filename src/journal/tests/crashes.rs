//! What a start finds after the last run ended anyhow.

use super::*;
use crate::fault::State;
use crate::job::Acceptance;
use crate::journal::origin::{BootId, Provenance};

const NEXT_BOOT: BootId = Some([b'8'; 36]);

/// Four jobs in flight: not offered, offered, refused for now, taken. What the flight log knows is not committed.
async fn four_in_flight(place: &mut Place) -> Vec<SendNumber> {
    let mut sends = Vec::new();
    let mut numbers = Vec::new();
    for _ in 0..4 {
        let job = job();
        sends.push(job.send.clone());
        numbers.push(place.held(job, How::InFlight).await);
    }
    for number in &numbers[1..] {
        place.journal().offered(*number).unwrap();
    }
    // The flight log only, as if the process were killed before the commit.
    let flights = &place.journal().shared().flights;
    flights.answered(numbers[2].0, &Outcome::Failed(busy())).unwrap();
    flights.answered(numbers[3].0, &relayed()).unwrap();
    place.crash().await;
    sends
}

#[tokio::test]
async fn the_flight_log_says_how_far_each_came() {
    let mut place = Place::new();
    let sends = four_in_flight(&mut place).await;
    let found = place.open();
    assert_eq!((found.given_back, found.in_doubt, found.relayed), (2, 1, 1));
    assert_eq!(found.held, 3);
    place.check();
    assert_eq!(place.outcome(&sends[0]).await, Outcome::Journaled(Repeat::No));
    assert!(matches!(place.outcome(&sends[1]).await, Outcome::HeldInDoubt(_)));
    assert_eq!(place.outcome(&sends[2]).await, Outcome::Journaled(Repeat::No));
    assert_eq!(place.outcome(&sends[3]).await, relayed());
    assert_eq!(place.claim(false).await.len(), 2);
}

#[tokio::test]
async fn after_a_power_cut_what_had_left_before_the_log_knew_is_in_doubt() {
    for boot in [NEXT_BOOT, None] {
        let mut place = Place::new();
        four_in_flight(&mut place).await;
        let found = place.open_after(boot);
        assert_eq!(found.provenance, Provenance::Unsynced);
        assert_eq!((found.given_back, found.in_doubt, found.relayed), (1, 2, 1));
        place.check();
    }
}

/// Claimed, and so far: nothing, armed, offered, answered.
async fn four_claimed(place: &mut Place) -> Vec<Number> {
    for _ in 0..4 {
        place.held(job(), How::Queued).await;
    }
    let mut claimed = place.claim(false).await;
    let numbers: Vec<Number> = claimed.iter().map(|claimed| claimed.number).collect();
    place.armed(claimed.split_off(1)).await;
    for number in &numbers[2..] {
        place.journal().offered(*number).unwrap();
    }
    place.journal().shared().flights.answered(numbers[3].0, &relayed()).unwrap();
    place.crash().await;
    numbers
}

#[tokio::test]
async fn c8_after_a_power_cut_only_what_was_armed_is_in_doubt() {
    let mut place = Place::new();
    four_claimed(&mut place).await;
    let found = place.open_after(NEXT_BOOT);
    assert_eq!((found.given_back, found.in_doubt, found.relayed), (1, 2, 1));
    place.check();
    // Killed, it is known how far each came.
    let mut place = Place::new();
    four_claimed(&mut place).await;
    let found = place.open();
    assert_eq!((found.given_back, found.in_doubt, found.relayed), (2, 1, 1));
    place.check();
}

#[tokio::test]
async fn c7_after_a_breakdown_of_the_disk_everything_claimed_is_in_doubt() {
    let mut place = Place::new();
    for _ in 0..2 {
        place.held(job(), How::Queued).await;
    }
    assert_eq!(place.claim(false).await.len(), 2);
    place.journal().shared().break_down(Trouble::Io(std::io::ErrorKind::Other));
    let job = Arc::new(job());
    let handoff = place.journal().hand_off(job.clone(), Body::of(&job)).await;
    assert!(!handoff.offered(), "what would become of it could not be written");
    assert!(place.journal().shortfall().is_some(), "and the end of the run is no success");
    drop(handoff);
    place.close().await;
    let found = place.open();
    assert_eq!((found.provenance, found.in_doubt), (Provenance::BrokeDown, 2));
    place.check();
    place.close().await;
    assert_eq!(place.open().provenance, Provenance::Ended);
    assert_eq!(place.journal().shortfall(), None);
}

#[tokio::test]
async fn c8_a_repeat_after_a_power_cut_is_flagged_for_as_long_as_it_may_come() {
    let flagged = |place: &Place| {
        let all = [Acceptance::Auto, Acceptance::Journal, Acceptance::Handoff];
        all.map(|acceptance| place.journal().repeat(acceptance))
    };
    let mut place = Place::with(|settings| settings.expires = Duration::from_secs(1000));
    assert_eq!(flagged(&place), [Repeat::No; 3]);
    place.crash().await;
    place.open();
    assert_eq!(flagged(&place), [Repeat::No; 3], "killed, it forgot nothing");
    place.crash().await;
    place.open_after(NEXT_BOOT);
    assert_eq!(flagged(&place), [Repeat::Maybe, Repeat::No, Repeat::No]);
    let repeated = Arc::new(Job { repeat: Repeat::Maybe, ..job() });
    place.journal().record(repeated.clone(), Body::of(&repeated), relayed()).await;
    place.settle(Number(0), Outcome::Lost).await;
    let Outcome::Relayed(told) = place.outcome(&repeated.send).await else { panic!("it is relayed") };
    assert_eq!(told.repeat, Repeat::Maybe);
    let ledger = crate::journal::ledger::Ledger::open(&place.settings.dir).unwrap();
    assert!(ledger.by_send(&repeated.send).unwrap().unwrap().maybe_repeated);
    assert!(ledger.events(None, 0, 10).unwrap().events[0].maybe_repeated);
    place.close().await;
    place.open_after(NEXT_BOOT);
    assert_eq!(flagged(&place)[0], Repeat::Maybe, "another start makes no difference");
    place.close().await;
    place.db().execute("UPDATE journal SET clock = clock + 1000001", []).unwrap();
    place.open_after(NEXT_BOOT);
    assert_eq!(flagged(&place), [Repeat::No; 3], "no engine repeats a job for longer");
}

#[tokio::test]
async fn c8_what_may_be_a_repeat_stays_so_whatever_becomes_of_it() {
    let place = Place::new();
    let doubt = Fault::in_doubt("gone");
    let maybe = || Job { repeat: Repeat::Maybe, ..job() };
    for (how, state) in [
        (How::Queued, State::Journaled),
        (How::Failed(busy()), State::Journaled),
        (How::InDoubt(doubt), State::Unknown),
    ] {
        let job = maybe();
        let send = job.send.clone();
        place.held(job, how).await;
        let told = place.outcome(&send).await;
        assert_eq!(
            (told.state(), told.repeat()),
            (state, Repeat::Maybe),
            "it comes once more, and is told so"
        );
    }
    let (job, plain) = (Arc::new(maybe()), Arc::new(super::job()));
    let held = |job: &Arc<Job>| place.journal().hold(vec![(job.clone(), Body::of(job), How::Queued)]);
    held(&job).await.unwrap();
    let again = held(&job).await.unwrap();
    assert!(matches!(&again[..], [Held::Before(outcome)] if outcome.repeat() == Repeat::Maybe));
    held(&plain).await.unwrap();
    let again = held(&plain).await.unwrap();
    assert!(matches!(&again[..], [Held::Before(outcome)] if outcome.repeat() == Repeat::No));
    for claimed in place.claim(false).await {
        place.settle(claimed.number, Outcome::Failed(refused())).await;
    }
    let told = place.outcome(&job.send).await;
    assert_eq!((told.state(), told.repeat()), (State::Rejected, Repeat::Maybe));
    let ledger = crate::journal::ledger::Ledger::open(&place.settings.dir).unwrap();
    let events = ledger.events(None, 0, 100).unwrap().events;
    assert!(events.iter().all(|event| event.maybe_repeated == (event.send != plain.send)));
}

/// Its row says that nothing was held; what was handed off afterwards a power cut may have taken from the ledger.
#[tokio::test]
async fn c8_a_job_that_was_deferred_may_have_been_carried_since() {
    let place = Place::new();
    let (first, second) = (Arc::new(job()), Arc::new(job()));
    for job in [&first, &second] {
        let deferred = Outcome::Failed(busy());
        place.journal().record(job.clone(), Body::of(job), deferred).await;
    }
    let again = |job: &Job| Arc::new(Job { repeat: Repeat::Maybe, ..super::rules::copy(job) });
    place.journal().record(again(&first), Body::of(&first), relayed()).await;
    let job = again(&second);
    place.journal().hold(vec![(job.clone(), Body::of(&job), How::Queued)]).await.unwrap();
    for job in [&first, &second] {
        assert_eq!(place.outcome(&job.send).await.repeat(), Repeat::Maybe);
    }
}

#[tokio::test]
async fn c8_outcomes_of_handoffs_reach_the_disk_in_groups_within_50_ms() {
    const AT_ONCE: usize = 200;
    let place = Place::new();
    let (mut soonest, mut fewest) = (Duration::MAX, u64::MAX);
    // The best of some, as the machine may have other things to do.
    for _ in 0..20 {
        let jobs: Vec<Arc<Job>> = (0..AT_ONCE).map(|_| Arc::new(job())).collect();
        let (commits, began) = (place.journal().stats().commits, std::time::Instant::now());
        for job in &jobs {
            place.journal().record(job.clone(), Body::of(job), relayed()).await;
        }
        let last = &jobs[AT_ONCE - 1].send;
        // A look-up that finds it waits until it is on the disk.
        while place.journal().look_up(last).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        soonest = soonest.min(began.elapsed());
        fewest = fewest.min(place.journal().stats().commits - commits);
    }
    assert!(fewest <= AT_ONCE as u64 / 4, "{fewest} commits for {AT_ONCE} outcomes");
    assert!(soonest <= Duration::from_millis(50), "{soonest:?}");
}

#[tokio::test]
async fn a_flight_log_that_is_damaged_or_gone_leaves_everything_in_doubt() {
    for is_gone in [true, false] {
        let mut place = Place::new();
        four_in_flight(&mut place).await;
        let log = place.settings.dir.join(flight::FILE_NAME);
        if is_gone {
            std::fs::remove_file(log).unwrap();
        } else {
            let mut octets = std::fs::read(&log).unwrap();
            octets[64 + 30] ^= 1;
            std::fs::write(&log, octets).unwrap();
        }
        assert_eq!(place.open().in_doubt, 4);
        place.check();
    }
}

#[tokio::test]
async fn a_crash_is_judged_once() {
    let mut place = Place::with(|settings| settings.unknown = WhenUnknown::Resend);
    four_in_flight(&mut place).await;
    assert_eq!(place.open().in_doubt, 1);
    place.crash().await;
    assert_eq!(place.open(), Recovered { held: 3, ..Recovered::of(Provenance::Killed) });
    // The note of the first attempt says nothing of the second.
    let again = place.claim_retry().await;
    assert_eq!(again.attempt, 2);
    place.crash().await;
    assert_eq!(place.open().given_back, 1);
    place.check();
}

#[tokio::test]
async fn closing_commits_what_has_come() {
    let mut place = Place::new();
    let mut sends = Vec::new();
    for _ in 0..500 {
        let job = job();
        sends.push(job.send.clone());
        let number = place.held(job, How::InFlight).await;
        place.journal().settle(number, relayed()).await;
        if sends.len() > 40 {
            break;
        }
    }
    place.close().await;
    assert_eq!(place.open(), Recovered::of(Provenance::Ended));
    for send in &sends {
        assert_eq!(place.outcome(send).await, relayed());
    }
}

#[tokio::test]
async fn a_closed_journal_refuses() {
    let mut place = Place::new();
    let journal = place.journal().clone();
    place.close().await;
    let job = Arc::new(job());
    let body = Body::of(&job);
    assert!(journal.hold(vec![(job.clone(), body, How::Queued)]).await.unwrap_err().is_transient());
    assert!(journal.look_up(&job.send).await.is_err());
    let lane = Lane { target: "".into(), is_retry: false };
    assert!(journal.claim(&lane, 1).await.is_err());
    journal.record(job, body, relayed()).await;
    assert_eq!(journal.stats().unrecorded, 1);
}

#[tokio::test]
async fn the_clock_goes_on_when_the_wall_clock_was_set_back() {
    let mut place = Place::with(|settings| {
        settings.retry_first = Duration::from_secs(1000);
        settings.retry_max = Duration::from_secs(1000);
    });
    place.held(job(), How::Failed(busy())).await;
    place.close().await;
    // The wall clock stood a day ahead then.
    let day = 86_400_000;
    place.db().execute("UPDATE journal SET clock = clock + ?1", [day]).unwrap();
    place.db().execute("UPDATE due SET at = at + ?1", [day]).unwrap();
    place.open();
    let lanes = place.journal().lanes().await.unwrap();
    let until = lanes[0].1.as_secs();
    assert!((700..=1200).contains(&until), "{until}");
}

#[tokio::test]
async fn when_the_writer_has_ended_nobody_waits_for_it() {
    let place = Place::new();
    let _ = place.journal().shared().inbox.push(Order::Crash);
    let holds = futures_util::future::join_all((0..100).map(|_| place.hold(job(), How::Queued)));
    let held = tokio::time::timeout(Duration::from_secs(20), holds).await.unwrap();
    assert!(held.into_iter().all(|held| held.is_err()));
}
