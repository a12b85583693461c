//! Holds the house in shape: which room may name which, where each big dependency may be named, how large a
//! file and a function may grow, and that the documentation lists every configuration key.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 400;
/// For the few files that read better whole.
const FILE_LINES_HARD_MAX: usize = 600;
const FILES_OVER_BUDGET_MAX: usize = 6;
const FUNCTION_LINES_MAX: usize = 70;
const ARCHITECTURE_LINES_MAX: usize = 150;
const README_BYTES_MAX: usize = 8 * 1024;

const NOUNS: &[&str] = &[
    "address",
    "byte_search",
    "counted",
    "engine",
    "exit",
    "fault",
    "gate",
    "herald",
    "job",
    "media_type",
    "message",
    "nearest",
    "obstacle",
    "outside",
    "patience",
    "person",
    "personal",
    "plain_file",
    "purpose",
    "secret",
    "senders",
    "ticket",
];

/// Room -> rooms it may name beside the nouns and itself. A stage never names another stage.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("tls", &[]),
    ("process", &[]),
    ("table", &[]),
    ("vault", &["table"]),
    ("journal", &[]),
    ("resolve", &[]),
    ("render", &["table"]),
    ("report", &[]),
    ("inject", &["wire", "tls", "report"]),
    ("accept", &["wire", "tls"]),
    ("load", &["wire", "tls", "report"]),
    ("config", &["tls", "resolve"]),
    ("telemetry", &["config"]),
    ("pipeline", &["resolve", "render", "inject", "telemetry"]),
    ("custody", &["inject", "journal", "pipeline"]),
    ("app", &["*"]),
    ("cli", &["*"]),
    ("main", &["*"]),
];

/// Crate -> places that may name it.
const NAMED_IN: &[(&str, &[&str])] = &[
    ("hashbrown", &["resolve/"]),
    ("handlebars", &["render/"]),
    ("mail_parser", &["render/", "load/reading.rs"]),
    ("mrml", &["render/"]),
    ("html5ever", &["render/"]),
    ("axum", &["accept/http/"]),
    ("utoipa", &["accept/http/"]),
    ("rusqlite", &["vault/", "journal/"]),
    ("rcgen", &["tls/"]),
    ("clap", &["cli/", "main.rs"]),
    ("indicatif", &["cli/"]),
    ("prometheus_client", &["telemetry.rs"]),
];

struct Source {
    /// Path below `src/`.
    path: String,
    /// Lines before the tests of the file.
    lines: Vec<String>,
    text: String,
}

impl Source {
    fn room(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(folder).expect("a source folder").map(|entry| entry.expect("an entry").path())
        {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                found.push(source(&entry));
            }
        }
    }
    assert!(found.len() > 20, "the sources were found");
    found
}

fn source(path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("a source file");
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").map(str::to_owned).collect();
    let path = path.strip_prefix(root().join("src")).expect("a path below src").display().to_string();
    Source { path, lines, text }
}

fn is_test_only(source: &Source) -> bool {
    source.path.ends_with("tests.rs") || source.path.contains("/tests/")
}

