//! Rendered plans, read back by an independent reader.

use super::*;
use crate::person::PersonBuilder;
use crate::render::program::Syntax;
use mail_parser::{MessageParser, MimeHeaders};
use proptest::prelude::*;
use std::time::SystemTime;

fn person(name: &str) -> Person {
    PersonBuilder::default()
        .field("email", "dana@example.test")
        .field("first_name", name)
        .field("note", name)
        .build()
}

fn program(source: &str, syntax: Syntax) -> Program {
    Program::compile(source, syntax, "test").unwrap()
}

const TEXT: &str = "Hello {{person.first_name}},\n\n-- \n.dot {{data.order}}\nFrom here {{person.note}}\n";
const HTML: &str = "<p>שלום {{person.first_name}}</p>\r\n<a href=x>{{data.order}}</a>";

fn builder() -> PlanBuilder {
    let mut builder = PlanBuilder::new("test", FieldRules::default());
    builder.from("The Shop, Inc. <news@shop.example>").unwrap_err();
    builder.from("\"The Shop, Inc.\" <news@shop.example>").unwrap();
    builder.subject(program("Order {{data.order}} for {{person.first_name}}", Syntax::Header));
    builder
}

#[test]
fn p10_a_template_that_asks_for_later_mail_is_refused_when_it_is_loaded() {
    for name in
        ["Disposition-Notification-To", "errors-to", "Return-Receipt-To", "X-Confirm-Reading-To", "Resent-To"]
    {
        let lints = builder().header(name, program("a@shop.example", Syntax::Header)).unwrap_err();
        assert!(
            lints[0].to_string().contains(name) && lints[0].to_string().contains("return_path"),
            "{lints:?}"
        );
    }
}

#[test]
fn c4_a_template_whose_own_text_is_too_long_for_a_line_is_refused_when_it_is_loaded() {
    let long = format!("<https://x.example/{}{{{{data.order}}}}>", "u".repeat(1000));
    let lints = builder().header("List-Unsubscribe", program(&long, Syntax::Header)).unwrap_err();
    assert!(
        lints[0].to_string().contains("List-Unsubscribe") && lints[0].to_string().contains("998"),
        "{lints:?}"
    );
    builder().header("X-Note", program(&long, Syntax::Header)).unwrap();
}

fn plan() -> Plan {
    let mut builder = builder();
    builder.text(program(TEXT, Syntax::Text)).html(program(HTML, Syntax::Html));
    builder
        .header("List-Unsubscribe", program("<https://x.example/u/{{send.number}}>", Syntax::Header))
        .unwrap();
    builder.build().unwrap()
}

fn render_with(plan: &Plan, person: &Person, transfer: Transfer, order: &str) -> Finished {
    with_request(person, transfer, order, |request| plan.render(request)).unwrap()
}

fn with_request<T>(
    person: &Person,
    transfer: Transfer,
    order: &str,
    ask: impl FnOnce(&RenderRequest<'_>) -> T,
) -> T {
    let mut data = Data::new();
    data.insert("order".into(), order.into());
    ask(&RenderRequest {
        person,
        token: &Token::from_local("e_0123456789").unwrap(),
        data: &data,
        send: &SendNumber::from_bits([7; 16]),
        campaign: None,
        sender: None,
        transfer,
        may_reveal: &|field| field == "first_name",
        size_max: 1 << 20,
        now: &Moment::at(SystemTime::UNIX_EPOCH),
    })
}

/// What the judge let pass and the filling does not, whatever it was.
#[test]
fn p1_a_fault_of_the_filling_is_told_as_one_of_values() {
    let plan = plan();
    let told = with_request(&person("Zoë"), Transfer::EightBit, "A-17", |request| {
        let filled = Err(Fault::new(Reason::MissingField, "note is 17 letters long"));
        plan.looked_at_again(request, plan.ends(request).unwrap(), filled).unwrap_err()
    });
    assert_eq!(told, Fault::of_values());
}

fn text_of(message: &[u8]) -> String {
    String::from_utf8(message.to_vec()).unwrap()
}

fn check_framing(message: &[u8]) {
    let text = text_of(message);
    assert!(text.ends_with("\r\n"));
    for line in text.split("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n', '\0']), "{line:?}");
    }
}

fn header_names(message: &[u8]) -> Vec<String> {
    let parsed = MessageParser::new().parse_headers(message).unwrap();
    parsed.headers().iter().map(|header| header.name().to_owned()).collect()
}

fn full(message: &[u8]) -> mail_parser::Message<'_> {
    MessageParser::new().with_minimal_headers().with_message_ids().parse(message).unwrap()
}

