//! What our own tokenizer says of HTML, held against a parser kept by others.

use crate::fault::Fault;
use crate::job::SendNumber;
use crate::person::PersonBuilder;
use crate::render::program::{Program, Sink, Syntax};
use crate::render::scope::{FieldRules, Scope};
use serde_json::json;

mod active;
mod reach;
mod styled;

fn check(refused: &[&str], taken: &[&str]) {
    for source in refused {
        let lints = Program::compile(source, Syntax::Html, "t").err();
        let lints = lints.unwrap_or_else(|| panic!("taken: {source}"));
        assert!(lints.iter().all(|lint| !lint.cause.is_empty() && !lint.fix.is_empty()), "{lints:?}");
    }
    for source in taken {
        let lints = Program::compile(source, Syntax::Html, "t").err();
        assert!(lints.is_none(), "refused: {source}: {lints:?}");
    }
}

#[test]
fn p3_foreign_elements_read_text_in_their_own_way() {
    check(
        &[
            "<svg><textarea><img src=\"//third/{{person.email}}\">",
            "<svg><textarea><img src=\"//third/{{person.email}}\"></textarea></svg>",
            "<math><textarea><img src=\"//third/{{person.email}}\"></textarea></math>",
            "<svg><title><a href=\"//third/{{person.email}}\"></title></svg>",
            "<svg><style><img src=\"//third/{{person.email}}\"></style></svg>",
            "<svg><style><img alt=\"</style>{{person.email}}\"></svg>",
            "<math><mtext></mtext><title><a title=\"x</title>\" href=\"//third/{{person.email}}\"></math>",
            "<svg><![CDATA[><img alt=\"]]><img src=\"//third/\" title=\"{{person.email}}\">",
            "<svg><![CDATA[ <a title=\" ]]>{{person.email}}</svg>",
            "<svg><text>{{person.email}}</text></svg>",
            "<svg><desc>{{person.email}}</desc></svg>",
            "<svg><foreignObject><p>{{person.email}}</p></foreignObject></svg>",
            "<math><mi>{{person.email}}</mi></math>",
            "<svg><a title=\"{{person.email}}\">x</a></svg>",
            "<svg><textarea><i><i><img src=\"</textarea><b><a title=\"//third/{{person.email}}\">",
            "{{#if data.a}}<svg>{{/if}}<textarea><img src=\"</textarea>{{person.email}}",
            "{{#if data.a}}<svg>{{/if}}{{#if data.b}}</svg>{{/if}}{{#if data.c}}</svg>{{/if}}<p>{{person.email}}</p>",
            "{{#each data.l}}<svg>{{/each}}<p>{{person.email}}</p>",
            "{{#if data.a}}<div>{{/if}}<svg></div></svg><p>{{person.email}}</p>",
        ],
        &[
            "<svg width=\"1\"><path d=\"M0 0\"/><title>An icon</title></svg><p>{{person.first_name}}</p>",
            "{{#if data.a}}<svg><path/></svg>{{/if}}<p>{{person.first_name}}</p>",
            "{{#each data.l}}<tr><td><svg></svg></td></tr>{{/each}}<p>{{person.first_name}}</p>",
        ],
    );
}

