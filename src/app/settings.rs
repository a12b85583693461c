//! From the configuration as meant to what each room needs.

use crate::config::{Config, EngineConfig, Target, TlsMode};
use crate::engine::{Credential, Engine, Engines};
use crate::exit::{CliError, Exit};
use crate::inject::{self, Deadlines, TargetAuth, TargetSettings};
use crate::journal::{self, WhenUnknown};
use crate::outside;
use crate::personal::Personal;
use crate::secret::{SecretError, SecretRef};
use crate::tls::ClientTls;
use crate::vault::{RootKey, Vault};
use crate::{render, resolve, vault};
use std::sync::Arc;
use std::{fmt, io};

/// Shortest secret an engine may have, in bytes: a bearer key must not be guessable.
const ENGINE_SECRET_BYTES_MIN: usize = 16;

/// # Errors
/// Exit 78 when the root key cannot be read or is not a key.
pub fn vault_settings(config: &Config) -> Result<vault::Settings, CliError> {
    let dir = config.vault_dir();
    let wrong = |cause: String, fix: String| {
        // A new key opens no vault that is there.
        let error = CliError::new(Exit::Config, cause);
        if Vault::is_in(&dir) {
            let dir = dir.display();
            return error.fix(format_args!(
                "put back the key that the vault {dir} was made with: there is no other way into it, and a new one does not fit"
            ));
        }
        error.fix(fix)
    };
    let secret = config.vault_key.read().map_err(|cause| match &cause {
        SecretError::File(path, error) if error.kind() == io::ErrorKind::NotFound => {
            let fix = format!("openssl rand -hex 32 > {}; chmod 600 {0}", path.display());
            wrong(format!("[vault] key: {cause}"), fix)
        }
        SecretError::Empty | SecretError::TooLong => {
            wrong(format!("[vault] key ({}): {cause}", config.vault_key), cause.fix())
        }
        _ => CliError::new(Exit::Config, format!("[vault] key: {cause}")).fix(cause.fix()),
    })?;
    let root_key = RootKey::parse(&secret).map_err(|cause| {
        let fix = "write 32 random bytes as hex there: openssl rand -hex 32";
        wrong(format!("[vault] key ({}): {cause}", config.vault_key), fix.into())
    })?;
    let mark_dirs = std::iter::once(config.state_dir.clone()).chain(outside::places()).collect();
    Ok(vault::Settings { dir, root_key, mark_dirs })
}

pub fn resolve_settings(config: &Config) -> resolve::Settings {
    resolve::Settings {
        cache_bytes_max: config.cache.bytes_max,
        ttl: config.cache.ttl,
        negative_ttl: config.cache.negative_ttl,
        ..resolve::Settings::default()
    }
}

/// Tokens in a message's address headers are recognised under the domains of every listener.
pub fn render_settings(config: &Config) -> render::Settings {
    let domains = config.listeners.iter().flat_map(|listener| listener.token_domains.clone());
    render::Settings {
        dir: config.templates_dir.clone(),
        token_domains: domains.collect(),
        ..render::Settings::default()
    }
}

/// # Errors
/// Exit 78 when the password cannot be read.
pub fn target_settings(target: &Target, tls: &ClientTls) -> Result<TargetSettings, CliError> {
    let read = |(user, password): &(String, SecretRef)| {
        let wrong = |cause: &dyn fmt::Display, fix: String| {
            CliError::new(Exit::Config, format!("target {}: auth: {cause}", target.name)).fix(fix)
        };
        let secret = password.read().map_err(|cause| wrong(&cause, cause.fix()))?;
        let password = String::from_utf8(secret.to_vec()).map_err(|_| {
            wrong(&"the password is not UTF-8", format!("write it in UTF-8 where {password} points"))
        })?;
        Ok::<_, CliError>(TargetAuth { user: user.clone(), password: Personal::new(password) })
    };
    Ok(TargetSettings {
        tls: match target.tls {
            TlsMode::Implicit => inject::TlsMode::Implicit,
            TlsMode::StartTls => inject::TlsMode::StartTls,
            TlsMode::None => inject::TlsMode::None,
        },
        client_tls: Some(tls.clone()),
        server_name: target.server_name.clone(),
        auth: target.auth.as_ref().map(read).transpose()?,
        helo_name: target.helo_name.clone(),
        connections_max: target.connections_max,
        messages_per_connection_max: u64::from(target.messages_per_connection_max),
        connection_age_max: target.connection_age_max,
        idle_max: target.idle_max,
        rate_per_second_max: target.rate_per_second_max,
        weight: target.weight,
        priority: target.priority,
        deadlines: Deadlines {
            connect: target.connect_timeout,
            tls: target.connect_timeout,
            greeting: target.timeouts.greeting,
            helo: target.timeouts.helo,
            command: target.timeouts.reply,
            data_initiation: target.timeouts.data,
            data_block: target.timeouts.reply,
            final_reply: target.timeouts.final_dot,
        },
        ..TargetSettings::new(&target.name, &target.host, target.port)
    })
}

