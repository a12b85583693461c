//! Messages as engines, editors and list software write them, and what becomes of them (rows B4, B5, B11, B12, B14).

use super::{OWN, full, plan, refusal, render, render_for, simple, text};
use crate::fault::Reason;
use crate::render::body::Transfer;
use data_encoding::BASE64;

fn html(body: &str) -> Vec<u8> {
    simple("MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n", body)
}

fn with_octets(header: &str, octets: &[u8]) -> Vec<u8> {
    [simple(header, "").as_slice(), octets].concat()
}

fn body_of(raw: &[u8]) -> String {
    let message = render(raw);
    full(&message).parts[0].text_contents().unwrap().trim_end().to_owned()
}

/// Cause and place of a refusal at accept.
fn refused(raw: &[u8], words: &[&str]) {
    let fault = refusal(raw);
    assert!(matches!(fault.reason, Reason::BadTemplate | Reason::BadJob), "{fault}");
    for word in words {
        assert!(fault.detail.contains(word), "{word}: {fault}");
    }
}

#[test]
fn b4_a_placeholder_in_an_encoded_word_without_its_end_is_refused() {
    for subject in ["=?utf-8?Q?Hi_=7B=7Bdata.order=7D=7D", "Hi =?utf-8?B?e3tkYXRhLm9yZGVyfX0= there"] {
        let fault = refusal(&simple(&format!("Subject: {subject}\r\n"), "x\r\n"));
        assert!(fault.detail.contains("Subject") && fault.detail.contains("without its end"), "{fault}");
    }
}

#[test]
fn b4_raw_letters_of_a_header_are_read_by_the_declared_charset() {
    for (charset, subject, wanted) in [
        ("iso-8859-1", &b"Caf\xe9 M\xfcnchen"[..], "Café München"),
        ("windows-1255", b"\xf9\xec\xe5\xed \xec\xea", "שלום לך"),
        ("windows-1251", b"\xcf\xf0\xe8\xe2\xe5\xf2", "Привет"),
        ("shift_jis", b"\x83\x6e\x83\x8d\x81\x5b", "ハロー"),
        ("gb2312", b"\xc4\xe3\xba\xc3", "你好"),
        ("iso-8859-1", "Café".as_bytes(), "Café"),
        ("us-ascii", "שלום".as_bytes(), "שלום"),
    ] {
        let raw = [
            b"Subject: ".as_slice(),
            subject,
            format!("\r\nContent-Type: text/plain; charset={charset}\r\n\r\n{{{{person.first_name}}}}\r\n")
                .as_bytes(),
        ]
        .concat();
        let raw = [format!("From: n@shop.example\r\nTo: {OWN}@tokens.example\r\n").as_bytes(), &raw].concat();
        let message = render(&raw);
        assert!(message.is_ascii(), "{charset}");
        assert_eq!(full(&message).subject(), Some(wanted), "{charset}");
        assert_eq!(full(&message).body_text(0).unwrap(), "דנה\r\n");
    }
}

