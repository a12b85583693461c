//! `tokenrelay load`: the load generator on the command line.

mod report;

use super::context::engine_key;
use super::files::unreadable;
use super::{CliError, Exit, progress, screen};
use crate::config::units;
use crate::counted::counted;
use crate::load::client::{ClientError, Endpoint};
use crate::load::generator::{self, Door, GeneratorError, Jobs, Plan, Rate, SmtpDoor, SmtpTrouble, Source};
use crate::load::handshake::HandshakeFault;
use crate::secret::SecretRef;
use crate::tls::{ClientTls, Trust};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Octets of an invented message.
const SIZE_DEFAULT: &str = "10KiB";
/// How long jobs are sent where nothing is said.
const LASTING: Duration = Duration::from_secs(10);
/// How long at most where their number is said.
const JOBS_LASTING_MAX: Duration = Duration::from_secs(24 * 3600);

/// Sends jobs at a fixed rate, whatever the answers, and reports what came of them. A job's time counts from when it
/// was due, so a relay that falls behind shows.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadArgs {
    /// The door to knock on
    #[arg(long, value_enum, default_value_t = DoorArg::Http)]
    pub door: DoorArg,
    /// Jobs per second, or 'max': each connection sends its next job when one is answered
    #[arg(long, value_name = "R", value_parser = rate)]
    pub rate: Rate,
    /// How long jobs are sent, such as 30s or 5m [default: 10s; with --jobs until all are sent]
    #[arg(long = "for", value_name = "D", value_parser = span)]
    pub lasting: Option<Duration>,
    /// Send no more jobs than this
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub jobs: Option<u64>,
    /// Where the relay listens: https://HOST:PORT, smtp://HOST:PORT (STARTTLS) or smtps://HOST:PORT [default: the
    /// first listener of the config for this door]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The engine's name, for SMTP [default: the first engine of the config]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The engine's secret: file:PATH or env:NAME [default: the first engine of the config]
    #[arg(long, value_name = "REF")]
    pub key: Option<String>,
    /// Certificates to trust, PEM [default: the listener's own certificate where the config has it, else those of
    /// the system]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// CSV with a column email_token, as 'vault import --tokens-out' writes it; recipients are taken in turn
    #[arg(long, value_name = "FILE", default_value = "tokens.csv")]
    pub tokens: PathBuf,
    /// Domain of the tokens [default: the first of token_domains]
    #[arg(long, value_name = "DOMAIN")]
    pub token_domain: Option<String>,
    /// Connections to send over [default: 1 for HTTP, 16 for SMTP]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub connections: Option<u16>,
    /// A template of the relay [default: an invented message with one placeholder]
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// Data for the template, a JSON object, the same in every job
    #[arg(long, value_name = "JSON", requires = "template")]
    pub data: Option<String>,
    /// A message to send over SMTP as its own template; To, Date and Message-ID are put in anew
    #[arg(long, value_name = "FILE", conflicts_with_all = ["template", "size"])]
    pub message: Option<PathBuf>,
    /// Size of the invented message
    #[arg(long, value_name = "BYTES", default_value = SIZE_DEFAULT, value_parser = size, conflicts_with = "template")]
    pub size: usize,
    /// Purpose stated in every job; a template that names another refuses them
    #[arg(long, value_name = "NAME")]
    pub purpose: Option<String>,
    /// Exit 99 when 99 of 100 answers took longer, such as 50ms
    #[arg(long, value_name = "D", value_parser = span)]
    pub max_p99: Option<Duration>,
    /// Exit 99 when more jobs than this failed: neither relayed, nor held, nor suppressed as the person wants it
    #[arg(long, value_name = "N")]
    pub max_failed: Option<u64>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DoorArg {
    Http,
    Smtp,
}

/// What the configuration says where the arguments do not.
#[derive(Debug, Clone)]
pub struct LoadDefaults {
    pub url: Option<String>,
    pub user: Option<String>,
    pub key: Option<SecretRef>,
    pub token_domain: Option<String>,
    /// Whose certificate is good where no `--ca` is given.
    pub trust: Trust,
}

