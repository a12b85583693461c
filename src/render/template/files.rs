//! A template's files beside its texts: attached, or shown in its HTML.

use super::super::assets::{cids, content_type};
use super::super::lint::Lint;
use super::super::literals::unfilled_lint;
use super::super::manifest::{Located, Manifest};
use super::super::plan::PlanBuilder;
use super::super::program::{Program, Syntax};
use super::super::shown::{shows, written_out};
use super::super::unfilled::placeholders;
use super::Loading;

impl Loading<'_> {
    pub(super) fn attachments(&mut self, manifest: &Manifest, builder: &mut PlanBuilder, toml: &str) {
        for name in &manifest.attachments {
            let Some(bytes) = self.folder.assets.get(&name.text) else {
                let cause = format!("there is no assets/{}", name.text.escape_debug());
                self.lints.push(Lint::new(toml, name.at, cause, "add the file, or correct its name"));
                continue;
            };
            match lines_to_fill(&name.text, bytes) {
                Some(lines) => self.lines(name, lines, (manifest, toml), builder),
                None => {
                    self.look_at_file(&name.text, bytes);
                    self.set(name, toml, |text| {
                        builder.attachment(text, content_type(text), bytes).map(|_| ())
                    });
                }
            }
        }
    }

    /// A calendar or card that is filled in.
    fn lines(&mut self, name: &Located, lines: &str, from: (&Manifest, &str), builder: &mut PlanBuilder) {
        let (manifest, toml) = from;
        let place = self.place_of_file(&name.text);
        let program = self.program(lines, Syntax::ContentLines, &place, &manifest.rules);
        if let Some(program) = program {
            self.set(name, toml, |text| {
                builder.attached_lines(text, content_type(text), program).map(|_| ())
            });
        }
    }

    /// The files named by `cid:` in the HTML become parts beside it.
    pub(super) fn inline(&mut self, html: &Program, builder: &mut PlanBuilder, place: &str) {
        for name in cids(html) {
            match self.folder.assets.get(&name) {
                Some(bytes) => {
                    self.look_at_file(&name, bytes);
                    let added = builder.inline(&name, content_type(&name), bytes).map(|_| ());
                    self.kept(added);
                }
                None => {
                    let cause = format!("cid:{name} is used, but there is no assets/{name}");
                    self.lint(place, cause, "add the file, or correct its name");
                }
            }
        }
    }

    /// Placeholders in a file that goes out as it is.
    fn look_at_file(&mut self, name: &str, bytes: &[u8]) {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let text = written_out(text, syntax_of(name));
        let unmeant =
            placeholders(&text).find(|literal| !self.allow_literal.iter().any(|meant| meant == literal));
        if let Some(literal) = unmeant {
            let lint = unfilled_lint(&text, literal, &self.place_of_file(name));
            self.lints.push(lint);
        }
    }

    fn place_of_file(&self, name: &str) -> String {
        format!("{}/assets/{name}", self.folder.name)
    }
}

/// A calendar or card with placeholders.
fn lines_to_fill<'f>(name: &str, bytes: &'f [u8]) -> Option<&'f str> {
    let is_lines = matches!(content_type(name), "text/calendar" | "text/vcard");
    let text = is_lines.then(|| std::str::from_utf8(bytes).ok()).flatten()?;
    shows(text, Syntax::ContentLines).then_some(text)
}

/// How readers show what the file holds.
fn syntax_of(name: &str) -> Syntax {
    match name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "html" | "htm" | "xhtml" | "xml" | "svg" => Syntax::Html,
        "json" | "jsonld" => Syntax::Json,
        _ => Syntax::Text,
    }
}
