//! What Outlook alone reads as one word.

use super::*;
use crate::render::program::{Program, Syntax};

fn is_taken(source: &str) -> bool {
    Program::compile(source, Syntax::Html, "t").is_ok()
}

#[test]
fn p3_outlook_puts_no_value_into_an_address() {
    for refused in [
        "<!--[if mso]>https://t.example/?<![endif]-->{{person.first_name}}",
        "<!--[if mso]><b>https://t.example/?</b><![endif]--><i>{{person.first_name}}</i>",
        "<!--[if mso]>https&#58;&#x2f;/t.example/?<![endif]-->&#8203;{{person.first_name}}",
        "{{person.first_name}}<!--[if gte mso 9]>.t.example<![endif]-->",
        "{{person.email}}<!--[IF mso]>.t.example<![ENDIF]--> x",
        "https://t.example/?<!--[if !mso]><!--> <!--<![endif]-->{{person.first_name}}",
        "https://t.example/?<!--[if !mso]><!--><br><!--<![endif]-->{{person.first_name}}",
        "https://t.example/?<![if !mso]><br><![endif]>{{person.first_name}}",
        "<!--[if mso]>www.t.example/<![endif]-->{{#if data.x}} {{/if}}{{person.city}}",
        "https://t.example/?<!--[if !mso]><!--> <!--[if mso]>a<![endif]--> <!--<![endif]-->{{person.first_name}}",
        // Each block and each condition by itself, and a loop's second turn.
        "{{#if data.a}}<!--[if mso]>https://t.example/?<![endif]-->{{/if}}{{#if data.b}} {{/if}}{{person.first_name}}",
        "{{#each data.l}}{{@root.person.first_name}} <!--[if mso]>https://t.example/?<![endif]-->{{/each}}",
        "<!--[if mso]>https://t.example/?<![endif]--><!--[if IE]> <![endif]-->{{person.first_name}}",
        "<!--[if mso]>https://t.example/?<![endif]--><!--[if lt mso 9]><br><![endif]-->{{person.first_name}}",
        "<![if mso]>https://t.example/?<![endif]><![if !mso]> <![endif]>{{person.first_name}}",
        "<!--[if mso]>https://t.example/?-->{{person.first_name}}<!--<![endif]-->",
        "<!--[if mso]  >https://t.example/?<![endif]-->{{person.first_name}}",
        "<!-- [if mso]>https://t.example/?<![endif]-->{{person.first_name}}",
        "<!--[if mso]>https://t.example/?&emsp;<![endif]-->{{person.first_name}}",
    ] {
        assert!(!is_taken(refused), "{refused}");
    }
}

#[test]
fn p2_what_outlook_reads_as_an_address_depends_on_nobody() {
    const VIP: &str = "{{#if (eq person.city \"Haifa\")}}vip{{/if}}";
    for refused in [
        "<!--[if mso]>https://t.example/<![endif]-->VIP",
        "VIP<!--[if mso]>.t.example/<![endif]-->",
        "https://t.example/<!--[if !mso]><!--> <!--<![endif]-->VIP",
        "{{#each data.l}}VIP <!--[if mso]>https://t.example/<![endif]-->{{/each}}",
    ] {
        let refused = refused
            .replace("VIP", VIP)
            .replace("(eq person", if refused.contains("each") { "(eq @root.person" } else { "(eq person" });
        assert!(!is_taken(&refused), "{refused}");
    }
    let taken =
        format!("<!--[if mso]></td><td><![endif]-->{VIP} <!--[if mso]>https://shop.example/ <![endif]-->");
    assert!(is_taken(&taken));
}

#[test]
fn p3_what_is_written_for_outlook_stands_beside_values() {
    for taken in [
        "<!--[if mso]><table><tr><td><![endif]-->Dear {{person.first_name}}<!--[if mso]></td></tr></table><![endif]-->",
        "<a href=\"https://shop.example/\"><!--[if mso]><i style=\"letter-spacing:25px\">&nbsp;</i><![endif]--><span>{{person.first_name}}</span><!--[if mso]><i>&#8202;</i><![endif]--></a>",
        "<!--[if mso]>https://shop.example/ <![endif]-->{{person.first_name}}",
        "<!--[if mso]><p>See https://shop.example/</p><![endif]--><p>{{person.first_name}}</p>",
        "<!--[if !mso]><!--><p>https://shop.example/</p><!--<![endif]-->{{person.first_name}}",
        "{{person.first_name}}:<!--[if mso]><br><![endif]--> see https://shop.example/",
        "<!--[if mso]><style>td{font:9px x.y}</style><![endif]-->{{person.first_name}}",
        "<!--[if mso]>https://shop.example/<![endif]-->{{data.word}} {{person.first_name}}",
        "Dear {{person.first_name}}<!--[if mso]>.<![endif]-->",
        "<p>Dear {{person.first_name}}</p><!--[if mso]>{{#if data.vip}}<table width=\"600\"><tr><td>VIP</td></tr></table>{{/if}}<![endif]-->",
        "{{#if data.x}}<p>Dear {{person.first_name}}, see https://shop.example/</p>{{/if}}<!--[if mso]></td><td><![endif]--><p>x</p>",
    ] {
        assert!(is_taken(taken), "{taken}: {:?}", Program::compile(taken, Syntax::Html, "t").err());
    }
}

proptest::proptest! {
    #[test]
    fn what_is_passed_at_once_is_shown_as_sign_by_sign(picks in proptest::collection::vec(0..19_usize, 0..40)) {
        const PIECES: [&str; 19] = [
            "<p ", "a=\"", "src='", "\"", "'", ">", "<!--", "--", "<style>", "</style>", "x y", "&amp;", "&#8203;", "<title>",
            "</title", "\u{200b}\u{e000}é", "\u{e000}<", "\u{e003} ", " \u{e004}",
        ];
        let html: String = picks.iter().map(|pick| PIECES[*pick]).collect();
        let (mut state, mut rest) = (State::Text, html.as_str());
        let mut slow = Shown { text: String::new(), maybe: 0 };
        while let Some(c) = rest.chars().next() {
            rest = &rest[slow.sign(c, rest, &mut state)..];
        }
        let fast = shown(&html);
        // Word by word: a `>` in a value of a tag that ends a line is one more space before that end.
        let words = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
        proptest::prop_assert_eq!(words(&fast), words(&slow.text), "{}", html);
    }
}