/// # Errors
/// Exit 78, with the engine whose secret cannot be read or is too short.
pub fn engines(config: &Config) -> Result<Engines, CliError> {
    let named = |config: &EngineConfig| {
        engine(config).map_err(|error| {
            let cause = format!("engine {}: {}", config.name, error.cause);
            CliError { cause, ..error }
        })
    };
    config.engines.iter().map(named).collect::<Result<_, _>>().map(Engines::new)
}

/// # Errors
/// Exit 78 when its secret cannot be read or is too short.
pub fn engine(config: &EngineConfig) -> Result<Arc<Engine>, CliError> {
    let by_secret = config.secret.as_ref().map(by_secret).transpose()?;
    let by_certificate = config.client_cert_san.as_deref().map(Credential::of_certificate);
    let credential = match (by_secret, by_certificate) {
        (Some(secret), Some(certificate)) => secret.or(certificate),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => {
            return Err(CliError::new(Exit::Config, "it has no secret and no client_cert_san")
                .fix("add secret = \"file:keys/NAME.secret\""));
        }
    };
    Ok(Arc::new(Engine {
        name: config.name.as_str().into(),
        credential,
        templates: config.templates.clone(),
        fields: config.fields.clone(),
        purposes: config.purposes.clone(),
        senders: config.senders.clone(),
        allow_literal: config.allow_literal.clone(),
        purpose_default: config.purpose_default.clone(),
        rate_per_second_max: config.rate_per_second_max,
    }))
}

fn by_secret(reference: &SecretRef) -> Result<Credential, CliError> {
    let wrong = |cause: String, fix: String| CliError::new(Exit::Config, cause).fix(fix);
    let secret = reference.read().map_err(|cause| {
        let fix = match (&cause, reference) {
            (SecretError::File(_, error), SecretRef::File(path))
                if error.kind() == io::ErrorKind::NotFound =>
            {
                format!("openssl rand -hex 32 > {}; chmod 600 {0}; tell it to the engine", path.display())
            }
            _ => cause.fix(),
        };
        wrong(cause.to_string(), fix)
    })?;
    if let [b' ' | b'\t', ..] | [.., b' ' | b'\t'] = secret.as_slice() {
        return Err(wrong(
            "its secret begins or ends with a blank, which no HTTP client can send (a header's value ends before it)".into(),
            format!("write it anew where {reference} points, without the blank: printf %s SECRET > FILE"),
        ));
    }
    if secret.len() < ENGINE_SECRET_BYTES_MIN {
        return Err(wrong(
            format!("its secret is shorter than {ENGINE_SECRET_BYTES_MIN} characters"),
            format!(
                "make one (openssl rand -hex 32), write it where {reference} points, and tell it to the engine"
            ),
        ));
    }
    Ok(Credential::of(&secret))
}

pub fn journal_settings(config: &Config) -> journal::Settings {
    let written = &config.journal;
    journal::Settings {
        dir: config.journal_dir(),
        bytes_max: written.bytes_max,
        disk_free_min: written.disk_free_min,
        retry_first: written.retry_first,
        retry_max: written.retry_max,
        expires: written.expires,
        unknown: if written.resends_unknown { WhenUnknown::Resend } else { WhenUnknown::Hold },
        retention: written.retention,
        keep_refused: journal::KeepRefused {
            duration: written.keep_refused,
            bytes_max: written.keep_refused_bytes_max,
        },
    }
}
