//! The tree that the parser builds, as far as it matters where a value has landed.

use super::comments;
use super::places::hides_text;
use super::styles;
use crate::render::html::is_shown;
use crate::render::reading::breaks_text;
use crate::render::word::{Linking, Word};
use html5ever::tendril::StrTendril;
use html5ever::tree_builder::{ElemName, ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::{Attribute, LocalName, Namespace, QualName, ns};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Where a value has landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landing {
    /// In the text of this node.
    Text(usize),
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
}

pub(super) struct Nodes {
    list: RefCell<Vec<Node>>,
    /// Whose children those are that were appended under this number.
    slots: RefCell<Vec<usize>>,
    mark: Mark,
    pub(super) landings: RefCell<Vec<(usize, Landing)>>,
    pub(super) flaws: RefCell<Vec<Flaw>>,
    /// Text that came for one place in pieces: behind a character reference a mark may be cut.
    run: RefCell<(Ground, String)>,
    /// The word that the text is in the middle of, as the tree has it: a tag that parsers pass over ends none.
    word: RefCell<Word>,
    /// The line or field that it stands in.
    block: Cell<Option<usize>>,
    last_value: Cell<usize>,
    /// Values that are part of what clients make a link of.
    pub(super) linked: RefCell<Vec<usize>>,
    /// The text of style sheets.
    css: RefCell<String>,
    /// Attributes that hold a value about a person.
    shown_names: RefCell<Vec<LocalName>>,
}

/// Where text is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    In(usize),
    /// What a table holds outside of its cells is put before it.
    BeforeTable,
}

struct Node {
    name: Option<Rc<QualName>>,
    /// The slot in which it stands.
    parent: Option<usize>,
    /// The slot of its own children.
    children: usize,
    contents: usize,
}

/// What stands in place of values about a person: a word that is in no template, and a number.
#[derive(Debug, Clone)]
pub(super) struct Mark(String);

impl Mark {
    pub(super) fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self(format!("v{:016x}v", RandomState::new().hash_one(0)))
    }

    pub(super) fn of(&self, number: usize) -> String {
        format!("{}{number}e", self.0)
    }

    /// The numbers of the values in the text.
    fn found<'t>(&'t self, text: &'t str) -> impl Iterator<Item = usize> + 't {
        text.split(self.0.as_str()).skip(1).filter_map(|behind| behind.split('e').next()?.parse().ok())
    }

    fn is_in(&self, text: &str) -> bool {
        memchr::memmem::find(text.as_bytes(), self.0.as_bytes()).is_some()
    }
}

pub(super) struct Named(Rc<QualName>);

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.local.fmt(f)
    }
}

impl ElemName for Named {
    fn ns(&self) -> &Namespace {
        &self.0.ns
    }

    fn local_name(&self) -> &LocalName {
        &self.0.local
    }
}

