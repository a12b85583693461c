//! One e-mail address, checked and ready for both the header and the RCPT command.

use super::word::is_atext;
use std::fmt;
use zeroize::Zeroizing;

/// RFC 5321 §4.5.3.1.1.
const LOCAL_OCTETS_MAX: usize = 64;
/// RFC 5321 §4.5.3.1.3: a path has 256 octets with its angle brackets.
const ADDRESS_OCTETS_MAX: usize = 254;
const LABEL_OCTETS_MAX: usize = 63;

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
        if !(is_dot_atom(local) || is_quoted(local)) || local.len() > LOCAL_OCTETS_MAX {
            return Err(BadAddress);
        }
        if domain.len() > ADDRESS_OCTETS_MAX {
            return Err(BadAddress);
        }
        if !domain.is_ascii() {
            let domain = Zeroizing::new(idna::domain_to_ascii_strict(domain).map_err(|_| BadAddress)?);
            return Self::assemble(local, &domain);
        }
        Self::assemble(local, domain)
    }

    fn assemble(local: &str, domain: &str) -> Result<Self, BadAddress> {
        if !domain.split('.').all(is_label) {
            return Err(BadAddress);
        }
        let octets = local.len() + 1 + domain.len();
        if octets > ADDRESS_OCTETS_MAX {
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

/// RFC 5322 §3.2.3, with the letters of RFC 6532.
fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_char))
}

fn is_atom_char(c: char) -> bool {
    match u8::try_from(c) {
        Ok(byte) if byte.is_ascii() => is_atext(byte),
        _ => is_visible_utf8(c),
    }
}

/// RFC 6531 §3.3 takes every non-ASCII character: letters alone would leave out the marks that Devanagari or Thai is written
/// with. Out are those that hide or turn text around, the same ones as when the vault takes an address.
fn is_visible_utf8(c: char) -> bool {
    let is_noncharacter = (c as u32 & 0xfffe) == 0xfffe;
    !(c.is_ascii()
        || c.is_control()
        || c.is_whitespace()
        || is_noncharacter
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}' | '\u{e0000}'..='\u{e007f}'))
}

/// RFC 5321 §4.1.2 `Quoted-string`. Angle brackets are refused although lawful: careless readers split there.
fn is_quoted(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        let is_lawful = match c {
            '\\' => characters.next().is_some_and(|next| matches!(next, '\\' | '"')),
            '"' | '<' | '>' => false,
            _ => matches!(c, ' '..='~') || is_visible_utf8(c),
        };
        if !is_lawful {
            return false;
        }
    }
    !inner.is_empty()
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_OCTETS_MAX).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
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
        ] {
            assert_eq!(Address::parse(text).unwrap().as_str(), wire);
        }
        assert!(Address::parse("דנה@example.test").unwrap().needs_smtputf8());
        assert!(!Address::parse("dana@bücher.example").unwrap().needs_smtputf8());
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
