//! What is judged before the person is known holds for everybody: an engine learns nothing of a person by being refused.

use super::plan::{Finished, Moment, Plan, PlanBuilder, RenderRequest, Transfer};
use super::program::{Flow, Program, Sink, Syntax};
use super::scope::{FieldRules, Rule, Scope};
use super::seen::Facts;
use crate::fault::{Circumstance, Fault, Reason};
use crate::job::{Data, SendNumber, Token};
use crate::person::{Person, PersonBuilder};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::time::SystemTime;

const FIELDS: [&str; 4] = ["first_name", "city", "nick", "vip"];

struct Counting(usize);

impl Sink for Counting {
    fn fixed(&mut self, _: usize) {}

    fn value(&mut self, escaped: &str) {
        self.0 += escaped.len();
    }
}

/// Somebody whose fields have these values, an empty one being none.
fn person(values: &[&str]) -> Person {
    let mut person = PersonBuilder::default();
    person.field("email", "dana@example.test");
    for (field, value) in FIELDS.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
        person.field(field, value);
    }
    person.build()
}

fn data(json: Json) -> Data {
    json.as_object().cloned().unwrap_or_default()
}

fn plan_of(subject: &str, text: &str, rules: FieldRules) -> Plan {
    let compile = |source: &str, syntax| {
        Program::compile(source, syntax, "t").unwrap_or_else(|lints| panic!("{source}: {lints:?}"))
    };
    let mut builder = PlanBuilder::new("t", rules);
    builder.from("shop@shop.example").unwrap();
    builder.subject(compile(subject, Syntax::Header)).html(compile(text, Syntax::Html));
    builder.build().unwrap()
}

fn render(plan: &Plan, person: &Person, data: &Data, size_max: usize) -> Result<Finished, Fault> {
    plan.render(&RenderRequest {
        person,
        token: &Token::from_local("e_0123456789").unwrap(),
        data,
        send: &SendNumber::from_bits([7; 16]),
        campaign: None,
        sender: None,
        transfer: Transfer::EightBit,
        may_reveal: &|_| true,
        size_max,
        now: &Moment::at(SystemTime::UNIX_EPOCH),
    })
}

fn said(rendered: Result<Finished, Fault>) -> String {
    rendered.map_or_else(|fault| fault.to_string(), |_| String::from("made"))
}

