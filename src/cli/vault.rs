//! `tokenrelay vault …`: people in and out of the vault on the command line.

mod import;
mod show;

use super::{CliError, Exit, Ignored, screen};
use crate::job::Token;
use crate::purpose::Known;
use crate::vault::value::Words;
use crate::vault::{Column, Draft, Settings, Stored, Vault, VaultError, Writer};
use clap::{Args, Subcommand};
use show::Show;
use std::io::{self, BufRead, Read, Write};
use zeroize::Zeroizing;

/// Longest single line taken from standard input, in bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Debug, Args)]
pub struct VaultArgs {
    #[command(subcommand)]
    verb: Verb,
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Store people from a CSV or NDJSON file and give each a token.
    Import(import::ImportArgs),
    /// Store one person, or one a line of NDJSON from standard input.
    Put(PutArgs),
    /// Show one person by token, every value masked.
    Get {
        /// A token (`e_...` or `m_...`), with or without its domain.
        token: String,
    },
    /// Print the token of an e-mail address or phone number, making it when there is none.
    ///
    /// Arguments are visible to every user of this machine in the process list while the command runs: prefer
    /// `-`.
    Token {
        /// The address or number; `-` reads it from standard input.
        address: String,
    },
    /// Count people and tokens.
    Stats,
    /// Open every record and check every index row.
    Verify,
    /// Use a vault that was set back to an earlier time, as by a restored backup: who withdrew consent since is mailed again.
    ///
    /// Until then nobody is read from it. Import what has changed since first.
    Release(ReleaseArgs),
    #[command(flatten)]
    Later(Later),
}

#[derive(Debug, Args)]
struct PutArgs {
    /// `-` reads NDJSON from standard input, one person a line.
    #[arg(value_name = "-", value_parser = ["-"], conflicts_with = "field", required_unless_present = "field")]
    stdin: Option<String>,
    /// NAME=VALUE: email, phone, token, consent, retention or any person field; may be repeated.
    ///
    /// Arguments are visible to every user of this machine in the process list while the command runs: prefer
    /// `-`.
    #[arg(long, value_name = "NAME=VALUE")]
    field: Vec<String>,
    /// Take the value of this field as it is, though it looks like what programs leave in place of one; may be repeated.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    as_is: Vec<String>,
}

#[derive(Debug, Args)]
struct ReleaseArgs {
    /// The whole vault
    #[arg(long, required_unless_present = "token")]
    all: bool,
    /// Use it; without it, it is only said what that means
    #[arg(long)]
    yes: bool,
    /// Of one person; still to come.
    #[arg(hide = true)]
    token: Option<String>,
}

/// Verbs of the contract that are still to come: not listed, and they say so when they are typed.
#[derive(Debug, Subcommand)]
enum Later {
    #[command(hide = true)]
    Export(Ignored),
    #[command(hide = true)]
    Erase(Ignored),
    #[command(hide = true)]
    Restrict(Ignored),
    #[command(hide = true)]
    Consent(Ignored),
    #[command(hide = true)]
    Suppress(Ignored),
    #[command(hide = true)]
    History(Ignored),
    #[command(hide = true)]
    Rotate(Ignored),
    #[command(hide = true)]
    Rekey(Ignored),
    #[command(hide = true)]
    Seal(Ignored),
    #[command(hide = true)]
    Unseal(Ignored),
    #[command(hide = true)]
    Backup(Ignored),
    #[command(hide = true)]
    Restore(Ignored),
    #[command(hide = true)]
    Compact(Ignored),
}

impl Later {
    fn name(&self) -> &'static str {
        match self {
            Self::Export(_) => "export",
            Self::Erase(_) => "erase",
            Self::Restrict(_) => "restrict",
            Self::Consent(_) => "consent",
            Self::Suppress(_) => "suppress",
            Self::History(_) => "history",
            Self::Rotate(_) => "rotate",
            Self::Rekey(_) => "rekey",
            Self::Seal(_) => "seal",
            Self::Unseal(_) => "unseal",
            Self::Backup(_) => "backup",
            Self::Restore(_) => "restore",
            Self::Compact(_) => "compact",
        }
    }
}

