//! Placeholders that nobody would fill in: in what a job says besides its content, in its data, and in a content where it goes out
//! as it came.

use crate::fault::{Fault, Reason};
use crate::job::Job;
use crate::render::Plan;
use crate::render::our_path;
use crate::render::unfilled::{Literal, Why, own, placeholders};
use serde_json::Value;

/// Holds the words of a job against what engines leave in them by mistake, and its data against placeholders of this relay: a value
/// is never read as template.
///
/// # Errors
/// `bad-job`, naming the word, or the path of the value.
pub(super) fn check_words(job: &Job) -> Result<(), Fault> {
    let words = [
        ("the job id", job.job_id.as_deref()),
        ("campaign", job.campaign.as_deref()),
        ("locale", job.locale.as_deref()),
        ("the envelope sender", job.sender.as_deref()),
    ];
    for (name, word) in words {
        if let Some(literal) = word.and_then(|word| placeholders(word).next()) {
            return Err(bad_job(format!(
                "{name} holds the placeholder {literal}, and is never filled in; write what is meant"
            )));
        }
    }
    let is_unmeant = |text: &str| own(text).is_some_and(|literal| !job.engine.may_mail_literally(literal));
    let found = job.data.iter().find_map(|(key, value)| path_within(key, value, &is_unmeant));
    match found {
        Some(mut path) => {
            path.reverse();
            let path = path.join(".");
            Err(bad_job(format!(
                "data.{} holds a placeholder, and a value is never read as template: people would read it as it stands; put it into the \
                 template, or allow it by allow_literal of this [[engine]]",
                path.escape_debug()
            )))
        }
        None => Ok(()),
    }
}

/// Where in an entry a text is of that kind, the innermost key first.
fn path_within(key: &str, value: &Value, is_kind: &dyn Fn(&str) -> bool) -> Option<Vec<String>> {
    if is_kind(key) {
        return Some(vec![String::from("(a key)")]);
    }
    let mut path = match value {
        Value::String(text) => is_kind(text).then(Vec::new),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(at, item)| path_within(&at.to_string(), item, is_kind))
        }
        Value::Object(entries) => entries.iter().find_map(|(key, value)| path_within(key, value, is_kind)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }?;
    path.push(key.to_owned());
    Some(path)
}

/// # Errors
/// `bad-template`, naming what people would read as it stands, unless the engine may mean it.
pub(super) fn check_content(job: &Job, plan: &Plan) -> Result<(), Fault> {
    match plan.unmeant().find(|literal| !job.engine.may_mail_literally(&literal.text)) {
        Some(literal) => Err(unmeant(literal)),
        None => Ok(()),
    }
}

fn unmeant(Literal { text, why }: &Literal) -> Fault {
    const ALLOW: &str = "allow it by allow_literal of this [[engine]]";
    let detail = match why {
        Why::Foreign => format!(
            "{text} is a placeholder of another product, or one of ours in wrong signs: people would read it as it stands; write {}, or {ALLOW}",
            our_path(text).map_or_else(
                || String::from("{{person.NAME}} or {{data.NAME}}"),
                |path| format!("{{{{{path}}}}}")
            )
        ),
        Why::Unfilled { place } => format!(
            "{place}: nothing is filled in there, and people would read {text} as it stands; put it into a text part that is not \
             marked as attachment, or into Subject, or {ALLOW}"
        ),
    };
    Fault::new(Reason::BadTemplate, detail)
}

fn bad_job(detail: String) -> Fault {
    Fault::new(Reason::BadJob, detail)
}
