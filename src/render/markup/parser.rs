//! The parser, fed piece by piece: what it has read so far, and which elements are open.

use super::css::Sheets;
use super::mark::Mark;
use super::nodes::{Nodes, Tagged};
use super::places::shapes_lines;
use crate::render::elements::breaks_text;
use crate::render::html::{Name, Tag};
use crate::render::tree::Hiding;
use html5ever::TokenizerResult;
use html5ever::buffer_queue::BufferQueue;
use html5ever::ns;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{Tracer, TreeBuilder, TreeBuilderOpts};
use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// Elements within each other; what is deeper than 512 browsers read in ways of their own.
pub(super) const DEPTH_MAX: usize = 256;
/// Elements in one part: those that are not closed are repeated in each block that follows.
pub(super) const NODES_MAX: usize = 100_000;
/// Between two looks at these limits.
const STEP_BYTES: usize = 2048;

/// Whether tags and comments came in the same order: their names, and nothing of what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Trail(u64);

impl Trail {
    pub(super) fn add(&mut self, tag: Option<Tag>) {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        tag.map(|tag| tag.end).hash(&mut hasher);
        tag.iter().for_each(|tag| tag.name.as_str().hash(&mut hasher));
        self.0 = hasher.finish();
    }
}

/// The elements that are open, and what the parser keeps in mind beside them: what decides how the rest is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) all: u64,
    /// Of those that decide how tags of lines and fields are read.
    pub(super) blocks: u64,
}

/// Past one of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooComplex;

pub(super) struct Parser {
    tokenizer: Tokenizer<Watch>,
}

/// Between the tokenizer and the builder of the tree.
struct Watch {
    builder: TreeBuilder<usize, Nodes>,
    trail: Cell<Trail>,
    tags: RefCell<Tags>,
}

/// What came of the tags.
#[derive(Default)]
struct Tags {
    /// Behind each of them: how many elements are open whose text is hidden.
    depths: Vec<usize>,
    /// Those that ended no line or field, though they are of one.
    passed_over: Vec<usize>,
    hiding: Vec<(usize, Hiding)>,
}

impl TokenSink for Watch {
    type Handle = usize;

