//! Whether a style sheet may hide something, or undo its background, by what a person decides: then what is loaded only where
//! it is shown tells of the person.

use super::load::{Extent, Load, Way};
use super::stretch::Stretch;
use crate::render::markup::readings_of_styles;
use std::cell::Cell;
use std::collections::BTreeSet;

/// What choosing by the elements around a place is written with.
const AROUND: [&str; 8] = ["+", "~", ":has(", ":nth-", ":first-", ":last-", ":only-", ":empty"];

/// What is the same for everybody and may be hidden, what may hide it, and what depends on a person.
#[derive(Debug, Default)]
pub(super) struct Hiding {
    loads: Vec<String>,
    sheets: String,
    tags: BTreeSet<String>,
    /// Elements come or do not.
    has_elements: bool,
    /// Of elements that hold what follows.
    has_open_elements: bool,
    /// Attributes of elements that are there for everybody.
    attributes: BTreeSet<String>,
    /// Of `class` and `id`, as selectors have them.
    names: BTreeSet<String>,
    /// How many bytes of selectors were held against names.
    looks: Cell<usize>,
}

/// Behind so many any rule may be one that a person decides: of honest letters none comes near.
const LOOKS_MAX: usize = 50_000_000;

impl Hiding {
    /// An address that is loaded where it is shown.
    pub fn load(&mut self, address: &str) {
        let is_fetched = !["data:", "cid:", "#"].iter().any(|start| address.starts_with(start));
        if is_fetched && !address.is_empty() {
            self.loads.push(address.to_owned());
        }
    }

    pub fn sheet(&mut self, css: &str) {
        self.sheets.push_str(css);
        self.sheets.push('\n');
    }

    /// An element that is there for everybody.
    pub fn tag(&mut self, name: &str) {
        if name == "u" {
            self.tags.insert(name.to_owned());
        }
    }

    /// An element in a block that depends on a person.
    pub fn element(&mut self) {
        self.has_elements = true;
    }

    /// One that is left open there.
    pub fn open_element(&mut self) {
        self.has_open_elements = true;
    }

    /// An attribute of an element that is there for everybody, which depends on a person as a whole or in parts.
    pub fn attribute(&mut self, name: &str, value: &Stretch, is_whole: bool) {
        self.attributes.insert(name.to_owned());
        if is_whole {
            self.words(name, &value.text);
        } else if !value.is_of_whole_words() {
            self.words(name, b"\xff");
        }
    }

    /// What one branch writes into an attribute.
    pub fn words(&mut self, attribute: &str, text: &[u8]) {
        let sign = match attribute {
            "class" => '.',
            "id" => '#',
            _ => return,
        };
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        for word in text.split_ascii_whitespace() {
            // With a reference or a value it may be any.
            let name = if word.contains(['&', '\u{fffd}']) { "" } else { word };
            self.names.insert(format!("{sign}{name}"));
        }
    }

    /// What depends on a person, if it does by elements or attributes.
    pub fn found(&self) -> Vec<Load> {
        let depends = self.has_elements || self.has_open_elements || !self.attributes.is_empty();
        if !depends || self.loads.is_empty() || self.sheets.is_empty() {
            return Vec::new();
        }
        if !readings_of_styles(&self.sheets).iter().any(|css| self.has_rule(css)) {
            return Vec::new();
        }
        let each = self.loads.iter().cloned().collect::<BTreeSet<_>>().into_iter();
        each.map(|address| Load { address, from: Extent::Markup, way: Way::Shown }).collect()
    }

    /// Whether a rule hides something and may be decided by a person.
    fn has_rule(&self, css: &str) -> bool {
        let moves = css.contains("keyframes");
        let mut open: Vec<&str> = Vec::new();
        let mut rest = css;
        while let Some(end) = end_of_part(rest) {
            let (part, sign) = (rest[..end].trim(), rest.as_bytes()[end]);
            rest = &rest[end + 1..];
            if sign == b'{' {
                open.push(part);
                continue;
            }
            if hides(part, moves) && self.is_decided(&open) {
                return true;
            }
            if sign == b'}' {
                open.pop();
            }
        }
        hides(rest.trim(), moves) && self.is_decided(&open)
    }

    fn is_decided(&self, open: &[&str]) -> bool {
        if self.has_open_elements || open.len() > RULES_MAX {
            return true;
        }
        open.iter().any(|prelude| {
            let chooses = !prelude.starts_with('@') || prelude.starts_with("@scope");
            chooses && prelude.split(',').any(|selector| self.is_chosen_by(selector))
        })
    }

    fn is_chosen_by(&self, selector: &str) -> bool {
        let looks = (self.names.len() + self.attributes.len()) * (selector.len() + 1);
        self.looks.set(self.looks.get().saturating_add(looks));
        if self.looks.get() > LOOKS_MAX {
            return true;
        }
        let names_attribute = |name: &String| match name.as_str() {
            "lang" if selector.contains(":lang(") => true,
            "dir" if selector.contains(":dir(") => true,
            name => {
                let mut asked = selector.split('[').skip(1);
                asked.any(|written| written.trim_start().trim_start_matches(['*', '|']).starts_with(name))
            }
        };
        // Gmail puts an element of this name before what it shows: a mail without any can ask for nothing else by it.
        let selector_of_ours = match selector.trim_start().strip_prefix('u') {
            Some(behind) if behind.trim_start().starts_with('+') && !self.tags.contains("u") => {
                behind.trim_start().trim_start_matches('+')
            }
            _ => selector,
        };
        let asks_around = AROUND.iter().any(|sign| selector_of_ours.contains(sign));
        let has_name = |name: &String| {
            let mut found = selector.match_indices(name.as_str());
            found.any(|(at, _)| name.len() == 1 || !selector[at + name.len()..].starts_with(goes_on))
        };
        asks_around && self.has_elements
            || self.attributes.iter().any(names_attribute)
            || self.names.iter().any(has_name)
    }
}

/// Whether the address in an attribute is fetched only where the element is shown. What an img has is fetched in any case.
pub(super) fn loads_where_shown(tag: &str, attribute: &str) -> bool {
    match attribute {
        "background" | "poster" | "data" => true,
        "src" => !matches!(tag, "img" | "script"),
        "href" | "xlink:href" => matches!(tag, "image" | "use" | "feimage"),
        _ => false,
    }
}

/// Rules within each other.
const RULES_MAX: usize = 16;

fn goes_on(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_') || !c.is_ascii()
}

/// Where the next selector or declaration ends: strings may hold the sign.
fn end_of_part(css: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in css.bytes().enumerate() {
        match (quote, byte) {
            (Some(_), b'\n') => quote = None,
            (Some(open), byte) if open == byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'{' | b'}' | b';') => return Some(at),
            _ => {}
        }
    }
    None
}

/// Whether a declaration hides elements, shows them again, or undoes what they load.
fn hides(declaration: &str, moves: bool) -> bool {
    let Some((property, value)) = declaration.split_once(':') else { return false };
    let property = property.trim().trim_start_matches(['*', '_']);
    match property {
        "display" | "visibility" | "content-visibility" | "all" | "background" | "background-image" => true,
        "content" => ["url", "image", "gradient", "var("].iter().any(|part| value.contains(part)),
        _ => property.starts_with("--") || moves && property.starts_with("animation"),
    }
}
