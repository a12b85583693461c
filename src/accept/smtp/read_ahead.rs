//! Reads more from the socket at once than TLS asks for: rustls wants 4 KiB at a time, a record has up to 16.

use bytes::{Buf, BytesMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// One TLS record with its frame fits.
const AHEAD_OCTETS: usize = 17 * 1024;

/// A stream with a buffer for what was read ahead. An idle connection holds no buffer.
#[derive(Debug)]
pub struct ReadAhead<S> {
    stream: S,
    ahead: BytesMut,
}

impl<S> ReadAhead<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, ahead: BytesMut::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            let mut ahead = BytesMut::with_capacity(AHEAD_OCTETS);
            match poll_read_buf(Pin::new(&mut this.stream), cx, &mut ahead) {
                Poll::Ready(Ok(_)) => this.ahead = ahead,
                Poll::Ready(Err(cause)) => return Poll::Ready(Err(cause)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let octets = this.ahead.len().min(wanted.remaining());
        wanted.put_slice(&this.ahead[..octets]);
        this.ahead.advance(octets);
        if this.ahead.is_empty() {
            this.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    proptest! {
        #[test]
        fn the_octets_stay_in_order_to_the_end(
            pieces in prop::collection::vec(1usize..40_000, 0..6),
            room in 1usize..9_000,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let sent: Vec<u8> = (0..pieces.iter().sum()).map(|n: usize| (n % 251) as u8).collect();
            let received = runtime.block_on(async {
                let (mut far, near) = tokio::io::duplex(20_000);
                let mut near = ReadAhead::new(near);
                let send = async {
                    let mut rest = sent.as_slice();
                    for piece in &pieces {
                        far.write_all(&rest[..*piece]).await.unwrap();
                        rest = &rest[*piece..];
                    }
                    drop(far);
                };
                let receive = async {
                    let mut received = Vec::new();
                    let mut buffer = vec![0; room];
                    loop {
                        match near.read(&mut buffer).await.unwrap() {
                            0 => break received,
                            octets => received.extend_from_slice(&buffer[..octets]),
                        }
                    }
                };
                tokio::join!(send, receive).1
            });
            prop_assert_eq!(received, sent);
        }
    }
}
