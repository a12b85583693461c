//! Newsletters as real ones are written, in a dozen languages: with prices, code, merge-like words, Outlook's buttons and pictures.
//! Nothing in them is a mistake, as a template or as a content that comes with its job.

use std::fs;
use std::path::{Path, PathBuf};
use tokenrelay::job::{Content, InlineContent};
use tokenrelay::render::{Renderer, Settings};

struct Newsletter {
    name: String,
    subject: String,
    text: String,
    html: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/newsletters")
}

fn newsletters() -> Vec<Newsletter> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let one = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let (subject, text) = text.split_once("\n\n").unwrap();
        Newsletter {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            subject: subject.strip_prefix("Subject: ").unwrap().to_owned(),
            text: text.to_owned(),
            html: fs::read_to_string(path.with_extension("html")).unwrap(),
        }
    };
    texts.map(one).collect()
}

#[test]
fn b11_real_newsletters_are_templates_without_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let newsletters = newsletters();
    assert!(newsletters.len() >= 20);
    for Newsletter { name, subject, text, html } in &newsletters {
        let place = dir.path().join(name);
        fs::create_dir(&place).unwrap();
        let manifest = "from = \"News <news@shop.example>\"\npurpose = \"marketing\"\n[field.first_name]\ndefault = \"reader\"\n";
        for (file, content) in [
            ("template.toml", manifest),
            ("subject.hbs", subject),
            ("body.txt.hbs", text),
            ("body.html.hbs", html),
        ] {
            fs::write(place.join(file), content).unwrap();
        }
    }
    let renderer = Renderer::read(Settings { dir: Some(dir.path().to_owned()), ..Settings::default() });
    let mistakes: Vec<String> = renderer.shelf().mistakes().map(ToString::to_string).collect();
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    assert_eq!(renderer.templates().count(), newsletters.len());
}

#[test]
fn b11_real_newsletters_are_taken_as_contents_of_jobs() {
    let renderer = Renderer::read(Settings::default());
    for Newsletter { name, subject, text, html } in newsletters() {
        let from = String::from("News <news@shop.example>");
        let inline = InlineContent { from, subject, text: Some(text), html: Some(html), reply_to: None };
        let plan = renderer
            .plan(&Content::Inline(inline.into()), None)
            .unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        let unmeant: Vec<_> = plan.unmeant().collect();
        assert!(unmeant.is_empty(), "{name}: {unmeant:?}");
    }
}
