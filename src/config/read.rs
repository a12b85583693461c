//! Section by section from the tree to the configuration as meant.

use super::engine::engine;
use super::listener::listener;
use super::log::log;
use super::node::{Node, Origin, Unplaced};
use super::section::{Problem, Reading, Section};
use super::{
    Bind, CacheConfig, Config, EngineConfig, JournalConfig, Limits, Listener, OpenFiles, Target, Timeouts,
    TlsMode,
};
use crate::nearest::{did_you_mean, nearest};
use crate::resolve::ConsentRule;
use crate::secret::SecretRef;
use crate::tls::{Pin, Trust};
use rustls_pki_types::ServerName;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the smallest job takes, with its content or message.
const SMALLEST_JOB: u64 = 1 << 10;
/// Room for some jobs beside what the journal needs for itself.
const SMALLEST_JOURNAL: u64 = 1 << 20;

pub(super) const NOT_YET: &str = "is not available in this version";

pub fn config(
    root: &Node,
    unplaced: Vec<Unplaced>,
    file: &Path,
    mistyped: Vec<Problem>,
) -> Result<Config, Vec<Problem>> {
    let base = file.parent().unwrap_or(Path::new(""));
    let reading = Reading::new(base);
    let config = read(&Section::root(&reading, root), file);
    let mut problems = reading.problems.into_inner();
    problems.extend(mistyped);
    problems.extend(unplaced.into_iter().map(|Unplaced { origin, key }| Problem {
        mend: None,
        cause: format!("no variable sets a key below {key}: there may be several of it, or it is a value"),
        key: Some(key),
        origin,
    }));
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => {
            problems.sort_by_key(|problem| match &problem.origin {
                Origin::File { line, column } => (*line, *column),
                Origin::Env(_) => (0, 0),
            });
            Err(problems)
        }
    }
}

pub(super) fn read(root: &Section<'_>, file: &Path) -> Option<Config> {
    let state_dir = root.path_if_given("state_dir").unwrap_or_else(|| sibling(file, "state"));
    let choices = [("refuse", OpenFiles::Refuse), ("warn", OpenFiles::Warn)];
    let open_files = root.choice("open_files", &choices).unwrap_or(OpenFiles::Refuse);
    let vault_key = vault_key(root.section("vault"));
    let cache = cache(root.section("cache"));
    let templates_dir = templates(root.section("templates"));
    let consent = policy(root.section("policy"));
    let limits = limits(root.section("limits"));
    let journal = journal(root.section("journal"));
    let log = log(root.section("log"));
    let listeners: Vec<Listener> = root.sections("listener").into_iter().filter_map(listener).collect();
    let targets: Vec<Target> = root.sections("target").into_iter().filter_map(target).collect();
    let engines: Vec<EngineConfig> = root.sections("engine").into_iter().filter_map(engine).collect();
    unique(root, "target", targets.iter().map(|target| target.name.as_str()));
    unique(root, "engine", engines.iter().map(|engine| engine.name.as_str()));
    check_doors(root, &listeners, &engines);
    check_binds(root, &listeners);
    root.report_unknown();
    let file = file.into();
    let vault_key = vault_key?;
    Some(Config {
        file,
        state_dir,
        open_files,
        vault_key,
        cache,
        templates_dir,
        consent,
        limits,
        journal,
        log,
        listeners,
        targets,
        engines,
    })
}

fn sibling(file: &Path, name: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(name)
}

fn vault_key(section: Section<'_>) -> Option<SecretRef> {
    let backend = section.text("backend").unwrap_or_else(|| "embedded".into());
    match backend.as_str() {
        "embedded" => {}
        "postgres" | "token-server" => {
            section.problem("backend", format!("backend \"{backend}\" {NOT_YET}; use \"embedded\""))
        }
        _ => section.problem("backend", "vault.backend is one of embedded, postgres, token-server"),
    }
    let key = section.secret("key");
    if key.is_none() && !section.has("key") {
        section.missing("key", "a reference to 32 random bytes, such as \"file:keys/vault.key\"");
    }
    section.finish();
    key
}

fn cache(section: Section<'_>) -> CacheConfig {
    let ttl = section.duration("ttl", Duration::from_secs(300));
    let cache = CacheConfig {
        bytes_max: section.bytes("max_bytes", 64 << 20),
        ttl,
        negative_ttl: section.duration("negative_ttl", Duration::from_secs(30)).min(ttl),
    };
    section.finish();
    cache
}

fn templates(section: Section<'_>) -> Option<PathBuf> {
    let dir = section.path_if_given("dir");
    section.finish();
    dir
}

