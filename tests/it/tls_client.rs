//! A TLS client that can send any record: whole or half, in the clear, or encrypted after a handshake as it should be.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::{ClientConnection, ConnectionTrafficSecrets, ProtocolVersion, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokenrelay::tls::provider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Content types (RFC 8446 §5.1).
pub const CHANGE_CIPHER_SPEC: u8 = 20;
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const APPLICATION_DATA: u8 = 23;

const TAG_BYTES: usize = 16;

/// One record in the clear.
pub fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    framed(kind, 0x0303, payload.len(), payload)
}

/// A record whose frame may say something else than what it holds.
pub fn framed(kind: u8, version: u16, length: usize, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (length as u16).to_be_bytes();
    let [major, minor] = version.to_be_bytes();
    [&[kind, major, minor, high, low], payload].concat()
}

/// A message of the handshake with its length in front (RFC 8446 §4).
pub fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (body.len() as u32).to_be_bytes();
    [&[kind, a, b, c], body].concat()
}

/// For one version and one cipher suite, so that records can be encrypted by hand. `ca` signed the door's certificate.
pub fn config(ca: &Path, version: &'static SupportedProtocolVersion) -> Arc<rustls::ClientConfig> {
    let mut narrow = (*provider()).clone();
    narrow.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains("AES_128_GCM"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(narrow))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    Arc::new(config)
}

/// The first flight of a client, in one record.
pub fn client_hello(config: &Arc<rustls::ClientConfig>, door: SocketAddr) -> Vec<u8> {
    let mut client = ClientConnection::new(config.clone(), ServerName::from(door.ip())).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// One direction of an encrypted connection.
struct Keys {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Keys {
    fn of((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Self {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("another cipher suite") };
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap());
        Self { key, iv: iv.as_ref().try_into().unwrap(), sequence }
    }

    /// Number and nonce of the next record (RFC 8446 §5.3).
    fn advance(&mut self) -> (u64, [u8; 12]) {
        let (mut nonce, sequence) = (self.iv, self.sequence);
        nonce.iter_mut().skip(4).zip(sequence.to_be_bytes()).for_each(|(byte, by)| *byte ^= by);
        self.sequence += 1;
        (sequence, nonce)
    }
}

/// A connection after its handshake: the socket, and the keys.
pub struct Encrypted {
    pub socket: TcpStream,
    out: Keys,
    back: Keys,
    version: ProtocolVersion,
}

impl Encrypted {
    pub async fn shake_hands(mut socket: TcpStream, config: &Arc<rustls::ClientConfig>) -> io::Result<Self> {
        let name = ServerName::from(socket.peer_addr()?.ip());
        let mut client = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        let mut room = vec![0; 32 * 1024];
        loop {
            let mut flight = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut flight)?;
            }
            socket.write_all(&flight).await?;
            if !client.is_handshaking() {
                break;
            }
            let bytes = socket.read(&mut room).await?;
            let mut received = &room[..bytes];
            if bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            while !received.is_empty() && client.read_tls(&mut received)? > 0 {
                client.process_new_packets().map_err(io::Error::other)?;
            }
        }
        let version = client.protocol_version().unwrap();
        let secrets = client.dangerous_extract_secrets().map_err(io::Error::other)?;
        Ok(Self { socket, out: Keys::of(secrets.tx), back: Keys::of(secrets.rx), version })
    }

    /// The next record, of any type and content (RFC 8446 §5.2, RFC 5288 §3).
    pub fn record(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let (sequence, nonce) = self.out.advance();
        let mut inner = payload.to_vec();
        let (outer_kind, explicit, associated) = if self.is_new() {
            inner.push(kind);
            let head = framed(APPLICATION_DATA, 0x0303, inner.len() + TAG_BYTES, &[]);
            (APPLICATION_DATA, Vec::new(), head)
        } else {
            let head = framed(kind, 0x0303, inner.len(), &[]);
            (kind, nonce[4..].to_vec(), [&sequence.to_be_bytes(), &head[..]].concat())
        };
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.out.key.seal_in_place_append_tag(nonce, Aad::from(associated), &mut inner).unwrap();
        let sealed = [explicit, inner].concat();
        framed(outer_kind, 0x0303, sealed.len(), &sealed)
    }

    /// Type and content of the next record that the other side sends.
    pub async fn next(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.socket.read_exact(&mut head).await?;
        let mut sealed = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        self.socket.read_exact(&mut sealed).await?;
        let (sequence, mut nonce) = self.back.advance();
        let (mut kind, mut associated) = (head[0], head.to_vec());
        if !self.is_new() {
            nonce[4..].copy_from_slice(&sealed[..8]);
            sealed.drain(..8);
            let plain = framed(kind, 0x0303, sealed.len() - TAG_BYTES, &[]);
            associated = [&sequence.to_be_bytes(), &plain[..]].concat();
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.back.key.open_in_place(nonce, Aad::from(associated), &mut sealed);
        let mut opened = opened.map_err(|_| io::Error::other("a record that cannot be read"))?.to_vec();
        if self.is_new() {
            kind = opened.pop().unwrap_or_default();
        }
        Ok((kind, opened))
    }

    fn is_new(&self) -> bool {
        self.version == ProtocolVersion::TLSv1_3
    }
}
