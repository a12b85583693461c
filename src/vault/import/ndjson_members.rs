//! The members of an object that is no JSON as a whole (`NaN`, a tab or a letter of another encoding in a string): each taken by itself, as
//! far as strings, commas and brackets tell them apart.

use zeroize::Zeroizing;

/// Key and value as they stand in the line.
pub struct Members<'a> {
    rest: &'a [u8],
    /// What stands before the next one.
    before: u8,
}

impl<'a> Members<'a> {
    pub fn of(line: &'a [u8]) -> Self {
        Self { rest: line, before: b'{' }
    }

    fn next_member(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        self.rest = behind(self.rest, self.before)?;
        self.before = b',';
        let (key, rest) = split(self.rest, string_end(self.rest)?);
        let rest = behind(rest, b':')?;
        let (value, rest) = split(rest, value_end(rest)?);
        self.rest = rest;
        Some((key, value))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let member = self.next_member();
        if member.is_none() {
            self.rest = &[];
        }
        member
    }
}

/// The text of a key, or the texts of a value: one, those of a list, or none for `null`. `None` where they cannot be read.
pub fn texts(value: &[u8]) -> Option<Vec<Zeroizing<String>>> {
    match value {
        b"null" => Some(Vec::new()),
        b"true" | b"false" => text_of(value).map(|text| vec![text]),
        [b'"', inner @ .., b'"'] => {
            let read = serde_json::from_slice::<String>(value).map(Zeroizing::new).ok();
            // What JSON does not allow in a string is no reason not to read it.
            let plain = || text_of(inner).filter(|text| !text.contains('\\'));
            read.or_else(plain).map(|text| vec![text])
        }
        [b'[', ..] => {
            let all = serde_json::from_slice::<Vec<String>>(value).ok()?;
            Some(all.into_iter().map(Zeroizing::new).collect())
        }
        number if number.iter().all(|byte| byte.is_ascii_digit()) => text_of(number).map(|text| vec![text]),
        _ => None,
    }
}

fn text_of(bytes: &[u8]) -> Option<Zeroizing<String>> {
    Some(Zeroizing::new(std::str::from_utf8(bytes).ok()?.to_owned()))
}

fn split(text: &[u8], at: usize) -> (&[u8], &[u8]) {
    let (text, rest) = text.split_at(at);
    (text.trim_ascii_end(), rest)
}

/// What follows this sign, without blanks around it.
fn behind(text: &[u8], sign: u8) -> Option<&[u8]> {
    Some(text.trim_ascii_start().strip_prefix(&[sign])?.trim_ascii_start())
}

fn string_end(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut escaped = false;
    let closes = |byte: &u8| {
        let closes = !escaped && *byte == b'"';
        escaped = !escaped && *byte == b'\\';
        closes
    };
    Some(text.iter().skip(1).position(closes)? + 2)
}

fn value_end(text: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at += string_end(&text[at..])? - 1,
            b'[' | b'{' => depth += 1,
            b',' | b'}' if depth == 0 => return Some(at),
            b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
    None
}
