//! Personal data has a type: its `Debug` is masked and it has no `Display`, so logging it does not compile or
//! shows nothing, and the memory is wiped when the value is dropped.

use std::fmt;
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
    fn a_masked_value_keeps_only_its_first_character() {
        assert_eq!(masked("dana@example.test"), "d…@…");
        assert_eq!(masked("דנה"), "ד…");
        assert_eq!(masked(""), "");
    }
}
