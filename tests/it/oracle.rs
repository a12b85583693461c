//! An engine that asks about people by what it is told of its jobs. Two people, one question: the answers are equal.

use crate::lmtp::{self, Lmtp};
use crate::set_up::{Mta, Stage};
use crate::world::{World, eventually};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use toml_edit::value;

/// What is asked: true of the first person, false of the second.
const TESTS: [&str; 8] = [
    "(gte person.first_name \"Mmm\")",
    "(lt person.first_name \"Mmm\")",
    "(eq (len person.last_name) data.len)",
    "(ne (len person.last_name) data.len)",
    "(gt (len person.first_name) 12)",
    "(and data.yes (not (gte person.first_name \"Mmm\")))",
    "(or data.no (lookup data.known (len person.last_name)))",
    "person.nick",
];

/// What only one answer leads to, and what is wrong there.
const TRAPS: [&str; 6] = [
    "{{data.absent}}",
    "{{#each data.list}}{{this.absent}} {{/each}}",
    "{{#each data.long}}{{#each @root.data.long}}.{{/each}}{{/each}}",
    "{{person.absent}}",
    "{{lookup data.known data.len}} {{lookup data.known 99}}",
    "{{data.wide}}",
];

/// Of the first person's last name.
const LEN: usize = 15;

fn stage() -> Stage {
    Stage::new()
        .column(0, "first_name", "Annabella-Quo")
        .column(0, "last_name", "Haversham-Quist")
        .column(1, "first_name", "Zygmund-Q")
        .column(1, "last_name", "Wrobel-Quackenbush-Montague")
        .column(1, "nick", "Zyggy-Quux")
}

/// Bodies, plain and HTML, each a question.
fn questions() -> Vec<(&'static str, String)> {
    let mut bodies = Vec::new();
    for test in TESTS {
        for (number, trap) in TRAPS.iter().enumerate() {
            let body = if number % 2 == 0 {
                format!("Hi {{{{#if {test}}}}}{trap}{{{{else}}}}you{{{{/if}}}}")
            } else {
                format!("Hi {{{{#unless {test}}}}}you{{{{else}}}}{trap}{{{{/unless}}}}")
            };
            bodies.push(("text", body));
        }
    }
    for body in [
        "{{lookup data.known (len person.last_name)}}",
        "{{#with (lookup data.sets (len person.last_name))}}{{x}}{{/with}}",
        "{{#each (lookup data.sets (len person.last_name))}}{{this}} {{/each}}",
        "{{#each data.list}}{{#if (gt @root.person.first_name this.name)}}{{@root.data.absent}}{{/if}}{{/each}}",
    ] {
        bodies.push(("text", body.to_owned()));
    }
    let html = "<p>{{#if (gte person.first_name \"Mmm\")}}{{data.link}}{{else}}<b>{{data.absent}}</b>{{/if}}{{{data.broken}}}";
    bodies.push(("html", html.to_owned()));
    bodies
}

/// No value of anybody stands in it: the engine knows none, and what it sends is written down.
fn data() -> Value {
    let at_len = |there: Value, elsewhere: Value| {
        let mut list = vec![elsewhere; LEN];
        list.push(there);
        list
    };
    json!({
        "len": LEN, "yes": true, "no": false, "list": [{"name": "Mmm"}, {"absent": null}],
        "known": at_len(json!("a"), json!(null)), "sets": at_len(json!({"x": 1}), json!({"y": 1})),
        "long": vec![1; 200], "wide": ["w".repeat(66_000)], "broken": "<b", "link": "https://shop.example"
    })
}

/// As it is told, but for what is each job's own, and for the time that a message took which went out.
fn common(mut answer: Value) -> Value {
    for own in ["job_id", "send", "ms"] {
        answer.as_object_mut().unwrap().remove(own);
    }
    answer
}

async fn answers(world: &World, content: &Value, data: &Value, id: &str) -> [(u16, Value); 2] {
    let mut http = world.http().await;
    let mut told = Vec::new();
    for person in 0..2 {
        let job = json!({
            "job_id": format!("{id}-{person}"), "to": world.people[person].address(), "purpose": "service",
            "content": content, "data": data
        });
        let answer = http.post(&job).await;
        told.push((answer.status, common(answer.json())));
    }
    told.try_into().unwrap()
}

