//! Engines' messages, made into plans and rendered, read back by an independent reader.

mod calendars;
mod cases;
mod everywhere;
mod long_lines;
mod opened;
mod repeat;
mod spelled;
mod unchanged;

use crate::fault::{Fault, Reason};
use crate::job::{Data, SendNumber, Token};
use crate::person::{Person, PersonBuilder};
use crate::render::body::Transfer;
use crate::render::memo::Memo;
use crate::render::plan::{Finished, Moment, Plan, RenderRequest};
use data_encoding::BASE64;
use mail_parser::MessageParser;
use proptest::prelude::*;

const OWN: &str = "e_0123456789";

fn dana() -> Person {
    PersonBuilder::default()
        .field("email", "dana@example.test")
        .field("first_name", "דנה")
        .field("last_name", "Levi")
        .build()
}

fn plan(raw: &[u8]) -> Result<Plan, Fault> {
    let domains = [String::from("tokens.example")];
    Plan::from_message(raw, &|address| Token::from_address(address, &domains).ok(), &Memo::new(0))
}

fn render_for(raw: &[u8], transfer: Transfer) -> Finished {
    finish(raw, transfer, &dana()).unwrap()
}

fn finish(raw: &[u8], transfer: Transfer, person: &Person) -> Result<Finished, Fault> {
    let mut data = Data::new();
    data.insert("order".into(), "A-17".into());
    plan(raw)?.render(&RenderRequest {
        person,
        token: &Token::from_local(OWN).unwrap(),
        data: &data,
        send: &SendNumber::from_bits([7; 16]),
        campaign: None,
        sender: Some("bounce@shop.example"),
        transfer,
        may_reveal: &|_| true,
        size_max: 1 << 20,
        now: &Moment::at(std::time::SystemTime::UNIX_EPOCH),
    })
}

fn render(raw: &[u8]) -> Vec<u8> {
    let message = render_for(raw, Transfer::SevenBit).message.to_octets().to_vec();
    for line in message.split(|byte| *byte == b'\n') {
        assert!(line.len() <= 999);
    }
    message
}

fn text(message: &[u8]) -> String {
    String::from_utf8(message.to_vec()).unwrap()
}

fn full(message: &[u8]) -> mail_parser::Message<'_> {
    MessageParser::new().with_minimal_headers().with_message_ids().parse(message).unwrap()
}

fn simple(header: &str, body: &str) -> Vec<u8> {
    format!("From: Shop <news@shop.example>\r\nTo: {OWN}@tokens.example\r\n{header}\r\n{body}").into_bytes()
}

fn refusal(raw: &[u8]) -> Fault {
    plan(raw).unwrap_err()
}
#[test]
fn the_token_becomes_the_person_and_the_rest_stays() {
    let raw = simple(
        "Subject: Hello  {{person.first_name}}\r\nX-Odd:   kept \t as it is\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
         Message-ID: <engine-17@engine.example>\r\nReceived: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n\
         Bcc: someone@example.test\r\nReturn-Path: <x@y.example>\r\nDKIM-Signature: v=1; b={{x}}\r\nARC-Seal: i=1\r\n\
         X-TokenRelay-Campaign: c42\r\n",
        "Dear {{person.first_name}} {{person.last_name}},\r\n\r\nOrder {{data.order}}.\r\n",
    );
    let message = render(&raw);
    let parsed = full(&message);
    let names: Vec<_> = parsed.headers().iter().map(|header| header.name()).collect();
    let wanted = [
        "From",
        "To",
        "Subject",
        "X-Odd",
        "Date",
        "Message-ID",
        "Received",
        "X-Send-Number",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    assert_eq!(names, wanted);
    assert!(text(&message).contains("\r\nX-Odd:   kept \t as it is\r\n"));
    assert!(text(&message).starts_with("From: Shop <news@shop.example>\r\nTo: =?UTF-8?"));
    assert!(!text(&message).contains(OWN));
    assert_eq!(parsed.message_id(), Some("engine-17@engine.example"));
    assert_eq!(parsed.subject(), Some("Hello  דנה"));
    let to = parsed.to().unwrap().first().unwrap();
    assert_eq!((to.name(), to.address()), (Some("דנה Levi"), Some("dana@example.test")));
    assert_eq!(parsed.body_text(0).unwrap(), "Dear דנה Levi,\r\n\r\nOrder A-17.\r\n");
}

#[test]
fn a_message_without_to_date_and_id_gets_them() {
    let message = render(b"From: news@shop.example\r\nSubject: x\r\n\r\nplain\r\n");
    let parsed = full(&message);
    assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some("dana@example.test"));
    assert_eq!(parsed.message_id().unwrap(), format!("{}@shop.example", SendNumber::from_bits([7; 16])));
    assert!(parsed.date().is_some());
    assert!(text(&message).ends_with("\r\n\r\nplain\r\n"));
}

