//! Walks a compiled program with the tokenizer: decides for every value how it is escaped, and refuses values
//! where they cannot be made harmless or would leak.

use super::escape::Escape;
use super::expression::Expr;
use super::ground::{self, Ground, named};
use super::html::{Attribute, Quote, State, Url};
use super::lint::Lint;
use super::program::{Block, Op, Origin, Syntax, ValueOp, holds_person};
use super::reading::Line;
use super::readings::{Joined, Readings};
use super::structured::{self, Fit};
use super::tree::{Stands, TagEnd, Tree};
use super::{microdata, outlook};

/// A text and its values.
pub(super) struct Text<'a> {
    pub(super) fixed: &'a [Box<str>],
    pub(super) syntax: Syntax,
    /// As lints name it.
    pub(super) place: &'a str,
}

/// Sets the escape of every value in `ops`, and returns what is wrong with their places.
pub(super) fn place_values(ops: &mut [Op], text: &Text<'_>, tree: &Tree) -> Vec<Lint> {
    let mut walk = Walk {
        text,
        tree,
        lints: Vec::new(),
        holds_person: holds_person(ops),
        person_at: None,
        known: None,
        last: Default::default(),
        turns: TURNS_MAX,
    };
    let mut end = walk.ops(ops, Spot { ground: Ground::of(text.syntax), readings: Readings::default() });
    if end.readings.end() {
        walk.leak_behind();
    }
    if let Ground::Html(state) = end.ground
        && !matches!(state, State::Text | State::TagOpen)
    {
        let cause = format!("the HTML ends inside {}", named(state));
        walk.lint((0, 0), cause, "close it");
    }
    let mut lints = walk.lints;
    lints.sort();
    lints.dedup();
    lints
}

/// Turns of loops that are read at most: of all that a word may go on in more of them, it may go on as any.
const TURNS_MAX: usize = 500;

/// Where the walk stands.
#[derive(Debug, Clone)]
struct Spot {
    ground: Ground,
    readings: Readings,
}

struct Walk<'a> {
    text: &'a Text<'a>,
    tree: &'a Tree,
    lints: Vec<Lint>,
    /// A value about the person stands somewhere in the text.
    holds_person: bool,
    /// The last value about the person, for a URL that begins behind it.
    person_at: Option<((usize, usize), String)>,
    /// How the value is escaped that comes next, where it stands in a comment that Outlook reads, or in microdata.
    known: Option<Escape>,
    /// The last value: where it stands and what it is called.
    last: ((usize, usize), String),
    /// Those of loops that may still be read.
    turns: usize,
}

