//! Elements that parsers of different age read in ways of their own: an old one takes `template` and `select` for elements like
//! any other, or ends an `svg` elsewhere. All agree on those that are closed, as is what stands in them, element by element.

use crate::render::html::{Name, Tag};
use std::ops::Range;

/// As far as the tags have come.
#[derive(Debug, Default)]
pub(super) struct Regions {
    /// The element itself and those open in it.
    open: Vec<Name>,
    /// The number of its tag.
    begun: usize,
    /// Those that were closed: the numbers of their tags.
    closed: Vec<Range<usize>>,
    /// The first that is not as it should be.
    broken: Option<Name>,
}

/// How a tag is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Plain,
    /// `<path/>`
    SelfClosing,
}

impl Regions {
    pub(super) fn tag(&mut self, number: usize, tag: Tag, written: Written) {
        let name = tag.name.as_str();
        if matches!(name, "frameset" | "isindex") {
            self.broken.get_or_insert(tag.name);
        }
        if self.open.is_empty() {
            let is_empty = written == Written::SelfClosing && matches!(name, "svg" | "math");
            if !tag.end && !is_empty && matches!(name, "svg" | "math" | "template" | "select") {
                self.open.push(tag.name);
                self.begun = number;
            }
        } else if tag.end {
            self.end(number, tag.name);
        } else {
            self.begin(tag.name, written);
        }
    }

    fn begin(&mut self, name: Name, written: Written) {
        let is_closed = written == Written::SelfClosing && self.is_foreign();
        if is_closed || is_void(name.as_str()) {
            return;
        }
        if matches!(name.as_str(), "option" | "optgroup") {
            self.pop("option");
        }
        if name.as_str() == "optgroup" {
            self.pop("optgroup");
        }
        self.open.push(name);
    }

    fn end(&mut self, number: usize, name: Name) {
        if matches!(name.as_str(), "select" | "optgroup" | "datalist") {
            self.pop("option");
        }
        if name.as_str() == "select" {
            self.pop("optgroup");
        }
        // What svg and math hold is no element of HTML, of which the end may not be left out.
        while self.is_foreign()
            && self.open.len() > 1
            && self.open.last() != Some(&name)
            && self.open.contains(&name)
        {
            self.open.pop();
        }
        if self.open.last() != Some(&name) {
            self.broken = self.broken.or(self.open.first().copied());
        }
        self.open.pop();
        if self.open.is_empty() {
            self.closed.push(self.begun..number);
        }
    }

    fn pop(&mut self, name: &str) {
        if self.open.last().is_some_and(|open| open.as_str() == name) {
            self.open.pop();
        }
    }

    /// Whether what comes next is read as markup of svg or math.
    fn is_foreign(&self) -> bool {
        let mut around = self.open.iter().rev().map(Name::as_str);
        let decides = |name: &&str| matches!(*name, "svg" | "math") || is_integration_point(name);
        around.find(decides).is_some_and(|name| !is_integration_point(name))
    }

    /// The element that parsers may not agree about, given how deep in such elements the text stood behind each tag.
    pub(super) fn broken(&self, depths: &[usize]) -> Option<Name> {
        let depth = |tag: usize| depths.get(tag).copied().unwrap_or(0);
        let is_kept = |region: &Range<usize>| {
            let around = region.start.checked_sub(1).map_or(0, depth);
            region.clone().all(|tag| depth(tag) > around) && depth(region.end) == around
        };
        let moved = || (!self.closed.iter().all(is_kept)).then(|| Name::of("svg, select or template"));
        self.broken.or_else(|| self.open.first().copied()).or_else(moved)
    }
}

/// Where HTML stands in svg and math (HTML §13.2.6.5).
fn is_integration_point(name: &str) -> bool {
    matches!(
        name,
        "foreignobject" | "desc" | "title" | "mi" | "mo" | "mn" | "ms" | "mtext" | "annotation-xml"
    )
}

fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
    )
}
