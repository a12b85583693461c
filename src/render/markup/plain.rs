//! Markup that comes with a job and stands in one part with a person's values: text with plain elements, none of which could
//! change how the values are read, send them anywhere, or hide them.

use crate::render::elements;
use crate::render::html::State;

/// Whether the markup is that.
pub(in crate::render) fn is_plain(markup: &str) -> bool {
    if memchr::memchr(b'<', markup.as_bytes()).is_none() {
        return true;
    }
    let mut state = State::Text;
    for byte in markup.bytes() {
        let before = state;
        state = before.step(byte);
        let is_fine = match before {
            State::Declaration { .. } | State::Bogus => false,
            // Outlook reads what a conditional comment holds.
            State::Comment { .. } => byte != b'[',
            _ => {
                !before.ends_markup(state, byte)
                    || before.tag().is_none_or(|tag| may_come_with_a_job(tag.name.as_str()))
            }
        };
        let opens_comment = matches!(
            (before, state),
            (State::Declaration { .. }, State::Declaration { .. } | State::Comment { .. })
        );
        if !is_fine && !opens_comment {
            return false;
        }
    }
    state == State::Text
}

/// Those with an address too, and those that matter to a branch only.
fn may_come_with_a_job(name: &str) -> bool {
    const OTHERS: [&str; 11] =
        ["a", "acronym", "img", "nobr", "picture", "rp", "rt", "ruby", "samp", "source", "var"];
    elements::is_plain(name) || OTHERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_only_plain_elements_stand_beside_a_person() {
        for markup in [
            "no markup",
            "<tr><td style=\"color:red\">A &amp; B</td></tr>",
            "<p>x<br><img src=\"https://x.test/a.png\" alt=x></p><!-- a comment -->",
            "1 < 2",
            "<a href=\"https://x.test/\"><b>x</b></a>",
        ] {
            assert!(is_plain(markup), "{markup}");
        }
        for markup in [
            "<form action=\"https://third.example/\">",
            "<input name=a>",
            "<svg>",
            "</svg>",
            "<style>p{}</style>",
            "<base href=\"https://third.example/\">",
            "<template>",
            "<textarea></textarea>",
            "<select>",
            "<object>",
            "<title>x</title>",
            "<meta name=x>",
            "<custom-element>",
            "<!--[if mso]><a href=\"https://third.example/?<![endif]-->",
            "<!-- x",
            "<?x?>",
            "<![if x]>",
            "<!doctype html>",
            "<a href=\"",
            "<p",
        ] {
            assert!(!is_plain(markup), "{markup}");
        }
    }
}
