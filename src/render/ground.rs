//! Where in the format that it is in a text stands after everything fed so far.

use super::escape::Escape;
use super::html::{self, Attribute, Quote};
use super::program::Syntax;
use super::structured::{self, Csv, Json};
use super::word::Linking;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    Flat(Escape),
    Html(html::State),
    Structured(structured::State),
}

impl Ground {
    /// A value and something else share a field of CSV without quotes.
    pub(super) const MIXED: Self = Self::Structured(structured::State::Csv(Csv::Mixed));

    pub(super) fn of(syntax: Syntax) -> Self {
        match syntax {
            Syntax::Text => Self::Flat(Escape::Text),
            Syntax::Header => Self::Flat(Escape::Header),
            Syntax::Html => Self::Html(html::State::Text),
            Syntax::ContentLines => Self::Structured(structured::State::lines()),
            Syntax::Csv => Self::Structured(structured::State::Csv(Csv::Begin)),
            Syntax::Json => Self::Structured(structured::State::Json(Json::Between)),
        }
    }

    pub(super) fn step(self, c: char) -> Self {
        c.encode_utf8(&mut [0; 4]).bytes().fold(self, |ground, byte| match ground {
            Self::Flat(_) => ground,
            Self::Html(state) => Self::Html(state.step(byte)),
            Self::Structured(state) => Self::Structured(state.step(byte)),
        })
    }

    /// As [`html::State::pass`]; what is not HTML is taken sign by sign.
    pub(super) fn pass(self, bytes: &[u8]) -> (usize, Self) {
        let Self::Html(state) = self else { return (0, self) };
        let (passed, behind) = state.pass(bytes);
        (passed, Self::Html(behind))
    }

    /// Whether people read the text here as it stands, so that a word of it may be taken for a URL.
    pub(super) fn is_readable(self) -> bool {
        match self {
            Self::Flat(_) => true,
            Self::Html(html::State::Text | html::State::Rcdata(_)) => true,
            Self::Html(html::State::Value(_, attribute, ..)) => {
                matches!(attribute, Attribute::Plain | Attribute::Shown)
            }
            Self::Html(_) => false,
            Self::Structured(state) => state.is_readable(),
        }
    }

    /// What clients make links of here.
    pub(super) fn linking(self) -> Linking {
        match self {
            Self::Html(_) | Self::Flat(Escape::Text) => Linking::Hosts,
            Self::Structured(structured::State::Line(_) | structured::State::LineEnd(_)) => Linking::Hosts,
            Self::Flat(_) | Self::Structured(_) => Linking::Schemes,
        }
    }

    /// Where two branches go on together, if there is such a place.
    pub(super) fn join(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Html(a), Self::Html(b)) => a.join(b).map(Self::Html),
            (Self::Structured(a), Self::Structured(b)) => a.join(b).map(Self::Structured),
            (a, b) => (a == b).then_some(a),
        }
    }

    pub(super) fn named(self) -> String {
        match self {
            Self::Flat(_) => "text".into(),
            Self::Html(state) => named(state),
            Self::Structured(state) => state.named().into(),
        }
    }
}

pub(super) fn named(state: html::State) -> String {
    use html::State;
    match state {
        State::Text => "text".into(),
        State::Rcdata(name) => format!("a {} element", name.as_str()),
        State::Raw(element) | State::RawLess { element, .. } | State::RawEnd { element, .. } => {
            format!("a {} element", element.as_str())
        }
        State::TagOpen | State::EndTagOpen | State::TagName { .. } => "a tag's name".into(),
        State::BeforeAttribute(_) | State::AttributeName(..) | State::AfterAttributeName(..) => {
            "a tag, where attribute names stand".into()
        }
        State::BeforeValue(..) | State::Value(_, _, Quote::None, _) => {
            "an attribute value without quotes".into()
        }
        State::Value(_, Attribute::Closed(what), ..) => what.into(),
        State::Value(_, Attribute::Url, ..) => "a URL".into(),
        State::Value(..) => "an attribute value".into(),
        State::Declaration { .. } | State::Comment { .. } | State::Bogus => "a comment".into(),
    }
}

/// How two branches come to end in one place.
pub(super) fn hint(first: Ground, other: Ground) -> &'static str {
    let in_tag = |ground| {
        let Ground::Html(state) = ground else { return false };
        matches!(
            state,
            html::State::TagName { .. } | html::State::AttributeName(..) | html::State::BeforeAttribute(_)
        )
    };
    if !matches!(first, Ground::Html(_)) {
        return "begin and end fields, lines and quotes on the same side of the block";
    }
    if in_tag(first) && in_tag(other) {
        "put the space before an attribute in front of the block, or the space behind its name into it"
    } else {
        "open and close tags, attributes and quotes on the same side of the block"
    }
}
