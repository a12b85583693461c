//! Cleans a target's reply text: the known values of the person first, then address-shaped text. What the target
//! means stays readable; whom it is about does not.

pub mod needle;

use needle::{Needle, needles};
use std::ops::Range;
use zeroize::Zeroizing;

/// Longest text given out, in characters.
pub const TEXT_CHARS_MAX: usize = 200;
/// How much of a reply is looked at, in characters.
const READ_CHARS_MAX: usize = 2048;
/// Shortest value that is looked for across blanks: a shorter one arises from the ends of other words.
const ACROSS_BLANKS_CHARS_MIN: usize = 6;
/// Shortest start of a value that is taken out where the target cut its text off.
const CUT_CHARS_MIN: usize = 3;

/// Longest character reference between `&` and `;`.
const REFERENCE_CHARS_MAX: usize = 10;

const REMOVED: &str = "[removed]";
const ADDRESS: &str = "[address]";

/// A reply, and what of it may be a value. It never leaves memory as it is.
pub struct Marked {
    chars: Zeroizing<Vec<char>>,
    marks: Vec<Mark>,
}

impl Marked {
    /// Text of a target (without its codes). `known` are the values of the person it may echo: they are marked in any case of
    /// letters, whole or by their words, as address, local part or domain, also percent-, quoted-printable-, hex- or
    /// base64-encoded, as HTML or JSON write them, and broken by blanks or the end of a reply line. Control characters go.
    pub fn of<'a>(text: &[u8], known: impl IntoIterator<Item = &'a str>) -> Self {
        let chars = readable(text);
        let mut marks = vec![Mark::Keep; chars.len()];
        let needles = needles(known);
        View::without_blanks(&chars).mark_values_across_blanks(&needles, &mut marks);
        for view in [View::plain(&chars), View::decoded(&chars)] {
            view.mark_values(&needles, &mut marks);
            view.mark_addresses(&mut marks);
        }
        mark_encoded_words(&chars, &mut marks);
        Self { chars, marks }
    }

    /// With what is marked put out of sight, for those who judge what a target means.
    pub fn scrubbed(&self) -> String {
        render(&self.chars, &self.marks)
    }

    /// Its words in turn, and whether any of each is marked.
    pub fn words(&self) -> impl Iterator<Item = (Zeroizing<String>, bool)> {
        let mut at = 0;
        self.chars.split(|c| *c == ' ').map(move |word| {
            let marks = &self.marks[at..at + word.len()];
            at += word.len() + 1;
            (Zeroizing::new(word.iter().collect()), marks.iter().any(|mark| *mark != Mark::Keep))
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Keep,
    Removed,
    Address,
}

/// Characters without controls, white space made single. What is not UTF-8 is read as Latin-1, as the senders of such
/// replies mean it.
fn readable(text: &[u8]) -> Zeroizing<Vec<char>> {
    let mut chars = Zeroizing::new(Vec::with_capacity(text.len().min(READ_CHARS_MAX)));
    let mut take = |c: char| {
        let c = if c.is_whitespace() { ' ' } else { c };
        let doubled = c == ' ' && chars.last() == Some(&' ');
        if !(doubled || c.is_control() || is_invisible(c)) && chars.len() < READ_CHARS_MAX {
            chars.push(c);
        }
    };
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(&mut take);
        chunk.invalid().iter().for_each(|octet| take(char::from(*octet)));
    }
    chars
}

/// Marks that steer direction or join letters: invisible, and able to hide a value from a search.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text as it is compared: lower case, each character with the stretch of the original it came from.
struct View {
    folded: Zeroizing<Vec<char>>,
    origins: Vec<(usize, usize)>,
}

impl View {
    fn plain(chars: &[char]) -> Self {
        let mut view = Self::empty(chars.len());
        for (at, c) in chars.iter().enumerate() {
            view.push(*c, (at, at + 1));
        }
        view
    }

    /// With `%40`, `=40`, `+40`, `%2540`, `&#64;`, `&commat;` and `\u0040` read as what they stand for.
    fn decoded(chars: &[char]) -> Self {
        let mut view = Self::empty(chars.len());
        let mut octets: Vec<(u8, Range<usize>)> = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            if let Some((octet, width)) = escaped_octet(&chars[at..]) {
                octets.push((octet, at..at + width));
                at += width;
                continue;
            }
            view.push_octets(&mut octets);
            let (c, width) = written_out(&chars[at..]).unwrap_or((chars[at], 1));
            view.push(c, (at, at + width));
            at += width;
        }
        view.push_octets(&mut octets);
        view
    }

    /// As the text would read without any blank: a value that a line end or letter-spacing has broken is whole.
    fn without_blanks(chars: &[char]) -> Self {
        let mut view = Self::empty(chars.len());
        for (at, c) in chars.iter().enumerate().filter(|(_, c)| **c != ' ') {
            view.push(*c, (at, at + 1));
        }
        view
    }

    fn empty(len: usize) -> Self {
        Self { folded: Zeroizing::new(Vec::with_capacity(len * 2)), origins: Vec::with_capacity(len * 2) }
    }

    fn push(&mut self, c: char, origin: (usize, usize)) {
        for folded in c.to_lowercase() {
            self.folded.push(folded);
            self.origins.push(origin);
        }
    }

    fn push_octets(&mut self, octets: &mut Vec<(u8, Range<usize>)>) {
        let raw = Zeroizing::new(octets.iter().map(|(octet, _)| *octet).collect::<Vec<_>>());
        let mut from = 0;
        for chunk in raw.utf8_chunks() {
            let invalid = chunk.invalid().iter().map(|octet| (char::from(*octet), 1));
            for (c, width) in chunk.valid().chars().map(|c| (c, c.len_utf8())).chain(invalid) {
                self.push(c, (octets[from].1.start, octets[from + width - 1].1.end));
                from += width;
            }
        }
        octets.clear();
    }

    fn mark_values(&self, needles: &[Needle], marks: &mut [Mark]) {
        for needle in needles {
            let mut at = 0;
            while at < self.folded.len() {
                let found = self.match_at(needle, at);
                self.mark(at, at + found, Mark::Removed, marks);
                at += found.max(1);
            }
        }
    }

    fn mark_values_across_blanks(&self, needles: &[Needle], marks: &mut [Mark]) {
        for needle in needles.iter().filter(|needle| !needle.whole_word) {
            // A value's own blanks are not in this view either.
            let wanted: Zeroizing<Vec<char>> =
                Zeroizing::new(needle.folded.iter().copied().filter(|c| *c != ' ').collect());
            if wanted.len() < ACROSS_BLANKS_CHARS_MIN {
                continue;
            }
            for at in 0..self.folded.len() {
                if self.folded[at..].starts_with(&wanted) {
                    let (start, end) = (self.origins[at].0, self.origins[at + wanted.len() - 1].1);
                    marks[start..end].fill(Mark::Removed);
                }
            }
        }
    }

    /// How many characters at `at` belong to the needle: all of it, or its start where the text was cut off.
    fn match_at(&self, needle: &Needle, at: usize) -> usize {
        let rest = &self.folded[at..];
        let same = rest.iter().zip(needle.folded.iter()).take_while(|(a, b)| a == b).count();
        let is_cut = same == rest.len() && same >= CUT_CHARS_MIN;
        if same < needle.folded.len() && !is_cut {
            return 0;
        }
        let is_letter =
            |at: Option<usize>| at.and_then(|at| self.folded.get(at)).is_some_and(|c| c.is_alphanumeric());
        let is_part_of_word = is_letter(at.checked_sub(1)) || is_letter(Some(at + same));
        if needle.whole_word && is_part_of_word { 0 } else { same }
    }

    /// Anything around an `@`, as far as an address can reach on both sides.
    fn mark_addresses(&self, marks: &mut [Mark]) {
        for at in (0..self.folded.len()).filter(|at| self.folded[*at] == '@') {
            let before = &self.folded[..at];
            let start = if before.last() == Some(&'"') {
                before[..at - 1].iter().rposition(|c| *c == '"').unwrap_or(at)
            } else {
                before.iter().rposition(|c| ends_address(*c)).map_or(0, |left| left + 1)
            };
            let after = &self.folded[at + 1..];
            let end = at + 1 + after.iter().position(|c| ends_address(*c)).unwrap_or(after.len());
            if start < at && end > at + 1 {
                self.mark(start, end, Mark::Address, marks);
            }
        }
    }

    fn mark(&self, from: usize, upto: usize, mark: Mark, marks: &mut [Mark]) {
        for (start, end) in &self.origins[from..upto] {
            marks[*start..*end].fill(mark);
        }
    }
}

