//! Whether what must stay private on this machine can be read or replaced by its other users.

use super::{CliError, Exit};
use crate::config::{Config, OpenFiles};
use crate::plain_file;
use crate::secret::SecretRef;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Any other user reads it, or replaces it; or a group replaces it. That a group reads it is left alone: it is a way to grant
/// on purpose, and how Kubernetes hands secrets to a process that is not root (0440 with `fsGroup`).
const SECRET: u32 = 0o027;
/// Somebody else puts files into it.
const WRITABLE: u32 = 0o022;
/// Likewise, or looks into it.
const FOLDER: u32 = 0o027;

/// No file of certificates is longer.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// What others may do that they should not, and what takes that away.
#[derive(Debug, PartialEq, Eq)]
pub struct Exposed {
    pub path: PathBuf,
    mode: u32,
}

impl Exposed {
    fn find(path: PathBuf, forbidden: u32) -> Option<Self> {
        // What is not there is another step's business.
        let mode = std::fs::metadata(&path).ok()?.permissions().mode() & forbidden;
        (mode != 0 && !is_public(&path)).then_some(Self { path, mode })
    }

    fn fix(&self) -> String {
        let group = if self.mode & 0o020 == 0 { "" } else { "g-w," };
        format!("chmod {group}o-rwx {}", self.path.display())
    }
}

/// How many places were looked at, and which of them are open: files behind `file:` references, and the folder of vault and
/// journal.
pub fn look(config: &Config) -> (usize, Vec<Exposed>) {
    let secrets = secret_files(config);
    let count = secrets.len() + 1;
    let folder = state_dir(config, FOLDER);
    let exposed = secrets.into_iter().filter_map(|path| Exposed::find(path, SECRET)).chain(folder);
    (count, exposed.collect())
}

/// # Errors
/// Exit 78 for what no relay starts with, unless the configuration takes it as it is.
pub fn refuse(config: &Config) -> Result<(), CliError> {
    match (config.open_files, unfit(config)) {
        (OpenFiles::Refuse, Some((cause, fix))) => Err(CliError::new(Exit::Config, cause).fix(fix)),
        _ => Ok(()),
    }
}

/// Tells of what [`refuse`] let pass, once there is a log.
pub fn warn(config: &Config) {
    if let Some((cause, fix)) = unfit(config) {
        tracing::warn!(cause, fix, "taken as it is: open_files = \"warn\"");
    }
}

/// Cause and fix. A folder that others can only look into is left to `check`: the files in it are closed.
fn unfit(config: &Config) -> Option<(String, String)> {
    let folder = state_dir(config, WRITABLE);
    let secrets = secret_files(config).into_iter().filter_map(|path| Exposed::find(path, SECRET));
    let exposed: Vec<Exposed> = secrets.chain(folder).collect();
    (!exposed.is_empty()).then(|| told(&exposed))
}

/// Cause and fix.
pub fn told(exposed: &[Exposed]) -> (String, String) {
    let names: Vec<String> = exposed.iter().map(|one| one.path.display().to_string()).collect();
    let fixes: Vec<String> = exposed.iter().map(Exposed::fix).collect();
    (format!("other users of this machine can get at {}", names.join(", ")), fixes.join("; "))
}

/// A file in its place is another step's business.
fn state_dir(config: &Config, forbidden: u32) -> Option<Exposed> {
    let dir = Some(&config.state_dir).filter(|dir| !dir.is_file())?;
    Exposed::find(dir.clone(), forbidden)
}

/// A certificate alone: it was named in place of its key, and is nobody's secret.
fn is_public(path: &Path) -> bool {
    let Ok(bytes) = plain_file::read(path, PEM_BYTES_MAX) else { return false };
    let has = |label: &[u8]| memchr::memmem::find(&bytes, label).is_some();
    has(b"-----BEGIN CERTIFICATE-----") && !has(b"PRIVATE KEY-----")
}

/// Each once: one key may stand at several doors.
fn secret_files(config: &Config) -> Vec<PathBuf> {
    let secrets = std::iter::once(&config.vault_key)
        .chain(config.engines.iter().filter_map(|engine| engine.secret.as_ref()))
        .chain(config.listeners.iter().filter_map(|listener| Some(&listener.identity.as_ref()?.key)))
        .chain(config.targets.iter().filter_map(|target| Some(&target.auth.as_ref()?.1)));
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in secrets.filter_map(SecretRef::path) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_open(path: &Path, forbidden: u32) -> bool {
        Exposed::find(path.into(), forbidden).is_some()
    }

    #[test]
    fn p11_only_what_others_can_get_at_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("vault.key");
        std::fs::write(&file, "x").unwrap();
        for (mode, secret, folder) in [
            (0o600, false, false),
            (0o440, false, false),
            (0o640, false, false),
            (0o660, true, true),
            (0o604, true, false),
            (0o644, true, false),
            (0o602, true, true),
        ] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!((is_open(&file, SECRET), is_open(&file, WRITABLE)), (secret, folder), "{mode:o}");
        }
        assert!(!is_open(&dir.path().join("none"), SECRET));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o664)).unwrap();
        let (cause, fix) = told(&[Exposed::find(file.clone(), SECRET).unwrap()]);
        assert!(
            cause.ends_with("vault.key") && fix == format!("chmod g-w,o-rwx {}", file.display()),
            "{fix}"
        );
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n").unwrap();
        assert!(!is_open(&file, SECRET), "a certificate in place of a key is not made private");
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n").unwrap();
        assert!(is_open(&file, SECRET));
    }
}
