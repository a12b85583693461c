//! What becomes of a message's own header fields. This runs for every message, so what can go out as it is costs a look.

use super::field::Field;
use super::outline::Outline;
use super::trace::{self, Fate};
use super::{Reader, bad_job, has_placeholder, misplaced, word};
use crate::fault::Fault;
use crate::job::Token;
use crate::render::encode::Address;
use crate::render::literals::may_begin_in;
use crate::render::plan::mailbox::{self, Mailbox, Mailboxes, Name, Who, Written};
use crate::render::plan::piece::Piece;
use crate::render::program::Syntax;
use crate::render::unfilled::Literal;

/// The head of one message's plan.
pub struct Heading {
    pub pieces: Vec<Piece>,
    /// Programs among them.
    pub programs: usize,
    /// The first address of From; none where it has none.
    pub from: Option<Address>,
    pub needs_smtputf8: bool,
    /// Placeholders of other products in Subject and in names.
    pub unmeant: Box<[Literal]>,
}

impl Heading {
    /// # Errors
    /// Those of [`crate::render::Plan::from_message`] that are about header fields.
    pub fn read(
        outline: &Outline<'_>,
        token_of: &dyn Fn(&str) -> Option<Token>,
        reader: Reader<'_>,
    ) -> Result<Self, Fault> {
        let from = sender(&outline.head);
        let mut reader = HeadReader { reader, token_of, needs_smtputf8: false };
        for field in &outline.head {
            reader.field(field)?;
        }
        reader.add_missing(&outline.head);
        let Reader { assembly, programs, unmeant, .. } = reader.reader;
        let needs_smtputf8 = reader.needs_smtputf8 || from.as_ref().is_some_and(Address::needs_smtputf8);
        let unmeant = unmeant.into_list();
        Ok(Self { pieces: assembly.finish(), programs, from, needs_smtputf8, unmeant })
    }
}

/// The first address of From.
fn sender(fields: &[Field<'_>]) -> Option<Address> {
    let from = fields.iter().find(|field| field.is("from"))?;
    let list = mailbox::read_list(from.value.trim_ascii_end());
    list.iter().find_map(|mailbox| Address::parse(&mailbox.address).ok())
}

struct HeadReader<'c> {
    reader: Reader<'c>,
    token_of: &'c dyn Fn(&str) -> Option<Token>,
    needs_smtputf8: bool,
}

