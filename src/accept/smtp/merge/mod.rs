//! The placeholders of a merge: `[name]` in the content becomes `{{data.name}}`, for names that were defined.

use crate::fault::{Fault, Reason};
use crate::wire::merge::NAME_OCTETS_MAX;
use std::collections::BTreeSet;

/// How much longer the content may become: what it holds beyond its own length is not accounted for anywhere.
const GROWTH_OCTETS_MAX: usize = 64 * 1024;

/// Only what stands plainly in the content is found: not within base64, and not across a soft line end. All else in
/// brackets keeps its octets. Values are not written here, so nothing in them is ever read as a placeholder.
///
/// # Errors
/// `too-large` when the content becomes more than 64 KiB longer.
pub fn translate(message: &[u8], names: &BTreeSet<Box<str>>) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(message.len() + 1024);
    let mut rest = message;
    while let Some(start) = memchr::memchr(b'[', rest) {
        let (before, from) = rest.split_at(start);
        out.extend_from_slice(before);
        let taken = match name_in(&from[1..]).filter(|name| names.contains(*name)) {
            Some(name) => {
                for piece in ["{{data.", name, "}}"] {
                    out.extend_from_slice(piece.as_bytes());
                }
                name.len() + 2
            }
            None => {
                out.push(b'[');
                1
            }
        };
        rest = &from[taken..];
        if out.len() + rest.len() > message.len() + GROWTH_OCTETS_MAX {
            return Err(Fault::new(
                Reason::TooLarge,
                "the message has too many merge variables; write {{data.NAME}}",
            ));
        }
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// What stands before the closing bracket, if that is near.
fn name_in(octets: &[u8]) -> Option<&str> {
    let near = &octets[..octets.len().min(NAME_OCTETS_MAX + 1)];
    std::str::from_utf8(&near[..memchr::memchr(b']', near)?]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(message: &str) -> Result<String, Fault> {
        let names = ["order", "shop"].map(Box::from).into();
        translate(message.as_bytes(), &names).map(|octets| String::from_utf8(octets).unwrap())
    }

    #[test]
    fn defined_names_become_placeholders_and_all_else_stays() {
        assert_eq!(
            translated("Subject: [order] of [shop]\r\n\r\n[[order]] [Order] [other] [] [order").unwrap(),
            "Subject: {{data.order}} of {{data.shop}}\r\n\r\n[{{data.order}}] [Order] [other] [] [order"
        );
        assert_eq!(translated("[").unwrap(), "[");
    }

    #[test]
    fn growth_is_bounded() {
        assert!(translated(&"[shop]".repeat(1_000)).is_ok());
        assert_eq!(translated(&"[shop]".repeat(10_000)).unwrap_err().reason, Reason::TooLarge);
        assert_eq!(translated(&"[".repeat(100_000)).unwrap().len(), 100_000);
    }
}
