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

/// Templates for one purpose, for one of two, and for any.
fn with_offers() -> Stage {
    let offer = |stage: Stage, name: &str, purpose: &str| {
        let manifest = format!("from = \"Shop <shop@shop.example>\"\n{purpose}");
        let stage = stage.file(&format!("small/{name}/template.toml"), &manifest);
        let stage = stage.file(&format!("small/{name}/subject.hbs"), "Half the price");
        stage.file(&format!("small/{name}/body.txt.hbs"), "Only today.\n")
    };
    let stage = offer(stage(), "offer", "purpose = \"marketing\"\n");
    let stage = offer(stage, "either", "purpose = [\"marketing\", \"news\"]\n");
    let stage = offer(stage, "any", "");
    stage.edit(|file| {
        let purposes: toml_edit::Array = ["marketing", "service", "news"].into_iter().collect();
        file["engine"].as_array_of_tables_mut().unwrap().iter_mut().for_each(|engine| {
            engine["purposes"] = value(purposes.clone());
        });
    })
}

const BINDS: &str = "the template offer is for marketing, and the job states service; state marketing, or use a template for service";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_the_purpose_of_a_template_binds() {
    let world = with_offers().up().await;
    let mut http = world.http().await;
    let job = |id: &str, person: usize, template: &str, purpose: Option<&str>| {
        let mut job = world.job(person, id);
        job["template"] = template.into();
        match purpose {
            Some(purpose) => job["purpose"] = purpose.into(),
            None => drop(job.as_object_mut().unwrap().remove("purpose")),
        }
        job
    };
    for (id, person, template, purpose, state, reason) in [
        ("override", REFUSED, "offer", Some("service"), "rejected", "bad-job"),
        ("not-even-to-the-willing", WILLING, "offer", Some("service"), "rejected", "bad-job"),
        ("not-granted", WILLING, "offer", Some("politics"), "rejected", "purpose-not-granted"),
        ("another-of-two", REFUSED, "either", Some("service"), "rejected", "bad-job"),
        ("none-of-two", WILLING, "either", None, "rejected", "purpose-not-granted"),
        ("one-of-two", REFUSED, "either", Some("marketing"), "suppressed", "no-consent"),
        ("by-itself", REFUSED, "offer", None, "suppressed", "no-consent"),
        ("named", REFUSED, "offer", Some("marketing"), "suppressed", "no-consent"),
    ] {
        let answer = http.post(&job(id, person, template, purpose)).await;
        assert_eq!(answer.status, if reason == "bad-job" { 400 } else { 422 }, "{id}: {}", answer.text);
        assert_result(&answer.json(), state, reason);
    }
    assert_eq!(world.sink().stats().mail_commands, 0);
    // The purpose is a part of the body.
    let mended = http.post(&job("override", REFUSED, "offer", None)).await;
    assert_eq!((mended.status, mended.text.contains("another body")), (409, true), "{}", mended.text);
    let refused = http.post(&job("told", REFUSED, "offer", Some("service"))).await;
    assert!(refused.text.contains(BINDS), "{}", refused.text);
    for (id, person, template, purpose) in [
        ("by-itself-too", WILLING, "offer", None),
        ("the-other-of-two", REFUSED, "either", Some("news")),
        ("any", REFUSED, "any", Some("service")),
    ] {
        let answer = http.post(&job(id, person, template, purpose)).await;
        assert_eq!(answer.json()["state"], json!("relayed"), "{id}: {}", answer.text);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_over_smtp_too_and_held_jobs_are_refused_at_the_door() {
    for accept in ["auto", "handoff", "journal"] {
        let world = with_offers().accept(accept).up().await;
        let to = world.people[REFUSED].address();
        let message = |purpose: &str| {
            let message = world.message(REFUSED).replace("Purpose: service", &format!("Purpose: {purpose}"));
            message.replacen("Subject:", "X-TokenRelay-Template: offer\r\nSubject:", 1)
        };
        let reply = world.smtp().await.send(&to, &message("service")).await;
        assert_eq!(reply.codes(), "550 5.6.0", "{accept}: {reply:?}");
        assert!(reply.text.contains(BINDS), "{accept}: {reply:?}");
        assert_eq!(world.sink().stats().mail_commands, 0, "{accept}");
        world.finish().await;
    }
}
