//! `tokenrelay serve`: the relay in the foreground. SIGTERM and SIGINT drain it, SIGHUP reads the
//! configuration again.

use super::{CliError, Exit, WithConfig, context};
use crate::app::App;
use crate::process;
use crate::telemetry::{self, LogTo};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

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
    let config = context::config(&with.config)?;
    telemetry::start_log(&config.log, LogTo::Stderr).map_err(|cause| CliError::new(Exit::Config, cause))?;
    process::raise_file_limit();
    if !process::lock_memory() {
        tracing::warn!(
            "memory is not locked: set LimitMEMLOCK=infinity, or see to it that swap is off or encrypted"
        );
    }
    let mut signals = Signals::listen().map_err(CliError::failed)?;
    let app = App::start(config).await?;
    for door in app.doors() {
        tracing::info!(kind = door.kind, address = %door.address, tls = door.tls, "listening");
    }
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    while let Wake::Reload = signals.next().await {
        reload(&app, &with).await;
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    Ok(stop(app).await)
}

async fn reload(app: &App, with: &WithConfig) {
    let outcome = match context::config(&with.config) {
        Ok(config) => app.reload(config).await,
        Err(error) => Err(error.cause),
    };
    match outcome {
        Ok(changed) => tracing::info!(%changed, "configuration read again"),
        Err(cause) => tracing::error!(%cause, "the new configuration is not good; the old one stays"),
    }
}

async fn stop(app: App) -> Exit {
    tracing::info!("stopping: no new jobs, finishing what is in flight");
    let open = app.stop().await;
    if open == 0 {
        tracing::info!("stopped; every accepted recipient has its outcome");
        return Exit::Ok;
    }
    tracing::error!(open, "stopped with recipients unsettled; their engines got no answer");
    Exit::Degraded
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wake {
        tokio::select! {
            _ = self.terminate.recv() => Wake::Stop,
            _ = self.interrupt.recv() => Wake::Stop,
            _ = self.hang_up.recv() => Wake::Reload,
        }
    }
}
