//! The vault's own keys, opened once with the root key and kept in memory: versions of the vault key (each
//! wraps the people's keys), the key of the look-up hashes, and the key others are derived from.

use super::envelope::{KeyBytes, SealingKey, derived_key, random_key};
use super::root_key::RootKey;
use aws_lc_rs::{constant_time, hmac, rand};

/// Bytes of a keyed hash that people are looked up by.
pub const LOOKUP_BYTES: usize = 16;
/// A keyed hash of a token or an address; says nothing without the key.
pub type LookupHash = [u8; LOOKUP_BYTES];

/// What a look-up hash is made of. Part of the hash, so an address never collides with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum LookupOf {
    Token = 1,
    Email = 2,
    Phone = 3,
}

/// The vault's one row about itself. Everything in it is authenticated with the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultRow {
    pub id: [u8; 16],
    /// Seconds since 1970, UTC.
    pub created: i64,
    /// Tells a wrong root key from an altered file.
    pub key_check: Vec<u8>,
}

/// One of the vault's keys as it lies in the file.
#[derive(Debug, Clone)]
pub struct WrappedKey {
    pub role: i64,
    pub version: i64,
    pub created: i64,
    pub wrapped: Vec<u8>,
}

/// What a key of the vault is for; the number is what the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum Role {
    Person = 1,
    Lookup = 2,
    Derive = 3,
}

/// Why the keys could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyringFault {
    WrongKey,
    Damaged,
}

/// The opened keys.
pub struct Keyring {
    versions: Vec<(i64, SealingKey)>,
    lookup: hmac::Key,
    derive: hmac::Key,
    roll: SealingKey,
    index: hmac::Key,
}

impl Keyring {
    /// Keys for a new vault: its row and its wrapped keys, to be written together.
    pub fn create(root: &RootKey, now: i64) -> (VaultRow, Vec<WrappedKey>) {
        let mut id = [0u8; 16];
        rand::fill(&mut id).expect("the system's random source works");
        let root = Root::new(root);
        let row = VaultRow { id, created: now, key_check: root.check() };
        let keys = [Role::Person, Role::Lookup, Role::Derive].map(|role| {
            root.wrap(&row, WrappedKey { role: role as i64, version: 1, created: now, wrapped: vec![] })
        });
        (row, keys.into())
    }

    /// Opens every key.
    ///
    /// # Errors
    /// [`KeyringFault::WrongKey`] when neither the check value nor any key fits the root key, `Damaged` when
    /// only some of them do.
    pub fn open(root: &RootKey, row: &VaultRow, wrapped: &[WrappedKey]) -> Result<Self, KeyringFault> {
        let root = Root::new(root);
        let check_fits = constant_time::verify_slices_are_equal(&root.check(), &row.key_check).is_ok();
        let opened: Vec<_> = wrapped.iter().map(|key| (key, root.unwrap(row, key))).collect();
        if !check_fits && opened.iter().all(|(_, key)| key.is_none()) {
            return Err(KeyringFault::WrongKey);
        }
        if !check_fits || opened.iter().any(|(_, key)| key.is_none()) {
            return Err(KeyringFault::Damaged);
        }
        let of = |role: Role| opened.iter().filter(move |(key, _)| key.role == role as i64);
        let secret = |role: Role| of(role).find_map(|(_, key)| key.as_ref()).ok_or(KeyringFault::Damaged);
        let mut versions: Vec<_> = of(Role::Person)
            .filter_map(|(row, key)| Some((row.version, SealingKey::new(key.as_ref()?))))
            .collect();
        versions.sort_by_key(|(version, _)| *version);
        if versions.is_empty() {
            return Err(KeyringFault::Damaged);
        }
        let derive = hmac::Key::new(hmac::HMAC_SHA256, secret(Role::Derive)?.as_slice());
        let index = derived_key(&derive, b"tokenrelay vault index 1");
        Ok(Self {
            versions,
            lookup: hmac::Key::new(hmac::HMAC_SHA256, secret(Role::Lookup)?.as_slice()),
            roll: SealingKey::new(&derived_key(&derive, b"tokenrelay vault roll 1")),
            index: hmac::Key::new(hmac::HMAC_SHA256, index.as_slice()),
            derive,
        })
    }

    /// The version that seals now, with its key.
    pub fn newest(&self) -> (i64, &SealingKey) {
        let (version, key) = self.versions.last().expect("a keyring has at least one version");
        (*version, key)
    }

    pub fn version(&self, version: i64) -> Option<&SealingKey> {
        self.versions.iter().find(|(known, _)| *known == version).map(|(_, key)| key)
    }

    pub fn version_numbers(&self) -> Vec<i64> {
        self.versions.iter().map(|(version, _)| *version).collect()
    }

    pub fn lookup_hash(&self, of: LookupOf, value: &str) -> LookupHash {
        let mut context = hmac::Context::with_key(&self.lookup);
        context.update(&[of as u8]);
        context.update(value.as_bytes());
        let tag = context.sign();
        *tag.as_ref().first_chunk().expect("SHA-256 has 32 bytes")
    }

