//! Builds a plan from the parts of a template: sender, subject, text, HTML, attachments.

use super::content::{Attached, Content, Leaf};
use super::mailbox::{self, Mailbox, Mailboxes, Name, Who};
use super::piece::Piece;
use super::{Envelope, Plan, fields_read};
use crate::render::encode::header::Unfoldable;
use crate::render::encode::{Address, Output, base64, header, parameter, word};
use crate::render::later_mail;
use crate::render::leak;
use crate::render::lint::Lint;
use crate::render::program::{Program, Syntax};
use crate::render::scope::FieldRules;
use crate::render::shown;
use std::sync::Arc;

/// Collects the parts of a message. `place` names the template in mistakes.
#[derive(Debug)]
pub struct PlanBuilder {
    place: String,
    fields: FieldRules,
    from: Option<(Name, Address)>,
    reply_to: Option<(Name, Address)>,
    to_name: Option<Program>,
    subject: Option<Program>,
    headers: Vec<Piece>,
    text: Option<Program>,
    html: Option<Program>,
    inline: Vec<Leaf>,
    attachments: Vec<Attached>,
    purposes: Box<[Box<str>]>,
    return_path: Option<Address>,
}

impl PlanBuilder {
    pub fn new(place: &str, fields: FieldRules) -> Self {
        Self {
            place: place.to_owned(),
            fields,
            from: None,
            reply_to: None,
            to_name: None,
            subject: None,
            headers: Vec::new(),
            text: None,
            html: None,
            inline: Vec::new(),
            attachments: Vec::new(),
            purposes: Box::default(),
            return_path: None,
        }
    }

    /// `news@shop.example` or `The Shop <news@shop.example>`; the name may hold placeholders.
    ///
    /// # Errors
    /// When it is not one mailbox, or the name is not a template.
    pub fn from(&mut self, mailbox: &str) -> Result<&mut Self, Vec<Lint>> {
        self.from = Some(self.mailbox("from", mailbox)?);
        Ok(self)
    }

    /// As [`PlanBuilder::from`].
    ///
    /// # Errors
    /// As [`PlanBuilder::from`].
    pub fn reply_to(&mut self, mailbox: &str) -> Result<&mut Self, Vec<Lint>> {
        self.reply_to = Some(self.mailbox("reply_to", mailbox)?);
        Ok(self)
    }

    /// Compiled as [`Syntax::Header`].
    pub fn subject(&mut self, program: Program) -> &mut Self {
        self.subject = Some(program);
        self
    }

    /// The recipient's display name. Without it the person's own name stands there, as far as the engine may
    /// reveal it. Compiled as [`Syntax::Header`].
    pub fn to_name(&mut self, program: Program) -> &mut Self {
        self.to_name = Some(program);
        self
    }

    /// Another header field, such as `List-Unsubscribe`. Compiled as [`Syntax::Header`].
    ///
    /// # Errors
    /// For a name that is none or that the relay writes itself, and for `person.*` in a field for machines.
    pub fn header(&mut self, name: &str, program: Program) -> Result<&mut Self, Vec<Lint>> {
        if !header::is_name(name) || is_ours(name) || name.contains("{{") {
            let cause = format!("the header '{}' cannot be set", name.escape_debug());
            return Err(self.lint(cause, "remove it; the relay writes the structural headers itself"));
        }
        if later_mail::asks_for_mail(name) {
            let cause = format!("the header '{name}' asks people's software to write to somebody later");
            return Err(self.lint(
                cause,
                "remove it: bounces go to return_path, answers to reply_to, and no receipts are asked for",
            ));
        }
        if fields_read(&program).next().is_some() && !leak::header_may_hold_person(name) {
            let cause = format!("person.* in the header {name}, which machines log");
            return Err(self.lint(cause, "use send.number or data.* there"));
        }
        if let Some(cause) = unfoldable_text(name, &program) {
            return Err(
                self.lint(format!("the header {name} holds {cause}"), "shorten it, or put a space in it")
            );
        }
        let (name, program): (Box<str>, _) = (name.into(), Arc::new(program));
        self.headers.push(if is_for_machines(&name) {
            Piece::Verbatim { name, program }
        } else {
            Piece::Text { name, program }
        });
        Ok(self)
    }

    /// Compiled as [`Syntax::Text`].
    pub fn text(&mut self, program: Program) -> &mut Self {
        self.text = Some(program);
        self
    }

    /// Compiled as [`Syntax::Html`].
    pub fn html(&mut self, program: Program) -> &mut Self {
        self.html = Some(program);
        self
    }