/// Exit 0: sent and reported; 1: the relay took none of the jobs; 99: a threshold was broken.
///
/// # Errors
/// When an argument or a file cannot be used, or the relay cannot be reached.
pub async fn run(args: LoadArgs, defaults: LoadDefaults) -> Result<Exit, CliError> {
    let door = door(&args, &defaults)?;
    let source = source(&args, &defaults)?;
    crate::process::raise_file_limit();
    let connections = args.connections.unwrap_or(match args.door {
        DoorArg::Http => 1,
        DoorArg::Smtp => 16,
    });
    let plan = Plan {
        rate: args.rate,
        lasting: args.lasting.unwrap_or(if args.jobs.is_some() { JOBS_LASTING_MAX } else { LASTING }),
        jobs_max: args.jobs,
        connections: usize::from(connections),
    };
    let clock = progress::clock(going_on(&plan));
    let report = generator::run(door, source, plan).await;
    clock.finish_and_clear();
    let report = report.map_err(unreachable_relay)?;
    let none = report::none_taken(&report).map(CliError::failed);
    if let Some(none) = &none {
        // First of all, and once.
        let _ = super::complain(none);
    }
    report::print(&report, args.json).map_err(screen::unwritable)?;
    if none.is_some() {
        return Ok(Exit::Failed);
    }
    let broken = report::broken(&report, args.max_p99, args.max_failed);
    if broken.is_empty() {
        return Ok(Exit::Ok);
    }
    Err(CliError::new(Exit::Threshold, broken.join("; ")))
}

fn going_on(plan: &Plan) -> String {
    match plan.jobs_max {
        Some(jobs) => format!("sending {}", counted(jobs, "job")),
        None => format!("sending for {} s", plan.lasting.as_secs_f64()),
    }
}

fn unreachable_relay(error: GeneratorError) -> CliError {
    match &error {
        GeneratorError::Http(cause) => client_fix(cause, CliError::failed(&error)),
        GeneratorError::Smtp(cause) => CliError::failed(&error).fix(smtp_fix(cause)),
        GeneratorError::Clock(_) => {
            CliError::failed(&error).fix("end other programs, or raise the limit of threads (ulimit -u)")
        }
    }
}

/// What mends that the relay cannot be spoken to over SMTP.
fn smtp_fix(cause: &SmtpTrouble) -> &'static str {
    match cause {
        SmtpTrouble::Connect { .. } => "start it with 'tokenrelay serve', or correct --url",
        SmtpTrouble::Handshake { cause, .. } => match HandshakeFault::of(cause) {
            Some(HandshakeFault::NotTls) => {
                "write --url smtp://HOST:PORT: this listener speaks in clear at first"
            }
            fault => handshake_fix(fault.unwrap_or(HandshakeFault::Other)),
        },
        SmtpTrouble::Silent => {
            "write --url smtps://HOST:PORT where the listener has tls = \"implicit\"; else see whether the relay still answers"
        }
        SmtpTrouble::Refused { at: "AUTH", .. } => {
            "give the engine's name with --user and its secret with --key file:PATH"
        }
        SmtpTrouble::Refused { code: 421, .. } => {
            "give fewer --connections, or raise connections_max and connections_per_source_max in [limits]"
        }
        SmtpTrouble::Refused { .. } | SmtpTrouble::NoReply => "name an smtp listener of the relay in --url",
        SmtpTrouble::NoTls => {
            "name a listener with TLS in --url, or set tls = \"starttls\", cert and key for this one: a secret does not go out in clear"
        }
        SmtpTrouble::Lost(_) => "see the relay's log for why it closed the connection",
    }
}

fn handshake_fix(fault: HandshakeFault) -> &'static str {
    match fault {
        HandshakeFault::Untrusted => "give --ca FILE with the CA of the relay's certificate",
        HandshakeFault::OtherName => "write a name of the relay's certificate in --url",
        HandshakeFault::Expired => {
            "have the relay's certificate issued anew: tokenrelay check says until when it is valid"
        }
        HandshakeFault::NotTls => "write --url http://HOST:PORT: this listener has tls = \"none\"",
        HandshakeFault::Other => "name the right listener in --url; the relay's log says more",
    }
}

