//! What becomes of each header field of an engine's message.

use super::field::Field;
use super::{Inside, Part, Reader, bad_job, has_placeholder, leaf, misplaced};
use crate::fault::Fault;
use crate::render::encode::eight_bit::LINE_OCTETS_MAX;
use crate::render::encode::{Address, Output, header, word};
use crate::render::leak;
use crate::render::plan::builder::is_for_machines;
use crate::render::plan::fields_read;
use crate::render::plan::mailbox::{self, Mailbox, Mailboxes, Name, Who, Written};
use crate::render::plan::piece::Piece;
use crate::render::program::{Program, Syntax};

/// Fields that may stand once only (RFC 5322 §3.6); readers differ in which of two they show.
const SINGLE: [&str; 9] =
    ["from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id", "content-type"];

/// # Errors
/// `bad-job` for a field that stands twice and may stand once only.
pub fn check(fields: &[Field<'_>]) -> Result<(), Fault> {
    for name in SINGLE {
        if fields.iter().filter(|field| field.is(name)).count() > 1 {
            return Err(bad_job(format!("the header {name} stands twice (RFC 5322 §3.6); send it once")));
        }
    }
    Ok(())
}

/// The first address of From.
pub fn sender(fields: &[Field<'_>]) -> Option<Address> {
    let from = fields.iter().find(|field| field.is("from"))?;
    let list = mailbox::read_list(from.value.trim_ascii_end());
    list.first().and_then(|first| Address::parse(&first.address).ok())
}

/// Fields that speak of the message as it came, that are for this relay only, or that name hidden recipients.
fn is_dropped(name: &str) -> bool {
    const EXACT: [&str; 9] = [
        "bcc",
        "resent-bcc",
        "return-path",
        "dkim-signature",
        "dkim2-signature",
        "domainkey-signature",
        "x-google-dkim-signature",
        "x-send-number",
        "content-length",
    ];
    let name = name.to_ascii_lowercase();
    EXACT.contains(&name.as_str()) || name.starts_with("arc-") || name.starts_with("x-tokenrelay-")
}

impl Reader<'_> {
    /// Writes the fields of a part that `keep` lets through, without the empty line, and for the message itself
    /// those that it lacks.
    pub(super) fn header(
        &mut self,
        part: &Part<'_>,
        inside: Inside,
        keep: impl Fn(&Field<'_>) -> bool,
    ) -> Result<(), Fault> {
        for field in part.fields.iter().filter(|field| keep(field)) {
            if part.is_root {
                self.root_field(field)?;
            } else {
                self.field(field, inside)?;
            }
        }
        if part.is_root {
            self.add_missing(&part.fields);
        }
        Ok(())
    }

    fn add_missing(&mut self, fields: &[Field<'_>]) {
        let lacks = |name: &str| !fields.iter().any(|field| field.is(name));
        if lacks("to") {
            self.assembly.add(Piece::Mailboxes(Mailboxes {
                name: "To".into(),
                list: Vec::new(),
                never_empty: true,
            }));
        }
        if lacks("date") {
            self.assembly.add(Piece::Date);
        }
        if lacks("message-id") {
            self.assembly.add(Piece::MessageId);
        }
        self.assembly.add(Piece::SendNumber);
    }

    fn root_field(&mut self, field: &Field<'_>) -> Result<(), Fault> {
        match field.name.to_ascii_lowercase().as_str() {
            // Not sent on either way; an engine that puts a person there is told, as for every such field.
            "return-path" if field.has_placeholder() => self.impersonal(field.name, &field.text()).map(drop),
            name if is_dropped(name) => Ok(()),
            "to" | "cc" | "reply-to" | "from" | "sender" => self.mailboxes(field),
            _ => self.field(field, Inside::default()),
        }
    }

    fn field(&mut self, field: &Field<'_>, inside: Inside) -> Result<(), Fault> {
        let has_placeholder = field.has_placeholder();
        if has_placeholder && inside.is_sealed {
            return Err(sealed());
        }
        if !has_placeholder && (inside.is_sealed || !field.is_unlawful()) {
            self.assembly.put(field.raw);
            return Ok(());
        }
        if has_placeholder && is_structure(field.name) {
            let text = format!("a placeholder in {}; put it in a text or in Subject", field.name);
            return Err(misplaced(text));
        }
        if has_placeholder {
            return self.program_field(field.name, &field.text());
        }
        let out = written_anew(field);
        if out.as_bytes().split(|byte| *byte == b'\n').any(|line| line.len() > LINE_OCTETS_MAX + 1) {
            return Err(bad_job(format!("the header {} has a line past 998 octets", field.name)));
        }
        self.assembly.put(out.as_bytes());
        Ok(())
    }

    fn program_field(&mut self, name: &str, text: &str) -> Result<(), Fault> {
        let program = self.impersonal(name, text)?;
        let name: Box<str> = name.into();
        self.assembly.add(if is_for_machines(&name) {
            Piece::Verbatim { name, program }
        } else {
            Piece::Text { name, program }
        });
        Ok(())
    }

    /// Compiles a field's value; the leak guard refuses a person in what machines read.
    fn impersonal(&mut self, name: &str, text: &str) -> Result<Program, Fault> {
        let program = self.compile(text, Syntax::Header, name)?;
        if fields_read(&program).next().is_some() && !leak::header_may_hold_person(name) {
            return Err(misplaced(format!(
                "person.* in the header {name}, which machines log; use send.number or data.* there"
            )));
        }
        Ok(program)
    }

    fn mailboxes(&mut self, field: &Field<'_>) -> Result<(), Fault> {
        // The sender is the engine's business: a token there is an address like any other.
        let may_be_person = !(field.is("from") || field.is("sender"));
        let written = mailbox::read_list(field.value.trim_ascii_end());
        let has_token =
            may_be_person && written.iter().any(|entry| (self.token_of)(&entry.address).is_some());
        if !has_token && !field.has_placeholder() && !field.is_unlawful() {
            self.assembly.put(field.raw);
            return Ok(());
        }
        let mut list = Vec::with_capacity(written.len());
        for entry in written {
            list.push(self.mailbox(field.name, entry, may_be_person)?);
        }
        let never_empty = field.is("to");
        self.assembly.add(Piece::Mailboxes(Mailboxes { name: field.name.into(), list, never_empty }));
        Ok(())
    }

    fn mailbox(&mut self, header: &str, entry: Written, may_be_person: bool) -> Result<Mailbox, Fault> {
        let token = if may_be_person { (self.token_of)(&entry.address) } else { None };
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
                    .map_err(|_| bad_job(format!("an address in {header} cannot be read")))?,
            ),
        };
        self.needs_smtputf8 |= matches!(&who, Who::Literal(address) if address.needs_smtputf8());
        let name = match entry.name {
            Some(name) if has_placeholder(&name) => {
                Name::Program(self.compile(&name, Syntax::Header, header)?)
            }
            // Engines without a name for somebody repeat the address; the token must not reach anybody.
            Some(name) if !self.names_a_token(&name) => Name::Literal(name.into()),
            _ if matches!(who, Who::Literal(_)) => Name::Literal("".into()),
            _ => Name::Default,
        };
        Ok(Mailbox { name, who })
    }

    fn names_a_token(&self, name: &str) -> bool {
        name.split([' ', '<', '>', '"', '\'', ',']).any(|stretch| (self.token_of)(stretch).is_some())
    }
}

/// A field with its text encoded and folded as it should have been.
fn written_anew(field: &Field<'_>) -> Output {
    let mut out = Output::unbounded();
    if (field.is("content-type") || field.is("content-disposition"))
        && leaf::put_structured(field, &mut out).is_some()
    {
        return out;
    }
    let mut clean = Output::unbounded();
    word::put_clean(&field.text(), &mut clean);
    if is_for_machines(field.name) || is_structure(field.name) {
        header::verbatim(field.name, clean.as_text(), &mut out);
    } else {
        header::unstructured(field.name, clean.as_text(), &mut out);
    }
    out
}

pub fn sealed() -> Fault {
    misplaced(
        "a placeholder in a signed or encrypted part, which cannot be changed; sign after personalising",
    )
}

/// `{{person.email}}`, however it is spaced.
fn is_own_address(address: &str) -> bool {
    let inner = address.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    inner.is_some_and(|path| path.trim_matches(['{', '}', ' ']) == "person.email")
}

/// Fields that say how the part is built.
fn is_structure(name: &str) -> bool {
    const STRUCTURE: [&str; 6] = [
        "content-type",
        "content-transfer-encoding",
        "content-disposition",
        "content-id",
        "content-location",
        "mime-version",
    ];
    STRUCTURE.iter().any(|known| known.eq_ignore_ascii_case(name))
}
