//! What a start finds after the last run ended anyhow.

use super::*;
use crate::journal::flight::BootId;

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
    assert_eq!(place.outcome(&sends[0]).await, Outcome::Journaled);
    assert!(matches!(place.outcome(&sends[1]).await, Outcome::HeldInDoubt(_)));
    assert_eq!(place.outcome(&sends[2]).await, Outcome::Journaled);
    assert_eq!(place.outcome(&sends[3]).await, relayed());
    assert_eq!(place.claim(false).await.len(), 2);
}

#[tokio::test]
async fn after_a_power_cut_everything_in_flight_is_in_doubt() {
    for boot in [NEXT_BOOT, None] {
        let mut place = Place::new();
        four_in_flight(&mut place).await;
        let found = place.open_after(boot);
        assert_eq!((found.given_back, found.in_doubt, found.relayed), (0, 4, 0));
        place.check();
    }
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
    assert_eq!(place.open(), Recovered { held: 3, ..Recovered::default() });
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
    assert_eq!(place.open(), Recovered::default());
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
