//! A small HTML tokenizer that runs over fixed text with holes, to know where each hole stands (WHATWG HTML
//! §13.2.5, as far as a hole's place depends on it). Its state is a small value, so branches can be compared.

pub(super) use super::name::Name;

/// Whether markup that starts in text ends in text, so that what follows it is read as it would be without it.
pub(super) fn ends_in_text(markup: &str) -> bool {
    markup.bytes().fold(State::Text, State::step) == State::Text
}

/// Behind the comment that begins at `start` with `<!--`, or the end of the text (WHATWG HTML §13.2.5.43 to 51).
pub(super) fn comment_end(html: &str, start: usize) -> usize {
    let bytes = html.as_bytes();
    let ends_at = |at: usize| {
        let (usual, odd) = (&bytes[start + "<!".len()..at], &bytes[(start + "<!--".len()).min(at)..at]);
        usual.ends_with(b"--") || odd.ends_with(b"--!")
    };
    let from = start + "<!--".len();
    let mut closing = memchr::memchr_iter(b'>', &bytes[from..]).map(|at| from + at);
    closing.find(|at| ends_at(*at)).map_or(html.len(), |at| at + 1)
}

/// The place of a value that tells browsers what to do, or programs what a mail is about.
pub(super) const META_CONTENT: &str = "a meta element's content";

/// In place of the dashes of a comment of which nothing was read yet: `>` ends it, `!` is text.
const BEGUN: u8 = 4;
/// Likewise, of which one dash was read.
const BEGUN_WITH_DASH: u8 = 5;

/// Where the text stands after everything fed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Text,
    /// `title`, `textarea`: character references count, tags do not.
    Rcdata(Name),
    /// `script`, `style` and other elements whose content is not markup.
    Raw(Name),
    /// Inside [`State::Rcdata`] or [`State::Raw`], behind `</` and this much of a name.
    RawEnd {
        element: Name,
        seen: Name,
        rcdata: bool,
    },
    /// Inside the same, behind `<`.
    RawLess {
        element: Name,
        rcdata: bool,
    },
    TagOpen,
    EndTagOpen,
    TagName {
        end: bool,
        name: Name,
    },
    BeforeAttribute(Tag),
    AttributeName(Tag, Name),
    AfterAttributeName(Tag, Name),
    BeforeValue(Tag, Attribute),
    Value(Tag, Attribute, Quote, Url),
    /// `<!` and this many dashes.
    Declaration {
        dashes: u8,
    },
    Comment {
        dashes: u8,
    },
    /// `<!DOCTYPE …>`, `<?…>`, `<![if …]>`: up to the next `>`.
    Bogus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) end: bool,
    pub(super) name: Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    Double,
    Single,
    None,
}

/// What an attribute's value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    /// Shown or read out to the reader and nothing else: also a person's value may stand here.
    Shown,
    Plain,
    Url,
    /// No value may stand here; the word says what it is.
    Closed(&'static str),
}

/// How far the URL in an attribute has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Url {
    Start,
    /// Letters that may become a scheme.
    Scheme(Name),
    /// Behind a scheme that takes values, or in a relative URL.
    Inside,
    /// Behind branches of which one has begun the URL and another has not: no value may follow.
    Mixed,
    /// Behind `javascript:` or another scheme that takes no values.
    Foreign,
}

