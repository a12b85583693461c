//! Control flow carries the value: what is refused, what marketing does and may do, and that what is taken shows two people
//! the same addresses.

mod cases;
mod hidden;

use super::branch::holds_sheet;
use super::manifest::Manifest;
use super::plan::PlanBuilder;
use super::program::{Program, Syntax};
use super::scope::FieldRules;
use super::{JobFacts, Moment, Plan, RenderRequest, Transfer};
use crate::fault::Reason;
use crate::job::{Data, SendNumber, Token};
use crate::person::{EMAIL, Person, PersonBuilder};
use cases::{ATTACKS, LEGITIMATE};
use proptest::prelude::*;
use serde_json::json;

fn refusal(source: &str, syntax: Syntax) -> Option<String> {
    let lints = Program::compile(source, syntax, "t").err()?;
    assert!(lints.iter().all(|lint| !lint.fix.is_empty()), "{lints:?}");
    Some(lints.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "))
}

#[test]
fn p2_what_depends_on_a_person_is_refused_in_html() {
    let wrong: Vec<String> = ATTACKS
        .iter()
        .map(|source| (source, refusal(source, Syntax::Html).unwrap_or_default()))
        .filter(|(_, told)| !told.contains("person.") || !told.contains("t:1:"))
        .map(|(source, told)| format!("{source}: {told}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn b_a_style_sheet_of_another_host_is_refused_for_what_it_may_see() {
    let sheet = "<link rel=stylesheet href=https://use.typekit.net/abc.css>{{person.first_name}}";
    let told = refusal(sheet, Syntax::Html).unwrap_or_default();
    assert!(told.contains("comes from elsewhere") && told.contains("person.first_name"), "{told}");
    for taken in [
        "<style>@font-face{font-family:'Lato';src:url(https://fonts.gstatic.com/s/a.woff2) format('woff2');\
         unicode-range:U+0000-00FF,U+0131}</style><p>{{person.first_name}}</p>",
        "<link rel=stylesheet href=https://fonts.googleapis.com/css?family=Lato><p>{{person.first_name}}</p>",
    ] {
        assert_eq!(refusal(taken, Syntax::Html), None, "{taken}");
    }
}

/// Each of them is looked at with all that stands around it.
#[test]
fn p2_a_style_may_differ_in_some_places() {
    let places = |count: usize| "{{#if person.vip}}color:red;{{/if}}".repeat(count);
    for (count, is_taken) in [(32, true), (80, false)] {
        let attribute = format!("<p style=\"{}\">x</p>", places(count).replace(";{{/if}}", "{{/if}};"));
        let sheet = format!("<style>.a{{ {} }}</style>", places(count).replace(";{{/if}}", "{{/if}};"));
        let as_one = format!("<p style=\"{}\">x</p>", places(count));
        for source in [attribute, sheet, as_one] {
            let told = refusal(&source, Syntax::Html);
            assert_eq!(told.is_none(), is_taken, "{source}: {told:?}");
            assert!(told.is_none_or(|told| told.contains("too many places")), "{source}");
        }
    }
}

#[test]
fn p2_and_in_texts_that_clients_make_links_in() {
    for source in [
        "{{#if person.vip}}https://t/a{{/if}}",
        "{{#if person.vip}}x{{else}}see www.t.example{{/if}}",
        "https://t/{{#if person.vip}}a{{else}}b{{/if}}",
        "{{#if person.vip}}https:{{/if}}//t/a",
        "{{#if person.vip}}a {{else}}https://{{/if}}t/a",
        "https://t/a{{#if person.vip}} {{/if}}b",
        "{{#unless person.vip}}t.example{{/unless}}",
        "{{#if person.vip}}t\u{200b}.example{{/if}}",
        "{{#if person.vip}}write to vip@t.example{{/if}}",
        "{{#if person.vip}}mailto:x{{/if}}",
        "{{#if person.vip}}https://t/{{data.a}}{{/if}}",
        "{{#if person.vip}}{{data.a}}.{{data.b}}{{/if}}",
        "{{#if person.vip}}t.{{data.a}}{{/if}}",
        "https://t/{{#each (lookup data.l person.city)}}x{{/each}}",
        "{{#if (eq person.city data.c)}}{{data.host}}/a{{/if}}",
    ] {
        assert!(refusal(source, Syntax::Text).is_some(), "taken: {source}");
    }
    for (source, syntax) in [
        ("BEGIN:VEVENT\n{{#if person.vip}}URL:https://t/a\n{{/if}}END:VEVENT", Syntax::ContentLines),
        ("BEGIN:VEVENT\nDESCRIPTION:{{#if person.vip}}https://t/a{{/if}}\nEND:VEVENT", Syntax::ContentLines),
        ("BEGIN:VEVENT\n{{#if person.vip}}ATTACH:{{data.a}}\n{{/if}}END:VEVENT", Syntax::ContentLines),
        ("UID:{{#if person.vip}}a{{else}}b{{/if}}\n", Syntax::ContentLines),
        ("UID:1@t{{#if person.vip}}{{data.a}}{{/if}}\n", Syntax::ContentLines),
        ("{{#if person.vip}}SEQUENCE:2\n{{/if}}SUMMARY:x\n", Syntax::ContentLines),
        ("X-A;X-B=\"{{#if person.vip}}1{{else}}2{{/if}}\":x\n", Syntax::ContentLines),
        ("{{#if person.vip}}BEGIN:VALARM\nEND:VALARM\n{{/if}}", Syntax::ContentLines),
        ("{{#if person.vip}}ATTENDEE:mailto:a@t.example\n{{/if}}", Syntax::ContentLines),
        ("a,\"{{#if person.vip}}https://t/a{{/if}}\"", Syntax::Csv),
        ("{\"a\": \"{{#if person.vip}}https://t/a{{/if}}\"}", Syntax::Json),
    ] {
        assert!(refusal(source, syntax).is_some(), "taken: {source}");
    }
}

#[test]
fn p2_marketing_goes_on() {
    let told = |source: &&str| Some(format!("{source}: {}", refusal(source, Syntax::Html)?));
    let refused: Vec<String> = LEGITIMATE.iter().filter_map(told).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    for source in [
        "Dear {{#if person.first_name}}{{person.first_name}}{{else}}customer{{/if}},\n\nsee https://shop.example/{{data.a}}\n",
        "{{#if person.vip}}Thank you ({{data.points}} points).{{/if}} https://shop.example/",
        "{{#if (eq person.country \"DE\")}}z.B. {{data.price}} €, inkl. MwSt.{{/if}}",
        "{{#each data.items}}{{this.name}} {{this.url}}{{#if (eq this.size @root.person.size)}} (your size){{/if}}\n{{/each}}",
    ] {
        assert_eq!(refusal(source, Syntax::Text), None, "{source}");
    }
    for source in [
        "{{#if person.vip}}LOCATION:Hall 1\n{{else}}LOCATION;LANGUAGE=\"de\":Hall 2\n{{/if}}SUMMARY:{{#if person.vip}}VIP{{/if}} day\n",
        "ATTENDEE;CN=\"{{#if person.first_name}}{{person.first_name}}{{else}}Guest{{/if}}\":mailto:{{person.email}}\n",
        "{{#if person.first_name}}ATTENDEE;CN=\"{{person.first_name}}\":mailto:{{person.email}}\n{{/if}}",
    ] {
        assert_eq!(refusal(source, Syntax::ContentLines), None, "{source}");
    }
    assert_eq!(
        refusal("{{#if person.vip}}https://t/a {{data.a}}{{/if}}", Syntax::Header),
        None,
        "Subject reaches the person only"
    );
}

#[test]
fn p2_a_template_may_name_urls_that_are_meant() {
    let allowed = ["https://shop.example/vip", "https://shop.example/vip?a=1&b=2"].map(Box::from);
    let compile = |source: &str, syntax| Program::compile_allowing(source, syntax, "t", &allowed).is_ok();
    for source in [
        r#"{{#if person.vip}}<a href="https://shop.example/vip">x</a>{{/if}}"#,
        r#"{{#if person.vip}}<a href=" https://shop.example/vip?a=1&amp;b=2 " style="color:red"><img src='https://shop.example/vip' alt="x"></a>{{/if}}"#,
        r#"{{#if person.vip}}<table><tr><td background="https://shop.example/vip">x</td></tr></table>{{/if}}"#,
        r#"{{#if person.vip}}<p style="background:url(https://shop.example/vip)">x</p>{{/if}}"#,
        r#"<style>.a{background:url(https://shop.example/vip)}</style><p class="{{#if person.vip}}a{{/if}}">x</p>"#,
    ] {
        assert!(compile(source, Syntax::Html), "{source}");
    }
    assert!(compile("{{#if person.vip}}see (https://shop.example/vip).{{/if}}", Syntax::Text));
    for source in [
        r#"{{#if person.vip}}<a href="https://shop.example/vip2">x</a>{{/if}}"#,
        r#"{{#if person.vip}}<a href="https://shop.example/vip?{{data.a}}">x</a>{{/if}}"#,
        r#"{{#if person.vip}}<a href="https://shop.example/vi">x</a>{{/if}}"#,
        r#"{{#if person.vip}}<a href="HTTPS://shop.example/vip">x</a>{{/if}}"#,
        r#"{{#if person.vip}}<a href="https://shop.example/vip" ping="https://t">x</a>{{/if}}"#,
        r#"{{#if person.vip}}<iframe src="https://shop.example/vip"></iframe>{{/if}}"#,
        r#"<a href="https://shop.example/{{#if person.vip}}vip{{/if}}">x</a>"#,
        r#"{{#if person.vip}}<a href="https://shop.example/{{#if data.x}}vip{{else}}vip2{{/if}}">x</a>{{/if}}"#,
    ] {
        assert!(!compile(source, Syntax::Html), "{source}");
    }
    let manifest = |urls: &str| Manifest::read(&format!("from = \"a@b.test\"\nbranch_urls = [{urls}]"), "t");
    assert_eq!(
        manifest("\"https://shop.example/vip\"").unwrap().branch_urls,
        [Box::from("https://shop.example/vip")]
    );
    for wrong in ["\"https://shop.example/{{data.x}}\"", "\"\"", "\"a b\""] {
        assert_eq!(manifest(wrong).unwrap_err()[0].line, 2, "{wrong}");
    }
}

fn plan(text: &str, html: Option<&str>) -> Result<Plan, String> {
    let told = |lints: Vec<super::Lint>| lints[0].to_string();
    let mut builder = PlanBuilder::new("t", FieldRules::of_message());
    builder.from("a@shop.example").map_err(told)?;
    builder.text(Program::compile(text, Syntax::Text, "text").map_err(told)?);
    if let Some(html) = html {
        builder.html(Program::compile(html, Syntax::Html, "html").map_err(told)?);
    }
    builder.build().map_err(told)
}

struct Job {
    token: Token,
    send: SendNumber,
    now: Moment,
    data: Data,
}

fn job(data: serde_json::Value) -> Job {
    let serde_json::Value::Object(data) = data else { panic!("an object") };
    Job {
        token: Token::from_local("e_684384628").unwrap(),
        send: SendNumber::from_bits([7; 16]),
        now: Moment::at(std::time::SystemTime::UNIX_EPOCH),
        data,
    }
}

fn judged(text: &str, html: Option<&str>, data: serde_json::Value) -> Result<(), (Reason, String)> {
    let plan = plan(text, html).unwrap_or_else(|told| panic!("{text} {html:?}: {told}"));
    let Job { token, send, now, data } = job(data);
    let facts =
        JobFacts { token: &token, data: &data, send: &send, campaign: None, size_max: 1 << 20, now: &now };
    plan.judge(&facts).map(drop).map_err(|fault| (fault.reason, fault.detail.into_owned()))
}

#[test]
fn p2_a_value_of_the_job_is_no_link_where_a_person_decides() {
    let is_refused = |text: &str, data: serde_json::Value| match judged(text, None, data) {
        Ok(()) => false,
        Err((reason, detail)) => {
            assert!(reason == Reason::BadJob && detail.contains("would be a link"), "{text}: {detail}");
            true
        }
    };
    let block = "{{#if (eq person.city data.c)}}see {{data.a}}{{/if}}";
    for link in ["https://t/a", "t.example", "look: www.t.example!", "x@t.example", "t.example/a?b"] {
        assert!(is_refused(block, json!({"c": "x", "a": link})), "{link}");
    }
    for fine in ["soon", "3.50", "e.g. this", "A-17"] {
        assert!(!is_refused(block, json!({"c": "x", "a": fine})), "{fine}");
    }
    assert!(is_refused("{{lookup data.m person.city}}", json!({"m": {"x": "fine", "y": "https://t/y"}})));
    assert!(is_refused(
        "{{#each (lookup data.m person.city)}}{{this}} {{/each}}",
        json!({"m": {"x": ["t.example"]}})
    ));
    assert!(is_refused("{{data.a}}{{#if person.vip}}x{{/if}}", json!({"a": "https://t/"})));
    assert!(!is_refused("{{data.a}}{{#if person.vip}} x{{/if}}", json!({"a": "https://t/"})));
    assert!(is_refused("{{#if person.vip}}{{data.a}}{{data.b}}{{/if}}", json!({"a": "t.c", "b": "om"})));
    assert!(!is_refused("{{#if person.vip}}{{data.a}}-{{data.b}}kg{{/if}}", json!({"a": 10, "b": 12.5})));
    assert!(is_refused("{{#if person.vip}}pre{{data.a}}{{/if}}", json!({"a": ".t/a"})));
    let sheet = json!({"css": "<style>p[title^=a]{background:url(//t/a)}</style>"});
    let html = Some("<p title=\"{{person.email}}\">{{#if person.vip}}x{{/if}}</p>{{{data.css}}}");
    assert!(judged("x", html, sheet).unwrap_err().1.contains("style sheet"));
    assert!(
        judged("x", html, json!({"css": "<b>x</b>"})).is_ok()
            && !holds_sheet("<STYLE>p{color:red}</STYLE> loading")
    );
}

#[test]
fn p2_markup_of_a_job_beside_a_person_sees_no_value() {
    let own = "<style>@font-face{font-family:z;src:url(https://t/z)}</style><p>{{person.city}}</p><div>{{{data.a}}}</div>";
    let told =
        |html: &str, markup: &str| judged("{{#if person.vip}}x{{/if}}", Some(html), json!({"a": markup}));
    for html in [
        "<p>{{person.city}}</p><div>{{{data.a}}}</div>",
        "{{#if person.vip}}x{{/if}} <div>{{{data.a}}}</div>",
    ] {
        for markup in [
            "<img src=https://t/a onerror=\"a()\">",
            "<img src=https://t/a loading=lazy>",
            "<b style=\"content-visibility:auto\">x</b>",
        ] {
            let (reason, detail) = told(html, markup).unwrap_err();
            assert!(
                reason == Reason::BadJob && detail.contains("would depend on the value"),
                "{markup}: {detail}"
            );
        }
        assert_eq!(told(html, "<img src=https://t/a loading=eager style=\"font-family:Arial,z\">"), Ok(()));
    }
    assert!(told(own, "<font face=\"Arial,z\">x</font>").is_err());
    assert_eq!(told(own, "<font face=\"z,Arial\">x</font>"), Ok(()));
}

fn rendered(plan: &Plan, person: &Person, job: &Job) -> Result<String, String> {
    let request = RenderRequest {
        person,
        token: &job.token,
        data: &job.data,
        send: &job.send,
        campaign: None,
        sender: None,
        transfer: Transfer::EightBit,
        may_reveal: &|_| true,
        size_max: 1 << 20,
        now: &job.now,
    };
    let finished = plan.render(&request).map_err(|fault| fault.detail.into_owned())?;
    Ok(String::from_utf8_lossy(&finished.message.to_octets()).replace("=\r\n", "").replace("=3D", "="))
}

/// What a client fetches or links, as far as a look for what addresses are made of finds it.
fn addresses(message: &str) -> Vec<String> {
    let words = message.split(|c: char| c.is_whitespace() || "\"'<>()".contains(c));
    let is_address = |word: &&str| word.contains("://") || word.contains("t.example");
    let mut found: Vec<String> = words.filter(is_address).map(str::to_owned).collect();
    found.sort();
    found
}

fn somebody(values: [Option<&str>; 2]) -> Person {
    let mut person = PersonBuilder::default();
    person.field(EMAIL, "dana@people.test");
    for (field, value) in ["city", "vip"].into_iter().zip(values) {
        if let Some(value) = value {
            person.field(field, value);
        }
    }
    person.build()
}

/// Pieces of which templates are put together, some of them attacks.
const PIECES: &[&str] = &[
    "{{#if person.vip}}",
    "{{#if (eq person.city data.c)}}",
    "{{else}}",
    "{{/if}}",
    "{{#each data.l}}",
    "{{/each}}",
    "{{#unless person.vip}}",
    "{{/unless}}",
    "<p>",
    "</p>",
    "<b>",
    "</b>",
    "<a href=\"https://t.example/a\">",
    "</a>",
    "<img src=\"https://t.example/b\">",
    "<img src=\"https://t.example/{{this}}\">",
    " ",
    "x",
    "https://t.example/c",
    "t.example",
    "{{this}}",
    "{{data.c}}",
    " {{person.city}} ",
    "{{data.link}}",
    "{{lookup data.m person.city}}",
    "<td style=\"color:red\">",
    "</td>",
    "/",
    ".",
    "{{#with (lookup data.m person.city)}}",
    "{{/with}}",
    "<br>",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn p2_two_people_are_shown_the_same_addresses(picks in proptest::collection::vec(0..PIECES.len(), 1..12), block in 0..4_usize) {
        let inner: String = picks.iter().map(|pick| PIECES[*pick]).collect();
        let html = match block {
            0 => inner,
            1 => format!("{{{{#if person.vip}}}}{inner}{{{{/if}}}}"),
            2 => format!("{{{{#each data.l}}}}{{{{#if (eq this @root.person.city)}}}}{inner}{{{{/if}}}}{{{{/each}}}}"),
            _ => format!("<p>{{{{#if (eq person.city \"Haifa\")}}}}{inner}{{{{else}}}}x{{{{/if}}}}</p>"),
        };
        let Ok(plan) = plan("x", Some(&html)) else { return Ok(()) };
        let job = job(json!({"c": "Haifa", "l": ["Haifa", "Yafo"], "link": "https://t.example/l", "m": {"Haifa": "https://t.example/m", "Yafo": "n"}}));
        let people = [somebody([Some("Haifa"), None]), somebody([Some("Yafo"), Some("yes")]), somebody([Some("Akko"), Some("no")])];
        let seen: Vec<_> = people.iter().map(|person| rendered(&plan, person, &job).map(|message| addresses(&message))).collect();
        prop_assert!(seen.windows(2).all(|pair| pair[0] == pair[1] || pair.iter().any(Result::is_err)), "{}: {:?}", html, seen);
    }
}
