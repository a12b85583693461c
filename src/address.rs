//! What an e-mail address is (RFC 5321 §4.1.2, with RFC 6531 §3.3 and 6532 §3.1): one grammar for the vault, the doors,
//! templates and the envelope, and one form to compare by. What one of them takes, every other takes.

use icu_normalizer::ComposingNormalizerBorrowed;
use zeroize::Zeroizing;

/// RFC 5321 §4.5.3.1.1.
pub const LOCAL_BYTES_MAX: usize = 64;
/// RFC 5321 §4.5.3.1.2 allows 255, the DNS 253 in text form.
pub const DOMAIN_BYTES_MAX: usize = 253;
/// RFC 5321 §4.5.3.1.3: a path has 256 with its angle brackets.
pub const ADDRESS_BYTES_MAX: usize = 254;
const LABEL_BYTES_MAX: usize = 63;

/// Between letters they are part of how Persian and the scripts of India are written (RFC 5892 appendix A).
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// Whether a local part stands without quotation marks. Letters come with their marks, whichever script they are of.
pub fn is_dot_atom(local: &str) -> bool {
    if !local.is_ascii() {
        return local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_char))
            && are_joiners_inside(local);
    }
    let mut is_begun = false;
    for byte in local.bytes() {
        match byte {
            b'.' if is_begun => is_begun = false,
            byte if is_atom_byte(byte) => is_begun = true,
            _ => return false,
        }
    }
    is_begun
}

/// Whether a quoted local part may hold this between its quotation marks. Angle brackets are lawful there, and yet refused:
/// careless readers split an address at them.
pub fn is_quoted_char(c: char) -> bool {
    (' '..='~').contains(&c) && !matches!(c, '<' | '>') || is_international(c)
}

/// `atext` of RFC 5322 §3.2.3, with RFC 6532's characters.
fn is_atom_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_atom_byte) || is_international(c)
}

/// Those of ASCII. Each address of each job is read by them, so they are looked up.
pub fn is_atom_byte(byte: u8) -> bool {
    const ATOM: [bool; 256] = {
        let (signs, mut atom, mut at) = (b"!#$%&'*+-/=?^_`{|}~", [false; 256], 0);
        while at < signs.len() {
            atom[signs[at] as usize] = true;
            at += 1;
        }
        let mut byte = 0;
        while byte < 128 {
            atom[byte] |= (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        atom
    };
    ATOM[usize::from(byte)]
}

/// A character beyond ASCII that can neither end a line, nor hide, nor turn text around.
pub fn is_international(c: char) -> bool {
    !c.is_ascii() && !is_unfit(c)
}

/// Control, white space other than the space itself, or a format character that hides or turns text around.
pub fn is_unfit(c: char) -> bool {
    c.is_control()
        || (c != ' ' && c.is_whitespace())
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}' | '\u{e0000}'..='\u{e007f}')
        || (c as u32 & 0xfffe) == 0xfffe
}

/// A joiner that stands where it joins nothing is there to hide.
fn are_joiners_inside(local: &str) -> bool {
    if !local.contains(JOINERS) {
        return true;
    }
    let joins = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && !JOINERS.contains(&c) && !is_unfit(c));
    let mut before = None;
    let mut characters = local.chars().peekable();
    while let Some(c) = characters.next() {
        if JOINERS.contains(&c) && !(joins(before) && joins(characters.peek().copied())) {
            return false;
        }
        before = Some(c);
    }
    true
}

/// A domain as it goes over the wire: A-labels (RFC 5891), all in lower case. The underscore, which the DNS knows and host
/// names do not, is in use.
pub fn ascii_domain(domain: &str) -> Option<Zeroizing<String>> {
    let mut ascii = Zeroizing::new(String::with_capacity(DOMAIN_BYTES_MAX + 1));
    if domain.len() > 4 * DOMAIN_BYTES_MAX {
        return None;
    }
    for (at, label) in domain.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).enumerate() {
        if at > 0 {
            ascii.push('.');
        }
        let label = ascii_label(label)?;
        if ascii.len() + label.len() > DOMAIN_BYTES_MAX {
            return None;
        }
        ascii.push_str(&label);
    }
    let last_is_numeric =
        ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    (!last_is_numeric).then_some(ascii)
}

/// Whether [`ascii_domain`] takes it; for the common ones without a copy.
pub fn is_domain(domain: &str) -> bool {
    is_plain_domain(domain) || ascii_domain(domain).is_some()
}

/// A domain of ASCII that needs no look at A-labels. Read in one pass: each address of each job is.
pub fn is_plain_domain(domain: &str) -> bool {
    let bytes = domain.as_bytes();
    let mut label = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'.' {
            if !is_plain_label(&bytes[label..at]) {
                return false;
            }
            label = at + 1;
        } else if !is_label_byte(*byte) {
            return false;
        }
    }
    let last = &bytes[label..];
    bytes.len() <= DOMAIN_BYTES_MAX && is_plain_label(last) && !last.iter().all(u8::is_ascii_digit)
}

