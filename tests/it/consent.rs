//! People who must not be mailed: the reason is told, and the first MTA hears nothing.

use crate::set_up::Stage;
use crate::world::{World, assert_result};
use serde_json::{Value, json};
use toml_edit::value;

const REFUSED: usize = 0;
const SILENT: usize = 1;
const PAST: usize = 2;
const WILLING: usize = 3;

fn stage() -> Stage {
    Stage::new()
        .column(REFUSED, "consent", "service -marketing")
        .column(SILENT, "consent", "")
        .column(PAST, "retention", "2020-01-01")
        .column(WILLING, "consent", "marketing")
        .column(WILLING, "retention", "2999-12-31")
}

fn marketing(world: &World, person: usize) -> Value {
    marketing_named(world, person, &format!("m-{person}"))
}

fn marketing_named(world: &World, person: usize, job_id: &str) -> Value {
    let mut job = world.job(person, job_id);
    job["purpose"] = "marketing".into();
    job
}

async fn over_smtp(world: &World, person: usize) -> String {
    let message = world.message(person).replace("Purpose: service", "Purpose: marketing");
    let reply = world.smtp().await.send(&world.people[person].address(), &message).await;
    let word = reply.text.split(' ').nth(1).unwrap_or_default().trim_end_matches(':').to_owned();
    format!("{} {word}", reply.code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_refused_or_is_past_retention_is_not_mailed() {
    let world = stage().up().await;
    let mut http = world.http().await;
    let refused = http.post(&marketing(&world, REFUSED)).await;
    assert_eq!(refused.status, 422);
    assert_result(&refused.json(), "suppressed", "no-consent");
    assert_result(&http.post(&marketing(&world, PAST)).await.json(), "rejected", "expired-token");
    assert_eq!(over_smtp(&world, REFUSED).await, "550 no-consent");
    assert_eq!(over_smtp(&world, PAST).await, "550 expired-token");
    assert_eq!(world.sink().stats().mail_commands, 0);
    for (person, job_id) in [(SILENT, "silent"), (WILLING, "willing")] {
        assert_eq!(
            http.post(&marketing_named(&world, person, job_id)).await.json()["state"],
            json!("relayed")
        );
    }
    assert_eq!(http.post(&world.job(REFUSED, "service")).await.json()["state"], json!("relayed"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_back_consent_is_not_mailed_although_remembered() {
    let world = stage().up().await;
    let mut http = world.http().await;
    assert_eq!(http.post(&marketing(&world, WILLING)).await.json()["state"], json!("relayed"));
    world.refuse(WILLING, "marketing");
    // A second is promised, and the record would be believed for five minutes.
    let mut mailed = 0;
    while mailed < 100 {
        let again = marketing_named(&world, WILLING, &format!("again-{mailed}"));
        if http.post(&again).await.json()["state"] != json!("relayed") {
            break;
        }
        mailed += 1;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_result(
        &http.post(&marketing_named(&world, WILLING, "last")).await.json(),
        "suppressed",
        "no-consent",
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_opt_in_silence_is_no_consent() {
    let world = stage().edit(|file| file["policy"]["consent"] = value("opt-in")).up().await;
    let mut http = world.http().await;
    assert_result(&http.post(&marketing(&world, SILENT)).await.json(), "suppressed", "no-consent");
    assert_result(&http.post(&world.job(WILLING, "service")).await.json(), "suppressed", "no-consent");
    assert_eq!(over_smtp(&world, SILENT).await, "550 no-consent");
    assert_eq!(world.sink().stats().mail_commands, 0);
    assert_eq!(http.post(&marketing(&world, WILLING)).await.json()["state"], json!("relayed"));
    world.finish().await;
}
