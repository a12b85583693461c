//! Where a value stands in text for programs: content lines of calendars and cards, CSV, JSON. Its state is a small
//! value, so branches can be compared.

use super::escape::Escape;
use super::html::{self, Name};

/// Where the text stands after everything fed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Line(Line),
    /// Behind the end of this line, which goes on where white space comes next (RFC 5545 §3.1).
    LineEnd(Option<Line>),
    Csv(Csv),
    Json(Json),
}

/// In a content line, unfolded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// In the name of the property.
    Name(Name),
    /// In its parameters, outside quotes.
    Parameter(Name),
    Quoted(Name),
    /// Text. The flag tells that a backslash came last.
    Text {
        is_escaped: bool,
    },
    /// Text that is HTML, likewise.
    Html {
        is_escaped: bool,
        at: html::State,
    },
    /// A URL, as far as it has been begun.
    Url(Name),
    /// The address of somebody who is invited, as far as it has been begun.
    Attendee(Name),
    /// A property that people are not shown as it stands, or that is markup (`X-ALT-DESC`).
    Other,
    /// Behind white space that goes on from a line nobody knows.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Csv {
    Begin,
    Inside,
    Quoted,
    /// Behind a quote within quotes, which ends the field or is doubled.
    QuoteInQuotes,
    /// Behind a value that is the field.
    Filled,
    /// A value and something else share a field without quotes.
    Mixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Json {
    Between,
    Text,
    /// Behind a backslash.
    Escape,
}

/// Where a value stands, and what the state behind it is.
pub(super) enum Fit {
    Good(Escape, State),
    /// No value can stand here: what it is, and what to write.
    Bad(&'static str, &'static str),
    /// A URL, in which no person may stand.
    Url(Escape, State),
    /// No person may stand here: it is not for people.
    Machines(Escape, State),
}

const MAILTO: &str = "mailto:";

impl State {
    pub(super) fn lines() -> Self {
        Self::LineEnd(None)
    }

    pub(super) fn step(self, byte: u8) -> Self {
        match self {
            Self::Line(line) if matches!(byte, b'\n' | b'\r') => Self::LineEnd(Some(line)),
            Self::Line(line) => Self::Line(line.step(byte)),
            Self::LineEnd(_) if matches!(byte, b'\n' | b'\r') => self,
            Self::LineEnd(line) if matches!(byte, b' ' | b'\t') => Self::Line(line.unwrap_or(Line::Unknown)),
            Self::LineEnd(_) => Self::Line(Line::Name(Name::EMPTY).step(byte)),
            Self::Csv(csv) => Self::Csv(csv.step(byte)),
            Self::Json(json) => Self::Json(match (json, byte) {
                (Json::Between, b'"') | (Json::Escape, _) => Json::Text,
                (Json::Text, b'"') => Json::Between,
                (Json::Text, b'\\') => Json::Escape,
                _ => json,
            }),
        }
    }

    /// Whether people read the text as it stands.
    pub(super) fn is_readable(self) -> bool {
        !matches!(self, Self::Line(Line::Name(_) | Line::Url(_) | Line::Attendee(_)) | Self::LineEnd(_))
    }

