//! From the configuration as meant to what each room needs.

use crate::config::{Config, EngineConfig, Target, TlsMode};
use crate::engine::{Credential, Engine, Engines};
use crate::inject::{self, Deadlines, TargetAuth, TargetSettings};
use crate::journal::{self, WhenUnknown};
use crate::personal::Personal;
use crate::secret::SecretRef;
use crate::tls::ClientTls;
use crate::vault::RootKey;
use crate::{render, resolve, vault};
use std::sync::Arc;

/// Shortest secret an engine may have, in bytes: a bearer key must not be guessable.
pub const ENGINE_SECRET_BYTES_MIN: usize = 16;

/// # Errors
/// When the root key cannot be read or is not a key.
pub fn vault_settings(config: &Config) -> Result<vault::Settings, String> {
    let secret = config.vault_key.read().map_err(|cause| format!("[vault] key: {cause}"))?;
    let root_key =
        RootKey::parse(&secret).map_err(|cause| format!("[vault] key ({}): {cause}", config.vault_key))?;
    Ok(vault::Settings { dir: config.vault_dir(), root_key })
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
/// When the password cannot be read.
pub fn target_settings(target: &Target, tls: &ClientTls) -> Result<TargetSettings, String> {
    let read = |(user, password): &(String, crate::secret::SecretRef)| {
        let secret = password.read().map_err(|cause| format!("target {}: auth: {cause}", target.name))?;
        let password = String::from_utf8(secret.to_vec())
            .map_err(|_| format!("target {}: auth: the password is not UTF-8", target.name))?;
        Ok::<_, String>(TargetAuth { user: user.clone(), password: Personal::new(password) })
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
/// Names the engine whose secret cannot be read or is too short.
pub fn engines(config: &Config) -> Result<Engines, String> {
    config.engines.iter().map(engine).collect::<Result<_, _>>().map(Engines::new)
}

fn engine(config: &EngineConfig) -> Result<Arc<Engine>, String> {
    let by_secret = config.secret.as_ref().map(|secret| by_secret(&config.name, secret)).transpose()?;
    let by_certificate = config.client_cert_san.as_deref().map(Credential::of_certificate);
    let credential = match (by_secret, by_certificate) {
        (Some(secret), Some(certificate)) => secret.or(certificate),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => {
            return Err(format!("engine {}: it has no secret and no client_cert_san", config.name));
        }
    };
    Ok(Arc::new(Engine {
        name: config.name.as_str().into(),
        credential,
        templates: config.templates.clone(),
        fields: config.fields.clone(),
        purposes: config.purposes.clone(),
        purpose_default: config.purpose_default.clone(),
        rate_per_second_max: config.rate_per_second_max,
    }))
}

fn by_secret(engine: &str, reference: &SecretRef) -> Result<Credential, String> {
    let secret = reference.read().map_err(|cause| format!("engine {engine}: {cause}"))?;
    if secret.len() < ENGINE_SECRET_BYTES_MIN {
        return Err(format!(
            "engine {engine}: its secret is shorter than {ENGINE_SECRET_BYTES_MIN} characters; make one: openssl rand -hex 32",
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
