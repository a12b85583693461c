//! A client's stream that shows what came: content goes from there to its message, and is kept nowhere on its way.

use crate::tls::ServerStream;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// One TLS record fits.
pub const PASSAGE_OCTETS: usize = 16 * 1024;

thread_local! {
    /// Nothing in it is needed after a call. Content only, never a password; it is not wiped.
    static PASSAGE: RefCell<Box<[u8]>> = RefCell::new(vec![0; PASSAGE_OCTETS].into());
}

/// At most [`PASSAGE_OCTETS`] at once.
pub trait Passage: AsyncRead + Unpin {
    /// Reads once, and shows `look` what came; nothing at the end. It goes through a buffer that all connections of a
    /// thread share, which stays in the processor's cache.
    fn poll_pass(&mut self, cx: &mut Context<'_>, look: &mut dyn FnMut(&[u8])) -> Poll<io::Result<()>> {
        PASSAGE.with_borrow_mut(|passage| {
            let mut room = ReadBuf::new(passage);
            ready!(Pin::new(self).poll_read(cx, &mut room))?;
            look(room.filled());
            Poll::Ready(Ok(()))
        })
    }
}

impl Passage for TcpStream {}
impl Passage for UnixStream {}

impl<S: AsyncRead + AsyncWrite + Unpin> Passage for ServerStream<S> {
    /// What a record held is shown where it was decrypted.
    fn poll_pass(&mut self, cx: &mut Context<'_>, look: &mut dyn FnMut(&[u8])) -> Poll<io::Result<()>> {
        self.poll_plain(cx, look)
    }
}

#[cfg(test)]
impl Passage for tokio::io::DuplexStream {}
#[cfg(test)]
impl Passage for &[u8] {}