#[test]
fn tokens_of_others_are_never_resolved() {
    let raw = format!(
        "From: n@shop.example\r\nTo: Boss <e_9999999999@tokens.example>,\r\n \"{{{{person.first_name}}}}\" <{OWN}@tokens.example>\r\n\
         Cc: e_8888888888@tokens.example, Office <office@shop.example>\r\nReply-To: e_8888888888@tokens.example\r\n\r\nx\r\n"
    );
    let message = render(raw.as_bytes());
    let parsed = full(&message);
    let to = parsed.to().unwrap().as_list().unwrap();
    assert_eq!(to.len(), 1);
    assert_eq!((to[0].name(), to[0].address()), (Some("דנה"), Some("dana@example.test")));
    assert_eq!(parsed.cc().unwrap().as_list().unwrap().len(), 1);
    assert_eq!(parsed.cc().unwrap().first().unwrap().address(), Some("office@shop.example"));
    assert!(parsed.reply_to().is_none());
    assert!(!text(&message).contains("tokens.example"));

    let only_others = render(b"From: n@shop.example\r\nTo: e_9999999999@tokens.example\r\n\r\nx\r\n");
    assert_eq!(full(&only_others).to().unwrap().first().unwrap().address(), Some("dana@example.test"));
}

#[test]
fn names_beside_the_token_are_honoured_unless_they_repeat_it() {
    let to = |written: &str| {
        let raw = format!("From: n@shop.example\r\nTo: {written}\r\n\r\nx\r\n");
        let message = render(raw.as_bytes());
        let parsed = full(&message);
        let to = parsed.to().unwrap().first().unwrap().clone();
        (to.name.unwrap_or_default().into_owned(), to.address.unwrap().into_owned())
    };
    let address = String::from("dana@example.test");
    let token = format!("<{OWN}@tokens.example>");
    assert_eq!(to(&format!("Valued customer {token}")), ("Valued customer".into(), address.clone()));
    assert_eq!(to(&format!("{OWN}@tokens.example {token}")), ("דנה Levi".into(), address.clone()));
    assert_eq!(
        to(&format!("\"{{{{person.last_name}}}}, D.\" {token}")),
        ("Levi, D.".into(), address.clone())
    );
    assert_eq!(to(&format!("{{{{person.last_name}}}} {token}")), ("Levi".into(), address.clone()));
    assert_eq!(to("{{person.last_name}} <{{ person.email }}>"), ("Levi".into(), address.clone()));
    let encoded = format!("=?UTF-8?B?{}?= {token}", BASE64.encode("לקוח {{person.last_name}}".as_bytes()));
    assert_eq!(to(&encoded), ("לקוח Levi".into(), address));
}

