//! What the journal's threads and its callers share.

use super::Settings;
use super::apply::{Moment, Totals};
use super::arm::Arming;
use super::clock::{Clock, wall_ms};
use super::error::Trouble;
use super::file::FILE_NAME;
use super::flight::{Flights, Standing};
use super::handoff::HandoffLog;
use super::inbox::Inbox;
use super::known::Known;
use super::origin::{Sign, Told, Voice};
use super::run::Run;
use super::space::Full;
use super::sync::Unsynced;
use crate::fault::{Fault, Reason};
use crate::herald::Herald;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Stands in the directory while the database file is known to be damaged, so that the next start saves what it can.
pub const DAMAGED_MARK: &str = "damaged";

/// What to do about parked jobs.
pub const RELEASE: &str = "tokenrelay jobs release --all --yes sends them, jobs cancel calls them off";

#[derive(Debug)]
pub struct Shared {
    pub settings: Settings,
    pub clock: Clock,
    pub inbox: Arc<Inbox>,
    pub flights: Flights,
    pub handoffs: Arc<HandoffLog>,
    pub arming: Arming,
    pub run: Run,
    /// As of the last look at the lanes.
    pub has_parked: AtomicBool,
    voice: Voice,
    // Plain data, held for some lines and a few small writes: what is said last is what holds.
    told: Mutex<Told>,
    pub known: Arc<Known>,
    pub unsynced: Unsynced,
    /// Gives out what the disk has.
    pub herald: Herald,
    /// Told when something was made due.
    pub stirred: Notify,
    trouble: OnceLock<Trouble>,
    // Plain data, held for a line.
    full: Mutex<Option<Full>>,
    counts: Counts,
}

/// What is written beside the database.
#[derive(Debug)]
pub struct Logs {
    pub flights: Flights,
    pub handoffs: HandoffLog,
    pub voice: Voice,
    /// What was said there at the start.
    pub told: Told,
}

#[derive(Debug, Default)]
struct Counts {
    held_bytes: AtomicU64,
    held_jobs: AtomicU64,
    quarantined: AtomicU64,
    kept_bytes: AtomicU64,
    kept_jobs: AtomicU64,
    commits: AtomicU64,
    unrecorded: AtomicU64,
    /// When the first of the held jobs was accepted, in milliseconds of Unix time; 0 while there is none.
    oldest: AtomicI64,
}

/// The journal in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Jobs that wait, are in flight, or are held in doubt.
    pub held_jobs: u64,
    pub held_bytes: u64,
    /// Most bytes they may take.
    pub bytes_max: u64,
    /// For how long the first of them has been held.
    pub oldest: Duration,
    /// Of those, jobs that are being attempted.
    pub in_flight: u64,
    pub commits: u64,
    /// Jobs that could not be read back, since the journal was made.
    pub quarantined: u64,
    /// Refused jobs that can be judged anew, and what they take.
    pub kept_jobs: u64,
    pub kept_bytes: u64,
    /// Outcomes that the ledger misses because it could not be written, since the start.
    pub unrecorded: u64,
    /// Why the journal cannot be written.
    pub health: Option<String>,
    /// Why no new job is taken on.
    pub full: Option<Full>,
}

impl Shared {
    pub fn new(settings: Settings, clock: Clock, logs: Logs, run: Run, last_job: i64) -> Self {
        let Logs { flights, handoffs, voice, told } = logs;
        Self {
            settings,
            clock,
            inbox: Arc::new(Inbox::new()),
            handoffs: Arc::new(handoffs),
            arming: Arming::default(),
            // Until somebody has looked.
            has_parked: AtomicBool::new(run.sign.is_some()),
            run,
            voice,
            told: Mutex::new(told),
            flights,
            known: Arc::default(),
            unsynced: Unsynced::new(last_job),
            herald: Herald::start(),
            stirred: Notify::new(),
            trouble: OnceLock::new(),
            full: Mutex::default(),
            counts: Counts::default(),
        }
    }

    pub fn path(&self) -> PathBuf {
        self.settings.dir.join(FILE_NAME)
    }

    pub fn moment(&self, before: i64) -> Moment {
        Moment { clock: self.clock.now_ms(), wall: wall_ms(), before, log: self.flights.knows_of() }
    }

    /// Everything up to this commit is on the disk; told before anybody is told so. First in the folder, then outside of
    /// it: so none is ahead of the one before it, unless that was set back.
    pub fn reached(&self, clock: i64) {
        match self.handoffs.mark(clock).and_then(|()| self.flights.mark(clock)) {
            Ok(()) => self.testify(|told| told.mark.clock = told.mark.clock.max(clock)),
            Err(error) => self.poison(Trouble::of_io(&error)),
        }
    }

