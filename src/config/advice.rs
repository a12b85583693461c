//! What mends a mistake in the configuration: the example that this program carries says of each key what it means.

use super::{ConfigError, Origin, Problem};
use crate::plain_file;
use std::io;

/// The annotated configuration with every key there is, as `tokenrelay init` writes it.
pub const EXAMPLE: &str = include_str!("../../deploy/tokenrelay.toml");

impl Problem {
    /// What mends this mistake.
    pub fn fix(&self) -> String {
        let as_in = self.key.as_deref().and_then(example_of);
        match (&self.origin, as_in, (&self.key, &self.mend)) {
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

/// The line that shows a key, such as `cache.ttl`, with what it means.
fn example_of(key: &str) -> Option<String> {
    let (wanted, name) = key.split_once('.').unwrap_or(("", key));
    let name = name.split('.').next()?;
    let mut section = "";
    for line in EXAMPLE.lines() {
        let line = line.trim_start_matches("# ");
        if let Some(header) = line.trim_start_matches('[').split_once(']').filter(|_| line.starts_with('[')) {
            section = header.0;
        } else if section == wanted && line.strip_prefix(name).is_some_and(|rest| rest.starts_with(" = ")) {
            let (shown, meaning) = line.split_once(" # ").unwrap_or((line, ""));
            let shown = shown.trim_end();
            return Some(if meaning.is_empty() { shown.into() } else { format!("{shown}   # {meaning}") });
        }
    }
    None
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

    #[test]
    fn d_every_key_has_a_line_that_shows_and_explains_it() {
        let lone: Vec<String> = Config::keys()
            .into_iter()
            .filter(|key| {
                !["vault", "cache", "templates", "policy", "limits", "journal", "log"].contains(&key.as_str())
            })
            .filter(|key| !["listener", "target", "engine"].contains(&key.as_str()))
            .filter(|key| example_of(key).is_none())
            .collect();
        assert!(lone.is_empty(), "{lone:?}");
        let line = example_of("limits.connections_max").unwrap();
        assert_eq!(line, "connections_max = 1000   # per listener");
        assert!(example_of("target.connections_max").unwrap().ends_with("= 16"));
        assert_eq!(example_of("nothing.at_all"), None);
    }
}
