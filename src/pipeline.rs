//! The walk of one job: from a token and a template to the first MTA's answer.

use crate::fault::{Fault, Reason};
use crate::inject::{DeliverError, Delivery, Injector, TargetHandle};
use crate::job::{Content, Job, SendNumber};
use crate::person::Person;
use crate::render::{Finished, Plan, RenderRequest, Renderer, Transfer};
use crate::resolve::{ConsentRule, Resolver, admit};
use crate::telemetry::StageHistograms;
use crate::ticket::{Board, Outcome, Relayed, StageTimes};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// What a reload of the configuration may change while jobs flow.
pub struct Rules {
    pub renderer: Renderer,
    pub consent: ConsentRule,
}

#[derive(Debug, Clone, Copy)]
pub struct PipelineLimits {
    pub message_bytes_max: usize,
    /// How long a job may wait for the first MTA to take it.
    pub handoff_wait: Duration,
}

/// The stages in the order data flows.
pub struct Pipeline {
    pub rules: watch::Receiver<Arc<Rules>>,
    pub resolver: Resolver,
    pub injector: Injector,
    pub board: Arc<Board>,
    pub stages: StageHistograms,
    pub limits: PipelineLimits,
}

impl Pipeline {
    /// Takes on one job and carries it to its one outcome.
    pub async fn submit(&self, job: Job) -> (SendNumber, Outcome) {
        let send = job.send.clone();
        let (ticket, _outcome) = self.board.issue(send.clone());
        let mut times = StageTimes::default();
        let outcome = match self.walk(&job, &mut times).await {
            Ok(relayed) => Outcome::Relayed(Relayed { times, ..relayed }),
            Err(fault) => Outcome::Failed(fault),
        };
        self.stages.observe(&times);
        log(&job, &outcome);
        ticket.settle(outcome.clone());
        (send, outcome)
    }

    async fn walk(&self, job: &Job, times: &mut StageTimes) -> Result<Relayed, Fault> {
        let rules = self.rules.borrow().clone();
        let plan = self.accept(job, &rules)?;
        let person = self.resolve(job, &plan, rules.consent, times).await?;
        self.render_and_inject(job, &plan, &person, times).await
    }

    /// What can be judged without knowing the person: the template, the engine's grants, the job's deadline.
    fn accept(&self, job: &Job, rules: &Rules) -> Result<Arc<Plan>, Fault> {
        if job.expires.is_some_and(|expires| expires <= SystemTime::now()) {
            return Err(Fault::expired());
        }
        if let Content::Template(name) = &job.content
            && !job.engine.may_use_template(name)
        {
            return Err(Fault::new(
                Reason::TemplateNotFound,
                format!("engine '{}' has no grant for this template; add it to templates of [[engine]]", job.engine.name),
            ));
        }
        let plan = rules.renderer.plan(&job.content, job.locale.as_deref())?;
        match plan.person_fields().find(|field| !job.engine.may_reveal(field)) {
            Some(field) => Err(Fault::new(
                Reason::FieldNotGranted,
                format!("engine '{}' may not reveal person.{field}; add it to fields of [[engine]]", job.engine.name),
            )),
            None => Ok(plan),
        }
    }

    async fn resolve(
        &self,
        job: &Job,
        plan: &Plan,
        consent: ConsentRule,
        times: &mut StageTimes,
    ) -> Result<Arc<Person>, Fault> {
        let purpose = job.engine.purpose(job.purpose.as_deref(), plan.purpose())?;
        let started = Instant::now();
        let person = self.resolver.person(&job.token).await;
        times.resolve = started.elapsed();
        let person = person?;
        admit(&person, purpose, consent, today)?;
        Ok(person)
    }

    async fn render_and_inject(
        &self,
        job: &Job,
        plan: &Plan,
        person: &Arc<Person>,
        times: &mut StageTimes,
    ) -> Result<Relayed, Fault> {
        let target = self.injector.choose(job.target.as_deref())?;
        let deadline = tokio::time::Instant::now() + self.limits.handoff_wait;
        let preferred = if target.eight_bit() { Transfer::EightBit } else { Transfer::SevenBit };
        let delivery = self.render(job, plan, person, preferred, times)?;
        let started = Instant::now();
        let delivered = match self.injector.deliver(&target, delivery, deadline).await {
            Err(DeliverError::NeedsSevenBit) => {
                let delivery = self.render(job, plan, person, Transfer::SevenBit, times)?;
                self.injector.deliver(&target, delivery, deadline).await
            }
            delivered => delivered,
        };
        times.inject = started.elapsed();
        relayed(&target, delivered)
    }
}
