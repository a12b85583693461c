//! Values in calendars, cards, CSV and JSON (row B15).

use super::{finish, plan, refusal, simple, text};
use crate::person::{Person, PersonBuilder};
use crate::render::body::Transfer;

fn doe() -> Person {
    PersonBuilder::default()
        .field("email", "o'doe+x@example.test")
        .field("first_name", "Jane \"J\" ^")
        .field("last_name", "Doe, Jr.; a\\b")
        .field("note", "two\r\nlines")
        .build()
}

fn filled(header: &str, body: &str) -> String {
    let finished = finish(&simple(header, body), Transfer::EightBit, &doe()).unwrap();
    text(&finished.message.to_octets())
}

const INVITATION: &str = "Content-Type: text/calendar; charset=\"UTF-8\"; method=REQUEST\r\n";

#[test]
fn b15_text_of_a_calendar_is_escaped() {
    let message =
        filled(INVITATION, "SUMMARY:Visit of {{person.last_name}}\r\nDESCRIPTION:{{person.note}}\\nend\r\n");
    assert!(
        message.contains("\r\nSUMMARY:Visit of Doe\\, Jr.\\; a\\\\b\r\nDESCRIPTION:two\\nlines\\nend\r\n"),
        "{message}"
    );
    assert!(message.contains("Content-Type: text/calendar; charset=utf-8;\r\n method=REQUEST\r\n"));
}

#[test]
fn b15_the_persons_own_invitation_names_the_person() {
    let body = "ATTENDEE;CN={{person.first_name}} {{person.last_name}};ROLE=REQ-PARTICIPANT;RSVP=TRUE:mailto:{{person.email}}\r\nEND:X\r\n";
    let message = filled(INVITATION, body).replace("\r\n ", "");
    let wanted = "\r\nATTENDEE;CN=\"Jane ^'J^' ^^ Doe, Jr.; a\\b\";ROLE=REQ-PARTICIPANT;RSVP=TRUE:mailto:o'doe+x@example.test\r\n";
    assert!(message.contains(wanted), "{message}");
    for (line, word) in [
        ("ORGANIZER:mailto:{{person.email}}", "URL"),
        ("ATTENDEE:mailto:x{{person.email}}", "URL"),
        ("ATTENDEE:mailto:{{person.first_name}}", "URL"),
        ("URL:https://shop.example/?u={{person.email}}", "URL"),
        ("DESCRIPTION:see https://shop.example/?u={{person.email}}", "URL"),
        ("X-{{data.order}}:x", "name of a property"),
        ("{{#if data.order}}SUMM{{/if}}ARY:x", "branch"),
    ] {
        let fault = refusal(&simple(INVITATION, &format!("{line}\r\n")));
        assert!(
            fault.detail.contains("part 1 (text/calendar):1:") && fault.detail.contains(word),
            "{line}: {fault}"
        );
    }
}

#[test]
fn b15_a_calendar_or_card_is_one_by_the_name_of_its_file_too() {
    for header in [
        "Content-Type: application/octet-stream; name=invite.ics\r\nContent-Disposition: attachment; filename=invite.ics\r\n",
        "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"My Card.VCF\"\r\n",
        "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*=utf-8''%C3%A4.ics\r\n",
        "Content-Type: application/x-download; name=invite.ics\r\n",
        "Content-Type: binary/octet-stream; name=\"invite.ics.\"\r\n",
        "Content-Type: application/octet-stream; name=me.vcard\r\n",
        "Content-Type: text/ical; name=invite.ics\r\n",
        "Content-Type: text/plain; name=\"=?utf-8?q?a=2Eics?=\"\r\nContent-Disposition: attachment\r\n",
    ] {
        let message = filled(header, "SUMMARY:Visit of {{person.last_name}}\r\n");
        assert!(message.contains("\r\nSUMMARY:Visit of Doe\\, Jr.\\; a\\\\b\r\n"), "{header}: {message}");
    }
    for header in [
        "Content-Type: application/octet-stream; name=ics\r\n",
        "Content-Type: application/pdf; name=invite.ics\r\n",
        "Content-Type: text/html; name=invite.ics\r\nContent-Disposition: attachment\r\n",
        "Content-Type: text/plain; name=a.txt\r\nContent-Disposition: attachment\r\n",
    ] {
        let message = filled(header, "SUMMARY:{{person.last_name}}\r\n");
        assert!(message.contains("SUMMARY:{{person.last_name}}"), "{header}: {message}");
    }
}

