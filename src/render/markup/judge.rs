//! Has a program walked on as many ways as it takes to know what a parser makes of each piece, whichever way is taken.

use super::active::own_fonts;
use super::css::Sheets;
use super::found::Found;
use super::walk::{Scripting, Walk};
use super::ways::{Branch, Later, Taken, width};
use crate::render::lines::At;
use crate::render::lint::Lint;
use crate::render::program::{Op, first_person};
use crate::render::tree::Tree;
use std::rc::Rc;

/// Bytes that are read at most over all ways, where there is more than one.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Blocks that open or close lines or fields in one branch only: each of their combinations is read.
const UNEVEN_BLOCKS_MAX: usize = 6;

/// What is wrong with the places of a person's values, to a parser of HTML, and what it makes of the text otherwise; nothing
/// where nothing depends on a person.
pub(in crate::render) fn judge(ops: &[Op], fixed: &[Box<str>], place: &str) -> (Vec<Lint>, Tree) {
    let Some(first) = first_person(ops) else { return (Vec::new(), Tree::default()) };
    let mut found = Found::new(place, first);
    let bytes = fixed.iter().map(|text| text.len()).sum::<usize>().max(1);
    let ways = width(ops);
    if ways > 1 && ways.saturating_mul(bytes) > BYTES_MAX {
        let cause = format!(
            "its blocks have {ways} ways, which are more than can be read one by one beside {{{{person.…}}}}"
        );
        found.lint(first, cause, "make it shorter, choose among texts before sending, or split the template");
        return found.into_judgement();
    }
    let sheets = Rc::new(Sheets::of_pieces(fixed.iter().map(|text| &**text)));
    let reading = Reading { ops, fixed, sheets, ways, readers: readers(fixed) };
    reading.read(&mut found, &Taken::default());
    let mut known = 0;
    // In a combination further blocks may turn out to be uneven.
    while found.uneven_lines.len() > known {
        known = found.uneven_lines.len();
        let combinations = 1_usize << known.min(UNEVEN_BLOCKS_MAX);
        if known > UNEVEN_BLOCKS_MAX || (combinations * ways).saturating_mul(bytes) > BYTES_MAX {
            too_uneven(&mut found);
            break;
        }
        (0..combinations).for_each(|combination| reading.combine(&mut found, combination));
    }
    found.tree.restyled = reading.sheets.change_kinds();
    if found.has_markup() {
        found.tree.own_fonts = own_fonts(fixed).into();
    }
    found.judge_grounds();
    found.judge_moves();
    found.into_judgement()
}

/// Where one of the texts has it, `noscript` is read both ways.
fn readers(fixed: &[Box<str>]) -> &'static [Scripting] {
    let holds = |text: &str| {
        let mut begins = memchr::memchr_iter(b'<', text.as_bytes()).filter_map(|at| text.get(at + 1..at + 9));
        begins.any(|name| name.eq_ignore_ascii_case("noscript"))
    };
    if fixed.iter().any(|text| holds(text)) { &[Scripting::Off, Scripting::On] } else { &[Scripting::Off] }
}

fn too_uneven(found: &mut Found<'_>) {
    let cause = format!(
        "its blocks open or close elements (p, td, table and the like) in {} places: that gives more texts than can be \
         read one by one beside {{{{person.…}}}}",
        found.uneven_lines.len()
    );
    let at: Option<At> = found.uneven_lines.first().map(|(at, _)| *at);
    found.lint(at.unwrap_or(found.at), cause, "open and close elements on the same side of a block");
}

struct Reading<'a> {
    ops: &'a [Op],
    fixed: &'a [Box<str>],
    sheets: Rc<Sheets>,
    ways: usize,
    readers: &'static [Scripting],
}

impl<'a> Reading<'a> {
    fn read(&self, found: &mut Found<'a>, taken: &Taken) {
        for way in 0..self.ways {
            for scripting in self.readers {
                if found.lints.is_empty() {
                    Walk::new(self.fixed, &self.sheets, *scripting, taken, found).run(self.ops, way);
                }
            }
        }
    }

    /// One combination of the branches of uneven blocks.
    fn combine(&self, found: &mut Found<'a>, combination: usize) {
        let branch = |place: usize| if combination >> place & 1 == 1 { Branch::Other } else { Branch::Body };
        let blocks = found.uneven_lines.iter().map(|(_, block)| block).enumerate();
        let mut taken = Taken {
            branches: blocks.map(|(place, block)| (*block, branch(place))).collect(),
            later: Later::AsFirst,
        };
        found.later_turns = 0;
        self.read(found, &taken);
        if found.later_turns > 0 {
            taken.later = Later::Flipped;
            self.read(found, &taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::render::program::{Program, Syntax};

    #[test]
    fn p1_the_same_html_is_refused_in_the_same_words() {
        let html = concat!(
            r#"{{@root.person.first_name}}{{#if (eq @root.person.city "Haifa")}}<body>{{#if @root.data.b}}</table>{{#if (eq @"#,
            r#"root.person.city "Haifa")}}</form><ul>{{@root.person.first_name}}{{@root.person.first_name}}{{else}}{{@root.pe"#,
            r#"rson.first_name}}{{/if}}<pre>{{#if @root.data.b}}{{@root.person.first_name}}<summary>{{else}}{{@root.person.fi"#,
            r#"rst_name}}{{@root.person.first_name}}{{@root.person.first_name}}{{/if}}{{@root.person.first_name}}</li>{{/if}}"#,
            r#"{{@root.person.first_name}}</button>{{#each @root.data.l}}</svg><img src="https://t.example/i"></ruby>{{@root."#,
            r#"person.first_name}}<span>{{#if this}}</select>{{@root.person.first_name}} {{/if}}{{/each}}<nobr>{{else}}@{{#if"#,
            r#" (eq @root.person.city "Haifa")}}{{#if @root.data.a}}</h2>{{else}}<dd><summary><summary>{{/if}}<img src="https"#,
            r#"://t.example/i"><details></div>{{@root.person.first_name}}{{#if @root.data.b}}{{@root.person.first_name}}<ul>{"#,
            r#"{/if}}{{/if}}{{#if @root.data.a}}<![endif]--></a>@{{@root.person.first_name}}{{@root.person.first_name}}{{/if}"#,
            r#"}</pre>{{/if}}{{@root.person.first_name}}"#,
        );
        let (mut known, mut kept) = (None, Vec::new());
        for size in 0..50 {
            // The blocks of the next one come to stand elsewhere.
            kept.push(vec![0_u8; size * 7 % 300 + 1]);
            if size % 3 == 0 {
                kept.swap_remove(kept.len() / 2);
            }
            let told = Program::compile(html, Syntax::Html, "t").map(drop).unwrap_err();
            assert_eq!(*known.get_or_insert_with(|| told.clone()), told);
        }
    }
}
