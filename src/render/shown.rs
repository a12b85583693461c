//! What readers show as a placeholder though the compiler sees none: braces written as character references, taken
//! apart by tags or signs without width, percent-encoded in a URL.

use super::content_lines;
use super::lint::Lint;
use super::program::Syntax;
use super::spelled::{JSON_BRACE, behind_brace, brace, has_no_width, json_braces, opens, reference, shown};
use crate::byte_search;
use memchr::memmem;
use std::borrow::Cow;

/// Longest text between the braces of a placeholder written in character references or percent triplets.
const INNER_BYTES_MAX: usize = 200;

/// Whether readers show a placeholder in a text, however it is written.
pub(super) fn shows(text: &str, syntax: Syntax) -> bool {
    let is_hidden = || match syntax {
        Syntax::Json => json_braces(text).contains("{{") || hidden(text, syntax).is_some(),
        _ => written_out(text, syntax) != text || hidden(text, syntax).is_some(),
    };
    text.contains("{{")
        || syntax == Syntax::ContentLines && content_lines::encoded(text).is_some()
        || may_hide(text, syntax) && is_hidden()
}

/// As [`shows`], for a header field.
pub(super) fn shows_in_line(text: &str) -> bool {
    shows(text, Syntax::Header)
}

/// Only these bytes begin a hidden brace.
fn may_hide(text: &str, syntax: Syntax) -> bool {
    memchr::memchr3(b'{', b'&', b'%', text.as_bytes()).is_some()
        || syntax == Syntax::Json && text.contains(JSON_BRACE)
}

/// The source as it is compiled, with nothing left that only readers would take for a placeholder.
///
/// # Errors
/// A lint for a placeholder that is written in a way that is not filled in.
pub(super) fn prepared<'s>(source: &'s str, syntax: Syntax, place: &str) -> Result<Cow<'s, str>, Lint> {
    if !may_hide(source, syntax) {
        return Ok(Cow::Borrowed(source));
    }
    let written = written_out(source, syntax);
    match hidden(&written, syntax) {
        None => Ok(written),
        Some(Hidden { at, how }) => {
            let before = &written[..at];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let (cause, fix) = how.text();
            Err(Lint::new(place, (line, column), cause, fix))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hidden {
    at: usize,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Apart,
    Percent,
}

impl How {
    fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Apart => (
                "two braces that are shown as a placeholder would not be filled in: a tag, a comment or an invisible sign \
                 is between them, or within what they open",
                "write {{ in one piece, or \\{{ for braces that are meant",
            ),
            Self::Percent => (
                "a placeholder is percent-encoded (%7B%7B), so it would not be filled in",
                "write {{data.NAME}} in the URL as it is; many editors encode it unasked",
            ),
        }
    }
}

/// Placeholders that an editor or a serializer wrote in references or escapes, written as they are meant.
pub(super) fn written_out(source: &str, syntax: Syntax) -> Cow<'_, str> {
    if syntax == Syntax::Json {
        return json_braces(source);
    }
    if syntax != Syntax::Html || !source.contains('&') {
        return Cow::Borrowed(source);
    }
    let mut out: Option<String> = None;
    let mut closing = Next::new("}}");
    let (mut from, mut at) = (0, 0);
    while let Some(found) = byte_search::find_any(*b"{&&", &source.as_bytes()[at..]) {
        let start = at + found;
        if matches!(source.as_bytes()[start..], [b'{', b'{', ..]) {
            at = end_of_tag(source, start, &mut closing);
            continue;
        }
        if !may_be_written_out(&source.as_bytes()[start..]) {
            at = start + 1;
            continue;
        }
        let is_literal = source[..start].ends_with('\\');
        match referenced(&source[start..]).filter(|_| !is_literal) {
            Some((tag, bytes)) => {
                let out = out.get_or_insert_with(|| String::with_capacity(source.len()));
                out.push_str(&source[from..start]);
                out.push_str(&tag);
                at = start + bytes;
                from = at;
            }
            None => at = start + 1,
        }
    }
    match out {
        None => Cow::Borrowed(source),
        Some(mut out) => {
            out.push_str(&source[from..]);
            Cow::Owned(out)
        }
    }
}

