//! `tokenrelay sink`: the test MTA on the command line.

use super::files::{unreadable, unwritable};
use super::stop::Stop;
use super::{CliError, Exit, screen};
use crate::app::bind_fix;
use crate::config::Bind;
use crate::counted::counted;
use crate::load::sink::{
    Number, PROFILES, Profile, Proofs, Record, Script, Sink, SinkHandle, SinkSettings, SinkStats, SinkTls,
    UnknownProfile,
};
use crate::nearest::nearest;
use crate::secret::SecretRef;
use crate::tls::{DevAuthority, ServerFiles, ServerTls};
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// How often the file with the behaviour is looked at.
const FOLLOW: Duration = Duration::from_millis(100);
const REFRESH: Duration = Duration::from_millis(500);

/// A test MTA that counts messages and misbehaves on request. It delivers nothing. Ctrl-C or SIGTERM ends it with a summary.
#[derive(Debug, clap::Args)]
pub struct SinkArgs {
    /// Address to listen on; port 0 takes a free one. May be given several times.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2587")]
    pub listen: Vec<SocketAddr>,
    /// How to speak TLS. Without --cert a throw-away certificate is made.
    #[arg(long, value_enum, default_value_t = SinkTlsArg::None)]
    pub tls: SinkTlsArg,
    /// Certificate chain in PEM form.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its private key in PEM form.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Where to write the throw-away authority, for the client to trust.
    #[arg(long, value_name = "FILE", conflicts_with = "cert")]
    pub ca_out: Option<PathBuf>,
    /// Write each message as NNNNNN.eml with its envelope as NNNNNN.json.
    #[arg(long, value_name = "DIR")]
    pub dump: Option<PathBuf>,
    /// Hold each message against its recipient's digest, and fail when one is wrong. A line is 'recipient,digest': the
    /// first 16 hex digits of SHA-256 over the values of To and Subject and each stretch between `[[` and `]]`, every one
    /// with a line feed behind it.
    #[arg(long, value_name = "FILE")]
    pub verify: Option<PathBuf>,
    /// Append a line of JSON for each content that arrives, before it is answered: at, id, to, code.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Behaviour, several joined by commas, such as refuse-rcpt=3,slow=20; --list says what there is.
    #[arg(long, value_name = "NAME[=N]", default_value = "accept")]
    pub profile: String,
    /// List the behaviours for --profile and end.
    #[arg(long)]
    pub list: bool,
    /// Read the behaviour from this file instead, and follow what is written there while it runs.
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    pub profile_from: Option<PathBuf>,
    /// Demand AUTH with this user and password.
    #[arg(long, value_name = "USER:PASSWORD")]
    pub auth: Option<String>,
    /// Stop after this many messages.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// Print address and summary as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SinkTlsArg {
    None,
    Starttls,
    Implicit,
}

