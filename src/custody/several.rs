//! Several jobs that have one answer between them: all are on disk, or none is.

use super::recent::Guard;
use super::{Custody, outcome_of};
use crate::fault::{Fault, Reason, State};
use crate::job::{Acceptance, Job, SendNumber};
use crate::journal::{Body, How};
use crate::ticket::Outcome;
use std::sync::Arc;

/// How often a job is taken up again that another door had, and could not carry.
const TAKEN_UP_MAX: u32 = 3;

/// One of them that is to be held.
struct Held {
    /// Which one.
    at: usize,
    /// Nobody else carries it meanwhile.
    guard: Option<Guard>,
}

impl Custody {
    /// Takes on several jobs that have one answer between them: all are on disk, or none is. One that another door has, or had,
    /// is not taken on again.
    ///
    /// # Errors
    /// Why none of them is held.
    pub async fn hold_all(&self, jobs: Vec<Job>) -> Result<Vec<(SendNumber, Outcome)>, Fault> {
        let Some(journal) = &self.journal else { return Err(nothing_kept()) };
        let flagged = |job: Job| Arc::new(Job { repeat: self.repeat(&job, Acceptance::Journal), ..job });
        let jobs: Vec<Arc<Job>> = jobs.into_iter().map(flagged).collect();
        let mut hows: Vec<Option<How>> =
            jobs.iter().map(|job| self.how_to_hold(job).map(Some)).collect::<Result<_, _>>()?;
        let tickets: Vec<_> = jobs.iter().map(|job| self.board.issue(job.send.clone())).collect();
        let mut outcomes: Vec<Option<Outcome>> = vec![None; jobs.len()];
        let mut to_hold = Vec::with_capacity(jobs.len());
        for at in in_order(&jobs) {
            match self.begin_held(&jobs[at]).await {
                Ok(guard) => to_hold.push(Held { at, guard }),
                Err(outcome) => outcomes[at] = Some(outcome),
            }
        }
        let entries = to_hold.iter().filter_map(|held| {
            let job = &jobs[held.at];
            Some((job.clone(), Body::of(job), hows[held.at].take()?))
        });
        let answer = journal.hold(entries.collect()).await;
        for (place, held) in to_hold.into_iter().enumerate() {
            let outcome = match &answer {
                Ok(answers) => outcome_of(answers[place].clone(), &jobs[held.at]),
                Err(fault) => Outcome::Failed(fault.clone()),
            };
            if let Some(guard) = held.guard {
                guard.end(&outcome);
            }
            outcomes[held.at] = Some(outcome);
        }
        let outcome_of_twin = |job: &Job| {
            let twin = (0..jobs.len()).find(|at| outcomes[*at].is_some() && jobs[*at].send == job.send);
            twin.and_then(|at| outcomes[at].clone()).unwrap_or(Outcome::Lost)
        };
        let outcome = |at: usize| outcomes[at].clone().unwrap_or_else(|| outcome_of_twin(&jobs[at]));
        let told: Vec<_> = jobs.iter().enumerate().map(|(at, job)| (job.send.clone(), outcome(at))).collect();
        for (ticket, (_, outcome)) in tickets.into_iter().zip(&told) {
            ticket.settle(outcome);
        }
        answer.map(|_| told)
    }

    /// Another door may have it under way: what becomes of it there is its outcome here, unless that is none.
    async fn begin_held(&self, job: &Arc<Job>) -> Result<Option<Guard>, Outcome> {
        if job.job_id.is_none() {
            return Ok(None);
        }
        let mut taken_up = 1;
        loop {
            match self.begin(job, Body::of(job), Acceptance::Journal).await {
                Ok((guard, _)) => return Ok(Some(guard)),
                Err(outcome) if is_none(&outcome) && taken_up < TAKEN_UP_MAX => taken_up += 1,
                Err(outcome) => return Err(outcome),
            }
        }
    }
}

fn is_none(outcome: &Outcome) -> bool {
    matches!(outcome.state(), State::Deferred | State::Lost)
}

/// Each job once. Whoever takes on several takes them in the same order: two that wait for one another's would wait for ever, as
/// would one for its own, where a person is a recipient under two domains.
fn in_order(jobs: &[Arc<Job>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|at| jobs[*at].send.bits());
    order.dedup_by_key(|at| jobs[*at].send.bits());
    order
}

fn nothing_kept() -> Fault {
    Fault::new(Reason::TargetUnavailable, "this relay keeps no jobs; submit one recipient at a time")
}
