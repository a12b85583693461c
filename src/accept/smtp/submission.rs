//! From an envelope and the octets of a message to a job.

use crate::accept::door::House;
use crate::accept::smtp::headers;
use crate::accept::smtp::session::Envelope;
use crate::fault::{Fault, Reason};
use crate::job::{Content, Job, SendNumber};

/// With `X-TokenRelay-Template` the job names a template of the relay and the rest of the message is dropped;
/// without it the message itself is the template.
///
/// # Errors
/// `bad-job` when the message is empty or its header cannot be used.
pub fn job(house: &House, envelope: Envelope, mut message: Vec<u8>) -> Result<Job, Fault> {
    if message.is_empty() {
        return Err(Fault::new(Reason::BadJob, "the message is empty"));
    }
    let asked = headers::take(&mut message)?;
    let send = match &asked.job_id {
        Some(job_id) => house.send_number(&envelope.engine.name, job_id),
        None => SendNumber::random(),
    };
    Ok(Job {
        send,
        engine: envelope.engine,
        token: envelope.token,
        content: match asked.template {
            Some(name) => Content::Template(name.into()),
            None => Content::Message(message.into()),
        },
        data: asked.data.unwrap_or_default(),
        locale: asked.locale,
        campaign: asked.campaign,
        purpose: asked.purpose,
        target: asked.target,
        expires: asked.expires,
        sender: Some(envelope.sender),
    })
}
