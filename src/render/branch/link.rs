//! Which words clients make links of by themselves: with a scheme, or without one.

use super::tld::is_tld;
use crate::render::spelled::{has_no_width, reference};
use crate::render::word::{FILE_ENDINGS, LINK_STARTS};

/// What ends words such as `Art.Nr`, `B.Sc`, `Sa.So` as nobody writes a top-level domain.
const ABBREVIATED: [&str; 5] = ["Nr", "Sc", "St", "So", "Mo"];

/// What a reader sees of HTML text: character references decoded. What has no width is left out.
pub(super) fn decoded(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(first) = rest.chars().next() {
        let (shown, bytes) = reference(rest).or_else(|| named(rest)).unwrap_or((first, first.len_utf8()));
        if !has_no_width(shown) {
            out.push(shown);
        }
        rest = &rest[bytes..];
    }
    out
}

/// Those of which links are made.
fn named(text: &str) -> Option<(char, usize)> {
    const NAMED: [(&str, char); 10] = [
        ("&colon;", ':'),
        ("&commat;", '@'),
        ("&quest;", '?'),
        ("&percnt;", '%'),
        ("&Tab;", '\t'),
        ("&NewLine;", '\n'),
        ("&amp;", '&'),
        ("&lpar;", '('),
        ("&rpar;", ')'),
        ("&bsol;", '\\'),
    ];
    NAMED.iter().find(|(name, _)| text.starts_with(name)).map(|(name, c)| (*c, name.len()))
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
    let narrow = || word.replace(['\u{3002}', '\u{ff0e}', '\u{ff61}'], ".");
    // What browsers read as a dot (UTS #46) few clients do: only before a path.
    let is_wide = || !word.contains('.') && word.contains(['/', '?']) && holds_domain(&narrow());
    lower.contains("://") || LINK_STARTS.into_iter().any(begins) || holds_domain(word) || is_wide()
}

/// Whether a domain stands in it: by itself, before a path, or behind an `@`.
fn holds_domain(word: &str) -> bool {
    let is_label = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    let mut at = 0;
    while let Some(start) = word[at..].find(is_label).map(|start| at + start) {
        let end = word[start..].find(|c| !is_label(c)).map_or(word.len(), |end| start + end);
        let next = word[end..].chars().next().unwrap_or(' ');
        if is_domain(word[start..end].trim_matches(['.', '-']), next) {
            return true;
        }
        at = end;
    }
    false
}

fn is_domain(run: &str, next: char) -> bool {
    let Some((before, last)) = run.rsplit_once('.') else { return false };
    if before.split('.').any(str::is_empty) {
        return false;
    }
    let goes_on = matches!(next, '/' | '?' | '#' | ':');
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_address = run.split('.').count() == 4 && run.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        return is_address && goes_on;
    }
    let is_name = last.starts_with("xn--") || last.chars().all(char::is_alphabetic);
    is_name && last.chars().count() > 1 && (goes_on || ends_as_domain(run, last))
}

/// Whether what ends the run is a domain to some client. Names that came later than the list are taken for one where nothing
/// in the run speaks against it: a new sentence without a space (`end.Next one`), `St.Gallen` have a capital.
fn ends_as_domain(run: &str, last: &str) -> bool {
    let lower = last.to_lowercase();
    if FILE_ENDINGS.contains(&&*lower) || ABBREVIATED.contains(&last) {
        return false;
    }
    is_tld(&lower) || !run.chars().any(char::is_uppercase)
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
        assert_eq!(bare("(https://t.example/a),"), "https://t.example/a");
    }
}
