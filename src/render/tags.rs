//! Where a source has tags of our own: what stands in them is not shown to anybody.

use memchr::memmem::Finder;
use std::ops::Range;

/// Comments among them, as the compiler finds them.
pub(super) fn tags(text: &str) -> Vec<Range<usize>> {
    const LONG: &str = "{{!--";
    let (opening, closing) = (Finder::new("{{"), Finder::new("}}"));
    let mut found = Vec::new();
    let (mut at, mut long_ends) = (0, true);
    while let Some(open) = opening.find(&text.as_bytes()[at..]) {
        let start = at + open;
        at = start + 2;
        if text[..start].ends_with('\\') {
            continue;
        }
        let long = text[start..].strip_prefix(LONG).filter(|_| long_ends).map(|inner| inner.find("--}}"));
        // Looked for once, where there is none.
        long_ends &= long != Some(None);
        let end = long.flatten().map(|at| LONG.len() + at + 4);
        let Some(end) = end.or_else(|| closing.find(&text.as_bytes()[start..]).map(|at| at + 2)) else {
            break;
        };
        at = start + end;
        found.push(start..at);
    }
    found
}
