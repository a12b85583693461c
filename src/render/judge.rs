//! Walks a program with a job's data before the person is known. Where a person's value decides, every way is walked:
//! so what is refused, and why, is the same for everybody, and an engine cannot ask about a person by being refused.

use super::expression::{Expr, Frame, Need, Turn};
use super::program::{IfOp, LoopOp, Op, Program, ValueOp};
use super::run::{
    SCALAR_BYTES, check_bytes, check_turns, check_values, check_watched, escaped, frame_turns, written,
};
use super::seen::{Facts, Look, Seen, SeenFrame};
use super::value::Value;
use super::weight::Weight;
use crate::fault::{Fault, Reason};
use std::collections::BTreeSet;

/// Most steps inside blocks that depend on a person, where each way is walked.
const STEPS_MAX: usize = 100_000;

/// What a program comes to whoever the person is: the most of every way through it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// As [`Program::run`] counts them; values of the person are not among them.
    pub(super) bytes: usize,
    pub(super) weight: Weight,
    /// Turns of loops.
    pub(super) turns: usize,
    /// Values of the person.
    pub(super) values: usize,
}

impl Tally {
    /// Of two ways from `start`, of which a person takes one.
    fn either(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.max(other.bytes),
            weight: self.weight.or(other.weight),
            turns: self.turns.max(other.turns),
            values: self.values.max(other.values),
        }
    }
}

/// What a program needs and comes to.
pub(super) struct Judged<'a> {
    pub(super) tally: Tally,
    /// Fields without which nobody can be mailed, for one way through it or another.
    pub(super) needs: BTreeSet<&'a str>,
}

impl Program {
    /// Judges the program for everybody at once. Where nothing in it depends on a person, [`Program::run`] fails as
    /// this does, whoever the person is; where something does, it does not fail once this has not, but for values that
    /// are too long.
    ///
    /// # Errors
    /// As [`Program::run`], for the first way in the order of the source that has one; also `too-large` for more ways than
    /// can be walked.
    pub(super) fn judge<'a>(&'a self, facts: Facts<'a>) -> Result<Judged<'a>, Fault> {
        let mut walk =
            Walk { program: self, look: Look::new(facts), tally: Tally::default(), forks: 0, steps: 0 };
        walk.ops(&self.ops)?;
        Ok(Judged { tally: walk.tally, needs: walk.look.needs })
    }
}

struct Walk<'a> {
    program: &'a Program,
    look: Look<'a>,
    tally: Tally,
    /// Enclosing blocks that depend on a person.
    forks: usize,
    steps: usize,
}

impl<'a> Walk<'a> {
    fn ops(&mut self, ops: &'a [Op]) -> Result<(), Fault> {
        for op in ops {
            self.step()?;
            match op {
                Op::Fixed(index) => self.fixed(*index)?,
                Op::Value(value) => self.value(value)?,
                Op::If(branch) => self.branch(branch)?,
                Op::Each(each) => self.each(each)?,
                Op::With(with) => self.with(with)?,
            }
        }
        Ok(())
    }

    /// Outside of blocks that depend on a person the walk is as long as a run, and has its limits.
    fn step(&mut self) -> Result<(), Fault> {
        self.look.effort.step()?;
        self.steps += usize::from(self.forks > 0);
        if self.steps + self.look.entries > STEPS_MAX {
            let cause = format!(
                "blocks and look-ups that depend on the person have more than {STEPS_MAX} steps to judge; send fewer \
                 items, or choose among them before"
            );
            return Err(Fault::new(Reason::TooLarge, cause));
        }
        Ok(())
    }

    fn fixed(&mut self, index: usize) -> Result<(), Fault> {
        self.count(self.program.weight(index), self.program.fixed[index].len())
    }

    fn value(&mut self, op: &'a ValueOp) -> Result<(), Fault> {
        match self.look.see(&op.expr, Need::Written)? {
            Seen::Text => {
                self.tally.values += 1;
                check_values(self.tally.values)
            }
            Seen::Scalar => self.count(Weight::plain(SCALAR_BYTES), SCALAR_BYTES),
            Seen::Known(value) => self.known(value, op),
            Seen::Entry(entries) => {
                let (none, mut most) = (self.tally, self.tally);
                for entry in entries {
                    self.tally = none;
                    self.known(entry, op)?;
                    most = most.either(self.tally);
                }
                self.tally = most;
                Ok(())
            }
        }
    }

