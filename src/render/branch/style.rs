//! What CSS loads, and which declarations change nothing of it.

use super::services::{is_font_service, names_font_service};
use std::ops::Range;

/// Functions that load nothing, and read nothing that stands elsewhere.
const HARMLESS: [&str; 17] = [
    "rgb",
    "rgba",
    "hsl",
    "hsla",
    "hwb",
    "lab",
    "lch",
    "oklab",
    "oklch",
    "calc",
    "min",
    "max",
    "clamp",
    "linear-gradient",
    "radial-gradient",
    "translate",
    "rotate",
];
/// Properties that neither load, hide nor undo anything; those that begin with a name and `-` count as the name.
const QUIET: [&str; 16] = [
    "color",
    "background-color",
    "font",
    "text-align",
    "text-decoration",
    "text-transform",
    "text-indent",
    "letter-spacing",
    "word-spacing",
    "line-height",
    "padding",
    "margin",
    "border",
    "vertical-align",
    "direction",
    "white-space",
];

/// CSS as it is understood: without comments, escapes resolved (CSS Syntax §4.3.7).
pub(in crate::render) fn understood(css: &str) -> String {
    if !css.contains('\\') && !css.contains("/*") {
        return css.to_owned();
    }
    let mut out = String::with_capacity(css.len());
    let mut rest = css;
    while let Some(c) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
            continue;
        }
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            out.push(c);
            continue;
        }
        let digits = rest.bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
        if digits > 0 {
            let value = u32::from_str_radix(&rest[..digits], 16).unwrap_or(0);
            out.push(char::from_u32(value).unwrap_or('\u{fffd}'));
            rest = &rest[digits..];
            rest = rest.strip_prefix(|c: char| c.is_ascii_whitespace()).unwrap_or(rest);
        } else if let Some(escaped) = rest.chars().next() {
            out.push(escaped);
            rest = &rest[escaped.len_utf8()..];
        }
    }
    out
}

/// As much of an address is read; a longer one is none that could be allowed.
const ADDRESS_BYTES_MAX: usize = 2048;

/// Something that CSS loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Load {
    pub address: String,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A style sheet, of which nobody here knows what it holds.
    Sheet,
    /// A font, which is loaded once there is text in it.
    Font,
    /// By a rule, where it applies.
    Rule,
}

/// What CSS loads. `css` as it is understood.
pub(super) fn loads(css: &str) -> Vec<Load> {
    // No function and no rule is without one of them.
    if memchr::memchr2(b'(', b'@', css.as_bytes()).is_none() {
        return Vec::new();
    }
    let lower = css.to_ascii_lowercase();
    let (imports, fonts) = (ranges(&lower, "@import", &[';', '\n']), ranges(&lower, "@font-face", &['}']));
    let mut found: Vec<Load> = Vec::new();
    for import in &imports {
        let written = &css[import.start + "@import".len()..import.end];
        let written = &written[..written.floor_char_boundary(ADDRESS_BYTES_MAX)];
        found.push(Load { address: address(written).to_owned(), kind: Kind::Sheet });
    }
    let fetches = |name: &str| {
        let is_one =
            matches!(name, "url" | "src" | "image" | "element" | "cross-fade" | "paint" | "expression");
        is_one || name.ends_with("image-set")
    };
    for (at, function) in functions(&lower) {
        if fetches(function) && !holds(&imports, at) {
            let rest = &css[at + function.len() + 1..];
            let rest = &rest[..rest.floor_char_boundary(ADDRESS_BYTES_MAX)];
            let inner = &rest[..rest.find(')').unwrap_or(rest.len())];
            let kind = if holds(&fonts, at) { Kind::Font } else { Kind::Rule };
            found.push(Load { address: address(inner).to_owned(), kind });
        }
    }
    // What an address holds itself is loaded from nowhere; a style sheet in one has rules all the same.
    let is_held = |load: &Load| load.kind != Kind::Sheet && load.address.starts_with("data:");
    found.retain(|load| !is_held(load) && !is_font_service(&load.address));
    found
}

/// Each stretch that begins with a word, to one of these signs.
fn ranges(css: &str, start: &str, ends: &[char]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, _) in css.match_indices(start) {
        if !holds(&found, at) {
            found.push(at..css[at..].find(ends).map_or(css.len(), |end| at + end));
        }
    }
    found
}

/// `ranges` in order.
fn holds(ranges: &[Range<usize>], at: usize) -> bool {
    let before = ranges.partition_point(|range| range.start <= at);
    before > 0 && ranges[before - 1].end > at
}

/// Where each function begins and what it is called. `css` in lower case.
fn functions(css: &str) -> Vec<(usize, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let each = |(at, _): (usize, &str)| {
        let start = css[..at]
            .rfind(|c| !is_name(c))
            .map_or(0, |before| before + css[before..].chars().next().map_or(1, char::len_utf8));
        (start < at).then(|| (start, &css[start..at]))
    };
    css.match_indices('(').filter_map(each).collect()
}