#[test]
fn placeholders_are_found_in_every_encoding() {
    let hebrew = |bytes: &[u8], charset: &str| {
        format!(
            "Content-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            BASE64.encode(bytes)
        )
    };
    let html = "<html><head><meta charset=\"windows-1255\"></head><p>שלום {{person.first_name}}</p></html>";
    let (windows, _, _) = encoding_rs::WINDOWS_1255.encode(html);
    let (japanese, _, _) = encoding_rs::ISO_2022_JP.encode("こんにちは {{person.last_name}} さん\r\n");
    let raw = [
        format!(
            "From: n@shop.example\r\nTo: {OWN}@tokens.example\r\nMIME-Version: 1.0\r\n\
             Subject: =?UTF-8?Q?Hi_=7B=7Bperson=2Efirst=5Fname?=\r\n =?UTF-8?Q?=7D=7D!?=\r\n\
             Content-Type: multipart/mixed; boundary=\"out er\"\r\n\r\npreamble {{{{x}}}}\r\n--out er\r\n\
             Content-Type: multipart/alternative; boundary=inner\r\n\r\n--inner\r\n\
             Content-Type: text/plain; charset=us-ascii; format=flowed\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\nDear =7B=7Bperson=\r\n.last_name}}}} =3D\r\n\r\n--inner\r\n"
        )
        .into_bytes(),
        hebrew(&windows, "windows-1255").into_bytes(),
        b"\r\n--inner\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n".to_vec(),
        japanese.into_owned(),
        b"\r\n--inner--\r\n\r\n--out er--\r\nepilogue\r\n".to_vec(),
    ]
    .concat();
    let message = render(&raw);
    let parsed = full(&message);
    assert_eq!(parsed.subject(), Some("Hi דנה!"));
    let texts: Vec<_> = parsed.parts.iter().filter_map(|part| part.text_contents()).collect();
    assert_eq!(texts[0], "Dear Levi =\r\n");
    assert_eq!(texts[1], "<html><head><meta charset=\"utf-8\"></head><p>שלום דנה</p></html>");
    assert_eq!(texts[2], "こんにちは Levi さん\r\n");
    assert!(text(&message).contains("charset=utf-8;\r\n format=flowed\r\n"));
    let ends = ["preamble {{x}}\r\n--out er\r\n", "--out er--\r\nepilogue\r\n"];
    assert!(text(&message).contains(ends[0]) && text(&message).ends_with(ends[1]));
}

#[test]
fn what_holds_no_placeholder_keeps_its_octets() {
    let attachment = "--b\r\nContent-Type: text/plain; name=\"terms {.txt\"\r\n\
         Content-Disposition: attachment\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         literal {{person.first_name}} =\r\n  kept=20\r\n";
    let picture =
        "--b\r\nContent-Type: image/png\r\ncontent-transfer-ENCODING: Base64\r\n\r\niVBORw0KGgo=\r\n";
    let forwarded = "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: {{inner}}\r\n\r\ntext\r\n";
    let body =
        format!("--b\r\n\r\nHi {{{{person.first_name}}}}\r\n{attachment}{picture}{forwarded}--b--\r\n");
    let raw = simple("Content-Type: multipart/mixed; boundary=b\r\n", &body);
    let message = text(&render(&raw));
    for part in [attachment, picture, forwarded] {
        assert!(message.contains(part), "{part}\n{message}");
    }
}

#[test]
fn eight_bit_parts_follow_the_target() {
    let body = "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nשלום\r\n--b--\r\n";
    let raw = simple("Content-Type: multipart/mixed; boundary=b\r\n", body);
    let eight = render_for(&raw, Transfer::EightBit);
    assert!(eight.eight_bit && text(&eight.message.to_octets()).contains("8bit\r\n\r\nשלום\r\n--b--"));
    let seven = render_for(&raw, Transfer::SevenBit);
    assert!(!seven.eight_bit);
    assert_eq!(full(&seven.message.to_octets()).body_text(0).unwrap(), "שלום");
}

