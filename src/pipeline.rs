//! The walk of one job: from a token and a template to the first MTA's answer.

mod accept;
mod clock;
mod guesses;
mod literals;
mod meant;
mod unknown_tokens;

pub use clock::Clock;
pub use guesses::Guesses;
pub use unknown_tokens::UnknownTokens;

use crate::fault::{Circumstance, Fault, Reason};
use crate::gate::Gate;
use crate::inject::{
    Capabilities, DeliverError, Delivery, EightBit, Errand, Injector, OnOffer, TargetHandle, Whom,
};
use crate::job::Job;
use crate::patience;
use crate::person::Person;
use crate::render::{Fit, Plan, RenderRequest, Renderer, Size, Transfer};
use crate::resolve::{ConsentRule, Resolver, admit};
use crate::telemetry::StageHistograms;
use crate::ticket::{Outcome, Relayed, StageTimes};
use accept::Accepted;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What a reload of the configuration may change while jobs flow.
pub struct Rules {
    pub renderer: Renderer,
    pub consent: ConsentRule,
}

#[derive(Debug, Clone, Copy)]
pub struct PipelineLimits {
    pub message_bytes_max: usize,
}

/// What is asked of one attempt.
#[derive(Clone)]
pub struct Way {
    /// How long the message may wait for a session of a target to take it.
    pub patience: Duration,
    /// What it does when a target is silent or busy.
    pub errand: Errand,
    /// Called right before the message leaves.
    pub on_offer: Option<OnOffer>,
}

/// The stages in the order data flows.
pub struct Pipeline {
    pub rules: watch::Receiver<Arc<Rules>>,
    pub resolver: Resolver,
    pub injector: Injector,
    pub stages: StageHistograms,
    pub limits: PipelineLimits,
    pub clock: Clock,
    /// Room for messages as rendered. Apart from the room for jobs as received, which doors hold: a job that asked
    /// for more of what it already holds could wait for itself.
    pub room: Gate,
    pub guesses: Guesses,
    pub unknown_tokens: UnknownTokens,
}

/// A message for a target.
struct Made {
    delivery: Delivery,
    size: Size,
}

impl Pipeline {
    /// One attempt to carry the job to the first MTA.
    pub async fn attempt(&self, job: &Job, way: Way) -> Outcome {
        let mut times = StageTimes::default();
        let outcome = match self.walk(job, way, &mut times).await {
            Ok(relayed) => Outcome::Relayed(Relayed { times, ..relayed }),
            Err(fault) => {
                if fault.circumstance() == Circumstance::PersonsValues {
                    self.guesses.count(&job.engine.name);
                }
                if fault.reason == Reason::UnknownToken {
                    self.unknown_tokens.count(&job.engine.name);
                }
                Outcome::Failed(fault.of_repeat(job.repeat))
            }
        };
        self.stages.observe(&times);
        outcome
    }

    async fn walk(&self, job: &Job, way: Way, times: &mut StageTimes) -> Result<Relayed, Fault> {
        let rules = self.rules.borrow().clone();
        let accepted = self.accept(job, &rules)?;
        let person = self.resolve(job, &accepted.plan, rules.consent, times).await?;
        let relayed = self.render_and_inject((job, way), &accepted, &person, times).await;
        if accepted.has_ways() {
            *times = times.coarse();
        }
        relayed
    }

    async fn resolve(
        &self,
        job: &Job,
        plan: &Plan,
        consent: ConsentRule,
        times: &mut StageTimes,
    ) -> Result<Arc<Person>, Fault> {
        let purpose = accept::purpose(job, plan)?;
        let started = Instant::now();
        let person = self.resolver.person(&job.token).await;
        times.resolve = StageTimes::in_milliseconds(started.elapsed());
        let person = person?;
        admit(&person, purpose, consent, || self.clock.now().day().to_owned())?;
        Ok(person)
    }

    async fn render_and_inject(
        &self,
        (job, way): (&Job, Way),
        accepted: &Accepted,
        person: &Arc<Person>,
        times: &mut StageTimes,
    ) -> Result<Relayed, Fault> {
        let plan = &*accepted.plan;
        let give_up_at = tokio::time::Instant::now() + way.patience;
        let reached = {
            let reach = pin!(self.reach_for(job, plan, way.errand));
            patience::until(|| give_up_at, reach).await
        };
        let (target, offered) = reached.unwrap_or_else(|_| Err(unreached()))?;
        let _room = self.room.enter(plan.octets_nearly()).await;
        let transfer = if offered.eight_bit_mime { Transfer::EightBit } else { Transfer::SevenBit };
        let Made { delivery, size } = self.render(job, accepted, (person, transfer), times)?;
        self.check_size(job, plan, size, (&target, offered))?;
        let started = Instant::now();
        let delivery = Delivery { give_up_at: Some(give_up_at), on_offer: way.on_offer.clone(), ..delivery };
        let delivered = match self.injector.deliver(&target, delivery).await {
            // The session that took it offers less than the one asked before: nothing was sent.
            Err(DeliverError::NeedsSevenBit) => {
                let Made { delivery, size } =
                    self.render(job, accepted, (person, Transfer::SevenBit), times)?;
                self.check_size(job, plan, size, (&target, offered))?;
                let delivery = Delivery { give_up_at: Some(give_up_at), on_offer: way.on_offer, ..delivery };
                self.injector.deliver(&target, delivery).await
            }
            delivered => delivered,
        };
        times.inject = started.elapsed();
        match delivered {
            Ok(accepted) => {
                times.relay = Some(accepted.sent_at.into_std().saturating_duration_since(job.read_at));
                Ok(Relayed {
                    target: accepted.target,
                    code: accepted.code,
                    attempt: accepted.attempts,
                    times: StageTimes::default(),
                    repeat: job.repeat,
                })
            }
            Err(DeliverError::Failed(fault)) => Err(fault),
            Err(DeliverError::NeedsSevenBit) => Err(Fault::new(
                Reason::TargetUnavailable,
                "the target changes what it offers from session to session",
            )),
        }
    }

