//! Compiles MJML to HTML at load, with the handlebars tags in it untouched. Nothing is fetched or included.

use super::lint::Lint;
use mrml::prelude::parser::ParserOptions;
use mrml::prelude::render::RenderOptions;
use std::collections::BTreeSet;

/// Elements within each other. The parser of MJML calls itself for each, and its stack has an end.
const DEPTH_MAX: usize = 200;

/// The HTML of an MJML source.
///
/// # Errors
/// What is not MJML, and tags that MJML dropped.
pub fn to_html(source: &str, place: &str) -> Result<String, Lint> {
    let wrong = |at, cause: String, fix: &str| Lint::new(place, at, cause, fix);
    if let Some(offset) = too_deep(source) {
        let line = source[..offset].matches('\n').count() + 1;
        let cause = format!("more than {DEPTH_MAX} elements stand within each other");
        return Err(wrong((line, 1), cause, "close the elements, or nest fewer of them"));
    }
    let parsed = mrml::parse_with_options(source, &ParserOptions::default()).map_err(|error| {
        let fix = "correct the MJML; mj-include is not available, and blocks stand inside mj-text, mj-table or mj-raw";
        wrong((0, 0), format!("this is not MJML: {error}"), fix)
    })?;
    // Web fonts would be fetched by the reader's client, which tells who reads.
    let options = RenderOptions { fonts: Default::default(), ..RenderOptions::default() };
    let html = parsed
        .element
        .render(&options)
        .map_err(|error| wrong((0, 0), format!("this MJML has no HTML: {error}"), "correct the MJML"))?;
    let kept: BTreeSet<&str> = tags(&html).map(|(_, tag)| tag).collect();
    for (offset, tag) in tags(source) {
        if !kept.contains(tag) && !tag.starts_with("{{!") {
            let line = source[..offset].matches('\n').count() + 1;
            let fix = "put it inside mj-text, mj-table or mj-raw, or into an attribute";
            return Err(wrong((line, 1), format!("MJML drops {tag} where it stands"), fix));
        }
    }
    Ok(html)
}

/// Where the nesting passes its bound. Elements that are never closed count for as long as the text goes on, which is
/// never less than what the parser goes down.
fn too_deep(source: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, _) in source.match_indices('<') {
        let rest = &source[at + 1..];
        match rest.as_bytes().first() {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(first) if first.is_ascii_alphabetic() && !is_empty_element(rest) => depth += 1,
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Some(at);
        }
    }
    None
}

/// `<br/>`, and what HTML never closes.
fn is_empty_element(rest: &str) -> bool {
    const NEVER_CLOSED: [&str; 8] = ["br", "img", "hr", "meta", "link", "input", "col", "wbr"];
    let tag = rest.split('>').next().unwrap_or_default();
    let name = tag.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap_or_default();
    tag.ends_with('/') || NEVER_CLOSED.iter().any(|never| name.eq_ignore_ascii_case(never))
}

fn tags(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let starts = source.match_indices("{{").map(|(at, _)| at).filter(|at| !source[..*at].ends_with('{'));
    starts.filter_map(|at| source[at..].find("}}").map(|end| (at, &source[at..at + end + 2])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::program::{Program, Syntax};

    fn mjml(body: &str) -> String {
        format!("<mjml><mj-body><mj-section><mj-column>{body}</mj-column></mj-section></mj-body></mjml>")
    }

    #[test]
    fn c13_a_draft_that_nests_without_end_is_a_mistake_and_not_the_end_of_the_relay() {
        for name in ["b", "mj-section", "mj-column"] {
            let deep = format!("<{name}>\n").repeat(20_000);
            let lint = to_html(&mjml(&format!("<mj-text>{deep}")), "t").unwrap_err();
            assert!(lint.to_string().contains("within each other"), "{lint}");
        }
        let long = "<p>one<br>two<img src=\"x\"/></p>".repeat(1_000);
        assert!(
            to_html(&mjml(&format!("<mj-text>{}</mj-text>", long.replace("<br>", "<br/>"))), "t").is_ok()
        );
    }

    #[test]
    fn tags_survive_and_the_html_compiles() {
        let source = mjml(
            "<mj-text>Hi {{person.first_name}}{{#if data.x}} &amp; <b>{{data.x}}</b>{{/if}}</mj-text>\
             <mj-button href=\"https://x.test/{{send.number}}\">Go</mj-button>",
        );
        let html = to_html(&source, "t").unwrap();
        assert!(html.contains("<b>{{data.x}}</b>") && !html.contains("mj-text"), "{html}");
        Program::compile(&html, Syntax::Html, "t").unwrap();
        let leak = mjml("<mj-button href=\"https://x.test/{{person.email}}\">Go</mj-button>");
        assert!(Program::compile(&to_html(&leak, "t").unwrap(), Syntax::Html, "t").is_err());
    }

    #[test]
    fn what_mjml_cannot_keep_is_said() {
        assert!(to_html("<mjml><mj-body>", "t").is_err());
        assert!(to_html(&mjml("<mj-include path=\"x.mjml\" />"), "t").is_err());
        let dropped = to_html(&mjml("\n<mj-text colour=\"{{data.x}}\">a</mj-text>"), "t").unwrap_err();
        assert_eq!((dropped.line, dropped.cause.contains("{{data.x}}")), (2, true));
    }
}
