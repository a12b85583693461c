//! Follows the word that text is in the middle of, to see whether it is a visible URL: mail clients turn such
//! words into links, so personal data in one leaks like any other URL.

use super::host::{self, Host, is_wide_dot};
use super::spelled::has_no_width;

/// What a mail client makes a link of, where the text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Linking {
    /// What has a scheme or begins with `www.`: a header, which no client makes links of, is told no more than that.
    Schemes,
    /// Also bare names of hosts (`shop.example/x`) and addresses.
    Hosts,
}

/// The word so far: what stands since the last white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Word {
    /// The last sixteen bytes in lower case, the newest lowest.
    tail: u128,
    /// It holds `://`, `www.`, `mailto:` or the like, the name of a host, or goes on as a URL behind a value of the job's
    /// data.
    pub(super) is_url: bool,
    /// A value about the person stands in it.
    pub(super) holds_person: bool,
    /// Another value stands in it: it may be a URL.
    holds_data: bool,
    /// A value of the job came last.
    is_data_open: bool,
    host: Host,
    /// The value about the person is of that name, or of the local part before it.
    is_in_host: bool,
    /// A link that begins now goes on over blanks, up to the sign that closes what was opened.
    opened: Option<Opened>,
}

/// What stands around an address in texts (RFC 3986 appendix C).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    Angle,
    Quote,
}

/// What clients make a link of without `//`.
pub(super) const LINK_STARTS: [&str; 17] = [
    "www.",
    "ftp.",
    "mailto:",
    "tel:",
    "sms:",
    "callto:",
    "facetime:",
    "geo:",
    "webcal:",
    "skype:",
    "whatsapp:",
    "xmpp:",
    "sip:",
    "sips:",
    "magnet:",
    "cid:",
    "javascript:",
];

impl Word {
    /// Whether a value about the person has become part of a link with this character.
    pub(super) fn step(&mut self, c: char, linking: Linking) -> bool {
        if c.is_ascii_whitespace() {
            return self.blank(c);
        }
        // Mail clients show no sign of it, and so read over it.
        if has_no_width(c) {
            return self.leaks();
        }
        // A value that ends in a dot makes the name of a host of what stands around it.
        self.is_url |= self.goes_on_from_data() && c.is_ascii_alphanumeric();
        self.is_data_open = false;
        let host = self.host;
        self.host = host.step(c);
        if linking == Linking::Hosts && !Host::goes_on(c) {
            let is_link = host.is_linked_before(c) && !self.is_file(c);
            self.is_url |= is_link && (self.is_in_host || goes_behind_host(c));
            self.is_url |= matches!(c, '/' | '?') && host::is_number(&self.tail.to_be_bytes());
            self.is_in_host &= c == '@';
        }
        self.open(c, linking);
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            self.tail = self.tail << 8 | u128::from(byte.to_ascii_lowercase());
        }
        let tail = self.tail.to_be_bytes();
        let is_link_start = |start: &&str| {
            let (before, end) = tail.split_at(tail.len() - start.len());
            end == start.as_bytes() && !before.last().is_some_and(u8::is_ascii_alphanumeric)
        };
        let link_start = matches!(c, ':' | '.') && LINK_STARTS.iter().any(is_link_start);
        let behind_data = self.holds_data && matches!(c, '/' | '?' | '=' | '&' | '#');
        self.is_url |= link_start || tail.ends_with(b"://") || behind_data || self.begins_share(&tail);
        self.leaks()
    }

    fn open(&mut self, c: char, linking: Linking) {
        self.opened = match (c, self.opened) {
            ('>', Some(Opened::Angle)) | ('"', Some(Opened::Quote)) => None,
            ('<', None) if !self.is_url && linking == Linking::Hosts => Some(Opened::Angle),
            ('"', None) if !self.is_url && linking == Linking::Hosts => Some(Opened::Quote),
            (_, opened) => opened,
        };
    }

    /// Whether a link goes on over blanks.
    pub(super) fn is_enclosed(&self) -> bool {
        self.opened.is_some() && self.is_url
    }

    /// Of a value of the job that comes now.
    pub(super) fn reach(&self) -> Reach {
        let is_first = matches!(self.tail.to_be_bytes().last(), Some(b'<' | b'"'));
        if is_first && self.opened.is_some() { Reach::Enclosed } else { Reach::Text }
    }

    /// At white space: nothing goes on over an empty line.
    fn blank(&mut self, c: char) -> bool {
        let is_line_end = c == '\n';
        if !self.is_enclosed() || is_line_end && self.tail & 0xff == u128::from(b'\n') {
            return self.end();
        }
        if is_line_end || self.tail & 0xff != u128::from(b'\n') {
            self.tail = self.tail << 8 | u128::from(if is_line_end { b'\n' } else { b' ' });
        }
        self.host = Host::default();
        self.is_in_host = false;
        self.leaks()
    }

    /// `\\host\share`, `//host` and `https:\\host`, which browsers and Windows take.
    fn begins_share(&self, tail: &[u8; 16]) -> bool {
        let has_value = self.holds_person || self.holds_data;
        let begins = tail.ends_with(b"\\\\") || tail.ends_with(b"//");
        let before = tail[tail.len() - 3];
        begins && !has_value && !before.is_ascii_alphanumeric() && !matches!(before, b'/' | b'\\')
    }

    /// As [`Word::step`], for a text in which hosts are linked.
    pub(super) fn text(&mut self, text: &str) -> bool {
        let mut rest = text;
        while self.holds_person || self.opened.is_some() {
            let Some(c) = rest.chars().next() else { return false };
            if self.step(c, Linking::Hosts) {
                return true;
            }
            rest = &rest[c.len_utf8()..];
        }
        // Of words without a value about the person only the last one may get one, and what one of them opens.
        let open = rest.find(['<', '"']).unwrap_or(rest.len());
        if let Some(last) = rest[..open].rfind(|c: char| c.is_ascii_whitespace()) {
            *self = Self::default();
            rest = &rest[last + 1..];
        }
        rest.chars().any(|c| self.step(c, Linking::Hosts))
    }

    /// Behind white space, or where a block of text ends. As [`Word::step`].
    pub(super) fn end(&mut self) -> bool {
        self.is_url |= self.is_in_host && self.host.is_linked_before(' ') && !self.is_file(' ');
        let leaks = self.leaks();
        *self = Self::default();
        leaks
    }

    pub(super) fn value(&mut self, personal: bool, linking: Linking) {
        // The data may hold a whole URL (`{{data.link}}{{person.email}}`), which the person would then be part of.
        self.is_url |= personal && self.holds_data;
        if linking == Linking::Hosts {
            // What goes on behind the name of a host is of the name or of its path; what the data puts behind a dot may be
            // the name.
            self.is_url |= personal && self.host.is_named();
            self.is_url |= !personal && self.is_in_host && self.host.is_open();
            self.is_url |= self.is_in_host && self.host.is_ended();
            self.is_in_host |= personal;
        }
        // What is right behind the sign that opens is looked at by itself, once it is known.
        self.is_url |= !personal && self.reach() == Reach::Text && self.opened.is_some();
        self.host = self.host.behind_value();
        self.holds_person |= personal;
        self.holds_data |= !personal;
        self.is_data_open = !personal;
        self.tail = 0;
    }

    /// A character that may be any.
    pub(super) fn unknown(&mut self) {
        self.is_url = true;
    }

    pub(super) fn leaks(&self) -> bool {
        self.is_url && self.holds_person
    }

    /// Whether a value of the job came last, in what may be the name of a host together with a person's.
    pub(super) fn goes_on_from_data(&self) -> bool {
        self.is_in_host && self.is_data_open
    }

    /// What holds behind either of two branches.
    pub(super) fn join(self, other: Self) -> Self {
        Self {
            tail: if self.tail == other.tail { self.tail } else { 0 },
            is_url: self.is_url || other.is_url,
            holds_person: self.holds_person || other.holds_person,
            holds_data: self.holds_data || other.holds_data,
            is_data_open: self.is_data_open || other.is_data_open,
            host: self.host.join(other.host),
            is_in_host: self.is_in_host || other.is_in_host,
            opened: self.opened.or(other.opened),
        }
    }

    /// Whether the dots are those of a file's name, `c` being behind it.
    fn is_file(self, c: char) -> bool {
        !goes_behind_host(c) && host::is_file(&self.tail.to_be_bytes())
    }
}

