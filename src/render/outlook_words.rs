//! Words that only Outlook puts together. It reads what is written for it (`<!--[if mso]> … <![endif]-->`) and leaves out what is
//! kept from it (`<!--[if !mso]><!--> … <!--<![endif]-->`), so there a person's value may go on in an address that nobody else sees.

use super::elements::breaks_text;
use super::html::State;
use super::lint::Lint;
use super::program::{Block, Op, holds_person};
use super::spelled::{has_no_width, reference};

/// Signs of private use, which stand for what is not text here.
const PERSON: char = '\u{e000}';
const OTHER: char = '\u{e001}';
/// Where a comment for Outlook begins or ends.
const BORDER: char = '\u{e002}';

/// What is wrong with such words, if a person's value stands in one that may be an address.
pub(super) fn joined(ops: &[Op], fixed: &[Box<str>], place: &str) -> Option<Lint> {
    if !fixed.iter().any(|piece| is_conditional(piece)) || !holds_person(ops) {
        return None;
    }
    let ways = [Taken::Body, Taken::Other, Taken::Neither];
    let ways = if ops.iter().any(is_block) { &ways[..] } else { &ways[..1] };
    // Most ways read the same.
    let mut known = Vec::new();
    for taken in ways {
        let mut text = Flat { text: String::new(), people: Vec::new() };
        text.push(ops, fixed, *taken);
        for kept in [Kept::Left, Kept::Read] {
            let read = as_outlook(&text.text, kept);
            if known.contains(&read) {
                continue;
            }
            if let Some(at) = person_at(&read) {
                return Some(lint(place, text.people.get(at).copied().unwrap_or_default()));
            }
            known.push(read);
        }
    }
    None
}

fn lint(place: &str, at: (usize, usize)) -> Lint {
    let cause = "Outlook reads this value and what its conditional comments (<!--[if …]>) hold or leave out as one word, which may \
                 be an address";
    Lint::new(place, at, cause, "put a space, or an element such as <br> or <td>, between the two")
}

/// What is read of blocks: one that is left out brings together what it keeps apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Body,
    Other,
    Neither,
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
                Op::Value(value) if value.origin.person.is_some() => {
                    self.text.push(PERSON);
                    self.people.push(value.at);
                }
                Op::Value(_) => self.text.push(OTHER),
                Op::If(branch) => self.block(&branch.block, fixed, taken),
                Op::Each(each) | Op::With(each) => self.block(&each.block, fixed, taken),
            }
        }
    }

    fn block(&mut self, block: &Block, fixed: &[Box<str>], taken: Taken) {
        match taken {
            Taken::Body => self.push(&block.body, fixed, taken),
            Taken::Other => self.push(&block.other, fixed, taken),
            Taken::Neither => {}
        }
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
    let behind = text.strip_prefix("<!--").or_else(|| text.strip_prefix("<!"))?;
    let begin = behind.get(..3)?;
    begin.eq_ignore_ascii_case("[if").then(|| behind.find("]>").map_or("", |at| &behind[at + 2..]))
}