    fn process_token(&self, token: Token, line_number: u64) -> TokenSinkResult<usize> {
        match &token {
            Token::TagToken(tag) => {
                let name = tag.name.bytes().fold(Name::EMPTY, Name::with);
                let tag = Tag { end: tag.kind == TagKind::EndTag, name };
                self.follow(Some(tag));
                self.tag(tag, token, line_number)
            }
            Token::CommentToken(_) | Token::DoctypeToken(_) => {
                self.follow(None);
                self.builder.process_token(token, line_number)
            }
            _ => self.builder.process_token(token, line_number),
        }
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

impl Watch {
    fn follow(&self, item: Option<Tag>) {
        let mut trail = self.trail.get();
        trail.add(item);
        self.trail.set(trail);
    }

    fn tag(&self, tag: Tag, token: Token, line_number: u64) -> TokenSinkResult<usize> {
        let nodes = &self.builder.sink;
        let mut tags = self.tags.borrow_mut();
        let number = tags.depths.len();
        let depth = tags.depths.last().copied().unwrap_or(0);
        let breaks = breaks_text(tag.name.as_str());
        let line = if breaks && tag.end { self.line() } else { None };
        nodes.begin_tag(number);
        let done = self.builder.process_token(token, line_number);
        let Tagged { lines_begun, hiding_begun, .. } = nodes.tagged.get();
        if breaks && lines_begun == 0 && !(tag.end && self.line() != line) {
            tags.passed_over.push(number);
        }
        let behind = if depth + hiding_begun > 0 { self.depth() } else { 0 };
        tags.depths.push(behind);
        let mut hiding = Hiding::default();
        if behind > depth || hiding_begun > 0 {
            hiding = hiding.and(Hiding::BEGINS);
        }
        if behind < depth + hiding_begun {
            hiding = hiding.and(Hiding::ENDS);
        }
        if behind > 0 {
            hiding = hiding.and(Hiding::GOES_ON);
        }
        if hiding != Hiding::default() {
            tags.hiding.push((number, hiding));
        }
        done
    }

    /// The innermost element that is open as a line or field of its own.
    fn line(&self) -> Option<usize> {
        self.open().into_iter().rfind(|node| self.builder.sink.breaks(*node))
    }

    /// How many elements are open whose text is hidden.
    fn depth(&self) -> usize {
        self.open().into_iter().filter(|node| self.builder.sink.hides(*node)).count()
    }

    /// Open elements, and what the parser keeps in mind beside them.
    fn open(&self) -> Vec<usize> {
        let open = Open(RefCell::default());
        self.builder.trace_handles(&open);
        open.0.into_inner()
    }
}

impl Parser {
    pub(super) fn new(mark: Mark, scripting_enabled: bool, sheets: Rc<Sheets>) -> Self {
        let options = TreeBuilderOpts { scripting_enabled, ..TreeBuilderOpts::default() };
        let builder = TreeBuilder::new(Nodes::new(mark, sheets), options);
        let watch = Watch { builder, trail: Cell::default(), tags: RefCell::default() };
        Self { tokenizer: Tokenizer::new(watch, TokenizerOpts::default()) }
    }

    /// # Errors
    /// Past one of the limits.
    pub(super) fn feed(&self, text: &str) -> Result<(), TooComplex> {
        let mut rest = text;
        while !rest.is_empty() {
            let cut = (1..=rest.len().min(STEP_BYTES)).rev().find(|at| rest.is_char_boundary(*at));
            let (now, later) = rest.split_at(cut.unwrap_or(rest.len()));
            let input = BufferQueue::default();
            input.push_back(StrTendril::from_slice(now));
            while !matches!(self.tokenizer.feed(&input), TokenizerResult::Done) {}
            if self.nodes().count() > NODES_MAX || self.tokenizer.sink.open().len() > DEPTH_MAX {
                return Err(TooComplex);
            }
            rest = later;
        }
        Ok(())
    }

    pub(super) fn trail(&self) -> Trail {
        self.tokenizer.sink.trail.get()
    }

    pub(super) fn nodes(&self) -> &Nodes {
        &self.tokenizer.sink.builder.sink
    }

    pub(super) fn stand(&self) -> Stand {
        let (mut all, mut blocks) = (DefaultHasher::new(), DefaultHasher::new());
        for node in self.tokenizer.sink.open() {
            let Some(name) = self.nodes().name(node) else { continue };
            // They are there in every document, sooner or later.
            if matches!(&*name.local, "html" | "head" | "body") {
                continue;
            }
            (&name.ns, &name.local).hash(&mut all);
            let (breaks, hides) = (self.nodes().breaks(node), self.nodes().hides(node));
            if name.ns != ns!(html) || shapes_lines(&name.local) || hides {
                (&name.local, breaks, hides).hash(&mut blocks);
            }
        }
        Stand { all: all.finish(), blocks: blocks.finish() }
    }

    /// Whether the text here stands in an element that programs take an address from.
    pub(super) fn is_for_machines(&self) -> bool {
        self.tokenizer.sink.open().into_iter().any(|node| self.nodes().is_for_machines(node))
    }

    /// Behind each tag: how many elements are open whose text is hidden.
    pub(super) fn depths(&self) -> Vec<usize> {
        std::mem::take(&mut self.tokenizer.sink.tags.borrow_mut().depths)
    }

    /// Tags of lines and fields that ended none.
    pub(super) fn passed_over(&self) -> Vec<usize> {
        std::mem::take(&mut self.tokenizer.sink.tags.borrow_mut().passed_over)
    }

    /// Tags with which text begins or ends to be hidden.
    pub(super) fn hiding(&self) -> Vec<(usize, Hiding)> {
        std::mem::take(&mut self.tokenizer.sink.tags.borrow_mut().hiding)
    }

    pub(super) fn end(&self) {
        self.tokenizer.end();
    }
}

struct Open(RefCell<Vec<usize>>);

impl Tracer for Open {
    type Handle = usize;

    fn trace_handle(&self, node: &usize) {
        self.0.borrow_mut().push(*node);
    }
}
