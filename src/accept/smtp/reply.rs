//! A reply to an SMTP client: code, enhanced code, text. Whatever its text was made from, what goes out is
//! printable ASCII on lines of bounded length.

use crate::fault::{Enhanced, ReplyCode};
use std::borrow::Cow;

/// Longest text on one reply line; with code and line end below the 512 octets of RFC 5321 §4.5.3.1.5.
pub const TEXT_OCTETS_MAX: usize = 400;

/// One reply of one or, for EHLO, more lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: ReplyCode,
    text: Cow<'static, str>,
    more: Vec<Cow<'static, str>>,
}

impl Reply {
    pub fn new(code: ReplyCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into(), more: Vec::new() }
    }

    /// Without enhanced code, as the greeting, EHLO's answer and every 3xx are (RFC 2034 §4).
    pub fn bare(basic: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ReplyCode { basic, enhanced: None }, text)
    }

    /// Adds further lines.
    pub fn lines(mut self, more: Vec<Cow<'static, str>>) -> Self {
        self.more = more;
        self
    }

    pub fn code(&self) -> ReplyCode {
        self.code
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Appends the reply as it goes over the wire.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let last = self.more.len();
        for (at, line) in std::iter::once(&self.text).chain(&self.more).enumerate() {
            put_number(self.code.basic, out);
            out.push(if at == last { b' ' } else { b'-' });
            if let Some(Enhanced(class, subject, detail)) = self.code.enhanced {
                for (number, behind) in [(class.into(), b'.'), (subject, b'.'), (detail, b' ')] {
                    put_number(number, out);
                    out.push(behind);
                }
            }
            put_text(line, out);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    let is_printable = |octet: u8| octet == b' ' || octet.is_ascii_graphic();
    if text.len() <= TEXT_OCTETS_MAX && text.bytes().all(is_printable) {
        return out.extend_from_slice(text.as_bytes());
    }
    let printable = |c: char| u8::try_from(c).ok().filter(|octet| is_printable(*octet)).unwrap_or(b'?');
    out.extend(text.chars().take(TEXT_OCTETS_MAX).map(printable));
}

/// In decimal. Every reply has up to four numbers, and there are four replies a message.
fn put_number(number: u16, out: &mut Vec<u8>) {
    if number >= 10 {
        put_number(number / 10, out);
    }
    out.push(b'0' + (number % 10) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_reply_has_its_codes_and_its_text() {
        let reply = Reply::new(ReplyCode::new(550, 5, 1, 1), "unknown-token");
        assert_eq!(written(&reply), "550 5.1.1 unknown-token\r\n");
        let reply = Reply::bare(250, "relay.example").lines(vec!["PIPELINING".into(), "SIZE 9".into()]);
        assert_eq!(written(&reply), "250-relay.example\r\n250-PIPELINING\r\n250 SIZE 9\r\n");
    }

    #[test]
    fn no_text_can_break_a_line_or_be_too_long() {
        let reply = Reply::bare(250, format!("a\r\n354 b\0\u{1b}[31m\u{2028}é{}", "x".repeat(2000)));
        let line = written(&reply);
        assert!(line.starts_with("250 a??354 b??[31m??xxx"));
        assert!(line.len() <= 512 && line.matches("\r\n").count() == 1);
    }
}
