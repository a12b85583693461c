//! Walks a program once for each way through its blocks that has a piece of its own, with marks in place of values.

use super::comments;
use super::nodes::{Flaw, Landing, Mark};
use super::parser::{DEPTH_MAX, NODES_MAX, Parser, Stand, TooComplex, Trail};
use super::places::is_other_ground;
use crate::render::html::State;
use crate::render::lint::Lint;
use crate::render::program::{Block, Op, ValueOp};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes that are read at most over all ways, where there is more than one.
const BYTES_MAX: usize = 4 * 1024 * 1024;

type At = (usize, usize);

/// What is wrong with the places of a person's values, to a parser of HTML. Nothing, where there are none.
pub(in crate::render) fn judge(ops: &[Op], fixed: &[Box<str>], place: &str) -> Vec<Lint> {
    let Some(first) = first_person(ops) else { return Vec::new() };
    let mut found = Found { place, at: first, lints: BTreeSet::new(), ..Found::default() };
    let bytes = fixed.iter().map(|text| text.len()).sum::<usize>().max(1);
    let ways = width(ops);
    if ways > 1 && ways.saturating_mul(bytes) > BYTES_MAX {
        let cause = format!(
            "its blocks have {ways} ways, which are more than can be read one by one beside {{{{person.…}}}}"
        );
        found.lint(first, cause, "make it shorter, choose among texts before sending, or split the template");
        return found.into_lints();
    }
    let scripting = fixed.iter().any(|text| text.to_ascii_lowercase().contains("noscript"));
    for way in 0..ways {
        let readers = if scripting { &[Scripting::Off, Scripting::On][..] } else { &[Scripting::Off][..] };
        for scripting in readers {
            Walk::new(fixed, *scripting, &mut found).run(ops, way);
        }
        if !found.lints.is_empty() {
            break;
        }
    }
    found.judge_grounds();
    found.into_lints()
}

/// What a reader makes of `noscript`: elements, or text that is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scripting {
    Off,
    On,
}

fn first_person(ops: &[Op]) -> Option<At> {
    let in_block = |block: &Block| first_person(&block.body).or_else(|| first_person(&block.other));
    ops.iter().find_map(|op| match op {
        Op::Fixed(_) => None,
        Op::Value(value) => value.origin.person.is_some().then_some(value.at),
        Op::If(branch) => in_block(&branch.block),
        Op::Each(each) | Op::With(each) => in_block(&each.block),
    })
}

/// Ways that are needed to walk every branch once.
fn width(ops: &[Op]) -> usize {
    ops.iter()
        .map(|op| match op {
            Op::Fixed(_) | Op::Value(_) => 1,
            Op::If(branch) => block_width(&branch.block),
            Op::Each(each) | Op::With(each) => block_width(&each.block),
        })
        .fold(1, usize::max)
}

fn block_width(block: &Block) -> usize {
    width(&block.body).saturating_add(width(&block.other))
}

/// What was found over all ways.
#[derive(Default)]
struct Found<'a> {
    place: &'a str,
    /// Of the first value about a person.
    at: At,
    lints: BTreeSet<Lint>,
    /// The elements that are open behind each block, by where the block stands in memory.
    behind: BTreeMap<usize, Stand>,
    /// The first block behind which they differ.
    uneven: Option<At>,
    /// An element that changes how what stands around it is read.
    other_ground: Option<String>,
    /// An element that is read as text by some, and holds what others take for a tag.
    ambiguous: Option<String>,
}

