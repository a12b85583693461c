//! What a reader sees of a text, word by word: without the tags and comments that stand in the middle of a word, with
//! character references as the characters that they are.

use super::ground::Ground;
use super::html::{Name, State};
use super::structured;
use super::word::{Linking, Word};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reading {
    word: Word,
    /// While the text is inside a tag: the word that it stands in.
    around: Word,
    reference: Reference,
}

/// A character reference that is not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Reference {
    #[default]
    None,
    /// What stands behind the `&`.
    Open(Name),
}

impl Reading {
    /// Whether a value about the person has become part of a link with this character, which led from one place to
    /// another.
    pub(super) fn step(&mut self, c: char, before: Ground, behind: Ground) -> bool {
        match (before, behind) {
            (Ground::Html(before), Ground::Html(behind)) => self.in_html(c, before, behind),
            (Ground::Structured(before), Ground::Structured(behind)) => self.in_lines(c, before, behind),
            (_, behind) => self.word.step(c, behind.linking()),
        }
    }

    fn in_lines(&mut self, c: char, before: structured::State, behind: structured::State) -> bool {
        let linking = Ground::Structured(before).linking();
        match (before, behind) {
            // Nobody sees where a line was folded.
            (_, structured::State::LineEnd(_)) => return self.word.leaks(),
            (structured::State::LineEnd(_), _) if c.is_ascii_whitespace() => return self.word.leaks(),
            (structured::State::LineEnd(_), _) => return self.word.end(),
            _ => {}
        }
        let is_letter = u8::try_from(c).is_ok_and(|byte| before.is_escaped_line_end(byte));
        if is_letter || !before.is_readable() || !behind.is_readable() {
            return self.word.end();
        }
        self.word.step(c, linking)
    }

    fn in_html(&mut self, c: char, before: State, behind: State) -> bool {
        match (before, behind) {
            (State::Text, State::TagOpen) => {
                let leaks = self.close_reference(';');
                self.around = std::mem::take(&mut self.word);
                leaks
            }
            (State::TagOpen, State::TagOpen) => self.around.step('<', Linking::Hosts),
            // It was no tag.
            (State::TagOpen, State::Text) => {
                self.word = self.around;
                self.word.step('<', Linking::Hosts) | self.character(c)
            }
            (State::EndTagOpen, State::Text) => {
                self.word = self.around;
                false
            }
            (State::Text, State::Text) | (State::Rcdata(_), State::Rcdata(_)) => self.character(c),
            (State::Value(..), State::Value(..)) if is_readable(behind) => self.character(c),
            (State::Value(..), State::BeforeAttribute(_)) => self.close_reference(';') | self.word.end(),
            (State::BeforeValue(..), State::Value(..)) => {
                self.word = Word::default();
                false
            }
            _ if before.ends_markup(behind, u8::try_from(c).unwrap_or(0)) => {
                self.behind_markup(before, behind)
            }
            (State::Rcdata(_), _) => self.close_reference(';') | self.word.end(),
            _ => false,
        }
    }

    fn behind_markup(&mut self, tag: State, behind: State) -> bool {
        let name = tag.tag().map(|tag| tag.name);
        let breaks = behind != State::Text || name.is_some_and(|name| breaks_text(name.as_str()));
        self.reference = Reference::None;
        self.word = std::mem::take(&mut self.around);
        breaks && self.word.end()
    }

    fn character(&mut self, c: char) -> bool {
        match self.reference {
            Reference::Open(name) if c.is_ascii_alphanumeric() || c == '#' && name == Name::EMPTY => {
                self.reference = Reference::Open(name.with(u8::try_from(c).unwrap_or(b'#')));
                false
            }
            Reference::Open(_) if c == ';' => self.close_reference(c),
            Reference::Open(_) => self.close_reference(c) | self.character(c),
            Reference::None if c == '&' => {
                self.reference = Reference::Open(Name::EMPTY);
                false
            }
            Reference::None => self.word.step(c, Linking::Hosts),
        }
    }