    /// A target that answers. The job that finds out that the first choice is down goes on to the next one, like
    /// all behind it.
    async fn reach(
        &self,
        named: Option<&str>,
        errand: Errand,
        whom: Whom,
    ) -> Result<(TargetHandle, Capabilities), Fault> {
        let mut target = self.injector.choose_to(named, errand, whom)?;
        let mut tried = 1;
        loop {
            let fault = match self.injector.capabilities(&target).await {
                Ok(offered) => return Ok((target, offered)),
                Err(fault) => fault,
            };
            let is_last = tried > self.injector.targets().count();
            let other = if is_last { None } else { self.injector.choose_after(&target) };
            target = other.ok_or(fault)?;
            tried += 1;
        }
    }

    /// A target that answers and can take the message.
    ///
    /// # Errors
    /// Where no target that answers takes 8-bit octets and the message has to leave with them: temporary as long as
    /// one that does not answer may be it, else for good.
    async fn reach_for(
        &self,
        job: &Job,
        plan: &Plan,
        errand: Errand,
    ) -> Result<(TargetHandle, Capabilities), Fault> {
        let named = job.target.as_deref();
        let (target, offered) = self.reach(named, errand, Whom::of(&job.token)).await?;
        let Some(part) = plan.needs_eight_bit().filter(|_| !offered.eight_bit_mime) else {
            return Ok((target, offered));
        };
        let mut fault = Fault::needs_eight_bit(part);
        if named.is_some() {
            return Err(fault);
        }
        drop(target);
        for (settings, ..) in self.injector.targets() {
            let reached = match self.injector.choose_to(Some(&settings.name), errand, Whom::of(&job.token)) {
                Ok(target) => self.injector.capabilities(&target).await.map(|offered| (target, offered)),
                Err(down) => Err(down),
            };
            match reached {
                Ok((target, offered)) if offered.eight_bit_mime => return Ok((target, offered)),
                Ok(_) => {}
                Err(down) => fault = down,
            }
        }
        Err(fault)
    }

    fn render(
        &self,
        job: &Job,
        Accepted { plan, judged }: &Accepted,
        (person, transfer): (&Arc<Person>, Transfer),
        times: &mut StageTimes,
    ) -> Result<Made, Fault> {
        let started = Instant::now();
        let now = self.clock.now();
        let request = RenderRequest {
            person,
            token: &job.token,
            data: &job.data,
            send: &job.send,
            campaign: job.campaign.as_deref(),
            sender: job.sender.as_deref(),
            transfer,
            may_reveal: &|field| job.engine.may_reveal(field),
            size_max: self.limits.message_bytes_max,
            now: &now,
        };
        let finished = match judged {
            Some(judged) => plan.render_judged(&request, judged),
            None => plan.render(&request),
        };
        times.render = started.elapsed();
        let finished =
            finished.map_err(|fault| meant::with_meant_field(fault, job, plan, &self.rules.borrow()))?;
        let size = finished.size;
        let delivery = Delivery {
            message: finished.message,
            sender: finished.sender,
            recipient: finished.recipient,
            whom: Whom::of(&job.token),
            eight_bit: match (finished.eight_bit, plan.needs_eight_bit(), transfer) {
                (false, ..) => EightBit::None,
                (true, Some(part), _) => EightBit::Fixed(part.into()),
                (true, None, Transfer::EightBit) => EightBit::Convertible,
                (true, None, Transfer::SevenBit) => EightBit::Fixed("the message".into()),
            },
            smtputf8: finished.smtputf8,
            require_tls: job.require_tls,
            give_up_at: None,
            on_offer: None,
            person: Some(person.clone()),
        };
        Ok(Made { delivery, size })
    }

    /// Whether the target takes messages as large as this one is for anybody. How large it is for this person must not
    /// decide: an engine could measure values by it.
    fn check_size(
        &self,
        job: &Job,
        plan: &Plan,
        size: Size,
        (target, offered): (&TargetHandle, Capabilities),
    ) -> Result<(), Fault> {
        let Some(octets_max) = offered.size_octets_max else { return Ok(()) };
        let octets_max = usize::try_from(octets_max).unwrap_or(usize::MAX);
        let now = self.clock.now();
        match plan.fit(&self.facts(job, &now), size, octets_max)? {
            Fit::Fits => Ok(()),
            Fit::TooLarge => Err(Delivery::too_large(target.name())),
            Fit::ValuesTooLong => Err(Fault::of_values()),
        }
    }
}

fn unreached() -> Fault {
    Fault::new(Reason::TargetUnavailable, "no target answered within handoff_wait; nothing was sent")
}