impl Found<'_> {
    fn lint(&mut self, at: At, cause: impl Into<String>, fix: &str) {
        self.lints.insert(Lint::new(self.place, at, cause, fix));
    }

    fn into_lints(self) -> Vec<Lint> {
        self.lints.into_iter().collect()
    }

    fn meet(&mut self, block: &Block, stand: Stand) {
        let other = *self.behind.entry(std::ptr::from_ref(block).addr()).or_insert(stand);
        if other != stand {
            self.uneven.get_or_insert(block.at);
        }
    }

    /// Ways that were not walked are the same to a parser only where this holds.
    fn judge_grounds(&mut self) {
        let Some(element) = self.other_ground.take() else { return };
        if let Some(at) = self.uneven {
            let cause = format!(
                "the block leaves an element open or closed, and a {element} element, which parsers read in a way of its own, \
                 is in one part with {{{{person.…}}}}"
            );
            self.lint(
                at,
                cause,
                "open and close elements on the same side of the block, or take that element out",
            );
        }
        if let Some(ambiguous) = self.ambiguous.take() {
            let cause = format!(
                "a tag within a {ambiguous} element, which not all parsers read as text beside a {element} element"
            );
            self.lint(self.at, cause, "take one of them out");
        }
    }

    fn flaw(&mut self, flaw: Flaw) {
        let (cause, fix) = match flaw {
            Flaw::Comment(comments::Flaw::EndsInTag) => (
                String::from(
                    "a conditional comment ends inside a tag or element: Outlook would read {{person.…}} as part of it",
                ),
                "close in each comment what it opens",
            ),
            Flaw::Comment(comments::Flaw::EndsInOtherGround) => (
                String::from(
                    "a conditional comment leaves an element open that Outlook reads in a way of its own",
                ),
                "close in each comment what it opens",
            ),
            Flaw::Comment(comments::Flaw::CharacterData) => (
                String::from("<![CDATA[ is a comment to some readers and text to others"),
                "write &lt; and &amp; instead",
            ),
            Flaw::Style(what) => (
                format!(
                    "a style sheet beside {{{{person.…}}}} has {what}: what it fetches would depend on the value"
                ),
                "take it out of the style sheet, or {{person.…}} out of the HTML",
            ),
        };
        self.lint(self.at, cause, fix);
    }
}

struct Walk<'a, 'f, 'p> {
    fixed: &'a [Box<str>],
    scripting: Scripting,
    found: &'f mut Found<'p>,
    parser: Parser,
    mark: Mark,
    /// The values about a person that came, by the number of their marks.
    marked: Vec<&'a ValueOp>,
    state: State,
    trail: Trail,
    /// What the comment that the text is in holds so far.
    comment: String,
}

impl<'a, 'f, 'p> Walk<'a, 'f, 'p> {
    fn new(fixed: &'a [Box<str>], scripting: Scripting, found: &'f mut Found<'p>) -> Self {
        let mark = Mark::random();
        Self {
            fixed,
            scripting,
            found,
            parser: Parser::new(mark.clone(), scripting == Scripting::On),
            mark,
            marked: Vec::new(),
            state: State::Text,
            trail: Trail::default(),
            comment: String::new(),
        }
    }

    fn run(mut self, ops: &'a [Op], way: usize) {
        if let Err(TooComplex) = self.ops(ops, way) {
            let cause = format!(
                "more than {DEPTH_MAX} elements within each other, or {NODES_MAX} in all: browsers read such HTML in ways of \
                 their own"
            );
            return self.found.lint(self.found.at, cause, "close elements where they end");
        }
        self.parser.end();
        self.judge_landings();
    }

    fn ops(&mut self, ops: &'a [Op], way: usize) -> Result<(), TooComplex> {
        for op in ops {
            match op {
                Op::Fixed(index) => self.fixed(&self.fixed[*index])?,
                Op::Value(value) => self.value(value)?,
                Op::If(branch) => self.block(&branch.block, way)?,
                Op::With(with) => self.block(&with.block, way)?,
                Op::Each(each) => self.block(&each.block, way)?,
            }
        }
        Ok(())
    }

    fn fixed(&mut self, text: &'a str) -> Result<(), TooComplex> {
        for byte in text.bytes() {
            let before = self.state;
            self.state = before.step(byte);
            self.note(before, byte);
        }
        self.parser.feed(text)?;
        if self.scripting == Scripting::Off && self.parser.trail() != self.trail {
            let at = self.marked.last().map_or(self.found.at, |value| value.at);
            let cause = "behind this, parsers do not agree where tags begin and end (an svg, math or other element in which text \
                         and tags are read in another way)";
            self.found.lint(at, cause, "close such elements, and write < as &lt; where it is text");
        }
        Ok(())
    }

