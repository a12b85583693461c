//! What mends a mistake in the configuration: the example that this program carries says of each key what it means.

use super::example::{EXAMPLE, example_of};
use super::{ConfigError, Origin, Problem};
use crate::plain_file;
use std::io;

impl Problem {
    /// What mends this mistake.
    pub fn fix(&self) -> String {
        let as_in = self.key.as_deref().and_then(example_of);
        match (&self.origin, as_in, (&self.key, &self.mend)) {
            (Origin::Env(_), _, (None, Some(mend))) => mend.clone(),
            (Origin::Env(name), Some(line), _) => {
                format!("unset {name}, or correct it; in the file it is: {line}")
            }
            (Origin::Env(name), None, _) => format!("unset {name}, or correct it"),
            (Origin::File { .. }, _, (_, Some(mend))) => mend.clone(),
            (Origin::File { .. }, Some(line), _) => format!("as in: {line}"),
            (Origin::File { .. }, None, (Some(key), None)) => without_example(key),
            (Origin::File { .. }, None, (None, None)) => String::from(
                "write [section], then key = value, each on a line of its own and texts in \"quotes\"; tokenrelay init NEW-FOLDER \
                 writes an example with every key",
            ),
        }
    }
}

impl ConfigError {
    /// What mends it; a line for each mistake.
    pub fn fix(&self) -> String {
        match self {
            Self::Unreadable { file, cause } => match cause.kind() {
                io::ErrorKind::NotFound => {
                    String::from("name it with -c FILE, or make one: tokenrelay init DIR")
                }
                io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => {
                    format!("name the file in it: -c {}", file.join(super::DEFAULT_FILE).display())
                }
                io::ErrorKind::InvalidData => String::from("save it as UTF-8"),
                _ => plain_file::fix(file, cause),
            },
            Self::Wrong { problems, .. } => {
                let mut fixes: Vec<String> = Vec::new();
                for fix in problems.iter().map(Problem::fix) {
                    if !fixes.contains(&fix) {
                        fixes.push(fix);
                    }
                }
                fixes.join("\n     ")
            }
        }
    }
}

/// What mends text that is not TOML, where its line shows that.
pub(super) fn mend_of_syntax(source: &str, origin: &Origin, cause: &str) -> Option<String> {
    const TYPOGRAPHIC: [char; 7] =
        ['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}'];
    if cause.contains("duplicate key") {
        return Some(String::from(
            "remove one of the two; what may be there several times has two brackets: [[listener]], [[target]], [[engine]]",
        ));
    }
    let Origin::File { line, .. } = origin else { return None };
    let written = source.lines().nth(line - 1)?.split('#').next()?;
    let sign = written.chars().find(|sign| TYPOGRAPHIC.contains(sign))?;
    Some(format!("write \" in place of {sign}, and at the text's other end"))
}