/// Runs until Ctrl-C or SIGTERM, or until `--count` messages have come.
///
/// # Errors
/// An address that cannot be bound, an unknown profile, or a file that cannot be used.
pub async fn run(args: SinkArgs) -> Result<Exit, CliError> {
    if args.list {
        return list(args.json);
    }
    let settings = settings(&args)?;
    let mut stop = Stop::listen().map_err(CliError::failed)?;
    let mut listeners = Vec::new();
    let binds: Vec<Bind> = args.listen.iter().copied().map(Bind::Tcp).collect();
    for address in &args.listen {
        let listener = TcpListener::bind(address).await.map_err(|cause| {
            let opened = &binds[..listeners.len()];
            CliError::failed(format!("cannot listen on {address}: {}", cause.kind())).fix(bind_fix(
                &Bind::Tcp(*address),
                &cause,
                opened,
            ))
        })?;
        listeners.push(listener);
    }
    let sink = Sink::start(listeners, settings);
    announce(&sink, &args)?;
    let from = Instant::now();
    let enough = async {
        match args.count {
            Some(count) => sink.wait_until(|stats| stats.messages >= count).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = enough => {}
        () = stop.told() => {}
        never = keep_counting(&sink, &args, from) => never?,
        never = follow(&sink, &args) => never?,
    }
    let stats = sink.stop().await;
    summarise(&stats, from.elapsed(), &args)?;
    match stats.proofs {
        Some(proofs) if proofs.wrong > 0 => Err(CliError::failed(format!(
            "{} messages are not what their recipients should get",
            proofs.wrong
        ))
        .fix("look at them: run it again with --dump DIR")),
        _ => Ok(Exit::Ok),
    }
}

fn list(is_json: bool) -> Result<Exit, CliError> {
    for Profile { name, number, effect } in PROFILES {
        let (form, more) = match number {
            Number::None => (String::from(*name), String::new()),
            Number::EachNth => (format!("{name}[=N]"), String::new()),
            Number::Of(unit) => (format!("{name}=N"), format!("; N {unit}")),
            Number::Or(unit, default) => (format!("{name}[=N]"), format!("; N {unit}, else {default}")),
        };
        if is_json {
            say(&serde_json::json!({ "profile": form, "effect": format!("{effect}{more}") }).to_string())?;
        } else {
            say(&format!("{form:<28}{effect}{more}"))?;
        }
    }
    if is_json {
        return Ok(Exit::Ok);
    }
    say("\n[=N]: each Nth time only, counted over all connections, unless told otherwise.")?;
    say("Join several with commas: --profile no-chunking,refuse-rcpt=3,slow=20")?;
    Ok(Exit::Ok)
}

fn settings(args: &SinkArgs) -> Result<SinkSettings, CliError> {
    let script = match &args.profile_from {
        Some(path) => script(&written(path)?)?,
        None => script(&args.profile)?,
    };
    if let Some(dir) = &args.dump {
        std::fs::create_dir_all(dir).map_err(|cause| unwritable(dir, &cause))?;
    }
    let auth = match args.auth.as_deref().map(|auth| auth.split_once(':')) {
        None => None,
        Some(Some((user, password))) => Some((user.to_owned(), password.to_owned())),
        Some(None) => {
            return Err(CliError::new(Exit::Usage, "--auth has no colon").fix("--auth USER:PASSWORD"));
        }
    };
    let (tls, proofs) = (tls(args)?, args.verify.as_deref().map(proofs).transpose()?);
    let record = args.record.as_deref().map(record).transpose()?;
    Ok(SinkSettings { tls, script, dump_dir: args.dump.clone(), auth, proofs, record, keep: false })
}

fn script(profile: &str) -> Result<Script, CliError> {
    Script::profile(profile).map_err(|unknown: UnknownProfile| unknown_profile(&unknown))
}

fn unknown_profile(unknown: &UnknownProfile) -> CliError {
    let (name, number) = unknown.name.split_once('=').unwrap_or((&unknown.name, ""));
    let error = CliError::new(Exit::Usage, unknown);
    match PROFILES.iter().find(|profile| profile.name == name) {
        Some(Profile { number: Number::Of(unit) | Number::Or(unit, _), .. }) => {
            error.fix(format_args!("write {name}=N, N {unit}, not \"{}\"", unknown.name))
        }
        Some(Profile { number: Number::EachNth, .. }) => {
            error.fix(format_args!("write {name}=N, N a number, not \"{number}\""))
        }
        Some(Profile { number: Number::None, .. }) => {
            error.fix(format_args!("write {name}, without a number"))
        }
        None => match nearest(name, PROFILES.iter().map(|profile| profile.name)) {
            Some(near) => {
                error.fix(format_args!("did you mean {near}? tokenrelay sink --list says what each does"))
            }
            None => error.fix("tokenrelay sink --list says what there is"),
        },
    }
}

fn written(path: &Path) -> Result<String, CliError> {
    let text = std::fs::read_to_string(path);
    text.map(|text| text.trim().to_owned()).map_err(|cause| unreadable(path, &cause))
}

/// Takes over each change of the file that says how to behave. Never ends by itself.
async fn follow(sink: &SinkHandle, args: &SinkArgs) -> Result<(), CliError> {
    let Some(path) = &args.profile_from else { return std::future::pending().await };
    let mut followed = String::new();
    loop {
        let text = written(path)?;
        if text != followed {
            sink.behave(script(&text)?);
            followed = text;
        }
        tokio::time::sleep(FOLLOW).await;
    }
}

fn record(path: &Path) -> Result<Record, CliError> {
    Record::open(path).map_err(|cause| unwritable(path, &cause))
}

fn proofs(path: &Path) -> Result<Proofs, CliError> {
    let text = std::fs::read_to_string(path).map_err(|cause| unreadable(path, &cause))?;
    Proofs::read(&text).map_err(|cause| {
        CliError::failed(format!("cannot use {}: {cause}", path.display()))
            .fix("write a line 'recipient,digest' for each recipient")
    })
}

fn tls(args: &SinkArgs) -> Result<SinkTls, CliError> {
    if args.tls == SinkTlsArg::None {
        return Ok(SinkTls::None);
    }
    let config = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => from_files(cert, key)?,
        _ => throw_away(args)?,
    };
    Ok(match args.tls {
        SinkTlsArg::Implicit => SinkTls::Implicit(config),
        _ => SinkTls::StartTls(config),
    })
}