#[test]
fn p3_elements_that_hide_or_send_their_text() {
    check(
        &[
            "<form><textarea name=e>{{person.email}}</textarea></form>",
            "<textarea>{{person.email}}</textarea>",
            "<select name=e><option>{{person.email}}</option></select>",
            "<datalist><option>{{person.email}}</option></datalist>",
            "<select><textarea></select>{{person.email}}</textarea>",
            "<template><p>{{person.email}}</p></template>",
            "<noscript><p>{{person.email}}</p></noscript>",
            "<noscript><p title=\"</noscript><img src='//third/{{person.email}}'>\">",
            "<object>{{person.email}}</object>",
            "<video>{{person.email}}</video>",
            "<iframe>{{person.email}}</iframe>",
            "<xmp>{{person.email}}</xmp>",
            "<noframes>{{person.email}}</noframes>",
            "<plaintext>{{person.email}}",
            "<frameset>{{person.email}}</frameset>",
            "<table>{{person.email}}<tr><td>x</td></tr></table>",
            "<table><tr>{{person.email}}</tr></table>",
            "<p title=\"x\" title=\"{{person.email}}\">x</p>",
            "</p title=\"{{person.email}}\">",
            "<script><!--<script></script><a title=\"{{person.email}}\"></script>",
            "<p><b title=\"{{person.email}}\">x<p>y<p>z",
            "<head><title>x</title><style>p:empty{background:url(//third/)}</style></head>{{person.email}}",
            "<style>@font-face{font-family:a;src:url(//third/a);unicode-range:U+61}</style>{{person.email}}",
            "<style>p[title^=a]{background:url(//third/a)}</style><p title=\"{{person.email}}\">x</p>",
        ],
        &[
            "<!doctype html><html><head><title>For {{person.first_name}}</title></head><body>{{person.first_name}}</body></html>",
            "{{person.first_name}}, hello",
            "<table><tr><td>{{person.first_name}}</td></tr></table>",
            "<p><b>Hello<p>{{person.first_name}}",
            "<noscript><img src=\"https://shop.example/p.gif\"></noscript><p>{{person.first_name}}</p>",
            "<form action=\"https://shop.example/\"><label>{{person.first_name}}</label><input name=q><button>Go</button></form>",
            "{{#if data.url}}<a href=\"{{data.url}}\">{{/if}}<b>{{person.first_name}}</b>{{#if data.url}}</a>{{/if}}",
            "<table>{{#each data.l}}<tr><td>{{this}}</td></tr>{{/each}}</table>{{person.first_name}}",
            "<style>p{color:red}</style><script type=\"application/ld+json\">{\"a\": 1}</script><p>{{person.first_name}}</p>",
            "<o:p>{{person.first_name}}</o:p><center><font color=red>{{person.first_name}}</font></center>",
        ],
    );
}

#[test]
fn p3_tags_that_parsers_pass_over_end_no_word() {
    check(
        &[
            "third.example/<tr><td>{{person.email}}</td></tr>",
            "third.example/</div>{{person.email}}",
            "https://third.example/<body>{{person.email}}",
            "<p>{{person.first_name}}<td>@third.example</td></p>",
            "www.<caption>third.example/</caption>{{person.email}}",
            "<form>third.example/<form>{{person.email}}</form>",
        ],
        &[
            "<table><tr><td>third.example/</td><td>{{person.email}}</td></tr></table>",
            "<div>third.example/</div>{{person.email}}",
            "<table><tr><td>shop.example</table>{{person.email}}",
        ],
    );
}

#[test]
fn p3_what_outlook_alone_reads() {
    check(
        &[
            "<!--[if mso]><a href=\"https://third.example/?<![endif]-->{{person.email}}<!--[if mso]>\"><![endif]-->",
            "<!--[if mso]><textarea><![endif]-->{{person.email}}<!--[if mso]></textarea><![endif]-->",
            "<!--[if mso 12]><img src=\"//third/<![endif]--><!--[if mso 9]>\"><![endif]-->{{person.email}}",
            "<!--[if mso]>{{#if data.a}}<style>{{/if}}{{#if data.b}}</style>{{/if}}<![endif]-->{{person.email}}",
            "<!--[if mso]><svg><![endif]-->{{person.email}}",
        ],
        &[
            "<!--[if mso]><table><tr><td><![endif]--><p>{{person.first_name}}</p><!--[if mso]></td></tr></table><![endif]-->",
            "<!--[if !mso]><!--><p>{{person.first_name}}</p><!--<![endif]-->",
            "<!--[if gte mso 9]><noscript><xml></xml></noscript><![endif]--><p>{{person.first_name}}</p>",
            "<!--[if mso]><v:rect><v:textbox><![endif]--><p>{{person.first_name}}</p><!--[if mso]></v:textbox></v:rect><![endif]-->",
        ],
    );
}

#[test]
fn p3_letters_of_several_bytes_stand_anywhere_in_comments() {
    for comment in
        ["<!-- Kopf-Überschrift -->", "<!--[if mso]>a-é<![endif]-->", "<!---Ü-->", "<!-é>", "<!--<é-->"]
    {
        let html = format!("{comment}<p>{{{{person.first_name}}}}</p>");
        let told = Program::compile(&html, Syntax::Html, "t").err();
        assert_eq!(told.map(|lints| lints[0].to_string()), None, "{html}");
    }
}

