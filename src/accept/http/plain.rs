//! A client that speaks HTTP in the clear to a door that speaks TLS is told so, in words that it can read.

use super::auth::network;
use super::connection::Door;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 43\r\nconnection: close\r\n\r\n\
    this door speaks https: use https:// there\n";
/// What is read behind the answer, and for how long: a socket that is closed with something unread in it is reset, and
/// the answer lost.
const LEFT_BYTES_MAX: usize = 64 * 1024;
const LEFT_MAX: Duration = Duration::from_secs(1);

/// Whether the first byte is that of a method. That of a TLS client is 22 (RFC 8446 §5.1).
pub(super) async fn is_plain_http(socket: &TcpStream) -> bool {
    let mut first = [0];
    matches!(socket.peek(&mut first).await, Ok(1)) && first[0].is_ascii_uppercase()
}

/// Answers, and ends the connection. One line a source and minute.
pub(super) async fn say_https(mut socket: TcpStream, door: &Door, source: IpAddr) {
    if let Some(more) = door.plain_notices.due(network(source)) {
        let fix = "use https:// in the engine's address of this relay";
        tracing::warn!(%source, fix, more, "http: a client spoke without TLS to a door with TLS");
    }
    let answer = async {
        socket.write_all(ANSWER).await?;
        socket.shutdown().await?;
        let (mut left, mut read) = ([0; 1024], 0);
        while read < LEFT_BYTES_MAX {
            match socket.read(&mut left).await? {
                0 => break,
                bytes => read += bytes,
            }
        }
        Ok::<(), std::io::Error>(())
    };
    let _ = timeout(LEFT_MAX, answer).await;
}
