//! `tokenrelay template list|lint|preview`: what templates there are, what is wrong with them, how they look.

use super::files::unreadable;
use super::{CliError, Exit, screen};
use crate::accept::data;
use crate::counted::counted;
use crate::fault::{Fault, Reason};
use crate::job::{Content, Data, SendNumber, Token};
use crate::load::reading::Reading;
use crate::nearest::did_you_mean;
use crate::person::{EMAIL, Person, PersonBuilder};
use crate::render::{Finished, Lint, Moment, RenderRequest, Renderer, Settings, TemplateInfo, Transfer};
use clap::{Args, Subcommand};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

/// Largest `--data` file, in bytes.
const DATA_BYTES_MAX: u64 = 4 * 1024 * 1024;
const PREVIEW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Looks at templates; the vault is never asked.
#[derive(Debug, Args)]
pub struct TemplateArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The templates with their locales, purposes and fields
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Every mistake in every template; exit code 1 if there is one
    Lint {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// One message with invented values, as an .eml on standard output
    Preview {
        /// The template's name
        name: String,
        /// Language tag, as in a job
        #[arg(long)]
        locale: Option<String>,
        /// The job's merge data: one JSON object
        #[arg(long, value_name = "FILE.json")]
        data: Option<PathBuf>,
        /// Only the HTML, to look at in a browser
        #[arg(long)]
        html: bool,
    },
}

/// Runs the command on the templates of `settings`.
///
/// # Errors
/// Templates with mistakes (but for `lint`, which prints them), an unknown template, unusable `--data`.
pub fn run(args: TemplateArgs, settings: Settings) -> Result<Exit, CliError> {
    run_to(args, settings, &mut screen::stdout())
}

fn run_to(args: TemplateArgs, settings: Settings, out: &mut dyn Write) -> Result<Exit, CliError> {
    match args.verb {
        Verb::Lint { json } => lint(Renderer::load(settings), json, out),
        Verb::List { json } => {
            let renderer = Renderer::read(settings);
            list(&renderer, json, out)?;
            whole(&renderer)
        }
        Verb::Preview { name, locale, data, html } => {
            let renderer = Renderer::read(settings);
            let Some(info) = renderer.templates().find(|info| info.name == name) else {
                whole(&renderer)?;
                let near = did_you_mean(&name, renderer.shelf().names());
                return Err(CliError::failed(format!("there is no template {name}{near}"))
                    .fix("tokenrelay template list"));
            };
            let data = match data {
                Some(file) => read_data(&file)?,
                None => sample_data(info),
            };
            let finished =
                preview(&renderer, info, locale.as_deref(), &data).map_err(|fault| match fault.reason {
                    Reason::BadJob | Reason::MissingField => {
                        CliError::failed(fault).fix("give the job's merge data with --data FILE.json")
                    }
                    _ => CliError::failed(fault),
                })?;
            let bytes = &finished.message.to_octets();
            if html {
                let html = Reading::of(bytes).and_then(|reading| reading.html).ok_or_else(|| {
                    CliError::failed(format!("{name} has no HTML")).fix("leave --html out to see the text")
                })?;
                write(out, html.as_bytes())?;
            } else {
                write(out, bytes)?;
            }
            Ok(Exit::Ok)
        }
    }
}

fn lint(loaded: Result<Renderer, Vec<Lint>>, json: bool, out: &mut dyn Write) -> Result<Exit, CliError> {
    let lints = match loaded {
        Ok(renderer) => {
            if !json {
                let count = counted(renderer.templates().count() as u64, "template");
                write(out, format!("{count}, no mistakes\n").as_bytes())?;
            }
            return Ok(Exit::Ok);
        }
        Err(lints) => lints,
    };
    for lint in &lints {
        let line =
            if json { serde_json::to_string(lint).map_err(CliError::failed)? } else { lint.to_string() };
        write(out, format!("{line}\n").as_bytes())?;
    }
    Ok(Exit::Failed)
}

