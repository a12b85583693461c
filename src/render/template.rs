//! Turns a template folder into plans: one for the base and one for each locale.

mod files;

use super::compiled::Compiled;
use super::folder::{Files, Folder};
use super::info::TemplateInfo;
use super::lint::Lint;
use super::literals;
use super::manifest::{Located, Manifest};
use super::mjml;
use super::plan::{Plan, PlanBuilder};
use super::program::{Program, Syntax};
use super::scope::FieldRules;
use crate::nearest::nearest;
use crate::person::{EMAIL, PHONE};
use std::collections::BTreeSet;

/// A loaded template, of which at least one variant can be used.
#[derive(Debug)]
pub struct Template {
    pub info: TemplateInfo,
    base: Option<Compiled>,
    locales: Vec<(String, Compiled)>,
    /// Every mistake of every variant.
    pub mistakes: Vec<Lint>,
}

impl Template {
    /// Compiles all variants of a folder.
    ///
    /// # Errors
    /// Every mistake of every variant, when none can be used.
    pub fn load(folder: &Folder) -> Result<Self, Vec<Lint>> {
        let mut loading = Loading {
            folder,
            lints: Vec::new(),
            info: TemplateInfo::of(&folder.name),
            allow_literal: Vec::new(),
            branch_urls: Vec::new(),
        };
        // Of a manifest that cannot be read nothing is known: whatever else is said would be of what it may well hold.
        let Some(base) = loading.manifest(&folder.base, &folder.name) else {
            return Err(loading.lints);
        };
        let mut locales = Vec::new();
        for (locale, files) in &folder.locales {
            loading.info.locales.push(locale.clone());
            let plan = loading.locale(locale, files, &base);
            locales.push((locale.clone(), Compiled::of(plan)));
        }
        let own = &folder.base;
        // Where every text is in a locale's folder, the base holds only what they share.
        let only_shared = !locales.is_empty() && own.subject.is_none();
        let only_shared = only_shared && own.text.is_none() && own.html.is_none() && own.mjml.is_none();
        let base = if only_shared {
            None
        } else {
            let none = Files::default();
            let variant = Variant::over(own, &none, &folder.name, &folder.name, base);
            Some(Compiled::of(loading.variant(variant)))
        };
        loading.lints.sort();
        loading.lints.dedup();
        let template = Self { info: loading.info, base, locales, mistakes: loading.lints };
        let is_usable = template.variants().any(|(_, compiled)| compiled.plan().is_some());
        if is_usable { Ok(template) } else { Err(template.mistakes) }
    }

    /// With its language tag, or none for the base.
    pub fn variants(&self) -> impl Iterator<Item = (Option<&str>, &Compiled)> {
        let locales = self.locales.iter().map(|(tag, compiled)| (Some(tag.as_str()), compiled));
        self.base.iter().map(|base| (None, base)).chain(locales)
    }

    /// The variants with a mistake, by their folder.
    pub fn spoilt(&self) -> impl Iterator<Item = &str> {
        let spoilt = self.variants().filter(|(_, compiled)| compiled.plan().is_none());
        spoilt.map(|(tag, _)| tag.unwrap_or("the default"))
    }

    /// Whether jobs that could be rendered from `before` cannot be now.
    pub fn is_spoilt_since(&self, before: &Self) -> bool {
        let mut spoilt = self.variants().filter(|(_, compiled)| compiled.plan().is_none());
        spoilt.any(|(tag, _)| before.variant(tag).is_some_and(|compiled| compiled.plan().is_some()))
    }

    /// The envelope senders of its variants.
    pub fn senders(&self) -> impl Iterator<Item = &str> {
        self.variants().filter_map(|(_, compiled)| compiled.plan()?.own_sender())
    }

    /// The variant for a language tag: itself, then without its last parts, then the base (RFC 4647 §3.4).
    pub fn variant(&self, locale: Option<&str>) -> Option<&Compiled> {
        let mut range = locale.unwrap_or("");
        while !range.is_empty() {
            let same = |(tag, _): &&(String, Compiled)| {
                tag.len() == range.len()
                    && tag
                        .bytes()
                        .zip(range.bytes())
                        .all(|(a, b)| a.eq_ignore_ascii_case(&if b == b'_' { b'-' } else { b }))
            };
            if let Some((_, compiled)) = self.locales.iter().find(same) {
                return Some(compiled);
            }
            range = range.rfind(['-', '_']).map_or("", |end| &range[..end]);
        }
        self.base.as_ref()
    }
}

