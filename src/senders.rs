//! The addresses that an engine may send from: what its `senders` lists, compared in the one form of addresses.

use crate::address::{ascii_domain, comparable, is_dot_atom};

/// What `[[engine]] senders` grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Senders(Vec<Grant>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Grant {
    /// In the form to compare by.
    Address(String),
    /// Every address of this domain, and of none below it.
    Domain(String),
    /// Every address of the domains below this one.
    Below(String),
}

/// An entry that is neither an address nor a domain.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is neither an address nor a domain")]
pub struct BadSender(pub String);

impl Senders {
    /// Reads `news@brand.example`, `brand.example` and `*.brand.example`.
    ///
    /// # Errors
    /// The first entry that is none of these.
    pub fn parse(entries: &[String]) -> Result<Self, BadSender> {
        let grant = |entry: &String| Grant::parse(entry).ok_or_else(|| BadSender(entry.clone()));
        entries.iter().map(grant).collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of the entries is this address or covers it. What is no address is not covered.
    pub fn cover(&self, address: &str) -> bool {
        let Some((whole, domain)) = normal_form(address) else { return false };
        self.0.iter().any(|grant| match grant {
            Grant::Address(granted) => *granted == whole,
            Grant::Domain(granted) => *granted == domain,
            Grant::Below(above) => {
                domain.strip_suffix(above.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
        })
    }
}

impl Grant {
    fn parse(entry: &str) -> Option<Self> {
        if let Some(above) = entry.strip_prefix("*.") {
            return ascii_domain(above).map(|domain| Self::Below(domain.to_string()));
        }
        if entry.contains('@') {
            return normal_form(entry).map(|(whole, _)| Self::Address(whole));
        }
        ascii_domain(entry).map(|domain| Self::Domain(domain.to_string()))
    }
}

/// An address to compare by, and its domain. A quoted local part that needs no quotation marks is the same without them
/// (RFC 5321 §4.1.2).
fn normal_form(address: &str) -> Option<(String, String)> {
    let (local, domain) = address.rsplit_once('@')?;
    let domain = ascii_domain(domain)?;
    let inner = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let local = inner.filter(|inner| is_dot_atom(inner)).unwrap_or(local);
    (!local.is_empty()).then(|| (comparable(&format!("{local}@{}", *domain)).to_string(), domain.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn senders(entries: &[&str]) -> Senders {
        Senders::parse(&entries.iter().map(|entry| String::from(*entry)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn p10_an_entry_covers_what_it_says_and_no_more() {
        for (entry, covered, others) in [
            (
                "News@Brand.example",
                vec!["news@brand.EXAMPLE", "\"news\"@brand.example"],
                vec!["new@brand.example", "news@a.brand.example"],
            ),
            (
                "brand.example",
                vec!["a@brand.example", "\"a b\"@Brand.Example"],
                vec!["a@x.brand.example", "a@xbrand.example", "a@brand.example.test"],
            ),
            (
                "*.brand.example",
                vec!["a@x.brand.example", "a@y.x.brand.example"],
                vec!["a@brand.example", "a@xbrand.example"],
            ),
            ("bücher.example", vec!["a@BÜCHER.example", "a@xn--bcher-kva.example"], vec!["a@bucher.example"]),
            ("*.xn--bcher-kva.example", vec!["a@x.bücher.example"], vec!["a@bücher.example"]),
            ("jose\u{301}@brand.example", vec!["JOSÉ@brand.example"], vec!["jose@brand.example"]),
        ] {
            let senders = senders(&[entry]);
            for address in covered {
                assert!(senders.cover(address), "{entry} covers {address}");
            }
            for address in others {
                assert!(!senders.cover(address), "{entry} does not cover {address}");
            }
        }
    }

    #[test]
    fn p10_what_is_no_address_is_not_covered() {
        let senders = senders(&["brand.example", "*.brand.example"]);
        for text in [
            "",
            "@brand.example",
            "brand.example",
            "a@b@evil.example",
            "a@brand.example>",
            "a@ brand.example",
        ] {
            assert!(!senders.cover(text), "{text}");
        }
        assert!(!Senders(Vec::new()).cover("a@brand.example"), "an empty list grants nothing");
    }

    #[test]
    fn p10_a_wrong_entry_is_told() {
        for entry in ["", "*", "*.", "*brand.example", "a@", "@brand.example", "a b.example", "192.0.2.1"] {
            assert_eq!(Senders::parse(&[entry.into()]), Err(BadSender(entry.into())));
        }
    }
}