/// Whether two braces may stand here of which one is a reference.
fn may_be_written_out(from: &[u8]) -> bool {
    match from {
        [b'{', second @ ..] => behind_brace(second).is_some(),
        _ => behind_brace(from).is_some_and(|second| matches!(second, [b'{' | b'&', ..])),
    }
}

/// A whole placeholder at the beginning of `source`, and how many bytes it takes there.
fn referenced(source: &str) -> Option<(String, usize)> {
    // Most references are for something else, and most braces stand alone.
    let (brace, bytes) = shown(source, Syntax::Html)?;
    if brace != '{' || shown(&source[bytes..], Syntax::Html)?.0 != '{' {
        return None;
    }
    let mut tag = String::new();
    let mut at = 0;
    loop {
        let (c, bytes) = reference(&source[at..]).or_else(|| {
            let c = source[at..].chars().next()?;
            Some((c, c.len_utf8()))
        })?;
        at += bytes;
        // As editors write a space that is to stay.
        tag.push(if c == '\u{a0}' { ' ' } else { c });
        let is_begun = tag.len() > 2 || "{{".starts_with(&tag);
        if !is_begun || tag.len() > INNER_BYTES_MAX || matches!(c, '<' | '>' | '\n') {
            return None;
        }
        if tag.ends_with("}}") {
            let has_three = tag.starts_with("{{{") && !tag.ends_with("}}}");
            if !has_three {
                return (at > tag.len()).then_some((tag, at));
            }
        }
    }
}

/// What was found last in a source that is walked from its beginning to its end: a source may open something at every second
/// byte and never close it.
#[derive(Default)]
struct Found {
    /// From where it was looked for, and where it was.
    last: Option<(usize, Option<usize>)>,
}

impl Found {
    fn or_look(&mut self, from: usize, look: impl FnOnce() -> Option<usize>) -> Option<usize> {
        match self.last {
            Some((looked, found)) if looked <= from && found.is_none_or(|found| found >= from) => found,
            _ => self.last.insert((from, look())).1,
        }
    }
}

/// Where something stands next.
struct Next<'n> {
    finder: memmem::Finder<'n>,
    found: Found,
}

impl<'n> Next<'n> {
    fn new(what: &'n str) -> Self {
        Self { finder: memmem::Finder::new(what), found: Found::default() }
    }

    fn at(&mut self, source: &str, from: usize) -> Option<usize> {
        self.found
            .or_look(from, || byte_search::find(&self.finder, &source.as_bytes()[from..]).map(|at| from + at))
    }
}

/// What ends a markup.
struct Ends<'n> {
    comment: Next<'n>,
    /// As some write it by mistake.
    odd_comment: Next<'n>,
    tag: Next<'n>,
    /// Two closing braces, each itself or as triplets.
    braces: Found,
    /// How often a tag or a sign without width may still be passed. Braces within tags have some passed again and again; what
    /// has more of that than there is to pass is refused, as nobody can say what readers make of it.
    passes_left: usize,
}

impl Ends<'_> {
    fn of(source: &str) -> Self {
        Self {
            comment: Next::new("-->"),
            odd_comment: Next::new("--!>"),
            tag: Next::new(">"),
            braces: Found::default(),
            passes_left: source.len() / "<>".len(),
        }
    }
}

impl Ends<'_> {
    /// As [`super::html::comment_end`] has it, for many that are opened and never closed.
    fn end_of_comment(&mut self, source: &str, start: usize) -> Option<usize> {
        let usual = self.comment.at(source, start + "<!".len()).map(|at| at + "-->".len());
        let odd = self.odd_comment.at(source, start + "<!--".len()).map(|at| at + "--!>".len());
        usual.into_iter().chain(odd).min()
    }
}

