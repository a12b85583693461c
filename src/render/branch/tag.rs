//! The tag and attribute that HTML is in the middle of, and what they may be where they depend on a person.

use super::comment::{Comment, Read};
use super::frame::{Frame, Opened};
use super::hiding;
use super::link;
use super::load::{Extent, Link, Load};
use super::markup::{self, Element};
use super::report::{Cause, Report};
use super::stretch::Stretch;
use super::style;
use super::words::{Found, Words};
use crate::render::elements::breaks_text;
use crate::render::ground::Ground;
use crate::render::html::{self, Name, State, Tag};

/// Whether a tag or attribute is the same for everybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Share {
    #[default]
    Same,
    /// It stands there for everybody, and a part of it does not.
    Part,
    /// It stands in a block as a whole, as far as it has come.
    Whole,
}

/// Where HTML stands within its markup.
#[derive(Debug, Clone, Default)]
pub(super) struct Markup {
    pub frame: Frame,
    tag: String,
    is_end: bool,
    tag_share: Share,
    /// An address in the tag, of a block, that is allowed.
    has_address: bool,
    is_loud: bool,
    link: Link,
    attribute: String,
    attribute_share: Share,
    value: Stretch,
    /// What a `style` element holds.
    sheet: Stretch,
    comment: Comment,
}

fn is_in_tag(state: State) -> bool {
    matches!(
        state,
        State::TagName { .. }
            | State::BeforeAttribute(_)
            | State::AttributeName(..)
            | State::AfterAttributeName(..)
            | State::BeforeValue(..)
            | State::Value(..)
    )
}

fn lower(byte: &u8) -> char {
    char::from(byte.to_ascii_lowercase())
}

fn is_raw(state: State) -> bool {
    matches!(state, State::Raw(_) | State::RawLess { .. } | State::RawEnd { .. })
}

impl Markup {
    /// Takes what one state reads on and on; false, where each byte has to be taken by itself.
    pub fn run(&mut self, state: State, bytes: &[u8], depends: bool) -> bool {
        match state {
            State::Raw(_) => self.sheet.push(bytes, depends),
            State::Value(..) => {
                self.value.push(bytes, depends);
                self.part_of_attribute(depends && !bytes.is_empty());
            }
            State::TagName { .. } => self.tag.extend(bytes.iter().map(lower)),
            State::AttributeName(..) => {
                self.attribute.extend(bytes.iter().map(lower));
                self.part_of_attribute(depends && !bytes.is_empty());
            }
            _ => return false,
        }
        true
    }

