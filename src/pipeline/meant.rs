//! What an engine most likely meant, where it named a field that nobody may have.

use super::Rules;
use crate::fault::{Fault, Reason};
use crate::job::{Content, Job};
use crate::nearest::nearest;
use crate::person::{EMAIL, PHONE};
use crate::render::Plan;

/// Says of a content that lacks a value which of its fields is nearly one that templates declare or grants name. Whose field is
/// missing does not matter for that, so it tells nothing of the person.
pub(super) fn with_meant_field(mut fault: Fault, job: &Job, plan: &Plan, rules: &Rules) -> Fault {
    let is_content = !matches!(job.content, Content::Template(_));
    if is_content && fault.reason == Reason::MissingField {
        let declared = rules.renderer.templates().flat_map(|info| info.fields.keys());
        let granted = job.engine.fields.iter().filter(|grant| !grant.ends_with('*'));
        let known: Vec<&str> = declared.chain(granted).map(String::as_str).chain([EMAIL, PHONE]).collect();
        let slips = plan.person_fields().filter(|field| !known.contains(field));
        let near = slips.filter_map(|field| Some((field, nearest(field, known.iter().copied())?))).next();
        if let Some((field, meant)) = near {
            fault.detail.to_mut().push_str(&format!("; did you mean person.{meant} for person.{field}?"));
        }
    }
    fault
}
