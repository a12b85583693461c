//! The composition root: the only place that knows every room. Puts them together, reads the configuration
//! again on request, and takes them apart without losing anybody.

mod doors;
mod ledger;
mod pages;
mod settings;

pub use doors::OpenDoor;
pub use settings::{
    ENGINE_SECRET_BYTES_MIN, journal_settings, render_settings, target_settings, vault_settings,
};

use crate::accept::door::House;
use crate::accept::quota::Quotas;
use crate::config::Config;
use crate::custody::{Custody, Dispatch};
use crate::engine::Engines;
use crate::exit::{CliError, Exit};
use crate::fault::{Fault, Reason, State};
use crate::gate::Gate;
use crate::inject::Injector;
use crate::job::{SendNumbers, Token};
use crate::journal::Journal;
use crate::pipeline::{Pipeline, PipelineLimits, Rules};
use crate::render::Renderer;
use crate::resolve::{Known, ReadBatch, Resolver};
use crate::telemetry::StageHistograms;
use crate::ticket::Board;
use crate::tls::ClientTls;
use crate::vault::{Vault, VaultError, Watch};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// The share of the drain after which replies of targets are no longer waited for.
const HALT_SHARE: f64 = 0.8;
/// Shorter than any deadline that a job, a reply or a connection is given.
const BEAT: Duration = Duration::from_millis(200);
/// How soon a change of the vault counts for people that are remembered.
const VAULT_LOOK: Duration = Duration::from_secs(1);

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
}

impl App {
    /// Opens the vault, loads the templates, binds the doors and takes jobs.
    ///
    /// # Errors
    /// Exit 78 for what the configuration names but cannot be used; 75 for an address in use; 1 for a vault that
    /// cannot be read.
    pub async fn start(config: Config) -> Result<Self, CliError> {
        let wrong =
            |cause: String| CliError::new(Exit::Config, cause).fix("tokenrelay check names every mistake");
        let vault_settings = vault_settings(&config).map_err(wrong)?;
        let vault = Vault::open(&vault_settings)?;
        // Before anybody is read: no change is missed.
        let watch = vault.watch()?;
        let (engines, engines_seen) = watch::channel(Arc::new(settings::engines(&config).map_err(wrong)?));
        let (rules, rules_seen) = watch::channel(Arc::new(load_rules(&config).map_err(wrong)?));
        let pipeline = Pipeline {
            rules: rules_seen,
            resolver: resolver(&config, &vault)?,
            injector: injector(&config).map_err(wrong)?,
            stages: StageHistograms::default(),
            limits: PipelineLimits { message_bytes_max: config.limits.message_bytes_max },
            clock: crate::pipeline::Clock::default(),
            room: gate(&config).light(),
        };
        let custody = Arc::new(Custody::new(pipeline, journal(&config)?, config.limits.handoff_wait));
        let parts = Arc::new(Parts {
            custody,
            gate: gate(&config),
            quotas: Arc::default(),
            http_counts: Arc::default(),
        });
        let dispatch = Dispatch::new(&parts.custody, engines_seen.clone());
        let house = house(&parts, engines_seen, &vault);
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let doors = doors::open(&config, &house, &parts, (&shutdown, &tasks)).await?;
        let dispatch = dispatch.map(|dispatch| tokio::spawn(dispatch.run(shutdown.clone())));
        let watch = watch_vault(watch, parts.custody.pipeline.resolver.clone());
        let background = AbortOnDropHandle::new(tokio::spawn(async { _ = tokio::join!(beat(), watch) }));
        Ok(Self { config, parts, rules, engines, doors, shutdown, tasks, dispatch, _background: background })
    }

    /// The doors that are open, with the addresses they got.
    pub fn doors(&self) -> &[OpenDoor] {
        &self.doors
    }

    pub fn board(&self) -> &Arc<Board> {
        &self.parts.custody.board
    }

