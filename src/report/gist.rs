//! What of a target's reply leaves this process: the words of it that stand in a closed vocabulary, and nothing else. A value
//! cannot get out in any encoding, since nothing gets out that was not written down here; and who has a word of the vocabulary
//! for a name is compared with what is said. Where a reply holds such a word, or none of the vocabulary, its code is put into
//! words instead.

use super::code_phrase::phrase;
use super::scrub::needle::{COMMON_LABELS, NAME_WORDS_MAX};
use super::scrub::{Marked, TEXT_CHARS_MAX};
use super::vocabulary::{has, is_joining, is_known_host};
use crate::fault::ReplyCode;
use icu_normalizer::DecomposingNormalizerBorrowed;
use zeroize::Zeroizing;

/// What stands for whatever is left out.
const GAP: &str = "...";
/// From here on a word that a value begins with may be that value, cut off.
const CUT_WORD_CHARS_MIN: usize = 5;

/// A reply with this code (without its codes) as it may be told. `known` are the values of the person it may echo.
pub fn gist<'a>(reply: &Marked, code: ReplyCode, known: impl IntoIterator<Item = &'a str>) -> String {
    let names = Names::of(known);
    let mut gist = Gist::default();
    for (token, is_marked) in reply.words() {
        match spoken(&token) {
            Spoken::Words(words) if is_marked || names.have_a_word_of(&words.text) => {
                return phrase(code).to_owned();
            }
            spoken => gist.take(spoken),
        }
    }
    gist.told().unwrap_or_else(|| phrase(code).to_owned())
}

/// One token of a reply.
#[derive(Debug, PartialEq, Eq)]
enum Spoken {
    /// Marks only.
    Nothing,
    Words(Words),
    Unknown,
}

/// A token all of whose words are in the vocabulary.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    text: String,
    weight: Weight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Content,
    Joining,
    /// So short that it may be a piece of another word.
    Piece,
}

impl Weight {
    fn of(parts: &[&str]) -> Self {
        match parts {
            ["no" | "is"] => Self::Joining,
            [word] if is_joining(word) && word.len() < 3 => Self::Piece,
            parts if parts.iter().all(|part| is_joining(part)) => Self::Joining,
            _ => Self::Content,
        }
    }
}

fn spoken(token: &str) -> Spoken {
    let core = token.trim_matches(|c: char| c.is_ascii_punctuation());
    if core.is_empty() {
        return if token.is_ascii() { Spoken::Nothing } else { Spoken::Unknown };
    }
    let lower = core.to_ascii_lowercase();
    if let Some(host) = host_of(&lower) {
        let text = if host.len() == lower.len() { host.to_owned() } else { format!("https://{host}/{GAP}") };
        return Spoken::Words(Words { text, weight: Weight::Content });
    }
    let base = lower.strip_suffix("'s").unwrap_or(&lower);
    let parts: Vec<&str> = if has(base) { vec![base] } else { base.split(['-', '/', '_']).collect() };
    // Letters that are joined may be anybody's.
    if !parts.iter().all(|part| has(part) && (parts.len() == 1 || part.len() > 1)) {
        return Spoken::Unknown;
    }
    let end = token[token.find(core).unwrap_or(0) + core.len()..].chars().next();
    let mut text = if is_plainly_written(core) { core.to_owned() } else { lower.clone() };
    text.extend(end.filter(|end| matches!(end, '.' | ',' | ':' | ';' | '!' | '?')));
    Spoken::Words(Words { text, weight: Weight::of(&parts) })
}

/// A site or list that is known by its name, alone or with whatever stands behind.
fn host_of(lower: &str) -> Option<&str> {
    let host = match lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")) {
        Some(rest) => rest.split(['/', '?', '#', ':']).next().unwrap_or_default(),
        None => lower,
    };
    is_known_host(host).then_some(host)
}

/// Which letters are capitals says nothing.
fn is_plainly_written(word: &str) -> bool {
    let tail = word.get(1..).unwrap_or_default();
    !tail.bytes().any(|byte| byte.is_ascii_uppercase()) || !word.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// What comes behind words that follow upon each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    Gap,
    Nothing,
}

