//! What refused jobs were made from: kept for a while, judged anew when a person asks, and gone in time.

use super::beside::change;
use super::rules::copy;
use super::*;
use crate::fault::{Reason, State};
use crate::journal::ledger::{Ask, Done, Ledger, Standing};
use futures_util::FutureExt;
use std::time::SystemTime;

fn missing_field() -> Outcome {
    Outcome::Failed(Fault::new(Reason::MissingField, "person.first_name is missing"))
}

/// Held, attempted and ended so.
async fn ended(place: &Place, job: Job, outcome: Outcome) -> Number {
    let number = place.held(job, How::Queued).await;
    place.claim(false).await;
    place.settle(number, outcome).await;
    number
}

fn kept(place: &Place) -> i64 {
    place.check();
    place.number("SELECT count(*) FROM kept")
}

fn standing(place: &Place, number: Number) -> Standing {
    Ledger::open(&place.settings.dir).unwrap().standing(number).unwrap()
}

/// Once more what it is made from, as it was.
async fn goes_on(place: &Place, number: Number, expected: &Job) {
    assert_eq!(standing(place, number), Standing::Kept);
    assert_eq!(change(place, &[number], RETRY).await, [Done::JudgedAnew]);
    assert_eq!(standing(place, number), Standing::Waiting);
    place.check();
    let claimed = place.claim_retry().await;
    assert_eq!((claimed.number, claimed.attempt), (number, 2));
    let read = Job { read_at: expected.read_at, ..claimed.job.into_job(expected.engine.clone()) };
    assert!(is_same(&read, expected), "{read:?}\n{expected:?}");
}

#[tokio::test]
async fn b10_a_refused_job_is_kept_and_judged_anew_when_a_person_asks() {
    let place = Place::new();
    for is_held in [true, false] {
        for first in [job(), inline("Dear {{person.first_name}}"), message("Subject: x", "text")] {
            let first = Job { target: Some("mta1".into()), ..first };
            let (expected, send) = (copy(&first), first.send.clone());
            let lane = Lane { target: "mta1".into(), is_retry: false };
            let number = if is_held {
                let number = place.held(first, How::Queued).await;
                place.journal().claim(&lane, 1).await.unwrap();
                place.settle(number, missing_field()).await;
                number
            } else {
                let first = Arc::new(first);
                place.journal().record(first.clone(), Body::of(&first), missing_field()).await;
                place.settle(Number(0), Outcome::Lost).await;
                Number(place.number("SELECT max(id) FROM job"))
            };
            assert_eq!(kept(&place), 1);
            assert_eq!(change(&place, &[number], Ask::Cancel).await, [Done::Ended(State::Rejected)]);
            assert_eq!(change(&place, &[number], RETRY).await, [Done::JudgedAnew]);
            assert_eq!(place.outcome(&send).await, Outcome::Journaled(Repeat::No));
            let lane = Lane { is_retry: true, ..lane };
            let claimed = place.journal().claim(&lane, 1).await.unwrap().pop().unwrap();
            assert_eq!((claimed.number, claimed.attempt), (number, 2));
            let read = Job { read_at: expected.read_at, ..claimed.job.into_job(expected.engine.clone()) };
            assert!(is_same(&read, &expected), "{read:?}\n{expected:?}");
            place.settle(number, relayed()).await;
            assert_eq!(place.outcome(&send).await.state(), State::Relayed);
            assert_eq!(change(&place, &[number], RETRY).await, [Done::Ended(State::Relayed)]);
            assert_eq!(kept(&place), 0);
        }
    }
    assert_eq!(place.number("SELECT sum(jobs) FROM tally"), 6);
    assert_eq!(
        place.number("SELECT jobs FROM tally WHERE state = 'relayed'"),
        6,
        "no refusal is in the totals"
    );
    let refusals = "SELECT count(*) FROM attempt WHERE number = 1 AND reason = 'missing-field'";
    assert_eq!(place.number(refusals), 6, "each stays among the attempts");
    assert_eq!(place.number("SELECT kept_bytes + kept_jobs + held_bytes + held_jobs FROM journal"), 0);
    assert_eq!(place.number("SELECT count(*) FROM kept_content"), 0);
}

