//! The bare names of hosts (`shop.example`) that clients make links of: one grammar for texts that are whole and for those with
//! values in them.

use super::tld::is_tld;

/// Endings of files that are no top-level domain: `invoice-7.pdf` is not made a link.
const FILE_ENDINGS: [&str; 14] =
    ["pdf", "ics", "vcf", "csv", "xls", "xlsx", "doc", "docx", "png", "jpg", "jpeg", "gif", "txt", "html"];

/// What ends words such as `Art.Nr`, `B.Sc`, `Sa.So` as nobody writes a top-level domain.
const ABBREVIATED: [&str; 5] = ["Nr", "Sc", "St", "So", "Mo"];

/// How far the name of a host may have come: a set, as branches may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Host(u16);

impl Host {
    /// In a label.
    const LABEL: u16 = 1;
    /// Behind the dot after one.
    const DOT: u16 = 2;
    /// Behind a sign that only some take for that dot.
    const WIDE_DOT: u16 = 4;
    /// One letter behind the dot; no top-level domain is as short.
    const ONE: u16 = 8;
    /// What may be a top-level domain.
    const TOP: u16 = 16;
    /// What may be one in another script.
    const OTHER: u16 = 32;
    /// What may be one behind a sign that only some take for a dot.
    const WIDE: u16 = 64;
    /// Behind a dot after either of these, which may end a sentence.
    const TOP_ENDED: u16 = 128;
    const OTHER_ENDED: u16 = 256;

    fn has(self, flags: u16) -> bool {
        self.0 & flags != 0
    }

    /// Whether the character may be of the name.
    pub(super) fn goes_on(c: char) -> bool {
        c.is_alphanumeric() || matches!(c, '-' | '_' | '.') || is_wide_dot(c)
    }

    pub(super) fn step(self, c: char) -> Self {
        let behind_label = self.has(Self::LABEL | Self::ONE | Self::TOP | Self::OTHER | Self::WIDE);
        if c == '.' {
            let ended = |flag, ended| if self.has(flag) { ended } else { 0 };
            let all = Self::DOT | ended(Self::TOP, Self::TOP_ENDED) | ended(Self::OTHER, Self::OTHER_ENDED);
            // More dots may end a sentence too.
            return Self(if behind_label {
                all | self.0 & Self::TOP_ENDED
            } else {
                self.0 & (Self::TOP_ENDED | Self::OTHER_ENDED)
            });
        }
        if is_wide_dot(c) {
            return Self(if behind_label { Self::WIDE_DOT } else { 0 });
        }
        if !Self::goes_on(c) {
            return Self::default();
        }
        let mut next = 0;
        if self.0 == 0 || self.has(Self::LABEL) {
            next |= Self::LABEL;
        }
        if self.has(Self::DOT) {
            next |= if c.is_ascii_alphabetic() {
                Self::ONE
            } else if c.is_ascii() {
                Self::LABEL
            } else {
                Self::OTHER
            };
        }
        if self.has(Self::WIDE_DOT) {
            next |= Self::WIDE;
        }
        if self.has(Self::ONE) {
            next |= if c.is_ascii() { Self::TOP } else { Self::OTHER };
        }
        // What is no top-level domain behind a dot leaves the name before it the name of a host (`shop.example.-`).
        Self(next | self.0 & (Self::TOP | Self::OTHER | Self::WIDE | Self::TOP_ENDED))
    }

    /// A value may be a label, and nobody knows of how many letters: with one before it, it may be a top-level domain.
    pub(super) fn behind_value(self) -> Self {
        let top = if self.has(Self::ONE) { Self::TOP } else { 0 };
        Self(Self::LABEL | top | self.0 & (Self::TOP | Self::OTHER | Self::WIDE))
    }

