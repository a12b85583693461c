//! Parameters of Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2231).

use super::output::Output;
use super::word;

/// Octets of an encoded value on one line.
const SEGMENT_MAX: usize = 54;
/// A longer value is cut into segments (RFC 2231 §3).
const PLAIN_MAX: usize = 54;

/// Writes `;` and the parameter, on a line of its own. `value` is clean ([`word::put_clean`]).
pub fn write(name: &str, value: &str, out: &mut Output) {
    let is_plain = value.len() <= PLAIN_MAX
        && !value.contains("=?")
        && value.bytes().all(|byte| word::is_atext(byte) || b" .,:()@".contains(&byte));
    if is_plain {
        out.put(format!(";\r\n {name}=\"{value}\"").as_bytes());
        return;
    }
    let segments = segments(value);
    if let [whole] = segments.as_slice() {
        out.put(format!(";\r\n {name}*=UTF-8''{whole}").as_bytes());
        return;
    }
    for (index, segment) in segments.iter().enumerate() {
        let charset = if index == 0 { "UTF-8''" } else { "" };
        out.put(format!(";\r\n {name}*{index}*={charset}{segment}").as_bytes());
    }
}

/// The value percent-encoded, cut between characters: some readers decode every segment on its own.
fn segments(value: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut utf8 = [0; 4];
    for c in value.chars() {
        let mut encoded = String::with_capacity(12);
        for byte in c.encode_utf8(&mut utf8).bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        match segments.last_mut() {
            Some(last) if last.len() + encoded.len() <= SEGMENT_MAX => last.push_str(&encoded),
            _ => segments.push(encoded),
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::{MessageParser, MimeHeaders};
    use proptest::prelude::*;

    fn field(value: &str) -> String {
        let mut out = Output::unbounded();
        out.put(b"Content-Disposition: attachment");
        write("filename", value, &mut out);
        out.put(b"\r\n\r\n");
        out.as_text().to_owned()
    }

    proptest! {
        #[test]
        fn any_file_name_decodes_to_itself(name in "[a-zA-Z0-9א-ת日本 %'\"*=?;]{1,120}\\.pdf") {
            let field = field(&name);
            prop_assert!(field.split("\r\n").all(|line| line.len() <= 78), "{}", field);
            let parsed = MessageParser::new().with_mime_headers().parse(&field).unwrap();
            prop_assert_eq!(parsed.attachment_name_of_root(), Some(name.as_str()));
        }
    }

    trait RootName {
        fn attachment_name_of_root(&self) -> Option<&str>;
    }

    impl RootName for mail_parser::Message<'_> {
        fn attachment_name_of_root(&self) -> Option<&str> {
            self.part(0)?.attachment_name()
        }
    }

    #[test]
    fn a_plain_name_is_quoted() {
        assert_eq!(field("terms.pdf"), "Content-Disposition: attachment;\r\n filename=\"terms.pdf\"\r\n\r\n");
    }
}