impl State {
    /// The state behind one more byte of text.
    pub(super) fn step(self, byte: u8) -> Self {
        match self {
            Self::Text if byte == b'<' => Self::TagOpen,
            Self::Text => Self::Text,
            Self::Rcdata(element) if byte == b'<' => Self::RawLess { element, rcdata: true },
            Self::Raw(element) if byte == b'<' => Self::RawLess { element, rcdata: false },
            Self::Rcdata(_) | Self::Raw(_) => self,
            Self::RawLess { element, rcdata } => match byte {
                b'/' => Self::RawEnd { element, seen: Name::EMPTY, rcdata },
                b'<' => self,
                _ => inside(element, rcdata),
            },
            Self::RawEnd { element, seen, rcdata } => raw_end(element, seen, rcdata, byte),
            Self::TagOpen => match byte {
                b'/' => Self::EndTagOpen,
                b'!' => Self::Declaration { dashes: 0 },
                b'?' => Self::Bogus,
                b'<' => Self::TagOpen,
                _ if byte.is_ascii_alphabetic() => Self::TagName { end: false, name: Name::EMPTY.with(byte) },
                _ => Self::Text,
            },
            Self::EndTagOpen => match byte {
                b'>' => Self::Text,
                _ if byte.is_ascii_alphabetic() => Self::TagName { end: true, name: Name::EMPTY.with(byte) },
                _ => Self::Bogus,
            },
            Self::Declaration { .. } | Self::Comment { .. } | Self::Bogus => self.step_comment(byte),
            _ => self.step_tag(byte),
        }
    }

    /// Passes the bytes that lead nowhere else, many at once: how many they are, and the state behind them. In a value that
    /// ends within `bytes`, how far its URL has come is left out: nothing asks for it any more.
    pub(super) fn pass(self, bytes: &[u8]) -> (usize, Self) {
        let to = |sign: u8| memchr::memchr(sign, bytes).unwrap_or(bytes.len());
        match self {
            Self::Text | Self::Rcdata(_) | Self::Raw(_) => (to(b'<'), self),
            Self::Bogus => (to(b'>'), self),
            Self::Comment { dashes: 0 } => (to(b'-'), self),
            Self::TagName { end, name } => {
                let (passed, name) = name.with_all(bytes);
                (passed, Self::TagName { end, name })
            }
            Self::AttributeName(tag, name) => {
                let (passed, name) = name.with_all(bytes);
                (passed, Self::AttributeName(tag, name))
            }
            Self::Value(_, _, quote @ (Quote::Double | Quote::Single), _) => {
                let passed = to(if quote == Quote::Double { b'"' } else { b'\'' });
                let goes_on = passed == bytes.len();
                (
                    passed,
                    if goes_on { bytes.iter().fold(self, |state, byte| state.step(*byte)) } else { self },
                )
            }
            _ => (0, self),
        }
    }