#[test]
fn a_message_has_the_expected_shape() {
    let finished = render_with(&plan(), &person("Zoë"), Transfer::SevenBit, "A-17");
    let message = &finished.message.to_octets();
    check_framing(message);
    assert!(!finished.eight_bit && !finished.smtputf8);
    assert_eq!(finished.sender, "news@shop.example");
    assert_eq!(finished.recipient.reveal(), "dana@example.test");
    let names = header_names(message);
    let wanted =
        ["From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "MIME-Version", "Content-Type"];
    assert_eq!(names, wanted);
    let parsed = full(message);
    assert_eq!(parsed.subject(), Some("Order A-17 for Zoë"));
    assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("The Shop, Inc."));
    assert_eq!(parsed.to().unwrap().first().unwrap().name(), Some("Zoë"));
    let send = SendNumber::from_bits([7; 16]);
    assert_eq!(parsed.message_id().unwrap(), format!("{send}@shop.example"));
    assert_eq!(parsed.date().unwrap().to_rfc3339(), "1970-01-01T00:00:00Z");
    assert_eq!(parsed.body_text(0).unwrap(), "Hello Zoë,\r\n\r\n-- \r\n.dot A-17\r\nFrom here Zoë\r\n");
    assert_eq!(parsed.body_html(0).unwrap(), "<p>שלום Zoë</p>\r\n<a href=x>A-17</a>");
}

#[test]
fn the_name_in_to_keeps_to_what_may_be_revealed() {
    let person = PersonBuilder::default()
        .field("email", "dana@example.test")
        .field("first_name", "Dana")
        .field("last_name", "Levi")
        .build();
    let finished = render_with(&builder_with_text("x"), &person, Transfer::EightBit, "1");
    assert!(text_of(&finished.message.to_octets()).contains("\r\nTo: Dana <dana@example.test>\r\n"));
}

fn builder_with_text(source: &str) -> Plan {
    let mut builder = PlanBuilder::new("test", FieldRules::default());
    builder.from("news@shop.example").unwrap();
    builder.text(program(source, Syntax::Text));
    builder.build().unwrap()
}

#[test]
fn eight_bit_gives_way_to_quoted_printable_for_a_long_line_or_a_boundary() {
    let plan = builder_with_text("{{person.note}}\n");
    let long = "א".repeat(500);
    let finished = render_with(&plan, &person(&long), Transfer::EightBit, "1");
    assert!(!finished.eight_bit);
    check_framing(&finished.message.to_octets());
    assert_eq!(full(&finished.message.to_octets()).body_text(0).unwrap().trim_end(), long);

    let short = render_with(&plan, &person("אבג"), Transfer::EightBit, "1");
    assert!(short.eight_bit && text_of(&short.message.to_octets()).contains("\r\n\r\nאבג\r\n"));
}

#[test]
fn a_value_cannot_end_a_part() {
    let plan = plan();
    let first = render_with(&plan, &person("Dana"), Transfer::EightBit, "1");
    let octets = first.message.to_octets();
    let text = text_of(&octets);
    let boundary = text.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    let guess = format!("x\r\n--{boundary}\r\nContent-Type: text/html\r\n\r\n<script>\r\n--{boundary}--\r\n");
    for transfer in [Transfer::EightBit, Transfer::SevenBit] {
        let finished = render_with(&plan, &person(&guess), transfer, "1");
        let octets = finished.message.to_octets();
        let parsed = full(&octets);
        assert_eq!(parsed.parts.len(), 3);
        assert!(parsed.body_text(0).unwrap().contains(boundary));
    }
}

#[test]
fn pictures_and_attachments_stand_in_their_containers() {
    let mut builder = builder();
    builder.text(program("t", Syntax::Text)).html(program("<img src=\"cid:logo\">", Syntax::Html));
    builder.inline("logo", "image/png", b"png octets").unwrap();
    builder.attachment("חוזה.pdf", "application/pdf", &[0, 1, 2, 255]).unwrap();
    assert!(builder.attachment("x", "application/pdf\r\nX: y", b"").is_err());
    assert!(builder.inline("a>\r\nb", "image/png", b"").is_err());
    let finished = render_with(&builder.build().unwrap(), &person("Dana"), Transfer::SevenBit, "1");
    let octets = finished.message.to_octets();
    let parsed = full(&octets);
    let types: Vec<_> = parsed
        .parts
        .iter()
        .map(|part| part.content_type().map(|t| format!("{}/{}", t.ctype(), t.subtype().unwrap())).unwrap())
        .collect();
    let wanted = [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ];
    assert_eq!(types, wanted);
    assert_eq!(parsed.parts[6].contents(), &[0, 1, 2, 255]);
    assert_eq!(parsed.parts[6].attachment_name(), Some("חוזה.pdf"));
    assert_eq!(parsed.parts[5].content_id(), Some("logo"));
}