    fn testify(&self, change: impl FnOnce(&mut Told)) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut told);
        self.voice.say(&told);
    }

    /// Nothing is taken on, given out or said to be written any more until the relay is restarted: after a failed
    /// write, what the file holds is known only once it is read anew.
    pub fn poison(&self, trouble: Trouble) {
        if self.trouble.set(trouble).is_err() {
            return;
        }
        tracing::error!(path = %self.path().display(), %trouble, fix = trouble.fix(), "the journal stopped");
        // What would become of it could not be written down.
        self.handoffs.stop();
        if trouble.is_of_the_disk() {
            self.say_broken_down();
        }
        if trouble == Trouble::Damaged {
            // Without the mark the next start finds the damage by itself, or not at once.
            let _ = std::fs::write(self.settings.dir.join(DAMAGED_MARK), b"");
        }
    }

    /// For the next start, in both places: the disk may refuse the one, and a new boot forgets the other.
    fn say_broken_down(&self) {
        if let Err(error) = self.flights.stand(Standing::BrokenDown) {
            tracing::error!(%error, "the flight log cannot be written either");
        }
        self.testify(|told| told.has_broken_down = true);
    }

    /// What a person has to decide.
    pub fn warning(&self) -> Option<String> {
        let sign = self.run.sign.filter(|_| self.has_parked.load(Relaxed))?;
        Some(parked_warning(sign))
    }

    pub fn is_poisoned(&self) -> bool {
        self.trouble.get().is_some()
    }

    pub fn health(&self) -> Option<String> {
        let trouble = self.trouble.get()?;
        let path = self.path();
        Some(format!("the journal {} cannot be used: {trouble}; {}", path.display(), trouble.fix()))
    }

    /// What callers are told while the journal cannot do what they ask.
    pub fn refusal(&self) -> Fault {
        match self.trouble.get() {
            Some(trouble) => unwritable(*trouble),
            None => Fault::new(Reason::TargetUnavailable, "the journal is closing; submit again later"),
        }
    }

    fn full(&self) -> MutexGuard<'_, Option<Full>> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says so once when new jobs are refused from now on, and once when they are taken again.
    pub fn tell_full(&self, now: Option<Full>) {
        let before = std::mem::replace(&mut *self.full(), now);
        match (before, now) {
            (None, Some(why)) => tracing::warn!(%why, "the journal takes no new jobs"),
            (Some(_), None) => tracing::info!("the journal takes jobs again"),
            _ => {}
        }
    }

    pub fn set_oldest(&self, accepted_ms: Option<i64>) {
        self.counts.oldest.store(accepted_ms.unwrap_or(0), Relaxed);
    }

    fn oldest(&self) -> Duration {
        match self.counts.oldest.load(Relaxed) {
            0 => Duration::ZERO,
            accepted => Duration::from_millis(wall_ms().saturating_sub(accepted).max(0) as u64),
        }
    }

    pub fn committed(&self, totals: Totals) {
        self.counts.commits.fetch_add(1, Relaxed);
        self.set_totals(totals);
    }

    pub fn set_totals(&self, totals: Totals) {
        self.counts.held_bytes.store(totals.held_bytes, Relaxed);
        self.counts.held_jobs.store(totals.held_jobs, Relaxed);
        self.counts.quarantined.store(totals.quarantined, Relaxed);
        self.counts.kept_bytes.store(totals.kept_bytes, Relaxed);
        self.counts.kept_jobs.store(totals.kept_jobs, Relaxed);
    }

    pub fn unrecorded(&self) {
        self.counts.unrecorded.fetch_add(1, Relaxed);
    }

    pub fn stats(&self) -> Stats {
        Stats {
            held_jobs: self.counts.held_jobs.load(Relaxed),
            held_bytes: self.counts.held_bytes.load(Relaxed),
            bytes_max: self.settings.bytes_max,
            oldest: self.oldest(),
            in_flight: self.flights.count() as u64,
            commits: self.counts.commits.load(Relaxed),
            quarantined: self.counts.quarantined.load(Relaxed),
            kept_jobs: self.counts.kept_jobs.load(Relaxed),
            kept_bytes: self.counts.kept_bytes.load(Relaxed),
            unrecorded: self.counts.unrecorded.load(Relaxed),
            health: self.health(),
            full: *self.full(),
        }
    }
}

/// What is said of jobs that wait for a person, wherever it is said.
pub fn parked_warning(sign: Sign) -> String {
    format!(
        "{sign}: the jobs it held are not sent until a person says so, as they may have been sent since; \
         {RELEASE}"
    )
}

/// The deferral for a journal in trouble.
pub fn unwritable(trouble: Trouble) -> Fault {
    Fault::new(Reason::TargetUnavailable, format!("the journal cannot be used: {trouble}; {}", trouble.fix()))
}
