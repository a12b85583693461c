//! What a program may compare and look up while it runs: bounded, since the time that takes may tell which way it took.

use super::expression::Helper;
use super::seen::Seen;
use super::value::Value;
use crate::fault::{Fault, Reason};
use serde_json::Value as Json;
use std::cell::Cell;

/// Bytes of the job's values that comparisons and look-ups of one program may read in all.
pub const COMPARED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Blocks, values and helpers of one program, each counted as often as it is come by.
pub const STEPS_MAX: usize = 1_000_000;
/// What two values of the person count as when they are compared: their length must not decide about a limit.
const PERSONAL_BYTES: usize = 256;
/// Longer names are counted when they are looked up, as often as a look-up may read them.
const SHORT_NAME_BYTES: usize = 64;
const READS_OF_NAME: usize = 32;

/// What was done so far.
#[derive(Debug, Default)]
pub(super) struct Effort {
    compared: Cell<usize>,
    steps: Cell<usize>,
}

impl Effort {
    /// # Errors
    /// `too-large` beyond [`STEPS_MAX`].
    pub(super) fn step(&self) -> Result<(), Fault> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > STEPS_MAX {
            let cause = format!(
                "more than {STEPS_MAX} blocks, values and helpers in one message part, counted in each turn of #each; send fewer \
                 items"
            );
            return Err(Fault::new(Reason::TooLarge, cause));
        }
        Ok(())
    }

    /// Counts what the helper is about to read of two values.
    ///
    /// # Errors
    /// `bad-job` beyond [`COMPARED_BYTES_MAX`].
    pub(super) fn compare(&self, helper: Helper, first: Value<'_>, second: Value<'_>) -> Result<(), Fault> {
        self.count(read_by(helper, first, second))
    }

    /// As [`Self::compare`], before the person is known: no less than for anybody.
    ///
    /// # Errors
    /// As [`Self::compare`].
    pub(super) fn compare_seen(&self, helper: Helper, given: &[Seen<'_>]) -> Result<(), Fault> {
        if !helper.compares() && helper != Helper::Lookup {
            return Ok(());
        }
        let of_one = |seen: &Seen<'_>| match seen {
            Seen::Known(value) => Some(length(*value)),
            Seen::Entry(entries) => Some(entries.iter().map(|value| length(*value)).sum()),
            Seen::Text | Seen::Scalar => None,
        };
        let given = if helper == Helper::Lookup { given.get(1..).unwrap_or_default() } else { given };
        let mut lengths = given.iter().filter_map(of_one).peekable();
        if lengths.peek().is_none() {
            return self.count(PERSONAL_BYTES);
        }
        let length: usize = lengths.sum();
        self.count(if helper == Helper::Lookup { read_of_name(length) } else { length })
    }

    fn count(&self, bytes: usize) -> Result<(), Fault> {
        self.compared.set(self.compared.get().saturating_add(bytes));
        if self.compared.get() > COMPARED_BYTES_MAX {
            let cause = format!(
                "the helpers of one message part (eq, gt, lookup and the like) compare more than {COMPARED_BYTES_MAX} bytes of data; \
                 compare shorter texts, or send fewer items"
            );
            return Err(Fault::new(Reason::BadJob, cause));
        }
        Ok(())
    }
}

fn read_by(helper: Helper, first: Value<'_>, second: Value<'_>) -> usize {
    match (helper, first, second) {
        (Helper::Lookup, _, Value::Personal(_)) => PERSONAL_BYTES,
        (Helper::Lookup, _, key) => read_of_name(length(key)),
        _ if !helper.compares() => 0,
        (_, Value::Personal(_), Value::Personal(_)) => PERSONAL_BYTES,
        (_, Value::Personal(_), other) | (_, other, Value::Personal(_)) => length(other),
        (Helper::Eq | Helper::Ne, first, second) if differ_in_length(first, second) => 0,
        // Of containers the first alone tells how much there may be to compare.
        (_, first, second) if first.as_text().is_none() || second.as_text().is_none() => {
            length(first).saturating_add(if is_container(second) { 0 } else { length(second) })
        }
        (_, first, second) => length(first).min(length(second)),
    }
}

fn read_of_name(bytes: usize) -> usize {
    bytes.saturating_sub(SHORT_NAME_BYTES).saturating_mul(READS_OF_NAME)
}

fn differ_in_length(first: Value<'_>, second: Value<'_>) -> bool {
    let texts = first.as_text().zip(second.as_text()).is_some_and(|(one, other)| one.len() != other.len());
    let items = first.as_array().zip(second.as_array()).is_some_and(|(one, other)| one.len() != other.len());
    let entries =
        first.as_object().zip(second.as_object()).is_some_and(|(one, other)| one.len() != other.len());
    texts || items || entries
}

fn is_container(value: Value<'_>) -> bool {
    value.as_array().is_some() || value.as_object().is_some()
}

/// Bytes that there are to compare in a value of the job.
fn length(value: Value<'_>) -> usize {
    match value {
        Value::Absent | Value::Bool(_) | Value::Count(_) => 0,
        Value::Text(text) | Value::Personal(text) => text.len(),
        Value::Json(json) => json_length(json),
        Value::Object(map) => map.iter().map(|(name, item)| name.len() + json_length(item)).sum(),
    }
}

