//! Jobs that come again: what is known of them decides how they go on, so that none is a second message.

use super::recent::{Begun, Guard};
use super::{Custody, hold};
use crate::fault::{Fault, Reason, State};
use crate::job::{Acceptance, Job};
use crate::journal::{Body, How, Journal, Resumed};
use crate::pipeline::Way;
use crate::ticket::Outcome;
use std::sync::Arc;

/// A job as its engine submits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coming {
    /// As far as is remembered.
    First,
    /// It was refused a while ago.
    Again,
}

/// What is known by now of a job that ended.
enum Since {
    /// It was refused before any target saw it, for what may be mended by now.
    MaybeMended,
    Ended(Outcome),
}

/// What the ledger says of a job as it comes.
enum Earlier {
    /// Nothing that keeps it from being attempted. Or its engine was told that nothing is held and to submit it again: that is
    /// what this is.
    None,
    /// It was refused, and no target can have it.
    Refused,
    /// Whatever became of it, it is not sent for coming again.
    Ended(Outcome),
}

async fn before(journal: &Journal, job: &Job, body: Body) -> Earlier {
    match journal.look_up(&job.send).await {
        Ok(None) => Earlier::None,
        Ok(Some(known)) if known.body != body => Earlier::Ended(Outcome::Failed(Fault::other_body())),
        Ok(Some(known)) if known.is_judged_anew() => Earlier::Refused,
        Ok(Some(known)) if known.outcome.state() == State::Deferred => Earlier::None,
        Ok(Some(known)) => Earlier::Ended(known.outcome),
        // It came before, or may have: nobody can say what became of it, so it is not sent again.
        Err(fault) => Earlier::Ended(Outcome::Failed(fault)),
    }
}

impl Custody {
    /// Whether the job is to be taken on, or what became of it, or is becoming.
    pub(super) async fn begin(
        &self,
        job: &Arc<Job>,
        body: Body,
        acceptance: Acceptance,
    ) -> Result<(Guard, Coming), Outcome> {
        let (mut begun, mut coming) = (self.recent.begin(&job.send, body), Coming::First);
        if let Begun::Before(outcome) = begun {
            (begun, coming) = match self.since(job, body, outcome.clone()).await {
                Since::MaybeMended => (self.recent.begin_again(&job.send, body, &outcome), Coming::Again),
                Since::Ended(outcome) => (Begun::Before(outcome), coming),
            };
        }
        let outcome = match begun {
            Begun::First(guard) => return Ok((guard, coming)),
            Begun::Before(outcome) => outcome,
            Begun::Under(waiting) => waiting.outcome().await,
            Begun::Other => return Err(Outcome::Failed(Fault::other_body())),
        };
        if acceptance != Acceptance::Handoff {
            self.keep(job, body, &outcome).await;
        }
        Err(outcome)
    }

    /// What a door that keeps nothing has delivered is only remembered. One whose answers outlive the relay has it in the ledger
    /// before it tells of it: behind a kill it would carry it as one that nobody has seen.
    async fn keep(&self, job: &Arc<Job>, body: Body, outcome: &Outcome) {
        let is_final = match outcome {
            Outcome::Relayed(_) => true,
            Outcome::Failed(fault) => {
                matches!(fault.state(), State::Rejected | State::Unknown) && !fault.is_before_any_offer()
            }
            Outcome::Journaled(_) | Outcome::HeldInDoubt(_) | Outcome::Lost => false,
        };
        if let Some(journal) = self.journal.as_ref().filter(|_| is_final)
            && let Ok(None) = journal.look_up(&job.send).await
        {
            journal.record(job.clone(), body, outcome.clone()).await;
            // Nothing notes it until then, as the note of a handoff does. Where that fails, an answer is no worse than none.
            let _ = journal.settled().await;
        }
    }

