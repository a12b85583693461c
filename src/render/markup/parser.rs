//! The parser, fed piece by piece: what it has read so far, and which elements are open.

use super::mark::Mark;
use super::nodes::Nodes;
use crate::render::elements::breaks_text;
use crate::render::html::{Name, Tag};
use html5ever::TokenizerResult;
use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{Tracer, TreeBuilder, TreeBuilderOpts};
use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};

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
    all: u64,
    /// Of those that a reader sees as lines or fields.
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
    /// How many came so far.
    tags: Cell<usize>,
}

impl TokenSink for Watch {
    type Handle = usize;

    fn process_token(&self, token: Token, line_number: u64) -> TokenSinkResult<usize> {
        let item = match &token {
            Token::TagToken(tag) => {
                let name = tag.name.bytes().fold(Name::EMPTY, Name::with);
                Some(Some(Tag { end: tag.kind == TagKind::EndTag, name }))
            }
            Token::CommentToken(_) | Token::DoctypeToken(_) => Some(None),
            _ => None,
        };
        if let Some(item) = item {
            let mut trail = self.trail.get();
            trail.add(item);
            self.trail.set(trail);
        }
        let done = self.builder.process_token(token, line_number);
        if let Some(Some(_)) = item {
            self.builder.sink.behind_tag(self.tags.get());
            self.tags.set(self.tags.get() + 1);
        }
        done
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

impl Parser {
    pub(super) fn new(mark: Mark, scripting_enabled: bool) -> Self {
        let options = TreeBuilderOpts { scripting_enabled, ..TreeBuilderOpts::default() };
        let builder = TreeBuilder::new(Nodes::new(mark), options);
        let watch = Watch { builder, trail: Cell::default(), tags: Cell::default() };
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
            if self.nodes().count() > NODES_MAX || self.open().len() > DEPTH_MAX {
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
        for node in self.open() {
            let Some(name) = self.nodes().name(node) else { continue };
            // They are there in every document, sooner or later.
            if matches!(&*name.local, "html" | "head" | "body") {
                continue;
            }
            (&name.ns, &name.local).hash(&mut all);
            if breaks_text(&name.local) {
                name.local.hash(&mut blocks);
            }
        }
        Stand { all: all.finish(), blocks: blocks.finish() }
    }

    /// Open elements, and what the parser keeps in mind beside them.
    fn open(&self) -> Vec<usize> {
        let open = Open(RefCell::default());
        self.tokenizer.sink.builder.trace_handles(&open);
        open.0.into_inner()
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
