//! One target at work: its queue, its workers (one session each) and how many of them there are.
//!
//! The first delivery starts a worker; more come while replies are slow and parcels wait, up to the limit; an
//! idle worker leaves. The last worker that cannot connect fails whatever waits and opens the breaker.

mod contract;

use super::auth::Unavailable;
use super::breaker::Breaker;
use super::delivery::{Errand, Parcel};
use super::ehlo::Capabilities;
use super::flow::Flow;
use super::health::Health;
use super::inquiry::Inquiry;
use super::lessons::Lessons;
use super::machines::Machines;
use super::offers::Offers;
use super::pace::Pace;
use super::place::{Ceiling, Places};
use super::queue::Queue;
use super::rate::Rate;
use super::senders::Senders;
use super::session::IN_FLIGHT_MAX;
use super::settings::TargetSettings;
use super::stats::TargetStats;
use super::unclear::Unclear;
use crate::fault::{Fault, Reason};
use contract::{Contract, Progress};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A parcel that waited this long in the queue asks for one more session.
const QUEUE_WAIT: Duration = Duration::from_millis(100);
/// After a connection failed beside working ones, no other is tried for this long.
const GROWTH_PAUSE: Duration = Duration::from_secs(1);
/// A target with work of ours that says nothing for this long is late, if it is not known to be slow: what it was not
/// offered yet goes to others.
const LATE: Duration = Duration::from_secs(1);
/// The same where there are no others: nobody is helped by giving up on it any sooner.
const LATE_ALONE: Duration = Duration::from_millis(3500);

pub(super) struct Target {
    pub settings: TargetSettings,
    pub queue: Queue,
    pub stats: TargetStats,
    pub breaker: Breaker,
    pub health: Health,
    pub inquiry: Inquiry,
    pub flow: Arc<Flow>,
    pub pace: Pace,
    pub lessons: Lessons,
    pub senders: Senders,
    pub unclear: Unclear,
    pub machines: Machines,
    pub offers: Offers,
    /// Counts what shows that the target is there.
    pub pulse: Arc<AtomicU64>,
    /// How long it may say nothing, at least.
    pub late_min: Duration,
    /// Told when the target is left alone.
    pub turned: Notify,
    /// Messages that wait in a session's hand until the target, which is silent, answers.
    pub in_hand: AtomicUsize,
    /// Jobs that were given this target and have no outcome yet.
    pub seats: AtomicUsize,
    learned: watch::Sender<Learned>,
    pub rate: Option<Rate>,
    workers: AtomicUsize,
    established: AtomicUsize,
    places: Places,
    pub ceiling: Ceiling,
    /// Milliseconds after `born` before which no further session is tried.
    growth_resumes_ms: AtomicU64,
    born: Instant,
    gone: Notify,
    unavailable_auth: Unavailable,
    /// No reply is waited for any more: what is in doubt by then is reported as that, not lost.
    pub halted: CancellationToken,
}

/// What the last attempt to connect taught.
#[derive(Debug, Clone, Default)]
struct Learned {
    capabilities: Option<Capabilities>,
    failure: Option<Fault>,
    failures: u64,
}

impl Target {
    /// Beside so many others.
    pub fn new(settings: TargetSettings, others: usize) -> Arc<Self> {
        let places = Places::new(settings.connections_max);
        Arc::new(Self {
            rate: settings.rate_per_second_max.map(Rate::new),
            flow: Flow::new(settings.connections_max.saturating_mul(IN_FLIGHT_MAX)),
            pace: Pace::default(),
            pulse: Arc::default(),
            late_min: if others == 0 { LATE_ALONE } else { LATE },
            turned: Notify::new(),
            in_hand: AtomicUsize::new(0),
            seats: AtomicUsize::new(0),
            settings,
            queue: Queue::new(),
            stats: TargetStats::default(),
            breaker: Breaker::default(),
            health: Health::default(),
            inquiry: Inquiry::default(),
            lessons: Lessons::new(),
            senders: Senders::default(),
            unclear: Unclear::new(),
            machines: Machines::default(),
            offers: Offers::default(),
            learned: watch::Sender::new(Learned::default()),
            workers: AtomicUsize::new(0),
            established: AtomicUsize::new(0),
            places,
            ceiling: Ceiling::default(),
            growth_resumes_ms: AtomicU64::new(0),
            born: Instant::now(),
            gone: Notify::new(),
            unavailable_auth: Unavailable::default(),
            halted: CancellationToken::new(),
        })
    }

    /// Queues a parcel and sees to it that somebody serves it.
    ///
    /// # Errors
    /// The parcel, when it has to wait for room: see [`Target::submit`].
    pub fn try_submit(self: &Arc<Self>, parcel: Parcel) -> Result<(), Box<Parcel>> {
        self.queue.try_push(parcel).map(|()| self.ensure_worker())
    }