/// The text as Outlook reads it, with a sign where others read something else.
fn as_outlook(text: &str, kept: Kept) -> String {
    let mut read = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("<!") {
        read.push_str(&rest[..at]);
        let Some(behind) = condition(&rest[at..]) else {
            read.push_str("<!");
            rest = &rest[at + 2..];
            continue;
        };
        let is_hidden = rest[at..].starts_with("<!--");
        let revealed = ["<!-->", "-->"].iter().find_map(|sign| behind.strip_prefix(sign));
        let (inner, next) = up_to_end(revealed.unwrap_or(behind));
        if is_hidden && revealed.is_none() {
            read.push(BORDER);
            read.push_str(inner);
            read.push(BORDER);
            rest = next;
        } else if kept == Kept::Left {
            read.push(BORDER);
            rest = next;
        } else {
            rest = revealed.unwrap_or(behind);
        }
    }
    read.push_str(rest);
    read
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

/// Which of the person's values stands in a word that may be an address, and that others read in pieces.
fn person_at(read: &str) -> Option<usize> {
    let text = shown(read);
    let mut before = 0;
    for word in text.split_whitespace() {
        let people = word.matches(PERSON).count();
        let inner = word.trim_matches(BORDER);
        let is_joined = people > 0 && inner.contains(BORDER);
        if is_joined && (inner.contains([':', '/', '.', '@', '。', '．', '｡']) || inner.contains("www")) {
            return Some(before);
        }
        before += people;
    }
    None
}

/// The text that a reader sees: tags that end a line or field are a space, others nothing. Values in tags stand alone, so that they
/// are counted.
fn shown(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let (mut state, mut rest) = (State::Text, html);
    loop {
        let (passed, behind) = pass(state, rest);
        let (run, next) = rest.split_at(passed);
        if is_text(state) {
            text.extend(run.chars().filter(|c| !has_no_width(*c)));
        } else {
            run.matches(PERSON).for_each(|_| text.extend([' ', PERSON, ' ']));
        }
        (state, rest) = (behind, next);
        let Some(c) = rest.chars().next() else { return text };
        let bytes = sign(c, rest, &mut state, &mut text);
        rest = &rest[bytes..];
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

/// Takes one sign, be it written as a reference: how many bytes it has.
fn sign(c: char, html: &str, state: &mut State, text: &mut String) -> usize {
    let before = *state;
    let (sign, bytes) = reference(html).filter(|_| is_text(before)).unwrap_or((c, c.len_utf8()));
    *state = html.as_bytes()[..bytes].iter().fold(before, |state, byte| state.step(*byte));
    if is_text(before) && *state == before || before == State::TagOpen && *state == State::Text {
        text.extend((!has_no_width(sign)).then_some(sign));
    } else if c == PERSON {
        text.extend([' ', c, ' ']);
    } else if c == '>' && before.tag().is_some_and(|tag| breaks_text(tag.name.as_str())) {
        text.push(' ');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::program::{Program, Syntax};

    fn is_taken(source: &str) -> bool {
        Program::compile(source, Syntax::Html, "t").is_ok()
    }

    #[test]
    fn p3_outlook_puts_no_value_into_an_address() {
        for refused in [
            "<!--[if mso]>https://t.example/?<![endif]-->{{person.first_name}}",
            "<!--[if mso]><b>https://t.example/?</b><![endif]--><i>{{person.first_name}}</i>",
            "<!--[if mso]>https&#58;&#x2f;/t.example/?<![endif]-->&#8203;{{person.first_name}}",
            "{{person.first_name}}<!--[if gte mso 9]>.t.example<![endif]-->",
            "{{person.email}}<!--[IF mso]>.t.example<![ENDIF]--> x",
            "https://t.example/?<!--[if !mso]><!--> <!--<![endif]-->{{person.first_name}}",
            "https://t.example/?<!--[if !mso]><!--><br><!--<![endif]-->{{person.first_name}}",
            "https://t.example/?<![if !mso]><br><![endif]>{{person.first_name}}",
            "<!--[if mso]>www.t.example/<![endif]-->{{#if data.x}} {{/if}}{{person.city}}",
            "https://t.example/?<!--[if !mso]><!--> <!--[if mso]>a<![endif]--> <!--<![endif]-->{{person.first_name}}",
        ] {
            assert!(!is_taken(refused), "{refused}");
        }
    }

    #[test]
    fn p3_what_is_written_for_outlook_stands_beside_values() {
        for taken in [
            "<!--[if mso]><table><tr><td><![endif]-->Dear {{person.first_name}}<!--[if mso]></td></tr></table><![endif]-->",
            "<a href=\"https://shop.example/\"><!--[if mso]><i style=\"letter-spacing:25px\">&nbsp;</i><![endif]--><span>{{person.first_name}}</span><!--[if mso]><i>&#8202;</i><![endif]--></a>",
            "<!--[if mso]>https://shop.example/ <![endif]-->{{person.first_name}}",
            "<!--[if mso]><p>See https://shop.example/</p><![endif]--><p>{{person.first_name}}</p>",
            "<!--[if !mso]><!--><p>https://shop.example/</p><!--<![endif]-->{{person.first_name}}",
            "{{person.first_name}}:<!--[if mso]><br><![endif]--> see https://shop.example/",
            "<!--[if mso]><style>td{font:9px x.y}</style><![endif]-->{{person.first_name}}",
            "<!--[if mso]>https://shop.example/<![endif]-->{{data.word}} {{person.first_name}}",
        ] {
            assert!(is_taken(taken), "{taken}: {:?}", Program::compile(taken, Syntax::Html, "t").err());
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_passed_at_once_is_shown_as_sign_by_sign(picks in proptest::collection::vec(0..17_usize, 0..40)) {
            const PIECES: [&str; 17] = [
                "<p ", "a=\"", "src='", "\"", "'", ">", "<!--", "--", "<style>", "</style>", "x y", "&amp;", "&#8203;", "<title>",
                "</title", "\u{200b}\u{e000}é", "\u{e000}<",
            ];
            let html: String = picks.iter().map(|pick| PIECES[*pick]).collect();
            let (mut state, mut rest, mut slow) = (State::Text, html.as_str(), String::new());
            while let Some(c) = rest.chars().next() {
                rest = &rest[sign(c, rest, &mut state, &mut slow)..];
            }
            let fast = shown(&html);
            // Word by word: a `>` in a value of a tag that ends a line is one more space before that end.
            let words = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
            proptest::prop_assert_eq!(words(&fast), words(&slow), "{}", html);
        }
    }
}