impl HeadReader<'_> {
    fn field(&mut self, field: &Field<'_>) -> Result<(), Fault> {
        let holds_addresses = ["to", "cc", "reply-to", "from", "sender"].iter().any(|name| field.is(name));
        if holds_addresses {
            self.look_at(field);
            return self.mailboxes(field);
        }
        // Not sent on either way; an engine that puts a person there is told, as for every such field.
        if field.is("return-path") && field.has_placeholder() {
            let text = field.text(self.reader.declared)?;
            return self.reader.impersonal(field.name, &text).map(drop);
        }
        match trace::fate(field, self.token_of)? {
            Fate::Drop => Ok(()),
            Fate::Keep => {
                if field.is("subject") {
                    self.look_at(field);
                }
                self.reader.field(field)
            }
        }
    }

    /// What cannot be decoded is judged where it is read.
    fn look_at(&mut self, field: &Field<'_>) {
        let may_hold_word = field.may_hold_word();
        if !may_hold_word && !may_begin_in(field.value) {
            return;
        }
        if let Ok(text) = field.text(self.reader.declared) {
            self.reader.unmeant.look_at(&text, Syntax::Header);
        }
        if !may_hold_word {
            return;
        }
        if let Some(unended) = word::decode_unended(&String::from_utf8_lossy(field.value)) {
            self.reader.unmeant.look_at(&unended.text, Syntax::Header);
        }
    }

    fn add_missing(&mut self, fields: &[Field<'_>]) {
        let lacks = |name: &str| !fields.iter().any(|field| field.is(name));
        let assembly = &mut self.reader.assembly;
        if lacks("from") {
            assembly.add(Piece::From);
        }
        if lacks("to") {
            assembly.add(Piece::Mailboxes(Mailboxes {
                name: "To".into(),
                list: Vec::new(),
                never_empty: true,
            }));
        }
        if lacks("date") {
            assembly.add(Piece::Date);
        }
        if lacks("message-id") {
            assembly.add(Piece::MessageId);
        }
        assembly.add(Piece::SendNumber);
    }

    fn mailboxes(&mut self, field: &Field<'_>) -> Result<(), Fault> {
        // The sender is the engine's business: a token there is an address like any other.
        let may_be_person = !(field.is("from") || field.is("sender"));
        let may_stay = !field.has_placeholder() && !has_quoted_braces(field.value) && !field.is_unlawful();
        if may_stay && !may_be_person {
            self.reader.put_line(field.raw);
            return Ok(());
        }
        let value = field.value_in_utf8(self.reader.declared)?;
        let written = read_list(&value);
        let token_of = |entry: &Written| if may_be_person { self.token(&entry.address) } else { None };
        let tokens: Vec<Option<Token>> = written.iter().map(token_of).collect();
        if may_stay && tokens.iter().all(Option::is_none) {
            self.reader.put_line(field.raw);
            return Ok(());
        }
        if written.iter().any(|entry| entry.name.as_ref().is_some_and(|name| name.contains('\u{fffd}'))) {
            return Err(unreadable_name(field.name));
        }
        let mut list = Vec::with_capacity(written.len());
        for (entry, token) in written.into_iter().zip(tokens) {
            list.push(self.mailbox(field.name, (entry, token), may_be_person)?);
        }
        let never_empty = field.is("to");
        self.reader.assembly.add(Piece::Mailboxes(Mailboxes { name: field.name.into(), list, never_empty }));
        Ok(())
    }

    fn mailbox(
        &mut self,
        header: &str,
        (entry, token): (Written, Option<Token>),
        may_be_person: bool,
    ) -> Result<Mailbox, Fault> {
        let who = match token {
            Some(token) => Who::Token(token),
            None if may_be_person && is_own_address(&entry.address) => Who::Recipient,
            None if has_placeholder(&entry.address) => {
                return Err(misplaced(format!(
                    "a placeholder in an address of {header}; only a display name may hold one"
                )));
            }
            None => Who::Literal(
                Address::parse(&entry.address)
                    .map_err(|_| bad_job(format!(
                        "an address in the header {header} cannot be read; write Name <local@domain>, with commas between"
                    )))?,
            ),
        };
        self.needs_smtputf8 |= matches!(&who, Who::Literal(address) if address.needs_smtputf8());
        let name = match entry.name {
            Some(name) if has_placeholder(&name) => Name::Program(self.reader.header_program(&name, header)?),
            // Engines without a name for somebody repeat the address; the token must not reach anybody.
            Some(name) if !self.names_a_token(&name) => Name::Literal(name.into()),
            _ if matches!(who, Who::Literal(_)) => Name::Literal("".into()),
            _ => Name::Default,
        };
        Ok(Mailbox { name, who })
    }

    fn token(&self, address: &str) -> Option<Token> {
        token(self.token_of, address)
    }

    fn names_a_token(&self, name: &str) -> bool {
        name.split([' ', '<', '>', '"', '\'', ',']).any(|stretch| (self.token_of)(stretch).is_some())
    }
}

/// Sendmail and its like take a local part for an address, and so it is here.
pub fn token(token_of: &dyn Fn(&str) -> Option<Token>, address: &str) -> Option<Token> {
    token_of(address).or_else(|| bare_token(address))
}

fn bare_token(local: &str) -> Option<Token> {
    if local.contains('@') { None } else { Token::from_local(local).ok() }
}

/// A token by itself is an address, and not the name of nobody.
pub fn read_list(value: &str) -> Vec<Written> {
    let mut written = mailbox::read_list(value.trim_ascii_end().as_bytes());
    for entry in written.iter_mut().filter(|entry| entry.address.is_empty()) {
        let is_token = |name: &mut String| bare_token(name.trim()).is_some();
        entry.address = entry.name.take_if(is_token).unwrap_or_default();
    }
    written
}

/// Two braces of which readers take the backslashes off, as of any letter in quotes (RFC 5322 §3.2.4).
fn has_quoted_braces(value: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', value)
        .any(|at| value[..at].ends_with(b"{") && value[at + 1..].starts_with(b"{"))
}

fn unreadable_name(header: &str) -> Fault {
    misplaced(format!(
        "a name in the header {header} has letters that cannot be read in their charset; write it in UTF-8"
    ))
}

/// `{{person.email}}`, however it is spaced.
pub fn is_own_address(address: &str) -> bool {
    let inner = address.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    inner.is_some_and(|path| path.trim_matches(['{', '}', ' ']) == "person.email")
}
