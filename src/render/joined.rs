//! The text of HTML as readers join it: without tags and comments, with a line end where an element begins a new line.

use super::elements::breaks_text;
use super::html::comment_end;
use std::ops::Range;

/// A text, and where its stretches come from.
pub(super) struct Joined {
    pub text: String,
    /// Where each stretch begins, in the text and in the HTML.
    stretches: Vec<(usize, usize)>,
}

impl Joined {
    pub fn of(html: &str) -> Self {
        let mut joined = Self { text: String::with_capacity(html.len()), stretches: Vec::new() };
        let last_end = memchr::memrchr(b'>', html.as_bytes()).unwrap_or(0);
        let mut from = 0;
        while let Some(open) = memchr::memchr(b'<', &html.as_bytes()[from..]) {
            let start = from + open;
            joined.put(html, from..start);
            let Some(end) = markup_end(html, start, last_end) else {
                joined.put(html, start..start + 1);
                from = start + 1;
                continue;
            };
            if breaks(&html[start..end]) {
                joined.text.push('\n');
            }
            from = end;
        }
        joined.put(html, from..html.len());
        joined
    }

    fn put(&mut self, html: &str, range: Range<usize>) {
        if !range.is_empty() {
            self.stretches.push((self.text.len(), range.start));
            self.text.push_str(&html[range]);
        }
    }

    /// Where a stretch of the text stands in the HTML, if markup stands within it.
    pub fn across_markup(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let first = self.before(range.start)?;
        let last = self.before(range.end.checked_sub(1)?)?;
        let place = |(text, html): (usize, usize), at: usize| html + (at - text);
        (first != last).then(|| {
            place(self.stretches[first], range.start)..place(self.stretches[last], range.end - 1) + 1
        })
    }

    fn before(&self, at: usize) -> Option<usize> {
        self.stretches.partition_point(|(text, _)| *text <= at).checked_sub(1)
    }
}

/// The end of a tag or comment; none where the sign stands for itself. Nothing is looked for behind the last `>`, nor for
/// each `<` of many to where the text ends.
fn markup_end(html: &str, start: usize, last_end: usize) -> Option<usize> {
    let rest = &html[start..];
    if rest.starts_with("<!--") {
        return Some(comment_end(html, start));
    }
    let name = rest[1..].trim_start_matches('/');
    if start > last_end || !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!') {
        return None;
    }
    memchr::memchr(b'>', rest.as_bytes()).map(|end| start + end + 1)
}

fn breaks(markup: &str) -> bool {
    let name = markup[1..].trim_start_matches('/');
    let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
    let name = name[..end].to_ascii_lowercase();
    // Styles and scripts are no part of the text around them.
    breaks_text(&name) || matches!(&*name, "body" | "form" | "head" | "html" | "script" | "style")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_joined_as_readers_join_it() {
        for (html, text) in [
            ("a<b>b</b>c", "abc"),
            ("<p>a</p><P>b", "\na\n\nb"),
            ("a<!-- x > -->b<br/>c", "ab\nc"),
            ("1 < 2 <3 a<", "1 < 2 <3 a<"),
            ("", ""),
        ] {
            assert_eq!(Joined::of(html).text, text, "{html}");
        }
    }

    #[test]
    fn signs_that_begin_no_tag_are_walked_once() {
        // By its square, a minute and more.
        for opened in ["<", "</", "<a", "<!", "< ", "<1 ", "<////"] {
            let html = format!("{}{}", "<".repeat(9), opened.repeat(2_000_000 / opened.len()));
            assert_eq!(Joined::of(&html).text, html, "{opened}");
        }
        let ended = format!("{}>", "< ".repeat(1_000_000));
        assert_eq!(Joined::of(&ended).text, ended);
    }

    #[test]
    fn what_markup_stands_in_is_found_in_the_html() {
        let html = "<p>Dear [<b>FIRST</b>NAME] [x]";
        let joined = Joined::of(html);
        let at = joined.text.find('[').unwrap();
        let range = joined.across_markup(&(at..at + "[FIRSTNAME]".len())).unwrap();
        assert_eq!(&html[range], "[<b>FIRST</b>NAME]");
        let at = joined.text.rfind('[').unwrap();
        assert_eq!(joined.across_markup(&(at..at + 3)), None);
    }
}