async fn asks_over_http(world: &World) {
    let mut refused = 0;
    for (number, (part, body)) in questions().into_iter().enumerate() {
        let subject =
            if number % 5 == 0 { "{{#if (gte person.first_name \"M\")}}{{data.no}}{{/if}}" } else { "Hello" };
        let mut content = json!({"from": "a@shop.example", "subject": subject});
        content[part] = body.as_str().into();
        let [first, second] = answers(world, &content, &data(), &format!("q{number}")).await;
        assert_eq!(first, second, "{body}");
        refused += usize::from(first.0 >= 400);
    }
    assert!(refused > 40, "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_what_an_engine_is_told_over_http_depends_on_no_value() {
    let world = stage().up().await;
    asks_over_http(&world).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_nor_at_a_door_that_holds_jobs() {
    for accept in ["auto", "journal"] {
        let world = stage().accept(accept).up().await;
        asks_over_http(&world).await;
        eventually("everything held has ended", || world.rows("due") == 0).await;
        for number in 0..questions().len() {
            let [first, second] = [0, 1].map(|person| world.ledger(&format!("q{number}-{person}")));
            assert_eq!(first, second, "{number}");
        }
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_nor_over_smtp() {
    let world = stage().up().await;
    let mut smtp = world.smtp().await;
    for question in questions() {
        let mut told = Vec::new();
        for person in 0..2 {
            let to = world.people[person].address();
            let reply = smtp.send(&to, &message(&question, &to)).await;
            told.push((reply.code, without_send_number(&reply.text)));
        }
        assert_eq!(told[0], told[1], "{}", question.1);
    }
    world.finish().await;
}

/// One message for both: an answer for each, side by side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_nor_over_lmtp() {
    let world = stage().edit(|file| lmtp::add_door(file, "unix:lmtp.sock")).up().await;
    let stream = UnixStream::connect(lmtp::socket_path(&world)).await.unwrap();
    let mut lmtp = Lmtp::greeted(stream, &world).await;
    let to = [0, 1].map(|person| world.people[person].address());
    let mut refused = 0;
    for question in questions() {
        let told = lmtp.send(&to, &message(&question, &to[0])).await;
        assert_eq!(without_send_number(&told[0]), without_send_number(&told[1]), "{}", question.1);
        refused += usize::from(!told[0].starts_with("250"));
    }
    assert!(refused > 40, "{refused}");
    world.finish().await;
}

fn message((part, body): &(&str, String), to: &str) -> String {
    let data = json!({"len": LEN, "yes": true, "known": [1], "list": [{}]}).to_string();
    let data = data_encoding::BASE64.encode(data.as_bytes());
    let subtype = if *part == "text" { "plain" } else { part };
    format!(
        "From: a@shop.example\r\nTo: {to}\r\nSubject: {{{{#unless person.nick}}}}Hello{{{{/unless}}}}\r\n\
         X-TokenRelay-Purpose: service\r\nX-TokenRelay-Data: base64:{data}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/{subtype}\r\n\r\n{body}"
    )
}

/// The words of an answer that are not each job's own.
fn without_send_number(answer: &str) -> Vec<String> {
    let words = answer.split(' ').map(|word| word.trim_matches(['(', ')']));
    words.filter(|word| !word.starts_with("s_")).map(str::to_owned).collect()
}

/// Each failure that only a person's values cause answers a question: an engine has some, and then has to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_an_engine_that_guesses_by_what_is_too_long_is_slowed_down() {
    let world = stage().column(0, "note", String::leak("z".repeat(16_000))).up().await;
    let text = "{{#each data.list}}{{@root.person.note}}{{/each}}";
    let content = json!({"from": "a@shop.example", "subject": "Hello", "text": text});
    let mut http = world.http().await;
    let mut told = Vec::new();
    for number in 0..22 {
        let job = json!({
            "job_id": format!("long-{number}"), "to": world.people[0].address(), "purpose": "service",
            "content": content, "data": {"list": vec![0; 100]}
        });
        told.push(http.post(&job).await.json()["reason"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!((&*told[19], &*told[20]), ("too-large", "over-quota"), "{told:?}");
    let page = http.get("/metrics").await.text;
    assert!(page.contains("tokenrelay_render_values_too_long_total 20\n"), "{page}");
    world.finish().await;
}

/// Around every limit that a message's size can come to: the relay's own, and the target's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_nor_by_how_large_a_message_is() {
    // Where what everybody's message comes to passes the limit, and where each person's own does.
    let of_relay = (22_000..32_000).step_by(125).collect::<Vec<_>>();
    let of_target = (8_000..22_000).step_by(350).chain((58_000..65_500).step_by(75)).collect();
    for (profile, limit, fills) in [("accept", "32KiB", of_relay), ("size=65536", "25MiB", of_target)] {
        let stage = stage().mta(Mta::behaving(profile));
        let world = stage.edit(move |file| file["limits"]["message_bytes_max"] = value(limit)).up().await;
        for subject in ["Hello", "{{#if person.nick}}{{person.nick}}{{/if}}"] {
            asks_by_size(&world, subject, &fills).await;
        }
        world.finish().await;
    }
}

async fn asks_by_size(world: &World, subject: &str, fills: &[usize]) {
    let show = "{{person.first_name}} {{person.last_name}} ".repeat(20);
    let text = format!("{show}{{{{data.fill}}}}");
    let content = json!({"from": "a@shop.example", "subject": subject, "text": text});
    let mut refused = 0;
    for fill in fills {
        let data = json!({"fill": "x".repeat(*fill)});
        let [first, second] = answers(world, &content, &data, &format!("{}-{fill}", subject.len())).await;
        assert_eq!(first, second, "{fill}");
        refused += usize::from(first.0 >= 400);
    }
    assert!((5..fills.len() - 5).contains(&refused), "{refused}");
}

/// Of a message whose ways differ, the times are told in steps that do not tell them apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_nor_by_how_long_it_takes() {
    let world = stage().up().await;
    let mut http = world.http().await;
    for body in
        ["{{#if person.nick}}{{#each data.list}}{{this}} {{/each}}{{/if}}", "{{#if person.nick}}x{{/if}}"]
    {
        let content = json!({"from": "a@shop.example", "subject": "Hello", "text": body});
        let job = json!({
            "job_id": format!("long-{}", body.len()), "to": world.people[1].address(), "purpose": "service",
            "content": content, "data": {"list": vec!["a long line of text"; 5_000]}
        });
        let result = http.post(&job).await.json();
        for stage in ["render", "inject"] {
            let ms = result["ms"][stage].as_f64();
            assert!(ms.is_some_and(|ms| ms >= 100.0 && ms % 100.0 == 0.0), "{result}");
        }
    }
    let page = http.get("/metrics").await.text;
    let sum =
        page.lines().find_map(|line| line.strip_prefix("tokenrelay_stage_render_seconds_sum ")).unwrap();
    assert!((sum.parse::<f64>().unwrap() * 10.0).fract().abs() < 1e-9, "{sum}");
    world.finish().await;
}

/// Nor does the open page, nor the time of the look-up, tell of one person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_nor_by_what_is_remembered_of_a_person() {
    let world = stage().up().await;
    let mut http = world.http().await;
    for job_id in ["first", "again"] {
        let job = json!({
            "job_id": job_id, "to": world.people[1].address(), "purpose": "service",
            "content": {"from": "a@shop.example", "subject": "Hello", "text": "x"}
        });
        let result = http.post(&job).await.json();
        let ms = result["ms"]["resolve"].as_f64();
        assert!(ms.is_some_and(|ms| ms >= 1.0 && ms.fract() == 0.0), "{result}");
    }
    let page = http.get("/metrics").await.text;
    let lines =
        ["cache_bytes 1048576", "resolve_hits_total 0", "resolve_misses_total 0", "resolve_batches_total 0"];
    for line in lines {
        assert!(page.lines().any(|told| told == format!("tokenrelay_{line}")), "{line}: {page}");
    }
    world.finish().await;
}
