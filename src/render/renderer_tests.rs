//! Template folders as a whole: locales, rules, mistakes with their places, rendered messages.

mod literals;

use super::lint::Lint;
use super::plan::{Moment, RenderRequest, Transfer};
use super::renderer::{Renderer, Settings};
use crate::fault::{Fault, Reason};
use crate::job::{Content, InlineContent, SendNumber, Token};
use crate::person::PersonBuilder;
use serde_json::{Value as Json, json};
use std::fs;
use std::path::Path;
use std::time::SystemTime;

const MANIFEST: &str = "from = \"Shop <shop@shop.test>\"\nto_name = \"{{person.first_name}}\"\n\
    purpose = \"service\"\n[headers]\nList-Unsubscribe = \"<https://x.test/{{send.number}}>\"\n\
    [field.first_name]\ndefault = \"friend\"\n";

fn write(dir: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn shop(dir: &Path) {
    write(
        dir,
        &[
            ("shop/template.toml", MANIFEST),
            ("shop/subject.hbs", "Order {{data.order}}\n"),
            ("shop/body.txt.hbs", "Hi {{person.first_name}}\n"),
            ("shop/body.html.hbs", "<p>Hi {{person.first_name}}</p>\n"),
        ],
    );
}

fn load(dir: &Path) -> Result<Renderer, Vec<Lint>> {
    Renderer::load(Settings { dir: Some(dir.to_owned()), ..Settings::default() })
}

fn render(renderer: &Renderer, content: &Content, locale: Option<&str>, data: Json) -> Result<String, Fault> {
    let plan = renderer.plan(content, locale)?;
    let person = PersonBuilder::default().field("email", "dana@example.test").build();
    let Json::Object(data) = data else { unreachable!() };
    let finished = plan.render(&RenderRequest {
        person: &person,
        token: &Token::from_local("e_684384628").unwrap(),
        data: &data,
        send: &SendNumber::from_bits([7; 16]),
        campaign: None,
        sender: None,
        transfer: Transfer::EightBit,
        may_reveal: &|_| true,
        size_max: 1 << 20,
        now: &Moment::at(SystemTime::UNIX_EPOCH),
    })?;
    Ok(String::from_utf8(finished.message.to_octets().to_vec()).unwrap())
}

fn template(name: &str) -> Content {
    Content::Template(name.into())
}

#[test]
fn a_locale_falls_back_to_its_language_and_the_base() {
    let dir = tempfile::tempdir().unwrap();
    shop(dir.path());
    write(
        dir.path(),
        &[
            ("shop/he/body.txt.hbs", "שלום {{person.first_name}}"),
            ("shop/he/template.toml", "[field.first_name]\ndefault = \"לך\""),
            ("shop/pt-BR/subject.hbs", "Pedido {{data.order}}"),
        ],
    );
    let renderer = load(dir.path()).unwrap();
    let text = |locale| render(&renderer, &template("shop"), locale, json!({"order": "A1"})).unwrap();
    assert!(text(Some("he-IL")).contains("שלום לך") && text(Some("HE")).contains("Hi לך"));
    assert!(
        text(Some("pt_br")).contains("Subject: Pedido A1") && text(Some("pt")).contains("Subject: Order A1")
    );
    assert!(text(None).contains("Hi friend") && text(Some("fr")).contains("To: friend <dana@example.test>"));
    assert!(text(None).contains("List-Unsubscribe: <https://x.test/s_"));
    let info = renderer.templates().next().unwrap();
    assert_eq!(
        (info.locales.len(), info.purposes.join(" "), info.fields["first_name"]),
        (2, "service".into(), "default")
    );
    assert_eq!(info.data.iter().collect::<Vec<_>>(), ["order"]);
}

#[test]
fn texts_may_all_stand_in_locales() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[("a/template.toml", "from = \"a@b.test\""), ("a/de/subject.hbs", "s"), ("a/de/body.txt.hbs", "t")],
    );
    let renderer = load(dir.path()).unwrap();
    assert!(renderer.plan(&template("a"), Some("de-AT")).is_ok());
    let fault = renderer.plan(&template("a"), Some("fr")).unwrap_err();
    assert_eq!((fault.reason, fault.detail.contains("de")), (Reason::TemplateNotFound, true));
    assert_eq!(renderer.plan(&template("b"), None).unwrap_err().reason, Reason::TemplateNotFound);
}

#[test]
fn p6_a_language_has_no_purpose_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    shop(dir.path());
    write(dir.path(), &[("shop/pt/template.toml", "# over\npurpose = \"marketing\"")]);
    let lints = load(dir.path()).unwrap_err();
    assert!(lints[0].cause.contains("choose it by its locale") && lints[0].line == 2, "{lints:?}");
    assert_eq!(lints[0].whereabouts(), "shop/pt/template.toml:2:11");
    write(dir.path(), &[("shop/pt/template.toml", "purpose = [\"service\"]")]);
    assert!(load(dir.path()).is_ok());
}

#[test]
fn pictures_and_attachments_come_from_assets() {
    let dir = tempfile::tempdir().unwrap();
    shop(dir.path());
    let manifest = MANIFEST.replace("[headers]", "attachments = [\"terms.pdf\"]\n[headers]");
    write(
        dir.path(),
        &[
            ("shop/template.toml", manifest.as_str()),
            ("shop/body.html.hbs", "<img src=\"cid:logo.png\">"),
            ("shop/assets/logo.png", "png"),
            ("shop/assets/terms.pdf", "pdf"),
        ],
    );
    let message = render(&load(dir.path()).unwrap(), &template("shop"), None, json!({"order": 1})).unwrap();
    assert!(message.contains("Content-ID: <logo.png>") && message.contains("terms.pdf"), "{message}");
    fs::remove_dir_all(dir.path().join("shop/assets")).unwrap();
    let lints = load(dir.path()).unwrap_err();
    assert_eq!(lints.len(), 2, "{lints:?}");
    assert_eq!((lints[1].place.as_str(), lints[1].line), ("shop/template.toml", 4));
}

