//! The targets: whether each takes mail, up to RCPT.

use super::Step;
use crate::app;
use crate::cli::CliError;
use crate::config::{Bind, Config, Target};
use crate::inject::{ProbeEnvelope, ProbeStep, probe};
use crate::render::Renderer;
use crate::tls::ClientTls;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Senders asked for at each target, at most.
const SENDERS_MAX: usize = 10;

/// What somebody wants each target to be asked for.
pub(super) struct Asked<'a> {
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
}

/// What engines send is not known here; what the templates say of themselves is.
pub(super) fn envelope(renderer: &Renderer, asked: &Asked<'_>) -> ProbeEnvelope {
    let mut envelope = ProbeEnvelope::default();
    if let Some(recipient) = asked.to {
        recipient.clone_into(&mut envelope.recipient);
    }
    let senders: BTreeSet<String> = match asked.from {
        Some(sender) => BTreeSet::from([sender.to_owned()]),
        None => renderer.senders().map(str::to_owned).collect(),
    };
    if !senders.is_empty() {
        envelope.senders = senders.into_iter().filter(|sender| sender.is_ascii()).take(SENDERS_MAX).collect();
    }
    envelope
}

/// What may stand in MAIL and RCPT.
pub(super) fn address(text: &str) -> Result<String, String> {
    let has_parts =
        text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>".contains(&byte));
    let is_address = has_parts && is_plain && text.len() <= 254;
    is_address.then(|| text.to_owned()).ok_or_else(|| String::from("write local@domain, in ASCII"))
}

pub(super) async fn targets(config: &Config, envelope: &ProbeEnvelope) -> Vec<Step> {
    if config.targets.is_empty() {
        return vec![Step::bad(
            "targets",
            "there is no first MTA",
            "add a [[target]] with name, host and port",
        )];
    }
    let mut steps = Vec::new();
    for target in &config.targets {
        let name = |part: &str| format!("target {} {part}", target.name);
        if let Some(bind) = own_door(config, target) {
            let cause = format!("{}:{} is this relay's own listener {bind}", target.host, target.port);
            steps.push(Step::bad(
                name("tcp"),
                cause,
                "set host and port of your MTA: the one that sends to the world",
            ));
            continue;
        }
        let tls = ClientTls::load(target.trust.clone());
        let settings = tls
            .map_err(|error| CliError::failed(&error).fix(error.fix()))
            .and_then(|tls| app::target_settings(target, &tls));
        match settings {
            Ok(settings) => {
                steps.extend(probe(&settings, envelope).await.into_iter().map(|step| probed(&name, step)))
            }
            Err(error) => steps.push(Step::failed(name("set-up"), error)),
        }
    }
    steps
}

/// Mail that comes in by the door it left by goes round for ever.
fn own_door<'a>(config: &'a Config, target: &Target) -> Option<&'a Bind> {
    let host = match target.host.as_str() {
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        host => host.parse().ok(),
    }?;
    let is_here = |bind: &Bind| {
        bind.tcp().is_some_and(|door| {
            let is_reached = door.ip() == host || (door.ip().is_unspecified() && host.is_loopback());
            door.port() == target.port && is_reached
        })
    };
    config.listeners.iter().map(|listener| &listener.bind).find(|bind| is_here(bind))
}

fn probed(name: &dyn Fn(&str) -> String, step: ProbeStep) -> Step {
    match step.result {
        Ok(detail) => Step::good(name(step.name), detail),
        Err(failure) => Step::bad(name(step.name), failure.cause, failure.fix),
    }
}
