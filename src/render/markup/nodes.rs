//! The tree that the parser builds, as far as it matters where a value has landed.

mod sink;

use super::comments;
use super::mark::{Mark, Marked, Of};
use super::places::hides_text;
use super::styles;
use crate::render::elements::breaks_text;
use crate::render::html::is_shown;
use crate::render::word::{Linking, Word};
use html5ever::tree_builder::NodeOrText;
use html5ever::{Attribute, LocalName, QualName, ns};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Where a value has landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landing {
    /// In the text of this node.
    Text(usize),
    /// In a table, outside of its cells: parsers put it before the table.
    BeforeTable,
    /// In an attribute that only the reader is shown.
    Shown,
    /// Somewhere else.
    Bad(&'static str),
}

/// What is wrong with the part besides its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    Comment(comments::Flaw),
    Style(&'static str),
    /// Text that a table holds outside of its cells is put before it, beside a value about a person.
    Moved,
}

pub(super) struct Nodes {
    list: RefCell<Vec<Node>>,
    /// Whose children those are that were appended under this number.
    slots: RefCell<Vec<usize>>,
    mark: Mark,
    pub(super) landings: RefCell<Vec<(usize, Landing)>>,
    pub(super) flaws: RefCell<Vec<Flaw>>,
    /// Text that came for one place in pieces: behind a character reference a mark may be cut.
    run: RefCell<Run>,
    /// The word that the text is in the middle of, as the tree has it: a tag that parsers pass over ends none.
    word: RefCell<Word>,
    /// The line or field that it stands in.
    block: Cell<Option<usize>>,
    lines: Lines,
    last_value: Cell<usize>,
    /// Values that are part of what clients make a link of.
    pub(super) linked: RefCell<Vec<usize>>,
    /// The text of style sheets.
    css: RefCell<String>,
    /// Attributes that hold a value about a person.
    shown_names: RefCell<Vec<LocalName>>,
}

/// What a text holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    /// Nothing but white space and markup of the job.
    Nothing,
    Text,
    /// A value about the person too.
    Person,
}

#[derive(Default)]
struct Run {
    ground: Ground,
    text: String,
}

/// Where text is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    In(usize),
    /// What a table holds outside of its cells is put before it: into this node.
    BeforeTable(usize),
}

impl Default for Ground {
    fn default() -> Self {
        Self::In(0)
    }
}

/// Which tags ended a line or field of the text, and which lines hold what.
#[derive(Default)]
struct Lines {
    /// Since the last text one has ended.
    is_ended: Cell<bool>,
    /// Tags since the last text, as long as none has ended a line.
    tags: RefCell<Vec<usize>>,
    passed_over: RefCell<Vec<usize>>,
    /// Lines with a value about a person, and those into which text was put that stands elsewhere.
    personal: RefCell<BTreeSet<Option<usize>>>,
    moved: RefCell<BTreeSet<Option<usize>>>,
}

struct Node {
    name: Option<Rc<QualName>>,
    /// Whether a reader sees a new line or another field where it begins and ends.
    breaks: bool,
    /// It stood in a table, outside of its cells.
    is_moved: bool,
    /// The slot in which it stands.
    parent: Option<usize>,
    /// The slot of its own children.
    children: usize,
    contents: usize,
}

impl Nodes {
    pub(super) fn new(mark: Mark) -> Self {
        let nodes = Self {
            list: RefCell::default(),
            slots: RefCell::default(),
            mark,
            landings: RefCell::default(),
            flaws: RefCell::default(),
            run: RefCell::default(),
            word: RefCell::default(),
            block: Cell::new(None),
            lines: Lines::default(),
            last_value: Cell::new(0),
            linked: RefCell::default(),
            css: RefCell::default(),
            shown_names: RefCell::default(),
        };
        nodes.add(None);
        nodes
    }

    pub(super) fn count(&self) -> usize {
        self.list.borrow().len()
    }

    pub(super) fn name(&self, node: usize) -> Option<Rc<QualName>> {
        self.list.borrow()[node].name.clone()
    }

    fn add(&self, name: Option<QualName>) -> usize {
        let (mut list, mut slots) = (self.list.borrow_mut(), self.slots.borrow_mut());
        let node = list.len();
        slots.push(node);
        list.push(Node {
            breaks: name.as_ref().is_some_and(|name| breaks_text(&name.local)),
            name: name.map(Rc::new),
            is_moved: false,
            parent: None,
            children: slots.len() - 1,
            contents: 0,
        });
        node
    }

    fn parent(&self, node: usize) -> Option<usize> {
        Some(self.slots.borrow()[self.list.borrow()[node].parent?])
    }

    fn put(&self, parent: usize, node: usize) {
        let mut list = self.list.borrow_mut();
        let slot = list[parent].children;
        list[node].parent = Some(slot);
    }

    fn land(&self, text: &str, landing: Landing) {
        if self.mark.is_in(text) {
            self.landings.borrow_mut().extend(self.mark.found(text).map(|marked| (marked.number, landing)));
        }
    }

    fn bad(&self, text: &str, place: &'static str) {
        self.land(text, Landing::Bad(place));
    }

    fn text(&self, ground: Ground, text: &str) {
        if self.run.borrow().ground != ground {
            self.end_run();
            self.run.borrow_mut().ground = ground;
        }
        let block = self.block_of(ground);
        if self.block.get() != block {
            self.end_run();
            self.end_word();
            self.block.set(block);
            self.lines.is_ended.set(true);
        }
        let mut tags = self.lines.tags.borrow_mut();
        if !self.lines.is_ended.replace(false) {
            self.lines.passed_over.borrow_mut().extend(tags.iter());
        }
        tags.clear();
        self.run.borrow_mut().text.push_str(text);
    }

