//! Names of elements, attributes and character references, as small values that are compared fast.

/// A name in lower case, cut at a length no known name has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    bytes: [u8; Name::MAX],
    length: u8,
}

impl Name {
    const MAX: usize = 23;
    pub(super) const EMPTY: Name = Name { bytes: [0; Self::MAX], length: 0 };

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or("")
    }

    pub(super) fn of(name: &str) -> Self {
        name.bytes().fold(Self::EMPTY, Self::with)
    }

    pub(super) fn with(self, byte: u8) -> Self {
        self.with_as_written(byte.to_ascii_lowercase())
    }

    /// Takes the letters, digits and hyphens that come first, which are of any name: how many, and the name with them.
    pub(super) fn with_all(self, bytes: &[u8]) -> (usize, Self) {
        let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'-';
        let passed = bytes.iter().take_while(is_of_name).count();
        (passed, bytes[..passed].iter().copied().fold(self, Self::with))
    }

    /// Names of character references differ by case.
    pub(super) fn with_as_written(mut self, byte: u8) -> Self {
        if let Some(place) = self.bytes.get_mut(usize::from(self.length)) {
            *place = byte;
            self.length += 1;
        }
        self
    }

    /// Whether it may have been longer.
    pub(super) fn is_cut(self) -> bool {
        usize::from(self.length) == Self::MAX
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