    /// Reads what the reference stands for; `c` is behind it.
    fn close_reference(&mut self, c: char) -> bool {
        let Reference::Open(name) = std::mem::take(&mut self.reference) else { return false };
        let name = name.as_str();
        if name.is_empty() {
            let leaks = self.word.step('&', Linking::Hosts);
            return if c == ';' { leaks | self.word.step(c, Linking::Hosts) } else { leaks };
        }
        self.word.step(character_of(name), Linking::Hosts)
    }

    /// Whether a value may stand in a link here.
    pub(super) fn value(&mut self, personal: bool, ground: Ground) -> bool {
        if let Reference::Open(name) = std::mem::take(&mut self.reference) {
            if name == Name::EMPTY {
                self.word.step('&', Linking::Hosts);
            } else {
                self.word.unknown();
            }
        }
        self.word.value(personal, ground.linking());
        ground.is_readable() && self.word.leaks()
    }

    /// Whether a value about the person stands in the word.
    pub(super) fn holds_person(&self) -> bool {
        self.word.holds_person
    }

    /// Where the text ends.
    pub(super) fn end(&mut self) -> bool {
        self.close_reference(' ') | self.word.end()
    }

    /// What was found is told once.
    pub(super) fn forget(&mut self) {
        self.word = Word::default();
    }

    /// What holds behind either of two branches.
    pub(super) fn join(self, other: Self) -> Self {
        let mut word = self.word.join(other.word);
        if self.reference != other.reference {
            word.unknown();
        }
        let reference = if self.reference == other.reference { self.reference } else { Reference::None };
        Self { word, around: self.around.join(other.around), reference }
    }
}

fn is_readable(state: State) -> bool {
    Ground::Html(state).is_readable()
}

/// The character that a reference stands for, where it matters to a URL; a letter otherwise.
fn character_of(name: &str) -> char {
    let number = match name.strip_prefix('#') {
        Some(hex) if hex.starts_with('x') => u32::from_str_radix(&hex[1..], 16).ok(),
        Some(decimal) => decimal.parse().ok(),
        None => None,
    };
    if name.starts_with('#') {
        return number.and_then(char::from_u32).unwrap_or('x');
    }
    match name {
        "amp" => '&',
        "bsol" => '\\',
        "colon" => ':',
        "commat" => '@',
        "equals" => '=',
        "excl" => '!',
        "gt" => '>',
        "hyphen" | "dash" => '-',
        "lt" => '<',
        "newline" | "tab" => ' ',
        "num" => '#',
        "percnt" => '%',
        "period" => '.',
        "quest" => '?',
        "quot" => '"',
        "semi" => ';',
        "sol" => '/',
        "comma" => ',',
        "lowbar" | "underbar" => '_',
        "nbsp" | "nonbreakingspace" => '\u{a0}',
        "ensp" | "emsp" | "thinsp" | "hairsp" | "numsp" | "puncsp" => '\u{2002}',
        "shy" | "zerowidthspace" | "zwj" | "zwnj" | "lrm" | "rlm" | "nobreak" | "negativethinspace" => {
            '\u{ad}'
        }
        _ => 'x',
    }
}

/// Whether a reader sees a new line or another field where this tag stands. What nobody knows does not.
pub(super) fn breaks_text(element: &str) -> bool {
    matches!(
        element,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "br"
            | "caption"
            | "center"
            | "col"
            | "colgroup"
            | "dd"
            | "details"
            | "dialog"
            | "dir"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "head"
            | "header"
            | "hgroup"
            | "hr"
            | "html"
            | "legend"
            | "li"
            | "listing"
            | "main"
            | "menu"
            | "nav"
            | "ol"
            | "optgroup"
            | "option"
            | "p"
            | "pre"
            | "script"
            | "search"
            | "section"
            | "style"
            | "summary"
            | "table"
            | "tbody"
            | "td"
            | "textarea"
            | "tfoot"
            | "th"
            | "thead"
            | "title"
            | "tr"
            | "ul"
    )
}
