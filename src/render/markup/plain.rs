//! Markup that comes with a job and stands in one part with a person's values: text with plain elements, none of which could
//! change how the values are read, send them anywhere, or hide them.

use crate::render::elements::{self, breaks_text};
use crate::render::html::{Name, State, Tag};
use crate::render::tree::Stands;

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

/// Whether plain markup ends no line, field or cell but those that it begins, leaves no table or list open, and puts nothing
/// into a table but cells: so the text around it is read as it would be without it (HTML §13.2.6.4.7 and 9).
pub(in crate::render) fn is_whole(markup: &str, stands: Stands) -> bool {
    if stands == Stands::OtherGround {
        return memchr::memchr(b'<', markup.as_bytes()).is_none();
    }
    let mut open = Open { names: Vec::new(), stands };
    let (mut state, mut at) = (State::Text, 0);
    while at < markup.len() {
        let (passed, behind) = state.pass(&markup.as_bytes()[at..]);
        let is_text = state == State::Text && !markup[at..at + passed].trim_ascii().is_empty();
        (state, at) = (behind, at + passed);
        let byte = markup.as_bytes().get(at).copied();
        let before = state;
        state = byte.map_or(before, |byte| before.step(byte));
        at += 1;
        let is_sign = before == State::TagOpen && matches!(state, State::Text | State::TagOpen);
        if (is_text || is_sign) && open.is_in_table() {
            return false;
        }
        let ended = byte.is_some_and(|byte| before.ends_markup(state, byte)).then(|| before.tag()).flatten();
        if ended.is_some_and(|tag| !open.takes(tag)) {
            return false;
        }
    }
    open.is_closed()
}

/// Elements that are open in the markup, as far as lines, fields and cells go.
struct Open {
    names: Vec<Name>,
    stands: Stands,
}

/// What a tag of a table may stand in: what has a higher number. Of all that have one the end may be left out.
fn rank(name: &str) -> Option<u8> {
    match name {
        "p" | "li" | "dd" | "dt" => Some(0),
        "td" | "th" | "caption" | "col" => Some(1),
        "tr" => Some(2),
        "tbody" | "thead" | "tfoot" | "colgroup" => Some(3),
        _ => None,
    }
}

fn is_heading(name: &str) -> bool {
    matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6")
}

fn is_of_table(name: &str) -> bool {
    rank(name) > Some(0)
}

impl Open {
    fn top(&self) -> Option<&str> {
        self.names.last().map(Name::as_str)
    }

    fn is_in_table(&self) -> bool {
        match self.top() {
            None => self.stands == Stands::Table,
            Some(name) => name == "table" || rank(name) > Some(1),
        }
    }

    fn takes(&mut self, tag: Tag) -> bool {
        let name = tag.name.as_str();
        if tag.end {
            return self.ends(name);
        }
        if is_of_table(name) {
            while self.top().is_some_and(|top| rank(top).is_some() && rank(top) <= rank(name)) {
                self.names.pop();
            }
            let fits = self.is_in_table();
            if name != "col" {
                self.names.push(tag.name);
            }
            return fits;
        }
        if self.is_in_table() || self.ends_around(name) {
            return false;
        }
        if breaks_text(name) && !matches!(name, "br" | "hr") {
            if self.top() == Some("p") || rank(name).is_some() && self.top() == Some(name) {
                self.names.pop();
            }
            self.names.push(tag.name);
        }
        true
    }

    /// Whether the tag ends an element around the markup, whose own end tag would then end nothing.
    fn ends_around(&self, name: &str) -> bool {
        let is_item = |name: &str| matches!(name, "li" | "dd" | "dt");
        let stops =
            |open: &Name| !matches!(open.as_str(), "address" | "div" | "p") && !is_item(open.as_str());
        match self.stands {
            // A tag of ruby ends items too (HTML §13.2.6.4.7, `rt`).
            Stands::Item | Stands::Heading if is_item(name) || matches!(name, "rp" | "rt") => {
                !self.names.iter().any(stops)
            }
            Stands::Heading if is_heading(name) => self.names.is_empty(),
            _ => false,
        }
    }

    fn ends(&mut self, name: &str) -> bool {
        if !breaks_text(name) {
            return true;
        }
        let begun = self.names.iter().rposition(|open| open.as_str() == name);
        match begun {
            Some(begun) if self.names[begun + 1..].iter().all(|inner| rank(inner.as_str()).is_some()) => {
                self.names.truncate(begun);
                true
            }
            // It begins a line by itself.
            None => matches!(name, "p" | "br") && !self.is_in_table(),
            Some(_) => false,
        }
    }

    /// What is left open would be ended by tags behind the markup that ended nothing before, or keep others from ending
    /// something (HTML §13.2.4.2).
    fn is_closed(&self) -> bool {
        let may_be_left = |name: &Name| match rank(name.as_str()) {
            Some(0) => true,
            Some(_) => self.stands == Stands::Table,
            None => false,
        };
        self.names.iter().all(may_be_left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_markup_of_a_job_leaves_what_is_around_it() {
        for markup in [
            "text",
            "<p>one<p>two",
            "<ul><li>one<li>two</ul><br>",
            "<table><tr><td>a<td>b<tr><td>c</table> x",
            "<table><thead><tr><th>a</thead><tbody><tr><td><table><tr><td>x</td></tr></table></td></tr></tbody></table>",
            "<div><b>x</div></b></p>",
            "a < b",
            "<li>one<li>two",
        ] {
            assert!(is_whole(markup, Stands::Text), "{markup}");
        }
        for markup in [
            "</div>",
            "</td></tr></table>",
            "<table>",
            "<table><tr><td>",
            "<tr><td>x</td></tr>",
            "<table>x</table>",
            "<table><b><tr><td>x</td></tr></b></table>",
            "<table><tr>x<td></td></tr></table>",
            "<table></td></table>",
            "<div></p></table></div>",
            "<ul></div></ul>",
            "<table><tr><</tr></table>",
            "<div>",
            "<ul>",
        ] {
            assert!(!is_whole(markup, Stands::Text), "{markup}");
        }
        for markup in [
            " ",
            "<tr><td>a<td>b",
            "<td>a</td>\n<td>b</td>",
            "<tbody><tr><td><p>x</td></tr></tbody>",
            "<col>",
        ] {
            assert!(is_whole(markup, Stands::Table), "{markup}");
        }
        for markup in ["x", "<p>x", "</tr>", "<tr><td><table>", "<tr>x</tr>", "</p>", "<table></table>"] {
            assert!(!is_whole(markup, Stands::Table), "{markup}");
        }
        for (markup, stands, taken) in [
            ("<li>x</li>", Stands::Text, true),
            ("<li>x</li>", Stands::Item, false),
            ("<div><dd>x</dd></div>", Stands::Item, false),
            ("<ul><li>x</li></ul><h2>x</h2>", Stands::Item, true),
            ("<b>x</b><h2>x</h2>", Stands::Heading, false),
            ("<div><h2>x</h2></div>", Stands::Heading, true),
            ("x &amp; y", Stands::OtherGround, true),
            ("<b>x</b>", Stands::OtherGround, false),
        ] {
            assert_eq!(is_whole(markup, stands), taken, "{markup} {stands:?}");
        }
    }

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
