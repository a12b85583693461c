//! What a positive answer means: jobs that are held, delivered later, submitted twice, or in doubt.

use crate::outcomes::send_number;
use crate::set_up::{Mta, Presence, Stage};
use crate::world::{World, assert_result, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokenrelay::load::sink::Script;
use toml_edit::value;

fn down() -> Mta {
    Mta { presence: Presence::Down, ..Mta::new("mta1", Script::default()) }
}

async fn state_of(world: &World, job: &Value) -> (u16, String) {
    let answer = world.http().await.post(job).await;
    (answer.status, answer.json()["state"].as_str().unwrap().to_owned())
}

fn told(status: u16, state: &str) -> (u16, String) {
    (status, state.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_target_does_not_take_is_held_and_delivered_when_it_is_back() {
    for accept in ["auto", "journal"] {
        let mut world = Stage::new().accept(accept).mta(down()).up().await;
        for number in 0..20 {
            let job = world.job(number % 4, &format!("h-{number}"));
            assert_eq!(state_of(&world, &job).await, told(202, "journaled"));
        }
        let reply = world.smtp().await.send(&world.people[0].address(), &world.message(0)).await;
        assert_eq!(reply.codes(), "250 2.0.0", "{reply:?}");
        assert!(reply.text.contains("journaled as s_"), "{reply:?}");
        assert_eq!(world.rows("payload"), 21);
        world.mtas[0].open();
        eventually("all are delivered", || world.sink().stats().messages == 21).await;
        eventually("nothing is held any more", || world.rows("payload") == 0).await;
        let tables = ["due", "flight", "content"].map(|table| world.rows(table));
        assert_eq!((world.rows("job"), tables), (21, [0, 0, 0]));
        assert_eq!(world.ledger("h-7").unwrap().0, "relayed");
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auto_hands_off_and_keeps_the_outcome_only() {
    let world = Stage::new().accept("auto").up().await;
    assert_eq!(state_of(&world, &world.job(0, "a")).await, told(200, "relayed"));
    let mut unknown = world.job(0, "b");
    unknown["to"] = json!("e_00000000000000000000000000@tokens.example");
    assert_eq!(state_of(&world, &unknown).await, told(422, "rejected"));
    world.ends("a", "relayed").await;
    world.ends("b", "rejected").await;
    assert_eq!(["payload", "due", "flight"].map(|table| world.rows(table)), [0, 0, 0]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_job_is_never_a_second_message() {
    for (accept, first) in [("auto", told(200, "relayed")), ("journal", told(202, "journaled"))] {
        let mut world = Stage::new().accept(accept).up().await;
        let (job, mut other) = (world.job(0, "a"), world.job(0, "a"));
        other["data"] = json!({"order": "B-2"});
        assert_eq!(state_of(&world, &job).await, first);
        world.ends("a", "relayed").await;
        for is_restarted in [false, true] {
            if is_restarted {
                world.restart().await;
            }
            let again = state_of(&world, &job).await;
            assert!(again == told(200, "relayed") || again == first, "{again:?}");
            let answer = world.http().await.post(&other).await;
            assert_eq!(answer.status, 409);
            assert_result(&answer.json(), "rejected", "bad-job");
        }
        let at_once = (0..50).map(|_| world.job(1, "b"));
        let results = world.http().await.submit(at_once).await;
        let sends: BTreeSet<String> = results.iter().map(|result| result["send"].to_string()).collect();
        assert_eq!((results.len(), sends.len()), (50, 1));
        world.ends("b", "relayed").await;
        assert_eq!(world.sink().stats().messages, 2);
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_jobs_outlive_the_relay() {
    let mut world = Stage::new().accept("journal").mta(down()).up().await;
    let jobs = (0..300).map(|number| world.job(number % 4, &format!("j-{number}")));
    let results = world.http().await.submit(jobs).await;
    assert!(results.iter().all(|result| result["state"] == "journaled"));
    world.restart().await;
    world.mtas[0].open();
    eventually("all are delivered", || world.sink().stats().messages == 300).await;
    eventually("nothing is held any more", || world.rows("payload") == 0).await;
    let sends: BTreeSet<String> = world.messages().iter().map(send_number).collect();
    assert_eq!(sends.len(), 300, "each job is a message of its own");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_doubt_is_held_and_never_sent_again_by_itself() {
    let world = Stage::new().accept("auto").mta(Mta::behaving("drop-after-data=1")).up().await;
    let answer = world.http().await.post(&world.job(0, "a")).await;
    assert_eq!(answer.status, 202);
    assert_result(&answer.json(), "unknown", "target-unavailable");
    let reply = world.smtp().await.send(&world.people[0].address(), &world.message(0)).await;
    assert_eq!(reply.codes(), "250 2.0.0", "{reply:?}");
    assert_eq!(world.ledger("a").unwrap().0, "unknown");
    assert_eq!((world.rows("payload"), world.rows("due"), world.rows("flight")), (2, 0, 0));
    assert_eq!(state_of(&world, &world.job(0, "a")).await, told(202, "unknown"));
    assert_eq!(world.sink().stats().mail_commands, 2);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_doubt_is_sent_again_and_flagged_where_that_is_asked_for() {
    let stage = Stage::new().accept("journal").edit(|file| file["journal"]["unknown"] = value("resend"));
    let world = stage.mta(Mta::behaving("drop-after-data=2")).up().await;
    for number in 0..4 {
        let job = world.job(number, &format!("j-{number}"));
        assert_eq!(state_of(&world, &job).await, told(202, "journaled"));
    }
    for number in 0..4 {
        world.ends(&format!("j-{number}"), "relayed").await;
    }
    let flagged = (0..4).filter(|number| world.ledger(&format!("j-{number}")).unwrap().2).count();
    assert!(flagged > 0, "the target dropped some");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_answer_holds_all_recipients_or_none() {
    let world = Stage::new().accept("auto").up().await;
    let mut smtp = world.smtp().await;
    assert_eq!(smtp.say("MAIL FROM:<shop@shop.example>").await.unwrap().code, 250);
    for person in &world.people {
        let reply = smtp.say(&format!("RCPT TO:<{}>", person.address())).await.unwrap();
        assert_eq!(reply.code, 250, "{reply:?}");
    }
    assert_eq!(smtp.say("DATA").await.unwrap().code, 354);
    let message = world.message(0).replace(&world.people[0].address(), "undisclosed:;");
    let reply = smtp.say(&format!("{message}\r\n.")).await.unwrap();
    assert_eq!(reply.codes(), "250 2.0.0", "{reply:?}");
    eventually("each has a message of their own", || world.sink().stats().messages == 4).await;
    let recipients: BTreeSet<String> =
        world.messages().iter().flat_map(|message| message.envelope.recipients.clone()).collect();
    assert_eq!(recipients.len(), 4);
    eventually("nothing is held any more", || world.rows("payload") == 0).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_goes_by_what_is_true_then() {
    let mut world = Stage::new().accept("journal").mta(down()).up().await;
    let mut late = world.job(1, "late");
    let expires = jiff::Timestamp::now() + std::time::Duration::from_millis(700);
    late["expires"] = json!(expires.to_string());
    assert_eq!(state_of(&world, &late).await, told(202, "journaled"));
    assert_eq!(state_of(&world, &world.job(0, "a")).await, told(202, "journaled"));
    world.refuse(0, "service");
    eventually("the time of one is over", || jiff::Timestamp::now() > expires).await;
    // While the target is down it is asked after growing pauses only, and jobs wait with their outcomes.
    world.mtas[0].open();
    world.ends("late", "expired").await;
    world.ends("a", "suppressed").await;
    assert_eq!(world.ledger("a").unwrap().1.as_deref(), Some("no-consent"));
    assert_eq!(world.sink().stats().messages, 0);
    assert_eq!(world.rows("payload"), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_takes_its_time_delays_no_answer_and_gets_no_second_message() {
    let stage = Stage::new().accept("auto").edit(|file| file["limits"]["handoff_wait"] = value("200ms"));
    let world = stage.mta(Mta::behaving("one-message-per-second")).up().await;
    assert_eq!(state_of(&world, &world.job(0, "a")).await, told(202, "journaled"));
    assert_eq!((world.rows("flight"), world.rows("due")), (1, 0));
    world.ends("a", "relayed").await;
    assert_eq!((world.rows("flight"), world.rows("payload")), (0, 0));
    assert_eq!(world.sink().stats().messages, 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_a_job_runs_again_when_what_it_was_refused_for_is_mended() {
    for (accept, first) in [("auto", told(422, "suppressed")), ("journal", told(202, "journaled"))] {
        let mut world = Stage::new().accept(accept).column(0, "consent", "-service").up().await;
        let job = world.job(0, "a");
        for _ in 0..2 {
            assert_eq!(state_of(&world, &job).await, first);
            world.ends("a", "suppressed").await;
        }
        world.consent(0, "service");
        // Held ones look the person up anew; of the others the cache is asked.
        if accept == "auto" {
            world.restart().await;
        }
        let last = state_of(&world, &job).await;
        world.ends("a", "relayed").await;
        assert_eq!(state_of(&world, &job).await.1, last.1, "and what a target has is not sent again");
        assert_eq!(world.sink().stats().messages, 1);
        let sums = "SELECT sum(jobs), (SELECT count(*) FROM attempt WHERE reason = 'no-consent') FROM tally";
        let sums =
            world.journal().query_row(sums, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        assert_eq!(sums.unwrap(), (1, 2), "the refusals are attempts, and not in the totals");
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_back_may_come_again() {
    let mut world = Stage::new().accept("auto").up().await;
    assert_eq!(state_of(&world, &world.job(0, "a")).await, told(200, "relayed"));
    world.ends("a", "relayed").await;
    world.stop().await;
    assert_eq!(world.left_by_stop.take(), Some(0));
    // As a commit leaves it that failed after its jobs had been refused.
    let given_back = "UPDATE job SET state = 'deferred', reason = 'target-unavailable'";
    assert_eq!(world.journal().execute(given_back, []).unwrap(), 1);
    world.start().await;
    assert_eq!(state_of(&world, &world.job(0, "a")).await, told(200, "relayed"));
    world.ends("a", "relayed").await;
    assert_eq!(world.sink().stats().messages, 2);
    world.finish().await;
}

/// Whose first name is missing at first.
const NAMELESS: usize = 2;

fn mend(world: &World) {
    use tokenrelay::vault::Draft;
    let vault =
        tokenrelay::vault::Vault::open(&tokenrelay::app::vault_settings(&world.config).unwrap()).unwrap();
    let mut writer = vault.writer().unwrap();
    let mut draft = Draft::default();
    draft.set_named("email", world.people[NAMELESS].value("email")).unwrap();
    draft.set_named("first_name", "Mended").unwrap();
    writer.put(&draft.checked().unwrap()).unwrap().unwrap();
    writer.settle().unwrap();
}

/// Submits it until the change of the vault counts, which it does within a second.
async fn until_relayed(world: &World, job: &Value) -> Value {
    for _ in 0..200 {
        let answer = world.http().await.post(job).await.json();
        if answer["state"] != "rejected" {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it is refused for ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_a_door_that_hands_off_judges_a_refused_job_anew_and_keeps_nothing() {
    let mut world = Stage::new().accept("handoff").column(NAMELESS, "first_name", "").up().await;
    let job = world.job(NAMELESS, "mended");
    let answer = world.http().await.post(&job).await;
    assert_result(&answer.json(), "rejected", "missing-field");
    let mut other = job.clone();
    other["data"] = json!({"order": "B-2"});
    assert_eq!(world.http().await.post(&other).await.status, 409, "its id is its own all the same");
    mend(&world);
    assert_eq!(until_relayed(&world, &job).await["state"], "relayed");
    let again = world.http().await.post(&job).await;
    assert_eq!((again.status, &again.json()["state"]), (200, &json!("relayed")));
    assert_eq!(world.sink().stats().messages, 1, "and once only");
    assert!(!world.config.journal_dir().exists(), "nothing is kept");
    world.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_a_person_has_refused_jobs_judged_anew_and_their_engine_is_told_what_became_of_them() {
    use tokenrelay::journal::Number;
    use tokenrelay::journal::ledger::{Ask, Desk, Done};
    for accept in ["auto", "journal"] {
        let mut world = Stage::new().accept(accept).column(NAMELESS, "first_name", "").up().await;
        let job = world.job(NAMELESS, "mended");
        world.http().await.post(&job).await;
        world.ends("mended", "rejected").await;
        mend(&world);
        world.restart().await;
        let (dir, ask) =
            (world.config.journal_dir(), Ask::Retry { tried_for: std::time::Duration::from_secs(60) });
        let done = Desk::open(&dir).unwrap().change(&[Number(1)], ask, 1).unwrap();
        assert_eq!(done, [Done::JudgedAnew]);
        world.ends("mended", "relayed").await;
        assert_eq!(state_of(&world, &job).await, told(200, "relayed"));
        assert_eq!((world.sink().stats().messages, world.rows("kept")), (1, 0));
        let tally = "SELECT group_concat(state || jobs) FROM tally WHERE jobs <> 0";
        let tally: String = world.journal().query_row(tally, [], |row| row.get(0)).unwrap();
        assert_eq!(tally, "relayed1");
        world.finish().await;
    }
}

/// The first door with HTTP means this from the next start on; those with SMTP mean what they did.
fn http_means(world: &World, accept: &str) {
    let mut document: toml_edit::DocumentMut =
        std::fs::read_to_string(&world.config.file).unwrap().parse().unwrap();
    let doors = document["listener"].as_array_of_tables_mut().unwrap();
    let http = doors.iter_mut().find(|door| door["kind"].as_str() == Some("http")).unwrap();
    http["accept"] = value(accept);
    std::fs::write(&world.config.file, document.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_what_a_door_that_hands_off_has_delivered_is_not_delivered_by_a_retry() {
    use tokenrelay::fault::State;
    use tokenrelay::journal::Number;
    use tokenrelay::journal::ledger::{Ask, Desk, Done};
    let mut world = Stage::new().accept("auto").column(NAMELESS, "first_name", "").up().await;
    let job = world.job(NAMELESS, "mended");
    assert_eq!(state_of(&world, &job).await, told(422, "rejected"));
    world.ends("mended", "rejected").await;
    assert_eq!(world.rows("kept"), 1);
    world.stop().await;
    mend(&world);
    http_means(&world, "handoff");
    world.start().await;
    assert_eq!(state_of(&world, &job).await, told(200, "relayed"));
    world.ends("mended", "relayed").await;
    let ask = Ask::Retry { tried_for: std::time::Duration::from_secs(60) };
    let done = Desk::open(&world.config.journal_dir()).unwrap().change(&[Number(1)], ask, 1).unwrap();
    assert_eq!((done, world.rows("kept")), (vec![Done::Ended(State::Relayed)], 0));
    assert_eq!(world.sink().stats().messages, 1);
    world.finish().await;
}

/// A target that is down or full: nothing has become of it, and a person may still have it judged anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_what_a_door_that_hands_off_could_not_deliver_is_kept_as_it_was() {
    let stage = Stage::new().accept("auto").column(NAMELESS, "first_name", "").mta(Mta::behaving("decline"));
    let mut world = stage.up().await;
    let job = world.job(NAMELESS, "mended");
    assert_eq!(state_of(&world, &job).await, told(422, "rejected"));
    world.ends("mended", "rejected").await;
    world.stop().await;
    http_means(&world, "handoff");
    world.start().await;
    assert_eq!(state_of(&world, &job).await, told(422, "rejected"), "nothing is mended");
    world.stop().await;
    mend(&world);
    world.start().await;
    assert_eq!(state_of(&world, &job).await, told(503, "deferred"));
    eventually("nothing is under way", || world.rows("flight") == 0).await;
    assert_eq!((world.ledger("mended").unwrap().0.as_str(), world.rows("kept")), ("rejected", 1));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_one_door_has_delivered_is_no_second_message_at_one_that_hands_off() {
    let mut world = Stage::new().accept("auto").up().await;
    assert_eq!(state_of(&world, &world.job(0, "a")).await, told(200, "relayed"));
    world.ends("a", "relayed").await;
    world.stop().await;
    http_means(&world, "handoff");
    world.start().await;
    assert_eq!(state_of(&world, &world.job(0, "a")).await, told(200, "relayed"));
    let mut other = world.job(0, "a");
    other["data"] = json!({"order": "B-2"});
    assert_eq!(world.http().await.post(&other).await.status, 409);
    assert_eq!(state_of(&world, &world.job(0, "b")).await, told(200, "relayed"));
    assert_eq!(world.sink().stats().messages, 2);
    assert_eq!(world.rows("job"), 1, "what only such a door has had is nowhere");
    world.finish().await;
}

/// Delivered by a door that keeps nothing, and told from memory by one that keeps what became of a job: from then on it is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_what_a_door_with_a_ledger_tells_from_memory_is_in_the_ledger() {
    for accept in ["auto", "journal"] {
        let stage = Stage::new().accept(accept).edit(|file| {
            let doors = file["listener"].as_array_of_tables_mut().unwrap();
            let mut door = doors.iter().find(|door| door["kind"].as_str() == Some("http")).unwrap().clone();
            door["accept"] = value("handoff");
            doors.push(door);
        });
        let mut world = stage.up().await;
        let job = world.job(0, "a");
        let answer = world.http_at_last().await.post(&job).await;
        assert_eq!(answer.json()["state"], "relayed", "{answer:?}");
        assert_eq!(world.rows("job"), 0, "that door keeps nothing");
        assert_eq!(state_of(&world, &job).await, told(200, "relayed"));
        assert_eq!(
            world.ledger("a").map(|(state, ..)| state).as_deref(),
            Some("relayed"),
            "before it is told"
        );
        world.restart().await;
        for _ in 0..2 {
            assert_eq!(state_of(&world, &job).await, told(200, "relayed"));
        }
        let answer = world.http_at_last().await.post(&job).await;
        assert_eq!(answer.json()["state"], "relayed", "{answer:?}");
        assert_eq!((world.sink().stats().messages, world.rows("job")), (1, 1), "{accept}");
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p11_an_engine_reads_at_once_what_it_was_just_told() {
    let world = Stage::new().accept("auto").up().await;
    let mut http = world.http().await;
    for number in 0..40 {
        let mut job = world.job(number % 4, &format!("r-{number}"));
        job["campaign"] = json!("c1");
        if number % 5 == 4 {
            job["to"] = json!("e_00000000000000000000000000@tokens.example");
        }
        let told = http.post(&job).await.json();
        let found = http.get_with_key(&format!("/v1/jobs/r-{number}")).await;
        assert_eq!((found.status, &found.json()["state"]), (200, &told["state"]), "{number}: {}", found.text);
        let campaign = http.get_with_key("/v1/campaigns/c1").await.json();
        assert_eq!(campaign["jobs"], json!(number + 1));
        let results = http.get_with_key("/v1/jobs?campaign=c1").await.text;
        assert_eq!(results.lines().count(), number + 1);
    }
    world.finish().await;
}
