//! Sealing and opening of one value with AES-256-GCM-SIV (RFC 8452) under a random 96-bit nonce, and the
//! associated data that ties it to its place in the store.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

/// Bytes of a symmetric key.
pub const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// What sealing adds to a value, in bytes: nonce in front, tag behind.
pub const SEAL_OVERHEAD_BYTES: usize = NONCE_LEN + TAG_BYTES;

/// Key bytes that are wiped when dropped.
pub type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// A key made ready for sealing and opening. The provider wipes its schedule when it is dropped.
pub struct SealingKey(LessSafeKey);

impl SealingKey {
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        let unbound = UnboundKey::new(&AES_256_GCM_SIV, key).expect("the key has the algorithm's length");
        Self(LessSafeKey::new(unbound))
    }

    /// `nonce || ciphertext || tag`. `place` is authenticated, not stored.
    pub fn seal(&self, place: &[u8], clear: &[u8]) -> Vec<u8> {
        let mut nonce = [0u8; NONCE_LEN];
        rand::fill(&mut nonce).expect("the system's random source works");
        let mut sealed = vec![0u8; clear.len() + SEAL_OVERHEAD_BYTES];
        let (head, rest) = sealed.split_at_mut(NONCE_LEN);
        head.copy_from_slice(&nonce);
        let (ciphertext, tag) = rest.split_at_mut(clear.len());
        self.0
            .seal_out_of_place_scatter(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place),
                clear,
                ciphertext,
                &[],
                tag,
            )
            .expect("the buffers have the right lengths");
        sealed
    }

    /// The clear value in a buffer of exactly its length, or `None` when anything of it, its key or its place
    /// is not what it was when sealed.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let clear_bytes = sealed.len().checked_sub(SEAL_OVERHEAD_BYTES)?;
        let mut clear = Zeroizing::new(vec![0u8; clear_bytes]);
        self.open_into(place, sealed, &mut clear)?;
        Some(clear)
    }

    /// As [`SealingKey::open`], for a value that is itself a key.
    pub fn open_key(&self, place: &[u8], sealed: &[u8]) -> Option<KeyBytes> {
        let mut key = KeyBytes::default();
        self.open_into(place, sealed, key.as_mut_slice())?;
        Some(key)
    }

    fn open_into(&self, place: &[u8], sealed: &[u8], clear: &mut [u8]) -> Option<()> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        if ciphertext.len() != clear.len() {
            return None;
        }
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.0.open_separate_gather(nonce, Aad::from(place), ciphertext, tag, clear).ok()
    }
}

/// A fresh key from the system's random source.
pub fn random_key() -> KeyBytes {
    let mut key = KeyBytes::default();
    rand::fill(key.as_mut_slice()).expect("the system's random source works");
    key
}

/// HMAC-SHA256 of `purpose` under `key`, as a key of its own. One block of HKDF-Expand in effect: `key` is
/// already uniformly random, so no extraction is needed (RFC 5869 §3.3).
pub fn derived_key(key: &hmac::Key, purpose: &[u8]) -> KeyBytes {
    let mut derived = KeyBytes::default();
    derived.copy_from_slice(hmac::sign(key, purpose).as_ref());
    derived
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_in_its_place_and_under_its_key() {
        let key = SealingKey::new(&random_key());
        let sealed = key.seal(b"person 7", b"dana");
        assert_eq!(key.open(b"person 7", &sealed).unwrap().as_slice(), b"dana");
        assert!(key.open(b"person 8", &sealed).is_none());
        assert!(SealingKey::new(&random_key()).open(b"person 7", &sealed).is_none());
        assert!(!sealed.windows(4).any(|window| window == b"dana"));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let key = SealingKey::new(&random_key());
        let sealed = key.seal(b"place", b"value");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut flipped = sealed.clone();
                flipped[at] ^= 1 << bit;
                assert!(key.open(b"place", &flipped).is_none());
            }
            assert!(key.open(b"place", &sealed[..at]).is_none());
        }
    }

    #[test]
    fn the_same_value_never_looks_the_same_twice() {
        let key = SealingKey::new(&random_key());
        assert_ne!(key.seal(b"p", b"v"), key.seal(b"p", b"v"));
    }
}
