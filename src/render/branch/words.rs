//! The words of a text, as they are put together on every way through it: which of them a client would make a link of, and
//! whether they depend on the person.

use super::link::{bare, decoded, is_link};
use crate::render::spelled::has_no_width;
use crate::render::word::closing_sign;

/// Line and column of a value.
pub(super) type At = (usize, usize);

/// What a value is in a word, before it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hole {
    Person,
    /// Of the job, in a text that depends on the person.
    Data(At),
}

/// Signs that no text holds, in place of values.
const PERSON: char = '\u{f8fe}';
const DATA: char = '\u{f8ff}';
/// More ways to begin one word than these are not followed.
const WAYS_MAX: usize = 32;
/// Nor is a longer word, which each block would copy. Some scripts have no spaces: it holds a paragraph of those.
const WORD_BYTES_MAX: usize = 16 * 1024;
const TOO_MUCH: &str = "a word that is too long, or put together in too many ways,";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Word {
    text: Vec<u8>,
    depends: bool,
    /// A block that depends on the person stands behind it: if it goes on, it depends on it too.
    is_interrupted: bool,
    data: Vec<At>,
    /// The sign up to which a link in it goes on over blanks.
    open: Option<char>,
    /// How far that was looked for.
    looked_at: usize,
}

/// What the text is in the middle of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    ways: Vec<Word>,
    /// Character references stand for signs.
    is_html: bool,
    /// Something was given up: what begins here may be anything.
    too_many: bool,
}

/// What is wrong with a word that depends on the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Link(String),
    /// A value of the job, joined to something that a link may be made of.
    Joined(At),
    /// A value of the job that stands in a word: what it is has to be looked at.
    Watched(At, Joint),
}

/// What a value of the job stands next to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::render) enum Joint {
    /// White space, or signs that no link is made of.
    Free,
    /// Letters, digits or a hyphen.
    Letters,
}

impl Words {
    pub fn new(is_html: bool) -> Self {
        Self { ways: vec![Word::default()], is_html, too_many: false }
    }

    pub fn text(&mut self, text: &[u8], depends: bool, found: &mut Vec<Found>) {
        let mut rest = text;
        while let Some(end) = rest.iter().position(u8::is_ascii_whitespace) {
            self.goes_on(&rest[..end], depends);
            let blank = rest[end];
            self.end_but_open(blank, found);
            rest = &rest[end + 1..];
            // Of words that depend on nobody only the last one may go on with something that does, and what one of them opens.
            if !depends && self.ways.iter().all(|way| way.text.is_empty()) {
                let open = memchr::memchr3(b'<', b'"', b'&', rest).unwrap_or(rest.len());
                let last = rest[..open].iter().rposition(u8::is_ascii_whitespace);
                rest = &rest[last.map_or(0, |last| last + 1)..];
            }
        }
        self.goes_on(rest, depends);
    }

    fn goes_on(&mut self, bytes: &[u8], depends: bool) {
        if bytes.is_empty() {
            return;
        }
        for way in &mut self.ways {
            way.push(bytes);
            way.goes_on(depends);
        }
    }

    pub fn hole(&mut self, hole: Hole, depends: bool) {
        let mut sign = [0; 4];
        for way in &mut self.ways {
            let c = match hole {
                Hole::Person => PERSON,
                Hole::Data(at) => {
                    if !way.is_long() {
                        way.data.push(at);
                    }
                    DATA
                }
            };
            way.push(c.encode_utf8(&mut sign).as_bytes());
            way.goes_on(depends);
        }
    }

    /// At white space: a link within angles or quotes goes on behind it.
    fn end_but_open(&mut self, blank: u8, found: &mut Vec<Found>) {
        let (open, closed): (Vec<_>, Vec<_>) = self.ways.drain(..).partition(|way| way.open.is_some());
        let mut kept: Vec<Word> = Vec::new();
        for (mut way, was_open) in
            open.into_iter().map(|way| (way, true)).chain(closed.into_iter().map(|way| (way, false)))
        {
            way.look_for_open(self.is_html, blank);
            match way.open {
                None => self.ways.push(way),
                // One that was begun before it, up to a sign of the same kind, holds all that it holds.
                Some(_) if !was_open && kept.iter().any(|other| other.open == way.open) => {}
                Some(_) => kept.push(way),
            }
        }
        self.end(found);
        self.ways.append(&mut kept);
    }

