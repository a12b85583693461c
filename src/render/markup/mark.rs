//! Marks in place of values: what the parser makes of them tells where the values land.

use memchr::memmem;

/// A value that a mark stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) number: usize,
    pub(super) of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Person,
    /// Markup that comes with the job.
    Job,
}

impl Marked {
    /// The value with whose number the text begins, and what stands behind it.
    fn begins(text: &str) -> Option<(Self, &str)> {
        let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let number = number.parse().ok()?;
        let person = rest.strip_prefix('e').map(|behind| (Self { number, of: Of::Person }, behind));
        person.or_else(|| Some((Self { number, of: Of::Job }, rest.strip_prefix('j')?)))
    }
}

/// In place of a value of the job in an attribute: it may be anything.
pub(super) const DATA: char = '\u{f8ff}';

/// What stands in place of values: a word that is in no template, and a number.
#[derive(Debug, Clone)]
pub(super) struct Mark(memmem::Finder<'static>);

impl Mark {
    pub(super) fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let word = format!("v{:016x}v", RandomState::new().hash_one(0));
        Self(memmem::Finder::new(&word).into_owned())
    }

    pub(super) fn of(&self, Marked { number, of }: Marked) -> String {
        let end = match of {
            Of::Person => 'e',
            Of::Job => 'j',
        };
        format!("{}{number}{end}", String::from_utf8_lossy(self.0.needle()))
    }

    /// The text between the values, in order; each but the first with the value before it.
    pub(super) fn pieces<'t>(
        &'t self,
        text: &'t str,
    ) -> impl Iterator<Item = (Option<Marked>, &'t str)> + 't {
        let ends = self.0.find_iter(text.as_bytes()).chain([text.len()]);
        ends.scan(0, move |start, end| {
            let piece = &text[*start..end];
            let marked = if *start > 0 { Marked::begins(piece) } else { None };
            *start = (end + self.0.needle().len()).min(text.len());
            Some(marked.map_or((None, piece), |(marked, behind)| (Some(marked), behind)))
        })
    }

    /// The values in the text.
    pub(super) fn found<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Marked> + 't {
        self.pieces(text).filter_map(|(marked, _)| marked)
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        text.len() > self.0.needle().len() && self.0.find(text.as_bytes()).is_some()
    }
}
