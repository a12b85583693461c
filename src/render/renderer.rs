//! The renderer: loaded templates, and plans of contents that came with their jobs.

use super::fingerprint::Canonical;
use super::folder::read_folders;
use super::lint::Lint;
use super::memo::{Kind, Memo};
use super::plan::{Plan, PlanBuilder};
use super::program::{Program, Syntax};
use super::scope::FieldRules;
use super::template::{Template, TemplateInfo};
use crate::fault::{Fault, Reason};
use crate::job::{Content, InlineContent, Token};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What the renderer needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where template folders are; without it only contents that come with jobs are rendered.
    pub dir: Option<PathBuf>,
    /// Domains of tokens, for messages that are their own template.
    pub token_domains: Vec<String>,
    /// Memory for plans of contents that came with jobs, in bytes.
    pub plan_cache_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { dir: None, token_domains: Vec::new(), plan_cache_bytes_max: 64 * 1024 * 1024 }
    }
}

/// Everything that can be rendered.
#[derive(Debug)]
pub struct Renderer {
    templates: BTreeMap<String, Template>,
    token_domains: Vec<String>,
    memo: Memo,
}

impl Renderer {
    /// Loads every template.
    ///
    /// # Errors
    /// All mistakes of all templates.
    pub fn load(settings: Settings) -> Result<Self, Vec<Lint>> {
        let folders = settings.dir.as_deref().map_or_else(|| Ok(Vec::new()), read_folders)?;
        let mut templates = BTreeMap::new();
        let mut lints = Vec::new();
        for folder in folders {
            match Template::load(&folder) {
                Ok(template) => {
                    templates.insert(folder.name, template);
                }
                Err(found) => lints.extend(found),
            }
        }
        if !lints.is_empty() {
            return Err(lints);
        }
        let memo = Memo::new(settings.plan_cache_bytes_max);
        Ok(Self { templates, token_domains: settings.token_domains, memo })
    }

    /// The plan for a job's content. Contents that came with the job are compiled once.
    ///
    /// # Errors
    /// `template-not-found`; `bad-template` with the first mistake; for a message also `bad-job` and `too-large`.
    pub fn plan(&self, content: &Content, locale: Option<&str>) -> Result<Arc<Plan>, Fault> {
        match content {
            Content::Template(name) => self.template(name, locale),
            Content::Inline(inline) => self.memo.plan(&canonical(inline), || inline_plan(inline)),
            Content::Message(raw) => {
                let token_of = |address: &str| Token::from_address(address, &self.token_domains).ok();
                Plan::from_message(raw, &token_of, &self.memo).map(Arc::new)
            }
        }
    }

    /// How many contents that came with jobs were compiled: 1 for a campaign, however many messages it has.
    pub fn plans_compiled(&self) -> u64 {
        self.memo.plans_compiled()
    }

    pub fn templates(&self) -> impl Iterator<Item = &TemplateInfo> {
        self.templates.values().map(|template| &template.info)
    }

    fn template(&self, name: &str, locale: Option<&str>) -> Result<Arc<Plan>, Fault> {
        let not_found = |detail: String| Fault::new(Reason::TemplateNotFound, detail);
        let template = self.templates.get(name).ok_or_else(|| {
            not_found(String::from("the relay has no template of this name; see tokenrelay template list"))
        })?;
        template.variant(locale).cloned().ok_or_else(|| {
            let locales = template.info.locales.join(", ");
            not_found(format!("the template {name} is there only for {locales}; name one of them as locale"))
        })
    }
}

fn canonical(inline: &InlineContent) -> Canonical {
    let InlineContent { from, subject, text, html, reply_to } = inline;
    let mut canonical = Canonical::new(Kind::Inline, 0);
    for part in [Some(from), Some(subject), text.as_ref(), html.as_ref(), reply_to.as_ref()] {
        match part {
            Some(part) => canonical.put(part.as_bytes()),
            None => canonical.mark(b'-', 0),
        }
    }
    canonical
}

fn inline_plan(inline: &InlineContent) -> Result<Plan, Fault> {
    build_inline(inline).map_err(|lints| bad_template(&lints))
}

fn build_inline(inline: &InlineContent) -> Result<Plan, Vec<Lint>> {
    let mut builder = PlanBuilder::new("content", FieldRules::of_message());
    let mut lints = Vec::new();
    let mut keep = |result: Result<(), Vec<Lint>>| lints.extend(result.err().into_iter().flatten());
    keep(builder.from(&inline.from).map(|_| ()));
    if let Some(reply_to) = &inline.reply_to {
        keep(builder.reply_to(reply_to).map(|_| ()));
    }
    let compile =
        |source: &str, syntax, part: &str| Program::compile(source, syntax, &format!("content.{part}"));
    keep(compile(&inline.subject, Syntax::Header, "subject").map(|program| {
        builder.subject(program);
    }));
    if let Some(text) = &inline.text {
        keep(compile(text, Syntax::Text, "text").map(|program| {
            builder.text(program);
        }));
    }
    if let Some(html) = &inline.html {
        keep(compile(html, Syntax::Html, "html").map(|program| {
            builder.html(program);
        }));
    }
    if lints.is_empty() { builder.build() } else { Err(lints) }
}

/// The first mistake, and how many more there are.
fn bad_template(lints: &[Lint]) -> Fault {
    let first = lints.first().map(Lint::to_string).unwrap_or_default();
    let more = lints.len().saturating_sub(1);
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    Fault::new(Reason::BadTemplate, format!("{first}{more}"))
}