    pub(super) fn join(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it came to a name that goes on: a value that stands here is of the name, or of its path.
    pub(super) fn is_named(self) -> bool {
        self.has(Self::TOP)
    }

    /// Whether a client takes what came for the name of a host when this follows, whatever the values in it are.
    pub(super) fn is_linked_before(self, c: char) -> bool {
        self.has(Self::TOP | Self::TOP_ENDED) || self.has(Self::OTHER | Self::WIDE) && begins_path(c)
    }

    /// As [`Host::is_linked_before`], for a name without values in it: some clients know those in other scripts.
    fn may_be_linked_before(self, c: char) -> bool {
        self.is_linked_before(c) || self.has(Self::OTHER | Self::OTHER_ENDED)
    }

    /// Whether a dot stands behind a whole name.
    pub(super) fn is_ended(self) -> bool {
        self.has(Self::TOP_ENDED)
    }

    /// Whether the top-level domain comes next.
    pub(super) fn is_open(self) -> bool {
        self.has(Self::DOT | Self::WIDE_DOT)
    }
}

fn begins_path(c: char) -> bool {
    matches!(c, '/' | '?' | '#' | ':')
}

/// What browsers read as a dot in the name of a host (UTS #46).
pub(super) fn is_wide_dot(c: char) -> bool {
    matches!(c, '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
}

/// Whether the text ends with the name of a file, its ending in lower case.
pub(super) fn is_file(text: &[u8]) -> bool {
    let dots = text.iter().rev().take_while(|byte| **byte == b'.').count();
    let text = &text[..text.len() - dots];
    FILE_ENDINGS
        .iter()
        .any(|ending| text.strip_suffix(ending.as_bytes()).is_some_and(|name| name.ends_with(b".")))
}

/// Whether the text ends with a number such as 192.0.2.1.
pub(super) fn is_number(text: &[u8]) -> bool {
    let begin = text.iter().rposition(|byte| !byte.is_ascii_digit() && *byte != b'.').map_or(0, |at| at + 1);
    let mut parts = text[begin..].split(|byte| *byte == b'.');
    parts.clone().count() == 4 && parts.all(|part| !part.is_empty())
}

/// Whether a name of a host stands in a word that has no values: by itself, before a path, or behind an `@`.
pub(super) fn holds_host(word: &str) -> bool {
    let mut host = Host::default();
    let mut begin = None;
    for (at, c) in word.char_indices().chain([(word.len(), ' ')]) {
        if Host::goes_on(c) {
            begin.get_or_insert(at);
            host = host.step(c);
            continue;
        }
        let run = begin.take().map_or("", |begin| &word[begin..at]);
        let is_host = host.may_be_linked_before(c) && !is_other_word(run, c);
        if is_host || begins_path(c) && is_number(run.as_bytes()) {
            return true;
        }
        host = Host::default();
    }
    false
}

/// Whether people read it as something else: an abbreviation (`B.Sc.`), a file, a version (`2.rc1`); `next` follows it. Names that
/// came later than the list of top-level domains are taken for one where nothing speaks against it: a new sentence without a
/// space (`end.Next one`), `St.Gallen` have a capital.
fn is_other_word(run: &str, next: char) -> bool {
    let run = run.trim_matches(['.', '-', '_']);
    let last = run.rsplit(|c| c == '.' || is_wide_dot(c)).next().unwrap_or_default();
    if !last.starts_with("xn--") && !last.chars().all(char::is_alphabetic) {
        return true;
    }
    let is_known = || is_tld(&last.to_lowercase());
    let is_file = || is_file(run.to_lowercase().as_bytes());
    !begins_path(next)
        && (is_file() || ABBREVIATED.contains(&last) || run.chars().any(char::is_uppercase) && !is_known())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_a_sentence_may_end_behind_a_host() {
        for text in ["shop.example.", "shop.example...", "a@shop.example.", "SHOP.COM.", "192.0.2.1/a"] {
            assert!(holds_host(text), "{text}");
        }
        for text in ["B.Sc.", "e.g.", "terms.pdf.", "2.rc1", "1.2.3/a", "z.B.", "...", "1.2026."] {
            assert!(!holds_host(text), "{text}");
        }
    }
}