#[test]
fn all_mistakes_of_all_templates_come_at_once_with_their_places() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        write(
            dir.path(),
            &[
                (
                    &format!("{name}/template.toml"),
                    "from = \"a b c\"\nto_name = \"{{#if}}\"\n[headers]\nX-Id = \"{{person.id}}\"\nTo = \"x\"",
                ),
                (&format!("{name}/subject.hbs"), "{{person.title}}"),
                (&format!("{name}/body.html.hbs"), "<p>\n<a href=\"{{person.site}}\">"),
                (&format!("{name}/he/subject.hbs"), "{{#if x}}"),
            ],
        );
    }
    let lints = load(dir.path()).unwrap_err();
    let has = |place: &str, line: usize, cause: &str| {
        let found =
            lints.iter().any(|lint| lint.place == place && lint.line == line && lint.cause.contains(cause));
        assert!(found, "{place}:{line} {cause}\n{lints:#?}");
    };
    for name in ["a", "b"] {
        has(&format!("{name}/template.toml"), 1, "from is");
        has(&format!("{name}/template.toml"), 2, "not closed");
        has(&format!("{name}/template.toml"), 4, "person");
        has(&format!("{name}/template.toml"), 5, "To");
        has(&format!("{name}/subject.hbs"), 1, "person.title is not declared");
        has(&format!("{name}/body.html.hbs"), 2, "must not appear in a URL");
        has(&format!("{name}/he/subject.hbs"), 1, "not closed");
        has(name, 0, "no plain text");
    }
    let undeclared = lints.iter().find(|lint| lint.cause.contains("title")).unwrap();
    assert!(undeclared.fix.contains("[field.title]"));
}

#[test]
fn a3_of_a_manifest_that_cannot_be_read_only_that_is_told() {
    for (written, mistaken, cause) in [
        ("from =", "frm =", "did you mean from?"),
        ("[headers]", "[headers", ""),
        ("from = \"", "from = “", ""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        shop(dir.path());
        assert!(MANIFEST.contains(written));
        let manifest = MANIFEST.replacen(written, mistaken, 1);
        write(dir.path(), &[("shop/template.toml", manifest.as_str())]);
        let lints = load(dir.path()).unwrap_err();
        assert_eq!(lints.len(), 1, "{lints:?}");
        assert!(lints[0].place == "shop/template.toml" && lints[0].cause.contains(cause), "{lints:?}");
        // Of a language's own too, and the others stay.
        shop(dir.path());
        let own = [("shop/de/template.toml", manifest.as_str()), ("shop/de/body.txt.hbs", "{{person.none}}")];
        write(dir.path(), &own);
        let renderer = Renderer::read(Settings { dir: Some(dir.path().to_owned()), ..Settings::default() });
        let places: Vec<&str> = renderer.shelf().mistakes().map(|lint| lint.place.as_str()).collect();
        assert_eq!(places, ["shop/de/template.toml"]);
        assert!(renderer.plan(&template("shop"), Some("en")).is_ok());
    }
}

#[test]
fn contents_of_jobs_are_compiled_once_and_their_mistakes_named() {
    let renderer = Renderer::load(Settings::default()).unwrap();
    let inline = |html: &str| {
        Content::Inline(
            InlineContent {
                from: "Shop <a@b.test>".into(),
                subject: "Hi {{data.order}}".into(),
                text: None,
                html: Some(html.into()),
                reply_to: None,
            }
            .into(),
        )
    };
    let good = inline("<p>{{data.order}}</p>");
    let first = renderer.plan(&good, None).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &renderer.plan(&good, None).unwrap()));
    assert!(render(&renderer, &good, None, json!({"order": "<1>"})).unwrap().contains("<p>&lt;1&gt;</p>"));
    let smuggling = Content::Inline(
        InlineContent {
            from: "a@b.test".into(),
            subject: "x\r\nBcc: c@d.test\n{{data.order}}".into(),
            text: Some("t".into()),
            html: None,
            reply_to: None,
        }
        .into(),
    );
    match render(&renderer, &smuggling, None, json!({"order": "a\r\nBcc: e@f.test"})) {
        Ok(message) => assert!(!message.contains("\nBcc:"), "{message}"),
        Err(fault) => assert_eq!(fault.reason, Reason::BadTemplate),
    }
    let odd = renderer.plan(&inline("{{foo.[a\u{1b}[31m]}}"), None).unwrap_err();
    assert!(!odd.detail.contains('\u{1b}'), "{odd}");
    let fault = renderer.plan(&inline("<p {{data.x}}>{{y}}"), None).unwrap_err();
    assert_eq!(fault.reason, Reason::BadTemplate);
    assert!(fault.detail.starts_with("content.html:1:"), "{}", fault.detail);
    assert_eq!(render(&renderer, &good, None, json!({})).unwrap_err().reason, Reason::MissingField);
}

#[test]
fn the_sample_templates_load() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    if !dir.exists() {
        return;
    }
    if let Err(lints) = load(&dir) {
        panic!("{}", lints.iter().map(|lint| format!("{lint}\n")).collect::<String>());
    }
}
