//! What attributes cannot say of the HTTP door, written into its description: it is held against the running relay, and as narrow as
//! that is.

use serde_json::{Map, Value, json};

pub(super) fn tighten(document: &mut Value) {
    for operation in operations(document) {
        parameters_are_absent_rather_than_null(operation);
        if operation.contains_key("security") {
            locked_out(operation);
        }
        headers(operation);
    }
    let schemas = &mut document["components"]["schemas"];
    // Members of a result and of a receipt, where there is one.
    if let Some(parts) = schemas["ProblemWithResult"]["allOf"].as_array_mut() {
        let last = parts.len().saturating_sub(1);
        parts[..last]
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(|part| drop(part.remove("required")));
    }
    schemas["Job"]["oneOf"] = json!([is_given("template", "content"), is_given("content", "template")]);
    schemas["Content"]["anyOf"] = json!([is_text("text"), is_text("html")]);
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let methods = paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut());
    methods.filter_map(Value::as_object_mut)
}

/// A query has no null.
fn parameters_are_absent_rather_than_null(operation: &mut Map<String, Value>) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten();
    for parameter in parameters {
        let schema = &mut parameter["schema"];
        if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
            kinds.retain(|kind| kind != "null");
        }
        let mut choices = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        if let Some(only) = choices.find(|choice| choice.get("$ref").is_some()).cloned() {
            *schema = only;
        }
    }
}

/// Wherever a key is asked for, one source may have offered too many wrong ones.
fn locked_out(operation: &mut Map<String, Value>) {
    let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    responses.entry("429").or_insert_with(
        || json!({"description": "Too many wrong keys from this source.", "content": problem}),
    );
}

fn headers(operation: &mut Map<String, Value>) {
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten();
    for (status, response) in responses {
        let is_list = response["content"].get("application/x-ndjson").is_some();
        let header = match status.as_str() {
            "401" => ("WWW-Authenticate", json!({"required": true, "schema": {"type": "string"}})),
            "429" | "503" => (
                "Retry-After",
                json!({"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}),
            ),
            "200" if is_list => (
                "Tokenrelay-Cursor",
                json!({"description": "Of a page: where to go on.", "schema": {"type": "integer", "minimum": 0}}),
            ),
            _ => continue,
        };
        response["headers"] = json!({header.0: header.1});
    }
}

/// `null` is the same as absent.
fn is_given(given: &str, absent: &str) -> Value {
    json!({
        "required": [given],
        "properties": {given: {"not": {"type": "null"}}, absent: {"type": "null"}},
    })
}

fn is_text(member: &str) -> Value {
    json!({"required": [member], "properties": {member: {"type": "string"}}})
}
