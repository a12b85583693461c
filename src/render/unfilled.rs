//! Placeholders where nothing is filled in: people would read them as they stand.

use super::escape::printable;

/// Signs that a block's tag, an end, a comment, a partial or an unescaped value begins with.
const SIGNS: [char; 8] = ['#', '/', '^', '&', '!', '>', '*', '@'];
/// Longest text between the braces of one, in bytes.
const INNER_BYTES_MAX: usize = 200;

/// What people would read as it stands, though nobody surely means it so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Literal {
    pub text: Box<str>,
    pub why: Why,
}

/// Why it is not filled in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is a placeholder of another product.
    Foreign,
    /// Nothing is filled in where it stands.
    Unfilled { place: Box<str> },
}

impl Literal {
    pub(super) fn foreign(text: &str) -> Self {
        Self { text: Box::from(&*printable(text)), why: Why::Foreign }
    }

    pub(super) fn unfilled(text: &str, place: &str) -> Self {
        Self { text: Box::from(&*printable(text)), why: Why::Unfilled { place: place.into() } }
    }
}

/// Whole placeholders in a text, in order: two or three braces around a name, a call or a block's tag. What is no more than
/// braces (a formula, a style sheet, the text of a rich text format) is none.
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(found) = memchr::memmem::find(&text.as_bytes()[from..], b"{{") {
            let start = from + found;
            let braces = text.as_bytes()[start..].iter().take_while(|byte| **byte == b'{').count();
            let inner = start + braces;
            from = inner;
            let Some(length) = inner_length(&text[inner..]) else { continue };
            let wanted = braces.min(3);
            let behind = text.as_bytes()[inner + length..].iter().take_while(|byte| **byte == b'}').count();
            from = inner + length + behind.min(wanted);
            return Some(&text[inner - wanted..from]);
        }
        None
    })
}

/// The first of them that reads what this relay fills in: `{{person.name}}`, `{{#if data.vip}}`.
pub fn own(text: &str) -> Option<&str> {
    placeholders(text).find(|placeholder| is_own(placeholder))
}

fn is_own(placeholder: &str) -> bool {
    let is_path = |c: char| c.is_alphanumeric() || "_.[]@-".contains(c);
    placeholder.split(|c| !is_path(c)).any(|path| {
        let path = path.strip_prefix("@root.").unwrap_or(path);
        path.split_once('.')
            .is_some_and(|(root, field)| matches!(root, "person" | "data" | "send") && !field.is_empty())
    })
}

/// How long the text between the braces is, if it is one of a placeholder.
fn inner_length(rest: &str) -> Option<usize> {
    let near = &rest.as_bytes()[..rest.len().min(INNER_BYTES_MAX)];
    let length = memchr::memmem::find(near, b"}}")?;
    is_tag(rest.get(..length)?).then_some(length)
}

/// `name`, `#if person.vip`, `~ else ~`, `x | upper`, `.Values.x`, `1`
fn is_tag(inner: &str) -> bool {
    let inner = inner.trim_matches([' ', '\t', '~']);
    let name = inner.trim_start_matches(SIGNS).trim_start_matches([' ', '\t']);
    let begins = name.starts_with(|c: char| c.is_alphanumeric() || "_.$[(".contains(c));
    let may_stand =
        |c: char| c.is_alphanumeric() || "_.-@/[]$'\"()=|?,!+ \t~#\u{a0}".contains(c) || is_mark(c);
    begins && name.contains(char::is_alphanumeric) && name.chars().all(may_stand)
}

/// Signs of scripts that write vowels as marks, and the joiners among them.
fn is_mark(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p8_whole_placeholders_are_found() {
        for text in [
            "{{person.first_name}}",
            "{{{data.form}}}",
            "{{ first name }}",
            "{{#if person.vip}}",
            "{{/if}}",
            "{{~else~}}",
            "{{> header}}",
            "{{! note }}",
            "{{&name}}",
            "{{x | default(\"a\")}}",
            "{{ .Values.image }}",
            "{{1}}",
            "{{שם}}",
            "{{lookup data.m person.city}}",
            "{{@root.person.x}}",
        ] {
            let line = format!("a {text} b }}}} {{{{");
            assert_eq!(placeholders(&line).collect::<Vec<_>>(), [text], "{line}");
        }
        assert_eq!(placeholders("{{a}}{{{b}}}{{{{c}}").collect::<Vec<_>>(), ["{{a}}", "{{{b}}}", "{{{c}}"]);
    }

    #[test]
    fn p8_braces_that_are_none_are_passed() {
        for text in [
            "{{",
            "}}",
            "{{}}",
            "{{ }}",
            "{{\\fonttbl{\\f0 Arial;}}",
            "{\"a\":{\"b\":{\"c\":1}}}",
            "{{\"a\":1}}",
            "{{ {a} }}",
            "{{a\n}}",
            "a{b{c}}",
            "{{\\bf bold}}",
            "{{-}}",
            "@media x{{a:b;c:d}}",
        ] {
            assert_eq!(placeholders(text).collect::<Vec<_>>(), Vec::<&str>::new(), "{text}");
        }
        let long = format!("{{{{{}}}}}", "a".repeat(INNER_BYTES_MAX));
        assert_eq!(placeholders(&long).count(), 0);
        for opened in ["{{", "{{a ", "{{a {{", "{{\u{5d0}"] {
            // By its square it would take hours.
            assert_eq!(placeholders(&opened.repeat(4_000_000 / opened.len())).count(), 0);
        }
    }

    #[test]
    fn p8_those_of_this_relay_are_told_from_others() {
        for text in
            ["{{person.x}}", "{{#if data.x}}", "{{ lookup data.m @root.person.city }}", "{{{send.number}}}"]
        {
            assert_eq!(own(&format!("{{{{x}}}} {text}")), Some(text));
        }
        for text in ["{{x}}", "{{personal.x}}", "{{person}}", "{{x.person.y}}", "{{mydata.x}}", "person.x"] {
            assert_eq!(own(text), None, "{text}");
        }
    }
}
