//! Carries what the journal holds to the first MTA: takes what is due, a lane at a time, as much as the targets work
//! off, and tells the journal what came of each attempt.

use super::Custody;
use super::window::{Pace, Window};
use crate::engine::{Engine, Engines};
use crate::fault::{Fault, Reason, State};
use crate::inject::{Errand, OnOffer, Standing};
use crate::journal::{Claimed, Departures, Journal, Lane};
use crate::pipeline::Way;
use crate::ticket::Outcome;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most jobs taken from a lane in one turn. A turn waits for a commit, which takes some milliseconds whatever is in it.
const CLAIM_MAX: usize = 1_024;
/// How many of a turn's places fresh jobs have before those that were tried already, out of four.
const FRESH_QUARTERS: usize = 3;
/// How long a held job waits to be armed, and then for a session; nobody waits for it in turn.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest wait for a free place.
const ROOM_PAUSE: Duration = Duration::from_millis(200);
/// Pause after the journal could not be read or written.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// The delivery of held jobs.
pub struct Dispatch {
    crew: Arc<Crew>,
    places: Arc<Places>,
    /// Told when a turn found something to do.
    started: Notify,
}

/// What attempts are made with.
struct Crew {
    custody: Arc<Custody>,
    journal: Journal,
    engines: watch::Receiver<Arc<Engines>>,
    attempts: TaskTracker,
}

/// What came of one look at the lanes.
enum Turn {
    Started,
    NothingDue,
    /// Something is due whose target has no place free, or is down.
    NoRoom,
}

/// The window, and a sign for when a place in it is free again.
#[derive(Default)]
struct Places {
    // Locked for lines that neither wait nor fail.
    window: Mutex<Window>,
    freed: Notify,
}

impl Dispatch {
    /// `None` where nothing is held.
    pub fn new(custody: &Arc<Custody>, engines: watch::Receiver<Arc<Engines>>) -> Option<Self> {
        let journal = custody.journal.clone()?;
        let crew = Crew { custody: custody.clone(), journal, engines, attempts: TaskTracker::new() };
        Some(Self { crew: Arc::new(crew), places: Arc::default(), started: Notify::new() })
    }

    /// Runs until it is stopped, and then until the attempts under way have ended.
    pub async fn run(self, stop: CancellationToken) {
        let Custody { wakes, pipeline, .. } = &*self.crew.custody;
        let wake = wakes.run(&self.crew.journal, &pipeline.injector);
        let work = async { tokio::join!(self.lead(), self.follow(), wake) };
        // A claim that is cut off here is given back by the journal.
        stop.run_until_cancelled(work).await;
        self.crew.attempts.close();
        self.crew.attempts.wait().await;
    }

    /// One turn behind the leader's: while a claim waits for its commit the next one is on its way, so that each
    /// commit has one.
    async fn follow(&self) {
        loop {
            self.started.notified().await;
            // What is wrong the leader finds out too.
            let _ = self.turn().await;
        }
    }

    async fn lead(&self) {
        loop {
            match self.turn().await {
                Ok(Turn::Started) => self.started.notify_one(),
                Ok(Turn::NothingDue) => self.crew.journal.stir().await,
                // A target that is down frees no place: it is looked at again after a while.
                Ok(Turn::NoRoom) => {
                    let _ = tokio::time::timeout(ROOM_PAUSE, self.places.freed.notified()).await;
                }
                Err(fault) => {
                    tracing::warn!(cause = %fault.detail, "held jobs wait");
                    tokio::time::sleep(FAULT_PAUSE).await;
                }
            }
        }
    }

    /// One look at every lane.
    async fn turn(&self) -> Result<Turn, Fault> {
        let lanes = self.crew.journal.lanes().await?;
        let lanes: Vec<Lane> =
            lanes.into_iter().filter_map(|(lane, wait)| wait.is_zero().then_some(lane)).collect();
        let is_due = !lanes.is_empty();
        let takers: Vec<(&[Lane], usize)> = lanes
            .chunk_by(|a, b| a.target == b.target)
            .map(|lanes| (lanes, self.most(&lanes[0].target)))
            .filter(|(_, most)| *most > 0)
            .collect();
        self.places.lock().share(takers.len());
        let mut started = 0;
        for (lanes, most) in takers {
            started += self.serve(lanes, most).await?;
        }
        Ok(match (started, is_due) {
            (0, false) => Turn::NothingDue,
            (0, true) => Turn::NoRoom,
            _ => Turn::Started,
        })
    }

    /// Most jobs to take for a target in one turn.
    fn most(&self, target: &str) -> usize {
        match self.crew.custody.pipeline.injector.standing(named(target)) {
            Standing::Down => 0,
            Standing::AttemptsDue(attempts) => attempts,
            Standing::Up => CLAIM_MAX,
        }
    }

    /// Takes jobs of one target from its lanes: mostly fresh ones where there are both.
    async fn serve(&self, lanes: &[Lane], most: usize) -> Result<usize, Fault> {
        let mut reserved = Reserved::of(&self.places, &lanes[0].target, most);
        let room = reserved.count;
        for lane in lanes {
            let is_shared = lanes.len() > 1 && !lane.is_retry;
            let share =
                if is_shared { (reserved.count * FRESH_QUARTERS).div_ceil(4) } else { reserved.count };
            if share == 0 {
                continue;
            }
            let claimed = self.crew.journal.claim(lane, share).await?;
            if !claimed.is_empty() {
                let places = reserved.split(claimed.len());
                let departures = self.crew.journal.arm(&lane.target, claimed);
                self.crew.attempts.spawn(self.crew.clone().see_off(departures, places));
            }
        }
        Ok(room - reserved.count)
    }
}