/// Questions about a person that were answered by a refusal: body, data, and the field that is asked about.
fn questions() -> Vec<(&'static str, Json)> {
    let long: Vec<usize> = (0..20_001).collect();
    vec![
        ("{{#if (gte person.city \"m\")}}{{data.a}}{{else}}{{data.b}}{{/if}}", json!({"a": 1})),
        ("{{#if (gte person.city \"m\")}}{{data.b}}{{else}}{{data.a}}{{/if}}", json!({"a": 1})),
        ("{{#unless (eq person.city \"aa\")}}{{data.a}}{{/unless}}", json!({})),
        ("{{#gt person.city \"m\"}}{{data.a}}{{/gt}}", json!({})),
        ("{{#if (eq person.city data.c)}}{{data.a}}{{/if}}", json!({"c": "aa"})),
        ("{{#if (gt (len person.city) 2)}}{{data.a}}{{/if}}", json!({})),
        ("{{#if (lookup data.m person.city)}}{{data.a}}{{/if}}", json!({"m": {"aa": 1}})),
        ("{{lookup data.m person.city}}", json!({"m": {"aa": 1}})),
        ("{{lookup data.l (len person.city)}}", json!({"l": [1, 2, 3]})),
        ("{{lookup (lookup data.m person.city) \"x\"}}", json!({"m": {"aa": {"x": 1}}})),
        (
            "{{#each (lookup data.m person.city)}}{{x}}{{/each}}",
            json!({"m": {"aa": [{}], "zzz": [{"x": 1}]}}),
        ),
        (
            "{{#with (lookup data.m person.city)}}{{x}}{{/with}}",
            json!({"m": {"aa": {"y": 1}, "b": {"x": 1}}}),
        ),
        ("{{#with person.nick}}{{@root.data.a}}{{/with}}", json!({})),
        ("{{#with person.nick}}{{x}}{{/with}}", json!({})),
        ("<a href=\"{{data.u}}\">x</a>{{#if person.vip}}x{{/if}}", json!({"u": "javascript:x"})),
        ("{{{data.m}}} {{#if person.vip}}x{{/if}}", json!({"m": "<b"})),
        ("{{#if (eq person.city \"aa\")}}{{data.m}}{{/if}}", json!({"m": "https://shop.example"})),
        ("{{#if (eq person.city \"aa\")}}{{#each data.l}}x{{/each}}{{/if}}", json!({"l": long})),
        ("{{#if (eq person.city \"aa\")}}{{data.l}}{{/if}}", json!({"l": long})),
        ("{{#if (eq person.city \"aa\")}}{{data.l}}{{/if}}", json!({"l": "x".repeat(70_000)})),
        ("{{lookup data.m person.city}}", json!({"m": {"aa": long}})),
        ("{{lookup data.m person.city}}", json!({"m": {"aa": "x".repeat(70_000)}})),
        (
            "{{#each data.l}}{{#if (eq @root.person.city this)}}{{@root.data.a}}{{/if}}{{/each}}",
            json!({"l": ["aa", "zzz"]}),
        ),
        ("{{#if (eq person.city \"aa\")}}{{person.absent}}{{/if}}", json!({})),
        ("{{#if (eq person.city \"aa\")}}{{lookup data.m person.absent}}{{/if}}", json!({"m": {}})),
        ("{{#if person.nick}}{{data.a}}{{/if}}", json!({})),
        ("{{#if (and data.yes person.nick)}}{{data.a}}{{/if}}", json!({"yes": true})),
        ("{{#if (or data.no (not person.nick))}}{{data.a}}{{/if}}", json!({"no": false})),
        ("{{person.city}}{{person.city}}{{data.fill}}", json!({"fill": "x".repeat(2_000)})),
        ("{{eq person.city \"aa\"}}{{data.fill}}", json!({"fill": "x".repeat(2_000)})),
        ("{{data.fill}} {{person.city}}", json!({"fill": "ä".repeat(1_000)})),
    ]
}

