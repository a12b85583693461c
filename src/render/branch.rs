//! Control flow carries the value: which way through a message was taken must not show in anything that a client fetches,
//! links or submits. Walks a compiled program, and refuses what would differ by more than text and plain markup.

mod comment;
mod frame;
mod hiding;
mod link;
mod load;
mod markup;
mod report;
mod services;
mod stretch;
mod style;
mod tag;
mod words;

pub(super) use words::{Joint, makes_link};

use super::ground::Ground;
use super::html::State;
use super::lint::Lint;
use super::place::Text;
use super::program::{Block, Op, Syntax, ValueOp};
use super::reading::Line;
use super::structured;
use super::tree::{Hiding, TagEnd, Tree};
use frame::Frame;
use hiding::Hiding as Hidden;
use load::{Extent, Load};
use report::{Cause, Report};
use std::collections::BTreeMap;
pub(super) use style::{understood, without_service_fonts};
use tag::Markup;
use words::{At, Found, Hole, Words};

/// URLs that may stand in blocks that depend on a person, as they are written; none in a content that came with its job.
pub(super) type Allowed<'a> = Option<&'a [Box<str>]>;

/// What became of the walk.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) lints: Vec<Lint>,
    /// Values of the job that must make no link, once they are known.
    pub(super) watched: BTreeMap<At, Watch>,
}

/// What a value of the job must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    Link(Joint),
    /// Markup with a style sheet or something else that sees a value, where the message shows a person.
    Sheet,
}

/// Whether markup of a job brings something of its own that is loaded only where it is used.
pub(super) fn holds_sheet(markup: &str) -> bool {
    let lower = markup.to_ascii_lowercase();
    let has_rules = || lower.contains("<style") && !style::loads(&style::understood(markup)).is_empty();
    ["<link", "<base"].iter().any(|part| lower.contains(part)) || has_rules()
}

pub(super) struct Source<'a> {
    pub(super) ops: &'a [Op],
    pub(super) text: &'a Text<'a>,
    pub(super) tree: &'a Tree,
}

pub(super) fn judge(source: &Source<'_>, allowed: Allowed<'_>) -> Verdict {
    let forks = super::program::has_forks(source.ops);
    let shows = || super::program::values_at_most(source.ops) > 0;
    let Text { fixed, syntax, place } = *source.text;
    let is_html = syntax == Syntax::Html;
    if syntax == Syntax::Header || !(forks || is_html && shows()) {
        return Verdict::default();
    }
    let cursor = Cursor {
        ground: Ground::of(syntax),
        words: Words::new(is_html),
        without: None,
        markup: Markup::default(),
    };
    let mut walk = Walk {
        fixed,
        tree: source.tree,
        cursor,
        cause: None,
        report: Report {
            place,
            allowed,
            lints: Vec::new(),
            loads: Vec::new(),
            hidden: Hidden::default(),
            depends: None,
        },
        watched: BTreeMap::new(),
        raw: Vec::new(),
        turn: Turn::First,
    };
    walk.ops(source.ops);
    walk.end_word();
    walk.verdict()
}

/// Where the walk stands.
#[derive(Clone)]
struct Cursor {
    ground: Ground,
    words: Words,
    /// Those of a reader who is not shown the text of the element that it stands in.
    without: Option<Words>,
    markup: Markup,
}

impl Cursor {
    fn join_without(&mut self, other: Option<Words>) {
        match (&mut self.without, other) {
            (Some(words), Some(other)) => words.join(other, false),
            (without @ None, other) => *without = other,
            (Some(_), None) => {}
        }
    }
}

struct Walk<'a> {
    fixed: &'a [Box<str>],
    tree: &'a Tree,
    cursor: Cursor,
    /// The innermost block around that depends on a person.
    cause: Option<Cause<'a>>,
    report: Report<'a>,
    watched: BTreeMap<At, Watch>,
    /// `{{{…}}}`
    raw: Vec<At>,
    turn: Turn,
}

impl<'a> Walk<'a> {
    fn ops(&mut self, ops: &'a [Op]) {
        for op in ops {
            match op {
                Op::Fixed(index) => self.fixed(*index),
                Op::Value(value) => self.value(value),
                Op::If(branch) => self.block(&branch.block, Turns::Once),
                Op::Each(each) => self.block(&each.block, Turns::Any),
                Op::With(with) => self.block(&with.block, Turns::Once),
            }
        }
    }