fn policy(section: Section<'_>) -> ConsentRule {
    let rules = [("opt-out", ConsentRule::OptOut), ("opt-in", ConsentRule::OptIn)];
    let rule = section.choice("consent", &rules).unwrap_or(ConsentRule::OptOut);
    section.finish();
    rule
}

fn limits(section: Section<'_>) -> Limits {
    let count = |key, default| usize::try_from(section.integer_from(key, default, 1)).unwrap_or(usize::MAX);
    let limits = Limits {
        jobs_in_flight_max: count("jobs_in_flight_max", 512),
        bytes_in_flight_max: u32::try_from(section.bytes_from("bytes_in_flight_max", 64 << 20, SMALLEST_JOB))
            .unwrap_or(u32::MAX),
        message_bytes_max: section.bytes_from("message_bytes_max", 25 << 20, SMALLEST_JOB) as usize,
        job_line_bytes_max: section.bytes_from("job_line_bytes_max", 1 << 20, SMALLEST_JOB) as usize,
        connections_max: count("connections_max", 1_000),
        connections_per_source_max: count("connections_per_source_max", 200),
        messages_per_source_per_minute_max: section.integer_from(
            "messages_per_source_per_minute_max",
            3_000_000,
            1,
        ),
        bytes_per_source_per_minute_max: section.bytes_from(
            "bytes_per_source_per_minute_max",
            32 << 30,
            SMALLEST_JOB,
        ),
        handoff_wait: section.some_duration("handoff_wait", Duration::from_secs(10)),
        drain_wait: section.duration("drain_wait", Duration::from_secs(30)),
    };
    let (house, message) = (limits.bytes_in_flight_max, limits.message_bytes_max);
    if message > house as usize {
        let lower =
            if section.has("bytes_in_flight_max") { "bytes_in_flight_max" } else { "message_bytes_max" };
        section.problem_mended(
            lower,
            format!(
                "limits.bytes_in_flight_max ({house} bytes) cannot hold one message of limits.message_bytes_max ({message} bytes, \
                 25MiB where it is not given)"
            ),
            format!(
                "raise bytes_in_flight_max to \"{message}\" at least, or lower message_bytes_max to \"{house}\" at most"
            ),
        );
    }
    section.finish();
    limits
}

fn journal(section: Section<'_>) -> JournalConfig {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let ways = [("hold", false), ("resend", true)];
    let (mut retry_first, mut retry_max) = (
        section.duration("retry_first", Duration::from_secs(30)),
        section.duration("retry_max", Duration::from_secs(3600)),
    );
    match (section.has("retry_first"), section.has("retry_max")) {
        (true, true) if retry_first > retry_max => section.problem_mended(
            "retry_first",
            "journal.retry_first is longer than journal.retry_max: the first pause cannot be longer than the longest",
            "lower retry_first, or raise retry_max",
        ),
        // What is not given makes room for what is.
        (true, _) => retry_max = retry_max.max(retry_first),
        (false, _) => retry_first = retry_first.min(retry_max),
    }
    let journal = JournalConfig {
        bytes_max: section.bytes_from("bytes_max", 4 << 30, SMALLEST_JOURNAL),
        disk_free_min: section.bytes("disk_free_min", 256 << 20),
        retry_first: retry_first.max(Duration::from_millis(1)),
        retry_max,
        expires: section.some_duration("expires", 2 * DAY),
        resends_unknown: section.choice("unknown", &ways).unwrap_or(false),
        retention: section.duration("retention", 30 * DAY),
        keep_refused: section.duration("keep_refused", 7 * DAY),
        keep_refused_bytes_max: section.bytes("keep_refused_bytes_max", 256 << 20),
    };
    section.finish();
    journal
}

pub(super) const TLS_MODES: [(&str, TlsMode); 3] =
    [("implicit", TlsMode::Implicit), ("starttls", TlsMode::StartTls), ("none", TlsMode::None)];

