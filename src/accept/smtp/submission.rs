//! From an envelope and the octets of a message to jobs, one for each recipient.

use crate::accept::door::House;
use crate::accept::smtp::headers;
use crate::accept::smtp::merge;
use crate::accept::smtp::session::{Envelope, Recipient};
use crate::fault::{Fault, Reason};
use crate::job::{Content, Job, Repeat, SendNumber};
use std::time::Instant;

/// With `X-TokenRelay-Template` the jobs name a template of the relay and the rest of the message is dropped;
/// without it the message itself is the template.
///
/// # Errors
/// `bad-job` when the message is empty or its header cannot be used.
pub fn jobs(house: &House, envelope: Envelope, message: Vec<u8>) -> Result<Vec<Job>, Fault> {
    if message.is_empty() {
        return Err(Fault::new(Reason::BadJob, "the message is empty"));
    }
    let (mut asked, message) = headers::take(message)?;
    let content = match asked.template.take() {
        Some(name) => Content::Template(name.into()),
        None => Content::Message(match &envelope.merged {
            Some(names) => merge::translate(&message, names)?.into(),
            None => message,
        }),
    };
    let Envelope { engine, sender, recipients, require_tls, is_shared, .. } = envelope;
    // The last copy is the original: one recipient costs no copy.
    let copies = std::iter::repeat_n((asked, content, sender), recipients.len());
    let job = |(recipient, (asked, content, sender)): (Recipient, (headers::Asked, _, Box<str>))| {
        let Recipient { token, variables } = recipient;
        let mut data = asked.data.unwrap_or_default();
        data.extend(variables.data.iter().map(|(name, value)| (name.clone(), value.clone())));
        let send = match &asked.job_id {
            // A number is one person's. The token is in it even when this transaction has one recipient only, so
            // that a recipient who is tried again alone keeps the number.
            Some(job_id) if is_shared => house.shared_send_number(&engine.name, job_id, &token),
            Some(job_id) => house.send_number(&engine.name, job_id),
            None => SendNumber::fresh(),
        };
        Job {
            send,
            job_id: asked.job_id,
            engine: engine.clone(),
            token,
            content,
            data,
            locale: asked.locale,
            campaign: asked.campaign.or_else(|| variables.campaign.clone()),
            purpose: asked.purpose,
            target: asked.target,
            expires: asked.expires,
            sender: Some(variables.sender.clone().unwrap_or(sender)),
            require_tls,
            repeat: Repeat::No,
            read_at: Instant::now(),
        }
    };
    Ok(recipients.into_iter().zip(copies).map(job).collect())
}
