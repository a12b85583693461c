//! The engines: whether each can log in, and whether what it is granted is enough for the templates it may use.

use super::{Fault, Step};
use crate::app;
use crate::config::{Config, EngineConfig, ListenerKind};
use crate::engine::{granted, is_purpose_granted};
use crate::nearest::{did_you_mean, nearest};
use crate::purpose::is_purpose;
use crate::render::{Renderer, TemplateInfo};
use std::collections::BTreeMap;

pub(super) fn engines(config: &Config, renderer: &Renderer) -> Vec<Step> {
    if config.engines.is_empty() {
        return vec![Step::bad(
            "engines",
            "nobody may submit",
            "add an [[engine]] with name and secret (or client_cert_san)",
        )];
    }
    let mut steps: Vec<Step> =
        config.engines.iter().flat_map(|engine| engine_steps(config, engine, renderer)).collect();
    steps.extend(ungranted_purposes(config, renderer));
    steps.extend(shared_secrets(config));
    steps
}

/// The purpose that is stated where none is, and that the engine may not mail for.
fn default_not_granted(engine: &EngineConfig) -> Option<&str> {
    engine.purpose_default.as_deref().filter(|default| !is_purpose_granted(&engine.purposes, default))
}

fn is_anybodys(config: &Config, purpose: &str) -> bool {
    config.engines.iter().any(|engine| is_purpose_granted(&engine.purposes, purpose))
}

/// A purpose of templates that no engine has is a slip: their jobs are refused. Once for each purpose; not where it is told of an
/// engine already.
fn ungranted_purposes(config: &Config, renderer: &Renderer) -> Vec<Step> {
    let mut ungranted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for info in renderer.templates() {
        let nobodys =
            info.purposes.iter().map(String::as_str).filter(|purpose| !is_anybodys(config, purpose));
        let is_told =
            |purpose: &&str| config.engines.iter().any(|engine| default_not_granted(engine) == Some(purpose));
        for purpose in nobodys.filter(|purpose| !is_told(purpose)) {
            ungranted.entry(purpose).or_default().push(&info.name);
        }
    }
    ungranted.into_iter().map(|(purpose, templates)| ungranted_purpose(config, purpose, &templates)).collect()
}

fn ungranted_purpose(config: &Config, purpose: &str, templates: &[&str]) -> Step {
    let granted = config.engines.iter().flat_map(|engine| &engine.purposes).map(String::as_str);
    let near = did_you_mean(purpose, granted);
    let (are, wanted) = match templates {
        [one] => (format!("template {one} is"), format!("correct purpose in {one}/template.toml")),
        several => (
            format!("templates {} are", several.join(", ")),
            String::from("correct purpose in each template.toml"),
        ),
    };
    let cause = format!("{are} for the purpose \"{purpose}\", which no engine is granted{near}");
    Step::bad("engines", cause, format!("{wanted}, or add \"{purpose}\" to purposes of an [[engine]]"))
}

fn engine_steps(config: &Config, engine: &EngineConfig, renderer: &Renderer) -> Vec<Step> {
    let name = format!("engine {}", engine.name);
    let mut faults: Vec<Fault> = Vec::new();
    if let Err(error) = app::engine(engine) {
        faults.push(Fault { cause: error.cause, fix: error.fix.unwrap_or_default() });
    }
    faults.extend(no_door(config, engine));
    faults.extend(purposes(engine, renderer));
    faults.extend(unchosen_purposes(engine, renderer));
    faults.extend(unknown_templates(engine, renderer));
    faults.extend(withheld_fields(engine, renderer));
    if faults.is_empty() {
        return vec![Step::good(name, told(config, engine, renderer))];
    }
    faults.into_iter().map(|fault| fault.of(&name)).collect()
}

/// A certificate is shown at doors that ask for one only.
fn no_door(config: &Config, engine: &EngineConfig) -> Option<Fault> {
    let asks = config.listeners.iter().any(|listener| listener.client_ca.is_some());
    let belongs = config.listeners.iter().any(|listener| listener.engine.as_ref() == Some(&engine.name));
    (engine.secret.is_none() && !asks && !belongs).then(|| {
        let cause = "it has client_cert_san and no secret, and no listener asks for certificates: it cannot log in";
        let fix = "set client_ca of an smtp or lmtp [[listener]] to the CA that signed its certificate, or give it a secret";
        Fault { cause: cause.into(), fix: fix.into() }
    })
}

fn purposes(engine: &EngineConfig, renderer: &Renderer) -> Option<Fault> {
    let purposes = &engine.purposes;
    if purposes.is_empty() {
        let (cause, fix) = ("it has no purpose, so every job is refused", "add purposes = [\"service\"]");
        return Some(Fault { cause: cause.into(), fix: fix.into() });
    }
    if let Some(written) = purposes.iter().find(|grant| !grant.ends_with('*') && !is_purpose(grant)) {
        let cause = format!("\"{written}\" in its purposes is no purpose that a person could refuse");
        let fix = "write a word of letters, digits, - _ or dots that begins with a letter and is no yes or no, such as marketing";
        return Some(Fault { cause, fix: fix.into() });
    }
    let default = default_not_granted(engine)?;
    let near = did_you_mean(default, purposes.iter().map(String::as_str));
    let cause = format!(
        "purpose_default = \"{default}\" is not among its purposes, so jobs that state none are refused{near}"
    );
    // What templates are for is spelled right, so the other one is not.
    let is_of_templates =
        |purpose: &str| renderer.templates().any(|info| info.purposes.iter().any(|named| named == purpose));
    let slip = nearest(default, purposes.iter().map(String::as_str)).filter(|slip| !is_of_templates(slip));
    let fix = match slip.filter(|_| is_of_templates(default)) {
        Some(slip) => format!("write \"{default}\" in place of \"{slip}\" in its purposes"),
        None => format!("set purpose_default to one of {}, or add it to purposes", purposes.join(", ")),
    };
    Some(Fault { cause, fix })
}

