//! Addresses as calendars, cards, JSON and texts spell them, and alarms (row P3).

use super::{plan, refusal, simple};

const CALENDAR: &str = "Content-Type: text/calendar; charset=utf-8\r\n";
const JSON: &str = "Content-Type: application/json; charset=utf-8\r\n";
const TEXT: &str = "Content-Type: text/plain; charset=utf-8\r\n";

fn refused(header: &str, body: &str) {
    for value in ["{{person.first_name}}", "{{#if (eq person.first_name \"Ann\")}}vip{{/if}}"] {
        let fault = refusal(&simple(header, &body.replace("@@", value)));
        assert!(
            fault.detail.contains(":1:") || fault.detail.contains(":2:") || fault.detail.contains(":4:"),
            "{body}: {fault}"
        );
    }
    let data = body.replace("@@", "{{data.order}}");
    plan(&simple(header, &data)).unwrap_or_else(|fault| panic!("{body}: {fault}"));
}

fn taken(header: &str, body: &str) {
    plan(&simple(header, &body.replace("@@", "{{person.first_name}}")))
        .unwrap_or_else(|fault| panic!("{body}: {fault}"));
}

#[test]
fn p3_an_alarm_takes_nothing_of_a_person() {
    for alarm in [
        "BEGIN:VALARM\r\nACTION:EMAIL\r\nATTENDEE:mailto:spy@t.example\r\nSUMMARY:@@\r\nEND:VALARM\r\n",
        "begin:valarm\r\nACTION:DISPLAY\r\nX:1\r\nDESCRIPTION:Hi @@\r\nEND:VALARM\r\n",
        "BEGIN:{{data.kind}}\r\nACTION:DISPLAY\r\nX:1\r\nDESCRIPTION:@@\r\nEND:VALARM\r\n",
        "BEGIN:VALARM\r\n{{#if data.a}}\r\nEND:VALARM\r\n{{/if}}DESCRIPTION:@@\r\nEND:VALARM\r\n",
        "BEG\r\n IN:VAL\r\n ARM\r\nDESCRIPTION:@@\r\nEND:VALARM\r\n",
    ] {
        refused(CALENDAR, alarm);
    }
    let whole = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:@@\r\n{{#each data.alarms}}BEGIN:VALARM\r\nACTION:DISPLAY\r\n\
                 DESCRIPTION:{{this}}\r\nEND:VALARM\r\n{{/each}}DESCRIPTION:Dear @@\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    taken(CALENDAR, whole);
}

#[test]
fn p3_parameters_and_tags_of_a_calendar_take_no_person() {
    for line in [
        "DTSTART;TZID={{person.first_name}}:20260101T000000",
        "ORGANIZER;CN={{person.first_name}}:mailto:a@shop.example",
        "SUMMARY;LANGUAGE={{person.first_name}}:x",
        "DESCRIPTION:<a href=\"https://t.example/? {{person.first_name}}\">x</a>",
        "DESCRIPTION:<img src=\"//t.example/?a {{person.first_name}}\">",
        "DESCRIPTION:<form action=https:t.example><textarea name=a>{{person.first_name}}</textarea>",
        "DESCRIPTION:{{#if data.a}}<a href=\"https://t.example/? {{/if}}{{person.first_name}}\">x</a>",
        "DESCRIPTION:<{{data.a}} href=\"https://t.example/? {{person.first_name}}\">x",
        "X-ALT-DESC;FMTTYPE=text/html:<a href=\"https://t.example/? {{person.first_name}}\">x</a>",
    ] {
        let fault = refusal(&simple(CALENDAR, &format!("{line}\r\n")));
        assert!(fault.detail.contains(":1:"), "{line}: {fault}");
        let data = line.replace("person.first_name", "data.order");
        plan(&simple(CALENDAR, &format!("{data}\r\n"))).unwrap_or_else(|fault| panic!("{data}: {fault}"));
    }
    for line in [
        "ATTENDEE;CN=@@;RSVP=TRUE:mailto:{{person.email}}",
        "DESCRIPTION:Dear @@\\, <b>join</b> <a href=\"https://shop.example/\">here</a>\\, @@",
        "DESCRIPTION:5 < 6 @@ <https://shop.example/> @@",
        "LOCATION:Room <@@>",
        "ADR;LABEL=@@:;;x;;;;",
    ] {
        taken(CALENDAR, &format!("{line}\r\n"));
    }
}

#[test]
fn p3_escaped_addresses_are_read_as_they_are_meant() {
    for body in [
        "{\"x\": \"https:\\u002f\\u002Ft.example\\u002f@@\"}",
        "{\"x\": \"https:\\/\\/tracker\\/@@\"}",
        "{\"x\": \"https\\u003a//tracker/@@\"}",
        "{\"x\": \"https:\\\\\\\\tracker\\\\x@@\"}",
    ] {
        refused(JSON, body);
    }
    for line in [
        "NOTE:https:\\/\\/tracker\\/@@",
        "NOTE:https\\:\\/\\/t.example\\/@@",
        "NOTE:https:\\\\\\\\t.example\\\\x@@",
        "NOTE:\\\\\\\\tracker\\\\x\\\\x@@",
    ] {
        refused(CALENDAR, &format!("{line}\r\n").replace("NOTE", "DESCRIPTION"));
    }
    taken(JSON, "{\"x\": \"https:\\u002f\\u002ft.example\\u002f\", \"y\": \"\\u0048i \\\"@@\\\"\\n@@\"}");
    taken(CALENDAR, "DESCRIPTION:see https:\\/\\/shop.example\\/\\, @@\\nhttps://shop.example\\n@@\r\n");
}

#[test]
fn p3_addresses_with_backslashes_or_without_a_scheme_take_no_person() {
    for text in [
        "https:\\\\tracker\\x@@",
        "see \\\\tracker\\x\\x@@",
        "(//tracker/@@)",
        "\"\\\\tracker\\x@@\"",
        "//tracker/x?@@",
    ] {
        refused(TEXT, text);
    }
    for text in ["@@ // Shop", "a//b @@", "@@\\\\x", "C:\\x\\x@@", "\\\\@@", "// @@"] {
        taken(TEXT, text);
    }
}
