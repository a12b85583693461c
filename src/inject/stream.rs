//! The connection to a target, in clear or inside TLS, as one type.

use rustls::HandshakeKind;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub(super) enum Stream {
    Clear(TcpStream),
    Tls(Box<Encrypted<TcpStream>>),
}

impl Stream {
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The TLS session goes on from one before, without certificates and signatures (RFC 8446 §2.2).
    pub fn is_resumed(&self) -> bool {
        let Self::Tls(stream) = self else { return false };
        stream.connection().handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

/// Hands a call on to whichever stream it is.
macro_rules! on_either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Clear($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_either!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on_either!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_either!(self, stream => stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_either!(self, stream => stream.poll_shutdown(cx))
    }
}

/// TLS whose writes say what may have left.
///
/// One call to `TlsStream` makes several writes to the connection. When one of them fails it gives the error alone, though
/// those before it have left, and a message that is with the target would be taken for unsent. So here a call of which
/// something has left does not fail: the next one does.
pub(super) struct Encrypted<T>(TlsStream<Underneath<T>>);

impl<T> Encrypted<T> {
    pub fn new(stream: TlsStream<Underneath<T>>) -> Self {
        Self(stream)
    }

    pub fn connection(&self) -> &rustls::ClientConnection {
        self.0.get_ref().1
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Encrypted<T> {
    fn begun(&mut self) -> Pin<&mut TlsStream<Underneath<T>>> {
        self.0.get_mut().0.has_taken = false;
        Pin::new(&mut self.0)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.begun().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.begun().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.begun().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.begun().poll_shutdown(cx)
    }
}

/// The connection underneath TLS.
pub(super) struct Underneath<T> {
    connection: T,
    /// It took something since the call of [`Encrypted`] began.
    has_taken: bool,
    failed: Option<io::Error>,
}

impl<T> Underneath<T> {
    pub fn new(connection: T) -> Self {
        Self { connection, has_taken: false, failed: None }
    }
}

impl<T: AsyncWrite + Unpin> Underneath<T> {
    /// Puts a failure off to the next call if this one has got something out.
    fn written(&mut self, cx: &Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.has_taken |= bytes > 0;
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) if self.has_taken => {
                self.failed = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            other => other,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Underneath<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Underneath<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        let connection = Pin::new(&mut self.connection);
        // `send` costs the system less than `writev`.
        let written = match bufs {
            [one] => connection.poll_write(cx, one),
            _ => connection.poll_write_vectored(cx, bufs),
        };
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::super::talk::{Talk, Torn, slices};
    use super::*;
    use crate::tls::DevAuthority;
    use std::time::Duration;
    use tokio::io::DuplexStream;

    /// Takes so many more bytes, 16 KiB at a time as a full socket would, and then fails.
    struct Failing {
        connection: DuplexStream,
        takes: Option<usize>,
    }

    impl AsyncRead for Failing {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.connection).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Failing {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let most = self.takes.map_or(buf.len(), |takes| takes.min(buf.len()).min(16 * 1024));
            if most == 0 {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            let written = Pin::new(&mut self.connection).poll_write(cx, &buf[..most]);
            if let (Poll::Ready(Ok(bytes)), Some(takes)) = (&written, &mut self.takes) {
                *takes -= bytes;
            }
            written
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.connection).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.connection).poll_shutdown(cx)
        }
    }

    /// The connection takes so many bytes of 40 KiB and fails: what the writer thinks that may have left.
    async fn taken_of(takes: usize) -> usize {
        let authority = DevAuthority::new("test authority").unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(authority.server(&["relay.example"]).unwrap());
        let client = crate::inject::tests::trusting(&authority).config();
        let (near, far) = tokio::io::duplex(1 << 20);
        let near = Underneath::new(Failing { connection: near, takes: None });
        let name = rustls_pki_types::ServerName::try_from("relay.example").unwrap();
        let connector = tokio_rustls::TlsConnector::from(client);
        let (client, server) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
        let (mut client, _server) = (client.unwrap(), server.unwrap());
        client.get_mut().0.connection.takes = Some(takes);
        let mut talk = Talk::new(Encrypted::new(client));
        let message = vec![b'x'; 40 * 1024];
        let Torn { taken, .. } =
            talk.write(slices([message.as_slice()].into_iter()), Duration::from_secs(1)).await.unwrap_err();
        taken
    }

    /// The target may have read what left, and taken the messages in it.
    #[tokio::test]
    async fn a4_what_left_before_a_write_failed_counts_as_left() {
        for takes in [1, 17_000, 40_000] {
            let taken = taken_of(takes).await;
            assert!(taken >= takes.saturating_sub(200), "{taken} of {takes}");
        }
        assert_eq!(taken_of(0).await, 0, "nothing is in doubt of which nothing left");
    }
}