    /// The tags of which this is the number came to an end.
    pub(super) fn behind_tag(&self, number: usize) {
        if !self.lines.is_ended.get() {
            self.lines.tags.borrow_mut().push(number);
        }
    }

    /// Tags between two texts that stand in one line or field.
    pub(super) fn passed_over(&self) -> Vec<usize> {
        self.lines.passed_over.take()
    }

    pub(super) fn end_run(&self) {
        let Run { ground, text } = std::mem::take(&mut *self.run.borrow_mut());
        self.run.borrow_mut().ground = ground;
        if text.is_empty() {
            return;
        }
        let holds = self.holds(&text);
        let is_moved = match ground {
            Ground::BeforeTable(_) => true,
            Ground::In(parent) => self.is_moved(parent),
        };
        if is_moved {
            self.land(&text, Landing::BeforeTable);
        }
        if is_moved && holds == Holds::Nothing {
            // Rows, which stay in the table.
            self.end_word();
            return self.lines.is_ended.set(true);
        }
        self.read(&text);
        match (is_moved, holds) {
            (true, _) => self.lines.moved.borrow_mut().insert(self.block_of(ground)),
            (false, Holds::Person) => self.lines.personal.borrow_mut().insert(self.block_of(ground)),
            (false, _) => false,
        };
        let Ground::In(parent) = ground else { return };
        if !is_moved {
            self.land(&text, Landing::Text(parent));
        }
        if self.name(parent).is_some_and(|name| &*name.local == "style") {
            self.css.borrow_mut().push_str(&text);
        }
    }

    fn holds(&self, text: &str) -> Holds {
        let of_piece = |(marked, piece): (Option<Marked>, &str)| match marked {
            Some(Marked { of: Of::Person, .. }) => Holds::Person,
            _ if piece.trim_ascii().is_empty() => Holds::Nothing,
            _ => Holds::Text,
        };
        self.mark.pieces(text).map(of_piece).max().unwrap_or(Holds::Nothing)
    }

    fn read(&self, text: &str) {
        for (marked, piece) in self.mark.pieces(text) {
            let mut word = self.word.borrow_mut();
            if let Some(Marked { number, of }) = marked {
                self.last_value.set(number);
                word.value(of == Of::Person, Linking::Hosts);
            }
            if word.text(piece) || word.leaks() {
                *word = Word::default();
                self.linked.borrow_mut().push(self.last_value.get());
            }
        }
    }

    fn ancestors(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(node), |node| self.parent(*node))
    }

    /// The element around the text that a reader sees as a line or field of its own.
    fn block_of(&self, ground: Ground) -> Option<usize> {
        let (Ground::In(parent) | Ground::BeforeTable(parent)) = ground;
        self.ancestors(parent).find(|node| self.list.borrow()[*node].breaks)
    }

    /// Whether it was put before a table, and not as a line or field of its own.
    fn is_moved(&self, node: usize) -> bool {
        let list = self.list.borrow();
        self.ancestors(node).take_while(|node| !list[*node].breaks).any(|node| list[node].is_moved)
    }

    fn move_before_table(&self, parent: usize, child: NodeOrText<usize>) {
        match child {
            NodeOrText::AppendNode(node) => {
                self.list.borrow_mut()[node].is_moved = true;
                self.put(parent, node);
            }
            NodeOrText::AppendText(text) => self.text(Ground::BeforeTable(parent), &text),
        }
    }

    /// What was put beside a value about a person, though it stands elsewhere.
    pub(super) fn judge_moves(&self) {
        if !self.lines.personal.borrow().is_disjoint(&self.lines.moved.borrow()) {
            self.flaws.borrow_mut().push(Flaw::Moved);
        }
    }

    /// Where the reader sees a new line or another field.
    pub(super) fn break_text(&self) {
        self.end_run();
        self.end_word();
        self.lines.is_ended.set(true);
        self.lines.tags.borrow_mut().clear();
    }

    fn end_word(&self) {
        if self.word.borrow_mut().end() {
            self.linked.borrow_mut().push(self.last_value.get());
        }
    }

    fn attributes(&self, element: &QualName, attributes: &[Attribute]) {
        for Attribute { name, value } in attributes {
            self.bad(&name.local, "the name of an attribute");
            if !self.mark.is_in(value) {
                continue;
            }
            let is_html = element.ns == ns!(html) && name.ns == ns!();
            if is_html && is_shown(&element.local, &name.local) {
                self.shown_names.borrow_mut().push(name.local.clone());
                self.land(value, Landing::Shown);
            } else {
                self.bad(value, "an attribute that is not shown to the reader");
            }
        }
    }

    /// Where the text of a node is, if not where a reader sees it.
    pub(super) fn hidden_in(&self, node: usize) -> Option<String> {
        let mut at = Some(node);
        while let Some(node) = at {
            if let Some(name) = self.name(node)
                && (name.ns != ns!(html) || hides_text(&name.local))
            {
                return Some(format!("a {} element", name.local));
            }
            at = self.parent(node);
        }
        None
    }

    /// What is wrong with the style sheets beside values about a person.
    pub(super) fn judge_styles(&self) {
        let shown = self.shown_names.borrow();
        let names: Vec<&str> = shown.iter().map(|name| &**name).collect();
        if let Some(what) = styles::what_sees_values(&self.css.borrow(), &names) {
            self.flaws.borrow_mut().push(Flaw::Style(what));
        }
    }
}
