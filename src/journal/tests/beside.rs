//! The ledger and the desk beside a running journal: both keep the same books.

use super::*;
use crate::fault::State;
use crate::journal::ledger::{Ask, Desk, Done, Ledger, Standing};

pub async fn change(place: &Place, jobs: &[Number], ask: Ask) -> Vec<Done> {
    let (dir, jobs) = (place.settings.dir.clone(), jobs.to_vec());
    let change = move || Desk::open(&dir).unwrap().change(&jobs, ask, 1).unwrap();
    tokio::task::spawn_blocking(change).await.unwrap()
}

fn in_doubt() -> How {
    How::InDoubt(Fault::in_doubt("gone"))
}

#[tokio::test]
async fn what_a_person_cancels_the_relay_does_not_send() {
    let place = Place::new();
    let waiting = place.held(inline("shared"), How::Queued).await;
    let other = place.held(inline("shared"), How::Queued).await;
    let doubt = place.held(inline("shared"), in_doubt()).await;
    let flight = place.held(job(), How::InFlight).await;
    let done = change(&place, &[waiting, flight, doubt], Ask::Cancel).await;
    assert_eq!(done, [Done::Cancelled, Done::InFlight, Done::Cancelled]);
    place.check();
    let claimed = place.claim(false).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.number).collect::<Vec<_>>(), [other]);
    for number in [other, flight] {
        place.settle(number, relayed()).await;
    }
    place.check();
    assert_eq!(place.number("SELECT held_bytes + held_jobs FROM journal"), 0);
    let counts = Ledger::open(&place.settings.dir).unwrap().campaign(None, "c42").unwrap();
    assert_eq!((counts.of(State::Cancelled), counts.of(State::Relayed), counts.is_finished()), (2, 2, true));
}

/// As a reload does with jobs that wait for a template.
#[tokio::test]
async fn c13_what_waits_is_due_at_once_when_it_is_hastened_and_nothing_else() {
    let long = Duration::from_secs(1_000);
    let place = Place::with(|settings| (settings.retry_first, settings.retry_max) = (long, long));
    let failed = || How::Failed(Fault::new(crate::fault::Reason::TemplateNotFound, "it is gone"));
    let waiting = place.held(job(), failed()).await;
    let parked = place.held(job(), failed()).await;
    let doubt = place.held(job(), in_doubt()).await;
    let flying = place.held(job(), How::InFlight).await;
    let ended = place.held(job(), How::InFlight).await;
    place.settle(ended, relayed()).await;
    place
        .run(&format!(
            "INSERT INTO parked (job, is_retry) SELECT job, is_retry FROM due WHERE job = {0};
             DELETE FROM due WHERE job = {0}",
            parked.0
        ))
        .await;
    assert!(place.claim(true).await.is_empty(), "its pause is long");
    let all = [waiting, parked, doubt, flying, ended, Number(99)];
    let expected =
        [Done::DueNow, Done::Held, Done::Held, Done::InFlight, Done::Ended(State::Relayed), Done::NotThere];
    assert_eq!(change(&place, &all, Ask::Hasten).await, expected);
    place.check();
    let claimed = place.claim(true).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.number).collect::<Vec<_>>(), [waiting]);
    assert_eq!(change(&place, &[waiting], Ask::Hasten).await, [Done::InFlight]);
    place.settle(waiting, relayed()).await;
    assert_eq!(
        place.number("SELECT is_resent + maybe_repeated FROM job WHERE id = 1"),
        0,
        "nothing is flagged"
    );
}

#[tokio::test]
async fn what_a_person_has_sent_again_comes_out_of_its_lane_and_is_flagged() {
    let place = Place::new();
    let mut named = inline("hello");
    named.target = Some("mta2".into());
    let send = named.send.clone();
    let number = place.held(named, in_doubt()).await;
    let ledger = Ledger::open(&place.settings.dir).unwrap();
    assert_eq!(ledger.standing(number).unwrap(), Standing::HeldInDoubt);
    assert_eq!(change(&place, &[number], RETRY).await, [Done::SentAgain]);
    place.check();
    let lane = Lane { target: "mta2".into(), is_retry: true };
    let claimed = place.journal().claim(&lane, 10).await.unwrap();
    assert_eq!((claimed[0].number, claimed[0].attempt), (number, 2));
    assert_eq!(ledger.standing(number).unwrap(), Standing::InFlight);
    assert_eq!(place.number("SELECT count(*) FROM deadline WHERE first = last AND part < 0"), 1);
    place.settle(number, relayed()).await;
    let told = ledger.by_send(&send).unwrap().unwrap();
    assert_eq!((told.resent, told.attempt, told.verdict.state), (true, 2, State::Relayed));
    let events = ledger.events(Some("campaigns"), 0, 10).unwrap().events;
    let states: Vec<State> = events.iter().map(|event| event.verdict.state).collect();
    assert_eq!(states, [State::Unknown, State::Journaled, State::Relayed]);
    place.check();
}