/// To the sign that ends it, or with the bracket that a further function would begin with: such a one is no address that could
/// be allowed.
fn address(written: &str) -> &str {
    let inner = written.trim();
    let inner = inner.strip_prefix("url(").or_else(|| inner.strip_prefix("URL(")).unwrap_or(inner);
    let inner = inner.trim_start_matches(['"', '\'', ' ']);
    let end = inner.find(['"', '\'', ')', '(']).unwrap_or(inner.len());
    inner[..end + usize::from(inner[end..].starts_with('('))].trim()
}

/// Without the `@font-face` rules that load from services of fonts only, as those write them (`unicode-range`, a file for each
/// part of Unicode): no sender learns what they fetch. One that could be read in another way stays.
pub(in crate::render) fn without_service_fonts(css: &str) -> String {
    let lower = css.to_ascii_lowercase();
    let mut kept = String::with_capacity(css.len());
    let mut from = 0;
    for rule in ranges(&lower, "@font-face", &['}']) {
        let written = &css[rule.clone()];
        if is_plain_font_face(written) && is_served(written) {
            kept.push_str(&css[from..rule.start]);
            from = rule.end;
        }
    }
    kept.push_str(&css[from..]);
    kept
}

/// Whether a service of fonts has the files. One of the reader's own, or within the style sheet, is nobody's to choose.
fn is_served(face: &str) -> bool {
    loads(face).is_empty() && names_font_service(face)
}

/// Whether nothing but declarations of a font stand between `@font-face` and its end, wherever it may begin: in a string or
/// comment it would hold others.
fn is_plain_font_face(written: &str) -> bool {
    const OWN: [&str; 7] =
        ["font-family", "font-style", "font-weight", "font-stretch", "font-display", "src", "unicode-range"];
    let Some((name, declarations)) = written.split_once('{') else { return false };
    let is_own = |declaration: &str| {
        let (property, value) = declaration.split_once(':').unwrap_or((declaration, ""));
        let property = property.trim();
        property.is_empty() && value.is_empty() || OWN.iter().any(|own| own.eq_ignore_ascii_case(property))
    };
    name.trim().eq_ignore_ascii_case("@font-face")
        && !written.contains(['\\', '<', '&', '[', ']', '\u{fffd}'])
        && !written.contains("/*")
        && !written.contains("*/")
        && declarations.split(';').all(is_own)
}

/// Whether rules can tell texts apart: by their signs, by whether there is one, by the room they take.
pub(super) fn sees_text(css: &str) -> bool {
    let lower = without_service_fonts(css).to_ascii_lowercase();
    const SEEING: [&str; 11] = [
        "unicode-range",
        ":empty",
        ":blank",
        ":dir(",
        "scrollbar",
        "@container",
        ":has(",
        "-timeline",
        "::scroll-",
        "position-try",
        "content-visibility",
    ];
    SEEING.iter().any(|part| lower.contains(part))
}

/// Whether styles are handed down, or named and used elsewhere, so that what they load is loaded there.
pub(super) fn is_handed_down(declarations: &str) -> bool {
    if loads(declarations).is_empty() {
        return false;
    }
    let lower = declarations.to_ascii_lowercase();
    let mut each = lower.split(';').filter(|one| !loads(one).is_empty());
    each.any(|one| {
        !matches!(one.split(':').next().unwrap_or_default().trim(), "background" | "background-image")
    })
}

/// Whether what stands at this range is values and declarations that change colours, fonts and distances only, whatever
/// stands around it. `css` may be a style sheet or a style attribute, cut off where it is not finished.
pub(super) fn is_quiet(css: &str, changed: Range<usize>) -> bool {
    let Some(written) = css.get(changed.clone()) else { return false };
    if written.contains(['{', '}', '@', '\\', '<', '&']) || written.contains("/*") || written.contains("*/") {
        return false;
    }
    let before = &css[..changed.start];
    let start = before.rfind(['{', '}', ';']).map_or(0, |at| at + 1);
    let end = css[changed.end..].find(['{', '}', ';']).map_or(css.len(), |at| changed.end + at);
    let around = &css[start..end];
    is_outside(before)
        && !css[end..].starts_with('{')
        && !around.contains(['\\', '&'])
        && !around.contains("*/")
        && around.split(';').all(is_quiet_declaration)
}

/// Whether no string, comment or bracket is open behind this much CSS.
fn is_outside(css: &str) -> bool {
    let count = |sign: char| css.matches(sign).count();
    count('"') % 2 == 0
        && count('\'') % 2 == 0
        && count('(') == count(')')
        && css.matches("/*").count() == css.matches("*/").count()
        // In an attribute, a reference for one of these.
        && !css.contains('&')
}

