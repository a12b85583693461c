//! Which words clients make links of by themselves: with a scheme, or without one.

use crate::render::host::holds_host;
use crate::render::spelled::{has_no_width, reference};
use crate::render::word::LINK_STARTS;

/// What a reader sees of HTML text: character references decoded. What has no width is left out.
pub(super) fn decoded(html: &str) -> String {
    decoded_where(html, |_, _| true)
}

/// The value of an attribute likewise: there a reference without its end is none before a letter or `=` (HTML §13.2.5.73).
pub(super) fn decoded_value(value: &str) -> String {
    let goes_on = |behind: &str| behind.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '=');
    decoded_where(value, |written, behind| written.ends_with(';') || !goes_on(behind))
}

fn decoded_where(html: &str, is_reference: impl Fn(&str, &str) -> bool) -> String {
    // What has no width is not of ASCII.
    if html.is_ascii() && !html.contains('&') {
        return html.to_owned();
    }
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(first) = rest.chars().next() {
        let known = reference(rest).filter(|(_, bytes)| is_reference(&rest[..*bytes], &rest[*bytes..]));
        let (shown, bytes) = known.unwrap_or((first, first.len_utf8()));
        if !has_no_width(shown) {
            out.push(shown);
        }
        rest = &rest[bytes..];
    }
    out
}

/// The word without what stands around it in a sentence.
pub(super) fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| "()<>[]{}\"'„“”«».,;:!?…".contains(c))
}

/// Whether some client makes a link of the word, or of a part of it.
pub(super) fn is_link(word: &str) -> bool {
    let lower = word.to_lowercase();
    let begins = |start: &str| {
        lower.match_indices(start).any(|(at, _)| !lower[..at].ends_with(|c: char| c.is_ascii_alphanumeric()))
    };
    let is_share =
        || bare(word).starts_with("\\\\") || bare(word).starts_with("//") || word.contains(":\\\\");
    lower.contains("://") || is_share() || LINK_STARTS.into_iter().any(begins) || holds_host(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p2_links_are_known_with_and_without_a_scheme() {
        for link in [
            "https://t.example",
            "HTTP://T",
            "www.t",
            "(www.t.example)",
            "t.example/a",
            "t.example?a",
            "shop.com",
            "SHOP.COM",
            "x.de",
            "news@shop.example",
            "mailto:a",
            "tel:1",
            "a.b.co",
            "192.0.2.1/a",
            "xn--a.xn--p1ai",
            "пример.рф",
            "T.Co/a",
            "see:shop.example,",
            "javascript:x",
            "//shop.example",
            "shop.dev:8080",
            "shop\u{3002}example/a",
            "Web.de",
            "Check24.de",
            "Mail.Ru",
            "ASP.NET",
            "Co.Ltd",
            "end.Now",
            "st.gallen",
            "St.Gallen/a",
        ] {
            assert!(is_link(link), "{link}");
        }
        for word in [
            "Dear",
            "e.g.",
            "z.B.",
            "3.50",
            "1.2.3.4",
            "10.5kg",
            "A-17",
            "etc.",
            "a/b",
            "B.Sc.",
            "Ph.D.",
            "terms.pdf",
            "…",
            "u.a.m.",
            "12:30",
            "@home",
            "hotel:",
            "i.d.R.",
            "z.Zt.",
            "-",
            "...",
            "No.12",
            "St.Gallen",
            "Dr.Meier",
            "Node.js",
            "you.We",
            "Jan.Feb",
            "Prof.Dr.",
            "Hallo.Wie",
            "Art.Nr.",
            "M.Sc.",
        ] {
            assert!(!is_link(word), "{word}");
        }
    }

    #[test]
    fn p2_links_are_read_as_readers_see_them() {
        for spelled in [
            "t&#46;example",
            "t&period;example/",
            "https&#58;//t",
            "ht\u{200b}tps&colon;//t",
            "a&commat;t.example",
            "t&#x2e;example&sol;a",
        ] {
            assert!(is_link(&decoded(spelled)), "{spelled}");
        }
        assert!(is_link(&decoded("t.&shyexample")));
        assert_eq!(decoded_value("?a=1&copy=2&amp;b&lt"), "?a=1&copy=2&b<");
        assert_eq!(bare("(https://t.example/a),"), "https://t.example/a");
    }
}