impl Nodes {
    pub(super) fn new(mark: Mark) -> Self {
        let nodes = Self {
            list: RefCell::default(),
            slots: RefCell::default(),
            mark,
            landings: RefCell::default(),
            flaws: RefCell::default(),
            run: RefCell::new((Ground::In(0), String::new())),
            word: RefCell::default(),
            block: Cell::new(None),
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
        list.push(Node { name: name.map(Rc::new), parent: None, children: slots.len() - 1, contents: 0 });
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

    fn land(&self, number: usize, landing: Landing) {
        self.landings.borrow_mut().push((number, landing));
    }

    fn bad(&self, text: &str, place: &'static str) {
        self.mark.found(text).for_each(|number| self.land(number, Landing::Bad(place)));
    }

    fn text(&self, ground: Ground, text: &str) {
        if self.run.borrow().0 != ground {
            self.end_run();
            self.run.borrow_mut().0 = ground;
        }
        self.run.borrow_mut().1.push_str(text);
    }

    pub(super) fn end_run(&self) {
        let text = std::mem::take(&mut self.run.borrow_mut().1);
        if text.is_empty() {
            return;
        }
        let block = self.block_of(self.run.borrow().0);
        if self.block.replace(block) != block {
            self.end_word();
        }
        self.read(&text);
        match self.run.borrow().0 {
            Ground::BeforeTable => self.bad(&text, "a table, outside of its cells"),
            Ground::In(parent) => {
                self.mark.found(&text).for_each(|number| self.land(number, Landing::Text(parent)));
                if self.name(parent).is_some_and(|name| &*name.local == "style") {
                    self.css.borrow_mut().push_str(&text);
                }
            }
        }
    }

    fn read(&self, text: &str) {
        for (index, piece) in text.split(self.mark.0.as_str()).enumerate() {
            let mut piece = piece;
            if index > 0 {
                let Some((number, behind)) = piece.split_once('e') else { continue };
                number.parse().into_iter().for_each(|number| self.last_value.set(number));
                self.word.borrow_mut().value(true, Linking::Hosts);
                piece = behind;
            }
            let mut word = self.word.borrow_mut();
            if piece.chars().any(|c| word.step(c, Linking::Hosts)) || word.leaks() {
                *word = Word::default();
                self.linked.borrow_mut().push(self.last_value.get());
            }
        }
    }

    /// The element around the text that a reader sees as a line or field of its own.
    fn block_of(&self, ground: Ground) -> Option<usize> {
        let Ground::In(parent) = ground else { return None };
        let breaks = |node: &usize| self.name(*node).is_some_and(|name| breaks_text(&name.local));
        std::iter::successors(Some(parent), |node| self.parent(*node)).find(breaks)
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
        for Attribute { name, value } in attributes {
            self.bad(&name.local, "the name of an attribute");
            if !self.mark.is_in(value) {
                continue;
            }
            let is_html = element.ns == ns!(html) && name.ns == ns!();
            if is_html && is_shown(&element.local, &name.local) {
                self.shown_names.borrow_mut().push(name.local.clone());
                self.mark.found(value).for_each(|number| self.land(number, Landing::Shown));
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

impl TreeSink for Nodes {
    type Handle = usize;
    type Output = Self;
    type ElemName<'a> = Named;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, _msg: Cow<'static, str>) {}

    fn get_document(&self) -> usize {
        0
    }

    fn elem_name<'a>(&'a self, target: &'a usize) -> Named {
        Named(self.name(*target).expect("only elements are asked for their names"))
    }

    fn create_element(&self, name: QualName, attrs: Vec<Attribute>, _flags: ElementFlags) -> usize {
        self.bad(&name.local, "the name of a tag");
        self.attributes(&name, &attrs);
        if breaks_text(&name.local) {
            self.break_text();
        }
        let is_template = &*name.local == "template";
        let node = self.add(Some(name));
        if is_template {
            let contents = self.add(None);
            self.put(node, contents);
            self.list.borrow_mut()[node].contents = contents;
        }
        node
    }

    fn create_comment(&self, text: StrTendril) -> usize {
        self.bad(&text, "a comment");
        if let Some(flaw) = comments::flaw(&text) {
            self.flaws.borrow_mut().push(Flaw::Comment(flaw));
        }
        self.add(None)
    }

    fn create_pi(&self, target: StrTendril, data: StrTendril) -> usize {
        self.bad(&target, "a comment");
        self.bad(&data, "a comment");
        self.add(None)
    }

    fn append(&self, parent: &usize, child: NodeOrText<usize>) {
        match child {
            NodeOrText::AppendNode(node) => self.put(*parent, node),
            NodeOrText::AppendText(text) => self.text(Ground::In(*parent), &text),
        }
    }

    fn append_based_on_parent_node(&self, element: &usize, prev_element: &usize, child: NodeOrText<usize>) {
        match child {
            NodeOrText::AppendNode(node) => self.put(self.parent(*element).unwrap_or(*prev_element), node),
            NodeOrText::AppendText(text) => self.text(Ground::BeforeTable, &text),
        }
    }

    fn append_doctype_to_document(&self, name: StrTendril, public_id: StrTendril, system_id: StrTendril) {
        [name, public_id, system_id].iter().for_each(|text| self.bad(text, "the document type"));
    }

    fn get_template_contents(&self, target: &usize) -> usize {
        self.list.borrow()[*target].contents
    }

    fn same_node(&self, x: &usize, y: &usize) -> bool {
        x == y
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &usize, new_node: NodeOrText<usize>) {
        match new_node {
            NodeOrText::AppendNode(node) => self.put(self.parent(*sibling).unwrap_or(0), node),
            NodeOrText::AppendText(text) => self.text(Ground::BeforeTable, &text),
        }
    }

    fn add_attrs_if_missing(&self, target: &usize, attrs: Vec<Attribute>) {
        if let Some(name) = self.name(*target) {
            self.attributes(&name, &attrs);
        }
    }

    fn remove_from_parent(&self, target: &usize) {
        self.list.borrow_mut()[*target].parent = None;
    }

    fn reparent_children(&self, node: &usize, new_parent: &usize) {
        let (mut list, mut slots) = (self.list.borrow_mut(), self.slots.borrow_mut());
        let slot = list[*node].children;
        slots[slot] = *new_parent;
        slots.push(*node);
        list[*node].children = slots.len() - 1;
    }
}