#[test]
fn p3_hostile_html_is_bounded() {
    for (source, is_taken) in [
        ("<div>".repeat(200_000), false),
        ("<b>".repeat(100_000), false),
        ("<a>".repeat(10_000), true),
        (format!("{}{}", "<font>".repeat(100), "<p>".repeat(100_000)), false),
        (format!("{}{}", "<div>".repeat(200), "</span>".repeat(100_000)), true),
        ("<p>x</p>".repeat(20_000), true),
    ] {
        let source = source + "{{person.email}}";
        assert_eq!(Program::compile(&source, Syntax::Html, "t").is_ok(), is_taken, "{}", &source[..20]);
    }
    let many = "{{#if data.a}}x{{else}}".repeat(40)
        + &"y".repeat(200_000)
        + &"{{/if}}".repeat(40)
        + "{{person.email}}";
    assert!(Program::compile(&many, Syntax::Html, "t").is_err());
}

#[test]
fn p3_what_a_table_holds_outside_of_its_cells_is_put_before_it() {
    check(
        &[
            "{{person.email}}<table>shop.example </table>",
            "{{person.email}}<table><nobr>x </nobr><b>shop.example</b></table>",
            "{{person.email}}<table><tr><td>x</td>shop.example</tr></table>",
            "{{person.email}}<table>{{data.x}}</table>",
            "<table><b>third.example/</b> <i>{{person.email}}</i></table>",
            "<table>shop.example</table>{{person.email}}<table>shop.example</table>",
            "{{#if data.a}}<table>{{/if}}{{#if data.b}}<tr><td>{{/if}}third.example/ <i>{{person.email}}</i>",
        ],
        &[
            "<table>{{{data.x}}}</table><p>{{person.first_name}}</p>",
            "<table><font><tr><td>{{person.first_name}}</td></tr></font></table>",
            "<table>shop.example<tr><td>{{person.first_name}}</td></tr></table>",
            "<p>{{person.first_name}}</p><table>shop.example</table>",
            "<table><div>{{person.first_name}}</div></table>",
            "<table>{{#each data.l}}{{#if @first}}<tr>{{/if}}<td>{{this}}</td>{{#if @last}}</tr>{{/if}}{{/each}}</table>{{person.first_name}}",
        ],
    );
}

/// Whichever branches are taken together.
#[test]
fn p3_tags_that_are_passed_over_end_no_word_on_any_way() {
    check(
        &[
            "third.example/{{#if data.a}} {{else}}{{/if}}<td>{{#if data.b}}{{else}} {{/if}}{{person.email}}",
            "{{#if data.a}}<table><tr>{{else}}{{/if}}{{#if data.b}}{{else}}<table><tr>{{/if}}third.example/<td>{{person.email}}",
            "{{data.x}}<tr>{{person.email}}",
            "{{data.x}}</div>{{person.email}}",
            "https&#000000000000000000000000058;//third/{{person.email}}",
            "third.&shyexample/{{person.email}}",
            "{{person.email}}{{data.x}}{{data.y}}",
            "{{person.email}}{{#each data.l}}{{this}}{{/each}}",
            "{{person.email}}</div>{{data.x}}{{{data.y}}}",
            "{{person.email}}<b>{{data.x}}</b><button>Hello</button>",
            "{{person.email}}{{data.x}}<tr>Hello</tr>",
        ],
        &[
            "<div>{{data.x}}</div>{{person.first_name}}",
            "{{#if data.a}}<div>{{/if}}<p>shop.example</p>{{#if data.a}}</div>{{/if}}{{person.first_name}}",
            "<table><tr><td>{{data.x}}</td><td>{{person.first_name}}</td></tr></table>",
            "{{person.first_name}}, {{data.x}}-{{data.y}} {{data.x}}",
            "{{person.first_name}}{{#each data.l}}<br>{{this}}{{/each}}",
        ],
    );
}

struct Anywhere;

impl Sink for Anywhere {
    fn fixed(&mut self, _: usize) {}

    fn value(&mut self, _: &str) {}
}

fn run(source: &str, value: &str) -> Result<usize, Fault> {
    run_as(Syntax::Html, source, value)
}

fn run_as(syntax: Syntax, source: &str, value: &str) -> Result<usize, Fault> {
    let program = Program::compile(source, syntax, "t").unwrap_or_else(|lints| panic!("{source}: {lints:?}"));
    let mut person = PersonBuilder::default();
    person.field("email", "dana@people.test");
    let data = json!({"x": value}).as_object().cloned().unwrap();
    let scope = Scope {
        person: &person.build(),
        data: &data,
        send: &SendNumber::from_bits([7; 16]),
        campaign: None,
        date: "2026-01-02",
        fields: &FieldRules::of_message(),
    };
    program.run(&scope, &mut Anywhere)
}