#[tokio::test]
async fn b10_what_is_kept_outlives_kills_and_a_damaged_file() {
    let mut place = Place::new();
    let (first, second) = (message("Subject: x", "shared"), message("Subject: y", "shared"));
    let expected = copy(&second);
    ended(&place, first, missing_field()).await;
    let number = ended(&place, second, missing_field()).await;
    assert_eq!(kept(&place), 2);
    place.crash().await;
    place.open();
    assert_eq!(kept(&place), 2);
    place.close().await;
    std::fs::write(place.settings.dir.join(shared::DAMAGED_MARK), "").unwrap();
    assert!(place.open().salvaged.unwrap().is_complete);
    assert_eq!((kept(&place), place.journal().stats().kept_jobs), (2, 2));
    goes_on(&place, number, &expected).await;
    // Taken out again, and killed before it left.
    place.crash().await;
    assert_eq!(place.open().given_back, 1);
    place.claim_retry().await;
    place.settle(number, missing_field()).await;
    assert_eq!(kept(&place), 2, "it can be mended once more");
    assert_eq!(change(&place, &[number], RETRY).await, [Done::JudgedAnew]);
}

#[tokio::test]
async fn b10_the_oldest_go_when_it_becomes_too_much_or_too_old() {
    let mut place = Place::with(|settings| settings.keep_refused.bytes_max = 20_000);
    let mut numbers = Vec::new();
    for number in 0..30 {
        let text = format!("{number:>1500}");
        numbers.push(ended(&place, message("Subject: x", &text), missing_field()).await);
        assert!(place.number("SELECT kept_bytes FROM journal") <= 20_000);
    }
    ended(&place, message("Subject: x", &"x".repeat(30_000)), missing_field()).await;
    assert_eq!(kept(&place), 0, "one that is larger than all the room drives out the rest, and itself");
    for number in 0..20 {
        numbers.push(ended(&place, message("Subject: x", &format!("{number:>1500}")), missing_field()).await);
    }
    assert!((5..15).contains(&kept(&place)));
    let done = change(&place, &[numbers[0], *numbers.last().unwrap()], RETRY).await;
    assert_eq!(done, [Done::NotKept(State::Rejected), Done::JudgedAnew]);
    place.close().await;
    place.settings.keep_refused.duration = Duration::from_millis(1);
    let later = std::time::Instant::now();
    while later.elapsed() < Duration::from_millis(5) {}
    let (mut writer, _) = recovery::open(place.settings.clone(), here(BOOT)).unwrap();
    assert!(writer.sweep().unwrap());
    drop(writer);
    place.open();
    assert_eq!(kept(&place), 0);
    assert_eq!(place.number("SELECT count(*) FROM kept_content"), 0);
}

/// Nothing is refused any more that would drive it out.
#[tokio::test]
async fn b10_a_bound_that_is_set_lower_holds_for_what_is_kept_already() {
    let mut place = Place::new();
    for number in 0..20 {
        ended(&place, message("Subject: x", &format!("{number:>1500}")), missing_field()).await;
    }
    assert_eq!(kept(&place), 20);
    place.close().await;
    for (bytes_max, left) in [(10_000, 1..10), (0, 0..1)] {
        place.settings.keep_refused.bytes_max = bytes_max;
        let (mut writer, _) = recovery::open(place.settings.clone(), here(BOOT)).unwrap();
        assert!(writer.sweep().unwrap());
        drop(writer);
        assert!(place.number("SELECT kept_bytes FROM journal") <= bytes_max as i64);
        assert!(left.contains(&kept(&place)));
    }
}

