//! What can be said of a job before its person is looked up.

use super::{Pipeline, Rules, literals, meant};
use crate::engine::Terms;
use crate::fault::{Fault, Reason};
use crate::job::{Content, Job, TokenKind};
use crate::nearest::did_you_mean;
use crate::render::{JobFacts, Judged, Moment, Plan};
use std::sync::Arc;
use std::time::SystemTime;

/// A job that may be sent, as far as can be said without the person.
pub(super) struct Accepted {
    pub plan: Arc<Plan>,
    /// Of a plan that depends on the person.
    pub judged: Option<Judged>,
}

impl Accepted {
    /// Whether the time a message takes would tell which way through it the person's values took.
    pub fn has_ways(&self) -> bool {
        self.judged.is_some()
    }
}

/// The template that a job most likely meant, of those that its engine may use. None where there is one of that name, which
/// is not there for everybody.
fn meant_template(name: &str, job: &Job, rules: &Rules) -> String {
    let granted = || rules.renderer.shelf().names().filter(|name| job.engine.may_use_template(name));
    if granted().any(|known| known == name) { String::new() } else { did_you_mean(name, granted()) }
}

/// The purpose that a job is sent for.
///
/// # Errors
/// Those of [`crate::engine::Engine::purpose`].
pub(super) fn purpose<'a>(job: &'a Job, plan: &'a Plan) -> Result<&'a str, Fault> {
    let template = match &job.content {
        Content::Template(name) => name,
        Content::Inline(_) | Content::Message(_) => "",
    };
    job.engine.purpose(job.purpose.as_deref(), Terms { template, purposes: plan.purposes() })
}

/// The envelope sender that the job names (the null one is everybody's), and what its content says.
fn check_senders(job: &Job, rules: &Rules) -> Result<(), Fault> {
    if let Some(sender) = job.sender.as_deref().filter(|sender| !sender.is_empty()) {
        job.engine.check_sender("MAIL FROM", sender)?;
    }
    let named = rules.renderer.named_senders(&job.content)?;
    named.iter().try_for_each(|named| job.engine.check_sender(named.place, &named.address))
}

impl Pipeline {
    /// What can be judged without looking up the person: the template, the engine's grants, the deadline, and, where the
    /// message depends on the person, the job's data.
    ///
    /// # Errors
    /// Why the job will never be sent as it is.
    pub fn judge(&self, job: &Job) -> Result<(), Fault> {
        let rules = self.rules.borrow().clone();
        self.accept(job, &rules).map(drop)
    }

    pub(super) fn accept(&self, job: &Job, rules: &Rules) -> Result<Accepted, Fault> {
        let plan = self.granted_plan(job, rules)?;
        if plan.may_be_too_long() {
            self.guesses.check(&job.engine.name)?;
        }
        let judged = plan.depends_on_person().then(|| {
            let now = self.clock.now();
            plan.judge(&self.facts(job, &now))
                .map_err(|fault| meant::with_meant_field(fault, job, &plan, rules))
        });
        Ok(Accepted { judged: judged.transpose()?, plan })
    }

    /// The plan of a job that its engine may have sent.
    fn granted_plan(&self, job: &Job, rules: &Rules) -> Result<Arc<Plan>, Fault> {
        if job.expires.is_some_and(|expires| expires <= SystemTime::now()) {
            return Err(Fault::expired());
        }
        if job.token.kind() == TokenKind::Mobile {
            return Err(Fault::new(
                Reason::NotAToken,
                "m_ tokens stand for phones and this relay sends mail; use the person's e_ token",
            ));
        }
        literals::check_words(job)?;
        if let Content::Template(name) = &job.content
            && !job.engine.may_use_template(name)
        {
            return Err(Fault::new(
                Reason::TemplateNotFound,
                format!(
                    "engine '{}' has no grant for this template; add it to templates of [[engine]]{}",
                    job.engine.name,
                    meant_template(name, job, rules)
                ),
            ));
        }
        let plan = rules.renderer.plan(&job.content, job.locale.as_deref()).map_err(|fault| {
            let mut fault = fault;
            if let (Content::Template(name), Reason::TemplateNotFound) = (&job.content, fault.reason) {
                fault.detail.to_mut().push_str(&meant_template(name, job, rules));
            }
            fault
        })?;
        literals::check_content(job, &plan)?;
        purpose(job, &plan)?;
        if job.engine.senders.is_some() {
            check_senders(job, rules)?;
        }
        let withheld = plan.person_fields().find(|field| !job.engine.may_reveal(field)).map(str::to_owned);
        match withheld {
            Some(field) => Err(Fault::new(
                Reason::FieldNotGranted,
                format!(
                    "engine '{}' may not reveal person.{field}; add it to fields of [[engine]]{}",
                    job.engine.name,
                    did_you_mean(&field, job.engine.fields.iter().map(String::as_str))
                ),
            )),
            None => Ok(plan),
        }
    }

    pub(super) fn facts<'a>(&self, job: &'a Job, now: &'a Moment) -> JobFacts<'a> {
        JobFacts {
            token: &job.token,
            data: &job.data,
            send: &job.send,
            campaign: job.campaign.as_deref(),
            size_max: self.limits.message_bytes_max,
            now,
        }
    }
}
