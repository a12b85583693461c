//! The placeholders of a merge: `[name]` in the content becomes `{{data.name}}`, for names that were defined.

mod parts;

use crate::fault::{Fault, Reason};
use crate::wire::merge::NAME_OCTETS_MAX;
use parts::Kind;
use std::collections::BTreeSet;

/// How much longer the content may become: what it holds beyond its own length is not accounted for anywhere.
const GROWTH_OCTETS_MAX: usize = 64 * 1024;
/// What a line of 76 letters holds.
const BASE64_LINE_OCTETS: usize = 57;

/// Found in header fields where they stand plainly, and in text parts at any depth through base64 and quoted-printable,
/// soft line ends included. Attachments and all else in brackets keep their octets. Values are not written here, so
/// nothing in them is ever read as a placeholder.
///
/// # Errors
/// `too-large` when the content becomes more than 64 KiB longer; `bad-job` when a placeholder stands where it cannot be
/// replaced: within an encoded-word, or in a charset of wider units.
pub fn translate(message: &[u8], names: &BTreeSet<Box<str>>) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(message.len() + 1024);
    let parts = parts::of(message).ok_or_else(|| {
        Fault::new(Reason::BadJob, "the message's multiparts cannot be followed (RFC 2046)")
    })?;
    for part in parts {
        let octets = &message[part.octets];
        match part.kind {
            Kind::Header => header(octets, names, &mut out)?,
            Kind::Plain => text(octets, names, plain_name, &mut out),
            Kind::QuotedPrintable => text(octets, names, quoted_name, &mut out),
            Kind::Base64 => base64(octets, names, &mut out)?,
            Kind::Other => out.extend_from_slice(octets),
        }
        if out.len() > message.len() + GROWTH_OCTETS_MAX {
            return Err(Fault::new(
                Reason::TooLarge,
                "the message has too many merge variables; write {{data.NAME}}",
            ));
        }
    }
    Ok(out)
}

/// A placeholder at the start of the input: its name and the octets it takes.
type Find = fn(&[u8]) -> Option<(String, usize)>;

fn text(octets: &[u8], names: &BTreeSet<Box<str>>, find: Find, out: &mut Vec<u8>) {
    let mut rest = octets;
    // In quoted-printable a bracket may be written `=5B`.
    while let Some(start) = memchr::memchr2(b'[', b'=', rest) {
        let (before, from) = rest.split_at(start);
        out.extend_from_slice(before);
        let taken = match find(from).filter(|(name, _)| names.contains(name.as_str())) {
            Some((name, taken)) => {
                for piece in ["{{data.", &name, "}}"] {
                    out.extend_from_slice(piece.as_bytes());
                }
                taken
            }
            None => {
                out.push(from[0]);
                1
            }
        };
        rest = &from[taken..];
    }
    out.extend_from_slice(rest);
}

fn plain_name(octets: &[u8]) -> Option<(String, usize)> {
    let name = name_in(octets.strip_prefix(b"[")?)?;
    Some((name.to_owned(), name.len() + 2))
}

/// As [`plain_name`], in quoted-printable (RFC 2045 §6.7).
fn quoted_name(octets: &[u8]) -> Option<(String, usize)> {
    let (first, mut taken) = quoted_octet(octets)?;
    let mut name = String::new();
    if first != b'[' {
        return None;
    }
    loop {
        let (octet, length) = quoted_octet(&octets[taken..])?;
        taken += length;
        match octet {
            b']' => return Some((name, taken)),
            _ if octet.is_ascii_graphic() && name.len() < NAME_OCTETS_MAX => name.push(char::from(octet)),
            _ => return None,
        }
    }
}

/// The next octet that is meant, and how many it takes, soft line ends before it included.
fn quoted_octet(octets: &[u8]) -> Option<(u8, usize)> {
    let mut at = 0;
    while octets[at..].starts_with(b"=") {
        let blanks = octets[at + 1..].iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        if !octets[at + 1 + blanks..].starts_with(b"\r\n") {
            let digits = std::str::from_utf8(octets.get(at + 1..at + 3)?).ok()?;
            return Some((u8::from_str_radix(digits, 16).ok()?, at + 3));
        }
        at += blanks + 3;
    }
    octets.get(at).map(|octet| (*octet, at + 1))
}

