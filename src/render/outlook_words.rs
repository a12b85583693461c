//! Words that only Outlook puts together. It reads what is written for it (`<!--[if mso]> … <![endif]-->`) and leaves out what is
//! kept from it (`<!--[if !mso]><!--> … <!--<![endif]-->`), so there a person's value, or what a block makes depend on one, may go
//! on in an address that nobody else sees.

use super::elements::breaks_text;
use super::html::State;
use super::lint::Lint;
use super::program::{Block, Op, has_forks, holds_person};
use super::spelled::{has_no_width, reference};

/// Signs of private use, which stand for what is not text here.
const PERSON: char = '\u{e000}';
const OTHER: char = '\u{e001}';
/// Where a comment for Outlook begins or ends.
const BORDER: char = '\u{e002}';
/// What is between these may be missing, in part or whole.
const MAYBE: char = '\u{e003}';
const MAYBE_END: char = '\u{e004}';

/// What is wrong with such words, if one may be an address and depends on a person.
pub(super) fn joined(ops: &[Op], fixed: &[Box<str>], place: &str) -> Option<Lint> {
    if !fixed.iter().any(|piece| is_conditional(piece)) || !holds_person(ops) && !has_forks(ops) {
        return None;
    }
    let ways = [Taken::Body, Taken::Other, Taken::Neither, Taken::Maybe];
    let ways = if ops.iter().any(is_block) { &ways[..] } else { &ways[..1] };
    // Most ways read the same.
    let mut known = Vec::new();
    for taken in ways {
        let mut text = Flat { text: String::new(), people: Vec::new() };
        text.push(ops, fixed, *taken);
        let is_sure = *taken != Taken::Maybe;
        let found = |at: usize| Some(lint(place, text.people.get(at).copied().unwrap_or_default()));
        for kept in [Kept::Left, Kept::Read] {
            let read = as_outlook(&text.text, kept);
            if known.contains(&read) {
                continue;
            }
            if let Some(at) = person_at(&shown(&read), is_sure) {
                return found(at);
            }
            known.push(read);
        }
        if let Some(at) = person_beside_some(&text.text, is_sure) {
            return found(at);
        }
    }
    None
}

fn lint(place: &str, at: (usize, usize)) -> Lint {
    let cause = "Outlook reads this and what its conditional comments (<!--[if …]>) hold or leave out as one word, which may be an \
                 address";
    Lint::new(place, at, cause, "put a space, or an element such as <br> or <td>, between the two")
}

/// What is read of blocks: one that is left out brings together what it keeps apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Body,
    Other,
    Neither,
    /// Each by itself.
    Maybe,
}

/// What Outlook does with what is kept from some of its versions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Read,
    Left,
}

/// The template as one text, and where the values of the person stand in the source.
struct Flat {
    text: String,
    people: Vec<(usize, usize)>,
}

impl Flat {
    fn push(&mut self, ops: &[Op], fixed: &[Box<str>], taken: Taken) {
        for op in ops {
            match op {
                Op::Fixed(index) => self.text.push_str(&fixed[*index]),
                Op::Value(value) if value.origin.person.is_some() => self.person(value.at),
                Op::Value(_) => self.text.push(OTHER),
                Op::If(branch) => self.block(&branch.block, fixed, taken),
                Op::With(with) => self.block(&with.block, fixed, taken),
                Op::Each(each) => {
                    self.block(&each.block, fixed, taken);
                    self.block(&each.block, fixed, taken);
                }
            }
        }
    }

    fn block(&mut self, block: &Block, fixed: &[Box<str>], taken: Taken) {
        let depends = block.origin.person.is_some();
        if depends {
            self.person(block.at);
        }
        match taken {
            Taken::Body => self.push(&block.body, fixed, taken),
            Taken::Other => self.push(&block.other, fixed, taken),
            Taken::Neither => {}
            Taken::Maybe => {
                self.text.push(MAYBE);
                self.push(&block.body, fixed, taken);
                self.push(&block.other, fixed, taken);
                self.text.push(MAYBE_END);
            }
        }
        if depends {
            self.person(block.at);
        }
    }

    fn person(&mut self, at: (usize, usize)) {
        self.text.push(PERSON);
        self.people.push(at);
    }
}

fn is_block(op: &Op) -> bool {
    !matches!(op, Op::Fixed(_) | Op::Value(_))
}

fn is_conditional(piece: &str) -> bool {
    memchr::memmem::find_iter(piece.as_bytes(), "<!").any(|at| condition(&piece[at..]).is_some())
}

