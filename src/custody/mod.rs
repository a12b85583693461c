//! Custody: who is responsible for a job that a door has taken. In `handoff` its engine stays responsible until the
//! first MTA has answered; in `journal` the relay takes custody by writing the job to disk; `auto` is the first while
//! the MTA takes the message in time, and the second otherwise.

mod dispatch;
mod recent;
mod repeat;
mod several;
mod wake;
mod window;

use crate::fault::{Fault, Reason, State};
use crate::inject::Errand;
use crate::job::{Acceptance, Job, Repeat, SendNumber};
use crate::journal::{Body, Held, How, Journal, Number};
use crate::pipeline::{Pipeline, Way};
use crate::ticket::{Board, Outcome};
use futures_util::FutureExt;
use recent::Recent;
use repeat::Coming;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

pub use dispatch::Dispatch;
pub use wake::Wakes;

/// Takes jobs on and carries them, or has them carried, to their outcome.
pub struct Custody {
    pub pipeline: Pipeline,
    /// Absent when no door may keep anything.
    pub journal: Option<Journal>,
    pub board: Arc<Board>,
    /// How long a job may wait for the first MTA before it is given back or journaled.
    pub handoff_wait: Duration,
    pub wakes: Wakes,
    recent: Recent,
    /// Attempts whose engine has its answer already.
    afterwards: TaskTracker,
}

impl Custody {
    pub fn new(pipeline: Pipeline, journal: Option<Journal>, handoff_wait: Duration) -> Self {
        Self {
            pipeline,
            journal,
            board: Arc::default(),
            handoff_wait,
            wakes: Wakes::default(),
            recent: Recent::default(),
            afterwards: TaskTracker::new(),
        }
    }

    /// Takes on one job; the outcome is what its engine is told.
    pub async fn submit(self: &Arc<Self>, job: Job, acceptance: Acceptance) -> (SendNumber, Outcome) {
        let send = job.send.clone();
        let job = Arc::new(Job { repeat: self.repeat(&job, acceptance), ..job });
        let ticket = self.board.issue(send.clone());
        let outcome = self.once(&job, acceptance).await;
        log(&job, &outcome);
        ticket.settle(&outcome);
        (send, outcome)
    }

    /// One without an id of its engine's is never known again, and so never a repeat.
    fn repeat(&self, job: &Job, acceptance: Acceptance) -> Repeat {
        match &self.journal {
            Some(journal) if job.job_id.is_some() => journal.repeat(acceptance),
            _ => Repeat::No,
        }
    }

    /// Waits for the attempts that outlive their engine's answer.
    pub async fn finish(&self) {
        self.afterwards.close();
        self.afterwards.wait().await;
    }

    /// A job that was submitted before is not taken on again.
    async fn once(self: &Arc<Self>, job: &Arc<Job>, acceptance: Acceptance) -> Outcome {
        let body = Body::of(job);
        if job.job_id.is_none() {
            return self.take_on(job, body, acceptance).await;
        }
        let (guard, coming) = match self.begin(job, body, acceptance).await {
            Ok(begun) => begun,
            Err(outcome) => return outcome,
        };
        let outcome = match (&self.journal, acceptance, coming) {
            // Its row may not be written yet.
            (Some(journal), Acceptance::Auto, Coming::Again) => self.resume(journal, job, body).await,
            (Some(journal), Acceptance::Auto, Coming::First) => self.go_on(journal, job, body).await,
            // It keeps nothing, but another door may have.
            (Some(journal), Acceptance::Handoff, _) => self.hand_off_behind(journal, job, body).await,
            // `journal` finds out when it writes.
            _ => self.take_on(job, body, acceptance).await,
        };
        guard.end(&outcome);
        outcome
    }

    async fn take_on(self: &Arc<Self>, job: &Arc<Job>, body: Body, acceptance: Acceptance) -> Outcome {
        match (acceptance, &self.journal) {
            (Acceptance::Journal, Some(journal)) => self.hold(journal, job, body).await,
            (Acceptance::Auto, Some(journal)) => self.hand_off_or_hold(journal.clone(), job, body).await,
            (Acceptance::Handoff, _) | (_, None) => self.pipeline.attempt(job, self.way()).await,
        }
    }

