//! What a door listens on: a TCP address, or a socket file that is there exactly as long as its door.

use crate::accept::smtp::DoorListener;
use crate::config::Bind;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};

/// Owner and group may connect.
const SOCKET_MODE: u32 = 0o660;
/// Connections the kernel holds for us until they are accepted.
const BACKLOG: u32 = 1024;

#[derive(Debug)]
pub enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// Removes the file when dropped, unless somebody has put another one in its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Socket {
    /// # Errors
    /// As the system says; `AddrInUse` also for a socket file that somebody listens on, and for a file that is no
    /// socket.
    pub async fn bind(bind: &Bind) -> io::Result<Self> {
        match bind {
            Bind::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            Bind::Unix(path) => bind_unix(path).await,
        }
    }

    pub fn address(&self) -> io::Result<Bind> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Bind::Tcp),
            Self::Unix(_, file) => Ok(Bind::Unix(file.path.clone())),
        }
    }

    pub fn into_door(self) -> (DoorListener, Option<SocketFile>) {
        match self {
            Self::Tcp(listener) => (listener.into(), None),
            Self::Unix(listener, file) => (listener.into(), Some(file)),
        }
    }
}

async fn bind_unix(path: &Path) -> io::Result<Socket> {
    remove_stale(path).await?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = SocketFile { path: path.into(), identity: identity(path)? };
    // Nobody can connect before `listen`, so nobody comes in under the wider mode of the file's first moment.
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    Ok(Socket::Unix(socket.listen(BACKLOG)?, file))
}

/// A socket file whose relay was killed stays behind. It is removed when it is a socket and nobody answers on it.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "a file that is not a socket is in its place"));
    }
    match UnixStream::connect(path).await {
        Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(cause) => Err(cause),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens on this socket")),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_file_comes_and_goes_with_its_door() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lmtp.sock");
        let bind = Bind::Unix(path.clone());
        let first = Socket::bind(&bind).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        assert_eq!(Socket::bind(&bind).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn only_a_socket_nobody_listens_on_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lmtp.sock");
        let bind = Bind::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let second = Socket::bind(&bind).await.unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert_eq!(Socket::bind(&bind).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(second);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
