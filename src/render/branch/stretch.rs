//! Text of which parts depend on a person: a style, a style sheet, the value of an attribute.

use super::style;
use std::ops::Range;

/// How often one style or style sheet is looked at as a whole: behind each block that depends on a person.
const LOOKS_MAX: usize = 64;

/// A stretch of text, and what of it depends on a person.
#[derive(Debug, Clone, Default)]
pub(super) struct Stretch {
    pub(super) text: Vec<u8>,
    pub(super) changed: Vec<Range<usize>>,
    looks: usize,
}

impl Stretch {
    pub(super) fn push(&mut self, bytes: &[u8], depends: bool) {
        let at = self.text.len();
        self.text.extend_from_slice(bytes);
        if depends && !bytes.is_empty() {
            let end = self.text.len();
            match self.changed.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => self.changed.push(at..end),
            }
        }
    }

    /// What `other` has behind this many bytes.
    pub(super) fn add(&mut self, other: &Self, from: usize) {
        let is_changed = |at: usize| other.changed.iter().any(|range| range.contains(&at));
        for (at, byte) in other.text.iter().enumerate().skip(from) {
            self.push(&[*byte], is_changed(at));
        }
    }

    pub(super) fn as_text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Looks at it once more; tells whether that is too often.
    pub(super) fn is_worn_out(&mut self) -> bool {
        self.looks += 1;
        self.looks > LOOKS_MAX
    }

    pub(super) fn is_quiet(&self) -> bool {
        let text = self.as_text();
        self.changed.iter().all(|changed| style::is_quiet(&text, changed.clone()))
    }

    /// Whether what depends on a person is words of their own, between blanks.
    pub(super) fn is_of_whole_words(&self) -> bool {
        let is_blank = |at: Option<&u8>| at.is_none_or(u8::is_ascii_whitespace);
        self.changed.iter().all(|changed| {
            is_blank(changed.start.checked_sub(1).and_then(|before| self.text.get(before)))
                && is_blank(self.text.get(changed.end))
        })
    }

    /// What was added last that depends on a person.
    pub(super) fn last_change(&self) -> &[u8] {
        let at_end = self.changed.last().filter(|changed| changed.end == self.text.len());
        at_end.map_or(&[], |changed| &self.text[changed.clone()])
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.changed.clear();
        self.looks = 0;
    }
}