/// Where a command reads and writes; the terminal, or a test.
pub struct Streams<'a> {
    pub input: &'a mut dyn Read,
    pub output: &'a mut dyn Write,
    pub errors: &'a mut dyn Write,
}

/// Runs one vault command on the terminal.
///
/// # Errors
/// [`CliError`] with cause, fix and exit code; never a person's value.
pub fn run(args: VaultArgs, settings: &Settings, purposes: &dyn Fn() -> Known) -> Result<Exit, CliError> {
    run_on(
        args,
        settings,
        purposes,
        &mut Streams {
            input: &mut io::stdin().lock(),
            output: &mut screen::stdout(),
            errors: &mut io::stderr().lock(),
        },
    )
}

/// [`run`] on streams of the caller's choice. `purposes` tells what the configuration knows of, and is asked only where it matters.
///
/// # Errors
/// As [`run`].
pub fn run_on(
    args: VaultArgs,
    settings: &Settings,
    purposes: &dyn Fn() -> Known,
    streams: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let show = Show { json: args.json };
    match args.verb {
        Verb::Import(import) => import::import(import, settings, purposes(), show, streams),
        Verb::Put(put) => self::put(put, settings, purposes(), show, streams),
        Verb::Get { token } => get(&token, settings, show, streams),
        Verb::Token { address } => token(&address, settings, show, streams),
        Verb::Stats => show.stats(&open(settings)?.stats()?, streams.output),
        Verb::Verify => verify(settings, show, streams),
        Verb::Release(ReleaseArgs { token: Some(_), .. }) => Err(not_available("release TOKEN")),
        Verb::Release(args) => release(&args, settings, show, streams),
        Verb::Later(later) => Err(not_available(later.name())),
    }
}

fn not_available(verb: &str) -> CliError {
    CliError::failed(format_args!("vault {verb} is not available in this version"))
        .fix("tokenrelay vault --help lists what is")
}

fn open(settings: &Settings) -> Result<Vault, CliError> {
    Ok(Vault::open(settings)?)
}

/// What is stored in an older copy of the vault counts once that is released, so it is no error.
fn writer(settings: &Settings, errors: &mut dyn Write) -> Result<Writer, CliError> {
    let vault = Vault::open_or_create(settings)?;
    if let Err(warning) = vault.is_latest() {
        // A closed stderr is no reason to fail: check and the relay say the same.
        let _ = writeln!(errors, "warning: {warning}");
    }
    Ok(vault.writer()?)
}

/// An older copy may be whole, and is not what it should be.
fn verify(settings: &Settings, show: Show, streams: &mut Streams<'_>) -> Result<Exit, CliError> {
    let vault = open(settings)?;
    let exit = show.verified(&vault.verify()?, streams.output)?;
    vault.is_latest()?;
    Ok(exit)
}

/// As `jobs release`: shown until `--yes`.
fn release(
    args: &ReleaseArgs,
    settings: &Settings,
    show: Show,
    streams: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let vault = open(settings)?;
    let why = match vault.is_latest().and_then(|()| vault.audit()) {
        Ok(()) => None,
        Err(cause) if cause.awaits_a_person() || matches!(cause, VaultError::PutBack { .. }) => {
            Some(CliError::from(cause))
        }
        Err(cause) => return Err(cause.into()),
    };
    let releases = args.yes && why.is_some();
    if releases {
        vault.release()?;
    }
    show.released(releases, streams.output)?;
    if let Some(why) = why.filter(|_| !args.yes) {
        let _ = writeln!(
            streams.errors,
            "{}. Nothing was changed: import what has changed since, withdrawn consent too, then add --yes",
            why.cause
        );
    }
    Ok(Exit::Ok)
}

