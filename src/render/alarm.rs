//! The alarms of a calendar (RFC 5545 §3.6.6): programs send what stands in them, by mail if they say so, to whom they say.

use super::lint::Lint;
use super::place::Text;
use super::program::{Block, Op, Origin, Syntax, ValueOp};

/// In place of what is not known of a line.
const HOLE: char = '\u{1}';
/// Lines are told apart by no more.
const LINE_BYTES_MAX: usize = 32;

/// What depends on a person within an alarm.
pub(super) fn judge(ops: &[Op], text: &Text<'_>) -> Option<Lint> {
    if text.syntax != Syntax::ContentLines {
        return None;
    }
    let mut walk = Walk { fixed: text.fixed, line: String::new(), found: None };
    walk.ops(ops, false);
    let (at, name) = walk.found?;
    let cause = format!("{{{{{name}}}}} stands in an alarm, which programs send to whomever it names");
    Some(Lint::new(text.place, at, cause, "write it outside of BEGIN:VALARM ... END:VALARM"))
}

struct Walk<'a> {
    fixed: &'a [Box<str>],
    /// As far as it has come: lower case, without blanks.
    line: String,
    found: Option<((usize, usize), String)>,
}

impl Walk<'_> {
    /// Whether the text may be in an alarm behind `ops`, if it may be before them.
    fn ops(&mut self, ops: &[Op], mut is_inside: bool) -> bool {
        for op in ops {
            is_inside = match op {
                Op::Fixed(index) => self.text(*index, is_inside),
                Op::Value(value) => self.value(value, is_inside),
                Op::If(branch) => self.block(&branch.block, is_inside),
                Op::Each(each) | Op::With(each) => {
                    let behind = self.block(&each.block, is_inside);
                    if behind && !is_inside { self.block(&each.block, true) } else { behind }
                }
            };
        }
        is_inside
    }

    fn text(&mut self, index: usize, mut is_inside: bool) -> bool {
        let fixed = self.fixed;
        for c in fixed[index].chars() {
            if matches!(c, '\n' | '\r') {
                is_inside = self.end_line(is_inside);
            } else if !c.is_whitespace() && self.line.len() < LINE_BYTES_MAX {
                self.line.push(c.to_ascii_lowercase());
            }
        }
        is_inside
    }

    fn end_line(&mut self, is_inside: bool) -> bool {
        let line = std::mem::take(&mut self.line);
        let begins = line.starts_with("begin") && (line.ends_with(":valarm") || line.contains(HOLE));
        begins || is_inside && line != "end:valarm"
    }

    fn value(&mut self, value: &ValueOp, is_inside: bool) -> bool {
        self.line.push(HOLE);
        self.meet(&value.origin, value.at, is_inside);
        is_inside
    }

    fn block(&mut self, block: &Block, is_inside: bool) -> bool {
        self.meet(&block.origin, block.at, is_inside);
        if !self.line.is_empty() {
            self.line.push(HOLE);
        }
        let before = self.line.clone();
        let body = self.ops(&block.body, is_inside);
        let behind = std::mem::replace(&mut self.line, before);
        let other = self.ops(&block.other, is_inside);
        // One that is in the middle of such a line is not told from it.
        if self.line != behind {
            self.line = if behind.starts_with("begin") { behind } else { std::mem::take(&mut self.line) };
            self.line.push(HOLE);
        }
        body || other
    }

    fn meet(&mut self, origin: &Origin, at: (usize, usize), is_inside: bool) {
        if is_inside && origin.person.is_some() && self.found.is_none() {
            self.found = Some((at, origin.name.clone()));
        }
    }
}