/// Behind the tag at `start`, or behind its braces where it is not closed.
fn end_of_tag(source: &str, start: usize, closing: &mut Next<'_>) -> usize {
    let braces = source[start..].bytes().take_while(|byte| *byte == b'{').count();
    let inner = start + braces;
    if source[..start].ends_with('\\') {
        return inner;
    }
    closing.at(source, inner).map_or(inner, |close| {
        let end = close + 2;
        end + source[end..].bytes().take_while(|byte| *byte == b'}').count().min(braces - 2)
    })
}

/// The first placeholder that readers show and nobody fills in.
fn hidden(source: &str, syntax: Syntax) -> Option<Hidden> {
    let mut at = 0;
    let mut closing = Next::new("}}");
    let mut ends = Ends::of(source);
    while let Some(found) = byte_search::find_any(*b"{&%", &source.as_bytes()[at..]) {
        let start = at + found;
        if matches!(source.as_bytes()[start..], [b'{', b'{', ..]) {
            at = end_of_tag(source, start, &mut closing);
            continue;
        }
        if may_be_hidden(&source.as_bytes()[start..])
            && let Some(how) = hidden_at(source, start, syntax, &mut ends)
        {
            return Some(Hidden { at: start, how });
        }
        at = start + 1;
    }
    None
}

/// Whether a sign may begin a placeholder that is hidden: most are ruled out by what follows them.
fn may_be_hidden(from: &[u8]) -> bool {
    match from {
        [b'%', b'2', b'5', b'7', b'b' | b'B', ..] | [b'%', b'7', b'b' | b'B', ..] => true,
        [b'{', second @ ..] => may_follow(second),
        _ => behind_brace(from).is_some_and(may_follow),
    }
}

/// Whether behind a brace, what readers do not show may stand here, or another brace in some other spelling.
fn may_follow(second: &[u8]) -> bool {
    second.first().is_some_and(|next| matches!(next, b'<' | b'&' | b'%' | b'{') || !next.is_ascii())
}

fn hidden_at(source: &str, start: usize, syntax: Syntax, ends: &mut Ends<'_>) -> Option<How> {
    let from = &source[start..];
    if is_percent_encoded(source, start, ends) {
        return Some(How::Percent);
    }
    if source.as_bytes()[..start].last() == Some(&b'\\') {
        return None;
    }
    let (brace, bytes) = shown(from, syntax)?;
    let next = (brace == '{').then(|| next_shown(source, start + bytes, syntax, ends)).flatten()?;
    (next == '{').then_some(How::Apart)
}

/// `%7B%7Bdata.order%7D%7D`, also where only some of it is encoded, or all of it twice.
fn is_percent_encoded(source: &str, start: usize, ends: &mut Ends<'_>) -> bool {
    let opening = |at: usize| brace(&source.as_bytes()[at..], b'{', b'b').map(|bytes| at + bytes);
    let Some(inner) = opening(start).and_then(opening) else { return false };
    // From its end on: what is opened over and over before a sign that no path holds is not walked each time.
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@%+[]#/^&~!()".contains(&byte);
    let closing = ends.braces.or_look(inner + 1, || closing_braces(source, inner + 1));
    closing
        .filter(|closing| closing - inner <= INNER_BYTES_MAX)
        .is_some_and(|closing| source.as_bytes()[inner..closing].iter().rev().all(|byte| is_path(*byte)))
}

fn closing_braces(source: &str, from: usize) -> Option<usize> {
    let closing = |at: usize| brace(&source.as_bytes()[at..], b'}', b'd').map(|bytes| at + bytes);
    let mut at = from;
    loop {
        at += byte_search::find_any(*b"}%%", source.as_bytes().get(at..)?)?;
        if closing(at).and_then(closing).is_some() {
            return Some(at);
        }
        at += 1;
    }
}

