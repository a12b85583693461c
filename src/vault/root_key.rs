//! The customer's own key (BYOK) on top of the vault's keys: 32 random bytes, written as hex or base64.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use std::fmt;
use zeroize::Zeroizing;

/// Length of a root key in bytes.
pub const ROOT_KEY_BYTES: usize = 32;

/// The root key; wiped when dropped, its `Debug` shows nothing.
#[derive(Clone)]
pub struct RootKey(Zeroizing<[u8; ROOT_KEY_BYTES]>);

impl RootKey {
    /// Reads the key from its text: 64 hex digits or base64 (standard or URL-safe, padded or not), white space
    /// around it ignored.
    ///
    /// # Errors
    /// [`BadRootKey`], which says what was found but nothing of the text.
    pub fn parse(text: &[u8]) -> Result<Self, BadRootKey> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err(BadRootKey::Empty);
        }
        let bytes = decode(text).ok_or(BadRootKey::NotEncoded { characters: text.len() })?;
        let key = <[u8; ROOT_KEY_BYTES]>::try_from(bytes.as_slice())
            .map_err(|_| BadRootKey::Length { bytes: bytes.len() })?;
        let key = Zeroizing::new(key);
        if key.iter().all(|byte| *byte == key[0]) {
            return Err(BadRootKey::Placeholder);
        }
        Ok(Self(key))
    }

    /// A fresh one from the system's random source.
    pub fn random() -> Self {
        let mut key = Zeroizing::new([0u8; ROOT_KEY_BYTES]);
        aws_lc_rs::rand::fill(key.as_mut_slice()).expect("the system's random source works");
        Self(key)
    }

    /// The key as 64 hex digits, for the file that keeps it.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(data_encoding::HEXLOWER.encode(self.0.as_slice()))
    }

    pub(super) fn bytes(&self) -> &[u8; ROOT_KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey([secret])")
    }
}

fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let encodings: &[&data_encoding::Encoding] = if text.len() == 2 * ROOT_KEY_BYTES {
        &[&HEXLOWER_PERMISSIVE]
    } else {
        &[&BASE64, &BASE64_NOPAD, &BASE64URL, &BASE64URL_NOPAD]
    };
    encodings.iter().find_map(|encoding| encoding.decode(text).ok()).map(Zeroizing::new)
}

/// Why a text is not a root key. Holds nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRootKey {
    #[error("the vault key is empty")]
    Empty,
    #[error("the vault key is neither 64 hex digits nor base64 of 32 bytes ({characters} characters found)")]
    NotEncoded { characters: usize },
    #[error("the vault key has {bytes} bytes instead of 32")]
    Length { bytes: usize },
    #[error("the vault key is one byte repeated, a placeholder")]
    Placeholder,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_gives_the_same_key() {
        let bytes: Vec<u8> = (200..232).collect();
        let spellings = [
            data_encoding::HEXLOWER.encode(&bytes),
            data_encoding::HEXUPPER.encode(&bytes),
            BASE64.encode(&bytes),
            BASE64_NOPAD.encode(&bytes),
            BASE64URL.encode(&bytes),
            BASE64URL_NOPAD.encode(&bytes),
            format!("  {}\r\n", BASE64.encode(&bytes)),
        ];
        for text in spellings {
            assert_eq!(RootKey::parse(text.as_bytes()).unwrap().bytes().as_slice(), bytes, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_without_showing_it() {
        for text in [
            "",
            " \n",
            "hunter2hunter2",
            &"0".repeat(64),
            &"ab".repeat(31),
            &"zz".repeat(32),
            &BASE64.encode(&[7; 31]),
            &BASE64.encode(&[7; 33]),
        ] {
            let error = RootKey::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("vault key"), "{error}");
            assert!(text.trim().is_empty() || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_random_key_survives_its_own_spelling() {
        let key = RootKey::random();
        assert_eq!(RootKey::parse(key.to_hex().as_bytes()).unwrap().bytes(), key.bytes());
        assert_eq!(format!("{key:?}"), "RootKey([secret])");
    }
}
