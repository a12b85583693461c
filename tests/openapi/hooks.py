"""What schemathesis has to know of the HTTP door beside its description: how a stream is written and read, which tokens are people's,
what JSON Schema cannot say."""

import json
import os

import jsonschema_rs
import schemathesis

TOKENS = json.loads(os.environ["TOKENS"])
NDJSON = "application/x-ndjson"
# In bytes, where the description can only count letters.
BYTES_MAX = {"job_id": 255, "template": 128, "locale": 128, "campaign": 128, "purpose": 128, "target": 128}
CONTENT_BYTES_MAX = {"from": 998, "subject": 998, "reply_to": 998}


@schemathesis.serializer(NDJSON)
def one_line(ctx, value):
    return json.dumps(value).encode() + b"\n"


def is_within(strings, bytes_max):
    return all(len(str(strings.get(key) or "").encode(errors="replace")) <= most for key, most in bytes_max.items())


def is_positive(case):
    return case.meta is None or case.meta.generation.mode.is_positive


@schemathesis.hook
def filter_case(ctx, case):
    """Leaves out what is too long in bytes only, and a stream that is none: it is answered line by line."""
    body = case.body
    if case.media_type == NDJSON and not is_positive(case):
        return False
    if isinstance(body, dict) and is_positive(case):
        content = body.get("content")
        return is_within(body, BYTES_MAX) and is_within(content if isinstance(content, dict) else {}, CONTENT_BYTES_MAX)
    return True


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Half of the jobs go to people that there are, and half of the questions are about such; nobody waits a minute for an event."""
    if case.path_parameters and len(str(case.path_parameters.get("id", ""))) % 2 and is_positive(case):
        case.path_parameters["id"] = "c42" if "campaigns" in case.operation.path else "c42-17"
    if isinstance(case.body, dict) and is_positive(case) and isinstance(case.body.get("to"), str) and len(case.body["to"]) % 2:
        case.body["to"] = TOKENS[len(case.body["to"]) % len(TOKENS)]
    if case.query and str(case.query.get("wait", "")).isascii() and str(case.query.get("wait", "")).isdecimal():
        case.query["wait"] = str(min(int(case.query["wait"]), 1))


def described(ctx, case, response):
    """The schema of this answer, with all that it refers to."""
    document = case.operation.schema.raw_schema
    answers = document["paths"][case.operation.path][case.operation.method.lower()]["responses"]
    content = answers.get(str(response.status_code), {}).get("content", {})
    media = response.headers.get("content-type", [""])[0].split(";")[0]
    return media, content.get(media, {}).get("schema"), document["components"]


def members(schema, components):
    """Names of members that a schema describes, each with its own schema; none where any may stand."""
    schema = resolved(schema, components)
    found = dict(schema.get("properties", {}))
    for key in ("allOf", "oneOf", "anyOf"):
        for part in schema.get(key, []):
            found.update(members(part, components) or {})
    return found or None


def resolved(schema, components):
    while "$ref" in schema:
        schema = components["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def undescribed(value, schema, components, path=""):
    """Members of a value that its schema does not name."""
    schema = resolved(schema, components)
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [name for item in value for name in undescribed(item, items, components, path + "[]")]
    if not isinstance(value, dict):
        return []
    known = members(schema, components)
    if known is None:
        return []
    found = [f"{path}.{name}" for name in value if name not in known]
    for name, inner in value.items():
        if name in known:
            found += undescribed(inner, known[name], components, f"{path}.{name}")
    return found


@schemathesis.check
def every_line_and_member_is_described(ctx, response, case):
    """A stream is judged line by line, and no answer holds a member of which the description says nothing."""
    media, schema, components = described(ctx, case, response)
    if schema is None or "json" not in media:
        return
    text = response.content.decode()
    values = [json.loads(line) for line in text.splitlines() if line] if media == NDJSON else [json.loads(text)]
    judge = jsonschema_rs.validator_for({**schema, "components": components})
    for value in values:
        error = next(judge.iter_errors(value), None)
        assert error is None, f"{case.operation.label}: a line is not as described: {error.message}"
        more = undescribed(value, schema, components)
        assert not more, f"{case.operation.label}: {response.status_code} has members that are not described: {', '.join(more)}"
