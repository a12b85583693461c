//! Placeholders in every place that a message has: filled, or refused, and never mailed as they stand (row P8).

use super::{finish, plan, simple, text};
use crate::render::body::Transfer;
use data_encoding::BASE64;

/// A place for a placeholder: the header, and the body.
type Place = fn(&str) -> (String, String);

fn multipart(kind: &str, part: &str) -> (String, String) {
    (format!("Content-Type: multipart/{kind}; boundary=b\r\n"), format!("--b\r\n{part}\r\n--b--\r\n"))
}

fn mixed(part: &str) -> (String, String) {
    multipart("mixed", part)
}

const PLACES: [(&str, Place); 41] = [
    ("address of From", |x| (format!("From: {x}@shop.example\r\n"), "x".into())),
    ("quoted local part", |x| (format!("Sender: \"{x}\"@shop.example\r\n"), "x".into())),
    ("domain of Sender", |x| (format!("Sender: a@{x}.example\r\n"), "x".into())),
    ("address of Cc", |x| (format!("Cc: A <{x}@shop.example>\r\n"), "x".into())),
    ("address of Reply-To", |x| (format!("Reply-To: <{x}@shop.example>\r\n"), "x".into())),
    ("name of Cc", |x| (format!("Cc: \"{x}\" <a@shop.example>\r\n"), "x".into())),
    ("name with backslashes", |x| {
        (format!("Cc: \"{}\" <a@shop.example>\r\n", x.replace('{', "\\{").replace('}', "\\}")), "x".into())
    }),
    ("comment of an address", |x| (format!("Cc: a@shop.example ({x})\r\n"), "x".into())),
    ("group", |x| (format!("Cc: {x}: a@shop.example;\r\n"), "x".into())),
    ("Subject", |x| (format!("Subject: {x}\r\n"), "x".into())),
    ("Date", |x| (format!("Date: {x}\r\n"), "x".into())),
    ("comment of Date", |x| (format!("Date: Thu, 1 Jan 2026 00:00:00 +0000 ({x})\r\n"), "x".into())),
    ("Message-ID", |x| (format!("Message-ID: <{x}@shop.example>\r\n"), "x".into())),
    ("References", |x| (format!("References: <{x}@shop.example>\r\n"), "x".into())),
    ("List-Unsubscribe", |x| (format!("List-Unsubscribe: <https://shop.example/{x}>\r\n"), "x".into())),
    ("List-Id", |x| (format!("List-Id: {x} <a.shop.example>\r\n"), "x".into())),
    ("name of a field", |x| (format!("X-{x}: y\r\n"), "x".into())),
    ("Keywords", |x| (format!("Keywords: {x}\r\n"), "x".into())),
    ("MIME-Version", |x| (format!("MIME-Version: 1.0 ({x})\r\n"), "x".into())),
    ("Content-ID", |x| (format!("Content-ID: <{x}@shop.example>\r\n"), "x".into())),
    ("Content-Description", |x| mixed(&format!("Content-Description: {x}\r\n\r\nx"))),
    ("Content-Location", |x| mixed(&format!("Content-Location: https://shop.example/{x}\r\n\r\nx"))),
    ("name of a part's field", |x| mixed(&format!("X-{x}: y\r\n\r\nx"))),
    ("charset", |x| mixed(&format!("Content-Type: text/plain; charset=\"{x}\"\r\n\r\nx"))),
    ("boundary", |x| {
        (
            format!("Content-Type: multipart/mixed; boundary=\"{x}\"\r\n"),
            format!("--{x}\r\n\r\nx\r\n--{x}--\r\n"),
        )
    }),
    ("file name", |x| {
        mixed(&format!(
            "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"{x}.pdf\"\r\n\r\nx"
        ))
    }),
    ("file name with backslashes", |x| {
        let x = x.replace('{', "\\{");
        mixed(&format!("Content-Type: application/pdf; name=\"{x}.pdf\"\r\n\r\nx"))
    }),
    ("preamble", |x| {
        ("Content-Type: multipart/mixed; boundary=b\r\n".into(), format!("{x}\r\n--b\r\n\r\nx\r\n--b--\r\n"))
    }),
    ("epilogue", |x| {
        ("Content-Type: multipart/mixed; boundary=b\r\n".into(), format!("--b\r\n\r\nx\r\n--b--\r\n{x}\r\n"))
    }),
    ("XHTML", |x| mixed(&format!("Content-Type: application/xhtml+xml\r\n\r\n<p>{x}</p>"))),
    ("JSON", |x| mixed(&format!("Content-Type: application/json\r\n\r\n{{\"a\": \"{x}\"}}"))),
    ("escapes of JSON", |x| {
        let x = x.replace('{', "\\u007b").replace('}', "\\u007D");
        mixed(&format!("Content-Type: application/ld+json\r\n\r\n{{\"a\": \"{x}\"}}"))
    }),
    ("JSON in base64", |x| {
        let json = BASE64.encode(format!("{{\"a\": \"{x}\"}}").as_bytes());
        mixed(&format!(
            "Content-Type: application/ld+json\r\nContent-Transfer-Encoding: base64\r\n\r\n{json}"
        ))
    }),
    ("attached JSON", |x| {
        mixed(&format!(
            "Content-Type: application/json\r\nContent-Disposition: attachment\r\n\r\n{{\"a\": \"{x}\"}}"
        ))
    }),
    ("XML", |x| mixed(&format!("Content-Type: application/rss+xml\r\n\r\n<a>{x}</a>"))),
    ("attached text", |x| {
        mixed(&format!("Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\n{x}"))
    }),
    ("bytes", |x| {
        let bytes = BASE64.encode(format!("a;b\r\n{x};c\r\n").as_bytes());
        mixed(&format!(
            "Content-Type: application/octet-stream; name=a.csv\r\nContent-Transfer-Encoding: base64\r\n\r\n{bytes}"
        ))
    }),
    ("picture of text", |x| {
        mixed(&format!("Content-Type: image/svg+xml\r\n\r\n<svg><text>{x}</text></svg>"))
    }),
    ("forwarded message", |x| mixed(&format!("Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\n{x}"))),
    ("forwarded and encoded", |x| {
        let body = BASE64.encode(x.as_bytes());
        let inner = format!("Subject: y\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}");
        mixed(&format!("Content-Type: message/rfc822\r\n\r\n{inner}"))
    }),
    ("digest", |x| multipart("digest", &format!("\r\nSubject: {x}\r\n\r\ny"))),
];

