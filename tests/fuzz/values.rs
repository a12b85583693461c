//! Generated jobs, each for two people: no value outside of its place, and no answer that depends on a value.

mod compose;
mod seen;

use crate::mutate::Mutator;
use crate::{fuzz_from, number};
use compose::Composer;
use seen::Seen;
use std::time::SystemTime;
use tokenrelay::fault::{Fault, Reason};
use tokenrelay::job::{Content, Data, SendNumber, Token};
use tokenrelay::person::{Person, PersonBuilder};
use tokenrelay::render::{Finished, Moment, Plan, RenderRequest, Renderer, Settings, Transfer};

const OWN: &str = "e_0123456789";
const FIELDS: [&str; 4] = ["email", "first_name", "city", "nick"];
/// Stands in every value, in no template and in no data.
const MARK: &str = "qzqvkx";
/// Of pairs of people: values of [`FIELDS`] in order. Their questions are answered differently: they stand on both sides
/// of `M`, have other lengths, and one of the last pair has no nick.
const PAIRS: [[[&str; 4]; 2]; 3] = [
    [
        ["aqzqvkx@post.example", "Aqzqvkxanna", "Qzqaville", "Qzqani"],
        ["z.qzqvkx.w@other.example", "Zqzqvkxmund-Maximilian", "Yqzqvkx", "Zqzqvkxy"],
    ],
    [
        [
            "aqzqvkx@post.example",
            "qzqvkx\"><img src=x onerror=y '`= --><b>",
            "qzqvkx]]></textarea></svg>&colon;&#58;",
            "=?utf-8?q?qzqvkx?=",
        ],
        [
            "zqzqvkx@other.example",
            "Zqzqvkx {{person.city}} \u{202e}\r\nBcc: qzqvkx@x.example",
            "zqzqvkx;CN=\"qzqvkx\\,",
            "zqzqvkx.example",
        ],
    ],
    [
        ["aqzqvkx@post.example", "Aqzqvkxanna", "Qzqaville", ""],
        ["zqzqvkx@other.example", "Zqzqvkxmund", "Yqzqvkx", "Zqzqvkxy"],
    ],
];
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Of the inputs that are jobs, at least so many in a hundred must come through: others show little.
const SENT_PERCENT_MIN: u64 = 2;

/// With all other tests the jobs are the same each time; by its own name (`tests/run values`) a million others.
const SEED: u64 = 61;
const SEEDS: &[&[u8]] = &[
    b"<p title=\"{{person.first_name}}\">Dear {{person.first_name}}</p><a href=\"https://shop.example/a\">x</a>",
    b"{{#if (gte person.first_name \"M\")}}<b>{{data.word}}</b>{{else}}<i>you</i>{{/if}}",
    b"{{#each data.list}}<li>{{this}} {{@root.person.city}}</li>{{/each}}<img src=\"https://shop.example/a.png\" alt=\"{{person.city}}\">",
    b"<table><tr><td>{{person.email}}</td><td>{{{data.raw}}}</td></tr></table>",
    b"Dear {{person.first_name}}, see https://shop.example/ or write to {{person.email}}.",
];

/// A pair, and the job that is sent to both.
struct Question<'q> {
    content: &'q Content,
    data: &'q Data,
    people: &'q [Person; 2],
    /// What the people have, in lower case.
    values: &'q [Vec<String>; 2],
    transfer: Transfer,
}