#[test]
fn b15_html_in_a_calendar_is_escaped_as_html_too() {
    let person = PersonBuilder::default()
        .field("email", "a@example.test")
        .field("first_name", "<b>A & B</b>, \"x\"")
        .build();
    let body = "X-ALT-DESC;FMTTYPE=text/html:<p>Hi {{person.first_name}}</p>\r\n";
    let finished = finish(&simple(INVITATION, body), Transfer::EightBit, &person).unwrap();
    let message = text(&finished.message.to_octets()).replace("\r\n ", "");
    let wanted = "text/html:<p>Hi &lt\\;b&gt\\;A &amp\\; B&lt\\;/b&gt\\;\\, &quot\\;x&quot\\;</p>\r\n";
    assert!(message.contains(wanted), "{message}");
    let link = "X-ALT-DESC;FMTTYPE=text/html:<a href=\"https://x.test/?e={{person.email}}\">x</a>\r\n";
    assert!(refusal(&simple(INVITATION, link)).detail.contains("URL"));
}

#[test]
fn b15_a_value_that_is_encoded_in_itself_is_refused_with_its_line() {
    for line in
        ["FN;ENCODING=QUOTED-PRINTABLE:=7B=7Bperson.first_name=7D=7D", "NOTE;ENCODING=b:SGkge3tkYXRhLnh9fQ=="]
    {
        let card = format!("BEGIN:VCARD\r\nVERSION:2.1\r\n{line}\r\nEND:VCARD\r\n");
        let fault = refusal(&simple("Content-Type: text/x-vcard\r\n", &card));
        assert!(
            fault.detail.contains(":3:1:") && fault.detail.contains("leave ENCODING out"),
            "{line}: {fault}"
        );
    }
}

#[test]
fn b15_long_lines_are_folded_and_cut_placeholders_found() {
    let body = "SUMMARY:{{person.last_\r\n name}} שלום שלום שלום שלום שלום שלום שלום שלום שלום\r\nURL:https://x.test/{{data.order}}\r\n";
    let message = filled(INVITATION, body);
    let lines: Vec<&str> = message.split("\r\n").skip_while(|line| !line.starts_with("SUMMARY")).collect();
    assert!(lines.iter().all(|line| line.len() <= 75), "{message}");
    let unfolded = message.replace("\r\n ", "");
    assert!(unfolded.contains("SUMMARY:Doe\\, Jr.\\; a\\\\b שלום שלום"), "{message}");
    assert!(unfolded.contains("\r\nURL:https://x.test/A-17\r\n"));
}

#[test]
fn b15_calendars_are_filled_wherever_they_stand() {
    let encoded = data_encoding::BASE64_MIME
        .encode(b"BEGIN:VCALENDAR\r\nSUMMARY:{{person.last_name}}\r\nEND:VCALENDAR\r\n");
    for kind in ["text/calendar; name=invite.ics", "application/ics; name=\"invite.ics\"", "text/x-vcard"] {
        let header = format!(
            "Content-Type: {kind}\r\nContent-Disposition: attachment; filename=invite.ics\r\nContent-Transfer-Encoding: base64\r\n"
        );
        let message = filled(&header, &encoded);
        assert!(message.contains("\r\nSUMMARY:Doe\\, Jr.\\; a\\\\b\r\n"), "{message}");
        assert!(message.contains("filename=invite.ics"));
    }
    let card = filled(
        "Content-Type: text/vcard\r\n",
        "N:{{person.last_name}};{{person.first_name}};;;\r\nEMAIL:{{person.email}}\r\n",
    );
    assert!(
        card.contains("\r\nN:Doe\\, Jr.\\; a\\\\b;Jane \"J\" ^;;;\r\nEMAIL:o'doe+x@example.test\r\n"),
        "{card}"
    );
}

#[test]
fn b15_csv_and_json_are_escaped_or_refused() {
    let csv = "Content-Type: text/csv\r\n";
    let message =
        filled(csv, "name,note,order\r\n{{person.last_name}},\"x {{person.first_name}}\",{{data.order}}\r\n");
    assert!(message.contains("\r\n\"Doe, Jr.; a\\b\",\"x Jane \"\"J\"\" ^\",A-17\r\n"), "{message}");
    for body in
        ["a,x {{person.last_name}}\r\n", "a,{{person.last_name}} x\r\n", "{{data.order}}{{data.order}}\r\n"]
    {
        let fault = refusal(&simple(csv, body));
        assert!(fault.detail.contains("text/csv):1:") && fault.detail.contains("double quotes"), "{fault}");
    }
    let json = "Content-Type: text/json\r\n";
    let message = filled(json, "{\"name\": \"{{person.last_name}}\", \"note\": \"{{person.note}}\"}\r\n");
    assert!(message.contains("{\"name\": \"Doe, Jr.; a\\\\b\", \"note\": \"two\\nlines\"}"), "{message}");
    assert!(refusal(&simple(json, "{\"n\": {{data.order}}}\r\n")).detail.contains("outside a string"));
    assert!(plan(&simple(json, "{\"n\": 1}\r\n")).is_ok());
}