    fn fixed(&mut self, piece: usize) {
        let text = self.fixed[piece].as_bytes();
        if let Ground::Flat(_) = self.cursor.ground {
            return self.text(text);
        }
        let mut at = 0;
        while at < text.len() {
            let (passed, behind) = self.cursor.ground.pass(&text[at..]);
            let run = &text[at..at + passed];
            match self.cursor.ground {
                Ground::Html(State::Text | State::Rcdata(_)) => self.text(run),
                Ground::Html(state) if self.cursor.markup.run(state, run, self.cause.is_some()) => {}
                _ => run.iter().for_each(|byte| self.byte(*byte, Line::AsTagged)),
            }
            (self.cursor.ground, at) = (behind, at + passed);
            let Some(byte) = text.get(at) else { break };
            match *byte {
                b'>' => self.tag_end((piece, at)),
                byte => self.byte(byte, Line::AsTagged),
            }
            at += 1;
        }
    }

    fn tag_end(&mut self, at: TagEnd) {
        let line = if self.tree.is_passed_over(at) { Line::Either } else { Line::AsTagged };
        match self.tree.hiding(at) {
            Some(hiding) => self.hiding_tag(line, hiding),
            None => self.byte(b'>', line),
        }
    }

    fn byte(&mut self, byte: u8, line: Line) {
        let before = self.cursor.ground;
        let after = step(before, byte);
        self.cursor.ground = after;
        match (before, after) {
            (Ground::Html(before), Ground::Html(after)) => {
                let is_text = |state| matches!(state, State::Text | State::Rcdata(_));
                if is_text(before) && is_text(after) {
                    return self.text(&[byte]);
                }
                let cause = self.cause;
                let ends_word = self.cursor.markup.byte((before, after), byte, &mut self.report, cause);
                if ends_word {
                    self.end_line(line);
                }
            }
            (Ground::Structured(before), Ground::Structured(after)) => {
                match before.seen(char::from(byte), after) {
                    structured::Seen::Nothing => {}
                    structured::Seen::End => self.end_word(),
                    structured::Seen::Sign(c) if c == char::from(byte) => self.text(&[byte]),
                    structured::Seen::Sign(c) => self.text(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                self.seen_by_others(after);
            }
            _ => self.text(&[byte]),
        }
    }

    /// A tag with which text begins or ends to be hidden: behind it, words go on as if that text were shown, or not.
    fn hiding_tag(&mut self, line: Line, hiding: Hiding) {
        let before = hiding.has(Hiding::BEGINS).then(|| self.cursor.words.clone());
        self.byte(b'>', line);
        let without = self.cursor.without.take();
        if hiding.has(Hiding::ENDS) {
            let behind = without.iter().chain(&before).cloned();
            behind.for_each(|words| self.cursor.words.join(words, false));
        }
        if hiding.has(Hiding::GOES_ON) {
            self.cursor.without = without;
            self.cursor.join_without(before);
        }
    }

    fn text(&mut self, text: &[u8]) {
        if let Some(cause) = self.cause.filter(|_| !text.trim_ascii().is_empty()) {
            self.report.depends(Extent::Texts, cause);
        }
        let mut found = Vec::new();
        self.cursor.words.text(text, self.cause.is_some(), &mut found);
        self.found(found);
    }

    fn end_line(&mut self, line: Line) {
        let goes_on = (line != Line::AsTagged).then(|| self.cursor.words.clone());
        self.end_word();
        goes_on.into_iter().for_each(|words| self.cursor.words.join(words, false));
    }

    fn end_word(&mut self) {
        let mut found = Vec::new();
        self.cursor.words.end(&mut found);
        self.found(found);
    }

    fn found(&mut self, found: Vec<Found>) {
        for one in found {
            match one {
                Found::Link(url) if self.report.is_allowed(&url) => {}
                Found::Link(url) => {
                    let cause = self.cause.or(self.report.depends.map(|(_, cause)| cause));
                    if let Some(cause) = cause {
                        self.report.refuse(&url, cause);
                    }
                }
                Found::Watched(at, joint) if !self.raw.contains(&at) => {
                    let Watch::Link(known) = self.watched.entry(at).or_insert(Watch::Link(joint)) else {
                        continue;
                    };
                    *known = joint.max(*known);
                }
                Found::Joined(at) | Found::Watched(at, _) => {
                    let told = "a value of the job is joined to other text in a word that depends on the person: \
                                together they may be a link";
                    self.report.lint(at, told.into(), "put spaces around the value");
                }
            }
        }
    }

    fn value(&mut self, value: &'a ValueOp) {
        let person = value.origin.person.as_deref().map(|field| Cause { field, at: value.at });
        if let Some(cause) = person {
            self.report.depends(Extent::Values, cause);
        }
        match self.cursor.ground {
            Ground::Html(State::Text) if value.raw => match self.cause {
                Some(cause) => {
                    self.report.refuse(&format!("the markup {{{{{{{}}}}}}}", value.origin.name), cause)
                }
                None => {
                    self.raw.push(value.at);
                    self.cursor.words.hole(Hole::Data(value.at), false);
                }
            },
            Ground::Html(State::Value(..)) => {
                self.cursor.markup.value(person, &mut self.report, self.cause);
            }
            Ground::Html(State::Text | State::Rcdata(_)) | Ground::Flat(_) => self.word_value(value),
            Ground::Structured(state) => {
                self.seen_by_others(state);
                if state.is_readable() {
                    self.word_value(value);
                }
            }
            Ground::Html(_) => {}
        }
    }

    fn seen_by_others(&mut self, state: structured::State) {
        if let (Some(what), Some(cause)) = (state.seen_by_others(), self.cause) {
            self.report.refuse(what, cause);
        }
    }

    fn word_value(&mut self, value: &'a ValueOp) {
        if let Some(cause) = self.cause {
            self.report.depends(Extent::Texts, cause);
        }
        // What stands in a block about an entry is the job's, though a person chose it.
        let is_persons = value.expr.reads_person() && !value.expr.looks_up();
        let hole = if is_persons { Hole::Person } else { Hole::Data(value.at) };
        let is_chosen = !is_persons && value.origin.person.is_some();
        self.cursor.words.hole(hole, self.cause.is_some() || is_chosen);
    }

    fn block(&mut self, block: &'a Block, turns: Turns) {
        let outer = self.cause;
        if let Some(field) = &block.origin.person {
            let cause = Cause { field, at: block.at };
            self.cause = Some(cause);
            self.report.depends(Extent::Values, cause);
        }
        let around = std::mem::take(&mut self.cursor.markup.frame);
        let start = self.cursor.clone();
        self.branch(&block.body, &start);
        if turns == Turns::Any {
            self.again(block, &start);
        }
        let body = std::mem::replace(&mut self.cursor, start.clone());
        self.branch(&block.other, &start);
        let other = std::mem::replace(&mut self.cursor, body);
        self.cursor.words.join(other.words, self.cause.is_some());
        self.cursor.join_without(other.without);
        self.cursor.markup.join(&start.markup, &other.markup, self.cause.is_some());
        self.settle(other.markup.frame, turns);
        self.cause = outer;
        let inner = std::mem::replace(&mut self.cursor.markup.frame, around);
        self.cursor.markup.frame.append(inner);
    }

    /// A loop's second turn begins where its first one ended. Loops within it are walked once more each, and not twice.
    fn again(&mut self, block: &'a Block, start: &Cursor) {
        let once = self.cursor.clone();
        self.cursor.words.join(start.words.clone(), self.cause.is_some());
        if self.turn == Turn::First {
            self.turn = Turn::Second;
            self.cursor.markup.frame = Frame::default();
            self.branch(&block.body, start);
            self.cursor.words.join(once.words, self.cause.is_some());
            self.cursor.markup.frame = once.markup.frame;
            self.turn = Turn::First;
        }
    }

    fn branch(&mut self, ops: &'a [Op], start: &Cursor) {
        self.ops(ops);
        let grounds = (start.ground, self.cursor.ground);
        self.cursor.markup.end_branch(grounds, &mut self.report, self.cause);
    }

    /// Elements that are opened in one branch and not in the other would hold what follows, or not.
    fn settle(&mut self, other: Frame, turns: Turns) {
        let Some(cause) = self.cause else { return };
        let body = &self.cursor.markup.frame;
        if !(body.is_empty() && other.is_empty()) {
            self.report.hidden.open_element();
        }
        let is_even = body.is_like(&other) && (turns == Turns::Once || body.is_empty());
        if !is_even {
            self.report.refuse("an element that is opened or closed", cause);
        } else if body.is_loud() || other.is_loud() {
            self.report.refuse("an element around what follows, with a style that may hide it,", cause);
        }
    }

    fn verdict(mut self) -> Verdict {
        self.report.loads.extend(self.report.hidden.found());
        let Report { loads, depends, allowed, .. } = &self.report;
        let mut told = Vec::new();
        if let Some((extent, cause)) = depends {
            let is_allowed =
                |load: &&Load| allowed.unwrap_or_default().iter().any(|url| **url == *load.address);
            for load in loads.iter().filter(|load| load.from <= *extent).filter(|load| !is_allowed(load)) {
                told.push((*cause, load.clone()));
            }
        }
        for (cause, load) in told {
            let (what, fix) = load.refusal(cause.field);
            self.report.lint(cause.at, what, fix);
        }
        if self.report.depends.is_some() {
            self.watched.extend(self.raw.iter().map(|at| (*at, Watch::Sheet)));
        }
        let mut lints = self.report.lints;
        lints.sort();
        lints.dedup();
        Verdict { lints, watched: self.watched }
    }
}

fn step(ground: Ground, byte: u8) -> Ground {
    match ground {
        Ground::Flat(_) => ground,
        Ground::Html(state) => Ground::Html(state.step(byte)),
        Ground::Structured(state) => Ground::Structured(state.step(byte)),
    }
}

/// Of the loops around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Second,
}

/// How often a block may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turns {
    Once,
    Any,
}