    /// At white space, or where a reader sees it.
    pub fn end(&mut self, found: &mut Vec<Found>) {
        for way in self.ways.drain(..) {
            if way.depends && way.is_long() {
                self.too_many = true;
            } else if way.depends {
                way.judge(self.is_html, found);
            }
        }
        if std::mem::take(&mut self.too_many) {
            found.push(Found::Link(TOO_MUCH.into()));
        }
        self.ways.push(Word::default());
    }

    /// Behind a block: the word may have been begun on either way. Where the block depends on the person, so does a word
    /// that goes on behind it.
    pub fn join(&mut self, other: Self, depends: bool) {
        for way in other.ways {
            if !self.ways.contains(&way) {
                self.ways.push(way);
            }
        }
        self.too_many |= other.too_many || self.ways.len() > WAYS_MAX;
        self.ways.truncate(WAYS_MAX);
        // Nothing begun on any way: the block ended behind white space, whichever was taken.
        if depends && self.ways.iter().any(|way| !way.text.is_empty()) {
            self.ways.iter_mut().for_each(|way| way.is_interrupted = true);
        }
    }
}

impl Word {
    fn push(&mut self, bytes: &[u8]) {
        let room = WORD_BYTES_MAX.saturating_sub(self.text.len());
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Behind a blank: whether a link in it goes on. One that is too long to follow goes on to where its line ends.
    fn look_for_open(&mut self, is_html: bool, blank: u8) {
        if !self.is_long() {
            let fresh = &self.text[self.looked_at..];
            // Most words have none of them.
            let is_plain = memchr::memchr3(b'<', b'"', b'&', fresh).is_none() && !fresh.contains(&b'>');
            let text = || decoded_if(is_html, &String::from_utf8_lossy(fresh));
            self.open = match self.open {
                open if is_plain => open,
                Some(sign) => Some(sign).filter(|sign| !text().contains(*sign)),
                None => closing_sign(&text()),
            };
        }
        if self.open.is_some() && blank == b'\n' && self.text.ends_with(b"\n") {
            self.open = None;
        }
        if self.open.is_some() && blank != b'\r' {
            self.push(&[blank]);
            self.looked_at = self.text.len();
        }
    }

    /// What it goes on with is not known.
    fn is_long(&self) -> bool {
        self.text.len() >= WORD_BYTES_MAX
    }

    fn goes_on(&mut self, depends: bool) {
        self.depends |= depends || self.is_interrupted;
    }

    fn judge(self, is_html: bool, found: &mut Vec<Found>) {
        let text = String::from_utf8_lossy(&self.text);
        let text = decoded_if(is_html, &text);
        let mut data = self.data.into_iter();
        for word in text.split(char::is_whitespace) {
            let shown = word.replace(DATA, "x").replace(PERSON, "xxx");
            let holes: Vec<At> = data.by_ref().take(word.matches(DATA).count()).collect();
            if is_link(&word.replace(DATA, "\u{fffc}").replace(PERSON, "xxx")) {
                found.push(Found::Link(bare(&shown).to_owned()));
                continue;
            }
            let mut holes = holes.into_iter();
            for part in word.split(|c: char| {
                !(c.is_alphanumeric() || ".-:/@?#%=&_~+".contains(c) || c == DATA || c == PERSON)
            }) {
                judge_part(part, holes.by_ref().take(part.matches(DATA).count()).collect(), found);
            }
        }
    }
}

/// A stretch of signs that links are made of.
fn judge_part(part: &str, holes: Vec<At>, found: &mut Vec<Found>) {
    let inner = part.trim_end_matches(['.', ':', '?']);
    let is_joined = inner.contains(['.', ':', '/', '@', '?', '#', '=', '&']);
    let joint = if inner.chars().eq([DATA]) { Joint::Free } else { Joint::Letters };
    found.extend(
        holes.into_iter().map(|at| if is_joined { Found::Joined(at) } else { Found::Watched(at, joint) }),
    );
}

fn decoded_if(is_html: bool, text: &str) -> String {
    if is_html { decoded(text) } else { text.chars().filter(|c| !has_no_width(*c)).collect() }
}

/// Whether a value of the job, known now, makes a link where it stands.
pub(in crate::render) fn makes_link(value: &str, joint: Joint, allowed: &[Box<str>]) -> bool {
    let text: String = value.chars().filter(|c| !has_no_width(*c)).collect();
    let mut words = text.split_whitespace();
    let is_bad = |word: &str| is_link(word) && !allowed.iter().any(|url| **url == *bare(word));
    let joins = |word: Option<&str>| joint == Joint::Letters && word.is_some_and(may_join);
    let edges = || text.split(char::is_whitespace);
    joins(edges().next()) || joins(edges().next_back()) || words.any(is_bad)
}

/// Whether a word may be a part of a link: the letters around it are the rest.
fn may_join(word: &str) -> bool {
    let has_letters = word.contains(char::is_alphabetic);
    word.contains([':', '/', '@'])
        || word.starts_with('.')
        || word.ends_with('.')
        || word.contains('.') && has_letters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, depends: bool) -> Vec<Found> {
        let (mut words, mut found) = (Words::new(false), Vec::new());
        words.text(text.as_bytes(), depends, &mut found);
        words.end(&mut found);
        found
    }

