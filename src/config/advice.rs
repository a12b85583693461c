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
        match (&self.origin, as_in) {
            (Origin::Env(name), Some(line)) => {
                format!("unset {name}, or correct it; in the file it is: {line}")
            }
            (Origin::Env(name), None) => format!("unset {name}, or correct it"),
            (Origin::File { .. }, Some(line)) => format!("as in: {line}"),
            (Origin::File { .. }, None) => String::from(
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