/// What no line shows is a section, or nothing that there is.
fn without_example(key: &str) -> String {
    let headers =
        EXAMPLE.lines().map(|line| line.trim_start_matches("# ")).filter(|line| line.starts_with('['));
    let headers = headers.filter_map(|line| Some(&line[..=line.rfind(']')?]));
    match headers.into_iter().find(|header| header.trim_matches(['[', ']']) == key) {
        Some(header) => format!("write {header}, and its keys below it"),
        None => format!(
            "remove {key}, or correct its name; tokenrelay init NEW-FOLDER writes an example with every key"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    fn fixes(more: &str) -> String {
        let good = "[vault]\nkey = \"file:k\"\n[[engine]]\nname = \"campaigns\"\nsecret = \"file:s\"\n";
        Config::parse(&format!("{good}{more}"), Path::new("t.toml"), std::iter::empty()).unwrap_err().fix()
    }

    #[test]
    fn a9_what_no_line_of_the_example_mends_has_a_mend_of_its_own() {
        let door = |bind: &str, more: &str| {
            format!(
                "[[listener]]\nkind = \"lmtp\"\nbind = \"{bind}\"\ntls = \"none\"\naccept = \"handoff\"\n\
                 token_domains = [\"t.example\"]\n{more}\n"
            )
        };
        let target = "[[target]]\nname = \"mta1\"\nhost = \"127.0.0.1\"\n";
        let engine = "[[engine]]\nname = \"campaigns\"\nsecret = \"file:s\"\n";
        for (more, fix) in [
            (
                door("127.0.0.1:25", "").repeat(2),
                "give bind of one of the two [[listener]] another port, or remove one",
            ),
            (target.repeat(2), "give one of the two [[target]] another name, or remove one"),
            (engine.into(), "give one of the two [[engine]] another name, or remove one"),
            (
                door("127.0.0.1:25", "engine = \"campains\""),
                "write engine = \"campaigns\" in this [[listener]]",
            ),
            (door("127.0.0.1:25", "engine = \"x\""), "set engine of this [[listener]] to one of campaigns"),
            ("[cashe]\n".into(), "write [cache], and its keys below it"),
            ("[[listner]]\n".into(), "write [[listener]], and its keys below it"),
            ("[listener]\n".into(), "write [[listener]], and its keys below it"),
            (
                "[limits]\nbytes_in_flight_max = \"64MiB\"\nmessage_bytes_max = \"65MiB\"\n".into(),
                "raise bytes_in_flight_max to \"68157440\" at least, or lower message_bytes_max to \"67108864\" at most",
            ),
        ] {
            assert_eq!(fixes(&more), fix, "{more}");
        }
        assert!(fixes("[zzz]\n").starts_with("remove zzz, or correct its name"));
        assert!(fixes("[vault\n").starts_with("write [section], then key = value"));
    }

    fn problems(source: &str, environment: &[(&str, &str)]) -> Vec<(String, String)> {
        let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        match Config::parse(source, Path::new("t.toml"), environment) {
            Err(ConfigError::Wrong { problems, .. }) => {
                problems.iter().map(|problem| (problem.cause.clone(), problem.fix())).collect()
            }
            other => panic!("{source}: {other:?}"),
        }
    }

    const VAULT: &str = "[vault]\nkey = \"file:k\"\n";

    /// One mistake is told once, and who does literally what its fix says has mended it.
    fn told_once(source: &str, cause: &str, fix: &str) {
        let told = problems(source, &[]);
        assert_eq!(told.len(), 1, "{source}\n{told:?}");
        assert!(told[0].0.contains(cause) && told[0].1.starts_with(fix), "{source}\n{told:?}");
    }

    #[test]
    fn d_one_slip_at_an_http_door_is_one_mistake_and_its_fix_mends_it() {
        let door = |more: &str| {
            format!(
                "{VAULT}[[listener]]\nbind = \"127.0.0.1:25\"\nkind = \"http\"\ntoken_domains = [\"t.example\"]\n{more}\n"
            )
        };
        for (source, cause, fix) in [
            (
                door("tls = \"none\"\nhandoff_wait = \"1s\""),
                "unknown key listener.handoff_wait",
                "move handoff_wait below [limits]",
            ),
            (
                door("cert = \"c\"\nkey = \"file:k\""),
                "an http listener takes tls",
                "write tls = \"implicit\"",
            ),
            (
                door("tls = \"implicit\"\ncert = \"c\""),
                "listener.key is missing",
                "as in: key = \"file:certs/relay.key\"",
            ),
            (
                door("tls = \"implicit\"\nkey = \"file:k\""),
                "listener.cert is missing",
                "as in: cert = \"certs/relay.pem\"",
            ),
            (door("tls = \"implicit\"\ncert = \"c\"\nkey = \"k\""), "never as plain text", "as in: key ="),
            (
                door("tls = \"implicit\"\ncert = \"file:c\"\nkey = \"file:k\""),
                "listener.cert is a path",
                "write cert = \"c\", without file:",
            ),
            (
                door("").replace("127.0.0.1:25", "unix:x"),
                "an http listener takes an IP address",
                "as in: bind = \"127.0.0.1:8025\"",
            ),
        ] {
            told_once(&source, cause, fix);
        }
    }

    #[test]
    fn d_one_slip_at_a_door_is_one_mistake_and_its_fix_mends_it() {
        let listener = |name: &str, value: &str| {
            let good = [
                ("kind", "\"smtp\""),
                ("bind", "\"127.0.0.1:25\""),
                ("tls", "\"none\""),
                ("token_domains", "[\"t.example\"]"),
            ];
            let others = good.iter().filter(|(key, _)| *key != name && !(name == "knd" && *key == "kind"));
            let lines: String = others.map(|(key, value)| format!("{key} = {value}\n")).collect();
            format!("{VAULT}[[listener]]\n{lines}{name} = {value}\n")
        };
        for (source, cause, fix) in [
            (listener("knd", "\"smtp\""), "unknown key listener.knd; did you mean kind?", "as in: kind ="),
            (listener("token_domains", "\"t.example\""), "is a list of strings", "as in: token_domains = ["),
            (listener("token_domains", "[]"), "listener.token_domains is empty", "as in: token_domains = ["),
            (
                listener("bind", "\"unix:x\"").replace("none", "starttls"),
                "leave tls out",
                "remove tls from this [[listener]]",
            ),
        ] {
            told_once(&source, cause, fix);
        }
    }

    #[test]
    fn d_one_slip_is_one_mistake_and_its_fix_mends_it() {
        for (source, cause, fix) in [
            (VAULT.replace("key", "kee"), "unknown key vault.kee; did you mean key?", "as in: key ="),
            (VAULT.replace("vault", "valut"), "unknown key valut; did you mean vault?", "write [vault]"),
            (
                String::new(),
                "vault.key is missing",
                "write [vault], and below it: key = \"file:keys/vault.key\"",
            ),
            (
                format!("name = \"x\"\n{VAULT}"),
                "unknown key name",
                "move name below [[target]] or [[engine]]",
            ),
            (
                format!("{VAULT}[[target]]\nname = \"\"\nhost = \"h\""),
                "target.name is empty",
                "as in: name = \"mta1\"",
            ),
            (
                format!("{VAULT}[[target]]\nname = \"m\"\nhst = \"h\""),
                "unknown key target.hst",
                "as in: host =",
            ),
            (format!("{VAULT}[cache]\nttl = 5"), "such as \"10s\" or \"5m\", not a number", "as in: ttl ="),
            (
                format!("{VAULT}[listener]\nkind = \"smtp\"\n[[listener]]\nkind = \"http\""),
                "duplicate key",
                "remove one of the two; what may be there several times has two brackets",
            ),
            (
                VAULT.replace("\"file:k\"", "\u{201c}file:k\u{201d}"),
                "quoted",
                "write \" in place of \u{201c}",
            ),
        ] {
            told_once(&source, cause, fix);
        }
        // Of another section of the same name it is missed all the same.
        let two = format!("{VAULT}[[target]]\nname = \"a\"\n[[target]]\nname = \"b\"\nhst = \"h\"");
        assert_eq!(problems(&two, &[]).len(), 2);
    }

    #[test]
    fn d_a_variable_without_a_place_is_told() {
        let source = format!("{VAULT}[[target]]\nname = \"a\"\nhost = \"h\"");
        for name in ["TOKENRELAY__TARGET__HOST", "TOKENRELAY__VAULT__KEY__X"] {
            let told = problems(&source, &[(name, "x")]);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].1.starts_with(&format!("unset {name}, or correct it")), "{told:?}");
        }
    }
}
