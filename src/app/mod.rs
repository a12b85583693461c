//! The composition root: the only place that knows every room. Puts them together, reads the configuration
//! again on request, and takes them apart without losing anybody.

mod defects;
mod doors;
mod ledger;
mod orphans;
mod pages;
mod people;
mod reload;
mod settings;

pub use doors::{OpenDoor, bind_fix, folder, overlap};
pub use settings::{engine, journal_settings, render_settings, target_settings, vault_settings};

use crate::accept::door::House;
use crate::accept::quota::Quotas;
use crate::config::Config;
use crate::custody::{Custody, Dispatch};
use crate::engine::Engines;
use crate::exit::{CliError, Exit};
use crate::fault::State;
use crate::gate::Gate;
use crate::inject::Injector;
use crate::job::SendNumbers;
use crate::journal::Journal;
use crate::pipeline::{Pipeline, PipelineLimits, Rules};
use crate::telemetry::StageHistograms;
use crate::ticket::Board;
use crate::tls::ClientTls;
use crate::vault::{Vault, Watch};
use defects::Defects;
use orphans::Orphans;
use people::VaultHealth;
use reload::TlsFiles;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// The share of the drain after which replies of targets are no longer waited for.
const HALT_SHARE: f64 = 0.8;
/// Shorter than any deadline that a job, a reply or a connection is given.
const BEAT: Duration = Duration::from_millis(200);

/// A running relay.
pub struct App {
    config: Config,
    parts: Arc<Parts>,
    rules: watch::Sender<Arc<Rules>>,
    engines: watch::Sender<Arc<Engines>>,
    doors: Vec<OpenDoor>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    /// Delivery of what the journal holds.
    dispatch: Option<JoinHandle<()>>,
    /// What goes on until the last job has its outcome: the beat, and the watch over the vault.
    _background: AbortOnDropHandle<()>,
}

/// What doors share behind their calls.
struct Parts {
    custody: Arc<Custody>,
    gate: Gate,
    quotas: Arc<Quotas>,
    http_counts: Arc<crate::accept::http::Counts>,
    vault: Arc<VaultHealth>,
    defects: Defects,
    orphans: Orphans,
    /// Set once the doors are open.
    tls: OnceLock<TlsFiles>,
}

impl App {
    /// Opens the vault, loads the templates, binds the doors and takes jobs.
    ///
    /// # Errors
    /// Exit 78 for what the configuration names but cannot be used; 75 for an address in use; 1 for a vault that
    /// cannot be read.
    pub async fn start(config: Config) -> Result<Self, CliError> {
        let vault_settings = vault_settings(&config)?;
        let vault = Vault::open(&vault_settings)?;
        let health = Arc::new(VaultHealth::of(&vault));
        // Before anybody is read: no change is missed.
        let watch = vault.watch()?;
        let (engines, engines_seen) = watch::channel(Arc::new(settings::engines(&config)?));
        let (rules, rules_seen) = watch::channel(Arc::new(reload::first_rules(&config)));
        let mut tls = TlsFiles::default();
        let pipeline = Pipeline {
            rules: rules_seen,
            resolver: people::resolver(&config, &vault, &health)?,
            injector: injector(&config, &mut tls)?,
            stages: StageHistograms::default(),
            limits: PipelineLimits { message_bytes_max: config.limits.message_bytes_max },
            clock: crate::pipeline::Clock::default(),
            room: gate(&config).light(),
            guesses: crate::pipeline::Guesses::default(),
            unknown_tokens: crate::pipeline::UnknownTokens::default(),
        };
        let journal = journal(&config)?;
        remember_targets(journal.as_ref(), &pipeline.injector);
        let custody = Arc::new(Custody::new(pipeline, journal, config.limits.handoff_wait));
        let parts = Arc::new(Parts {
            custody,
            gate: gate(&config),
            quotas: Arc::default(),
            http_counts: Arc::default(),
            vault: health,
            defects: Defects::default(),
            orphans: Orphans::default(),
            tls: OnceLock::new(),
        });
        let dispatch = Dispatch::new(&parts.custody, engines_seen.clone());
        let house = house(&parts, engines_seen.clone(), &vault);
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let doors = match doors::open(&config, &house, &parts, (&shutdown, &tasks)).await {
            Ok(doors) => doors,
            Err(cause) => return Err(not_started(parts.custody.journal.clone(), cause).await),
        };
        tls.doors = doors.iter().filter_map(|(_, tls)| tls.clone()).collect();
        let _ = parts.tls.set(tls);
        let doors = doors.into_iter().map(|(door, _)| door).collect();
        let dispatch = dispatch.map(|dispatch| deliver_held(dispatch, &parts, &shutdown));
        let orphans = look_for_orphans(parts.clone(), config.journal_dir(), engines_seen);
        let background = background(parts.clone(), watch, vault);
        let background = async { _ = tokio::join!(background, orphans) };
        let background = AbortOnDropHandle::new(tokio::spawn(background));
        Ok(Self { config, parts, rules, engines, doors, shutdown, tasks, dispatch, _background: background })
    }

    /// The doors that are open, with the addresses they got.
    pub fn doors(&self) -> &[OpenDoor] {
        &self.doors
    }

    pub fn board(&self) -> &Arc<Board> {
        &self.parts.custody.board
    }

    /// The journal, if anything is kept.
    pub fn journal(&self) -> Option<Journal> {
        self.parts.custody.journal.clone()
    }

