//! Secrets come by reference only: `file:PATH`, `env:NAME`, `cred:NAME` (systemd credential), `cmd:COMMAND`.

use crate::plain_file;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{fmt, io};
use zeroize::Zeroizing;

/// Largest secret read, in bytes.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// With its line end.
const FILE_BYTES_MAX: u64 = SECRET_BYTES_MAX as u64 + 2;
/// How long a command may take to say it.
const COMMAND_MAX: Duration = Duration::from_secs(10);

/// Where a secret is, not what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    File(PathBuf),
    Env(String),
    Credential(String),
    Command(String),
}

/// A reference that cannot be understood or followed. Never holds any part of a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(
        "a secret is given by reference: file:PATH, env:NAME, cred:NAME or cmd:COMMAND, never as plain text"
    )]
    NotAReference,
    #[error("cannot read the secret file {0}: {1}")]
    File(PathBuf, io::Error),
    #[error("the environment variable {0} is not set")]
    Env(String),
    #[error("systemd gave no credential '{0}' (CREDENTIALS_DIRECTORY is not set)")]
    NoCredentials(String),
    #[error("the secret command failed ({0})")]
    Command(String),
    #[error("the secret command did not end within {}s and was stopped", COMMAND_MAX.as_secs())]
    CommandHangs,
    #[error("the secret is written in UTF-16, not in UTF-8")]
    Utf16,
    #[error("the secret is empty")]
    Empty,
    #[error("the secret is longer than {SECRET_BYTES_MAX} bytes")]
    TooLong,
}

impl SecretError {
    /// What mends this very cause.
    pub fn fix(&self) -> String {
        match self {
            Self::NotAReference => {
                "put it into a file that only the relay's user may read, and write file: and its path".into()
            }
            Self::File(path, cause) => plain_file::fix(path, cause),
            Self::Env(name) => {
                format!(
                    "set {name} for the relay (Environment= or EnvironmentFile= in its unit) and for this command"
                )
            }
            Self::NoCredentials(name) => format!(
                "add LoadCredential={name}:FILE to the unit; by hand: CREDENTIALS_DIRECTORY=FOLDER, where {name} is a file"
            ),
            Self::Command(_) => "run it by hand, as the relay's user, to see why".into(),
            Self::CommandHangs => "run it by hand, as the relay's user, to see what it waits for".into(),
            Self::Utf16 => {
                "save its file as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW (PowerShell's > writes UTF-16)"
                    .into()
            }
            Self::Empty => "write the secret there: what it refers to is there and holds nothing".into(),
            Self::TooLong => "is it the right file? no secret is that long".into(),
        }
    }
}

/// A secret as it was read; wiped when dropped.
pub type Secret = Zeroizing<Vec<u8>>;

impl SecretRef {
    /// Reads a reference; a relative `file:` is relative to `base`.
    ///
    /// # Errors
    /// [`SecretError::NotAReference`] for anything without one of the four prefixes.
    pub fn parse(text: &str, base: &Path) -> Result<Self, SecretError> {
        let (scheme, rest) = text.split_once(':').ok_or(SecretError::NotAReference)?;
        if rest.is_empty() {
            return Err(SecretError::NotAReference);
        }
        match scheme {
            "file" => Ok(Self::File(base.join(rest))),
            "env" => Ok(Self::Env(rest.into())),
            "cred" => Ok(Self::Credential(rest.into())),
            "cmd" => Ok(Self::Command(rest.into())),
            _ => Err(SecretError::NotAReference),
        }
    }

    /// Follows the reference. One trailing line end is dropped.
    ///
    /// # Errors
    /// Says what could not be read and where, never any content.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let mut secret = match self {
            Self::File(path) => as_text(read_file(path)?)?,
            Self::Env(name) => {
                let value = std::env::var_os(name).ok_or_else(|| SecretError::Env(name.clone()))?;
                Zeroizing::new(value.into_encoded_bytes())
            }
            Self::Credential(name) => as_text(read_file(&credential_path(name)?)?)?,
            Self::Command(command) => run(command)?,
        };
        drop_line_end(&mut secret);
        if secret.is_empty() {
            return Err(SecretError::Empty);
        }
        if secret.len() > SECRET_BYTES_MAX {
            return Err(SecretError::TooLong);
        }
        Ok(secret)
    }

    /// The file behind the reference, if there is one to watch.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Credential(name) => credential_path(name).ok(),
            Self::Env(_) | Self::Command(_) => None,
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Credential(name) => write!(f, "cred:{name}"),
            Self::Command(_) => f.write_str("cmd:..."),
        }
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    plain_file::read(path, FILE_BYTES_MAX).map_err(|cause| match cause.kind() {
        io::ErrorKind::FileTooLarge => SecretError::TooLong,
        _ => SecretError::File(path.into(), cause),
    })
}

/// What an editor wrote around a secret is none of it: the mark before UTF-8, and UTF-16, which PowerShell writes.
fn as_text(mut secret: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    if secret.starts_with(b"\xef\xbb\xbf") {
        secret.drain(..3);
    }
    let is_wide = |text: &[u8], high: usize| text.chunks(2).all(|unit| unit.len() == 2 && unit[high] == 0);
    match secret.get(..2) {
        Some([0xff, 0xfe]) if is_wide(&secret[2..], 1) => Err(SecretError::Utf16),
        Some([0xfe, 0xff]) if is_wide(&secret[2..], 0) => Err(SecretError::Utf16),
        _ => Ok(secret),
    }
}