fn target(section: Section<'_>) -> Option<Target> {
    let name = section.required_text("name", "a short name for this target");
    let host = section.required_text("host", "the first MTA's host name or address");
    let tls = section.choice("tls", &TLS_MODES).unwrap_or(TlsMode::StartTls);
    let default_port = if tls == TlsMode::Implicit { 465 } else { 587 };
    let port = u16::try_from(section.integer("port", default_port)).unwrap_or_default();
    if port == 0 {
        section.problem("port", "target.port is a number from 1 to 65535");
    }
    if tls == TlsMode::None && !is_loopback(&host) {
        section.problem("tls", "tls = \"none\" is for loopback only; use \"starttls\" or \"implicit\"");
    }
    let server_name = section.text("server_name").unwrap_or_else(|| host.clone());
    if !host.is_empty() && ServerName::try_from(server_name.as_str()).is_err() {
        let key = if section.has("server_name") { "server_name" } else { "host" };
        section.problem(key, format!("target.{key} is a host name or an address, not \"{server_name}\""));
    }
    let helo_name = section.text("helo_name").unwrap_or_else(host_name);
    // RFC 5321 §4.1.1.1: one word, whatever a target makes of it.
    if helo_name.is_empty() || !helo_name.bytes().all(|byte| byte.is_ascii_graphic()) {
        section.problem(
            "helo_name",
            format!("target.helo_name is one word of ASCII, such as relay.example, not \"{helo_name}\""),
        );
    }
    let connect_timeout = section.some_duration("connect_timeout", Duration::from_secs(10));
    let target = Target {
        server_name,
        helo_name,
        trust: trust(&section),
        auth: auth(&section),
        connections_max: usize::try_from(section.integer_from("connections_max", 16, 1))
            .unwrap_or(16)
            .min(10_000),
        messages_per_connection_max: u32::try_from(section.integer_from(
            "messages_per_connection_max",
            1_000,
            1,
        ))
        .unwrap_or(u32::MAX),
        connection_age_max: section.some_duration("connection_age_max", Duration::from_secs(600)),
        idle_max: section.duration("idle_max", Duration::from_secs(30)),
        connect_timeout,
        timeouts: timeouts(&section, connect_timeout),
        rate_per_second_max: section.rate_per_second("rate_max"),
        weight: u32::try_from(section.integer_from("weight", 10, 1)).unwrap_or(10),
        priority: u32::try_from(section.integer("priority", 0)).unwrap_or_default(),
        name,
        host,
        port,
        tls,
    };
    section.finish();
    Some(target)
}

fn timeouts(section: &Section<'_>, connect: Duration) -> Timeouts {
    let reply = section.some_duration("reply_timeout", Duration::from_secs(60));
    Timeouts {
        // Until it has greeted a target is not there.
        greeting: section.some_duration("greeting_timeout", connect),
        helo: section.some_duration("helo_timeout", reply),
        reply,
        data: section.some_duration("data_timeout", reply),
        // RFC 5321 §4.5.3.2.6: whoever gives up sooner sends the message twice, or cannot say what became of it.
        final_dot: section.some_duration("final_dot_timeout", Duration::from_secs(600)),
    }
}

fn trust(section: &Section<'_>) -> Trust {
    let ca = section.path_if_given("ca");
    let Some(pins) = section.texts("pin") else {
        return ca.map_or(Trust::SystemRoots, Trust::CaFile);
    };
    if ca.is_some() {
        section.problem_mended("pin", "give ca or pin, not both", "remove ca, or remove pin");
    }
    let parse = |text: &String| {
        let pin = Pin::parse(text);
        if pin.is_none() {
            section.problem("pin", "target.pin holds \"sha256/BASE64\" of the server's public key");
        }
        pin
    };
    Trust::Pins(pins.iter().filter_map(parse).collect())
}

fn auth(section: &Section<'_>) -> Option<(String, SecretRef)> {
    let auth = section.section_if_given("auth")?;
    let user = auth.required_text("user", "the user name for AUTH");
    let password = auth.secret("password");
    if password.is_none() && !auth.has("password") {
        auth.missing("password", "a reference such as \"file:keys/mta1.pass\"");
    }
    auth.finish();
    Some((user, password?))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".into() } else { name }
}

/// What listeners and engines have to say about each other.
fn check_doors(root: &Section<'_>, listeners: &[Listener], engines: &[EngineConfig]) {
    for stranger in listeners.iter().filter_map(|listener| listener.engine.as_deref()) {
        if !engines.iter().any(|engine| engine.name == stranger) {
            let near = did_you_mean(stranger, engines.iter().map(|engine| engine.name.as_str()));
            let cause =
                format!("listener.engine names \"{stranger}\", and no [[engine]] has this name{near}");
            let names: Vec<&str> = engines.iter().map(|engine| engine.name.as_str()).collect();
            let mend = match nearest(stranger, names.iter().copied()) {
                Some(name) => format!("write engine = \"{name}\" in this [[listener]]"),
                None if names.is_empty() => format!("add an [[engine]] with name = \"{stranger}\""),
                None => format!("set engine of this [[listener]] to one of {}", names.join(", ")),
            };
            root.problem_mended("listener", cause, mend);
        }
    }
    let mut seen = BTreeSet::new();
    for name in engines.iter().filter_map(|engine| engine.client_cert_san.as_deref()) {
        if !seen.insert(name.to_ascii_lowercase()) {
            root.problem_mended(
                "engine",
                format!("two engines have client_cert_san \"{name}\"; a certificate is one engine's"),
                "give one of the two another client_cert_san, or a secret instead of it",
            );
        }
    }
}