/// The files of one variant, each with its place.
struct Variant<'a> {
    place: &'a str,
    manifest: Manifest,
    subject: Option<(&'a str, String)>,
    text: Option<(&'a str, String)>,
    html: Option<(&'a str, String)>,
    mjml: Option<(&'a str, String)>,
}

impl<'a> Variant<'a> {
    fn over(base: &'a Files, own: &'a Files, base_place: &str, place: &'a str, manifest: Manifest) -> Self {
        type Pick = fn(&Files) -> Option<&String>;
        let pick = |of: Pick, file: &str| {
            let own_file = of(own).map(|text| (text.as_str(), format!("{place}/{file}")));
            own_file.or_else(|| of(base).map(|text| (text.as_str(), format!("{base_place}/{file}"))))
        };
        let mut variant = Self {
            place,
            manifest,
            subject: pick(|files| files.subject.as_ref(), "subject.hbs"),
            text: pick(|files| files.text.as_ref(), "body.txt.hbs"),
            html: pick(|files| files.html.as_ref(), "body.html.hbs"),
            mjml: pick(|files| files.mjml.as_ref(), "body.mjml.hbs"),
        };
        // A locale's HTML stands for the base folder's MJML, and the other way round.
        match (own.html.is_some(), own.mjml.is_some()) {
            (true, false) => variant.mjml = None,
            (false, true) => variant.html = None,
            _ => {}
        }
        variant
    }
}

struct Loading<'a> {
    folder: &'a Folder,
    lints: Vec<Lint>,
    info: TemplateInfo,
    /// Of the variant that is being loaded.
    allow_literal: Vec<String>,
    branch_urls: Vec<Box<str>>,
}

impl Loading<'_> {
    /// None where it cannot be read.
    fn manifest(&mut self, files: &Files, place: &str) -> Option<Manifest> {
        let Some(text) = &files.manifest else { return Some(Manifest::default()) };
        let read = Manifest::read(text, &format!("{place}/template.toml"));
        self.kept(read)
    }

    /// One language; what is wrong with it is wrong with no other.
    fn locale(&mut self, locale: &str, files: &Result<Files, Vec<Lint>>, base: &Manifest) -> Option<Plan> {
        let files = match files {
            Ok(files) => files,
            Err(lints) => {
                self.lints.extend(lints.iter().cloned());
                return None;
            }
        };
        let place = format!("{}/{locale}", self.folder.name);
        let before = self.lints.len();
        let over = self.manifest(files, &place)?;
        self.check_purposes(base, &over, &place);
        let own = base.overridden_by(&over);
        let plan = self.variant(Variant::over(&self.folder.base, files, &self.folder.name, &place, own));
        plan.filter(|_| self.lints.len() == before)
    }

    /// A job names its language: it must not choose its purpose by that.
    fn check_purposes(&mut self, base: &Manifest, over: &Manifest, place: &str) {
        let Some(first) = over.purposes.first() else { return };
        let names = |manifest: &Manifest| -> BTreeSet<String> {
            manifest.purposes.iter().map(|purpose| purpose.text.clone()).collect()
        };
        if names(base) != names(over) {
            let cause =
                "a language has another purpose than the template: a job would choose it by its locale";
            let fix = format!("state purpose in {}/template.toml only", self.folder.name);
            self.lints.push(Lint::new(&format!("{place}/template.toml"), first.at, cause, fix));
        }
    }

    fn variant(&mut self, variant: Variant<'_>) -> Option<Plan> {
        let before = self.lints.len();
        let toml = format!("{}/template.toml", variant.place);
        let rules = variant.manifest.rules.clone();
        self.allow_literal.clone_from(&variant.manifest.allow_literal);
        self.branch_urls.clone_from(&variant.manifest.branch_urls);
        self.info.add(&variant.manifest);
        let mut builder = PlanBuilder::new(&toml, rules.clone());
        self.sender(&variant.manifest, &mut builder, &toml);
        if let Some((source, place)) = &variant.subject {
            let program = self.program(source, Syntax::Header, place, &rules)?;
            builder.subject(program);
        } else {
            self.lint(variant.place, "there is no subject", "add subject.hbs");
        }
        if let Some((source, place)) = &variant.text {
            let program = self.program(source, Syntax::Text, place, &rules);
            program.map(|program| builder.text(program));
        }
        if let Some(program) = self.html(&variant, &rules) {
            self.inline(&program, &mut builder, variant.place);
            self.info.html = true;
            builder.html(program);
        }
        self.headers(&variant.manifest, &mut builder, &toml);
        self.attachments(&variant.manifest, &mut builder, &toml);
        let bodies = [variant.text.is_some(), variant.html.is_some() || variant.mjml.is_some()];
        match bodies {
            [false, true] => self.lint(
                variant.place,
                "there is HTML but no plain text, which filters and many readers need",
                "add body.txt.hbs",
            ),
            [false, false] => {
                self.lint(variant.place, "there is no body", "add body.txt.hbs and body.html.hbs")
            }
            _ => {}
        }
        if self.lints.len() > before {
            return None;
        }
        let plan = builder.build();
        self.kept(plan)
    }

    fn sender(&mut self, manifest: &Manifest, builder: &mut PlanBuilder, toml: &str) {
        match &manifest.from {
            Some(from) => self.set(from, toml, |text| builder.from(text).map(|_| ())),
            None => self.lint(toml, "from is missing", "add from = \"Name <local@domain>\""),
        }
        if let Some(reply_to) = &manifest.reply_to {
            self.set(reply_to, toml, |text| builder.reply_to(text).map(|_| ()));
        }
        if let Some(return_path) = &manifest.return_path {
            self.set(return_path, toml, |text| builder.return_path(text).map(|_| ()));
        }
        builder.purposes(manifest.purposes.iter().map(|purpose| purpose.text.as_str()));
        if let Some(to_name) = &manifest.to_name {
            let mut program = None;
            self.set(to_name, toml, |text| {
                Program::compile(text, Syntax::Header, toml).map(|p| program = Some(p))
            });
            if let Some(program) = program {
                self.check_fields(&program, &manifest.rules, toml, Some(to_name.at));
                builder.to_name(program);
            }
        }
    }

    fn headers(&mut self, manifest: &Manifest, builder: &mut PlanBuilder, toml: &str) {
        for (name, value) in &manifest.headers {
            let mut fields = None;
            self.set(value, toml, |text| {
                let program = Program::compile(text, Syntax::Header, toml)?;
                fields = Some(program.uses().data.clone());
                builder.header(name, program).map(|_| ())
            });
            self.info.data.extend(fields.into_iter().flatten());
        }
    }

    fn html(&mut self, variant: &Variant<'_>, rules: &FieldRules) -> Option<Program> {
        match (&variant.html, &variant.mjml) {
            (Some((_, place)), Some(_)) => {
                let place = place.clone();
                self.lint(&place, "there is a body.mjml.hbs too", "keep one of them");
                None
            }
            (Some((source, place)), None) => self.program(source, Syntax::Html, place, rules),
            (None, Some((source, place))) => {
                let html = mjml::to_html(source, place);
                let html = self.kept(html.map_err(|lint| vec![lint]))?;
                // Told where somebody wrote them.
                self.lints.extend(literals::lints(source, Syntax::Html, place, &self.allow_literal));
                self.compiled(&html, Syntax::Html, &format!("{place} (as HTML)"), rules)
            }
            (None, None) => None,
        }
    }

    fn program(&mut self, source: &str, syntax: Syntax, place: &str, rules: &FieldRules) -> Option<Program> {
        // A file's last newline is not part of a subject.
        let source = if syntax == Syntax::Header { source.trim_end_matches(['\r', '\n']) } else { source };
        self.lints.extend(literals::lints(source, syntax, place, &self.allow_literal));
        self.compiled(source, syntax, place, rules)
    }

    fn compiled(&mut self, source: &str, syntax: Syntax, place: &str, rules: &FieldRules) -> Option<Program> {
        let program = self.kept(Program::compile_allowing(source, syntax, place, &self.branch_urls))?;
        self.check_fields(&program, rules, place, None);
        self.info.data.extend(program.uses().data.iter().cloned());
        Some(program)
    }

    fn check_fields(
        &mut self,
        program: &Program,
        rules: &FieldRules,
        place: &str,
        at: Option<(usize, usize)>,
    ) {
        for (field, first) in program.first_uses().filter(|(field, _)| !rules.declares(field)) {
            // Everybody has an address.
            let names = rules.declared().map(|(declared, _)| declared).chain([EMAIL, PHONE]);
            let near = nearest(field, names.filter(|name| *name != field));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let cause = format!("person.{field} is not declared in template.toml{hint}");
            let declare = format!(
                "add [field.{field}] with one of required = true, optional = true, default = \"…\" to template.toml"
            );
            let fix = match near {
                Some(near) if rules.declares(near) => format!("write person.{near}, or {declare}"),
                Some(near) => format!("write person.{near}, with a [field.{near}] for it, or {declare}"),
                None => declare,
            };
            self.lints.push(Lint::new(place, at.unwrap_or(first), cause, fix));
        }
    }

    /// Sets a value of `template.toml`; mistakes are reported where it stands.
    fn set(&mut self, value: &Located, toml: &str, set: impl FnOnce(&str) -> Result<(), Vec<Lint>>) {
        let mut lints = literals::lints(&value.text, Syntax::Header, toml, &self.allow_literal);
        lints.extend(set(&value.text).err().into_iter().flatten());
        if !lints.is_empty() {
            self.lints.extend(lints.into_iter().map(|lint| {
                let column = if lint.line == 1 { value.at.1 + lint.column } else { value.at.1 };
                Lint { place: toml.to_owned(), line: value.at.0, column, ..lint }
            }));
        }
    }

    fn kept<T>(&mut self, result: Result<T, Vec<Lint>>) -> Option<T> {
        result.map_err(|lints| self.lints.extend(lints)).ok()
    }

    fn lint(&mut self, place: &str, cause: impl Into<String>, fix: &str) {
        self.lints.push(Lint::new(place, (0, 0), cause, fix));
    }
}