#[test]
fn p3_what_a_job_sends_makes_no_link_of_a_person() {
    for (source, value) in [
        ("{{person.email}}<td>{{data.x}} </td>", "third.example/"),
        ("{{person.email}}</div>{{data.x}}", "@third.example"),
        ("{{person.email}}{{{data.x}}}", "@third.example."),
        ("{{person.email}}{{{data.x}}}", "<b>@third.example</b>"),
        ("{{person.email}}{{{data.x}}}", "<i></i>&commat;third.example x"),
        ("{{person.email}}{{{data.x}}}", "<!-- a -->@third<wbr>.example"),
        ("{{person.email}}<table>{{{data.x}}}</table>", "@third.example"),
        ("{{person.email}}<table>{{{data.x}}}</table>", "<tr>@third.example</tr>"),
        ("{{person.email}}<p><table><tr><td>{{{data.x}}}</td></tr></table>", "<tr>@third.example"),
        ("<table><tr><td>{{{data.x}}}</td><td>{{person.email}}", "</td></tr></table>https://third.example/"),
        ("<div>{{{data.x}}}</div>{{person.email}}", "</div>third.example/"),
        ("<li>{{{data.x}}}shop.example</li>{{person.email}}", "<li>b</li>"),
        ("<li>{{{data.x}}}shop.example</li>{{person.email}}", "<ul>"),
        ("<h1>{{{data.x}}}shop.example</h1>{{person.email}}", "<h2>b</h2>"),
        ("<ruby><li>{{{data.x}}}shop.example</li>{{person.email}}", "<rt>"),
        ("{{person.email}}<svg>{{{data.x}}}</svg>", "<b>@third.example</b>"),
        ("<video>{{{data.x}}}</video> {{person.email}}", "<p>x"),
        ("{{data.x}} {{person.email}}", "<https://third.example/?"),
        ("{{{data.x}}} {{person.email}}", "<b>&lt;https://third.example/?</b>"),
        ("{{{data.x}}} {{person.email}}", "<i class=\"a\">x \"www.third.example/?"),
        ("&lt;{{data.x}} {{person.email}}>", "https://third.example/?"),
        ("{{person.email}}{{{data.x}}}", "<p class=a>@third.example</p>"),
        ("{{person.email}}{{{data.x}}}", "<p STYLE='display:inline'>@third.example</p>"),
    ] {
        assert!(run(source, value).is_err(), "{source} {value}");
    }
    for (source, value) in [
        ("<table>{{{data.x}}}</table>{{person.email}}", "<tr><td>shop.example<td>x</tr>"),
        ("{{person.email}}<div>{{{data.x}}}</div>", "<p>shop.example<p>https://shop.example/"),
        ("<ul>{{{data.x}}}</ul>{{person.email}}", "<li>shop.example</li><li>x"),
        ("<li>{{{data.x}}}</li>{{person.email}}", "<h2>x</h2><ul><li>shop.example</ul>"),
        ("<select>{{{data.x}}}</select> {{person.email}}", "x"),
        ("{{person.email}}{{{data.x}}}", "<p>shop.example</p>"),
        ("{{data.x}} {{person.email}}", "see <https://shop.example/> or \"shop.example\", 5\" a<b"),
        ("\"{{data.x}} {{person.email}}\"", "Mr. X"),
        (
            "{{{data.x}}} {{person.email}}",
            "<a href=\"https://shop.example/\">&lt;https://shop.example/&gt;</a>",
        ),
        ("{{person.email}}{{{data.x}}}", ", see <b>shop.example</b>"),
        (
            "{{{data.x}}} {{person.email}}",
            "<table><tr><td><a href=\"https://shop.example/\">x</a></td></tr></table>",
        ),
    ] {
        assert!(run(source, value).is_ok(), "{source} {value}: {:?}", run(source, value));
    }
}

/// Hidden text ends no word for whoever is shown none of it.
#[test]
fn p3_text_that_is_not_shown_joins_what_is_around_it() {
    check(
        &[
            "{{person.email}}<svg> </svg>shop.example",
            "{{person.email}}<noembed>x </noembed>shop.example",
            "{{person.email}}<select><option>x </select>shop.example",
            "{{person.email}}<video>x </video>shop.example",
            "{{person.email}}<video><b>x </b></video>shop.example",
            "shop.example/<style>p {}</style>{{person.email}}",
            "shop.example/<title>x </title>{{person.email}}",
            "shop.example/<object><video> </video> </object>{{person.email}}",
            "{{person.email}}<noscript><p>x </noscript>shop.example",
            "{{person.email}}{{#if data.a}}<math> </math>{{else}} {{/if}}shop.example",
            "{{#if (eq person.email \"a\")}}shop{{/if}}<svg> </svg>.example",
        ],
        &[
            "{{person.first_name}}<svg><path/></svg> shop.example",
            "{{person.first_name}}<svg> </svg>, hello",
            "<div>{{person.first_name}}</div><video>shop.example </video><p>shop.example</p>",
            "<title>Hello {{person.first_name}}</title><style>p{}</style><p>{{person.first_name}}",
            "<head><title>shop.example</title></head>{{person.first_name}}",
        ],
    );
}

