//! The keys that a configuration may have.

use super::node::{Node, Origin, Value};
use super::read::read;
use super::section::{Reading, Section};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Every key that can be asked for, found by reading one of each section.
pub fn keys() -> Vec<String> {
    let origin = Origin::File { line: 1, column: 1 };
    let empty = || Node { value: Value::Table(BTreeMap::new()), origin: origin.clone() };
    let one = || Node { value: Value::List(vec![empty()]), origin: origin.clone() };
    let mut auth = BTreeMap::new();
    auth.insert("auth".to_owned(), (origin.clone(), empty()));
    let target = Node { value: Value::Table(auth), origin: origin.clone() };
    let sections = [
        ("listener", one()),
        ("target", Node { value: Value::List(vec![target]), origin: origin.clone() }),
        ("engine", one()),
    ];
    let entries = sections.into_iter().map(|(name, node)| (name.into(), (origin.clone(), node))).collect();
    let root = Node { value: Value::Table(entries), origin };
    let reading = Reading::new(Path::new(""));
    read(&Section::root(&reading, &root), Path::new(""));
    let asked: BTreeSet<String> = reading.asked.into_inner().into_iter().collect();
    asked.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_keys_names_nested_ones() {
        let keys = keys();
        for key in
            ["state_dir", "vault.key", "listener.token_domains", "target.auth.password", "engine.fields"]
        {
            assert!(keys.iter().any(|k| k == key), "{key}");
        }
    }
}
