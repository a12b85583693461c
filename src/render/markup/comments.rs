//! Conditional comments (`<!--[if mso]> … <![endif]-->`): Outlook reads what they hold as part of the text, nobody else does.

use super::places::is_other_ground;
use crate::render::html::State;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// What follows would stand inside a tag or comment for some clients.
    EndsInTag,
    /// What follows would stand inside an element that reads it in its own way.
    EndsInOtherGround,
    /// To a reader of XML it is text.
    CharacterData,
}

/// What is wrong with a comment in a part that holds values about a person.
pub(super) fn flaw(comment: &str) -> Option<Flaw> {
    if comment.starts_with("[CDATA[") {
        return Some(Flaw::CharacterData);
    }
    let condition = comment.trim_start();
    if !condition.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("[if")) {
        return None;
    }
    let held = condition.find("]>").map_or("", |end| &condition[end + 2..]);
    // `<!--[if !mso]><!-->` ends the comment for everybody else.
    let held = held.trim_end_matches(['-', ' ']).strip_suffix("<!").unwrap_or(held);
    let held = held.trim_end().strip_suffix("<![endif]").unwrap_or(held);
    let mut open = 0i32;
    let mut state = State::Text;
    for byte in held.bytes() {
        let before = state;
        state = before.step(byte);
        if before.ends_markup(state, byte)
            && let Some(tag) = before.tag()
            && is_other_ground(tag.name.as_str())
        {
            open += if tag.end { -1 } else { 1 };
        }
    }
    match (state, open) {
        (State::Text, 0) => None,
        (State::Text, _) => Some(Flaw::EndsInOtherGround),
        _ => Some(Flaw::EndsInTag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_what_outlook_reads_ends_where_it_began() {
        for comment in [
            "a comment",
            "[if mso]><table><tr><td><![endif]",
            "[if !mso]><!",
            "[if !mso]><!-- ",
            "[if (gte mso 9)|(IE)]><style>p{}</style><![endif]",
            "[if gte mso 9]><noscript><xml></xml></noscript><![endif]",
            "[if mso]><v:rect><v:textbox><![endif]",
        ] {
            assert_eq!(flaw(comment), None, "{comment}");
        }
        for (comment, wanted) in [
            ("[if mso]><a href=\"https://third.example/?<![endif]", Flaw::EndsInTag),
            ("[if mso]><textarea><![endif]", Flaw::EndsInTag),
            (" [IF mso]><style><![endif]", Flaw::EndsInTag),
            ("[if mso]><svg><![endif]", Flaw::EndsInOtherGround),
            ("[if mso]></select><![endif]", Flaw::EndsInOtherGround),
            ("[CDATA[ x ]]", Flaw::CharacterData),
        ] {
            assert_eq!(flaw(comment), Some(wanted), "{comment}");
        }
    }
}
