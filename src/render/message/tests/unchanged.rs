//! What is not ours is not changed (row B13).

use super::{finish, full, render, render_for, simple, text};
use crate::render::body::Transfer;
use mail_parser::MimeHeaders;
use proptest::prelude::*;

fn body(message: &[u8]) -> &[u8] {
    let at = memchr::memmem::find(message, b"\r\n\r\n").unwrap();
    &message[at + 4..]
}

#[test]
fn b13_a_body_without_placeholders_keeps_every_octet() {
    for body in [
        "--bb\r\nContent-Type: text/plain\r\n\r\n--bb\r\n\r\n--bb\r\nContent-Type: text/html\r\n\r\n<p>x\r\n--bb--\r\n",
        "--bb\r\n--bb\r\n\r\nx\r\n--bb--\r\n",
        "--bb\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n",
        "--bb\r\nContent-Type: text/plain\r\n--bb--\r\n",
        "--bb\r\nno header\r\nat all\r\n--bb--\r\n",
        "--bb\r\nContent-Type: text/plain; name*=utf-8'de'M%C3%BCller\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nשלום\r\n--bb--\r\n",
        "--bb\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: {{inner}}\r\n\r\ntext {{x}}\r\n--d--\r\n--bb--\r\n",
        "--bb\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: base64\r\n\r\nno base64 at all: שלום\r\n--bb--\r\n",
        "pre\r\n--bb\r\n\r\nno end\r\n",
        "nothing",
    ] {
        let raw = simple("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"bb\"\r\n", body);
        let message = render_for(&raw, Transfer::EightBit).message.to_octets().to_vec();
        let wanted = if body.ends_with("\r\n") { body.to_owned() } else { format!("{body}\r\n") };
        assert_eq!(text(super::unchanged::body(&message)), wanted);
    }
}

#[test]
fn b13_an_attachment_on_one_long_line_is_encoded_once() {
    let pdf = b"abc".repeat(900);
    let encoded = data_encoding::BASE64.encode(&pdf);
    let part = format!(
        "--bb\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n \u{a0} \r\n--bb--\r\n"
    );
    let raw = simple("Content-Type: multipart/mixed; boundary=bb\r\n", &part);
    let message = render(&raw);
    let parsed = full(&message);
    assert_eq!(parsed.attachment(0).unwrap().contents(), pdf);
    assert_eq!(parsed.attachment(0).unwrap().attachment_name(), Some("a.pdf"));
}

#[test]
fn b13_filling_one_part_changes_no_other() {
    let others = "--bb\r\nContent-Type: text/plain; name*=utf-8'de'M%C3%BCller\r\n\r\n\r\n--bb\r\n--bb\r\nContent-Type: image/png\r\n\
                  Content-Transfer-Encoding: BASE64 (x)\r\n\r\niVBO Rw0K\r\n\r\n--bb--\r\nepilogue";
    let filled = "--bb\r\nContent-Type: text/plain; name*=utf-8'de'M%C3%BCller; format=flowed\r\n\r\n{{person.first_name}}\r\n";
    let raw = simple("Content-Type: multipart/mixed; boundary=bb\r\n", &format!("{filled}{others}"));
    let message = text(&render(&raw));
    assert!(message.contains(others), "{message}");
    assert!(
        message.contains("charset=utf-8;\r\n name*=utf-8'de'M%C3%BCller;\r\n format=flowed\r\n"),
        "{message}"
    );
}

#[test]
fn b13_what_is_signed_leaves_as_it_came() {
    let long = "x".repeat(1200);
    let signed = format!(
        "--s\r\nContent-Type: multipart/mixed; boundary=i\r\nX-Odd: \u{e9}\r\n\r\npre\u{e9}\r\n--i\r\nContent-Type: text/plain\r\n\
         --i\r\n\r\n{long}\r\n--i--\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--s--\r\n"
    );
    let raw = simple("Content-Type: multipart/signed; boundary=s\r\n", &signed);
    let message = finish(&raw, Transfer::EightBit, &super::dana()).unwrap().message.to_octets().to_vec();
    assert_eq!(text(body(&message)), signed);
}

/// Parts as careless software writes them.
fn part() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Content-Type: text/plain\r\n",
        "Content-Type: text/html charset=utf-8\r\n",
        "Content-Type: image/png; name*=utf-8'de'M%C3%BCller.png\r\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Type: multipart/digest; boundary=b\r\n",
        "Content-Type: multipart/signed; boundary=c\r\n",
        "Content-Type: multipart/mixed; boundary=c\r\n",
        "Content-Type: multipart/mixed\r\n",
        "Content-Type: nonsense\r\n",
        "Content-Disposition: attachment; filename=\"a b.txt\"\r\n",
        "Content-Transfer-Encoding: x-uuencode\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        "Content-Transfer-Encoding: base64 (x)\r\n",
        "Content-Transfer-Encoding: quoted-printable\r\n",
        "Content-Transfer-Encoding: 8bit\r\n",
        "X-Folded: a\r\n b\r\n",
        "no field\r\n",
    ]);
    let line = prop::sample::select(vec![
        "",
        "text",
        "שלום",
        "=C3=A9 =",
        "SGVsbG8=",
        "SGVsbG8",
        "--c",
        "--c--",
        "--b",
        "--bb",
        "\r\n",
        " ",
        "{ x }",
        "&amp;",
        "-- ",
        "begin 644 x",
    ]);
    let fields = prop::collection::vec(field, 0..4).prop_map(|fields| fields.concat());
    let lines = prop::collection::vec(line, 0..5).prop_map(|lines| lines.join("\r\n"));
    (fields, prop::sample::select(vec!["\r\n", ""]), lines)
        .prop_map(|(fields, blank, lines)| format!("{fields}{blank}{lines}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn b13_leaves_bodies_types_and_names_are_as_they_came(
        parts in prop::collection::vec(part(), 0..4),
        preamble in prop::sample::select(vec!["", "pre\r\n", "\r\n"]),
        kind in prop::sample::select(vec!["mixed", "digest", "signed", "alternative"]),
    ) {
        let inner: String = parts.iter().map(|part| format!("--b\r\n{part}\r\n")).collect();
        let raw = simple(
            &format!("MIME-Version: 1.0\r\nContent-Type: multipart/{kind}; boundary=b\r\n"),
            &format!("{preamble}{inner}--b--\r\n"),
        );
        let eight = render_for(&raw, Transfer::EightBit).message.to_octets().to_vec();
        prop_assert_eq!(text(body(&eight)), text(body(&raw)));
        let seven = render_for(&raw, Transfer::SevenBit);
        let needs = super::plan(&raw).unwrap().needs_eight_bit().map(str::to_owned);
        prop_assert_eq!(seven.eight_bit, needs.is_some());
        if body(&raw).is_ascii() {
            prop_assert_eq!(text(body(&seven.message.to_octets())), text(body(&raw)));
        }
    }
}
