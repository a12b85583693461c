//! The templates by name: those that can be used, and why the others cannot. What is wrong with a template of the relay is
//! the relay's fault and gets mended, so its jobs are put off; only a name that never was one is refused for good.

use super::compiled::Compiled;
use super::folder::{Broken, Folder, read_folders};
use super::info::TemplateInfo;
use super::lint::Lint;
use super::plan::Plan;
use super::template::Template;
use crate::fault::{Fault, Reason, State};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[derive(Debug, Default)]
pub struct Shelf {
    good: BTreeMap<String, Template>,
    unready: BTreeMap<String, Unready>,
    /// The directory cannot be read: nobody knows which templates there are.
    unreadable: Option<Lint>,
}

/// Why a template cannot be used for now.
#[derive(Debug)]
enum Unready {
    Mistakes(Vec<Lint>),
    /// It was there before.
    Vanished,
}

impl Shelf {
    pub fn read(dir: Option<&Path>) -> Self {
        let folders = match dir.map_or_else(|| Ok(Vec::new()), read_folders) {
            Ok(folders) => folders,
            Err(lint) => return Self { unreadable: Some(lint), ..Self::default() },
        };
        let mut shelf = Self::default();
        let mut whole = Vec::new();
        for folder in folders {
            match folder {
                Ok(folder) => whole.push(folder),
                Err(Broken { name, lints }) => shelf.put_off(name, lints),
            }
        }
        for (name, loaded) in load(&whole) {
            match loaded {
                Ok(template) => {
                    shelf.good.insert(name.to_owned(), template);
                }
                Err(lints) => shelf.put_off(name.to_owned(), lints),
            }
        }
        shelf
    }

    fn put_off(&mut self, name: String, lints: Vec<Lint>) {
        self.unready.insert(name, Unready::Mistakes(lints));
    }

    /// What this one does not hold any more and `before` did is kept in mind.
    pub fn after(mut self, before: &Self) -> Self {
        for name in before.good.keys().chain(before.unready.keys()) {
            if !self.good.contains_key(name) {
                self.unready.entry(name.clone()).or_insert(Unready::Vanished);
            }
        }
        self
    }

    pub fn senders(&self) -> impl Iterator<Item = &str> {
        self.good.values().flat_map(|template| template.senders())
    }

    pub fn infos(&self) -> impl Iterator<Item = &TemplateInfo> {
        self.good.values().map(|template| &template.info)
    }

    /// The names of all templates, those that cannot be used among them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.good.keys().chain(self.unready.keys()).map(String::as_str)
    }

    /// The person fields that a template reads, in any of its languages.
    pub fn fields_read(&self, name: &str) -> impl Iterator<Item = &str> {
        let variants = self.good.get(name).into_iter().flat_map(Template::variants);
        variants.filter_map(|(_, compiled)| compiled.plan()).flat_map(|plan| plan.person_fields())
    }

    /// Every mistake of every template.
    pub fn mistakes(&self) -> impl Iterator<Item = &Lint> {
        let of_templates = self.unready.values().flat_map(|unready| match unready {
            Unready::Mistakes(lints) => lints.as_slice(),
            Unready::Vanished => &[],
        });
        let of_variants = self.good.values().flat_map(|template| &template.mistakes);
        self.unreadable.iter().chain(of_templates).chain(of_variants)
    }

    /// Mistakes of templates that could be used in `before`.
    pub fn spoilt_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Lint> {
        let spoilt = self.unready.iter().filter(|(name, _)| before.good.contains_key(*name));
        let lints = spoilt.flat_map(|(_, unready)| match unready {
            Unready::Mistakes(lints) => lints.as_slice(),
            Unready::Vanished => &[],
        });
        let in_part = self.good.iter().filter(|(name, template)| {
            before.good.get(*name).is_some_and(|before| template.is_spoilt_since(before))
        });
        let in_part = in_part.flat_map(|(_, template)| &template.mistakes);
        self.unreadable.iter().chain(lints).chain(in_part)
    }

    /// What an operator should know: one line for each template that cannot be used.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let of_templates = self.unready.iter().map(|(name, unready)| {
            let cause = match unready {
                Unready::Mistakes(lints) => {
                    let first = lints.first().map(Lint::to_string).unwrap_or_default();
                    format!("{first}; its jobs wait until it is mended and the configuration is read again (SIGHUP)")
                }
                Unready::Vanished => String::from(
                    "its folder is gone; its jobs wait until it is back and the configuration is read again \
                     (SIGHUP), or until a restart, which refuses them",
                ),
            };
            format!("template {name}: {cause}")
        });
        let in_part = self.good.iter().filter_map(|(name, template)| {
            let first = template.mistakes.first()?;
            let locales = template.spoilt().collect::<Vec<_>>().join(", ");
            Some(format!(
                "template {name}: {first}; jobs for {locales} wait until it is mended and the configuration is read \
                 again (SIGHUP)"
            ))
        });
        let all = self.unreadable.iter().map(|lint| format!("templates: {lint}"));
        all.chain(of_templates).chain(in_part)
    }

    /// # Errors
    /// `template-not-found`, or `bad-template` while it has a mistake. Temporary where it may be mended.
    pub fn plan(&self, name: &str, locale: Option<&str>) -> Result<Arc<Plan>, Fault> {
        let template = self.good.get(name).ok_or_else(|| self.missing(name))?;
        match template.variant(locale) {
            Some(Compiled::Good(plan)) => Ok(plan.clone()),
            Some(Compiled::Spoilt) => {
                let detail = format!(
                    "the template {name} has a mistake in this language; tokenrelay template lint names it"
                );
                Err(Fault::new(Reason::BadTemplate, detail).into_state(State::Deferred))
            }
            None => {
                let locales = template.info.locales.join(", ");
                let detail =
                    format!("the template {name} is there only for {locales}; name one of them as locale");
                Err(Fault::new(Reason::TemplateNotFound, detail))
            }
        }
    }

    fn missing(&self, name: &str) -> Fault {
        let for_now = |reason, detail: String| Fault::new(reason, detail).into_state(State::Deferred);
        match (self.unready.get(name), &self.unreadable) {
            (Some(Unready::Mistakes(_)), _) => {
                let detail = format!("the template {name} has a mistake; tokenrelay template lint names it");
                for_now(Reason::BadTemplate, detail)
            }
            (Some(Unready::Vanished), _) => {
                let detail = format!("the folder of the template {name} is gone; put it back and reload");
                for_now(Reason::TemplateNotFound, detail)
            }
            (None, Some(_)) => {
                let detail = "the relay's template directory cannot be read; see its log";
                for_now(Reason::TemplateNotFound, detail.into())
            }
            (None, None) => {
                let detail = "the relay has no template of this name; see tokenrelay template list";
                Fault::new(Reason::TemplateNotFound, detail)
            }
        }
    }
}

/// Compiles templates on all processors: a body of HTML is read several times, and a large folder would keep one busy for
/// seconds.
fn load(folders: &[Folder]) -> Vec<(&str, Result<Template, Vec<Lint>>)> {
    let next = AtomicUsize::new(0);
    let work = || -> Vec<_> {
        let mine = std::iter::from_fn(|| folders.get(next.fetch_add(1, Ordering::Relaxed)));
        mine.map(|folder| (folder.name.as_str(), Template::load(folder))).collect()
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let helper = |_| thread::Builder::new().name("templates".into()).spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (1..processors.min(folders.len())).filter_map(helper).collect();
        let mut loaded = work();
        for helper in helpers {
            loaded.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        loaded
    })
}
