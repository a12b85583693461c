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

/// What to do when a person has no value for a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The job is rejected with `missing-field`.
    Required,
    /// This text stands in, everywhere the field is read.
    Default(String),
    /// Nothing stands there.
    Optional,
}

/// The rules of one template. A field without a rule is required, unless it is read inside an `#if` on itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldRules {
    declared: BTreeMap<String, Rule>,
}

impl FieldRules {
    /// The rules of a message that is its own template: all is required unless guarded.
    pub fn of_message() -> Self {
        Self::default()
    }

    pub fn declare(&mut self, field: impl Into<String>, rule: Rule) {
        self.declared.insert(field.into(), rule);
    }

    pub fn lookup(&self, field: &str) -> &Rule {
        self.declared.get(field).unwrap_or(&Rule::Required)
    }

    /// Whether there is a rule for this field. A declared required field is required inside its own `#if` too.
    pub fn declares(&self, field: &str) -> bool {
        self.declared.contains_key(field)
    }

    pub fn declared(&self) -> impl Iterator<Item = (&str, &Rule)> {
        self.declared.iter().map(|(name, rule)| (name.as_str(), rule))
    }
}
