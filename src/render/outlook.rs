//! Conditional comments as Outlook reads them (`<!--[if mso]> … <![endif]-->`), to know where a value of the job stands in what
//! they hold: most often in the link of a button in VML.

use super::escape::Escape;
use super::ground::Ground;
use super::html::{Attribute, Quote, State, Url};
use super::lint::Lint;
use super::program::{Op, has_forks, holds_person};

/// What to do with a value that may not stand in a comment.
pub(super) const FIX: &str = "use send.number here, or take it out of the comment; for Outlook (<!--[if mso]>) a value of the job may be in a quoted \
                              attribute, or all that a cell or center holds";

/// Elements whose ends end a word too, to Outlook.
const BLOCKS: [&str; 7] = ["center", "td", "th", "p", "div", "li", "h1"];

/// How a value of the job is escaped in a comment that Outlook reads, where it may stand there. The comment has to begin in front of it
/// in the same block, or a branch would decide what it is in.
pub(super) fn escape_of(ops: &[Op], index: usize, ground: Ground, fixed: &[Box<str>]) -> Option<Escape> {
    let Ground::Html(State::Comment { dashes }) = ground else { return None };
    let Op::Value(value) = &ops[index] else { return None };
    let behind = match ops.get(index + 1) {
        Some(Op::Fixed(text)) => &*fixed[*text],
        _ => "",
    };
    // An empty value must not bring the signs together that end the comment.
    let is_apart = dashes == 0 || dashes == 1 && !behind.is_empty() && !behind.starts_with('-');
    if value.raw || value.origin.person.is_some() || !is_apart {
        return None;
    }
    let before = text_before(&ops[..index], fixed);
    let held = held(&before)?;
    match held.bytes().fold(State::Text, State::step) {
        State::Value(_, Attribute::Plain | Attribute::Shown, Quote::Double | Quote::Single, _) => {
            Some(Escape::CommentHtml)
        }
        State::Value(_, Attribute::Url, Quote::Double | Quote::Single, Url::Start) => {
            Some(Escape::CommentUrl)
        }
        State::Value(_, Attribute::Url, Quote::Double | Quote::Single, Url::Inside) => {
            Some(Escape::CommentUrlPart)
        }
        State::Text if is_alone(held, behind) => Some(Escape::CommentHtml),
        _ => None,
    }
}

/// Fields of Word (`INCLUDEPICTURE`, `HYPERLINK`), whose text is fetched or linked with whatever stands in it, in what depends on a
/// person.
pub(super) fn fields(ops: &[Op], fixed: &[Box<str>], place: &str) -> Option<Lint> {
    if !holds_person(ops) && !has_forks(ops) {
        return None;
    }
    let opens = |style: &str| {
        let value = style
            .trim_start_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '-' | ':' | '\'' | '"'));
        value.starts_with("field")
    };
    let is_field = |piece: &str| {
        let lower = piece.to_ascii_lowercase();
        lower.contains("supportfields")
            || lower.contains("mso-field")
            || lower.split("mso-element").skip(1).any(opens)
    };
    let cause = "Outlook reads fields of Word here (mso-element: field-begin, supportFields), which may fetch or link what stands in them";
    let fix = "take the field out of a message that depends on a person";
    fixed.iter().any(|piece| is_field(piece)).then(|| Lint::new(place, (0, 0), cause, fix))
}

/// As far back as no block decides about it; a value stands as a letter.
fn text_before(ops: &[Op], fixed: &[Box<str>]) -> String {
    let mut pieces = Vec::new();
    for op in ops.iter().rev() {
        match op {
            Op::Fixed(index) => pieces.push(&*fixed[*index]),
            Op::Value(_) => pieces.push("x"),
            Op::If(_) | Op::Each(_) | Op::With(_) => break,
        }
        if pieces.last().is_some_and(|piece| piece.contains("<!--")) {
            break;
        }
    }
    pieces.into_iter().rev().collect()
}

/// What the comment that is open at the end of the text holds.
fn held(text: &str) -> Option<&str> {
    let comment = &text[text.rfind("<!--")? + "<!--".len()..];
    let is_condition = comment.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("[if "));
    let held = &comment[comment.find("]>")? + "]>".len()..];
    (is_condition && !held.contains("<![")).then_some(held)
}