    fn step_comment(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Declaration { dashes: 0 }, b'-') => Self::Declaration { dashes: 1 },
            (Self::Declaration { dashes: 1 }, b'-') => Self::Comment { dashes: BEGUN },
            (Self::Comment { dashes: BEGUN }, b'-') => Self::Comment { dashes: BEGUN_WITH_DASH },
            (Self::Comment { dashes: BEGUN_WITH_DASH }, b'-') => Self::Comment { dashes: 2 },
            (Self::Declaration { .. } | Self::Bogus, b'>') => Self::Text,
            (Self::Declaration { .. } | Self::Bogus, _) => Self::Bogus,
            (Self::Comment { dashes: 2.. }, b'>') => Self::Text,
            (Self::Comment { dashes: 2 }, b'!') => Self::Comment { dashes: 3 },
            (Self::Comment { dashes: 2 }, b'-') => self,
            (Self::Comment { dashes: 1 }, b'-') => Self::Comment { dashes: 2 },
            (_, b'-') => Self::Comment { dashes: 1 },
            _ => Self::Comment { dashes: 0 },
        }
    }

    fn step_tag(self, byte: u8) -> Self {
        let space = byte.is_ascii_whitespace();
        match self {
            Self::TagName { end, name } => match byte {
                b'>' => content(Tag { end, name }),
                _ if space || byte == b'/' => Self::BeforeAttribute(Tag { end, name }),
                _ => Self::TagName { end, name: name.with(byte) },
            },
            Self::BeforeAttribute(tag) | Self::AfterAttributeName(tag, _) if byte == b'>' => content(tag),
            Self::BeforeAttribute(_) if space || byte == b'/' => self,
            Self::BeforeAttribute(tag) => Self::AttributeName(tag, Name::EMPTY.with(byte)),
            Self::AttributeName(tag, name) => match byte {
                b'>' => content(tag),
                b'=' => Self::BeforeValue(tag, attribute(tag, name)),
                b'/' => Self::BeforeAttribute(tag),
                _ if space => Self::AfterAttributeName(tag, name),
                _ => Self::AttributeName(tag, name.with(byte)),
            },
            Self::AfterAttributeName(tag, name) => match byte {
                b'=' => Self::BeforeValue(tag, attribute(tag, name)),
                b'/' => Self::BeforeAttribute(tag),
                _ if space => self,
                _ => Self::AttributeName(tag, Name::EMPTY.with(byte)),
            },
            Self::BeforeValue(tag, attribute) => match byte {
                b'"' => Self::Value(tag, attribute, Quote::Double, Url::Start),
                b'\'' => Self::Value(tag, attribute, Quote::Single, Url::Start),
                b'>' => content(tag),
                _ if space => self,
                _ => Self::Value(tag, attribute, Quote::None, Url::Start.step(byte)),
            },
            Self::Value(tag, attribute, quote, url) => match (quote, byte) {
                (Quote::Double, b'"') | (Quote::Single, b'\'') => Self::BeforeAttribute(tag),
                (Quote::None, b'>') => content(tag),
                (Quote::None, _) if space => Self::BeforeAttribute(tag),
                _ => Self::Value(tag, attribute, quote, url.step(byte)),
            },
            other => other,
        }
    }

    /// Behind a value that ends nothing.
    pub(super) fn behind_value(self) -> Self {
        if matches!(self, Self::Comment { .. }) { Self::Comment { dashes: 0 } } else { self }
    }

    /// The tag that the text is inside of.
    pub(super) fn tag(self) -> Option<Tag> {
        match self {
            Self::TagName { end, name } => Some(Tag { end, name }),
            Self::RawEnd { seen, .. } => Some(Tag { end: true, name: seen }),
            Self::BeforeAttribute(tag)
            | Self::AttributeName(tag, _)
            | Self::AfterAttributeName(tag, _)
            | Self::BeforeValue(tag, _)
            | Self::Value(tag, ..) => Some(tag),
            _ => None,
        }
    }

    /// Whether text stands here, to a reader or to a machine.
    pub(super) fn is_content(self) -> bool {
        matches!(self, Self::Text | Self::Rcdata(_) | Self::Raw(_))
    }

    /// Whether the byte that led from here to `behind` ended a tag, comment or declaration.
    pub(super) fn ends_markup(self, behind: Self, byte: u8) -> bool {
        let was_inside = match self {
            Self::Text | Self::Rcdata(_) | Self::Raw(_) | Self::RawLess { .. } => false,
            Self::TagOpen | Self::EndTagOpen => false,
            Self::RawEnd { .. } => behind == Self::Text,
            _ => true,
        };
        byte == b'>' && was_inside && behind.is_content()
    }

    /// The state in which two branches go on together, where there is one.
    pub(super) fn join(self, other: Self) -> Option<Self> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            // A finished attribute name and none: an `=` behind the block would belong to an unknown name.
            (Self::BeforeAttribute(a), Self::AfterAttributeName(b, _))
            | (Self::AfterAttributeName(b, _), Self::BeforeAttribute(a))
                if a == b =>
            {
                Some(Self::AfterAttributeName(a, Name::EMPTY))
            }
            (Self::Value(a, attribute, quote, url), Self::Value(b, other, same, second))
                if (a, attribute, quote) == (b, other, same) && quote != Quote::None =>
            {
                Some(Self::Value(a, attribute, quote, url.join(second)))
            }
            _ => None,
        }
    }
}

