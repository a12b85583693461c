//! The tree that the parser builds, as far as it matters where a value has landed.

mod sink;

use super::active::{as_font, what_sees};
use super::comments;
use super::css::{Sheets, Shown};
use super::mark::{Mark, Marked, Of};
use super::places::{breaks_line, hides_around, hides_text};
use super::styles::Styles;
use crate::render::html::is_shown;
use crate::render::tree::Stands;
use crate::render::word::{Linking, Word};
use html5ever::tree_builder::NodeOrText;
use html5ever::{Attribute, QualName, ns};
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
    Sees(&'static str),
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
    pub(super) tagged: Cell<Tagged>,
    /// Lines with a value about a person, and those into which text was put that stands elsewhere.
    personal: RefCell<Lines>,
    moved: RefCell<Lines>,
    last_value: Cell<usize>,
    /// Values that are part of what clients make a link of.
    pub(super) linked: RefCell<Vec<usize>>,
    sheets: Rc<Sheets>,
    styles: RefCell<Styles>,
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

/// Lines by the tag with which they begin; none for what stands in no line of its own.
pub(super) type Lines = BTreeSet<Option<usize>>;

/// What the tag did that the parser is at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tagged {
    pub(super) number: usize,
    /// Elements that a reader sees as lines or fields were begun.
    pub(super) lines_begun: usize,
    /// Likewise, elements whose text is hidden.
    pub(super) hiding_begun: usize,
}

struct Node {
    name: Option<Rc<QualName>>,
    /// Whether a reader sees a new line or another field where it begins and ends.
    breaks: bool,
    /// Whether its text is not shown, or not beside the text around it.
    hides: bool,
    /// Programs take its text for an address.
    is_for_machines: bool,
    /// The tag with which it came.
    tag: usize,
    /// It stood in a table, outside of its cells.
    is_moved: bool,
    /// The slot in which it stands.
    parent: Option<usize>,
    /// The slot of its own children.
    children: usize,
    contents: usize,
}

impl Nodes {
    pub(super) fn new(mark: Mark, sheets: Rc<Sheets>) -> Self {
        let nodes = Self {
            list: RefCell::default(),
            slots: RefCell::default(),
            mark,
            landings: RefCell::default(),
            flaws: RefCell::default(),
            run: RefCell::default(),
            word: RefCell::default(),
            block: Cell::new(None),
            tagged: Cell::default(),
            personal: RefCell::default(),
            moved: RefCell::default(),
            last_value: Cell::new(0),
            linked: RefCell::default(),
            sheets,
            styles: RefCell::default(),
        };
        nodes.add(None, Shown::default());
        nodes
    }

    pub(super) fn count(&self) -> usize {
        self.list.borrow().len()
    }

    pub(super) fn name(&self, node: usize) -> Option<Rc<QualName>> {
        self.list.borrow()[node].name.clone()
    }

    fn add(&self, name: Option<QualName>, shown: Shown) -> usize {
        let (mut list, mut slots) = (self.list.borrow_mut(), self.slots.borrow_mut());
        let node = list.len();
        slots.push(node);
        let mut tagged = self.tagged.get();
        let is = |kind: fn(&QualName) -> bool| name.as_ref().is_some_and(kind);
        let (breaks, hides) = (!shown.in_line && is(breaks_line), shown.hidden || is(hides_around));
        tagged.lines_begun += usize::from(breaks);
        tagged.hiding_begun += usize::from(hides);
        self.tagged.set(tagged);
        list.push(Node {
            breaks,
            hides,
            is_for_machines: false,
            tag: tagged.number,
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
        }
        self.run.borrow_mut().text.push_str(text);
    }

    pub(super) fn begin_tag(&self, number: usize) {
        self.tagged.set(Tagged { number, ..Tagged::default() });
    }

    pub(super) fn breaks(&self, node: usize) -> bool {
        self.list.borrow()[node].breaks
    }

    pub(super) fn is_for_machines(&self, node: usize) -> bool {
        self.list.borrow()[node].is_for_machines
    }

    pub(super) fn hides(&self, node: usize) -> bool {
        self.list.borrow()[node].hides
    }

    /// Lines with a value about a person, and those into which text was put that stands elsewhere.
    pub(super) fn lines(&self) -> (Lines, Lines) {
        (self.personal.take(), self.moved.take())
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
            return self.end_word();
        }
        self.read(&text);
        let line = || self.block_of(ground).map(|node| self.list.borrow()[node].tag);
        match (is_moved, holds) {
            (true, _) => self.moved.borrow_mut().insert(line()),
            (false, Holds::Person) => self.personal.borrow_mut().insert(line()),
            (false, _) => false,
        };
        let Ground::In(parent) = ground else { return };
        if !is_moved {
            self.land(&text, Landing::Text(parent));
        }
        match self.name(parent).filter(|name| &*name.local == "style") {
            Some(name) if name.ns != ns!(html) => self.styles.borrow_mut().sheet_of_drawing(&text),
            Some(_) => self.styles.borrow_mut().sheet(&text),
            None => {}
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
        if !self.personal.borrow().is_disjoint(&self.moved.borrow()) {
            self.flaws.borrow_mut().push(Flaw::Moved);
        }
    }

    /// Where the reader sees a new line or another field.
    pub(super) fn break_text(&self) {
        self.end_run();
        self.end_word();
    }

    fn end_word(&self) {
        if self.word.borrow_mut().end() {
            self.linked.borrow_mut().push(self.last_value.get());
        }
    }

    fn attributes(&self, element: &QualName, attributes: &[Attribute]) {
        self.flaws.borrow_mut().extend(what_sees(&element.local, attributes).map(Flaw::Sees));
        for Attribute { name, value } in attributes {
            self.bad(&name.local, "the name of an attribute");
            self.styles.borrow_mut().attribute(&name.local, as_font(&name.local, value));
            if !self.mark.is_in(value) {
                continue;
            }
            let is_html = element.ns == ns!(html) && name.ns == ns!();
            if is_html && is_shown(&element.local, &name.local) {
                self.styles.borrow_mut().shows(&name.local);
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
            if self.is_for_machines(node) {
                return Some(String::from("an element that programs take an address from (itemprop)"));
            }
            at = self.parent(node);
        }
        None
    }

    /// Where markup of the job stands whose text is in this node.
    pub(super) fn stands(&self, node: usize) -> Stands {
        if self.hidden_in(node).is_some() {
            return Stands::OtherGround;
        }
        let stands_in = |node: usize| {
            let name = self.name(node)?;
            match &*name.local {
                "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => Some(Stands::Heading),
                "li" | "dd" | "dt" => Some(Stands::Item),
                _ => None,
            }
        };
        let mut found = self.ancestors(node).filter_map(stands_in);
        let first = found.next().unwrap_or(Stands::Text);
        if found.any(|stands| stands == Stands::Heading) { Stands::Heading } else { first }
    }

    /// What is wrong with the styles beside values about a person.
    pub(super) fn judge_styles(&self) {
        self.flaws.borrow_mut().extend(self.styles.borrow().what_sees_values().map(Flaw::Sees));
    }
}
