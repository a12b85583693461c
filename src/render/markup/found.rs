//! What was found while a text was walked.

use super::comments;
use super::nodes::Flaw;
use super::parser::Stand;
use super::ways::address;
use crate::render::html::Name;
use crate::render::lines::At;
use crate::render::lint::Lint;
use crate::render::program::Block;
use crate::render::tree::{Hiding, Stands, TagEnd, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// What was found over all ways.
#[derive(Default)]
pub(super) struct Found<'a> {
    place: &'a str,
    /// Of the first value about a person.
    pub(super) at: At,
    pub(super) lints: BTreeSet<Lint>,
    /// The elements that are open behind each block, by where the block stands in memory, and by those open before it.
    behind: BTreeMap<(usize, u64), u64>,
    lines_behind: BTreeMap<(usize, u64), u64>,
    /// The first block behind which they differ.
    uneven: Option<At>,
    /// All behind which there are other lines or fields, in the order of the source: what is refused, and how, must not depend
    /// on where blocks stand in memory.
    pub(super) uneven_lines: BTreeSet<(At, usize)>,
    /// What tags with blocks in them do.
    styled: BTreeMap<TagEnd, (bool, Option<Hiding>)>,
    /// Turns of loops behind their first that were walked.
    pub(super) later_turns: usize,
    /// Lines with a value about a person, and those into which text was put that stands elsewhere, by the tag with which they
    /// begin.
    pub(super) personal_lines: BTreeSet<Option<TagEnd>>,
    pub(super) moved_lines: BTreeSet<Option<TagEnd>>,
    /// An element of which parsers do not agree where it ends.
    pub(super) broken: Option<Name>,
    pub(super) tree: Tree,
    stands: BTreeMap<At, Stands>,
    /// An element that changes how what stands around it is read.
    pub(super) other_ground: Option<String>,
    /// An element that is read as text by some, and holds what others take for a tag.
    pub(super) ambiguous: Option<String>,
}

impl<'a> Found<'a> {
    pub(super) fn new(place: &'a str, at: At) -> Self {
        Self { place, at, ..Self::default() }
    }

    pub(super) fn lint(&mut self, at: At, cause: impl Into<String>, fix: &str) {
        self.lints.insert(Lint::new(self.place, at, cause, fix));
    }

    pub(super) fn into_judgement(self) -> (Vec<Lint>, Tree) {
        let mut tree = self.tree;
        tree.markup = self.stands.into_iter().filter(|(_, stands)| *stands != Stands::Text).collect();
        (self.lints.into_iter().collect(), tree)
    }

    /// Holds the elements that are open behind a block against those of other ways that came to it alike.
    pub(super) fn meet(&mut self, block: &Block, before: Stand, behind: Stand) {
        let block_address = address(block);
        if *self.behind.entry((block_address, before.all)).or_insert(behind.all) != behind.all {
            self.uneven.get_or_insert(block.at);
        }
        let lines = self.lines_behind.entry((block_address, before.blocks)).or_insert(behind.blocks);
        if *lines != behind.blocks {
            self.uneven_lines.insert((block.at, block_address));
        }
    }

    /// Holds what a tag with a block in it does, whether it ends no line and whether it hides, against other ways.
    pub(super) fn styled(&mut self, tag: TagEnd, block: &Block, does: (bool, Option<Hiding>)) {
        if *self.styled.entry(tag).or_insert(does) != does {
            self.uneven_lines.insert((block.at, address(block)));
        }
    }

    /// Where markup of the job stands, on one more way.
    pub(super) fn markup(&mut self, at: At, stands: Stands) {
        let known = *self.stands.entry(at).or_insert(stands);
        let worst = match (known, stands) {
            (one, other) if one == other => one,
            (Stands::Table, Stands::Text | Stands::Item | Stands::Heading)
            | (Stands::Text | Stands::Item | Stands::Heading, Stands::Table) => {
                let cause = "{{{…}}} stands in a table, outside of its cells, or elsewhere, as blocks tell, beside {{person.…}}";
                return self.lint(at, cause, "open and close the table on the same side of the blocks");
            }
            (Stands::OtherGround, _) | (_, Stands::OtherGround) => Stands::OtherGround,
            (Stands::Heading, _) | (_, Stands::Heading) => Stands::Heading,
            _ => Stands::Item,
        };
        self.stands.insert(at, worst);
    }

    /// Whether markup of the job stands in it.
    pub(super) fn has_markup(&self) -> bool {
        !self.stands.is_empty()
    }

    /// What was put beside a value about a person on any way, though it stands elsewhere.
    pub(super) fn judge_moves(&mut self) {
        if !self.personal_lines.is_disjoint(&self.moved_lines) {
            self.flaw(Flaw::Moved);
        }
    }

    /// Ways that were not walked are the same to a parser only where this holds.
    pub(super) fn judge_grounds(&mut self) {
        if let Some(element) = self.broken {
            let cause = format!(
                "the {} element is not closed where it stands, or an element in it is not: parsers of different age read what \
                 follows in ways of their own, in one part with {{{{person.…}}}}",
                element.as_str()
            );
            self.lint(self.at, cause, "close each element within it and then itself, or take it out");
        }
        let Some(element) = self.other_ground.take() else { return };
        if let Some(at) = self.uneven {
            let cause = format!(
                "the block leaves an element open or closed, and a {element} element, which parsers read in a way of its own, \
                 is in one part with {{{{person.…}}}}"
            );
            self.lint(
                at,
                cause,
                "open and close elements on the same side of the block, or take that element out",
            );
        }
        if let Some(ambiguous) = self.ambiguous.take() {
            let cause = format!(
                "a tag within a {ambiguous} element, which not all parsers read as text beside a {element} element"
            );
            self.lint(self.at, cause, "take one of them out");
        }
    }

    pub(super) fn flaw(&mut self, flaw: Flaw) {
        let (cause, fix) = match flaw {
            Flaw::Comment(comments::Flaw::EndsInTag) => (
                String::from(
                    "a conditional comment ends inside a tag or element: Outlook would read {{person.…}} as part of it",
                ),
                "close in each comment what it opens",
            ),
            Flaw::Comment(comments::Flaw::EndsInOtherGround) => (
                String::from(
                    "a conditional comment leaves an element open that Outlook reads in a way of its own",
                ),
                "close in each comment what it opens",
            ),
            Flaw::Comment(comments::Flaw::CharacterData) => (
                String::from("<![CDATA[ is a comment to some readers and text to others"),
                "write &lt; and &amp; instead",
            ),
            Flaw::Moved => (
                String::from(
                    "a table holds text outside of its cells, which parsers put before the table, right behind {{person.…}}",
                ),
                "put it into a cell (<tr><td>…</td></tr>), or before the table",
            ),
            Flaw::Sees(what) => (
                format!("beside {{{{person.…}}}} stands {what}: what is fetched would depend on the value"),
                "take it out, or {{person.…}} out of the HTML",
            ),
        };
        self.lint(self.at, cause, fix);
    }
}