    /// Takes engines, templates and policy from a new configuration; returns what was done.
    ///
    /// # Errors
    /// Why the new configuration cannot be used; the old one stays whole.
    pub async fn reload(&self, config: Config) -> Result<String, String> {
        let engines = settings::engines(&config)?;
        let rules = load_rules(&config)?;
        self.engines.send_replace(Arc::new(engines));
        self.rules.send_replace(Arc::new(rules));
        self.parts.custody.pipeline.resolver.forget_all();
        let fixed = |config: &Config| {
            let Config { listeners, targets, limits, journal, .. } = config;
            format!("{listeners:?}{targets:?}{limits:?}{journal:?}")
        };
        let note = if fixed(&config) == fixed(&self.config) {
            ""
        } else {
            "; changes of listeners, targets, limits and journal take a restart"
        };
        Ok(format!("engines, templates and policy are as written now{note}"))
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

/// A timer that is due before all others calls the thread that waits for the network, and the deadline of a job would be
/// that almost every time under light load. Behind this one it never is.
async fn beat() {
    let mut beats = tokio::time::interval(BEAT);
    loop {
        beats.tick().await;
    }
}

/// Forgets everybody when the vault was changed: who was erased, or consents no more, is not mailed for as long as a
/// record may be remembered.
async fn watch_vault(mut watch: Watch, resolver: Resolver) {
    let mut looks = tokio::time::interval(VAULT_LOOK);
    let mut had_changed = false;
    loop {
        looks.tick().await;
        let look = tokio::task::spawn_blocking(move || (watch.has_changed(), watch));
        let Ok((changed, again)) = look.await else {
            return tracing::error!("the vault is watched no more: its changes count when cache.ttl is over");
        };
        watch = again;
        // While it cannot be read, what is remembered counts for its time.
        let has_changed = changed.unwrap_or(false);
        // And once more at the next look: a batch that was being read may have brought what was true before.
        if has_changed || had_changed {
            resolver.forget_all();
        }
        had_changed = has_changed;
    }
}

/// `None` when no door may keep anything.
fn journal(config: &Config) -> Result<Option<Journal>, CliError> {
    if !config.needs_journal() {
        return Ok(None);
    }
    let (journal, recovered) = Journal::open(settings::journal_settings(config))?;
    tracing::info!(%recovered, "journal opened");
    Ok(Some(journal))
}

fn gate(config: &Config) -> Gate {
    Gate::new(config.limits.jobs_in_flight_max, config.limits.bytes_in_flight_max)
}

/// Everything a reload replaces, checked before it is used.
fn load_rules(config: &Config) -> Result<Rules, String> {
    let lines = |lints: Vec<crate::render::Lint>| {
        lints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let renderer = Renderer::load(render_settings(config)).map_err(lines)?;
    Ok(Rules { renderer, consent: config.consent })
}

fn resolver(config: &Config, vault: &Vault) -> Result<Resolver, VaultError> {
    let settings = settings::resolve_settings(config);
    let readers = (0..settings.readers).map(|_| read_batch(vault)).collect::<Result<_, _>>()?;
    Ok(Resolver::start(&settings, readers))
}

/// One reading thread's way into the vault. What the vault says goes to the log; the fault names no file.
fn read_batch(vault: &Vault) -> Result<ReadBatch, VaultError> {
    let mut reader = vault.reader()?;
    Ok(Box::new(move |tokens: &[Token]| {
        let found = reader.read_batch(tokens).map_err(|error| {
            tracing::error!(%error, "the vault cannot be read");
            Fault::new(Reason::VaultUnavailable, "the vault cannot be read; see the relay's log")
        })?;
        let known = |found: crate::vault::Found| match found {
            Ok(Some(person)) => Known::Person(Arc::new(person)),
            Ok(None) => Known::Nobody,
            Err(damaged) => {
                tracing::error!(%damaged, "a record cannot be used");
                Known::Damaged
            }
        };
        Ok(found.into_iter().map(known).collect())
    }))
}

fn injector(config: &Config) -> Result<Injector, String> {
    let target = |target: &crate::config::Target| {
        let tls = ClientTls::load(target.trust.clone())
            .map_err(|cause| format!("target {}: {cause}", target.name))?;
        target_settings(target, &tls)
    };
    let targets = config.targets.iter().map(target).collect::<Result<_, _>>()?;
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
    if parts.custody.journal.is_none() {
        return house;
    }
    let hold = parts.clone();
    house.holding(move |jobs| {
        let parts = hold.clone();
        Box::pin(async move { parts.custody.hold_all(jobs).await })
    })
}
