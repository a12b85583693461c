//! Strict reading of e-mail addresses (RFC 5321 §4.1.2, RFC 6531 §3.3) and phone numbers, and the normalised
//! forms that people are looked up by.

use crate::address::{
    self, ADDRESS_BYTES_MAX, DOMAIN_BYTES_MAX, LOCAL_BYTES_MAX, is_dot_atom, is_quoted_char, is_unfit,
};
use std::fmt;
use zeroize::Zeroizing;

/// Digits of a phone number (E.164 sets the upper end).
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// One mailbox, ready for RCPT: domain as A-labels in lower case, local part as given, quoted only where it
/// has to be. `Debug` shows nothing.
pub struct Address {
    full: Zeroizing<String>,
}

impl Address {
    /// Reads exactly one addr-spec: nothing around it, no route, comment, display name or address literal.
    ///
    /// # Errors
    /// [`AddressFault`], which holds nothing of the text.
    pub fn parse(text: &str) -> Result<Self, AddressFault> {
        if text.len() > LOCAL_BYTES_MAX + 1 + 4 * DOMAIN_BYTES_MAX {
            return Err(AddressFault::TooLong);
        }
        if text.chars().any(is_unfit) {
            return Err(AddressFault::Control);
        }
        let (local, domain) = split(text)?;
        let local = canonical_local(local)?;
        let domain = ascii_domain(domain)?;
        if local.len() + 1 + domain.len() > ADDRESS_BYTES_MAX {
            return Err(AddressFault::TooLong);
        }
        let mut full = Zeroizing::new(String::with_capacity(local.len() + 1 + domain.len()));
        full.push_str(&local);
        full.push('@');
        full.push_str(&domain);
        Ok(Self { full })
    }

    /// As used in RCPT.
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// The form that says whether two addresses are the same person's ([`address::comparable`]).
    pub fn normalised(&self) -> Zeroizing<String> {
        normalised(&self.full)
    }
}

/// [`Address::normalised`] of an address that was read before.
pub(super) fn normalised(full: &str) -> Zeroizing<String> {
    address::comparable(full)
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address([personal])")
    }
}

/// Why a text is not an address this relay takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    #[error("it is longer than an address can be")]
    TooLong,
    #[error("it holds a control, invisible or line-breaking character")]
    Control,
    #[error("it has no @")]
    NoAt,
    #[error("the part before @ is empty or longer than 64 octets")]
    LocalLength,
    #[error("the part before @ holds a character or dot that is not allowed there")]
    Local,
    #[error("the quoted part before @ is not closed right before the @")]
    Quote,
    #[error("the domain is empty or longer than 253 octets")]
    DomainLength,
    #[error("the domain is not a host name; only names like mail.example are taken, no IP address")]
    Domain,
}

fn split(text: &str) -> Result<(&str, &str), AddressFault> {
    if !text.starts_with('"') {
        return text.split_once('@').ok_or(AddressFault::NoAt);
    }
    let mut escaped = false;
    let close = text.char_indices().skip(1).find(|(_, c)| {
        let closes = !escaped && *c == '"';
        escaped = !escaped && *c == '\\';
        closes
    });
    let (close, _) = close.ok_or(AddressFault::Quote)?;
    let (local, rest) = text.split_at(close + 1);
    Ok((local, rest.strip_prefix('@').ok_or(AddressFault::Quote)?))
}

/// The local part without needless quotes and escapes (RFC 5321 §4.1.2 calls the forms equivalent).
fn canonical_local(local: &str) -> Result<Zeroizing<String>, AddressFault> {
    let content = match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => unescaped(quoted)?,
        None if is_dot_atom(local) => Zeroizing::new(local.to_owned()),
        None if local.is_empty() => return Err(AddressFault::LocalLength),
        None => return Err(AddressFault::Local),
    };
    let canonical = if is_dot_atom(&content) { content } else { quoted(&content) };
    if content_is_empty(&canonical) || canonical.len() > LOCAL_BYTES_MAX {
        return Err(AddressFault::LocalLength);
    }
    Ok(canonical)
}

