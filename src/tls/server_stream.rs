//! TLS for a connection that somebody else opened: tokio-rustls, over a socket that is read a record at a time.
//!
//! rustls asks its socket for 4 KiB at once, a record has up to 16: without the layer below each record of a message would
//! be up to five calls of the system.

use rustls::ServerConfig;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// One record with its frame fits (RFC 8446 §5.2).
const AHEAD_BYTES: usize = 17 * 1024;
/// Buffers that a thread keeps. One is in use while a connection reads, and nearly always empty when it has read.
const STOCK_MAX: usize = 4;

thread_local! {
    /// They hold encrypted bytes only, and what is used again stays in the processor's cache.
    static STOCK: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// The encrypted side of a connection, as its server.
pub type ServerStream<S> = TlsStream<ReadAhead<S>>;

/// Shakes hands. Without an end of its own: the caller bounds the time.
///
/// # Errors
/// What the stream or the client did; of the latter the client is told by an alert.
pub async fn accept<S>(config: Arc<ServerConfig>, stream: S) -> io::Result<ServerStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    TlsAcceptor::from(config).accept(ReadAhead { stream, ahead: None }).await
}

/// A stream that keeps what was read and not asked for yet. An idle one keeps nothing.
#[derive(Debug)]
pub struct ReadAhead<S> {
    stream: S,
    ahead: Option<Ahead>,
}

/// What was read, in a buffer that goes back to the stock.
#[derive(Debug)]
struct Ahead {
    buffer: Box<[u8]>,
    untaken: Range<usize>,
}

impl Ahead {
    fn empty() -> Self {
        let used = STOCK.with_borrow_mut(Vec::pop);
        Self { buffer: used.unwrap_or_else(|| vec![0; AHEAD_BYTES].into()), untaken: 0..0 }
    }

    /// Gives as much as there is room for, and itself back if there is more.
    fn put(mut self, wanted: &mut ReadBuf<'_>) -> Option<Self> {
        let bytes = self.untaken.len().min(wanted.remaining());
        wanted.put_slice(&self.buffer[self.untaken.start..][..bytes]);
        self.untaken.start += bytes;
        if self.untaken.is_empty() {
            self.put_back();
            return None;
        }
        Some(self)
    }

    fn put_back(self) {
        STOCK.with_borrow_mut(|stock| {
            if stock.len() < STOCK_MAX {
                stock.push(self.buffer);
            }
        });
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(ahead) = this.ahead.take() {
            this.ahead = ahead.put(wanted);
            return Poll::Ready(Ok(()));
        }
        let mut ahead = Ahead::empty();
        let mut read = ReadBuf::new(&mut ahead.buffer);
        let polled = Pin::new(&mut this.stream).poll_read(cx, &mut read);
        ahead.untaken = 0..read.filled().len();
        this.ahead = ahead.put(wanted);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // One record is nearly all there is, and `send` costs the system less than `writev`.
        match slices {
            [one] => Pin::new(&mut self.stream).poll_write(cx, one),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        }
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
    use crate::tls::{DevAuthority, provider};
    use proptest::prelude::*;
    use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio_rustls::TlsConnector;

    fn configs(version: &'static SupportedProtocolVersion) -> (Arc<ServerConfig>, TlsConnector) {
        let authority = DevAuthority::new("test").unwrap();
        let server = authority.server(&["relay.example"]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate_der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (server, TlsConnector::from(Arc::new(client)))
    }

    async fn connected(
        version: &'static SupportedProtocolVersion,
        room: usize,
    ) -> (tokio_rustls::client::TlsStream<DuplexStream>, ServerStream<DuplexStream>) {
        let (server, connector) = configs(version);
        let (near, far) = tokio::io::duplex(room);
        let name = ServerName::try_from("relay.example").unwrap();
        let (client, server) = tokio::join!(connector.connect(name, near), accept(server, far));
        (client.unwrap(), server.unwrap())
    }

    fn octets(count: usize) -> Vec<u8> {
        (0..count).map(|n| (n % 251) as u8).collect()
    }

    /// Everything written on one side, in `pieces`, as the other side reads it in pieces of `room`.
    async fn carried(
        mut from: impl AsyncWrite + Unpin,
        mut to: impl AsyncRead + Unpin,
        (pieces, room): (&[usize], usize),
    ) -> Vec<u8> {
        let sent = octets(pieces.iter().sum());
        let send = async {
            let mut rest = sent.as_slice();
            for piece in pieces {
                from.write_all(&rest[..*piece]).await.unwrap();
                from.flush().await.unwrap();
                rest = &rest[*piece..];
            }
            from.shutdown().await.unwrap();
        };
        let receive = async {
            let (mut received, mut buffer) = (Vec::new(), vec![0; room]);
            loop {
                match to.read(&mut buffer).await.unwrap() {
                    0 => break received,
                    octets => received.extend_from_slice(&buffer[..octets]),
                }
            }
        };
        tokio::join!(send, receive).1
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_octets_stay_in_order_to_the_end_both_ways(
            pieces in prop::collection::vec(1usize..40_000, 0..5),
            room in 1usize..20_000,
            // Tickets, which a client that only shakes hands does not read, have to fit (RFC 8446 §4.6.1).
            wire in 4_096usize..40_000,
            is_old in any::<bool>(),
        ) {
            let version = if is_old { &version::TLS12 } else { &version::TLS13 };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (client, server) = connected(version, wire).await;
                let (from_client, to_client) = tokio::io::split(client);
                let (from_server, to_server) = tokio::io::split(server);
                let there = carried(to_client, from_server, (&pieces, room)).await;
                assert_eq!(there, octets(pieces.iter().sum()));
                let back = carried(to_server, from_client, (&pieces, room)).await;
                assert_eq!(back, octets(pieces.iter().sum()));
            });
        }
    }

