//! A TLS client that can send any record: whole or half, in the clear, or encrypted after a handshake as it should be.

use crate::tls_bytes::{HANDSHAKE, Keys, TAG_BYTES, framed, record};
use aws_lc_rs::aead::{Aad, Nonce};
use rustls::{ClientConnection, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokenrelay::tls::provider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

/// A connection after its handshake: the socket, and the keys.
pub struct Encrypted {
    pub socket: TcpStream,
    out: Keys,
    back: Keys,
}

impl Encrypted {
    pub async fn shake_hands(socket: TcpStream, config: &Arc<rustls::ClientConfig>) -> io::Result<Self> {
        Self::shake_hands_in_pieces(socket, config, usize::MAX).await
    }

    /// With at most `piece` bytes of the first message in one record.
    pub async fn shake_hands_in_pieces(
        mut socket: TcpStream,
        config: &Arc<rustls::ClientConfig>,
        piece: usize,
    ) -> io::Result<Self> {
        let name = ServerName::from(socket.peer_addr()?.ip());
        let mut client = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        let mut room = vec![0; 32 * 1024];
        let mut is_first = true;
        loop {
            let mut flight = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut flight)?;
            }
            if std::mem::take(&mut is_first) {
                flight = flight[5..].chunks(piece).flat_map(|piece| record(HANDSHAKE, piece)).collect();
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
        Ok(Self { socket, out: Keys::of(version, secrets.tx), back: Keys::of(version, secrets.rx) })
    }

    /// The next record, of any type and content.
    pub fn record(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        self.out.record(kind, payload)
    }

    /// Type and content of the next record that the other side sends.
    pub async fn next(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.socket.read_exact(&mut head).await?;
        let mut sealed = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        self.socket.read_exact(&mut sealed).await?;
        let (sequence, mut nonce) = self.back.advance();
        let (mut kind, mut associated) = (head[0], head.to_vec());
        if !self.back.is_new() {
            nonce[4..].copy_from_slice(&sealed[..8]);
            sealed.drain(..8);
            let plain = framed(kind, 0x0303, sealed.len() - TAG_BYTES, &[]);
            associated = [&sequence.to_be_bytes(), &plain[..]].concat();
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.back.key.open_in_place(nonce, Aad::from(associated), &mut sealed);
        let mut opened = opened.map_err(|_| io::Error::other("a record that cannot be read"))?.to_vec();
        if self.back.is_new() {
            kind = opened.pop().unwrap_or_default();
        }
        Ok((kind, opened))
    }
}