    fn known(&mut self, value: Value<'a>, op: &ValueOp) -> Result<(), Fault> {
        if value.is_nothing() {
            return Ok(());
        }
        let text = written(value, op)?;
        check_watched(self.program, &text, op)?;
        let escaped = escaped(&text, op)?;
        match value {
            Value::Bool(_) | Value::Count(_) => self.count(Weight::plain(SCALAR_BYTES), SCALAR_BYTES),
            _ => self.count(Weight::of(&escaped), escaped.len()),
        }
    }

    fn count(&mut self, weight: Weight, bytes: usize) -> Result<(), Fault> {
        self.tally.bytes += bytes;
        self.tally.weight.add(weight);
        check_bytes(self.tally.bytes)
    }

    fn branch(&mut self, op: &'a IfOp) -> Result<(), Fault> {
        let block = &op.block;
        if let Seen::Known(test) = self.look.see(&op.test, Need::Asked)? {
            let chosen = test.is_truthy(op.include_zero) != op.negated;
            return self.ops(if chosen { &block.body } else { &block.other });
        }
        self.fork(|walk| {
            let start = walk.tally;
            walk.guarded(&op.test, !op.negated, &block.body)?;
            let body = std::mem::replace(&mut walk.tally, start);
            walk.guarded(&op.test, op.negated, &block.other)?;
            walk.tally = body.either(walk.tally);
            Ok(())
        })
    }

    fn fork(&mut self, walk: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        self.forks += 1;
        walk(self)?;
        self.forks -= 1;
        Ok(())
    }

    fn guarded(&mut self, test: &'a Expr, truth: bool, ops: &'a [Op]) -> Result<(), Fault> {
        let before = self.look.guarded.len();
        self.look.guarded.extend(test.guards(truth));
        self.ops(ops)?;
        self.look.guarded.truncate(before);
        Ok(())
    }

    fn each(&mut self, op: &'a LoopOp) -> Result<(), Fault> {
        match self.look.see(&op.over, Need::Asked)? {
            Seen::Known(over) => self.each_of(over, op),
            Seen::Entry(entries) => self.each_way(&entries, op, Self::each_of),
            // A text has nothing to go through.
            Seen::Text | Seen::Scalar => self.ops(&op.block.other),
        }
    }

    fn with(&mut self, op: &'a LoopOp) -> Result<(), Fault> {
        match self.look.see(&op.over, Need::Asked)? {
            Seen::Known(over) => self.with_one(over, op),
            Seen::Entry(entries) => self.each_way(&entries, op, Self::with_one),
            seen @ (Seen::Text | Seen::Scalar) => self.fork(|walk| {
                let start = walk.tally;
                walk.look.frames.push(SeenFrame { seen, turn: walk.turn_around() });
                walk.guarded(&op.over, true, &op.block.body)?;
                walk.look.frames.pop();
                let body = std::mem::replace(&mut walk.tally, start);
                walk.ops(&op.block.other)?;
                walk.tally = body.either(walk.tally);
                Ok(())
            }),
        }
    }

    /// Walks a block once for each of its candidates, and once for none.
    fn each_way(
        &mut self,
        entries: &[Value<'a>],
        op: &'a LoopOp,
        one: fn(&mut Self, Value<'a>, &'a LoopOp) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.fork(|walk| {
            let start = walk.tally;
            let mut most = start;
            for entry in entries.iter().copied().chain([Value::Absent]) {
                walk.tally = start;
                one(walk, entry, op)?;
                most = most.either(walk.tally);
            }
            walk.tally = most;
            Ok(())
        })
    }

    fn each_of(&mut self, over: Value<'a>, op: &'a LoopOp) -> Result<(), Fault> {
        let mut turns = frame_turns(over).peekable();
        if turns.peek().is_none() {
            return self.ops(&op.block.other);
        }
        for frame in turns {
            self.tally.turns += 1;
            check_turns(self.tally.turns)?;
            self.inside(frame, op)?;
        }
        Ok(())
    }

    fn with_one(&mut self, over: Value<'a>, op: &'a LoopOp) -> Result<(), Fault> {
        if !over.is_truthy(false) {
            return self.ops(&op.block.other);
        }
        self.inside(Frame { value: over, turn: self.turn_around() }, op)
    }

    fn inside(&mut self, frame: Frame<'a>, op: &'a LoopOp) -> Result<(), Fault> {
        self.look.frames.push(SeenFrame { seen: Seen::Known(frame.value), turn: frame.turn });
        self.ops(&op.block.body)?;
        self.look.frames.pop();
        Ok(())
    }

    fn turn_around(&self) -> Option<Turn<'a>> {
        self.look.frames.last().and_then(|frame| frame.turn)
    }
}
