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
    Parameter(Parameter),
    Quoted(Parameter),
    /// Text. The flag tells that a backslash came last. Some calendars read tags in it.
    Text {
        is_escaped: bool,
        at: html::State,
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

/// Of which property, and its own name up to the sign behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameter {
    property: Name,
    name: Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Csv {
    Begin,
    Inside,
    /// Behind the quote with which a field begins, and values that may be empty.
    QuotedBegin,
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
    /// In the number of a sign (`\\u002f`), with so many digits to come.
    Number {
        left: u8,
        code: u16,
    },
}

/// What a reader sees of a sign of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    /// Where a word ends.
    End,
    Sign(char),
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
            Self::Json(json) => Self::Json(json.step(byte)),
        }
    }

    /// Whether people read the text as it stands.
    pub(super) fn is_readable(self) -> bool {
        !matches!(self, Self::Line(Line::Name(_) | Line::Url(_) | Line::Attendee(_)) | Self::LineEnd(_))
    }

    /// What is seen of a sign that led from here to `behind`: not the backslash before it (RFC 5545 §3.3.11, RFC 8259 §7).
    pub(super) fn seen(self, c: char, behind: Self) -> Seen {
        let is_letter = u8::try_from(c).is_ok_and(|byte| self.is_escaped_line_end(byte));
        if is_letter || !self.is_readable() || !behind.is_readable() {
            return Seen::End;
        }
        match (self, behind) {
            (_, Self::Json(Json::Escape | Json::Number { .. }))
            | (_, Self::Line(Line::Text { is_escaped: true, .. } | Line::Html { is_escaped: true, .. })) => {
                Seen::Nothing
            }
            (Self::Json(Json::Number { code, .. }), _) => {
                let code = u32::from(code) << 4 | c.to_digit(16).unwrap_or(0);
                Seen::Sign(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            _ => Seen::Sign(c),
        }
    }

    /// Where two branches go on together, if there is such a place.
    pub(super) fn join(self, other: Self) -> Option<Self> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            // A tag that is open on one way may be.
            (
                Self::Line(Line::Text { is_escaped, at }),
                Self::Line(Line::Text { is_escaped: also, at: other }),
            ) if is_escaped == also => {
                let at = if at == html::State::Text { other } else { at };
                Some(Self::Line(Line::Text { is_escaped, at }))
            }
            (Self::LineEnd(_), Self::LineEnd(_)) => Some(Self::LineEnd(None)),
            (Self::Csv(Csv::Quoted | Csv::QuotedBegin), Self::Csv(Csv::Quoted | Csv::QuotedBegin)) => {
                Some(Self::Csv(Csv::QuotedBegin))
            }
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
            Self::Line(Line::Text { is_escaped: true, .. } | Line::Html { is_escaped: true, .. })
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
            Self::Csv(Csv::QuotedBegin) => Fit::Good(Escape::CsvQuotedBegin, self),
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
            Self::Name(name) => match byte {
                b':' => Self::value_of(name),
                b';' => Self::Parameter(Parameter { property: name, name: Name::EMPTY }),
                _ => Self::Name(name.with(byte)),
            },
            Self::Parameter(parameter) => match byte {
                b':' => Self::value_of(parameter.property),
                b'"' => Self::Quoted(parameter),
                _ => Self::Parameter(parameter.step(byte)),
            },
            Self::Quoted(parameter) if byte == b'"' => Self::Parameter(parameter),
            Self::Quoted(_) => self,
            Self::Text { is_escaped, at } => {
                Self::Text { is_escaped: byte == b'\\' && !is_escaped, at: at.step(byte) }
            }
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
            Self::Parameter(Parameter { property, .. }) | Self::Quoted(Parameter { property, .. }) => {
                Self::value_of(property).seen_by_others()
            }
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
            | "lang" => Self::Text { is_escaped: false, at: html::State::Text },
            _ => Self::Other,
        }
    }

    fn fit(self, is_own_address: bool) -> Fit {
        let behind = State::Line(self);
        match self {
            Self::Text { at: at @ html::State::Text, .. } => {
                Fit::Good(Escape::LineText, State::Line(Self::Text { is_escaped: false, at }))
            }
            // It may be the name of a tag, in which nobody may stand behind it.
            Self::Text { at: html::State::TagOpen, .. } => {
                let at = html::State::TagName { end: false, name: Name::EMPTY };
                Fit::Good(Escape::LineText, State::Line(Self::Text { is_escaped: false, at }))
            }
            Self::Text { at, .. } => {
                Fit::Url(Escape::LineText, State::Line(Self::Text { is_escaped: false, at }))
            }
            Self::Html { at: at @ html::State::Text, .. } => {
                Fit::Good(Escape::LineHtml, State::Line(Self::Html { is_escaped: false, at }))
            }
            Self::Html { .. } => Fit::Url(Escape::LineHtml, behind),
            Self::Quoted(parameter) if parameter.is_shown() => Fit::Good(Escape::LineParameter, behind),
            Self::Quoted(_) => Fit::Machines(Escape::LineParameter, behind),
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

impl Parameter {
    fn step(self, byte: u8) -> Self {
        match byte {
            b';' => Self { name: Name::EMPTY, ..self },
            _ if self.name.as_str().ends_with('=') => self,
            _ => Self { name: self.name.with(byte), ..self },
        }
    }

    /// The name of who is invited, and a postal address as it is printed (RFC 5545 §3.2.2, RFC 6350 §6.3.1).
    fn is_shown(self) -> bool {
        matches!((self.property.as_str(), self.name.as_str()), ("attendee", "cn=") | ("adr", "label="))
    }
}

impl Json {
    fn step(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Between, b'"') => Self::Text,
            (Self::Text | Self::Number { .. }, b'"') => Self::Between,
            (Self::Text, b'\\') => Self::Escape,
            (Self::Escape, b'u') => Self::Number { left: 4, code: 0 },
            (Self::Number { left: left @ 2.., code }, _) => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0) as u16;
                Self::Number { left: left - 1, code: code << 4 | digit }
            }
            (Self::Escape | Self::Number { .. }, _) => Self::Text,
            _ => self,
        }
    }
}

impl Csv {
    fn step(self, byte: u8) -> Self {
        let ends = matches!(byte, b',' | b';' | b'\t' | b'\n' | b'\r');
        match self {
            Self::Quoted | Self::QuotedBegin if byte == b'"' => Self::QuoteInQuotes,
            Self::Quoted | Self::QuotedBegin => Self::Quoted,
            Self::QuoteInQuotes if byte == b'"' => Self::Quoted,
            _ if ends => Self::Begin,
            Self::Begin if byte == b'"' => Self::QuotedBegin,
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
        assert_eq!(csv("a"), State::Csv(Csv::Inside));
        assert_eq!(csv("\"a\"\","), State::Csv(Csv::Quoted));
        assert_eq!([csv("a,"), csv("\"a\",b\n")], [State::Csv(Csv::Begin); 2]);
        let json = |text| after(State::Json(Json::Between), text);
        assert_eq!(json("{\"a\": \"b\\\""), State::Json(Json::Text));
        assert_eq!(json("{\"a\": "), State::Json(Json::Between));
    }
}