fn is_quiet_declaration(declaration: &str) -> bool {
    let declaration = declaration.trim();
    if declaration.is_empty() {
        return true;
    }
    let Some((property, value)) = declaration.split_once(':') else { return false };
    let property = property.trim().to_ascii_lowercase();
    let is_known = QUIET.iter().any(|quiet| {
        property.strip_prefix(quiet).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    });
    is_known && !property.starts_with("border-image") && is_harmless(value)
}

/// Whether a style loads nothing, and names nothing that could be loaded. `css` as it is understood.
pub(super) fn is_harmless(css: &str) -> bool {
    let lower = css.to_ascii_lowercase();
    functions(&lower).into_iter().all(|(_, name)| HARMLESS.contains(&name)) && !lower.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(css: &str) -> Vec<(String, Kind)> {
        loads(&understood(css)).into_iter().map(|load| (load.address, load.kind)).collect()
    }

    #[test]
    fn p2_what_css_loads_is_found_however_it_is_written() {
        let rule = |address: &str| vec![(address.to_owned(), Kind::Rule)];
        for css in [
            ".a{background:url(//t/a)}",
            "a{b:URL( '//t/a' )}",
            "a{b:u\\72l(//t/a)}",
            "a{b:ur/**/l(//x) url(//t/a)}",
            "a{b:image-set('//t/a' 1x)}",
        ] {
            let found = addresses(css);
            assert!(found.contains(&rule("//t/a")[0]), "{css}: {found:?}");
        }
        assert_eq!(addresses("@import '//t/a.css';"), [("//t/a.css".to_owned(), Kind::Sheet)]);
        assert_eq!(addresses("@import url(//t/a.css) screen;"), [("//t/a.css".to_owned(), Kind::Sheet)]);
        assert_eq!(addresses("@font-face{font-family:x;src:url(//t/f)}"), [("//t/f".to_owned(), Kind::Font)]);
        assert_eq!(
            addresses("@import url(https://fonts.googleapis.com/css?family=Ubuntu);a{b:url(data:x)}"),
            []
        );
        for foreign in [
            "https://fonts.googleapis.com@t/",
            "https://fonts.googleapis.com.t/",
            "http://t/fonts.googleapis.com",
        ] {
            assert_eq!(addresses(&format!("@import url({foreign});")).len(), 1, "{foreign}");
        }
        assert_eq!(addresses("a{color:rgb(1,2,3);width:calc(1px + 2px)}"), []);
        for held in ["@import 'data:text/css,a';", "@import url(data:text/css;base64,YQ==);"] {
            assert_eq!(addresses(held)[0].1, Kind::Sheet, "{held}");
        }
        assert_eq!(addresses("a{b:url('//t/a(1)')}")[0].0, "//t/a(");
    }

    #[test]
    fn p2_many_brackets_cost_no_more_than_their_text() {
        for (one, far) in
            [("url(", 100_000), ("url(\"a", 60_000), ("@import ", 50_000), ("@font-face{src:url(", 20_000)]
        {
            let css = one.repeat(far);
            let kept: usize = loads(&css).iter().map(|load| load.address.len()).sum();
            assert!(kept <= 2 * css.len() + ADDRESS_BYTES_MAX, "{one}: {kept}");
        }
    }

    #[test]
    fn p2_what_is_quiet_loads_and_hides_nothing() {
        let whole = |css: &str| is_quiet(css, 0..css.len());
        for quiet in [
            "color:red",
            "color:red;font-weight:bold",
            "padding: 1px 2px;",
            "background-color:rgb(1,2,3)",
            "",
        ] {
            assert!(whole(quiet), "{quiet}");
        }
        for loud in [
            "display:none",
            "background:red",
            "background:url(//t)",
            "color",
            "col",
            "visibility:hidden",
            "color:var(--x)",
            "border-image:none",
            "color:red}b{x:y",
            "all:unset",
            "content:'x'",
            "c\\olor:red",
            "color:red;display:none",
            "list-style:none",
            "mso-hide:all",
        ] {
            assert!(!whole(loud), "{loud}");
        }
        for (before, changed) in [
            ("background:url('//t/;color:", "a"),
            ("display/*;color:*/:", "none"),
            ("content:\"; color:", "red"),
            ("x:&quot;;color:", "red"),
        ] {
            assert!(
                !is_quiet(&format!("{before}{changed}"), before.len()..before.len() + changed.len()),
                "{before}"
            );
        }
        assert!(is_quiet("display:block;color:red", 20..23) && !is_quiet("display:none;color:red", 8..12));
        assert!(!is_quiet(".a{color:red}", 0..2) && is_quiet(".a{color:red}", 9..12));
    }
}