#[test]
fn values() {
    let settings = Settings { token_domains: vec!["tokens.example".into()], ..Settings::default() };
    let renderer = Renderer::load(settings).expect("there is nothing to load");
    let (people, values) = (PAIRS.map(|pair| pair.map(person)), PAIRS.map(|pair| pair.map(lower)));
    let (mut jobs, mut sent) = (0u64, 0u64);
    let seed = number("FUZZ_SEED").unwrap_or(SEED);
    fuzz_from(seed, SEEDS, compose::WORDS, |input, mutator| {
        let (content, data) = job(input, mutator);
        let pair = mutator.below(PAIRS.len());
        let transfer = *mutator.pick(&[Transfer::SevenBit, Transfer::EightBit]);
        let (people, values) = (&people[pair], &values[pair]);
        let answer = ask(&renderer, &Question { content: &content, data: &data, people, values, transfer });
        jobs += 1;
        sent += u64::from(answer.is_none());
        answer.unwrap_or_else(|| "sent".to_owned())
    });
    println!("{jobs} jobs, {sent} sent");
    assert!(sent * 100 >= jobs * SENT_PERCENT_MIN, "{sent} of {jobs} came through");
}

fn person(values: [&str; 4]) -> Person {
    let mut builder = PersonBuilder::default();
    for (field, value) in FIELDS.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
        builder.field(field, value);
    }
    builder.build()
}

fn lower(values: [&str; 4]) -> Vec<String> {
    values.iter().filter(|value| !value.is_empty()).map(|value| value.to_lowercase()).collect()
}

fn job(input: &[u8], mutator: &mut Mutator) -> (Content, Data) {
    let mut composer = Composer { mutator };
    let body = match composer.mutator.below(4) {
        0 => String::from_utf8_lossy(input).into_owned(),
        _ => composer.html(),
    };
    (composer.content(&body), composer.data())
}

/// What the engine is told; none for a message that is sent.
fn ask(renderer: &Renderer, question: &Question<'_>) -> Option<String> {
    let plan = match renderer.plan(question.content, None) {
        Ok(plan) => plan,
        Err(fault) => {
            assert!(!fault.detail.contains("defect of the relay"), "{question}");
            return Some(fault.detail.chars().take(24).collect());
        }
    };
    let [first, second] = [0, 1].map(|at| render(&plan, question, &question.people[at]));
    match (first, second) {
        (Ok(first), Ok(second)) => {
            compare(question, &first, &second);
            None
        }
        (first, second) => {
            let told = [first.err(), second.err()];
            if !told.iter().flatten().any(is_absence) {
                let [first, second] = told.each_ref().map(Option::as_ref).map(|fault| fault.map(shown));
                assert_eq!(first, second, "what is told depends on a value: {question}");
            }
            told.into_iter().flatten().next().map(|fault| fault.detail.chars().take(24).collect())
        }
    }
}

/// That a field is not there may be told.
fn is_absence(fault: &Fault) -> bool {
    fault.reason == Reason::MissingField && fault.detail.contains("nick")
}

fn shown(fault: &Fault) -> (Reason, &str) {
    (fault.reason, &fault.detail)
}

fn render(plan: &Plan, question: &Question<'_>, person: &Person) -> Result<Finished, Fault> {
    plan.render(&RenderRequest {
        person,
        token: &Token::from_local(OWN).expect("a token"),
        data: question.data,
        send: &SendNumber::from_bits([7; 16]),
        campaign: Some("c42"),
        sender: Some("bounce@shop.example"),
        transfer: question.transfer,
        may_reveal: &|_| true,
        size_max: MESSAGE_BYTES_MAX,
        now: &Moment::at(SystemTime::UNIX_EPOCH),
    })
}

fn compare(question: &Question<'_>, first: &Finished, second: &Finished) {
    let [one, other] = [(first, 0), (second, 1)].map(|(finished, at)| {
        assert_eq!(finished.sender, "bounce@shop.example");
        let seen = Seen::of(&finished.message.to_octets(), &question.values[at]);
        assert!(seen.problems.is_empty(), "{:?} in what was made of {question}", seen.problems);
        seen
    });
    assert_eq!(one.fetched, other.fetched, "what is fetched or clicked depends on a value: {question}");
}

impl std::fmt::Display for Question<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.content {
            Content::Message(message) => writeln!(f, "\n{}", String::from_utf8_lossy(message))?,
            content => writeln!(f, "\n{content:?}")?,
        }
        write!(f, "{}", serde_json::Value::from(self.data.clone()))
    }
}