impl Url {
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Foreign, _) | (_, Self::Foreign) => Self::Foreign,
            _ => Self::Mixed,
        }
    }

    fn step(self, byte: u8) -> Self {
        match self {
            Self::Start if byte.is_ascii_whitespace() => Self::Start,
            Self::Start if byte.is_ascii_alphabetic() => Self::Scheme(Name::EMPTY.with(byte)),
            Self::Start => Self::Inside,
            Self::Scheme(name) => match byte {
                b':' if matches!(name.as_str(), "http" | "https" | "mailto" | "tel" | "sms" | "cid") => {
                    Self::Inside
                }
                // `&` may begin a character reference that stands for the colon.
                b':' | b'&' => Self::Foreign,
                b'/' | b'?' | b'#' => Self::Inside,
                _ => Self::Scheme(name.with(byte)),
            },
            Self::Inside | Self::Mixed | Self::Foreign => self,
        }
    }
}

fn inside(element: Name, rcdata: bool) -> State {
    if rcdata { State::Rcdata(element) } else { State::Raw(element) }
}

fn raw_end(element: Name, seen: Name, rcdata: bool, byte: u8) -> State {
    let tag = Tag { end: true, name: element };
    match byte {
        b'>' if seen == element => State::Text,
        b'/' if seen == element => State::BeforeAttribute(tag),
        _ if byte.is_ascii_whitespace() && seen == element => State::BeforeAttribute(tag),
        b'<' => State::RawLess { element, rcdata },
        _ if byte.is_ascii_alphabetic() => State::RawEnd { element, seen: seen.with(byte), rcdata },
        _ => inside(element, rcdata),
    }
}

/// What follows the `>` of a tag.
fn content(tag: Tag) -> State {
    if tag.end {
        return State::Text;
    }
    match tag.name.as_str() {
        "title" | "textarea" => State::Rcdata(tag.name),
        "script" | "style" | "xmp" | "iframe" | "noembed" | "noframes" | "plaintext" => State::Raw(tag.name),
        _ => State::Text,
    }
}

/// What the value of an attribute means. Data attributes and namespaced ones count as what they are named after.
pub(super) fn attribute(tag: Tag, name: Name) -> Attribute {
    let name = name.as_str();
    if is_shown(tag.name.as_str(), name) {
        return Attribute::Shown;
    }
    let name = name.strip_prefix("data-").unwrap_or(name);
    let name = name.rsplit(':').next().unwrap_or(name);
    match name {
        "" => Attribute::Closed("an attribute whose name depends on a block"),
        "style" => Attribute::Closed("a style attribute"),
        "srcdoc" => Attribute::Closed("a srcdoc attribute"),
        "srcset" | "imagesrcset" => Attribute::Closed("a srcset attribute"),
        "http-equiv" => Attribute::Closed("an http-equiv attribute"),
        "content" if tag.name.as_str() == "meta" => Attribute::Closed(META_CONTENT),
        _ if name.starts_with("on") => Attribute::Closed("an event handler attribute"),
        "href" | "src" | "action" | "formaction" | "background" | "poster" | "cite" | "data" | "longdesc"
        | "usemap" | "codebase" | "classid" | "archive" | "profile" | "manifest" | "icon" | "ping"
        | "lowsrc" | "dynsrc" | "base" | "xmlns" => Attribute::Url,
        // Names nobody listed: data-lazy-src, data-url, imageuri.
        _ if name.as_bytes().windows(3).any(|part| matches!(part, b"src" | b"uri" | b"url")) => {
            Attribute::Url
        }
        _ if name.as_bytes().windows(4).any(|part| part == b"href") => Attribute::Url,
        _ => Attribute::Plain,
    }
}

