//! Placeholders that nobody fills in: templates with one do not load (row P8).

use super::{MANIFEST, load, render, shop, write};
use crate::fault::Reason;
use crate::job::{Content, InlineContent};
use serde_json::json;

/// What loading a template with these files says.
fn told_of(files: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[
            ("t/template.toml", "from = \"shop@shop.test\"\n"),
            ("t/subject.hbs", "s"),
            ("t/body.txt.hbs", "x"),
        ],
    );
    write(dir.path(), files);
    load(dir.path()).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn p8_a_placeholder_that_nobody_fills_in_does_not_load() {
    for (what, files, told) in [
        ("from", vec![("t/template.toml", "from = \"{{data.x}}@shop.test\"\n")], "t/template.toml:1:"),
        ("from", vec![("t/template.toml", "from = \"Shop <a@{{data.x}}.test>\"\n")], "t/template.toml:1:"),
        (
            "reply_to",
            vec![("t/template.toml", "from = \"a@b.test\"\nreply_to = \"r-{{send.number}}@b.test\"\n")],
            "toml:2:",
        ),
        (
            "return_path",
            vec![("t/template.toml", "from = \"a@b.test\"\nreturn_path = \"r-{{send.number}}@b.test\"\n")],
            "toml:2:",
        ),
        (
            "header",
            vec![("t/template.toml", "from = \"a@b.test\"\n[headers]\n\"X-{{data.x}}\" = \"y\"\n")],
            "toml:3:",
        ),
        (
            "default",
            vec![("t/template.toml", "from = \"a@b.test\"\n[field.x]\ndefault = \"{{data.y}}\"\n")],
            "toml:2:",
        ),
        (
            "default",
            vec![("t/template.toml", "from = \"a@b.test\"\n[data.x]\ndefault = \"Hi {{name}}\"\n")],
            "toml:2:",
        ),
    ] {
        let said = told_of(&files);
        assert!(said.iter().any(|lint| lint.contains(what) && lint.contains(told)), "{what}: {said:?}");
    }
}

#[test]
fn p8_a_file_of_a_template_with_a_placeholder_does_not_load() {
    for (what, files, told) in [
        (
            "name of an attached file",
            vec![
                ("t/template.toml", "from = \"a@b.test\"\nattachments = [\"{{data.x}}.pdf\"]\n"),
                ("t/assets/{{data.x}}.pdf", "x"),
            ],
            "toml:2:",
        ),
        (
            "nothing is filled in here",
            vec![
                ("t/template.toml", "from = \"a@b.test\"\nattachments = [\"terms.txt\"]\n"),
                ("t/assets/terms.txt", "a\nDear {{person.first_name}}"),
            ],
            "t/assets/terms.txt:2:6:",
        ),
        (
            "nothing is filled in here",
            vec![
                ("t/body.html.hbs", "<img alt=\"x\" src=\"cid:logo.svg\">"),
                ("t/assets/logo.svg", "<svg><text>&#123;&#123;person.first_name&#125;&#125;</text></svg>"),
            ],
            "t/assets/logo.svg:1:",
        ),
        (
            "person.nick",
            vec![
                ("t/template.toml", "from = \"a@b.test\"\nattachments = [\"invite.ics\"]\n"),
                ("t/assets/invite.ics", "SUMMARY:{{person.nick}}\n"),
            ],
            "t/assets/invite.ics:1:",
        ),
    ] {
        let said = told_of(&files);
        assert!(said.iter().any(|lint| lint.contains(what) && lint.contains(told)), "{what}: {said:?}");
    }
}

#[test]
fn p8_attached_calendars_are_filled_and_other_files_may_mean_their_braces() {
    let dir = tempfile::tempdir().unwrap();
    shop(dir.path());
    let manifest = format!(
        "attachments = [\"invite.ics\", \"me.vcf\", \"plain.ics\", \"code.txt\"]\nallow_literal = [\"{{{{code}}}}\"]\n{MANIFEST}"
    );
    write(
        dir.path(),
        &[
            ("shop/template.toml", &manifest),
            (
                "shop/assets/invite.ics",
                "BEGIN:VCALENDAR\r\nSUMMARY:{{data.order}} for {{person.first_name}}\r\nEND:VCALENDAR\r\n",
            ),
            ("shop/assets/me.vcf", "BEGIN:VCARD\nNOTE:{{data.order}}\nEND:VCARD\n"),
            ("shop/assets/plain.ics", "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"),
            ("shop/assets/code.txt", "{{code}}"),
        ],
    );
    let renderer = load(dir.path()).unwrap();
    let message =
        render(&renderer, &Content::Template("shop".into()), None, json!({"order": "A;1"})).unwrap();
    assert!(message.contains("\r\nSUMMARY:A\\;1 for friend\r\n"), "{message}");
    assert!(message.contains("\r\nNOTE:A\\;1\r\n"), "{message}");
    let parsed = mail_parser::MessageParser::default().parse(message.as_bytes()).unwrap();
    let attached: Vec<_> = parsed.attachments().map(|part| part.contents().to_vec()).collect();
    assert_eq!(attached.len(), 4, "{message}");
    assert_eq!(attached[2], b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n");
    assert_eq!(attached[3], b"{{code}}");
    let names: Vec<_> = parsed.attachments().filter_map(mail_parser::MimeHeaders::attachment_name).collect();
    assert_eq!(names, ["invite.ics", "me.vcf", "plain.ics", "code.txt"]);
    assert!(!message.contains("{{person") && !message.contains("{{data"), "{message}");
}

#[test]
fn p8_a_content_of_a_job_has_no_placeholder_in_an_address() {
    let dir = tempfile::tempdir().unwrap();
    shop(dir.path());
    let renderer = load(dir.path()).unwrap();
    let plain = InlineContent {
        from: "Shop <a@shop.test>".into(),
        subject: "s".into(),
        text: Some("x".into()),
        html: None,
        reply_to: None,
    };
    for from in ["{{data.x}}@shop.test", "a@{{x}}.test", "Shop <{{person.email}}>", "a@shop.test ({{x}})"] {
        let content = |from: &str, reply_to: Option<&str>| {
            Content::Inline(std::sync::Arc::new(InlineContent {
                from: from.into(),
                reply_to: reply_to.map(str::to_owned),
                ..plain.clone()
            }))
        };
        for (content, place) in
            [(content(from, None), "from"), (content("a@shop.test", Some(from)), "reply_to")]
        {
            let fault = renderer.plan(&content, None).unwrap_err();
            assert!(fault.reason == Reason::BadTemplate && fault.detail.contains(place), "{from}: {fault}");
        }
    }
}
