//! `tokenrelay serve`: the relay in the foreground. SIGTERM and SIGINT drain it, a second one ends it at once, SIGHUP
//! reads the configuration again.

use super::{CliError, Exit, WithConfig, context, private};
use crate::app::App;
use crate::config::Config;
use crate::process;
use crate::telemetry::{self, LogTo};
use crate::ticket::Board;
use sd_notify::NotifyState;
use std::path::Path;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// "File size limit exceeded" on Linux.
const SIGXFSZ: i32 = 25;

/// What a waiting `serve` is woken by.
enum Wake {
    Stop,
    Reload,
}

/// Runs until it is told to stop.
///
/// # Errors
/// Exit 78 for the configuration, 75 for what may pass (a port in use), 1 otherwise.
pub async fn run(with: WithConfig) -> Result<Exit, CliError> {
    // First of all: until then a SIGHUP would end the process.
    let mut signals = Signals::listen().map_err(CliError::failed)?;
    let config = first_config(&with, &mut signals).await?;
    telemetry::start_log(&config.log, LogTo::Stderr).map_err(CliError::failed)?;
    private::warn(&config);
    process::raise_file_limit();
    if !process::lock_memory() {
        tracing::warn!(
            "memory is not locked: set LimitMEMLOCK=infinity, or see to it that swap is off or encrypted"
        );
    }
    let app = start(config, &mut signals).await?;
    for door in app.doors() {
        tracing::info!(kind = door.kind, address = %door.address, tls = door.tls, "listening");
    }
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    while let Wake::Reload = signals.next().await {
        if let Wake::Stop = reload(&app, &with, &mut signals).await {
            break;
        }
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    stop(app, &mut signals).await
}

/// On a thread of its own, as all that reads files: a disk that does not answer holds it up, and a signal must not wait for
/// that.
async fn first_config(with: &WithConfig, signals: &mut Signals) -> Result<Config, CliError> {
    let file = with.config.clone();
    let reading = tokio::task::spawn_blocking(move || checked(&file));
    tokio::select! {
        read = reading => read.map_err(|_| CliError::failed("reading the configuration broke off"))?,
        () = signals.stop() => end_now(Exit::Ok),
    }
}

/// A configuration whose secrets nobody else can read.
fn checked(file: &Path) -> Result<Config, CliError> {
    let config = context::config(file)?;
    private::refuse(&config)?;
    Ok(config)
}

async fn start(config: Config, signals: &mut Signals) -> Result<App, CliError> {
    let here = Handle::current();
    let starting = tokio::task::spawn_blocking(move || here.block_on(App::start(config)));
    tokio::select! {
        started = starting => started.map_err(|_| CliError::failed("the start broke off; see the log"))?,
        () = signals.stop() => {
            tracing::info!("stopped before it was ready; nothing was taken on");
            end_now(Exit::Ok)
        }
    }
}

/// Reading may take long (a `cmd:` that hangs, a disk that does not answer), and a signal to stop must not wait for that.
/// What comes of it: to wait for the next signal, or to stop.
async fn reload(app: &App, with: &WithConfig, signals: &mut Signals) -> Wake {
    let file = with.config.clone();
    let read = tokio::task::spawn_blocking(move || checked(&file));
    let read = tokio::select! {
        read = read => read,
        () = signals.stop() => return Wake::Stop,
    };
    let outcome = match read {
        Ok(Ok(config)) => tokio::select! {
            outcome = app.reload(config) => outcome,
            () = signals.stop() => return Wake::Stop,
        },
        Ok(Err(error)) => Err(error.in_one_line()),
        Err(_) => Err(String::from("reading it broke off")),
    };
    match outcome {
        Ok(changed) => tracing::info!(asked_by = "SIGHUP", %changed, "configuration read again"),
        Err(cause) => {
            tracing::error!(asked_by = "SIGHUP", %cause, "the new configuration is not good; the old one stays");
        }
    }
    Wake::Reload
}

async fn stop(app: App, signals: &mut Signals) -> Result<Exit, CliError> {
    tracing::info!("stopping: no new jobs, finishing what is in flight; a second signal ends it at once");
    let board = app.board().clone();
    let journal = app.journal();
    let stopping = tokio::spawn(app.stop());
    let open = tokio::select! {
        open = stopping => open.map_err(|_| CliError::failed("the stop broke off; see the log"))?,
        () = signals.stop() => cut_short(&board),
    };
    if let Some(cause) = journal.and_then(|journal| journal.shortfall()) {
        tracing::error!(%cause, open, "stopped; the next start judges what was under way, and the ledger may lack outcomes");
        return Ok(Exit::Degraded);
    }
    if open == 0 {
        tracing::info!("stopped; every accepted recipient has its outcome");
        return Ok(Exit::Ok);
    }
    tracing::error!(open, "stopped with recipients unsettled; their engines got no answer");
    Ok(Exit::Degraded)
}

/// As after a crash: what had left is in doubt at the next start, what had not is tried again.
fn cut_short(board: &Board) -> ! {
    let open = board.open();
    tracing::error!(open, "told twice to stop: ended at once; what was on its way to a target is in doubt");
    end_now(Exit::Degraded)
}

fn end_now(exit: Exit) -> ! {
    telemetry::finish_log();
    std::process::exit(exit as i32)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// Taken, so that a file that may not grow (`ulimit -f`) is an error to whoever writes it and not the end.
    _too_large: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            _too_large: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    async fn next(&mut self) -> Wake {
        tokio::select! {
            _ = self.terminate.recv() => Wake::Stop,
            _ = self.interrupt.recv() => Wake::Stop,
            _ = self.hang_up.recv() => Wake::Reload,
        }
    }

    /// The next signal that says to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
