//! Fields of a message's header that are not sent on: those that speak of the message as it came, that are for this relay
//! only, that name hidden recipients, that make somebody's software write to others later, or that name a token beside the
//! person's address.

use super::field::Field;
use super::misplaced;
use super::word::{self, Text};
use crate::fault::Fault;
use crate::job::Token;
use crate::render::later_mail;

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Keep,
    Drop,
}

/// # Errors
/// `bad-template` for a token in a field that means something to a reader: without it the message would not be the same.
pub fn fate(field: &Field<'_>, token_of: &dyn Fn(&str) -> Option<Token>) -> Result<Fate, Fault> {
    if is_dropped(field) {
        return Ok(Fate::Drop);
    }
    if !names_a_token(field.value, token_of) && !hides_a_token(field, token_of) {
        return Ok(Fate::Keep);
    }
    if means_something(field) {
        return Err(misplaced(format!(
            "the header {} names a token, which must not reach anybody; write {{{{send.number}}}} in its place",
            field.name
        )));
    }
    Ok(Fate::Drop)
}

fn is_dropped(field: &Field<'_>) -> bool {
    const EXACT: [&str; 14] = [
        "bcc",
        "return-path",
        "dkim-signature",
        "dkim2-signature",
        "domainkey-signature",
        "x-google-dkim-signature",
        "x-send-number",
        "content-length",
        "delivered-to",
        "x-original-to",
        "x-envelope-to",
        "envelope-to",
        "x-rcpt-to",
        "apparently-to",
    ];
    let starts = |with: &str| field.name.get(..with.len()).is_some_and(|s| s.eq_ignore_ascii_case(with));
    EXACT.iter().any(|name| field.is(name))
        || starts("arc-")
        || starts("x-tokenrelay-")
        || later_mail::asks_for_mail(field.name)
}

/// Without such a field the reader, or the engine, would miss something. Any other one is traces of earlier hops,
/// requests for receipts, or an engine's own notes.
fn means_something(field: &Field<'_>) -> bool {
    const EXACT: [&str; 7] =
        ["subject", "comments", "keywords", "message-id", "in-reply-to", "references", "feedback-id"];
    let is_list = field.name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("list-"));
    is_list || EXACT.iter().any(|name| field.is(name))
}

/// In an encoded word. A subject is written by people and read by them, and decoded at some cost.
fn hides_a_token(field: &Field<'_>, token_of: &dyn Fn(&str) -> Option<Token>) -> bool {
    let has_word = !field.is("subject") && field.may_hold_word();
    has_word && {
        let Text { text, .. } = word::decode(&String::from_utf8_lossy(field.value));
        names_a_token(text.as_bytes(), token_of)
    }
}

/// Whether a token's address stands anywhere in a value, also as part of another address (`bounce+e_1=tokens.example@…`).
fn names_a_token(value: &[u8], token_of: &dyn Fn(&str) -> Option<Token>) -> bool {
    let is_local = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.".contains(octet);
    let is_domain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-.".contains(octet);
    memchr::memchr3_iter(b'@', b'=', b'%', value).any(|at| {
        let sign = match &value[at..] {
            [b'%', b'4', b'0', ..] => 3,
            [b'%', ..] => return false,
            _ => 1,
        };
        let local = value[..at].iter().rev().take_while(|octet| is_local(octet)).count();
        let behind = &value[at + sign..];
        let domain = &behind[..behind.iter().take_while(|octet| is_domain(octet)).count()];
        if local == 0 || domain.is_empty() {
            return false;
        }
        let local = &value[at - local..at];
        let domain = domain.strip_suffix(b".").unwrap_or(domain);
        let is_token = |local: &[u8]| {
            let address = [local, b"@", domain].concat();
            std::str::from_utf8(&address).is_ok_and(|address| token_of(address).is_some())
        };
        // The local part of another address may end in the token.
        let begins = |start: &usize| matches!(&local[*start..], [b'e' | b'E' | b'm' | b'M', b'_', ..]);
        (0..local.len()).filter(begins).any(|start| is_token(&local[start..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate_of(line: &str) -> Option<Fate> {
        let domains = [String::from("tokens.example")];
        let raw = format!("{line}\r\n");
        let split = super::super::field::split(raw.as_bytes()).unwrap();
        fate(&split.fields[0], &|address| Token::from_address(address, &domains).ok()).ok()
    }

    #[test]
    fn no_field_takes_a_token_along() {
        for dropped in [
            "Received: from a by b for <e_0123456789@tokens.example>; Thu",
            "Delivered-To: e_0123456789@tokens.example",
            "Disposition-Notification-To: <E_0123456789@Tokens.Example>",
            "Errors-To: bounce+e_0123456789=tokens.example@shop.example",
            "X-Rcpt: shop-e_0123456789@tokens.example.",
            "X-Rcpt: =?utf-8?q?e=5F0123456789=40tokens.example?=",
            "Final-Recipient: rfc822;e_0123456789@tokens.example",
        ] {
            assert_eq!(fate_of(dropped), Some(Fate::Drop), "{dropped}");
        }
        for kept in [
            "Received: from a by b for <news@shop.example>; Thu",
            "X-Note: e_0123456789",
            "X-Note: e_@tokens.example",
        ] {
            assert_eq!(fate_of(kept), Some(Fate::Keep), "{kept}");
        }
        assert_eq!(fate_of("Subject: for e_0123456789@tokens.example"), None);
        assert_eq!(fate_of("List-Unsubscribe: <https://x.test/?to=e_0123456789%40tokens.example>"), None);
        assert_eq!(fate_of("List-Unsubscribe: <mailto:u-e_0123456789@tokens.example>"), None);
    }
    #[test]
    fn p10_nobody_is_asked_to_write_later() {
        for name in [
            "Disposition-Notification-To",
            "DISPOSITION-NOTIFICATION-OPTIONS",
            "Return-Receipt-To",
            "Errors-To",
            "X-Confirm-Reading-To",
            "Read-Receipt-To",
            "X-PMRQC",
            "Generate-Delivery-Report",
            "Prevent-NonDelivery-Report",
            "Notice-Requested-Upon-Delivery-To",
            "Mail-Followup-To",
            "Return-Path",
            "Delivered-To",
            "X-Original-To",
            "Original-Recipient",
            "Resent-From",
            "Resent-Reply-To",
        ] {
            for line in [
                format!("{name}: bounces@shop.example"),
                format!("{name} : 1"),
                format!("{name}:\r\n a@b.example"),
            ] {
                assert_eq!(fate_of(&line), Some(Fate::Drop), "{line}");
            }
        }
        for kept in
            ["X-Errors: 1", "Reply: a@b.example", "Sent-From: a@b.example", "List-Post: <mailto:a@b.example>"]
        {
            assert_eq!(fate_of(kept), Some(Fate::Keep), "{kept}");
        }
    }
}
