//! Which elements styles put into the line around them, or hide, as far as names, classes and attributes tell.

use super::mark::DATA;
use crate::render::branch::understood;
use html5ever::Attribute;
use std::cell::Cell;

/// The ways to read a style sheet, in lower case: escapes may spell a name, and what looks like a comment may stand in a string.
pub(super) fn readings(css: &str) -> Vec<String> {
    let lower = css.to_ascii_lowercase();
    if !lower.contains('\\') && !lower.contains("/*") {
        return vec![lower];
    }
    let whole = understood(&lower.replace("/*", " "));
    vec![understood(&lower).to_ascii_lowercase(), whole.to_ascii_lowercase(), lower]
}

/// Of `display`: with which an element stands in a line or field of its own.
const OWN_LINE: [&str; 22] = [
    "block",
    "flex",
    "flow",
    "flow-root",
    "grid",
    "important",
    "list-item",
    "table",
    "table-caption",
    "table-cell",
    "table-column",
    "table-column-group",
    "table-footer-group",
    "table-header-group",
    "table-row",
    "table-row-group",
    "-moz-box",
    "-ms-flexbox",
    "-ms-grid",
    "-webkit-box",
    "-webkit-flex",
    "none",
];

/// What styles may make of how an element stands in the text around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shown {
    /// It may stand within the line, though its kind ends one.
    pub(super) in_line: bool,
    /// It may not be shown at all.
    pub(super) hidden: bool,
}

impl Shown {
    const IN_LINE: Self = Self { in_line: true, hidden: false };
    const HIDDEN: Self = Self { in_line: false, hidden: true };

    fn or(self, other: Self) -> Self {
        Self { in_line: self.in_line || other.in_line, hidden: self.hidden || other.hidden }
    }

    fn of_declarations(declarations: &str) -> Self {
        let each = declarations.split(';').filter_map(|one| one.split_once(':'));
        each.map(|(property, value)| Self::of_declaration(property, value)).fold(Self::default(), Self::or)
    }

    fn of_declaration(property: &str, value: &str) -> Self {
        // A star or a line before the name is for old readers.
        let property = property.trim_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '*' | '_'));
        let words = || {
            value
                .split(|c: char| c.is_ascii_whitespace() || c == '!' || c == '/')
                .filter(|word| !word.is_empty())
        };
        match property {
            "display" => Self {
                in_line: !words().all(|word| OWN_LINE.contains(&word)),
                hidden: words().any(|word| word == "none" || word.contains('(')),
            },
            "visibility" if !words().all(|word| matches!(word, "visible" | "inherit" | "important")) => {
                Self::HIDDEN
            }
            "mso-hide" if !value.contains("none") => Self::HIDDEN,
            // A line break is none with a content of its own.
            "all" | "content" => Self::IN_LINE,
            _ => Self::default(),
        }
    }
}

/// What the style sheets of a text say of elements.
#[derive(Debug, Default)]
pub(super) struct Sheets {
    rules: Vec<(Selector, Shown)>,
    /// How often a rule was held against an element.
    looks: Cell<usize>,
}

/// Behind so many looks an element may be shown in any way: of honest letters none comes near.
const LOOKS_MAX: usize = 10_000_000;

impl Sheets {
    /// Of those in these pieces of HTML, wherever they begin and end.
    pub(super) fn of_pieces<'t>(pieces: impl Iterator<Item = &'t str>) -> Self {
        let mut html = pieces.collect::<String>();
        html.make_ascii_lowercase();
        let sheets = html.split("<style").skip(1).map(|rest| rest.split("</style").next().unwrap_or(""));
        let rules =
            sheets.flat_map(|sheet| readings(sheet).into_iter().flat_map(|css| rules(&css))).collect();
        Self { rules, looks: Cell::new(0) }
    }

    /// Whether an element without a class or other attributes may be shown otherwise than its kind.
    pub(super) fn change_kinds(&self) -> bool {
        self.rules.iter().any(|(selector, _)| selector.attributes.is_empty())
    }

    pub(super) fn shown(&self, name: &str, attributes: &[Attribute]) -> Shown {
        let mut shown = Shown::default();
        for attribute in attributes {
            match &*attribute.name.local {
                "hidden" => shown = shown.or(Shown::HIDDEN),
                "style" => {
                    let of_one = |css: String| Shown::of_declarations(&css);
                    shown = readings(&attribute.value).into_iter().map(of_one).fold(shown, Shown::or);
                }
                _ => {}
            }
        }
        let bytes = attributes.iter().map(|one| one.value.len()).sum::<usize>();
        self.looks.set(self.looks.get().saturating_add(self.rules.len() * (1 + bytes / 256)));
        if self.looks.get() > LOOKS_MAX {
            return Shown::IN_LINE.or(Shown::HIDDEN);
        }
        let fitting = self.rules.iter().filter(|(selector, _)| selector.fits(name, attributes));
        fitting.map(|(_, shown)| *shown).fold(shown, Shown::or)
    }
}

/// Those that matter to how elements are shown.
fn rules(css: &str) -> Vec<(Selector, Shown)> {
    let mut found = Vec::new();
    for rule in css.split('}') {
        // Behind a rule within a rule, the declarations of the outer one go on.
        let mut list = "*";
        let mut pieces = rule.split('{').peekable();
        while let Some(piece) = pieces.next() {
            // Before a rule within a rule the outer one has declarations too.
            let (declarations, next) = match pieces.peek() {
                Some(_) => piece.rsplit_once(';').unwrap_or(("", piece)),
                None => (piece, ""),
            };
            let shown = Shown::of_declarations(declarations);
            if shown != Shown::default() {
                let selectors = last_elements(list).into_iter().filter_map(Selector::of);
                found.extend(selectors.map(|selector| (selector, shown)));
            }
            list = next;
        }
    }
    found
}