/// Of several that a template names, jobs that state none get the default, or are refused.
fn unchosen_purposes(engine: &EngineConfig, renderer: &Renderer) -> Vec<Fault> {
    let granted_default = engine.purpose_default.as_ref().filter(|_| default_not_granted(engine).is_none());
    let Some(default) = granted_default else { return Vec::new() };
    let fault = |info: &TemplateInfo| {
        let is_granted = |purpose: &&String| is_purpose_granted(&engine.purposes, purpose);
        let choices: Vec<&str> = info.purposes.iter().filter(is_granted).map(String::as_str).collect();
        let cause = format!(
            "purpose_default = \"{default}\" is not among the purposes of the template {} ({}), so its jobs that state none \
             are refused",
            info.name,
            info.purposes.join(", ")
        );
        let fix =
            format!("set purpose_default to {}, or have each of these jobs state one", choices.join(" or "));
        (!choices.is_empty()).then_some(Fault { cause, fix })
    };
    let names_others = |info: &&TemplateInfo| info.purposes.len() > 1 && !info.purposes.contains(default);
    of_engine(engine, renderer).filter(names_others).filter_map(fault).collect()
}

fn of_engine<'a>(engine: &'a EngineConfig, renderer: &'a Renderer) -> impl Iterator<Item = &'a TemplateInfo> {
    renderer.templates().filter(|info| granted(&engine.templates, &info.name))
}

/// A whole name that no template has is a slip; a beginning (`shop-*`) may wait for its templates.
fn unknown_templates(engine: &EngineConfig, renderer: &Renderer) -> Vec<Fault> {
    let names: Vec<&str> = renderer.shelf().names().collect();
    let unknown =
        engine.templates.iter().filter(|grant| !grant.ends_with('*') && !names.contains(&grant.as_str()));
    let fault = |grant: &String| {
        let near = did_you_mean(grant, names.iter().copied());
        let fix = match names.as_slice() {
            [] => String::from("set [templates] dir to the folder that holds it"),
            names => format!("correct templates of this [[engine]]; there are {}", names.join(", ")),
        };
        Fault { cause: format!("templates names \"{grant}\", and there is no such template{near}"), fix }
    };
    unknown.map(fault).collect()
}

fn withheld_fields(engine: &EngineConfig, renderer: &Renderer) -> Option<Fault> {
    let mut withheld: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in renderer.shelf().names().filter(|name| granted(&engine.templates, name)) {
        for field in renderer.shelf().fields_read(name).filter(|field| !granted(&engine.fields, field)) {
            let fields = withheld.entry(name).or_default();
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
    }
    if withheld.is_empty() {
        return None;
    }
    let read: Vec<String> = withheld
        .iter()
        .map(|(template, fields)| format!("template {template} reads {}", fields.join(", ")))
        .collect();
    let mut missing: Vec<&str> = withheld.into_values().flatten().collect();
    missing.sort_unstable();
    missing.dedup();
    let all: Vec<String> =
        engine.fields.iter().map(String::as_str).chain(missing).map(|field| format!("\"{field}\"")).collect();
    let cause = format!(
        "{}, which its fields do not grant: its jobs are refused (field-not-granted)",
        read.join("; ")
    );
    let fix = format!("set fields = [{}], or templates to those it is to use", all.join(", "));
    Some(Fault { cause, fix })
}

/// HTTP knows an engine by its key alone.
fn shared_secrets(config: &Config) -> Vec<Step> {
    let has_http = config.listeners.iter().any(|listener| listener.kind == ListenerKind::Http);
    let mut seen: Vec<(&str, crate::secret::Secret)> = Vec::new();
    let mut steps = Vec::new();
    for engine in config.engines.iter().filter(|_| has_http) {
        let Some(Ok(secret)) = engine.secret.as_ref().map(|reference| reference.read()) else { continue };
        match seen.iter().find(|(_, other)| *other == secret) {
            Some((other, _)) => steps.push(Step::bad(
                format!("engine {}", engine.name),
                format!(
                    "it has the secret of engine {other}: over HTTP the one cannot be told from the other"
                ),
                "give each a secret of its own: openssl rand -hex 32",
            )),
            None => seen.push((&engine.name, secret)),
        }
    }
    steps
}

/// What an engine developer should know of what it is granted.
fn told(config: &Config, engine: &EngineConfig, renderer: &Renderer) -> String {
    let mut parts = vec![format!("may mail for {}", engine.purposes.join(", "))];
    if engine.senders.is_none() {
        parts.push("from any address (set senders to bind it to its own)".into());
    }
    if engine.templates.is_empty() {
        parts.push("only messages of its own (templates is empty)".into());
    }
    let is_granted = |purpose: &String| is_purpose_granted(&engine.purposes, purpose);
    let elsewhere: Vec<String> = of_engine(engine, renderer)
        .filter(|info| !info.purposes.is_empty() && !info.purposes.iter().any(is_granted))
        // One that is nobody's is a fault of its own.
        .filter(|info| info.purposes.iter().all(|purpose| is_anybodys(config, purpose)))
        .map(|info| format!("{} ({})", info.name, info.purposes.join(", ")))
        .collect();
    if !elsewhere.is_empty() {
        parts.push(format!(
            "its jobs with the templates {} are refused: they are for purposes that it is not granted",
            elsewhere.join(", ")
        ));
    }
    parts.join("; ")
}
