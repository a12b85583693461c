//! What a target offers, read from its answer to EHLO (RFC 5321 §4.1.1.1).

use crate::wire::reply::Reply;

/// Service extensions that change what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    pub pipelining: bool,
    pub eight_bit_mime: bool,
    pub smtputf8: bool,
    pub starttls: bool,
    pub require_tls: bool,
    pub enhanced_status_codes: bool,
    pub chunking: bool,
    pub auth_plain: bool,
    pub auth_login: bool,
    /// SIZE was offered (RFC 1870).
    pub size: bool,
    /// Its limit in octets, when it named one above zero.
    pub size_octets_max: Option<u64>,
    /// Messages a session may send, as LIMITS says it (RFC 9422 §4.1).
    pub messages_max: Option<u64>,
}

impl Capabilities {
    pub(super) fn read(reply: &Reply<'_>) -> Self {
        let mut offered = Self::default();
        // The first line is the target's name.
        for line in reply.lines().skip(1) {
            offered.take_line(line);
        }
        offered
    }

    fn take_line(&mut self, line: &[u8]) {
        let mut words = line.split(|b| *b == b' ' || *b == b'=').filter(|word| !word.is_empty());
        let Some(keyword) = words.next() else { return };
        match keyword.to_ascii_uppercase().as_slice() {
            b"PIPELINING" => self.pipelining = true,
            b"8BITMIME" => self.eight_bit_mime = true,
            b"SMTPUTF8" => self.smtputf8 = true,
            b"STARTTLS" => self.starttls = true,
            b"REQUIRETLS" => self.require_tls = true,
            b"ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            b"CHUNKING" => self.chunking = true,
            b"SIZE" => {
                self.size = true;
                let limit = words.next().and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
                self.size_octets_max = limit.filter(|octets| *octets > 0);
            }
            b"LIMITS" => {
                while let Some(name) = words.next() {
                    if name.eq_ignore_ascii_case(b"MAILMAX") {
                        let limit =
                            words.next().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
                        self.messages_max = limit.filter(|messages| *messages > 0);
                    }
                }
            }
            b"AUTH" => {
                for mechanism in words {
                    self.auth_plain |= mechanism.eq_ignore_ascii_case(b"PLAIN");
                    self.auth_login |= mechanism.eq_ignore_ascii_case(b"LOGIN");
                }
            }
            _ => {}
        }
    }

    /// In words, for the checklist.
    pub fn describe(&self) -> String {
        let named = [
            (self.pipelining, "PIPELINING"),
            (self.eight_bit_mime, "8BITMIME"),
            (self.smtputf8, "SMTPUTF8"),
            (self.chunking, "CHUNKING"),
            (self.require_tls, "REQUIRETLS"),
            (self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            (self.auth_plain, "AUTH PLAIN"),
            (self.auth_login, "AUTH LOGIN"),
        ];
        let mut words: Vec<String> =
            named.iter().filter(|(offered, _)| *offered).map(|(_, name)| String::from(*name)).collect();
        if let Some(octets) = self.size_octets_max {
            words.push(format!("SIZE {octets}"));
        }
        if words.is_empty() { String::from("no extensions") } else { words.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_read_in_any_case_and_the_old_auth_form_too() {
        let octets = b"250-mx.test PIPELINING\r\n250-size 1000\r\n250-8bitmime\r\n250-AUTH=LOGIN\r\n250-AUTH PLAIN XOAUTH2\r\n250 SMTPUTF8\r\n";
        let offered = Capabilities::read(&Reply::parse(octets).unwrap());
        let wanted = Capabilities {
            eight_bit_mime: true,
            smtputf8: true,
            auth_plain: true,
            auth_login: true,
            size: true,
            size_octets_max: Some(1000),
            ..Capabilities::default()
        };
        assert_eq!(offered, wanted);
    }

    #[test]
    fn a2_the_limit_of_a_session_is_read_where_it_is_said() {
        let read = |line: &str| {
            let octets = format!("250-mx.test\r\n250 {line}\r\n");
            Capabilities::read(&Reply::parse(octets.as_bytes()).unwrap()).messages_max
        };
        assert_eq!(read("LIMITS MAILMAX=10 RCPTMAX=50000"), Some(10));
        assert_eq!(read("limits RCPTMAX=50000 mailmax=7"), Some(7));
        for none in ["LIMITS", "LIMITS MAILMAX=0", "LIMITS MAILMAX=many", "LIMITS RCPTMAX=5"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn a_size_of_zero_or_none_is_no_limit() {
        for line in
            [b"250-mx\r\n250 SIZE 0\r\n".as_slice(), b"250-mx\r\n250 SIZE\r\n", b"250-mx\r\n250 SIZE x\r\n"]
        {
            let offered = Capabilities::read(&Reply::parse(line).unwrap());
            assert!(offered.size && offered.size_octets_max.is_none());
        }
    }
}
