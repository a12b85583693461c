//! TLS for a connection that somebody else opened, with few copies: what the socket gives is decrypted where it was read
//! to, in a buffer that all connections of a thread share.
//!
//! A buffered rustls connection takes records in pieces of 4 KiB into a buffer of its own, which it makes larger and
//! smaller again for each record of a message.

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{Error, ServerConfig};
use rustls_pki_types::CertificateDer;
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The largest record with its frame (RFC 5246 §6.2.3).
const RECORD_OCTETS_MAX: usize = 5 + (16 << 10) + 2048;
/// What may wait for its end: in a handshake a message of many records, otherwise less than a record.
const UNFINISHED_OCTETS_MAX: usize = 64 * 1024;
/// Plain text of one record.
const PLAIN_OCTETS_MAX: usize = 16 * 1024;
/// What encryption adds to a record, at most, as far as is known here.
const FRAME_OCTETS: usize = 64;

thread_local! {
    /// Nothing in it is needed after a call (octets that make no whole record are kept by their connection), though
    /// it is not wiped: what engines send stands there until the next record comes.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; UNFINISHED_OCTETS_MAX + RECORD_OCTETS_MAX].into());
}

/// The encrypted side of a connection, as its server. An idle one holds no buffer.
pub struct ServerStream<S> {
    stream: S,
    tls: UnbufferedServerConnection,
    /// Came in, and is no whole record yet.
    unfinished: Vec<u8>,
    /// Decrypted, and not taken yet from `plain_from` on.
    plain: Vec<u8>,
    plain_from: usize,
    /// Encrypted, and not sent yet from `sent` on.
    outgoing: Vec<u8>,
    sent: usize,
    is_ended: bool,
    has_said_goodbye: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ServerStream<S> {
    /// Shakes hands.
    ///
    /// # Errors
    /// What the stream or the client did; of the latter the client is told. Without an end of its own: the caller
    /// bounds the time.
    pub async fn accept(config: Arc<ServerConfig>, stream: S) -> io::Result<Self> {
        let tls = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        let mut this = Self {
            stream,
            tls,
            unfinished: Vec::new(),
            plain: Vec::new(),
            plain_from: 0,
            outgoing: Vec::new(),
            sent: 0,
            is_ended: false,
            has_said_goodbye: false,
        };
        while this.tls.is_handshaking() {
            let received = poll_fn(|cx| this.poll_receive(cx, None)).await;
            poll_fn(|cx| this.poll_send(cx)).await?;
            received?;
            if this.is_ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(this)
    }

    /// What the client showed, verified; its own certificate first.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.tls.peer_certificates()
    }

    /// Reads once and decrypts what is whole, into `wanted` as far as there is room.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        mut wanted: Option<&mut ReadBuf<'_>>,
    ) -> Poll<io::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let before = self.unfinished.len();
            if before > UNFINISHED_OCTETS_MAX {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a TLS message without end",
                )));
            }
            let mut room = ReadBuf::new(&mut scratch[before..before + RECORD_OCTETS_MAX]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
            let octets = room.filled().len();
            if octets == 0 {
                self.is_ended = true;
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            scratch[..before].copy_from_slice(&self.unfinished);
            let incoming = &mut scratch[..before + octets];
            let (plain, is_ended) = (&mut self.plain, &mut self.is_ended);
            let mut talk = Talk { tls: &mut self.tls, outgoing: &mut self.outgoing };
            let used = talk.go_on(incoming, b"", |event| match event {
                Event::Ended => *is_ended = true,
                Event::Plain(octets) => {
                    let fits = wanted.as_ref().map_or(0, |wanted| wanted.remaining()).min(octets.len());
                    let (now, later) = octets.split_at(fits);
                    if let Some(wanted) = &mut wanted {
                        wanted.put_slice(now);
                    }
                    plain.extend_from_slice(later);
                }
            });
            let used = used.inspect_err(|_| self.is_ended = true)?;
            self.unfinished = incoming[used..].to_vec();
            Poll::Ready(Ok(()))
        })
    }

    /// Sends all that is encrypted.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.outgoing.len() {
            let octets = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.outgoing[self.sent..]))?;
            if octets == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += octets;
        }
        self.outgoing = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    fn encrypt(&mut self, octets: &[u8]) -> io::Result<()> {
        let mut talk = Talk { tls: &mut self.tls, outgoing: &mut self.outgoing };
        // Decrypted text does not come of it: all whole records were seen when they came.
        let used = talk.go_on(&mut self.unfinished, octets, |_| {})?;
        self.unfinished.drain(..used);
        Ok(())
    }

    fn take_plain(&mut self, wanted: &mut ReadBuf<'_>) {
        let left = &self.plain[self.plain_from..];
        let octets = left.len().min(wanted.remaining());
        wanted.put_slice(&left[..octets]);
        self.plain_from += octets;
        if self.plain_from == self.plain.len() {
            self.plain = Vec::new();
            self.plain_from = 0;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ServerStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = wanted.filled().len();
        while wanted.filled().len() == before && wanted.remaining() > 0 {
            if !this.plain.is_empty() {
                this.take_plain(wanted);
                break;
            }
            if this.is_ended {
                break;
            }
            let received = this.poll_receive(cx, Some(wanted));
            // An alert, an answer to new keys; whoever does not take it does not hinder what is read.
            if !this.outgoing.is_empty()
                && let Poll::Ready(Err(cause)) = this.poll_send(cx)
            {
                return Poll::Ready(Err(cause));
            }
            ready!(received)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ServerStream<S> {
    /// Takes what fits into one record, once everything before it is sent.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        let octets = &octets[..octets.len().min(PLAIN_OCTETS_MAX)];
        if octets.is_empty() {
            return Poll::Ready(Ok(0));
        }
        this.encrypt(octets)?;
        // What is taken is taken, also when it cannot be sent at once.
        match this.poll_send(cx) {
            Poll::Ready(Err(cause)) => Poll::Ready(Err(cause)),
            _ => Poll::Ready(Ok(octets.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.has_said_goodbye {
            this.has_said_goodbye = true;
            let mut talk = Talk { tls: &mut this.tls, outgoing: &mut this.outgoing };
            talk.say_goodbye(&mut this.unfinished);
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for ServerStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerStream")
    }
}

enum Event<'a> {
    Plain(&'a [u8]),
    /// The client will send no more.
    Ended,
}

/// The dialogue with rustls, without I/O.
struct Talk<'a> {
    tls: &'a mut UnbufferedServerConnection,
    outgoing: &'a mut Vec<u8>,
}

impl Talk<'_> {
    /// Works off `incoming` as far as it goes, and encrypts `plain`; how many octets of `incoming` are done with.
    ///
    /// # Errors
    /// What the client did wrong. The alert for it is in `outgoing`.
    fn go_on(
        &mut self,
        incoming: &mut [u8],
        plain: &[u8],
        mut told: impl FnMut(Event<'_>),
    ) -> io::Result<usize> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { mut discard, state, .. } =
                self.tls.process_tls_records(&mut incoming[used..]);
            let is_done = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        discard += record.discard;
                        told(Event::Plain(record.payload));
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    put(self.outgoing, 0, |room| {
                        data.encode(room).map_err(|fault| match fault {
                            EncodeError::InsufficientSize(needed) => Some(needed.required_size),
                            EncodeError::AlreadyEncoded => None,
                        })
                    })?;
                    false
                }
                // It stands in `outgoing`, which is sent before anything else is.
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    told(Event::Ended);
                    false
                }
                Ok(ConnectionState::WriteTraffic(traffic)) => {
                    put_plain(traffic, plain, self.outgoing)?;
                    true
                }
                Ok(ConnectionState::BlockedHandshake) if plain.is_empty() => true,
                Ok(ConnectionState::Closed) if plain.is_empty() => true,
                Ok(_) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(fault) => {
                    self.put_alert();
                    return Err(invalid(fault));
                }
            };
            used += discard;
            if is_done {
                return Ok(used);
            }
        }
    }

    /// What is to be said of a fault; a second one ends it.
    fn put_alert(&mut self) {
        while let Ok(ConnectionState::EncodeTlsData(mut data)) = self.tls.process_tls_records(&mut []).state {
            let is_put = put(self.outgoing, 0, |room| {
                data.encode(room).map_err(|fault| match fault {
                    EncodeError::InsufficientSize(needed) => Some(needed.required_size),
                    EncodeError::AlreadyEncoded => None,
                })
            });
            if is_put.is_err() {
                break;
            }
        }
    }

    /// Where nothing can be said any more, nothing is.
    fn say_goodbye(&mut self, incoming: &mut [u8]) {
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = self.tls.process_tls_records(incoming).state {
            let _ = put(self.outgoing, FRAME_OCTETS, |room| traffic.queue_close_notify(room).map_err(needed));
        }
    }
}