impl Crew {
    /// Attempts begin as the jobs are armed. Those of which their target has not taken up enough in time have failed, like those
    /// that wait for a session in vain.
    async fn see_off(self: Arc<Self>, mut departures: Departures, mut places: Reserved) {
        let give_up_at = Instant::now() + PATIENCE;
        while let Ok(Some(group)) = timeout_at(give_up_at, departures.next()).await {
            group.into_iter().for_each(|claimed| self.start(places.place(), claimed));
        }
        for claimed in departures.give_up() {
            let mut place = places.place();
            place.pace = Pace::Behind;
            self.journal.settle(claimed.number, Outcome::Failed(not_armed())).await;
        }
    }

    /// An attempt a job.
    fn start(&self, place: Place, claimed: Claimed) {
        let engine = self.engines.borrow().by_name(&claimed.engine);
        let (custody, journal) = (self.custody.clone(), self.journal.clone());
        self.attempts.spawn(async move {
            let mut place = place;
            let number = claimed.number;
            let attempt = AssertUnwindSafe(attempt(&custody, &journal, claimed, engine)).catch_unwind();
            let outcome = attempt.await.unwrap_or(Outcome::Lost);
            place.pace = pace(&outcome);
            custody.wakes.ended(&outcome);
            journal.settle(number, outcome).await;
        });
    }
}

fn not_armed() -> Fault {
    let detail =
        "it was not its turn in time: its target is slow, or the journal cannot be written; nothing was sent";
    Fault::new(Reason::TargetUnavailable, detail)
}

/// Held on: an engine may be gone by mistake, as a template may, and its jobs cannot be submitted again once they are refused.
/// Nothing is sent for it meanwhile, and `jobs cancel` ends them.
fn without_engine(engine: &str) -> Fault {
    let detail = format!(
        "engine '{engine}' is not configured any more: held until it is back and the configuration is read again (SIGHUP), or \
         until tokenrelay jobs cancel --engine {engine}"
    );
    Fault::new(Reason::BadJob, detail).into_state(State::Deferred)
}

/// One attempt with what is true now: the engine's grants, the template, the person.
async fn attempt(
    custody: &Custody,
    journal: &Journal,
    claimed: Claimed,
    engine: Option<Arc<Engine>>,
) -> Outcome {
    let Some(engine) = engine else {
        return Outcome::Failed(without_engine(&claimed.engine));
    };
    let (number, attempt) = (claimed.number, claimed.attempt);
    let journal = journal.clone();
    let on_offer: OnOffer = Arc::new(move || journal.offered(number).is_ok());
    let way = Way { patience: PATIENCE, errand: Errand::Usual, on_offer: Some(on_offer) };
    let job = claimed.job.into_job(engine);
    if attempt > 1 {
        // Time has passed: what the vault says now counts, not what is remembered of it.
        custody.pipeline.resolver.forget(&job.token);
    }
    match custody.pipeline.attempt(&job, way).await {
        Outcome::Relayed(relayed) => {
            tracing::debug!(send = %job.send, target = %relayed.target, attempt, "relayed from the journal");
            Outcome::Relayed(relayed)
        }
        outcome => outcome,
    }
}

fn named(target: &str) -> Option<&str> {
    Some(target).filter(|target| !target.is_empty())
}

fn pace(outcome: &Outcome) -> Pace {
    match outcome {
        Outcome::Failed(fault)
            if fault.reason == Reason::TargetUnavailable && fault.state() == State::Deferred =>
        {
            Pace::Behind
        }
        _ => Pace::Kept,
    }
}

/// Places that were taken before it is known how many jobs there are for them.
struct Reserved {
    places: Arc<Places>,
    target: Box<str>,
    count: usize,
}

impl Reserved {
    fn of(places: &Arc<Places>, target: &str, most: usize) -> Self {
        let mut window = places.lock();
        let count = window.room(target).min(most);
        window.start(target, count);
        Self { places: places.clone(), target: target.into(), count }
    }

    /// So many of them.
    fn split(&mut self, count: usize) -> Self {
        let count = count.min(self.count);
        self.count -= count;
        Self { places: self.places.clone(), target: self.target.clone(), count }
    }

    /// One of them, for a job.
    fn place(&mut self) -> Place {
        self.count = self.count.saturating_sub(1);
        Place { places: self.places.clone(), target: self.target.clone(), pace: Pace::Kept }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.places.lock().give_back(&self.target, self.count);
    }
}

/// A place in the window, given back when the attempt ends, however it ends.
struct Place {
    places: Arc<Places>,
    target: Box<str>,
    pace: Pace,
}

impl Drop for Place {
    fn drop(&mut self) {
        let is_worth_a_claim = self.places.lock().end(&self.target, self.pace);
        if is_worth_a_claim {
            self.places.freed.notify_one();
        }
    }
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
