//! How a program runs for one person, within which limits.

use super::branch::{Watch, holds_sheet, makes_link};
use super::effort::Effort;
use super::escape::{Escape, Escaped, escape, printable};
use super::expression::{Expr, Frame, Need, Turn, evaluate};
use super::html::ends_in_text;
use super::markup::what_sees_in;
use super::markup::{is_plain, is_whole};
use super::program::{IfOp, LoopOp, Op, Program, Sink, ValueOp};
use super::readings;
use super::scope::Scope;
use super::value::Value;
use super::word::{Reach, is_link_behind_person, leaves_link_open};
use crate::fault::{Fault, Reason};
use zeroize::Zeroizing;

/// Most turns of all loops in one run.
pub const TURNS_MAX: usize = 20_000;
/// Longest output of one run, in bytes before it is encoded.
pub const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest text of one array written as a value, in bytes.
pub const ARRAY_BYTES_MAX: usize = 64 * 1024;
/// Most values of the person in one run.
pub const VALUES_MAX: usize = 4_096;
/// Bytes that they may have together, before they are escaped. No address, name or the like is so long that they come to
/// it: [`VALUES_MAX`] of 256 bytes each.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// What yes, no or a number counts as when it is written, in bytes: the longest of them.
pub(super) const SCALAR_BYTES: usize = 20;

impl Program {
    /// Runs the program: calls the sink in output order. Values are escaped for where they land. Gives the bytes put out,
    /// before they are encoded, without the person's values.
    ///
    /// # Errors
    /// `missing-field` naming the field, `bad-job` for a value that cannot stand where it lands, `too-large`.
    pub fn run(&self, scope: &Scope<'_>, sink: &mut dyn Sink) -> Result<usize, Fault> {
        let mut run = Run {
            program: self,
            scope,
            sink,
            frames: Vec::new(),
            effort: Effort::default(),
            turns: 0,
            bytes: 0,
            values: 0,
            value_bytes: 0,
        };
        run.ops(&self.ops)?;
        Ok(run.bytes)
    }
}

struct Run<'a, 's> {
    program: &'a Program,
    scope: &'s Scope<'a>,
    sink: &'s mut dyn Sink,
    frames: Vec<Frame<'a>>,
    effort: Effort,
    turns: usize,
    /// Of all but the person's values, so that these decide about no limit.
    bytes: usize,
    values: usize,
    value_bytes: usize,
}

