//! Walks a program once for each way through its blocks that has a piece of its own, with marks in place of values.

use super::comments;
use super::found::{Found, address};
use super::mark::{Mark, Marked, Of};
use super::nodes::{Flaw, Landing};
use super::parser::{DEPTH_MAX, NODES_MAX, Parser, TooComplex, Trail};
use super::places::is_other_ground;
use crate::render::elements::breaks_text;
use crate::render::html::State;
use crate::render::lines::At;
use crate::render::lint::Lint;
use crate::render::program::{Block, Op, ValueOp};
use crate::render::tree::Tree;
use std::collections::BTreeMap;

/// Bytes that are read at most over all ways, where there is more than one.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Blocks that open or close lines or fields in one branch only: each of their combinations is read.
const UNEVEN_BLOCKS_MAX: usize = 6;

/// What is wrong with the places of a person's values, to a parser of HTML, and what it makes of the text otherwise; nothing
/// where nothing depends on a person.
pub(in crate::render) fn judge(ops: &[Op], fixed: &[Box<str>], place: &str) -> (Vec<Lint>, Tree) {
    let Some(first) = first_person(ops) else { return (Vec::new(), Tree::default()) };
    let mut found = Found::new(place, first);
    let bytes = fixed.iter().map(|text| text.len()).sum::<usize>().max(1);
    let ways = width(ops);
    if ways > 1 && ways.saturating_mul(bytes) > BYTES_MAX {
        let cause = format!(
            "its blocks have {ways} ways, which are more than can be read one by one beside {{{{person.…}}}}"
        );
        found.lint(first, cause, "make it shorter, choose among texts before sending, or split the template");
        return found.into_judgement();
    }
    let is_for_both = fixed
        .iter()
        .any(|text| memchr::memmem::find(text.to_ascii_lowercase().as_bytes(), b"noscript").is_some());
    let readers = if is_for_both { &[Scripting::Off, Scripting::On][..] } else { &[Scripting::Off][..] };
    let read = |found: &mut Found<'_>, taken: &BTreeMap<usize, Branch>| {
        for way in 0..ways {
            for scripting in readers {
                if found.lints.is_empty() {
                    Walk::new(fixed, *scripting, taken, found).run(ops, way);
                }
            }
        }
    };
    read(&mut found, &BTreeMap::new());
    let uneven: Vec<(usize, At)> = found.uneven_lines.iter().map(|(block, at)| (*block, *at)).collect();
    let combinations = 1_usize << uneven.len().min(UNEVEN_BLOCKS_MAX);
    if uneven.len() > UNEVEN_BLOCKS_MAX || (combinations * ways).saturating_mul(bytes) > BYTES_MAX {
        let cause = format!(
            "its blocks open or close elements (p, td, table and the like) in {} places: that gives more texts than can be \
             read one by one beside {{{{person.…}}}}",
            uneven.len()
        );
        found.lint(uneven[0].1, cause, "open and close elements on the same side of a block");
    } else if !uneven.is_empty() {
        for combination in 0..combinations {
            let branch =
                |place: usize| if combination >> place & 1 == 1 { Branch::Other } else { Branch::Body };
            let taken = uneven.iter().enumerate().map(|(place, (block, _))| (*block, branch(place)));
            read(&mut found, &taken.collect());
        }
    }
    found.judge_grounds();
    found.into_judgement()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Branch {
    Body,
    Other,
}

/// What a reader makes of `noscript`: elements, or text that is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scripting {
    Off,
    On,
}

/// Where something depends on a person first.
fn first_person(ops: &[Op]) -> Option<At> {
    let in_block = |block: &Block| {
        let itself = block.origin.person.is_some().then_some(block.at);
        itself.or_else(|| first_person(&block.body)).or_else(|| first_person(&block.other))
    };
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

/// Whether white space stands here, be it behind the ends of elements: no word goes on over it.
fn is_before_space(text: &str) -> bool {
    let mut rest = text;
    while let Some(end) = rest.strip_prefix("</") {
        rest = end.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        let Some(behind) = rest.strip_prefix('>') else { return false };
        rest = behind;
    }
    rest.starts_with(|c: char| c.is_ascii_whitespace())
}

struct Walk<'a, 'f, 'p> {
    fixed: &'a [Box<str>],
    scripting: Scripting,
    found: &'f mut Found<'p>,
    parser: Parser,
    mark: Mark,
    /// The values that came, by the number of their marks.
    marked: Vec<&'a ValueOp>,
    /// Which branch is taken of blocks that are uneven; of the others, as many ways tell.
    taken: &'f BTreeMap<usize, Branch>,
    state: State,
    trail: Trail,
    /// Where the tags end that came: their piece and byte, if they end a line or field.
    tags: Vec<Option<(usize, usize)>>,
    /// What the comment that the text is in holds so far.
    comment: String,
}

