//! From the configuration to what a command's room needs.

use super::{CliError, Exit};
use crate::config::{Config, ConfigError, ListenerKind, TlsMode};
use crate::secret::SecretRef;
use crate::tls::{ClientTls, Trust};
use crate::{render, vault};
use std::path::Path;

/// Reads the configuration file.
///
/// # Errors
/// Exit 78 with every mistake, and how to get a file when there is none.
pub fn config(file: &Path) -> Result<Config, CliError> {
    Config::load(file).map_err(|error| {
        let fix = match &error {
            ConfigError::Unreadable { .. } => "name it with -c FILE, or make one: tokenrelay init DIR",
            ConfigError::Wrong { .. } => "mend these places; deploy/tokenrelay.toml shows every key",
        };
        CliError::new(Exit::Config, &error).fix(fix)
    })
}

/// # Errors
/// Exit 78 when the root key cannot be read or is not a key.
pub fn vault_settings(config: &Config) -> Result<vault::Settings, CliError> {
    crate::app::vault_settings(config)
        .map_err(|cause| CliError::new(Exit::Config, cause).fix("set [vault] key to a reference to 32 random bytes, hex or base64"))
}

pub fn render_settings(config: &Config) -> render::Settings {
    crate::app::render_settings(config)
}
