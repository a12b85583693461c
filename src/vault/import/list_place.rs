//! Where a list of tokens may be written: what lies there is replaced, so it is nothing of the relay's, not the file that is read, and
//! nothing but an older list.

use super::tokens_out::HEADER;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why no list is written to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPlace {
    #[error("lies in the relay's own folder, where its vault and its journal are")]
    OfRelay,
    #[error("is the file that is imported")]
    Input,
    #[error("is no list of tokens, and would be replaced by one")]
    NoList,
    #[error("cannot be read, to see whether it is an older list of tokens: {0}")]
    Unreadable(io::ErrorKind),
}

/// Looks at it before anything is read or written. `own` are the relay's folders.
///
/// # Errors
/// [`UnfitPlace`].
pub fn check(list: &Path, input: &Path, own: &[&Path]) -> Result<(), UnfitPlace> {
    let place = resolved(list);
    if own.iter().any(|folder| place.starts_with(resolved(folder))) {
        return Err(UnfitPlace::OfRelay);
    }
    let Ok(found) = fs::metadata(&place) else { return Ok(()) };
    if fs::metadata(input).is_ok_and(|input| is_same(&found, &input)) {
        return Err(UnfitPlace::Input);
    }
    match found.is_file() {
        true => is_list(&place),
        false => Ok(()),
    }
}

/// What it leads to; of what is not there yet, where it would be.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")));
        folder.ok().zip(path.file_name()).map_or_else(|| path.to_owned(), |(folder, name)| folder.join(name))
    })
}

/// Under whatever names.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// One without anything in it has been made for a list, as `mktemp` does.
fn is_list(place: &Path) -> Result<(), UnfitPlace> {
    let begins = HEADER.join(",");
    let mut found = Vec::with_capacity(begins.len());
    let read = File::open(place).and_then(|file| file.take(begins.len() as u64).read_to_end(&mut found));
    match read {
        Ok(_) if found.is_empty() || found == begins.as_bytes() => Ok(()),
        Ok(_) => Err(UnfitPlace::NoList),
        Err(error) => Err(UnfitPlace::Unreadable(error.kind())),
    }
}
