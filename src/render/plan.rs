//! A plan: a whole message with all that is the same for every person written out already. Rendering fills in the rest.

pub mod boundary;
pub mod builder;
mod content;
pub mod judge;
pub mod mailbox;
mod moment;
pub mod piece;
mod reserve;
mod size;

pub use super::body::Transfer;
pub use builder::PlanBuilder;
pub use judge::{Fit, JobFacts, Judged};
pub use moment::Moment;
pub use size::Size;

use super::encode::{Address, Output};
use super::program::{Flow, Program};
use super::run::VALUE_BYTES_MAX;
use super::scope::{FieldRules, Scope};
use super::unfilled::Literal;
use crate::fault::{Fault, Reason};
use crate::job::{Data, SendNumber, Token};
use crate::message::Message;
use crate::person::{FIELD_VALUE_BYTES_MAX, Person};
use crate::personal::Personal;
use piece::Piece;
use reserve::{HEADER, Reserve};
use size::{Filled, VALUES_OCTETS_MAX};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A message, ready to be filled in for one person after another.
#[derive(Debug)]
pub struct Plan {
    /// Header fields of one message alone; nothing in a template.
    head: Vec<Piece>,
    /// All the rest, shared by every message that differs in those fields only.
    rest: Arc<Pieces>,
    /// What stands in place of each [`Piece::Boundary`].
    boundaries: Arc<[Box<str>]>,
    head_flow: Flow,
    /// What people would read as it stands, in the head.
    unmeant: Box<[Literal]>,
    /// Whose domain stands in Message-ID, and the envelope sender where nothing else says one. Else that sender stands in for it.
    from: Option<Address>,
    return_path: Option<Address>,
    purposes: Box<[Box<str>]>,
    fields: FieldRules,
    reserve: Reserve,
    /// An address other than the recipient's has letters outside ASCII in its local part.
    needs_smtputf8: bool,
}

/// Pieces in order, and what is known of them together.
#[derive(Debug)]
pub struct Pieces {
    list: Vec<Piece>,
    person_fields: BTreeSet<String>,
    reserve: Reserve,
    cost: usize,
    /// Programs among them.
    programs: usize,
    flow: Flow,
    values_at_most: usize,
    /// A part that has to leave as it came, and has 8-bit octets.
    eight_bit_part: Option<Box<str>>,
    /// What people would read as it stands.
    unmeant: Box<[Literal]>,
}

/// The part of a plan that is one message's own.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub pieces: Vec<Piece>,
    pub boundaries: Arc<[Box<str>]>,
    /// What people would read as it stands.
    pub unmeant: Box<[Literal]>,
}

/// One person's message to be made.
#[derive(Clone, Copy)]
pub struct RenderRequest<'a> {
    pub person: &'a Person,
    /// The token the job was addressed to. A message that is its own template has it replaced in address headers.
    pub token: &'a Token,
    pub data: &'a Data,
    pub send: &'a SendNumber,
    pub campaign: Option<&'a str>,
    /// Envelope sender asked for by the engine; `Some("")` is the null reverse-path.
    pub sender: Option<&'a str>,
    pub transfer: Transfer,
    /// Which fields may stand in `To` where the template names none.
    pub may_reveal: &'a dyn Fn(&str) -> bool,
    /// Octets of the finished message, at most, the person's values not counted.
    pub size_max: usize,
    pub now: &'a Moment,
}

impl<'a> RenderRequest<'a> {
    pub fn job(&self) -> JobFacts<'a> {
        JobFacts {
            token: self.token,
            data: self.data,
            send: self.send,
            campaign: self.campaign,
            size_max: self.size_max,
            now: self.now,
        }
    }
}

/// A message as it goes to the target.
#[derive(Debug)]
pub struct Finished {
    /// CRLF line ends, the last line included; not dot-stuffed. What is the person's own is wiped when dropped.
    pub message: Message,
    pub size: Size,
    /// Envelope sender, empty for the null reverse-path.
    pub sender: String,
    pub recipient: Personal<String>,
    /// The target must be told `BODY=8BITMIME`. With [`Transfer::SevenBit`] this happens only where
    /// [`Plan::needs_eight_bit`] says so.
    pub eight_bit: bool,
    /// The target must be told `SMTPUTF8`.
    pub smtputf8: bool,
}

/// Whom a message is from and for.
struct Ends<'p> {
    recipient: Address,
    sender: String,
    from: Cow<'p, Address>,
}

/// What a plan knows besides its pieces.
#[derive(Debug)]
pub(super) struct Envelope {
    pub from: Option<Address>,
    pub return_path: Option<Address>,
    pub purposes: Box<[Box<str>]>,
    pub fields: FieldRules,
    pub needs_smtputf8: bool,
}

