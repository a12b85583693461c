//! What a reader sees of a text, word by word: without the tags and comments that stand in the middle of a word, with
//! character references as the characters that they are.

use super::elements::breaks_text;
use super::ground::Ground;
use super::html::{Name, State};
use super::spelled::reference;
use super::structured;
use super::word::{Linking, Reach, Word};

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

/// Whether a tag ends the line or field of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// As its name tells.
    AsTagged,
    GoesOn,
    /// As its name tells, or not, as styles or other tags have it.
    Either,
}

impl Reading {
    /// How much of a text that stands in one place in full need not be read, as no value about a person stands in the words
    /// that it holds. `is_ended`: what comes behind it in the same piece ends it.
    pub(super) fn pass(&mut self, ground: Ground, text: &str, is_ended: bool) -> usize {
        let Ground::Html(state) = ground else { return 0 };
        if self.word.holds_person || self.word.is_enclosed() {
            return 0;
        }
        let passed = match state {
            State::Text | State::Rcdata(_) => {
                // What may open a link that goes on over blanks is read.
                let end = memchr::memchr2(b'"', b'&', text.as_bytes()).unwrap_or(text.len());
                text[..end].rfind(|c: char| c.is_ascii_whitespace()).map_or(0, |last| last + 1)
            }
            State::Value(..) if !is_ended => 0,
            State::Value(..) => text.len(),
            _ => return text.len(),
        };
        if passed > 0 {
            (self.word, self.reference) = Default::default();
        }
        passed
    }

    /// Whether a value about the person has become part of a link with this character, which led from one place to
    /// another.
    pub(super) fn step(&mut self, c: char, before: Ground, behind: Ground, line: Line) -> bool {
        match (before, behind) {
            (Ground::Html(before), Ground::Html(behind)) => self.in_html(c, before, behind, line),
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
        match before.seen(c, behind) {
            structured::Seen::Nothing => false,
            structured::Seen::End => self.word.end(),
            structured::Seen::Sign(c) => self.word.step(c, linking),
        }
    }

    fn in_html(&mut self, c: char, before: State, behind: State, line: Line) -> bool {
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
                self.behind_markup(before, behind, line)
            }
            // Only the end of the element itself is a tag there.
            (State::Rcdata(_), _) => self.close_reference(';') | self.word.step('<', Linking::Hosts),
            (State::RawLess { rcdata: true, .. }, State::RawLess { .. }) => self.word.step(c, Linking::Hosts),
            (State::RawLess { rcdata: true, .. }, State::Rcdata(_)) => self.character(c),
            (State::RawEnd { rcdata: true, .. }, State::Rcdata(_) | State::RawLess { .. }) => {
                self.word.step('/', Linking::Hosts) | self.character(c)
            }
            _ => false,
        }
    }

    fn behind_markup(&mut self, tag: State, behind: State, line: Line) -> bool {
        let ends_line = || tag.tag().is_some_and(|tag| breaks_text(tag.name.as_str()));
        let breaks = behind != State::Text || line == Line::AsTagged && ends_line();
        self.reference = Reference::None;
        self.word = std::mem::take(&mut self.around);
        breaks && self.word.end()
    }

    fn character(&mut self, c: char) -> bool {
        match self.reference {
            Reference::Open(name) if c.is_ascii_alphanumeric() || c == '#' && name == Name::EMPTY => {
                self.reference = Reference::Open(name.with_as_written(u8::try_from(c).unwrap_or(b'#')));
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
        if name.is_cut() {
            // A number may begin with any zeros.
            self.word.unknown();
        }
        let written = format!("&{}{}", name.as_str(), if c == ';' { ";" } else { "" });
        let (sign, bytes) = reference(&written).unwrap_or(('&', 1));
        // Some names need no end: the letters behind them are read as they stand.
        let behind = written[bytes..].chars();
        std::iter::once(sign).chain(behind).any(|c| self.word.step(c, Linking::Hosts))
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

    /// How far a link in a value of the job that comes now reaches.
    pub(super) fn reach(&self) -> Reach {
        match self.reference {
            Reference::None => self.word.reach(),
            Reference::Open(_) => Reach::Enclosed,
        }
    }

    /// Whether a link goes on over blanks here.
    pub(super) fn is_enclosed(&self) -> bool {
        self.word.is_enclosed()
    }

    /// Whether a value about the person stands in the word.
    pub(super) fn holds_person(&self) -> bool {
        self.word.holds_person
    }

    /// Whether a value of the job that came here would be put together with another one, in one word with a person's.
    pub(super) fn goes_on_from_data(&self) -> bool {
        self.word.goes_on_from_data()
    }

    /// Where the text ends.
    pub(super) fn end(&mut self) -> bool {
        self.close_reference(' ') | self.word.end()
    }

    /// What was found is told once.
    pub(super) fn forget(&mut self) {
        self.word = Word::default();
    }

    /// As it would go on if the tag that the text is inside of were not there.
    pub(super) fn without_tag(self) -> Self {
        Self { word: self.around, ..Self::default() }
    }

    /// The word may go on as any.
    pub(super) fn may_be_any(&mut self) {
        self.word.unknown();
        self.around.unknown();
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
