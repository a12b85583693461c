//! `[[listener]]`: a door for engines, where it is and who may come in.

use super::read::TLS_MODES;
use super::section::Section;
use super::{BareNewline, Bind, Listener, ListenerKind, TlsMode};
use crate::address::is_domain;
use crate::job::Acceptance;
use crate::tls::ServerFiles;

/// In front of the path of a Unix socket.
const UNIX_PREFIX: &str = "unix:";
/// A socket's path has to fit into `sockaddr_un` with a NUL behind it (unix(7)).
const UNIX_PATH_OCTETS_MAX: usize = 107;

pub fn listener(section: Section<'_>) -> Option<Listener> {
    let kind = listener_kind(&section);
    let bind = bind(&section);
    let is_unix = matches!(bind, Some(Bind::Unix(_)));
    let tls_default = if is_unix { TlsMode::None } else { TlsMode::StartTls };
    let tls = section.choice("tls", &TLS_MODES).unwrap_or(tls_default);
    let certificate = section.path_if_given("cert");
    let key = section.secret("key");
    let ways =
        [("auto", Acceptance::Auto), ("handoff", Acceptance::Handoff), ("journal", Acceptance::Journal)];
    let accept = section.choice("accept", &ways).unwrap_or(Acceptance::Auto);
    let line_ends = [("normalize", BareNewline::Normalize), ("refuse", BareNewline::Refuse)];
    let bare_newline = section.choice("bare_newline", &line_ends);
    if bare_newline.is_some() && kind == Some(ListenerKind::Http) {
        section.problem(
            "bare_newline",
            "bare_newline is for smtp and lmtp listeners: HTTP has no line ends of content",
        );
    }
    let bare_newline = bare_newline.unwrap_or_default();
    let token_domains = token_domains(&section);
    let engine = section.text("engine");
    let client_ca = section.path_if_given("client_ca");
    if client_ca.is_some() && (tls == TlsMode::None || kind == Some(ListenerKind::Http)) {
        section.problem("client_ca", "client certificates are for smtp and lmtp listeners with TLS");
    }
    let identity = certificate.zip(key).map(|(certificate, key)| ServerFiles { certificate, key });
    if let (Some(kind), Some(bind)) = (kind, &bind) {
        check_tls(&section, (kind, bind, tls));
        check_engine(&section, (kind, bind), engine.as_deref());
    }
    section.finish();
    Some(Listener {
        kind: kind?,
        bind: bind?,
        tls,
        identity,
        client_ca,
        accept,
        bare_newline,
        token_domains,
        engine,
    })
}

fn token_domains(section: &Section<'_>) -> Vec<String> {
    const WHAT: &str = "the domains whose addresses are tokens";
    if !section.has("token_domains") {
        section.missing("token_domains", WHAT);
    }
    let domains = section.texts("token_domains");
    if domains.as_ref().is_some_and(Vec::is_empty) {
        section.problem("token_domains", format!("listener.token_domains is empty: {WHAT}"));
    }
    let domains = domains.unwrap_or_default();
    for domain in domains.iter().filter(|domain| !is_domain(domain)) {
        section.problem(
            "token_domains",
            format!("listener.token_domains holds domains, such as \"tokens.example\", not \"{domain}\""),
        );
    }
    domains
}

fn listener_kind(section: &Section<'_>) -> Option<ListenerKind> {
    let kinds = [("smtp", ListenerKind::Smtp), ("lmtp", ListenerKind::Lmtp), ("http", ListenerKind::Http)];
    if !section.has("kind") {
        section.missing("kind", "smtp, lmtp or http");
    }
    section.choice("kind", &kinds)
}

fn bind(section: &Section<'_>) -> Option<Bind> {
    let text = section.required_text("bind", "the address to listen on, such as \"127.0.0.1:2525\"");
    if let Some(path) = text.strip_prefix(UNIX_PREFIX) {
        let is_named = !path.is_empty() && !path.ends_with('/');
        let path = section.path_of(path);
        let is_usable = is_named && path.as_os_str().len() <= UNIX_PATH_OCTETS_MAX;
        if !is_usable {
            section.problem(
                "bind",
                "listener.bind is unix: and the path of a socket, of at most 107 characters, such as \"unix:/run/tokenrelay/lmtp.sock\"",
            );
        }
        return is_usable.then_some(Bind::Unix(path));
    }
    let address = text.parse().ok().map(Bind::Tcp);
    if address.is_none() && !text.is_empty() {
        section.problem(
            "bind",
            format!("listener.bind is an IP address and port such as \"127.0.0.1:2525\", or \"unix:PATH\", not \"{text}\""),
        );
    }
    address
}