/// A tag ends a line where it does so whatever stands around it.
#[test]
fn p3_tags_are_judged_one_by_one() {
    check(
        &[
            "{{person.email}}{{#if data.a}}<center>x</center>{{/if}}<td>{{#unless data.a}}shop.example{{/unless}}</td>",
            "{{#if data.a}}{{person.email}}{{/if}}<html>{{#if data.b}}{{else}}shop.example{{/if}}",
            "{{#if data.a}}{{person.email}}{{/if}}{{#if data.b}}{{else}}<body>{{/if}}shop.example",
            "{{#if data.a}}{{person.email}}{{/if}}{{#if data.b}}{{else}}<table>shop.example</table>{{/if}}",
            "<form><div>shop.example/</form>{{person.email}}",
            "{{#if data.a}}<video>{{/if}}x {{#if data.b}}</video>{{else}} {{person.email}}{{/if}}",
            "<svg><title>shop.example/</title></svg>{{person.email}}",
            "{{#each data.l}}<div>{{/each}}{{person.email}}",
        ],
        &[
            "<table>{{#if data.a}}<tr><td>{{data.a}}</td></tr>{{/if}}<tr><td>{{person.first_name}}</td></tr></table>",
            "<table>{{#each data.l}}<tr><td>{{this}}</td></tr>{{/each}}</table>{{person.first_name}}",
            "<table>{{#each data.l}}{{#if @first}}<tr>{{/if}}<td>x</td>{{#if @last}}</tr>{{/if}}{{/each}}</table>{{person.first_name}}",
            "<ul>{{#each data.l}}<li>{{this}}{{/each}}</ul>{{person.first_name}}",
            "{{#each data.l}}{{#if @first}}<div>{{/if}}{{this}}{{#if @last}}</div>{{/if}}{{/each}} {{person.first_name}}",
        ],
    );
}

/// Words differ by the branch that was taken, and all of them are followed.
#[test]
fn p3_each_branch_begins_a_word_of_its_own() {
    check(
        &[
            "https:{{#if data.a}}{{data.b}}{{/if}}//third/{{person.email}}",
            "https:{{#if data.a}} {{/if}}//third/{{person.email}}",
            "w{{#if data.a}}ww.{{else}}x {{/if}}third/{{person.email}}",
            "{{person.email}}.example.x",
            "{{person.email}}.example.-->",
            "<title>shop.example/<p>{{person.email}}</title>",
            "<title>{{data.url}}\"><b>{{person.email}}</title>",
        ],
        &[
            "{{#if data.a}}Mr.{{else}}Mrs.{{/if}}{{person.first_name}}",
            "{{#each data.l}}&#9733;{{/each}} {{person.first_name}}",
            "{{person.first_name}}{{#if data.a}}!{{/if}}{{#if data.b}}?{{/if}}{{#if data.c}}.{{/if}}",
            "<title>{{person.first_name}}{{data.x}}</title>",
        ],
    );
}

/// An old parser knows no `template`, and ends `svg` and `select` elsewhere.
#[test]
fn p3_elements_that_old_parsers_end_elsewhere_are_closed() {
    check(
        &[
            "<template><button></template>{{person.email}}",
            "<template><li>x</template>{{person.email}}",
            "<svg>x</p>{{person.email}}",
            "<svg><p>x</p></svg>{{person.email}}",
            "<select><p></select>{{person.email}}",
            "<select><input></select>{{person.email}}",
            "<frameset></frameset>{{person.email}}",
            "<math><mi>x</math>{{person.email}}",
        ],
        &[
            "<template><ul><li>x</li></ul></template>{{person.first_name}}",
            "<select><optgroup><option>x<option>y</select> {{person.first_name}}",
            "<svg><g><path d=\"M0\"></g><title>x</title><a/></svg> {{person.first_name}}",
            "</select></svg></template>{{person.first_name}}",
        ],
    );
}
