//! Top-level domains, as the Public Suffix List of 2023-02-09 has them in its part for registries (publicsuffix.org): mail
//! clients make links of names that end in one.

use std::collections::HashSet;
use std::sync::LazyLock;

/// In lower case, in Unicode; and what RFC 2606 sets aside, which people use as if it were one.
static ALL: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("tlds.txt").split_whitespace().chain(["example", "test", "invalid"]).collect()
});

/// `label` in lower case. Every name in Punycode is taken for one.
pub(super) fn is_tld(label: &str) -> bool {
    label.starts_with("xn--") || ALL.contains(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_level_domains_are_known() {
        assert!(["de", "com", "net", "museum", "рф", "xn--p1ai", "example"].iter().all(|name| is_tld(name)));
        assert!(["gallen", "meier", "ltd.", "js", "", "we"].iter().all(|name| !is_tld(name)));
    }
}