fn from_files(cert: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, CliError> {
    let files = ServerFiles { certificate: cert.to_owned(), key: SecretRef::File(key.to_owned()) };
    let tls = ServerTls::load(files, &[]).map_err(|error| CliError::failed(&error).fix(error.fix()))?;
    Ok(tls.config())
}

fn throw_away(args: &SinkArgs) -> Result<Arc<rustls::ServerConfig>, CliError> {
    let ca = DevAuthority::new("tokenrelay sink throw-away CA").map_err(CliError::failed)?;
    let mut names = vec![String::from("localhost"), String::from("127.0.0.1"), String::from("::1")];
    names.extend(args.listen.iter().map(|address| address.ip().to_string()));
    names.sort();
    names.dedup();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if let Some(path) = &args.ca_out {
        std::fs::write(path, ca.certificate_pem()).map_err(|cause| unwritable(path, &cause))?;
    }
    ca.server(&names).map_err(CliError::failed)
}

fn announce(sink: &SinkHandle, args: &SinkArgs) -> Result<(), CliError> {
    for address in sink.addresses() {
        if args.json {
            say(
                &serde_json::json!({ "listening": address.to_string(), "profile": args.profile }).to_string()
            )?;
        } else {
            say(&format!("sink listening on {address} ({}); Ctrl-C ends it", args.profile))?;
        }
    }
    Ok(())
}

/// A line that counts, on a terminal only. Never ends by itself.
async fn keep_counting(sink: &SinkHandle, args: &SinkArgs, from: Instant) -> Result<(), CliError> {
    if args.json || !std::io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(REFRESH).await;
        let stats = sink.stats();
        let line = format!("\r{} messages, {:.0}/s   ", stats.messages, per_second(&stats, from.elapsed()));
        let mut terminal = std::io::stderr().lock();
        terminal.write_all(line.as_bytes()).and_then(|()| terminal.flush()).map_err(CliError::failed)?;
    }
}

fn summarise(stats: &SinkStats, elapsed: Duration, args: &SinkArgs) -> Result<(), CliError> {
    if args.json {
        let text = serde_json::to_string(stats).map_err(CliError::failed)?;
        return say(&text);
    }
    if std::io::stderr().is_terminal() {
        say("")?;
    }
    say(&format!(
        "{} to {}, {} bytes, {:.0} messages/s\n\
         {} ({} in TLS, {} of them resumed), {} contents not accepted",
        counted(stats.messages, "message"),
        counted(stats.recipients, "recipient"),
        stats.octets,
        per_second(stats, elapsed),
        counted(stats.sessions, "session"),
        stats.tls_sessions,
        stats.tls_resumed,
        stats.contents - stats.messages,
    ))?;
    match &stats.proofs {
        Some(proofs) => say(&format!(
            "{} verified for {} different recipients, {} wrong",
            proofs.verified, proofs.distinct, proofs.wrong
        )),
        None => Ok(()),
    }
}

fn per_second(stats: &SinkStats, elapsed: Duration) -> f64 {
    stats.messages as f64 / elapsed.as_secs_f64().max(0.001)
}

fn say(line: &str) -> Result<(), CliError> {
    writeln!(screen::stdout(), "{line}").map_err(screen::unwritable)
}
