//! What stands in a text and should not be sent as it stands: placeholders of other products, and addresses that no mail
//! client can load.

use super::escape::printable;
use super::foreign::{SURE, placeholders, sure};
use super::links;
use super::lint::Lint;
use super::program::Syntax;
use std::collections::BTreeSet;
use std::ops::Range;

/// Beginnings that are looked at in one text, of each kind: what has more of them that are none is no mail.
const LOOKS_MAX: usize = 2_000;
/// Different ones that are told of a message that came with its job.
const TOLD_MAX: usize = 8;

/// The mistakes in a template's text; `allowed` are meant as they stand.
pub(super) fn lints(source: &str, syntax: Syntax, place: &str, allowed: &[String]) -> Vec<Lint> {
    let is_meant = |text: &str| allowed.iter().any(|meant| meant == text);
    let at = |range: &Range<usize>| {
        let before = &source[..range.start];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    };
    let mut lints: Vec<Lint> = shown(placeholders(source), source, syntax)
        .filter(|range| !is_meant(&source[range.clone()]))
        .map(|range| {
            let text = &source[range.clone()];
            let cause = format!("{text} is a placeholder of another product: people would read it as it stands");
            let fix = format!(
                "write {{{{person.NAME}}}} or {{{{data.NAME}}}}; if it is meant as it stands, allow_literal = ['{text}'] in template.toml"
            );
            Lint::new(place, at(&range), cause, fix)
        })
        .collect();
    if syntax == Syntax::Html {
        let relative = links::relative(source).into_iter().filter(|range| !is_meant(&source[range.clone()]));
        lints.extend(relative.map(|range| {
            let text = &source[range.clone()];
            let cause = format!("the address {text} is relative: no mail client knows to what");
            let fix = format!(
                "write an absolute one (https://...), or for a picture in assets/ cid: and its name; if it is meant as it stands, \
                 allow_literal = ['{text}'] in template.toml"
            );
            Lint::new(place, at(&range), cause, fix)
        }));
    }
    lints
}

/// Those that nobody means as they stand, in texts that came with a job.
#[derive(Debug, Default)]
pub(super) struct Unmeant(BTreeSet<Box<str>>);

impl Unmeant {
    pub fn look_at(&mut self, text: &str, syntax: Syntax) {
        for begin in SURE {
            let begun = memchr::memmem::find_iter(text.as_bytes(), begin).take(LOOKS_MAX);
            let mut found = begun.filter_map(|at| sure(text, at)).peekable();
            if found.peek().is_none() {
                continue;
            }
            for range in shown(found, text, syntax) {
                if self.0.len() < TOLD_MAX {
                    self.0.insert(Box::from(&*printable(&text[range])));
                }
            }
        }
    }

    pub fn into_list(self) -> Box<[Box<str>]> {
        self.0.into_iter().collect()
    }
}

/// Those that a reader sees: not in the comments of HTML, but for comments that some clients read.
fn shown(
    found: impl Iterator<Item = Range<usize>>,
    text: &str,
    syntax: Syntax,
) -> impl Iterator<Item = Range<usize>> {
    let comments = if syntax == Syntax::Html { comments(text) } else { Vec::new() };
    found.filter(move |range| {
        let behind = comments.partition_point(|comment| comment.start <= range.start);
        behind == 0 || !comments[behind - 1].contains(&range.start)
    })
}

fn comments(html: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = html[at..].find("<!--") {
        let start = at + open;
        let end = html[start..].find("-->").map_or(html.len(), |end| start + end + 3);
        if !html[start..].starts_with("<!--[if") {
            found.push(start..end);
        }
        at = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: &str, syntax: Syntax, allowed: &[&str]) -> Vec<String> {
        let allowed: Vec<String> = allowed.iter().map(|meant| String::from(*meant)).collect();
        lints(source, syntax, "t", &allowed).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn d_each_is_told_with_its_place_and_can_be_meant() {
        let html = "<p>Dear\n *|FNAME|*,</p>\n<!-- *|NOTE|* --><img src=\"assets/x.png\">{{data.a}}";
        let lints = told(html, Syntax::Html, &[]);
        assert_eq!(lints.len(), 2, "{lints:?}");
        assert!(lints[0].starts_with("t:2:2: *|FNAME|* is a placeholder of another product"), "{lints:?}");
        assert!(lints[1].starts_with("t:3:28: the address assets/x.png is relative"), "{lints:?}");
        assert!(lints[0].contains("allow_literal = ['*|FNAME|*']"), "{lints:?}");
        assert_eq!(told(html, Syntax::Html, &["*|FNAME|*", "assets/x.png"]), Vec::<String>::new());
        assert_eq!(told("<img src=x.png>", Syntax::Text, &[]), Vec::<String>::new());
        assert_eq!(told("{{#if (eq data.a \"%%b1%%\")}}{{/if}}", Syntax::Text, &[]), Vec::<String>::new());
    }

    #[test]
    fn d_of_a_message_only_what_nobody_means_counts() {
        let mut unmeant = Unmeant::default();
        unmeant.look_at("Hi *|FNAME|*, [[name]] ${x} %name% %%first_name%% *|FNAME|*", Syntax::Text);
        let told: Vec<String> = unmeant.into_list().iter().map(|text| text.to_string()).collect();
        assert_eq!(told, ["%%first_name%%", "*|FNAME|*"]);
    }
}