/// The system picks a port where it is 0.
fn check_binds(root: &Section<'_>, listeners: &[Listener]) {
    let mut seen: Vec<&Bind> = Vec::new();
    for bind in listeners.iter().map(|listener| &listener.bind) {
        let is_any = bind.tcp().is_some_and(|address| address.port() == 0);
        if !is_any && seen.contains(&bind) {
            let other = if bind.tcp().is_some() { "port" } else { "path" };
            root.problem_mended(
                "listener",
                format!("two listeners have bind = \"{bind}\"; each needs one of its own"),
                format!("give bind of one of the two [[listener]] another {other}, or remove one"),
            );
        }
        seen.push(bind);
    }
}

fn unique<'a>(root: &Section<'_>, key: &str, names: impl Iterator<Item = &'a str>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !name.is_empty() && !seen.insert(name) {
            let mend = format!("give one of the two [[{key}]] another name, or remove one");
            root.problem_mended(key, format!("two {key}s are named \"{name}\"; names must differ"), mend);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigError;

    const GOOD: &str = r#"
[vault]
key = "file:keys/vault.key"
[[listener]]
kind = "smtp"
bind = "127.0.0.1:2525"
tls = "none"
accept = "handoff"
token_domains = ["tokens.example"]
[[target]]
name = "mta1"
host = "127.0.0.1"
port = 2587
auth = { user = "relay", password = "env:PASS" }
rate_max = "500/s"
[[engine]]
name = "campaigns"
secret = "file:keys/campaigns.secret"
"#;

    fn parse(source: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Config::parse(source, Path::new("dir/tokenrelay.toml"), environment).map_err(|error| match error {
            ConfigError::Unreadable { .. } => Vec::new(),
            ConfigError::Wrong { .. } => error.to_string().lines().map(str::to_owned).collect(),
        })
    }

    #[test]
    fn defaults_apply_and_paths_are_relative_to_the_file() {
        let config = parse(GOOD, &[]).unwrap();
        assert_eq!(config.state_dir, Path::new("dir/state"));
        assert_eq!(config.vault_key, SecretRef::File("dir/keys/vault.key".into()));
        assert_eq!(config.cache.bytes_max, 64 << 20);
        assert_eq!(config.targets[0].rate_per_second_max, Some(500));
        assert_eq!(config.targets[0].tls, TlsMode::StartTls);
    }

    #[test]
    fn c14_what_starts_and_cannot_work_is_refused_with_the_least_that_can() {
        let limits = [
            ("jobs_in_flight_max = 0", "1"),
            ("bytes_in_flight_max = 0", "\"1KiB\""),
            ("message_bytes_max = \"1\"", "\"1KiB\""),
            ("job_line_bytes_max = 0", "\"1KiB\""),
            ("connections_max = 0", "1"),
            ("connections_per_source_max = 0", "1"),
            ("messages_per_source_per_minute_max = 0", "1"),
            ("bytes_per_source_per_minute_max = \"1\"", "\"1KiB\""),
        ];
        let limits = limits.map(|(line, least)| (format!("{GOOD}\n[limits]\n{line}"), line, least));
        let journal = [("bytes_max = \"1\"", "\"1MiB\""), ("expires = \"0s\"", "\"1ms\"")];
        let journal = journal.map(|(line, least)| (format!("{GOOD}\n[journal]\n{line}"), line, least));
        let target = [
            ("connections_max = 0", "1"),
            ("messages_per_connection_max = 0", "1"),
            ("weight = 0", "1"),
            ("connect_timeout = \"0s\"", "\"1ms\""),
            ("final_dot_timeout = \"0ms\"", "\"1ms\""),
        ];
        let target = target
            .map(|(line, least)| (GOOD.replace("rate_max = ", &format!("{line}\nrate_max = ")), line, least));
        for (source, line, least) in limits.into_iter().chain(journal).chain(target) {
            let wrong = parse(&source, &[]).unwrap_err().join("\n");
            let key = line.split_once(' ').unwrap().0;
            let said = format!("{key} is at least {least}: with less nothing works");
            assert!(wrong.contains(&said), "{line}: {wrong}");
        }
        parse(&format!("{GOOD}\n[journal]\nbytes_max = \"1MiB\""), &[]).unwrap();
    }

    #[test]
    fn a_house_that_cannot_hold_one_message_is_refused_with_both_keys() {
        for (line, at) in [
            ("bytes_in_flight_max = \"1MiB\"", "bytes_in_flight_max"),
            ("message_bytes_max = \"65MiB\"", "message_bytes_max"),
            ("bytes_in_flight_max = \"30MiB\"\nmessage_bytes_max = \"31MiB\"", "bytes_in_flight_max"),
        ] {
            let wrong = parse(&format!("{GOOD}\n[limits]\n{line}"), &[]).unwrap_err().join("\n");
            assert!(wrong.contains("cannot hold one message of limits.message_bytes_max"), "{wrong}");
            let place =
                format!("{GOOD}\n[limits]\n{line}").lines().position(|line| line.starts_with(at)).unwrap()
                    + 1;
            assert!(wrong.contains(&format!(":{place}")), "{place}: {wrong}");
        }
        for line in [
            "message_bytes_max = \"64MiB\"",
            "bytes_in_flight_max = \"1MiB\"\nmessage_bytes_max = \"1MiB\"",
            "bytes_in_flight_max = \"8GiB\"\nmessage_bytes_max = \"2GiB\"",
        ] {
            parse(&format!("{GOOD}\n[limits]\n{line}"), &[]).unwrap();
        }
    }

    #[test]
    fn c6_each_phase_has_its_time_and_the_answer_to_a_message_ten_minutes() {
        let times = |more: &str| {
            let timeouts =
                parse(&GOOD.replace("rate_max = ", &format!("{more}\nrate_max = ")), &[]).unwrap().targets[0]
                    .timeouts;
            [timeouts.greeting, timeouts.helo, timeouts.reply, timeouts.data, timeouts.final_dot]
                .map(|time| time.as_secs())
        };
        assert_eq!(times(""), [10, 60, 60, 60, 600]);
        assert_eq!(times("reply_timeout = \"5s\"\nconnect_timeout = \"2s\""), [2, 5, 5, 5, 600]);
        assert_eq!(
            times("final_dot_timeout = \"20m\"\ngreeting_timeout = \"1m\"\nhelo_timeout = \"7s\""),
            [60, 7, 60, 60, 1200]
        );
    }

    #[test]
    fn the_environment_lies_over_the_file() {
        let config =
            parse(GOOD, &[("TOKENRELAY__CACHE__TTL", "1m"), ("TOKENRELAY__CACHE__MAX_BYTES", "1024")]);
        let config = config.unwrap();
        assert_eq!((config.cache.ttl, config.cache.bytes_max), (Duration::from_secs(60), 1024));
        let wrong = parse(GOOD, &[("TOKENRELAY__CACHE__TTTL", "1m")]).unwrap_err();
        assert_eq!(wrong, ["$TOKENRELAY__CACHE__TTTL: unknown key cache.tttl; did you mean ttl?"]);
    }

    #[test]
    fn every_mistake_is_reported_at_once_with_its_place() {
        let source = GOOD
            .replace("rate_max = \"500/s\"", "rate_maxx = \"500/s\"\nweight = \"heavy\"")
            .replace("accept = \"handoff\"", "accept = \"later\"")
            .replace("key = \"file:keys/vault.key\"", "key = \"hunter2\"");
        let wrong = parse(&source, &[]).unwrap_err();
        assert_eq!(wrong.len(), 4, "{wrong:#?}");
        assert!(wrong[0].starts_with("dir/tokenrelay.toml:3:1: vault.key: a secret is given by reference"));
        assert!(
            wrong[1].starts_with("dir/tokenrelay.toml:8:1: listener.accept is one of auto, handoff, journal")
        );
        assert_eq!(
            wrong[2],
            "dir/tokenrelay.toml:15:1: unknown key target.rate_maxx; did you mean rate_max?"
        );
        assert_eq!(wrong[3], "dir/tokenrelay.toml:16:1: target.weight is a number, not a string");
        assert!(!wrong.join("").contains("hunter2"));
    }

    #[test]
    fn clear_text_is_for_loopback_only() {
        let wrong = parse(&GOOD.replace("127.0.0.1:2525", "0.0.0.0:2525"), &[]).unwrap_err();
        assert!(wrong[0].contains("loopback only"), "{wrong:?}");
        let remote = GOOD.replace("host = \"127.0.0.1\"", "host = \"mta.example\"\ntls = \"none\"");
        assert!(parse(&remote, &[]).unwrap_err()[0].contains("loopback only"));
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let wrong = parse("[vault\nkey = 1", &[]).unwrap_err();
        assert!(wrong[0].starts_with("dir/tokenrelay.toml:1:"), "{wrong:?}");
    }
}