#[tokio::test]
async fn b10_what_a_target_may_have_and_what_is_not_wanted_is_not_kept() {
    let place = Place::with(|settings| settings.unknown = WhenUnknown::Resend);
    let by_target = ended(&place, job(), Outcome::Failed(refused())).await;
    let doubtful = place.held(job(), How::InDoubt(Fault::in_doubt("gone"))).await;
    place.claim_retry().await;
    place.settle(doubtful, missing_field()).await;
    assert_eq!(kept(&place), 0);
    let left = [Done::Ended(State::Rejected); 2];
    assert_eq!(change(&place, &[by_target, doubtful], RETRY).await, left);
    let place = Place::with(|settings| settings.keep_refused.duration = Duration::ZERO);
    let number = ended(&place, job(), missing_field()).await;
    let recorded = Arc::new(job());
    place.journal().record(recorded.clone(), Body::of(&recorded), missing_field()).await;
    place.settle(Number(0), Outcome::Lost).await;
    assert_eq!(kept(&place), 0);
    assert_eq!(change(&place, &[number], RETRY).await, [Done::NotKept(State::Rejected)]);
}

#[tokio::test]
async fn b10_a_deadline_of_its_own_stands_and_any_other_begins_anew() {
    let place = Place::new();
    let at = |ms: i64| SystemTime::UNIX_EPOCH + Duration::from_millis((clock::wall_ms() + ms) as u64);
    let late = ended(&place, Job { expires: Some(at(50)), ..job() }, missing_field()).await;
    let timely = ended(&place, Job { expires: Some(at(900_000)), ..job() }, missing_field()).await;
    let free = ended(&place, job(), missing_field()).await;
    while clock::wall_ms() <= place.number("SELECT changed FROM job WHERE id = 1") + 60 {
        tokio::task::yield_now().await;
    }
    // The book is kept at that moment.
    let dir = place.settings.dir.clone();
    let change = move || {
        let mut desk = ledger::Desk::open(&dir).unwrap();
        desk.change(&[late, timely, free], RETRY, clock::wall_ms()).unwrap()
    };
    let done = tokio::task::spawn_blocking(change).await.unwrap();
    assert_eq!(done, [Done::TooLate(State::Rejected), Done::JudgedAnew, Done::JudgedAnew]);
    let left = |number: Number| {
        place.number(&format!("SELECT expires - clock FROM payload, journal WHERE job = {}", number.0))
    };
    assert!((800_000..=901_000).contains(&left(timely)), "{}", left(timely));
    assert!((3_500_000..=3_601_000).contains(&left(free)), "{}", left(free));
    assert_eq!(kept(&place), 1);
}

async fn resume(place: &Place, job: &Job) -> Resumed {
    place.journal().resume(&job.send, Body::of(job)).await.unwrap()
}

#[tokio::test]
async fn b10_a_person_and_an_engine_at_once_have_it_carried_once() {
    let place = Place::new();
    let jobs = [job(), job()];
    let again = jobs.each_ref().map(copy);
    let mut numbers = Vec::new();
    for job in jobs {
        numbers.push(ended(&place, job, missing_field()).await);
    }
    let [engine_first, person_first] = &again;
    let resumed = resume(&place, engine_first).await;
    assert!(matches!(resumed, Resumed::Anew(_)));
    assert_eq!(change(&place, &numbers[..1], RETRY).await, [Done::InFlight]);
    assert_eq!(change(&place, &numbers[1..], RETRY).await, [Done::JudgedAnew]);
    assert!(matches!(resume(&place, person_first).await, Resumed::Before(Outcome::Journaled(_))));
    assert!(matches!(resume(&place, &Job { locale: None, ..copy(person_first) }).await, Resumed::Other));
    assert!(matches!(resume(&place, &job()).await, Resumed::Anew(_)), "the ledger has forgotten it");
    place.journal().record(Arc::new(copy(engine_first)), Body::of(engine_first), relayed()).await;
    drop(resumed);
    place.settle(Number(0), Outcome::Lost).await;
    place.check();
    assert_eq!(change(&place, &numbers[..1], RETRY).await, [Done::Ended(State::Relayed)]);
}

/// A job that is kept, and is being attempted anew.
async fn resumed(place: &Place, refused: Job) -> (Number, Arc<Job>, Resumed) {
    let again = Arc::new(copy(&refused));
    let number = ended(place, refused, missing_field()).await;
    let resumed = resume(place, &again).await;
    assert!(matches!(resumed, Resumed::Anew(_)));
    assert_eq!(standing(place, number), Standing::InFlight);
    (number, again, resumed)
}

