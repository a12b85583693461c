//! Mailboxes of address headers (RFC 5322 §3.4): literal ones, the person's, and tokens.

use super::piece::{Filling, HeaderText, clean_text};
use crate::fault::Fault;
use crate::job::Token;
use crate::person::Person;
use crate::render::encode::{Address, Output, header, word};
use crate::render::program::Program;
use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address as Parsed, HeaderValue};
use std::sync::Arc;

/// One mailbox of a header.
#[derive(Debug)]
pub struct Mailbox {
    pub name: Name,
    pub who: Who,
}

/// The display name.
#[derive(Debug)]
pub enum Name {
    /// The person's own name, as far as the engine may reveal it; none where `who` is not the person.
    Default,
    Literal(Box<str>),
    Program(Arc<Program>),
}

/// The address.
#[derive(Debug)]
pub enum Who {
    Literal(Address),
    /// The person the message is for.
    Recipient,
    /// The person, if this is the token of the job; else nobody: other people's tokens are never resolved.
    Token(Token),
}

impl Mailbox {
    pub fn program(&self) -> Option<&Program> {
        match &self.name {
            Name::Program(program) => Some(program),
            Name::Default | Name::Literal(_) => None,
        }
    }
}

/// A header of mailboxes.
#[derive(Debug)]
pub struct Mailboxes {
    pub name: Box<str>,
    pub list: Vec<Mailbox>,
    /// Where nobody is left: name the recipient (`To`), or leave the header out.
    pub never_empty: bool,
}

impl Mailboxes {
    /// Gives the bytes that the programs of names put out, as [`Program::run`] does.
    ///
    /// # Errors
    /// Those of [`Program::run`], and `too-large` for a name past the limit of header text.
    pub fn write(&self, filling: &Filling<'_>, out: &mut Output) -> Result<usize, Fault> {
        let is_named = |mailbox: &&Mailbox| match &mailbox.who {
            Who::Literal(_) | Who::Recipient => true,
            Who::Token(token) => token == filling.request.token,
        };
        let fallback = Mailbox { name: Name::Default, who: Who::Recipient };
        let mut named = self.list.iter().filter(is_named).peekable();
        let only = (named.peek().is_none() && self.never_empty).then_some(&fallback);
        let (mut column, mut bytes) = (0, 0);
        for (index, mailbox) in named.chain(only).enumerate() {
            if index == 0 {
                column = header::start(&self.name, out);
            } else {
                out.push(b',');
                column = header::separate(1, column + 1, out);
            }
            let name = mailbox.name_text(filling)?;
            column = put(name.text.as_text().trim(), mailbox.address(filling).as_str(), column, out);
            bytes += name.bytes;
        }
        if column > 0 {
            out.put(b"\r\n");
        }
        Ok(bytes)
    }
}

impl Mailbox {
    fn address<'f>(&'f self, filling: &Filling<'f>) -> &'f Address {
        match &self.who {
            Who::Literal(address) => address,
            Who::Recipient | Who::Token(_) => filling.recipient,
        }
    }

    fn name_text(&self, filling: &Filling<'_>) -> Result<HeaderText, Fault> {
        let text = match (&self.name, &self.who) {
            (Name::Program(program), _) => return clean_text(program, &filling.scope),
            (Name::Literal(text), _) => {
                let mut clean = Output::new(text.len(), usize::MAX);
                word::put_clean(text, &mut clean);
                clean
            }
            (Name::Default, Who::Literal(_)) => Output::unbounded(),
            (Name::Default, _) => own_name(filling.request.person, filling.request.may_reveal),
        };
        Ok(HeaderText { text, bytes: 0 })
    }
}

/// Writes `name <address>`, or the address alone. `name` is clean ([`word::put_clean`]).
pub fn put(name: &str, address: &str, column: usize, out: &mut Output) -> usize {
    if name.is_empty() {
        return word::fold_before(address.len(), column, out, |out| out.put(address.as_bytes()));
    }
    let column = word::phrase(name, column, out);
    let column = header::separate(address.len() + 2, column, out);
    out.push(b'<');
    out.put(address.as_bytes());
    out.push(b'>');
    column + address.len() + 2
}

/// `name`, else first and last name; only what may be revealed.
fn own_name(person: &Person, may_reveal: &dyn Fn(&str) -> bool) -> Output {
    let field = |name: &str| if may_reveal(name) { person.field(name) } else { None };
    let mut clean = Output::new(128, super::piece::HEADER_TEXT_OCTETS_MAX);
    if let Some(name) = field("name") {
        word::put_clean(name, &mut clean);
        return clean;
    }
    for part in ["first_name", "last_name"].into_iter().filter_map(field) {
        if !clean.is_empty() {
            clean.push(b' ');
        }
        word::put_clean(part, &mut clean);
    }
    clean
}

/// A mailbox as written: display name and address, encoded words decoded, groups dissolved.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    pub name: Option<String>,
    pub address: String,
}

/// Reads the value of an address header. An entry without an address has an empty one.
pub fn read_list(value: &[u8]) -> Vec<Written> {
    plain_mailbox(value).map_or_else(|| read_any_list(value), |only| vec![only])
}

/// `Name <address>`, `<address>` or the address alone, all of letters and digits and signs that mean nothing else.
/// Nearly every value is one, and the parser takes its time for it.
fn plain_mailbox(value: &[u8]) -> Option<Written> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    let is_word = |octet: u8| octet.is_ascii_alphanumeric() || b".-_+".contains(&octet);
    let (name, address) = match text.strip_suffix('>') {
        Some(rest) => rest.split_once('<')?,
        None => ("", text),
    };
    let name = name.trim_matches([' ', '\t']);
    let is_plain = name.bytes().all(|octet| is_word(octet) || octet == b' ')
        && address.bytes().all(|octet| is_word(octet) || octet == b'@')
        && address.contains('@');
    let name = || if name.is_empty() { None } else { Some(name.to_owned()) };
    is_plain.then(|| Written { name: name(), address: address.to_owned() })
}

fn read_any_list(value: &[u8]) -> Vec<Written> {
    let line = [value, b"\n"].concat();
    let HeaderValue::Address(parsed) = MessageStream::new(&line).parse_address() else { return Vec::new() };
    let written = |addr: Addr<'_>| {
        let address = addr.address.unwrap_or_default().into_owned();
        let name = addr.name.map(|name| name.into_owned()).filter(|name| !name.trim().is_empty());
        Written { name, address }
    };
    match parsed {
        Parsed::List(list) => list.into_iter().map(written).collect(),
        Parsed::Group(groups) => groups.into_iter().flat_map(|group| group.addresses).map(written).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_plain_mailbox_reads_as_the_parser_reads_it(
            value in "[ \t]{0,2}([A-Za-z.+_-]{1,4}[ ]{0,2}){0,3}[ \t]{0,2}<?[a-z.+_@-]{0,9}(@[a-z.]{1,5})?>?[ \t]{0,2}|[ -~]{0,12}"
        ) {
            if let Some(plain) = plain_mailbox(value.as_bytes()) {
                prop_assert_eq!(vec![plain], read_any_list(value.as_bytes()), "{:?}", value);
            }
        }
    }
}
