//! The journal as the rest of the relay sees it.

use super::arm::{self, Departures};
use super::body::Body;
use super::clock::{millis, unix_ms, wall_ms};
use super::commit::refuse;
use super::error::{JournalError, Trouble, io_error, store_error};
use super::file;
use super::flight::NoNote;
use super::known;
use super::ledger::{Desk, Mended};
use super::order::{Answer, Draft, End, Ended, Order};
use super::origin::Here;
use super::outcome::Verdict;
use super::reader::{self, Question};
use super::record::{Unclaimed, Written};
use super::recovered::Recovered;
use super::recovery;
use super::run::Unsure;
use super::shared::{Shared, Stats};
use super::space::Full;
use super::sync::Syncing;
use super::writer::Writer;
use super::{Claimed, Earlier, Handoff, Held, How, Lane, Number, Resumed, Settings};
use crate::fault::{Fault, Reason, State};
use crate::job::{Acceptance, Job, Repeat, SendNumber};
use crate::ticket::Outcome;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Longest wait of [`Journal::stir`]: another process may have changed rows.
const STIR_WAIT_MAX: Duration = Duration::from_millis(500);

/// The journal. Cheap to clone; its threads end with [`Journal::close`], or when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Journal(Arc<House>);

#[derive(Debug)]
struct House {
    shared: Arc<Shared>,
    /// `None` once it is closing. Plain data, held for a line.
    ask: Mutex<Option<mpsc::Sender<Question>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.shared.inbox.close();
        self.shared.arming.close();
    }
}

impl Journal {
    /// Opens the journal, or makes it. Blocks: in a second, however many jobs are held, unless the file is damaged
    /// and what can be read has to be saved first.
    ///
    /// # Errors
    /// When the directory cannot be used, or another relay has it. A damaged file is not an error: see
    /// [`Recovered::salvaged`].
    pub fn open(settings: Settings) -> Result<(Self, Recovered), JournalError> {
        Self::open_in(settings, Here::of_this_machine())
    }

    pub(super) fn open_in(settings: Settings, here: Here) -> Result<(Self, Recovered), JournalError> {
        let (writer, recovered) = recovery::open(settings, here)?;
        let [_, log, _] = file::with_companions(&writer.shared.path());
        match Self::begin(writer, &log) {
            Ok(journal) => Ok((journal, recovered)),
            Err(cause) => Err(cause.behind(recovered.salvaged)),
        }
    }