/// Killed between the word that it may be attempted and its outcome, it is still kept.
#[tokio::test]
async fn b10_what_is_attempted_anew_is_kept_until_its_outcome_is_there() {
    let mut place = Place::new();
    let (number, again, _under_way) = resumed(&place, inline("Dear {{person.first_name}}")).await;
    place.crash().await;
    let found = place.open();
    assert_eq!((found.given_back, found.in_doubt, found.held), (0, 0, 0));
    assert_eq!(kept(&place), 1);
    goes_on(&place, number, &again).await;
}

/// Its engine has no answer, brings it again, and that is flagged; nobody else sends it.
#[tokio::test]
async fn b10_what_was_attempted_anew_and_may_have_left_is_its_engines() {
    for (boot, has_notes) in [(Some([b'8'; 36]), true), (BOOT, false)] {
        let mut place = Place::new();
        let (number, again, _under_way) = resumed(&place, inline("Dear {{person.first_name}}")).await;
        place.crash().await;
        if !has_notes {
            std::fs::remove_file(place.settings.dir.join(handoff::FILE_NAME)).unwrap();
        }
        place.open_after(boot);
        assert_eq!((kept(&place), place.number("SELECT count(*) FROM kept_content")), (0, 0));
        assert_eq!(change(&place, &[number], RETRY).await, [Done::NotKept(State::Rejected)]);
        assert_eq!(place.journal().repeat(crate::job::Acceptance::Auto), Repeat::Maybe);
        assert!(matches!(resume(&place, &again).await, Resumed::Anew(_)));
    }
}

/// The note of what had left by then says more than what is kept, also where the clock was set back meanwhile.
#[tokio::test]
async fn b10_what_had_left_when_the_relay_was_killed_is_not_kept() {
    for (outcome, state) in [(None, State::Unknown), (Some(relayed()), State::Relayed)] {
        let mut place = Place::new();
        let (number, again, _under_way) = resumed(&place, job()).await;
        place.run("UPDATE job SET changed = changed + 3600000").await;
        let handoff = place.journal().hand_off(again.clone(), Body::of(&again)).await;
        assert!(handoff.offered());
        outcome.iter().for_each(|outcome| handoff.ended(outcome));
        place.crash().await;
        assert_eq!(place.open().handed_off, 1);
        assert_eq!(place.outcome(&again.send).await.state(), state);
        assert_eq!((kept(&place), standing(&place, number)), (0, Standing::Ended));
    }
}

/// Nothing of it left, and nothing was written: who wants it attempted again may.
#[tokio::test]
async fn b10_an_attempt_that_came_to_nothing_leaves_the_job_kept() {
    let place = Place::new();
    let (number, again, under_way) = resumed(&place, job()).await;
    assert_eq!(change(&place, &[number], RETRY).await, [Done::InFlight]);
    drop(under_way);
    place.settle(Number(0), Outcome::Lost).await;
    assert_eq!(kept(&place), 1);
    // Nobody waits for the answer any more.
    let given_up = resume(&place, &again).now_or_never();
    assert!(given_up.is_none());
    for _ in 0..2 {
        place.settle(Number(0), Outcome::Lost).await;
    }
    goes_on(&place, number, &again).await;
}

#[tokio::test]
async fn b10_the_ledger_may_forget_a_job_while_it_is_attempted_anew() {
    let mut place = Place::with(|settings| settings.retention = Duration::ZERO);
    let (_, again, _under_way) = resumed(&place, job()).await;
    place.crash().await;
    let (mut writer, _) = recovery::open(place.settings.clone(), here(BOOT)).unwrap();
    writer
        .db
        .execute_batch("UPDATE job SET accepted = 1, changed = 1; INSERT INTO flight VALUES (1, 0, 0)")
        .unwrap();
    assert!(writer.sweep().unwrap());
    drop(writer);
    assert_eq!(place.number("SELECT (SELECT count(*) FROM job) + (SELECT count(*) FROM flight)"), 0);
    place.open();
    place.journal().record(again.clone(), Body::of(&again), relayed()).await;
    place.settle(Number(0), Outcome::Lost).await;
    assert_eq!(place.outcome(&again.send).await, relayed());
    place.check();
}
