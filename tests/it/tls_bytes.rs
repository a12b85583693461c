//! Records of TLS made by hand: in the clear, or encrypted with the keys of a handshake that was done as it should be.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::{ConnectionTrafficSecrets, ProtocolVersion};

/// Content types (RFC 8446 §5.1).
pub const CHANGE_CIPHER_SPEC: u8 = 20;
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const APPLICATION_DATA: u8 = 23;

pub const TAG_BYTES: usize = 16;

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

/// One direction of an encrypted connection, by AES-128-GCM.
pub struct Keys {
    pub key: LessSafeKey,
    pub version: ProtocolVersion,
    iv: [u8; 12],
    sequence: u64,
}

impl Keys {
    pub fn of(version: ProtocolVersion, (sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Self {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("another cipher suite") };
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap());
        Self { key, version, iv: iv.as_ref().try_into().unwrap(), sequence }
    }

    /// Number and nonce of the next record (RFC 8446 §5.3).
    pub fn advance(&mut self) -> (u64, [u8; 12]) {
        let (mut nonce, sequence) = (self.iv, self.sequence);
        nonce.iter_mut().skip(4).zip(sequence.to_be_bytes()).for_each(|(byte, by)| *byte ^= by);
        self.sequence += 1;
        (sequence, nonce)
    }

    /// The next record, of any type and content (RFC 8446 §5.2, RFC 5288 §3).
    pub fn record(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let (sequence, nonce) = self.advance();
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
        self.key.seal_in_place_append_tag(nonce, Aad::from(associated), &mut inner).unwrap();
        let sealed = [explicit, inner].concat();
        framed(outer_kind, 0x0303, sealed.len(), &sealed)
    }

    pub fn is_new(&self) -> bool {
        self.version == ProtocolVersion::TLSv1_3
    }
}
