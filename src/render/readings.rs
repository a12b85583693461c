//! A text as it may be read: behind branches that end in different words, and around text that some clients show and others
//! hide, there is more than one way.

use super::ground::Ground;
use super::host::is_wide_dot;
use super::html::State;
use super::reading::{Line, Reading};
use super::tree::Hiding;
use super::word::{Linking, Reach};

/// More ways to begin one word than these are not followed: then it may be anything.
const WAYS_MAX: usize = 32;

/// At least one way.
#[derive(Debug, Clone)]
pub(super) struct Readings {
    ways: Vec<Reading>,
    /// Those of a reader who is not shown the text of the element that it stands in.
    without: Vec<Reading>,
}

impl Default for Readings {
    fn default() -> Self {
        Self { ways: vec![Reading::default()], without: Vec::new() }
    }
}

impl Readings {
    /// Reads a text that stands in one place in full. As [`Reading::step`]; what was found is forgotten.
    pub(super) fn text(&mut self, ground: Ground, text: &str, is_ended: bool) -> bool {
        let (mut rest, mut leaks) = (text, false);
        let mut may_pass = true;
        while !rest.is_empty() {
            if let [way] = &mut *self.ways
                && may_pass
            {
                // Nothing but what a reader reads of it matters.
                rest = &rest[way.pass(ground, rest, is_ended)..];
            }
            let Some(c) = rest.chars().next() else { break };
            leaks |= self.step(c, ground, ground, Line::GoesOn);
            rest = &rest[c.len_utf8()..];
            // Within a word nothing changes about that.
            may_pass = c.is_ascii_whitespace();
        }
        leaks
    }

    pub(super) fn step(&mut self, c: char, before: Ground, behind: Ground, line: Line) -> bool {
        if line == Line::Either {
            let mut ended = self.ways.clone();
            let leaks = ended
                .iter_mut()
                .fold(false, |leaks, way| way.step(c, before, behind, Line::AsTagged) | leaks);
            let leaks = self.step(c, before, behind, Line::GoesOn) | leaks;
            self.ways.append(&mut ended);
            self.merge();
            return leaks;
        }
        let mut leaks = false;
        for way in &mut self.ways {
            if way.step(c, before, behind, line) {
                leaks = true;
                way.forget();
            }
        }
        if self.ways.len() > 1 && (c.is_ascii_whitespace() || c == '>') {
            self.merge();
        }
        leaks
    }

    /// As [`Readings::step`], for the end of a tag with which text begins or ends to be hidden.
    pub(super) fn step_hiding(&mut self, before: Ground, behind: Ground, line: Line, hiding: Hiding) -> bool {
        let without = std::mem::take(&mut self.without);
        let around = self.ways.iter().map(|way| way.without_tag());
        let hidden = if hiding.has(Hiding::BEGINS) { around.collect() } else { Vec::new() };
        let leaks = self.step('>', before, behind, line);
        if hiding.has(Hiding::ENDS) {
            self.ways.extend(&without);
            // It may have begun with the same tag, as `<br hidden>` does.
            self.ways.extend(&hidden);
        }
        if hiding.has(Hiding::BEGINS.and(Hiding::GOES_ON)) {
            self.without = without;
            self.without.extend(hidden);
        }
        self.merge();
        leaks
    }

    pub(super) fn value(&mut self, personal: bool, ground: Ground) -> bool {
        let mut leaks = false;
        for way in &mut self.ways {
            if way.value(personal, ground) {
                leaks = true;
                way.forget();
            }
        }
        leaks
    }

    /// How far a link in a value of the job that comes now reaches.
    pub(super) fn reach(&self, ground: Ground) -> Reach {
        let reach = self.ways.iter().map(Reading::reach).max().unwrap_or_default();
        if ground.linking() == Linking::Hosts { reach } else { Reach::Itself }
    }

    pub(super) fn holds_person(&self) -> bool {
        self.ways.iter().any(Reading::holds_person)
    }

    pub(super) fn goes_on_from_data(&self) -> bool {
        self.ways.iter().any(Reading::goes_on_from_data)
    }

    /// Where the text ends.
    pub(super) fn end(&mut self) -> bool {
        let ways = self.ways.iter_mut().chain(&mut self.without);
        ways.fold(false, |leaks, way| way.end() | leaks)
    }

    /// What holds behind either of two branches.
    pub(super) fn join(&mut self, other: Self) -> Joined {
        let before = (self.ways.len(), self.without.len());
        self.ways.extend(other.ways);
        self.without.extend(other.without);
        self.merge();
        if (self.ways.len(), self.without.len()) == before { Joined::NothingNew } else { Joined::More }
    }

    /// Leaves one way that may go on as any.
    fn give_up(&mut self) {
        let all = self.ways.drain(..).chain(self.without.drain(..)).reduce(Reading::join);
        let mut all = all.unwrap_or_default();
        all.may_be_any();
        self.ways.push(all);
    }

    fn merge(&mut self) {
        for list in [&mut self.ways, &mut self.without] {
            let mut kept = 0;
            for at in 0..list.len() {
                if !list[..kept].contains(&list[at]) {
                    list.swap(kept, at);
                    kept += 1;
                }
            }
            list.truncate(kept);
        }
        if self.ways.len() + self.without.len() > WAYS_MAX {
            self.give_up();
        }
    }
}

/// Whether styles may put an element of the markup into the line around it, or hide it.
fn may_be_styled(markup: &str) -> bool {
    let lower = markup.to_ascii_lowercase();
    ["style", "class", "id", "hidden"].iter().any(|attribute| lower.contains(attribute))
}

/// Whether markup that comes right behind a person's value makes a link of it.
pub(super) fn is_link_behind_person(markup: &str) -> bool {
    // No link is without one of them.
    if !markup.contains(|c| matches!(c, '.' | ':' | '&') || is_wide_dot(c)) {
        return false;
    }
    let mut readings = Readings::default();
    let mut ground = Ground::Html(State::Text);
    readings.value(true, ground);
    let line = if may_be_styled(markup) { Line::Either } else { Line::AsTagged };
    for c in markup.chars() {
        let before = ground;
        ground = before.step(c);
        if readings.step(c, before, ground, if c == '>' { line } else { Line::AsTagged }) {
            return true;
        }
        if ground == Ground::Html(State::Text) && !readings.holds_person() {
            return false;
        }
    }
    readings.end()
}

/// Whether markup of a job begins a link that goes on over the blanks behind it, to a reader of its text.
pub(super) fn leaves_link_open(markup: &str) -> bool {
    let mut readings = Readings::default();
    let (mut ground, mut at) = (Ground::Html(State::Text), 0);
    while at < markup.len() {
        let (passed, behind) = ground.pass(&markup.as_bytes()[at..]);
        let end = at + passed;
        readings.text(ground, &markup[at..end], end < markup.len());
        (ground, at) = (behind, end);
        let Some(c) = markup[at..].chars().next() else { break };
        let before = ground;
        ground = before.step(c);
        readings.step(c, before, ground, Line::AsTagged);
        at += c.len_utf8();
    }
    readings.ways.iter().any(Reading::is_enclosed)
}

/// What the ways of another reading added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    NothingNew,
    More,
}
