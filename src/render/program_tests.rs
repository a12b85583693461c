//! Programs as a whole: the language, the lints, and agreement with handlebars.

use super::lint::Lint;
use super::program::{Program, Sink, Syntax};
use super::scope::{FieldRules, Rule, Scope};
use crate::fault::{Fault, Reason};
use crate::job::{Data, SendNumber};
use crate::person::{Person, PersonBuilder};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

#[derive(Default)]
struct Collected {
    pieces: Vec<Result<usize, String>>,
}

impl Sink for Collected {
    fn fixed(&mut self, index: usize) {
        self.pieces.push(Ok(index));
    }

    fn value(&mut self, escaped: &str) {
        self.pieces.push(Err(escaped.to_owned()));
    }
}

fn dana() -> Person {
    PersonBuilder::default()
        .field("first_name", "Dana <b>")
        .field("country", "IL")
        .field("email", "dana@example.test")
        .build()
}

fn data(json: Json) -> Data {
    match json {
        Json::Object(map) => map,
        _ => Data::new(),
    }
}

fn run_with(source: &str, syntax: Syntax, sent: Json, fields: &FieldRules) -> Result<String, Fault> {
    let program = Program::compile(source, syntax, "t").unwrap_or_else(|lints| panic!("{source}: {lints:?}"));
    let (person, data, send) = (dana(), data(sent), SendNumber::from_bits([7; 16]));
    let scope =
        Scope { person: &person, data: &data, send: &send, campaign: Some("c1"), date: "2026-01-02", fields };
    let mut out = Collected::default();
    program.run(&scope, &mut out)?;
    Ok(out
        .pieces
        .into_iter()
        .map(|piece| piece.map_or_else(|v| v, |i| program.fixed()[i].to_string()))
        .collect())
}

fn run(source: &str, sent: Json) -> String {
    run_with(source, Syntax::Html, sent, &FieldRules::of_message()).unwrap()
}

fn reason(source: &str, sent: Json) -> (Reason, String) {
    let fault = run_with(source, Syntax::Html, sent, &FieldRules::of_message()).unwrap_err();
    (fault.reason, fault.detail.into_owned())
}

fn lints(source: &str, syntax: Syntax) -> Vec<Lint> {
    match Program::compile(source, syntax, "t") {
        Ok(_) => Vec::new(),
        Err(lints) => lints,
    }
}

/// The only lint of an HTML source whose second line is `line`.
fn lint_of(line: &str) -> String {
    let lints = lints(&format!("<p>\n{line}"), Syntax::Html);
    assert_eq!(lints.iter().filter(|lint| lint.line == 2).count(), 1, "{line}: {lints:?}");
    assert!(lints.iter().all(|lint| !lint.fix.is_empty()));
    lints.iter().find(|lint| lint.line == 2).map(|lint| lint.cause.clone()).unwrap()
}