    /// A picture or the like that the HTML names as `cid:` and this id.
    ///
    /// # Errors
    /// For an id or a content type that cannot stand in a header.
    pub fn inline(&mut self, cid: &str, content_type: &str, bytes: &[u8]) -> Result<&mut Self, Vec<Lint>> {
        let is_id = !cid.is_empty() && cid.bytes().all(|b| word::is_atext(b) || b == b'.' || b == b'@');
        if !is_id || cid.len() > 200 {
            let cause = format!("'{}' cannot be a Content-ID", cid.escape_debug());
            return Err(self.lint(cause, "use letters, digits, '.', '-' and '_'"));
        }
        let mut out = self.leaf(content_type)?;
        out.put(format!("Content-ID: <{cid}>\r\nContent-Disposition: inline\r\n\r\n").as_bytes());
        base64::write(bytes, &mut out);
        self.inline.push(Leaf(out.as_bytes().to_vec()));
        Ok(self)
    }

    /// # Errors
    /// For a content type that cannot stand in a header.
    pub fn attachment(
        &mut self,
        name: &str,
        content_type: &str,
        bytes: &[u8],
    ) -> Result<&mut Self, Vec<Lint>> {
        let mut out = self.leaf(content_type)?;
        self.put_file_name(name, &mut out)?;
        out.put(b"\r\n");
        base64::write(bytes, &mut out);
        self.attachments.push(Attached::Same(Leaf(out.as_bytes().to_vec())));
        Ok(self)
    }

    /// A calendar or card that is filled in. Compiled as [`Syntax::ContentLines`].
    ///
    /// # Errors
    /// For a name with a placeholder.
    pub fn attached_lines(
        &mut self,
        name: &str,
        content_type: &str,
        program: Program,
    ) -> Result<&mut Self, Vec<Lint>> {
        let mut head = Output::unbounded();
        head.put(format!("Content-Type: {content_type}; charset=utf-8\r\n").as_bytes());
        self.put_file_name(name, &mut head)?;
        self.attachments
            .push(Attached::Filled { head: head.as_bytes().to_vec(), program: Box::new(program) });
        Ok(self)
    }

    fn put_file_name(&self, name: &str, out: &mut Output) -> Result<(), Vec<Lint>> {
        if shown::shows_in_line(name) {
            let cause = "the name of an attached file has a placeholder, and is never filled in";
            return Err(self.lint(cause, "rename the file"));
        }
        out.put(b"Content-Disposition: attachment");
        let mut clean = Output::unbounded();
        word::put_clean(name, &mut clean);
        parameter::write("filename", clean.as_text(), out);
        out.put(b"\r\n");
        Ok(())
    }

    /// What the message may be for; any, where none is named.
    pub fn purposes<'p>(&mut self, purposes: impl Iterator<Item = &'p str>) -> &mut Self {
        self.purposes = purposes.map(Box::from).collect();
        self
    }

    /// The envelope sender where the engine names none; without it, the address of `from`.
    ///
    /// # Errors
    /// When it is not an address.
    pub fn return_path(&mut self, address: &str) -> Result<&mut Self, Vec<Lint>> {
        match Address::parse(address) {
            Ok(_) if address.contains("{{") => return Err(self.in_an_address("return_path")),
            Ok(address) => self.return_path = Some(address),
            Err(cause) => return Err(self.lint(format!("return_path is {cause}"), "write local@domain")),
        }
        Ok(self)
    }

    /// # Errors
    /// When there is no sender, or neither text nor HTML.
    pub fn build(self) -> Result<Plan, Vec<Lint>> {
        if self.text.is_none() && self.html.is_none() {
            return Err(self.lint("there is no body", "add body.txt.hbs, body.html.hbs or both"));
        }
        let Some((from_name, from)) = self.from else {
            return Err(self.lint("there is no sender", "set from = \"Name <local@domain>\""));
        };
        let reply_to = self.reply_to.map(|(name, address)| Mailbox { name, who: Who::Literal(address) });
        let is_international =
            |mailbox: &Mailbox| matches!(&mailbox.who, Who::Literal(a) if a.needs_smtputf8());
        let envelope = Envelope {
            needs_smtputf8: from.needs_smtputf8() || reply_to.as_ref().is_some_and(is_international),
            from: Some(from.clone()),
            return_path: self.return_path,
            purposes: self.purposes,
            fields: self.fields,
        };
        let mut assembly = Assembly::default();
        assembly.mailbox("From", Mailbox { name: from_name, who: Who::Literal(from) });
        let to_name = self.to_name.map_or(Name::Default, |program| Name::Program(Arc::new(program)));
        assembly.mailbox("To", Mailbox { name: to_name, who: Who::Recipient });
        if let Some(reply_to) = reply_to {
            assembly.mailbox("Reply-To", reply_to);
        }
        if let Some(program) = self.subject {
            assembly.add(Piece::Text { name: "Subject".into(), program: Arc::new(program) });
        }
        assembly.add(Piece::Date);
        assembly.add(Piece::MessageId);
        for piece in self.headers {
            assembly.add(piece);
        }
        assembly.put(b"MIME-Version: 1.0\r\n");
        let content =
            Content { text: self.text, html: self.html, inline: self.inline, attachments: self.attachments };
        content.write(&mut assembly);
        Ok(Plan::whole(assembly.finish(), envelope))
    }

    fn mailbox(&self, what: &str, written: &str) -> Result<(Name, Address), Vec<Lint>> {
        let wrong = |cause: String| self.lint(cause, "write local@domain or Name <local@domain>");
        let mut list = mailbox::read_list(written.as_bytes());
        let (Some(only), None) = (list.pop(), list.pop()) else {
            return Err(wrong(format!("{what} is not one mailbox")));
        };
        let is_in_name = only.name.as_deref().is_some_and(is_program);
        if only.address.contains("{{") || written.contains("{{") && !is_in_name {
            return Err(self.in_an_address(what));
        }
        let address = Address::parse(&only.address).map_err(|cause| wrong(format!("{what} is {cause}")))?;
        let name = match only.name {
            None => Name::Literal("".into()),
            Some(name) if is_in_name => {
                let place = format!("{}: {what}", self.place);
                Name::Program(Arc::new(Program::compile(&name, Syntax::Header, &place)?))
            }
            Some(name) => Name::Literal(name.into()),
        };
        Ok((name, address))
    }

    fn in_an_address(&self, what: &str) -> Vec<Lint> {
        let cause = format!("{what} has a placeholder beside its display name, where none is filled in");
        self.lint(cause, "write the address out; only the display name may hold a placeholder")
    }

    fn leaf(&self, content_type: &str) -> Result<Output, Vec<Lint>> {
        let is_token =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| word::is_atext(byte) || byte == b'.');
        let is_type = content_type.split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub));
        if !is_type || content_type.len() > 100 {
            let cause = format!("'{}' is not a content type", content_type.escape_debug());
            return Err(self.lint(cause, "write it as image/png"));
        }
        let mut out = Output::unbounded();
        let fields = format!("Content-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n");
        out.put(fields.as_bytes());
        Ok(out)
    }

    fn lint(&self, cause: impl Into<String>, fix: &str) -> Vec<Lint> {
        vec![Lint::new(&self.place, (0, 0), cause, fix)]
    }
}

