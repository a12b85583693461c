//! Structured header fields taken apart leniently: a value and its parameters (RFC 2045 §5.1, RFC 2231).

use super::charset::{Charset, Stated};
use super::transfer::{hex_pair, without_comments};
use crate::render::encode::{Output, parameter, word};

/// A longer line of a parameter is written anew.
pub const PARAMETER_OCTETS_MAX: usize = 900;

/// A parameter as written.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Lower case, with the signs of RFC 2231.
    pub name: String,
    pub value: String,
    /// Name, sign and value as they stand.
    pub raw: String,
}

impl Parameter {
    /// The name without the signs of RFC 2231.
    pub fn base(&self) -> &str {
        self.name.split('*').next().unwrap_or_default()
    }

    /// As it stands, where it may.
    pub fn write(&self, all: &[Self], out: &mut Output) {
        if !is_token(&self.name.replace('*', "")) {
            return;
        }
        if self.raw.is_ascii() && self.raw.len() <= PARAMETER_OCTETS_MAX && is_closed(&self.raw) {
            return out.put(format!(";\r\n {}", self.raw).as_bytes());
        }
        let value = self.name.contains('*').then(|| extended(all, self.base())).flatten();
        let mut clean = Output::unbounded();
        word::put_clean(value.as_deref().unwrap_or(&self.value), &mut clean);
        parameter::write(self.base(), clean.as_text(), out);
    }
}

/// No quote is open at its end, and no line end stands in it.
fn is_closed(raw: &str) -> bool {
    let value = raw.split_once('=').map_or("", |(_, value)| value);
    let is_quoted =
        value.len() >= 2 && value.starts_with('"') && value.ends_with('"') && !value.ends_with("\\\"");
    (is_quoted || !value.contains(['"', ' ', '\t'])) && !raw.contains(['\r', '\n'])
}

/// A parameter by RFC 2231: percent-encoded, in segments, or both.
pub fn extended(parameters: &[Parameter], name: &str) -> Option<String> {
    let mut segments: Vec<(usize, bool, &str)> = parameters
        .iter()
        .filter_map(|parameter| {
            let tail = parameter.name.strip_prefix(name)?.strip_prefix('*')?;
            let (number, is_encoded) = match tail.strip_suffix('*') {
                Some(number) => (number, true),
                None => (tail, tail.is_empty()),
            };
            let number = if number.is_empty() { 0 } else { number.parse().ok()? };
            Some((number, is_encoded, parameter.value.as_str()))
        })
        .collect();
    segments.sort_by_key(|(number, ..)| *number);
    let (_, is_encoded, first) = *segments.first()?;
    let mut charset = None;
    if is_encoded {
        let mut parts = first.splitn(3, '\'');
        if let (Some(label), Some(_), Some(rest)) = (parts.next(), parts.next(), parts.next()) {
            charset = Some(label);
            segments[0].2 = rest;
        }
    }
    let mut octets = Vec::new();
    for (_, is_encoded, value) in segments {
        if is_encoded {
            percent_decode(value, &mut octets)
        } else {
            octets.extend_from_slice(value.as_bytes())
        }
    }
    let charset = match Stated::of(charset) {
        Stated::Charset(charset) => charset,
        Stated::Nothing | Stated::Foreign => Charset::Known(encoding_rs::UTF_8),
    };
    Some(charset.decode(&octets).0.into_owned())
}

fn percent_decode(value: &str, octets: &mut Vec<u8>) {
    let mut rest = value.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        match hex_pair(tail).filter(|_| *first == b'%') {
            Some(octet) => {
                octets.push(octet);
                rest = &tail[2..];
            }
            None => {
                octets.push(*first);
                rest = tail;
            }
        }
    }
}

/// A structured field taken apart.
pub struct Written {
    pub value: String,
    pub parameters: Vec<Parameter>,
}

impl Written {
    pub fn of(field: &str) -> Self {
        let plain = without_comments(field);
        let mut scan = Scan { text: &plain };
        let value = scan.media_type();
        let mut parameters = Vec::new();
        while !scan.text.is_empty() {
            parameters.extend(scan.parameter());
        }
        Self { value, parameters }
    }
}

struct Scan<'t> {
    text: &'t str,
}

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

impl<'t> Scan<'t> {
    /// `text/html`, also in quotes, with blanks around the slash, or with a parameter right behind it.
    fn media_type(&mut self) -> String {
        self.text = self.text.trim_start_matches(BLANK).trim_start_matches(['"', '\'']);
        let mut value = String::new();
        loop {
            value.push_str(self.take_until(|c| BLANK.contains(&c) || ";,\"'/".contains(c)));
            let after = self.text.trim_start_matches(BLANK);
            match after.strip_prefix('/') {
                Some(subtype) if !value.contains('/') => {
                    value.push('/');
                    self.text = subtype.trim_start_matches(BLANK);
                }
                _ => break,
            }
        }
        if self.text.starts_with(['"', '\'']) {
            self.text = &self.text[1..];
        }
        value
    }

    fn parameter(&mut self) -> Option<Parameter> {
        self.text = self.text.trim_start_matches(|c| BLANK.contains(&c) || ";,".contains(c));
        let start = self.text;
        let name = self.take_until(|c| BLANK.contains(&c) || ";=".contains(c));
        let Some(value) = self.text.trim_start_matches(BLANK).strip_prefix('=') else {
            // A word by itself; a stray sign is passed over.
            if name.is_empty() {
                self.text = self.text.get(1..).unwrap_or_default();
            }
            return None;
        };
        self.text = value.trim_start_matches(BLANK);
        let value = match self.text.strip_prefix('"') {
            Some(quoted) => {
                self.text = quoted;
                self.quoted()
            }
            None => self.take_until(|c| BLANK.contains(&c) || c == ';').to_owned(),
        };
        let raw = start[..start.len() - self.text.len()].to_owned();
        (!name.is_empty()).then(|| Parameter { name: name.to_ascii_lowercase(), value, raw })
    }

    /// Up to the closing quote, or to the end where there is none.
    fn quoted(&mut self) -> String {
        let mut value = String::new();
        let mut chars = self.text.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.text = &self.text[at + 1..];
                    return value;
                }
                '\\' => value.extend(chars.next().map(|(_, c)| c)),
                '\r' | '\n' => {}
                c => value.push(c),
            }
        }
        self.text = "";
        value
    }

    fn take_until(&mut self, is_end: impl Fn(char) -> bool) -> &'t str {
        let (taken, rest) = self.text.split_at(self.text.find(is_end).unwrap_or(self.text.len()));
        self.text = rest;
        taken
    }
}

pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 60
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.+".contains(&octet))
}