/// Whether an attribute is for the reader alone: neither fetched nor linked, submitted or selected by.
pub(super) fn is_shown(element: &str, attribute: &str) -> bool {
    let is_text = matches!(
        attribute,
        "alt" | "title" | "summary" | "abbr" | "lang" | "aria-label" | "aria-description"
    );
    let is_for_machines = matches!(
        element,
        "link"
            | "style"
            | "meta"
            | "script"
            | "base"
            | "object"
            | "embed"
            | "param"
            | "applet"
            | "iframe"
            | "frame"
            | "form"
            | "input"
            | "select"
            | "option"
            | "optgroup"
            | "textarea"
            | "track"
            | "source"
            | "template"
    );
    is_text && !is_for_machines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> State {
        text.bytes().fold(State::Text, State::step)
    }

    fn is_value(state: State, wanted: Attribute, url: Url) -> bool {
        matches!(state, State::Value(_, attribute, _, at) if attribute == wanted && at == url)
    }

    proptest::proptest! {
        #[test]
        fn what_is_passed_at_once_leads_where_each_byte_would(picks in proptest::collection::vec(0..17_usize, 0..40)) {
            const PIECES: [&str; 17] = [
                "<p ", "a=\"", "src='", "\"", "'", ">", "<!--", "--", "<style>", "</style>", "<?", "x y", "https://", "<title>",
                "</title", "é", "data-a-name-past-the-longest_one ",
            ];
            let text: String = picks.iter().map(|pick| PIECES[*pick]).collect();
            let (mut state, mut rest) = (State::Text, text.as_bytes());
            while let Some((first, behind)) = rest.split_first() {
                let (passed, after) = state.pass(rest);
                if passed > 0 {
                    (state, rest) = (after, &rest[passed..]);
                } else {
                    (state, rest) = (state.step(*first), behind);
                }
            }
            proptest::prop_assert_eq!(state, after(&text), "{}", text);
        }
    }

    #[test]
    fn text_and_elements() {
        assert_eq!(after("<p>a</p><br/> 1 < 2 <3"), State::Text);
        assert!(matches!(after("<title>a<b>"), State::Rcdata(_)));
        assert_eq!(after("<title>a</title>"), State::Text);
        assert_eq!(after("<TEXTAREA x=1></x></textarea >"), State::Text);
        assert!(matches!(after("<style>p > a { }"), State::Raw(_)));
        assert!(matches!(after("<script>if (a</b)"), State::Raw(_)));
        assert_eq!(after("<script>'<script'</script>"), State::Text);
        assert_eq!(after("<!DOCTYPE html>"), State::Text);
        assert_eq!(after("<!-- a -- > b -->"), State::Text);
        assert_eq!(after("<!--> a"), State::Text);
        for (comment, is_closed) in [
            ("<!-- a --!>", true),
            ("<!--->", true),
            ("<!----!>", true),
            ("<!--!>", false),
            ("<!---!>", false),
            ("<!-- a -!>", false),
        ] {
            assert_eq!(after(comment) == State::Text, is_closed, "{comment}");
            let html = format!("x{comment}--y");
            assert_eq!(
                comment_end(&html, 1),
                if is_closed { 1 + comment.len() } else { html.len() },
                "{comment}"
            );
        }
        assert!(matches!(after("<!--[if mso]> <p>"), State::Comment { .. }));
        assert_eq!(after("<![if !mso]>x<![endif]>"), State::Text);
    }

    #[test]
    fn attributes() {
        assert!(is_value(after("<a title=\"x"), Attribute::Shown, Url::Scheme(Name::EMPTY.with(b'x'))));
        assert!(is_value(after("<a href=\""), Attribute::Url, Url::Start));
        assert!(is_value(after("<a HREF = ' https:"), Attribute::Url, Url::Inside));
        assert!(is_value(after("<a href=\"JavaScript:"), Attribute::Url, Url::Foreign));
        assert!(is_value(after("<a href=\"javascript&#58;"), Attribute::Url, Url::Foreign));
        assert!(is_value(after("<image xlink:href='/x"), Attribute::Url, Url::Inside));
        assert!(is_value(after("<img data-src='#"), Attribute::Url, Url::Inside));
        assert!(matches!(after("<p onclick='"), State::Value(_, Attribute::Closed(_), ..)));
        assert!(matches!(after("<p/style='"), State::Value(_, Attribute::Closed(_), ..)));
        assert!(matches!(after("<p a='x'b=\""), State::Value(_, Attribute::Plain, ..)));
        assert!(matches!(after("<p a=b"), State::Value(_, _, Quote::None, _)));
        assert!(matches!(after("<p a='>'"), State::BeforeAttribute(_)));
    }
}
