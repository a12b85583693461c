//! Elements of HTML, by what they do to the text in and around them.

/// Elements without an address, that neither hide nor change what stands in them or behind them.
pub(super) fn is_plain(name: &str) -> bool {
    PLAIN.binary_search(&name).is_ok()
}

/// Whether a reader sees a new line or another field where this tag stands. What nobody knows does not, nor does what is there
/// once however often it is written (`html`, `head`, `body`), may end before what stands in it (`form`), or is not shown
/// (`style`, `script`).
pub(super) fn breaks_text(name: &str) -> bool {
    BREAKS.binary_search(&name).is_ok()
}

/// In order.
const BREAKS: [&str; 53] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "br",
    "caption",
    "center",
    "col",
    "colgroup",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "legend",
    "li",
    "listing",
    "main",
    "menu",
    "nav",
    "ol",
    "optgroup",
    "option",
    "p",
    "pre",
    "search",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
];

/// In order.
const PLAIN: [&str; 66] = [
    "abbr",
    "address",
    "article",
    "aside",
    "b",
    "bdi",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "ins",
    "kbd",
    "li",
    "main",
    "mark",
    "nav",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "time",
    "tr",
    "tt",
    "u",
    "ul",
    "wbr",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(PLAIN.is_sorted() && BREAKS.is_sorted());
        assert!(!breaks_text("body") && !breaks_text("style"));
        assert!(breaks_text("td") && breaks_text("br") && !breaks_text("b") && !breaks_text("custom"));
        assert!(is_plain("td") && is_plain("abbr") && is_plain("wbr"));
        assert!(!is_plain("a") && !is_plain("img") && !is_plain("template"));
    }
}
