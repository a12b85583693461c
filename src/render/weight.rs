//! How much room a text takes at most, in whichever encoding a body leaves. Texts that a person chooses between are
//! compared by it, so that a limit decides the same for everybody.

/// Octets of a line of quoted-printable, and what a soft line break and a sign that must not begin a line add to it.
const QUOTED_LINE: usize = 70;
const QUOTED_BREAK: usize = 5;
/// What the end of a line adds: CR, white space before it as three octets, and a sign that must not begin the next one.
const QUOTED_LINE_END: usize = 5;
/// Octets of a line of base64 (RFC 2045 §6.8).
const BASE64_LINE: usize = 76;
/// Octets of a folded line at least, and of a fold (RFC 5545 §3.1).
const FOLDED_LINE: usize = 70;
const FOLD: usize = 3;

/// What decides how long a text is once it is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) bytes: usize,
    /// Bytes that quoted-printable writes as three.
    triplets: usize,
    line_ends: usize,
    /// Texts that it is made of: before each there may be a soft line break.
    texts: usize,
}

impl Weight {
    pub(super) fn of(text: &str) -> Self {
        let is_triplet = |byte: &&u8| !matches!(**byte, b' '..=b'~' | b'\t' | b'\n') || **byte == b'=';
        Self {
            bytes: text.len(),
            triplets: text.as_bytes().iter().filter(is_triplet).count(),
            line_ends: memchr::memchr_iter(b'\n', text.as_bytes()).count(),
            texts: 1,
        }
    }

    /// Of a text of so many letters, digits and the like.
    pub(super) const fn plain(bytes: usize) -> Self {
        Self { bytes, triplets: 0, line_ends: 0, texts: 1 }
    }

    pub(super) fn add(&mut self, more: Self) {
        self.bytes += more.bytes;
        self.triplets += more.triplets;
        self.line_ends += more.line_ends;
        self.texts += more.texts;
    }

    /// What neither of two is heavier than.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.max(other.bytes),
            triplets: self.triplets.max(other.triplets),
            line_ends: self.line_ends.max(other.line_ends),
            texts: self.texts.max(other.texts),
        }
    }

    /// The same with its lines folded.
    pub(super) fn folded(self) -> Self {
        let folds = self.bytes / FOLDED_LINE;
        Self { bytes: self.bytes + FOLD * folds, line_ends: self.line_ends + folds, ..self }
    }

    /// Octets in quoted-printable, at most; 8bit never takes more.
    pub(super) fn quoted(self) -> usize {
        let text = self.bytes + 2 * self.triplets + QUOTED_LINE_END * self.line_ends;
        text + (text / QUOTED_LINE + 1 + self.texts) * QUOTED_BREAK
    }

    /// Octets in base64, at most; 8bit never takes more.
    pub(super) fn base64(self) -> usize {
        let text = (self.bytes + self.line_ends).div_ceil(3) * 4;
        text + (text / BASE64_LINE + 1) * 2
    }

    /// Octets of a header field's value, at most: as encoded words (RFC 2047), or as percent triplets.
    pub(super) fn header(self) -> usize {
        4 * self.bytes + 128
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::encode::{Output, base64, eight_bit, quoted_printable, word};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_encoding_takes_more_than_is_reckoned(
            texts in proptest::collection::vec("[a-z. =\n-]{0,200}|[א-ת \n]{0,80}|(From |\\.|-| \n|\t){0,40}|\\PC{0,60}", 1..6)
        ) {
            let mut weight = Weight::default();
            texts.iter().for_each(|text| weight.add(Weight::of(text)));
            let mut quoted = Output::unbounded();
            let mut writer = quoted_printable::Writer::new(&mut quoted);
            texts.iter().for_each(|text| writer.value(text));
            writer.finish();
            prop_assert!(quoted.len() <= weight.quoted(), "{} {}", quoted.len(), weight.quoted());
            let mut plain = Output::unbounded();
            let mut writer = eight_bit::Writer::new(&mut plain);
            texts.iter().for_each(|text| writer.value(text));
            writer.finish(true);
            prop_assert!(plain.len() <= weight.quoted() && plain.len() <= weight.base64());
            let mut encoded = Output::unbounded();
            base64::write(plain.as_bytes(), &mut encoded);
            prop_assert!(encoded.len() <= weight.base64(), "{} {}", encoded.len(), weight.base64());
            let mut header = Output::unbounded();
            let mut clean = Output::unbounded();
            word::put_clean(&texts.concat(), &mut clean);
            word::unstructured(clean.as_text(), 20, &mut header);
            prop_assert!(header.len() <= weight.header(), "{} {}", header.len(), weight.header());
        }
    }
}