fn ends_address(c: char) -> bool {
    c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | ':' | '"' | '\\')
}

/// The octet and how many characters it takes: three, or five where an escape was escaped again.
fn escaped_octet(chars: &[char]) -> Option<(u8, usize)> {
    let (high, low, width) = match chars {
        ['%', '2', '5', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            (high, low, 5)
        }
        ['%' | '=' | '+', high, low, ..] => (high, low, 3),
        _ => return None,
    };
    Some(((high.to_digit(16)? * 16 + low.to_digit(16)?) as u8, width))
}

/// A character as HTML (`&#64;`, `&#x40;`, `&commat;`) or JSON (`\u0040`) write it, and how many characters that takes.
fn written_out(chars: &[char]) -> Option<(char, usize)> {
    match chars {
        ['\\', 'u', digits @ ..] => {
            let code = digits.get(..4)?.iter().try_fold(0, |code, c| Some(code * 16 + c.to_digit(16)?))?;
            Some((char::from_u32(code)?, 6))
        }
        ['&', rest @ ..] => {
            let length = rest.iter().take(REFERENCE_CHARS_MAX).position(|c| *c == ';')?;
            Some((referred_to(&rest[..length])?, length + 2))
        }
        _ => None,
    }
}

fn referred_to(reference: &[char]) -> Option<char> {
    let code = |digits: &[char], radix| {
        let code = digits.iter().try_fold(0u32, |code, c| {
            code.checked_mul(radix).and_then(|code| code.checked_add(c.to_digit(radix)?))
        });
        code.filter(|_| !digits.is_empty()).and_then(char::from_u32)
    };
    match reference {
        ['#', 'x' | 'X', digits @ ..] => code(digits, 16),
        ['#', digits @ ..] => code(digits, 10),
        name => match name.iter().collect::<String>().as_str() {
            "commat" => Some('@'),
            "period" => Some('.'),
            "lowbar" => Some('_'),
            "plus" => Some('+'),
            "amp" => Some('&'),
            "apos" => Some('\''),
            "hyphen" | "dash" => Some('-'),
            _ => None,
        },
    }
}

/// `=?charset?B?...?=` (RFC 2047): in a reply it is nearly always a subject or a name.
fn mark_encoded_words(chars: &[char], marks: &mut [Mark]) {
    let mut at = 0;
    while at + 1 < chars.len() {
        if chars[at] != '=' || chars[at + 1] != '?' {
            at += 1;
            continue;
        }
        let end = chars[at..].iter().position(|c| *c == ' ').map_or(chars.len(), |len| at + len);
        marks[at..end].fill(Mark::Removed);
        at = end;
    }
}

fn render(chars: &[char], marks: &[Mark]) -> String {
    let mut text = String::with_capacity(TEXT_CHARS_MAX * 2);
    let mut length = 0;
    let mut last = Mark::Keep;
    for (c, mark) in chars.iter().zip(marks) {
        if length >= TEXT_CHARS_MAX {
            break;
        }
        let stands_for = match mark {
            Mark::Keep => {
                text.push(*c);
                length += 1;
                last = Mark::Keep;
                continue;
            }
            Mark::Removed => REMOVED,
            Mark::Address => ADDRESS,
        };
        if last == Mark::Keep {
            text.push_str(stands_for);
            length += stands_for.len();
        }
        last = *mark;
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests;