    /// Takes no more jobs, finishes those in flight within the configured time, closes the sessions. Returns how
    /// many recipients were left without an outcome.
    pub async fn stop(self) -> u64 {
        self.shutdown.cancel();
        self.tasks.close();
        let wait = self.config.limits.drain_wait;
        let custody = self.parts.custody.clone();
        let mut dispatch = self.dispatch;
        let work = async {
            self.tasks.wait().await;
            custody.finish().await;
            if let Some(dispatch) = dispatch.take() {
                let _ = dispatch.await;
            }
        };
        tokio::pin!(work);
        // Before the doors give up: an outcome that is in doubt still has to reach its engine.
        if tokio::time::timeout(wait.mul_f64(HALT_SHARE), &mut work).await.is_err() {
            custody.pipeline.injector.halt();
            let _ = tokio::time::timeout(wait.mul_f64(1.0 - HALT_SHARE), &mut work).await;
        }
        let _ = tokio::time::timeout(wait, self.parts.custody.pipeline.injector.drain()).await;
        self.parts.custody.pipeline.resolver.forget_all();
        if let Some(journal) = &custody.journal {
            journal.clone().close().await;
        }
        self.parts.custody.board.open() + self.parts.custody.board.settled(State::Lost)
    }
}

/// Delivers what the journal holds, until it is told to stop.
fn deliver_held(dispatch: Dispatch, parts: &Arc<Parts>, stop: &CancellationToken) -> JoinHandle<()> {
    let (parts, stop) = (parts.clone(), stop.clone());
    tokio::spawn(async move { parts.defects.watch("the delivery of held jobs", dispatch.run(stop)).await })
}

async fn background(parts: Arc<Parts>, watch: Watch, vault: Vault) {
    let watch = people::watch_vault(watch, parts.custody.clone(), parts.vault.clone());
    let audit = people::audit_vault(vault, parts.vault.clone());
    tokio::join!(beat(), audit, parts.defects.watch("the watch over the vault", watch));
}

async fn look_for_orphans(parts: Arc<Parts>, journal_dir: PathBuf, engines: watch::Receiver<Arc<Engines>>) {
    let Some(journal) = parts.custody.journal.clone() else { return };
    let watch = parts.orphans.watch(journal_dir, journal, engines);
    parts.defects.watch("the watch over jobs of engines that are gone", watch).await;
}

/// A timer that is due before all others calls the thread that waits for the network, and the deadline of a job would be
/// that almost every time under light load. Behind this one it never is.
async fn beat() {
    let mut beats = tokio::time::interval(BEAT);
    loop {
        beats.tick().await;
    }
}

/// `None` when no door may keep anything.
fn journal(config: &Config) -> Result<Option<Journal>, CliError> {
    if !config.needs_journal() {
        return Ok(None);
    }
    let (journal, recovered) = Journal::open(settings::journal_settings(config))?;
    tracing::info!(%recovered, "journal opened");
    if let Some(warning) = journal.warning() {
        tracing::warn!(%warning, parked = recovered.parked, "held jobs wait for a person");
    }
    Ok(Some(journal))
}

/// A run that took nothing on ends in order, lest the next one take it for one that was killed.
async fn not_started(journal: Option<Journal>, cause: CliError) -> CliError {
    if let Some(journal) = journal {
        journal.close().await;
    }
    cause
}

/// A relay that is started anew knows of its targets what the ledger knows.
fn remember_targets(journal: Option<&Journal>, injector: &Injector) {
    for (name, past) in journal.map(Journal::pasts).unwrap_or_default() {
        injector.remember(&name, past.taken_ago, past.refused_since);
    }
}

fn gate(config: &Config) -> Gate {
    Gate::new(config.limits.jobs_in_flight_max, config.limits.bytes_in_flight_max)
}

fn injector(config: &Config, tls: &mut TlsFiles) -> Result<Injector, CliError> {
    let mut target = |target: &crate::config::Target| {
        let what = format!("target {}", target.name);
        let client = ClientTls::load(target.trust.clone())
            .map_err(|error| CliError::new(Exit::Config, format!("{what}: {error}")).fix(error.fix()))?;
        let settings = target_settings(target, &client)?;
        tls.targets.push((what, client));
        Ok(settings)
    };
    let targets = config.targets.iter().map(&mut target).collect::<Result<_, CliError>>()?;
    Ok(Injector::start(targets).with_places(config.limits.jobs_in_flight_max))
}

/// The house as its doors see it.
fn house(parts: &Arc<Parts>, engines: watch::Receiver<Arc<Engines>>, vault: &Vault) -> House {
    let (submit, known) = (parts.clone(), parts.clone());
    let numbers = SendNumbers::new(&vault.derive_key(SendNumbers::KEY_PURPOSE));
    let house = House::new(
        engines,
        parts.gate.clone(),
        move |job, acceptance| {
            let parts = submit.clone();
            Box::pin(async move { parts.custody.submit(job, acceptance).await })
        },
        move |token| {
            let parts = known.clone();
            Box::pin(async move { parts.custody.pipeline.resolver.person(&token).await.map(drop) })
        },
        move |engine, job_id| numbers.of(engine, job_id),
    );
    let noted = parts.clone();
    let house = house.noting_unknown(move |engine| noted.custody.pipeline.unknown_tokens.count(engine));
    if parts.custody.journal.is_none() {
        return house;
    }
    let hold = parts.clone();
    house.holding(move |jobs| {
        let parts = hold.clone();
        Box::pin(async move { parts.custody.hold_all(jobs).await })
    })
}
