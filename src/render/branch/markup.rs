//! What HTML may differ by from person to person: elements that load nothing and lead nowhere, attributes that choose
//! nothing of it.

use crate::render::elements::is_plain;

/// Those that may stand there with addresses that are allowed.
const LINKS: [&str; 2] = ["a", "img"];
const VOID: [&str; 5] = ["br", "hr", "col", "wbr", "img"];

/// Attributes that hold text for people, of any element.
const TEXTS: [&str; 7] = ["alt", "title", "abbr", "summary", "lang", "dir", "label"];
/// Attributes that say how an element without an address looks.
const LOOKS: [&str; 21] = [
    "align",
    "valign",
    "width",
    "height",
    "bgcolor",
    "color",
    "bordercolor",
    "face",
    "size",
    "border",
    "cellpadding",
    "cellspacing",
    "colspan",
    "rowspan",
    "span",
    "nowrap",
    "noshade",
    "role",
    "scope",
    "start",
    "type",
];
/// Attributes by which a rule of a style sheet can choose its elements, and that mean nothing else.
const NAMES: [&str; 2] = ["class", "id"];
/// What an element may be in a block that depends on a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Plain,
    /// With an address that is allowed.
    Link,
    Other,
}

pub(super) fn element(name: &str) -> Element {
    if is_plain(name) {
        Element::Plain
    } else if LINKS.contains(&name) {
        Element::Link
    } else {
        Element::Other
    }
}

pub(super) fn is_void(name: &str) -> bool {
    VOID.contains(&name)
}

/// What an attribute does to what is loaded or clicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    /// Nothing.
    Inert,
    Style,
    /// It may, or nobody knows.
    Other,
}

/// An attribute that depends on a person, or a part of it does; of an element that does as a whole, or is there for everybody.
pub(super) fn attribute(of: &str, name: &str, is_whole: bool) -> Attribute {
    let is_link = is_whole && element(of) == Element::Link;
    let looks = is_link || element(of) == Element::Plain || of == "body";
    if name == "style" {
        Attribute::Style
    } else if TEXTS.contains(&name)
        || NAMES.contains(&name)
        || name.starts_with("aria-")
        || is_link && matches!(name, "target" | "rel")
        || looks && LOOKS.contains(&name)
    {
        Attribute::Inert
    } else {
        Attribute::Other
    }
}