    #[test]
    fn p2_words_that_depend_on_nobody_are_left() {
        assert_eq!(words("see https://t.example", false), []);
        assert_eq!(words("see (https://t.example).", true), [Found::Link("https://t.example".into())]);
    }

    #[test]
    fn p2_a_word_too_long_to_follow_must_not_depend_on_the_person() {
        let long = "a".repeat(WORD_BYTES_MAX - 1);
        assert_eq!((words(&long, true), words(&(long.clone() + "aa"), false)), (vec![], vec![]));
        assert_eq!(words(&(long + "aa"), true), [Found::Link(TOO_MUCH.into())]);
    }

    #[test]
    fn p2_a_word_that_is_begun_on_one_way_and_goes_on_behind_depends_on_it() {
        let run = |before: &str, inside: &str, behind: &str| {
            let (mut words, mut found) = (Words::new(false), Vec::new());
            words.text(before.as_bytes(), false, &mut found);
            let other = words.clone();
            words.text(inside.as_bytes(), true, &mut found);
            words.join(other, true);
            words.text(behind.as_bytes(), false, &mut found);
            words.end(&mut found);
            !found.is_empty()
        };
        assert!(
            run("shop", ".ex", "ample/a") && run("https://t.example/", "a", "") && run("", "https://", "t")
        );
        assert!(run("https://t.example/", " ", "vip") && run("https:/", "/t", ""));
        assert!(!run("https://t.example ", "a", " ") && !run("a ", "b ", "https://t.example"));
        assert!(!run("a", "", "b") && !run("https://t.example", " a", " b"));
    }

    #[test]
    fn p2_a_link_within_angles_or_quotes_goes_on_over_blanks() {
        let run = |before: &str, inside: &str| {
            let (mut words, mut found) = (Words::new(true), Vec::new());
            words.text(before.as_bytes(), false, &mut found);
            words.text(inside.as_bytes(), true, &mut found);
            words.end(&mut found);
            !found.is_empty()
        };
        for before in ["a &lt;https://t.example/? b ", "\"https://t.example/ ", "<www.t.example/?\r\n"] {
            assert!(run(before, "a"), "{before}");
        }
        for before in
            ["a &lt;https://t.example/?&gt; b ", "https://t.example/ ", "<www.t.example/?\n\n", "\"a b "]
        {
            assert!(!run(before, "a"), "{before}");
        }
    }

    #[test]
    fn p2_values_of_the_job_are_looked_at_where_they_stand() {
        let run = |before: &str, behind: &str| {
            let (mut words, mut found) = (Words::new(false), Vec::new());
            words.text(before.as_bytes(), true, &mut found);
            words.hole(Hole::Data((1, 2)), true);
            words.text(behind.as_bytes(), true, &mut found);
            words.end(&mut found);
            found
        };
        for (before, behind) in [("", ""), ("(", ")."), ("€", ","), ("a ", " b"), ("", "?")] {
            assert_eq!(run(before, behind), [Found::Watched((1, 2), Joint::Free)], "{before}{behind}");
        }
        assert_eq!(run("pre-", ""), [Found::Watched((1, 2), Joint::Letters)]);
        for (before, behind) in [("shop.", ""), ("", "/a"), ("", ".com"), ("a@", ""), ("tel:", "")] {
            assert!(!matches!(run(before, behind)[..], [Found::Watched(..)]), "{before}{behind}");
        }
        let allowed = [Box::from("https://t.example/a")];
        assert!(
            makes_link("see https://t.example/b", Joint::Free, &allowed)
                && makes_link("t.example", Joint::Free, &[])
        );
        assert!(
            !makes_link("(https://t.example/a)", Joint::Free, &allowed)
                && !makes_link("3.50", Joint::Free, &[])
        );
        assert!(makes_link("t.c", Joint::Letters, &[]) && !makes_link("10.50", Joint::Letters, &[]));
        assert!(makes_link("shop.", Joint::Letters, &[]) && !makes_link("one. two", Joint::Free, &[]));
    }
}
