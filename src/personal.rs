//! Personal data has a type: its `Debug` is masked and it has no `Display`, so logging it does not compile or
//! shows nothing, and the memory is wiped when the value is dropped.

use std::fmt;
use std::ops::{Deref, DerefMut};
use zeroize::{Zeroize, Zeroizing};

/// A value about a person. Only [`Personal::reveal`] gives it out, so every use can be found by that word.
#[derive(Clone, PartialEq, Eq)]
pub struct Personal<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Personal<T> {
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The clear value. Call it only where the value goes to the vault, into a finished message, or to the
    /// target's socket.
    pub fn reveal(&self) -> &T {
        &self.0
    }

    /// Hands the value on in a form that still wipes itself.
    pub fn into_wiped(self) -> Zeroizing<T> {
        self.0
    }

    pub fn reveal_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Zeroize> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

/// Overwrites a buffer to its whole capacity; afterwards it is full of zeroes. As sure as [`Zeroize`], and many times
/// faster on what has the size of a message: one fill that the optimiser has to take for read, where `Zeroize` writes
/// octet by octet.
pub fn wipe(octets: &mut Vec<u8>) {
    let room = octets.capacity();
    octets.clear();
    octets.resize(room, 0);
    zeroize::optimization_barrier(octets.as_slice());
}

/// A buffer that wipes itself when dropped, for what is large: see [`wipe`]. A `Vec` that grows by itself leaves its
/// old octets behind, so reserve enough.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Wiped(Vec<u8>);

impl Wiped {
    pub fn with_capacity(octets: usize) -> Self {
        Self(Vec::with_capacity(octets))
    }
}

impl From<Vec<u8>> for Wiped {
    fn from(octets: Vec<u8>) -> Self {
        Self(octets)
    }
}

impl Deref for Wiped {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

/// How deep calls leave something behind: ciphers and copies work on the stack too.
const STACK_BYTES: usize = 32 * 1024;

/// Overwrites what calls that have returned left on this thread's stack. For a thread that is about to wait: where it then goes
/// on is no deeper than where it came from.
#[inline(never)]
pub fn wipe_stack() {
    let mut below = [0u8; STACK_BYTES];
    std::hint::black_box(&mut below);
}

/// The masked form shown to an operator: the first character and the shape, never the value (`d…`, `d…@…`).
pub fn masked(value: &str) -> String {
    let Some(first) = value.chars().next() else { return String::new() };
    if value.contains('@') { format!("{first}…@…") } else { format!("{first}…") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_value() {
        let name = Personal::new(String::from("Dana"));
        assert_eq!(format!("{name:?}"), "[personal]");
        assert_eq!(name.reveal(), "Dana");
    }

    #[test]
    fn wiping_reaches_the_whole_capacity() {
        let mut octets = Vec::with_capacity(100);
        octets.extend_from_slice(b"Dana Levi");
        octets.truncate(2);
        let place = octets.as_ptr();
        wipe(&mut octets);
        assert_eq!((octets.as_ptr(), octets.len()), (place, octets.capacity()), "it has not moved");
        assert!(octets.len() >= 100 && octets.iter().all(|octet| *octet == 0));
        assert_eq!(format!("{:?}", Wiped::from(b"Dana".to_vec())), "[personal]");
    }

    #[test]
    fn a_masked_value_keeps_only_its_first_character() {
        assert_eq!(masked("dana@example.test"), "d…@…");
        assert_eq!(masked("דנה"), "ד…");
        assert_eq!(masked(""), "");
    }
}