    /// The same, and waits for room.
    pub async fn submit(self: &Arc<Self>, parcel: Box<Parcel>) {
        match self.queue.push(parcel).await {
            Ok(()) => self.ensure_worker(),
            Err(parcel) => parcel.fail(self.stopping()),
        }
    }

    pub fn ensure_worker(self: &Arc<Self>) {
        if self.workers.load(Ordering::SeqCst) == 0 {
            self.hire(1);
        }
    }

    /// One more session, if parcels wait, none is being made already, and the limits allow it.
    pub fn grow(self: &Arc<Self>) {
        let workers = self.workers.load(Ordering::SeqCst);
        let connecting = workers.saturating_sub(self.established.load(Ordering::SeqCst));
        let now_ms = self.born.elapsed().as_millis() as u64;
        let is_paused = now_ms < self.growth_resumes_ms.load(Ordering::Relaxed);
        if connecting == 0 && !is_paused && !self.queue.is_empty() {
            self.hire(self.ceiling.under(self.settings.connections_max));
        }
    }

    /// Whether another session comes, or is made, beside those that are open.
    pub fn has_room_for_another(self: &Arc<Self>) -> bool {
        self.grow();
        let workers = self.workers.load(Ordering::SeqCst);
        workers < self.ceiling.under(self.settings.connections_max) || workers > self.established()
    }

    /// Starts a worker while there are fewer than `max`.
    fn hire(self: &Arc<Self>, max: usize) {
        let one_more = |workers| (workers < max).then_some(workers + 1);
        if self.workers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok() {
            let contract = Contract {
                target: self.clone(),
                carried: Vec::new(),
                fault: None,
                progress: Progress::Hired,
            };
            tokio::spawn(contract.work());
        }
    }

    /// Grows where parcels wait though replies are quick.
    pub fn note_wait(self: &Arc<Self>, parcel: &Parcel) {
        if !self.queue.is_empty() && parcel.queued_at.elapsed() > QUEUE_WAIT {
            self.grow();
        }
    }

    /// Sessions that are open.
    pub fn established(&self) -> usize {
        self.established.load(Ordering::SeqCst)
    }

    /// Who waits for the first session waits no longer.
    pub fn learn_silence(&self, cause: &Fault) {
        self.learned.send_modify(|learned| {
            learned.failure = Some(cause.clone());
            learned.failures += 1;
        });
    }

    /// What the last EHLO offered; makes a session when there was none yet.
    ///
    /// # Errors
    /// `target-unavailable` with the reason no session could be made.
    pub async fn capabilities(self: &Arc<Self>, errand: Errand) -> Result<Capabilities, Fault> {
        // Nearly always they are known, and nobody need be told of what comes.
        if let Some(capabilities) = self.learned.borrow().capabilities {
            return Ok(capabilities);
        }
        let mut learned = self.learned.subscribe();
        let failures = {
            let now = learned.borrow_and_update();
            if let Some(capabilities) = now.capabilities {
                return Ok(capabilities);
            }
            now.failures
        };
        match self.breaker.shut() {
            Some((kind, cause)) if !errand.bears(kind) => return Err(cause),
            _ => {}
        }
        self.ensure_worker();
        let is_settled = |now: &Learned| now.capabilities.is_some() || now.failures > failures;
        let now = tokio::select! {
            biased;
            now = learned.wait_for(is_settled) => now.map_err(|_| self.stopping())?.clone(),
            () = self.halted.cancelled() => return Err(self.stopping()),
        };
        now.capabilities.ok_or_else(|| now.failure.unwrap_or_else(|| self.stopping()))
    }

    /// Takes nothing new, sends what is queued, and waits until every session has said good-bye.
    pub async fn drain(self: &Arc<Self>) {
        self.queue.close();
        loop {
            let gone = self.gone.notified();
            if self.workers.load(Ordering::SeqCst) == 0 {
                return;
            }
            gone.await;
        }
    }

    pub fn stopping(&self) -> Fault {
        let detail = format!("target {} takes no more messages: the relay is stopping", self.settings.name);
        Fault::new(Reason::TargetUnavailable, detail).at(&self.settings.name)
    }

    fn learn_failure(&self, fault: &Fault) {
        self.stats.connect_failures.fetch_add(1, Ordering::Relaxed);
        self.learned.send_modify(|learned| {
            learned.failure = Some(fault.clone());
            learned.failures += 1;
        });
        let resumes = self.born.elapsed() + GROWTH_PAUSE;
        self.growth_resumes_ms.store(resumes.as_millis() as u64, Ordering::Relaxed);
    }
}
