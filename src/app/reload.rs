//! What a running relay takes from a configuration that is read again: all of it, or nothing.

use super::{App, Parts, render_settings, settings};
use crate::config::Config;
use crate::engine::Engines;
use crate::journal::ledger::Mended;
use crate::pipeline::Rules;
use crate::render::Renderer;
use crate::tls::{ClientTls, Reread, ServerTls, TlsError};
use std::sync::Arc;

/// Certificates, keys and authorities in use, each with whose they are. They are followed by themselves; a reload reads
/// them in any case.
#[derive(Default)]
pub struct TlsFiles {
    pub doors: Vec<(String, ServerTls)>,
    pub targets: Vec<(String, ClientTls)>,
}

impl TlsFiles {
    /// All of them are put to use, or none.
    fn read_again(&self) -> Result<(), String> {
        let mut wrong = Vec::new();
        let mut bad = |whose: &str, cause: TlsError| wrong.push(format!("{whose}: {cause}"));
        let (mut doors, mut targets) = (Vec::new(), Vec::new());
        for (whose, tls) in &self.doors {
            tls.read_again().map_or_else(|cause| bad(whose, cause), |reread| doors.push(reread));
        }
        for (whose, tls) in &self.targets {
            tls.read_again().map_or_else(|cause| bad(whose, cause), |reread| targets.push(reread));
        }
        if !wrong.is_empty() {
            let wrong = wrong.join("; ");
            return Err(format!(
                "{wrong}; of these the old files stay in use, and nothing is taken from the configuration. A certificate that was renewed \
                 is followed by itself, whatever becomes of a reload"
            ));
        }
        doors.into_iter().for_each(Reread::put_in_use);
        targets.into_iter().for_each(Reread::put_in_use);
        Ok(())
    }

    /// Files that changed and cannot be used, or do not answer.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let doors = self.doors.iter().map(|(whose, tls)| (whose, tls.trouble()));
        let targets = self.targets.iter().map(|(whose, tls)| (whose, tls.trouble()));
        doors.chain(targets).filter_map(|(whose, trouble)| Some(format!("{whose}: {}", trouble?)))
    }
}

/// The rules of a relay that starts. A template with a mistake keeps the others from nothing.
pub fn first_rules(config: &Config) -> Rules {
    let renderer = Renderer::read(render_settings(config));
    for problem in renderer.shelf().problems() {
        tracing::error!(%problem, "a template cannot be used");
    }
    Rules { renderer, consent: config.consent }
}

impl App {
    /// Takes engines, templates, policy and TLS files from a new configuration; returns what was done.
    ///
    /// # Errors
    /// Why the new configuration cannot be used; the old one stays whole.
    pub async fn reload(&self, config: Config) -> Result<String, String> {
        let (parts, rules_before) = (self.parts.clone(), self.rules.borrow().clone());
        // Files and commands, which may take long.
        let read = tokio::task::spawn_blocking(move || read(config, &rules_before, &parts));
        let (config, engines, rules) = read.await.map_err(|_| "reading it broke off")??;
        let gone = self.engines.borrow().names_missing_in(&engines);
        self.engines.send_replace(Arc::new(engines));
        self.rules.send_replace(Arc::new(rules));
        self.parts.custody.pipeline.resolver.forget_all();
        self.parts.custody.wakes.mended(Mended::Reloaded);
        let fixed = |config: &Config| {
            let Config { listeners, targets, limits, journal, .. } = config;
            format!("{listeners:?}{targets:?}{limits:?}{journal:?}")
        };
        let note = if fixed(&config) == fixed(&self.config) {
            ""
        } else {
            "; changes of listeners, targets, limits and journal take a restart"
        };
        let gone = match gone.as_str() {
            "" => String::new(),
            names => format!(
                "; not configured any more: {names}; what is held of theirs waits (tokenrelay jobs list)"
            ),
        };
        Ok(format!("engines, templates, policy and TLS files are as written now{gone}{note}"))
    }
}

/// # Errors
/// Why the new configuration cannot be used.
fn read(config: Config, before: &Rules, parts: &Parts) -> Result<(Config, Engines, Rules), String> {
    let engines = settings::engines(&config).map_err(|error| error.in_one_line())?;
    let rules = next_rules(&config, before)?;
    parts.tls.get().map_or(Ok(()), TlsFiles::read_again)?;
    Ok((config, engines, rules))
}

/// # Errors
/// Mistakes of templates that can be used now: they would be lost to whoever uses them. A draft is nobody's loss.
fn next_rules(config: &Config, before: &Rules) -> Result<Rules, String> {
    let renderer = Renderer::read(render_settings(config));
    let spoilt: Vec<String> =
        renderer.shelf().spoilt_since(before.renderer.shelf()).map(ToString::to_string).collect();
    if !spoilt.is_empty() {
        return Err(spoilt.join("; "));
    }
    let renderer = renderer.after(&before.renderer);
    for problem in renderer.shelf().problems() {
        tracing::error!(asked_by = "SIGHUP", %problem, "a template cannot be used");
    }
    Ok(Rules { renderer, consent: config.consent })
}
