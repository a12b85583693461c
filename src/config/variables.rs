//! Variables of the environment that were meant to set a key, and would set none.

use super::Origin;
use super::keys::keys;
use super::node::ENV_PREFIX;
use super::section::Problem;

/// What all names of ours begin with, also those that are mistyped.
const BEGIN: &str = "TOKENRELAY_";
/// There may be several of each: no variable sets their keys.
const SEVERAL: [&str; 3] = ["listener", "target", "engine"];

/// Names with one underscore in place of two, such as `TOKENRELAY_CACHE_TTL`. One that the configuration refers to (`env:NAME`,
/// `cmd:printenv NAME`) may be called as it likes.
pub(super) fn mistyped(source: &str, environment: &[(String, String)]) -> Vec<Problem> {
    let suspects = environment.iter().map(|(name, _)| name.as_str()).filter(|name| {
        let is_ours = name.starts_with(BEGIN) && !name.starts_with(ENV_PREFIX);
        let refers =
            |(setting, value): &(String, String)| setting.starts_with(ENV_PREFIX) && names(value, name);
        is_ours && !names(source, name) && !environment.iter().any(refers)
    });
    let mut suspects = suspects.peekable();
    if suspects.peek().is_none() {
        return Vec::new();
    }
    let keys = keys();
    suspects.filter_map(|name| problem(name, &keys)).collect()
}

/// Whether it stands there, and is not the beginning or end of another.
fn names(text: &str, name: &str) -> bool {
    let is_more = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(is_more) && !text[at + name.len()..].starts_with(is_more))
}

fn problem(name: &str, keys: &[String]) -> Option<Problem> {
    let words = |text: &str| -> Vec<String> {
        text.split(['_', '.']).filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect()
    };
    let meant = words(&name[BEGIN.len()..]);
    let is_section = |key: &str| keys.iter().any(|other| other.starts_with(&format!("{key}.")));
    let is_meant = |key: &&String| {
        let section = key.split('.').next().unwrap_or_default();
        !SEVERAL.contains(&section) && words(key) == meant && !is_section(key)
    };
    let right = keys.iter().find(is_meant)?.to_ascii_uppercase().replace('.', "__");
    Some(Problem {
        origin: Origin::Env(name.to_owned()),
        cause: String::from("this variable sets no key: two underscores stand before each part of a name"),
        key: None,
        mend: Some(format!("call it {ENV_PREFIX}{right}, or unset it")),
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigError};
    use std::path::Path;

    fn told(more: &str, name: &str) -> Vec<(String, String)> {
        let source = format!("[vault]\nkey = \"file:k\"\n{more}");
        let environment = [(name.to_owned(), String::from("1m"))];
        match Config::parse(&source, Path::new("t.toml"), environment.into_iter()) {
            Ok(_) => Vec::new(),
            Err(ConfigError::Wrong { problems, .. }) => {
                problems.iter().map(|problem| (problem.told(Path::new("t.toml")), problem.fix())).collect()
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn d_a_variable_with_one_underscore_sets_nothing_and_is_told() {
        for (name, right) in [
            ("TOKENRELAY_CACHE_TTL", "TOKENRELAY__CACHE__TTL"),
            ("TOKENRELAY_CACHE__TTL", "TOKENRELAY__CACHE__TTL"),
            ("TOKENRELAY_STATE_DIR", "TOKENRELAY__STATE_DIR"),
            ("TOKENRELAY_LOG_LEVEL", "TOKENRELAY__LOG__LEVEL"),
        ] {
            let told = told("", name);
            assert_eq!(told.len(), 1, "{name}: {told:?}");
            assert!(told[0].0.starts_with(&format!("${name}: this variable sets no key")), "{told:?}");
            assert_eq!(told[0].1, format!("call it {right}, or unset it"));
        }
    }

    #[test]
    fn d_other_variables_are_nobodys_mistake() {
        for (more, name) in [
            ("", "TOKENRELAY_PORT"),
            // A section is no key, and Kubernetes names the services of a namespace so.
            ("", "TOKENRELAY_LOG"),
            ("", "TOKENRELAY_VAULT"),
            ("", "TOKENRELAY_VAULT_SERVICE_HOST"),
            ("", "TOKENRELAY_CACHE_PORT_6379_TCP_ADDR"),
            (
                "[[engine]]\nname = \"a\"\nsecret = \"cmd:printenv TOKENRELAY_VAULT_KEY\"\n",
                "TOKENRELAY_VAULT_KEY",
            ),
            (
                "[[engine]]\nname = \"a\"\nsecret = 'cmd:echo \"$TOKENRELAY_VAULT_KEY\"'\n",
                "TOKENRELAY_VAULT_KEY",
            ),
            ("", "TOKENRELAY_TARGET_PORT"),
            ("", "TOKENRELAY_LISTENER_SERVICE_HOST"),
            ("", "TOKENRELAY"),
            ("", "TOKENRELAY_"),
            ("", "MY_TOKENRELAY_CACHE_TTL"),
            ("[[engine]]\nname = \"a\"\nsecret = \"env:TOKENRELAY_VAULT_KEY\"\n", "TOKENRELAY_VAULT_KEY"),
        ] {
            assert_eq!(told(more, name), [], "{name}");
        }
        let longer = "[[engine]]\nname = \"a\"\nsecret = \"env:TOKENRELAY_VAULT_KEY_2\"\n";
        assert_eq!(told(longer, "TOKENRELAY_VAULT_KEY").len(), 1);
    }
}