#[test]
fn p1_a_refusal_answers_no_question_about_a_person() {
    let people = [
        person(&["Dana", "aa", "", ""]),
        person(&["Noa", "zzz", "Nono", "yes"]),
        person(&["X", &"zzz ".repeat(60), "Y", ""]),
        person(&["X", &"z".repeat(1_200), "Y", ""]),
    ];
    let mut refused = 0;
    for (source, sent) in questions() {
        for subject in ["Hello", "{{#if (gte person.city \"m\")}}{{data.a}}{{else}}{{data.b}}{{/if}}"] {
            let (plan, data) = (plan_of(subject, source, FieldRules::of_message()), data(sent.clone()));
            // Every size around what the message comes to; all else needs one look.
            let is_about_size = sent.get("fill").is_some() && subject == "Hello";
            for size_max in if is_about_size { 2_000..5_500 } else { 1_000_000..1_000_001 } {
                let answers: Vec<String> =
                    people.iter().map(|person| said(render(&plan, person, &data, size_max))).collect();
                assert!(
                    answers.iter().all(|answer| *answer == answers[0]),
                    "{source} {subject}: {answers:?}"
                );
                refused += usize::from(answers[0] != "made");
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn p1_a_look_up_by_a_person_that_finds_nothing_writes_nothing() {
    let plan = plan_of("Hello", "<p>[{{lookup data.m person.city}}]", FieldRules::of_message());
    let finished = render(&plan, &person(&["", "b"]), &data(json!({"m": {"aa": 1}})), 10_000).unwrap();
    assert!(String::from_utf8_lossy(&finished.message.to_octets()).contains("<p>[]"));
    let by_job = plan_of("Hello", "{{lookup data.m data.k}}", FieldRules::of_message());
    let fault = render(&by_job, &person(&[]), &data(json!({"m": {}, "k": "x"})), 10_000).unwrap_err();
    assert_eq!(fault.reason, Reason::MissingField);
}

#[test]
fn p1_a_field_is_needed_for_every_way_but_for_its_own() {
    let source = "{{#if (eq person.city \"aa\")}}{{person.first_name}}{{else}}{{#if person.nick}}{{person.nick}}\
                  {{/if}}{{/if}}{{#if data.vip}}{{person.vip}}{{/if}}";
    let plan = plan_of("Hello", source, FieldRules::of_message());
    let say = |values: &[&str], sent: Json| said(render(&plan, &person(values), &data(sent), 10_000));
    for city in ["aa", "b"] {
        assert!(
            say(&["", city, "N", "v"], json!({})).starts_with("missing-field: the person has no first_name")
        );
        assert_eq!(say(&["D", city, "", ""], json!({})), "made");
        assert!(say(&["D", city, "", ""], json!({"vip": 1})).contains("has no vip"));
    }
    let mut rules = FieldRules::default();
    rules.declare("first_name", Rule::Optional);
    rules.declare("nick", Rule::Required);
    let declared = plan_of("Hello", source, rules);
    let say = |values: &[&str]| said(render(&declared, &person(values), &data(json!({})), 10_000));
    assert_eq!(say(&["", "aa", "N"]), "made");
    assert!(say(&["", "aa", ""]).contains("has no nick"));
}

#[test]
fn p1_what_only_values_make_too_large_is_told_without_a_number_or_a_path() {
    let (source, long) = ("{{#each data.l}}{{@root.person.city}}{{/each}}", "z".repeat(60_000));
    let (plan, data) = (plan_of("Hello", source, FieldRules::of_message()), data(json!({"l": vec![0; 100]})));
    assert!(plan.may_be_too_long());
    let fault = render(&plan, &person(&["", &long]), &data, 1 << 20).unwrap_err();
    assert_eq!((fault.circumstance(), &fault), (Circumstance::PersonsValues, &Fault::of_values()));
    assert!(!fault.detail.contains(|c: char| c.is_ascii_digit()) && !fault.detail.contains("city"));
    assert_eq!(said(render(&plan, &person(&["", "aa"]), &data, 1 << 20)), "made");
    // Few values cannot be too long, in a header neither.
    let plan = plan_of("{{person.city}}", "{{person.city}}", FieldRules::of_message());
    assert!(!plan.may_be_too_long());
    assert_eq!(said(render(&plan, &person(&["", &long]), &data, 100_000)), "made");
}

#[test]
fn p1_whether_a_message_is_looked_at_again_depends_on_no_value() {
    // Much is reckoned for the many values that are nothing, and little comes out.
    let source =
        format!("{{{{#each data.l}}}}{}{{{{/each}}}} {{{{person.city}}}}", "{{@root.data.e}}".repeat(50));
    let (plan, data) =
        (plan_of("Hello", &source, FieldRules::of_message()), data(json!({"l": vec![0; 200], "e": ""})));
    let people = [person(&["", "aa"]), person(&["", &"z ".repeat(120)])];
    for size_max in (2_000..200_000).step_by(500) {
        let answers: Vec<String> =
            people.iter().map(|person| said(render(&plan, person, &data, size_max))).collect();
        assert_eq!(answers[0], answers[1], "{size_max}");
    }
}

#[test]
fn p1_too_many_ways_are_refused_in_bounded_time() {
    let entries: serde_json::Map<String, Json> = (0..300).map(|n| (n.to_string(), json!([1]))).collect();
    let source = "{{#each (lookup data.m person.city)}}{{#each (lookup @root.data.m @root.person.city)}}\
                  {{#each (lookup @root.data.m @root.person.nick)}}x{{/each}}{{/each}}{{/each}}";
    let plan = plan_of("Hello", source, FieldRules::of_message());
    let data = data(json!({"m": entries}));
    let answer = said(render(&plan, &person(&["", "nowhere", "nobody"]), &data, 1 << 20));
    assert!(answer.starts_with("too-large: blocks and look-ups"), "{answer}");
}

fn leaf() -> impl Strategy<Value = String> {
    let tags = [
        "text ",
        "<p>",
        "{{data.a}}",
        "{{data.b}}",
        "{{data.m.x}}",
        "{{data.l}}",
        "{{this}}",
        "{{x}}",
        "{{@index}}",
        "{{@key}}",
        "{{send.campaign}}",
        "{{@root.data.a}}",
        "{{@root.person.first_name}}",
        "{{@root.person.nick}}",
        "{{len @root.person.city}}",
        "{{eq @root.person.city \"x\"}}",
        "{{and @root.data.a @root.person.vip}}",
        "{{lookup @root.data.m @root.person.city}}",
        "{{lookup @root.data.l (len @root.person.city)}}",
        "{{lookup (lookup @root.data.mm @root.person.city) \"x\"}}",
        "{{lookup (lookup @root.data.mm @root.data.a) @root.person.city}}",
        "{{lookup @root.data.m @root.data.a}}",
        "{{lookup this @root.person.city}}",
        "{{len (lookup @root.data.mm @root.person.city)}}",
        "<a href=\"{{@root.data.u}}\">l</a>",
        "{{{@root.data.k}}}",
    ];
    // Values that touch each other where a person decides are no template: together they may be a link.
    proptest::sample::select(tags.to_vec()).prop_map(|tag| format!("{tag} "))
}

fn asked() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "@root.person.nick",
        "@root.person.vip",
        "@root.data.a",
        "(gte @root.person.city \"m\")",
        "(eq @root.person.city @root.data.a)",
        "(and @root.data.a @root.person.nick)",
        "(or @root.data.b @root.person.nick)",
        "(and (not @root.person.nick) @root.person.vip)",
        "(not (or @root.person.nick @root.data.b))",
        "(lookup @root.data.m @root.person.city)",
        "(gt (len (lookup @root.data.mm @root.person.city)) 1)",
    ])
}

fn over() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "@root.data.l",
        "@root.data.mm",
        "@root.data.m",
        "(lookup @root.data.mm @root.person.city)",
        "(lookup @root.data.mm @root.data.a)",
        "(lookup this @root.person.city)",
    ])
}

