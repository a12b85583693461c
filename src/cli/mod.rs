//! The command line: one file per noun. Every command ends in an [`Exit`] or in an error that says its cause
//! and the command that fixes it.

pub mod check;
pub mod demo;
pub mod events;
pub mod init;
pub mod jobs;
pub mod load;
pub mod send;
pub mod serve;
pub mod sink;
pub mod template;
pub mod vault;

mod context;
mod files;
mod private;
mod progress;
mod screen;
mod stop;

pub use crate::exit::{CliError, Exit};

use clap::{Args, Parser, Subcommand};
use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long a command that has ended waits for calls into the system that have not.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// With the commit a release is built from, where it is known.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("TOKENRELAY_BUILT_FROM"));

/// A self-hosted relay for tokenized sending: engines send to tokens, people get personal mail.
#[derive(Debug, Parser)]
#[command(name = "tokenrelay", version = VERSION, term_width = screen::help_width())]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The main job on this machine, nothing to install: people, vault, test MTA, relay, 1,000 messages
    Demo(demo::DemoArgs),
    /// Fill a folder with configuration, keys, development certificates, templates and sample people
    Init(init::InitArgs),
    /// Run the relay in the foreground
    Serve(WithConfig),
    /// Check configuration, templates, vault, certificates and targets; a fix for each failure
    Check(check::CheckArgs),
    /// Submit a file of jobs, with progress, a results file, and resume
    Send(WithConfigAnd<send::SendArgs>),
    /// The people: import, put, get, token, stats, verify
    Vault(WithConfigAnd<vault::VaultArgs>),
    /// The templates: list, lint, preview
    Template(WithConfigAnd<template::TemplateArgs>),
    /// The ledger: what became of each job; retry and cancel what is held
    Jobs(WithConfigAnd<jobs::JobsArgs>),
    /// The ledger's events: follow them, or read them again
    Events(WithConfigAnd<events::EventsArgs>),
    /// A test MTA that counts, keeps, and misbehaves on request
    Sink(sink::SinkArgs),
    /// Send jobs at a fixed rate and report what came of them, latency counted from when each was due
    Load(WithConfigAnd<load::LoadArgs>),
    #[command(flatten)]
    NotYet(NotYet),
}

/// Promised commands that this version does not have: they are not listed, and say so when they are typed.
#[derive(Debug, Subcommand)]
enum NotYet {
    #[command(hide = true)]
    Status(Ignored),
    #[command(hide = true)]
    Reload(Ignored),
    #[command(hide = true)]
    Stop(Ignored),
    #[command(hide = true)]
    Target(Ignored),
    #[command(hide = true)]
    Audit(Ignored),
    #[command(hide = true)]
    Key(Ignored),
    #[command(hide = true)]
    Config(Ignored),
    #[command(hide = true)]
    Explain(Ignored),
    #[command(hide = true)]
    Trace(Ignored),
    #[command(hide = true)]
    Top(Ignored),
    #[command(hide = true)]
    Completions(Ignored),
    #[command(hide = true)]
    Man(Ignored),
}

impl NotYet {
    /// What does the same for now, or comes nearest.
    fn instead(&self) -> &'static str {
        match self {
            Self::Status(_) | Self::Top(_) => {
                "ask the relay's http listener: /readyz says what is wrong, /metrics counts"
            }
            Self::Reload(_) => "send the relay SIGHUP: systemctl reload tokenrelay, or kill -HUP PID",
            Self::Stop(_) => "send the relay SIGTERM: systemctl stop tokenrelay, or kill PID",
            Self::Target(_) => "tokenrelay check tries each target up to RCPT; /readyz says which are down",
            Self::Key(_) => {
                "make a secret with openssl rand -hex 32 and write [[engine]] with name and secret"
            }
            Self::Config(_) => "tokenrelay init NEW-FOLDER writes a tokenrelay.toml that explains every key",
            Self::Explain(_) => "tokenrelay jobs show JOB; tokenrelay vault get TOKEN",
            Self::Trace(_) => "set [log] level = \"debug\"",
            Self::Audit(_) | Self::Completions(_) | Self::Man(_) => "tokenrelay --help lists what is",
        }
    }
}

/// What stands behind a command that is not there.
#[derive(Debug, Args)]
struct Ignored {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _words: Vec<String>,
}

/// The configuration file of commands that need one.
#[derive(Debug, Args)]
pub struct WithConfig {
    /// Configuration file
    #[arg(short, long, value_name = "FILE", default_value = crate::config::DEFAULT_FILE, global = true)]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
struct WithConfigAnd<T: Args> {
    #[command(flatten)]
    with: WithConfig,
    #[command(flatten)]
    args: T,
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// What a person should read on stderr, with its exit code.
    pub fn run(self) -> Result<Exit, CliError> {
        crate::process::harden();
        match self.command {
            Command::Demo(args) => block_on(demo::run(args)),
            Command::Init(args) => init::run(&args),
            Command::Serve(with) => {
                crate::process::write_from_the_background();
                block_on(serve::run(with))
            }
            Command::Check(args) => block_on(check::run(args)),
            Command::Send(WithConfigAnd { with, args }) => {
                block_on(async move { send::run(args, context::send_defaults(&with.config)).await })
            }
            Command::Vault(WithConfigAnd { with, args }) => {
                let config = context::config(&with.config)?;
                vault::run(args, &context::vault_settings(&config)?, &|| context::purposes(&config))
            }
            Command::Template(WithConfigAnd { with, args }) => {
                template::run(args, context::render_settings(&context::config(&with.config)?))
            }
            Command::Jobs(WithConfigAnd { with, args }) => {
                jobs::run(args, &context::ledger_place(&context::config(&with.config)?))
            }
            Command::Events(WithConfigAnd { with, args }) => {
                events::run(&args, &context::ledger_place(&context::config(&with.config)?))
            }
            Command::Sink(args) => block_on_one_thread(sink::run(args)),
            Command::Load(WithConfigAnd { with, args }) => block_on_one_thread(async move {
                let defaults = context::load_defaults(&with.config, args.door);
                load::run(args, defaults).await
            }),
            Command::NotYet(command) => {
                Err(CliError::failed("this command is not available in this version").fix(command.instead()))
            }
        }
    }
}

/// Prints the error and turns it into the exit code.
pub fn complain(error: &CliError) -> ExitCode {
    // Nobody is left to tell when stderr is gone; the exit code still says it.
    let _ = writeln!(std::io::stderr(), "{error}");
    ExitCode::from(error.exit as u8)
}

fn block_on(command: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    run_on(tokio::runtime::Builder::new_multi_thread(), command)
}

/// For what tries the relay: one thread is fast enough, and leaves more of the machine to what is tried.
fn block_on_one_thread(command: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    run_on(tokio::runtime::Builder::new_current_thread(), command)
}

fn run_on(
    mut runtime: tokio::runtime::Builder,
    command: impl Future<Output = Result<Exit, CliError>>,
) -> Result<Exit, CliError> {
    let runtime = runtime
        .enable_all()
        .on_thread_park(crate::personal::wipe_stack)
        .build()
        .map_err(|cause| CliError::failed(format!("cannot start: {cause}")))?;
    let ended = runtime.block_on(command);
    // What still waits for a disk must not keep the process: nobody waits for it any more.
    runtime.shutdown_timeout(LAST_CALLS);
    ended
}
