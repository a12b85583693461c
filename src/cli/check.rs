//! `tokenrelay check`: a checklist of everything `serve` needs, with a fix for each failure.

mod journal;
mod private;

use super::{CliError, Exit, WithConfig, context, screen};
use crate::app;
use crate::config::{Config, ListenerKind};
use crate::inject::{ProbeEnvelope, ProbeStep, probe};
use crate::job::Acceptance;
use crate::render::Renderer;
use crate::secret::SecretRef;
use crate::tls::{ClientTls, ServerTls};
use crate::vault::Vault;
use clap::Args;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Senders asked for at each target, at most.
const SENDERS_MAX: usize = 10;

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    with: WithConfig,
    /// Do not connect to the targets
    #[arg(long)]
    offline: bool,
    /// Ask each target whether it takes mail from this address [default: the senders of the templates]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    probe_from: Option<String>,
    /// Ask each target whether it takes mail to this address; nothing is sent to it
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    probe_to: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Right as it is, but clients that send one message to several people and do not look at each answer lose mail by it.
const ONE_RECIPIENT: &str = "accept = \"handoff\" takes one recipient a message, the others get 452: for an engine that sends one message \
                             to several people set accept = \"auto\" or \"journal\"";

/// One line of the checklist.
#[derive(Debug, Serialize)]
struct Step {
    check: String,
    ok: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Step {
    fn good(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { check: check.into(), ok: true, detail: detail.into(), fix: None }
    }

    fn bad(check: impl Into<String>, cause: impl ToString, fix: impl Into<String>) -> Self {
        Self { check: check.into(), ok: false, detail: cause.to_string(), fix: Some(fix.into()) }
    }
}

/// Checks and prints.
///
/// # Errors
/// Exit 78 when the configuration itself cannot be read; failures of single checks end with exit 1.
pub async fn run(args: CheckArgs) -> Result<Exit, CliError> {
    let config = context::config(&args.with.config)?;
    let mut steps = vec![Step::good("configuration", config.file.display().to_string())];
    steps.push(private::private_files(&config));
    steps.extend(engines(&config));
    steps.push(templates(&config));
    steps.push(vault(&config));
    steps.push(journal::journal(&config));
    steps.extend(listeners(&config));
    if !args.offline {
        steps.extend(targets(&config, &envelope(&config, &args)).await);
    }
    let failed = steps.iter().filter(|step| !step.ok).count();
    print(&steps, args.json, failed).map_err(screen::unwritable)?;
    Ok(if failed == 0 { Exit::Ok } else { Exit::Failed })
}

fn engines(config: &Config) -> Vec<Step> {
    if config.engines.is_empty() {
        return vec![Step::bad(
            "engines",
            "nobody may submit",
            "add an [[engine]] with name and secret (or client_cert_san)",
        )];
    }
    let check = |engine: &crate::config::EngineConfig| {
        let name = format!("engine {}", engine.name);
        let secret = engine.secret.as_ref().map(SecretRef::read).transpose();
        match secret {
            Ok(_) if engine.purposes.is_empty() => {
                Step::bad(name, "it has no purpose, so every job is refused", "add purposes = [\"service\"]")
            }
            Ok(Some(secret)) if secret.len() < app::ENGINE_SECRET_BYTES_MIN => Step::bad(
                name,
                format!("its secret is shorter than {} characters", app::ENGINE_SECRET_BYTES_MIN),
                "make one: openssl rand -hex 32",
            ),
            Ok(_) => Step::good(name, format!("may mail for {}", engine.purposes.join(", "))),
            Err(cause) => Step::bad(name, cause, "write the secret where engine.secret points"),
        }
    };
    config.engines.iter().map(check).collect()
}

fn templates(config: &Config) -> Step {
    match Renderer::load(app::render_settings(config)) {
        Ok(renderer) => Step::good("templates", format!("{} loaded", renderer.templates().count())),
        Err(lints) => {
            let all: Vec<String> = lints.iter().map(ToString::to_string).collect();
            Step::bad("templates", all.join("\n"), "tokenrelay template lint shows each place")
        }
    }
}

fn vault(config: &Config) -> Step {
    let opened = app::vault_settings(config).map_err(|cause| cause.to_string()).and_then(|settings| {
        Vault::open(&settings).and_then(|vault| vault.stats()).map_err(|c| c.to_string())
    });
    match opened {
        Ok(stats) => Step::good("vault", format!("{} people", stats.people)),
        Err(cause) => {
            Step::bad("vault", cause, "tokenrelay vault import people.csv makes it; see [vault] key")
        }
    }
}

fn listeners(config: &Config) -> Vec<Step> {
    let check = |listener: &crate::config::Listener| {
        let name = format!("listener {}", listener.bind);
        let load = |files| ServerTls::load_with_clients(files, listener.client_ca.clone(), &[]);
        let told = |tls: &str| match (listener.kind, listener.accept) {
            (ListenerKind::Smtp, Acceptance::Handoff) => format!("{tls}; {ONE_RECIPIENT}"),
            _ => tls.to_owned(),
        };
        match listener.identity.clone().map(load) {
            None => Step::good(name, told("no TLS, this machine only")),
            Some(Ok(_)) => Step::good(name, told("certificate and key fit")),
            Some(Err(cause)) => Step::bad(
                name,
                cause,
                "put a PEM chain in cert, its key in key, and CA certificates in client_ca",
            ),
        }
    };
    config.listeners.iter().map(check).collect()
}

/// What engines send is not known here; what the templates say of themselves is.
fn envelope(config: &Config, args: &CheckArgs) -> ProbeEnvelope {
    let mut envelope = ProbeEnvelope::default();
    if let Some(recipient) = &args.probe_to {
        envelope.recipient.clone_from(recipient);
    }
    let senders: BTreeSet<String> = match &args.probe_from {
        Some(sender) => BTreeSet::from([sender.clone()]),
        None => Renderer::load(app::render_settings(config))
            .map(|renderer| renderer.senders().map(str::to_owned).collect())
            .unwrap_or_default(),
    };
    if !senders.is_empty() {
        envelope.senders = senders.into_iter().filter(|sender| sender.is_ascii()).take(SENDERS_MAX).collect();
    }
    envelope
}

/// What may stand in MAIL and RCPT.
fn address(text: &str) -> Result<String, String> {
    let has_parts =
        text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>".contains(&byte));
    let is_address = has_parts && is_plain && text.len() <= 254;
    is_address.then(|| text.to_owned()).ok_or_else(|| String::from("write local@domain, in ASCII"))
}

async fn targets(config: &Config, envelope: &ProbeEnvelope) -> Vec<Step> {
    if config.targets.is_empty() {
        return vec![Step::bad(
            "targets",
            "there is no first MTA",
            "add a [[target]] with name, host and port",
        )];
    }
    let mut steps = Vec::new();
    for target in &config.targets {
        let tls = ClientTls::load(target.trust.clone());
        let name = |part: &str| format!("target {} {part}", target.name);
        match tls.map_err(|cause| cause.to_string()).and_then(|tls| app::target_settings(target, &tls)) {
            Ok(settings) => {
                steps.extend(probe(&settings, envelope).await.into_iter().map(|step| probed(&name, step)))
            }
            Err(cause) => {
                steps.push(Step::bad(name("set-up"), cause, "see ca, pin and auth of this [[target]]"))
            }
        }
    }
    steps
}

fn probed(name: &dyn Fn(&str) -> String, step: ProbeStep) -> Step {
    match step.result {
        Ok(detail) => Step::good(name(step.name), detail),
        Err(failure) => Step::bad(name(step.name), failure.cause, failure.fix),
    }
}

fn print(steps: &[Step], json: bool, failed: usize) -> io::Result<()> {
    let mut out = screen::stdout();
    for step in steps {
        if json {
            writeln!(out, "{}", serde_json::to_string(step)?)?;
            continue;
        }
        let mark = if step.ok { "ok  " } else { "FAIL" };
        writeln!(
            out,
            "{mark}  {:<28} {}",
            step.check,
            step.detail.replace('\n', "\n                                    ")
        )?;
        if let Some(fix) = &step.fix {
            writeln!(out, "      fix: {fix}")?;
        }
    }
    if !json {
        writeln!(out, "{}", if failed == 0 { "all good".to_owned() } else { format!("{failed} failed") })?;
    }
    Ok(())
}
