//! From the configuration to what a command's room needs.

use super::jobs::Place;
use super::load::{DoorArg, LoadDefaults};
use super::send::SendDefaults;
use super::{CliError, Exit};
use crate::config::{Config, ConfigError, ListenerKind, TlsMode};
use crate::job::SendNumbers;
use crate::purpose::Known;
use crate::render::manifest::Manifest;
use crate::secret::SecretRef;
use crate::tls::{Pin, Trust};
use crate::vault::Vault;
use crate::{render, vault};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Reads the configuration file.
///
/// # Errors
/// Exit 78 with every mistake, and how to get a file when there is none.
pub fn config(file: &Path) -> Result<Config, CliError> {
    Config::load(file).map_err(|error| unusable(&error))
}

/// A configuration that cannot be used: exit 78.
pub fn unusable(error: &ConfigError) -> CliError {
    CliError::new(Exit::Config, error).fix(error.fix())
}

/// # Errors
/// Exit 78 when the root key cannot be read or is not a key.
pub fn vault_settings(config: &Config) -> Result<vault::Settings, CliError> {
    crate::app::vault_settings(config)
}

pub fn render_settings(config: &Config) -> render::Settings {
    crate::app::render_settings(config)
}

/// Purposes that an engine or a template names. A template that cannot be read names none, which is told elsewhere.
pub fn purposes(config: &Config) -> Known {
    let of_engines =
        config.engines.iter().flat_map(|engine| engine.purposes.iter().chain(&engine.purpose_default));
    let folders = config.templates_dir.iter().flat_map(|dir| folders_in(dir));
    // Each language may name its own.
    let with_languages =
        folders.flat_map(|folder| folders_in(&folder).chain([folder.clone()]).collect::<Vec<_>>());
    let of_templates = with_languages.flat_map(|folder| purposes_in(&folder));
    Known::of(of_engines.cloned().chain(of_templates))
}

fn folders_in(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| path.is_dir())
}

fn purposes_in(folder: &Path) -> Vec<String> {
    let file = folder.join("template.toml");
    // Anything but a plain file may never end.
    let text =
        if file.is_file() { std::fs::read_to_string(&file).unwrap_or_default() } else { String::new() };
    let manifest = Manifest::read(&text, "template.toml").unwrap_or_default();
    manifest.purposes.into_iter().map(|purpose| purpose.text).collect()
}

/// Where the ledger lies. The vault is only needed to find jobs by the names that engines gave them, and not even then.
pub fn ledger_place(config: &Config) -> Place {
    let vault = crate::app::vault_settings(config).ok().and_then(|settings| Vault::open(&settings).ok());
    let numbers = vault.map(|vault| SendNumbers::new(&vault.derive_key(SendNumbers::KEY_PURPOSE)));
    Place { journal_dir: config.journal_dir(), numbers, tried_for: config.journal.expires }
}

/// What `send` may take from the configuration; nothing of it is needed when the arguments say it all.
pub fn send_defaults(file: &Path) -> SendDefaults {
    let LoadDefaults { url, key, token_domain, trust, .. } = load_defaults(file, DoorArg::Http);
    SendDefaults { url, key, token_domain, trust }
}

/// What `load` may take from the configuration: its first listener for that door, its first engine.
pub fn load_defaults(file: &Path, door: DoorArg) -> LoadDefaults {
    let (kind, clear, encrypted) = match door {
        DoorArg::Http => (ListenerKind::Http, "http", "https"),
        DoorArg::Smtp => (ListenerKind::Smtp, "smtp", "smtps"),
    };
    let config = Config::load(file).ok();
    let listener =
        config.as_ref().and_then(|config| config.listeners.iter().find(|listener| listener.kind == kind));
    let url = listener.map(|listener| {
        let is_encrypted = match listener.tls {
            TlsMode::None => false,
            TlsMode::Implicit => true,
            TlsMode::StartTls => door == DoorArg::Http,
        };
        format!("{}://{}", if is_encrypted { encrypted } else { clear }, listener.bind)
    });
    let pin = listener.and_then(|listener| Pin::of_file(&listener.identity.as_ref()?.certificate));
    let engine =
        config.as_ref().and_then(|config| config.engines.iter().find(|engine| engine.secret.is_some()));
    LoadDefaults {
        url,
        user: engine.map(|engine| engine.name.clone()),
        key: engine.and_then(|engine| engine.secret.clone()),
        token_domain: listener.and_then(|listener| listener.token_domains.first().cloned()),
        trust: pin.map_or(Trust::SystemRoots, |pin| Trust::Pins(vec![pin])),
    }
}

/// The engine's secret: what `--key` refers to, else what the configuration says.
///
/// # Errors
/// When neither names one, or it cannot be read or is no text.
pub fn engine_key(
    argument: Option<&str>,
    default: Option<&SecretRef>,
) -> Result<Zeroizing<String>, CliError> {
    let reference = match argument {
        // The reference itself is not shown when it is none: it may be the secret, given by mistake.
        Some(text) => SecretRef::parse(text, Path::new("")).map_err(|cause| {
            CliError::new(Exit::Usage, format!("--key: {cause}"))
                .fix("write --key file:PATH or --key env:NAME")
        })?,
        None => default.cloned().ok_or_else(|| {
            CliError::new(Exit::Usage, "no key is given").fix("give --key file:PATH or --key env:NAME")
        })?,
    };
    let secret = reference.read().map_err(|error| CliError::failed(&error).fix(error.fix()))?;
    let text = std::str::from_utf8(&secret).map_err(|_| {
        CliError::failed("the key is not text").fix("is it the engine's secret that --key refers to?")
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}
