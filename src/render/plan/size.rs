//! How large a message is, and how much of that may decide about it.

use crate::message::Message;

/// Octets by which the person's values together may take a message over its limit.
pub(super) const VALUES_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// No encoding makes what everybody gets as many times larger, so that most messages need not be judged.
const SURELY: usize = 8;

/// How large a message has come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub octets: usize,
    /// Bytes, nearly and before they are encoded, of what is the same for everybody. Only this may decide whether a message
    /// is judged: near a limit an engine would see by it how large the values are.
    pub common: usize,
}

impl Size {
    pub(super) fn is_surely_within(self, octets_max: usize) -> bool {
        self.common.saturating_mul(SURELY).saturating_add(VALUES_OCTETS_MAX) <= octets_max
    }
}

/// A message, and how much of it is the same for everybody.
pub(super) struct Filled {
    pub message: Message,
    pub common: usize,
}

impl Filled {
    pub fn size(&self) -> Size {
        Size { octets: self.message.len(), common: self.common }
    }
}