impl Plan {
    /// The envelope sender where the engine names none.
    pub fn own_sender(&self) -> Option<&str> {
        self.return_path.as_ref().or(self.from.as_ref()).map(Address::as_str)
    }

    /// A plan that is the same for every job.
    pub(super) fn whole(pieces: Vec<Piece>, envelope: Envelope) -> Self {
        Self::assemble(Head::default(), Arc::new(Pieces::new(pieces)), envelope)
    }

    /// With what was found in the texts that it was made of.
    pub(super) fn with_unmeant(self, unmeant: Box<[Literal]>) -> Self {
        Self { unmeant, ..self }
    }

    pub(super) fn assemble(head: Head, rest: Arc<Pieces>, envelope: Envelope) -> Self {
        Self {
            reserve: Reserve::of(&head.pieces).and(rest.reserve).and(HEADER),
            head_flow: flow(&head.pieces),
            head: head.pieces,
            unmeant: head.unmeant,
            rest,
            boundaries: head.boundaries,
            from: envelope.from,
            return_path: envelope.return_path,
            purposes: envelope.purposes,
            fields: envelope.fields,
            needs_smtputf8: envelope.needs_smtputf8,
        }
    }

    /// The person fields that the text reveals; one may come twice. The address in `To` and in RCPT is not counted:
    /// the engine asked for mail to it.
    pub fn person_fields(&self) -> impl Iterator<Item = &str> {
        let of_head = self.head.iter().flat_map(Piece::programs).flat_map(fields_read);
        of_head.chain(&self.rest.person_fields).map(String::as_str)
    }

    /// Placeholders in a content that came with its job that nobody fills in: people would read them as they stand.
    pub fn unmeant(&self) -> impl Iterator<Item = &Literal> {
        self.unmeant.iter().chain(&self.rest.unmeant)
    }

    /// What its template says it may be for; none, where the job may say.
    pub fn purposes(&self) -> &[Box<str>] {
        &self.purposes
    }

    /// The part, for people, that only a target with 8BITMIME (RFC 6152) can take: it has 8-bit octets and cannot be
    /// encoded anew, as it is signed, a message of its own, or in an encoding nobody knows.
    pub fn needs_eight_bit(&self) -> Option<&str> {
        self.rest.eight_bit_part.as_deref()
    }

    /// Octets a finished message takes, nearly: what to make room for before rendering.
    pub fn octets_nearly(&self) -> usize {
        self.reserve.octets
    }

    /// Octets of memory held, nearly.
    pub fn cost_bytes(&self) -> usize {
        size_of::<Self>() + self.head.iter().map(Piece::cost_bytes).sum::<usize>() + self.rest.cost_bytes()
    }

    /// Whether the message has to be judged before the person is known: the person's values decide what stands in it.
    pub fn depends_on_person(&self) -> bool {
        self.head_flow.max(self.rest.flow) == Flow::Forked
    }

    /// Whether there may be persons whose values are too long for it.
    pub fn may_be_too_long(&self) -> bool {
        let in_head = self.head.iter().flat_map(Piece::programs).map(Program::values_at_most);
        let values = in_head.fold(self.rest.values_at_most, usize::saturating_add);
        values.saturating_mul(FIELD_VALUE_BYTES_MAX) > VALUE_BYTES_MAX
    }

    /// Makes one person's message.
    ///
    /// # Errors
    /// `missing-field` when a required field or the address is absent or not usable, `too-large` past
    /// `size_max`, `bad-job` for data that cannot stand where it lands or a sender that is not an address. Which of them
    /// depends on no value of the person; that values are too long is [`Fault::of_values`].
    pub fn render(&self, request: &RenderRequest<'_>) -> Result<Finished, Fault> {
        if self.depends_on_person() {
            return self.render_judged(request, &self.judge(&request.job())?);
        }
        let ends = self.ends(request)?;
        match self.fill(request, &ends) {
            Ok(filled) if filled.size().is_surely_within(request.size_max) => Ok(self.finished(ends, filled)),
            filled => self.looked_at_again(request, ends, filled),
        }
    }

    /// As [`Plan::render`], with what [`Plan::judge`] found.
    ///
    /// # Errors
    /// As [`Plan::render`].
    pub fn render_judged(&self, request: &RenderRequest<'_>, judged: &Judged) -> Result<Finished, Fault> {
        let ends = self.ends(request)?;
        judged.check_needs(request.person)?;
        match self.fill(request, &ends) {
            Ok(filled) => Ok(self.finished(ends, filled)),
            // A day may have passed since it was judged.
            failed => self.looked_at_again(request, ends, failed),
        }
    }

    /// A fault of the filling is not told as it is: the walk that knows no person says what is wrong for everybody.
    fn looked_at_again(
        &self,
        request: &RenderRequest<'_>,
        ends: Ends<'_>,
        filled: Result<Filled, Fault>,
    ) -> Result<Finished, Fault> {
        self.judge(&request.job())?.check_needs(request.person)?;
        match filled {
            Ok(filled) => Ok(self.finished(ends, filled)),
            Err(_) => Err(Fault::of_values()),
        }
    }