    fn note(&mut self, before: State, byte: u8) {
        if matches!(self.state, State::Comment { .. }) {
            if !matches!(before, State::Comment { .. }) {
                self.comment.clear();
            } else {
                self.comment.push(char::from(byte));
            }
        }
        if let State::RawLess { element, .. } = before
            && byte.is_ascii_alphabetic()
        {
            self.found.ambiguous.get_or_insert_with(|| element.as_str().to_owned());
        }
        if !before.ends_markup(self.state, byte) {
            return;
        }
        let tag = before.tag();
        self.trail.add(tag);
        if let Some(tag) = tag
            && is_other_ground(tag.name.as_str())
        {
            self.found.other_ground.get_or_insert_with(|| tag.name.as_str().to_owned());
        }
    }

    fn value(&mut self, value: &'a ValueOp) -> Result<(), TooComplex> {
        if matches!(self.state, State::Comment { .. }) {
            self.state = State::Comment { dashes: 0 };
            self.comment.push('x');
        }
        if value.origin.person.is_none() {
            return self.parser.feed("x");
        }
        let mark = self.mark.of(self.marked.len());
        self.marked.push(value);
        self.parser.feed(&mark)
    }

    fn block(&mut self, block: &'a Block, way: usize) -> Result<(), TooComplex> {
        self.edge(block);
        let body = width(&block.body);
        let way = way % block_width(block);
        if way < body {
            let before = self.parser.stand();
            self.ops(&block.body, way)?;
            // The first turn of a loop, and the one behind it.
            if self.parser.stand() != before {
                self.found.uneven.get_or_insert(block.at);
            }
        } else {
            self.ops(&block.other, way - body)?;
        }
        self.edge(block);
        self.found.meet(block, self.parser.stand());
        Ok(())
    }

    /// A block within a conditional comment must not decide what Outlook goes on reading.
    fn edge(&mut self, block: &Block) {
        if !matches!(self.state, State::Comment { .. }) {
            return;
        }
        if let Some(flaw) = comments::flaw(&self.comment) {
            self.found.flaw(Flaw::Comment(flaw));
            self.found.at = block.at;
        }
    }

    fn judge_landings(&mut self) {
        let nodes = self.parser.nodes();
        nodes.break_text();
        for number in nodes.linked.borrow().iter() {
            let Some(value) = self.marked.get(*number) else { continue };
            let cause = format!(
                "{{{{{}}}}} is part of a word that clients make a link of: the tags between them are none to a parser of HTML",
                value.origin.name
            );
            self.found.lint(value.at, cause, "put a space between the URL and the value");
        }
        nodes.judge_styles();
        let mut seen: Vec<Option<Landing>> = vec![None; self.marked.len()];
        for (number, landing) in nodes.landings.borrow().iter() {
            let Some(place) = seen.get_mut(*number) else { continue };
            *place =
                Some(if place.is_some() { Landing::Bad("elements that are repeated") } else { *landing });
        }
        for (value, landing) in self.marked.iter().zip(seen) {
            let place = match landing {
                Some(Landing::Shown) => continue,
                Some(Landing::Text(node)) => match nodes.hidden_in(node) {
                    None => continue,
                    Some(element) => element,
                },
                Some(Landing::Bad(place)) => place.to_owned(),
                None => String::from("what parsers leave out"),
            };
            let cause = format!(
                "{{{{{}}}}} stands in {place}, to a parser of HTML: there it is not text that only the reader sees",
                value.origin.name
            );
            self.found.lint(
                value.at,
                cause,
                "put it into the text of an ordinary element, and close the elements before it",
            );
        }
        for flaw in nodes.flaws.borrow().iter() {
            self.found.flaw(*flaw);
        }
    }
}