#[test]
fn no_room_names_a_room_it_should_not_know() {
    let table: BTreeMap<&str, &[&str]> = MAY_NAME.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !is_test_only(source) && source.path != "lib.rs") {
        let room = source.room();
        let allowed =
            if NOUNS.contains(&room) { &[] } else { table.get(room).copied().unwrap_or(&["nothing"]) };
        for (number, line) in
            source.lines.iter().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//"))
        {
            for named in rooms_named(line) {
                let known = MAY_NAME.iter().any(|(name, _)| *name == named);
                let fine =
                    named == room || !known || allowed.contains(&"*") || allowed.contains(&named.as_str());
                if !fine {
                    wrong.push(format!("src/{}:{}: {room} names {named}", source.path, number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn rooms_named(line: &str) -> Vec<String> {
    let each = |(at, _): (usize, &str)| {
        let rest = &line[at + "crate::".len()..];
        rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    line.match_indices("crate::").map(each).collect()
}

#[test]
fn every_room_is_in_the_import_table() {
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        let room = source.room();
        let known = NOUNS.contains(&room) || MAY_NAME.iter().any(|(name, _)| *name == room);
        assert!(known, "src/{} belongs to no room of the table", source.path);
    }
}

#[test]
fn big_dependencies_are_named_in_one_room() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !is_test_only(source)) {
        for (name, places) in NAMED_IN {
            let used = source.lines.iter().any(|line| {
                let code = line.split("//").next().unwrap_or_default();
                code.contains(&format!("{name}::")) || code.contains(&format!("use {name};"))
            });
            if used && !places.iter().any(|place| source.path.starts_with(place)) {
                wrong.push(format!("src/{} names {name}; it belongs to {places:?}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_and_functions_stay_within_their_budgets() {
    let mut wrong = Vec::new();
    let mut over = Vec::new();
    for source in sources() {
        let length = source.lines.len();
        if length > FILE_LINES_HARD_MAX {
            wrong.push(format!("src/{} has {length} lines (at most {FILE_LINES_HARD_MAX})", source.path));
        } else if length > FILE_LINES_MAX {
            over.push(format!("src/{} {length}", source.path));
        }
        for (line, name, length) in functions(&source.lines) {
            if length > FUNCTION_LINES_MAX {
                wrong.push(format!("src/{}:{line}: {name} has {length} lines", source.path));
            }
        }
    }
    if over.len() > FILES_OVER_BUDGET_MAX {
        wrong.push(format!("{} files over {FILE_LINES_MAX} lines: {}", over.len(), over.join(", ")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Line, name and length of each function; its end is the closing brace at its own indent, as rustfmt sets it.
fn functions(lines: &[String]) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some(at) = code.find("fn ") else { continue };
        let words_before = code[..at].split_whitespace();
        let is_definition = words_before.clone().all(|word| {
            word.starts_with("pub")
                || word.ends_with(')')
                || ["async", "const", "unsafe", "extern"].contains(&word)
        });
        if !is_definition {
            continue;
        }
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let is_declared_only = lines[start..]
            .iter()
            .find(|l| l.ends_with(';') || l.ends_with('{'))
            .is_some_and(|l| l.ends_with(';'));
        if is_declared_only {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - code.len()]);
        if let Some(length) = lines[start..].iter().position(|line| *line == close) {
            found.push((start + 1, name, length + 1));
        }
    }
    found
}

#[test]
fn every_file_states_its_one_job() {
    for source in sources() {
        assert!(source.text.starts_with("//!"), "src/{} has no head comment", source.path);
    }
}

#[test]
fn the_example_configuration_and_its_page_list_every_key() {
    let example = fs::read_to_string(root().join("deploy/tokenrelay.toml")).unwrap();
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    for key in tokenrelay::config::Config::keys() {
        let leaf = key.rsplit('.').next().unwrap();
        assert!(example.contains(leaf), "deploy/tokenrelay.toml does not show {key}");
        assert!(page.contains(leaf), "docs/configuration.md does not explain {key}");
    }
}

#[test]
fn the_readme_stays_short_and_what_pages_refer_to_is_there() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.len() <= README_BYTES_MAX, "README.md has {} bytes", readme.len());
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    for page in docs.chain(["README.md", "CHANGELOG.md", "ARCHITECTURE.md"].map(|name| root().join(name))) {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            if !link.contains("://") {
                let there = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
                assert!(has_heading(&there, heading), "{}: {link} leads nowhere", page.display());
            }
        }
    }
}

/// Whether the page is there, with a heading that is found by this name.
fn has_heading(page: &Path, name: &str) -> bool {
    let Ok(text) = fs::read_to_string(page) else { return false };
    let named = |line: &str| {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        line.trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    name.is_empty() || text.lines().any(|line| line.starts_with('#') && named(line) == name)
}

#[test]
fn the_architecture_fits_on_a_few_pages() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let lines = text.lines().count();
    assert!(lines <= ARCHITECTURE_LINES_MAX, "{lines} lines");
    for (room, _) in MAY_NAME.iter().filter(|(room, _)| !["main"].contains(room)) {
        assert!(text.contains(&format!("`{room}`")), "ARCHITECTURE.md does not name the room {room}");
    }
}
