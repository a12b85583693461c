//! A compiled template: fixed pieces of text with values, branches and loops between them.

use super::branch::Watch;
use super::compile;
use super::escape::Escape;
use super::expression::Expr;
use super::lint::Lint;
use super::resolve::FirstUses;
use super::weight::Weight;
use super::word::Reach;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Where the values of a program land.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    Text,
    Html,
    Header,
    /// iCalendar and vCard (RFC 5545 §3.1, RFC 6350 §3.3).
    ContentLines,
    /// RFC 4180, with any of the usual delimiters.
    Csv,
    /// RFC 8259.
    Json,
}

/// What a program reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// Fields read outside any `#if` on the same field.
    pub person: BTreeSet<String>,
    /// Fields read inside an `#if` on themselves, or only asked about.
    pub person_guarded: BTreeSet<String>,
    /// Paths below `data`, with `[]` for the items of a loop (`items[].name`).
    pub data: BTreeSet<String>,
}

/// Takes the output of a program, in order.
pub trait Sink {
    /// The piece of [`Program::fixed`] with this index.
    fn fixed(&mut self, index: usize);
    /// A value, already escaped for where it lands.
    fn value(&mut self, escaped: &str);
}

/// A compiled template. Nothing of a value is ever read as template again.
#[derive(Debug, Default)]
pub struct Program {
    pub(super) fixed: Vec<Box<str>>,
    pub(super) ops: Vec<Op>,
    pub(super) uses: Uses,
    /// Where each person field stands first, for reporting one that is not declared.
    pub(super) first_uses: FirstUses,
    /// Of each fixed piece.
    pub(super) weights: OnceLock<Box<[Weight]>>,
    /// Values of the job that are looked at once they are known, by where they stand.
    pub(super) watched: BTreeMap<(usize, usize), Watch>,
    /// URLs that may depend on the person.
    pub(super) branch_urls: Box<[Box<str>]>,
    /// The rules of its own fonts, beside which markup of the job is looked at.
    pub(super) own_fonts: Box<str>,
}

/// Whether what a program needs, refuses and writes besides a person's values may depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flow {
    /// It is the same for everybody.
    Even,
    /// A block or a look-up depends on the person: it has to be judged before the person is known.
    Forked,
}

#[derive(Debug)]
pub(super) enum Op {
    Fixed(usize),
    Value(Box<ValueOp>),
    If(Box<IfOp>),
    Each(Box<LoopOp>),
    With(Box<LoopOp>),
}

#[derive(Debug)]
pub(super) struct ValueOp {
    pub(super) expr: Expr,
    /// `{{{…}}}`
    pub(super) raw: bool,
    pub(super) escape: Escape,
    /// It stands behind a person's value in one word, of which it must not make a link.
    pub(super) is_joined: bool,
    /// Of a value of the job.
    pub(super) reach: Reach,
    pub(super) origin: Origin,
    pub(super) at: (usize, usize),
}

impl ValueOp {
    /// Where it stands is not known yet.
    pub(super) fn new(expr: Expr, raw: bool, origin: Origin, at: (usize, usize)) -> Self {
        Self { expr, raw, escape: Escape::Html, is_joined: false, reach: Reach::Itself, origin, at }
    }
}

#[derive(Debug)]
pub(super) struct IfOp {
    pub(super) test: Expr,
    /// `#unless`
    pub(super) negated: bool,
    pub(super) include_zero: bool,
    pub(super) block: Block,
}

#[derive(Debug)]
pub(super) struct LoopOp {
    pub(super) over: Expr,
    pub(super) block: Block,
}

#[derive(Debug)]
pub(super) struct Block {
    pub(super) body: Vec<Op>,
    pub(super) other: Vec<Op>,
    /// Of what decides about the block.
    pub(super) origin: Origin,
    pub(super) at: (usize, usize),
}

/// Where a value comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// As written, for lints and faults.
    pub(super) name: String,
    /// The field of the person that it shows or depends on.
    pub(super) person: Option<String>,
}