    /// Where two branches go on together, if there is such a place.
    pub(super) fn join(self, other: Self) -> Option<Self> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            (Self::LineEnd(_), Self::LineEnd(_)) => Some(Self::LineEnd(None)),
            _ => None,
        }
    }

    /// What stands here, where others than the reader see it: nothing in it may depend on the person. Clients follow URLs, and send the
    /// properties that they do not show (UID, SEQUENCE, X-…) back with an answer (RFC 5546 §3.2.3).
    pub(super) fn seen_by_others(self) -> Option<&'static str> {
        match self {
            Self::Line(line) => line.seen_by_others(),
            Self::LineEnd(_) | Self::Csv(_) | Self::Json(_) => None,
        }
    }

    /// Whether the byte ends a word, as a line end does, though it is a letter.
    pub(super) fn is_escaped_line_end(self, byte: u8) -> bool {
        let is_escaped = matches!(
            self,
            Self::Line(Line::Text { is_escaped: true } | Line::Html { is_escaped: true, .. })
                | Self::Json(Json::Escape)
        );
        is_escaped && matches!(byte, b'n' | b'N' | b'r' | b't')
    }

    /// For the value of a person's address (`is_own_address`) or any other.
    pub(super) fn fit(self, is_own_address: bool) -> Fit {
        match self {
            Self::Line(line) => line.fit(is_own_address),
            Self::LineEnd(_) => Line::Name(Name::EMPTY).fit(is_own_address),
            Self::Csv(Csv::Begin) => Fit::Good(Escape::CsvField, Self::Csv(Csv::Filled)),
            Self::Csv(Csv::Quoted) => Fit::Good(Escape::CsvQuoted, self),
            Self::Csv(_) => Fit::Bad(
                "a field of CSV that has other text and no quotes",
                "put the whole field in double quotes",
            ),
            Self::Json(Json::Text) => Fit::Good(Escape::JsonText, self),
            Self::Json(_) => Fit::Bad("JSON outside a string", "put it in double quotes"),
        }
    }

    pub(super) fn named(self) -> &'static str {
        match self {
            Self::Line(Line::Name(_)) | Self::LineEnd(_) => "the name of a property",
            Self::Line(Line::Parameter(_) | Line::Quoted(_)) => "a parameter",
            Self::Line(Line::Text { .. } | Line::Other | Line::Unknown) => "text",
            Self::Line(Line::Html { .. }) => "HTML",
            Self::Line(Line::Url(_) | Line::Attendee(_)) => "a URL",
            Self::Csv(_) => "a field of CSV",
            Self::Json(_) => "JSON",
        }
    }
}

impl Line {
    fn step(self, byte: u8) -> Self {
        match self {
            Self::Name(name) | Self::Parameter(name) => match byte {
                b':' => Self::value_of(name),
                b';' => Self::Parameter(name),
                b'"' if matches!(self, Self::Parameter(_)) => Self::Quoted(name),
                _ if matches!(self, Self::Name(_)) => Self::Name(name.with(byte)),
                _ => self,
            },
            Self::Quoted(name) if byte == b'"' => Self::Parameter(name),
            Self::Quoted(_) => self,
            Self::Text { is_escaped } => Self::Text { is_escaped: byte == b'\\' && !is_escaped },
            Self::Html { is_escaped, at } => {
                Self::Html { is_escaped: byte == b'\\' && !is_escaped, at: at.step(byte) }
            }
            Self::Url(begun) => Self::Url(begun.with(byte)),
            Self::Attendee(begun) => Self::Attendee(begun.with(byte)),
            Self::Other | Self::Unknown => self,
        }
    }

    fn seen_by_others(self) -> Option<&'static str> {
        match self {
            Self::Name(_) | Self::Text { .. } | Self::Html { .. } => None,
            Self::Parameter(name) | Self::Quoted(name) => Self::value_of(name).seen_by_others(),
            Self::Attendee(begun) if MAILTO.starts_with(begun.as_str()) => None,
            Self::Url(_) | Self::Attendee(_) => Some("a URL"),
            Self::Other | Self::Unknown => Some("a property that its reader is not shown"),
        }
    }

    /// Groups of vCard stand before the name (`item1.URL`).
    fn value_of(name: Name) -> Self {
        let name = name.as_str();
        match name.rsplit('.').next().unwrap_or(name) {
            "attendee" => Self::Attendee(Name::EMPTY),
            "url" | "organizer" | "attach" | "source" | "tzurl" | "photo" | "logo" | "sound" | "key"
            | "caluri" | "caladruri" | "fburl" | "conference" | "image" | "link" | "member" | "impp" => {
                Self::Url(Name::EMPTY)
            }
            "x-alt-desc" | "styled-description" => Self::Html { is_escaped: false, at: html::State::Text },
            // What people are shown, and who they are.
            "summary" | "description" | "comment" | "location" | "contact" | "categories" | "resources"
            | "name" | "x-wr-calname" | "x-wr-caldesc" | "fn" | "n" | "nickname" | "note" | "org"
            | "title" | "role" | "adr" | "label" | "tel" | "email" | "bday" | "anniversary" | "gender"
            | "lang" => Self::Text { is_escaped: false },
            _ => Self::Other,
        }
    }

    fn fit(self, is_own_address: bool) -> Fit {
        let behind = State::Line(self);
        match self {
            Self::Text { .. } => Fit::Good(Escape::LineText, State::Line(Self::Text { is_escaped: false })),
            Self::Html { at: at @ html::State::Text, .. } => {
                Fit::Good(Escape::LineHtml, State::Line(Self::Html { is_escaped: false, at }))
            }
            Self::Html { .. } => Fit::Url(Escape::LineHtml, behind),
            Self::Quoted(_) => Fit::Good(Escape::LineParameter, behind),
            Self::Other => Fit::Machines(Escape::LineText, behind),
            Self::Unknown => Fit::Bad(
                "a line that goes on from another, of which a block decides which one it is",
                "write the line in one piece",
            ),
            // The one address that the guard lets pass: the person's own invitation has to name that person.
            Self::Attendee(begun) if is_own_address && begun.as_str() == MAILTO => {
                Fit::Good(Escape::Address, State::Line(Self::Url(begun)))
            }
            Self::Url(begun) | Self::Attendee(begun) => {
                let is_begun = !begun.as_str().is_empty();
                let escape = if is_begun { Escape::UrlPart } else { Escape::UrlInText };
                Fit::Url(escape, State::Line(Self::Url(begun.with(b'x'))))
            }
            Self::Parameter(_) => {
                Fit::Bad("a parameter without quotes", "put the parameter's value in double quotes")
            }
            Self::Name(_) => {
                Fit::Bad("the name of a property", "write names out; choose between lines with {{#if}}")
            }
        }
    }
}

