//! Reads the paths of `MAIL` and `RCPT` (RFC 5321 §4.1.2, with RFC 6531 §3.3), strictly: source routes are
//! refused, quoted local parts are understood, nothing outside the grammar gets through.

use crate::address::{
    ADDRESS_BYTES_MAX, DOMAIN_BYTES_MAX, LOCAL_BYTES_MAX, is_atom_byte, is_domain, is_dot_atom,
    is_quoted_char,
};
use std::borrow::Cow;

/// An address inside a path, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    written: &'a str,
    local_octets: usize,
}

impl<'a> Address<'a> {
    /// `local@domain` as written, quotes included.
    pub fn written(self) -> &'a str {
        self.written
    }

    /// Empty for `<postmaster>`, which needs none (RFC 5321 §4.1.1.3).
    pub fn domain(self) -> &'a str {
        self.written.get(self.local_octets + 1..).unwrap_or_default()
    }

    /// The local part with its quoting undone: `"a\ b"` and `a b` are the same mailbox.
    pub fn local_part(self) -> Cow<'a, str> {
        let local = &self.written[..self.local_octets];
        let Some(quoted) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return Cow::Borrowed(local);
        };
        if !quoted.contains('\\') {
            return Cow::Borrowed(quoted);
        }
        let mut is_escaped = false;
        let meant = quoted.chars().filter(|&c| {
            is_escaped = c == '\\' && !is_escaped;
            !is_escaped
        });
        Cow::Owned(meant.collect())
    }

    /// Whether the address needs SMTPUTF8 (RFC 6531).
    pub fn is_international(self) -> bool {
        !self.written.is_ascii()
    }
}

/// What is wrong with a path. Never holds the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    #[error("an address in angle brackets is expected")]
    NoBrackets,
    #[error("source routes are not accepted")]
    SourceRoute,
    #[error("the local part is not well formed")]
    LocalPart,
    #[error("the local part is longer than 64 octets")]
    LocalPartTooLong,
    #[error("the domain is not well formed")]
    Domain,
    #[error("the address or its domain is longer than 254 bytes")]
    DomainTooLong,
    #[error("an address literal is not taken; use a domain name")]
    Literal,
}

/// Reads `<...>` and returns what follows the closing bracket; `None` is the null path `<>`.
///
/// # Errors
/// [`BadPath`].
pub fn parse(text: &str) -> Result<(Option<Address<'_>>, &str), BadPath> {
    let inner = text.strip_prefix('<').ok_or(BadPath::NoBrackets)?;
    if let Some(rest) = inner.strip_prefix('>') {
        return Ok((None, rest));
    }
    if inner.starts_with('@') {
        return Err(BadPath::SourceRoute);
    }
    let local_octets = if inner.starts_with('"') { quoted_string(inner)? } else { dot_string(inner)? };
    if local_octets > LOCAL_BYTES_MAX {
        return Err(BadPath::LocalPartTooLong);
    }
    if let Some(rest) = inner[local_octets..].strip_prefix('>') {
        let local = &inner[..local_octets];
        let is_postmaster = local.eq_ignore_ascii_case("postmaster");
        let address = Address { written: local, local_octets };
        return if is_postmaster { Ok((Some(address), rest)) } else { Err(BadPath::Domain) };
    }
    let domain_onwards = inner[local_octets..].strip_prefix('@').ok_or(BadPath::LocalPart)?;
    let domain_octets = domain_onwards.find('>').ok_or(BadPath::NoBrackets)?;
    let (domain, rest) = (&domain_onwards[..domain_octets], &domain_onwards[domain_octets + 1..]);
    check_domain(domain)?;
    if local_octets + 1 + domain_octets > ADDRESS_BYTES_MAX {
        return Err(BadPath::DomainTooLong);
    }
    let address = Address { written: &inner[..local_octets + 1 + domain_octets], local_octets };
    Ok((Some(address), rest))
}

/// Length of a `Dot-string` at the start of the text.
fn dot_string(text: &str) -> Result<usize, BadPath> {
    let is_behind = |byte: u8| byte.is_ascii() && byte != b'.' && !is_atom_byte(byte);
    let octets = text.bytes().position(is_behind).ok_or(BadPath::NoBrackets)?;
    if is_dot_atom(&text[..octets]) { Ok(octets) } else { Err(BadPath::LocalPart) }
}

