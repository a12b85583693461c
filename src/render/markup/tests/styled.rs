//! Styles that see values, and elements that styles put into the line around them, or hide.

use super::check;
use crate::render::program::{Program, Syntax};

#[test]
fn p3_what_fetches_by_the_letters_or_the_room_of_a_value_is_refused() {
    let own =
        |css: &str| format!("<style>@font-face{{font-family:z;src:url(https://t.example/z)}}{css}</style>");
    let refused = [
        own("p{font-family:Arial,z}") + "<p>{{person.first_name}}</p>",
        own("") + "<p style=\"font-family:Arial, 'Z'\">{{person.first_name}}</p>",
        own("") + "<font face=\"Arial,z\">{{person.first_name}}</font>",
        own("@font-face{font-family:q;src:url(data:font/ttf;base64,AA)}p{font:12px q,z}")
            + "{{person.first_name}}",
        "<style>p{animation:a 1s;animation-timeline:scroll(self inline)}</style><p>{{person.first_name}}</p>"
            .into(),
        "<p style=\"anim\\61tion-timeline:view()\">{{person.first_name}}</p>".into(),
        "<p>{{person.first_name}}</p><img loading=\"lazy\" sizes=\"auto\" srcset=\"https://t.example/a 1w\">"
            .into(),
        "<p>{{person.first_name}}</p><img sizes=\" AUTO, 9px\" srcset=\"https://t.example/a 1w\">".into(),
        "<p>{{person.first_name}}</p><img loading=\"Lazy\" src=\"https://t.example/a\">".into(),
        "<div style=\"content-visibility:auto\">x</div>{{person.first_name}}".into(),
        "{{#if person.vip}}x{{/if}}<style>p{scroll-timeline:--a}</style>".into(),
    ];
    let taken = [
        own("p{font-family:z,Arial,sans-serif}") + "<p style=\"font-family:z,Arial\">{{person.first_name}}</p>",
        own("p{font-family:Arial,z}") + "<p>{{data.name}}</p>",
        "<p>{{person.first_name}}</p><img loading=\"eager\" sizes=\"100vw\" srcset=\"https://t.example/a 1w\" src=\"https://t.example/a\">".into(),
    ];
    let (refused, taken) = (refused.each_ref().map(String::as_str), taken.each_ref().map(String::as_str));
    check(&refused, &taken);
}

#[test]
fn p3_hostile_styles_are_bounded() {
    let many = |text: fn(usize) -> String, count: usize| (0..count).map(text).collect::<String>();
    let rules = many(|at| format!(".a.b{at}{{display:none}}"), 20_000);
    let elements = many(|_| String::from("<p class='a c'>x</p>"), 20_000);
    let faces = many(
        |at| format!("@font-face{{font-family:f{at};src:url(https://t.example/a)}}p{{font:1px a,b}}"),
        20_000,
    );
    let names = many(|at| format!("p,b>i:not(.x{at}),"), 20_000);
    for styles in
        [rules, faces, format!("{names}p{{display:inline}}"), "a{".repeat(200_000), "[\"".repeat(200_000)]
    {
        let begun = std::time::Instant::now();
        let html = format!("<style>{styles}</style>{elements}{{{{person.first_name}}}}");
        let _ = Program::compile(&html, Syntax::Html, "t");
        assert!(begun.elapsed().as_secs() < 60, "{}", &styles[..20]);
    }
}

#[test]
fn p3_no_value_stands_where_programs_take_an_address_from() {
    check(
        &[
            "<span itemprop=\"url\">https://t.example/?<b> </b>{{person.first_name}}</span>",
            "<div ITEMPROP=\"name potentialAction\" itemscope><span itemprop=\"name\">{{person.first_name}}</span></div>",
            "<p property=\"schema:image\"><i>{{person.first_name}}</i></p>",
            "<span itemprop=\"url\">https://t.example/ {{#if person.vip}}a{{/if}}</span>",
            "<link itemprop=\"url\" href=\"https://t.example/{{person.first_name}}\">",
            "<meta itemprop=\"name\" content=\"{{person.first_name}}\">",
        ],
        &[
            "<div itemscope itemtype=\"http://schema.org/Order\"><span itemprop=\"name\">{{person.first_name}}</span><a itemprop=\"url\" href=\"https://shop.example/\">{{person.first_name}}</a></div>",
            "<span itemprop=\"url\">https://shop.example/{{data.order}}</span><p>{{person.first_name}}</p>",
        ],
    );
}

#[test]
fn p3_elements_that_styles_put_into_the_line_end_no_word() {
    check(
        &[
            "<p style=\"display:inline\">https://t.example/?</p><p style=\"display:inline\">{{person.first_name}}</p>",
            "<div style='DISPLAY : inline-block'>t.example/?</div>{{person.first_name}}",
            "t.example/?<br style=\"display:none\">{{person.first_name}}",
            "t.example/?<br hidden>{{person.first_name}}",
            "t.example/?<p hidden>x</p>{{person.first_name}}",
            "t.example/?<span style=\"display:none\"> </span>{{person.first_name}}",
            "t.example/?<span style=\"visibility:hidden\"> </span>{{person.first_name}}",
            "<style>p{display:inline}</style><p>https://t.example/?</p><p>{{person.first_name}}</p>",
            "<style>.i{display:contents}</style><ul class=\"a i\"><li class=i>https://t.example/?</li><li class=i>{{person.first_name}}</li></ul>",
            "<style>@media print{#b{display:none}}</style>t.example/?<br id=b>{{person.first_name}}",
            "<style>br{content:''}</style>t.example/?<br>{{person.first_name}}",
            "<style>@media print{p{display:inline}}</style><p>{{person.first_name}}.com</p><p>zz</p>",
            "<p style=\"display:{{#if data.x}}block{{else}}inline{{/if}}\">t.example/?</p>{{person.first_name}}",
            "{{#if data.x}}<p style=\"display:inline\">{{else}}<p>{{/if}}t.example/?</p>{{person.first_name}}",
            "<p {{#if data.x}}hidden{{/if}}>t.example/?</p><p {{#if data.x}}style=\"display:inline\"{{/if}}>{{person.first_name}}</p>",
            "<!--[if !mso]><!--><style>p{display:inline}</style><!--<![endif]--><p>t.example/?</p><p>{{person.first_name}}</p>",
            "<p {{#if data.a}}style=\"display:inline\"{{/if}}>t.example/?{{#if data.b}}</p>{{else}}</p>{{/if}}{{person.first_name}}",
            "<style>p{display:inline}</style>{{person.first_name}}{{{data.x}}}",
            "{{#if person.vip}}<p style=\"display:inline\">t.exam</p>{{/if}}<p style=\"display:inline\">ple/a</p>",
        ],
        &[
            "<p style=\"display:block\">https://t.example/?</p><p>{{person.first_name}}</p>",
            "<table><tr><td style=\"display:none\">t.example/?</td></tr></table>{{person.first_name}}",
            "<style>.h{display:none}span{display:inline}</style><table><tr><td class=h>t.example</td><td>{{person.first_name}}</td></tr></table>",
            "<div style=\"display:none\">Preview of t.example</div><p>{{person.first_name}}</p>",
            "<div style=\"display:none\">{{person.first_name}}, see t.example</div><p>t.example</p>",
            "<style>@media(max-width:9px){.m{display:block!important}.h{display:none!important}}</style><table><tr><td class=m>t.example</td><td class=h>{{person.first_name}}</td></tr></table>",
            "<style>.c{display:inline-block}</style><div class=c><table><tr><td>t.example</td></tr></table></div><div class=c><p>{{person.first_name}}</p></div>",
        ],
    );
}
