//! Frames, programs, and what values of the job choose, beside a value.

use super::check;

#[test]
fn p3_no_frame_and_no_program_stands_beside_a_value() {
    check(
        &[
            "<p>{{person.first_name}}</p><iframe src=\"https://t.example/a\"></iframe>",
            "<p>{{person.first_name}}</p><IFRAME srcdoc=\"<style>@media(min-width:9px){html{background:url(//t.example/a)}}</style>\"></IFRAME>",
            "<iframe src=\"https://t.example/a\"></iframe>{{#if person.vip}}long{{/if}}",
            "<p>{{person.first_name}}</p><object data=\"https://t.example/a\"></object>",
            "<p>{{person.first_name}}</p><embed src=\"https://t.example/a\">",
            "<p>{{person.first_name}}</p><div><template><applet code=a></applet></template></div>",
            "<p>{{person.first_name}}</p><portal src=\"https://t.example/a\"></portal>",
            "<p>{{person.first_name}}</p><script>a()</script>",
            "<p>{{person.first_name}}</p><script type=\"{{data.kind}}\">a()</script>",
            "<p>{{person.first_name}}</p><script type=\"speculationrules\">{}</script>",
            "<p>{{person.first_name}}</p><svg><script>a()</script></svg>",
            "<p>{{person.first_name}}</p><img src=\"https://t.example/a\" onerror=\"a()\">",
            "<body onload=\"a()\"><p>{{person.first_name}}</p>",
            "<p>x</p><body onload=\"a()\"><p>{{person.first_name}}</p>",
            "<p>{{person.first_name}}</p><a href=\"java&#9;script:a()\">x</a>",
        ],
        &[
            "<p>{{person.first_name}}</p><script type=\" Application/LD+JSON\">{\"a\": 1}</script>",
            "<p>{{data.name}}</p><iframe src=\"https://t.example/a\"></iframe><script>a()</script><b onclick=\"a()\">x</b>",
            "<p title=\"one day: onerror\">{{person.first_name}}, javascript: a word</p>",
        ],
    );
}

#[test]
fn p3_values_of_the_job_choose_nothing_that_sees_a_value() {
    let own = "<style>@font-face{font-family:z;src:url(https://t.example/z)}</style>";
    let font = |person: &str| format!("{own}<font face=\"{{{{data.f}}}}\">{{{{{person}}}}}</font>");
    check(
        &[
            "<p>{{person.first_name}}</p><img loading=\"{{data.f}}\" src=\"https://t.example/a\">",
            "<p>{{person.first_name}}</p><img sizes=\"{{data.f}}\" srcset=\"https://t.example/a 1w\">",
            "<p>{{person.first_name}}</p><img loading=\"l{{data.f}}\" src=\"https://t.example/a\">",
            "<div itemscope><p itemprop=\"{{data.f}}\">https://t.example/?<b> </b>{{person.first_name}}</p></div>",
            &font("person.first_name"),
        ],
        &[
            "<p>{{data.first_name}}</p><img loading=\"{{data.f}}\" src=\"https://t.example/a\">",
            "<p>{{person.first_name}}</p><img width=\"{{data.f}}\" src=\"https://t.example/{{data.f}}\">",
            "<font face=\"{{data.f}}\">{{person.first_name}}</font>",
            &font("data.first_name"),
        ],
    );
}
