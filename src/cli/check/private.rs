//! Whether what must stay private on this machine can be read or replaced by its other users.

use super::Step;
use crate::config::Config;
use crate::plain_file;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What everybody may do with a file, of its mode. A group is left alone: it is a way to grant on purpose.
const OTHERS: u32 = 0o007;
/// No file of certificates is longer.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// One step for all files behind `file:` references and for the directory of the vault.
pub(super) fn private_files(config: &Config) -> Step {
    let secrets = std::iter::once(&config.vault_key)
        .chain(config.engines.iter().filter_map(|engine| engine.secret.as_ref()))
        .chain(config.listeners.iter().filter_map(|listener| Some(&listener.identity.as_ref()?.key)))
        .chain(config.targets.iter().filter_map(|target| Some(&target.auth.as_ref()?.1)));
    // A file in its place is another step's business.
    let state_dir = Some(&config.state_dir).filter(|dir| !dir.is_file()).cloned();
    let named = secrets.filter_map(crate::secret::SecretRef::path).chain(state_dir);
    // One key may stand at several doors.
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in named {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let open: Vec<String> =
        paths.iter().filter(|path| is_open(path)).map(|path| path.display().to_string()).collect();
    if open.is_empty() {
        return Step::good("private files", format!("{} are closed to other users", paths.len()));
    }
    let cause = format!("every user of this machine can get at {}", open.join(", "));
    Step::bad("private files", cause, format!("chmod o-rwx {}", open.join(" ")))
}

/// What is not there is another step's business.
fn is_open(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & OTHERS != 0) && !is_public(path)
}

/// A certificate alone: it was named in place of its key, and is nobody's secret.
fn is_public(path: &Path) -> bool {
    let Ok(bytes) = plain_file::read(path, PEM_BYTES_MAX) else { return false };
    let has = |label: &[u8]| memchr::memmem::find(&bytes, label).is_some();
    has(b"-----BEGIN CERTIFICATE-----") && !has(b"PRIVATE KEY-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_can_get_at_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("vault.key");
        std::fs::write(&file, "x").unwrap();
        for (mode, expected) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_open(&file), expected, "{mode:o}");
        }
        assert!(!is_open(&dir.path().join("none")));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n").unwrap();
        assert!(!is_open(&file), "a certificate in place of a key is not made private");
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n").unwrap();
        assert!(is_open(&file));
    }
}
