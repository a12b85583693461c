//! PowerMTA's merge verbs: `XMRG` opens, `XDFN` defines variables for the recipients that follow, `XPRT 1 LAST` has the
//! content. How many recipients fit is the door's rule as for any transaction, so no outcome is ever hidden behind
//! another one's answer.

use super::envelope::Variables;
use super::{Session, State, Transaction, Turn, read_line, reply};
use crate::accept::smtp::reply::Reply;
use crate::wire::merge::{self, Definition};
use crate::wire::path;
use std::sync::Arc;

/// Names and values of one transaction together.
const OCTETS_MAX: usize = 64 * 1024;
/// As a campaign named in a header.
const CAMPAIGN_OCTETS_MAX: usize = 128;

/// The definitions in force.
#[derive(Debug, Default)]
pub(super) struct Merge {
    pub variables: Arc<Variables>,
    /// A recipient was named since: the next definition begins a new set, so that no value of one recipient is
    /// carried over to another.
    pub is_used: bool,
    octets: usize,
}

impl Session {
    pub(super) fn on_define(&mut self, state: State, arguments: &str) -> Turn {
        let mut transaction = match state {
            State::Mail(transaction) | State::Addressed(transaction) if transaction.merge.is_some() => {
                transaction
            }
            state => return self.protest(state, reply(503, (5, 5, 1), "XMRG comes first")),
        };
        let Some(definitions) = merge::definitions(arguments) else {
            let refusal = reply(501, (5, 5, 4), "XDFN takes NAME=\"value\"; names are letters, digits and _");
            return self.protest(transaction.open(), refusal);
        };
        match transaction.define(&definitions) {
            Ok(()) => read_line(transaction.open(), Some(reply(250, (2, 0, 0), "Ok"))),
            Err(refusal) => self.protest(transaction.open(), refusal),
        }
    }
}

impl Transaction {
    fn define(&mut self, definitions: &[Definition<'_>]) -> Result<(), Reply> {
        let merge = self.merge.get_or_insert_default();
        let names = self.envelope.merged.get_or_insert_default();
        if std::mem::take(&mut merge.is_used) {
            merge.variables = Arc::default();
        }
        let variables = Arc::make_mut(&mut merge.variables);
        for Definition { name, value } in definitions {
            merge.octets += name.len() + value.len();
            if merge.octets > OCTETS_MAX {
                return Err(reply(
                    552,
                    (5, 3, 4),
                    "too-large: the variables of one transaction are over 64 KiB",
                ));
            }
            if name.starts_with('*') {
                variables.reserve(name, value)?;
                continue;
            }
            names.insert((*name).into());
            variables.data.insert((*name).into(), (*value).into());
        }
        Ok(())
    }
}

impl Variables {
    /// The names with a meaning of their own.
    fn reserve(&mut self, name: &str, value: &str) -> Result<(), Reply> {
        let is = |ours: &str| name.eq_ignore_ascii_case(ours);
        match () {
            () if is("*parts") && value != "1" => {
                return Err(reply(504, (5, 5, 4), "a merge has one part here; write *parts=1"));
            }
            () if is("*from") => self.sender = Some(sender(value)?),
            () if is("*jobid") => {
                if !(1..=CAMPAIGN_OCTETS_MAX).contains(&value.len()) {
                    return Err(reply(501, (5, 5, 4), "*jobid has 1 to 128 octets"));
                }
                self.campaign = Some(value.into());
            }
            // The relay has no virtual MTAs and sends no reports: taken, and of no effect.
            () if is("*parts") || is("*vmta") || is("*envid") => {}
            () => {
                return Err(reply(
                    501,
                    (5, 5, 4),
                    "of the names with * there are *parts *from *jobid *vmta *envid",
                ));
            }
        }
        Ok(())
    }
}

fn sender(value: &str) -> Result<Box<str>, Reply> {
    let written = if value.starts_with('<') { value.to_owned() } else { format!("<{value}>") };
    match path::parse(&written) {
        Ok((None, "")) => Ok("".into()),
        Ok((Some(address), "")) if !address.domain().is_empty() && !address.is_international() => {
            Ok(address.written().into())
        }
        _ => Err(reply(501, (5, 1, 7), "*from is not an address")),
    }
}
