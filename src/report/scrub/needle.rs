//! What is looked for in a reply: a person's values, whole, in their parts and in the encodings of mail.

use super::READ_CHARS_MAX;
use crate::report::vocabulary::is_joining;
use zeroize::Zeroizing;

/// Shortest value that is looked for; a single letter would take half the text with it.
const VALUE_CHARS_MIN: usize = 2;
/// Values up to this length are only taken out as whole words.
const WHOLE_WORD_CHARS_MAX: usize = 3;
/// Parts of a value (words of a name, labels of a domain) from this length on go wherever they stand.
const SURE_PART_CHARS_MIN: usize = 6;
/// Where scripts begin in which one character is a word (CJK): such a name is looked for too.
const WORD_IN_A_CHAR: char = '\u{2e80}';

/// A value of more words is a text: it has the joining ones too, and nobody is known by them.
pub const NAME_WORDS_MAX: usize = 4;
/// Labels of a domain that tell nobody apart.
pub const COMMON_LABELS: [&str; 7] = ["mail", "email", "webmail", "mailbox", "smtp", "mx", "post"];

/// One text to look for, folded to lower case.
pub struct Needle {
    pub folded: Zeroizing<Vec<char>>,
    /// Parts of a value are common words often enough ("mail", "info") to leave longer words alone.
    pub whole_word: bool,
}

pub fn needles<'a>(known: impl IntoIterator<Item = &'a str>) -> Vec<Needle> {
    let mut needles: Vec<Needle> = Vec::new();
    let mut add = |value: &str, is_part: bool| {
        let folded = Zeroizing::new(value.chars().flat_map(char::to_lowercase).collect::<Vec<_>>());
        let is_long_enough = folded.len() >= VALUE_CHARS_MIN || folded.iter().any(|c| *c >= WORD_IN_A_CHAR);
        if is_long_enough && folded.len() <= READ_CHARS_MAX {
            let is_short =
                folded.len() <= WHOLE_WORD_CHARS_MAX || (is_part && folded.len() < SURE_PART_CHARS_MIN);
            // Other scripts write words without blanks, or join prefixes to a name (Hebrew, Arabic, Japanese).
            let whole_word = is_short && folded.iter().all(char::is_ascii);
            needles.push(Needle { folded, whole_word });
        }
    };
    for value in known {
        let value = value.trim();
        add(value, false);
        let named = value.rsplit_once('@').map_or(value, |(local, domain)| {
            add(local.trim_matches('"'), true);
            add(domain, true);
            let labels = domain.rsplit('.').skip(1).filter(|label| label.chars().count() > 2);
            let labels = labels.filter(|label| !COMMON_LABELS.contains(label));
            labels.for_each(|label| add(label, true));
            local
        });
        let tells = |word: &&str| word.chars().count() > 2 || !word.is_ascii();
        let words = || named.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let is_name = words().nth(NAME_WORDS_MAX).is_none();
        let tells = |word: &&str| tells(word) && (is_name || !is_joining(&word.to_lowercase()));
        words().filter(tells).for_each(|word| add(word, true));
        for encoded in encoded_forms(value) {
            add(&encoded, false);
        }
    }
    needles
}

/// Hex, and what base64 makes of the value at each of the three alignments, without the ends its neighbours change.
fn encoded_forms(value: &str) -> Vec<Zeroizing<String>> {
    if value.len() < 4 {
        return Vec::new();
    }
    let mut forms = vec![Zeroizing::new(data_encoding::HEXLOWER.encode(value.as_bytes()))];
    for shift in 0..3 {
        let shifted = Zeroizing::new([&[0u8; 2][..shift.min(2)], value.as_bytes()].concat());
        let encoded = Zeroizing::new(data_encoding::BASE64_NOPAD.encode(&shifted));
        let from = (shift * 8).div_ceil(6);
        let upto = shifted.len() * 8 / 6;
        forms.push(Zeroizing::new(encoded.get(from..upto).unwrap_or_default().to_owned()));
    }
    forms.retain(|form| form.len() >= 4);
    forms
}
