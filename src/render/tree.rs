//! What a parser of HTML, kept by others, makes of a text where our own tokenizer cannot know.

use super::lines::At;
use std::collections::{BTreeMap, BTreeSet};

/// Where a tag ends: the piece of the text, and the byte of its `>`.
pub(super) type TagEnd = (usize, usize);

/// Empty, where the two agree.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// Tags that end no line or field on some way, though they would where they are meant to stand.
    pub(super) passed_over: BTreeSet<TagEnd>,
    /// Tags with which text begins or ends to be hidden.
    pub(super) hiding: BTreeMap<TagEnd, Hiding>,
    /// A style sheet puts elements into the line around them, or hides them, whatever their class.
    pub(super) restyled: bool,
    /// Where markup of the job stands, if not simply in text.
    pub(super) markup: BTreeMap<At, Stands>,
    /// Where there is any, the rules of own fonts beside it.
    pub(super) own_fonts: Box<str>,
}

/// What a tag does to whether a reader is shown the text behind it, on one way or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hiding(u8);

impl Hiding {
    /// An element begins whose text clients do not show as text.
    pub(super) const BEGINS: Self = Self(1);
    /// One ends.
    pub(super) const ENDS: Self = Self(2);
    /// The text behind the tag stands in one.
    pub(super) const GOES_ON: Self = Self(4);

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Where markup of a job stands that is put beside a person's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    Text,
    /// In text, within an element of a list (`li`, `dd`, `dt`), which another one of them would end.
    Item,
    /// In text, within a heading, which another one would end.
    Heading,
    /// In a table, outside of its cells.
    Table,
    /// In an element in which parsers of different age read tags in ways of their own.
    OtherGround,
}

impl Tree {
    pub(super) fn is_passed_over(&self, tag: TagEnd) -> bool {
        !self.passed_over.is_empty() && self.passed_over.contains(&tag)
    }

    pub(super) fn hiding(&self, tag: TagEnd) -> Option<Hiding> {
        if self.hiding.is_empty() { None } else { self.hiding.get(&tag).copied() }
    }
}
