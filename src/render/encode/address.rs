//! One e-mail address, checked and ready for both the header and the RCPT command.

use crate::address::{
    ADDRESS_BYTES_MAX, LOCAL_BYTES_MAX, ascii_domain, is_dot_atom, is_plain_domain, is_quoted_char,
};
use std::fmt;
use zeroize::Zeroizing;

/// `local@domain` with the domain in ASCII. What the header shows is what RCPT names.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Zeroizing<String>);

/// Not an address that can be sent to. Says nothing of what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address of the form local@domain (RFC 5321 §4.1.2)")]
pub struct BadAddress;

impl Address {
    /// Takes `local@domain`: a dot-atom or a quoted string, and a host name. An internationalised domain is
    /// turned into its ASCII form; source routes, comments and address literals are refused.
    ///
    /// # Errors
    /// [`BadAddress`] for anything else.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let (local, domain) = text.rsplit_once('@').ok_or(BadAddress)?;
        if !(is_dot_atom(local) || is_quoted(local)) || local.len() > LOCAL_BYTES_MAX {
            return Err(BadAddress);
        }
        if is_plain_domain(domain) {
            return Self::assemble(local, domain);
        }
        Self::assemble(local, &ascii_domain(domain).ok_or(BadAddress)?)
    }

    fn assemble(local: &str, domain: &str) -> Result<Self, BadAddress> {
        let octets = local.len() + 1 + domain.len();
        if octets > ADDRESS_BYTES_MAX {
            return Err(BadAddress);
        }
        let mut address = Zeroizing::new(String::with_capacity(octets));
        address.push_str(local);
        address.push('@');
        address.push_str(domain);
        Ok(Self(address))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Whether the target must know SMTPUTF8 (RFC 6531).
    pub fn needs_smtputf8(&self) -> bool {
        !self.0.is_ascii()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address([personal])")
    }
}

/// RFC 5321 §4.1.2 `Quoted-string`.
fn is_quoted(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        let is_lawful = match c {
            '\\' => characters.next().is_some_and(|next| next.is_ascii() && is_quoted_char(next)),
            '"' => false,
            c => is_quoted_char(c),
        };
        if !is_lawful {
            return false;
        }
    }
    !inner.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_people_have_are_taken() {
        for (text, wire) in [
            ("dana@example.test", "dana@example.test"),
            ("o'brien+x@mail.example", "o'brien+x@mail.example"),
            ("\"dana levi\"@example.test", "\"dana levi\"@example.test"),
            ("root@localhost", "root@localhost"),
            ("דנה@example.test", "דנה@example.test"),
            ("dana@bücher.example", "dana@xn--bcher-kva.example"),
            ("\"דנה כהן\"@example.test", "\"דנה כהן\"@example.test"),
            // A virama, a sign above, an accent of its own, a joiner inside a word: no letters, and no name without them.
            ("प्रिया@example.test", "प्रिया@example.test"),
            ("น้ำ.ใจ@example.test", "น้ำ.ใจ@example.test"),
            ("zoe\u{308}@example.test", "zoe\u{308}@example.test"),
            ("علی\u{200c}رضا@example.test", "علی\u{200c}رضا@example.test"),
            ("dana@Mail_01.brand.example", "dana@Mail_01.brand.example"),
        ] {
            assert_eq!(Address::parse(text).unwrap().as_str(), wire);
        }
        assert!(Address::parse("דנה@example.test").unwrap().needs_smtputf8());
        assert!(!Address::parse("dana@bücher.example").unwrap().needs_smtputf8());
    }

    #[test]
    fn b8_addresses_of_every_script_can_be_mailed() {
        for local in
            ["उपयोगकर्ता", "தமிழ்", "ผู้ใช้", "প্রিয়া", "jose\u{301}", "علی\u{200c}رضا", "ג׳ורג׳", "\"דנה לוי\""]
        {
            let address = format!("{local}@mail_0.example");
            assert_eq!(Address::parse(&address).unwrap().as_str(), address);
        }
    }

    proptest::proptest! {
        /// One grammar: who is in the vault can be mailed, as it is stored.
        #[test]
        fn b8_what_the_vault_takes_can_be_mailed(
            text in proptest::prop_oneof![
                proptest::arbitrary::any::<String>(),
                "\"?[a-zA-Z0-9!#א-תऀ-ॿ\u{200c}\u{300}-\u{310}. <>\\\\\"]{1,12}\"?@[a-zA-Z0-9_.א-תऀ-ॿßİ-]{1,20}",
                "\\PC{1,8}@\\PC{1,8}\\.[a-z]{2}",
            ]
        ) {
            if let Ok(taken) = crate::vault::address::Address::parse(&text) {
                let mailed = Address::parse(taken.as_str()).unwrap();
                proptest::prop_assert_eq!(mailed.as_str(), taken.as_str());
            }
            // Likewise the sender that the SMTP door takes.
            if let Ok((Some(taken), _)) = crate::wire::path::parse(&format!("<{text}>")) {
                proptest::prop_assert!(taken.domain().is_empty() || Address::parse(taken.written()).is_ok());
            }
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long_local = format!("{}@x.example", "a".repeat(65));
        let long_domain = format!("a@{}", "x".repeat(64));
        for text in [
            "",
            "dana",
            "@example.test",
            "dana@",
            "da na@example.test",
            "dana@example.test\r\nRCPT TO:<x@y>",
            "\"dana\r\n\"@example.test",
            "\"a\"b\"@example.test",
            "\"a> SIZE=1\"@example.test",
            "<dana@example.test>",
            "@hop.example:dana@example.test",
            "dana(comment)@example.test",
            "dana..levi@example.test",
            "dana@[127.0.0.1]",
            "dana@exa mple.test",
            "dana@example..test",
            "dana@-x.example",
            "a@x, b@y",
            "d\u{202e}na@example.test",
            "dana\u{2028}@example.test",
            "da\u{200b}na@example.test",
            "da\u{a0}na@example.test",
            "da\u{85}na@example.test",
            "\"da\u{202e}na\"@example.test",
            &long_local,
            &long_domain,
        ] {
            assert_eq!(Address::parse(text), Err(BadAddress), "{text:?}");
        }
    }
}