    /// Starts the threads; `log` is the write-ahead log.
    pub(super) fn begin(mut writer: Writer, log: &Path) -> Result<Self, JournalError> {
        let shared = writer.shared.clone();
        let path = shared.path();
        writer.syncing = Some(Syncing::start(shared.clone(), log).map_err(io_error(log))?);
        let db = reader::connect(&shared).map_err(store_error(&path))?;
        let knowing = known::start(&shared.known, path.clone()).map_err(io_error(&path))?;
        let (ask, reading) = reader::start(db, shared.clone()).map_err(io_error(&path))?;
        let arming = arm::start(shared.clone()).map_err(io_error(&path))?;
        let watched = shared.clone();
        let write = move || {
            if catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
                watched.break_down(Trouble::Io(std::io::ErrorKind::Other));
            }
            watched.inbox.close();
            let fault = watched.refusal();
            watched.inbox.clear().into_iter().for_each(|order| refuse(order, &watched, &fault));
        };
        let writing = std::thread::Builder::new().name("journal-write".into()).spawn(write);
        let threads = Mutex::new(vec![writing.map_err(io_error(&path))?, reading, knowing, arming]);
        Ok(Self(Arc::new(House { shared, ask: Mutex::new(Some(ask)), threads })))
    }

    /// Takes jobs on, all of them or none. When the answer is there, they are on disk (fsync). A job that came before
    /// and ended `deferred` is taken on anew: its engine was told to submit it again.
    ///
    /// # Errors
    /// [`Fault::no_storage`] when the journal or its disk is full; a deferral that names the fix when the journal
    /// cannot be written. Nothing is held then.
    pub async fn hold(&self, jobs: Vec<(Arc<Job>, Body, How)>) -> Result<Vec<Held>, Fault> {
        let drafts = jobs.into_iter().map(|job| self.draft(job)).collect();
        let (answer, answered) = oneshot::channel();
        self.ask_writer(Order::Hold { drafts, answer }, answered).await
    }

    fn draft(&self, (job, body, how): (Arc<Job>, Body, How)) -> Draft {
        let shared = &self.0.shared;
        shared.known.add(&job.send.bits());
        // Its own deadline is of the wall clock; what is left of it is counted on the journal's.
        let left = match job.expires {
            Some(at) => unix_ms(at) - wall_ms(),
            None => millis(shared.settings.expires),
        };
        let expires = shared.clock.now_ms().saturating_add(left);
        Draft { written: Written::of(&job), job, body, how, expires }
    }

    async fn ask_writer<T>(
        &self,
        order: Order,
        answered: oneshot::Receiver<Result<T, Fault>>,
    ) -> Result<T, Fault> {
        if self.0.shared.inbox.put(order).await.is_err() {
            return Err(self.0.shared.refusal());
        }
        answered.await.unwrap_or_else(|_| Err(self.0.shared.refusal()))
    }

    /// A job that was refused comes again, and is to be attempted without being held.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn resume(&self, send: &SendNumber, body: Body) -> Result<Resumed, Fault> {
        let (answer, answered) = oneshot::channel();
        self.ask_writer(Order::Resume { send: send.bits(), body, answer }, answered).await
    }

    /// What is known of a job that came before under this number.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn look_up(&self, send: &SendNumber) -> Result<Option<Earlier>, Fault> {
        let bits = send.bits();
        if self.0.shared.known.is_new(&bits) {
            return Ok(None);
        }
        let found = self.ask_reader(|answer| Question::LookUp(bits, answer)).await?;
        if found.is_some() {
            self.durable().await?;
        }
        Ok(found)
    }

    /// Waits until everything that can be read by now is on the disk: a power cut must not take back what an engine was
    /// told.
    ///
    /// # Errors
    /// When the journal has stopped before.
    pub async fn durable(&self) -> Result<(), Fault> {
        if self.0.shared.unsynced.synced().await { Ok(()) } else { Err(self.0.shared.refusal()) }
    }

    /// Waits until all that was recorded and held so far is in the ledger and on the disk.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn settled(&self) -> Result<(), Fault> {
        self.hold(Vec::new()).await.map(|_| ())
    }

    async fn ask_reader<T>(&self, question: impl FnOnce(Answer<T>) -> Question) -> Result<T, Fault> {
        let (answer, answered) = oneshot::channel();
        let ask = self.0.ask.lock().expect("no holder of this lock panics").clone();
        let is_asked = ask.is_some_and(|ask| ask.send(question(answer)).is_ok());
        if !is_asked {
            return Err(self.0.shared.refusal());
        }
        answered.await.unwrap_or_else(|_| Err(self.0.shared.refusal()))
    }

    /// Writes the outcome of a job that was never held into the ledger, behind the answer. Waits only while the
    /// writer is behind. What cannot be written is counted ([`Stats::unrecorded`]).
    pub async fn record(&self, job: Arc<Job>, body: Body, outcome: Outcome) {
        self.put_ended(job, body, outcome, None).await;
    }

    /// Likewise for a job that was handed off; its note is kept until the ledger has the outcome.
    pub async fn record_handoff(&self, handoff: Arc<Handoff>, outcome: Outcome) {
        let (job, body) = handoff.job();
        self.put_ended(job, body, outcome, Some(handoff)).await;
    }

    async fn put_ended(&self, job: Arc<Job>, body: Body, outcome: Outcome, handoff: Option<Arc<Handoff>>) {
        self.0.shared.known.add(&job.send.bits());
        let is_kept = self.0.shared.settings.keep_refused.is_on()
            && matches!(&outcome, Outcome::Failed(fault) if fault.is_before_any_offer());
        let written = is_kept.then(|| Written::of(&job));
        let order = Order::Record(Box::new(Ended { job, body, outcome, written, handoff }));
        if self.0.shared.inbox.put(order).await.is_err() {
            self.0.shared.unrecorded();
        }
    }

    /// A job that goes to a target without being held. Waits while as many as can be noted are on their way, or
    /// wait for the ledger.
    pub async fn hand_off(&self, job: Arc<Job>, body: Body) -> Handoff {
        Handoff::new(self.0.shared.handoffs.clone(), job, body).await
    }

    /// The lanes that hold jobs, with the time until their first is due.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn lanes(&self) -> Result<Vec<(Lane, Duration)>, Fault> {
        let lanes = self.ask_reader(Question::Lanes).await?;
        let now = self.0.shared.clock.now_ms();
        let until = |at: i64| Duration::from_millis(at.saturating_sub(now).max(0) as u64);
        Ok(lanes.into_iter().map(|(lane, at)| (lane, until(at))).collect())
    }

    /// Takes up to `count` jobs that are due. When the answer is there, the disk says that they are in flight; each
    /// is to be settled. Given up while it waits, what was claimed waits again.
    ///
    /// # Errors
    /// When the journal cannot be written: nothing may be sent that a crash would forget.
    pub async fn claim(&self, lane: &Lane, count: usize) -> Result<Vec<Claimed>, Fault> {
        let (answer, answered) = oneshot::channel();
        let caught = self.ask_writer(Order::Claim { lane: lane.clone(), count, answer }, answered).await?;
        let mut claimed = Vec::new();
        for raw in caught.into_raws() {
            match Unclaimed::read(&raw.stored) {
                Ok(job) => claimed.push(Claimed {
                    number: Number(raw.number),
                    attempt: raw.attempt,
                    engine: raw.stored.engine,
                    job,
                }),
                Err(_) => self.end(raw.number, End::Damaged),
            }
        }
        Ok(claimed)
    }

    /// Claimed jobs before they are attempted: they may be as they come out again, which the disk knows then. No more come out
    /// than the target takes up soon. Each of the others is to be settled.
    pub fn arm(&self, target: &str, claimed: Vec<Claimed>) -> Departures {
        self.0.shared.arming.arm(target, claimed)
    }

    /// To be called right before the last octets of a message leave: from here on a crash leaves it in doubt. For a
    /// job that was held as [`How::InFlight`] when they had left already, right after it was held.
    ///
    /// # Errors
    /// When the note cannot be written: the message must not be sent.
    pub fn offered(&self, number: Number) -> Result<(), Fault> {
        let shared = &self.0.shared;
        if shared.is_poisoned() {
            return Err(shared.refusal());
        }
        self.noted(shared.flights.offered(number.0))
    }

    fn noted<T>(&self, noted: Result<T, NoNote>) -> Result<T, Fault> {
        let shared = &self.0.shared;
        noted.map_err(|no_note| match no_note {
            NoNote::NotInFlight => {
                Fault::new(Reason::TargetUnavailable, "the job is not in flight; it was settled before")
            }
            NoNote::Full => Fault::new(
                Reason::TargetUnavailable,
                "more messages are on their way than the journal can note",
            ),
            NoNote::Io(error) => {
                shared.poison(Trouble::of_io(&error));
                shared.refusal()
            }
        })
    }

    /// Ends an attempt. The journal's rules say whether the job ends with it, is tried again, or is held in doubt.
    /// [`Outcome::Journaled`] gives the job back: nothing was attempted, and it is due at once. So does a fault that is untried,
    /// behind a moment. Never waits; the writer commits it behind the call, and until then the flight log knows.
    pub async fn settle(&self, number: Number, outcome: Outcome) {
        let shared = &self.0.shared;
        if let Err(error) = shared.flights.answered(number.0, &outcome) {
            shared.poison(Trouble::of_io(&error));
        }
        let end = match &outcome {
            Outcome::Lost if shared.flights.was_offered(number.0) => End::Known(Verdict::failed(
                &Fault::in_doubt("the attempt was dropped while the message was on its way"),
            )),
            // With a pause, as what broke the attempt may break the next.
            Outcome::Lost => End::Known(Verdict::failed(&Fault::new(
                Reason::TargetUnavailable,
                "the attempt was dropped before the message was on its way",
            ))),
            Outcome::Journaled(_) => End::GivenBack,
            Outcome::Failed(fault) if fault.state() == State::Journaled => End::GivenBack,
            Outcome::Failed(fault) if fault.is_untried() => End::NotItsTurn(Verdict::failed(fault)),
            outcome => End::Known(Verdict::of(outcome)),
        };
        self.end(number.0, end);
    }

    fn end(&self, number: i64, end: End) {
        // Once the journal is closed, the next start judges it by the flight log.
        let row = self.0.shared.flights.row_then(number);
        let _ = self.0.shared.inbox.push(Order::Settle { number, end, row });
    }

    /// What waits because the last attempt has failed for this is due at once. How many jobs that were.
    ///
    /// # Errors
    /// When the journal cannot be written: they wait until their pause is over.
    pub async fn hasten(&self, mended: Mended) -> Result<u64, Fault> {
        // What has failed by now is among it.
        self.settled().await?;
        let dir = self.0.shared.settings.dir.clone();
        let hasten = move || Desk::open(&dir).and_then(|mut desk| desk.hasten(&mended));
        let hastened = tokio::task::spawn_blocking(hasten).await.map_err(|error| error.to_string());
        let hastened = hastened.and_then(|hastened| hastened.map_err(|error| error.to_string()));
        hastened.map_err(|cause| Fault::new(Reason::TargetUnavailable, cause))
    }

    /// Waits until jobs may have become due: something was held or changed, or time has passed. For one caller.
    pub async fn stir(&self) {
        let soon = |lanes: Vec<(Lane, Duration)>| {
            lanes.into_iter().map(|(_, until)| until).filter(|until| !until.is_zero()).min()
        };
        let first = self.lanes().await.ok().and_then(soon);
        let wait = first.map_or(STIR_WAIT_MAX, |until| until.min(STIR_WAIT_MAX));
        let _ = tokio::time::timeout(wait, self.0.shared.stirred.notified()).await;
    }

    pub fn stats(&self) -> Stats {
        self.0.shared.stats()
    }

    /// Why the journal cannot be written, with the fix; `None` when it can.
    pub fn health(&self) -> Option<String> {
        self.0.shared.health()
    }

    /// Why no new job is taken on, though what is held goes on.
    pub fn full(&self) -> Option<Full> {
        self.0.shared.stats().full
    }

    /// Whether a job that is submitted now, and that the ledger does not know, may have been carried before.
    pub fn repeat(&self, acceptance: Acceptance) -> Repeat {
        let Unsure { handoffs_until, all_until } = self.0.shared.run.unsure;
        let until = match acceptance {
            Acceptance::Auto => handoffs_until.max(all_until),
            // What was promised to be on the disk is there, unless the disk is another.
            Acceptance::Journal => all_until,
            // Nothing is kept that could know of it.
            Acceptance::Handoff => return Repeat::No,
        };
        if until > self.0.shared.clock.now_ms() { Repeat::Maybe } else { Repeat::No }
    }

    /// Why not everybody has an outcome in the ledger that was promised one. For the end of a run.
    pub fn shortfall(&self) -> Option<String> {
        let Stats { health, unrecorded, .. } = self.stats();
        health.or_else(|| (unrecorded > 0).then(|| format!("{unrecorded} outcomes could not be written")))
    }

    /// What a person has to decide, with the command for it; it keeps nothing else from going on.
    pub fn warning(&self) -> Option<String> {
        self.0.shared.warning()
    }

    /// Commits everything that came, and ends the threads. Whatever is asked afterwards is refused.
    pub async fn close(self) {
        self.0.shared.inbox.close();
        self.0.shared.arming.close();
        self.0.ask.lock().expect("no holder of this lock panics").take();
        let threads = std::mem::take(&mut *self.0.threads.lock().expect("no holder of this lock panics"));
        let join = move || threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = tokio::task::spawn_blocking(join).await;
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}
