//! Messages and contents that are their own template, and cannot be used as one.

use crate::set_up::Stage;
use crate::world::{World, assert_result};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Bodies that no message may have, and a word of the complaint.
const BAD: [(&str, &str); 6] = [
    ("Dear {{#if person.first_name}}friend", "if"),
    ("Dear {{shout person.first_name}}", "shout"),
    ("Dear {{person.first_name", "1:"),
    ("https://shop.example/?who={{person.first_name}}", "URL"),
    ("see https://shop.example/{{person.email}}/orders", "URL"),
    ("{{> header}} Dear {{person.first_name}}", "partials"),
];

fn headed(world: &World, field: &str, body: &str) -> String {
    format!(
        "From: a@shop.example\r\nTo: {}\r\nX-TokenRelay-Purpose: service\r\n{field}\r\n\r\n{body}",
        world.people[0].address()
    )
}

/// A job with content of its own; another content is another job.
fn own(world: &World, key: &str, text: &str) -> Value {
    static JOBS: AtomicU32 = AtomicU32::new(0);
    let job_id = format!("own-{}", JOBS.fetch_add(1, Relaxed));
    let mut content = json!({"from": "a@shop.example", "subject": "Hello", "text": "Hello"});
    content[key] = text.into();
    json!({"job_id": job_id, "to": world.people[0].address(), "purpose": "service", "content": content})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_a_bad_template_is_refused_with_the_place() {
    let world = Stage::new().up().await;
    let mut smtp = world.smtp().await;
    let mut http = world.http().await;
    let to = world.people[0].address();
    for (body, word) in BAD {
        let reply = smtp.send(&to, &headed(&world, "Subject: Hello", body)).await;
        assert_eq!(reply.codes(), "554 5.6.0", "{reply:?}");
        assert!(reply.text.contains("bad-template") && reply.text.contains(word), "{reply:?}");
        let answer = http.post(&own(&world, "text", body)).await;
        assert_eq!(answer.status, 422);
        assert_result(&answer.json(), "rejected", "bad-template");
        assert!(answer.text.contains(word), "{}", answer.text);
    }
    for field in [
        "Message-ID: <{{person.first_name}}@shop.example>",
        "List-Unsubscribe: <https://shop.example/{{person.email}}>",
        "X-Customer: {{person.customer_id}}",
        "Return-Path: <{{person.email}}>",
    ] {
        let reply = smtp.send(&to, &headed(&world, field, "Hello")).await;
        assert_eq!(reply.codes(), "554 5.6.0", "{field}: {reply:?}");
        assert!(reply.text.contains("bad-template"), "{reply:?}");
    }
    let html = own(&world, "html", "<img src=\"https://shop.example/{{person.email}}.png\">");
    assert_result(&http.post(&html).await.json(), "rejected", "bad-template");
    assert_eq!(world.sink().stats().mail_commands, 0);
    assert_eq!(smtp.send(&to, &world.message(0)).await.code, 250);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn placeholders_in_encoded_parts_are_filled_and_values_are_never_templates() {
    // Looks like a placeholder; it is a name.
    let world = Stage::new().column(1, "first_name", "{{person.phone}}{{#if x}}").up().await;
    let mut smtp = world.smtp().await;
    let body = data_encoding::BASE64.encode("Dear {{person.first_name}},".as_bytes());
    let encoded = headed(
        &world,
        "Subject: Hello\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: base64",
        &body,
    );
    assert_eq!(smtp.send(&world.people[0].address(), &encoded).await.code, 250);
    let content = world.messages().remove(0).content;
    let name = world.people[0].value("first_name");
    let found = tokenrelay::load::leak::LeakSearch::new(&[name]).search_bytes(&content).unwrap();
    assert!(!found.is_empty(), "{}", String::from_utf8_lossy(&content));
    assert_eq!(smtp.send(&world.people[1].address(), &world.message(1)).await.code, 250);
    let content = String::from_utf8(world.messages().remove(1).content).unwrap();
    assert!(content.contains("{{person.phone}}{{#if x}}"), "{content}");
    assert!(!content.contains(world.people[1].value("phone")));
    world.finish().await;
}
