//! `template.toml`: what is written there, with places, and what it means.

use super::lint::Lint;
use super::scope::{FieldRules, Rule};
use super::unfilled::placeholders;
use crate::nearest::did_you_mean;
use crate::purpose::{self, is_purpose};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// A text of the file and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    pub text: String,
    pub at: (usize, usize),
}

/// A `template.toml` as meant. In a locale's folder everything is optional and lies over the base folder's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    pub from: Option<Located>,
    pub reply_to: Option<Located>,
    pub to_name: Option<Located>,
    /// What its messages may be for; any, where it names none.
    pub purposes: Vec<Located>,
    pub return_path: Option<Located>,
    pub headers: BTreeMap<String, Located>,
    pub attachments: Vec<Located>,
    /// Texts that look like a mistake and are meant as they stand.
    pub allow_literal: Vec<String>,
    /// URLs that may depend on the person.
    pub branch_urls: Vec<Box<str>>,
    pub rules: FieldRules,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    from: Option<Spanned<String>>,
    reply_to: Option<Spanned<String>>,
    to_name: Option<Spanned<String>>,
    purpose: Option<Spanned<WrittenPurpose>>,
    return_path: Option<Spanned<String>>,
    #[serde(default)]
    headers: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    attachments: Vec<Spanned<String>>,
    #[serde(default)]
    allow_literal: Vec<String>,
    #[serde(default)]
    branch_urls: Vec<Spanned<String>>,
    #[serde(default)]
    field: BTreeMap<String, Spanned<WrittenRule>>,
    #[serde(default)]
    data: BTreeMap<String, Spanned<WrittenRule>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "invalid type: purpose is one word, or a list of words")]
enum WrittenPurpose {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    required: Option<bool>,
    optional: Option<bool>,
    default: Option<String>,
}

impl Manifest {
    /// Reads a `template.toml`.
    ///
    /// # Errors
    /// What is not TOML, keys that are not known, rules that say two things or nothing.
    pub fn read(text: &str, place: &str) -> Result<Self, Vec<Lint>> {
        let written: Written = toml::from_str(text).map_err(|error| vec![not_toml(text, place, &error)])?;
        let located = |value: Spanned<String>| {
            let at = position(text, value.span().start);
            Located { text: value.into_inner(), at }
        };
        let mut lints = Vec::new();
        let mut rules = FieldRules::default();
        let rule_of = |stated: &Spanned<WrittenRule>, name: &str| {
            let rule = rule_of(stated, text, place, name)?;
            match unmeant_default(&rule, &written.allow_literal) {
                Some(literal) => {
                    let at = position(text, stated.span().start);
                    Err(Lint::new(place, at, default_cause(name, literal), DEFAULT_FIX))
                }
                None => Ok(rule),
            }
        };
        for (name, rule) in written.field {
            match rule_of(&rule, &format!("field.{name}")) {
                Ok(rule) => rules.declare(name, rule),
                Err(lint) => lints.push(lint),
            }
        }
        for (name, rule) in written.data {
            match rule_of(&rule, &format!("data.{name}")) {
                Ok(rule) => rules.declare_data(name, rule),
                Err(lint) => lints.push(lint),
            }
        }
        let purposes = match written.purpose.map(|purpose| purposes_of(purpose, text, place)).transpose() {
            Ok(purposes) => purposes.unwrap_or_default(),
            Err(lint) => {
                lints.push(lint);
                Vec::new()
            }
        };
        lints.extend(written.branch_urls.iter().filter_map(|url| not_literal(url, text, place)));
        if !lints.is_empty() {
            return Err(lints);
        }
        Ok(Self {
            from: written.from.map(located),
            reply_to: written.reply_to.map(located),
            to_name: written.to_name.map(located),
            purposes,
            return_path: written.return_path.map(located),
            headers: written.headers.into_iter().map(|(name, value)| (name, located(value))).collect(),
            attachments: written.attachments.into_iter().map(located).collect(),
            allow_literal: written.allow_literal,
            branch_urls: written.branch_urls.into_iter().map(|url| url.into_inner().into()).collect(),
            rules,
        })
    }