#[test]
fn the_language() {
    let sent = json!({"items": [{"n": "a", "tags": [1, 2]}, {"n": "b", "tags": []}], "map": {"x": 1, "y": 2}, "zero": 0,
        "prices": {"IL": "10", "FR": "20"}});
    for (source, expected) in [
        ("Hi {{person.first_name}}!", "Hi Dana &lt;b&gt;!"),
        ("{{send.campaign}} {{send.date}} {{send.number}}", "c1 2026-01-02 s_a4dqobyha4dqobyha4dqobyha4"),
        ("{{#each data.items}}{{@index}}{{n}}{{#unless @last}}, {{/unless}}{{/each}}", "0a, 1b"),
        (
            "{{#each data.items as |it i|}}{{i}}{{it.n}}{{#each it.tags}}{{@../index}}{{this}}{{../n}}{{else}}-{{/each}}{{/each}}",
            "0a01a02a1b-",
        ),
        ("{{#each data.map}}{{@key}}={{this}};{{/each}}", "x=1;y=2;"),
        ("{{#each data.map as |v k|}}{{k}}{{v}}{{/each}}", "x1y2"),
        ("{{#if data.none}}a{{else if data.zero}}b{{else}}c{{/if}}", "c"),
        ("{{#if data.zero includeZero=true}}a{{/if}}", "a"),
        ("{{#with data.map}}{{x}} {{../person.country}}{{@root.data.zero}}{{/with}}", "1 IL0"),
        ("{{#with person}}{{country}}{{/with}}{{#with send}}{{date}}{{/with}}", "IL2026-01-02"),
        ("{{lookup data.prices person.country}} {{len data.items}}", "10 2"),
        ("{{#if (and (eq person.country \"IL\") (gt data.map.y 1))}}x{{/if}}", "x"),
        ("{{#eq data.zero 0}}zero{{else}}more{{/eq}}", "zero"),
        ("{{data.items.[0].n}}{{data.items.[1].tags}}", "a[]"),
        ("a{{! c }}b{{!-- {{x}} --}}c", "abc"),
        ("{{{{raw}}}}{{x}}{{{{/raw}}}}", "{{x}}"),
        (r"\{{x}} a", "{{x}} a"),
        ("a\n  {{~#if data.map~}}  b {{/if}}\nc", "ab \nc"),
        ("{{lookup person \"country\"}}", "IL"),
        ("{{#if person.nick}}{{person.nick}}{{else}}none{{/if}}", "none"),
        ("", ""),
    ] {
        assert_eq!(run(source, sent.clone()), expected, "{source}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let (why, text) = reason("Hi {{person.nick}}", json!({}));
    assert_eq!((why, text.contains("nick")), (Reason::MissingField, true));
    assert!(reason("{{data.order.id}}", json!({"order": {}})).1.contains("data.order.id"));
    assert!(reason("{{data.order}}", json!({"order": null})).1.contains("data.order"));
    assert!(reason("{{#each data.l}}{{n}}{{/each}}", json!({"l": [{"n": 1}, {}]})).1.contains("data.l[].n"));
    assert_eq!(reason("{{lookup data.m data.k}}", json!({"m": {}, "k": "IL"})).0, Reason::MissingField);
    assert_eq!(run("{{lookup data.m person.country}}.", json!({"m": {}})), ".");
    assert_eq!(run("{{#if data.order}}{{data.order}}{{/if}}.", json!({})), ".");
}

#[test]
fn rules_decide_about_absent_fields() {
    let mut rules = FieldRules::default();
    rules.declare("nick", Rule::Default("you & me".into()));
    rules.declare("title", Rule::Optional);
    rules.declare("city", Rule::Required);
    rules.declare_data("shop", Rule::Default("Shop".into()));
    rules.declare_data("l[].n", Rule::Optional);
    rules.declare_data("order", Rule::Required);
    let run = |source| run_with(source, Syntax::Html, json!({}), &rules);
    assert_eq!(run("{{person.nick}}{{#if person.nick}}!{{/if}}{{person.title}}.").unwrap(), "you &amp; me!.");
    assert_eq!(run("{{data.shop}}{{#if data.shop}}!{{/if}}").unwrap(), "Shop!");
    assert_eq!(run("{{#if data.order}}x{{/if}}").unwrap_err().reason, Reason::MissingField);
    let items =
        run_with("{{#each data.l}}{{n}},{{/each}}", Syntax::Text, json!({"l": [{"n": 1}, {}]}), &rules);
    assert_eq!(items.unwrap(), "1,,");
    assert_eq!(run("{{#if person.city}}{{person.city}}{{/if}}").unwrap_err().reason, Reason::MissingField);
}

#[test]
fn values_are_never_read_as_template() {
    let out = run("{{data.a}}", json!({"a": "{{person.email}} {{#if"}));
    assert_eq!(out, "{{person.email}} {{#if");
}

#[test]
fn values_in_urls() {
    let sent = json!({"url": "https://x.test/a?b=c&d", "q": "a b/c?&", "bad": "javascript:alert(1)"});
    assert_eq!(
        run("<a href=\"{{data.url}}\" title=\"{{data.q}}\">", sent.clone()),
        "<a href=\"https://x.test/a?b&#x3D;c&amp;d\" title=\"a b/c?&amp;\">"
    );
    assert_eq!(
        run("<a href='https://x.test/{{data.q}}?n={{send.number}}'>", sent.clone()),
        "<a href='https://x.test/a%20b%2Fc%3F%26?n=s_a4dqobyha4dqobyha4dqobyha4'>"
    );
    let (why, text) = reason("<a href=\"{{data.bad}}\">", sent);
    assert_eq!((why, text.contains("data.bad"), text.contains("alert")), (Reason::BadJob, true, false));
}

#[test]
fn markup_of_the_engine_must_end_where_it_began() {
    assert_eq!(run("<p>{{{data.m}}}</p>", json!({"m": "<b>x</b>"})), "<p><b>x</b></p>");
    for bad in ["<b", "<!-- x", "<a href=\"", "<script>"] {
        assert_eq!(reason("<p>{{{data.m}}}</p>", json!({"m": bad})).0, Reason::BadJob, "{bad}");
    }
}

#[test]
fn every_unsafe_place_in_html_is_refused() {
    for (line, part) in [
        ("<p class={{data.x}}>", "without quotes"),
        ("<p class=a{{data.x}}>", "without quotes"),
        ("<{{data.x}}>", "tag's name"),
        ("<p{{data.x}}>", "tag's name"),
        ("<p {{data.x}}>", "attribute names"),
        ("<p a{{data.x}}=\"\">", "attribute names"),
        ("<script>var x = \"{{data.x}}\"</script>", "script"),
        ("<style>p { color: {{data.x}} }</style>", "style"),
        ("<p style=\"color: {{data.x}}\">", "style attribute"),
        ("<p onclick=\"f('{{data.x}}')\">", "event handler"),
        ("<iframe srcdoc=\"{{data.x}}\"></iframe>", "srcdoc"),
        ("<img srcset=\"{{data.x}} 2x\">", "srcset"),
        ("<meta http-equiv=refresh content=\"0;url={{data.x}}\">", "meta"),
        ("<!-- {{data.x}} -->", "comment"),
        ("<!--[if mso]>{{data.x}}<![endif]-->", "comment"),
        ("<![if {{data.x}}]>", "comment"),
        ("<a href=\"javascript:f('{{data.x}}')\">", "not http"),
        ("<a href=\"ht{{data.x}}\">", "scheme"),
        ("<a href=\"java{{data.x}}:f\">", "scheme"),
        ("{{{person.email}}}", "unescaped"),
        ("<p title=\"{{{data.x}}}\">", "markup cannot"),
        ("<p {{#if data.x}}title=\"{{else}}class='{{/if}}a\">", "one branch ends"),
        ("{{#each data.l}}<p title=\"{{/each}}\">", "loop starts"),
        ("{{#if data.x}}<!-- {{/if}} -->", "one branch ends"),
        ("<a href=\"{{#if data.x}}https://x.test/{{/if}}{{data.y}}\">", "some branches"),
        ("<a href=\"{{#each data.l}}{{this}}{{/each}}\">", "some branches"),
        ("<a href=\"{{#if data.x}}javascript:{{/if}}{{data.y}}\">", "not http"),
        ("<td{{#if data.x}} class=\"a\"{{/if}}>", "one branch ends"),
    ] {
        assert!(lint_of(line).contains(part), "{line}: {}", lint_of(line));
    }
    assert_eq!(lints("<p title=\"a", Syntax::Html)[0].cause, "the HTML ends inside an attribute value");
}

#[test]
fn blocks_may_stand_where_their_branches_meet() {
    for source in [
        "<p {{#if data.x}}class=\"a\"{{/if}}>",
        "<option {{#if data.x}}selected {{/if}}>",
        "<a href=\"{{#if data.x}}{{data.x}}{{else}}https://x.test/{{/if}}\">",
        "<a href=\"https://x.test/{{#if data.x}}?q={{data.x}}{{/if}}\">",
        "<a href=\"{{#if data.x}}{{data.x}}{{/if}}\">",
        "<a href=\"{{#if data.x}}https{{else}}http{{/if}}://x.test/\">",
        "<a href=\"https://x.test/{{#each data.l}}{{this}}/{{/each}}\">",
        "<p title=\"{{#if data.x}}a{{/if}} {{data.x}}\">",
        "{{#if data.x}}<!-- a -->{{/if}}",
        "<p title=\"{{#if data.x}}{{person.first_name}}{{/if}}\">",
        "<table>{{#each data.l}}<tr><td>{{this}}</td></tr>{{/each}}</table>",
        "<p>1 <",
    ] {
        assert_eq!(lints(source, Syntax::Html), [], "{source}");
    }
}

#[test]
fn personal_data_in_a_url_is_refused() {
    for line in [
        "<a href=\"https://x.test/?n={{person.first_name}}\">x</a>",
        "<a href=\"{{person.site}}\">x</a>",
        "<img src='https://x.test/{{#if person.vip}}1{{/if}}.png'>",
        "<img data-src=\"/{{person.first_name}}\">",
        "<a href=\"https://x.test/{{len person.first_name}}\">x</a>",
        "<a href=\"https://x.test/{{lookup data.m person.country}}\">x</a>",
        "<a href=\"mailto:{{person.email}}\">x</a>",
        "see https://x.test/?n={{person.first_name}} now",
        "www.{{person.first_name}}.test",
        "<p title=\"https://x.test/{{person.first_name}}\">",
        "{{data.url}}?n={{person.first_name}}",
        "{{person.first_name}}.x://y",
        "https://x.test/{{#each data.l}}{{this}}{{person.x}}{{/each}}",
        "https://x.test/{{#each data.l}}{{this}}{{@root.person.x}}{{/each}}",
        "{{#with person.first_name as |n|}}<a href=\"https://x.test/{{n}}\">{{/with}}",
    ] {
        let cause = lints(&format!("\n{line}"), Syntax::Html);
        assert!(cause.iter().all(|lint| lint.line == 2) && !cause.is_empty(), "{line}");
    }
    let text = lints("Hello\nhttps://x.test/{{person.first_name}}", Syntax::Text);
    assert_eq!((text.len(), text[0].line, text[0].column), (1, 2, 16));
    assert!(
        text[0].cause.contains("person.first_name: personal data must not appear in a URL"),
        "{}",
        text[0].cause
    );
    assert_eq!(lints("https://x.test/{{send.number}} {{person.first_name}}", Syntax::Text), []);
}

#[test]
fn what_is_not_in_the_language_is_refused_where_it_stands() {
    for (line, part) in [
        ("{{> footer}}", "partials"),
        ("{{#> footer}}{{/footer}}", "partials"),
        ("{{#*inline \"x\"}}{{/inline}}", "decorators"),
        ("{{* x}}", "decorators"),
        ("{{upper person.first_name}}", "no helper upper"),
        ("{{log person.first_name}}", "no helper log"),
        ("{{#repeat 3}}{{/repeat}}", "no block"),
        ("{{#len data.x}}{{/len}}", "no block"),
        ("{{if data.x}}", "if is a block"),
        ("{{first_name}}", "first_name is not known"),
        ("{{person}}", "not one field"),
        ("{{person.a.b}}", "not one field"),
        ("{{send.x}}", "no send.x"),
        ("{{data}}", "not one value"),
        ("{{this}}", "means nothing"),
        ("{{@index}}", "outside #each"),
        ("{{../data.x}}", "out of all blocks"),
        ("{{#each data.l}}{{person.first_name}}{{/each}}", "item's own part"),
        ("{{#each data.l}}{{@size}}{{/each}}", "no @size"),
        ("{{#each person.first_name}}x{{/each}}", "is text"),
        ("{{#each person}}x{{/each}}", "not one field"),
        ("{{#if}}x{{/if}}", "takes one value"),
        ("{{#if data.a data.b}}x{{/if}}", "takes one value"),
        ("{{#if data.a x=1}}x{{/if}}", "option x="),
        ("{{eq data.a}}", "takes 2 to 2"),
        ("{{#if data.x}}a{{else if}}b{{/if}}", "takes one value"),
        ("{{#if data.x}}", "not closed"),
        ("{{/if}}", "closes nothing"),
        ("{{#if data.x}}{{/each}}", "closes nothing"),
        ("{{data.x", "not closed"),
        ("{{data.items[0]}}", "quote or bracket"),
        ("{{data.}}", "not handlebars"),
    ] {
        assert!(lint_of(line).contains(part), "{line}: {}", lint_of(line));
    }
    let several = lints("{{a}}\n{{b}} {{#x}}{{/x}}", Syntax::Text);
    assert_eq!(several.iter().map(|lint| lint.line).collect::<Vec<_>>(), [1, 2, 2]);
    let chained = lints("{{#if data.x}}\n{{else if foo}}\n{{/if}}", Syntax::Text);
    assert_eq!((chained.len(), chained[0].line), (1, 2));
}

#[test]
fn uses_tell_what_is_read() {
    let source = "{{person.a}}{{#if person.b}}{{person.b}}{{/if}}{{#if person.c}}{{/if}}{{person.c}} \
        {{#unless person.d}}{{else}}{{person.d}}{{/unless}}{{data.o.id}} {{#each data.items}}{{name}} {{/each}}{{data.l.[0]}}";
    let program = Program::compile(source, Syntax::Text, "t").unwrap();
    let uses = program.uses();
    assert_eq!(uses.person.iter().collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(uses.person_guarded.iter().collect::<Vec<_>>(), ["b", "d"]);
    assert_eq!(uses.data.iter().collect::<Vec<_>>(), ["items", "items[].name", "l[0]", "o.id"]);
    assert!(!program.is_fixed());
    assert!(Program::compile("a {{! b }} c", Syntax::Text, "t").unwrap().is_fixed());
}

#[test]
fn bombs_are_bounded() {
    let list = vec![json!(1); 1000];
    let nested = "{{#each data.l}}{{#each ../data.l}}{{#each @root.data.l}}x{{/each}}{{/each}}{{/each}}";
    assert_eq!(reason(&nested.replace("../data", "@root.data"), json!({"l": list})).0, Reason::TooLarge);
    let long = "x".repeat(1_000_000);
    let source = "{{#each data.l}}{{@root.data.s}}{{/each}}";
    assert_eq!(reason(source, json!({"l": vec![1; 100], "s": long})).0, Reason::TooLarge);
    assert_eq!(reason("{{data.l}}", json!({"l": vec!["xxxxxxxxxx"; 10_000]})).0, Reason::TooLarge);
}

/// A template of the language, over the names that [`some_data`] has.
fn template(depth: u32) -> BoxedStrategy<String> {
    let value = prop_oneof![
        Just("data.a"),
        Just("data.b"),
        Just("data.n"),
        Just("@root.data.t"),
        Just("data.l"),
        Just("data.o.x"),
        Just("(eq data.n 1)"),
        Just("(gt data.n data.a)"),
        Just("(not data.t)"),
        Just("(and data.a data.t)"),
        Just("(or data.b (lt 1 data.n))"),
        Just("(len data.l)"),
        Just("(lookup data.o \"x\")"),
        Just("(lookup data.l 0)"),
    ];
    let text = prop_oneof![
        Just("a\n"),
        Just(" "),
        Just("\n  "),
        Just("b &amp; c"),
        Just(r"\{{x}}"),
        Just("{{! c }}\n")
    ]
    .prop_map(String::from);
    let written = value.clone().prop_map(|value| match value.strip_prefix('(') {
        Some(call) => {
            format!("{{{{{}}}}}", call.trim_end_matches(')').replace("(lt 1 data.n", "(lt 1 data.n)"))
        }
        None => format!("{{{{~{value}}}}}"),
    });
    let leaf = prop_oneof![text, written];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = proptest::collection::vec(template(depth - 1), 0..4).prop_map(|parts| parts.concat());
    let each = prop_oneof![
        Just("{{#each @root.data.l}}{{@index}}{{#if @first}}f{{/if}}{{this}}{{/each}}\n"),
        Just("{{#each @root.data.o as |v k|}}{{k}}:{{v}}{{#unless @last}}, {{/unless}}{{/each}}"),
        Just("{{#with @root.data.o}}{{x}}{{../data.a}}{{else}}none{{/with}}"),
        Just("{{#each @root.data.e}}x{{else}}empty{{/each}}"),
        Just(
            "{{#each @root.data.ll as |row|}}{{#each row}}{{this}}{{@../index}}{{../this}}{{/each}}{{/each}}"
        ),
    ]
    .prop_map(String::from);
    prop_oneof![
        2 => leaf,
        1 => each,
        2 => (value.clone(), inner.clone(), inner.clone()).prop_map(|(v, a, b)| format!("{{{{#if {v}}}}}\n{a}{{{{else}}}}\n{b}{{{{/if}}}}")),
        1 => (value.clone(), inner.clone(), inner.clone())
            .prop_map(|(v, a, b)| format!(" {{{{#unless {v}~}}}} {a}{{{{else if data.a}}}}{b}\n{{{{~/unless}}}}\n")),
        1 => inner,
    ]
    .boxed()
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        "[a-z<&\"'`= ]{0,6}".prop_map(Json::from),
        (-3i64..3).prop_map(Json::from),
        Just(json!(1.5)),
        Just(json!("1")),
        any::<bool>().prop_map(Json::from),
    ]
}

fn some_data() -> impl Strategy<Value = Json> {
    let list = proptest::collection::vec(scalar(), 1..4);
    (scalar(), scalar(), scalar(), scalar(), list, scalar()).prop_map(|(a, b, n, t, l, x)| {
        json!({"a": a, "b": b, "n": n, "t": t, "l": l, "o": {"x": x, "y": [1, {}, null]}, "e": [], "ll": [[1, 2], [], ["z"]]})
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn it_reads_as_in_handlebars(parts in proptest::collection::vec(template(2), 1..5), sent in some_data()) {
        let source = parts.concat();
        let theirs = handlebars::Handlebars::new().render_template(&source, &json!({"data": sent}));
        let ours = run_with(&source, Syntax::Html, sent, &FieldRules::of_message());
        prop_assert_eq!(ours.unwrap(), theirs.unwrap(), "{}", source);
    }

    #[test]
    fn a_value_never_changes_the_tags(value in "(<|>|/|script|\"|'|`|=|!--|-->|&|on[a-z]=|\\]\\]>|[a-z ])*") {
        let source = "<title>{{data.v}}</title><p title=\"{{data.v}}\" class='{{data.v}}'>{{data.v}}</p>\
            <a href=\"https://x.test/{{data.v}}\">{{data.v}}</a><textarea>{{data.v}}</textarea>";
        let skeleton = |text: &str| text.matches(['<', '>', '"', '\'']).map(String::from).collect::<String>();
        let harmless = run(source, json!({"v": "x"}));
        let other = run(source, json!({"v": value}));
        prop_assert_eq!(skeleton(&harmless), skeleton(&other));
    }

    #[test]
    fn any_source_compiles_or_says_why(source in "(\\{\\{|\\}\\}|#if|/if|else|\\\\|data|person|\\.|x| |<|>|\"|'|=|\\[|\\]|\\(|\\)|~|!|--|@|\n){0,24}") {
        for syntax in [Syntax::Text, Syntax::Html, Syntax::Header] {
            if let Err(found) = Program::compile(&source, syntax, "t") {
                prop_assert!(!found.is_empty());
            }
        }
    }
}