impl Program {
    /// Compiles handlebars `source`. `place` is what errors are reported against, such as
    /// `welcome/he/body.html.hbs`.
    ///
    /// # Errors
    /// Every mistake found, in the order of the source.
    pub fn compile(source: &str, syntax: Syntax, place: &str) -> Result<Program, Vec<Lint>> {
        if !source.contains('\r') {
            return compile::compile(source, syntax, place, None);
        }
        // Of the two signs that end a line, editors have left either.
        compile::compile(&source.replace("\r\n", "\n").replace('\r', "\n"), syntax, place, None)
    }

    /// As [`Program::compile`], with the URLs that may stand in blocks that depend on a person.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub(super) fn compile_allowing(
        source: &str,
        syntax: Syntax,
        place: &str,
        branch_urls: &[Box<str>],
    ) -> Result<Program, Vec<Lint>> {
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        compile::compile(&source, syntax, place, Some(branch_urls))
    }

    /// As [`Program::compile`], for text in which a CR by itself is a sign like any other.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn compile_as_it_stands(source: &str, syntax: Syntax, place: &str) -> Result<Program, Vec<Lint>> {
        compile::compile(source, syntax, place, None)
    }

    /// The fixed pieces of text, as written after handlebars' own whitespace rules; [`Sink::fixed`] names one
    /// by index.
    pub fn fixed(&self) -> &[Box<str>] {
        &self.fixed
    }

    /// Octets of memory held, nearly.
    pub fn cost_bytes(&self) -> usize {
        let fixed: usize = self.fixed.iter().map(|text| text.len() + 64).sum();
        fixed + (self.ops.len() + self.first_uses.len()) * 256 + size_of::<Self>()
    }

    /// True when nothing depends on the job or person.
    pub fn is_fixed(&self) -> bool {
        self.ops.iter().all(|op| matches!(op, Op::Fixed(_)))
    }

    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// Line and column of the first value or block that depends on a person.
    pub(super) fn first_person(&self) -> Option<(usize, usize)> {
        first_person(&self.ops)
    }

    pub(super) fn flow(&self) -> Flow {
        if has_forks(&self.ops) { Flow::Forked } else { Flow::Even }
    }

    pub(super) fn values_at_most(&self) -> usize {
        values_at_most(&self.ops)
    }

    pub(super) fn weight(&self, index: usize) -> Weight {
        self.weights.get_or_init(|| self.fixed.iter().map(|text| Weight::of(text)).collect())[index]
    }

    /// Line and column of each person field's first use.
    pub fn first_uses(&self) -> impl Iterator<Item = (&str, (usize, usize))> {
        self.first_uses.iter().map(|(field, at)| (field.as_str(), *at))
    }
}

/// Where something depends on a person first.
pub(super) fn first_person(ops: &[Op]) -> Option<(usize, usize)> {
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

/// Whether a value about the person is among them.
pub(super) fn holds_person(ops: &[Op]) -> bool {
    let in_block = |block: &Block| holds_person(&block.body) || holds_person(&block.other);
    ops.iter().any(|op| match op {
        Op::Fixed(_) => false,
        Op::Value(value) => value.origin.person.is_some(),
        Op::If(branch) => in_block(&branch.block),
        Op::Each(each) | Op::With(each) => in_block(&each.block),
    })
}

/// Whether a person's value decides what a block does, or what is looked up.
pub(super) fn has_forks(ops: &[Op]) -> bool {
    let block =
        |block: &Block| block.origin.person.is_some() || has_forks(&block.body) || has_forks(&block.other);
    ops.iter().any(|op| match op {
        Op::Fixed(_) => false,
        Op::Value(value) => value.origin.person.is_some() && value.expr.looks_up(),
        Op::If(branch) => block(&branch.block),
        Op::Each(each) | Op::With(each) => block(&each.block),
    })
}

/// Values of the person that are written at most, as far as the program alone tells: those in loops count as any number.
pub(super) fn values_at_most(ops: &[Op]) -> usize {
    let block = |block: &Block| values_at_most(&block.body).saturating_add(values_at_most(&block.other));
    ops.iter()
        .map(|op| match op {
            Op::Fixed(_) => 0,
            Op::Value(value) => usize::from(value.origin.person.is_some()),
            Op::If(branch) => block(&branch.block),
            Op::With(with) => block(&with.block),
            Op::Each(each) => block(&each.block).saturating_mul(usize::MAX),
        })
        .fold(0, usize::saturating_add)
}
