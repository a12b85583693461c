//! What a program may read while it runs: the person, the job's data, the send, and the rules for absent
//! fields.

use crate::job::{Data, SendNumber};
use crate::person::Person;
use std::collections::BTreeMap;

/// Everything a program may read for one message.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub person: &'a Person,
    pub data: &'a Data,
    pub send: &'a SendNumber,
    pub campaign: Option<&'a str>,
    /// The day of sending, as `YYYY-MM-DD`.
    pub date: &'a str,
    pub fields: &'a FieldRules,
}

/// What to do when a value is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The job is rejected with `missing-field`.
    Required,
    /// This text stands in, everywhere the value is read.
    Default(String),
    /// Nothing stands there.
    Optional,
}

/// The rules of one template. What has no rule is required, unless it is read inside an `#if` on itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldRules {
    person: BTreeMap<String, Rule>,
    data: BTreeMap<String, Rule>,
}

impl FieldRules {
    /// The rules of a message that is its own template: all is required unless guarded.
    pub fn of_message() -> Self {
        Self::default()
    }

    pub fn declare(&mut self, field: impl Into<String>, rule: Rule) {
        self.person.insert(field.into(), rule);
    }

    /// `path` as in [`super::Uses::data`]: `order.id`, `items[].name`.
    pub fn declare_data(&mut self, path: impl Into<String>, rule: Rule) {
        self.data.insert(path.into(), rule);
    }

    /// The rule for a field of the person.
    pub fn lookup(&self, field: &str) -> &Rule {
        self.person.get(field).unwrap_or(&Rule::Required)
    }

    /// Whether there is a rule for this field. A declared required field is required inside its own `#if` too.
    pub fn declares(&self, field: &str) -> bool {
        self.person.contains_key(field)
    }

    /// The rule for a path below `data`, if one was declared.
    pub fn lookup_data(&self, path: &str) -> Option<&Rule> {
        self.data.get(path)
    }

    /// Every declared field of the person.
    pub fn declared(&self) -> impl Iterator<Item = (&str, &Rule)> {
        self.person.iter().map(|(name, rule)| (name.as_str(), rule))
    }

    /// These rules, with those of `over` in their place where it has any.
    pub fn overridden_by(mut self, over: &Self) -> Self {
        self.person.extend(over.person.iter().map(|(name, rule)| (name.clone(), rule.clone())));
        self.data.extend(over.data.iter().map(|(path, rule)| (path.clone(), rule.clone())));
        self
    }
}
