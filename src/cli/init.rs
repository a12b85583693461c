//! `tokenrelay init`: a working folder to start from. Keys are made here, fresh, and never overwritten.

use super::{CliError, Exit};
use crate::load::people;
use crate::tls::DevAuthority;
use clap::Args;
use include_dir::{Dir, include_dir};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// Invented people in the sample file.
const SAMPLE_PEOPLE: usize = 100;
const SAMPLE_SEED: u64 = 1;

#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder to fill; made when missing
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

/// Writes configuration, keys, development certificates, sample templates and invented people.
///
/// # Errors
/// When a file cannot be written. Files that exist are left as they are.
pub fn run(args: &InitArgs) -> Result<Exit, CliError> {
    let written = fill(&args.dir, Sample::People).map_err(|cause| {
        CliError::failed(format!("cannot fill {}: {cause}", args.dir.display())).fix(match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on that disk",
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                "name a folder, or one that is not there yet: tokenrelay init DIR"
            }
            _ => "choose a folder you may write to: tokenrelay init DIR",
        })
    })?;
    let mut out = super::screen::stdout();
    let _ = print(&mut out, &args.dir, &written);
    Ok(Exit::Ok)
}

/// What was written and what was there already.
#[derive(Debug, Default)]
pub struct Written {
    pub made: Vec<PathBuf>,
    pub kept: Vec<PathBuf>,
}

/// Whether a file of invented people is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    People,
    None,
}

/// Fills `dir`; see [`run`].
///
/// # Errors
/// The first file that cannot be written.
pub fn fill(dir: &Path, sample: Sample) -> io::Result<Written> {
    let mut written = Written::default();
    for folder in ["", "keys", "certs", "templates"] {
        fs::create_dir_all(dir.join(folder))?;
    }
    written.file(dir.join("tokenrelay.toml"), crate::config::EXAMPLE.as_bytes(), 0o644)?;
    for key in ["vault.key", "campaigns.secret"] {
        written.file(dir.join("keys").join(key), random_key().as_bytes(), 0o600)?;
    }
    certificates(dir, &mut written)?;
    templates(&TEMPLATES, &dir.join("templates"), &mut written)?;
    if sample == Sample::People {
        sample_people(dir.join("people.csv"), &mut written)?;
    }
    Ok(written)
}

fn sample_people(file: PathBuf, written: &mut Written) -> io::Result<()> {
    if file.exists() {
        written.kept.push(file);
        return Ok(());
    }
    people::write_csv(&file, people::invent(SAMPLE_PEOPLE, SAMPLE_SEED)).map_err(io::Error::other)?;
    written.made.push(file);
    Ok(())
}

impl Written {
    fn file(&mut self, path: PathBuf, content: &[u8], mode: u32) -> io::Result<()> {
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
            Ok(mut file) => {
                file.write_all(content)?;
                self.made.push(path);
                Ok(())
            }
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                self.kept.push(path);
                Ok(())
            }
            Err(cause) => Err(io::Error::new(cause.kind(), format!("{}: {cause}", path.display()))),
        }
    }
}

fn random_key() -> Zeroizing<String> {
    let mut key = Zeroizing::new([0u8; 32]);
    aws_lc_rs::rand::fill(key.as_mut_slice()).expect("the system's random source works");
    Zeroizing::new(data_encoding::HEXLOWER.encode(key.as_slice()) + "\n")
}

/// A throw-away authority and one certificate each for the relay and for a test MTA. They come together or not
/// at all: a new authority would not match certificates that exist.
fn certificates(dir: &Path, written: &mut Written) -> io::Result<()> {
    let certs = dir.join("certs");
    let names = ["relay.pem", "relay.key", "mta1.pem", "mta1.key", "ca.pem"];
    if names.iter().any(|name| certs.join(name).exists()) {
        written.kept.push(certs);
        return Ok(());
    }
    let authority = DevAuthority::new("tokenrelay development CA").map_err(io::Error::other)?;
    for name in ["relay", "mta1"] {
        let identity = authority.issue(&["localhost", "127.0.0.1", "::1"]).map_err(io::Error::other)?;
        written.file(certs.join(format!("{name}.pem")), identity.certificate_pem.as_bytes(), 0o644)?;
        written.file(certs.join(format!("{name}.key")), identity.key_pem.as_bytes(), 0o600)?;
    }
    written.file(certs.join("ca.pem"), authority.certificate_pem().as_bytes(), 0o644)
}

fn templates(from: &Dir<'_>, to: &Path, written: &mut Written) -> io::Result<()> {
    for file in from.files() {
        written.file(to.join(file.path()), file.contents(), 0o644)?;
    }
    for folder in from.dirs() {
        fs::create_dir_all(to.join(folder.path()))?;
        templates(folder, to, written)?;
    }
    Ok(())
}

fn print(out: &mut impl Write, dir: &Path, written: &Written) -> io::Result<()> {
    let at = |name: &str| dir.join(name).display().to_string();
    writeln!(out, "{} files written in {}", written.made.len(), dir.display())?;
    for kept in &written.kept {
        writeln!(out, "  kept as it was: {}", kept.display())?;
    }
    writeln!(out, "\nnext, in {}:", dir.display())?;
    writeln!(out, "  tokenrelay vault import people.csv --tokens-out tokens.csv")?;
    writeln!(out, "  tokenrelay sink --listen 127.0.0.1:2587 --tls starttls \\")?;
    writeln!(out, "             --cert certs/mta1.pem --key certs/mta1.key --dump mail &")?;
    writeln!(out, "  tokenrelay serve &")?;
    writeln!(out, "  tokenrelay check")?;
    writeln!(
        out,
        "\nkeep {} safe and away from the vault:\nwhoever has both can read it, and without it the vault is gone.",
        at("keys/vault.key")
    )?;
    writeln!(out, "The people are invented, and the certificates are for this machine only.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_folder_is_a_valid_configuration_and_a_second_run_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let first = fill(dir.path(), Sample::People).unwrap();
        assert!(first.kept.is_empty() && first.made.len() > 10);
        Config::load(&dir.path().join("tokenrelay.toml")).unwrap();
        let key = dir.path().join("keys/vault.key");
        let before = fs::read(&key).unwrap();
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fill(dir.path(), Sample::People).unwrap().made.is_empty());
        assert_eq!(fs::read(&key).unwrap(), before);
    }
}
