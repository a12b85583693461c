//! What a door needs from the house behind it. Doors know these calls and the nouns, never another room.

use crate::engine::{Engine, Engines};
use crate::fault::{Fault, Reason};
use crate::gate::Gate;
use crate::job::{Acceptance, Job, SendNumber, Token};
use crate::ticket::Outcome;
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

type Submit = dyn Fn(Job, Acceptance) -> BoxFuture<'static, (SendNumber, Outcome)> + Send + Sync;
type HoldAll =
    dyn Fn(Vec<Job>) -> BoxFuture<'static, Result<Vec<(SendNumber, Outcome)>, Fault>> + Send + Sync;
type Known = dyn Fn(Token) -> BoxFuture<'static, Result<(), Fault>> + Send + Sync;
type NoteUnknown = dyn Fn(&Arc<str>) + Send + Sync;
type Number = dyn Fn(&str, &str) -> SendNumber + Send + Sync;

/// The house as a door sees it. Cheap to clone: every session holds one.
#[derive(Clone)]
pub struct House {
    engines: watch::Receiver<Arc<Engines>>,
    gate: Gate,
    acceptance: Acceptance,
    submit: Arc<Submit>,
    hold_all: Option<Arc<HoldAll>>,
    known: Arc<Known>,
    note_unknown: Option<Arc<NoteUnknown>>,
    number: Arc<Number>,
}

impl House {
    /// * `engines` changes when the configuration is reloaded; the sender may be dropped, the last value stays.
    /// * `submit` walks a job to its one outcome. Its future must not be cancelled half-way: doors run it in a
    ///   task of its own.
    /// * `known` answers early, at `RCPT`, whether a token stands for somebody.
    /// * `number` makes the same send number from the same engine and job id.
    pub fn new(
        engines: watch::Receiver<Arc<Engines>>,
        gate: Gate,
        submit: impl Fn(Job, Acceptance) -> BoxFuture<'static, (SendNumber, Outcome)> + Send + Sync + 'static,
        known: impl Fn(Token) -> BoxFuture<'static, Result<(), Fault>> + Send + Sync + 'static,
        number: impl Fn(&str, &str) -> SendNumber + Send + Sync + 'static,
    ) -> Self {
        Self {
            engines,
            gate,
            acceptance: Acceptance::Handoff,
            submit: Arc::new(submit),
            hold_all: None,
            known: Arc::new(known),
            note_unknown: None,
            number: Arc::new(number),
        }
    }

    /// The same house for a door whose positive answers mean this.
    pub fn promising(&self, acceptance: Acceptance) -> Self {
        let gate = match acceptance {
            Acceptance::Handoff => self.gate.clone(),
            // It waits for nothing but the disk.
            Acceptance::Journal => self.gate.light(),
            Acceptance::Auto => self.gate.telling_at_once(),
        };
        Self { acceptance, gate, ..self.clone() }
    }

    /// With `hold_all`, which takes on several jobs that have one answer between them: all of them or none.
    pub fn holding(
        self,
        hold_all: impl Fn(Vec<Job>) -> BoxFuture<'static, Result<Vec<(SendNumber, Outcome)>, Fault>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self { hold_all: Some(Arc::new(hold_all)), ..self }
    }

    /// With `note_unknown`, which hears whose recipient was refused as unknown before there was a job.
    pub fn noting_unknown(self, note_unknown: impl Fn(&Arc<str>) + Send + Sync + 'static) -> Self {
        Self { note_unknown: Some(Arc::new(note_unknown)), ..self }
    }

    /// Whether jobs may be held here, so that several of them can have one answer.
    pub fn may_hold(&self) -> bool {
        self.hold_all.is_some() && self.acceptance != Acceptance::Handoff
    }

    pub fn acceptance(&self) -> Acceptance {
        self.acceptance
    }

    /// Who may submit right now.
    pub fn engines(&self) -> Arc<Engines> {
        self.engines.borrow().clone()
    }

    /// Entered by a door before it holds more than a small message.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The outcome of the job, under the send number it finally got.
    pub fn submit(&self, job: Job) -> BoxFuture<'static, (SendNumber, Outcome)> {
        (self.submit)(job, self.acceptance)
    }

    /// The outcomes of several jobs that have one answer between them.
    ///
    /// # Errors
    /// Why none of them was taken on.
    pub async fn hold_all(&self, jobs: Vec<Job>) -> Result<Vec<(SendNumber, Outcome)>, Fault> {
        match &self.hold_all {
            Some(hold_all) => hold_all(jobs).await,
            None => Err(Fault::new(Reason::BadJob, "this door takes one recipient at a time")),
        }
    }

    /// Whether a token stands for somebody, asked by the engine that names it. Where jobs may be held, a vault that is away for now is no reason to turn a recipient away.
    ///
    /// # Errors
    /// `unknown-token` and its kin, or a temporary fault of the vault.
    pub async fn known(&self, token: Token, engine: Option<&Engine>) -> Result<(), Fault> {
        match (self.known)(token).await {
            Err(fault) if fault.reason == Reason::UnknownToken => {
                if let (Some(note), Some(engine)) = (&self.note_unknown, engine) {
                    note(&engine.name);
                }
                Err(fault)
            }
            Err(fault) if fault.is_transient() && self.may_hold() => Ok(()),
            known => known,
        }
    }

    /// The stable number of a job the engine named.
    pub fn send_number(&self, engine: &str, job_id: &str) -> SendNumber {
        (self.number)(engine, job_id)
    }

    /// Likewise where the jobs of one message share the engine's id. No job id holds a NUL.
    pub fn shared_send_number(&self, engine: &str, job_id: &str, token: &Token) -> SendNumber {
        self.send_number(engine, &format!("{job_id}\0{token}"))
    }
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("House").field("gate", &self.gate).finish_non_exhaustive()
    }
}
