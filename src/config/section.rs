//! Typed reading of one section: every mistake is noted and reading goes on, and a key nobody asked for is
//! reported with the nearest name that exists.

use super::example::{example_of, headers_with};
use super::node::{Node, Origin, Value};
use super::units;
use crate::nearest::nearest;
use crate::secret::SecretRef;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One mistake in the configuration, with its place and, where there is one, its mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    pub cause: String,
    /// What it is about, or what was meant, as `cache.ttl`.
    pub key: Option<String>,
    /// What mends it, where the line that shows the key does not.
    pub mend: Option<String>,
}

impl Problem {
    /// Where, and what; `file` is the one that was read.
    pub fn told(&self, file: &Path) -> String {
        match &self.origin {
            Origin::Env(_) => format!("{}: {}", self.origin, self.cause),
            Origin::File { .. } => format!("{}:{}: {}", file.display(), self.origin, self.cause),
        }
    }
}

/// What all sections of one reading share: the mistakes so far and every key that was asked for.
#[derive(Debug)]
pub struct Reading {
    pub base: PathBuf,
    pub problems: RefCell<Vec<Problem>>,
    pub asked: RefCell<Vec<String>>,
}

impl Reading {
    pub fn new(base: &Path) -> Self {
        Self { base: base.into(), problems: RefCell::default(), asked: RefCell::default() }
    }

    fn problem(&self, origin: &Origin, key: String, cause: impl Into<String>) {
        self.note(Problem { origin: origin.clone(), cause: cause.into(), key: Some(key), mend: None });
    }

    fn note(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }
}

/// What a reference to a secret in a file begins with.
const FILE_PREFIX: &str = "file:";