/// Behind the condition that the text begins with.
fn condition(text: &str) -> Option<&str> {
    let behind = text.strip_prefix("<!--").or_else(|| text.strip_prefix("<!"))?.trim_ascii_start();
    let begin = behind.get(..3)?;
    let end = || behind.split_once(']').and_then(|(_, behind)| behind.trim_ascii_start().strip_prefix('>'));
    begin.eq_ignore_ascii_case("[if").then(|| end().unwrap_or(""))
}

/// A stretch of the text.
enum Piece<'t> {
    Outside(&'t str),
    /// What only Outlook reads.
    Hidden(&'t str),
    /// What others read too.
    Revealed(&'t str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(found) = text[at..].find("<!") {
        at += found;
        let Some(behind) = condition(&text[at..]) else {
            at += "<!".len();
            continue;
        };
        pieces.push(Piece::Outside(&text[from..at]));
        let revealed = ["<!-->", "-->"].iter().find_map(|sign| behind.strip_prefix(sign));
        let (inner, next) = up_to_end(revealed.unwrap_or(behind));
        let is_hidden = text[at..].starts_with("<!--") && revealed.is_none();
        pieces.push(if is_hidden { Piece::Hidden(inner) } else { Piece::Revealed(inner) });
        (from, at) = (text.len() - next.len(), text.len() - next.len());
    }
    pieces.push(Piece::Outside(&text[from..]));
    pieces
}

/// The text as Outlook reads it, with a sign where others read something else.
fn as_outlook(text: &str, kept: Kept) -> String {
    let mut read = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Outside(text) => read.push_str(text),
            Piece::Hidden(inner) => {
                read.push(BORDER);
                read.push_str(&to_outlook(inner));
                read.push(BORDER);
            }
            Piece::Revealed(_) if kept == Kept::Left => read.push(BORDER),
            Piece::Revealed(inner) => read.push_str(&as_outlook(inner, kept)),
        }
    }
    read
}

/// What ends the comment for others is nothing to Outlook.
fn to_outlook(inner: &str) -> String {
    inner.replace("-->", "\u{e002}")
}

/// Conditions of one word that are tried in all ways.
const CONDITIONS_MAX: usize = 6;

/// A piece of a word.
enum Part {
    Sure(String),
    /// There where its condition is met.
    Maybe(String),
}

/// As [`person_at`], where several conditions stand in one word: each may be met or not.
fn person_beside_some(text: &str, is_sure: bool) -> Option<usize> {
    let (mut before, mut word) = (0, Vec::new());
    for piece in pieces(text).iter().chain([&Piece::Outside(" ")]) {
        let text = match piece {
            Piece::Outside(text) => shown(text),
            Piece::Hidden(inner) | Piece::Revealed(inner) => {
                word.push(Part::Maybe(shown(&to_outlook(inner))));
                continue;
            }
        };
        let Some((head, rest)) = text.split_once(' ') else {
            word.push(Part::Sure(text));
            continue;
        };
        word.push(Part::Sure(head.to_owned()));
        if let Some(at) = person_in(&word, is_sure) {
            return Some(before + at);
        }
        let last = rest.rsplit(' ').next().unwrap_or_default();
        before += word.iter().map(Part::people).sum::<usize>();
        before += rest[..rest.len() - last.len()].matches(PERSON).count();
        word = vec![Part::Sure(last.to_owned())];
    }
    None
}

fn person_in(word: &[Part], is_sure: bool) -> Option<usize> {
    let conditions = word.iter().filter(|part| matches!(part, Part::Maybe(_))).count();
    if conditions < 2 || word.iter().all(|part| part.people() == 0) {
        return None;
    }
    let is_sure = is_sure && conditions <= CONDITIONS_MAX;
    let mut ways = 0..1_u32 << conditions.min(CONDITIONS_MAX);
    ways.find_map(|met| person_at(&reading(word, met), is_sure))
}

/// The word where these conditions are met, a bit for each. Of more, what keeps words apart is left out.
fn reading(word: &[Part], met: u32) -> String {
    let (mut read, mut condition) = (String::new(), 0);
    for part in word {
        let Part::Maybe(text) = part else {
            read.push_str(part.text());
            continue;
        };
        read.push(BORDER);
        match condition {
            CONDITIONS_MAX.. => read.extend(text.split_ascii_whitespace()),
            bit if met >> bit & 1 == 1 => read.push_str(text),
            _ => {}
        }
        read.push(BORDER);
        condition += 1;
    }
    read
}