fn content_is_empty(local: &str) -> bool {
    local.is_empty() || local == "\"\""
}

/// Undoes quoted-pairs; only ASCII graphics and space may be escaped (RFC 5321 `quoted-pairSMTP`).
fn unescaped(quoted: &str) -> Result<Zeroizing<String>, AddressFault> {
    let mut content = Zeroizing::new(String::with_capacity(quoted.len()));
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        let taken = match c {
            '\\' => characters.next().filter(|next| (' '..='~').contains(next)),
            '"' => None,
            other => Some(other),
        }
        .filter(|c| is_quoted_char(*c));
        content.push(taken.ok_or(AddressFault::Quote)?);
    }
    Ok(content)
}

fn quoted(content: &str) -> Zeroizing<String> {
    let mut local = Zeroizing::new(String::with_capacity(2 * content.len() + 2));
    local.push('"');
    for c in content.chars() {
        if c == '"' || c == '\\' {
            local.push('\\');
        }
        local.push(c);
    }
    local.push('"');
    local
}

/// The domain as LDH and A-labels in lower case.
fn ascii_domain(domain: &str) -> Result<Zeroizing<String>, AddressFault> {
    if domain.is_empty() || (domain.is_ascii() && domain.len() > DOMAIN_BYTES_MAX) {
        return Err(AddressFault::DomainLength);
    }
    address::ascii_domain(domain).ok_or(AddressFault::Domain)
}

/// A phone number as given, with the digits that people are looked up by. `Debug` shows nothing.
pub struct Phone {
    given: Zeroizing<String>,
}

impl Phone {
    /// Takes digits with the usual separators (blanks, hyphens and dashes, `.` `/` and parentheses) and a leading `+`. The marks
    /// of direction that address books copy along are left out.
    ///
    /// # Errors
    /// [`PhoneFault`], which holds nothing of the text.
    pub fn parse(text: &str) -> Result<Self, PhoneFault> {
        let mut given = Zeroizing::new(String::with_capacity(text.len()));
        given.extend(text.chars().filter(|c| !is_mark_of_direction(*c)));
        let rest = given.strip_prefix('+').unwrap_or(&given);
        if is_shortened(rest) {
            return Err(PhoneFault::Shortened);
        }
        if is_fraction(rest) {
            return Err(PhoneFault::Fraction);
        }
        if !rest.chars().all(|c| c.is_ascii_digit() || "./()".contains(c) || is_blank_or_dash(c)) {
            return Err(PhoneFault::Character);
        }
        let digits = rest.bytes().filter(u8::is_ascii_digit).count();
        // Of 00 in place of a + the number has no digit.
        let is_international = rest.starts_with("00") && PHONE_DIGITS.contains(&(digits - 2));
        if !PHONE_DIGITS.contains(&digits) && !is_international {
            return Err(PhoneFault::Digits);
        }
        Ok(Self { given })
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// Its digits with the leading `+`, if it had one, or 00 in its place (ITU-T E.123).
    pub fn normalised(&self) -> Zeroizing<String> {
        normalised_phone(&self.given)
    }
}

fn is_mark_of_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// As word processors set them, so that a number is not broken over two lines.
fn is_blank_or_dash(c: char) -> bool {
    matches!(
        c,
        ' ' | '-' | '\u{a0}' | '\u{2007}' | '\u{2009}' | '\u{202f}' | '\u{2010}'..='\u{2015}' | '\u{2212}'
    )
}

/// `4915112345678.0`, as programs write a column that they took for numbers: its 0 is no digit of the number.
fn is_fraction(text: &str) -> bool {
    let whole = text.strip_suffix(".00").or_else(|| text.strip_suffix(".0"));
    whole.is_some_and(|whole| whole.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `4.91511E+11`, `4,91511E+11`: most of the digits are gone.
fn is_shortened(text: &str) -> bool {
    let Some((digits, power)) = text.split_once(['E', 'e']) else { return false };
    let is_number =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b".,".contains(&b));
    is_number(digits) && power.strip_prefix('+').is_some_and(is_number)
}

/// [`Phone::normalised`] of a number that was read before.
pub(super) fn normalised_phone(given: &str) -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(given.len()));
    digits.extend(given.chars().filter(|c| c.is_ascii_digit() || *c == '+'));
    if digits.starts_with("00") {
        digits.replace_range(..2, "+");
    }
    digits
}

