//! Why a stream of jobs was not read to its end.

use super::swelling::Swollen;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    ClientGone,
    /// The body broke off, or is not compressed as it says.
    Broken,
    DoorClosed,
    /// A reload took away the engine or its key.
    Disowned,
    /// The body unpacks to too much that is no job.
    Swollen,
    /// Members of a compressed body with nothing in them.
    Hollow,
    /// Too many lines with nothing in them.
    Blank,
}

impl From<Swollen> for Cut {
    fn from(_: Swollen) -> Self {
        Self::Swollen
    }
}

impl Cut {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientGone => "client gone",
            Self::Broken => "broken off",
            Self::DoorClosed => "door closed",
            Self::Disowned => "key taken away",
            Self::Swollen => "unpacked to no jobs",
            Self::Hollow => "empty members",
            Self::Blank => "blank lines",
        }
    }
}
