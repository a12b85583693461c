//! Addresses in HTML that no mail client can load: a message has no place of its own that they could be relative to.

use super::html::comment_end;
use std::ops::Range;

/// Attributes that hold one address, and those that hold CSS or several addresses.
const ADDRESSES: [&str; 6] = ["src", "href", "background", "background-url", "action", "poster"];

/// The relative ones, in bytes of the source, in order.
pub(super) fn relative(html: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = memchr::memchr(b'<', &html.as_bytes()[at..]) {
        let start = at + open;
        let rest = &html[start..];
        at = if rest.starts_with("<!--[if") || rest.starts_with("<![") || rest.starts_with("</") {
            // What a conditional comment holds is read by some clients.
            start + 2
        } else if rest.starts_with("<!--") {
            comment_end(html, start)
        } else if rest[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
            let tag = Tag::read(html, start);
            if tag.name.eq_ignore_ascii_case("base") {
                return Vec::new();
            }
            found.extend(tag.addresses(html).filter(|range| is_relative(&html[range.clone()])));
            if tag.name.eq_ignore_ascii_case("style") {
                let end = html[tag.end..].find("</").map_or(html.len(), |end| tag.end + end);
                found.extend(in_css(html, tag.end..end).filter(|range| is_relative(&html[range.clone()])));
                end
            } else {
                tag.end
            }
        } else {
            start + 1
        };
    }
    found
}

/// Whether an address needs one that it is relative to. What a value makes of it is not known here.
fn is_relative(address: &str) -> bool {
    let address = address.trim();
    if address.is_empty() || address.starts_with(['#', '{', '&']) || address.starts_with("//") {
        return false;
    }
    let scheme = address.split([':', '/', '?', '#', '{']).next().unwrap_or_default();
    let has_scheme = address[scheme.len()..].starts_with(':')
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte));
    // A character reference or a value may hold the colon.
    !has_scheme && !scheme.contains('&') && !address[scheme.len()..].starts_with("{{")
}

struct Tag<'h> {
    name: &'h str,
    attributes: Vec<(&'h str, Range<usize>)>,
    /// Behind its `>`.
    end: usize,
}

impl<'h> Tag<'h> {
    /// The tag that begins at `start`, as browsers read it; a placeholder in it is one word.
    fn read(html: &'h str, start: usize) -> Self {
        let bytes = html.as_bytes();
        let is_name = |byte: u8| !byte.is_ascii_whitespace() && !b"/>=".contains(&byte);
        let name_end = span(bytes, start + 1, is_name);
        let mut tag = Self { name: &html[start + 1..name_end], attributes: Vec::new(), end: html.len() };
        let mut at = name_end;
        while at < bytes.len() {
            at = span(bytes, at, |byte| byte.is_ascii_whitespace() || byte == b'/');
            match bytes.get(at) {
                None => break,
                Some(b'>') => {
                    tag.end = at + 1;
                    break;
                }
                Some(b'{') if html[at..].starts_with("{{") => {
                    at = html[at..].find("}}").map_or(html.len(), |end| at + end + 2);
                    continue;
                }
                Some(_) => {}
            }
            let name = at..span(bytes, at, is_name).max(at + 1);
            at = span(bytes, name.end, |byte| byte.is_ascii_whitespace());
            if bytes.get(at) != Some(&b'=') {
                continue;
            }
            at = span(bytes, at + 1, |byte| byte.is_ascii_whitespace());
            let value = match bytes.get(at) {
                Some(quote @ (b'"' | b'\'')) => {
                    let end = memchr::memchr(*quote, &bytes[at + 1..]).map_or(html.len(), |end| at + 1 + end);
                    at + 1..end
                }
                _ => at..span(bytes, at, |byte| !byte.is_ascii_whitespace() && byte != b'>'),
            };
            at = (value.end + usize::from(value.start > 0 && matches!(bytes[value.start - 1], b'"' | b'\'')))
                .min(html.len());
            if let Some(name) = html.get(name) {
                tag.attributes.push((name, value));
            }
        }
        tag
    }

    fn addresses<'a>(&'a self, html: &'h str) -> impl Iterator<Item = Range<usize>> + 'a {
        self.attributes.iter().flat_map(move |(name, value)| {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            if is("background") && !html[value.clone()].contains(['.', '/']) {
                // A colour.
                Vec::new()
            } else if ADDRESSES.into_iter().any(is) {
                vec![trimmed(html, value.clone())]
            } else if is("srcset") {
                candidates(html, value.clone())
            } else if is("style") {
                in_css(html, value.clone()).collect()
            } else {
                Vec::new()
            }
        })
    }
}

/// Behind the bytes of a kind.
fn span(bytes: &[u8], from: usize, is_kind: impl Fn(u8) -> bool) -> usize {
    from + bytes[from.min(bytes.len())..].iter().take_while(|byte| is_kind(**byte)).count()
}

fn trimmed(html: &str, value: Range<usize>) -> Range<usize> {
    let text = &html[value.clone()];
    let start = value.start + (text.len() - text.trim_start().len());
    start..start + text.trim().len()
}