#[test]
fn headers_outside_ascii_and_long_lines_are_made_lawful() {
    let long = "word ".repeat(300);
    let raw = simple(&format!("Subject: שלום\r\nComments: {long}\r\nX-Mailer: ä\r\n"), "x\r\n");
    let finished = render_for(&raw, Transfer::EightBit);
    assert!(!finished.smtputf8 && !finished.eight_bit);
    let message = &finished.message.to_octets();
    assert_eq!(full(message).subject(), Some("שלום"));
    assert!(text(message).split("\r\n").all(|line| line.len() <= 76));
    let long_body = simple("", &format!("{}\r\n", "x".repeat(3000)));
    assert_eq!(full(&render(&long_body)).body_text(0).unwrap().trim_end(), "x".repeat(3000));
}

#[test]
fn placeholders_where_none_may_stand_are_refused_with_the_reason() {
    let signed = "--b\r\nContent-Type: text/plain\r\n\r\n{{person.first_name}}\r\n--b\r\n\
                  Content-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n";
    let cases = [
        ("Message-ID: <{{person.first_name}}@x>\r\n", "x", "Message-ID"),
        ("List-Unsubscribe: <mailto:{{person.first_name}}@x>\r\n", "x", "List-Unsubscribe"),
        ("X-Customer: {{person.last_name}}\r\n", "x", "X-Customer"),
        ("X-Customer: =?UTF-8?Q?=7B=7Bperson.last=5Fname=7D=7D?=\r\n", "x", "X-Customer"),
        ("Content-Type: text/plain; name=\"{{data.order}}\"\r\n", "x", "Content-Type"),
        ("Cc: {{data.order}}@shop.example\r\n", "x", "Cc"),
        ("Content-Type: multipart/signed; boundary=b\r\n", signed, "signed"),
        ("Subject: x\r\n", "{{#if person.first_name}}open", "part 1"),
        ("Subject: {{person.first_name\r\n", "x", "Subject"),
        ("Content-Type: text/plain; charset=martian\r\n", "{{data.order}}", "charset"),
        ("Content-Transfer-Encoding: quoted-printable\r\n", "=QQ {{data.order}}", "encoding"),
    ];
    for (header, body, wanted) in cases {
        let fault = refusal(&simple(header, body));
        assert_eq!(fault.reason, Reason::BadTemplate, "{header}");
        assert!(fault.detail.contains(wanted), "{fault}");
    }
}

#[test]
fn messages_that_cannot_be_read_are_refused() {
    let bad: [&[u8]; 5] = [
        b"From: a@b.example\r\nSubject: x\r\nSubject: y\r\n\r\nx\r\n",
        b"From: a@b.example\r\nno colon here\r\n\r\nx\r\n",
        b"From: a@b.example\r\n\r\nbare\nlf",
        b"From: a@b.example\r\n\r\nbare\rcr",
        b"From: a@b.example\r\n\r\nnul\0",
    ];
    for raw in bad {
        assert_eq!(refusal(raw).reason, Reason::BadJob, "{}", String::from_utf8_lossy(raw));
    }
}

#[test]
fn sizes_are_bounded() {
    let many = "X-A: b\r\n".repeat(super::HEADERS_MAX);
    assert_eq!(refusal(&simple(&many, "x")).reason, Reason::TooLarge);
    let parts = "--b\r\n\r\nx\r\n".repeat(super::PARTS_MAX);
    let wide = simple("Content-Type: multipart/mixed; boundary=b\r\n", &parts);
    assert_eq!(refusal(&wide).reason, Reason::TooLarge);
    let level = |n: usize| format!("Content-Type: multipart/mixed; boundary=b{n}x\r\n\r\n--b{n}x\r\n");
    let deep: String = (0..10_000).map(level).collect();
    let deep = refusal(format!("From: a@b.example\r\n{deep}x").as_bytes());
    assert!(deep.reason == Reason::TooLarge && deep.detail.contains("deep"), "{deep}");
    let endless = format!("From: a@b.example\r\nX-A: {}\r\n\r\n", "b".repeat(super::HEADER_OCTETS_MAX));
    assert_eq!(refusal(endless.as_bytes()).reason, Reason::TooLarge);
    let slow = "=?utf-8?q?".repeat(super::DECODED_FIELD_OCTETS_MAX / 10 + 1);
    assert_eq!(refusal(&simple(&format!("Subject: {slow}\r\n"), "x")).reason, Reason::TooLarge);
}

