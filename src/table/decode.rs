//! The text of a file that somebody saved: UTF-8 with or without a byte order mark, or UTF-16 as Excel's "Unicode Text" is.
//! What is neither is handed on as bytes that are no UTF-8, so that the row it stands in is refused and no other.

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE};
use std::io::{self, BufRead, Read};
use zeroize::Zeroizing;

/// Bytes asked of the file at once.
const READ_BYTES: usize = 64 * 1024;
/// What tells the encoding.
const SNIFFED_BYTES: usize = 6;
const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";
/// Stands for what was no character, and is none itself.
const NO_CHARACTER: u8 = 0xff;

enum Form {
    Unknown,
    Utf8,
    Utf16(Decoder),
}

/// A file read as UTF-8.
pub struct Decoded<R> {
    inner: R,
    form: Form,
    /// As the file gave it; only what is not decoded yet is in use.
    raw: Zeroizing<Vec<u8>>,
    raw_filled: usize,
    text: Zeroizing<Vec<u8>>,
    used: usize,
    position: u64,
    has_ended: bool,
}

impl<R: Read> Decoded<R> {
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            form: Form::Unknown,
            raw: Zeroizing::new(vec![0; READ_BYTES]),
            raw_filled: 0,
            text: Zeroizing::new(Vec::with_capacity(READ_BYTES)),
            used: 0,
            position: 0,
            has_ended: false,
        }
    }

    /// Bytes of the file that were read so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What comes next, without taking it: as much as `is_enough`, or `bytes_max`, or all there is.
    ///
    /// # Errors
    /// As the file.
    pub fn peek(&mut self, bytes_max: usize, is_enough: impl Fn(&[u8]) -> bool) -> io::Result<&[u8]> {
        loop {
            let ahead = &self.text[self.used..];
            if self.has_ended || ahead.len() >= bytes_max || is_enough(ahead) {
                return Ok(&self.text[self.used..]);
            }
            self.read_more()?;
        }
    }

    /// Reads once, behind the text that is there.
    fn read_more(&mut self) -> io::Result<()> {
        self.read_raw()?;
        if matches!(self.form, Form::Unknown) && (self.raw_filled >= SNIFFED_BYTES || self.has_ended) {
            self.sniff();
        }
        self.decode();
        Ok(())
    }

    fn read_raw(&mut self) -> io::Result<()> {
        let count = loop {
            match self.inner.read(&mut self.raw[self.raw_filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.raw_filled += count;
        self.position += count as u64;
        self.has_ended = count == 0;
        Ok(())
    }

    /// A file that begins with half an ASCII character of UTF-16 has no byte order mark, but the same encoding.
    fn sniff(&mut self) {
        let (form, mark) = match &self.raw[..self.raw_filled] {
            // Twice, where one program put a mark before what another had marked.
            [0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf, ..] => (Form::Utf8, 2 * UTF_8_MARK.len()),
            [0xef, 0xbb, 0xbf, ..] => (Form::Utf8, UTF_8_MARK.len()),
            [0xff, 0xfe, ..] => (Form::Utf16(UTF_16LE.new_decoder_without_bom_handling()), 2),
            [0xfe, 0xff, ..] => (Form::Utf16(UTF_16BE.new_decoder_without_bom_handling()), 2),
            [first, 0, second, 0, ..] if *first > 0 && *second > 0 => {
                (Form::Utf16(UTF_16LE.new_decoder_without_bom_handling()), 0)
            }
            [0, first, 0, second, ..] if *first > 0 && *second > 0 => {
                (Form::Utf16(UTF_16BE.new_decoder_without_bom_handling()), 0)
            }
            _ => (Form::Utf8, 0),
        };
        self.form = form;
        self.raw.copy_within(mark..self.raw_filled, 0);
        self.raw_filled -= mark;
    }

    fn decode(&mut self) {
        let raw = &self.raw[..self.raw_filled];
        match &mut self.form {
            Form::Unknown => return,
            Form::Utf8 => self.text.extend_from_slice(raw),
            Form::Utf16(decoder) => decode(decoder, raw, self.has_ended, &mut self.text),
        }
        self.raw_filled = 0;
    }
}

fn decode(decoder: &mut Decoder, mut raw: &[u8], is_last: bool, text: &mut Vec<u8>) {
    loop {
        let written = text.len();
        let room = decoder.max_utf8_buffer_length_without_replacement(raw.len()).unwrap_or(raw.len() * 3);
        text.resize(written + room.max(8), 0);
        let (result, read, more) =
            decoder.decode_to_utf8_without_replacement(raw, &mut text[written..], is_last);
        text.truncate(written + more);
        raw = &raw[read..];
        match result {
            DecoderResult::InputEmpty => return,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => text.push(NO_CHARACTER),
        }
    }
}

impl<R: Read> BufRead for Decoded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.text.len() {
            self.text.clear();
            self.used = 0;
        }
        while self.text.is_empty() && !self.has_ended {
            self.read_more()?;
        }
        Ok(&self.text[self.used..])
    }

    fn consume(&mut self, bytes: usize) {
        self.used += bytes;
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let text = self.fill_buf()?;
        let count = text.len().min(buffer.len());
        buffer[..count].copy_from_slice(&text[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Pieces;
    use super::*;
    use proptest::prelude::*;

    fn decoded(bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut text = Vec::new();
        Decoded::new(Pieces(bytes, piece)).read_to_end(&mut text).unwrap();
        text
    }

    fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn what_is_no_character_is_no_utf_8_either() {
        let broken = [
            &b"\xff\xfe"[..],
            &utf_16("a,", u16::to_le_bytes),
            b"\x00\xd8",
            &utf_16("b\n", u16::to_le_bytes),
        ]
        .concat();
        let text = decoded(&broken, 3);
        assert!(
            std::str::from_utf8(&text).is_err() && text.starts_with(b"a,") && text.ends_with(b"b\n"),
            "{text:?}"
        );
        assert_eq!(decoded(b"", 1), b"");
        assert_eq!(decoded(b"a", 1), b"a");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_encoding_of_a_text_is_that_text(text in "[a-z;,\\r\\n\"]{2}[a-zöя𝄞;,\\r\\n\"]{0,40}", piece in 1usize..9) {
            let utf_8 = text.as_bytes().to_vec();
            for (mark, bytes) in [
                (&b""[..], utf_8.clone()),
                (b"\xef\xbb\xbf", utf_8.clone()),
                (b"\xff\xfe", utf_16(&text, u16::to_le_bytes)),
                (b"\xfe\xff", utf_16(&text, u16::to_be_bytes)),
                (b"", utf_16(&text, u16::to_le_bytes)),
                (b"", utf_16(&text, u16::to_be_bytes)),
            ] {
                prop_assert_eq!(&decoded(&[mark, &bytes].concat(), piece), &utf_8);
            }
        }
    }
}
