//! `[[engine]]`: who may submit, and what.

use super::EngineConfig;
use super::section::Section;
use crate::purpose;
use crate::senders::Senders;

pub fn engine(section: Section<'_>) -> Option<EngineConfig> {
    let name = section.required_text("name", "the engine's name, also its SMTP user name");
    let secret = section.secret("secret");
    let client_cert_san = section.text("client_cert_san");
    if client_cert_san.as_ref().is_some_and(String::is_empty) {
        section.problem("client_cert_san", "engine.client_cert_san is a name in the engine's certificate");
    }
    if client_cert_san.is_none() && !section.has("secret") {
        section.missing(
            "secret",
            "a reference such as \"file:keys/campaigns.secret\" (or give client_cert_san)",
        );
    }
    let senders = senders(&section);
    let engine = EngineConfig {
        senders,
        templates: section.texts("templates").unwrap_or_default(),
        fields: section.texts("fields").unwrap_or_default(),
        purposes: section
            .texts("purposes")
            .unwrap_or_default()
            .iter()
            .map(|it| purpose::normal(it))
            .collect(),
        allow_literal: section.texts("allow_literal").unwrap_or_default(),
        purpose_default: section.text("purpose_default").map(|it| purpose::normal(&it)),
        rate_per_second_max: section.rate_per_second("rate_max"),
        secret,
        client_cert_san,
        name,
    };
    section.finish();
    Some(engine)
}

fn senders(section: &Section<'_>) -> Option<Senders> {
    match Senders::parse(&section.texts("senders")?) {
        Ok(senders) => Some(senders),
        Err(cause) => {
            let mend = "write news@brand.example, brand.example, or *.brand.example for the domains below it";
            section.problem_mended("senders", format!("engine.senders: {cause}"), mend);
            None
        }
    }
}
