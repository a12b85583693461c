//! What a template is, for lists and checks.

use super::manifest::Manifest;
use super::scope::Rule;
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};

/// What a template is, for lists.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct TemplateInfo {
    pub name: String,
    pub locales: Vec<String>,
    /// What its messages may be for: told as `template.toml` states it, one by itself.
    #[serde(rename = "purpose", serialize_with = "as_stated")]
    pub purposes: Vec<String>,
    /// Person fields with `required`, `optional` or `default`.
    pub fields: BTreeMap<String, &'static str>,
    /// Paths below `data` that it reads.
    pub data: BTreeSet<String>,
    pub html: bool,
}

impl TemplateInfo {
    pub(super) fn of(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            locales: Vec::new(),
            purposes: Vec::new(),
            fields: BTreeMap::new(),
            data: BTreeSet::new(),
            html: false,
        }
    }
    /// What is known of it from one variant.
    pub(super) fn add(&mut self, manifest: &Manifest) {
        self.purposes = manifest.purposes.iter().map(|purpose| purpose.text.clone()).collect();
        for (field, rule) in manifest.rules.declared() {
            let word = match rule {
                Rule::Required => "required",
                Rule::Optional => "optional",
                Rule::Default(_) => "default",
            };
            self.fields.insert(field.to_owned(), word);
        }
    }
}

fn as_stated<S: Serializer>(purposes: &[String], to: S) -> Result<S::Ok, S::Error> {
    match purposes {
        [] => to.serialize_none(),
        [only] => to.serialize_str(only),
        several => several.serialize(to),
    }
}