#[test]
fn b4_raw_letters_are_read_in_names_and_parts_too_or_the_field_is_named() {
    let declared = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=latin1\r\n\r\n\
                    <p>x</p>\r\n--b\r\nContent-Type: application/pdf; name=\"Caf";
    let raw = [
        b"From: Caf\xe9 <n@shop.example>\r\nX-Odd: \xe9\r\nSubject: {{person.first_name}} \xe9\r\n"
            .as_slice(),
        declared.as_bytes(),
        b"\xe9.pdf\"\r\n\r\nx\r\n--b--\r\n",
    ]
    .concat();
    let message = render(&raw);
    let parsed = full(&message);
    assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("Café"));
    assert_eq!(parsed.subject(), Some("דנה é"));
    assert_eq!(mail_parser::MimeHeaders::attachment_name(parsed.attachment(0).unwrap()), Some("Café.pdf"));
    assert!(!text(&message).contains('\u{fffd}'));
    let header = "Content-Type: text/plain; charset=latin1; name=\"caf";
    let tail = b"\xe9\"\r\n\r\n{{data.order}} \xe9\r\n";
    let raw = [b"From: n@shop.example\r\n".as_slice(), header.as_bytes(), tail].concat();
    let message = render(&raw);
    assert!(text(&message).contains("name*=UTF-8''caf%C3%A9\r\n"), "{}", text(&message));
    for (raw, name) in [
        (&b"From: n@shop.example\r\nSubject: Caf\xe9\r\n\r\nx\r\n"[..], "Subject"),
        (b"From: Caf\xe9 <n@shop.example>\r\n\r\nx\r\n", "From"),
        (b"From: n@shop.example\r\nX-Odd: \xe9\r\nContent-Type: text/plain; charset=utf-7\r\n\r\nx\r\n", "X-Odd"),
        (b"From: n@shop.example\r\nContent-Type: application/pdf; name=\xe9\r\n\r\nx\r\n", "Content-Type"),
        (b"From: n@shop.example\r\nSubject: \xff\r\nContent-Type: text/plain; charset=windows-1255\r\n\r\nx\r\n", "Subject"),
        (b"From: n@shop.example\r\nSubject: {{data.x}} =?cp037?q?=C0?=\r\n\r\nx\r\n", "Subject"),
    ] {
        refused(raw, &[name]);
    }
}

#[test]
fn b4_a_content_type_is_read_as_mail_clients_read_it() {
    let html = "<p title=\"{{data.order}}\">{{person.first_name}}</p>";
    for header in [
        "text/html charset=\"utf-8\"",
        "text/html; charset=utf-8; charset=latin1",
        "text/html;charset=utf-8;",
        "\"text/html\"; charset=\"utf-8",
        "text / html",
        "(made by x) text/html (y); (z) charset=utf-8",
    ] {
        let message = render(&simple(&format!("Content-Type: {header}\r\n"), html));
        let parsed = full(&message);
        assert!(text(&message).contains("Content-Type: text/html; charset=utf-8"), "{header}");
        assert_eq!(parsed.body_html(0).unwrap().trim_end(), "<p title=\"A-17\">דנה</p>", "{header}");
    }
    for header in ["", "text", "html", "foo bar", ";charset=utf-8", "text/"] {
        let message = render(&simple(&format!("Content-Type: {header}\r\n"), "Hi {{person.first_name}}"));
        assert_eq!(full(&message).body_text(0).unwrap().trim_end(), "Hi דנה", "{header}");
    }
}

#[test]
fn b4_placeholders_that_an_editor_encoded_are_filled_or_refused() {
    for source in [
        "<p>Dear &#123;&#123;person.first_name&#125;&#125;,</p>",
        "<p>Dear &#x7B;&#x7b; person.first_name &#125&#125;,</p>",
        "<p>Dear &lcub;&lbrace;person&period;first&lowbar;name&rcub;&rbrace;,</p>",
        "<p>Dear {&#123;person.first_name}},</p>",
    ] {
        assert_eq!(body_of(&html(source)), "<p>Dear דנה,</p>", "{source}");
    }
    for source in [
        "<p>Dear {<span>{person.first_name}</span>},</p>",
        "<p>Dear {<!-- x -->{person.first_name}},</p>",
        "<p>Dear {&#8203;{person.first_name}},</p>",
        "<p>Hi</p><a href=\"https://shop.example/o/%7B%7Bdata.order%7D%7D\">your order</a>",
        "<p>{{person.<b>first_name</b>}}</p>",
        "<p>{{#if data.x}}{{/if}}{{data.order}} {{{#if data.x}}{{/if}}{person.first_name}}</p>",
    ] {
        refused(&html(source), &["part 1 (text/html)"]);
    }
    refused(&simple("", "https://shop.example/o/%7b%7bdata.order%7d%7d\r\n"), &["part 1", "percent"]);
    refused(&simple("", "Dear {\u{200b}{person.first_name}}\r\n"), &["part 1"]);
}