fn put_plain(
    mut traffic: WriteTraffic<'_, impl Sized>,
    plain: &[u8],
    outgoing: &mut Vec<u8>,
) -> io::Result<()> {
    if plain.is_empty() {
        return Ok(());
    }
    put(outgoing, plain.len() + FRAME_OCTETS, |room| traffic.encrypt(plain, room).map_err(needed))
}

fn needed(fault: EncryptError) -> Option<usize> {
    match fault {
        EncryptError::InsufficientSize(needed) => Some(needed.required_size),
        EncryptError::EncryptExhausted => None,
    }
}

/// Appends what `write` writes, which says how much room it needs where `room` is not enough.
fn put(
    outgoing: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> io::Result<()> {
    let (start, mut room) = (outgoing.len(), room);
    loop {
        outgoing.resize(start + room, 0);
        match write(&mut outgoing[start..]) {
            Ok(octets) => {
                outgoing.truncate(start + octets);
                return Ok(());
            }
            Err(Some(needed)) if needed > room => room = needed,
            Err(_) => {
                outgoing.truncate(start);
                return Err(io::Error::other("nothing more can be encrypted on this connection"));
            }
        }
    }
}

fn invalid(fault: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
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
        let (client, server) = tokio::join!(connector.connect(name, near), ServerStream::accept(server, far));
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
            wire in 1usize..40_000,
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
        let (_client, server) = tokio::join!(client, ServerStream::accept(server, far));
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
        assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 0, "nothing is read behind it");
        drop(server);
        let mut rest = Vec::new();
        wire.read_to_end(&mut rest).await.unwrap();
        tls.read_tls(&mut rest.as_slice()).unwrap();
        assert!(matches!(tls.process_new_packets(), Err(Error::AlertReceived(_))));
    }

    #[tokio::test]
    async fn who_speaks_no_tls_is_told_so() {
        let (server, _) = configs(&version::TLS13);
        let (mut near, far) = tokio::io::duplex(1000);
        near.write_all(b"EHLO not encrypted\r\n").await.unwrap();
        let fault = ServerStream::accept(server, far).await.unwrap_err();
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
        let held = [&server.unfinished, &server.plain, &server.outgoing].map(Vec::capacity);
        assert_eq!(held, [0, 0, 0]);
    }
}