/// What readers see of a message, wherever it stands, in one text.
fn all_that_is_seen(message: &[u8]) -> String {
    let parsed = mail_parser::MessageParser::default().parse(message).unwrap();
    let mut seen = text(message);
    for part in &parsed.parts {
        seen.push_str(&String::from_utf8_lossy(part.contents()));
        for header in part.headers() {
            seen.push_str(&format!("{:?}", header.value()));
        }
    }
    seen.replace("\\u007b", "{").replace("\\{", "{")
}

#[test]
fn p8_a_placeholder_is_filled_or_refused_wherever_it_stands() {
    for (name, place) in PLACES {
        for literal in
            ["{{person.first_name}}", "{{data.order}}", "{{send.number}}", "{{order}}", "{{{data.order}}}"]
        {
            let (header, body) = place(literal);
            let raw = text(&simple(&header, &body));
            let raw = match header.starts_with("From") {
                true => raw.replacen("From: Shop <news@shop.example>\r\n", "", 1),
                false => raw,
            };
            let Ok(plan) = plan(raw.as_bytes()) else { continue };
            if plan.unmeant().next().is_some() {
                continue;
            }
            let finished = finish(raw.as_bytes(), Transfer::EightBit, &super::dana()).unwrap();
            let seen = all_that_is_seen(&finished.message.to_octets());
            assert!(!seen.contains("{{") && !seen.contains("{\\{"), "{name}: {literal}:\n{seen}");
        }
    }
}

#[test]
fn p8_what_is_refused_names_its_place() {
    for (name, place) in PLACES {
        let (header, body) = place("{{nothing.known}}");
        let raw = text(&simple(&header, &body));
        let raw = match header.starts_with("From") {
            true => raw.replacen("From: Shop <news@shop.example>\r\n", "", 1),
            false => raw,
        };
        match plan(raw.as_bytes()) {
            Err(fault) => assert!(
                [
                    "part",
                    "header",
                    "From",
                    "Sender",
                    "Cc",
                    "Reply-To",
                    "Subject",
                    "Date",
                    "Content-",
                    "MIME",
                    "List",
                    "Message-ID",
                    "Ref",
                    "Key"
                ]
                .iter()
                .any(|word| fault.detail.contains(word)),
                "{name}: {fault}"
            ),
            // The name of a group is sent to nobody.
            Ok(plan) if name == "group" => assert_eq!(plan.unmeant().next(), None),
            Ok(plan) => {
                let told = format!("{:?}", plan.unmeant().next());
                assert!(told.contains("part ") && told.contains("{{nothing.known}}"), "{name}: {told}");
            }
        }
    }
}

#[test]
fn p8_where_filling_is_natural_it_is_filled() {
    for (kind, before, wanted) in [
        ("application/xhtml+xml", "<p>{{data.order}} {{person.first_name}}</p>", "<p>A-17 "),
        ("application/ld+json", "{\"order\": \"{{data.order}}\"}", "{\"order\": \"A-17\"}"),
        (
            "application/json",
            "{\"order\": \"\\u007B\\u007bdata.order\\u007d\\u007d\"}",
            "{\"order\": \"A-17\"}",
        ),
        ("application/xml", "<o>{{data.order}}</o>", "<o>A-17</o>"),
    ] {
        let raw = simple(&format!("Content-Type: {kind}\r\n"), before);
        let finished = finish(&raw, Transfer::EightBit, &super::dana()).unwrap();
        let message = text(&finished.message.to_octets());
        assert!(
            message.contains(wanted) && message.contains(&format!("Content-Type: {kind}; charset=utf-8")),
            "{message}"
        );
    }
}

#[test]
fn p8_braces_that_are_no_placeholder_leave_as_they_came() {
    for part in [
        "Content-Type: application/json\r\n\r\n{\"a\": {\"b\": \"\\u007b\"}}",
        "Content-Type: application/rtf\r\n\r\n{\\rtf1{{\\fonttbl{\\f0 Arial;}}}}",
        "Content-Type: text/css\r\nContent-Disposition: attachment\r\n\r\n@media x{a{b:c}}",
        "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\ne3twZXJzb24ueH19",
        "Content-Type: message/rfc822\r\n\r\nSubject: {x}\r\n\r\n}}{{",
        "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAB7e3BlcnNvbi54fX0=",
    ] {
        let (header, body) = mixed(part);
        let raw = simple(&header, &body);
        let plan = plan(&raw).unwrap();
        assert_eq!(plan.unmeant().next(), None, "{part}");
        let finished = finish(&raw, Transfer::EightBit, &super::dana()).unwrap();
        assert!(text(&finished.message.to_octets()).contains(&format!("{part}\r\n--b--")), "{part}");
    }
}
