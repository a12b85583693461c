//! The promise: every field of everybody is a marker, the first MTA misbehaves and echoes what it gets, and no
//! marker is found anywhere outside vault and wire.

use crate::http::Http;
use crate::set_up::{Mta, Stage};
use crate::smtp::{Reply, Smtp};
use crate::world::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokenrelay::load::leak::LeakSearch;
use tokenrelay::load::sink::{Act, Script, Step, When};
use toml_edit::value;

const PEOPLE: usize = 60;
const TEMPLATES: [&str; 3] = ["welcome", "receipt", "statement"];
const LOCALES: [&str; 4] = ["en", "he", "fa", "ja"];

/// Refuses in every phase and repeats addresses, names and subjects where it can.
fn echoing() -> Script {
    let script = Script::profile("refuse-rcpt=5,tempfail=7,drop-after-data=11").unwrap();
    let data = "452 4.3.1 no room for {local} <{address}>";
    let content = "450 4.2.1 {to} has {subject} already, {address}";
    let kind = "554 5.6.0 message \"{subject}\" for {to} at {address} is no MIME";
    script
        .with(Step::Data, When::Every(13), Act::Reply(data.into()))
        .with(Step::Content, When::Every(8), Act::Reply(content.into()))
        .with(Step::Content, When::Every(6), Act::Reply(kind.into()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_marker_is_found_anywhere_while_the_target_echoes_them() {
    let world = Stage::new()
        .people(PEOPLE)
        .mta(Mta::new("mta1", echoing()))
        .edit(|file| file["templates"]["dir"] = value("templates"))
        .up()
        .await;
    let mut http = world.http().await;
    let results = http.submit(http_jobs(&world)).await;
    assert_eq!(results.len(), 4 * PEOPLE);
    let told = count(results.iter().map(http_codes));
    for codes in ["250 2.0.0", "550 5.1.1", "451 4.7.1", "554 5.6.0", "452 4.3.1", "450 4.2.1", "unknown"] {
        assert!(told.get(codes) > Some(&0), "{codes} did not survive: {told:?}");
    }
    let mut smtp = world.smtp().await;
    let replies = over_smtp(&world, &mut smtp).await;
    let told = count(replies.iter().map(Reply::codes));
    for codes in ["250 2.0.0", "550 5.1.1", "451 4.7.1", "554 5.6.0", "452 4.3.1", "450 4.2.1", "554 5.4.2"] {
        assert!(told.get(codes) > Some(&0), "{codes} did not survive: {told:?}");
    }
    single_jobs(&world, &mut http).await;
    everyone_named_is_in_the_messages(&world);
    world.finish().await;
}

fn count(codes: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    codes.fold(BTreeMap::new(), |mut counts, codes| {
        *counts.entry(codes).or_default() += 1;
        counts
    })
}

fn http_codes(result: &Value) -> String {
    match (&result["code"], &result["enhanced"]) {
        (Value::Number(code), Value::String(enhanced)) => format!("{code} {enhanced}"),
        _ => result["state"].as_str().unwrap_or_default().to_owned(),
    }
}

fn data(template: &str) -> Value {
    match template {
        "welcome" => json!({"shop": "Marigold", "voucher": "SPRING"}),
        "receipt" => json!({"order": "A-17", "ordered_on": "2026-03-01", "total": "33.50",
            "items": [{"name": "Green tea & biscuits", "quantity": 2, "price": "7.00"}]}),
        _ => json!({"period": "March 2026",
            "lines": [{"date": "2026-03-01", "text": "Rent", "amount": "700.00", "kind": "out"}]}),
    }
}

/// Every template in every locale, and content of the job's own with every field there is.
fn http_jobs(world: &World) -> Vec<Value> {
    let mut jobs = Vec::new();
    for (index, person) in world.people.iter().enumerate() {
        for (at, template) in TEMPLATES.iter().enumerate() {
            jobs.push(json!({
                "job_id": format!("h-{index}-{template}"), "to": person.address(), "template": template,
                "locale": LOCALES[(index + at) % LOCALES.len()], "data": data(template),
            }));
        }
        let fields =
            ["first_name", "phone", "email", "city", "street", "birthday", "account_last4", "balance"];
        let text: String = fields.iter().map(|field| format!("{field}: {{{{person.{field}}}}}\n")).collect();
        let html = format!("<p title=\"{{{{person.last_name}}}}\">{}</p>", text.replace('\n', "<br>"));
        jobs.push(json!({
            "job_id": format!("h-{index}-own"), "to": person.address(), "purpose": "service",
            "content": {"from": "Shop <shop@shop.example>", "subject": "{{person.customer_id}}", "text": text, "html": html},
        }));
    }
    jobs
}

async fn over_smtp(world: &World, smtp: &mut Smtp) -> Vec<Reply> {
    let mut replies = Vec::new();
    for (index, person) in world.people.iter().enumerate() {
        let template = TEMPLATES[index % TEMPLATES.len()];
        let named = format!(
            "From: a@shop.example\r\nX-TokenRelay-Template: {template}\r\nX-TokenRelay-Locale: {}\r\n\
             X-TokenRelay-Data: {}\r\n\r\nnot sent",
            LOCALES[index / TEMPLATES.len() % LOCALES.len()],
            data(template)
        );
        replies.push(smtp.send(&person.address(), &world.message(index)).await);
        replies.push(smtp.send(&person.address(), &named).await);
    }
    replies
}

/// Problem documents say more than lines of a stream.
async fn single_jobs(world: &World, http: &mut Http) {
    for index in 0..40 {
        http.post(&world.job(index, &format!("one-{index}"))).await;
        let mut job = world.job(index, &format!("two-{index}"));
        job["template"] = "statement".into();
        job["data"] = data("statement");
        http.post(&job).await;
    }
}

/// The same search finds the markers where they belong: in what the first MTA got.
fn everyone_named_is_in_the_messages(world: &World) {
    let messages = world.messages();
    assert!(messages.len() > PEOPLE, "{}", messages.len());
    for message in messages {
        let person =
            world.people.iter().find(|person| person.value("email") == message.envelope.recipients[0]);
        let person = person.expect("the recipient is somebody");
        let search = LeakSearch::new(&[person.value("first_name"), person.value("customer_id")]);
        assert!(!search.search_bytes(&message.content).unwrap().is_empty());
        assert!(!message.content.windows(2).any(|two| two == b"{{"));
    }
}