#[test]
fn mostly_foreign_text_is_base64_where_seven_bits_are_asked_for() {
    let plan = builder_with_text("こんにちは、{{person.first_name}}さん。ご注文ありがとうございます。\n");
    let finished = render_with(&plan, &person("花子"), Transfer::SevenBit, "1");
    assert!(text_of(&finished.message.to_octets()).contains("Content-Transfer-Encoding: base64\r\n"));
    let text = full(&finished.message.to_octets()).body_text(0).unwrap().into_owned();
    assert_eq!(text, "こんにちは、花子さん。ご注文ありがとうございます。\r\n");
}

#[test]
fn limits_and_missing_addresses_are_said() {
    let plan = plan();
    let nobody = PersonBuilder::default().field("first_name", "x").build();
    let data = Data::new();
    let request = RenderRequest {
        person: &nobody,
        token: &Token::from_local("e_0123456789").unwrap(),
        data: &data,
        send: &SendNumber::fresh(),
        campaign: None,
        sender: Some(""),
        transfer: Transfer::SevenBit,
        may_reveal: &|_| false,
        size_max: 300,
        now: &Moment::at(SystemTime::UNIX_EPOCH),
    };
    assert_eq!(plan.render(&request).unwrap_err().reason, Reason::MissingField);
    let dana = person("Dana");
    let small = builder_with_text(&"x".repeat(400));
    let fault = small.render(&RenderRequest { person: &dana, ..request }).unwrap_err();
    assert_eq!(fault.reason, Reason::TooLarge);
    let forged = RenderRequest { sender: Some("a@b\r\nRCPT TO:<c@d>"), person: &dana, ..request };
    assert_eq!(small.render(&forged).unwrap_err().reason, Reason::BadJob);
    let null = RenderRequest { size_max: 10_000, person: &dana, ..request };
    assert_eq!(small.render(&null).unwrap().sender, "");
}

#[test]
fn an_address_outside_ascii_asks_for_smtputf8() {
    let person = PersonBuilder::default().field("email", "דנה@bücher.example").build();
    let finished = render_with(&builder_with_text("x"), &person, Transfer::EightBit, "1");
    assert!(finished.smtputf8 && finished.eight_bit);
    assert_eq!(finished.recipient.reveal(), "דנה@xn--bcher-kva.example");
}

#[test]
fn machines_get_no_personal_header() {
    let mut builder = builder();
    let personal = || program("{{person.first_name}}", Syntax::Header);
    for name in ["List-Unsubscribe", "X-Customer", "Message-ID", "Content-Type", "a b", ""] {
        assert!(builder.header(name, personal()).is_err(), "{name}");
    }
    assert_eq!(plan().person_fields().collect::<Vec<_>>(), ["first_name", "note"]);
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z\r\n:=?<>\"@, \\-.]{0,40}",
        Just("x\r\nBcc: y@z.example\r\n\r\nbody".into()),
        Just("=?UTF-8?B?DQpCY2M6IHg=?=".into()),
        Just("\u{85}\u{2028}\u{202e}\u{b}\u{c}\0".into()),
        Just("\r\n.\r\nMAIL FROM:<x@y>\r\n".into()),
        "[א-ת😀]{900,1000}",
        "x{998,2000}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_read_back_is_what_was_written(
        name in "[a-zא-ת日本éß😀.=\\-][a-zא-ת日本éß😀 .=\n\\-]{0,200}",
        eight in any::<bool>(),
    ) {
        let plan = builder_with_text("Hello {{person.note}}{{person.note}}\n{{person.note}} \n\n-- \nbye\n");
        let transfer = if eight { Transfer::EightBit } else { Transfer::SevenBit };
        let finished = render_with(&plan, &person(&name), transfer, "1");
        check_framing(&finished.message.to_octets());
        let wanted = format!("Hello {name}{name}\n{name} \n\n-- \nbye\n").replace('\n', "\r\n");
        let octets = finished.message.to_octets();
        let parsed = full(&octets);
        prop_assert_eq!(parsed.body_text(0).unwrap(), wanted);
    }

    #[test]
    fn values_change_nothing_but_themselves(name in hostile(), order in hostile(), eight in any::<bool>()) {
        // A field of nothing is a missing field.
        let name = format!("n{name}");
        let order = format!("o{order}");
        let transfer = if eight { Transfer::EightBit } else { Transfer::SevenBit };
        let plan = plan();
        let harmless = render_with(&plan, &person("n"), transfer, "o");
        let finished = render_with(&plan, &person(&name), transfer, &order);
        check_framing(&finished.message.to_octets());
        prop_assert_eq!(header_names(&finished.message.to_octets()), header_names(&harmless.message.to_octets()));
        let octets = finished.message.to_octets();
        let parsed = full(&octets);
        prop_assert_eq!(parsed.parts.len(), 3);
        prop_assert_eq!(parsed.to().unwrap().as_list().unwrap().len(), 1);
        prop_assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some("dana@example.test"));
    }
}
