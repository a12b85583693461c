//! The example that this program carries: what each key means, and where it belongs.

/// The annotated configuration with every key there is, as `tokenrelay init` writes it.
pub const EXAMPLE: &str = include_str!("../../deploy/tokenrelay.toml");

/// The line that shows a key, such as `cache.ttl`, with what it means.
pub(super) fn example_of(key: &str) -> Option<String> {
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

/// The sections that take a key of this name, as `[limits]`.
pub(super) fn headers_with(name: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut header = None;
    for line in EXAMPLE.lines().map(|line| line.trim_start_matches("# ")) {
        if line.starts_with('[') {
            header = line.rfind(']').map(|end| &line[..=end]);
        } else if line.strip_prefix(name).is_some_and(|rest| rest.starts_with(" = ")) {
            found.extend(header.filter(|header| !found.contains(header)));
        }
    }
    found
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

    #[test]
    fn a_key_is_found_where_it_belongs() {
        assert_eq!(headers_with("handoff_wait"), ["[limits]"]);
        assert_eq!(headers_with("name"), ["[[target]]", "[[engine]]"]);
        assert!(headers_with("state_dir").is_empty() && headers_with("zzz").is_empty());
    }
}
