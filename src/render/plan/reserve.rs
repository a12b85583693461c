//! What to make room for before a message is filled in.

use super::piece::Piece;

/// Room kept for each value when the buffer of a message is reserved, in octets.
const VALUE_OCTETS: usize = 48;
/// Room kept for the header fields of a message, in octets.
const HEADER_OCTETS: usize = 1024;

/// What a message takes, nearly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reserve {
    pub octets: usize,
    /// Those of them that are not shared.
    pub own: usize,
    /// Stretches of shared ones.
    pub shared: usize,
}

/// Of the header fields that are each person's own.
pub(super) const HEADER: Reserve = Reserve { octets: HEADER_OCTETS, own: HEADER_OCTETS, shared: 0 };

impl Reserve {
    pub fn of(pieces: &[Piece]) -> Self {
        let fixed: usize = pieces.iter().map(Piece::fixed_octets).sum();
        let programs = pieces.iter().flat_map(Piece::programs);
        let values = VALUE_OCTETS * programs.map(|program| program.fixed().len()).sum::<usize>();
        let (copied, shared) = pieces
            .iter()
            .map(Piece::copied_and_shared)
            .fold((0, 0), |sum, piece| (sum.0 + piece.0, sum.1 + piece.1));
        Self { octets: fixed + fixed / 32 + values, own: copied + copied / 32 + values, shared }
    }

    pub fn and(self, other: Self) -> Self {
        Self {
            octets: self.octets + other.octets,
            own: self.own + other.own,
            shared: self.shared + other.shared,
        }
    }
}
