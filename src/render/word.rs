//! Follows the word that text is in the middle of, to see whether it is a visible URL: mail clients turn such
//! words into links, so personal data in one leaks like any other URL.

/// The word so far: what stands since the last white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Word {
    /// The last eight bytes in lower case, the newest lowest.
    tail: u64,
    /// It holds `://`, `www.`, `mailto:` or the like, or goes on as a URL behind a value of the job's data.
    pub(super) is_url: bool,
    /// A value about the person stands in it.
    pub(super) holds_person: bool,
    /// Another value stands in it: it may be a URL.
    holds_data: bool,
}

const LINK_STARTS: [&[u8]; 6] = [b"www.", b"mailto:", b"tel:", b"sms:", b"ftp.", b"cid:"];

impl Word {
    pub(super) fn step(&mut self, byte: u8) {
        if byte.is_ascii_whitespace() {
            *self = Self::default();
            return;
        }
        self.tail = self.tail << 8 | u64::from(byte.to_ascii_lowercase());
        let tail = self.tail.to_be_bytes();
        let link_start = LINK_STARTS.iter().any(|start| {
            let (before, end) = tail.split_at(tail.len() - start.len());
            end == *start && !before.last().is_some_and(u8::is_ascii_alphanumeric)
        });
        let behind_data = self.holds_data && matches!(byte, b'/' | b'?' | b'=' | b'&' | b'#');
        self.is_url |= link_start || tail.ends_with(b"://") || behind_data;
    }

    pub(super) fn value(&mut self, personal: bool) {
        // The data may hold a whole URL (`{{data.link}}{{person.email}}`), which the person would then be part of.
        self.is_url |= personal && self.holds_data;
        self.holds_person |= personal;
        self.holds_data |= !personal;
        self.tail = 0;
    }

    pub(super) fn leaks(&self) -> bool {
        self.is_url && self.holds_person
    }

    /// What holds behind either of two branches.
    pub(super) fn join(self, other: Self) -> Self {
        Self {
            tail: if self.tail == other.tail { self.tail } else { 0 },
            is_url: self.is_url || other.is_url,
            holds_person: self.holds_person || other.holds_person,
            holds_data: self.holds_data || other.holds_data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_url(text: &str) -> bool {
        let mut word = Word::default();
        text.bytes().for_each(|byte| word.step(byte));
        word.is_url
    }

    #[test]
    fn a_person_behind_data_in_one_word_may_stand_in_a_url() {
        let word = |personal: [bool; 2], between: &str| {
            let mut word = Word::default();
            word.value(personal[0]);
            between.bytes().for_each(|byte| word.step(byte));
            word.value(personal[1]);
            word.leaks()
        };
        assert!(word([false, true], ""));
        assert!(word([false, true], "id-"));
        assert!(!word([false, true], " "));
        assert!(!word([true, false], ""));
        assert!(!word([true, true], ""));
    }

    #[test]
    fn visible_urls_are_seen() {
        for url in ["see https://x.test/?n=", "WWW.x.test/", "(www.", "mailto:", "<tel:"] {
            assert!(is_url(url), "{url}");
        }
        for text in ["https://x.test/ Dear ", "hotel:", "a/b", "Dear", "newwww.x"] {
            assert!(!is_url(text), "{text}");
        }
    }
}