impl Walk<'_> {
    fn ops(&mut self, ops: &mut [Op], mut spot: Spot) -> Spot {
        for index in 0..ops.len() {
            self.known = outlook::escape_of(ops, index, spot.ground, self.text.fixed)
                .or_else(|| microdata::escape_of(ops, index, spot.ground, self.text.fixed));
            spot = match &mut ops[index] {
                Op::Fixed(index) => self.fixed(*index, spot),
                Op::Value(value) => self.value(value, spot),
                Op::If(branch) => self.block(&mut branch.block, spot, false),
                Op::Each(each) => self.block(&mut each.block, spot, true),
                Op::With(with) => self.block(&mut with.block, spot, false),
            };
        }
        spot
    }

    fn fixed(&mut self, index: usize, mut spot: Spot) -> Spot {
        let text = &*self.text.fixed[index];
        let mut at = 0;
        while at < text.len() {
            let (passed, behind) = spot.ground.pass(&text.as_bytes()[at..]);
            let end = at + passed;
            if spot.readings.text(spot.ground, &text[at..end], end < text.len()) {
                self.leak_behind();
            }
            (spot.ground, at) = (behind, end);
            let Some(c) = text[at..].chars().next() else { break };
            if self.sign(c, (index, at), &mut spot) {
                self.leak_behind();
            }
            at += c.len_utf8();
        }
        spot
    }

    fn sign(&mut self, c: char, at: TagEnd, spot: &mut Spot) -> bool {
        let before = spot.ground;
        spot.ground = before.step(c);
        if spot.ground == Ground::MIXED && before != Ground::MIXED {
            self.mixed();
        }
        if c != '>' {
            return spot.readings.step(c, before, spot.ground, Line::AsTagged);
        }
        let line = if self.tree.is_passed_over(at) { Line::Either } else { Line::AsTagged };
        match self.tree.hiding(at) {
            Some(hiding) => spot.readings.step_hiding(before, spot.ground, line, hiding),
            None => spot.readings.step(c, before, spot.ground, line),
        }
    }

    fn value(&mut self, value: &mut ValueOp, mut spot: Spot) -> Spot {
        let (escape, ground) = match spot.ground {
            Ground::Flat(escape) => (Some(escape), spot.ground),
            Ground::Html(state) => {
                let (escape, state) = self.in_html(value, state);
                (escape, Ground::Html(state))
            }
            Ground::Structured(state) => {
                let (escape, state) = self.in_structure(value, state);
                (escape, Ground::Structured(state))
            }
        };
        let readings = &mut spot.readings;
        let is_jobs = value.origin.person.is_none() && ground.is_readable();
        value.is_joined |= is_jobs && readings.holds_person();
        if is_jobs && self.holds_person {
            value.reach = value.reach.max(readings.reach(ground));
        }
        if is_jobs && (readings.goes_on_from_data() || value.raw && value.is_joined && self.tree.restyled) {
            self.joined(value);
        }
        let leaks = readings.value(value.origin.person.is_some(), ground);
        self.last = (value.at, value.origin.name.clone());
        if leaks {
            self.leak(value.at, &value.origin);
        } else if let Some(field) = &value.origin.person {
            self.person_at = Some((value.at, field.clone()));
        }
        value.escape = escape.unwrap_or(Escape::Html);
        Spot { ground, ..spot }
    }

    fn in_structure(
        &mut self,
        value: &ValueOp,
        state: structured::State,
    ) -> (Option<Escape>, structured::State) {
        let is_own_address = matches!(&value.expr, Expr::Person(field) if &**field == "email");
        match state.fit(is_own_address) {
            Fit::Good(escape, behind) => (Some(escape), behind),
            Fit::Url(_, behind) if value.origin.person.is_some() => {
                self.leak(value.at, &value.origin);
                (None, behind)
            }
            Fit::Machines(_, behind) if value.origin.person.is_some() => {
                self.refuse_in_property(value);
                (None, behind)
            }
            Fit::Url(escape, behind) | Fit::Machines(escape, behind) => (Some(escape), behind),
            Fit::Bad(place, fix) => {
                self.refuse(value, place, fix);
                (None, state)
            }
        }
    }

    /// Text behind a value that was taken for the whole field.
    fn mixed(&mut self) {
        let (at, name) = self.last.clone();
        let cause = format!("{{{{{name}}}}} shares a field of CSV with other text and has no quotes");
        self.lint(at, cause, "put the whole field in double quotes");
    }

    /// The escape for a value in this state, if it may stand there, and the state behind it.
    fn in_html(&mut self, value: &ValueOp, state: State) -> (Option<Escape>, State) {
        let name = value.origin.name.as_str();
        if value.raw {
            return (self.raw(value, state), state);
        }
        let closed = match state {
            State::Text | State::Rcdata(_) => return (Some(Escape::Html), state),
            // Letters, digits and `_` end no comment, tag or attribute: for the link of a button that Outlook reads.
            State::Comment { .. } if matches!(value.expr, Expr::SendNumber) => {
                return (Some(Escape::Html), state.behind_value());
            }
            State::Comment { .. } | State::Value(_, Attribute::Closed(_), ..) if self.known.is_some() => {
                return (self.known, state.behind_value());
            }
            State::Value(_, Attribute::Plain, Quote::Double | Quote::Single, _)
                if value.origin.person.is_some() =>
            {
                self.refuse_person(value);
                return (None, state);
            }
            State::Value(_, Attribute::Plain | Attribute::Shown, Quote::Double | Quote::Single, _) => {
                return (Some(Escape::Html), state);
            }
            State::Value(tag, Attribute::Url, quote @ (Quote::Double | Quote::Single), url) => {
                let behind = State::Value(tag, Attribute::Url, quote, Url::Inside);
                return (self.in_url(value, url), behind);
            }
            State::BeforeValue(tag, attribute) => {
                let behind = State::Value(tag, attribute, Quote::None, Url::Inside);
                self.refuse(
                    value,
                    "an attribute value without quotes",
                    &format!("write =\"{{{{{name}}}}}\""),
                );
                return (None, behind);
            }
            other => other,
        };
        let fix = match closed {
            State::Value(_, _, Quote::None, _) => "put the attribute's value in double quotes",
            State::Raw(_) | State::Value(_, Attribute::Closed(_), ..) => {
                "choose between fixed styles with {{#if}}, or show the value as text"
            }
            State::Comment { .. } => outlook::FIX,
            State::Bogus | State::Declaration { .. } => "take it out of the comment",
            _ => "write names of tags and attributes out; choose between them with {{#if}}",
        };
        self.refuse(value, &named(closed), fix);
        (None, closed)
    }

    /// `{{{…}}}`: markup of the engine, in text only.
    fn raw(&mut self, value: &ValueOp, state: State) -> Option<Escape> {
        let name = &value.origin.name;
        if value.origin.person.is_some() {
            let cause = format!("{{{{{{{name}}}}}}} would put personal data unescaped into HTML");
            self.lint(value.at, cause, format!("write {{{{{name}}}}}"));
        } else if state != State::Text {
            let cause = format!("{{{{{{{name}}}}}}} stands in {}, where markup cannot", named(state));
            self.lint(value.at, cause, format!("write {{{{{name}}}}}"));
        } else {
            let stands = self.tree.markup.get(&value.at).copied().unwrap_or(Stands::Text);
            return Some(if self.holds_person { Escape::Plain(stands) } else { Escape::Markup });
        }
        None
    }

    fn in_url(&mut self, value: &ValueOp, url: Url) -> Option<Escape> {
        if value.origin.person.is_some() {
            self.leak(value.at, &value.origin);
            return None;
        }
        match url {
            Url::Start => Some(Escape::UrlWhole),
            Url::Inside => Some(Escape::UrlPart),
            Url::Scheme(_) => {
                let fix = "write scheme and host out before the value, or let the value be the whole URL";
                self.refuse(value, "the scheme of a URL", fix);
                None
            }
            Url::Mixed => {
                let fix = "let the blocks before it either all begin the URL or all leave it empty";
                self.refuse(value, "a URL that only some branches have begun", fix);
                None
            }
            Url::Foreign => {
                self.refuse(
                    value,
                    "a URL that is not http, https, mailto or tel",
                    "use one of these schemes",
                );
                None
            }
        }
    }

    fn block(&mut self, block: &mut Block, start: Spot, repeats: bool) -> Spot {
        if let (Ground::Html(State::Value(_, Attribute::Url, ..)), Some(_)) =
            (start.ground, &block.origin.person)
        {
            self.leak(block.at, &block.origin);
        }
        let mut first = self.ops(&mut block.body, start.clone());
        if repeats {
            first = self.again(block, &start, first);
        }
        let other = self.ops(&mut block.other, start);
        let Some(ground) = first.ground.join(other.ground) else {
            let fix = ground::hint(first.ground, other.ground);
            let cause =
                format!("one branch ends in {}, the other in {}", first.ground.named(), other.ground.named());
            self.lint(block.at, cause, fix);
            return first;
        };
        first.readings.join(other.readings);
        Spot { ground, ..first }
    }

    /// A loop's second turn starts where its first one ended.
    fn again(&mut self, block: &mut Block, start: &Spot, end: Spot) -> Spot {
        let Some(ground) = start.ground.join(end.ground) else {
            let cause =
                format!("the loop starts in {} and ends in {}", start.ground.named(), end.ground.named());
            self.lint(block.at, cause, ground::hint(start.ground, end.ground));
            return start.clone();
        };
        let mut joined = Spot { ground, ..start.clone() };
        let mut added = joined.readings.join(end.readings);
        if ground != start.ground {
            added = Joined::More;
        }
        while added == Joined::More {
            let Some(left) = self.turns.checked_sub(1) else {
                let cause = "its loops put words together in more ways than can be followed";
                self.lint(block.at, cause, "put spaces around what a loop repeats");
                break;
            };
            self.turns = left;
            let end = self.ops(&mut block.body, joined.clone());
            added = joined.readings.join(end.readings);
        }
        joined
    }

    fn refuse(&mut self, value: &ValueOp, place: &str, fix: &str) {
        let cause =
            format!("{{{{{}}}}} stands in {place}, where no value can be made safe", value.origin.name);
        self.lint(value.at, cause, fix);
    }

    fn refuse_in_property(&mut self, value: &ValueOp) {
        let cause = format!(
            "{{{{{}}}}} stands in a property that calendars and address books read and do not show",
            value.origin.name
        );
        self.lint(
            value.at,
            cause,
            "put it in SUMMARY, DESCRIPTION, LOCATION or another text, or use send.number",
        );
    }

    fn refuse_person(&mut self, value: &ValueOp) {
        let cause = format!(
            "{{{{{}}}}} stands in an attribute that is not shown to the reader: forms, style sheets and readers of other \
             kinds may use it",
            value.origin.name
        );
        self.lint(
            value.at,
            cause,
            "show it as text; alt, title, summary, abbr, lang and aria-label may hold it too",
        );
    }

    /// What each of them is by itself says nothing of what they are together.
    fn joined(&mut self, value: &ValueOp) {
        let cause = format!(
            "{{{{{}}}}} stands in one word with a value of the person, behind another value of the job or beside styles that \
             change elements: together they may be a link",
            value.origin.name
        );
        self.lint(value.at, cause, "put a space between the values, or send them as one");
    }

    fn leak(&mut self, at: (usize, usize), origin: &Origin) {
        let field = origin.person.clone().unwrap_or_default();
        self.leak_of(at, &field);
    }

    fn leak_behind(&mut self) {
        self.person_at.clone().into_iter().for_each(|(at, field)| self.leak_of(at, &field));
    }

    fn leak_of(&mut self, at: (usize, usize), field: &str) {
        let cause =
            format!("person.{field}: personal data must not appear in a URL: tracking and logs would see it");
        self.lint(
            at,
            cause,
            "use send.number in the URL, or show the value as text beside it, behind a space and outside of the < > or quotes around that",
        );
    }

    fn lint(&mut self, at: (usize, usize), cause: impl Into<String>, fix: impl Into<String>) {
        self.lints.push(Lint::new(self.text.place, at, cause, fix));
    }
}