/// Whether a text that comes right behind a person's value makes a link of it.
pub(super) fn is_link_behind_person(text: &str) -> bool {
    let first = &text[..text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len())];
    // No link is without one of them.
    if !first.contains(|c| matches!(c, '.' | ':') || is_wide_dot(c)) {
        return false;
    }
    let mut word = Word::default();
    word.value(true, Linking::Hosts);
    first.chars().any(|c| word.step(c, Linking::Hosts)) || word.end()
}

/// How far what a value of the job begins reaches, in a text with a value of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Reach {
    /// Not beyond it: nobody makes links there, or no person stands in the text.
    #[default]
    Itself,
    Text,
    /// Likewise, and it stands behind an angle or quote itself.
    Enclosed,
}

/// Whether a value of the job begins a link that goes on over the blanks behind it.
pub(super) fn leaves_link_open(text: &str, reach: Reach) -> bool {
    let opened = if reach == Reach::Enclosed { Some(Opened::Angle) } else { None };
    reach != Reach::Itself && opened_in(text, opened).is_some()
}

/// The sign up to which a link that the text begins goes on over blanks.
pub(super) fn closing_sign(text: &str) -> Option<char> {
    opened_in(text, None).map(|opened| match opened {
        Opened::Angle => '>',
        Opened::Quote => '"',
    })
}

fn opened_in(text: &str, opened: Option<Opened>) -> Option<Opened> {
    // Nothing is left open without one of them.
    if opened.is_none() && memchr::memchr2(b'<', b'"', text.as_bytes()).is_none() {
        return None;
    }
    let mut word = Word { opened, ..Word::default() };
    word.text(text);
    word.opened.filter(|_| word.is_url)
}

/// Whether a link goes on with this character where the name of its host is ended.
fn goes_behind_host(c: char) -> bool {
    matches!(c, '/' | '?' | '#' | ':' | '@' | '=')
}

#[cfg(test)]
mod tests;
