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
            return self.end();
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
        if self.holds_person {
            let end = rest.find(|c: char| c.is_ascii_whitespace()).map_or(rest.len(), |at| at + 1);
            if rest[..end].chars().any(|c| self.step(c, Linking::Hosts)) {
                return true;
            }
            rest = &rest[end..];
        }
        // Of words without a value about the person only the last one may get one.
        if let Some(last) = rest.rfind(|c: char| c.is_ascii_whitespace()) {
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

/// Whether a link goes on with this character where the name of its host is ended.
fn goes_behind_host(c: char) -> bool {
    matches!(c, '/' | '?' | '#' | ':' | '@' | '=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_url(text: &str) -> bool {
        let mut word = Word::default();
        text.chars().for_each(|c| {
            word.step(c, Linking::Hosts);
        });
        word.is_url
    }

    #[test]
    fn a_person_behind_data_in_one_word_may_stand_in_a_url() {
        let word = |personal: [bool; 2], between: &str| {
            let mut word = Word::default();
            word.value(personal[0], Linking::Hosts);
            between.chars().for_each(|c| {
                word.step(c, Linking::Hosts);
            });
            word.value(personal[1], Linking::Hosts);
            word.leaks()
        };
        assert!(word([false, true], ""));
        assert!(word([false, true], "id-"));
        assert!(!word([false, true], " "));
        assert!(!word([true, false], ""));
        assert!(!word([true, true], ""));
        assert!(word([true, false], "."));
        let mut between = Word::default();
        between.value(true, Linking::Hosts);
        between.value(false, Linking::Hosts);
        assert!(!between.leaks() && !between.step('-', Linking::Hosts));
        between.value(false, Linking::Hosts);
        assert!(between.step('H', Linking::Hosts));
    }

    #[test]
    fn p3_data_behind_a_person_makes_no_link() {
        for text in [".third.example", "@third.example x", "://x", ".com/", "\u{3002}third/x", ".example"] {
            assert!(is_link_behind_person(text), "{text}");
        }
        for text in ["", ".", ", hello shop.example", "'s order", " third.example", "/2", ": 7", "7.50"] {
            assert!(!is_link_behind_person(text), "{text}");
        }
    }

    #[test]
    fn visible_urls_are_seen() {
        for url in
            ["see https://x.test/?n=", "WWW.x.test/", "(www.", "mailto:", "<tel:", "WhatsApp:", "webcal:"]
        {
            assert!(is_url(url), "{url}");
        }
        for text in ["https://x.test/ Dear ", "hotel:", "a/b", "Dear", "newwww.x"] {
            assert!(!is_url(text), "{text}");
        }
    }

    /// The word with the value in place of `@@`.
    fn leaks(text: &str) -> bool {
        let mut word = Word::default();
        let mut leaks = false;
        for (index, piece) in text.split("@@").enumerate() {
            if index > 0 {
                word.value(true, Linking::Hosts);
                leaks |= word.leaks();
            }
            for c in piece.chars() {
                leaks |= word.step(c, Linking::Hosts);
            }
        }
        leaks | word.end()
    }

    #[test]
    fn p3_hosts_without_a_scheme_are_links_too() {
        for text in [
            "third.example/u?e=@@",
            "third.example?e=@@",
            "third.example#@@",
            "third.example:8080/@@",
            "third.example@@",
            "@@.third.example",
            "@@.third.example/x",
            "@@.com",
            "@@.example.x",
            "@@.x@@",
            "@@.example.-->",
            "@@.example.www.@@",
            "a.@@.example",
            "@@@third.example",
            "@@@third.example.",
            "third.example.?e=@@",
            "x/@@@third.example",
            "third\u{ad}.exa\u{200b}mple/@@",
            "third.\u{ad}example/@@",
            "third\u{3002}example/@@",
            "пример.рф/u?e=@@",
            "192.0.2.1/@@",
            "xn--e1afmkfd.xn--p1ai/@@",
            "(third.example/@@)",
            "report.pdf/@@",
            "sip:@@",
        ] {
            assert!(leaks(text), "{text}");
        }
        for text in [
            "Dear @@.",
            "@@, welcome",
            "@@... and more",
            "Mr.@@",
            "e.g.@@",
            "z.B.@@",
            "Dr.@@,",
            "@@.@@",
            "@@/@@",
            "1.99/@@",
            "3.5kg/@@",
            "shop.example @@",
            "@@ shop.example/x",
            "您好@@\u{3002}欢迎",
            "Привет, @@.Мы",
            "invoice-@@.pdf",
            "info@@@",
            "12.30:@@",
            "(@@)",
            "詳細はshop.exampleへ、@@様",
            "ございます\u{3002}口座番号末尾@@の",
        ] {
            assert!(!leaks(text), "{text}");
        }
    }
}