fn base64(octets: &[u8], names: &BTreeSet<Box<str>>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let letters: Vec<u8> = octets.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let not_base64 = |_| Fault::new(Reason::BadJob, "a text part of the merge is not well-formed base64");
    let decoded = data_encoding::BASE64.decode(&letters).map_err(not_base64)?;
    let mut translated = Vec::with_capacity(decoded.len() + 256);
    text(&decoded, names, plain_name, &mut translated);
    if translated == decoded {
        if decoded.contains(&0) && has_name(&without_nul(&decoded), names) {
            return Err(hidden("in a charset such as UTF-16"));
        }
        out.extend_from_slice(octets);
        return Ok(());
    }
    for line in translated.chunks(BASE64_LINE_OCTETS) {
        out.extend_from_slice(data_encoding::BASE64.encode(line).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    // The blank lines that may have stood before the delimiter are no part of the content.
    Ok(())
}

fn header(octets: &[u8], names: &BTreeSet<Box<str>>, out: &mut Vec<u8>) -> Result<(), Fault> {
    if memchr::memmem::find(octets, b"=?").is_some() && has_name(&encoded_words(octets), names) {
        return Err(hidden("within an encoded-word"));
    }
    text(octets, names, plain_name, out);
    Ok(())
}

fn has_name(octets: &[u8], names: &BTreeSet<Box<str>>) -> bool {
    let is_name = |at| plain_name(&octets[at..]).is_some_and(|(name, _)| names.contains(name.as_str()));
    memchr::memchr_iter(b'[', octets).any(is_name)
}

/// The octets of all encoded-words, one behind the other (RFC 2047), in whatever charset.
fn encoded_words(header: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some(start) = memchr::memmem::find(rest, b"=?") {
        rest = &rest[start + 2..];
        let mut fields = rest.splitn(4, |octet| *octet == b'?');
        let (Some(_), Some(encoding), Some(text)) = (fields.next(), fields.next(), fields.next()) else {
            break;
        };
        match encoding {
            b"B" | b"b" => found.extend(data_encoding::BASE64.decode(text).unwrap_or_default()),
            b"Q" | b"q" => {
                let mut left = text;
                while let Some((octet, taken)) = quoted_octet(left) {
                    found.push(octet);
                    left = &left[taken..];
                }
            }
            _ => {}
        }
    }
    without_nul(&found)
}

fn without_nul(octets: &[u8]) -> Vec<u8> {
    octets.iter().copied().filter(|octet| *octet != 0).collect()
}

fn hidden(place: &str) -> Fault {
    let detail =
        format!("a merge variable stands {place}, where it is not found; write {{{{data.NAME}}}} there");
    Fault::new(Reason::BadJob, detail)
}

/// What stands before the closing bracket, if that is near.
fn name_in(octets: &[u8]) -> Option<&str> {
    let near = &octets[..octets.len().min(NAME_OCTETS_MAX + 1)];
    std::str::from_utf8(&near[..memchr::memchr(b']', near)?]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::strategy::Strategy;

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
        assert_eq!(translated("\r\n[").unwrap(), "\r\n[");
    }

    fn in_base64(text: &str) -> String {
        data_encoding::BASE64.encode(text.as_bytes())
    }

    #[test]
    fn placeholders_are_found_through_transfer_encodings_and_nowhere_else() {
        let head = "Subject: x\r\nContent-Type: multipart/mixed; boundary=\"b 1\"\r\n\r\n[order] in a preamble\r\n--b 1\r\n";
        let quoted = "Content-Transfer-Encoding: Quoted-Printable\r\n\r\nyour [or=\r\nder] and =5Bshop=5D, =5Bother=5D =[order] =\r\n\r\n--b 1\r\n";
        let encoded = format!(
            "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b 1\r\n",
            in_base64("Größe [order]")
        );
        let nested = "Content-Type: multipart/alternative; boundary=b2\r\n\r\n--b2\r\n\r\n[order]\r\n--b2--\r\n--b 1\r\n";
        let attached = format!(
            "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b 1\r\n\
             Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\n[order]\r\n--b 1--\r\nafter [order]\r\n",
            in_base64("[order]"),
        );
        let found = translated(&format!("{head}{quoted}{encoded}{nested}{attached}")).unwrap();
        let (head_now, rest) = found.split_at(head.len());
        assert_eq!(head_now, head);
        let expected_quoted = quoted
            .replace("[or=\r\nder] and =5Bshop=5D", "{{data.order}} and {{data.shop}}")
            .replace("=[order]", "={{data.order}}");
        let expected_encoded =
            encoded.replace(&in_base64("Größe [order]"), &in_base64("Größe {{data.order}}"));
        let expected_nested = nested.replace("[order]", "{{data.order}}");
        assert_eq!(rest, format!("{expected_quoted}{expected_encoded}{expected_nested}{attached}"));
    }

    #[test]
    fn what_would_go_out_as_it_is_written_is_refused() {
        let wide: Vec<u8> = "hi [order]".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let wide = format!(
            "Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            data_encoding::BASE64.encode(&wide)
        );
        for message in [
            "Subject: =?utf-8?q?Hi_=5Border=5D?=\r\n\r\nx",
            "Subject: =?iso-8859-1?q?[or?=\r\n =?iso-8859-1?Q?der]?=\r\n\r\nx",
            &format!("Subject: =?utf-8?B?{}?=\r\n\r\nx", in_base64("for [shop]")),
            &wide,
            "Content-Type: multipart/mixed\r\n\r\n[order]",
            "Content-Transfer-Encoding: base64\r\n\r\nW29yZGVyXQ=\r\n",
        ] {
            assert_eq!(translated(message).unwrap_err().reason, Reason::BadJob, "{message}");
        }
        let harmless = "Subject: =?utf-8?q?Hi_=5Bother=5D?= =?\r\n\r\nx";
        assert_eq!(translated(harmless).unwrap(), harmless);
    }

    proptest::proptest! {
        /// Any message keeps its octets where no name is defined, and none makes it fall over.
        #[test]
        fn without_names_nothing_changes(lines in proptest::collection::vec(
            proptest::prop_oneof![
                "[ -~]{0,12}".prop_map(String::from),
                proptest::sample::select(vec![
                    "Content-Type: multipart/mixed; boundary=b", "--b", "--b--", "", "[order]", "=", "=5B",
                    "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable",
                    "Content-Type: message/rfc822", "W29yZGVyXQ==", "Subject: =?utf-8?q?=5Border?=",
                ]).prop_map(String::from),
            ], 0..20),
        ) {
            let message = lines.join("\r\n");
            let unchanged = translate(message.as_bytes(), &BTreeSet::new());
            proptest::prop_assert!(unchanged.is_err() || unchanged.unwrap() == message.as_bytes());
            let _ = translated(&message);
        }
    }

    #[test]
    fn growth_is_bounded() {
        assert!(translated(&format!("\r\n{}", "[shop]".repeat(1_000))).is_ok());
        assert_eq!(
            translated(&format!("\r\n{}", "[shop]".repeat(10_000))).unwrap_err().reason,
            Reason::TooLarge
        );
        assert_eq!(translated(&format!("\r\n{}", "[".repeat(100_000))).unwrap().len(), 100_002);
    }
}
