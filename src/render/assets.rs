//! Files beside a template: which of them its HTML names, and what they are.

use super::program::Program;
use std::collections::BTreeSet;

/// The names behind `cid:` in a program's fixed text, where a mail client loads them. `[cid:image001.png@01D9]` is what Outlook
/// writes for a picture into text.
pub(super) fn cids(program: &Program) -> BTreeSet<String> {
    let name = |rest: &str| {
        let is_end = |c: char| !(c.is_ascii_alphanumeric() || "._-@".contains(c));
        rest[..rest.find(is_end).unwrap_or(rest.len())].to_owned()
    };
    let named = program.fixed().iter().flat_map(|text| {
        let at = text.match_indices("cid:").map(|(at, _)| at).filter(|at| is_loaded(&text[..*at]));
        at.map(|at| name(&text[at + "cid:".len()..]))
    });
    named.filter(|name| !name.is_empty()).collect()
}

/// Whether what follows is an address of an attribute or style that is loaded.
fn is_loaded(before: &str) -> bool {
    const LOADED: [&str; 8] =
        ["src", "srcset", "imagesrcset", "href", "background", "poster", "data", "action"];
    let Some(at) = before.rfind(['"', '\'', '(', '=', '<', '>']) else { return false };
    let opened = match before.as_bytes()[at] {
        b'<' | b'>' => return false,
        b'(' | b'=' => &before[..=at],
        _ => before[..at].trim_end(),
    };
    if opened.ends_with('(') {
        return opened.to_ascii_lowercase().ends_with("url(");
    }
    let Some(attribute) = opened.strip_suffix('=') else { return false };
    let attribute =
        attribute.trim_end().rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    LOADED.iter().any(|loaded| attribute.eq_ignore_ascii_case(loaded))
}

/// By its name's ending.
pub(super) fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
    match extension.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "pdf" => "application/pdf",
        "ics" => "text/calendar",
        "vcf" => "text/vcard",
        "csv" => "text/csv",
        "txt" => "text/plain",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::program::Syntax;

    #[test]
    fn b11_only_what_a_client_loads_is_a_picture() {
        let names = |html: &str| {
            let program = Program::compile(html, Syntax::Html, "t").unwrap();
            cids(&program).into_iter().collect::<Vec<_>>()
        };
        for html in [
            "<img src=\"cid:a.png\">",
            "<img src = 'cid:a.png' alt=\"x\">",
            "<img src=cid:a.png>",
            "<v:fill src=\"cid:a.png\"/>",
            "<img srcset=\"https://x.test/b.png 1x, cid:a.png 2x\">",
            "<td background=\"cid:a.png\">",
            "<td style=\"background:url(cid:a.png)\">",
            "<td style=\"background:url('cid:a.png') red\">",
            "<!--[if mso]><v:image xlink:href=\"cid:a.png\"/><![endif]-->",
        ] {
            assert_eq!(names(html), ["a.png"], "{html}");
        }
        for html in [
            "<p>[cid:image001.png@01D9ABCD.12345678]</p>",
            "<p class=\"a\">cid:a.png (cid:a.png) = cid:a.png</p>",
            "<img src=\"https://x.test/a.png\" alt=\"cid:image001.png@01D9\">",
            "<a title='cid:a'>x</a>",
        ] {
            assert!(names(html).is_empty(), "{html}");
        }
    }
}
