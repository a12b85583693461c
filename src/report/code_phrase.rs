//! What reply codes say, in words: where what a target said may not be told, and where it said nothing that is understood.

use crate::fault::{Enhanced, ReplyCode};

/// By the enhanced code (RFC 3463 and IANA's registry of them), or else by the basic one (RFC 5321 §4.2.3).
pub fn phrase(code: ReplyCode) -> &'static str {
    let of_enhanced = code.enhanced.and_then(|Enhanced(_, subject, detail)| of_enhanced(subject, detail));
    of_enhanced.unwrap_or_else(|| of_basic(code.basic))
}

fn of_enhanced(subject: u16, detail: u16) -> Option<&'static str> {
    Some(match (subject, detail) {
        (1, 1) => "no such mailbox",
        (1, 2 | 10) => "the recipient's domain takes no mail",
        (1, 3) => "the recipient's address is malformed",
        (1, 4) => "the recipient's address is ambiguous",
        (1, 6) => "the mailbox has moved",
        (1, 7) => "the sender's address is malformed",
        (1, 8) => "the sender's domain is not accepted",
        (1, _) => "about the address",
        (2, 1) => "the mailbox is disabled",
        (2, 2) => "the mailbox is full",
        (2, 3) => "the message is too large for the mailbox",
        (2, 4) => "the mailing list cannot be expanded",
        (2, _) => "about the mailbox",
        (3, 1) => "the mail system is full",
        (3, 2) => "the mail system takes no messages now",
        (3, 3) => "the mail system lacks a feature",
        (3, 4) => "the message is too large",
        (3, 5) => "the mail system is configured incorrectly",
        (3, _) => "about the mail system",
        (4, 1) => "no answer from the next host",
        (4, 2) => "a bad connection",
        (4, 3) => "a directory server failed",
        (4, 4) => "no route to the recipient's domain",
        (4, 5) => "congestion",
        (4, 6) => "a loop in the routing",
        (4, 7) => "the delivery time has expired",
        (4, _) => "about the network or routing",
        (5, 1) => "an invalid command",
        (5, 2) => "a syntax error",
        (5, 3) => "too many recipients or messages",
        (5, 4) => "invalid arguments of a command",
        (5, _) => "about the protocol",
        (6, 3) => "a conversion is needed and not supported",
        (6, 7) => "an international address is not supported",
        (6, _) => "about the content",
        (7, 1) => "not permitted",
        (7, 2) => "not permitted to send to this list",
        (7, 8) => "the credentials are invalid",
        (7, 9) => "the authentication mechanism is too weak",
        (7, 10 | 11) => "encryption is needed",
        (7, 13) => "the account is disabled",
        (7, 20..=22 | 26) => "DKIM or DMARC did not pass",
        (7, 23 | 24) => "SPF did not pass",
        (7, 25) => "the reverse DNS entry is missing or wrong",
        (7, 27) => "the sender's domain takes no mail",
        (7, 28) => "too much mail",
        (7, 30) => "REQUIRETLS is needed",
        (7, _) => "about security or policy",
        _ => return None,
    })
}

fn of_basic(code: u16) -> &'static str {
    match code {
        421 => "the service is not available",
        450 => "the mailbox is not available now",
        451 => "a local error in processing",
        452 => "insufficient storage, or too much at once",
        454 => "a temporary failure of authentication",
        455 | 555 => "a parameter cannot be accommodated",
        500..=502 => "a syntax error or an unknown command",
        503 => "a bad sequence of commands",
        504 => "a parameter that is not implemented",
        521 => "the host takes no mail",
        530 | 535 | 534 | 538 => "authentication is required, or failed",
        550 => "the mailbox is not available",
        551 => "the recipient is not local",
        552 => "storage exceeded",
        553 => "the address is not allowed",
        554 => "the transaction failed",
        556 => "the recipient's domain takes no mail",
        400..=499 => "a temporary failure",
        _ => "a permanent failure",
    }
}