    #[tokio::test]
    async fn what_comes_with_the_handshake_is_kept() {
        let (server, connector) = configs(&version::TLS13);
        let (near, far) = tokio::io::duplex(64 * 1024);
        let client = async {
            let name = ServerName::try_from("relay.example").unwrap();
            let mut client = connector.connect(name, near).await.unwrap();
            client.write_all(b"EHLO me\r\n").await.unwrap();
            client.flush().await.unwrap();
            client
        };
        // The client is done before the server reads its last flight.
        let (_client, server) = tokio::join!(client, accept(server, far));
        let mut read = [0; 9];
        server.unwrap().read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"EHLO me\r\n");
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_is_no_end() {
        let (mut client, mut server) = connected(&version::TLS13, 1000).await;
        client.write_all(b"a").await.unwrap();
        client.flush().await.unwrap();
        drop(client.into_inner());
        let mut all = Vec::new();
        let fault = server.read_to_end(&mut all).await.unwrap_err();
        assert_eq!((fault.kind(), all.as_slice()), (io::ErrorKind::UnexpectedEof, &b"a"[..]));
    }

    #[tokio::test]
    async fn a_changed_record_ends_the_connection_with_an_alert() {
        let (client, mut server) = connected(&version::TLS13, 64 * 1024).await;
        let (mut wire, mut tls) = client.into_inner();
        let mut record = Vec::new();
        io::Write::write_all(&mut tls.writer(), b"secret").unwrap();
        tls.write_tls(&mut record).unwrap();
        *record.last_mut().unwrap() ^= 1;
        wire.write_all(&record).await.unwrap();
        assert_eq!(server.read(&mut [0; 10]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(server);
        let mut rest = Vec::new();
        wire.read_to_end(&mut rest).await.unwrap();
        tls.read_tls(&mut rest.as_slice()).unwrap();
        assert!(matches!(tls.process_new_packets(), Err(rustls::Error::AlertReceived(_))));
    }

    #[tokio::test]
    async fn who_speaks_no_tls_is_told_so() {
        let (server, _) = configs(&version::TLS13);
        let (mut near, far) = tokio::io::duplex(1000);
        near.write_all(b"EHLO not encrypted\r\n").await.unwrap();
        let fault = accept(server, far).await.unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::InvalidData);
        let mut alert = Vec::new();
        near.read_to_end(&mut alert).await.unwrap();
        assert_eq!(alert.first(), Some(&21), "a record of type alert (RFC 8446 §5.1)");
    }

    #[tokio::test]
    async fn an_idle_connection_holds_no_buffer() {
        let (mut client, mut server) = connected(&version::TLS13, 64 * 1024).await;
        client.write_all(&octets(30_000)).await.unwrap();
        client.flush().await.unwrap();
        server.read_exact(&mut vec![0; 30_000]).await.unwrap();
        server.write_all(b"250 Ok\r\n").await.unwrap();
        server.flush().await.unwrap();
        assert!(server.get_ref().0.ahead.is_none());
    }
}