    fn way(&self) -> Way {
        Way { patience: self.handoff_wait, errand: Errand::Patient, on_offer: None }
    }

    async fn hold(&self, journal: &Journal, job: &Arc<Job>, body: Body) -> Outcome {
        match self.how_to_hold(job) {
            Ok(how) => hold(journal, job, body, how).await,
            Err(fault) => {
                let outcome = Outcome::Failed(fault.of_repeat(job.repeat));
                journal.record(job.clone(), body, outcome.clone()).await;
                outcome
            }
        }
    }

    /// A job that cannot be sent as things stand, but may be later, is held like one whose first attempt has failed.
    fn how_to_hold(&self, job: &Job) -> Result<How, Fault> {
        match self.pipeline.judge(job) {
            Ok(()) => Ok(How::Queued),
            Err(fault) if fault.is_transient() => Ok(How::Failed(fault)),
            Err(fault) => Err(fault),
        }
    }

    async fn hand_off_or_hold(self: &Arc<Self>, journal: Journal, job: &Arc<Job>, body: Body) -> Outcome {
        let noted = tokio::time::timeout(self.handoff_wait, journal.hand_off(job.clone(), body));
        let Ok(handoff) = noted.await.map(Arc::new) else {
            return self.hold(&journal, job, body).await;
        };
        let (this, job_there, handoff_there) = (self.clone(), job.clone(), handoff.clone());
        let mut attempt = Box::pin(async move {
            let note = handoff_there.clone();
            // Held it is as well: it need not wait for a target that is silent or busy.
            let way =
                Way { errand: Errand::Hasty, on_offer: Some(Arc::new(move || note.offered())), ..this.way() };
            let outcome = this.pipeline.attempt(&job_there, way).await;
            handoff_there.ended(&outcome);
            outcome
        });
        let outcome = match tokio::time::timeout(self.handoff_wait, &mut attempt).await {
            Ok(outcome) => outcome,
            // A target has it and takes its time to answer.
            Err(_) => match journal.hold(vec![(job.clone(), body, How::InFlight)]).await.map(only) {
                Ok(Held::New(number)) => {
                    self.afterwards.spawn(settle_afterwards(journal, number, attempt));
                    return Outcome::Journaled(job.repeat);
                }
                // It cannot be held: the engine stays responsible, and waits.
                Ok(_) | Err(_) => attempt.await,
            },
        };
        match after_handoff(&outcome) {
            After::Ended => {
                journal.record_handoff(handoff, outcome.clone()).await;
                outcome
            }
            After::Held(how) => {
                self.wakes.ended(&outcome);
                match hold(&journal, job, body, how).await {
                    // In doubt and not held: it must not look as if it could be repeated.
                    Outcome::Failed(_) if outcome.state() == State::Unknown => outcome,
                    held => held,
                }
            }
            After::GivenBack => outcome,
        }
    }
}

/// What becomes of a job when its first attempt has ended.
enum After {
    Ended,
    Held(How),
    /// For a reason that is the engine's: nothing is held.
    GivenBack,
}

fn after_handoff(outcome: &Outcome) -> After {
    match outcome {
        Outcome::Failed(fault) => match (fault.state(), fault.reason) {
            (State::Unknown, _) => After::Held(How::InDoubt(fault.clone())),
            (State::Deferred, Reason::OverQuota) => After::GivenBack,
            (State::Deferred, _) if fault.is_untried() => After::Held(How::Queued),
            (State::Deferred, _) => After::Held(How::Failed(fault.clone())),
            _ => After::Ended,
        },
        Outcome::Lost => After::GivenBack,
        _ => After::Ended,
    }
}

