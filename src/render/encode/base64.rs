//! Base64 bodies (RFC 2045 §6.8), in lines of 76.

use super::output::Output;
use base64_simd::{AsOut, STANDARD};

const LINE_OCTETS: usize = 76;

/// Octets on the wire for `octets` of content, line ends included.
pub fn encoded_len(octets: usize) -> usize {
    let encoded = octets.div_ceil(3) * 4;
    encoded + encoded.div_ceil(LINE_OCTETS) * 2
}

/// Appends `content` encoded, each line with its CRLF.
pub fn write(content: &[u8], out: &mut Output) {
    let encoded_octets = content.len().div_ceil(3) * 4;
    let Some(area) = out.extend(encoded_len(content.len())) else { return };
    // Encoded into the far end, then drawn forward line by line: the source stays ahead of the target by two
    // octets for each line end still to come.
    let mut from = area.len() - encoded_octets;
    let _ = STANDARD.encode(content, area[from..].as_out());
    let mut to = 0;
    while from < area.len() {
        let line = LINE_OCTETS.min(area.len() - from);
        area.copy_within(from..from + line, to);
        from += line;
        to += line;
        area[to..to + 2].copy_from_slice(b"\r\n");
        to += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_content_decodes_to_itself(content in prop::collection::vec(any::<u8>(), 0..700)) {
            let mut out = Output::unbounded();
            out.put(b"before\r\n");
            write(&content, &mut out);
            let encoded = &out.as_text()["before\r\n".len()..];
            prop_assert_eq!(encoded.len(), encoded_len(content.len()));
            prop_assert!(encoded.split("\r\n").all(|line| line.len() <= 76 && !line.contains(['\r', '\n'])));
            let joined = encoded.replace("\r\n", "");
            prop_assert_eq!(data_encoding::BASE64.decode(joined.as_bytes()).unwrap(), content);
        }
    }
}