    /// What seals the nodes of the roll.
    pub fn roll(&self) -> &SealingKey {
        &self.roll
    }

    /// What a row of the index of tokens counts as in the roll's digest of it.
    pub fn index_entry(&self, hash: &LookupHash, kind: i64, person: i64) -> u64 {
        let mut context = hmac::Context::with_key(&self.index);
        context.update(hash);
        context.update(&kind.to_le_bytes());
        context.update(&person.to_le_bytes());
        let tag = context.sign();
        u64::from_le_bytes(*tag.as_ref().first_chunk().expect("SHA-256 has 32 bytes"))
    }

    /// A key of its own for another use of this installation; the same for the same purpose.
    pub fn derive(&self, purpose: &str) -> KeyBytes {
        derived_key(&self.derive, purpose.as_bytes())
    }
}

/// The root key, split into a wrapping key and a check key, so neither use helps against the other.
struct Root {
    wrapping: SealingKey,
    checking: hmac::Key,
}

impl Root {
    fn new(root: &RootKey) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, root.bytes());
        let checking = derived_key(&root, b"tokenrelay vault check 1");
        Self {
            wrapping: SealingKey::new(&derived_key(&root, b"tokenrelay vault wrap 1")),
            checking: hmac::Key::new(hmac::HMAC_SHA256, checking.as_slice()),
        }
    }

    /// Depends on the root key alone, so an altered vault row is told from a wrong key.
    fn check(&self) -> Vec<u8> {
        hmac::sign(&self.checking, b"tokenrelay").as_ref()[..16].to_vec()
    }

    fn wrap(&self, vault: &VaultRow, mut key: WrappedKey) -> WrappedKey {
        key.wrapped = self.wrapping.seal(&place(vault, &key), random_key().as_slice());
        key
    }

    fn unwrap(&self, vault: &VaultRow, key: &WrappedKey) -> Option<KeyBytes> {
        self.wrapping.open_key(&place(vault, key), &key.wrapped)
    }
}

fn place(vault: &VaultRow, key: &WrappedKey) -> Vec<u8> {
    let mut place = b"tokenrelay vault key 1".to_vec();
    place.extend_from_slice(&vault.id);
    for number in [vault.created, key.role, key.version, key.created] {
        place.extend_from_slice(&number.to_le_bytes());
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_root_key_opens_and_a_wrong_one_is_named() {
        let root = RootKey::random();
        let (row, keys) = Keyring::create(&root, 1_800_000_000);
        let ring = Keyring::open(&root, &row, &keys).unwrap();
        let again = Keyring::open(&root, &row, &keys).unwrap();
        assert_eq!(
            ring.lookup_hash(LookupOf::Token, "e_1"),
            again.lookup_hash(LookupOf::Token, "e_1"),
            "hashes stay the same over a restart"
        );
        assert_ne!(ring.lookup_hash(LookupOf::Token, "e_1"), ring.lookup_hash(LookupOf::Email, "e_1"));
        assert_eq!(ring.derive("send"), again.derive("send"));
        assert_ne!(ring.derive("send"), ring.derive("other"));
        assert_eq!(Keyring::open(&RootKey::random(), &row, &keys).err(), Some(KeyringFault::WrongKey));
    }

    #[test]
    fn an_altered_key_table_is_damage_not_a_wrong_key() {
        let root = RootKey::random();
        let (row, keys) = Keyring::create(&root, 1_800_000_000);
        let fault_of = |row: &VaultRow, keys: &[WrappedKey]| Keyring::open(&root, row, keys).err();
        for at in 0..keys.len() {
            let mut altered = keys.clone();
            altered[at].wrapped[20] ^= 1;
            assert_eq!(fault_of(&row, &altered), Some(KeyringFault::Damaged));
            let mut altered = keys.clone();
            altered[at].version = 2;
            assert_eq!(fault_of(&row, &altered), Some(KeyringFault::Damaged));
            let mut altered = keys.clone();
            altered.remove(at);
            assert_eq!(fault_of(&row, &altered), Some(KeyringFault::Damaged));
        }
        let mut swapped = keys.clone();
        let first = swapped[0].wrapped.clone();
        swapped[0].wrapped = std::mem::replace(&mut swapped[1].wrapped, first);
        assert_eq!(fault_of(&row, &swapped), Some(KeyringFault::Damaged));
        let mut check = row.clone();
        check.key_check[0] ^= 1;
        assert_eq!(fault_of(&check, &keys), Some(KeyringFault::Damaged));
        let created = VaultRow { created: row.created + 1, ..row.clone() };
        assert_eq!(fault_of(&created, &keys), Some(KeyringFault::Damaged));
        let id = VaultRow { id: [7; 16], ..row.clone() };
        assert_eq!(fault_of(&id, &keys), Some(KeyringFault::Damaged));
    }
}