/// What is told so far.
#[derive(Default)]
struct Gist {
    done: Vec<String>,
    /// Words that follow upon each other, since the last gap.
    run: Vec<Words>,
    length: usize,
}

impl Gist {
    fn take(&mut self, spoken: Spoken) {
        match spoken {
            Spoken::Nothing => {}
            Spoken::Words(words) if self.length < TEXT_CHARS_MAX => {
                self.length += words.text.chars().count() + 1;
                self.run.push(words);
            }
            Spoken::Words(_) | Spoken::Unknown => {
                self.end_run(Behind::Gap);
                self.gap();
            }
        }
    }

    fn gap(&mut self) {
        if self.done.last().is_none_or(|last| last != GAP) {
            self.done.push(GAP.to_owned());
        }
    }

    /// Joining words by themselves say nothing; beside a gap the shortest may be pieces of what is not told.
    fn end_run(&mut self, behind: Behind) {
        let run = std::mem::take(&mut self.run);
        if run.iter().any(|words| words.weight == Weight::Content) {
            let is_piece = |words: &Words| words.weight == Weight::Piece;
            let pieces = |beside_a_gap, found: usize| if beside_a_gap { found } else { 0 };
            let before =
                pieces(!self.done.is_empty(), run.iter().take_while(|words| is_piece(words)).count());
            let after =
                pieces(behind == Behind::Gap, run.iter().rev().take_while(|words| is_piece(words)).count());
            self.done.extend(run[before..run.len() - after].iter().map(|words| words.text.clone()));
        } else if !run.is_empty() {
            self.gap();
        }
    }

    /// `None` where nothing is.
    fn told(mut self) -> Option<String> {
        self.end_run(Behind::Nothing);
        self.done.iter().any(|text| text != GAP).then(|| self.done.join(" "))
    }
}

/// Words of a person's values, as they would be written in the letters of the vocabulary.
struct Names(Vec<Zeroizing<String>>);

impl Names {
    fn of<'a>(known: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = Vec::new();
        for value in known {
            let (value, domain) = value.rsplit_once('@').unwrap_or((value, ""));
            let words: Vec<&str> = value
                .split(|c: char| !c.is_alphanumeric() && !is_mark(c))
                .filter(|word| !word.is_empty())
                .collect();
            let is_name = words.len() <= NAME_WORDS_MAX;
            let labels = domain.rsplit('.').skip(1).flat_map(|label| label.split('-'));
            let labels = labels.filter(|label| !COMMON_LABELS.contains(label));
            for word in words.into_iter().chain(labels) {
                let forms = in_plain_letters(word).into_iter();
                names.extend(forms.filter(|form| form.len() > 1 && (is_name || !is_joining(form))));
            }
        }
        Self(names)
    }

    fn have_a_word_of(&self, told: &str) -> bool {
        let lower = told.to_ascii_lowercase();
        let mut words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.any(|word| {
            let is_cut = word.len() >= CUT_WORD_CHARS_MIN && self.0.iter().any(|name| name.starts_with(word));
            is_cut || self.0.iter().any(|name| **name == word)
        })
    }
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// Without its marks, and with those that are written as a letter more.
fn in_plain_letters(word: &str) -> [Zeroizing<String>; 2] {
    let mut bare = Zeroizing::new(String::with_capacity(word.len()));
    let mut spelled = Zeroizing::new(String::with_capacity(word.len() * 2));
    for c in
        DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(word.chars()).flat_map(char::to_lowercase)
    {
        match c {
            '\u{308}' => spelled.push('e'),
            '\u{30a}' => spelled.push('a'),
            c if is_mark(c) => {}
            c => {
                let letters = match c {
                    'ß' => ["ss", "ss"],
                    'æ' => ["ae", "ae"],
                    'œ' => ["oe", "oe"],
                    'ø' => ["o", "oe"],
                    'ł' => ["l", "l"],
                    'đ' | 'ð' => ["d", "d"],
                    'þ' => ["th", "th"],
                    'ı' => ["i", "i"],
                    _ => ["", ""],
                };
                for (form, letters) in [&mut bare, &mut spelled].into_iter().zip(letters) {
                    if letters.is_empty() { form.push(c) } else { form.push_str(letters) }
                }
            }
        }
    }
    [bare, spelled]
}

#[cfg(test)]
mod tests;