fn template() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let body = proptest::collection::vec(inner, 0..4).prop_map(|parts| parts.concat());
        prop_oneof![
            body.clone(),
            (asked(), body.clone(), body.clone())
                .prop_map(|(test, yes, no)| format!("{{{{#if {test}}}}}{yes}{{{{else}}}}{no}{{{{/if}}}}")),
            (asked(), body.clone())
                .prop_map(|(test, no)| format!("{{{{#unless {test}}}}}{no}{{{{/unless}}}}")),
            (over(), body.clone(), body.clone()).prop_map(|(over, each, none)| format!(
                "{{{{#each {over}}}}}{each}{{{{else}}}}{none}{{{{/each}}}}"
            )),
            (over(), body.clone())
                .prop_map(|(over, with)| format!("{{{{#with {over}}}}}{with}{{{{/with}}}}")),
            body.prop_map(|with| format!(
                "{{{{#with @root.person.nick as |n|}}}}{{{{n}}}}{with}{{{{/with}}}}"
            )),
        ]
    })
}

fn sent() -> impl Strategy<Value = Json> {
    let leaf = || {
        proptest::sample::select(vec![
            json!("x"),
            json!("y"),
            json!(0),
            json!(2.5),
            json!(null),
            json!(true),
            json!("<b"),
            json!("long text, ä=ö\n"),
            json!("https://x.example/"),
        ])
    };
    let map = || proptest::collection::btree_map("[xyz]", leaf(), 0..3).prop_map(|map| json!(map));
    let list = || proptest::collection::vec(leaf(), 0..3).prop_map(|list| json!(list));
    let deep = prop_oneof![map(), list(), leaf()];
    let some = |value: BoxedStrategy<Json>| proptest::option::weighted(0.85, value);
    (
        some(leaf().boxed()),
        some(leaf().boxed()),
        some(map().boxed()),
        some(list().boxed()),
        some(proptest::collection::btree_map("[xyz]", deep, 0..3).prop_map(|map| json!(map)).boxed()),
        some(leaf().boxed()),
        some(leaf().boxed()),
    )
        .prop_map(|(a, b, m, l, mm, u, k)| {
            let all = [("a", a), ("b", b), ("m", m), ("l", l), ("mm", mm), ("u", u), ("k", k)];
            Json::Object(
                all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
            )
        })
}

