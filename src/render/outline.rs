//! The parser of tags takes a text sign by sign and counts lines from its beginning for every tag. So it is given an outline: what
//! stands between tags is left out but for its edges, of which the rules about white space see no more.

use super::lines::{At, Lines};
use super::lint::Lint;
use handlebars::template::Template;
use handlebars::{TemplateError, TemplateErrorReason};
use std::borrow::Cow;
use std::ops::Range;

/// Around the number of what was left out: a sign that no source with an outline holds.
const MARK: char = '\u{f8fd}';
/// Shorter stretches are given as they are.
const LEFT_OUT_BYTES_MIN: usize = 32;

/// A source as it is parsed.
pub(super) struct Outline<'s> {
    source: &'s str,
    text: Cow<'s, str>,
    left_out: Vec<LeftOut>,
}

struct LeftOut {
    /// In the source.
    from: Range<usize>,
    /// What stands for it in the outline.
    mark: Range<usize>,
}

impl<'s> Outline<'s> {
    /// `tags` are those of the source, in order.
    pub(super) fn of(source: &'s str, tags: &[Range<usize>]) -> Self {
        let mut outline = Self { source, text: Cow::Borrowed(source), left_out: Vec::new() };
        if source.contains(MARK) {
            return outline;
        }
        let mut text = String::with_capacity(source.len().min(64 * (tags.len() + 1)));
        let mut at = 0;
        for tag in tags.iter().cloned().chain(std::iter::once(source.len()..source.len())) {
            outline.shorten(at..tag.start, &mut text);
            text.push_str(&source[tag.clone()]);
            at = tag.end;
        }
        outline.text = Cow::Owned(text);
        outline
    }

    /// What stands between two tags. Braces and backslashes mean something to the parser there too.
    fn shorten(&mut self, between: Range<usize>, text: &mut String) {
        let mut at = between.start;
        while at < between.end {
            let rest = &self.source[at..between.end];
            let length = memchr::memchr3(b'{', b'}', b'\\', rest.as_bytes()).unwrap_or(rest.len());
            let stretch = &rest[..length];
            let inner = stretch.trim();
            let start = at + (stretch.len() - stretch.trim_start().len());
            let from = start..start + inner.len();
            if inner.len() < LEFT_OUT_BYTES_MIN {
                text.push_str(stretch);
            } else {
                text.push_str(&self.source[at..from.start]);
                let mark = text.len();
                text.push_str(&format!("{MARK}{}{MARK}", self.left_out.len()));
                self.left_out.push(LeftOut { from: from.clone(), mark: mark..text.len() });
                text.push_str(&self.source[from.end..at + length]);
            }
            at += length;
            // One of the three signs.
            let sign = at..(at + 1).min(between.end);
            text.push_str(&self.source[sign.clone()]);
            at = sign.end;
        }
    }

    /// # Errors
    /// A lint for what is not handlebars.
    pub(super) fn parsed(&self, place: &str) -> Result<Template, Lint> {
        Template::compile(&self.text).map_err(|error| self.syntax_lint(place, &error))
    }

    /// The parser's own error, with what most often causes it.
    fn syntax_lint(&self, place: &str, error: &TemplateError) -> Lint {
        let at = self.places().in_source(error.pos().unwrap_or((1, 1)));
        let line = self.source.lines().nth(at.0.saturating_sub(1)).unwrap_or("");
        let cause = match error.reason() {
            TemplateErrorReason::MismatchingClosedHelper(open, close) => {
                format!("{{{{#{open}}}}} is open, but {{{{/{close}}}}} closes")
            }
            _ => String::from("this is not handlebars"),
        };
        let fix = if line.contains('[') && line.contains("{{") {
            "write an index as data.items.[0] (with the dot), a name with odd letters as data.[odd name]"
        } else if line.contains("../@") {
            "write @../index"
        } else {
            "write {{person.NAME}}, {{data.NAME}}, {{send.number}}, or a block such as {{#if data.NAME}}…{{/if}}"
        };
        Lint::new(place, at, cause, fix)
    }