/// Whether a label of such bytes may be one, and claims to be no A-label.
fn is_plain_label(label: &[u8]) -> bool {
    let may_be_encoded = label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"xn--"));
    has_lawful_ends(label) && !may_be_encoded
}

fn ascii_label(label: &str) -> Option<Zeroizing<String>> {
    let lower = Zeroizing::new(label.to_ascii_lowercase());
    let ascii = if lower.is_ascii() && !lower.starts_with("xn--") {
        lower
    } else {
        // A label that claims to be an A-label is decoded and checked too, so it cannot hide anything.
        Zeroizing::new(idna::domain_to_ascii_strict(&lower).ok()?)
    };
    is_label(ascii.as_bytes()).then_some(ascii)
}

fn is_label(label: &[u8]) -> bool {
    has_lawful_ends(label) && label.iter().all(|byte| is_label_byte(*byte))
}

fn has_lawful_ends(label: &[u8]) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && !label.starts_with(b"-") && !label.ends_with(b"-")
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The form that says whether two addresses, their domains as [`ascii_domain`] gives them, are the same person's: composed
/// (NFC), and in one case. Most systems deliver so, and who refused mail under one spelling refused it under all.
pub fn comparable(address: &str) -> Zeroizing<String> {
    // Lower case may be longer than upper case (İ), by at most a half; a `String` that grew would leave a copy.
    let mut lower = Zeroizing::new(String::with_capacity(address.len() * 2));
    if address.is_ascii() {
        lower.push_str(address);
        lower.make_ascii_lowercase();
        return lower;
    }
    let nfc = ComposingNormalizerBorrowed::new_nfc();
    let composed = Zeroizing::new(nfc.normalize(address).into_owned());
    lower.extend(composed.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }));
    Zeroizing::new(nfc.normalize(&lower).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn b8_local_parts_of_every_script_are_atoms() {
        for local in [
            "उपयोगकर्ता",
            "தமிழ்",
            "ผู้ใช้",
            "প্রিয়া",
            "jose\u{301}",
            "علی\u{200c}رضا",
            "ג׳ורג׳",
            "क्\u{200d}ष",
            "დავითი",
            "用户",
            "o'hara+tag",
            "😀",
            "a·b",
            "सं॰ग",
        ] {
            assert!(is_dot_atom(local), "{local}");
        }
        for local in [
            "",
            ".",
            "a..b",
            "a b",
            "a\u{200b}b",
            "a\u{202e}b",
            "\u{200c}ab",
            "ab\u{200d}",
            "a\u{200c}b",
            "ع\u{200c}\u{200c}ر",
            "a\u{2028}b",
            "a\u{a0}b",
            "a\u{e0041}b",
            "a<b",
        ] {
            assert!(!is_dot_atom(local), "{local:?}");
        }
    }

    #[test]
    fn b6_a_domain_is_the_same_everywhere() {
        let ascii = |domain: &str| ascii_domain(domain).map(|domain| domain.to_string());
        for (domain, wire) in [
            ("mail_01.Brand.example", "mail_01.brand.example"),
            ("_mail.bücher.example", "_mail.xn--bcher-kva.example"),
            ("BÜCHER。example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("मेल.भारत", "xn--r2bi6d.xn--h2brj9c"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(ascii(domain).as_deref(), Some(wire), "{domain}");
        }
        for domain in [
            "",
            ".",
            "a..b",
            "a.",
            "-a.b",
            "a-.b",
            "127.0.0.1",
            "[127.0.0.1]",
            "a b.c",
            "xn--a.b",
            "a\u{202e}.b",
            "a%0d.b",
            &"a".repeat(64),
            &"a.".repeat(130),
        ] {
            assert_eq!(ascii(domain), None, "{domain:?}");
        }
    }

    proptest! {
        /// What is plain is what the slow way takes as it stands.
        #[test]
        fn a_plain_domain_is_a_domain_as_it_stands(domain in "([a-cX]|xn|-|_|--|[.]|[0-9]|\u{fc}|@){0,12}") {
            let as_it_stands = || !domain.is_empty() && domain.is_ascii() && !domain.to_ascii_lowercase().split('.').any(|label| label.starts_with("xn--"));
            prop_assert_eq!(is_plain_domain(&domain), as_it_stands() && ascii_domain(&domain).is_some());
        }
    }

    #[test]
    fn b8_one_person_has_one_form_to_compare_by() {
        for spellings in [
            &["josé@x.example", "jose\u{301}@x.example", "JOSÉ@x.example", "JOSE\u{301}@X.example"][..],
            &["ΟΔΟΣ@x.example", "οδος@x.example", "οδοσ@x.example"],
            &["क़@x.example", "क\u{93c}@x.example"],
        ] {
            let form = comparable(spellings[0]);
            assert!(spellings.iter().all(|spelling| *comparable(spelling) == *form), "{spellings:?}");
            assert_eq!(comparable(&form), form, "and it is its own");
        }
        assert_ne!(comparable("jose@x.example"), comparable("josé@x.example"));
    }
}