#[test]
fn b4_placeholders_in_odd_charsets_are_filled_or_refused() {
    let of = |charset: &str, octets: &[u8]| {
        with_octets(&format!("Content-Type: text/plain; charset={charset}\r\n"), octets)
    };
    for (charset, octets) in [
        ("iso-2022-kr", &b"\x1b$)C\x0e>H3g\x0f {{person.first_name}}\r\n"[..]),
        ("hz-gb-2312", b"~{VPND~} {{person.first_name}}\r\n"),
        ("utf-7", b"+ToYthw- +AHsAew-person.first_name+AH0AfQ-\r\n"),
    ] {
        assert!(body_of(&of(charset, octets)).ends_with(" דנה"), "{charset}");
    }
    let wide = |text: &str, unit: fn(u16) -> [u8; 2]| {
        BASE64.encode(&text.encode_utf16().flat_map(unit).collect::<Vec<_>>())
    };
    for unit in [u16::to_be_bytes, u16::to_le_bytes] {
        let header = "Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n";
        assert_eq!(body_of(&simple(header, &wide("Hi {{person.first_name}}", unit))), "Hi דנה");
    }
    refused(&of("cp850", b"Gr\x81\xe1e {{person.first_name}}\r\n"), &["part 1", "charset"]);
    refused(&of("cp850", b"Gr\x81\xe1e\r\n"), &["part 1", "charset"]);
    refused(&of("martian", b"{{person.first_name}}\r\n"), &["part 1", "charset"]);
    refused(&of("ebcdic-us", b"\xc0\xc0\x97\r\n"), &["part 1", "charset"]);
    refused(&of("iso-2022-cn", b"\x1b$)A\x0e{{\x0f\r\n"), &["part 1", "charset"]);
    refused(&of("utf-16", b"Hi {{person.first_name}}\r\n"), &["part 1", "charset"]);
    refused(&of("us-ascii", b"Caf\xe9 {{person.first_name}}\r\n"), &["part 1", "charset"]);
    assert_eq!(body_of(&of("martian", b"plain\r\n")), "plain");
}

#[test]
fn b4_a_placeholder_cut_between_words_lines_and_parameters_is_seen() {
    for subject in [
        "=?utf-8?q?Hi_{?= =?utf-8?q?{person.first=5Fname}}?=",
        "Hi {=?utf-8?q?{person.first=5Fname}}?=",
        "=?utf-8?b?SGkge3twZX?=\r\n =?utf-8?b?Jzb24uZmlyc3RfbmFtZX19?=",
        "=?utf-8?Q?Hi {{person.first=5Fname}}?=",
        "=?utf-16be?b?AEgAaQAgAHsAewBwAGUAcgBzAG8AbgAuAGYAaQByAHMAdABfAG4AYQBtAGUAfQB9?=",
    ] {
        let message = render(&simple(&format!("Subject: {subject}\r\n"), "x\r\n"));
        assert_eq!(full(&message).subject(), Some("Hi דנה"), "{subject}");
    }
    let soft = "Dear {=  \r\n{person.first=\r\n_name}}\r\n";
    assert_eq!(body_of(&simple("Content-Transfer-Encoding: quoted-printable\r\n", soft)), "Dear דנה");
    for header in [
        "Content-Disposition: attachment; filename*=utf-8''%7B%7Bperson.first_name%7D%7D.pdf\r\n",
        "Content-Disposition: attachment; filename*0=\"{\"; filename*1=\"{data.order}}\"\r\n",
        "Content-Type: application/pdf; name=\"=?utf-8?q?=7B=7Bdata.order=7D=7D?=\"\r\n",
        "List-Unsubscribe: <https://shop.example/%7B%7Bdata.order%7D%7D>\r\n",
        "Subject: {\u{200b}{data.order}}\r\n",
    ] {
        refused(&simple(header, "x\r\n"), &[header.split(':').next().unwrap()]);
    }
}

