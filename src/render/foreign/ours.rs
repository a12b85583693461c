//! Placeholders of our own, written with signs of other template languages.

use super::names::is_field_of_a_person;
use super::{begins_name, is_word, window, within};

/// Length of `{person.name}`, `{{ person.name }`, `｛person.name｝` at this place; not of `{{person.name}}`, nor of
/// `${person.name}` in a piece of code.
pub(super) fn wrong_braces(text: &str, at: usize) -> Option<usize> {
    if text[..at].ends_with(['{', '$', '#', '\\']) {
        return None;
    }
    let rest = window(&text[at..]);
    let is_of_person = |inner: &str| inner.trim_start().starts_with("person.") && is_our_path(inner);
    let halved = within(rest, "{{", "}", is_of_person).filter(|length| !rest[*length..].starts_with('}'));
    halved
        .or_else(|| within(rest, "{", "}", is_of_person))
        .or_else(|| within(rest, "\u{ff5b}", "\u{ff5d}", is_of_person))
}

/// Length of `$person.first_name` or `${person.first_name}` at this place: of what every product calls a person's own. Any other
/// name may be of a program that the message is about.
pub(super) fn ours_in_code(rest: &str, before: Option<char>) -> Option<usize> {
    let field_of = |inner: &str| inner.trim().strip_prefix("person.").is_some_and(is_field_of_a_person);
    let is_field =
        |length: &usize| rest[..*length].rsplit(['.', '>']).next().is_some_and(is_field_of_a_person);
    unbraced(window(rest), before).filter(is_field).or_else(|| within(window(rest), "${", "}", field_of))
}

/// `$person.first_name`, `$!data.shop`, `$person->first_name`, `@person.first_name`: our own, as other template languages write them.
pub(super) fn unbraced(rest: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| c.is_alphanumeric() || "_.$@{\\".contains(c)) {
        return None;
    }
    let sign = ["$!", "$", "@"].into_iter().find(|sign| rest.starts_with(sign))?;
    let inner = &rest[sign.len()..];
    let root = ["person", "data", "send"].into_iter().find(|root| inner.starts_with(root))?;
    // What follows the sign of an address may be anybody's.
    if sign == "@" && root != "person" {
        return None;
    }
    let path = &inner[root.len()..];
    let path = path.strip_prefix('.').or_else(|| path.strip_prefix("->"))?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = path.split(|c| !is_part(c)).next().filter(|name| begins_name(name))?;
    Some(rest.len() - path.len() + name.len())
}

/// Whether it is one of ours, but for its braces: `{person.first_name}`.
pub(in crate::render) fn is_half_braced(text: &str) -> bool {
    within(text, "{", "}", is_our_path).is_some()
}

/// What is meant by one of ours that another template language writes so: `person.first_name` of `$person->first_name`.
pub fn our_path(text: &str) -> Option<String> {
    let at = ["person", "data", "send"].iter().find_map(|root| text.find(root))?;
    let path = text[at..].trim_end_matches(['}', '%', ' ', ']', ')', '#']).replace("->", ".");
    is_our_path(&path).then_some(path)
}

pub(super) fn is_our_path(inner: &str) -> bool {
    let path = inner.trim().split_once('.');
    path.is_some_and(|(root, rest)| {
        matches!(root, "person" | "data" | "send") && rest.split('.').all(is_word)
    })
}