async fn hold(journal: &Journal, job: &Arc<Job>, body: Body, how: How) -> Outcome {
    let doubt = match &how {
        How::InDoubt(fault) => Some(fault.clone()),
        _ => None,
    };
    match (journal.hold(vec![(job.clone(), body, how)]).await.map(only), doubt) {
        (Ok(Held::New(_)), Some(doubt)) => Outcome::HeldInDoubt(doubt.of_repeat(job.repeat)),
        (Ok(held), _) => outcome_of(held, job),
        (Err(fault), _) => Outcome::Failed(fault.of_repeat(job.repeat)),
    }
}

/// The rest of an attempt whose engine has its answer. One that falls over does so while a target has its message.
async fn settle_afterwards(journal: Journal, number: Number, attempt: impl Future<Output = Outcome>) {
    let outcome = AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| {
        Outcome::Failed(Fault::in_doubt("the attempt broke off while the message was on its way"))
    });
    journal.settle(number, outcome).await;
}

fn only(held: Vec<Held>) -> Held {
    held.into_iter().next().expect("one job in, one answer out")
}

fn outcome_of(held: Held, job: &Job) -> Outcome {
    match held {
        Held::New(_) => Outcome::Journaled(job.repeat),
        Held::Before(outcome) => outcome,
        Held::Other => Outcome::Failed(Fault::other_body()),
    }
}

/// One line a job. A success is worth a line only when somebody looks closely.
fn log(job: &Job, outcome: &Outcome) {
    let (send, engine) = (&job.send, &*job.engine.name);
    match outcome {
        Outcome::Relayed(relayed) => tracing::debug!(%send, engine, target = %relayed.target, "relayed"),
        Outcome::Journaled(_) => tracing::debug!(%send, engine, "journaled"),
        // The same for every job while it lasts: the line names none, so that equal ones can be counted.
        Outcome::Failed(fault) if fault.is_transient() => {
            let (reason, target) = (fault.reason.as_str(), fault.target.as_deref());
            tracing::info!(engine, reason, target, "jobs are deferred");
        }
        Outcome::Failed(fault) | Outcome::HeldInDoubt(fault) => {
            let (state, reason) = (fault.state().as_str(), fault.reason.as_str());
            let job_id = job.job_id.as_deref();
            tracing::info!(%send, job_id, engine, state, reason, "not relayed");
        }
        Outcome::Lost => tracing::error!(%send, engine, "lost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{KeepRefused, Settings, WhenUnknown};

    /// Each job has one from the allocator, which wipes all of it.
    #[test]
    fn the_future_of_a_job_is_small() {
        fn octets<F>(_: impl FnOnce(&'static Arc<Custody>, Job, Acceptance) -> F) -> usize {
            size_of::<F>()
        }
        let octets = octets(|custody, job, acceptance| custody.submit(job, acceptance));
        assert!(octets <= 3100, "{octets}");
    }

    #[tokio::test]
    async fn an_attempt_that_falls_over_behind_its_engines_answer_is_held_in_doubt() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            dir: dir.path().to_owned(),
            bytes_max: 1 << 30,
            disk_free_min: 0,
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(1),
            expires: Duration::from_secs(60),
            unknown: WhenUnknown::Hold,
            retention: Duration::from_secs(60),
            keep_refused: KeepRefused { duration: Duration::from_secs(60), bytes_max: 1 << 20 },
        };
        let (journal, _) = Journal::open(settings).unwrap();
        let job = Arc::new(Job::sample());
        let entry = (job.clone(), Body::of(&job), How::InFlight);
        let Held::New(number) = only(journal.hold(vec![entry]).await.unwrap()) else { panic!("it is new") };
        settle_afterwards(journal.clone(), number, async { panic!("on purpose") }).await;
        // Committed behind the one that settles it.
        journal.hold(Vec::new()).await.unwrap();
        let outcome = journal.look_up(&job.send).await.unwrap().unwrap().outcome;
        assert!(
            matches!(&outcome, Outcome::HeldInDoubt(fault) if fault.detail.contains("broke off")),
            "{outcome:?}"
        );
        assert_eq!(journal.stats().in_flight, 0);
    }
}