    /// This one, with what `over` states in its place.
    pub fn overridden_by(&self, over: &Self) -> Self {
        let either = |over: &Option<Located>, base: &Option<Located>| over.clone().or_else(|| base.clone());
        let mut headers = self.headers.clone();
        headers.extend(over.headers.clone());
        Self {
            from: either(&over.from, &self.from),
            reply_to: either(&over.reply_to, &self.reply_to),
            to_name: either(&over.to_name, &self.to_name),
            purposes: if over.purposes.is_empty() { &self.purposes } else { &over.purposes }.clone(),
            return_path: either(&over.return_path, &self.return_path),
            headers,
            attachments: if over.attachments.is_empty() { &self.attachments } else { &over.attachments }
                .clone(),
            allow_literal: [&self.allow_literal[..], &over.allow_literal].concat(),
            branch_urls: [&self.branch_urls[..], &over.branch_urls].concat(),
            rules: self.rules.clone().overridden_by(&over.rules),
        }
    }
}

fn purposes_of(written: Spanned<WrittenPurpose>, text: &str, place: &str) -> Result<Vec<Located>, Lint> {
    let at = position(text, written.span().start);
    let names = match written.into_inner() {
        WrittenPurpose::One(name) => vec![name],
        WrittenPurpose::Several(names) => names,
    };
    if names.is_empty() {
        let fix = "name one, or leave purpose out, so that each job states its own";
        return Err(Lint::new(place, at, "purpose names none", fix));
    }
    let names: Vec<String> = names.iter().map(|name| purpose::normal(name)).collect();
    let twice = |(index, name): (usize, &String)| names[..index].contains(name);
    if names.iter().enumerate().any(twice) {
        return Err(Lint::new(place, at, "purpose names one twice", "name each once"));
    }
    if let Some(name) = names.iter().find(|name| !is_purpose(name)) {
        let cause = format!("'{}' is no purpose that a person could refuse", name.escape_debug());
        let fix = "write a word of letters, digits, '-', '_' and '.' that begins with a letter and is no yes or no, as in the vault's column consent";
        return Err(Lint::new(place, at, cause, fix));
    }
    Ok(names.into_iter().map(|text| Located { text, at }).collect())
}

fn not_literal(url: &Spanned<String>, text: &str, place: &str) -> Option<Lint> {
    let written = url.get_ref();
    let is_literal = !written.is_empty() && !written.contains(char::is_whitespace) && !written.contains("{{");
    (!is_literal).then(|| {
        let cause = "branch_urls names something that is no literal URL";
        let fix = "write it as it stands in the template, without placeholders: https://shop.example/vip";
        Lint::new(place, position(text, url.span().start), cause, fix)
    })
}

fn rule_of(written: &Spanned<WrittenRule>, text: &str, place: &str, name: &str) -> Result<Rule, Lint> {
    let WrittenRule { required, optional, default } = written.get_ref();
    match (required, optional, default) {
        (Some(true), None, None) => Ok(Rule::Required),
        (None, Some(true), None) => Ok(Rule::Optional),
        (None, None, Some(default)) => Ok(Rule::Default(default.clone())),
        _ => {
            let cause = format!("[{name}] does not say one thing");
            let fix = "write exactly one of required = true, optional = true, default = \"…\"";
            Err(Lint::new(place, position(text, written.span().start), cause, fix))
        }
    }
}

const DEFAULT_FIX: &str =
    "write the text itself, and choose between values in the template: {{#if data.NAME}}…{{else}}…{{/if}}";

/// A default is a text as it stands, and no template.
fn unmeant_default<'r>(rule: &'r Rule, allowed: &[String]) -> Option<&'r str> {
    let Rule::Default(text) = rule else { return None };
    placeholders(text).find(|literal| !allowed.iter().any(|meant| meant == literal))
}

fn default_cause(name: &str, literal: &str) -> String {
    format!("the default of [{name}] holds {literal}, and is never filled in")
}