fn list(renderer: &Renderer, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let joined = |list: Vec<String>| if list.is_empty() { String::from("-") } else { list.join(" ") };
    let mut rows = screen::Columns::new(["TEMPLATE", "LOCALES", "PURPOSE", "PERSON FIELDS", "DATA"]);
    for info in renderer.templates() {
        if json {
            let line = serde_json::to_string(info).map_err(CliError::failed)?;
            write(out, format!("{line}\n").as_bytes())?;
        }
        let fields = info.fields.iter().map(|(name, rule)| match *rule {
            "required" => name.clone(),
            _ => format!("[{name}]"),
        });
        rows.add([
            info.name.clone(),
            joined(info.locales.clone()),
            joined(info.purposes.clone()),
            joined(fields.collect()),
            joined(info.data.iter().cloned().collect()),
        ]);
    }
    if !json {
        write(out, rows.text(screen::width()).as_bytes())?;
    }
    Ok(())
}

fn preview(
    renderer: &Renderer,
    info: &TemplateInfo,
    locale: Option<&str>,
    data: &Data,
) -> Result<Finished, Fault> {
    let plan = renderer.plan(&Content::Template(info.name.as_str().into()), locale)?;
    let fields = plan.person_fields().chain(info.fields.keys().map(String::as_str)).collect();
    let token = Token::from_local("e_previewpreview")?;
    plan.render(&RenderRequest {
        person: &sample_person(&fields),
        token: &token,
        data,
        send: &SendNumber::fresh(),
        campaign: Some("preview"),
        sender: None,
        transfer: Transfer::EightBit,
        may_reveal: &|_| true,
        size_max: PREVIEW_BYTES_MAX,
        now: &Moment::at(SystemTime::now()),
    })
}

/// Somebody who does not exist.
fn sample_person(fields: &BTreeSet<&str>) -> Person {
    let mut person = PersonBuilder::default();
    person.field(EMAIL, "maya.example@example.org");
    for field in fields.iter().filter(|field| **field != EMAIL) {
        let value = match *field {
            "first_name" | "name" => "Maya",
            "last_name" => "Example",
            "phone" => "+1 555 0100",
            "city" => "Sampletown",
            "street" => "12 Example Street",
            other => other,
        };
        person.field(field, value);
    }
    person.build()
}

/// Data in the shape the template reads: two items in every list, names as values, a link where one is named.
fn sample_data(info: &TemplateInfo) -> Data {
    let mut data = Json::Object(Data::new());
    for path in &info.data {
        let parts: Vec<&str> = path.split('.').collect();
        put_sample(&mut data, &parts);
    }
    match data {
        Json::Object(map) => map,
        _ => Data::new(),
    }
}

fn put_sample(at: &mut Json, parts: &[&str]) {
    let Some((part, rest)) = parts.split_first() else { return };
    let (name, index) = part.split_once('[').map_or((*part, None), |(name, index)| (name, Some(index)));
    if !at.is_object() {
        *at = Json::Object(Data::new());
    }
    let Some(map) = at.as_object_mut() else { return };
    if index.is_none() && rest.is_empty() {
        let is_link = ["url", "link", "href"].iter().any(|word| name.contains(word));
        let value = if is_link { format!("https://example.org/{name}") } else { name.to_owned() };
        map.entry(name).or_insert(Json::String(value));
        return;
    }
    let below = map.entry(name).or_insert(Json::Null);
    if index.is_none() {
        return put_sample(below, rest);
    }
    if !below.is_array() {
        *below = Json::Array(vec![Json::Null; 2]);
    }
    for item in below.as_array_mut().into_iter().flatten() {
        if rest.is_empty() {
            if item.is_null() {
                *item = Json::String(name.to_owned());
            }
        } else {
            put_sample(item, rest);
        }
    }
}