    /// A text of the parsed outline, with what was left out of it.
    pub(super) fn whole<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.left_out.is_empty() || !text.contains(MARK) {
            return Cow::Borrowed(text);
        }
        let mut whole = String::new();
        for (index, piece) in text.split(MARK).enumerate() {
            let left_out = if index % 2 == 1 { piece.parse().ok() } else { None };
            match left_out.and_then(|number: usize| self.left_out.get(number)) {
                Some(left_out) => whole.push_str(&self.source[left_out.from.clone()]),
                None => whole.push_str(piece),
            }
        }
        Cow::Owned(whole)
    }

    /// Places in the source.
    pub(super) fn places(&self) -> Places<'_> {
        Places { outline: self, here: Lines::of(&self.text), there: Lines::of(self.source) }
    }
}

/// Tells where in the source a place of the outline is.
pub(super) struct Places<'o> {
    outline: &'o Outline<'o>,
    here: Lines,
    there: Lines,
}

impl Places<'_> {
    pub(super) fn in_source(&self, at: At) -> At {
        let outline = self.outline;
        if outline.left_out.is_empty() {
            return at;
        }
        let here = self.here.offset(&outline.text, at);
        let before = outline.left_out.partition_point(|left_out| left_out.mark.end <= here);
        let behind = before.checked_sub(1).map(|last| &outline.left_out[last]);
        let there = behind.map_or(here, |last| last.from.end + (here - last.mark.end));
        self.there.position(outline.source, there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::survey::survey;
    use proptest::prelude::*;

    fn outlined(source: &str) -> Option<String> {
        let found = survey(source, "t").ok()?;
        let outline = Outline::of(source, &found.tags);
        let tree = outline.parsed("t").ok()?;
        let places = outline.places();
        Some(told(&tree, &|text| outline.whole(text).into_owned(), &|at| places.in_source(at)))
    }

    /// Texts, tags and their places, as the parser of tags has them.
    fn told(tree: &Template, whole: &dyn Fn(&str) -> String, place: &dyn Fn(At) -> At) -> String {
        use handlebars::template::TemplateElement as Element;
        let mut out = String::new();
        for (index, element) in tree.elements.iter().enumerate() {
            let at = tree.mapping.get(index).map(|mapping| place((mapping.0, mapping.1)));
            match element {
                Element::RawString(text) => out += &format!("{:?}", whole(text)),
                Element::HelperBlock(block) => {
                    out += &format!("{at:?}{:?}", block.name);
                    for inner in [&block.template, &block.inverse].into_iter().flatten() {
                        out += &format!("[{}]", told(inner, whole, place));
                    }
                }
                other => out += &format!("{at:?}{other:?}"),
            }
        }
        out
    }

    const PIECES: &[&str] = &[
        "{{#if data.a}}",
        "{{/if}}",
        "{{else}}",
        "{{~#if data.a~}}",
        "{{~/if~}}",
        "{{else if data.b}}",
        "{{person.x}}",
        "{{{data.x}}}",
        "{{~data.x~}}",
        "{{! a comment that is so long that it would be left out }}",
        "{{!-- a comment with }} in it --}}",
        "\\{{not.a.tag}}",
        "\\\\{{data.x}}",
        "{{{{raw}}}} {{x}} a text in a raw block, long enough {{{{/raw}}}}",
        "\n",
        " ",
        "\n  ",
        "\u{a0}",
        "a short text",
        "a long text that is left out, of more than one word",
        "a long text\nof more than one line\n\u{5d0} of which one is empty",
        ".rule{color:red;background:#123456;text-align:center}",
        "}}",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn the_parser_makes_the_same_of_an_outline(picks in proptest::collection::vec(0..PIECES.len(), 1..12)) {
            let source: String = picks.iter().map(|pick| PIECES[*pick]).collect();
            let Ok(_) = survey(&source, "t") else { return Ok(()) };
            let whole = Template::compile(&source).ok().map(|tree| told(&tree, &str::to_owned, &|at| at));
            prop_assert_eq!(outlined(&source), whole, "{}", source);
        }
    }

    #[test]
    fn what_stands_between_tags_is_left_out() {
        let source = format!("{}{{{{data.x}}}}{} \\{{{{y}}}}", "x ".repeat(5_000), "y\n".repeat(5_000));
        let found = survey(&source, "t").unwrap();
        let outline = Outline::of(&source, &found.tags);
        assert!(outline.text.len() < 60, "{}", outline.text);
        assert_eq!(outline.whole(&outline.text), source);
    }
}