/// The form in which a number with 00 was compared before that was taken for a +: vaults have it in their index.
pub(super) fn phone_before(normal: &str) -> Option<Zeroizing<String>> {
    normal.strip_prefix('+').map(|digits| Zeroizing::new(format!("00{digits}")))
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone([personal])")
    }
}

/// Why a text is not a phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhoneFault {
    #[error("it holds something other than digits, a leading +, and separators")]
    Character,
    #[error(
        "a spreadsheet has shortened it and dropped its last digits; format the column as text there, and fill it in anew"
    )]
    Shortened,
    #[error("a program has taken it for a number and added .0; save the column as text there")]
    Fraction,
    #[error("it has fewer than 7 or more than 15 digits")]
    Digits,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full(text: &str) -> String {
        Address::parse(text).unwrap_or_else(|fault| panic!("{text:?}: {fault}")).as_str().to_owned()
    }

    #[test]
    fn good_addresses_are_kept_with_their_domain_as_a_labels() {
        for (given, kept) in [
            ("Dana.Levi@Example.TEST", "Dana.Levi@example.test"),
            ("o'hara+tag=1@mail.example", "o'hara+tag=1@mail.example"),
            ("דנה@example.test", "דנה@example.test"),
            ("dana@דוגמה.test", "dana@xn--6dbbec0c.test"),
            ("dana@BÜCHER.example", "dana@xn--bcher-kva.example"),
            ("\"dana levi\"@example.test", "\"dana levi\"@example.test"),
            ("\"dana\"@example.test", "dana@example.test"),
            ("\"d\\ana\"@example.test", "dana@example.test"),
            ("\"a@b\\\"c\"@example.test", "\"a@b\\\"c\"@example.test"),
            ("a@localhost", "a@localhost"),
            ("dana@Exa_mple.test", "dana@exa_mple.test"),
            ("jose\u{301}@example.test", "jose\u{301}@example.test"),
        ] {
            assert_eq!(full(given), kept);
        }
        assert_eq!(full(&format!("{}@example.test", "a".repeat(64))).len(), 64 + 13);
        let long = |labels: usize| format!("{}@{}test", "a".repeat(64), "d234567890.".repeat(labels));
        assert!(Address::parse(&long(16)).is_ok() && Address::parse(&long(17)).is_err(), "254 in all");
    }

    #[test]
    fn anything_but_one_plain_mailbox_is_refused() {
        let long_local = format!("{}@example.test", "a".repeat(65));
        let long_domain = format!("a@{}.test", "a.".repeat(130));
        let long_label = format!("a@{}.test", "a".repeat(64));
        for text in [
            "",
            "@",
            "dana",
            "dana@",
            "@example.test",
            "dana@@example.test",
            "dana@a@example.test",
            ".dana@example.test",
            "dana.@example.test",
            "da..na@example.test",
            "da na@example.test",
            " dana@example.test",
            "dana@example.test ",
            "dana@exa mple.test",
            "dana@example.test.",
            "dana@.example.test",
            "dana@example..test",
            "dana@-example.test",
            "dana@example-.test",
            "\"x> SIZE=1\"@example.test",
            "dana@[127.0.0.1]",
            "dana@127.0.0.1",
            "dana@[IPv6:::1]",
            "<dana@example.test>",
            "Dana <dana@example.test>",
            "a@x <b@y>",
            "@relay.example:dana@example.test",
            "dana(comment)@example.test",
            "dana@example.test(comment)",
            "dana@example.test,eve@example.test",
            "dana;eve@example.test",
            "=?utf-8?q?dana?=@exam ple",
            "\"dana@example.test",
            "\"da\"na\"@example.test",
            "\"dana\"x@example.test",
            "\"\"@example.test",
            "\"dana\\\"@example.test",
            "da\"na@example.test",
            "dana@example.test\r\nRCPT TO:<eve@example.test>",
            "da\nna@example.test",
            "da\0na@example.test",
            "\"da\r\nna\"@example.test",
            "\"da\\\r\"@example.test",
            "da\u{85}na@example.test",
            "da\u{2028}na@example.test",
            "da\u{202e}na@example.test",
            "dana@exam\u{200b}ple.test",
            "da\u{feff}na@example.test",
            "dana@xn--a.test",
            "dana@%0d%0a.test",
            "dana\u{7f}@example.test",
            &long_local,
            &long_domain,
            &long_label,
        ] {
            assert!(Address::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn the_normalised_form_ignores_case_and_spelling() {
        let same = ["Dana@Bücher.example", "dana@xn--bcher-kva.EXAMPLE", "\"DANA\"@bücher.example"];
        for text in same {
            assert_eq!(
                Address::parse(text).unwrap().normalised().as_str(),
                "dana@xn--bcher-kva.example",
                "{text}"
            );
        }
    }

    #[test]
    fn phones_are_looked_up_by_their_digits() {
        for (given, digits) in [
            ("+972 (50) 123-4567", "+972501234567"),
            ("050.123.4567", "0501234567"),
            ("1234567", "1234567"),
            ("0049 151 7777777", "+491517777777"),
            ("00123456789012345", "+123456789012345"),
        ] {
            let phone = Phone::parse(given).unwrap();
            assert_eq!((phone.as_str(), phone.normalised().as_str()), (given, digits));
        }
        for bad in ["", "+", "123456", "1234567890123456", "12+34567", "call 1234567", "123456٧", "1234567\n"]
        {
            assert!(Phone::parse(bad).is_err(), "{bad:?}");
        }
    }

    fn has_control(text: &str) -> bool {
        text.chars().any(|c| c.is_control() || "\u{2028}\u{2029}".contains(c))
    }

    proptest! {
        #[test]
        fn the_reader_never_panics_and_never_takes_a_control_character(
            text in prop_oneof![
                any::<String>(),
                "[a-z\"\\\\@. <>\r\n\0\t\u{85}\u{2028}-]{0,40}",
                "\"?[a-z\r\n\\\\ .]{1,10}\"?@[a-zא-ת.\r\n-]{1,20}",
            ]
        ) {
            if let Ok(address) = Address::parse(&text) {
                prop_assert!(!has_control(&text) && !has_control(address.as_str()));
                prop_assert!(address.as_str().len() <= 254);
                // What is stored reads back as itself: the address judged is the address sent.
                let again = Address::parse(address.as_str()).expect("a kept address is an address");
                prop_assert_eq!(again.as_str(), address.as_str());
            }
            let _ = Phone::parse(&text);
        }
    }

    #[test]
    fn b6_phone_numbers_are_taken_as_programs_set_them() {
        for (text, normal) in [
            ("+49\u{a0}151\u{202f}12345678", "+4915112345678"),
            ("\u{202a}+49 151 12345678\u{202c}", "+4915112345678"),
            ("0151\u{2011}1234\u{2013}5678", "015112345678"),
            ("+49 (151) 123-45/678", "+4915112345678"),
        ] {
            let phone = Phone::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert_eq!(phone.normalised().as_str(), normal);
            assert!(!phone.as_str().contains('\u{202a}'), "{text}");
        }
        for shortened in ["4.91511E+11", "4,91511E+11", "4.9e+11"] {
            assert_eq!(Phone::parse(shortened).unwrap_err(), PhoneFault::Shortened, "{shortened}");
        }
        for fraction in ["4915112345678.0", "4915112345678.00", "+4915112345678.0"] {
            assert_eq!(Phone::parse(fraction).unwrap_err(), PhoneFault::Fraction, "{fraction}");
        }
        Phone::parse("0151.123.45678.0").unwrap();
        for bad in ["E+4915112345678", "+49 151 call me", "\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}"]
        {
            assert_eq!(Phone::parse(bad).unwrap_err(), PhoneFault::Character, "{bad}");
        }
    }
}