#[test]
fn b11_base64_is_read_as_leniently_as_mail_clients_read_it() {
    let encoded = BASE64.encode(b"Hi {{person.first_name}}\n");
    let cut = encoded.split_at(7);
    for (label, body) in [
        ("base64", format!("{encoded}\r\n\r\n-- \r\nmailing list footer\r\n")),
        ("base64", format!("{}\r\n!{}\r\n", cut.0, cut.1)),
        ("base64 (x)", encoded.clone()),
        ("(x) BASE64", encoded.clone()),
        ("base64;", encoded.clone()),
        ("base64", format!("{}{}", BASE64.encode(b"H"), BASE64.encode(b"i {{person.first_name}}\n"))),
        ("base64", encoded.trim_end_matches('=').to_owned()),
    ] {
        let raw = simple(
            &format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {label}\r\n"),
            &body,
        );
        assert_eq!(body_of(&raw), "Hi דנה", "{label}: {body}");
    }
    let header = "Content-Transfer-Encoding: base64\r\n";
    refused(&simple(header, "Hello, {{person.first_name}}\r\n"), &["part 1"]);
    refused(&simple(header, &format!("{encoded}\r\n-- \r\n{{{{data.footer}}}}\r\n")), &["part 1"]);
    refused(
        &simple("Content-Transfer-Encoding: x-uuencode\r\n", "begin 644 x\r\n%>WMX?7T\r\n`\r\nend\r\n"),
        &["part 1"],
    );
    let two = "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n";
    refused(&simple(two, &encoded), &["part 1", "two"]);
}

/// It would be lost where the part is written anew, which nobody would be told of.
#[test]
fn b4_a_nul_in_a_text_that_is_filled_is_refused_and_elsewhere_left_alone() {
    let header = "Content-Transfer-Encoding: base64\r\n";
    let filled = BASE64.encode(b"a\0b {{person.first_name}}\n");
    refused(&simple(header, &filled), &["part 1", "NUL"]);
    refused(
        &simple("Content-Transfer-Encoding: quoted-printable\r\n", "a=00b {{person.first_name}}\r\n"),
        &["NUL"],
    );
    assert_eq!(body_of(&simple(header, &BASE64.encode(b"a\0b\n"))), "a\0b");
}

#[test]
fn b5_a_lone_cr_in_decoded_text_ends_no_line() {
    let quoted = "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n";
    let base64 = "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n";
    let wanted = "\r\n\r\none=0D\r\ntwo=0Dthree =D7=93=D7=A0=D7=94\r\n";
    for transfer in [Transfer::SevenBit, Transfer::EightBit] {
        for raw in [
            simple(quoted, "one=0D\r\ntwo=0Dthree {{person.first_name}}\r\n"),
            simple(base64, &BASE64.encode(b"one\r\r\ntwo\rthree {{person.first_name}}\r\n")),
        ] {
            let message = render_for(&raw, transfer).message.to_octets().to_vec();
            assert!(crate::message::has_lawful_line_ends(&message));
            assert!(text(&message).ends_with(wanted), "{}", text(&message));
        }
    }
}

#[test]
fn b12_eight_bit_octets_that_nobody_reads_become_ascii() {
    let body = "Dies ist eine Nachricht für MIME.\r\n--b\r\nContent-Type: text/plain\r\n\r\nsee\r\n\r\n--b--\r\nfür\r\n";
    let raw = simple("Content-Type: multipart/mixed; boundary=\"b\"\r\n", body);
    let seven = render_for(&raw, Transfer::SevenBit);
    assert!(!seven.eight_bit && plan(&raw).unwrap().needs_eight_bit().is_none());
    assert_eq!(full(&seven.message.to_octets()).body_text(0).unwrap(), "see\r\n");
    let eight = render_for(&raw, Transfer::EightBit);
    assert!(text(&eight.message.to_octets()).ends_with(body));
}

