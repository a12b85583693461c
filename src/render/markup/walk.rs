//! Walks a program once for each way through its blocks that has a piece of its own, with marks in place of values.

use super::comments;
use super::css::Sheets;
use super::found::Found;
use super::mark::{DATA, Mark, Marked, Of};
use super::nodes::{Flaw, Landing};
use super::parser::{DEPTH_MAX, NODES_MAX, Parser, TooComplex, Trail};
use super::places::is_other_ground;
use super::regions::{Regions, Written};
use super::ways::{Branch, Taken, Turn, block_width, width};
use crate::render::html::{Quote, State};
use crate::render::program::{Block, Op, ValueOp};
use crate::render::tree::{Hiding, Stands, TagEnd};
use std::rc::Rc;

/// What a reader makes of `noscript`: elements, or text that is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scripting {
    Off,
    On,
}

/// How often a block may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turns {
    Once,
    Any,
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

pub(super) struct Walk<'a, 'f, 'p> {
    fixed: &'a [Box<str>],
    scripting: Scripting,
    found: &'f mut Found<'p>,
    parser: Parser,
    mark: Mark,
    /// The values that came, by the number of their marks.
    marked: Vec<&'a ValueOp>,
    /// Which branch is taken of blocks that are uneven.
    taken: &'f Taken,
    turn: Turn,
    state: State,
    trail: Trail,
    /// Where the tags end that came.
    tags: Vec<TagEnd>,
    /// Blocks within tags, with the number of the tag.
    in_tags: Vec<(usize, &'a Block)>,
    regions: Regions,
    /// What the comment that the text is in holds so far.
    comment: String,
}

impl<'a, 'f, 'p> Walk<'a, 'f, 'p> {
    pub(super) fn new(
        fixed: &'a [Box<str>],
        sheets: &Rc<Sheets>,
        scripting: Scripting,
        taken: &'f Taken,
        found: &'f mut Found<'p>,
    ) -> Self {
        let mark = Mark::random();
        Self {
            fixed,
            scripting,
            found,
            parser: Parser::new(mark.clone(), scripting == Scripting::On, sheets.clone()),
            mark,
            marked: Vec::new(),
            taken,
            turn: Turn::First,
            state: State::Text,
            trail: Trail::default(),
            tags: Vec::new(),
            in_tags: Vec::new(),
            regions: Regions::default(),
            comment: String::new(),
        }
    }

    pub(super) fn run(mut self, ops: &'a [Op], way: usize) {
        if let Err(TooComplex) = self.ops(ops, way) {
            let cause = format!(
                "more than {DEPTH_MAX} elements within each other, or {NODES_MAX} in all: browsers read such HTML in ways of \
                 their own"
            );
            return self.found.lint(self.found.at, cause, "close elements where they end");
        }
        self.parser.end();
        self.judge_landings();
        // With scripts, what stands in noscript is text: there are other tags than in our own reading.
        if self.scripting == Scripting::Off {
            self.judge_tags();
        }
    }

    fn judge_tags(&mut self) {
        if let Some(element) = self.regions.broken(&self.parser.depths()) {
            self.found.broken.get_or_insert(element);
        }
        let (passed_over, hiding) = (self.parser.passed_over(), self.parser.hiding());
        for (tag, block) in &self.in_tags {
            let Some(at) = self.tags.get(*tag) else { continue };
            let hides = hiding.iter().find(|(hiding, _)| hiding == tag).map(|(_, hiding)| *hiding);
            self.found.styled(*at, block, (passed_over.contains(tag), hides));
        }
        let tree = &mut self.found.tree;
        for tag in passed_over {
            let Some(at) = self.tags.get(tag) else { continue };
            if !is_before_space(&self.fixed[at.0][at.1 + 1..]) {
                tree.passed_over.insert(*at);
            }
        }
        for (tag, hiding) in hiding {
            let Some(at) = self.tags.get(tag) else { continue };
            let known = tree.hiding.entry(*at).or_default();
            *known = known.and(hiding);
        }
        let (personal, moved) = self.parser.nodes().lines();
        let place = |line: Option<usize>| line.and_then(|tag| self.tags.get(tag).copied());
        self.found.personal_lines.extend(personal.into_iter().map(place));
        self.found.moved_lines.extend(moved.into_iter().map(place));
    }

