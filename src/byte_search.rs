//! Searches for what may stand at every second byte: the first bytes are looked at before a search is begun, which costs more
//! than they do.

use memchr::memmem::Finder;

const NEAR_BYTES: usize = 16;

/// Where `what`, which is not empty, stands first in `text`.
pub fn find(what: &Finder<'_>, text: &[u8]) -> Option<usize> {
    let (near, needle) = (&text[..text.len().min(NEAR_BYTES)], what.needle());
    // By the first byte: to compare all costs a call for each window.
    let found = near.windows(needle.len()).position(|bytes| bytes[0] == needle[0] && bytes == needle);
    found.or_else(|| what.find(text))
}

/// Where the first of these signs stands.
pub fn find_any(signs: [u8; 3], text: &[u8]) -> Option<usize> {
    let (near, far) = text.split_at(text.len().min(NEAR_BYTES));
    let found = near.iter().position(|byte| signs.contains(byte));
    found.or_else(|| memchr::memchr3(signs[0], signs[1], signs[2], far).map(|at| near.len() + at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_is_found_near_and_far(text in "[a-z]{0,20}(xy|x|y){0,3}[a-z]{0,40}(xy|!)?") {
            let text = text.as_bytes();
            let first = text.windows(2).position(|bytes| bytes == b"xy");
            prop_assert_eq!(find(&Finder::new(b"xy"), text), first);
            let first = text.iter().position(|byte| b"xy!".contains(byte));
            prop_assert_eq!(find_any(*b"xy!", text), first);
        }
    }
}
