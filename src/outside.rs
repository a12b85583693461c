//! Places outside of the state folder, which last as long as the run of the kernel: for what a folder that is set back to an
//! earlier time has forgotten.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Those that this process may write to. Which one a relay had depends on how it was started, so it is
/// said in all of them, and any of them is listened to.
pub fn places() -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let places = [
        // systemd.exec(5); of several the first.
        named("RUNTIME_DIRECTORY").and_then(|all| all.to_str()?.split(':').next().map(PathBuf::from)),
        named("XDG_RUNTIME_DIR").map(|dir| dir.join("tokenrelay")),
        Some(PathBuf::from("/run/tokenrelay")),
        Some(PathBuf::from(format!("/dev/shm/tokenrelay-{user}"))),
    ];
    let mut ours: Vec<PathBuf> = Vec::new();
    for place in places.into_iter().flatten() {
        if !ours.contains(&place) && is_ours(&place, user) {
            ours.push(place);
        }
    }
    ours
}

/// Made when it is missing. Nobody else may have put it there, or a link in its place.
fn is_ours(place: &Path, user: u32) -> bool {
    if let Err(error) = fs::DirBuilder::new().mode(0o700).create(place)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return false;
    }
    fs::symlink_metadata(place).is_ok_and(|found| {
        let is_only_ours = found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0;
        is_only_ours && rustix::fs::access(place, rustix::fs::Access::WRITE_OK).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_others_may_write_to_is_none() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let user = rustix::process::geteuid().as_raw();
        let place = dir.path().join("place");
        assert!(is_ours(&place, user) && is_ours(&place, user));
        assert!(!is_ours(&place, user + 1));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&place, &link).unwrap();
        assert!(!is_ours(&link, user));
        fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(!is_ours(&place, user));
    }
}
