//! What depends on a person, and what is wrong with it.

use super::Allowed;
use super::hiding::Hiding;
use super::load::{Extent, Load};
use super::words::At;
use crate::render::lint::Lint;

/// A block that depends on a person.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cause<'a> {
    pub(super) field: &'a str,
    pub(super) at: At,
}

/// What was found on the way.
pub(super) struct Report<'a> {
    pub(super) place: &'a str,
    pub(super) allowed: Allowed<'a>,
    pub(super) lints: Vec<Lint>,
    pub(super) loads: Vec<Load>,
    pub(super) hidden: Hiding,
    pub(super) depends: Option<(Extent, Cause<'a>)>,
}

impl<'a> Report<'a> {
    pub(super) fn is_allowed(&self, url: &str) -> bool {
        self.allowed.unwrap_or_default().iter().any(|allowed| **allowed == *url)
    }

    pub(super) fn depends(&mut self, extent: Extent, cause: Cause<'a>) {
        if self.depends.is_none_or(|(before, _)| before < extent) {
            self.depends = Some((extent, cause));
        }
    }

    pub(super) fn refuse(&mut self, what: &str, cause: Cause<'_>) {
        let told = format!(
            "{what} in a block that depends on person.{}: whoever sees what is fetched or clicked would learn the value",
            cause.field
        );
        let fix = match self.allowed {
            Some(_) => {
                "take it out of the block, or name the URL as it stands in branch_urls of template.toml"
            }
            None => {
                "take it out of the block, or let only text differ (templates can name such URLs in branch_urls)"
            }
        };
        self.lint(cause.at, told, fix);
    }

    pub(super) fn lint(&mut self, at: At, cause: String, fix: &str) {
        self.lints.push(Lint::new(self.place, at, cause, fix));
    }
}