fn check_tls(section: &Section<'_>, (kind, bind, tls): (ListenerKind, &Bind, TlsMode)) {
    match (bind, tls) {
        (Bind::Unix(_), _) if kind == ListenerKind::Http => section.problem_mended(
            "bind",
            "an http listener takes an IP address and port; unix: is for smtp and lmtp",
            "as in: bind = \"127.0.0.1:8025\"",
        ),
        (Bind::Unix(_), TlsMode::None) => {}
        (Bind::Unix(_), _) => section.problem_mended(
            "tls",
            "a Unix socket does not leave this machine: leave tls out, or write \"none\"",
            "remove tls from this [[listener]]",
        ),
        (Bind::Tcp(address), TlsMode::None) if !address.ip().is_loopback() => section.problem(
            "tls",
            "tls = \"none\" is for loopback only; use \"starttls\" or \"implicit\" with cert and key",
        ),
        (Bind::Tcp(_), TlsMode::None) => {}
        (Bind::Tcp(_), _) => {
            if kind == ListenerKind::Http && tls == TlsMode::StartTls {
                section.problem_mended(
                    "tls",
                    "an http listener takes tls = \"implicit\" or, on loopback, \"none\"",
                    "write tls = \"implicit\"",
                );
            }
            for (name, what) in [("cert", "its certificate, for TLS"), ("key", "its private key, for TLS")] {
                if !section.has(name) {
                    section.missing(name, what);
                }
            }
        }
    }
}

/// Without a login, who may connect is who submits: only this machine may.
fn check_engine(section: &Section<'_>, (kind, bind): (ListenerKind, &Bind), engine: Option<&str>) {
    let is_local = match bind {
        Bind::Unix(_) => true,
        Bind::Tcp(address) => address.ip().is_loopback(),
    };
    if engine.is_some() && !(is_local && kind == ListenerKind::Lmtp) {
        section.problem(
            "engine",
            "listener.engine lets this machine submit without AUTH: it is for kind = \"lmtp\" on a Unix socket or loopback only",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError};
    use super::*;
    use std::path::Path;

    fn parse(listener: &str) -> Result<Listener, String> {
        let source = format!(
            "[vault]\nkey = \"file:k\"\n[[engine]]\nname = \"campaigns\"\nsecret = \"file:s\"\n\
             [[listener]]\naccept = \"handoff\"\ntoken_domains = [\"tokens.example\"]\n{listener}\n"
        );
        let config = Config::parse(&source, Path::new("dir/tokenrelay.toml"), std::iter::empty());
        config.map(|mut config| config.listeners.remove(0)).map_err(|error| match error {
            ConfigError::Unreadable { .. } => String::new(),
            ConfigError::Wrong { .. } => error.to_string(),
        })
    }

    #[test]
    fn a_unix_socket_is_relative_to_the_file_and_needs_no_tls() {
        let listener =
            parse("kind = \"lmtp\"\nbind = \"unix:run/lmtp.sock\"\nengine = \"campaigns\"").unwrap();
        assert_eq!(listener.bind, Bind::Unix("dir/run/lmtp.sock".into()));
        assert_eq!((listener.kind, listener.tls), (ListenerKind::Lmtp, TlsMode::None));
        assert_eq!(listener.bind.to_string(), "unix:dir/run/lmtp.sock");
        parse("kind = \"smtp\"\nbind = \"unix:smtp.sock\"").unwrap();
        parse("kind = \"lmtp\"\nbind = \"127.0.0.1:24\"\ntls = \"none\"\nengine = \"campaigns\"").unwrap();
    }

    #[test]
    fn doors_that_would_be_open_are_refused() {
        for (listener, cause) in [
            ("kind = \"lmtp\"\nbind = \"unix:a\"\ntls = \"starttls\"", "leave tls out"),
            ("kind = \"lmtp\"\nbind = \"0.0.0.0:24\"\ntls = \"none\"", "loopback only"),
            ("kind = \"http\"\nbind = \"unix:a\"", "unix: is for smtp and lmtp"),
            ("kind = \"smtp\"\nbind = \"unix:a\"\nengine = \"campaigns\"", "for kind = \"lmtp\" on a Unix"),
            ("kind = \"lmtp\"\nbind = \"unix:a\"\nengine = \"nobody\"", "no [[engine]] has this name"),
            ("kind = \"lmtp\"\nbind = \"unix:\"", "the path of a socket"),
            ("kind = \"lmtp\"\nbind = \"here\"", "not \"here\""),
            ("kind = \"lmtp\"\nbind = \"unix:a\"\nclient_ca = \"ca.pem\"", "with TLS"),
            ("kind = \"smtp\"\nbind = \"unix:a\"\nbare_newline = \"keep\"", "one of normalize, refuse"),
            (
                "kind = \"http\"\nbind = \"127.0.0.1:80\"\ntls = \"none\"\nbare_newline = \"refuse\"",
                "for smtp and lmtp",
            ),
            ("kind = \"imap\"\nbind = \"unix:a\"", "one of smtp, lmtp, http"),
        ] {
            let wrong = parse(listener).unwrap_err();
            assert!(wrong.contains(cause), "{wrong}");
        }
        let everywhere =
            "kind = \"lmtp\"\nbind = \"0.0.0.0:24\"\ncert = \"c\"\nkey = \"file:k\"\nengine = \"campaigns\"";
        assert!(parse(everywhere).unwrap_err().contains("without AUTH"));
    }
}