/// Of a srcset (HTML §4.8.4.2.2): each reaches to the next white space, commas in it and all, and what follows to a comma
/// describes it, unless a comma ends the address itself.
fn candidates(html: &str, value: Range<usize>) -> Vec<Range<usize>> {
    let is_between = |c: char| c.is_ascii_whitespace() || c == ',';
    let mut rest = &html[value.clone()];
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(is_between);
        if rest.is_empty() {
            return found;
        }
        let start = value.end - rest.len();
        let (written, behind) =
            rest.split_at(rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len()));
        let address = written.trim_end_matches(',');
        found.push(start..start + address.len());
        let described =
            if address.len() < written.len() { 0 } else { behind.find(',').unwrap_or(behind.len()) };
        rest = &behind[described..];
    }
}

/// What stands in `url(...)`.
fn in_css(html: &str, css: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    /// No longer one is written by hand.
    const ADDRESS_BYTES_MAX: usize = 2048;
    let start = css.start;
    html[css].match_indices("url(").filter_map(move |(at, open)| {
        let from = start + at + open.len();
        let near = html.floor_char_boundary(from + ADDRESS_BYTES_MAX);
        let end = from + html[from..near].find(')')?;
        let inner = trimmed(html, from..end);
        let text = &html[inner.clone()];
        let bare = text.trim_matches(|c| c == '"' || c == '\'');
        let quotes = text.len() - text.trim_start_matches(['"', '\'']).len();
        Some(trimmed(html, inner.start + quotes..inner.start + quotes + bare.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(html: &str) -> Vec<&str> {
        relative(html).into_iter().map(|range| &html[range]).collect()
    }

    #[test]
    fn d_addresses_that_no_client_can_load_are_found() {
        for (html, address) in [
            ("<img src=\"assets/x.png\">", "assets/x.png"),
            ("<IMG ALT='a > b' SRC = ' x.png '/>", "x.png"),
            ("<img src=/logo.gif width=1>", "/logo.gif"),
            (
                "<a class=\"{{data.c}}\" {{#if data.x}}id=a{{/if}} href=\"page.html?a=b:c\">x</a>",
                "page.html?a=b:c",
            ),
            ("<a href='www.shop.example/sale'>", "www.shop.example/sale"),
            ("<td background=\"./bg.png\" bgcolor=red>", "./bg.png"),
            ("<p style=\"background:url('img/a.png') no-repeat\">", "img/a.png"),
            ("<style>.a{background-image:url( \"a.png\" )}</style>", "a.png"),
            ("<!--[if mso]><v:fill src=\"bg.jpg\"/><![endif]-->", "bg.jpg"),
            ("<img src=\"https://x.test/a.png\" srcset=\"https://x.test/a.png 1x, a2.png 2x\">", "a2.png"),
            ("<img srcset=\"https://x.test/w_1,h_2/a.png 1x,a2.png\">", "a2.png"),
            ("<img srcset=\"https://x.test/a.png, a2.png 2x\">", "a2.png"),
            ("<td background=bg.png>", "bg.png"),
        ] {
            assert_eq!(found(html), [address], "{html}");
        }
    }

    #[test]
    fn d_addresses_that_stand_by_themselves_or_are_filled_in_are_left() {
        for html in [
            "<a href=\"https://x.test\"><a href=\"#top\"><a href=\"mailto:a@b.test\"><a href=\"\"><a href>",
            "<img src=\"cid:logo.png\"><img src=\"data:image/png;base64,AA==\"><img src=\"//cdn.test/a.png\">",
            "<a href=\"{{data.url}}\"><a href='{{send.unsubscribe_url}}'><img src={{data.image}}>",
            "<a href=\"{{data.scheme}}://x.test\"><a href=\"app{{data.n}}://x\"><a href=\"https&#58;//x.test\">",
            "<p style=\"background:url({{data.bg}})\"><p style=\"background:url(https://x.test/a.png)\">",
            "<img srcset=\"https://res.example/up/w_300,h_200/a.png 1x, {{data.image}} 2x, , \">",
            "<img srcset=\"data:image/png;base64,iVB/w0KGgo= 1x\"><img srcset=\"https://x.test/a.png,\">",
            "<table background=\"transparent\"><td background='#fff'><td background=\"rgb(1, 2, 3)\">",
            "<!-- <img src=\"x.png\"> --> 1 < 2 <3 src=\"x.png\"",
            "<base href=\"https://x.test/\"><img src=\"x.png\">",
            "<p title=\"src=x.png\" data-src='x.png'>a href=b</p>",
            "<html xmlns:v=\"urn:schemas-microsoft-com:vml\"><a href=\"tel:+1555\"><a href=\"sms:1\">",
        ] {
            assert_eq!(found(html), Vec::<&str>::new(), "{html}");
        }
    }

    /// Each bracket was looked for to the end of the text: 900 KB took 15 s.
    #[test]
    fn d_many_open_brackets_are_walked_once() {
        let html = format!("<style>p{{background:{}}}</style>", "url(".repeat(500_000));
        let began = std::time::Instant::now();
        assert_eq!(found(&html), Vec::<&str>::new());
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }

    #[test]
    fn d_any_text_is_walked_to_its_end() {
        for html in [
            "<",
            "<a",
            "<a href",
            "<a href=",
            "<a href=\"",
            "<a href=\"é",
            "<é",
            "<a é=ü",
            "<style>url(",
            "<!--",
            "<a {{",
        ] {
            let _ = relative(html);
        }
        for opened in ["<a ", "<!--", "<style>url(", "<a href=\"", "<a {{", "<!--[if"] {
            let _ = relative(&opened.repeat(200_000 / opened.len()));
        }
    }
}
