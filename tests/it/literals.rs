//! What people would read as it stands, and names that were nearly right: refused with what was meant.

use crate::set_up::{Grants, Stage, key_of, list};
use crate::world::{World, assert_result};
use serde_json::{Value, json};

fn content(world: &World, job_id: &str, key: &str, text: &str) -> Value {
    let mut content = json!({"from": "a@shop.example", "subject": "Hello", "text": "Hello"});
    content[key] = text.into();
    json!({"job_id": job_id, "to": world.people[0].address(), "purpose": "service", "content": content})
}

fn message(world: &World, subject: &str, kind: &str, body: &str) -> String {
    format!(
        "From: a@shop.example\r\nTo: {}\r\nX-TokenRelay-Purpose: service\r\nSubject: {subject}\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/{kind}; charset=utf-8\r\n\r\n{body}\r\n",
        world.people[0].address()
    )
}

const FOREIGN: [&str; 4] = ["*|FNAME|*", "%%first_name%%", "{!Contact.Name}", "$person.first_name"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_placeholders_of_other_products_are_not_mailed_as_they_stand() {
    let world = Stage::new().up().await;
    let (mut http, mut smtp) = (world.http().await, world.smtp().await);
    let to = world.people[0].address();
    for (number, literal) in FOREIGN.into_iter().enumerate() {
        for key in ["subject", "text", "html"] {
            let job = content(&world, &format!("{number}-{key}"), key, &format!("Dear {literal}, hello"));
            let answer = http.post(&job).await;
            assert_result(&answer.json(), "rejected", "bad-template");
            assert!(
                answer.text.contains(literal) && answer.text.contains("allow_literal"),
                "{}",
                answer.text
            );
        }
        let filled = format!("Dear {literal}, dear {{{{person.first_name}}}}");
        let encoded = format!("=?utf-8?B?{}?=", data_encoding::BASE64.encode(literal.as_bytes()));
        for (subject, kind, body) in [
            ("Hello", "plain", format!("Dear {literal}")),
            ("Hello", "html", format!("<p>Dear {literal}</p>")),
            ("Hello", "plain", filled),
            (literal, "plain", "Hello".to_owned()),
            (&encoded, "plain", "Hello".to_owned()),
        ] {
            let reply = smtp.send(&to, &message(&world, subject, kind, &body)).await;
            assert_eq!(reply.codes(), "554 5.6.0", "{subject} {body}: {reply:?}");
            assert!(reply.text.contains(literal), "{reply:?}");
        }
    }
    assert_eq!(world.sink().stats().messages, 0);
    // What somebody may well mean is mailed.
    for (number, body) in
        ["100%% sure", "[[name]] ${x} %name%", "* | a | *", "<!-- *|X|* -->"].into_iter().enumerate()
    {
        let kind = if body.starts_with('<') { "html" } else { "plain" };
        let reply = smtp.send(&to, &message(&world, &format!("Hello {number}"), kind, body)).await;
        assert_eq!(reply.code, 250, "{body}: {reply:?}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a6_a7_where_a_reader_sees_them_they_are_judged_and_good_mail_passes() {
    let world = Stage::new().up().await;
    let (mut http, mut smtp) = (world.http().await, world.smtp().await);
    let to = world.people[0].address();
    let plain = message(&world, "Hello", "plain", "Hello");
    let html = |body: &str| message(&world, "Hello", "html", body);
    let calendar =
        message(&world, "Hello", "calendar", "BEGIN:VCALENDAR\r\nSUMMARY:Hi *|FN\r\n AME|*\r\nEND:VCALENDAR");
    for (place, text) in [
        (
            "From",
            plain.replace("From: a@", "From: \"*|FNAME|*\" <a@").replace("a@shop.example", "a@shop.example>"),
        ),
        ("To", plain.replace(&format!("To: {to}"), &format!("To: *|FNAME|* <{to}>"))),
        ("Reply-To", format!("Reply-To: =?utf-8?Q?=2A=7CFNAME=7C=2A?= <b@shop.example>\r\n{plain}")),
        ("calendar", calendar),
        ("file", plain.replace("charset=utf-8", "charset=utf-8; name=\"*|FNAME|*.txt\"")),
        (
            "file*",
            plain
                .replace("MIME-", "Content-Disposition: inline; filename*=utf-8''%2A%7CFNAME%7C%2A\r\nMIME-"),
        ),
        ("references", html("<p>*&#124;FNAME&#124;*</p>")),
    ] {
        let reply = smtp.send(&to, &text).await;
        assert_eq!(reply.codes(), "554 5.6.0", "{place}: {reply:?}");
        assert!(reply.text.contains("*|FNAME|*"), "{place}: {reply:?}");
    }
    let mut job = content(&world, "named", "text", "Hello");
    job["content"]["from"] = "*|FNAME|* <a@shop.example>".into();
    assert_result(&http.post(&job).await.json(), "rejected", "bad-template");
    assert_eq!(world.sink().stats().messages, 0);
    let good = "2*|x|*y; *|foo|*) ;; **|Name|** %%EOF%% copy %%file%% https://x.test/?q=100%%ab%%";
    let reply = smtp.send(&to, &message(&world, "Hello", "plain", good)).await;
    assert_eq!(reply.code, 250, "{reply:?}");
    let reply = smtp.send(&to, &html("<style>/* *|FNAME|* */</style><p>Hello</p>")).await;
    assert_eq!(reply.code, 250, "{reply:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_an_engine_may_mean_them_as_they_stand() {
    let stage = Stage::new().edit(|file| file["engine"][0]["allow_literal"] = list(&["*|FNAME|*"]));
    let world = stage.up().await;
    let mut http = world.http().await;
    let answer = http.post(&content(&world, "meant", "text", "Dear *|FNAME|*")).await;
    assert_eq!(answer.json()["state"], "relayed", "{}", answer.text);
    let other = http.post(&content(&world, "other", "text", "Dear *|LNAME|*")).await;
    assert_result(&other.json(), "rejected", "bad-template");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_a_refusal_names_what_was_meant_of_what_the_engine_may_use() {
    let narrow = Grants { templates: &["note"], fields: &["first_name"], purposes: &["service"] };
    let none = Grants { templates: &["other-*"], fields: &[], purposes: &["service"] };
    let stage = Stage::new().engine("narrow", narrow).engine("none", none);
    let stage = stage.file("small/only/template.toml", "from = \"a@shop.example\"\n");
    let stage = stage.file("small/only/he/subject.hbs", "x").file("small/only/he/body.txt.hbs", "x");
    let greets = "from = \"a@shop.example\"\n[field.first_name]\noptional = true\n";
    let stage = stage.file("small/greet/template.toml", greets).file("small/greet/subject.hbs", "x");
    let stage = stage.file("small/greet/body.txt.hbs", "x");
    let world = stage.up().await;
    let mut narrow = world.http_as(&key_of("narrow")).await;
    let mut none = world.http_as(&key_of("none")).await;
    let job = |job_id: &str, key: &str, value: &str| {
        let mut job = world.job(0, job_id);
        job[key] = value.into();
        job
    };
    let answer = narrow.post(&job("a", "template", "nte")).await.text;
    assert!(answer.contains("did you mean note?"), "{answer}");
    let answer = none.post(&job("b", "template", "nte")).await.text;
    assert!(answer.contains("template-not-found") && !answer.contains("note"), "{answer}");
    let answer = world.http().await.post(&job("c", "target", "mta2")).await.text;
    assert!(answer.contains("did you mean mta1?"), "{answer}");
    // It is there, in another language.
    let answer = world.http().await.post(&job("only", "template", "only")).await.text;
    assert!(answer.contains("only for he;") && !answer.contains("did you mean"), "{answer}");
    let content = json!({"from": "a@shop.example", "subject": "x", "text": "x"});
    let own =
        json!({"job_id": "d", "to": world.people[0].address(), "purpose": "servce", "content": content});
    let answer = narrow.post(&own).await.text;
    assert!(answer.contains("did you mean service?"), "{answer}");
    let content = json!({"from": "a@shop.example", "subject": "x", "text": "{{person.first_nam}}"});
    let job =
        json!({"job_id": "e", "to": world.people[0].address(), "purpose": "service", "content": content});
    let answer = narrow.post(&job).await.text;
    assert!(answer.contains("did you mean first_name?"), "{answer}");
    // Granted everything, so that only the person has no such field.
    for (number, text) in
        ["{{person.firstname}}", "{{person.Email}}", "{{person.zodiac}}"].into_iter().enumerate()
    {
        let job = self::content(&world, &format!("f-{number}"), "text", text);
        let answer = world.http().await.post(&job).await;
        assert_result(&answer.json(), "rejected", "missing-field");
        let told = answer.text.split_once("did you mean ").map(|(_, told)| told);
        let meant = ["person.first_name for person.firstname?", "person.email for person.Email?"];
        match meant.get(number) {
            Some(meant) => assert!(told.is_some_and(|told| told.starts_with(meant)), "{}", answer.text),
            None => assert_eq!(told, None, "{}", answer.text),
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p8_no_word_of_a_job_over_http_is_a_placeholder() {
    let world = Stage::new().up().await;
    let mut http = world.http().await;
    let job = |number: usize| world.job(number % 2, &format!("word-{number}"));
    let mut number = 0;
    for (key, value) in [
        ("job_id", "{{job.id}}"),
        ("campaign", "{{campaign}}"),
        ("campaign", "c-{{data.c}}"),
        ("locale", "{{data.lang}}"),
    ] {
        let mut job = job(number);
        number += 1;
        job[key] = value.into();
        let answer = http.post(&job).await;
        assert_result(&answer.json(), "rejected", "bad-job");
        assert!(answer.text.contains("is never filled in"), "{key}: {}", answer.text);
    }
    for (place, data) in [
        ("data.order ", json!({"order": "Dear {{person.first_name}}"})),
        ("data.items.1.name ", json!({"order": "x", "items": [{"name": "a"}, {"name": "{{{data.x}}}"}]})),
        ("data.(a key) ", json!({"order": "x", "{{send.number}}": "a"})),
    ] {
        let mut job = job(number);
        number += 1;
        job["data"] = data;
        let answer = http.post(&job).await;
        assert_result(&answer.json(), "rejected", "bad-job");
        assert!(answer.text.contains(place), "{place}: {}", answer.text);
    }
    assert_eq!(world.sink().stats().messages, 0);
    let mut meant = job(number);
    meant["data"]["order"] = "{{mustache}} and {a}".into();
    assert_eq!(http.post(&meant).await.json()["state"], "relayed", "a value is a value");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p8_no_address_has_a_placeholder() {
    let world = Stage::new().up().await;
    let (mut http, mut smtp) = (world.http().await, world.smtp().await);
    let to = world.people[0].address();
    for (number, (key, address)) in [
        ("from", "{{data.brand}}@shop.example"),
        ("from", "Shop <news@{{data.brand}}.example>"),
        ("from", "{{person.first_name}} <{{data.brand}}@shop.example>"),
        ("reply_to", "reply-{{send.number}}@shop.example"),
        ("reply_to", "a@shop.example ({{order}})"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = http.post(&content(&world, &format!("address-{number}"), key, address)).await;
        assert_eq!(answer.json()["state"], "rejected", "{address}: {}", answer.text);
        assert!(answer.text.contains(key), "{address}: {}", answer.text);
    }
    let plain = message(&world, "Hello", "plain", "Hello");
    for (from, to_from, codes) in [
        ("{{data.brand}}@shop.example", "a@shop.example", "550 5.6.0"),
        ("a@shop.example", "{{x}}@shop.example", "554 5.6.0"),
    ] {
        let text = plain.replace("From: a@shop.example", &format!("From: {to_from}"));
        for command in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>"), "DATA".into()] {
            smtp.say(&command).await.unwrap();
        }
        let reply = smtp.say(&format!("{text}\r\n.")).await.unwrap();
        assert_eq!(reply.codes(), codes, "{from} {to_from}: {reply:?}");
    }
    assert_eq!(world.sink().stats().messages, 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p8_what_is_not_filled_may_be_meant() {
    let part = "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: {{inner}}\r\n\r\nx\r\n--b--\r\n";
    let whole = |world: &World| {
        let text = message(world, "Hello", "plain", part);
        text.replace("text/plain; charset=utf-8", "multipart/mixed; boundary=b")
    };
    let strict = Stage::new().up().await;
    let reply = strict.smtp().await.send(&strict.people[0].address(), &whole(&strict)).await;
    assert_eq!(reply.codes(), "554 5.6.0", "{reply:?}");
    assert!(reply.text.contains("part 2 (message/rfc822)") && reply.text.contains("{{inner}}"), "{reply:?}");
    strict.finish().await;
    let stage = Stage::new().edit(|file| file["engine"][0]["allow_literal"] = list(&["{{inner}}"]));
    let lenient = stage.up().await;
    let reply = lenient.smtp().await.send(&lenient.people[0].address(), &whole(&lenient)).await;
    assert_eq!(reply.code, 250, "{reply:?}");
    let content = String::from_utf8(lenient.messages().remove(0).content).unwrap();
    assert!(content.contains(part.trim_end()), "{content}");
    lenient.finish().await;
}