/// A section being read; call [`Section::finish`] when every key has been asked for.
pub struct Section<'a> {
    reading: &'a Reading,
    name: String,
    origin: Origin,
    entries: Option<&'a BTreeMap<String, (Origin, Node)>>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub fn root(reading: &'a Reading, node: &'a Node) -> Self {
        Self::of(reading, String::new(), Some(node), &node.origin)
    }

    fn of(reading: &'a Reading, name: String, node: Option<&'a Node>, origin: &Origin) -> Self {
        let entries = match node.map(|node| (&node.value, &node.origin)) {
            Some((Value::Table(entries), _)) => Some(entries),
            Some((other, at)) => {
                reading.problem(at, name.clone(), format!("{name} is a section, not {}", other.kind()));
                None
            }
            None => None,
        };
        Self { reading, name, origin: origin.clone(), entries, known: RefCell::default() }
    }

    /// Where a key was written, or where its section begins.
    pub fn origin_of(&self, key: &str) -> Origin {
        self.entries
            .and_then(|e| e.get(key))
            .map_or_else(|| self.origin.clone(), |(origin, _)| origin.clone())
    }

    pub fn problem(&self, key: &str, cause: impl Into<String>) {
        self.reading.problem(&self.origin_of(key), self.path(key), cause);
    }

    /// A mistake that the line which shows the key does not mend.
    pub fn problem_mended(&self, key: &str, cause: impl Into<String>, mend: impl Into<String>) {
        self.reading.note(Problem {
            origin: self.origin_of(key),
            cause: cause.into(),
            key: Some(self.path(key)),
            mend: Some(mend.into()),
        });
    }

    /// A key that has to be there and is not, with `what` it is for. Where its section is missing too, the line alone would
    /// land in another one.
    pub fn missing(&self, key: &'static str, what: &str) {
        let path = self.path(key);
        let cause = format!("{path} is missing: {what}");
        let line = || example_of(&path).unwrap_or_else(|| format!("{key} = ..."));
        let mend = self.entries.is_none().then(|| format!("write [{}], and below it: {}", self.name, line()));
        self.reading.note(Problem { origin: self.origin.clone(), cause, key: Some(path), mend });
    }

    pub fn section(&self, key: &'static str) -> Section<'a> {
        let node = self.get(key);
        Section::of(self.reading, self.path(key), node, &self.origin_of(key))
    }

    /// An inline section that may be missing as a whole.
    pub fn section_if_given(&self, key: &'static str) -> Option<Section<'a>> {
        let node = self.get(key)?;
        Some(Section::of(self.reading, self.path(key), Some(node), &self.origin_of(key)))
    }

    /// `[[key]]`, any number of them.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let Value::List(items) = &node.value else {
            self.problem(key, format!("write [[{key}]], with two brackets: there may be several"));
            return Vec::new();
        };
        let each = |item: &'a Node| Section::of(self.reading, self.path(key), Some(item), &item.origin);
        items.iter().map(each).collect()
    }

    pub fn text(&self, key: &'static str) -> Option<String> {
        match &self.get(key)?.value {
            Value::Text(text) => Some(text.clone()),
            other => self.wrong_kind(key, "a string", other),
        }
    }

    /// # Returns
    /// An empty string when it is missing or empty, which is noted as a mistake with `what` it is for.
    pub fn required_text(&self, key: &'static str, what: &str) -> String {
        match self.text(key) {
            Some(text) if text.is_empty() => {
                self.problem(key, format!("{} is empty: {what}", self.path(key)));
                text
            }
            Some(text) => text,
            None => {
                if !self.has(key) {
                    self.missing(key, what);
                }
                String::new()
            }
        }
    }

    pub fn texts(&self, key: &'static str) -> Option<Vec<String>> {
        let node = self.get(key)?;
        let Value::List(items) = &node.value else {
            return self.wrong_kind(key, "a list of strings", &node.value);
        };
        let text = |item: &Node| match &item.value {
            Value::Text(text) => Some(text.clone()),
            other => self.wrong_kind(key, "a list of strings", other),
        };
        Some(items.iter().filter_map(text).collect())
    }

    pub fn integer(&self, key: &'static str, default: u64) -> u64 {
        let Some(node) = self.get(key) else { return default };
        match &node.value {
            Value::Integer(number) if *number >= 0 => *number as u64,
            Value::Integer(_) => {
                self.problem(key, format!("{} must not be negative", self.path(key)));
                default
            }
            other => self.wrong_kind(key, "a number", other).unwrap_or(default),
        }
    }

    /// A number below which nothing works.
    pub fn integer_from(&self, key: &'static str, default: u64, least: u64) -> u64 {
        let number = self.integer(key, default);
        self.refuse_below(key, number < least, least);
        number.max(least)
    }

    /// A size below which nothing works.
    pub fn bytes_from(&self, key: &'static str, default: u64, least: u64) -> u64 {
        let bytes = self.bytes(key, default);
        self.refuse_below(key, bytes < least, format_args!("\"{}\"", units::size(least)));
        bytes.max(least)
    }

    /// A span that has to be longer than nothing.
    pub fn some_duration(&self, key: &'static str, default: Duration) -> Duration {
        const LEAST: Duration = Duration::from_millis(1);
        let span = self.duration(key, default);
        self.refuse_below(key, span < LEAST, "\"1ms\"");
        span.max(LEAST)
    }

    fn refuse_below(&self, key: &str, is_below: bool, least: impl fmt::Display) {
        if is_below {
            self.problem(key, format!("{} is at least {least}: with less nothing works", self.path(key)));
        }
    }

    pub fn bytes(&self, key: &'static str, default: u64) -> u64 {
        if let Some(Node { value: Value::Integer(number), .. }) = self.get(key) {
            return u64::try_from(*number).unwrap_or(default);
        }
        self.measured(key, units::bytes, "a size such as \"64MiB\"").unwrap_or(default)
    }

    pub fn duration(&self, key: &'static str, default: Duration) -> Duration {
        self.measured(key, units::duration, "a span of time such as \"10s\" or \"5m\"").unwrap_or(default)
    }

    pub fn rate_per_second(&self, key: &'static str) -> Option<u32> {
        self.measured(key, units::rate_per_second, "a rate such as \"500/s\"")
    }

    /// A path as it stands within some value: relative to the file.
    pub fn path_of(&self, path: &str) -> PathBuf {
        self.reading.base.join(path)
    }

    pub fn path_if_given(&self, key: &'static str) -> Option<PathBuf> {
        let text = self.text(key)?;
        if let Some(path) = text.strip_prefix(FILE_PREFIX) {
            let cause = format!("{} is a path, not a reference to a secret", self.path(key));
            self.problem_mended(key, cause, format!("write {key} = \"{path}\", without {FILE_PREFIX}"));
        }
        Some(self.reading.base.join(text))
    }

    pub fn secret(&self, key: &'static str) -> Option<SecretRef> {
        let text = self.text(key)?;
        match SecretRef::parse(&text, &self.reading.base) {
            Ok(reference) => Some(reference),
            Err(cause) => {
                self.problem(key, format!("{}: {cause}", self.path(key)));
                None
            }
        }
    }

    /// One word out of a closed list; the error names them all.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let word = self.text(key)?;
        let found = choices.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.problem(key, format!("{} is one of {}, not \"{word}\"", self.path(key), names.join(", ")));
        }
        found
    }

    /// Reports every key that was never asked for.
    pub fn finish(self) {
        self.report_unknown();
    }

    pub fn report_unknown(&self) {
        let known = self.known.borrow();
        for (key, (origin, _)) in self.entries.into_iter().flatten() {
            if known.contains(&key.as_str()) {
                continue;
            }
            let elsewhere = headers_with(key);
            let near = nearest(key, known.iter().copied()).filter(|_| elsewhere.is_empty());
            let hint = match near {
                Some(name) => format!("; did you mean {name}?"),
                None => format!("; known here: {}", known.join(", ")),
            };
            let meant = self.path(near.unwrap_or(key));
            if near.is_some() {
                self.is_not_missing(&meant);
            }
            let mend = (!elsewhere.is_empty())
                .then(|| format!("move {key} below {}, or remove it", elsewhere.join(" or ")));
            let cause = format!("unknown key {}{hint}", self.path(key));
            self.reading.note(Problem { origin: origin.clone(), cause, key: Some(meant), mend });
        }
    }

    /// One slip of the hand is one mistake: what is there under another name, and what would stand below that, is not missed
    /// as well. Only what is missing is told where the section itself begins.
    fn is_not_missing(&self, meant: &str) {
        let is_of =
            |key: &str| key.strip_prefix(meant).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let is_missed =
            |problem: &Problem| problem.origin == self.origin && problem.key.as_deref().is_some_and(is_of);
        self.reading.problems.borrow_mut().retain(|problem| !is_missed(problem));
    }

    pub fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    fn get(&self, key: &'static str) -> Option<&'a Node> {
        self.known.borrow_mut().push(key);
        self.reading.asked.borrow_mut().push(self.path(key));
        self.entries?.get(key).map(|(_, node)| node)
    }

    fn measured<T>(&self, key: &'static str, read: fn(&str) -> Option<T>, wanted: &str) -> Option<T> {
        let text = match &self.get(key)?.value {
            Value::Text(text) => text,
            other => return self.wrong_kind(key, wanted, other),
        };
        let value = read(text);
        if value.is_none() {
            self.problem(key, format!("{} is {wanted}, not \"{text}\"", self.path(key)));
        }
        value
    }

    fn wrong_kind<T>(&self, key: &str, wanted: &str, got: &Value) -> Option<T> {
        self.problem(key, format!("{} is {wanted}, not {}", self.path(key), got.kind()));
        None
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.into() } else { format!("{}.{key}", self.name) }
    }
}