fn rules() -> impl Strategy<Value = FieldRules> {
    (0..4, 0..3).prop_map(|(nick, of_data)| {
        let mut rules = FieldRules::default();
        match nick {
            0 => rules.declare("nick", Rule::Optional),
            1 => rules.declare("nick", Rule::Default("you".into())),
            2 => rules.declare("nick", Rule::Required),
            _ => {}
        }
        match of_data {
            0 => rules.declare_data("a", Rule::Default("x".into())),
            1 => rules.declare_data("m.x", Rule::Optional),
            _ => {}
        }
        rules
    })
}

/// Every field, or not `nick` and `vip`.
fn somebody() -> impl Strategy<Value = Person> {
    let city = proptest::sample::select(vec!["x", "y", "z", "nowhere", "ä=\"<"]);
    (city, any::<bool>(), any::<bool>()).prop_map(|(city, nick, vip)| {
        person(&["Dana", city, if nick { "Nono" } else { "" }, if vip { "yes" } else { "" }])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, max_global_rejects: 1_000_000, ..ProptestConfig::default() })]

    #[test]
    fn p1_what_is_judged_to_be_good_fails_for_nobody(
        source in template(), sent in sent(), rules in rules(), people in proptest::collection::vec(somebody(), 2..4)
    ) {
        let Ok(program) = Program::compile(&source, Syntax::Html, "t") else { return Err(TestCaseError::reject("no template")) };
        let (data, send) = (data(sent), SendNumber::from_bits([7; 16]));
        let facts = Facts { data: &data, send: &send, campaign: None, date: "2026-01-02", fields: &rules };
        let judged = program.judge(facts);
        for person in &people {
            let mut sink = Counting(0);
            let scope = Scope { person, data: &data, send: &send, campaign: None, date: "2026-01-02", fields: &rules };
            let run = program.run(&scope, &mut sink);
            match &judged {
                Ok(judged) => {
                    let lacks = judged.needs.iter().any(|field| person.field(field).is_none());
                    prop_assert!(lacks || run.is_ok(), "{}: {:?}", source, run);
                    if let Ok(bytes) = run {
                        prop_assert!(bytes <= judged.tally.bytes, "{}: {} {}", source, bytes, judged.tally.bytes);
                        prop_assert!(sink.0 <= judged.tally.bytes + 8 * judged.tally.values, "{}", source);
                    }
                }
                Err(_) => prop_assert!(program.flow() == Flow::Forked || run.is_err(), "{}", source),
            }
        }
    }

    #[test]
    fn p1_the_answer_for_two_people_is_the_same(
        source in template(), sent in sent(), rules in rules(), people in (somebody(), somebody()), size_max in 400usize..1_500
    ) {
        if Program::compile(&source, Syntax::Html, "t").is_err() {
            return Err(TestCaseError::reject("no template"));
        }
        let (plan, data) = (plan_of("Hello", &source, rules), data(sent));
        let answers = [&people.0, &people.1].map(|person| said(render(&plan, person, &data, size_max)));
        let may_differ = answers.iter().any(|answer| answer.starts_with("missing-field: the person has no"));
        prop_assert!(may_differ || answers[0] == answers[1], "{}: {:?}", source, answers);
    }
}
