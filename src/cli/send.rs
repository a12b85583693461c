//! `send`: submits the jobs of a file through the HTTP door, keeps every result, and resumes where it stopped.

mod input;
mod results;
mod submit;
mod tally;

#[cfg(test)]
mod tests;

use super::context::engine_key;
use super::files::{unreadable, unwritable};
use super::{CliError, Exit};
use crate::load::client::Endpoint;
use crate::secret::SecretRef;
use crate::table;
use crate::tls::{ClientTls, Trust};
use input::{Filling, Rows};
use results::{Earlier, ResultsFile};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use submit::Run;

/// Longest line of the input, in bytes: the door's own default.
const LINE_BYTES_MAX: usize = 1024 * 1024;
const STANDARD_INPUT: &str = "-";

/// Submit jobs from a file, with a progress bar, a results file, and resume.
#[derive(Debug, Clone, clap::Args)]
pub struct SendArgs {
    /// Jobs as NDJSON, or as CSV with a header (to or token, job_id, template, locale, campaign, purpose; other
    /// columns become data); '-' reads NDJSON from standard input
    pub file: PathBuf,
    /// Where the relay listens, such as `https://relay.example:8443` [default: the first http listener of the config]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The engine's secret: file:PATH or env:NAME [default: the first engine of the config]
    #[arg(long, value_name = "REF")]
    pub key: Option<String>,
    /// Certificates to trust, PEM [default: the listener's own certificate where the config has it, else those of the system]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Where results are written [default: FILE.results.ndjson; standard output for '-']
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
    /// Go on with an earlier results file: jobs with a final or journaled result are skipped, deferred and unanswered
    /// ones are submitted again
    #[arg(long)]
    pub resume: bool,
    /// Template for rows that name none
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// Campaign for rows that name none
    #[arg(long, value_name = "NAME")]
    pub campaign: Option<String>,
    /// Purpose for rows that name none; a template that names another refuses them
    #[arg(long, value_name = "NAME")]
    pub purpose: Option<String>,
    /// Domain for CSV tokens that come without one [default: the first of token_domains]
    #[arg(long, value_name = "DOMAIN")]
    pub token_domain: Option<String>,
    /// Connections to submit through
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub connections: u8,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// What the configuration says where the arguments do not.
#[derive(Debug, Clone)]
pub struct SendDefaults {
    pub url: Option<String>,
    pub key: Option<SecretRef>,
    pub token_domain: Option<String>,
    /// Whose certificate is good where no `--ca` is given.
    pub trust: Trust,
}

/// Submits every row and waits for every result. Exit 0: all relayed or held; 1: some failed for good; 3: none failed, but some
/// are in doubt; 75: some were deferred, unanswered or not submitted, so `--resume` helps.
///
/// # Errors
/// When the input, the results file, the key or the relay cannot be used at all.
pub async fn run(args: SendArgs, defaults: SendDefaults) -> Result<Exit, CliError> {
    let endpoint = endpoint(&args, &defaults)?;
    let key = engine_key(args.key.as_deref(), defaults.key.as_ref())?;
    let rows = open_rows(&args, &defaults)?;
    let (results, earlier, results_path) = open_results(&args)?;
    let total = rows_expected(&args.file);
    let run = Run { endpoint, key, connections: args.connections, total, progress: !args.json };
    let summary = run.submit(rows, results, earlier).await?;
    summary.print(&args, results_path.as_deref()).map_err(CliError::failed)?;
    Ok(summary.exit())
}

fn endpoint(args: &SendArgs, defaults: &SendDefaults) -> Result<Endpoint, CliError> {
    let url = args.url.as_ref().or(defaults.url.as_ref()).ok_or_else(|| {
        CliError::new(Exit::Usage, "no relay is named")
            .fix("give --url https://HOST:PORT, or -c with a config that has an http listener")
    })?;
    let tls = if url.starts_with("https:") {
        let trust = args.ca.clone().map_or_else(|| defaults.trust.clone(), Trust::CaFile);
        let tls = ClientTls::load(trust).map_err(|error| CliError::failed(&error).fix(error.fix()))?;
        Some(tls.config())
    } else {
        None
    };
    Endpoint::new(url, tls).map_err(|error| CliError::new(Exit::Usage, error))
}

fn open_rows(args: &SendArgs, defaults: &SendDefaults) -> Result<Rows, CliError> {
    let filling = Filling {
        id_prefix: id_prefix(&args.file),
        token_domain: args.token_domain.clone().or_else(|| defaults.token_domain.clone()),
        line_bytes_max: LINE_BYTES_MAX,
        template: args.template.clone(),
        campaign: args.campaign.clone(),
        purpose: args.purpose.clone(),
    };
    if args.file.as_os_str() == STANDARD_INPUT {
        return Ok(input::ndjson(Box::new(io::stdin()), filling));
    }
    let cannot = |error: io::Error| unreadable(&args.file, &error);
    let file = Box::new(File::open(&args.file).map_err(cannot)?);
    if table::is_named_so(&args.file) {
        input::table(file, filling).map_err(cannot)
    } else {
        Ok(input::ndjson(file, filling))
    }
}

/// From the file's name, so that the same row has the same `job_id` in every run. Standard input has no name: its rows
/// get one of their own in each run, so that two inputs are never taken for one.
fn id_prefix(path: &Path) -> String {
    if path.as_os_str() == STANDARD_INPUT {
        return format!("stdin-{}", &crate::job::SendNumber::fresh().as_str()[2..14]);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain: String = name.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(64).collect();
    if plain.len() == name.len() {
        return plain;
    }
    // Two names must not become one by what was left out.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    format!("{plain}-{}", &crate::base32_lower(digest.as_ref())[..10])
}

/// Line ends in the file, for the progress bar; `None` where they cannot be counted beforehand.
fn rows_expected(path: &Path) -> Option<u64> {
    use std::io::Read;
    let mut file = File::open(path).ok().filter(|_| path.as_os_str() != STANDARD_INPUT)?;
    let mut chunk = vec![0u8; 256 * 1024];
    let mut lines = 0u64;
    loop {
        match file.read(&mut chunk).ok()? {
            // Rows that end otherwise are not counted beforehand.
            0 if lines == 0 => return None,
            0 => return Some(lines.saturating_sub(u64::from(table::is_named_so(path)))),
            count => lines += memchr::memchr_iter(b'\n', &chunk[..count]).count() as u64,
        }
    }
}

fn open_results(args: &SendArgs) -> Result<(ResultsFile, Earlier, Option<PathBuf>), CliError> {
    let path = match (&args.results, args.file.as_os_str() == STANDARD_INPUT) {
        (Some(path), _) => path.clone(),
        (None, false) => {
            let mut name = args.file.clone().into_os_string();
            name.push(".results.ndjson");
            PathBuf::from(name)
        }
        (None, true) if args.resume => {
            return Err(
                CliError::new(Exit::Usage, "--resume needs a results file").fix("give --results FILE")
            );
        }
        (None, true) => return Ok((ResultsFile::stream(Box::new(io::stdout())), Earlier::default(), None)),
    };
    let opened = if args.resume {
        ResultsFile::resume(&path)
    } else {
        ResultsFile::create(&path).map(|file| (file, Earlier::default()))
    };
    match opened {
        Ok((file, earlier)) => Ok((file, earlier, Some(path))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(CliError::failed(format!("{} holds the results of an earlier run", path.display()))
                .fix("go on with it by --resume, or name another file with --results"))
        }
        Err(error) => Err(unwritable(&path, &error)),
    }
}
