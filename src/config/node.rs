//! The file as a tree that remembers where each value was written, with the environment laid over it.

use std::collections::BTreeMap;
use std::fmt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Prefix of environment variables that override one key: `TOKENRELAY__CACHE__TTL=1m`.
pub const ENV_PREFIX: &str = "TOKENRELAY__";

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Line and column, both from 1.
    File {
        line: usize,
        column: usize,
    },
    Env(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { line, column } => write!(f, "{line}:{column}"),
            Self::Env(name) => write!(f, "${name}"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Node {
    pub value: Value,
    pub origin: Origin,
}

#[derive(Debug, Clone)]
pub enum Value {
    Text(String),
    Integer(i64),
    Boolean,
    List(Vec<Node>),
    Table(BTreeMap<String, (Origin, Node)>),
    /// Floats and dates: no key takes them.
    Other,
}

impl Value {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "a number",
            Self::Boolean => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a section",
            Self::Other => "a value of another kind",
        }
    }
}

/// Reads TOML text.
///
/// # Errors
/// The place and message of a syntax error.
pub fn parse(source: &str) -> Result<Node, (Origin, String)> {
    let table = DeTable::parse(source).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (place(source, at), error.message().to_owned())
    })?;
    let start = table.span().start;
    Ok(Node { value: from_table(source, table.into_inner()), origin: place(source, start) })
}

/// A variable that names a place below `key`, where there are no keys: it has several sections, or a value.
#[derive(Debug, PartialEq, Eq)]
pub struct Unplaced {
    pub origin: Origin,
    pub key: String,
}

/// Lays `TOKENRELAY__SECTION__KEY` variables over the tree. Values are read as TOML where they are TOML and as
/// strings otherwise. What could not be laid anywhere is returned.
pub fn lay_over(root: &mut Node, variables: impl Iterator<Item = (String, String)>) -> Vec<Unplaced> {
    let mut unplaced = Vec::new();
    for (name, value) in variables {
        let Some(path) = name.strip_prefix(ENV_PREFIX) else { continue };
        let keys: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
        let origin = Origin::Env(name.clone());
        if let Err(depth) = insert(root, &keys, Node { value: env_value(&value), origin: origin.clone() }) {
            unplaced.push(Unplaced { origin, key: keys[..depth].join(".") });
        }
    }
    unplaced
}

/// # Errors
/// How many of the keys lead to what is no section.
fn insert(node: &mut Node, keys: &[String], leaf: Node) -> Result<(), usize> {
    let Some((key, rest)) = keys.split_first() else { return Ok(()) };
    let Value::Table(entries) = &mut node.value else { return Err(0) };
    let origin = leaf.origin.clone();
    if rest.is_empty() {
        entries.insert(key.clone(), (origin, leaf));
        return Ok(());
    }
    let section = Node { value: Value::Table(BTreeMap::new()), origin: origin.clone() };
    let (_, child) = entries.entry(key.clone()).or_insert((origin, section));
    insert(child, rest, leaf).map_err(|depth| depth + 1)
}

fn env_value(text: &str) -> Value {
    let document = format!("v = {text}");
    match parse(&document) {
        Ok(Node { value: Value::Table(mut entries), .. }) => {
            entries.remove("v").map_or_else(|| Value::Text(text.into()), |(_, node)| node.value)
        }
        _ => Value::Text(text.into()),
    }
}

fn from_table(source: &str, table: DeTable<'_>) -> Value {
    let entry = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
        let origin = place(source, key.span().start);
        let name: std::borrow::Cow<'_, str> = key.into_inner();
        (name.into_owned(), (origin, from_value(source, value)))
    };
    Value::Table(table.into_iter().map(entry).collect())
}

fn from_value(source: &str, value: Spanned<DeValue<'_>>) -> Node {
    let origin = place(source, value.span().start);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Other, Value::Integer)
        }
        DeValue::Boolean(_) => Value::Boolean,
        DeValue::Array(items) => {
            Value::List(items.into_iter().map(|item| from_value(source, item)).collect())
        }
        DeValue::Table(table) => from_table(source, table),
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Other,
    };
    Node { value, origin }
}

fn place(source: &str, at: usize) -> Origin {
    let before = source.get(..at).unwrap_or(source);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Origin::File { line, column }
}