/// Whether a display name is to be compiled: it shows a placeholder, however it is written.
fn is_program(name: &str) -> bool {
    shown::shows_in_line(name)
}

/// Fields the relay writes, or that would change what the message is.
fn is_ours(name: &str) -> bool {
    const OURS: [&str; 10] = [
        "from",
        "to",
        "cc",
        "bcc",
        "reply-to",
        "subject",
        "date",
        "message-id",
        "mime-version",
        "return-path",
    ];
    let name = name.to_ascii_lowercase();
    OURS.contains(&name.as_str()) || name.starts_with("content-")
}

/// What stands in a field for machines whoever the job is for, and is too long for a line by itself.
fn unfoldable_text(name: &str, program: &Program) -> Option<Unfoldable> {
    let mut texts = program.fixed().iter().filter(|_| is_for_machines(name));
    texts.find_map(|text| header::verbatim(name, text, &mut Output::unbounded()).err())
}

/// Fields whose values are URLs and ids: encoded words would break them.
pub(in crate::render) fn is_for_machines(name: &str) -> bool {
    const EXACT: [&str; 6] =
        ["message-id", "references", "in-reply-to", "feedback-id", "auto-submitted", "precedence"];
    let is_list = name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("list-"));
    is_list || EXACT.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// What most stretches between two pieces fit into: a stretch is not made larger field by field.
const STRETCH_OCTETS: usize = 512;

/// Pieces in order, with neighbouring fixed octets drawn together.
#[derive(Default)]
pub(in crate::render) struct Assembly {
    pieces: Vec<Piece>,
    fixed: Vec<u8>,
}

impl Assembly {
    pub fn put(&mut self, bytes: &[u8]) {
        if self.fixed.is_empty() {
            self.fixed.reserve(bytes.len().max(STRETCH_OCTETS));
        }
        self.fixed.extend_from_slice(bytes);
    }

    pub fn add(&mut self, piece: Piece) {
        if !self.fixed.is_empty() {
            self.pieces.push(Piece::fixed(std::mem::take(&mut self.fixed)));
        }
        self.pieces.push(piece);
    }

    pub fn finish(mut self) -> Vec<Piece> {
        if !self.fixed.is_empty() {
            self.pieces.push(Piece::fixed(self.fixed));
        }
        self.pieces
    }

    fn mailbox(&mut self, header_name: &str, mailbox: Mailbox) {
        let (Name::Literal(name), Who::Literal(address)) = (&mailbox.name, &mailbox.who) else {
            return self.add(Piece::Mailboxes(Mailboxes {
                name: header_name.into(),
                list: vec![mailbox],
                never_empty: true,
            }));
        };
        let mut clean = Output::unbounded();
        word::put_clean(name, &mut clean);
        let mut out = Output::unbounded();
        let column = header::start(header_name, &mut out);
        mailbox::put(clean.as_text().trim(), address.as_str(), column, &mut out);
        out.put(b"\r\n");
        self.put(out.as_bytes());
    }
}