fn put(
    args: PutArgs,
    settings: &Settings,
    purposes: Known,
    show: Show,
    streams: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    if args.stdin.is_some() {
        return import::put_lines(&args.as_is, settings, purposes, show, streams);
    }
    let words = Words { as_is: import::fields_as_is(&args.as_is)?, ..Words::default() };
    let mut draft = Draft::reading(&words);
    let is_given = |name: &String| args.field.iter().any(|field| field.starts_with(&format!("{name}=")));
    if let Some(name) = args.as_is.iter().find(|name| !is_given(name)) {
        return Err(CliError::new(Exit::Usage, format_args!("--as-is: there is no --field {name}=..."))
            .fix("correct the name, or leave --as-is out"));
    }
    for field in args.field.into_iter().map(Zeroizing::new) {
        let (name, value) = field.split_once('=').ok_or_else(|| {
            CliError::new(Exit::Usage, "a --field has no =")
                .fix("write --field NAME=VALUE, such as city=Haifa")
        })?;
        match Column::named(name) {
            Ok(column) => draft.read(&column, value),
            Err(cause) => draft.refuse(cause.into()),
        }
    }
    let draft = draft.spelled(&purposes).finished();
    if let Some(refusal) = draft.refusal().filter(|_| !draft.withdraws()) {
        return Err(CliError::failed(refusal));
    }
    for notice in draft.notices() {
        let _ = writeln!(streams.errors, "warning: {}", import::told_of(notice, &purposes));
    }
    let stored = put_one(&draft, settings, streams.errors)?;
    show.stored(None, &stored, streams.output)
}

fn put_one(draft: &Draft, settings: &Settings, errors: &mut dyn Write) -> Result<Stored, CliError> {
    writer(settings, errors)?.put(draft)?.map_err(CliError::failed)
}

fn get(token: &str, settings: &Settings, show: Show, streams: &mut Streams<'_>) -> Result<Exit, CliError> {
    let local = token.split_once('@').map_or(token, |(local, _)| local);
    let token = Token::from_local(local).map_err(|_| {
        CliError::new(Exit::Usage, "this is not a token")
            .fix("give e_... or m_...; the token of an address: tokenrelay vault token -")
    })?;
    let mut found = open(settings)?.reader()?.read_batch(std::slice::from_ref(&token))?;
    match found.pop().transpose().map_err(VaultError::from)?.flatten() {
        Some(person) => show.person(&person, streams.output),
        None => Err(CliError::failed("the vault knows nobody by this token")
            .fix("the token of an address or number: tokenrelay vault token -")),
    }
}

fn token(
    address: &str,
    settings: &Settings,
    show: Show,
    streams: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let mut line = Zeroizing::new(String::with_capacity(4096));
    if address == "-" {
        let mut input = io::BufReader::new((&mut *streams.input).take(LINE_BYTES_MAX));
        input.read_line(&mut line).map_err(|_| CliError::failed("standard input is not a line of UTF-8"))?;
    } else {
        line.push_str(address);
    }
    let given = line.trim();
    let mut draft = Draft::default();
    let column = if given.contains('@') { "email" } else { "phone" };
    draft.set_named(column, given).map_err(CliError::failed)?;
    let stored = put_one(&draft.checked().map_err(CliError::failed)?, settings, streams.errors)?;
    let token = if column == "email" { &stored.email_token } else { &stored.mobile_token };
    let token =
        token.as_ref().ok_or_else(|| CliError::failed("this person has no token for that address"))?;
    show.token(token, &stored, streams.output)
}

impl From<VaultError> for CliError {
    fn from(error: VaultError) -> Self {
        let exit = match &error {
            VaultError::WrongKey { .. } => Exit::Config,
            error if error.is_transient() => Exit::Temporary,
            _ => Exit::Failed,
        };
        // The vault's own words hold cause and fix, parted by the first semicolon.
        let text = error.to_string();
        match text.split_once("; ") {
            Some((cause, fix)) => Self::new(exit, cause).fix(fix),
            None => Self::new(exit, text),
        }
    }
}

#[cfg(test)]
mod tests;