/// Whether a text is all that an element of its own holds, so that nothing around it makes a word with it.
fn is_alone(held: &str, behind: &str) -> bool {
    let element = held.strip_suffix('>').and_then(|held| held.rsplit_once('<')).map(|(_, tag)| tag);
    let name =
        element.and_then(|tag| tag.split(|c: char| !c.is_ascii_alphanumeric()).next()).unwrap_or_default();
    let is_block = BLOCKS.iter().any(|block| name.eq_ignore_ascii_case(block));
    let end = behind.strip_prefix("</").and_then(|behind| behind.get(..name.len()));
    is_block && end.is_some_and(|end| end.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use crate::job::SendNumber;
    use crate::person::PersonBuilder;
    use crate::render::html::ends_in_text;
    use crate::render::program::{Program, Sink, Syntax};
    use crate::render::scope::{FieldRules, Scope};
    use serde_json::{Value, json};

    #[derive(Default)]
    struct Pieces(Vec<Result<usize, String>>);

    impl Sink for Pieces {
        fn fixed(&mut self, index: usize) {
            self.0.push(Ok(index));
        }

        fn value(&mut self, escaped: &str) {
            self.0.push(Err(escaped.to_owned()));
        }
    }

    fn rendered(source: &str, data: &Value) -> String {
        let program =
            Program::compile(source, Syntax::Html, "t").unwrap_or_else(|lints| panic!("{source}: {lints:?}"));
        let scope = Scope {
            person: &PersonBuilder::default().field("email", "dana@x.test").build(),
            data: data.as_object().unwrap(),
            send: &SendNumber::from_bits([7; 16]),
            campaign: Some("c-1"),
            date: "2026-01-02",
            fields: &FieldRules::of_message(),
        };
        let mut out = Pieces::default();
        program.run(&scope, &mut out).unwrap();
        let text = |piece: Result<usize, String>| {
            piece.map_or_else(|value| value, |at| program.fixed()[at].to_string())
        };
        out.0.into_iter().map(text).collect()
    }

    fn is_taken(source: &str) -> bool {
        Program::compile(source, Syntax::Html, "t").is_ok()
    }

    #[test]
    fn b11_what_outlook_reads_of_a_job_is_what_others_read() {
        let urls = [
            "https://shop.example/a-b?x=1&y=--%3E",
            "https://shop.example/--><b>x</b>?a=\"b\"",
            "https://shop.example/",
        ];
        for (part, label) in [
            ("17-4", "Buy - now"),
            ("-->", "--><script>"),
            ("--!>", "a --!> b"),
            ("", ""),
            ("é&x=1", "é & \"x\""),
        ] {
            for url in urls {
                let data = json!({"url": url, "part": part, "label": label});
                for (before, behind) in [
                    ("<v:roundrect href=\"{{data.url}}\" style=\"height:40px\">", "</v:roundrect>"),
                    (
                        "<v:roundrect href='https://shop.example/?o={{data.part}}&amp;c={{send.campaign}}'>",
                        "</v:roundrect>",
                    ),
                    ("<v:roundrect href=\"https://shop.example/o-{{data.part}}\">", "</v:roundrect>"),
                    ("<a href=\"{{data.url}}\"><img alt=\"{{data.label}}\" width=\"{{data.part}}\">", "</a>"),
                    ("<v:rect><center style=\"color:#fff\">{{data.label}}</center>", "</v:rect>"),
                    ("<table><tr><td>{{data.label}}</td></tr>", "</table>"),
                ] {
                    let markup = format!("{before}{behind}");
                    let outside = rendered(&markup, &data);
                    let held = rendered(&format!("<p>a</p><!--[if mso]>{markup}<![endif]--><p>b</p>"), &data);
                    let inside = held
                        .strip_prefix("<p>a</p><!--[if mso]>")
                        .and_then(|held| held.strip_suffix("<![endif]--><p>b</p>"));
                    let inside = inside.unwrap_or_else(|| panic!("{held}"));
                    assert_eq!(inside.replace("&#45;", "-"), outside, "{markup}");
                    assert!(!inside.contains("--") && ends_in_text(inside), "{inside}");
                }
            }
        }
    }

    #[test]
    fn p3_no_field_of_word_stands_beside_a_person() {
        let field = "<span style=\"mso-element:field-begin\"></span> INCLUDEPICTURE \"https://t.example/? X\" <span style='MSO-ELEMENT: field-end'></span>";
        for source in [
            field,
            "<!--[if supportFields]> HYPERLINK <![endif]-->X",
            "<p style=\"mso-field-code:' HYPERLINK x '\">X</p>",
        ] {
            assert!(!is_taken(&source.replace('X', "{{person.first_name}}")), "{source}");
            assert!(!is_taken(&format!("{source}{{{{#if person.vip}}}}x{{{{/if}}}}")), "{source}");
            assert!(is_taken(source), "{source}");
        }
        assert!(is_taken("<div style=\"mso-element:para-border-div\">{{person.first_name}}</div>"));
    }

    #[test]
    fn b11_elsewhere_in_a_comment_no_value_of_a_job_stands() {
        for refused in [
            "<!-- {{data.x}} -->",
            "<!-- <a href=\"https://x.test/{{data.x}}\"> -->",
            "<!--[if {{data.x}}]><p>x</p><![endif]-->",
            "<!--[if mso]>{{data.x}}<![endif]-->",
            "<!--[if mso]><b>{{data.x}}</b><![endif]-->",
            "<!--[if mso]><td>x {{data.x}}</td><![endif]-->",
            "<!--[if mso]><td>{{data.x}}{{data.y}}</td><![endif]-->",
            "<!--[if mso]><a href={{data.x}}>x</a><![endif]-->",
            "<!--[if mso]><a style=\"color:{{data.x}}\">x</a><![endif]-->",
            "<!--[if mso]><a href=\"javascript:{{data.x}}\">x</a><![endif]-->",
            "<!--[if mso]><a onclick=\"{{data.x}}\">x</a><![endif]-->",
            "<!--[if mso]><{{data.x}}><![endif]-->",
            "<!--[if mso]><style>{{data.x}}</style><![endif]-->",
            "<!--[if mso]><a href=\"https://x.test/-{{data.x}}-\">x</a><![endif]-->",
            "<!--[if mso]><a href=\"https://x.test/-{{data.x}}{{data.y}}\">x</a><![endif]-->",
            "<!--[if mso]><a href=\"https://x.test/--{{data.x}}>\">x</a><![endif]-->",
            "<!--[if mso]><a href=\"https://x.test/{{person.email}}\">x</a><![endif]-->",
            "<!--[if mso]><td>{{person.email}}</td><![endif]-->",
            "<!--[if mso]><a href=\"{{{data.x}}}\">x</a><![endif]-->",
            "<!--[if mso]>{{#if data.y}}<a href=\"https://x.test/{{data.x}}\">x</a>{{/if}}<![endif]-->",
            "<!--[if mso]><![endif]<td>{{data.x}}</td>-->",
        ] {
            assert!(!is_taken(refused), "{refused}");
        }
        assert!(is_taken("<!--[if mso]><td>{{data.x}}</td><![endif]-->"));
    }
}
