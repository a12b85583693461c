//! Notices that the vault was changed by whomever: what was read from it before may be true no more.

use super::error::VaultError;
use super::place::{Place, Seen};
use std::sync::Arc;

/// A look at the vault's file now and then. Blocks, for microseconds; only what was copied over the file is read from end to
/// end.
pub struct Watch {
    place: Arc<Place>,
    /// What was found last; `None` when nothing could be read.
    seen: Option<Seen>,
}

impl Watch {
    pub(super) fn new(place: Arc<Place>) -> Result<Self, VaultError> {
        let seen = match place.watch() {
            Err(cause) if cause.awaits_a_person() => None,
            seen => Some(seen?),
        };
        Ok(Self { place, seen })
    }

    /// Whether something was committed, or another file lies there, since this was asked last.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read, another vault lies in its place, or it was overwritten and is not known
    /// to be whole. Once it can be read again, it counts as changed.
    pub fn has_changed(&mut self) -> Result<bool, VaultError> {
        let before = self.seen.take();
        self.seen = Some(self.place.watch()?);
        Ok(self.seen != before)
    }
}
