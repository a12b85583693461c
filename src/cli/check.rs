//! `tokenrelay check`: a checklist of everything `serve` needs, and jobs after it, with a fix for each failure.

mod doors;
mod engines;
mod journal;
mod targets;

use super::{CliError, Exit, WithConfig, context, private, screen};
use crate::config::{Config, ConfigError, Problem};
use crate::counted::counted;
use crate::render::Renderer;
use crate::vault::{Surveyed, Vault};
use clap::Args;
use serde::Serialize;
use std::io::{self, Write};

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    with: WithConfig,
    /// Do not connect to the targets
    #[arg(long)]
    offline: bool,
    /// Ask each target whether it takes mail from this address [default: the senders of the templates]
    #[arg(long, value_name = "ADDRESS", value_parser = targets::address)]
    probe_from: Option<String>,
    /// Ask each target whether it takes mail to this address; nothing is sent to it
    #[arg(long, value_name = "ADDRESS", value_parser = targets::address)]
    probe_to: Option<String>,
    /// One JSON object a line: check, ok, detail and, where it is not ok, fix
    #[arg(long)]
    json: bool,
}

/// One line of the checklist.
#[derive(Debug, Serialize)]
struct Step {
    check: String,
    ok: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Step {
    fn good(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { check: check.into(), ok: true, detail: detail.into(), fix: None }
    }

    fn bad(check: impl Into<String>, cause: impl ToString, fix: impl Into<String>) -> Self {
        Self { check: check.into(), ok: false, detail: cause.to_string(), fix: Some(fix.into()) }
    }

    /// What another command, or `serve`, would end with.
    fn failed(check: impl Into<String>, error: CliError) -> Self {
        Self { check: check.into(), ok: false, detail: error.cause, fix: error.fix }
    }
}

/// What is wrong with one thing, and what mends it.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    cause: String,
    fix: String,
}

impl Fault {
    fn of(self, check: &str) -> Step {
        Step::bad(check, self.cause, self.fix)
    }
}

/// Checks and prints.
///
/// # Errors
/// Exit 78 when the configuration itself cannot be read; failures of single checks end with exit 1.
pub async fn run(args: CheckArgs) -> Result<Exit, CliError> {
    let config = match Config::load(&args.with.config) {
        Ok(config) => config,
        Err(error) if args.json => {
            print(&unread(&error), Form::Json).map_err(screen::unwritable)?;
            return Ok(Exit::Config);
        }
        Err(error) => return Err(context::unusable(&error)),
    };
    let steps = steps(&config, &args).await;
    let form = if args.json { Form::Json } else { Form::List };
    print(&steps, form).map_err(screen::unwritable)?;
    Ok(if steps.iter().all(|step| step.ok) { Exit::Ok } else { Exit::Failed })
}

/// A step for each mistake in the configuration.
fn unread(error: &ConfigError) -> Vec<Step> {
    const NAME: &str = "configuration";
    match error {
        ConfigError::Unreadable { .. } => vec![Step::failed(NAME, context::unusable(error))],
        ConfigError::Wrong { file, problems } => {
            let step = |problem: &Problem| Step::bad(NAME, problem.told(file), problem.fix());
            problems.iter().map(step).collect()
        }
    }
}

fn private_files(config: &Config) -> Step {
    const NAME: &str = "private files";
    let (count, exposed) = private::look(config);
    if exposed.is_empty() {
        return Step::good(NAME, format!("{count} are closed to other users"));
    }
    let (cause, fix) = private::told(&exposed);
    Step::bad(NAME, cause, fix)
}