    fn ends(&self, request: &RenderRequest<'_>) -> Result<Ends<'_>, Fault> {
        let recipient = recipient(request.person)?;
        let sender = self.sender(request.sender)?;
        let from = match &self.from {
            Some(from) => Cow::Borrowed(from),
            None => Cow::Owned(stand_in(&sender)?),
        };
        Ok(Ends { recipient, sender, from })
    }

    fn fill(&self, request: &RenderRequest<'_>, ends: &Ends<'_>) -> Result<Filled, Fault> {
        let scope = Scope {
            person: request.person,
            data: request.data,
            send: request.send,
            campaign: request.campaign,
            date: request.now.day(),
            fields: &self.fields,
        };
        let filling = piece::Filling {
            scope,
            request,
            recipient: &ends.recipient,
            from: &ends.from,
            boundaries: &self.boundaries,
        };
        let size_max = request.size_max.saturating_add(VALUES_OCTETS_MAX);
        let mut out = Output::sharing((self.reserve.own, self.reserve.shared), size_max);
        let mut common = self.reserve.octets;
        for piece in self.head.iter().chain(&self.rest.list) {
            common += piece.write(&filling, &mut out)?;
        }
        out.end_line();
        let message = out.finish().map_err(|_| Fault::of_values())?;
        Ok(Filled { message, common })
    }

    fn finished(&self, ends: Ends<'_>, filled: Filled) -> Finished {
        let Ends { recipient, sender, .. } = ends;
        let (size, message) = (filled.size(), filled.message);
        Finished {
            size,
            eight_bit: !message.is_ascii(),
            message,
            smtputf8: self.needs_smtputf8 || recipient.needs_smtputf8() || !sender.is_ascii(),
            sender,
            recipient: Personal::new(recipient.as_str().to_owned()),
        }
    }

    fn sender(&self, asked: Option<&str>) -> Result<String, Fault> {
        match asked {
            Some("") => Ok(String::new()),
            Some(asked) => Address::parse(asked)
                .map(|address| address.as_str().to_owned())
                .map_err(|_| Fault::new(Reason::BadJob, "the envelope sender is not an address")),
            None => Ok(self.own_sender().map(str::to_owned).unwrap_or_default()),
        }
    }
}

impl Pieces {
    pub(super) fn new(list: Vec<Piece>) -> Self {
        let programs = || list.iter().flat_map(Piece::programs);
        Self {
            person_fields: programs().flat_map(fields_read).cloned().collect(),
            reserve: Reserve::of(&list),
            cost: list.iter().map(Piece::cost_bytes).sum::<usize>() + size_of::<Self>(),
            programs: programs().count(),
            flow: flow(&list),
            values_at_most: programs().map(Program::values_at_most).fold(0, usize::saturating_add),
            list,
            eight_bit_part: None,
            unmeant: Box::default(),
        }
    }

    pub(super) fn with_unmeant(self, unmeant: Box<[Literal]>) -> Self {
        Self { unmeant, ..self }
    }

    pub(super) fn needing_eight_bit(self, part: Option<Box<str>>) -> Self {
        Self { eight_bit_part: part, ..self }
    }

    /// Octets of memory held, nearly.
    pub fn cost_bytes(&self) -> usize {
        self.cost
    }

    pub(super) fn programs(&self) -> usize {
        self.programs
    }
}

fn flow(pieces: &[Piece]) -> Flow {
    pieces.iter().flat_map(Piece::programs).map(Program::flow).max().unwrap_or(Flow::Even)
}

/// Every person field a program reads.
pub(super) fn fields_read(program: &Program) -> impl Iterator<Item = &String> {
    let uses = program.uses();
    uses.person.iter().chain(&uses.person_guarded)
}

/// The address that takes the place of From's.
fn stand_in(sender: &str) -> Result<Address, Fault> {
    Address::parse(sender).map_err(|_| {
        let cause = "the header From has no address, and the envelope sender is empty and cannot stand in for it; \
                     write From: Name <local@domain>";
        Fault::new(Reason::BadJob, cause)
    })
}

fn recipient(person: &Person) -> Result<Address, Fault> {
    let email = person.email().ok_or_else(|| {
        Fault::new(Reason::MissingField, "the person has no e-mail address; add the field email in the vault")
    })?;
    Address::parse(email).map_err(|_| {
        Fault::new(
            Reason::MissingField,
            "the person's email field is not an address of the form local@domain; correct it in the vault",
        )
    })
}

fn too_large(size_max: usize) -> Fault {
    Fault::new(Reason::TooLarge, format!("the finished message is larger than {size_max} bytes"))
}

#[cfg(test)]
mod tests;