impl<'a, 'f, 'p> Walk<'a, 'f, 'p> {
    fn new(
        fixed: &'a [Box<str>],
        scripting: Scripting,
        taken: &'f BTreeMap<usize, Branch>,
        found: &'f mut Found<'p>,
    ) -> Self {
        let mark = Mark::random();
        Self {
            fixed,
            scripting,
            found,
            parser: Parser::new(mark.clone(), scripting == Scripting::On),
            mark,
            marked: Vec::new(),
            taken,
            state: State::Text,
            trail: Trail::default(),
            tags: Vec::new(),
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
        let passed_over = self.parser.nodes().passed_over().into_iter();
        self.found.tree.passed_over.extend(passed_over.filter_map(|tag| *self.tags.get(tag)?));
    }

    fn ops(&mut self, ops: &'a [Op], way: usize) -> Result<(), TooComplex> {
        for op in ops {
            match op {
                Op::Fixed(index) => self.fixed(*index)?,
                Op::Value(value) => self.value(value)?,
                Op::If(branch) => self.block(&branch.block, way)?,
                Op::With(with) => self.block(&with.block, way)?,
                Op::Each(each) => self.block(&each.block, way)?,
            }
        }
        Ok(())
    }

    fn fixed(&mut self, piece: usize) -> Result<(), TooComplex> {
        let text = &*self.fixed[piece];
        let mut at = 0;
        while at < text.len() {
            let (passed, behind) = self.state.pass(&text.as_bytes()[at..]);
            if matches!(self.state, State::Comment { .. }) {
                self.comment.push_str(&text[at..at + passed]);
            }
            (self.state, at) = (behind, at + passed);
            let Some(byte) = text.as_bytes().get(at) else { break };
            let before = self.state;
            self.state = before.step(*byte);
            self.note(before, *byte, (piece, at));
            at += 1;
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

    fn note(&mut self, before: State, byte: u8, at: (usize, usize)) {
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
        let text = &self.fixed[at.0][at.1 + 1..];
        self.tags
            .extend(tag.map(|tag| (breaks_text(tag.name.as_str()) && !is_before_space(text)).then_some(at)));
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
        let of = match value.origin.person {
            Some(_) => Of::Person,
            None if value.raw => Of::Job,
            None => return self.parser.feed("x"),
        };
        let mark = self.mark.of(Marked { number: self.marked.len(), of });
        self.marked.push(value);
        self.parser.feed(&mark)
    }

    fn block(&mut self, block: &'a Block, way: usize) -> Result<(), TooComplex> {
        self.edge(block);
        let body = width(&block.body);
        let way = way % block_width(block);
        let (branch, way) = match self.taken.get(&address(block)) {
            Some(branch) => (*branch, way),
            None if way < body => (Branch::Body, way),
            None => (Branch::Other, way - body),
        };
        match branch {
            Branch::Body => {
                let before = self.parser.stand();
                self.ops(&block.body, way)?;
                // The first turn of a loop, and the one behind it.
                self.found.compare(block, before, self.parser.stand());
            }
            Branch::Other => self.ops(&block.other, way)?,
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
        nodes.judge_moves();
        let mut seen: Vec<Option<Landing>> = vec![None; self.marked.len()];
        for (number, landing) in nodes.landings.borrow().iter() {
            let Some(place) = seen.get_mut(*number) else { continue };
            *place =
                Some(if place.is_some() { Landing::Bad("elements that are repeated") } else { *landing });
        }
        for (value, landing) in self.marked.iter().zip(seen) {
            if value.origin.person.is_none() {
                if landing == Some(Landing::BeforeTable) {
                    self.found.tree.rows.insert(value.at);
                }
                continue;
            }
            let place = match landing {
                Some(Landing::Shown) => continue,
                Some(Landing::Text(node)) => match nodes.hidden_in(node) {
                    None => continue,
                    Some(element) => element,
                },
                Some(Landing::BeforeTable) => String::from("a table, outside of its cells"),
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
