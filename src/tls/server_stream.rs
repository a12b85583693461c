//! TLS for a connection that somebody else opened: carries between the socket and the dialogue.

use super::dialogue::{Dialogue, Heard, PLAIN_BYTES_MAX};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The encrypted side of a connection, as its server, after the handshake. An idle one holds no buffer. Of one task only: who
/// reads sends too, and is then the one who is woken.
pub struct ServerStream<S> {
    stream: S,
    dialogue: Dialogue,
    /// Plain text that nobody had room for.
    left: Left,
}

/// Shakes hands. Without an end of its own: the caller bounds the time.
///
/// # Errors
/// What the stream or the client did; of the latter the client is told by an alert.
pub async fn accept<S>(config: Arc<ServerConfig>, stream: S) -> io::Result<ServerStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut this = ServerStream { stream, dialogue: Dialogue::new(config)?, left: Left::default() };
    while this.dialogue.is_handshaking() {
        if poll_fn(|cx| this.poll_receive(cx)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = &mut this.left;
        let heard = this.dialogue.hear(&mut |plain| left.put(plain));
        poll_fn(|cx| this.poll_send(cx)).await?;
        heard?;
    }
    Ok(this)
}

impl<S> ServerStream<S> {
    /// What the client showed, verified; its own certificate first.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.dialogue.peer_certificates()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ServerStream<S> {
    /// Reads once, and shows `look` what came, where it was decrypted; nothing at the end. At most the plain text of one
    /// record.
    pub fn poll_plain(&mut self, cx: &mut Context<'_>, look: &mut dyn FnMut(&[u8])) -> Poll<io::Result<()>> {
        if !self.left.is_empty() {
            self.left.take(PLAIN_BYTES_MAX, look);
            return Poll::Ready(Ok(()));
        }
        loop {
            let heard = self.dialogue.hear(look);
            // An alert, an answer. Whoever does not take it does not hinder what is read, and if the socket fails, the
            // next write says so.
            let _ = self.poll_send(cx);
            match heard? {
                Heard::Plain => return Poll::Ready(Ok(())),
                Heard::Part => {}
                Heard::End => break,
            }
            if ready!(self.poll_receive(cx))? == 0 {
                if self.dialogue.has_ended() {
                    break;
                }
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        look(b"");
        Poll::Ready(Ok(()))
    }

    /// Reads from the socket, once; how much, and nothing at its end.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(self.dialogue.room()?);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut room);
        let bytes = room.filled().len();
        self.dialogue.incoming.add(bytes);
        if bytes == 0 {
            self.dialogue.incoming.settle();
        }
        polled.map_ok(|()| bytes)
    }

    /// Sends all that is encrypted.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outgoing = &mut self.dialogue.outgoing;
        while !outgoing.is_empty() {
            let bytes = ready!(Pin::new(&mut self.stream).poll_write(cx, outgoing.held()))?;
            if bytes == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            outgoing.discard(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ServerStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if wanted.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let this = self.get_mut();
        let mut left = std::mem::take(&mut this.left);
        let polled = if left.is_empty() {
            this.poll_plain(cx, &mut |plain| {
                let (now, later) = plain.split_at(plain.len().min(wanted.remaining()));
                wanted.put_slice(now);
                left.put(later);
            })
        } else {
            left.take(wanted.remaining(), |plain| wanted.put_slice(plain));
            Poll::Ready(Ok(()))
        };
        this.left = left;
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ServerStream<S> {
    /// Takes what fits into one record, once everything before it is sent.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        let bytes = &bytes[..bytes.len().min(PLAIN_BYTES_MAX)];
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let left = &mut this.left;
        let said = this.dialogue.say(bytes, &mut |plain| left.put(plain));
        // What is taken is taken, also when it cannot be sent at once.
        if let Poll::Ready(Err(cause)) = this.poll_send(cx) {
            return Poll::Ready(Err(cause));
        }
        Poll::Ready(said.map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let left = &mut this.left;
        this.dialogue.say_goodbye(&mut |plain| left.put(plain));
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for ServerStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerStream")
    }
}

/// Plain text up to its last byte that is wanted.
#[derive(Default)]
struct Left {
    bytes: Vec<u8>,
    taken: usize,
}

impl Left {
    fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    fn put(&mut self, plain: &[u8]) {
        self.bytes.extend_from_slice(plain);
    }

    /// Shows at most `most` of it, and keeps nothing behind the last.
    fn take(&mut self, most: usize, show: impl FnOnce(&[u8])) {
        let end = self.bytes.len().min(self.taken + most);
        show(&self.bytes[self.taken..end]);
        self.taken = end;
        if self.is_empty() {
            *self = Self::default();
        }
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

    /// The answer to a change of keys goes out before what is said with the new ones (RFC 8446 §4.6.3), also the good-bye.
    #[tokio::test]
    async fn keys_may_change_and_what_follows_is_read_both_ways() {
        let (mut client, mut server) = connected(&version::TLS13, 64 * 1024).await;
        let mut read = [0; 4];
        for _ in 0..3 {
            client.get_mut().1.refresh_traffic_keys().unwrap();
            client.write_all(b"NOOP").await.unwrap();
            client.flush().await.unwrap();
            server.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"NOOP");
            server.write_all(b"250 ").await.unwrap();
            server.flush().await.unwrap();
            client.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"250 ");
        }
        client.get_mut().1.refresh_traffic_keys().unwrap();
        client.write_all(b"QUIT").await.unwrap();
        client.flush().await.unwrap();
        server.read_exact(&mut read).await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(client.read(&mut read).await.unwrap(), 0, "an end, and no break");
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
        let buffers = [&server.dialogue.incoming, &server.dialogue.outgoing];
        assert!(buffers.iter().all(|buffer| buffer.capacity() == 0) && server.left.bytes.capacity() == 0);
    }
}
