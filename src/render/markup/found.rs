//! What was found while a text was walked.

use super::comments;
use super::nodes::Flaw;
use super::parser::Stand;
use crate::render::lines::At;
use crate::render::lint::Lint;
use crate::render::program::Block;
use crate::render::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};

/// What was found over all ways.
#[derive(Default)]
pub(super) struct Found<'a> {
    place: &'a str,
    /// Of the first value about a person.
    pub(super) at: At,
    pub(super) lints: BTreeSet<Lint>,
    /// The elements that are open behind each block, by where the block stands in memory.
    behind: BTreeMap<usize, Stand>,
    /// The first block behind which they differ.
    uneven: Option<At>,
    /// All behind which there are other lines or fields.
    pub(super) uneven_lines: BTreeMap<usize, At>,
    pub(super) tree: Tree,
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
        (self.lints.into_iter().collect(), self.tree)
    }

    pub(super) fn meet(&mut self, block: &Block, stand: Stand) {
        let other = *self.behind.entry(address(block)).or_insert(stand);
        self.compare(block, other, stand);
    }

    pub(super) fn compare(&mut self, block: &Block, one: Stand, other: Stand) {
        if one != other {
            self.uneven.get_or_insert(block.at);
        }
        if one.blocks != other.blocks {
            self.uneven_lines.insert(address(block), block.at);
        }
    }

    /// Ways that were not walked are the same to a parser only where this holds.
    pub(super) fn judge_grounds(&mut self) {
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
            Flaw::Style(what) => (
                format!(
                    "a style sheet beside {{{{person.…}}}} has {what}: what it fetches would depend on the value"
                ),
                "take it out of the style sheet, or {{person.…}} out of the HTML",
            ),
        };
        self.lint(self.at, cause, fix);
    }
}

/// Where a block stands in memory: what it is told by.
pub(super) fn address(block: &Block) -> usize {
    std::ptr::from_ref(block).addr()
}
