//! The leak guard's rules: places where personal data must not appear, because machines on the way log them.

/// Header fields that are meant for people and may hold a person's own data. Any other one (Message-ID,
/// Return-Path, List-*, X-*, References, Received …) is read, logged and echoed by machines.
const FOR_PEOPLE: [&str; 6] = ["subject", "to", "cc", "reply-to", "from", "sender"];

/// Whether a header field may hold `person.*`. Case does not matter (RFC 5322 §1.2.2).
pub fn header_may_hold_person(name: &str) -> bool {
    FOR_PEOPLE.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_read_by_people_may_hold_a_person() {
        for name in ["Subject", "TO", "cc", "Reply-To", "From", "Sender"] {
            assert!(header_may_hold_person(name), "{name}");
        }
        for name in [
            "Message-ID",
            "Return-Path",
            "List-Unsubscribe",
            "X-Mailer",
            "References",
            "In-Reply-To",
            "Received",
        ] {
            assert!(!header_may_hold_person(name), "{name}");
        }
    }
}
