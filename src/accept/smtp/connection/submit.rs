//! Hands the jobs of a message to the house and waits for their outcomes, in the order of the recipients.

use super::Conversation;
use crate::accept::smtp::Protocol;
use crate::accept::smtp::incoming::Received;
use crate::accept::smtp::session::{Envelope, Event, Notice, Step};
use crate::accept::smtp::submission;
use crate::fault::{Fault, Reason};
use crate::gate::Entry;
use crate::job::{Job, SendNumber};
use crate::ticket::Outcome;
use futures_util::{StreamExt, stream};
use std::future::Future;
use std::sync::Arc;

impl Conversation {
    pub(super) async fn submit(&mut self, mut envelope: Envelope) -> Step {
        let Received { octets, entries, had_bare_lf } = self.received.take().expect("a message was received");
        if had_bare_lf {
            self.tell(Notice::BareLfTaken);
        }
        // Its grants may be others since it logged in.
        let Some(engine) = self.door.house.engines().as_of_now(&envelope.engine) else {
            return self.session.handle(Event::Disowned);
        };
        envelope.engine = engine;
        let (engine, octets_received) = (envelope.engine.clone(), octets.len());
        let jobs = match submission::jobs(&self.door.house, envelope, octets) {
            Ok(jobs) => jobs,
            Err(fault) => {
                tracing::debug!(engine = %engine.name, reason = fault.reason.as_str(), "message refused");
                return self.session.handle(Event::Refused(fault));
            }
        };
        let has_one_answer = self.door.settings.protocol == Protocol::Smtp;
        if has_one_answer && jobs.len() > 1 {
            let held = self.hold(jobs, entries).await;
            return self.session.handle(held.map_or_else(Event::Refused, Event::Settled));
        }
        let (room, width) = self.widen(entries, jobs.len(), octets_received);
        let outcomes = match <[Job; 1]>::try_from(jobs) {
            Ok([job]) => vec![self.walk(job, room).await],
            Err(jobs) => {
                let walks = stream::iter(jobs).map(|job| self.walk(job, room.clone()));
                walks.buffered(width).collect().await
            }
        };
        self.session.handle(Event::Settled(outcomes))
    }

    /// All of them or none: the client has one answer for them.
    async fn hold(&self, jobs: Vec<Job>, entries: Vec<Entry>) -> Result<Vec<(SendNumber, Outcome)>, Fault> {
        let meter = self.door.settings.quotas.meter(&jobs[0].engine);
        for _ in &jobs {
            meter.take_within(self.door.settings.limits.quota_wait_max).await?;
        }
        let door = self.door.clone();
        let held = self.door.tasks.spawn(async move {
            let held = door.house.hold_all(jobs).await;
            drop(entries);
            held
        });
        let lost =
            |_| Err(Fault::new(Reason::TargetUnavailable, "the relay could not say what became of it"));
        held.await.unwrap_or_else(lost)
    }

    /// Room for the further jobs of a message, as far as there is any now, and how many may go at once: waiting for
    /// room while holding some could end in two messages waiting for each other.
    fn widen(&self, mut entries: Vec<Entry>, jobs: usize, octets: usize) -> (Arc<Vec<Entry>>, usize) {
        let further = (1..jobs).map_while(|_| self.door.house.gate().try_enter(octets));
        let before = entries.len();
        entries.extend(further);
        let width = 1 + entries.len() - before;
        (Arc::new(entries), width)
    }

    /// The job has its own task: it is settled even when this connection is not there any more to hear it.
    fn walk(
        &self,
        job: Job,
        room: Arc<Vec<Entry>>,
    ) -> impl Future<Output = (SendNumber, Outcome)> + Send + use<> {
        // Not its house, which holds much that all jobs count on.
        let door = self.door.clone();
        let meter = self.door.settings.quotas.meter(&job.engine);
        let patience = self.door.settings.limits.quota_wait_max;
        let (first_number, number) = (job.send.clone(), job.send.clone());
        let walk = self.door.tasks.spawn(async move {
            let engine = job.engine.name.clone();
            let (send, outcome) = match meter.take_within(patience).await {
                Ok(()) => door.house.submit(job).await,
                Err(fault) => (number, Outcome::Failed(fault)),
            };
            tracing::debug!(%engine, %send, state = outcome.state().as_str(), "job ended");
            drop(room);
            (send, outcome)
        });
        // A task that fell over has reported its ticket as lost.
        async move { walk.await.unwrap_or((first_number, Outcome::Lost)) }
    }
}