fn read_data(file: &std::path::Path) -> Result<Data, CliError> {
    let place = file.display();
    let unreadable = |error: std::io::Error| unreadable(file, &error);
    if std::fs::metadata(file).map_err(unreadable)?.len() > DATA_BYTES_MAX {
        return Err(CliError::failed(format!("{place} is larger than {DATA_BYTES_MAX} bytes")));
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    data::from_json(&bytes).map_err(|error| {
        CliError::new(Exit::Usage, format!("{place}: {error}"))
            .fix("write the job's data as {\"order\": \"A-17\"}, each key once")
    })
}

/// # Errors
/// When there is a template with a mistake.
fn whole(renderer: &Renderer) -> Result<Exit, CliError> {
    let mut mistakes = renderer.shelf().mistakes();
    let Some(first) = mistakes.next() else { return Ok(Exit::Ok) };
    let cause = format!("the templates have {} mistakes, the first: {first}", 1 + mistakes.count());
    Err(CliError::new(Exit::Config, cause).fix("tokenrelay template lint"))
}

fn write(out: &mut dyn Write, bytes: &[u8]) -> Result<(), CliError> {
    out.write_all(bytes).map_err(screen::unwritable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::fs;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: TemplateArgs,
    }

    fn shop() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let shop = dir.path().join("shop");
        fs::create_dir(&shop).unwrap();
        let manifest = "from = \"a@b.test\"\npurpose = \"service\"\n[field.first_name]\nrequired = true\n";
        fs::write(shop.join("template.toml"), manifest).unwrap();
        fs::write(shop.join("subject.hbs"), "{{data.order.id}}").unwrap();
        fs::write(shop.join("body.txt.hbs"), "{{person.first_name}}{{#each data.items}} {{name}}{{/each}}")
            .unwrap();
        fs::write(shop.join("body.html.hbs"), "<a href=\"{{data.shop_url}}\">x</a>").unwrap();
        dir
    }

    fn run_line(dir: &std::path::Path, line: &[&str]) -> (Result<Exit, CliError>, String) {
        let args = Line::try_parse_from([&["template"], line].concat()).unwrap().args;
        let mut out = Vec::new();
        let settings = Settings { dir: Some(dir.to_owned()), ..Settings::default() };
        let exit = run_to(args, settings, &mut out);
        (exit, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_list_says_what_jobs_must_bring() {
        let dir = shop();
        let (exit, table) = run_line(dir.path(), &["list"]);
        assert_eq!(exit.unwrap(), Exit::Ok);
        assert!(table.lines().nth(1).unwrap().contains("first_name"), "{table}");
        let json: Json = serde_json::from_str(&run_line(dir.path(), &["list", "--json"]).1).unwrap();
        assert_eq!(json["data"][0], "items");
    }

    #[test]
    fn lint_prints_each_mistake_and_fails() {
        let dir = shop();
        assert_eq!(run_line(dir.path(), &["lint"]).0.unwrap(), Exit::Ok);
        fs::write(dir.path().join("shop/subject.hbs"), "{{x}}").unwrap();
        let (exit, text) = run_line(dir.path(), &["lint"]);
        assert_eq!(exit.unwrap(), Exit::Failed);
        assert!(text.starts_with("shop/subject.hbs:1:1: x is not known here; fix: "), "{text}");
        let json: Json = serde_json::from_str(&run_line(dir.path(), &["lint", "--json"]).1).unwrap();
        assert_eq!((json["line"].as_u64(), json["place"].as_str()), (Some(1), Some("shop/subject.hbs")));
        assert_eq!(run_line(dir.path(), &["list"]).0.unwrap_err().exit, Exit::Config);
    }

    #[test]
    fn c13_a_draft_with_a_mistake_leaves_the_others_to_be_looked_at() {
        let dir = shop();
        fs::create_dir(dir.path().join("draft")).unwrap();
        let (exit, table) = run_line(dir.path(), &["list"]);
        assert!(exit.unwrap_err().cause.contains("draft/template.toml") && table.contains("shop"), "{table}");
        assert_eq!(run_line(dir.path(), &["preview", "shop"]).0.unwrap(), Exit::Ok);
        assert!(run_line(dir.path(), &["preview", "draft"]).0.unwrap_err().cause.contains("mistakes"));
    }

    #[test]
    fn a_preview_needs_no_vault_and_no_data() {
        let dir = shop();
        let (exit, eml) = run_line(dir.path(), &["preview", "shop"]);
        assert_eq!(exit.unwrap(), Exit::Ok);
        assert!(eml.contains("Subject: id") && eml.contains("Maya name name"), "{eml}");
        let html = run_line(dir.path(), &["preview", "shop", "--html"]).1;
        assert_eq!(html.trim_end(), "<a href=\"https://example.org/shop_url\">x</a>");
        let data = dir.path().join("data.json");
        fs::write(&data, "{\"order\": {\"id\": 7}, \"items\": [], \"shop_url\": \"javascript:x\"}").unwrap();
        let (exit, _) = run_line(dir.path(), &["preview", "shop", "--data", data.to_str().unwrap()]);
        assert!(exit.unwrap_err().cause.contains("bad-job"));
        assert!(run_line(dir.path(), &["preview", "nosuch"]).0.is_err());
    }
}