/// Length of a `Quoted-string` at the start of the text, its quotes included.
fn quoted_string(text: &str) -> Result<usize, BadPath> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            c if is_escaped && c.is_ascii() && is_quoted_char(c) => is_escaped = false,
            '\\' => is_escaped = true,
            '"' if at == 1 => return Err(BadPath::LocalPart),
            '"' => return Ok(at + 1),
            c if !is_escaped && is_quoted_char(c) => {}
            _ => return Err(BadPath::LocalPart),
        }
    }
    Err(BadPath::LocalPart)
}

fn check_domain(domain: &str) -> Result<(), BadPath> {
    if domain.starts_with('[') {
        return Err(BadPath::Literal);
    }
    if domain.is_ascii() && domain.len() > DOMAIN_BYTES_MAX {
        return Err(BadPath::DomainTooLong);
    }
    if is_domain(domain) { Ok(()) } else { Err(BadPath::Domain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address<'_> {
        parse(text).unwrap_or_else(|fault| panic!("{text:?}: {fault}")).0.unwrap()
    }

    #[test]
    fn well_formed_paths_are_read() {
        assert_eq!(parse("<> BODY=7BIT"), Ok((None, " BODY=7BIT")));
        let plain = address("<e_1234567@tokens.example>");
        assert_eq!((plain.local_part().as_ref(), plain.domain()), ("e_1234567", "tokens.example"));
        assert_eq!(address(r#"<"e_1234\567"@tokens.example>"#).local_part(), "e_1234567");
        assert_eq!(address(r#"<"a b\"\\@c"@x.example>"#).local_part(), r#"a b"\@c"#);
        assert_eq!(address("<bounce@mail_01.brand.example>").domain(), "mail_01.brand.example");
        assert!(address("<jose\u{301}@x.example>").is_international());
        assert_eq!(address("<Postmaster>").domain(), "");
        assert!(address("<דנה@דוגמה.example>").is_international());
        let longest = format!("<{}@x.example>", "l".repeat(64));
        assert_eq!(address(&longest).local_part().len(), 64);
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let long_local = format!("<{}@x.example>", "l".repeat(65));
        let long_domain = format!("<x@{}>", vec!["d".repeat(50); 6].join("."));
        let long_label = format!("<x@{}.example>", "d".repeat(64));
        for (text, fault) in [
            ("x@y.example", BadPath::NoBrackets),
            ("<x@y.example", BadPath::NoBrackets),
            ("<@relay.example:x@y.example>", BadPath::SourceRoute),
            ("<x>", BadPath::Domain),
            ("<x@>", BadPath::Domain),
            ("<.x@y.example>", BadPath::LocalPart),
            ("<x..y@y.example>", BadPath::LocalPart),
            ("<x y@y.example>", BadPath::LocalPart),
            ("<x(c)@y.example>", BadPath::LocalPart),
            ("<\"x\u{1}\"@y.example>", BadPath::LocalPart),
            ("<\"x@y.example>", BadPath::LocalPart),
            ("<\"x\"z@y.example>", BadPath::LocalPart),
            ("<x\u{2028}@y.example>", BadPath::LocalPart),
            ("<x\u{85}@y.example>", BadPath::LocalPart),
            ("<x\u{202e}@y.example>", BadPath::LocalPart),
            ("<x@y..example>", BadPath::Domain),
            ("<x@y.example.>", BadPath::Domain),
            ("<x@-y.example>", BadPath::Domain),
            ("<x@y@z.example>", BadPath::Domain),
            ("<x@y z>", BadPath::Domain),
            ("<x@[300.1.1.1]>", BadPath::Literal),
            ("<x@[192.0.2.1]>", BadPath::Literal),
            ("<x@[IPv6:2001:db8::1]>", BadPath::Literal),
            ("<x@192.0.2.1>", BadPath::Domain),
            ("<\"\"@x.example>", BadPath::LocalPart),
            ("<\"a>b\"@x.example>", BadPath::LocalPart),
            (&long_local, BadPath::LocalPartTooLong),
            (&long_domain, BadPath::DomainTooLong),
            (&long_label, BadPath::Domain),
        ] {
            assert_eq!(parse(text), Err(fault), "{text:?}");
        }
    }
}
