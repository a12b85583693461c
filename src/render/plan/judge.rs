//! What is the same for everybody of one job's message: whether it can be made at all, what it needs of a person, and
//! how large it is without the person's values. Only this decides about limits: what an engine is told must not depend
//! on a value.

use super::mailbox::{Mailbox, Mailboxes, Name, Who};
use super::piece::{BOUNDARY_OCTETS_MAX, Piece, check_header_text, write_verbatim};
use super::size::{Size, VALUES_OCTETS_MAX};
use super::{Moment, Plan, too_large};
use crate::fault::Fault;
use crate::job::{Data, SendNumber, Token};
use crate::person::{Person, PersonBuilder};
use crate::render::encode::Output;
use crate::render::expression::no_such_field;
use crate::render::judge::Tally;
use crate::render::program::Program;
use crate::render::scope::Scope;
use crate::render::seen::Facts;
use std::collections::BTreeSet;

/// Octets that a person's value is held to take on the wire at most, wherever a limit has to leave room for it. No name
/// or address is as long in any encoding.
const VALUE_OCTETS_MAX: usize = 1024;
/// Octets of a field that the relay writes, or of an address in one, at most.
const FIELD_OCTETS: usize = 512;

/// A job, without the person it is for.
#[derive(Clone, Copy)]
pub struct JobFacts<'a> {
    pub token: &'a Token,
    pub data: &'a Data,
    pub send: &'a SendNumber,
    pub campaign: Option<&'a str>,
    /// Octets of the finished message, at most, the person's values not counted.
    pub size_max: usize,
    pub now: &'a Moment,
}

/// What holds for a job's message whoever the person is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// Fields of the person that are needed for one way through it or another.
    needs: BTreeSet<Box<str>>,
    /// Octets on the wire at most, without the person's values.
    octets: usize,
    /// Values of the person.
    values: usize,
}

/// Whether a message keeps a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Fits,
    /// It might not, for one person or another: it is held to be too large for everybody.
    TooLarge,
    /// It would for everybody whose values are not so long.
    ValuesTooLong,
}

impl Judged {
    /// # Errors
    /// `missing-field`, naming the first that the person lacks.
    pub fn check_needs(&self, person: &Person) -> Result<(), Fault> {
        let absent = self.needs.iter().find(|field| person.field(field).is_none());
        absent.map_or(Ok(()), |field| Err(no_such_field(field)))
    }

    fn add(&mut self, program: &Program, facts: Facts<'_>) -> Result<Tally, Fault> {
        let judged = program.judge(facts)?;
        for field in judged.needs {
            if !self.needs.contains(field) {
                self.needs.insert(field.into());
            }
        }
        self.values += judged.tally.values;
        Ok(judged.tally)
    }

    fn add_header(&mut self, name: &str, program: &Program, facts: Facts<'_>) -> Result<(), Fault> {
        let tally = self.add(program, facts)?;
        check_header_text(tally.bytes)?;
        self.octets += name.len() + tally.weight.header();
        Ok(())
    }

    /// No person stands in it, so it is written as it will be.
    fn add_verbatim(&mut self, name: &str, program: &Program, facts: Facts<'_>) -> Result<(), Fault> {
        let nobody = PersonBuilder::default().build();
        let Facts { data, send, campaign, date, fields } = facts;
        let mut out = Output::unbounded();
        write_verbatim(
            name,
            program,
            &Scope { person: &nobody, data, send, campaign, date, fields },
            &mut out,
        )?;
        self.octets += out.len();
        Ok(())
    }

    fn add_piece(&mut self, piece: &Piece, job: &JobFacts<'_>, facts: Facts<'_>) -> Result<(), Fault> {
        match piece {
            Piece::Fixed(_) | Piece::ByTransfer { .. } => self.octets += piece.fixed_octets(),
            Piece::Text { name, program } => self.add_header(name, program, facts)?,
            Piece::Verbatim { name, program } => self.add_verbatim(name, program, facts)?,
            Piece::Mailboxes(mailboxes) => self.add_mailboxes(mailboxes, job, facts)?,
            Piece::From | Piece::Date | Piece::MessageId | Piece::SendNumber => self.octets += FIELD_OCTETS,
            Piece::Boundary(_) => self.octets += BOUNDARY_OCTETS_MAX,
            Piece::Body(body) => {
                let tally = self.add(body.program(), facts)?;
                self.octets += body.octets_at_most(tally.weight);
            }
        }
        Ok(())
    }

    fn add_mailboxes(
        &mut self,
        mailboxes: &Mailboxes,
        job: &JobFacts<'_>,
        facts: Facts<'_>,
    ) -> Result<(), Fault> {
        self.octets += mailboxes.name.len() + FIELD_OCTETS;
        // The name and address of a person for whom there is no other mailbox.
        self.values += 2;
        for Mailbox { name, who } in &mailboxes.list {
            match who {
                Who::Token(token) if token != job.token => continue,
                Who::Token(_) | Who::Recipient => self.values += 1,
                Who::Literal(address) => self.octets += address.as_str().len() + FIELD_OCTETS,
            }
            match name {
                Name::Program(program) => self.add_header("", program, facts)?,
                Name::Literal(name) => self.octets += 4 * name.len(),
                Name::Default => self.values += 1,
            }
        }
        Ok(())
    }
}

impl Plan {
    /// Judges the message for everybody at once, before the person is known. The first fault in the order of the message
    /// is told.
    ///
    /// # Errors
    /// As [`Plan::render`], but for those that are a person's: a field or an address that is not there, and values that are
    /// too long.
    pub fn judge(&self, job: &JobFacts<'_>) -> Result<Judged, Fault> {
        let facts = Facts {
            data: job.data,
            send: job.send,
            campaign: job.campaign,
            date: job.now.day(),
            fields: &self.fields,
        };
        let mut judged = Judged::default();
        for piece in self.head.iter().chain(&self.rest.list) {
            judged.add_piece(piece, job, facts)?;
        }
        if judged.octets > job.size_max { Err(too_large(job.size_max)) } else { Ok(judged) }
    }

    /// Whether a message of this plan keeps the limit of somebody who asks for no more than `octets_max`.
    ///
    /// # Errors
    /// As [`Plan::judge`].
    pub fn fit(&self, job: &JobFacts<'_>, size: Size, octets_max: usize) -> Result<Fit, Fault> {
        let is_for_nobody = || -> Result<bool, Fault> {
            let judged = self.judge(job)?;
            let values = (VALUE_OCTETS_MAX * judged.values).min(VALUES_OCTETS_MAX);
            Ok(judged.octets + values > octets_max)
        };
        Ok(if !size.is_surely_within(octets_max) && is_for_nobody()? {
            Fit::TooLarge
        } else if size.octets > octets_max {
            Fit::ValuesTooLong
        } else {
            Fit::Fits
        })
    }
}