fn not_toml(text: &str, place: &str, error: &toml::de::Error) -> Lint {
    let at = error.span().map_or((0, 0), |span| position(text, span.start));
    let message = error.message().trim();
    let fix = if message.contains("unknown field") {
        "use from, reply_to, to_name, purpose, return_path, attachments, allow_literal, branch_urls, [headers], [field.NAME], [data.NAME]"
    } else {
        "correct the TOML"
    };
    let near = unknown(message).map_or_else(String::new, |key| did_you_mean(key, KEYS));
    Lint::new(place, at, message.replace('\n', " ") + &near, fix)
}

const KEYS: [&str; 14] = [
    "from",
    "reply_to",
    "to_name",
    "purpose",
    "return_path",
    "attachments",
    "allow_literal",
    "branch_urls",
    "headers",
    "field",
    "data",
    "required",
    "optional",
    "default",
];

/// The key that serde did not know.
fn unknown(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split('`').next()
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> (usize, String) {
        let lints = Manifest::read(text, "t/template.toml").unwrap_err();
        (lints[0].line, lints[0].cause.clone())
    }

    #[test]
    fn a_manifest_is_read_with_places() {
        let text = "from = \"A <a@b.test>\"\n[field.x]\ndefault = \"y\"\n[data.z]\noptional = true\n[headers]\nX-A = \"b\"\n";
        let manifest = Manifest::read(text, "t").unwrap();
        assert_eq!(manifest.from.unwrap().at, (1, 8));
        assert_eq!(manifest.rules.lookup("x"), &Rule::Default("y".into()));
        assert_eq!(manifest.rules.lookup_data("z"), Some(&Rule::Optional));
        assert_eq!(manifest.headers["X-A"].text, "b");
    }

    #[test]
    fn mistakes_are_found_where_they_stand() {
        let (line, cause) = fails("from = \"a@b.test\"\n\nfrm = 1\n");
        assert_eq!((line, cause.contains("unknown field `frm`")), (3, true), "{cause}");
        assert_eq!(fails("from = [\n").0, 1);
        assert_eq!(fails("a = 1\n[field.x]\nrequired = maybe").0, 3);
        for rule in
            ["required = false", "", "required = true\noptional = true", "default = \"x\"\nrequired = true"]
        {
            let (line, cause) = fails(&format!("[field.y]\noptional = true\n[field.x]\n{rule}"));
            assert_eq!((line, cause.as_str()), (3, "[field.x] does not say one thing"), "{rule}");
        }
    }

    #[test]
    fn p6_a_purpose_is_one_word_or_a_list_of_words() {
        let purposes = |text: &str| {
            let manifest = Manifest::read(text, "t").unwrap();
            manifest.purposes.into_iter().map(|purpose| purpose.text).collect::<Vec<_>>()
        };
        assert_eq!(purposes("purpose = \"marketing\""), ["marketing"]);
        assert_eq!(purposes("purpose = [\"marketing\", \"news\"]"), ["marketing", "news"]);
        assert!(purposes("").is_empty());
        for (text, cause) in [
            ("purpose = []", "purpose names none"),
            ("purpose = \"\"", "'' is no purpose"),
            ("purpose = \"-marketing\"", "'-marketing' is no purpose"),
            ("purpose = [\"marketing\", \"news letter\"]", "'news letter' is no purpose"),
            ("purpose = [\"marketing\", \"*\"]", "'*' is no purpose"),
            ("purpose = [\"news\", \"news\"]", "names one twice"),
            ("purpose = 1", "purpose is one word, or a list of words"),
            ("purpose = [\"news\", 1]", "purpose is one word, or a list of words"),
        ] {
            let (line, told) = fails(&format!("# first\n{text}\n"));
            assert!(line == 2 && told.contains(cause), "{text}: {line} {told}");
        }
    }

    #[test]
    fn a_locale_lies_over_the_base() {
        let base = Manifest::read(
            "from = \"a@b.test\"\n[field.x]\nrequired = true\n[field.y]\noptional = true",
            "t",
        )
        .unwrap();
        let over = Manifest::read("[field.x]\ndefault = \"z\"", "t").unwrap();
        let both = base.overridden_by(&over);
        assert_eq!(both.from, base.from);
        assert_eq!(both.rules.lookup("x"), &Rule::Default("z".into()));
        assert_eq!(both.rules.lookup("y"), &Rule::Optional);
    }
}