#[test]
fn the_fields_a_message_reveals_are_known_for_the_grant_check() {
    let raw = simple("Subject: {{person.first_name}}\r\n", "{{person.city}} {{data.order}}");
    assert_eq!(plan(&raw).unwrap().person_fields().collect::<Vec<_>>(), ["first_name", "city"]);
}

/// Messages as a careless or hostile engine may send them.
fn scrambled() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::sample::select(vec![
        "=?UTF-8?B?e3tkYXRhLnh9fQ==?=",
        "=?utf-8?q?=7B=7Bdata.x}}?=",
        "=?iso-2022-jp?B?GyRC",
        "{{data.x}}",
        "{{{{",
        "}}",
        "{{#if data.x}}a{{/if}}",
        "e_0123456789@tokens.example",
        "<e_9999999999@tokens.example>",
        "\r\n ",
        "=7B=7Bdata.x}}",
        "e3tkYXRhLnh9fQ==",
        "=",
        "=3",
        "(",
        "\\",
        "\"",
        "<",
        ">",
        ",",
        ";",
        ":",
        "; x*0*=utf-8''%",
        "ä",
        "; filename=\"",
        "<meta charset=",
    ]);
    let name = prop::sample::select(vec![
        "To: ",
        "Cc: x:",
        "Reply-To: ",
        "Subject: ",
        "Sender: ",
        "X-A: ",
        "List-Help: ",
        "Content-Disposition: attachment",
        "Content-Disposition: inline",
        "Content-Transfer-Encoding: base64",
        "Content-Transfer-Encoding: quoted-printable",
        "Content-Type: text/html; charset=iso-2022-jp",
        "Content-Type: text/plain; charset=utf-16",
        "Content-Type: multipart/mixed; boundary=b",
        "Content-Type: multipart/signed; boundary=\"c\"",
        "Content-Type: message/rfc822",
    ]);
    let odds = prop::collection::vec(prop_oneof![8 => odd.prop_map(str::to_owned), 1 => "\\PC{0,3}"], 0..4);
    let field = (name, odds.clone()).prop_map(|(name, odds)| format!("{name}{}\r\n", odds.concat()));
    let header = prop::collection::vec(field, 0..4).prop_map(|fields| fields.concat());
    let line = prop::sample::select(vec!["\r\n--b\r\n", "\r\n--c\r\n", "\r\n--b--\r\n", "\r\n"]);
    let section = (line, header.clone(), odds)
        .prop_map(|(line, header, odds)| format!("{line}{header}\r\n{}", odds.concat()));
    (header, prop::collection::vec(section, 0..6))
        .prop_map(|(header, sections)| format!("{header}\r\n{}", sections.concat()).into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_octets_are_refused_or_taken(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = plan(&raw);
        let _ = plan(&[b"From: a@b.example\r\nTo: ".as_slice(), &raw, b"\r\n\r\nx\r\n"].concat());
    }

    #[test]
    fn no_message_makes_it_stumble(tail in scrambled()) {
        let raw = [b"From: n@shop.example\r\n".as_slice(), &tail].concat();
        let Ok(plan) = plan(&raw) else { return Ok(()) };
        let finished = plan.render(&RenderRequest {
            person: &dana(),
            token: &Token::from_local(OWN).unwrap(),
            data: &Data::new(),
            send: &SendNumber::from_bits([1; 16]),
            campaign: None,
            sender: None,
            transfer: Transfer::SevenBit,
            may_reveal: &|_| true,
            size_max: 1 << 20,
            now: &Moment::at(std::time::SystemTime::UNIX_EPOCH),
        });
        if let Ok(finished) = finished {
            let message = &finished.message.to_octets();
            prop_assert!(message.ends_with(b"\r\n") && crate::message::has_lawful_line_ends(message));
            prop_assert!(message.split(|byte| *byte == b'\n').all(|line| line.len() <= 999));
        }
    }
}
