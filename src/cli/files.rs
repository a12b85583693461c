//! Files that a command is told to read or write and cannot: the cause, and what mends that.

use super::CliError;
use crate::plain_file;
use std::io;
use std::path::Path;

/// # Returns
/// The error to end with.
pub fn unreadable(path: &Path, cause: &io::Error) -> CliError {
    CliError::failed(format!("cannot read {}: {}", path.display(), cause.kind()))
        .fix(plain_file::fix(path, cause))
}

/// # Returns
/// The error to end with.
pub fn unwritable(path: &Path, cause: &io::Error) -> CliError {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fix = match cause.kind() {
        io::ErrorKind::NotFound => format!("make its folder first: mkdir -p {}", folder.display()),
        io::ErrorKind::PermissionDenied => {
            format!("name a place that this user may write to; {} is closed to it", folder.display())
        }
        io::ErrorKind::AlreadyExists => String::from("name one that is not there yet"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => String::from("make room on that disk"),
        io::ErrorKind::ReadOnlyFilesystem => String::from("name a place on a disk that can be written"),
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => String::from("name a file"),
        _ => String::from("check the disk and the system log"),
    };
    CliError::failed(format!("cannot write {}: {}", path.display(), cause.kind())).fix(fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_each_cause_has_its_own_mend() {
        let path = Path::new("out/a.csv");
        for (kind, mend) in [
            (io::ErrorKind::NotFound, "mkdir -p out"),
            (io::ErrorKind::PermissionDenied, "closed to it"),
            (io::ErrorKind::StorageFull, "make room"),
        ] {
            let error = unwritable(path, &kind.into());
            assert!(error.fix.as_deref().unwrap().contains(mend), "{error}");
        }
        for (path, mend) in [("out/a.csv", "there is no folder out"), ("a.csv", "there is no a.csv")] {
            let error = unreadable(Path::new(path), &io::ErrorKind::NotFound.into());
            assert!(error.to_string().contains(mend), "{error}");
        }
    }
}
