//! Keyed fingerprints of contents: short names under which their plans are kept.
//!
//! GMAC under a random key that never leaves the process, its tags shown to nobody, is an almost universal hash: two
//! contents chosen without knowing the key share a fingerprint with a chance of their length in blocks in 2^128. A
//! hostile engine learns only whether a content was seen before.

use super::memo::Kind;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// 128 bits that stand for a content.
pub(super) type Fingerprint = [u8; 16];

/// The key of one process's fingerprints.
pub(super) struct FingerprintKey(LessSafeKey);

impl FingerprintKey {
    pub(super) fn random() -> Self {
        let mut bits = [0u8; 16];
        aws_lc_rs::rand::fill(&mut bits).expect("the system's random source works");
        let key = UnboundKey::new(&AES_128_GCM, &bits).expect("AES-128 has keys of 16 octets");
        Self(LessSafeKey::new(key))
    }

    pub(super) fn of(&self, content: &Canonical) -> Fingerprint {
        self.of_octets(&content.0)
    }

    /// To stand for the octets within a [`Canonical`] form: by itself it keeps no kinds apart.
    pub(super) fn of_octets(&self, octets: &[u8]) -> Fingerprint {
        // One nonce for all is right here: it only hides tags that nobody sees.
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(octets), &mut [])
            .expect("a content is shorter than what GCM may authenticate");
        tag.as_ref().try_into().expect("a tag of GCM has 16 octets")
    }
}

impl std::fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FingerprintKey")
    }
}

/// A content written out so that no two different ones read alike.
#[derive(Debug)]
pub(super) struct Canonical(Vec<u8>);

impl Canonical {
    /// `kind` keeps contents of different kinds apart.
    pub(super) fn new(kind: Kind, octets: usize) -> Self {
        let mut written = Vec::with_capacity(octets + 256);
        written.push(kind as u8);
        Self(written)
    }

    /// The next part, behind its length.
    pub(super) fn put(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.0.extend_from_slice(part);
    }

    /// A sign that no part begins with: as a length it would be past 2^63.
    pub(super) fn mark(&mut self, what: u8, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
        self.0.extend_from_slice(&[what, 0xff, 0xff, 0xff]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_apart() {
        let key = FingerprintKey::random();
        let of = |kind, parts: &[&[u8]]| {
            let mut canonical = Canonical::new(kind, 0);
            parts.iter().for_each(|part| canonical.put(part));
            key.of(&canonical)
        };
        assert_eq!(of(Kind::Inline, &[b"ab", b"c"]), of(Kind::Inline, &[b"ab", b"c"]));
        let others = [
            of(Kind::Inline, &[b"a", b"bc"]),
            of(Kind::Inline, &[b"abc"]),
            of(Kind::Message, &[b"ab", b"c"]),
            of(Kind::Inline, &[b"ab", b"c", b""]),
        ];
        assert!(others.iter().all(|other| *other != of(Kind::Inline, &[b"ab", b"c"])));
        assert_ne!(
            FingerprintKey::random().of(&Canonical::new(Kind::Inline, 0)),
            key.of(&Canonical::new(Kind::Inline, 0))
        );
    }
}