/// What mends that the relay cannot be spoken to over HTTP.
pub fn client_fix(cause: &ClientError, error: CliError) -> CliError {
    match cause {
        ClientError::Refused { status, .. } if status.as_u16() == 401 => {
            error.fix("give the engine's secret with --key file:PATH")
        }
        ClientError::Connect { cause, .. } => error.fix(
            HandshakeFault::of(cause)
                .map_or("start it with 'tokenrelay serve', or correct --url", handshake_fix),
        ),
        ClientError::Handshake { .. } => {
            error.fix("name the http listener in --url, https:// where it has tls = \"implicit\"")
        }
        ClientError::Url(_) | ClientError::Refused { .. } | ClientError::Lost(_) | ClientError::NoResult => {
            error
        }
    }
}

fn door(args: &LoadArgs, defaults: &LoadDefaults) -> Result<Door, CliError> {
    let usage = |cause: &str, fix: &str| CliError::new(Exit::Usage, cause).fix(fix);
    let url = args.url.as_ref().or(defaults.url.as_ref()).ok_or_else(|| {
        usage("no relay is named", "give --url, or -c with a config that has a listener for this door")
    })?;
    let trust = args.ca.clone().map_or_else(|| defaults.trust.clone(), Trust::CaFile);
    let tls = ClientTls::load(trust).map_err(|error| CliError::failed(&error).fix(error.fix()))?;
    let key = engine_key(args.key.as_deref(), defaults.key.as_ref())?;
    if args.door == DoorArg::Http {
        let endpoint = Endpoint::new(url, Some(tls.config()));
        return endpoint
            .map(|endpoint| Door::Http(endpoint, key))
            .map_err(|error| CliError::new(Exit::Usage, error));
    }
    let bad_url =
        || usage("--url is no SMTP door", "write smtp://HOST:PORT, or smtps:// for TLS from the start");
    let (scheme, authority) = url.split_once("://").ok_or_else(bad_url)?;
    let (host, port) = authority.trim_end_matches('/').rsplit_once(':').ok_or_else(bad_url)?;
    let user = args.user.clone().or_else(|| defaults.user.clone());
    Ok(Door::Smtp(SmtpDoor {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: port.parse().map_err(|_| bad_url())?,
        is_implicit: match scheme {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(bad_url()),
        },
        tls,
        user: user.ok_or_else(|| usage("no engine is named", "give --user NAME"))?,
        password: key,
    }))
}

fn source(args: &LoadArgs, defaults: &LoadDefaults) -> Result<Source, CliError> {
    let domain = args.token_domain.as_ref().or(defaults.token_domain.as_ref()).ok_or_else(|| {
        CliError::new(Exit::Usage, "the tokens have no domain").fix("give --token-domain DOMAIN")
    })?;
    let recipients = recipients(&args.tokens, domain)?;
    let jobs = match (&args.template, &args.message) {
        (Some(name), _) => Jobs::Template { name: name.clone(), data: data(args)? },
        (None, None) => Jobs::Invented { octets: args.size },
        (None, Some(_)) if args.door == DoorArg::Http => {
            return Err(CliError::new(Exit::Usage, "--message goes over SMTP only").fix("add --door smtp"));
        }
        (None, Some(path)) => Jobs::Message(std::fs::read(path).map_err(|cause| unreadable(path, &cause))?),
    };
    Source::new(recipients, &jobs, args.purpose.as_deref()).map_err(|error| {
        CliError::failed(error)
            .fix("name a file that holds a whole message: header fields, an empty line, the body")
    })
}

