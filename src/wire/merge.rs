//! Reads the definitions of `XDFN`, PowerMTA's verb for variables of a recipient: `name="value" *jobid=c42`.

/// Longest name.
pub const NAME_OCTETS_MAX: usize = 64;

/// One definition as written. Reserved names begin with `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition<'a> {
    pub name: &'a str,
    pub value: &'a str,
}

/// The definitions of one line, at least one.
///
/// # Errors
/// `None` when the line is not well formed: a value is in quotes, or a word without quotes; nothing can be escaped.
pub fn definitions(arguments: &str) -> Option<Vec<Definition<'_>>> {
    let mut found = Vec::new();
    let mut rest = arguments.trim_matches(' ');
    while !rest.is_empty() {
        let (name, tail) = rest.split_once('=')?;
        if !is_name(name) {
            return None;
        }
        let (value, tail) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => tail.split_at(tail.find(' ').unwrap_or(tail.len())),
        };
        let is_apart = tail.is_empty() || tail.starts_with(' ');
        if !is_apart || value.chars().any(char::is_control) {
            return None;
        }
        found.push(Definition { name, value });
        rest = tail.trim_start_matches(' ');
    }
    (!found.is_empty()).then_some(found)
}

/// A name as templates write it, or one with `*` in front.
fn is_name(name: &str) -> bool {
    let plain = name.strip_prefix('*').unwrap_or(name);
    let starts_well = plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_plain = plain.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
    // `this` is a word of the template language and cannot name anything.
    starts_well && is_plain && name.len() <= NAME_OCTETS_MAX && plain != "this"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(arguments: &str) -> Option<Vec<(&str, &str)>> {
        let found = definitions(arguments)?;
        Some(found.into_iter().map(|definition| (definition.name, definition.value)).collect())
    }

    #[test]
    fn values_stand_in_quotes_or_alone() {
        assert_eq!(read("order=\"A 17\""), Some(vec![("order", "A 17")]));
        assert_eq!(
            read(" *parts=1  *jobid=\"c42\" a=\"x=y\" b= "),
            Some(vec![("*parts", "1"), ("*jobid", "c42"), ("a", "x=y"), ("b", "")])
        );
    }

    #[test]
    fn malformed_definitions_are_refused() {
        for arguments in [
            "",
            "order",
            "order=\"A",
            "order=\"A\"B",
            "=x",
            "a b=x",
            "1a=x",
            "a.b=x",
            "this=x",
            "**a=x",
            "a=\"\u{7}\"",
        ] {
            assert_eq!(read(arguments), None, "{arguments}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_fall(arguments in "[a-c*=\" \u{e9}]{0,40}") {
            let _ = definitions(&arguments);
        }
    }
}