impl Part {
    fn text(&self) -> &str {
        match self {
            Self::Sure(text) | Self::Maybe(text) => text,
        }
    }

    fn people(&self) -> usize {
        self.text().matches(PERSON).count()
    }
}

/// What stands before the `<![endif]>` that belongs to a condition, and what behind.
fn up_to_end(text: &str) -> (&str, &str) {
    let mut depth = 1;
    for at in memchr::memmem::find_iter(text.as_bytes(), "<!") {
        if condition(&text[at..]).is_some() {
            depth += 1;
        } else if text[at..].get(..8).is_some_and(|end| end.eq_ignore_ascii_case("<![endif")) {
            depth -= 1;
        }
        if depth == 0 {
            let inner = text[..at].strip_suffix("<!--").unwrap_or(&text[..at]);
            let end = text[at..].find('>').map_or(text.len(), |end| at + end + 1);
            return (inner, &text[end..]);
        }
    }
    (text, "")
}

/// Which of what depends on a person stands in a word that may be an address, and that others read in pieces. Where it is not
/// sure that the pieces come together, only signs of an address in another one count.
fn person_at(text: &str, is_sure: bool) -> Option<usize> {
    let mut before = 0;
    for word in text.split_ascii_whitespace() {
        let people = word.matches(PERSON).count();
        let inner = word.trim_start_matches(BORDER).trim_end_matches([BORDER, '.', ',', ':', ';', '!', '?']);
        if people > 0 && inner.contains(BORDER) {
            let mut pieces = inner.split(BORDER);
            let is_told =
                |piece: &str| piece.contains([':', '/', '.', '@', '。', '．', '｡']) || piece.contains("www");
            let is_address = match is_sure {
                true => is_told(inner),
                false => pieces.clone().enumerate().any(|(at, piece)| {
                    piece.contains(PERSON)
                        && pieces.clone().enumerate().any(|(other, piece)| other != at && is_told(piece))
                }),
            };
            pieces.next();
            if is_address {
                return Some(before);
            }
        }
        before += people;
    }
    None
}

/// The text that a reader sees: tags that end a line or field are a space, others nothing. Values in tags stand alone, so that they
/// are counted.
fn shown(html: &str) -> String {
    let mut shown = Shown { text: String::with_capacity(html.len()), maybe: 0 };
    let (mut state, mut rest) = (State::Text, html);
    loop {
        let (passed, behind) = pass(state, rest);
        let (run, next) = rest.split_at(passed);
        run.chars().for_each(|c| shown.take(c, is_text(state)));
        (state, rest) = (behind, next);
        let Some(c) = rest.chars().next() else { return shown.text };
        let bytes = shown.sign(c, rest, &mut state);
        rest = &rest[bytes..];
    }
}

struct Shown {
    text: String,
    /// How deep in what may be missing: what keeps words apart there may be missing too.
    maybe: usize,
}

impl Shown {
    fn take(&mut self, c: char, is_text: bool) {
        match c {
            MAYBE => self.maybe += 1,
            MAYBE_END => self.maybe = self.maybe.saturating_sub(1),
            PERSON if !is_text => self.text.extend([' ', PERSON, ' ']),
            _ if !is_text || has_no_width(c) => {}
            _ if c.is_ascii_whitespace() => self.space(),
            _ => self.text.push(c),
        }
    }

    fn space(&mut self) {
        if self.maybe == 0 {
            self.text.push(' ');
        }
    }

    /// Takes one sign, be it written as a reference: how many bytes it has.
    fn sign(&mut self, c: char, html: &str, state: &mut State) -> usize {
        let before = *state;
        let (sign, bytes) = reference(html).filter(|_| is_text(before)).unwrap_or((c, c.len_utf8()));
        *state = html.as_bytes()[..bytes].iter().fold(before, |state, byte| state.step(*byte));
        if is_text(before) && *state == before || before == State::TagOpen && *state == State::Text {
            self.take(sign, true);
        } else if c == '>' && before.tag().is_some_and(|tag| breaks_text(tag.name.as_str())) {
            self.space();
        } else {
            self.take(c, false);
        }
        bytes
    }
}

fn is_text(state: State) -> bool {
    matches!(state, State::Text | State::Rcdata(_))
}

/// How much leads nowhere else and holds no reference that is read.
fn pass(state: State, html: &str) -> (usize, State) {
    let (passed, behind) = state.pass(html.as_bytes());
    let reference = memchr::memchr(b'&', &html.as_bytes()[..passed]).filter(|_| is_text(state));
    (reference.unwrap_or(passed), behind)
}

#[cfg(test)]
mod tests;