/// The next sign that a reader shows, past tags and what has no width; a brace, where that cannot be told. None where it is
/// what a tag of ours becomes.
fn next_shown(source: &str, mut at: usize, syntax: Syntax, ends: &mut Ends<'_>) -> Option<char> {
    loop {
        let text = &source[at..];
        if text.as_bytes().starts_with(b"{{") {
            return None;
        }
        if syntax == Syntax::Html && opens(text, b'<') {
            at = if matches!(text.as_bytes(), [_, b'!', b'-', b'-', ..]) {
                ends.end_of_comment(source, at)?
            } else {
                ends.tag.at(source, at)? + 1
            };
        } else {
            let (c, bytes) = shown(text, syntax)?;
            if !has_no_width(c) {
                return Some(c);
            }
            at += bytes;
        }
        match ends.passes_left.checked_sub(1) {
            Some(left) => ends.passes_left = left,
            None => return Some('{'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(source: &str) -> Result<String, String> {
        prepared(source, Syntax::Html, "t").map(Cow::into_owned).map_err(|lint| lint.to_string())
    }

    #[test]
    fn references_are_written_out() {
        for source in [
            "&#123;&#123;person.x&#125;&#125;",
            "&#x7B;&#x7b;person&#46;x&#x007d;&#125",
            "&lcub;&lbrace;person&period;x&rcub;&rbrace;",
            "{&#123;person.x}&#125;",
            "&#123&#123person.x}}",
        ] {
            assert_eq!(html(source).as_deref(), Ok("{{person.x}}"), "{source}");
        }
        let kept = "&amp;{a} <p>&#123;x&#125;</p> \\&#123;&#123;x}} {{data.x}} &lt;";
        assert_eq!(html(kept).as_deref(), Ok(kept));
        assert_eq!(html("&#123;&#123;&#123;data.x}}}").as_deref(), Ok("{{{data.x}}}"));
    }

    #[test]
    fn what_readers_would_join_is_refused() {
        for source in [
            "x {<span>{person.x}}",
            "{<!-- {{data.x}} > -->{a}}",
            "{&#8203;{person.x}}",
            "{\u{200b}{person.x}}",
            "{</b>&#123;x}}",
            "\n {&shy;<b>{",
            "&#123;&#123;open",
            "&#123;{person.<b></b>x}}",
            "{&lcub;person.<b></b>x}}",
        ] {
            assert!(html(source).unwrap_err().contains("one piece"), "{source}");
        }
        assert!(html("\n {<b>{").unwrap_err().starts_with("t:2:2:"));
        for fine in [
            "{ {x} }",
            "a {<b>x</b>}",
            "{{a}}{b}",
            "{<b>{{data.x}}</b>}",
            "&#123;{{data.x}}}",
            "\\{<b>{",
            "<style>a{b{c}}</style>",
            "{<3",
        ] {
            assert!(html(fine).is_ok(), "{fine}");
        }
        assert!(prepared("{<b>{x}}", Syntax::Text, "t").is_ok());
        assert!(prepared("{\u{2060}{x}}", Syntax::Text, "t").is_err());
    }

    #[test]
    fn c2_what_is_opened_over_and_over_and_never_closed_is_walked_once() {
        for opened in [
            "{<",
            "<{<>",
            "<!--{<!---->",
            "<{<i>\u{200b}",
            "{<!--",
            "{{a ",
            "&#123;<",
            "{<!-->",
            "{<a {",
            "%7b%7bx",
            "%7b%7b x%7d",
            "%7b%7b }}",
        ] {
            // By its square it would take hours.
            let source = opened.repeat(4_000_000 / opened.len());
            let _ = prepared(&source, Syntax::Html, "t");
        }
    }

    #[test]
    fn percent_encoded_ones_are_refused() {
        for source in [
            "<a href=\"https://x.test/%7B%7Bdata.order%7D%7D\">",
            "https://x.test/%7b%7b%20data.order%20%7d%7d",
            "https://x.test/{%7Bdata.order}}",
            "https://x.test/%257B%257Bdata.order%257D%257D",
        ] {
            for syntax in [Syntax::Html, Syntax::Text, Syntax::Header] {
                let lint = prepared(source, syntax, "t").unwrap_err();
                assert!(lint.cause.contains("percent-encoded"), "{source}");
            }
        }
        for fine in ["%7B%7B", "https://x.test/%7B%22a%22%3A1%7D", "100%"] {
            assert!(prepared(fine, Syntax::Html, "t").is_ok(), "{fine}");
        }
    }
}