impl Csv {
    fn step(self, byte: u8) -> Self {
        let ends = matches!(byte, b',' | b';' | b'\t' | b'\n' | b'\r');
        match self {
            Self::Quoted if byte == b'"' => Self::QuoteInQuotes,
            Self::Quoted => self,
            Self::QuoteInQuotes if byte == b'"' => Self::Quoted,
            _ if ends => Self::Begin,
            Self::Begin if byte == b'"' => Self::Quoted,
            Self::Filled | Self::Mixed => Self::Mixed,
            _ => Self::Inside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: State, text: &str) -> State {
        text.bytes().fold(start, State::step)
    }

    #[test]
    fn the_places_of_content_lines() {
        let line = |text| after(State::lines(), text);
        assert!(matches!(line("SUMMARY:a;b:c"), State::Line(Line::Text { .. })));
        assert!(matches!(line("SUMMARY;X=\"a:b"), State::Line(Line::Quoted(_))));
        assert!(
            matches!(line("ATTENDEE;X=\"a:b\":mailto:"), State::Line(Line::Attendee(n)) if n.as_str() == MAILTO)
        );
        assert!(matches!(line("item1.URL:x"), State::Line(Line::Url(_))));
        assert!(matches!(line("SUMMARY:a\n"), State::LineEnd(Some(Line::Text { .. }))));
        assert_eq!(line("URL:a\n /b"), line("URL:a/b"));
        assert!(matches!(line("ATTENDEE:mailto:").fit(true), Fit::Good(Escape::Address, _)));
        assert!(matches!(line("ATTENDEE:mailto:").fit(false), Fit::Url(..)));
        assert!(matches!(line("ORGANIZER:mailto:").fit(true), Fit::Url(..)));
        assert!(matches!(line("SUMM").fit(false), Fit::Bad(..)));
        assert!(matches!(
            line("X-ALT-DESC;FMTTYPE=text/html:<b>").fit(false),
            Fit::Good(Escape::LineHtml, _)
        ));
    }

    #[test]
    fn the_places_of_csv_and_json() {
        let csv = |text| after(State::Csv(Csv::Begin), text);
        assert_eq!(csv("a,"), State::Csv(Csv::Begin));
        assert_eq!(csv("a"), State::Csv(Csv::Inside));
        assert_eq!(csv("\"a\"\","), State::Csv(Csv::Quoted));
        assert_eq!(csv("\"a\",b\n"), State::Csv(Csv::Begin));
        let json = |text| after(State::Json(Json::Between), text);
        assert_eq!(json("{\"a\": \"b\\\""), State::Json(Json::Text));
        assert_eq!(json("{\"a\": "), State::Json(Json::Between));
    }
}