fn json_length(json: &Json) -> usize {
    match json {
        Json::Null | Json::Bool(_) => 1,
        Json::Number(number) => number.as_str().len(),
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(|item| 1 + json_length(item)).sum(),
        Json::Object(map) => map.iter().map(|(name, item)| name.len() + 1 + json_length(item)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Data, SendNumber};
    use crate::person::{Person, PersonBuilder};
    use crate::render::program::{Program, Sink, Syntax};
    use crate::render::scope::{FieldRules, Scope};
    use crate::render::seen::Facts;
    use serde_json::json;

    struct Nowhere;

    impl Sink for Nowhere {
        fn fixed(&mut self, _: usize) {}

        fn value(&mut self, _: &str) {}
    }

    fn living_in(city: &str) -> Person {
        let mut person = PersonBuilder::default();
        person.field("email", "dana@example.test").field("city", city);
        person.build()
    }

    /// What is said before the person is known, and then of two people.
    fn said(source: &str, data: &Json) -> [String; 3] {
        let program = Program::compile(source, Syntax::Text, "t").unwrap_or_else(|lints| panic!("{lints:?}"));
        let (send, fields) = (SendNumber::from_bits([7; 16]), FieldRules::of_message());
        let data: Data = data.as_object().cloned().unwrap_or_default();
        let facts = Facts { data: &data, send: &send, campaign: None, date: "2026-11-30", fields: &fields };
        let judged = program.judge(facts).map_or_else(|fault| fault.to_string(), |_| String::from("made"));
        let run = |city: &str| {
            let person = living_in(city);
            let scope = Scope {
                person: &person,
                data: &data,
                send: &send,
                campaign: None,
                date: "2026-11-30",
                fields: &fields,
            };
            program.run(&scope, &mut Nowhere).map_or_else(|fault| fault.to_string(), |_| String::from("made"))
        };
        [judged, run("Haifa"), run("Lima")]
    }

    fn list(items: usize) -> Vec<usize> {
        vec![1; items]
    }

    #[test]
    fn p1_how_much_is_compared_is_bounded_for_everybody_the_same() {
        let compared = "{{#if (eq @root.data.s @root.data.u)}}{{/if}}".repeat(20);
        let forked = format!(
            "{{{{#each data.l}}}}{{{{#if (eq @root.person.city \"Haifa\")}}}}{compared}{{{{/if}}}}{{{{/each}}}}"
        );
        let (s, u) = ("a".repeat(30_000), format!("{}b", "a".repeat(29_999)));
        let sent = json!({"l": list(200), "s": s, "u": u});
        let [judged, ..] = said(&forked, &sent);
        assert!(judged.starts_with("bad-job: the helpers") && judged.contains("4194304 bytes"), "{judged}");
        let sent = json!({"l": list(200), "s": s, "u": "b"});
        assert_eq!(said(&forked, &sent), ["made"; 3], "texts of different length compare in nothing");
    }

    #[test]
    fn p1_what_depends_on_nobody_is_bounded_too() {
        let long = "9".repeat(300_000);
        for (test, s) in [
            ("eq", json!("a".repeat(300_000))),
            ("gt", json!("a".repeat(300_000))),
            ("lt", json!(format!("1{long}"))),
            ("eq", json!(vec!["a"; 200_000])),
            ("eq", json!({"a": "b".repeat(300_000)})),
            ("lookup", json!("a".repeat(300_000))),
        ] {
            let from = if test == "lookup" { "data.m" } else { "data.s" };
            let source = format!("{{{{#if ({test} {from} data.s)}}}}x{{{{/if}}}}").repeat(20);
            let said = said(&source, &json!({"s": s, "m": {"a": 1}}));
            assert!(said.iter().all(|said| said.starts_with("bad-job: the helpers")), "{test} {said:?}");
        }
    }

    #[test]
    fn p1_steps_are_bounded_where_nothing_is_written() {
        let source = format!("{{{{#each data.l}}}}{}{{{{/each}}}}", "{{#if (eq 1 2)}}{{/if}}".repeat(200));
        let told = said(&source, &json!({"l": list(20_000)}));
        assert!(told.iter().all(|said| said.starts_with("too-large: more than 1000000")), "{told:?}");
        let honest =
            "{{#each data.l}}{{#if (eq this.city @root.person.city)}}near{{else}}far{{/if}} {{/each}}";
        let shops = vec![json!({"city": "Haifa"}); 10_000];
        assert_eq!(said(honest, &json!({"l": shops})), ["made"; 3]);
    }

    #[test]
    fn p1_what_a_person_compares_counts_no_less_before_they_are_known() {
        let source = "{{#each data.l}}{{#if (eq (lookup @root.data.m @root.person.city) @root.data.s)}}x{{/if}}\
                      {{#if (gt @root.person.city @root.data.s)}}x{{/if}}\
                      {{#if (eq @root.person.city @root.person.city)}}x{{/if}}{{/each}}";
        for items in [10, 100, 1_000, 10_000] {
            let sent =
                json!({"l": list(items), "m": {"Haifa": "a".repeat(400), "Lima": "b"}, "s": "a".repeat(400)});
            let [judged, haifa, lima] = said(source, &sent);
            assert_eq!(judged == "made", items <= 1_000, "{items} {judged}");
            if judged == "made" {
                assert_eq!([haifa, lima], ["made"; 2]);
            }
        }
    }
}