    /// What became of a job that ended so. Of one that was held, or refused and kept, the ledger knows what became of it
    /// since: where there is a ledger it has the last word.
    async fn since(&self, job: &Job, body: Body, outcome: Outcome) -> Since {
        let is_refused = matches!(&outcome, Outcome::Failed(fault) if fault.is_before_any_offer());
        if !is_refused && !matches!(outcome, Outcome::Journaled(_)) {
            return Since::Ended(outcome);
        }
        let known = match &self.journal {
            Some(journal) => journal.look_up(&job.send).await,
            None => Ok(None),
        };
        match known {
            Ok(Some(known)) if known.body == body && known.is_judged_anew() => Since::MaybeMended,
            Ok(Some(known)) if known.body == body && is_refused => Since::Ended(known.outcome),
            Ok(None) if is_refused => Since::MaybeMended,
            Ok(_) => Since::Ended(outcome),
            // Nobody can say, so it is not sent again.
            Err(fault) if is_refused => Since::Ended(Outcome::Failed(fault)),
            Err(_) => Since::Ended(outcome),
        }
    }

    /// With what is known of the same job submitted before.
    pub(super) async fn go_on(self: &Arc<Self>, journal: &Journal, job: &Arc<Job>, body: Body) -> Outcome {
        match before(journal, job, body).await {
            Earlier::None => self.hand_off_or_hold(journal.clone(), job, body).await,
            Earlier::Refused => self.resume(journal, job, body).await,
            Earlier::Ended(outcome) => self.again(journal, job, body, outcome).await,
        }
    }

    /// Likewise where nothing is to be held. What another door has kept of it must not be sent by `jobs retry` beside, nor behind,
    /// so what becomes of that is noted as of any handoff.
    pub(super) async fn hand_off_behind(
        self: &Arc<Self>,
        journal: &Journal,
        job: &Arc<Job>,
        body: Body,
    ) -> Outcome {
        match before(journal, job, body).await {
            Earlier::None => self.take_on(job, body, Acceptance::Handoff).await,
            Earlier::Refused => Box::pin(self.hand_off_refused(journal, job, body)).await,
            Earlier::Ended(outcome) => outcome,
        }
    }

    async fn hand_off_refused(&self, journal: &Journal, job: &Arc<Job>, body: Body) -> Outcome {
        let until_over = match journal.resume(&job.send, body).await {
            Ok(Resumed::Anew(until_over)) => until_over,
            Ok(Resumed::Before(outcome)) => return outcome,
            Ok(Resumed::Other) => return Outcome::Failed(Fault::other_body()),
            Err(fault) => return Outcome::Failed(fault.of_repeat(job.repeat)),
        };
        let noted = tokio::time::timeout(self.handoff_wait, journal.hand_off(job.clone(), body));
        let Ok(handoff) = noted.await.map(Arc::new) else {
            let detail = "more messages are on their way than the journal can note";
            return Outcome::Failed(Fault::new(Reason::TargetUnavailable, detail).of_repeat(job.repeat));
        };
        let note = handoff.clone();
        let way = Way { on_offer: Some(Arc::new(move || note.offered())), ..self.way() };
        let outcome = self.pipeline.attempt(job, way).await;
        handoff.ended(&outcome);
        if !matches!(outcome.state(), State::Deferred | State::Lost) {
            journal.record_handoff(handoff, outcome.clone()).await;
        }
        drop(until_over);
        outcome
    }

    /// What the job was refused for may be mended. A person may have had it judged anew just now, which is to happen once.
    pub(super) async fn resume(self: &Arc<Self>, journal: &Journal, job: &Arc<Job>, body: Body) -> Outcome {
        match journal.resume(&job.send, body).await {
            Ok(Resumed::Anew(until_over)) => {
                let outcome = self.hand_off_or_hold(journal.clone(), job, body).await;
                drop(until_over);
                outcome
            }
            Ok(Resumed::Before(outcome)) => self.again(journal, job, body, outcome).await,
            Ok(Resumed::Other) => Outcome::Failed(Fault::other_body()),
            Err(fault) => Outcome::Failed(fault.of_repeat(job.repeat)),
        }
    }

    /// A handoff that a crash left in doubt could not be held, as nothing was kept of it. Now its engine brings it
    /// again: it is held in doubt like any other.
    async fn again(&self, journal: &Journal, job: &Arc<Job>, body: Body, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failed(fault) if fault.state() == State::Unknown => {
                match hold(journal, job, body, How::InDoubt(fault.clone())).await {
                    Outcome::Failed(_) => Outcome::Failed(fault),
                    held => held,
                }
            }
            outcome => outcome,
        }
    }
}