fn data(args: &LoadArgs) -> Result<Option<String>, CliError> {
    let is_object = |text: &str| serde_json::from_str::<serde_json::Map<_, _>>(text).is_ok();
    match &args.data {
        Some(text) if !is_object(text) => {
            Err(CliError::new(Exit::Usage, "--data is no JSON object")
                .fix(r#"write --data '{"order":"A-1"}'"#))
        }
        data => Ok(data.clone()),
    }
}

fn recipients(path: &Path, domain: &str) -> Result<Vec<String>, CliError> {
    let file = std::fs::File::open(path).map_err(|cause| unreadable(path, &cause))?;
    let mut rows = csv::Reader::from_reader(std::io::BufReader::new(file));
    let header = rows.headers().map_err(|cause| no_table(path, &cause))?;
    let no_tokens = |what: &str| {
        CliError::failed(format!("{} has no {what}", path.display()))
            .fix("tokenrelay vault import PEOPLE.csv --tokens-out tokens.csv")
    };
    let column = header
        .iter()
        .position(|name| name == "email_token")
        .ok_or_else(|| no_tokens("column email_token"))?;
    let mut recipients = Vec::new();
    for row in rows.records() {
        let row = row.map_err(|cause| no_table(path, &cause))?;
        // An address in this place would be a person's own, by mistake: only tokens are sent to.
        if let Some(token) = row.get(column).filter(|token| crate::job::Token::from_local(token).is_ok()) {
            recipients.push(format!("{token}@{domain}"));
        }
    }
    if recipients.is_empty() { Err(no_tokens("tokens")) } else { Ok(recipients) }
}

fn no_table(path: &Path, cause: &csv::Error) -> CliError {
    match cause.kind() {
        csv::ErrorKind::Io(cause) => unreadable(path, cause),
        _ => CliError::failed(format!("{} is no table: {cause}", path.display()))
            .fix("tokenrelay vault import PEOPLE.csv --tokens-out tokens.csv"),
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let number: f64 = text.trim_end_matches("/s").parse().unwrap_or(0.0);
    if (0.001..=10_000_000.0).contains(&number) {
        Ok(Rate::PerSecond(number))
    } else {
        Err(String::from("write jobs per second, such as 2000, or max"))
    }
}

fn span(text: &str) -> Result<Duration, String> {
    units::duration(text)
        .filter(|span| !span.is_zero())
        .ok_or_else(|| String::from("write it as 500ms, 10s or 5m"))
}

fn size(text: &str) -> Result<usize, String> {
    let bytes = units::bytes(text).and_then(|bytes| usize::try_from(bytes).ok());
    bytes
        .filter(|bytes| *bytes <= 64 << 20)
        .ok_or_else(|| String::from("write it as 10KiB or 1MiB, up to 64MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_say_their_form_when_they_are_wrong() {
        assert_eq!(rate("max"), Ok(Rate::Max));
        assert_eq!(rate("2500/s"), Ok(Rate::PerSecond(2500.0)));
        assert_eq!(rate("0.5"), Ok(Rate::PerSecond(0.5)));
        for bad in ["0", "-1", "NaN", "inf", "fast", ""] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        assert_eq!(span("50ms"), Ok(Duration::from_millis(50)));
        assert!(span("0s").is_err() && span("5").is_err());
        assert!(size("10KiB") == Ok(10_240) && size("65MiB").is_err());
    }

    #[test]
    fn d_each_cause_has_a_fix_of_its_own() {
        let io = |kind: std::io::ErrorKind| std::io::Error::from(kind);
        let refused = |at, code| SmtpTrouble::Refused { at, code };
        let host = || String::from("h");
        let causes = [
            SmtpTrouble::Connect { host: host(), port: 25, cause: io(std::io::ErrorKind::ConnectionRefused) },
            SmtpTrouble::Handshake { host: host(), port: 25, cause: io(std::io::ErrorKind::UnexpectedEof) },
            SmtpTrouble::Silent,
            refused("AUTH", 535),
            refused("the connection", 421),
            refused("the connection", 554),
            SmtpTrouble::NoTls,
            SmtpTrouble::Lost(io(std::io::ErrorKind::ConnectionReset)),
        ];
        let fixes: std::collections::BTreeSet<&str> = causes.iter().map(smtp_fix).collect();
        assert_eq!(fixes.len(), causes.len(), "{fixes:?}");
    }

    #[test]
    fn only_tokens_become_recipients() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.csv");
        let rows = "line,email_token,mobile_token\n2,e_1111111111,\n3,dana@example.test,\n4,,m_1111111111\n";
        std::fs::write(&file, rows).unwrap();
        assert_eq!(recipients(&file, "t.example").unwrap(), ["e_1111111111@t.example"]);
        std::fs::write(&file, "email_token\ndana@example.test\n").unwrap();
        assert!(!recipients(&file, "t.example").unwrap_err().to_string().contains("dana"));
        std::fs::write(&file, "email\nx\n").unwrap();
        assert!(recipients(&file, "t.example").unwrap_err().cause.contains("email_token"));
    }
}
