//! A compiled template: fixed pieces of text with values, branches and loops between them, and how it runs.

use super::compile;
use super::escape::{Escape, escape, printable};
use super::expression::{Expr, Frame, Need, Turn, evaluate};
use super::html::ends_in_text;
use super::lint::Lint;
use super::resolve::FirstUses;
use super::scope::Scope;
use super::value::Value;
use crate::fault::{Fault, Reason};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// Most turns of all loops in one run.
pub const TURNS_MAX: usize = 20_000;
/// Longest output of one run, in bytes before it is encoded.
pub const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest text of one array written as a value, in bytes.
pub const ARRAY_BYTES_MAX: usize = 64 * 1024;

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
#[derive(Debug)]
pub struct Program {
    pub(super) fixed: Vec<Box<str>>,
    pub(super) ops: Vec<Op>,
    pub(super) uses: Uses,
    /// Where each person field stands first, for reporting one that is not declared.
    pub(super) first_uses: FirstUses,
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
    pub(super) origin: Origin,
    pub(super) at: (usize, usize),
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
            return compile::compile(source, syntax, place);
        }
        // Of the two signs that end a line, editors have left either.
        compile::compile(&source.replace("\r\n", "\n").replace('\r', "\n"), syntax, place)
    }

    /// As [`Program::compile`], for text in which a CR by itself is a sign like any other.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn compile_as_it_stands(source: &str, syntax: Syntax, place: &str) -> Result<Program, Vec<Lint>> {
        compile::compile(source, syntax, place)
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

    /// Line and column of each person field's first use.
    pub fn first_uses(&self) -> impl Iterator<Item = (&str, (usize, usize))> {
        self.first_uses.iter().map(|(field, at)| (field.as_str(), *at))
    }

    /// Runs the program: calls the sink in output order. Values are escaped for where they land.
    ///
    /// # Errors
    /// `missing-field` naming the field, `bad-job` for a value that cannot stand where it lands, `too-large`.
    pub fn run(&self, scope: &Scope<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
        let mut run = Run { program: self, scope, sink, frames: Vec::new(), turns: 0, bytes: 0 };
        run.ops(&self.ops)
    }
}

struct Run<'a, 's> {
    program: &'a Program,
    scope: &'s Scope<'a>,
    sink: &'s mut dyn Sink,
    frames: Vec<Frame<'a>>,
    turns: usize,
    bytes: usize,
}

impl<'a> Run<'a, '_> {
    fn ops(&mut self, ops: &'a [Op]) -> Result<(), Fault> {
        for op in ops {
            match op {
                Op::Fixed(index) => {
                    self.count(self.program.fixed[*index].len())?;
                    self.sink.fixed(*index);
                }
                Op::Value(value) => self.value(value)?,
                Op::If(branch) => self.branch(branch)?,
                Op::Each(each) => self.each(each)?,
                Op::With(with) => self.with(with)?,
            }
        }
        Ok(())
    }

    fn value(&mut self, op: &'a ValueOp) -> Result<(), Fault> {
        let value = evaluate(&op.expr, self.scope, &self.frames, Need::Written)?;
        if value.is_nothing() {
            return Ok(());
        }
        if let Some(text) = value.as_text() {
            return self.write(text, op);
        }
        let mut written = Bounded { text: Zeroizing::new(String::new()) };
        if value.write(&mut written).is_err() {
            let cause = format!(
                "{} is longer than {ARRAY_BYTES_MAX} bytes when written out",
                printable(&op.origin.name)
            );
            return Err(Fault::new(Reason::TooLarge, cause));
        }
        self.write(&written.text, op)
    }

    fn write(&mut self, text: &str, op: &ValueOp) -> Result<(), Fault> {
        let escaped = escape(text, op.escape).map_err(|bad| {
            let cause = format!(
                "{} cannot stand as a link: {bad}; send an absolute https URL",
                printable(&op.origin.name)
            );
            Fault::new(Reason::BadJob, cause)
        })?;
        if op.escape == Escape::Markup && !ends_in_text(&escaped) {
            let cause = format!(
                "{} is markup that ends inside a tag or comment; close it",
                printable(&op.origin.name)
            );
            return Err(Fault::new(Reason::BadJob, cause));
        }
        self.count(escaped.len())?;
        self.sink.value(&escaped);
        Ok(())
    }

    fn branch(&mut self, op: &'a IfOp) -> Result<(), Fault> {
        let test = evaluate(&op.test, self.scope, &self.frames, Need::Asked)?;
        let chosen = test.is_truthy(op.include_zero) != op.negated;
        self.ops(if chosen { &op.block.body } else { &op.block.other })
    }

    fn each(&mut self, op: &'a LoopOp) -> Result<(), Fault> {
        let over = evaluate(&op.over, self.scope, &self.frames, Need::Asked)?;
        if let Some(items) = over.as_array().filter(|items| !items.is_empty()) {
            for (index, item) in items.iter().enumerate() {
                self.turn(Value::Json(item), Turn { index, count: items.len(), key: None }, op)?;
            }
            return Ok(());
        }
        if let Some(map) = over.as_object().filter(|map| !map.is_empty()) {
            for (index, (key, item)) in map.iter().enumerate() {
                self.turn(Value::Json(item), Turn { index, count: map.len(), key: Some(key) }, op)?;
            }
            return Ok(());
        }
        self.ops(&op.block.other)
    }

    fn turn(&mut self, value: Value<'a>, turn: Turn<'a>, op: &'a LoopOp) -> Result<(), Fault> {
        self.turns += 1;
        if self.turns > TURNS_MAX {
            let cause = format!("more than {TURNS_MAX} turns of #each in one message; send fewer items");
            return Err(Fault::new(Reason::TooLarge, cause));
        }
        self.frames.push(Frame { value, turn: Some(turn) });
        self.ops(&op.block.body)?;
        self.frames.pop();
        Ok(())
    }

    fn with(&mut self, op: &'a LoopOp) -> Result<(), Fault> {
        let value = evaluate(&op.over, self.scope, &self.frames, Need::Asked)?;
        if !value.is_truthy(false) {
            return self.ops(&op.block.other);
        }
        let turn = self.frames.last().and_then(|frame| frame.turn);
        self.frames.push(Frame { value, turn });
        self.ops(&op.block.body)?;
        self.frames.pop();
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes += bytes;
        if self.bytes > OUTPUT_BYTES_MAX {
            let cause = format!("the message part is longer than {OUTPUT_BYTES_MAX} bytes; send less data");
            return Err(Fault::new(Reason::TooLarge, cause));
        }
        Ok(())
    }
}

/// The text of a number or array.
struct Bounded {
    text: Zeroizing<String>,
}

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        if self.text.len() + more.len() > ARRAY_BYTES_MAX {
            return Err(std::fmt::Error);
        }
        self.text.push_str(more);
        Ok(())
    }
}
