//! Whether what must stay private on this machine can be read or replaced by its other users.

use super::Step;
use crate::config::Config;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What everybody may do with a file, of its mode. A group is left alone: it is a way to grant on purpose.
const OTHERS: u32 = 0o007;

/// One step for all files behind `file:` references and for the directory of the vault.
pub(super) fn private_files(config: &Config) -> Step {
    let secrets = std::iter::once(&config.vault_key)
        .chain(config.engines.iter().filter_map(|engine| engine.secret.as_ref()))
        .chain(config.listeners.iter().filter_map(|listener| Some(&listener.identity.as_ref()?.key)))
        .chain(config.targets.iter().filter_map(|target| Some(&target.auth.as_ref()?.1)));
    let named = secrets.filter_map(crate::secret::SecretRef::path).chain([config.state_dir.clone()]);
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
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & OTHERS != 0)
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
    }
}
