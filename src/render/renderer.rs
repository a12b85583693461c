//! The renderer: loaded templates, and plans of contents that came with their jobs.

use super::fingerprint::Canonical;
use super::info::TemplateInfo;
use super::lint::Lint;
use super::literals::Unmeant;
use super::memo::{Kind, Memo};
use super::message::senders::{Named, named_senders};
use super::plan::{Plan, PlanBuilder, mailbox};
use super::program::{Program, Syntax};
use super::scope::FieldRules;
use super::shelf::Shelf;
use crate::fault::{Fault, Reason};
use crate::job::{Content, InlineContent, Token};
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
    shelf: Shelf,
    token_domains: Vec<String>,
    memo: Memo,
}

impl Renderer {
    /// Loads every template that can be used. What is wrong with the others [`Renderer::shelf`] knows.
    pub fn read(settings: Settings) -> Self {
        let memo = Memo::new(settings.plan_cache_bytes_max);
        Self { shelf: Shelf::read(settings.dir.as_deref()), token_domains: settings.token_domains, memo }
    }

    /// Loads every template.
    ///
    /// # Errors
    /// All mistakes of all templates.
    pub fn load(settings: Settings) -> Result<Self, Vec<Lint>> {
        let renderer = Self::read(settings);
        let lints: Vec<Lint> = renderer.shelf.mistakes().cloned().collect();
        if lints.is_empty() { Ok(renderer) } else { Err(lints) }
    }

    /// Takes the place of another one.
    pub fn after(self, before: &Self) -> Self {
        Self { shelf: self.shelf.after(&before.shelf), ..self }
    }

    /// The templates by name, those that cannot be used among them.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// The plan for a job's content. Contents that came with the job are compiled once.
    ///
    /// # Errors
    /// `template-not-found`; `bad-template` with the first mistake; for a message also `bad-job` and `too-large`.
    pub fn plan(&self, content: &Content, locale: Option<&str>) -> Result<Arc<Plan>, Fault> {
        match content {
            Content::Template(name) => self.shelf.plan(name, locale),
            Content::Inline(inline) => self.memo.plan(&canonical(inline), || inline_plan(inline)),
            Content::Message(raw) => {
                let token_of = |address: &str| Token::from_address(address, &self.token_domains).ok();
                Plan::from_message(raw, &token_of, &self.memo).map(Arc::new)
            }
        }
    }

    /// Whom a content that came with its job says it is from, and where it wants answers. A template's own `from` and `reply_to`
    /// are the operator's.
    ///
    /// # Errors
    /// As [`Renderer::plan`].
    pub fn named_senders(&self, content: &Content) -> Result<Vec<Named>, Fault> {
        match content {
            Content::Template(_) => Ok(Vec::new()),
            Content::Inline(inline) => Ok(inline_senders(inline)),
            Content::Message(raw) => {
                let token_of = |address: &str| Token::from_address(address, &self.token_domains).ok();
                named_senders(raw, &token_of)
            }
        }
    }

    /// How many contents that came with jobs were compiled: 1 for a campaign, however many messages it has.
    pub fn plans_compiled(&self) -> u64 {
        self.memo.plans_compiled()
    }

    /// The envelope senders of all templates.
    pub fn senders(&self) -> impl Iterator<Item = &str> {
        self.shelf.senders()
    }

    pub fn templates(&self) -> impl Iterator<Item = &TemplateInfo> {
        self.shelf.infos()
    }
}

fn inline_senders(inline: &InlineContent) -> Vec<Named> {
    let given = [("content.from", Some(&inline.from)), ("content.reply_to", inline.reply_to.as_ref())];
    let entries = given.into_iter().filter_map(|(place, value)| Some((place, value?)));
    let each = |(place, value): (&'static str, &String)| {
        let list = mailbox::read_list(value.as_bytes()).into_iter();
        list.map(move |entry| Named { place, address: entry.address })
    };
    entries.flat_map(each).collect()
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
    if !lints.is_empty() {
        return Err(lints);
    }
    let mut unmeant = Unmeant::default();
    for line in [Some(&inline.from), Some(&inline.subject), inline.reply_to.as_ref()].into_iter().flatten() {
        unmeant.look_at(line, Syntax::Header);
    }
    for (text, syntax) in [(&inline.text, Syntax::Text), (&inline.html, Syntax::Html)] {
        text.iter().for_each(|text| unmeant.look_at(text, syntax));
    }
    Ok(builder.build()?.with_unmeant(unmeant.into_list()))
}

/// The first mistake, and how many more there are.
fn bad_template(lints: &[Lint]) -> Fault {
    let first = lints.first().map(Lint::to_string).unwrap_or_default();
    let more = lints.len().saturating_sub(1);
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    Fault::new(Reason::BadTemplate, format!("{first}{more}"))
}