fn credential_path(name: &str) -> Result<PathBuf, SecretError> {
    let dir = std::env::var_os("CREDENTIALS_DIRECTORY")
        .ok_or_else(|| SecretError::NoCredentials(name.to_owned()))?;
    Ok(PathBuf::from(dir).join(name))
}

fn run(command: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    run_for(command, COMMAND_MAX)
}

/// What it started itself is stopped with it: that may hold its output open.
fn run_for(command: &str, patience: Duration) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let cannot = |cause: io::Error| SecretError::Command(cause.to_string());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = shell.process_group(0).spawn().map_err(cannot)?;
    let group = rustix::process::Pid::from_child(&child);
    let (tell, told) = mpsc::channel();
    // It ends with the command, whether somebody waits for it or not.
    std::thread::Builder::new()
        .name("secret-command".into())
        .spawn(move || drop(tell.send(output_of(child))))
        .map_err(cannot)?;
    match told.recv_timeout(patience) {
        Ok(Ok((secret, status))) if status.success() => Ok(secret),
        Ok(Ok((_, status))) => Err(SecretError::Command(status.to_string())),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            Err(SecretError::CommandHangs)
        }
    }
}

fn output_of(mut child: Child) -> Result<(Zeroizing<Vec<u8>>, ExitStatus), SecretError> {
    let failed = |cause: io::Error| SecretError::Command(cause.to_string());
    // In one piece: what grows is copied, and leaves its bytes behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 3));
    if let Some(output) = child.stdout.take() {
        output.take(FILE_BYTES_MAX + 1).read_to_end(&mut secret).map_err(failed)?;
    }
    // The pipe is closed: one that goes on writing ends by that.
    Ok((secret, child.wait().map_err(failed)?))
}

fn drop_line_end(secret: &mut Zeroizing<Vec<u8>>) {
    if secret.last() == Some(&b'\n') {
        secret.pop();
        if secret.last() == Some(&b'\r') {
            secret.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Instant;

    #[test]
    fn c11_a_command_that_hangs_is_stopped_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let began = Instant::now();
        for command in ["sleep 600", "sleep 600 & echo leaked", "exec >&-; sleep 600", "yes leaked"] {
            let mark = dir.path().join("pid");
            let command = format!("echo $$ > '{}'; {command}", mark.display());
            let error = run_for(&command, Duration::from_millis(300)).unwrap_err();
            assert!(
                matches!(error, SecretError::CommandHangs | SecretError::Command(_)),
                "{command}: {error}"
            );
            assert!(!error.to_string().contains("leaked"), "{error}");
            let group: i32 = fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
            let group = rustix::process::Pid::from_raw(group).unwrap();
            let is_gone = || rustix::process::test_kill_process_group(group).is_err();
            while !is_gone() {
                assert!(began.elapsed() < Duration::from_secs(60), "{command} goes on");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn c5_a_secret_is_in_a_plain_file() {
        let zero = SecretRef::File("/dev/zero".into()).read().unwrap_err();
        assert!(zero.to_string().contains("/dev/zero: it is not a plain file"), "{zero}");
    }

    #[test]
    fn a_file_is_relative_to_the_configuration_and_loses_one_line_end() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("key"), "s3cret \r\n").unwrap();
        let reference = SecretRef::parse("file:key", dir.path()).unwrap();
        assert_eq!(reference.read().unwrap().as_slice(), b"s3cret ");
    }

    #[test]
    fn d_what_an_editor_puts_around_a_secret_is_none_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| {
            fs::write(dir.path().join("key"), bytes).unwrap();
            SecretRef::parse("file:key", dir.path()).unwrap().read()
        };
        assert_eq!(read(b"\xef\xbb\xbfs3cret\r\n").unwrap().as_slice(), b"s3cret");
        assert!(matches!(read(b"\xef\xbb\xbf\r\n"), Err(SecretError::Empty)));
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let wide: Vec<u8> = "\u{feff}s3cret\r\n".encode_utf16().flat_map(order).collect();
            let error = read(&wide).unwrap_err();
            assert!(error.to_string().contains("UTF-16") && error.fix().contains("iconv"), "{error}");
        }
        // Bytes that no text has are a secret's own.
        for random in [b"\xff\xfe\x81\x93" as &[u8], b"\xff\xfe\x81"] {
            assert_eq!(read(random).unwrap().as_slice(), random);
        }
    }

    #[test]
    fn a_command_is_run_and_its_failure_shows_no_output() {
        let base = Path::new(".");
        assert_eq!(SecretRef::parse("cmd:echo abc", base).unwrap().read().unwrap().as_slice(), b"abc");
        let failed = SecretRef::parse("cmd:echo leaked; exit 3", base).unwrap().read().unwrap_err();
        assert!(!failed.to_string().contains("leaked"));
    }

    #[test]
    fn plain_text_and_empty_secrets_are_refused() {
        let base = Path::new(".");
        for plain in ["hunter2", "file:", "http://x"] {
            assert!(matches!(SecretRef::parse(plain, base), Err(SecretError::NotAReference)), "{plain}");
        }
        let empty = SecretRef::parse("cmd:echo", base).unwrap().read();
        assert!(matches!(empty, Err(SecretError::Empty)));
    }
}