    fn ops(&mut self, ops: &'a [Op], way: usize) -> Result<(), TooComplex> {
        for op in ops {
            match op {
                Op::Fixed(index) => self.fixed(*index)?,
                Op::Value(value) => self.value(value)?,
                Op::If(branch) => self.block(&branch.block, way, Turns::Once)?,
                Op::With(with) => self.block(&with.block, way, Turns::Once)?,
                Op::Each(each) => self.block(&each.block, way, Turns::Any)?,
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
                // A byte that was taken by itself may have been the first one of a letter.
                self.comment.push_str(&String::from_utf8_lossy(&text.as_bytes()[at..at + passed]));
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
        let Some(tag) = tag else { return };
        let is_unquoted = matches!(before, State::Value(_, _, Quote::None, _));
        let is_self_closing = !is_unquoted && self.fixed[at.0][..at.1].ends_with('/');
        let written = if is_self_closing { Written::SelfClosing } else { Written::Plain };
        self.regions.tag(self.tags.len(), tag, written);
        self.tags.push(at);
        if is_other_ground(tag.name.as_str()) {
            self.found.other_ground.get_or_insert_with(|| tag.name.as_str().to_owned());
        }
        if tag.name.as_str() == "noscript" {
            // With scripts, it ends here whatever stands in it.
            let hiding = if tag.end { Hiding::ENDS } else { Hiding::BEGINS.and(Hiding::GOES_ON) };
            let known = self.found.tree.hiding.entry(at).or_default();
            *known = known.and(hiding);
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
            None if matches!(self.state, State::Value(..)) => {
                return self.parser.feed(DATA.encode_utf8(&mut [0; 4]));
            }
            None => return self.parser.feed("x"),
        };
        let mark = self.mark.of(Marked { number: self.marked.len(), of });
        self.marked.push(value);
        self.parser.feed(&mark)
    }

    fn block(&mut self, block: &'a Block, way: usize, turns: Turns) -> Result<(), TooComplex> {
        self.edge(block);
        if block.origin.person.is_some() && self.parser.is_for_machines() {
            let cause =
                "the block depends on a person, in an element that programs take an address from (itemprop)";
            self.found.lint(
                block.at,
                cause,
                "put the block around or behind the element, or take itemprop out",
            );
        }
        if self.state.tag().is_some() {
            self.in_tags.push((self.tags.len(), block));
        }
        let body = width(&block.body);
        let way = way % block_width(block);
        let (branch, way) = match self.taken.of(block, self.turn) {
            Some(branch) => (branch, way),
            None if way < body => (Branch::Body, way),
            None => (Branch::Other, way - body),
        };
        let before = self.parser.stand();
        match branch {
            Branch::Body => {
                self.ops(&block.body, way)?;
                if turns == Turns::Any && self.parser.stand().blocks != before.blocks {
                    self.again(block, way)?;
                }
            }
            Branch::Other => self.ops(&block.other, way)?,
        }
        self.edge(block);
        self.found.meet(block, before, self.parser.stand());
        Ok(())
    }

    /// A loop that opens or closes something begins its later turns elsewhere: with the first of them it must have come to
    /// where it stays.
    fn again(&mut self, block: &'a Block, way: usize) -> Result<(), TooComplex> {
        let once = self.parser.stand();
        let turn = std::mem::replace(&mut self.turn, Turn::Later);
        self.found.later_turns += 1;
        self.ops(&block.body, way)?;
        self.turn = turn;
        if self.taken.branches.is_empty() && self.parser.stand().blocks != once.blocks {
            let cause = "each turn of the loop opens or closes one more element (div, table and the like), and {{person.…}} stands \
                         in the same part";
            self.found.lint(block.at, cause, "open and close elements on the same side of the loop");
        }
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
                let stands = match landing {
                    Some(Landing::BeforeTable) => Stands::Table,
                    Some(Landing::Text(node)) => nodes.stands(node),
                    Some(Landing::Shown | Landing::Bad(_)) | None => Stands::OtherGround,
                };
                self.found.markup(value.at, stands);
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