    /// Takes one byte of markup; tells whether it ends a word of the text around.
    pub fn byte<'a>(
        &mut self,
        (before, after): (State, State),
        byte: u8,
        report: &mut Report<'a>,
        cause: Option<Cause<'a>>,
    ) -> bool {
        let depends = cause.is_some();
        if is_raw(before) {
            self.sheet.push(&[byte], depends);
            if !is_raw(after) {
                self.end_sheet(report, cause);
            }
            return true;
        }
        if is_in_tag(before) && !is_in_tag(after) {
            self.end_attribute(report, cause);
            return self.end_tag(report, cause);
        }
        match (before, after) {
            (State::TagOpen | State::EndTagOpen, State::TagName { end, .. }) => {
                self.tag.clear();
                self.tag.push(lower(&byte));
                self.is_end = end;
                self.tag_share = if depends { Share::Whole } else { Share::Same };
                (self.has_address, self.is_loud) = (false, false);
                self.link = Link::default();
                self.attribute.clear();
                self.value.clear();
            }
            (State::TagName { .. }, State::TagName { .. }) => self.tag.push(lower(&byte)),
            (State::AttributeName(..), State::AttributeName(..)) => {
                self.attribute.push(lower(&byte));
                self.part_of_attribute(depends);
            }
            (_, State::AttributeName(..)) => {
                self.end_attribute(report, cause);
                self.attribute.push(lower(&byte));
                self.attribute_share = if depends { Share::Whole } else { Share::Same };
            }
            (State::BeforeValue(..), State::Value(_, _, html::Quote::None, _))
            | (State::Value(..), State::Value(..)) => {
                self.value.push(&[byte], depends);
                self.part_of_attribute(depends);
            }
            (State::Value(..), State::BeforeAttribute(_)) => self.end_attribute(report, cause),
            (State::TagOpen, State::Declaration { .. }) => self.comment.begin(depends),
            (State::Declaration { .. } | State::Comment { .. } | State::Bogus, _) | (_, State::Bogus) => {
                self.comment(byte, (before, after), report, cause);
            }
            _ => {}
        }
        false
    }

    fn part_of_attribute(&mut self, depends: bool) {
        if depends && self.attribute_share == Share::Same {
            self.attribute_share = Share::Part;
        }
    }

    /// Outlook reads some comments.
    fn comment<'a>(
        &mut self,
        byte: u8,
        (before, after): (State, State),
        report: &mut Report<'a>,
        cause: Option<Cause<'a>>,
    ) {
        let is_whole = matches!(before, State::Comment { .. }) && after == State::Text;
        let read = self.comment.byte(byte, is_whole, cause.is_some());
        if !matches!(after, State::Declaration { .. } | State::Comment { .. } | State::Bogus) {
            self.comment.begin(false);
        }
        let before = report.depends.map(|(_, cause)| cause).filter(|_| read == Read::Unclear);
        let Some(cause) = cause.or(before) else { return };
        match read {
            Read::Nothing if after != State::Bogus => {}
            Read::Nothing | Read::Unclear => report.refuse("a comment that some clients read", cause),
            Read::Opens => self.frame.open("outlook"),
            Read::Closes => self.frame.close("outlook"),
            Read::Markup(inner) => self.outlook(&inner, report, cause),
        }
    }

    fn outlook<'a>(&mut self, inner: &str, report: &mut Report<'a>, cause: Cause<'a>) {
        let (mut state, mut markup) = (State::Text, Self::default());
        let (mut words, mut found) = (Words::new(true), Vec::new());
        for byte in inner.bytes() {
            let after = state.step(byte);
            let before = std::mem::replace(&mut state, after);
            if before == State::Text && state == State::Text {
                words.text(&[byte], true, &mut found);
            } else if markup.byte((before, state), byte, report, Some(cause)) {
                words.end(&mut found);
            }
        }
        words.end(&mut found);
        if state != State::Text || found.iter().any(|one| matches!(one, Found::Link(_))) {
            report.refuse("a comment that some clients read", cause);
        }
        self.frame.append(markup.frame.for_outlook());
    }

    /// A value in an attribute.
    pub fn value<'a>(
        &mut self,
        person: Option<Cause<'a>>,
        report: &mut Report<'a>,
        cause: Option<Cause<'a>>,
    ) {
        self.value.push(b"\xff", cause.is_some());
        self.part_of_attribute(cause.is_some());
        if let Some(person) = person {
            report.depends(Extent::Markup, person);
        }
    }

    fn end_attribute<'a>(&mut self, report: &mut Report<'a>, cause: Option<Cause<'a>>) {
        let name = std::mem::take(&mut self.attribute);
        let share = if self.tag_share == Share::Whole { Share::Whole } else { self.attribute_share };
        if !name.is_empty() && !self.is_end {
            match (share, cause.or(report.depends.map(|(_, cause)| cause))) {
                (Share::Part | Share::Whole, Some(cause)) => {
                    report.depends(Extent::Markup, cause);
                    if self.tag_share != Share::Whole {
                        report.hidden.attribute(&name, &self.value, share == Share::Whole);
                    }
                    self.changed_attribute(&name, share, report, cause);
                }
                _ => self.same_attribute(&name, report),
            }
        }
        self.value.clear();
        self.attribute_share = Share::Same;
    }

    fn changed_attribute(&mut self, name: &str, share: Share, report: &mut Report<'_>, cause: Cause<'_>) {
        let value = self.value.as_text();
        let tag = Tag { end: false, name: Name::of(&self.tag) };
        match (
            html::attribute(tag, Name::of(name)),
            markup::attribute(&self.tag, name, self.tag_share == Share::Whole),
        ) {
            (_, markup::Attribute::Style) => self.changed_style(&value, share, report, cause),
            (html::Attribute::Url, _) if share == Share::Part => {
                // The block within the URL is told by itself.
            }
            (html::Attribute::Url, _) => {
                let url = link::decoded_value(&value).trim().to_owned();
                if report.is_allowed(&url) {
                    self.has_address = true;
                } else {
                    let shown = url.replace('\u{fffd}', "{{…}}");
                    report.refuse(&format!("{name}=\"{shown}\""), cause);
                }
            }
            (html::Attribute::Plain | html::Attribute::Shown, markup::Attribute::Inert) => {}
            (html::Attribute::Plain | html::Attribute::Shown | html::Attribute::Closed(_), _) => {
                report.refuse(&format!("the attribute {name}"), cause);
            }
        }
    }

    fn changed_style(&mut self, value: &str, share: Share, report: &mut Report<'_>, cause: Cause<'_>) {
        if self.value.is_worn_out() {
            self.is_loud = true;
            return report.refuse("a style that differs in too many places", cause);
        }
        let css = style::understood(&link::decoded_value(value));
        let loads = style::loads(&css);
        self.is_loud |= !style::is_quiet(value, 0..value.len());
        let is_good = match share {
            // What it changes belongs to an element that is there for everybody, with all that stands in it.
            Share::Part => loads.is_empty() && self.value.is_quiet(),
            _ if self.tag_share != Share::Whole => loads.is_empty() && !self.is_loud,
            _ => {
                style::is_harmless(&css)
                    || !loads.is_empty() && loads.iter().all(|load| report.is_allowed(&load.address))
            }
        };
        if !is_good {
            report.refuse("a style that loads or hides something,", cause);
        }
    }

    fn same_attribute(&mut self, name: &str, report: &mut Report<'_>) {
        let value = || link::decoded_value(&self.value.as_text());
        if name == "style" {
            let css = style::understood(&value());
            if style::is_handed_down(&css) {
                let handed_down = style::loads(&css).into_iter().map(|load| load.address);
                report.loads.extend(handed_down.map(|address| Load::used(address, Extent::Markup)));
            } else {
                style::loads(&css).iter().for_each(|load| report.hidden.load(&load.address));
            }
        } else if self.tag == "link" && name == "href" {
            self.link.leads_to(value().trim());
        } else if self.tag == "link" && name == "rel" {
            self.link.is(&value());
        } else if name == "loading" && !value().trim().eq_ignore_ascii_case("eager") {
            report.loads.push(Load::used("what has loading=".into(), Extent::Texts));
        } else if hiding::loads_where_shown(&self.tag, name) {
            report.hidden.load(value().trim());
        }
    }

    /// Whether the tag ends a word.
    fn end_tag<'a>(&mut self, report: &mut Report<'a>, cause: Option<Cause<'a>>) -> bool {
        let name = std::mem::take(&mut self.tag);
        let ends_word = breaks_text(&name);
        report.hidden.tag(&name);
        report.loads.extend(std::mem::take(&mut self.link).load());
        let cause = cause.or(report.depends.map(|(_, cause)| cause));
        let (Share::Whole, Some(cause)) = (self.tag_share, cause) else { return ends_word };
        report.depends(Extent::Markup, cause);
        let is_known = match markup::element(&name) {
            Element::Plain => true,
            Element::Link => self.is_end || self.has_address,
            Element::Other => false,
        };
        if !is_known {
            report.refuse(&format!("<{name}>"), cause);
        }
        report.hidden.element();
        if self.is_end {
            self.frame.close(&name);
        } else if !markup::is_void(&name) {
            self.frame.opened.push(Opened { name, is_loud: self.is_loud });
        }
        ends_word
    }

    fn end_sheet<'a>(&mut self, report: &mut Report<'a>, cause: Option<Cause<'a>>) {
        let written = self.sheet.as_text();
        report.hidden.sheet(&written);
        let css = style::understood(&written);
        let sees_text = style::sees_text(&css);
        report.loads.extend(style::loads(&css).into_iter().map(|load| Load::of_sheet(load, sees_text)));
        let changed = if self.sheet.changed.is_empty() {
            None
        } else {
            cause.or(report.depends.map(|(_, cause)| cause))
        };
        if let Some(cause) = changed {
            self.changed_sheet(report, cause);
        }
        self.sheet.clear();
    }

    fn changed_sheet<'a>(&mut self, report: &mut Report<'a>, cause: Cause<'a>) {
        report.depends(Extent::Markup, cause);
        if self.sheet.is_worn_out() {
            report.refuse("a style sheet that differs in too many places", cause);
        } else if !self.sheet.is_quiet() {
            report.refuse("a style sheet that loads, hides or chooses something", cause);
        }
    }

    /// What the branch leaves behind in the middle of a tag or style.
    pub fn end_branch<'a>(
        &mut self,
        (start, end): (Ground, Ground),
        report: &mut Report<'a>,
        cause: Option<Cause<'a>>,
    ) {
        let (Ground::Html(start), Ground::Html(end)) = (start, end) else { return };
        if matches!(end, State::BeforeAttribute(_) | State::AfterAttributeName(..)) {
            self.end_attribute(report, cause);
        }
        let Some(cause) = cause else { return };
        if is_in_tag(end) && !is_in_tag(start) {
            report.refuse("a tag that begins and does not end", cause);
        }
        if matches!(end, State::Value(..)) {
            report.hidden.words(&self.attribute, self.value.last_change());
        }
        if is_raw(end) && !self.sheet.changed.is_empty() {
            self.changed_sheet(report, cause);
        }
        if matches!(end, State::Value(..)) && self.attribute == "style" && self.attribute_share != Share::Same
        {
            let share = if self.tag_share == Share::Whole { Share::Whole } else { self.attribute_share };
            self.changed_style(&self.value.as_text(), share, report, cause);
        }
    }

    /// Behind a block one branch is followed on. What the other wrote into a style, too, stands there then; any other value
    /// in which they differ is no longer a literal one.
    pub fn join(&mut self, start: &Self, other: &Self, depends: bool) {
        self.sheet.add(&other.sheet, start.sheet.text.len());
        self.comment.join(&other.comment, depends);
        if self.attribute == "style" {
            self.value.add(&other.value, start.value.text.len());
        } else if self.value.text != other.value.text {
            self.value.push(b"\xff", true);
        }
    }
}