#[test]
fn b12_what_cannot_be_encoded_asks_for_a_target_with_8bitmime() {
    let mixed = |part: &str| {
        simple("Content-Type: multipart/mixed; boundary=b\r\n", &format!("--b\r\n{part}\r\n--b--\r\n"))
    };
    let signed = "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\nContent-Type: text/plain; charset=utf-8\r\n\
                  Content-Transfer-Encoding: 8bit\r\n\r\nפנים\r\n--s\r\n\r\nx\r\n--s--";
    for (part, place) in [
        ("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nגוף", "part 2 (message/rfc822)"),
        (
            "Content-Type: message/delivery-status\r\n\r\nDiagnostic-Code: x; שגיאה",
            "part 2 (message/delivery-status)",
        ),
        (signed, "part 3 (text/plain)"),
        (
            "Content-Type: application/x\r\nContent-Transfer-Encoding: x-own\r\n\r\nשלום",
            "part 2 (application/x)",
        ),
        (
            "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nשלום abcde",
            "part 2 (image/png)",
        ),
        ("no header, שלום", "part 2 (without a readable header)"),
    ] {
        let raw = mixed(part);
        assert_eq!(plan(&raw).unwrap().needs_eight_bit(), Some(place), "{part}");
        let eight = render_for(&raw, Transfer::EightBit);
        assert!(text(&eight.message.to_octets()).contains(part), "{part}");
    }
    // A label that lies is mended where that changes nothing: the octets outside the alphabet are no part of it.
    let quoted = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nשלום=21";
    let seven = render_for(&mixed(quoted), Transfer::SevenBit);
    assert!(!seven.eight_bit);
    assert_eq!(full(&seven.message.to_octets()).body_text(0).unwrap(), "שלום!");
}

#[test]
fn b14_what_engines_send_is_taken() {
    let without = render(b"Subject: no sender\r\n\r\nx\r\n");
    assert_eq!(full(&without).from().unwrap().first().unwrap().address(), Some("bounce@shop.example"));
    let nameless = render(b"From: Shop\r\nSubject: x\r\n\r\nx\r\n");
    assert!(text(&nameless).starts_with("From: Shop\r\n") && text(&nameless).contains("@shop.example>"));
    let header = "Content-Type: multipart/mixed; boundary=b\r\n";
    assert!(text(&render(&simple(header, "no part\r\n"))).ends_with("\r\n\r\nno part\r\n"));
    refused(&simple(header, "no part {{data.order}}\r\n"), &["part 1 (multipart/mixed)"]);
    refused(&simple(header, "--b\r\nno header {{data.order}}\r\n--b--\r\n"), &["part 2"]);
    refused(b"From: a@b.example\r\nX: y\r\nno colon here\r\n\r\nx\r\n", &["line 3"]);
}

#[test]
fn b14_a_bare_token_is_the_person_too() {
    let message = render(format!("From: n@shop.example\r\nTo: {OWN}\r\n\r\nx\r\n").as_bytes());
    assert_eq!(full(&message).to().unwrap().first().unwrap().address(), Some("dana@example.test"));
    assert!(!text(&message).contains(OWN));
}

#[test]
fn no_field_takes_the_token_along() {
    let address = format!("{OWN}@tokens.example");
    let raw = simple(
        &format!(
            "Received: from a by b for <{address}>;\r\n Thu,  1 Jan 2026 00:00:00 +0000 (UTC)\r\nDelivered-To: {address}\r\n\
             X-Original-To: {address}\r\nDisposition-Notification-To: <{address}>\r\nErrors-To: <{address}>\r\n\
             Resent-To: {address}\r\nReceived: from c by a; Thu, 1 Jan 2026 00:00:00 +0000\r\n"
        ),
        "Dear {{person.first_name}}\r\n",
    );
    let message = text(&render(&raw));
    assert!(!message.contains(OWN), "{message}");
    assert_eq!(message.matches("Received: ").count(), 1);
}
