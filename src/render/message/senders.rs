//! Who an engine's message says it is from, and where it wants answers: what grants of senders are held against. The header
//! is read as it is for the message's plan, so both see the same addresses.

use super::head::{is_own_address, read_list, token};
use super::outline::Outline;
use crate::fault::Fault;
use crate::job::Token;

/// An address that the message names, and the field it stands in.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub place: &'static str,
    /// Empty where an entry of the field has none.
    pub address: String,
}

/// # Errors
/// Those of reading a message's header.
pub fn named_senders(raw: &[u8], token_of: &dyn Fn(&str) -> Option<Token>) -> Result<Vec<Named>, Fault> {
    let outline = Outline::read(raw)?;
    let declared = outline.declared();
    let mut named = Vec::new();
    for place in ["From", "Sender", "Reply-To"] {
        for field in outline.head.iter().filter(|field| field.is(place)) {
            let list = read_list(&field.value_in_utf8(declared)?);
            // A value nobody can read an address from says something else to somebody else.
            if list.is_empty() {
                named.push(Named { place, address: String::new() });
            }
            let is_recipient = |address: &str| {
                place == "Reply-To" && (is_own_address(address) || token(token_of, address).is_some())
            };
            let others = list.into_iter().map(|entry| entry.address).filter(|address| !is_recipient(address));
            named.extend(others.map(|address| Named { place, address }));
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(head: &str) -> Vec<(&'static str, String)> {
        let domains = [String::from("tokens.example")];
        let raw = format!("{head}\r\nSubject: x\r\n\r\nx\r\n");
        let named =
            named_senders(raw.as_bytes(), &|address| Token::from_address(address, &domains).ok()).unwrap();
        named.into_iter().map(|named| (named.place, named.address)).collect()
    }

    #[test]
    fn p10_every_address_that_a_reader_may_see_is_named() {
        for (head, addresses) in [
            ("From: Shop <a@x.example>", vec![("From", "a@x.example")]),
            ("From: a@x.example, B <b@y.example>", vec![("From", "a@x.example"), ("From", "b@y.example")]),
            ("From:\r\n =?utf-8?q?a=40good.example?= <b@y.example>", vec![("From", "b@y.example")]),
            ("From: All: a@x.example, b@y.example;", vec![("From", "a@x.example"), ("From", "b@y.example")]),
            (
                "from: a@x.example\r\nSENDER: b@y.example",
                vec![("From", "a@x.example"), ("Sender", "b@y.example")],
            ),
            ("Reply-To: e_0123456789@tokens.example, c@z.example", vec![("Reply-To", "c@z.example")]),
            ("Reply-To: <{{person.email}}>", vec![]),
            ("Sender: e_0123456789@tokens.example", vec![("Sender", "e_0123456789@tokens.example")]),
            ("From: nobody", vec![("From", "")]),
            ("From:", vec![("From", "")]),
        ] {
            let addresses: Vec<_> =
                addresses.into_iter().map(|(place, text)| (place, text.to_owned())).collect();
            assert_eq!(named(head), addresses, "{head}");
        }
    }
}
