//! What a person decides hides something that is loaded where it is shown.

use super::refusal;
use crate::render::program::Syntax;

fn html(css: &str, body: &str) -> String {
    format!("<style>{css}</style><p>{{{{person.first_name}}}}</p>{body}")
}

const LOADED: &str = r#"<table><tr><td background="https://t.example/a">x</td></tr></table>"#;

#[test]
fn p2_what_a_rule_may_hide_by_a_block_is_refused() {
    let if_vip = |text: &str| format!("{{{{#if person.vip}}}}{text}{{{{/if}}}}");
    let with = |before: String| before + LOADED;
    let around = |open: String| format!("<div {open}>{LOADED}</div>");
    for (css, body) in [
        (".h{display:none}", around(format!("class=\"{}\"", if_vip("h")))),
        (".h{display:none}", around(format!("class=\"a {}\"", if_vip("h")))),
        (".b{display:none}", around("class=\"{{#if person.vip}}a{{else}}b{{/if}}\"".into())),
        (".hide{display:none}", around(format!("class=\"hi{}\"", if_vip("de")))),
        (".x{display:none}", around(format!("class=\"{}\"", if_vip("{{data.c}}")))),
        (".h{display:none}", around(if_vip("class=\"h\""))),
        (".H{DISPLAY:none}", around(if_vip("class=\"&#104;\""))),
        (".\\68 {display:none}", around(if_vip("class=\"h\""))),
        ("#h{visibility:hidden}", around(if_vip("id=\"h\""))),
        ("[title=h] table{display:none}", around(if_vip("title=\"h\""))),
        ("div[style*=red] table{display:none}", around(format!("style=\"color:{}\"", if_vip("red")))),
        (":lang(he) table{display:none}", around(if_vip("lang=\"he\""))),
        ("@media screen{.h{.x{color:red} display:none}}", around(if_vip("class=\"h\""))),
        ("td{color:red}.h td{background:none}", around(if_vip("class=\"h\""))),
        ("@keyframes k{to{display:none}}.h{animation:k 1s forwards}", around(if_vip("class=\"h\""))),
        (".h{--d:none}table{display:var(--d)}", around(if_vip("class=\"h\""))),
        ("[title=\"}\"],.h{display:none}", around(if_vip("class=\"h\""))),
        ("p ~ *{display:none}", with(if_vip("<p>x</p>"))),
        (".a + table{display:none}", with(if_vip("<b>x</b>"))),
        ("table:nth-child(3){display:none}", with(if_vip("<p>x</p>"))),
        ("div:has(i){display:none}", format!("<div>{}{LOADED}</div>", if_vip("<i>x</i>"))),
        ("u + table{display:none}", with(format!("<u>x</u>{}", if_vip("<b>x</b>")))),
        (
            ".h{display:none}",
            format!("{{{{#if person.vip}}}}<div class=h>{{{{else}}}}<div class=b>{{{{/if}}}}{LOADED}</div>"),
        ),
    ] {
        let told = refusal(&html(css, &body), Syntax::Html);
        assert!(told.as_ref().is_some_and(|told| told.contains("may hide it")), "{css} {body}: {told:?}");
        assert_eq!(
            refusal(&html(css, &body.replace(LOADED, "<img src=\"https://t.example/a\">")), Syntax::Html),
            None,
            "{css}"
        );
    }
    for loaded in [
        "<b style=\"background:url(https://t.example/a)\">x</b>",
        "<video poster=\"https://t.example/a\"></video>",
        "<input type=image src=\"https://t.example/a\">",
        "<svg><image href=\"https://t.example/a\"/></svg>",
    ] {
        let body = around(if_vip("class=\"h\"")).replace(LOADED, loaded);
        assert!(refusal(&html(".h{display:none}", &body), Syntax::Html).is_some(), "{loaded}");
    }
}

#[test]
fn p2_what_no_rule_hides_by_a_block_is_taken() {
    let block = "{{#if person.vip}}<p class=\"hide gold\">VIP</p>{{/if}}";
    let name = "<p class=\"{{#if person.vip}}gold{{else}}plain{{/if}}\">x</p>";
    for (css, block) in [
        ("@media(max-width:600px){.hide{display:none!important}}.a td{display:block}", block),
        ("@media(max-width:600px){.hide{display:none!important}.golden{display:none}}", name),
        ("u + .body .g{display:none}.b{background:#fff}", block),
        ("@media screen and (min-width:1px){.gold{color:red}}p:first-child{color:blue}", block),
        ("[owa] .x{display:none}.y:hover{display:none}", name),
    ] {
        assert_eq!(refusal(&html(css, &format!("{block}{LOADED}")), Syntax::Html), None, "{css} {block}");
    }
}

#[test]
fn p2_links_that_are_fetched_in_any_case_are_taken() {
    let told = |link: &str| refusal(&format!("{link}<p>{{{{person.first_name}}}}</p>"), Syntax::Html);
    assert_eq!(told("<link rel=\"preload\" as=\"image\" href=\"https://t.example/a.png\"/>"), None);
    assert_eq!(told("<link href=\"https://t.example/a.png\" rel=icon>"), None);
    assert_eq!(
        told("<meta itemprop=no content=\"{{data.no}}\"><link itemprop=url href=\"https://t.example/a\"/>"),
        None
    );
    for refused in [
        "<link rel=\"preload stylesheet\" href=\"https://t.example/a\">",
        "<link rel=\"{{data.r}}\" href=\"https://t.example/a\">",
        "<link href=\"https://t.example/a\" rel=stylesheet>",
        "<link href=\"https://t.example/a\" rel=stylesheet rel=preload>",
        "<link href=\"https://t.example/a\" rel=preload rel=stylesheet>",
        "<link href=\"https://t.example/a\" href=\"https://fonts.gstatic.com/\" rel=stylesheet>",
        "{{#if person.vip}}<link rel=\"preload\" as=\"image\" href=\"https://t.example/a\">{{/if}}",
    ] {
        assert!(told(refused).is_some(), "{refused}");
    }
}

/// Each rule is held against each name: 360 KB took 8 s.
#[test]
fn p2_many_rules_and_many_names_are_bounded() {
    let names: String = (0..30_000).map(|number| format!("w{number:x} ")).collect();
    let body = format!("<p class=\"{{{{#if person.vip}}}}{names}{{{{/if}}}}\">x</p>{LOADED}");
    let html = html(&".zz{display:none}".repeat(30_000), &body);
    let began = std::time::Instant::now();
    assert!(refusal(&html, Syntax::Html).is_some());
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}