/// Of each selector in the list what stands for the element itself: `a` of `p > a`.
fn last_elements(list: &str) -> Vec<&str> {
    let (mut found, mut depth, mut from, mut quote) = (Vec::new(), 0_usize, 0, None);
    let mut last = "";
    for (at, c) in list.char_indices() {
        match c {
            _ if quote.is_some() => quote = quote.filter(|open| *open != c),
            '"' | '\'' => quote = Some(c),
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            ',' | '>' | '+' | '~' | ' ' | '\t' | '\n' | '\r' if depth == 0 => {
                if from < at {
                    last = &list[from..at];
                }
                from = at + 1;
                if c == ',' {
                    found.push(std::mem::take(&mut last));
                }
            }
            _ => {}
        }
    }
    if from < list.len() {
        last = &list[from..];
    }
    found.push(last);
    found
}

/// What a rule asks of an element itself; nothing, where it is not understood.
#[derive(Debug, Default)]
struct Selector {
    /// Empty, for any.
    name: String,
    /// Attributes, and what is in their values.
    attributes: Vec<(String, String)>,
}

impl Selector {
    /// None, for what is no element (`p::before`).
    fn of(written: &str) -> Option<Self> {
        let is_part = |c: char| matches!(c, '.' | '#' | '[' | ':');
        let begin = written.find(is_part).unwrap_or(written.len());
        let mut selector = Self::default();
        let name = written[..begin].trim_matches(['*', '&']);
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            selector.name = name.to_owned();
        }
        let mut rest = &written[begin..];
        while let Some(sign) = rest.chars().next() {
            rest = &rest[sign.len_utf8()..];
            let end = if sign == '[' { rest.find(']') } else { rest.find(is_part) }.unwrap_or(rest.len());
            let (part, behind) = rest.split_at(end);
            rest = behind.strip_prefix(']').unwrap_or(behind);
            match sign {
                '.' => selector.attributes.push(("class".to_owned(), part.to_owned())),
                '#' => selector.attributes.push(("id".to_owned(), part.to_owned())),
                '[' => selector.attributes.extend(asked_attribute(part)),
                _ if part.is_empty() && rest.starts_with(':') => return None,
                _ if matches!(part, "before" | "after" | "first-line" | "first-letter") => return None,
                // The rest of it may stand in parentheses.
                _ => break,
            }
        }
        Some(selector)
    }

    fn fits(&self, name: &str, attributes: &[Attribute]) -> bool {
        let has = |(asked, part): &(String, String)| {
            let mut of_name = attributes.iter().filter(|one| *one.name.local == **asked);
            of_name
                .any(|one| one.value.contains(DATA) || one.value.to_ascii_lowercase().contains(part.as_str()))
        };
        (self.name.is_empty() || self.name == name) && self.attributes.iter().all(has)
    }
}

/// `class~="x"`: the attribute, and what is in its value.
fn asked_attribute(written: &str) -> Option<(String, String)> {
    let (name, value) = written.split_once('=').unwrap_or((written, ""));
    let name = name.trim().trim_end_matches(['~', '|', '^', '$', '*']).trim_end();
    let value = value.trim();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let value = match quote {
        Some(quote) => value[1..].split(quote).next().unwrap_or(""),
        None => value.split_ascii_whitespace().next().unwrap_or(""),
    };
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_name && !name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(css: &str) -> Shown {
        shown_of(css, "X y")
    }

    fn shown_of(css: &str, class_names: &str) -> Shown {
        let html = format!("<STYLE>{css}</style>");
        let class = html5ever::QualName::new(None, html5ever::ns!(), "class".into());
        let attribute = Attribute { name: class, value: class_names.into() };
        Sheets::of_pieces(html.split_inclusive('l')).shown("p", &[attribute])
    }

    #[test]
    fn p3_a_class_that_a_job_names_is_any_class() {
        assert!(shown_of(".i{display:inline}", &format!("a {DATA}")).in_line);
        assert!(!shown_of(".i{display:inline}", "a").in_line);
    }

    #[test]
    fn p3_what_a_style_sheet_puts_into_the_line_or_hides_is_known() {
        for css in [
            "p{display:inline}",
            "b,P { DISPLAY : inline-block !important }",
            "div>p.x{display:contents}",
            ".x{display:inline}",
            "p{disp\\6c ay:inl/**/ine}",
            "p{content:'/*';disp\\6c ay:inline;x:'*/'}",
            "*{all:unset}",
            "p:hover{display:inline}",
            ":is(b, p){display:inline}",
            ".a{p{color:red}display:inline}",
            ".a{& p{display:inline}}",
            "p{display:inline;b{color:red}}",
            "div{p{display:inline;&:hover{color:red}}}",
            "p{b{color:red}display:inline;i{color:red}}",
            "p{display:inherit}",
            "p[x=\"}\"]{display:inline}",
            "[class~='x y']{display:inline}",
            "p[class]{display:inline grid}",
        ] {
            assert!(shown(css).in_line, "{css}");
        }
        for css in [
            "@media screen{.a p{color:red;display:none}}",
            "p{visibility:hidden}",
            "*[class*=x]{display:none!important}",
            "p{display:var(--x)}",
        ] {
            assert!(shown(css).hidden, "{css}");
        }
        for css in [
            "p{display:block}",
            "td{display:inline}",
            "p.z{display:none}",
            "p{display:table-cell !important}",
            "p::before,p:after{display:inline;content:'x'}",
            "p{color:red}",
            "[class=\"gmail fix\"],p[owa],p > b{display:none}",
            "@media (display-mode:none){p{visibility:visible}}",
        ] {
            assert_eq!(shown(css), Shown::default(), "{css}");
        }
    }
}
