//! Which way through a message a person's values chose must not show in what is fetched or clicked: refused at the doors, before
//! anybody is looked up.

use crate::set_up::Stage;
use crate::world::{World, assert_result};
use serde_json::{Value, json};

/// Bodies that differ by an address from person to person.
const HTML: [&str; 5] = [
    "{{#each data.list}}{{#if (eq this @root.person.city)}}<img src=\"https://t.example/{{this}}\">{{/if}}{{/each}}",
    "{{#if (eq person.city data.c)}}<a href=\"https://t.example/{{data.c}}\">x</a>{{/if}}",
    "{{#unless (gte person.email \"m\")}}<p style=\"background:url(https://t.example/a)\">x</p>{{/unless}}",
    "<style>.a{background:url(https://t.example/a)}</style><p class=\"{{#if person.city}}a{{/if}}\">x</p>",
    "{{#with (lookup data.m person.city)}}<img src=\"https://t.example/{{x}}\">{{/with}}",
];
const TEXT: [&str; 3] = [
    "{{#if (gte person.email \"m\")}}https://t.example/m{{/if}}",
    "https://t.example/{{#if person.city}}a{{/if}}",
    "{{#if person.city}}see {{data.link}}{{/if}}",
];
const NOBODY: &str = "e_000000000000000000000000@tokens.example";

fn job(to: &str, id: &str, part: &str, body: &str) -> Value {
    let data = json!({"list": ["a", "b"], "c": "a", "m": {"a": {"x": 1}}, "link": "https://t.example/l"});
    let mut content = json!({"from": "Shop <shop@shop.example>", "subject": "Hello"});
    content[part] = body.into();
    json!({"job_id": id, "to": to, "purpose": "service", "content": content, "data": data})
}

fn message(world: &World, subtype: &str, body: &str) -> String {
    format!(
        "From: Shop <shop@shop.example>\r\nTo: {}\r\nSubject: Hello\r\nX-TokenRelay-Purpose: service\r\n\
         X-TokenRelay-Data: {{\"list\":[\"a\"],\"c\":\"a\",\"m\":{{}},\"link\":\"https://t.example/l\"}}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/{subtype}; charset=utf-8\r\n\r\n{body}",
        world.people[0].address()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_no_address_depends_on_a_person_over_http_and_smtp() {
    for accept in ["auto", "handoff", "journal"] {
        let world = Stage::new().accept(accept).up().await;
        let (mut http, to) = (world.http().await, world.people[0].address());
        let bodies = HTML.iter().map(|body| ("html", body)).chain(TEXT.iter().map(|body| ("text", body)));
        for (number, (part, body)) in bodies.enumerate() {
            let told = http.post(&job(&to, &format!("b{number}"), part, body)).await.json();
            let reason = if body.contains("data.link") { "bad-job" } else { "bad-template" };
            assert_result(&told, "rejected", reason);
            let detail = told["detail"].as_str().unwrap();
            assert!(reason == "bad-job" || detail.contains("person."), "{detail}");
            // Nobody was looked up for it.
            let nobody = http.post(&job(NOBODY, &format!("n{number}"), part, body)).await.json();
            assert_eq!(nobody["detail"], told["detail"], "{accept}: {body}");
            let subtype = if part == "html" { "html" } else { "plain" };
            let reply = world.smtp().await.send(&to, &message(&world, subtype, body)).await;
            let codes = if reason == "bad-job" { "550 5.6.0" } else { "554 5.6.0" };
            assert_eq!(reply.codes(), codes, "{accept}: {body}: {reply:?}");
        }
        let fine = "<p>{{#if person.first_name}}Dear {{person.first_name}}{{else}}Hello{{/if}}</p><img src=\"https://shop.example/a.png\">";
        let told = http.post(&job(&to, "fine", "html", fine)).await.json();
        assert!(["relayed", "journaled"].contains(&told["state"].as_str().unwrap()), "{told}");
        if accept != "handoff" {
            world.ends("fine", "relayed").await;
        }
        assert_eq!(world.sink().stats().mail_commands, 1, "{accept}");
        world.finish().await;
    }
}

const VIP: &str = "{{#if (eq person.city data.c)}}<a href=\"https://shop.example/vip\">x</a>{{/if}}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_template_names_the_urls_that_are_meant() {
    let template = |stage: Stage, name: &str, more: &str| {
        let manifest =
            format!("from = \"Shop <shop@shop.example>\"\n{more}\n[field.city]\noptional = true\n");
        let stage = stage.file(&format!("small/{name}/template.toml"), &manifest);
        let stage = stage
            .file(&format!("small/{name}/subject.hbs"), "Hello")
            .file(&format!("small/{name}/body.html.hbs"), VIP);
        stage.file(&format!("small/{name}/body.txt.hbs"), "Hello\n")
    };
    let stage = template(Stage::new(), "meant", "branch_urls = [\"https://shop.example/vip\"]");
    let world = template(stage, "unmeant", "").up().await;
    let mut http = world.http().await;
    for (name, state) in [("meant", "relayed"), ("unmeant", "deferred")] {
        let mut job = world.job(0, name);
        job["template"] = name.into();
        job["data"] = json!({"c": "a"});
        let told = http.post(&job).await.json();
        assert_eq!(told["state"], state, "{told}");
    }
    world.finish().await;
}