async fn steps(config: &Config, args: &CheckArgs) -> Vec<Step> {
    let renderer = Renderer::read(context::render_settings(config));
    let mut steps = vec![Step::good("configuration", config.file.display().to_string())];
    steps.push(private_files(config));
    steps.extend(templates(&renderer));
    steps.extend(engines::engines(config, &renderer));
    steps.push(vault(config));
    let (journal, owner) = journal::journal(config);
    steps.push(journal);
    steps.extend(journal::orphans(config));
    steps.extend(doors::listeners(config, owner).await);
    if !args.offline {
        let asked = targets::Asked { from: args.probe_from.as_deref(), to: args.probe_to.as_deref() };
        steps.extend(targets::targets(config, &targets::envelope(&renderer, &asked)).await);
    }
    steps
}

/// A step for each mistake, or one.
fn templates(renderer: &Renderer) -> Vec<Step> {
    let mistakes: Vec<Step> = renderer
        .shelf()
        .mistakes()
        .map(|lint| Step::bad("templates", format!("{}: {}", lint.whereabouts(), lint.cause), &lint.fix))
        .collect();
    if !mistakes.is_empty() {
        return mistakes;
    }
    vec![Step::good("templates", format!("{} loaded", renderer.templates().count()))]
}

/// People whose consents are looked at: opening a million would take as long as an import.
const SURVEYED_MAX: u64 = 20_000;

/// Consent to what nobody mails for is no fault of the set-up, and most often a slip of the list it came from. The words may be
/// anything that a column held, so they are not told.
fn strays(config: &Config, Surveyed { people, strays }: Surveyed) -> String {
    if strays == 0 {
        return String::new();
    }
    let known = context::purposes(config);
    let names = known.names().collect::<Vec<_>>().join(", ");
    let names = if names.is_empty() { "none" } else { &names };
    format!(
        "; of the latest {people} the consent of {strays} names a purpose that no engine and no template names (they name {names}): nobody \
         can mail for it; import them once more with the right one, or name it in purposes of an [[engine]]"
    )
}

fn vault(config: &Config) -> Step {
    const NAME: &str = "vault";
    let opened = context::vault_settings(config).and_then(|settings| {
        let vault = Vault::open(&settings)?;
        vault.is_latest()?;
        vault.audit()?;
        let surveyed = vault.survey_purposes(&context::purposes(config), SURVEYED_MAX)?;
        Ok((vault.stats()?, surveyed))
    });
    match opened {
        Ok((stats, _)) if stats.people == 0 => Step::bad(
            NAME,
            "there is nobody in it: every job would be refused as unknown-token",
            "tokenrelay vault import PEOPLE.csv --tokens-out tokens.csv",
        ),
        Ok((stats, surveyed)) => {
            let people = counted(stats.people, "person");
            Step::good(NAME, format!("{people}{}", strays(config, surveyed)))
        }
        Err(error) => Step::failed(NAME, error),
    }
}

#[derive(Clone, Copy)]
enum Form {
    List,
    /// One object a line.
    Json,
}

fn print(steps: &[Step], form: Form) -> io::Result<()> {
    let mut out = screen::stdout();
    match form {
        Form::Json => {
            for step in steps {
                writeln!(out, "{}", serde_json::to_string(step)?)?;
            }
            Ok(())
        }
        Form::List => out.write_all(list(steps, screen::width()).as_bytes()),
    }
}

/// Behind `ok` and `FAIL`.
const VERDICT_CHARS: usize = 6;

fn list(steps: &[Step], width: screen::Width) -> String {
    let names = steps.iter().map(|step| step.check.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for step in steps {
        let verdict = if step.ok { "ok" } else { "FAIL" };
        let line = format!("{verdict:<VERDICT_CHARS$}{:<names$}  {}", step.check, step.detail);
        text += &width.wrap(&line, VERDICT_CHARS + names + 2);
        if let Some(fix) = &step.fix {
            text += &width.wrap(&format!("{:VERDICT_CHARS$}fix: {fix}", ""), VERDICT_CHARS + 5);
        }
    }
    let failed = steps.iter().filter(|step| !step.ok).count();
    text + &if failed == 0 { String::from("all good\n") } else { format!("{failed} failed\n") }
}
