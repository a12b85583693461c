//! Files that are read while the relay runs are plain files: a FIFO or a device in the place of one must not make its
//! reader wait.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// Free bytes with which no detour is made (`Read::read_to_end` makes one with fewer than 32).
const END_ROOM: usize = 64;

/// Reads a file of so many bytes at most.
///
/// # Errors
/// As the system says; [`io::ErrorKind::InvalidInput`] for what is no plain file, [`io::ErrorKind::FileTooLarge`] for what is
/// longer.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    // Opening a FIFO waits for its writer, and opening a terminal may make it ours.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        // As a socket answers, or a device that is not there.
        Err(Errno::NXIO | Errno::NODEV) => return Err(not_plain()),
        Err(cause) => return Err(cause.into()),
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(not_plain());
    }
    if found.len() > bytes_max {
        return Err(too_large());
    }
    // In one piece, with room for a look at the end: what grows is copied, and leaves its bytes behind, and into little room
    // is read by way of the stack.
    let room = usize::try_from(found.len()).unwrap_or(0) + END_ROOM;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max { Err(too_large()) } else { Ok(bytes) }
}

/// What mends that a file cannot be read.
pub fn fix(path: &Path, cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::NotFound => missing(path),
        io::ErrorKind::NotADirectory => match path.ancestors().skip(1).find(|above| above.is_file()) {
            Some(file) => format!("{} is a file, not a folder: correct the name", file.display()),
            None => String::from("name a plain file"),
        },
        io::ErrorKind::PermissionDenied => closed(path),
        io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory => String::from("name a plain file"),
        io::ErrorKind::FileTooLarge => String::from("is it the right file? it is much too large"),
        _ => String::from("check the disk and the system log"),
    }
}

/// The file, or the uppermost of the folders above it that is not there.
fn missing(path: &Path) -> String {
    let above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
    match above.take_while(|above| !above.exists()).last() {
        Some(folder) => {
            format!(
                "there is no folder {}: make it and put the file there, or correct its name",
                folder.display()
            )
        }
        None => format!("there is no {}: put it there, or correct its name", path.display()),
    }
}

fn closed(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let us = rustix::process::geteuid().as_raw();
    match std::fs::metadata(path) {
        Ok(found) => format!(
            "it belongs to user {}, mode {:o}, and this is user {us}: run this as the user that the relay runs as, or let that one read it",
            found.uid(),
            found.mode() & 0o7777
        ),
        Err(_) => {
            format!("a folder above it is closed to user {us}: run this as the user that the relay runs as")
        }
    }
}

fn not_plain() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file")
}

fn too_large() -> io::Error {
    io::ErrorKind::FileTooLarge.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn c5_only_plain_files_are_read_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        let socket = dir.path().join("socket");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [&pipe, &socket, dir.path(), Path::new("/dev/zero"), Path::new("/dev/tty")] {
            let error = read(path, 100).unwrap_err();
            assert_eq!(fix(path, &error), "name a plain file", "{path:?}: {error}");
        }
        let file = dir.path().join("file");
        fs::write(&file, "12345").unwrap();
        assert_eq!(read(&file, 5).unwrap().as_slice(), b"12345");
        assert_eq!(read(&file, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        for (name, said) in [
            ("keys/vault.key", "there is no folder DIR/keys: make it"),
            ("a/b/vault.key", "there is no folder DIR/a: make it"),
            ("vault.key", "there is no DIR/vault.key: put it there"),
            ("file/vault.key", "DIR/file is a file, not a folder"),
        ] {
            let path = dir.path().join(name);
            let fix = fix(&path, &read(&path, 5).unwrap_err());
            assert!(
                fix.starts_with(&said.replace("DIR", &dir.path().display().to_string())),
                "{name}: {fix}"
            );
        }
        // Length 0 as far as the system says.
        assert!(!read(Path::new("/proc/self/stat"), 10_000).unwrap().is_empty());
    }
}