impl<'a> Run<'a, '_> {
    fn ops(&mut self, ops: &'a [Op]) -> Result<(), Fault> {
        for op in ops {
            self.effort.step()?;
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

    fn evaluate(&self, expr: &'a Expr, need: Need) -> Result<Value<'a>, Fault> {
        evaluate(expr, self.scope, &self.frames, need, &self.effort)
    }

    fn value(&mut self, op: &'a ValueOp) -> Result<(), Fault> {
        let value = self.evaluate(&op.expr, Need::Written)?;
        if matches!(op.expr, Expr::Person(_)) || matches!(value, Value::Personal(_)) {
            return self.personal(value, op);
        }
        if value.is_nothing() {
            return Ok(());
        }
        let text = written(value, op)?;
        check_watched(self.program, &text, op)?;
        let escaped = escaped(&text, op)?;
        self.count(match value {
            Value::Bool(_) | Value::Count(_) => SCALAR_BYTES,
            _ => escaped.len(),
        })?;
        self.sink.value(&escaped);
        Ok(())
    }

    /// A value that is not there counts like one that is: the limit must not tell one from the other.
    fn personal(&mut self, value: Value<'a>, op: &ValueOp) -> Result<(), Fault> {
        self.values += 1;
        check_values(self.values)?;
        let Some(text) = value.as_text() else { return Ok(()) };
        self.value_bytes += text.len();
        if self.value_bytes > VALUE_BYTES_MAX {
            return Err(Fault::of_values());
        }
        self.sink.value(&escaped(text, op)?);
        Ok(())
    }

    fn branch(&mut self, op: &'a IfOp) -> Result<(), Fault> {
        let test = self.evaluate(&op.test, Need::Asked)?;
        let chosen = test.is_truthy(op.include_zero) != op.negated;
        self.ops(if chosen { &op.block.body } else { &op.block.other })
    }

    fn each(&mut self, op: &'a LoopOp) -> Result<(), Fault> {
        let over = self.evaluate(&op.over, Need::Asked)?;
        let mut turns = frame_turns(over).peekable();
        if turns.peek().is_none() {
            return self.ops(&op.block.other);
        }
        for frame in turns {
            self.turns += 1;
            check_turns(self.turns)?;
            self.inside(frame, op)?;
        }
        Ok(())
    }

    fn with(&mut self, op: &'a LoopOp) -> Result<(), Fault> {
        let value = self.evaluate(&op.over, Need::Asked)?;
        if !value.is_truthy(false) {
            return self.ops(&op.block.other);
        }
        let turn = self.frames.last().and_then(|frame| frame.turn);
        self.inside(Frame { value, turn }, op)
    }

    fn inside(&mut self, frame: Frame<'a>, op: &'a LoopOp) -> Result<(), Fault> {
        self.frames.push(frame);
        self.ops(&op.block.body)?;
        self.frames.pop();
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes += bytes;
        check_bytes(self.bytes)
    }
}

/// The turns of a loop over an array or object; none over anything else.
pub(super) fn frame_turns(over: Value<'_>) -> impl Iterator<Item = Frame<'_>> {
    let items = over.as_array().unwrap_or_default();
    let map = over.as_object();
    let count = items.len() + map.map_or(0, |map| map.len());
    let items = items.iter().map(|item| (None, item));
    let entries = map.into_iter().flat_map(|map| map.iter().map(|(key, item)| (Some(key.as_str()), item)));
    items.chain(entries).enumerate().map(move |(index, (key, item))| Frame {
        value: Value::Json(item),
        turn: Some(Turn { index, count, key }),
    })
}

pub(super) fn check_turns(turns: usize) -> Result<(), Fault> {
    if turns > TURNS_MAX {
        let cause = format!("more than {TURNS_MAX} turns of #each in one message; send fewer items");
        return Err(Fault::new(Reason::TooLarge, cause));
    }
    Ok(())
}

pub(super) fn check_bytes(bytes: usize) -> Result<(), Fault> {
    if bytes > OUTPUT_BYTES_MAX {
        let cause = format!("the message part is longer than {OUTPUT_BYTES_MAX} bytes; send less data");
        return Err(Fault::new(Reason::TooLarge, cause));
    }
    Ok(())
}

pub(super) fn check_values(values: usize) -> Result<(), Fault> {
    if values > VALUES_MAX {
        let cause =
            format!("the message part has more than {VALUES_MAX} values of the person; send fewer items");
        return Err(Fault::new(Reason::TooLarge, cause));
    }
    Ok(())
}

/// The text of a value.
///
/// # Errors
/// `too-large` for an array whose text is.
pub(super) fn written<'a>(value: Value<'a>, op: &ValueOp) -> Result<Escaped<'a>, Fault> {
    if let Some(text) = value.as_text() {
        return Ok(Escaped::AsIs(text));
    }
    let mut written = Bounded { text: Zeroizing::new(String::new()) };
    if value.write(&mut written).is_err() {
        let name = printable(&op.origin.name);
        let cause = format!("{name} is longer than {ARRAY_BYTES_MAX} bytes when written out");
        return Err(Fault::new(Reason::TooLarge, cause));
    }
    Ok(Escaped::Changed(written.text))
}

/// The text as it may stand where it lands.
///
/// # Errors
/// `bad-job` where it cannot.
pub(super) fn escaped<'t>(text: &'t str, op: &ValueOp) -> Result<Escaped<'t>, Fault> {
    let escaped = escape(text, op.escape).map_err(|bad| {
        let name = printable(&op.origin.name);
        Fault::new(
            Reason::BadJob,
            format!("{name} cannot stand as a link: {bad}; send an absolute https URL"),
        )
    })?;
    let makes_link =
        |text| if op.raw { readings::is_link_behind_person(text) } else { is_link_behind_person(text) };
    if op.is_joined && makes_link(text) {
        let cause = format!(
            "{} stands in one word with a value of the person and would make a link of it; put a space between them",
            printable(&op.origin.name)
        );
        return Err(Fault::new(Reason::BadJob, cause));
    }
    if op.reach != Reach::Itself && leaves_open(text, op) {
        let cause = format!(
            "{} stands in one text with values of the person and begins a link or tag that it does not end (<https://…, \"https://…, \
             <a href=): what follows would be part of it",
            printable(&op.origin.name)
        );
        return Err(Fault::new(Reason::BadJob, cause));
    }
    let plain = if let Escape::Plain(stands) = op.escape { Some(stands) } else { None };
    if plain.is_some() && !is_plain(&escaped) {
        let cause = format!(
            "{} stands in one text with values of the person and has more than text and plain elements (p, table, a, img \
             and the like; no form, style, svg or conditional comment)",
            printable(&op.origin.name)
        );
        return Err(Fault::new(Reason::BadJob, cause));
    }
    if plain.is_some_and(|stands| !is_whole(&escaped, stands)) {
        let cause = format!(
            "{} stands in one text with values of the person, and leaves a table or list open, ends an element that it did not \
             begin, or puts something where it cannot stand (into a table outside of its cells, an item into an item, a tag into \
             svg, select or template); send each element with its end",
            printable(&op.origin.name)
        );
        return Err(Fault::new(Reason::BadJob, cause));
    }
    if op.escape == Escape::Markup && !ends_in_text(&escaped) {
        let cause =
            format!("{} is markup that ends inside a tag or comment; close it", printable(&op.origin.name));
        return Err(Fault::new(Reason::BadJob, cause));
    }
    Ok(escaped)
}

/// Whether a client would take what follows a value of the job for a part of a link or tag in it.
fn leaves_open(text: &str, op: &ValueOp) -> bool {
    if op.raw {
        return readings::leaves_link_open(text);
    }
    // Some calendars read tags in texts.
    op.escape == Escape::LineText && !ends_in_text(text) || leaves_link_open(text, op.reach)
}

/// Holds a value of the job against where it stands: who branches on a person must not have it be a link.
///
/// # Errors
/// `bad-job`, naming the value.
pub(super) fn check_watched(program: &Program, text: &str, op: &ValueOp) -> Result<(), Fault> {
    let Some(watch) = program.watched.get(&op.at) else { return Ok(()) };
    let name = printable(&op.origin.name);
    let sees = || what_sees_in(text, &program.own_fonts);
    let cause = match watch {
        Watch::Link(joint) if makes_link(text, *joint, &program.branch_urls) => format!(
            "{name} would be a link in a text that depends on the person: whoever sees it clicked would learn the value; take \
             the link out of the block"
        ),
        Watch::Sheet if holds_sheet(text) => format!(
            "{name} is markup with a style sheet, in a message that depends on the person; put the style sheet into the \
             template"
        ),
        Watch::Link(_) => return Ok(()),
        Watch::Sheet => match sees() {
            Some(what) => format!(
                "{name} is markup beside a value of the person with {what}: what is fetched would depend on the value; take it \
                 out"
            ),
            None => return Ok(()),
        },
    };
    Err(Fault::new(Reason::BadJob, cause))
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
